"""Functions and versions: create, get, list, update, publish, delete."""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from haneul.base.errors import NotFound
from haneul.base.limits import BLOB_CHUNK_BYTES, CODE_ZIPPED_INLINE_MAX_BYTES
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines
from haneul.engines.functions.records import HEAD, Function
from haneul.engines.objects.bodies import Section
from haneul.engines.objects.records import Object

from .describing import describe, summary
from .names import LATEST, Reference, not_found, plain_reference, reference, version_name
from .settings import changed_settings, check_role_name, new_settings

_PAGE_DEFAULT = 50
_PAGE_MAX = 50


async def create_function(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = plain_reference(call)
    settings = new_settings(values)
    engines.functions.choose_runtime(settings.runtime)
    await engines.functions.check_role(meant.scope, settings.role)
    function = await engines.functions.registry.create(
        meant.scope,
        meant.name,
        await _code(engines, call, values["Code"], "CreateFunction"),
        settings,
        tags=values.get("Tags") or {},
        publish=values.get("Publish", False),
    )
    return describe(engines, function)


async def get_function(engines: Engines, call: Call) -> Output:
    meant, function = await _find(engines, call)
    token = engines.functions.packages.grant(function.code.sha256)
    output: Output = {
        "Configuration": describe(engines, function, meant.qualifier),
        "Code": {"RepositoryType": "S3", "Location": f"{_origin(call)}/_haneul/code/{token}"},
    }
    head = function if function.number == HEAD else await engines.functions.registry.get(meant.scope, meant.name)
    if head.tags:
        output["Tags"] = head.tags
    if head.reserved is not None:
        output["Concurrency"] = {"ReservedConcurrentExecutions": head.reserved}
    return output


async def get_function_configuration(engines: Engines, call: Call) -> Output:
    meant, function = await _find(engines, call)
    return describe(engines, function, meant.qualifier)


async def list_functions(engines: Engines, call: Call) -> Output:
    limit = min(call.input.get("MaxItems", _PAGE_DEFAULT), _PAGE_MAX)
    after = _decode_marker(call.input.get("Marker", ""))
    if call.input.get("FunctionVersion") == "ALL":
        return await _list_every_version(engines, call, after, limit)
    found = await engines.functions.registry.list_functions(call.scope, after, limit + 1)
    output: Output = {"Functions": [summary(function) for function in found[:limit]]}
    if len(found) > limit:
        output["NextMarker"] = _marker(found[limit - 1].name)
    return output


async def list_versions_by_function(engines: Engines, call: Call) -> Output:
    meant = plain_reference(call)
    limit = min(call.input.get("MaxItems", _PAGE_DEFAULT), _PAGE_MAX)
    marker = _decode_marker(call.input.get("Marker", ""))
    after = _number(marker) if marker else HEAD - 1
    found = await engines.functions.registry.list_versions(meant.scope, meant.name, after, limit + 1)
    output: Output = {"Versions": [summary(function, version_name(function)) for function in found[:limit]]}
    if len(found) > limit:
        output["NextMarker"] = _marker(str(found[limit - 1].number))
    return output


async def update_function_code(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = plain_reference(call)
    function = await engines.functions.registry.update_code(
        meant.scope,
        meant.name,
        await _code(engines, call, values, "UpdateFunctionCode"),
        architecture=(values.get("Architectures") or [""])[0],
        revision=values.get("RevisionId", ""),
        publish=values.get("Publish", False),
        dry_run=values.get("DryRun", False),
    )
    return describe(engines, function, _published(function))


async def update_function_configuration(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = plain_reference(call)
    if values.get("Runtime"):
        engines.functions.choose_runtime(values["Runtime"])
    if values.get("Role"):
        check_role_name(values["Role"])
        await engines.functions.check_role(meant.scope, values["Role"])
    function = await engines.functions.registry.update_settings(
        meant.scope,
        meant.name,
        lambda settings: changed_settings(settings, values),
        revision=values.get("RevisionId", ""),
    )
    return describe(engines, function)


async def publish_version(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = plain_reference(call)
    function = await engines.functions.registry.publish(
        meant.scope,
        meant.name,
        # An empty description is none: SDKs send one where people left it out.
        description=values.get("Description") or None,
        sha256=_hexadecimal(values.get("CodeSha256", "")),
        revision=values.get("RevisionId", ""),
    )
    return describe(engines, function, version_name(function))


async def delete_function(engines: Engines, call: Call) -> Output:
    meant = reference(call)
    if not meant.qualifier:
        await engines.functions.registry.delete(meant.scope, meant.name)
        return {"StatusCode": 204}
    if meant.qualifier == LATEST:
        raise AwsError(
            "InvalidParameterValueException",
            "$LATEST version cannot be deleted without deleting the function.",
            Type="User",
        )
    await engines.functions.registry.delete_version(meant.scope, meant.name, meant.number)
    return {"StatusCode": 204}


async def _find(engines: Engines, call: Call) -> tuple[Reference, Function]:
    meant = reference(call)
    try:
        return meant, await engines.functions.registry.look(meant.scope, meant.name, meant.number)
    except NotFound:
        raise not_found(meant) from None


async def _list_every_version(engines: Engines, call: Call, after: str, limit: int) -> Output:
    """All versions of all functions, by name; the marker is the last name and number."""
    name, _, number = after.partition(":")
    found: list[Function] = []
    if after:
        # The function may have been deleted since; the list then goes on behind where it was.
        with contextlib.suppress(NotFound):
            found += await engines.functions.registry.list_versions(call.scope, name, _number(number), limit + 1)
    while len(found) <= limit:
        heads = await engines.functions.registry.list_functions(call.scope, name, _PAGE_MAX)
        if not heads:
            break
        for head in heads:
            name = head.name
            found += await engines.functions.registry.list_versions(call.scope, name, HEAD - 1, limit + 1 - len(found))
            if len(found) > limit:
                break
    output: Output = {"Functions": [summary(function, version_name(function)) for function in found[:limit]]}
    if len(found) > limit:
        last = found[limit - 1]
        output["NextMarker"] = _marker(f"{last.name}:{last.number}")
    return output


async def _code(engines: Engines, call: Call, values: dict[str, Any], operation: str) -> AsyncIterator[bytes]:
    """The archive that a request brings or names."""
    archive = values.get("ZipFile")
    if archive is not None and values.get("S3Bucket"):
        raise AwsError(
            "InvalidParameterValueException",
            "Please do not provide other FunctionCode parameters when providing a ZipFile.",
            Type="User",
        )
    if values.get("ImageUri"):
        raise AwsError(
            "InvalidParameterValueException", "Please do not provide ImageUri for a zip function.", Type="User"
        )
    if archive is not None:
        if not archive:
            raise AwsError("InvalidParameterValueException", "Uploaded file must be a non-empty zip", Type="User")
        if len(archive) > CODE_ZIPPED_INLINE_MAX_BYTES:
            raise AwsError(
                "RequestEntityTooLargeException",
                f"Request must be smaller than {CODE_ZIPPED_INLINE_MAX_BYTES} bytes for the {operation} operation",
                413,
                Type="User",
            )
        return _at_once(archive)
    if not values.get("S3Bucket") or not values.get("S3Key"):
        raise AwsError("InvalidParameterValueException", "Please provide a source for function code.", Type="User")
    return await _from_object(engines, call, values)


async def _from_object(engines: Engines, call: Call, values: dict[str, Any]) -> AsyncIterator[bytes]:
    def whole(found: Object) -> tuple[int, int]:
        return 0, found.body.size_bytes

    try:
        reading = await engines.objects.read(call.scope, values["S3Bucket"], values["S3Key"], whole)
    except NotFound as failure:
        code, words = (
            ("NoSuchBucket", "The specified bucket does not exist")
            if failure.noun == "bucket"
            else ("NoSuchKey", "The specified key does not exist.")
        )
        raise AwsError(
            "InvalidParameterValueException",
            f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {words}",
            Type="User",
        ) from None
    content = reading.content
    if isinstance(content, bytes):
        return _at_once(content)
    if isinstance(content, Section):
        return _from_file(content.path, content.offset, content.length)
    return content.__aiter__()


async def _at_once(archive: bytes) -> AsyncIterator[bytes]:
    yield archive


async def _from_file(path: Path, offset: int, length: int) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(offset)
        while length > 0 and (chunk := await asyncio.to_thread(file.read, min(BLOB_CHUNK_BYTES, length))):
            length -= len(chunk)
            yield chunk


def _origin(call: Call) -> str:
    host = (call.request.header(b"host") or b"localhost").decode("latin-1")
    return f"{call.request.scheme}://{host}"


def _published(function: Function) -> str:
    return "" if function.number == HEAD else version_name(function)


def _hexadecimal(shown: str) -> str:
    """A hash as Lambda shows it, as the engine keeps it; what is no hash equals none."""
    try:
        return base64.b64decode(shown, validate=True).hex()
    except binascii.Error:
        return "-"


def _marker(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise AwsError("InvalidParameterValueException", "Invalid Marker", Type="User")
    return int(text)


def _decode_marker(marker: str) -> str:
    if not marker:
        return ""
    try:
        return base64.urlsafe_b64decode(marker.encode()).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise AwsError("InvalidParameterValueException", "Invalid Marker", Type="User") from None
