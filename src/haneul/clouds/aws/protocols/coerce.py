"""A parsed JSON document read by its shape, exactly: run when the typed decoder refused it, to find the words for a
wrong type, or to take what AWS's own parsers take (nulls as absent, 1.0 for an integer, text dates)."""

import base64
import binascii
import math
from typing import Any

from haneul.base import limits
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.protocols import timestamps
from haneul.clouds.aws.shapes import Ref
from haneul.clouds.aws.typed import INT32, INT64

_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WHOLE = {
    "integer": ("Integer", INT32),
    "long": ("Long", INT64),
    "short": ("Short", (-(2**15), 2**15 - 1)),
    "byte": ("Byte", (-128, 127)),
}


def coerce(model: ServiceModel, ref: Ref, raw: Any, depth: int = 0) -> Any:
    """The value that a JSON document holds, by the model's member names. Raises SerializationException."""
    shape = model.shapes[ref.shape]
    kind = shape.type
    if depth > limits.INPUT_MAX_DEPTH:
        raise wrong("Nesting is too deep")
    if shape.document:
        return raw
    if kind == "structure":
        return _structure(model, ref, raw, depth)
    if kind == "list":
        if not isinstance(raw, list):
            raise wrong(_unexpected(raw, "list"))
        assert shape.member is not None
        return [coerce(model, shape.member, item, depth + 1) for item in raw if item is not None]
    if kind == "map":
        if not isinstance(raw, dict):
            raise wrong(_unexpected(raw, "map"))
        assert shape.value is not None
        return {key: coerce(model, shape.value, item, depth + 1) for key, item in raw.items() if item is not None}
    if kind == "timestamp":
        return _timestamp(raw)
    if kind == "blob":
        return _blob(raw)
    return scalar(kind, raw)


def scalar(kind: str, raw: Any) -> Any:
    """A string, boolean or number out of a JSON value."""
    if isinstance(raw, dict | list):
        raise wrong(_unexpected(raw, "value"))
    if kind in ("string", "character"):
        if not isinstance(raw, str):
            raise wrong(f"{_token(raw)} cannot be converted to String")
        return raw
    if kind == "boolean":
        if not isinstance(raw, bool):
            raise wrong(f"{_token(raw)} cannot be converted to Boolean")
        return raw
    if kind in ("float", "double", "bigDecimal"):
        if isinstance(raw, str) and raw in _FLOATS:
            return _FLOATS[raw]
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise wrong(f"{_token(raw)} cannot be converted to {kind.title()}")
        return float(raw)
    name, (low, high) = _WHOLE.get(kind, ("BigInteger", (-(2**127), 2**127)))
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise wrong(f"{_token(raw)} cannot be converted to {name}")
    if isinstance(raw, float) and not raw.is_integer():
        raise wrong(f"NUMBER_VALUE cannot be converted to {name}")
    if not low <= raw <= high:
        raise wrong(f"Numeric value ({int(raw)}) out of range of {name}")
    return int(raw)


def wrong(message: str) -> AwsError:
    return AwsError("SerializationException", message)


def _structure(model: ServiceModel, ref: Ref, raw: Any, depth: int) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise wrong(_unexpected(raw, "structure"))
    value: dict[str, Any] = {}
    for name, member in model.shapes[ref.shape].members.items():
        inner = raw.get(member.location_name or name)
        if inner is not None and member.location is None:
            value[name] = coerce(model, member, inner, depth + 1)
    return value


def _timestamp(raw: Any) -> float:
    if isinstance(raw, str):
        try:
            return timestamps.parse(raw)
        except (ValueError, OverflowError) as error:
            raise wrong("STRING_VALUE cannot be converted to milliseconds since epoch") from error
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise wrong(f"{_token(raw)} cannot be converted to milliseconds since epoch")
    return float(raw)


def _blob(raw: Any) -> bytes:
    if not isinstance(raw, str):
        raise wrong(f"{_token(raw)} cannot be converted to ByteBuffer")
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong("Invalid base64 in a blob: " + str(error)) from error


def _unexpected(raw: Any, wanted: str) -> str:
    if isinstance(raw, dict):
        return "Start of structure or map found where not expected."
    if isinstance(raw, list):
        return "Start of list found where not expected"
    return f"Expected {wanted} or null, found {_token(raw)}"


def _token(raw: Any) -> str:
    """The kind of a JSON token, as AWS's parser calls it."""
    if isinstance(raw, bool):
        return "TRUE_VALUE" if raw else "FALSE_VALUE"
    if isinstance(raw, int | float):
        return "DECIMAL_VALUE" if isinstance(raw, float) else "NUMBER_VALUE"
    return "STRING_VALUE" if isinstance(raw, str) else "NULL_VALUE"
