"""ListObjects, ListObjectsV2, ListObjectVersions: one listing of the engine in three forms."""

import base64
import binascii
from typing import Any
from urllib.parse import quote_plus

from haneul.base.limits import LIST_KEYS_MAX
from haneul.clouds.aws.call import Call, Output
from haneul.engines import Engines
from haneul.engines.objects.listing import Page
from haneul.engines.objects.records import UNVERSIONED, Object

from .describing import quoted, seconds
from .errors import invalid_argument
from .names import owner

_COUNT_MAX = 2**31 - 1
_NAMED = ("Prefix", "Delimiter", "Marker", "NextMarker", "StartAfter", "KeyMarker", "NextKeyMarker")


async def list_objects(engines: Engines, call: Call) -> Output:
    values = call.input
    marker, delimiter = values.get("Marker", ""), values.get("Delimiter", "")
    most = limit_of(values, "MaxKeys", "max-keys")
    page, account = await _page(engines, call, marker, most)
    output: Output = {
        "Name": values["Bucket"],
        "Prefix": values.get("Prefix", ""),
        "Marker": marker,
        "MaxKeys": most,
        "Delimiter": delimiter or None,
        "IsTruncated": page.more,
        # Only with a delimiter: S3 API reference, ListObjects, "NextMarker".
        "NextMarker": page.last if page.more and delimiter else None,
        "Contents": [_entry(key, found, account) for key, found in page.found],
        "CommonPrefixes": [{"Prefix": group} for group in page.groups],
    }
    return encode_names(values, output, "Contents")


async def list_objects_v2(engines: Engines, call: Call) -> Output:
    values = call.input
    token = values.get("ContinuationToken")
    most = limit_of(values, "MaxKeys", "max-keys")
    after = values.get("StartAfter", "") if token is None else _after(token)
    page, account = await _page(engines, call, after, most)
    with_owner = account if values.get("FetchOwner") else None
    output: Output = {
        "Name": values["Bucket"],
        "Prefix": values.get("Prefix", ""),
        "MaxKeys": most,
        "Delimiter": values.get("Delimiter") or None,
        "StartAfter": values.get("StartAfter"),
        "ContinuationToken": token,
        "NextContinuationToken": _token(page.last) if page.more else None,
        "KeyCount": len(page.found) + len(page.groups),
        "IsTruncated": page.more,
        "Contents": [_entry(key, found, with_owner) for key, found in page.found],
        "CommonPrefixes": [{"Prefix": group} for group in page.groups],
    }
    return encode_names(values, output, "Contents")


async def list_object_versions(engines: Engines, call: Call) -> Output:
    """Every object is its only version, as in a bucket whose versioning was never switched on."""
    values = call.input
    marker = values.get("KeyMarker", "")
    most = limit_of(values, "MaxKeys", "max-keys")
    if values.get("VersionIdMarker") and not marker:
        raise invalid_argument(
            "A version-id marker cannot be specified without a key marker.",
            "version-id-marker",
            values["VersionIdMarker"],
        )
    page, account = await _page(engines, call, marker, most)
    last_version = UNVERSIONED if page.found and page.found[-1][0] == page.last else None
    output: Output = {
        "Name": values["Bucket"],
        "Prefix": values.get("Prefix", ""),
        "KeyMarker": marker,
        "VersionIdMarker": values.get("VersionIdMarker", ""),
        "MaxKeys": most,
        "Delimiter": values.get("Delimiter") or None,
        "IsTruncated": page.more,
        "NextKeyMarker": page.last if page.more else None,
        "NextVersionIdMarker": last_version if page.more else None,
        "Versions": [
            {**_entry(key, found, account), "VersionId": UNVERSIONED, "IsLatest": True} for key, found in page.found
        ],
        "CommonPrefixes": [{"Prefix": group} for group in page.groups],
    }
    return encode_names(values, output, "Versions")


def limit_of(values: dict[str, Any], member: str, argument: str) -> int:
    """How many to return: at most 1,000 whatever is asked for. Raises InvalidArgument."""
    wanted = values.get(member, LIST_KEYS_MAX)
    if not 0 <= wanted <= _COUNT_MAX:
        raise invalid_argument(f"Argument {argument} must be an integer between 0 and {_COUNT_MAX}", argument, wanted)
    return min(int(wanted), LIST_KEYS_MAX)


def encode_names(values: dict[str, Any], output: Output, entries: str) -> Output:
    """Names as the request wants them: percent-encoded when it says encoding-type=url."""
    if values.get("EncodingType") != "url":
        return output
    output["EncodingType"] = "url"
    for member in _NAMED:
        if output.get(member):
            output[member] = _quote(output[member])
    for entry in output[entries]:
        entry["Key"] = _quote(entry["Key"])
    for group in output["CommonPrefixes"]:
        group["Prefix"] = _quote(group["Prefix"])
    return output


async def _page(engines: Engines, call: Call, after: str, most: int) -> tuple[Page[Object], str]:
    values = call.input
    held = await engines.objects.buckets.get(call.scope, values["Bucket"])
    page = await engines.objects.list(
        call.scope,
        values["Bucket"],
        prefix=values.get("Prefix", ""),
        delimiter=values.get("Delimiter", ""),
        after=after,
        limit=most,
    )
    return page, held.account


def _entry(key: str, found: Object, account: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Key": key,
        "LastModified": seconds(found.modified_ms),
        "ETag": quoted(found.etag),
        "ChecksumAlgorithm": [algorithm.upper() for algorithm in found.digests],
        "ChecksumType": "COMPOSITE" if found.composite else "FULL_OBJECT",
        "Size": found.body.size_bytes,
        "StorageClass": found.description.storage_class,
    }
    if account is not None:
        entry["Owner"] = owner(account)
    return entry


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(b"1" + last.encode()).decode()


def _after(token: str) -> str:
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _wrong_token(token) from error
    if not text.startswith("1"):
        raise _wrong_token(token)
    return text[1:]


def _wrong_token(token: str) -> Exception:
    return invalid_argument("The continuation token provided is incorrect", "continuation-token", token)


def _quote(name: str) -> str:
    return quote_plus(name, safe="/*")
