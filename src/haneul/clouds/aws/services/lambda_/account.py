"""Tags, reserved concurrency, and what the account may and does use."""

from haneul.base.limits import (
    CODE_STORAGE_ACCOUNT_MAX_BYTES,
    CODE_UNZIPPED_MAX_BYTES,
    CODE_ZIPPED_INLINE_MAX_BYTES,
)
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines

from .names import plain_reference, tagged_reference


async def tag_resource(engines: Engines, call: Call) -> Output:
    meant = tagged_reference(call)
    tags = call.input["Tags"]
    if not tags:
        raise AwsError(
            "InvalidParameterValueException", "An error occurred and the request cannot be processed.", Type="User"
        )
    await engines.functions.registry.tag(meant.scope, meant.name, tags)
    return {}


async def untag_resource(engines: Engines, call: Call) -> Output:
    meant = tagged_reference(call)
    names = call.input.get("TagKeys") or []
    if not names:
        raise AwsError(
            "ValidationException",
            "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
        )
    await engines.functions.registry.untag(meant.scope, meant.name, names)
    return {}


async def list_tags(engines: Engines, call: Call) -> Output:
    meant = tagged_reference(call)
    head = await engines.functions.registry.get(meant.scope, meant.name)
    return {"Tags": head.tags}


async def get_account_settings(engines: Engines, call: Call) -> Output:
    usage = await engines.functions.registry.usage(call.scope)
    most = engines.functions.options.concurrency_max
    return {
        "AccountLimit": {
            "TotalCodeSize": CODE_STORAGE_ACCOUNT_MAX_BYTES,
            "CodeSizeUnzipped": CODE_UNZIPPED_MAX_BYTES,
            "CodeSizeZipped": CODE_ZIPPED_INLINE_MAX_BYTES,
            "ConcurrentExecutions": most,
            "UnreservedConcurrentExecutions": most - usage.reserved,
        },
        "AccountUsage": {"TotalCodeSize": usage.code_bytes, "FunctionCount": usage.functions},
    }


async def put_function_concurrency(engines: Engines, call: Call) -> Output:
    meant = plain_reference(call)
    amount = call.input["ReservedConcurrentExecutions"]
    await engines.functions.registry.reserve(meant.scope, meant.name, amount)
    return {"ReservedConcurrentExecutions": amount}


async def get_function_concurrency(engines: Engines, call: Call) -> Output:
    meant = plain_reference(call)
    head = await engines.functions.registry.get(meant.scope, meant.name)
    return {"ReservedConcurrentExecutions": head.reserved}


async def delete_function_concurrency(engines: Engines, call: Call) -> Output:
    meant = plain_reference(call)
    await engines.functions.registry.reserve(meant.scope, meant.name, None)
    return {}
