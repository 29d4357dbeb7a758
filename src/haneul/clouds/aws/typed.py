"""msgspec types generated from a model's shapes: they decode JSON straight into plain dicts and check the model's
constraints on the way, in C. They only say yes or no; `validate` finds the words for a no."""

from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import msgspec

from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.patterns import compiled
from haneul.clouds.aws.shapes import Ref, Shape

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)
_INTEGER_BOUNDS = {"integer": INT32, "short": (-(2**15), 2**15 - 1), "byte": (-128, 127), "long": INT64}


class Types:
    """The types of one service's shapes.

    on_wire: keys are the names that JSON bodies use, timestamps in text formats stay text; otherwise keys are the
    model's names and every timestamp is a float. Structures become TypedDicts, so that values are plain dicts; members
    that the model does not know are ignored.
    """

    def __init__(self, model: ServiceModel, *, on_wire: bool) -> None:
        self._model = model
        self._on_wire = on_wire
        self._structures: dict[str, Any] = {}

    def of(self, ref: Ref) -> Any:
        """The type of the value that ref stands for."""
        shape = self._model.shapes[ref.shape]
        kind = shape.type
        if kind == "structure":
            return Any if shape.document else self._structure(ref.shape, shape)
        if kind == "list":
            assert shape.member is not None
            return _measured(list[self.of(shape.member)], shape)  # type: ignore[misc]
        if kind == "map":
            assert shape.key is not None and shape.value is not None
            return _measured(dict[self.of(shape.key), self.of(shape.value)], shape)  # type: ignore[misc]
        if kind == "string" or kind == "character":
            return _text(shape, ref.enum or shape.enum)
        if kind == "timestamp":
            form = ref.timestamp_format or shape.timestamp_format or "unixTimestamp"
            return str if self._on_wire and form != "unixTimestamp" else float
        if kind == "blob":
            return Any if self._model.is_streaming(ref) else _measured(bytes, shape)
        if kind == "boolean":
            return bool
        if kind in ("float", "double", "bigDecimal"):
            return _bounded(float, shape, None)
        return _bounded(int, shape, _INTEGER_BOUNDS.get(kind))

    def members(self, shape: Shape, names: set[str]) -> Any:
        """A type of some of a structure's members: those that travel in the same part of a request."""
        return _dict_type("Part", self._annotations(shape, names))

    def _structure(self, name: str, shape: Shape) -> Any:
        kind = self._structures.get(name)
        if kind is None:
            # Registered before its members are known: shapes may contain themselves.
            kind = self._structures[name] = _dict_type(name, {})
            kind.__annotations__ = self._annotations(shape, set(shape.members))
        return kind

    def _annotations(self, shape: Shape, names: set[str]) -> dict[str, Any]:
        annotations: dict[str, Any] = {}
        for name, ref in shape.members.items():
            if name in names and not self._model.shapes[ref.shape].eventstream:
                key = (ref.location_name or name) if self._on_wire else name
                # Clients that do not know an idempotency token leave it out; it is filled in after decoding.
                needed = name in shape.required and not ref.idempotency_token
                annotations[key] = Required[self.of(ref)] if needed else NotRequired[self.of(ref)]
        return annotations


def _dict_type(name: str, annotations: dict[str, Any]) -> Any:
    make: Any = TypedDict
    kind = make(name, {}, total=False)
    kind.__annotations__ = annotations
    return kind


def _text(shape: Shape, enum: tuple[str, ...] | None) -> Any:
    if enum:
        return Literal[enum]
    meta: dict[str, Any] = {}
    if shape.min:
        meta["min_length"] = int(shape.min)
    if shape.max is not None:
        meta["max_length"] = int(shape.max)
    if shape.pattern is not None and (matcher := compiled(shape.pattern)) is not None:
        meta["pattern"] = rf"\A{matcher.pattern}"
    return Annotated[str, msgspec.Meta(**meta)] if meta else str


def _measured(kind: Any, shape: Shape) -> Any:
    meta: dict[str, Any] = {}
    if shape.min:
        meta["min_length"] = int(shape.min)
    if shape.max is not None:
        meta["max_length"] = int(shape.max)
    return Annotated[kind, msgspec.Meta(**meta)] if meta else kind


def _bounded(kind: Any, shape: Shape, natural: tuple[int, int] | None) -> Any:
    meta: dict[str, Any] = {} if natural is None else {"ge": natural[0], "le": natural[1]}
    if shape.min is not None:
        meta["ge"] = kind(shape.min)
    if shape.max is not None:
        meta["le"] = kind(shape.max)
    return Annotated[kind, msgspec.Meta(**meta)] if meta else kind
