"""Where members of REST operations travel outside the body: path labels, query string, headers, status code."""

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, unquote_plus

import msgspec

from haneul.base import limits
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Wire, timestamps
from haneul.clouds.aws.protocols.coerce import wrong
from haneul.clouds.aws.shapes import Ref, Shape
from haneul.gateway.http import Header

Read = Callable[[str], Any]
Write = Callable[[Any], str]


def parse_query(query: str) -> list[tuple[str, str]]:
    """The fields of a query string or form, in order, decoded; a field without "=" has an empty value.
    Raises AwsError past the limit on their number."""
    if not query:
        return []
    if query.count("&") >= limits.FORM_MAX_FIELDS:
        raise AwsError("MalformedInput", "Too many parameters in the request", 400)
    fields = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            if "%" in part or "+" in part:
                name, value = unquote_plus(name), unquote_plus(value)
            fields.append((name, value))
    return fields


def label(text: str) -> str:
    """A path label, decoded. Raises AwsError for what is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.", 400) from error


class RequestParts:
    """Reads the members of an operation's input that lie outside the body."""

    def __init__(self, model: ServiceModel, operation: OperationModel) -> None:
        assert operation.input is not None
        shape = model.shapes[operation.input.shape]
        self.names = {name for name, ref in shape.members.items() if ref.location is not None}
        self._labels: list[tuple[str, str, Read | None]] = []
        self._headers: dict[bytes, tuple[str, Read]] = {}
        self._prefixes: list[tuple[bytes, str]] = []
        self._query: dict[str, tuple[str, Read, bool]] = {}
        self._query_map: tuple[str, bool] | None = None
        # Fields that only tell operations apart ("?mode=import") are no parameters.
        self._constants = {field.partition("=")[0] for field in operation.http.request_uri.partition("?")[2].split("&")}
        for name, ref in shape.members.items():
            if ref.location is not None:
                self._place(model, name, ref)

    def read(self, wire: Wire) -> dict[str, Any]:
        """The members that were sent."""
        value: dict[str, Any] = {}
        for name, wire_name, convert in self._labels:
            text = label(wire.labels[wire_name])
            value[name] = text if convert is None else convert(text)
        request = wire.request
        if request.query and (self._query or self._query_map):
            self._read_query(request.query, value)
        table = self._headers
        if table or self._prefixes:
            for key, raw in request.headers:
                entry = table.get(key)
                if entry is not None:
                    if entry[0] in value:
                        raw = request.header(key) or raw
                    value[entry[0]] = entry[1](_text(raw))
            for prefix, name in self._prefixes:
                found = {
                    key[len(prefix) :].decode(): _text(raw) for key, raw in request.headers if key.startswith(prefix)
                }
                if found:
                    value[name] = found
        return value

    def _read_query(self, query: bytes, value: dict[str, Any]) -> None:
        rest: dict[str, Any] = {}
        for key, text in parse_query(query.decode("latin-1")):
            entry = self._query.get(key)
            if entry is None:
                if self._query_map is not None and key not in self._constants:
                    if self._query_map[1]:
                        rest.setdefault(key, []).append(text)
                    else:
                        rest[key] = text
                continue
            name, convert, many = entry
            if many:
                value.setdefault(name, []).append(convert(text))
            else:
                value[name] = convert(text)
        if rest and self._query_map is not None:
            value[self._query_map[0]] = rest

    def _place(self, model: ServiceModel, name: str, ref: Ref) -> None:
        shape = model.shapes[ref.shape]
        wire_name = ref.location_name or name
        if ref.location == "uri":
            convert = None if shape.type == "string" else reader(model, ref, "iso8601")
            self._labels.append((name, wire_name, convert))
        elif ref.location == "header":
            self._headers[wire_name.lower().encode()] = (name, header_reader(model, ref))
        elif ref.location == "headers":
            self._prefixes.append((wire_name.lower().encode(), name))
        elif ref.location == "querystring":
            if shape.type == "map":
                assert shape.value is not None
                self._query_map = (name, model.shapes[shape.value.shape].type == "list")
            elif shape.type == "list":
                assert shape.member is not None
                self._query[wire_name] = (name, reader(model, shape.member, "iso8601"), True)
            else:
                self._query[wire_name] = (name, reader(model, ref, "iso8601"), False)


def reader(model: ServiceModel, ref: Ref, time_format: str) -> Read:
    """A converter from text to the member's value. Raises SerializationException."""
    kind = model.shapes[ref.shape].type
    return READERS.get(kind, str)


def header_reader(model: ServiceModel, ref: Ref) -> Read:
    shape = model.shapes[ref.shape]
    if shape.type == "list":
        assert shape.member is not None
        inner = reader(model, shape.member, "rfc822")
        if model.shapes[shape.member.shape].type == "timestamp":
            return lambda text: [inner(part.strip()) for part in text.split(",")]
        return lambda text: [inner(part.strip().strip('"')) for part in text.split(",") if part.strip()]
    if ref.jsonvalue:
        return _json_value
    return reader(model, ref, "rfc822")


def _whole(text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.lstrip("-+").isdigit() and len(digits) <= 20):
        raise wrong(f"STRING_VALUE cannot be converted to Integer: {text[:64]}")
    return int(digits)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise wrong(f"STRING_VALUE cannot be converted to Double: {text[:64]}") from error


def _truth(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise wrong(f"STRING_VALUE cannot be converted to Boolean: {text[:64]}")
    return lowered == "true"


def _moment(text: str) -> float:
    try:
        return timestamps.parse(text)
    except (ValueError, OverflowError) as error:
        raise wrong(f"Invalid timestamp: {text[:64]}") from error


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong("Invalid base64 in a blob") from error


def _json_value(text: str) -> Any:
    try:
        return msgspec.json.decode(_blob(text))
    except msgspec.DecodeError as error:
        raise wrong("Invalid JSON in a header") from error


READERS: dict[str, Read] = {
    "integer": _whole,
    "long": _whole,
    "short": _whole,
    "byte": _whole,
    "bigInteger": _whole,
    "float": _real,
    "double": _real,
    "bigDecimal": _real,
    "boolean": _truth,
    "timestamp": _moment,
    "blob": _blob,
}


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class ResponseParts:
    """Writes the members of one output or exception shape that lie outside the body."""

    def __init__(self, model: ServiceModel, shape: Shape) -> None:
        self.names = {name for name, ref in shape.members.items() if ref.location is not None}
        self._headers: dict[str, tuple[bytes, Write]] = {}
        self._prefixes: dict[str, str] = {}
        self._status: str | None = None
        for name, ref in shape.members.items():
            if ref.location == "header":
                self._headers[name] = ((ref.location_name or name).lower().encode(), header_writer(model, ref))
            elif ref.location == "headers":
                self._prefixes[name] = (ref.location_name or "").lower()
            elif ref.location == "statusCode":
                self._status = name

    def headers(self, value: dict[str, Any]) -> list[Header]:
        """The headers that carry members of value, in the order of value."""
        sent: list[Header] = []
        for name, item in value.items():
            if item is None:
                continue
            entry = self._headers.get(name)
            if entry is not None:
                wire_name, write = entry
                sent.append((wire_name, _line(write(item))))
            elif name in self._prefixes:
                prefix = self._prefixes[name]
                sent.extend(((prefix + key).encode(), _line(text)) for key, text in item.items())
        return sent

    def member_of(self, header: bytes) -> str:
        """The member that a header carries, "" when there is none."""
        return next((member for member, (name, _) in self._headers.items() if name == header), "")

    def status(self, value: dict[str, Any], default: int) -> int:
        if self._status is None:
            return default
        return int(value.get(self._status) or default)


def header_writer(model: ServiceModel, ref: Ref) -> Write:
    """A converter from an output member to a header's text."""
    shape = model.shapes[ref.shape]
    if ref.jsonvalue:
        return lambda value: base64.b64encode(msgspec.json.encode(value)).decode()
    if shape.type == "list":
        assert shape.member is not None
        inner = header_writer(model, shape.member)
        return lambda value: ", ".join(inner(item) for item in value)
    if shape.type == "timestamp":
        return time_writer(ref, shape, "rfc822")
    if shape.type == "boolean":
        return lambda value: "true" if value else "false"
    if shape.type == "blob":
        return lambda value: base64.b64encode(value).decode()
    return str


def time_writer(ref: Ref, shape: Shape, default: str) -> Write:
    form = ref.timestamp_format or shape.timestamp_format or default
    if form == "iso8601":
        return timestamps.iso
    if form == "rfc822":
        return timestamps.http_date
    return lambda value: str(timestamps.unix(value))


def _line(text: str) -> bytes:
    """Header bytes. Line ends would let a value start headers of its own."""
    raw = text.encode()
    return raw.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in raw or b"\r" in raw else raw
