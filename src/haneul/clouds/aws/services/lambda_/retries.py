"""How asynchronous invocations are retried: the event-invoke configuration of a function or version."""

from typing import Any

import msgspec

from haneul.base.errors import NotBuilt, NotFound
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines
from haneul.engines.functions.records import AsyncSettings

from .names import LATEST, Reference, function_arn, not_found, reference


async def put_function_event_invoke_config(engines: Engines, call: Call) -> Output:
    meant = reference(call)
    if not any(
        member in call.input for member in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    ):
        raise AwsError(
            "InvalidParameterValueException",
            "You must specify at least one of error handling or destination setting.",
            Type="User",
        )
    return await _set(engines, call, meant, AsyncSettings(modified_ms=0))


async def update_function_event_invoke_config(engines: Engines, call: Call) -> Output:
    meant = reference(call)
    return await _set(engines, call, meant, await _find(engines, meant))


async def get_function_event_invoke_config(engines: Engines, call: Call) -> Output:
    meant = reference(call)
    return _describe(meant, await _find(engines, meant))


async def list_function_event_invoke_configs(engines: Engines, call: Call) -> Output:
    meant = reference(call)._replace(qualifier="")
    found = await engines.functions.asynchronous.list_settings(meant.scope, meant.name)
    return {
        "FunctionEventInvokeConfigs": [
            _describe(meant._replace(qualifier=str(number) if number else LATEST), settings)
            for number, settings in found
        ]
    }


async def delete_function_event_invoke_config(engines: Engines, call: Call) -> Output:
    meant = reference(call)
    await _find(engines, meant)
    await engines.functions.asynchronous.delete_settings(meant.scope, meant.name, meant.number)
    return {}


async def _set(engines: Engines, call: Call, meant: Reference, before: AsyncSettings) -> Output:
    values = call.input
    destinations = values.get("DestinationConfig") or {}
    if any((destinations.get(when) or {}).get("Destination") for when in ("OnSuccess", "OnFailure")):
        raise NotBuilt("function", meant.name, "DestinationConfig: destinations are not offered yet")
    changes: dict[str, Any] = {"modified_ms": engines.functions.now_ms()}
    if "MaximumRetryAttempts" in values:
        changes |= {"retries": values["MaximumRetryAttempts"], "retries_set": True}
    if "MaximumEventAgeInSeconds" in values:
        changes |= {"age_max_s": values["MaximumEventAgeInSeconds"], "age_set": True}
    settings = msgspec.structs.replace(before, **changes)
    try:
        await engines.functions.asynchronous.set_settings(meant.scope, meant.name, meant.number, settings)
    except NotFound:
        raise AwsError("ResourceNotFoundException", "The function doesn't exist.", 404, Type="User") from None
    return _describe(meant, settings)


async def _find(engines: Engines, meant: Reference) -> AsyncSettings:
    try:
        found = await engines.functions.asynchronous.get_settings(meant.scope, meant.name, meant.number)
    except NotFound:
        raise not_found(meant) from None
    if found is None:
        shown = function_arn(meant.scope, meant.name, meant.qualifier or LATEST)
        raise AwsError(
            "ResourceNotFoundException",
            f"The function {shown} doesn't have an EventInvokeConfig",
            404,
            Type="User",
        )
    return found


def _describe(meant: Reference, settings: AsyncSettings) -> Output:
    output: Output = {
        "LastModified": settings.modified_ms / 1000,
        "FunctionArn": function_arn(meant.scope, meant.name, meant.qualifier or LATEST),
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
    }
    if settings.retries_set:
        output["MaximumRetryAttempts"] = settings.retries
    if settings.age_set:
        output["MaximumEventAgeInSeconds"] = settings.age_max_s
    return output
