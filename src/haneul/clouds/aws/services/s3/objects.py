"""Objects one by one and many at once: PutObject, GetObject, HeadObject, DeleteObject(s), GetObjectAttributes."""

from typing import Any

from haneul.base.errors import Denied, Failure, Invalid, NotFound, PreconditionFailed
from haneul.base.limits import DELETE_KEYS_MAX, LIST_KEYS_MAX
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.clouds.aws.protocols.timestamps import http_date
from haneul.engines import Engines
from haneul.engines.objects.bodies import Bytes, Section, Source
from haneul.engines.objects.conditions import NO_CONDITIONS, Conditions, slice_of
from haneul.engines.objects.records import UNVERSIONED, Object, Part
from haneul.gateway.http import FileSlice

from .describing import checksums, described, facts, quoted, seconds, written
from .digests import DEFAULT, claimed, in_words, members_of
from .errors import NO_SUCH_KEY, PRECONDITION, invalid_request, no_such_version
from .names import origin

RESPONSE = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}
READ_CONDITIONS = ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"


async def put_object(engines: Engines, call: Call) -> Output:
    values = call.input
    algorithm, claims = claimed(call)
    try:
        made = await engines.objects.put(
            call.scope,
            values["Bucket"],
            values["Key"],
            body_of(call),
            described(values),
            origin(call),
            algorithm=algorithm or DEFAULT,
            claims=claims,
            conditions=write_conditions(values),
        )
    except Invalid as error:
        raise in_words(error) from error
    return written(made)


async def get_object(engines: Engines, call: Call) -> Output:
    values = call.input
    _check_version(values)
    whole: list[bool] = []
    parts = await _parts_for(engines, call)

    def select(found: Object) -> tuple[int, int]:
        wanted = selected(values, found, parts)
        whole.append(wanted is None)
        return wanted or (0, found.body.size_bytes)

    reading = await engines.objects.read(
        call.scope, values["Bucket"], values["Key"], select, conditions=read_conditions(values)
    )
    if reading.fresh:
        raise not_modified(reading.object)
    output = _answer(call, reading.object, reading.start, reading.end, whole[-1])
    content = reading.content
    output["Body"] = (
        FileSlice(content.path, content.offset, content.length) if isinstance(content, Section) else content
    )
    return output


async def head_object(engines: Engines, call: Call) -> Output:
    values = call.input
    _check_version(values)
    conditions = read_conditions(values)
    parts = await _parts_for(engines, call)
    found, is_changed = await engines.objects.look(call.scope, values["Bucket"], values["Key"], conditions=conditions)
    if not is_changed:
        raise not_modified(found)
    wanted = selected(values, found, parts)
    start, end = wanted or (0, found.body.size_bytes)
    return _answer(call, found, start, end, wanted is None)


async def delete_object(engines: Engines, call: Call) -> Output:
    values = call.input
    if values.get("VersionId", UNVERSIONED) != UNVERSIONED:
        return {"VersionId": values["VersionId"]}
    conditions = Conditions(match=values["IfMatch"]) if "IfMatch" in values else NO_CONDITIONS
    await engines.objects.delete(call.scope, values["Bucket"], values["Key"], origin(call), conditions=conditions)
    return {"VersionId": UNVERSIONED} if "VersionId" in values else {}


async def delete_objects(engines: Engines, call: Call) -> Output:
    wanted = call.input["Delete"]["Objects"]
    _check_integrity_header(call)
    if not 1 <= len(wanted) <= DELETE_KEYS_MAX:
        raise AwsError("MalformedXML", MALFORMED, 400)
    removals = await engines.objects.delete_many(
        call.scope,
        call.input["Bucket"],
        [(item["Key"], Conditions(match=item["ETag"]) if item.get("ETag") else NO_CONDITIONS) for item in wanted],
        origin(call),
    )
    errors = [
        {"Key": removal.key, **_deletion_error(removal.failure)} for removal in removals if removal.failure is not None
    ]
    if call.input["Delete"].get("Quiet"):
        return {"Errors": errors}
    versions = {item["Key"]: item["VersionId"] for item in wanted if item.get("VersionId")}
    deleted = [
        {"Key": removal.key, "VersionId": versions.get(removal.key)} for removal in removals if removal.failure is None
    ]
    return {"Deleted": deleted, "Errors": errors}


async def get_object_attributes(engines: Engines, call: Call) -> Output:
    values = call.input
    _check_version(values)
    wanted = values["ObjectAttributes"]
    found = await engines.objects.get(call.scope, values["Bucket"], values["Key"])
    output: Output = {"LastModified": seconds(found.modified_ms)}
    if "ETag" in wanted:
        output["ETag"] = found.etag
    if "Checksum" in wanted:
        output["Checksum"] = checksums(found)
    if "StorageClass" in wanted:
        output["StorageClass"] = found.description.storage_class
    if "ObjectSize" in wanted:
        output["ObjectSize"] = found.body.size_bytes
    if "ObjectParts" in wanted and found.parts:
        output["ObjectParts"] = _part_page(values, found, await engines.objects.parts(found))
    return output


def body_of(call: Call) -> Source:
    """The request's body. Raises MissingContentLength when it does not say how long it is."""
    body: Source | bytes | None = call.input.get("Body")
    if body is None or isinstance(body, bytes):
        return Bytes(body or b"")
    if body.length is None:
        raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
    return body


def write_conditions(values: dict[str, Any]) -> Conditions:
    """If-Match and If-None-Match of a write. Raises NotImplemented where S3 does."""
    match, none_match = values.get("IfMatch"), values.get("IfNoneMatch")
    if match is None and none_match is None:
        return NO_CONDITIONS
    if (none_match is not None and none_match.strip() != "*") or (match is not None and none_match is not None):
        raise AwsError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
            Header="If-None-Match",
        )
    return Conditions(match=match, none_match=none_match)


def read_conditions(values: dict[str, Any]) -> Conditions:
    if not any(name in values for name in READ_CONDITIONS):
        return NO_CONDITIONS
    return Conditions(*(values.get(name) for name in READ_CONDITIONS))


def selected(values: dict[str, Any], found: Object, parts: tuple[Part, ...]) -> tuple[int, int] | None:
    """(start, end) of what Range or PartNumber asks for, None for the whole. Raises 416 errors."""
    number = values.get("PartNumber")
    size = found.body.size_bytes
    if number is None:
        try:
            return slice_of(values.get("Range"), size)
        except Invalid as error:
            raise AwsError(
                "InvalidRange",
                "The requested range is not satisfiable",
                416,
                RangeRequested=values["Range"],
                ActualObjectSize=str(size),
            ) from error
    if not 1 <= number <= max(found.parts, 1):
        raise AwsError("InvalidPartNumber", "The requested partnumber is not satisfiable", 416)
    if not parts:
        return 0, size
    start = sum(part.body.size_bytes for part in parts[: number - 1])
    return start, start + parts[number - 1].body.size_bytes


def not_modified(found: Object) -> AwsError:
    """304: the reader has it. RFC 9110 section 15.4.5 names the headers."""
    headers = [
        (b"etag", quoted(found.etag).encode()),
        (b"last-modified", http_date(seconds(found.modified_ms)).encode()),
    ]
    return AwsError("NotModified", "Not Modified", 304, headers=headers)


def _answer(call: Call, found: Object, start: int, end: int, whole: bool) -> Output:
    values = call.input
    output = facts(found)
    output["ContentLength"] = end - start
    if not whole:
        # What makes the answer a 206: clouds/aws/protocols/rest_xml.py.
        output["ContentRange"] = f"bytes {start}-{end - 1}/{found.body.size_bytes}"
    elif values.get("ChecksumMode") == "ENABLED":
        output.update(checksums(found))
    if "PartNumber" in values and found.parts:
        output["PartsCount"] = found.parts
    for name in values:
        if name in RESPONSE:
            if call.principal.kind == "anonymous":
                raise invalid_request("Request specific response headers cannot be used for anonymous GET requests.")
            output[RESPONSE[name]] = values[name]
    return output


async def _parts_for(engines: Engines, call: Call) -> tuple[Part, ...]:
    """The object's parts, when the request asks for one of them by number."""
    values = call.input
    if "PartNumber" not in values:
        return ()
    if "Range" in values:
        raise invalid_request("Cannot specify both Range header and partNumber query parameter")
    return await engines.objects.parts(await engines.objects.get(call.scope, values["Bucket"], values["Key"]))


def _check_version(values: dict[str, Any]) -> None:
    version = values.get("VersionId", UNVERSIONED)
    if version != UNVERSIONED:
        raise no_such_version(values["Key"], version)


def _check_integrity_header(call: Call) -> None:
    names = {name for name, _ in call.request.headers}
    if not any(name in (b"content-md5", b"x-amz-trailer") or name.startswith(b"x-amz-checksum-") for name in names):
        raise invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


def _deletion_error(failure: Failure) -> dict[str, str]:
    if isinstance(failure, PreconditionFailed):
        return {"Code": "PreconditionFailed", "Message": PRECONDITION}
    if isinstance(failure, NotFound):
        return {"Code": "NoSuchKey", "Message": NO_SUCH_KEY}
    if isinstance(failure, Denied):
        return {"Code": "AccessDenied", "Message": "Access Denied"}
    return {"Code": "InternalError", "Message": "We encountered an internal error. Please try again."}


def _part_page(values: dict[str, Any], found: Object, parts: tuple[Part, ...]) -> Output:
    most = min(values.get("MaxParts", LIST_KEYS_MAX), LIST_KEYS_MAX)
    marker = values.get("PartNumberMarker", 0)
    behind = [part for part in parts if part.number > marker]
    page = behind[:most]
    output: Output = {
        "TotalPartsCount": found.parts,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1].number if page else 0,
        "MaxParts": most,
        "IsTruncated": len(behind) > most,
    }
    if found.composite:
        # Sizes and checksums of parts are known for composite checksums only: S3 API reference, GetObjectAttributes.
        output["Parts"] = [
            {"PartNumber": part.number, "Size": part.body.size_bytes, **members_of(part.digests)} for part in page
        ]
    return output
