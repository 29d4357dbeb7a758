"""REST-JSON: path, query string and headers carry members; the rest is a JSON document, or one member is the body."""

from collections.abc import Callable
from typing import Any

import msgspec

from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Decode, Encode, Problem, Wire, eventstream
from haneul.clouds.aws.protocols.coerce import wrong
from haneul.clouds.aws.protocols.jsonbody import BodyDecoder, Outgoing
from haneul.clouds.aws.protocols.locations import RequestParts, ResponseParts
from haneul.clouds.aws.shapes import Ref
from haneul.clouds.aws.typed import Types
from haneul.clouds.aws.validate import refuse, violations
from haneul.gateway.http import Header, Response

_encode = msgspec.json.Encoder().encode
JSON: Header = (b"content-type", b"application/json")

ReadBody = Callable[[Any, dict[str, Any]], bool]
"""(body, value to complete) -> whether the body's constraints are known to hold."""


class RestJsonCodec:
    name = "rest-json"

    def decoder(self, model: ServiceModel, operation: OperationModel) -> Decode:
        ref = operation.input
        if ref is None:
            return lambda wire: {}
        shape = model.shapes[ref.shape]
        parts = RequestParts(model, operation)
        read_body = _body_reader(model, ref, parts.names)
        outside: Any = Types(model, on_wire=False).members(shape, parts.names)
        convert = msgspec.convert

        def decode(wire: Wire) -> dict[str, Any]:
            value = parts.read(wire)
            try:
                convert(value, outside)
                sound = True
            except msgspec.ValidationError:
                sound = False
            if not read_body(wire.body, value) or not sound:
                refuse(model, violations(model, ref, value))
            return value

        return decode

    def encoder(self, model: ServiceModel, operation: OperationModel) -> Encode:
        status = operation.http.response_code
        if operation.output is None:
            return lambda output, request_id: Response(
                status, [(b"x-amzn-requestid", request_id.encode()), JSON], b"" if status == 204 else b"{}"
            )
        parts = ResponseParts(model, model.shapes[operation.output.shape])
        stream = model.event_stream(operation.output)
        if stream is not None:
            return eventstream.responder(model, stream, headers=parts.headers)
        payload = model.payload_member(operation.output)
        write = Outgoing(model).structure(operation.output.shape) if payload is None else None
        write_payload = _payload_writer(model, payload) if payload is not None else None

        def encode(output: dict[str, Any], request_id: str) -> Response:
            headers = parts.headers(output)
            headers.append((b"x-amzn-requestid", request_id.encode()))
            if write_payload is not None:
                body, content_type = write_payload(output)
            else:
                assert write is not None
                inside = {name: item for name, item in output.items() if name not in parts.names}
                body, content_type = _encode(write(inside)), JSON
            if content_type is not None and not any(name == b"content-type" for name, _ in headers):
                headers.append(content_type)
            code = parts.status(output, status)
            return Response(code, headers, b"" if code == 204 else body)

        return encode

    def problem(self, model: ServiceModel | None, problem: Problem) -> Response:
        name = problem.shape or problem.code
        headers: list[Header] = [
            (b"x-amzn-requestid", problem.request_id.encode()),
            (b"x-amzn-errortype", name.encode()),
            JSON,
            *problem.headers,
        ]
        document: dict[str, Any] = {"message": problem.message}
        if model is not None and problem.shape:
            shape = model.shapes[problem.shape]
            members = dict(problem.members)
            spelling = next((member for member in shape.members if member.lower() == "message"), None)
            if spelling is not None:
                members[spelling] = problem.message
            if "Type" in shape.members:
                # Lambda's errors all say whose fault they are: its API reference, "Common errors".
                members.setdefault("Type", "User" if problem.is_sender else "Service")
            parts = ResponseParts(model, shape)
            headers.extend(parts.headers(members))
            inside = {member: item for member, item in members.items() if member not in parts.names}
            document = Outgoing(model).structure(problem.shape)(inside)
            if spelling is None:
                document["message"] = problem.message
        return Response(problem.status, headers, _encode(document))


def _body_reader(model: ServiceModel, ref: Ref, outside: set[str]) -> ReadBody:
    payload = model.payload_member(ref)
    if payload is None:
        names = set(model.shapes[ref.shape].members) - outside
        return _document_reader(model, ref, names) if names else lambda body, value: True
    name, member = payload
    kind = model.shapes[member.shape].type
    if kind in ("structure", "list", "map"):
        document = BodyDecoder(model, member)
        needed = name in model.shapes[ref.shape].required

        def read_payload(body: Any, value: dict[str, Any]) -> bool:
            if not body:
                return not needed
            fast = document.fast(body)
            value[name] = document.exact(body) if fast is None else fast
            return fast is not None

        return read_payload
    return _raw_reader(model, ref, name, member)


def _document_reader(model: ServiceModel, ref: Ref, names: set[str]) -> ReadBody:
    document = BodyDecoder(model, ref, names)

    def read(body: Any, value: dict[str, Any]) -> bool:
        fast = document.fast(body)
        value.update(document.exact(body) if fast is None else fast)
        return fast is not None

    return read


def _raw_reader(model: ServiceModel, ref: Ref, name: str, member: Ref) -> ReadBody:
    """The body is the member itself: a stream, bytes, or text."""
    streaming = model.is_streaming(member)
    shape = model.shapes[member.shape]
    is_text = shape.type != "blob"
    unbound = shape.min is None and shape.max is None and shape.pattern is None and not shape.enum
    sound = streaming or (unbound and name not in model.shapes[ref.shape].required)

    def read(body: Any, value: dict[str, Any]) -> bool:
        if streaming:
            value[name] = body
        elif body:
            try:
                value[name] = body.decode() if is_text else body
            except UnicodeDecodeError as error:
                raise wrong("The request body is not UTF-8") from error
        return sound

    return read


def _payload_writer(
    model: ServiceModel, payload: tuple[str, Ref]
) -> Callable[[dict[str, Any]], tuple[Any, Header | None]]:
    """The body out of the payload member, with the content type that it has unless a header member says otherwise."""
    name, member = payload
    kind = model.shapes[member.shape].type
    if kind in ("structure", "list", "map"):
        convert = Outgoing(model).of(member)

        def write(output: dict[str, Any]) -> tuple[Any, Header | None]:
            value = output.get(name)
            if value is None:
                return b"", None
            return _encode(value if convert is None else convert(value)), JSON

        return write

    def write_raw(output: dict[str, Any]) -> tuple[Any, Header | None]:
        value = output.get(name)
        if isinstance(value, str):
            value = value.encode()
        return (b"" if value is None else value), JSON if value is not None else None

    return write_raw
