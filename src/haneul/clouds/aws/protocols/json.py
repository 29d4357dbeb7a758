"""JSON 1.0 and 1.1: the operation in X-Amz-Target, one JSON document each way."""

from typing import Any

import msgspec

from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Decode, Encode, Problem, Wire, eventstream
from haneul.clouds.aws.protocols.jsonbody import BodyDecoder, Outgoing
from haneul.clouds.aws.validate import refuse, violations
from haneul.gateway.http import Header, Response

_encode = msgspec.json.Encoder().encode

# How a service spells the type of an error where it is not the bare name of the exception shape.
NAMESPACES = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810#",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810#",
    "sqs": "com.amazonaws.sqs#",
    "cloudwatch": "com.amazonaws.cloudwatch.v2010_08_01#",
}
# Errors that AWS's framework raises before a service sees the request.
FRAMEWORK_TYPES = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "UnrecognizedClientException": "com.amazon.coral.service#",
    "InvalidSignatureException": "com.amazon.coral.service#",
    "MissingAuthenticationTokenException": "com.amazon.coral.service#",
    "IncompleteSignatureException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "ExpiredTokenException": "com.amazon.coral.service#",
}


class JsonCodec:
    """version: b"1.0" or b"1.1", as the client's content type says."""

    def __init__(self, version: bytes) -> None:
        self.name = f"json-{version.decode()}"
        self._type: Header = (b"content-type", b"application/x-amz-json-" + version)

    def decoder(self, model: ServiceModel, operation: OperationModel) -> Decode:
        ref = operation.input
        if ref is None:
            return lambda wire: {}
        body = BodyDecoder(model, ref)

        def decode(wire: Wire) -> dict[str, Any]:
            assert isinstance(wire.body, bytes)
            value: dict[str, Any] | None = body.fast(wire.body)
            if value is None:
                value = body.exact(wire.body)
                refuse(model, violations(model, ref, value))
            return value

        return decode

    def encoder(self, model: ServiceModel, operation: OperationModel) -> Encode:
        content_type = self._type
        if operation.output is None:
            return lambda output, request_id: Response(
                200, [(b"x-amzn-requestid", request_id.encode()), content_type], b"{}"
            )
        write = Outgoing(model).structure(operation.output.shape)
        stream = model.event_stream(operation.output)
        if stream is not None:
            return eventstream.responder(model, stream, initial=lambda output: _encode(write(output)))

        def encode(output: dict[str, Any], request_id: str) -> Response:
            return Response(200, [(b"x-amzn-requestid", request_id.encode()), content_type], _encode(write(output)))

        return encode

    def problem(self, model: ServiceModel | None, problem: Problem) -> Response:
        headers: list[Header] = [(b"x-amzn-requestid", problem.request_id.encode()), self._type, *problem.headers]
        if model is not None and model.metadata.aws_query_compatible is not None:
            fault = "Sender" if problem.is_sender else "Receiver"
            headers.append((b"x-amzn-query-error", f"{problem.code};{fault}".encode()))
        return Response(problem.status, headers, _encode(error_document(model, problem)))


def error_document(model: ServiceModel | None, problem: Problem) -> dict[str, Any]:
    """{"__type": …, "message": …} with the message under the name that the exception shape gives it."""
    name = problem.shape or problem.code
    spelling = "message"
    members: dict[str, Any] = {}
    if model is not None and problem.shape:
        known = model.shapes[problem.shape].members
        spelling = next((member for member in known if member.lower() == "message"), "message")
        members = Outgoing(model).structure(problem.shape)(problem.members)
    return {"__type": type_prefix(model, problem) + name, spelling: problem.message, **members}


def type_prefix(model: ServiceModel | None, problem: Problem) -> str:
    """The namespace before the error's name, "" for most services."""
    if model is None or model.name not in NAMESPACES:
        return ""
    return NAMESPACES[model.name] if problem.shape else FRAMEWORK_TYPES.get(problem.code, NAMESPACES[model.name])
