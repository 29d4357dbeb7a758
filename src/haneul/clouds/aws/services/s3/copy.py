"""CopyObject and UploadPartCopy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_plus

from msgspec.structs import replace

from haneul.base.errors import NotFound
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines
from haneul.engines.objects.conditions import NO_CONDITIONS, Conditions
from haneul.engines.objects.records import UNVERSIONED, Description, Object

from .describing import EXTRAS, checksums, described, encryption, quoted, seconds
from .digests import algorithm_named, members_of
from .errors import FAULTS, invalid_argument, invalid_request, no_such_version
from .multipart import check_part_number
from .names import origin
from .objects import write_conditions

_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})", re.ASCII)
_CONDITIONS = (
    "CopySourceIfMatch",
    "CopySourceIfNoneMatch",
    "CopySourceIfModifiedSince",
    "CopySourceIfUnmodifiedSince",
)
_ELEMENTS = {"bucket": "BucketName", "object": "Key"}
_NO_SOURCE = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
_TO_ITSELF = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's"
    " metadata, storage class, website redirect location or encryption attributes."
)


async def copy_object(engines: Engines, call: Call) -> Output:
    values = call.input
    from_bucket, from_key = copy_source(values["CopySource"])
    bucket, key = values["Bucket"], values["Key"]
    replaces = values.get("MetadataDirective") == "REPLACE"
    changes = replaces or any(name in values for name in ("StorageClass", *EXTRAS))
    if (from_bucket, from_key) == (bucket, key) and not changes:
        raise invalid_request(_TO_ITSELF)
    said = described(values)
    named = values.get("ChecksumAlgorithm")
    with _named():
        _, made = await engines.objects.copy(
            call.scope,
            from_bucket,
            from_key,
            bucket,
            key,
            lambda found: _described_copy(values, said, found),
            origin(call),
            algorithm=algorithm_named(named) if named else None,
            source_conditions=source_conditions(values),
            conditions=write_conditions(values),
        )
    result = {"ETag": quoted(made.etag), "LastModified": seconds(made.modified_ms), **checksums(made)}
    return {"CopyObjectResult": result, **encryption(made.description)}


async def upload_part_copy(engines: Engines, call: Call) -> Output:
    values = call.input
    check_part_number(values["PartNumber"])
    from_bucket, from_key = copy_source(values["CopySource"])

    def select(found: Object) -> tuple[int, int]:
        return _copied_range(values.get("CopySourceRange"), found.body.size_bytes)

    with _named():
        part = await engines.objects.copy_part(
            call.scope,
            from_bucket,
            from_key,
            values["Bucket"],
            values["Key"],
            values["UploadId"],
            values["PartNumber"],
            select,
            source_conditions=source_conditions(values),
        )
    result = {"ETag": quoted(part.etag), "LastModified": seconds(part.modified_ms), **members_of(part.digests)}
    return {"CopyPartResult": result, "ServerSideEncryption": "AES256"}


@contextmanager
def _named() -> Iterator[None]:
    """What is missing may be the source's, while the input names the target's: errors name what was looked for."""
    try:
        yield
    except NotFound as failure:
        element = _ELEMENTS.get(failure.noun)
        if element is None:
            raise
        fault = FAULTS[NotFound, failure.noun]
        members: dict[str, Any] = {element: failure.name}
        raise AwsError(fault.code, fault.message, fault.status, **members) from failure


def copy_source(text: str) -> tuple[str, str]:
    """(bucket, key) of an x-amz-copy-source header. Raises InvalidArgument, NoSuchVersion."""
    path, _, query = text.partition("?")
    if query:
        version = query.removeprefix("versionId=")
        if version == query:
            raise invalid_argument(_NO_SOURCE, "x-amz-copy-source", text)
    bucket, slash, key = unquote_plus(path).removeprefix("/").partition("/")
    if not (bucket and slash and key):
        raise invalid_argument(_NO_SOURCE, "x-amz-copy-source", text)
    if query and version != UNVERSIONED:
        raise no_such_version(key, version)
    return bucket, key


def source_conditions(values: dict[str, Any]) -> Conditions:
    if not any(name in values for name in _CONDITIONS):
        return NO_CONDITIONS
    return Conditions(*(values.get(name) for name in _CONDITIONS))


def _described_copy(values: dict[str, Any], said: Description, source: Object) -> Description:
    """Metadata and tags are the source's unless a directive says otherwise; storage class and encryption never are."""
    taken = source.description
    kept_headers = values.get("MetadataDirective") != "REPLACE"
    kept_tags = values.get("TaggingDirective") != "REPLACE"
    return replace(
        said,
        headers=taken.headers if kept_headers else said.headers,
        metadata=taken.metadata if kept_headers else said.metadata,
        tags=taken.tags if kept_tags else said.tags,
    )


def _copied_range(text: str | None, size_bytes: int) -> tuple[int, int]:
    if text is None:
        return 0, size_bytes
    found = _RANGE.fullmatch(text)
    if found is None or int(found[2]) < int(found[1]):
        raise invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the"
            " zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            text,
        )
    if int(found[2]) >= size_bytes:
        raise invalid_argument(
            f"Range specified is not valid for source object of size: {size_bytes}", "x-amz-copy-source-range", text
        )
    return int(found[1]), int(found[2]) + 1
