"""What answers say about a function: every member that Lambda always returns, spelled as Lambda spells it."""

import base64
import datetime
import hashlib

from haneul.base.errors import Failure
from haneul.clouds.aws.call import Output
from haneul.clouds.aws.names import partition_of
from haneul.engines import Engines
from haneul.engines.functions.records import (
    ACTIVE,
    FAILED,
    HEAD,
    IN_PROGRESS,
    PENDING,
    SUCCESSFUL,
    UNSUCCESSFUL,
    Function,
)

from .names import function_arn, version_name

_STATES = {PENDING: "Pending", ACTIVE: "Active", FAILED: "Failed"}
_UPDATES = {IN_PROGRESS: "InProgress", SUCCESSFUL: "Successful", UNSUCCESSFUL: "Failed"}
_BEING_CREATED = "The function is being created."


def describe(engines: Engines, function: Function, qualifier: str = "") -> Output:
    """A FunctionConfiguration with its states. qualifier: what the ARN ends in."""
    return {**summary(function, qualifier), **_states(engines, function), **_runtime_version(function)}


def summary(function: Function, qualifier: str = "") -> Output:
    """A FunctionConfiguration as lists have it: without states, and without the runtime's version."""
    settings = function.settings
    output: Output = {
        "FunctionName": function.name,
        "FunctionArn": function_arn(function.scope, function.name, qualifier),
        "Runtime": settings.runtime,
        "Role": settings.role,
        "Handler": settings.handler,
        "CodeSize": function.code.size_bytes,
        "Description": settings.description,
        "Timeout": settings.timeout_s,
        "MemorySize": settings.memory_mb,
        "LastModified": timestamp(function.modified_ms),
        "CodeSha256": code_hash(function.code.sha256),
        "Version": version_name(function),
        "TracingConfig": {"Mode": "Active" if settings.tracing == "active" else "PassThrough"},
        "RevisionId": function.revision,
        "PackageType": "Zip",
        "Architectures": [settings.architecture],
        "EphemeralStorage": {"Size": settings.tmp_mb},
        "SnapStart": {
            "ApplyOn": "PublishedVersions" if settings.snapshot else "None",
            "OptimizationStatus": "On" if _is_snapshot(function) else "Off",
        },
        "LoggingConfig": _logging(function),
    }
    if settings.environment is not None:
        output["Environment"] = {"Variables": settings.environment}
    return output


def timestamp(epoch_ms: int) -> str:
    """LastModified's own format: 2026-01-01T00:00:00.000+0000."""
    moment = datetime.datetime.fromtimestamp(epoch_ms // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}+0000"


def code_hash(sha256: str) -> str:
    """A hash as Lambda shows it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _states(engines: Engines, function: Function) -> Output:
    output: Output = {"State": _STATES[function.state]}
    if function.state == PENDING:
        return output | {"StateReason": _BEING_CREATED, "StateReasonCode": "Creating"}
    output["LastUpdateStatus"] = _UPDATES[function.update]
    if function.update == IN_PROGRESS:
        output |= {"LastUpdateStatusReason": _BEING_CREATED, "LastUpdateStatusReasonCode": "Creating"}
    if function.update == UNSUCCESSFUL:
        output |= {"LastUpdateStatusReason": function.state_reason, "LastUpdateStatusReasonCode": "InternalError"}
    if reason := _state_reason(engines, function):
        output["StateReason"] = reason
    if function.state == FAILED:
        output["StateReasonCode"] = "InternalError"
    return output


def _state_reason(engines: Engines, function: Function) -> str:
    """Why it failed; or, of a function that works, what is not as on AWS."""
    if function.state == FAILED:
        return function.state_reason
    try:
        _, warning = engines.functions.choose_runtime(function.settings.runtime)
    except Failure as failure:
        warning = failure.reason
    if function.snapshot_reason:
        warning = f"{warning}; " if warning else ""
        warning += f"without snapshot: {function.snapshot_reason}"
    return warning


def _is_snapshot(function: Function) -> bool:
    return function.settings.snapshot and function.number != HEAD and not function.snapshot_reason


def _logging(function: Function) -> Output:
    settings = function.settings
    output: Output = {
        "LogFormat": "JSON" if settings.log_format == "json" else "Text",
        "LogGroup": settings.log_group or f"/aws/lambda/{function.name}",
    }
    if settings.log_format == "json":
        output["ApplicationLogLevel"] = settings.application_log_level or "INFO"
        output["SystemLogLevel"] = settings.system_log_level or "INFO"
    return output


def _runtime_version(function: Function) -> Output:
    # AWS names a build of the runtime by a hash; here it is that of the runtime's name, so that it stays the same.
    region = function.scope.region
    build = hashlib.sha256(function.settings.runtime.encode()).hexdigest()
    return {
        "RuntimeVersionConfig": {"RuntimeVersionArn": f"arn:{partition_of(region)}:lambda:{region}::runtime:{build}"}
    }
