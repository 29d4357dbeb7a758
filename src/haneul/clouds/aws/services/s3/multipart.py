"""Multipart uploads: create, upload a part, list parts and uploads, complete, abort."""

from typing import Any

from haneul.base.errors import Invalid
from haneul.base.limits import PARTS_MAX
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines
from haneul.engines.objects.assembly import Assembled, Chosen
from haneul.engines.objects.records import Upload

from .describing import checksums, described, encryption, quoted, seconds
from .digests import (
    CAN_COVER_WHOLE,
    DEFAULT,
    MEMBERS,
    algorithm_named,
    claimed,
    encoded,
    header_digest,
    in_words,
    members_of,
)
from .errors import invalid_argument, invalid_request
from .listing import encode_names, limit_of
from .names import canonical_id, origin, owner
from .objects import body_of, write_conditions


async def create_multipart_upload(engines: Engines, call: Call) -> Output:
    values = call.input
    algorithm, composite = _checksum_kind(values)
    upload = await engines.objects.uploads.create(
        call.scope,
        values["Bucket"],
        values["Key"],
        described(values),
        algorithm=algorithm or DEFAULT,
        asked=algorithm is not None,
        composite=composite,
        initiator=canonical_id(call.principal.account),
    )
    output: Output = {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        **encryption(upload.description),
    }
    return {**output, **_kind_members(upload)}


async def upload_part(engines: Engines, call: Call) -> Output:
    values = call.input
    check_part_number(values["PartNumber"])
    algorithm, claims = claimed(call)
    try:
        part = await engines.objects.uploads.put_part(
            call.scope,
            values["Bucket"],
            values["Key"],
            values["UploadId"],
            values["PartNumber"],
            body_of(call),
            algorithm=algorithm,
            claims=claims,
        )
    except Invalid as error:
        raise in_words(error) from error
    sent = part.digests if algorithm is None else {algorithm: part.digests[algorithm]}
    return {"ETag": quoted(part.etag), "ServerSideEncryption": "AES256", **members_of(sent)}


async def complete_multipart_upload(engines: Engines, call: Call) -> Output:
    values = call.input
    chosen = [_chosen(part) for part in values.get("MultipartUpload", {}).get("Parts", [])]
    bucket, key = values["Bucket"], values["Key"]
    made = await engines.objects.uploads.complete(
        call.scope,
        bucket,
        key,
        values["UploadId"],
        chosen,
        origin(call),
        check=lambda upload, assembled: _check_whole(values, upload, assembled),
        conditions=write_conditions(values),
    )
    host = (call.request.header(b"host") or b"localhost").decode("latin-1")
    return {
        "Location": f"{call.request.scheme}://{host}/{bucket}/{key}",
        "Bucket": bucket,
        "Key": key,
        "ETag": quoted(made.etag),
        **checksums(made),
        **encryption(made.description),
    }


async def abort_multipart_upload(engines: Engines, call: Call) -> Output:
    values = call.input
    await engines.objects.uploads.abort(call.scope, values["Bucket"], values["Key"], values["UploadId"])
    return {}


async def list_parts(engines: Engines, call: Call) -> Output:
    values = call.input
    most = limit_of(values, "MaxParts", "max-parts")
    marker = values.get("PartNumberMarker", 0)
    if not 0 <= marker <= 2**31 - 1:
        raise invalid_argument(
            "Argument part-number-marker must be an integer between 0 and 2147483647", "part-number-marker", marker
        )
    found = await engines.objects.uploads.list_parts(
        call.scope, values["Bucket"], values["Key"], values["UploadId"], after=marker, limit=most
    )
    held = await engines.objects.buckets.get(call.scope, values["Bucket"])
    upload = found.upload
    return {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "Initiator": {"ID": upload.initiator},
        "Owner": owner(held.account),
        "StorageClass": upload.description.storage_class,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": found.parts[-1].number if found.parts else 0,
        "MaxParts": most,
        "IsTruncated": found.more,
        "Parts": [
            {
                "PartNumber": part.number,
                "LastModified": seconds(part.modified_ms),
                "ETag": quoted(part.etag),
                "Size": part.body.size_bytes,
                **(members_of(part.digests) if upload.asked else {}),
            }
            for part in found.parts
        ],
        **_kind_members(upload),
    }


async def list_multipart_uploads(engines: Engines, call: Call) -> Output:
    values = call.input
    most = limit_of(values, "MaxUploads", "max-uploads")
    prefix, delimiter = values.get("Prefix", ""), values.get("Delimiter", "")
    marker, id_marker = values.get("KeyMarker", ""), values.get("UploadIdMarker", "")
    held = await engines.objects.buckets.get(call.scope, values["Bucket"])
    page = await engines.objects.uploads.list(
        call.scope,
        values["Bucket"],
        prefix=prefix,
        delimiter=delimiter,
        after=marker,
        after_id=id_marker if marker else "",
        limit=most,
    )
    last_id = page.found[-1][1].id if page.found and page.found[-1][0] == page.last else ""
    output: Output = {
        "Bucket": values["Bucket"],
        "KeyMarker": marker,
        "UploadIdMarker": id_marker,
        "Prefix": prefix,
        "Delimiter": delimiter or None,
        "MaxUploads": most,
        "IsTruncated": page.more,
        "NextKeyMarker": page.last if page.more else "",
        "NextUploadIdMarker": last_id if page.more else "",
        "CommonPrefixes": [{"Prefix": group} for group in page.groups],
        "Uploads": [
            {
                "UploadId": upload.id,
                "Key": key,
                "Initiated": seconds(upload.created_ms),
                "StorageClass": upload.description.storage_class,
                "Owner": owner(held.account),
                "Initiator": {"ID": upload.initiator},
                **_kind_members(upload),
            }
            for key, upload in page.found
        ],
    }
    return encode_names(values, output, "Uploads")


def check_part_number(number: int) -> None:
    if not 1 <= number <= PARTS_MAX:
        raise invalid_argument(
            f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive", "partNumber", number
        )


def _checksum_kind(values: dict[str, Any]) -> tuple[str | None, bool]:
    """(the algorithm asked for, composite). S3 API reference, CreateMultipartUpload, "x-amz-checksum-type"."""
    named, kind = values.get("ChecksumAlgorithm"), values.get("ChecksumType")
    if named is None:
        if kind is not None:
            raise invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return None, False
    algorithm = algorithm_named(named)
    if (kind == "FULL_OBJECT" and algorithm not in CAN_COVER_WHOLE) or (kind == "COMPOSITE" and algorithm == DEFAULT):
        raise invalid_request(f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.")
    return algorithm, kind == "COMPOSITE" or (kind is None and algorithm != DEFAULT)


def _kind_members(upload: Upload) -> Output:
    if not upload.asked:
        return {}
    return {
        "ChecksumAlgorithm": upload.algorithm.upper(),
        "ChecksumType": "COMPOSITE" if upload.composite else "FULL_OBJECT",
    }


def _chosen(part: dict[str, Any]) -> Chosen:
    if "PartNumber" not in part or "ETag" not in part:
        raise AwsError(
            "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
        )
    digests = {
        algorithm: header_digest(algorithm, part[member]) for member, algorithm in MEMBERS.items() if part.get(member)
    }
    return Chosen(part["PartNumber"], part["ETag"].strip('"'), digests)


def _check_whole(values: dict[str, Any], upload: Upload, assembled: Assembled) -> None:
    """What the request says of the whole object must be so."""
    kind = values.get("ChecksumType")
    if kind is not None and upload.asked and (kind == "COMPOSITE") != upload.composite:
        raise invalid_request(
            f"The upload was created using the {'COMPOSITE' if upload.composite else 'FULL_OBJECT'} checksum mode. The"
            " complete request must use the same checksum mode."
        )
    size = values.get("MpuObjectSize")
    if size is not None and int(size) != assembled.size_bytes:
        raise invalid_request(
            f"The provided 'x-amz-mp-object-size' header value {size} does not match what was computed:"
            f" {assembled.size_bytes}"
        )
    for member, algorithm in MEMBERS.items():
        if member not in values:
            continue
        if algorithm != upload.algorithm:
            raise invalid_request(
                f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}, actual checksum Type:"
                f" {algorithm}"
            )
        given = values[member].partition("-")[0]
        if given != encoded(assembled.digest).partition("-")[0]:
            raise AwsError(
                "BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum.", 400
            )
