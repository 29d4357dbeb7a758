"""Smithy RPC v2 with CBOR: the operation in the path, one CBOR map each way."""

from typing import Any

import msgspec

from haneul.base import limits
from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Decode, Encode, Problem, Wire, eventstream, timestamps
from haneul.clouds.aws.protocols.cbor import CborError, Timestamp, dumps, loads
from haneul.clouds.aws.protocols.coerce import scalar, wrong
from haneul.clouds.aws.protocols.json import type_prefix
from haneul.clouds.aws.shapes import Ref
from haneul.clouds.aws.validate import Checker
from haneul.gateway.http import Header, Response

CBOR: Header = (b"content-type", b"application/cbor")
PROTOCOL: Header = (b"smithy-protocol", b"rpc-v2-cbor")


class RpcCborCodec:
    name = "rpc-cbor"

    def decoder(self, model: ServiceModel, operation: OperationModel) -> Decode:
        ref = operation.input
        if ref is None:
            return lambda wire: {}
        check = Checker(model, operation).check

        def decode(wire: Wire) -> dict[str, Any]:
            assert isinstance(wire.body, bytes)
            try:
                raw = loads(wire.body) if wire.body else {}
            except CborError as error:
                raise wrong(f"Could not parse the request body: {error}") from error
            value: dict[str, Any] = read(model, ref, raw)
            return check(value)

        return decode

    def encoder(self, model: ServiceModel, operation: OperationModel) -> Encode:
        output_ref = operation.output
        if output_ref is None:
            return lambda output, request_id: _response(200, request_id, [], b"\xa0")
        stream = model.event_stream(output_ref)
        if stream is not None:
            return eventstream.responder(model, stream, initial=msgspec.json.encode)
        return lambda output, request_id: _response(200, request_id, [], dumps(write(model, output_ref, output)))

    def problem(self, model: ServiceModel | None, problem: Problem) -> Response:
        headers = list(problem.headers)
        if model is not None and model.metadata.aws_query_compatible is not None:
            fault = "Sender" if problem.is_sender else "Receiver"
            headers.append((b"x-amzn-query-error", f"{problem.code};{fault}".encode()))
        document: dict[str, Any] = {"__type": type_prefix(model, problem) + (problem.shape or problem.code)}
        spelling = "message"
        if model is not None and problem.shape:
            known = model.shapes[problem.shape].members
            spelling = next((member for member in known if member.lower() == "message"), "message")
            document.update(write(model, Ref(problem.shape), problem.members))
        document[spelling] = problem.message
        return _response(problem.status, problem.request_id, headers, dumps(document))


def read(model: ServiceModel, ref: Ref, raw: Any, depth: int = 0) -> Any:
    """The value that a CBOR item holds, by its shape. Raises SerializationException."""
    shape = model.shapes[ref.shape]
    kind = shape.type
    if depth > limits.INPUT_MAX_DEPTH:
        raise wrong("Nesting is too deep")
    if kind == "structure":
        if not isinstance(raw, dict):
            raise wrong("Start of structure expected")
        return {
            name: read(model, member, raw[name], depth + 1)
            for name, member in shape.members.items()
            if raw.get(name) is not None
        }
    if kind == "list":
        if not isinstance(raw, list):
            raise wrong("Start of list expected")
        assert shape.member is not None
        return [read(model, shape.member, item, depth + 1) for item in raw if item is not None]
    if kind == "map":
        if not isinstance(raw, dict):
            raise wrong("Start of map expected")
        assert shape.value is not None
        return {str(key): read(model, shape.value, item, depth + 1) for key, item in raw.items() if item is not None}
    if kind == "blob":
        if not isinstance(raw, bytes):
            raise wrong("A byte string expected")
        return raw
    if kind == "timestamp":
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise wrong("A timestamp expected")
        return float(raw)
    if isinstance(raw, bytes):
        raise wrong("Unexpected byte string")
    return scalar(kind, raw)


def write(model: ServiceModel, ref: Ref, value: Any) -> Any:
    """What to encode for an output value of a shape."""
    shape = model.shapes[ref.shape]
    kind = shape.type
    if kind == "structure":
        unknown = value.keys() - shape.members.keys()
        if unknown:
            raise ValueError(f"{ref.shape} has no member {', '.join(sorted(unknown))}")
        return {name: write(model, shape.members[name], item) for name, item in value.items() if item is not None}
    if kind == "list":
        assert shape.member is not None
        return [write(model, shape.member, item) for item in value]
    if kind == "map":
        assert shape.value is not None
        return {key: write(model, shape.value, item) for key, item in value.items()}
    if kind == "timestamp":
        return Timestamp(timestamps.epoch(value))
    if kind in ("float", "double"):
        return float(value)
    return value


def _response(status: int, request_id: str, headers: list[Header], body: bytes) -> Response:
    return Response(status, [(b"x-amzn-requestid", request_id.encode()), PROTOCOL, CBOR, *headers], body)
