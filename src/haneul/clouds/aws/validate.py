"""Why an input is refused, in AWS's words: an exact walk over the shapes, run only when the typed decoder said no.

The wording is that of AWS's own service framework, as its services answer it:
"1 validation error detected: Value '0' at 'memorySize' failed to satisfy constraint: Member must have value greater
than or equal to 128".
"""

from typing import Any

import msgspec

from haneul.base import limits
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.patterns import satisfies
from haneul.clouds.aws.shapes import Ref, Shape
from haneul.clouds.aws.typed import Types

# The code under which each service reports a broken constraint; ValidationException where it is not listed.
CODES = {
    "logs": "InvalidParameterException",
    "cognito-idp": "InvalidParameterException",
    "cognito-identity": "InvalidParameterException",
    "ecr": "InvalidParameterException",
    "firehose": "ValidationException",
    "apigateway": "BadRequestException",
    "apigatewayv2": "BadRequestException",
    "apigatewaymanagementapi": "BadRequestException",
    "schemas": "BadRequestException",
    "xray": "InvalidRequestException",
    "resourcegroupstaggingapi": "InvalidParameterException",
    "sns": "InvalidParameter",
    "iam": "ValidationError",
    "sts": "ValidationError",
    "cloudformation": "ValidationError",
    "elbv2": "ValidationError",
    "cloudwatch": "ValidationError",
}
# SQS words a missing member its own way, and leaves every other constraint to the operation.
_MISSING_ONLY = frozenset({"sqs", "s3"})


class Checker:
    """Checks parsed inputs of one operation; costs one pass in C as long as they are right."""

    def __init__(self, model: ServiceModel, operation: OperationModel) -> None:
        self._model = model
        self._ref = operation.input
        self._type = Types(model, on_wire=False).of(operation.input) if operation.input else None

    def check(self, value: dict[str, Any]) -> dict[str, Any]:
        """The same value. Raises AwsError that names every broken constraint."""
        if self._ref is None:
            return value
        try:
            msgspec.convert(value, self._type)
        except msgspec.ValidationError:
            refuse(self._model, violations(self._model, self._ref, value))
        return value


def refuse(model: ServiceModel, found: list[str]) -> None:
    """Raise the service's error for broken constraints, if there are any."""
    if found:
        plural = "s" if len(found) > 1 else ""
        text = f"{len(found)} validation error{plural} detected: {'; '.join(found)}"
        raise AwsError(CODES.get(model.name, "ValidationException"), text)


def violations(model: ServiceModel, ref: Ref, value: dict[str, Any]) -> list[str]:
    """Every broken constraint of an input whose types are right, as AWS words them."""
    found: list[str] = []
    if model.name in _MISSING_ONLY:
        _report_missing(model, ref, value)
    else:
        _walk(model, ref, value, "", found, 0)
    return found


def _report_missing(model: ServiceModel, ref: Ref, value: dict[str, Any]) -> None:
    shape = model.shapes[ref.shape]
    for name in shape.required:
        if value.get(name) is None and not shape.members[name].idempotency_token:
            if model.name == "s3":
                if shape.members[name].location in ("header", "querystring", "uri"):
                    raise AwsError("InvalidRequest", f"Missing required parameter: {shape.members[name].location_name}")
                raise AwsError("MalformedXML", MALFORMED_XML)
            raise AwsError("MissingParameter", f"The request must contain the parameter {name}.")
    for name, member in shape.members.items():
        inner = model.shapes[member.shape]
        if inner.type == "structure" and isinstance(value.get(name), dict):
            _report_missing(model, member, value[name])
        elif inner.type == "list" and inner.member is not None and isinstance(value.get(name), list):
            for item in value[name] if model.shapes[inner.member.shape].type == "structure" else ():
                _report_missing(model, inner.member, item)


MALFORMED_XML = "The XML you provided was not well-formed or did not validate against our published schema"


def _walk(model: ServiceModel, ref: Ref, value: Any, path: str, found: list[str], depth: int) -> None:
    shape = model.shapes[ref.shape]
    if depth > limits.INPUT_MAX_DEPTH or shape.document or (shape.type == "blob" and model.is_streaming(ref)):
        return
    if path:
        found.extend(
            f"Value {_shown(model, ref, value)} at '{path}' failed to satisfy constraint: {constraint}"
            for constraint in _broken(ref, shape, value)
        )
    if shape.type == "structure":
        _walk_members(model, shape, value, path, found, depth)
    elif shape.type == "list" and shape.member is not None:
        _walk_items(model, shape.member, value, path, found, depth)
    elif shape.type == "map" and shape.key is not None and shape.value is not None:
        _walk_entries(model, shape, value, path, found, depth)


def _walk_members(
    model: ServiceModel, shape: Shape, value: dict[str, Any], path: str, found: list[str], depth: int
) -> None:
    for name, member in shape.members.items():
        inner_path = f"{path}.{_lower(name)}" if path else _lower(name)
        inner = value.get(name)
        if inner is not None:
            _walk(model, member, inner, inner_path, found, depth + 1)
        elif name in shape.required and not member.idempotency_token:
            found.append(f"Value null at '{inner_path}' failed to satisfy constraint: Member must not be null")


def _walk_items(model: ServiceModel, member: Ref, value: list[Any], path: str, found: list[str], depth: int) -> None:
    shape = model.shapes[member.shape]
    if shape.type in ("structure", "list", "map"):
        for number, item in enumerate(value, 1):
            _walk(model, member, item, f"{path}.{number}.member", found, depth + 1)
    elif any(_broken(member, shape, item) for item in value):
        shown = _text_of(value)
        found.append(
            f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must satisfy constraint: "
            f"[{', '.join(_all_constraints(member, shape))}]"
        )


def _walk_entries(
    model: ServiceModel, shape: Shape, value: dict[str, Any], path: str, found: list[str], depth: int
) -> None:
    assert shape.key is not None and shape.value is not None
    key_shape, value_shape = model.shapes[shape.key.shape], model.shapes[shape.value.shape]
    if any(_broken(shape.key, key_shape, key) for key in value):
        found.append(
            f"Value '{_text_of(value)}' at '{path}' failed to satisfy constraint: Map keys must satisfy constraint: "
            f"[{', '.join(_all_constraints(shape.key, key_shape))}]"
        )
    nested = value_shape.type in ("structure", "list", "map")
    if value_shape.type != "structure" and any(_broken(shape.value, value_shape, item) for item in value.values()):
        found.append(
            f"Value '{_text_of(value)}' at '{path}' failed to satisfy constraint: Map value must satisfy constraint: "
            f"[{', '.join(_all_constraints(shape.value, value_shape))}]"
        )
    elif nested:
        for key, item in value.items():
            _walk(model, shape.value, item, f"{path}.{key}.member", found, depth + 1)


def _broken(ref: Ref, shape: Shape, value: Any) -> list[str]:
    """The constraints of its own shape that a value breaks."""
    kind = shape.type
    if kind in ("string", "character"):
        enum = ref.enum or shape.enum
        if enum:
            return [] if value in enum else [_enum_text(enum)]
        broken = _length(shape, len(value))
        if shape.pattern is not None and not broken and not satisfies(shape.pattern, value):
            broken.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
        return broken
    if kind in ("list", "map", "blob"):
        return _length(shape, len(value))
    if kind in ("integer", "long", "short", "byte", "float", "double", "bigInteger", "bigDecimal"):
        broken = []
        if shape.max is not None and value > shape.max:
            broken.append(f"Member must have value less than or equal to {_number(shape.max)}")
        if shape.min is not None and value < shape.min:
            broken.append(f"Member must have value greater than or equal to {_number(shape.min)}")
        return broken
    return []


def _length(shape: Shape, length: int) -> list[str]:
    if shape.max is not None and length > shape.max:
        return [f"Member must have length less than or equal to {_number(shape.max)}"]
    if shape.min is not None and length < shape.min:
        return [f"Member must have length greater than or equal to {_number(shape.min)}"]
    return []


def _all_constraints(ref: Ref, shape: Shape) -> list[str]:
    """Every constraint of a shape: what AWS lists when an element of a collection breaks one of them."""
    enum = ref.enum or shape.enum
    if enum:
        return [_enum_text(enum), "Member must not be null"]
    numeric = shape.type in ("integer", "long", "float", "double")
    measure = "value" if numeric else "length"
    texts = []
    if shape.max is not None:
        texts.append(f"Member must have {measure} less than or equal to {_number(shape.max)}")
    if shape.min is not None:
        texts.append(f"Member must have {measure} greater than or equal to {_number(shape.min)}")
    if shape.pattern is not None:
        texts.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
    return [*texts, "Member must not be null"]


def _enum_text(enum: tuple[str, ...]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(enum)}]"


def _number(bound: float | int) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _shown(model: ServiceModel, ref: Ref, value: Any) -> str:
    """A value as it appears between quotes in a message; never a secret."""
    if model.shapes[ref.shape].sensitive:
        return "'***'"
    return f"'{_text_of(value)}'"


def _text_of(value: Any) -> str:
    """Java's spelling of a value, cut to a bound: [a, b] and {k=v}."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        text = f"[{', '.join(_text_of(item) for item in value[:100])}]"
    elif isinstance(value, dict):
        text = f"{{{', '.join(f'{key}={_text_of(item)}' for key, item in list(value.items())[:100])}}}"
    elif isinstance(value, bytes):
        text = f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    else:
        text = str(value)
    return text if len(text) <= limits.VALUE_SHOWN_MAX_CHARS else text[: limits.VALUE_SHOWN_MAX_CHARS]
