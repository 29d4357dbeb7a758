"""How AWS Lambda dresses functions: the variables of their process, their context, their log streams, failures in its words."""

import datetime

import msgspec

from haneul.base import ids
from haneul.base.env import Env
from haneul.base.errors import NotFound
from haneul.base.limits import PAYLOAD_SYNC_MAX_BYTES
from haneul.base.scope import Scope
from haneul.base.trace import Trace
from haneul.engines.functions.dress import Dressing, FailureText, Granted
from haneul.engines.functions.records import HEAD, Function
from haneul.engines.identity.engine import IdentityEngine

LATEST = "$LATEST"
CREDENTIALS_S = 12 * 3600
FAR_FUTURE_MS = 4_102_444_800_000
"""2100-01-01: credentials that do not expire."""


class LambdaDress:
    """The Dress of engines/functions. endpoint: where functions reach this cloud (AWS_ENDPOINT_URL)."""

    def __init__(self, env: Env, *, endpoint: str) -> None:
        self._env = env
        self.endpoint = endpoint

    def version(self, number: int) -> str:
        return LATEST if number == HEAD else str(number)

    def environment(self, function: Function, interpreter: str, warning: str) -> Dressing:
        # Names and meanings: Lambda developer guide, "Defined runtime environment variables".
        settings = function.settings
        version = self.version(function.number)
        group = settings.log_group or f"/aws/lambda/{function.name}"
        day = datetime.datetime.fromtimestamp(self._env.now(), datetime.UTC).strftime("%Y/%m/%d")
        stream = f"{day}/[{version}]{ids.hex_id(self._env, 16)}"
        variables = {
            "AWS_DEFAULT_REGION": function.scope.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{settings.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"
            if settings.snapshot and function.number != HEAD
            else "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": "JSON" if settings.log_format == "json" else "Text",
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_REGION": function.scope.region,
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LAMBDA_TASK_ROOT": "/var/task",
            "LANG": "en_US.UTF-8",
            "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
            "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "TZ": ":UTC",
            "_HANDLER": settings.handler,
        }
        if settings.application_log_level:
            variables["AWS_LAMBDA_LOG_LEVEL"] = settings.application_log_level
        if settings.runtime.startswith("python"):
            variables["PYTHONPATH"] = "/var/runtime"
        lines = (f"haneul: {warning}",) if warning else ()
        return Dressing(environment=variables, log_group=group, log_stream=stream, first_lines=lines)

    def context(self, function: Function, qualifier: str) -> dict[str, str]:
        scope = function.scope
        name = f"arn:aws:lambda:{scope.region}:{scope.account}:function:{function.name}"
        return {"invoked_function_arn": f"{name}:{qualifier}" if qualifier else name}

    def trace_header(self, trace: Trace) -> str:
        sampled = "1" if trace.sampled else "0"
        lineage = f";Lineage={trace.hops}:{trace.trace_id[:8]}:0" if trace.hops else ""
        return f"Root=1-{trace.trace_id[:8]}-{trace.trace_id[8:]};Parent={trace.span_id};Sampled={sampled}{lineage}"

    def failure(self, kind: str, request_id: str, reason: str, function: Function, at_ms: int) -> FailureText:
        if kind in ("timeout", "init_timeout"):
            text = f"Task timed out after {function.settings.timeout_s:.2f} seconds"
            moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
            stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03}Z"
            return _text(
                "Sandbox.Timedout", f"RequestId: {request_id} Error: {text}", (f"{stamp} {request_id} {text}", "")
            )
        if kind == "response_too_large":
            limit = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_SYNC_MAX_BYTES} bytes)."
            return _text("Function.ResponseSizeTooLarge", limit, (limit,))
        if kind == "out_of_memory":
            message = f"RequestId: {request_id} Error: Runtime exited with error: signal: killed"
            return _text("Runtime.OutOfMemory", message, (message, "Runtime.ExitError"))
        message = f"RequestId: {request_id} Error: Runtime exited " + (
            f"with error: {reason}" if reason and reason != "exit status 0" else "without providing a reason"
        )
        return _text("Runtime.ExitError", message, (message, "Runtime.ExitError"))


class RoleCredentials:
    """Where functions get their credentials: of the role that their settings name, lent by the identity engine."""

    def __init__(self, identity: IdentityEngine, *, secure: bool) -> None:
        self._identity = identity
        self._secure = secure

    async def __call__(self, scope: Scope, role: str, function: str) -> Granted | None:
        """The session bears the function's name, as on Lambda. In developer mode a role that nobody made gives plain
        credentials of its account, which are accepted there."""
        account, name = role.split(":")[4], role.rpartition("/")[2]
        owner = Scope(account, scope.region)
        try:
            lent = await self._identity.sessions.lend(owner, name, function, duration_s=CREDENTIALS_S)
        except NotFound:
            if self._secure:
                raise
            variables = {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "haneul", "AWS_SESSION_TOKEN": "haneul"}
            return Granted(environment=variables, expires_ms=FAR_FUTURE_MS)
        variables = {
            "AWS_ACCESS_KEY_ID": lent.key,
            "AWS_SECRET_ACCESS_KEY": lent.secret,
            "AWS_SESSION_TOKEN": lent.token,
        }
        return Granted(environment=variables, expires_ms=lent.expires_ms)


def _text(error_type: str, message: str, lines: tuple[str, ...]) -> FailureText:
    payload = msgspec.json.encode({"errorType": error_type, "errorMessage": message})
    return FailureText(error_type=error_type, payload=payload, lines=tuple(line for line in lines if line))
