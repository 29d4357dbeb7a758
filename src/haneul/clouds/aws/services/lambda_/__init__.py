"""AWS Lambda: functions, versions, invocations, permissions, tags, concurrency."""

from haneul.clouds.aws.call import Call, Handler, Operation, Service

from . import account, functions, invoking, permissions, retries
from .errors import FAULTS, worded
from .names import resource


def _on_function(name: str, handler: Handler, action: str = "") -> tuple[str, Operation]:
    return name, Operation(worded(handler), f"lambda:{action or name}", resource)


def _on_everything(name: str, handler: Handler) -> tuple[str, Operation]:
    return name, Operation(worded(handler), f"lambda:{name}", lambda call: "*")


def _on_resource(name: str, handler: Handler) -> tuple[str, Operation]:
    return name, Operation(worded(handler), f"lambda:{name}", _tagged)


def _tagged(call: Call) -> str:
    return str(call.input["Resource"])


SERVICE = Service(
    name="lambda",
    operations=dict(
        (
            _on_function("CreateFunction", functions.create_function),
            _on_function("GetFunction", functions.get_function),
            _on_function("GetFunctionConfiguration", functions.get_function_configuration),
            _on_function("UpdateFunctionCode", functions.update_function_code),
            _on_function("UpdateFunctionConfiguration", functions.update_function_configuration),
            _on_function("DeleteFunction", functions.delete_function),
            _on_function("PublishVersion", functions.publish_version),
            _on_function("ListVersionsByFunction", functions.list_versions_by_function),
            _on_everything("ListFunctions", functions.list_functions),
            _on_function("Invoke", invoking.invoke, "InvokeFunction"),
            _on_function("AddPermission", permissions.add_permission),
            _on_function("RemovePermission", permissions.remove_permission),
            _on_function("GetPolicy", permissions.get_policy),
            _on_resource("TagResource", account.tag_resource),
            _on_resource("UntagResource", account.untag_resource),
            _on_resource("ListTags", account.list_tags),
            _on_everything("GetAccountSettings", account.get_account_settings),
            _on_function("PutFunctionConcurrency", account.put_function_concurrency),
            _on_function("GetFunctionConcurrency", account.get_function_concurrency),
            _on_function("DeleteFunctionConcurrency", account.delete_function_concurrency),
            _on_function("PutFunctionEventInvokeConfig", retries.put_function_event_invoke_config),
            _on_function("UpdateFunctionEventInvokeConfig", retries.update_function_event_invoke_config),
            _on_function("GetFunctionEventInvokeConfig", retries.get_function_event_invoke_config),
            _on_function("ListFunctionEventInvokeConfigs", retries.list_function_event_invoke_configs),
            _on_function("DeleteFunctionEventInvokeConfig", retries.delete_function_event_invoke_config),
        )
    ),
    faults=FAULTS,
)
