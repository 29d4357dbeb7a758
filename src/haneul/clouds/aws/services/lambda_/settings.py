"""From the members of a request to the settings of a function, refused in Lambda's words."""

import re
from typing import Any

import msgspec

from haneul.base.errors import NotBuilt
from haneul.base.limits import ENVIRONMENT_MAX_BYTES
from haneul.clouds.aws.call import AwsError
from haneul.engines.functions.records import Settings

# Lambda developer guide, "Defined runtime environment variables": those marked as reserved keys.
RESERVED_VARIABLES = frozenset(
    (
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    )
)
_ROLE = re.compile(r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
# Quotas of ordinary functions; the model's own maxima are those of other kinds, which are not offered.
_TIMEOUT_MAX_S = 900
_MEMORY_MAX_MB = 10_240
_TMP_MAX_MB = 10_240
# Members that change what a function does, and that haneul does not do: refused, unless they say "none".
_NOT_BUILT = {
    "Layers": "layers",
    "FileSystemConfigs": "file systems",
    "CodeSigningConfigArn": "code signing",
    "ImageConfig": "container images",
    "TenancyConfig": "tenant isolation",
    "CapacityProviderConfig": "capacity providers",
    "DurableConfig": "durable functions",
    "RuntimeConfig": "custom runtimes of one's own",
    "AcceleratorConfig": "accelerators",
    "KMSKeyArn": "keys of one's own for environment variables",
}


def new_settings(values: dict[str, Any]) -> Settings:
    """The settings of CreateFunction."""
    if values.get("PackageType", "Zip") != "Zip":
        raise NotBuilt("function", values["FunctionName"], "container images are not offered yet; zip packages are")
    if not values.get("Runtime") or not values.get("Handler"):
        raise AwsError(
            "InvalidParameterValueException",
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            Type="User",
        )
    plain = Settings(runtime=values["Runtime"], handler=values["Handler"], role=values["Role"])
    return changed_settings(plain, values)


def changed_settings(settings: Settings, values: dict[str, Any]) -> Settings:
    """The settings with those members replaced that a request has."""
    _refuse_what_is_not_built(values)
    changes: dict[str, Any] = {}
    for member, field in _PLAIN.items():
        if values.get(member) is not None:
            changes[field] = values[member]
    if (storage := values.get("EphemeralStorage")) is not None:
        changes["tmp_mb"] = storage["Size"]
    if (environment := values.get("Environment")) is not None:
        changes["environment"] = checked_variables(environment.get("Variables") or {})
    if mode := (values.get("TracingConfig") or {}).get("Mode"):
        changes["tracing"] = "active" if mode == "Active" else "passive"
    if applied := (values.get("SnapStart") or {}).get("ApplyOn"):
        changes["snapshot"] = applied == "PublishedVersions"
    if values.get("Architectures"):
        changes["architecture"] = values["Architectures"][0]
    if (logging := values.get("LoggingConfig")) is not None:
        changes |= _logging(settings, logging)
    _check(changes)
    return msgspec.structs.replace(settings, **changes)


_PLAIN = {
    "Runtime": "runtime",
    "Handler": "handler",
    "Role": "role",
    "Description": "description",
    "Timeout": "timeout_s",
    "MemorySize": "memory_mb",
}


def checked_variables(variables: dict[str, str]) -> dict[str, str]:
    """Environment variables that Lambda takes."""
    if reserved := [name for name in variables if name in RESERVED_VARIABLES]:
        raise AwsError(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
            f"this request: {', '.join(reserved)}",
            Type="User",
        )
    shown = msgspec.json.encode(variables)
    if len(shown) > ENVIRONMENT_MAX_BYTES:
        raise AwsError(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {shown.decode()}",
            Type="User",
        )
    return variables


def _logging(settings: Settings, given: dict[str, Any]) -> dict[str, Any]:
    form = given.get("LogFormat", "JSON" if settings.log_format == "json" else "Text")
    if form == "Text" and (given.get("ApplicationLogLevel") or given.get("SystemLogLevel")):
        raise AwsError(
            "InvalidParameterValueException",
            "Log level cannot be set when LogFormat is set to Text. Remove log level or set the LogFormat to JSON.",
            Type="User",
        )
    changes: dict[str, Any] = {"log_format": form.lower()}
    if form == "Text":
        changes |= {"application_log_level": "", "system_log_level": ""}
    for member, field in (
        ("ApplicationLogLevel", "application_log_level"),
        ("SystemLogLevel", "system_log_level"),
        ("LogGroup", "log_group"),
    ):
        if given.get(member):
            changes[field] = given[member]
    return changes


def _check(changes: dict[str, Any]) -> None:
    for field, member, most in (
        ("timeout_s", "timeout", _TIMEOUT_MAX_S),
        ("memory_mb", "memorySize", _MEMORY_MAX_MB),
        ("tmp_mb", "ephemeralStorage.size", _TMP_MAX_MB),
    ):
        if changes.get(field, 0) > most:
            raise AwsError(
                "ValidationException",
                f"1 validation error detected: Value '{changes[field]}' at '{member}' failed to satisfy constraint: "
                f"Member must have value less than or equal to {most}",
            )
    if "role" in changes:
        check_role_name(changes["role"])


def check_role_name(role: str) -> None:
    """Raises ValidationException for what is not the ARN of a role."""
    if _ROLE.fullmatch(role) is None:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{role}' at 'role' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
        )


def _refuse_what_is_not_built(values: dict[str, Any]) -> None:
    for member, words in _NOT_BUILT.items():
        if values.get(member):
            raise NotBuilt("function", "", f"{member}: {words} are not offered yet")
    network = values.get("VpcConfig") or {}
    if network.get("SubnetIds") or network.get("SecurityGroupIds"):
        raise NotBuilt("function", "", "VpcConfig: networks of one's own are not offered yet")
    if (values.get("DeadLetterConfig") or {}).get("TargetArn"):
        raise NotBuilt("function", "", "DeadLetterConfig: dead-letter queues of functions are not offered yet")
