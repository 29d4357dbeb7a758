"""Invoke: wait for the answer, leave the event, or only ask whether it would be possible."""

import base64
import binascii

import msgspec

from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines
from haneul.engines.functions.engine import Request

from .names import reference

_CLIENT_CONTEXT_MAX_BYTES = 3_583


async def invoke(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = reference(call)
    payload = values.get("Payload") or b"{}"
    kind = values.get("InvocationType", "RequestResponse")
    if kind == "DryRun":
        await engines.functions.registry.get(meant.scope, meant.name, meant.number)
        return {"StatusCode": 204}
    _check_json(payload)
    request = Request(
        payload=payload,
        request_id=call.request_id,
        trace=call.trace,
        client_context=_client_context(values.get("ClientContext", "")),
        tail=values.get("LogType") == "Tail" and kind != "Event",
    )
    if kind == "Event":
        await engines.functions.send(meant.scope, meant.name, meant.key, request)
        return {"StatusCode": 202}
    answer = await engines.functions.invoke(meant.scope, meant.name, meant.key, request)
    output: Output = {"StatusCode": 200, "Payload": answer.payload, "ExecutedVersion": answer.version}
    if answer.error:
        output["FunctionError"] = "Unhandled"
    if request.tail:
        output["LogResult"] = base64.b64encode(answer.log_tail).decode()
    return output


def _check_json(payload: bytes) -> None:
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
        payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
            Type="User",
        ) from None


def _client_context(given: str) -> str:
    """The JSON text of a client context."""
    if not given:
        return ""
    if len(given) > _CLIENT_CONTEXT_MAX_BYTES:
        raise AwsError(
            "InvalidRequestContentException",
            f"Client context must be no more than {_CLIENT_CONTEXT_MAX_BYTES} bytes when base64-encoded",
            Type="User",
        )
    try:
        text = base64.b64decode(given, validate=True).decode()
        if not isinstance(msgspec.json.decode(text), dict):
            raise ValueError("not an object")
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError, ValueError):
        raise AwsError(
            "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.", Type="User"
        ) from None
    return text
