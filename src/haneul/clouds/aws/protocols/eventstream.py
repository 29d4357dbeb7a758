"""Event streams (application/vnd.amazon.eventstream): frames with typed headers and two CRCs, one per event."""

import struct
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import msgspec

from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.protocols import Encode, timestamps
from haneul.clouds.aws.protocols.jsonbody import Outgoing
from haneul.clouds.aws.protocols.xml_out import XmlWriter
from haneul.clouds.aws.shapes import Ref, Shape
from haneul.gateway.http import Header, Response

CONTENT_TYPE = b"application/vnd.amazon.eventstream"


def frame(headers: list[tuple[str, Any]], payload: bytes) -> bytes:
    """One message. Header values: str, bytes, bool, int (sent as a long) or a timestamp as ("timestamp", seconds)."""
    packed = b"".join(_header(name, value) for name, value in headers)
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    start = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return start + struct.pack(">I", zlib.crc32(start))


def responder(
    model: ServiceModel,
    stream: tuple[str, Ref],
    *,
    initial: Callable[[dict[str, Any]], bytes] | None = None,
    headers: Callable[[dict[str, Any]], list[Header]] | None = None,
    content_type: bytes = b"application/json",
) -> Encode:
    """An encoder for outputs whose member `stream` is an async iterable of {event name: members}.

    initial   for protocols without HTTP bindings: the other output members, sent as the first event
    headers   for REST protocols: the output's header members
    """
    member, ref = stream
    writers = {
        name: _writer(model, name, event, content_type) for name, event in model.shapes[ref.shape].members.items()
    }

    def encode(output: dict[str, Any], request_id: str) -> Response:
        rest = {name: value for name, value in output.items() if name != member}
        first = b""
        if initial is not None:
            first = frame(
                [
                    (":event-type", "initial-response"),
                    (":content-type", "application/json"),
                    (":message-type", "event"),
                ],
                initial(rest),
            )
        sent: list[Header] = [(b"x-amzn-requestid", request_id.encode()), (b"content-type", CONTENT_TYPE)]
        if headers is not None:
            sent.extend(header for header in headers(rest) if header[0] != b"content-type")
        return Response(200, sent, _frames(first, output[member], writers))

    return encode


async def _frames(
    first: bytes, events: AsyncIterable[dict[str, Any]], writers: dict[str, Callable[[dict[str, Any]], bytes]]
) -> AsyncIterator[bytes]:
    if first:
        yield first
    try:
        async for event in events:
            for name, members in event.items():
                yield writers[name](members)
    except AwsError as error:
        # The status line is long gone: an error ends the stream as a message of its own.
        kind = "exception" if error.code in writers else "error"
        if kind == "exception":
            document = msgspec.json.encode({"message": error.message, **error.members})
            yield frame(
                [(":exception-type", error.code), (":content-type", "application/json"), (":message-type", kind)],
                document,
            )
        else:
            yield frame([(":error-code", error.code), (":error-message", error.message), (":message-type", kind)], b"")


def _writer(model: ServiceModel, name: str, ref: Ref, content_type: bytes) -> Callable[[dict[str, Any]], bytes]:
    shape = model.shapes[ref.shape]
    payload = next((member for member, inner in shape.members.items() if inner.eventpayload), None)
    outgoing, xml = Outgoing(model), XmlWriter(model, as_query=False)
    kind = ":exception-type" if shape.exception else ":event-type"
    message = "exception" if shape.exception else "event"

    def write(members: dict[str, Any]) -> bytes:
        headers: list[tuple[str, Any]] = [(kind, name), (":message-type", message)]
        headers.extend(
            (member, value)
            for member, value in members.items()
            if shape.members[member].eventheader and value is not None
        )
        if payload is None:
            body = {member: value for member, value in members.items() if not shape.members[member].eventheader}
            headers.append((":content-type", content_type.decode()))
            return frame(headers, document(ref.shape, body))
        value = members.get(payload)
        inner = model.shapes[shape.members[payload].shape]
        headers.append((":content-type", _payload_type(inner, content_type)))
        if inner.type == "structure":
            return frame(headers, document(shape.members[payload].shape, value or {}))
        return frame(headers, value.encode() if isinstance(value, str) else value or b"")

    def document(shape_name: str, value: dict[str, Any]) -> bytes:
        if content_type.endswith(b"xml"):
            parts = [f"<{shape_name}>"]
            xml.inside(shape_name)(value, parts.append)
            return "".join((*parts, f"</{shape_name}>")).encode()
        return msgspec.json.encode(outgoing.structure(shape_name)(value))

    return write


def _payload_type(shape: Shape, content_type: bytes) -> str:
    if shape.type == "structure":
        return content_type.decode()
    return "application/octet-stream" if shape.type == "blob" else "text/plain"


def _header(name: str, value: Any) -> bytes:
    start = bytes((len(name),)) + name.encode()
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return start + b"\x05" + struct.pack(">q", value)
    if isinstance(value, bytes):
        return start + b"\x06" + struct.pack(">H", len(value)) + value
    if isinstance(value, tuple):
        return start + b"\x08" + struct.pack(">q", int(timestamps.epoch(value[1]) * 1000))
    raw = str(value).encode()
    return start + b"\x07" + struct.pack(">H", len(raw)) + raw
