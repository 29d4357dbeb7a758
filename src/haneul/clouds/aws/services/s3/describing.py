"""What headers say about an object, in both directions: input members to a Description, an Object to output members."""

from typing import Any
from urllib.parse import parse_qsl

from haneul.base.errors import NotBuilt
from haneul.base.limits import OBJECT_METADATA_MAX_BYTES, OBJECT_TAGS_MAX
from haneul.clouds.aws.call import AwsError, Output
from haneul.clouds.aws.protocols import timestamps
from haneul.engines.objects.records import Description, Object

from .digests import members_of
from .errors import invalid_argument

DEFAULT_TYPE = "binary/octet-stream"
CONTENT = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "Expires": "expires",
}
EXTRAS = {
    "WebsiteRedirectLocation": "redirect",
    "ServerSideEncryption": "encryption",
    "SSEKMSKeyId": "encryption_key",
    "ACL": "acl",
}
STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
)
_MEMBER_OF = {header: member for member, header in CONTENT.items()}
_NOT_BUILT = frozenset(("SSECustomerAlgorithm", "ObjectLockMode", "ObjectLockLegalHoldStatus", "WriteOffsetBytes"))
_BAD_TAG_HEADER = (
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name"
    " duplicates."
)


def described(values: dict[str, Any]) -> Description:
    """What a request says about the object that it writes. Raises AwsError for what S3 refuses."""
    headers: dict[str, str] = {}
    extras: dict[str, str] = {}
    for member, value in values.items():
        if member == "Expires":
            headers["expires"] = _date(value)
        elif member in CONTENT:
            if value:
                headers[CONTENT[member]] = value
        elif member in EXTRAS:
            if value:
                extras[EXTRAS[member]] = str(value)
        elif member in _NOT_BUILT:
            raise NotBuilt("header", member)
    if "content-encoding" in headers:
        _without_transfer(headers)
    headers.setdefault("content-type", DEFAULT_TYPE)
    metadata = values.get("Metadata")
    if metadata:
        _check_metadata(metadata)
    storage_class = values.get("StorageClass") or "STANDARD"
    if storage_class not in STORAGE_CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", 400)
    tagging = values.get("Tagging")
    return Description(
        headers=headers,
        metadata=metadata or {},
        storage_class=storage_class,
        tags=header_tags(tagging) if tagging else {},
        extras=extras,
    )


def _date(second: float) -> str:
    try:
        return timestamps.http_date(second)
    except (ValueError, OverflowError, OSError) as error:  # a year that no calendar has
        raise invalid_argument("The Expires header is not a date", "Expires", str(second)) from error


def _check_metadata(metadata: dict[str, str]) -> None:
    size = sum(len(name.encode()) + len(text.encode()) for name, text in metadata.items())
    if size > OBJECT_METADATA_MAX_BYTES:
        raise AwsError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            400,
            Size=str(size),
            MaxSizeAllowed=str(OBJECT_METADATA_MAX_BYTES),
        )


def header_tags(header: str) -> dict[str, str]:
    """Tags out of an x-amz-tagging header."""
    try:
        pairs = parse_qsl(header, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise invalid_argument(_BAD_TAG_HEADER, "x-amz-tagging", header) from error
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise invalid_argument(_BAD_TAG_HEADER, "x-amz-tagging", header)
    if len(tags) > OBJECT_TAGS_MAX:
        raise AwsError("BadRequest", f"Object tags cannot be greater than {OBJECT_TAGS_MAX}", 400)
    for key, value in tags.items():
        check_tag(key, value)
    return tags


def check_tag(key: str, value: str) -> None:
    """Raises InvalidTag. Limits: S3 user guide, "Categorizing your storage using tags"."""
    if not 1 <= len(key) <= 128:
        raise AwsError("InvalidTag", "The TagKey you have provided is invalid", 400, TagKey=key)
    if len(value) > 256:
        raise AwsError("InvalidTag", "The TagValue you have provided is invalid", 400, TagKey=key, TagValue=value)


def seconds(time_ms: int) -> float:
    """LastModified as S3 has it: whole seconds."""
    return float(time_ms // 1000)


def quoted(etag: str) -> str:
    return f'"{etag}"'


def checksums(found: Object) -> dict[str, str]:
    """The members that say an object's checksum."""
    return {**members_of(found.digests), "ChecksumType": "COMPOSITE" if found.composite else "FULL_OBJECT"}


def encryption(description: Description) -> dict[str, Any]:
    """The members that say how an object is encrypted: AES256 when nobody asked for anything."""
    said = description.extras
    kind = said.get("encryption", "AES256")
    return {
        "ServerSideEncryption": kind,
        **({"SSEKMSKeyId": said["encryption_key"]} if "encryption_key" in said else {}),
    }


def written(made: Object) -> Output:
    """What PutObject answers."""
    return {"ETag": quoted(made.etag), **checksums(made), **encryption(made.description)}


def facts(found: Object) -> Output:
    """Members that GetObject and HeadObject share."""
    description = found.description
    output: Output = {
        "AcceptRanges": "bytes",
        "LastModified": seconds(found.modified_ms),
        "ETag": quoted(found.etag),
        "ServerSideEncryption": "AES256",
    }
    for header, text in description.headers.items():
        output[_MEMBER_OF[header]] = timestamps.parse(text) if header == "expires" else text
    if description.metadata:
        output["Metadata"] = description.metadata
    if description.storage_class != "STANDARD":
        output["StorageClass"] = description.storage_class
    if description.tags:
        output["TagCount"] = len(description.tags)
    if description.extras:
        output.update(encryption(description))
        if "redirect" in description.extras:
            output["WebsiteRedirectLocation"] = description.extras["redirect"]
    return output


def _without_transfer(headers: dict[str, str]) -> None:
    """aws-chunked says how the body travelled, not what it is."""
    kept = [part.strip() for part in headers["content-encoding"].split(",") if part.strip() != "aws-chunked"]
    if kept:
        headers["content-encoding"] = ",".join(kept)
    else:
        del headers["content-encoding"]
