"""Pagination: opaque tokens that carry the last key of a page, bound to the listing that they were made for."""

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from haneul.base import limits

T = TypeVar("T")


def make_token(key: Any, listing: str) -> str:
    """A token for the page behind key (text, numbers, and lists of them). listing names what is listed and how: the
    operation and every parameter that must be the same on the next page."""
    raw = msgspec.msgpack.encode(key)
    return base64.urlsafe_b64encode(_sum(raw, listing) + raw).decode()


def read_token(token: str, listing: str, refuse: Callable[[], Exception]) -> Any:
    """The key in a token. Raises what refuse makes for a token that is damaged, or of another listing."""
    if len(token) > limits.PAGE_TOKEN_MAX_CHARS:
        raise refuse()
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        key = msgspec.msgpack.decode(raw[4:])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise refuse() from error
    if raw[:4] != _sum(raw[4:], listing):
        raise refuse()
    return key


def cut(found: Sequence[T], limit: int, listing: str, key: Callable[[T], Any]) -> tuple[list[T], str | None]:
    """One page out of what was found (ask the engine for limit + 1), and the token of the next page or None."""
    page = list(found[:limit])
    more = len(found) > limit and page
    return page, make_token(key(page[-1]), listing) if more else None


def _sum(raw: bytes, listing: str) -> bytes:
    # Not a secret: whoever may list may also see keys. It catches damage and tokens of other listings.
    return zlib.crc32(listing.encode() + b"\0" + raw).to_bytes(4, "big")
