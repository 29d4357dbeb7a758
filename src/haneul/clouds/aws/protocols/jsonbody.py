"""JSON documents in and out, compiled per shape: used by the JSON and REST-JSON protocols."""

from collections.abc import Callable
from typing import Any

import msgspec

from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.protocols import timestamps
from haneul.clouds.aws.protocols.coerce import coerce, wrong
from haneul.clouds.aws.shapes import Ref, Shape
from haneul.clouds.aws.typed import Types

Convert = Callable[[Any], Any]

_FORMATS: dict[str, Convert] = {
    "unixTimestamp": timestamps.unix,
    "iso8601": timestamps.iso,
    "rfc822": timestamps.http_date,
}


class BodyDecoder:
    """Reads one shape's JSON documents.

    fast: the value, or None when it breaks a type or constraint of the model; exact: the same value, however unusual
    its spelling, with constraints unchecked. Both raise SerializationException for what is not JSON at all.
    """

    def __init__(self, model: ServiceModel, ref: Ref, names: set[str] | None = None) -> None:
        """names: only these members of the structure travel in the body; None for all."""
        self._model = model
        self._ref = ref
        types = Types(model, on_wire=True)
        shape = model.shapes[ref.shape]
        kind = types.of(ref) if names is None else types.members(shape, names)
        self._decode = msgspec.json.Decoder(kind).decode
        self._fix = incoming(model, ref)

    def fast(self, body: bytes) -> Any:
        try:
            value = self._decode(body or b"{}")
        except msgspec.ValidationError:
            return None
        except (msgspec.DecodeError, RecursionError) as error:
            raise wrong(f"Could not parse the request body: {error}") from error
        return value if self._fix is None else self._fix(value)

    def exact(self, body: bytes) -> Any:
        try:
            raw = msgspec.json.decode(body or b"{}")
        except (msgspec.DecodeError, RecursionError) as error:
            raise wrong(f"Could not parse the request body: {error}") from error
        return coerce(self._model, self._ref, raw)


def incoming(model: ServiceModel, ref: Ref) -> Convert | None:
    """From a typed document to the model's member names and epoch seconds; None where nothing differs."""
    return _Incoming(model).of(ref)


class _Incoming:
    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._made: dict[str, Convert] = {}
        self._differs: dict[str, bool] = {}

    def of(self, ref: Ref) -> Convert | None:
        shape = self._model.shapes[ref.shape]
        if shape.type == "timestamp":
            return (
                _moment
                if (ref.timestamp_format or shape.timestamp_format or "unixTimestamp") != "unixTimestamp"
                else None
            )
        if not self._does_differ(ref.shape, set()):
            return None
        made = self._made.get(ref.shape)
        if made is None:
            # Registered before its parts are made: shapes may contain themselves.
            parts: list[Convert] = []
            made = self._made[ref.shape] = lambda value: parts[0](value)
            parts.append(self._make(shape))
        return made

    def _make(self, shape: Shape) -> Convert:
        if shape.type == "structure":
            return _renamed({ref.location_name or name: (name, self.of(ref)) for name, ref in shape.members.items()})
        if shape.type == "list":
            assert shape.member is not None
            return _each(self.of(shape.member))
        assert shape.value is not None
        return _values(self.of(shape.value))

    def _does_differ(self, name: str, seen: set[str]) -> bool:
        if name in self._differs:
            return self._differs[name]
        if name in seen:
            return False
        seen.add(name)
        shape = self._model.shapes[name]
        if shape.type == "structure":
            differs = not shape.document and any(
                (ref.location_name or member) != member or self._part_differs(ref, seen)
                for member, ref in shape.members.items()
            )
        elif shape.type in ("list", "map"):
            part = shape.member or shape.value
            differs = part is not None and self._part_differs(part, seen)
        else:
            differs = False
        if len(seen) == 1 or differs:
            self._differs[name] = differs
        return differs

    def _part_differs(self, ref: Ref, seen: set[str]) -> bool:
        shape = self._model.shapes[ref.shape]
        if shape.type == "timestamp":
            return (ref.timestamp_format or shape.timestamp_format or "unixTimestamp") != "unixTimestamp"
        return self._does_differ(ref.shape, seen)


def _moment(value: str) -> float:
    try:
        return timestamps.parse(value)
    except (ValueError, OverflowError) as error:
        raise wrong("STRING_VALUE cannot be converted to milliseconds since epoch") from error


def _renamed(table: dict[str, tuple[str, Convert | None]]) -> Convert:
    def rename(value: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for wire, item in value.items():
            name, convert = table[wire]
            out[name] = item if convert is None else convert(item)
        return out

    return rename


def _each(convert: Convert | None) -> Convert:
    assert convert is not None
    return lambda value: [convert(item) for item in value]


def _values(convert: Convert | None) -> Convert:
    assert convert is not None
    return lambda value: {key: convert(item) for key, item in value.items()}


class Outgoing:
    """Converters from output members to JSON-ready values; bytes stay bytes (msgspec writes them as base64)."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._structures: dict[str, Convert] = {}

    def of(self, ref: Ref) -> Convert | None:
        """None where a value goes out as it is."""
        shape = self._model.shapes[ref.shape]
        if shape.type == "structure":
            return None if shape.document else self.structure(ref.shape)
        if shape.type == "list" and shape.member is not None:
            inner = self.of(shape.member)
            return None if inner is None else _each(inner)
        if shape.type == "map" and shape.value is not None:
            inner = self.of(shape.value)
            return None if inner is None else _values(inner)
        if shape.type == "timestamp":
            return _FORMATS[ref.timestamp_format or shape.timestamp_format or "unixTimestamp"]
        return None

    def structure(self, name: str) -> Convert:
        """A converter of the structure's body members; None is left out, an unknown member is our fault."""
        made = self._structures.get(name)
        if made is None:
            table: dict[str, tuple[str, Convert | None]] = {}
            made = self._structures[name] = _written(name, table)
            for member, ref in self._model.shapes[name].members.items():
                table[member] = (ref.location_name or member, self.of(ref))
        return made


def _written(shape: str, table: dict[str, tuple[str, Convert | None]]) -> Convert:
    def write(value: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for name, item in value.items():
            if item is None:
                continue
            try:
                wire, convert = table[name]
            except KeyError:
                raise ValueError(f"{shape} has no member {name}") from None
            out[wire] = item if convert is None else convert(item)
        return out

    return write
