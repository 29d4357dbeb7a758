"""What must hold before an object is read or written: the bucket's owner, the request's conditions, byte ranges.

Conditions and ranges are those of RFC 9110, sections 13 and 14. Nothing here does I/O.
"""

import re

import msgspec

from haneul.base.errors import Denied, Invalid, NotFound, PreconditionFailed
from haneul.base.scope import Scope

from .records import Bucket, Object

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_DIGITS_MAX = 20


class Conditions(msgspec.Struct, frozen=True):
    """match, none_match: header values ('"etag"', a list of them, or "*"). Times: epoch seconds, whole."""

    match: str | None = None
    none_match: str | None = None
    modified_since: float | None = None
    unmodified_since: float | None = None


NO_CONDITIONS = Conditions()


def check_bucket(found: Bucket | None, scope: Scope, name: str) -> Bucket:
    """The bucket, when it exists and the account may see it. Raises NotFound, Denied."""
    if found is None:
        raise NotFound("bucket", name)
    if found.account != scope.account and not found.shared:
        raise Denied("bucket", name, "it belongs to another account")
    return found


def check_read(conditions: Conditions, found: Object) -> bool:
    """True when the object is to be sent, False when the reader already has it. Raises PreconditionFailed.

    Order of evaluation: RFC 9110 section 13.2.2. A date is heeded only without its entity-tag counterpart.
    """
    if conditions is NO_CONDITIONS:
        return True
    modified_s = found.modified_ms // 1000
    if conditions.match is not None:
        if not _names(conditions.match, found.etag):
            raise PreconditionFailed("object", "", "the entity tag differs", condition="If-Match")
    elif conditions.unmodified_since is not None and modified_s > conditions.unmodified_since:
        raise PreconditionFailed("object", "", "it was modified", condition="If-Unmodified-Since")
    if conditions.none_match is not None:
        return not _names(conditions.none_match, found.etag)
    return conditions.modified_since is None or modified_s > conditions.modified_since


def check_write(conditions: Conditions, found: Object | None, key: str) -> None:
    """Raises PreconditionFailed, or NotFound when a given entity tag must match and there is nothing."""
    if conditions is NO_CONDITIONS:
        return
    if conditions.none_match is not None and found is not None and _names(conditions.none_match, found.etag):
        raise PreconditionFailed("object", key, "it exists", condition="If-None-Match")
    if conditions.match is not None:
        if found is None:
            raise NotFound("object", key)
        if not _names(conditions.match, found.etag):
            raise PreconditionFailed("object", key, "the entity tag differs", condition="If-Match")


def slice_of(wanted: str | None, size_bytes: int) -> tuple[int, int] | None:
    """(start, end excluded) of the bytes that a Range header asks for; None for the whole body.

    A header that is malformed or asks for several ranges is ignored (RFC 9110 section 14.2 allows both).
    Raises Invalid for one that lies outside the body.
    """
    if wanted is None:
        return None
    parsed = _RANGE.fullmatch(wanted.strip())
    if parsed is None or max(map(len, parsed.groups())) > _DIGITS_MAX:
        return None
    first, last = parsed.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(size_bytes - int(last), 0), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= size_bytes:
        raise Invalid("range", wanted, "it lies outside the body", size_bytes=size_bytes)
    return start, end


def _names(tags: str, etag: str) -> bool:
    for tag in tags.split(","):
        bare = tag.strip().removeprefix("W/").strip('"')
        if bare == etag or bare == "*":
            return True
    return False
