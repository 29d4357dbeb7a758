"""The query protocol: a form in, XML in a result wrapper out."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from haneul.base import limits
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Decode, Encode, Problem, Wire, timestamps
from haneul.clouds.aws.protocols.xml_out import XmlWriter, escape
from haneul.clouds.aws.shapes import Ref
from haneul.clouds.aws.validate import Checker
from haneul.gateway.http import Header, Response

XML: Header = (b"content-type", b"text/xml")

Tree = dict[str, Any]
"""A form as a tree: "A.B.1.C=x" is {"A": {"B": {"1": {"C": "x"}}}}. A name that also has a value of its own keeps it
under ""."""

Read = Callable[[Any], Any]


class QueryCodec:
    name = "query"

    def decoder(self, model: ServiceModel, operation: OperationModel) -> Decode:
        ref = operation.input
        if ref is None:
            return lambda wire: {}
        structure = _Reader(model).structure(ref.shape)
        checker = Checker(model, operation)

        def decode(wire: Wire) -> dict[str, Any]:
            assert wire.form is not None
            value: dict[str, Any] = structure(tree(wire.form)) or {}
            return checker.check(value)

        return decode

    def encoder(self, model: ServiceModel, operation: OperationModel) -> Encode:
        name = operation.name
        start = f'<{name}Response xmlns="{namespace(model)}">'
        end = f"<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></{name}Response>"
        if operation.output is None:
            return lambda output, request_id: _response(200, request_id, start + end % request_id)
        wrapper = operation.output.result_wrapper or f"{name}Result"
        inside = XmlWriter(model, as_query=True).inside(operation.output.shape)

        def encode(output: dict[str, Any], request_id: str) -> Response:
            parts: list[str] = [start, f"<{wrapper}>"]
            inside(output, parts.append)
            parts.append(f"</{wrapper}>")
            parts.append(end % request_id)
            return _response(200, request_id, "".join(parts))

        return encode

    def problem(self, model: ServiceModel | None, problem: Problem) -> Response:
        fault = "Sender" if problem.is_sender else "Receiver"
        members: list[str] = []
        if model is not None and problem.shape and problem.members:
            write = XmlWriter(model, as_query=True).inside(problem.shape)
            write({name: item for name, item in problem.members.items() if name.lower() != "message"}, members.append)
        where = f' xmlns="{namespace(model)}"' if model is not None else ""
        text = (
            f"<ErrorResponse{where}><Error><Type>{fault}</Type><Code>{escape(problem.code)}</Code>"
            f"<Message>{escape(problem.message)}</Message>{''.join(members)}</Error>"
            f"<RequestId>{problem.request_id}</RequestId></ErrorResponse>"
        )
        response = _response(problem.status, problem.request_id, text)
        response.headers = [*response.headers, *problem.headers]
        return response


def namespace(model: ServiceModel) -> str:
    """The XML namespace of a service's responses. SQS speaks JSON by its model, query to older clients."""
    if model.metadata.xml_namespace:
        return model.metadata.xml_namespace
    host = "queue" if model.name == "sqs" else model.metadata.endpoint_prefix
    return f"http://{host}.amazonaws.com/doc/{model.metadata.api_version}/"


def tree(form: list[tuple[str, str]]) -> Tree:
    """The fields of a form, nested by the dots in their names."""
    root: Tree = {}
    for name, text in form:
        node = root
        steps = name.split(".")
        if len(steps) > limits.INPUT_MAX_DEPTH:
            raise _malformed(f"{name[:64]} is nested too deeply")
        for step in steps[:-1]:
            inner = node.get(step)
            if not isinstance(inner, dict):
                inner = node[step] = {} if inner is None else {"": inner}
            node = inner
        last = steps[-1]
        if isinstance(node.get(last), dict):
            node[last][""] = text
        else:
            node[last] = text
    return root


class _Reader:
    """Compiles readers from trees to values."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._structures: dict[str, Read] = {}

    def structure(self, name: str) -> Read:
        made = self._structures.get(name)
        if made is None:
            table: list[tuple[str, str, Read]] = []
            made = self._structures[name] = _members(table)
            for member, ref in self._model.shapes[name].members.items():
                table.append((self._wire_name(ref, member), member, self._read(ref)))
        return made

    def _wire_name(self, ref: Ref, member: str) -> str:
        shape = self._model.shapes[ref.shape]
        if ref.query_name:
            return ref.query_name
        if shape.type == "list" and (ref.flattened or shape.flattened) and shape.member is not None:
            return shape.member.location_name or ref.location_name or member
        return ref.location_name or member

    def _read(self, ref: Ref) -> Read:
        shape = self._model.shapes[ref.shape]
        if shape.type == "structure":
            return self.structure(ref.shape)
        if shape.type == "list":
            assert shape.member is not None
            step = None if ref.flattened or shape.flattened else shape.member.location_name or "member"
            return _items(step, self._read(shape.member))
        if shape.type == "map":
            assert shape.key is not None and shape.value is not None
            step = None if ref.flattened or shape.flattened else "entry"
            key, value = shape.key, shape.value
            return _entries(
                step,
                (key.query_name or key.location_name or "key", self._read(key)),
                (value.query_name or value.location_name or "value", self._read(value)),
            )
        return _scalar(shape.type)


def _members(table: list[tuple[str, str, Read]]) -> Read:
    def read(node: Any) -> dict[str, Any] | None:
        if not isinstance(node, dict):
            return {} if node == "" else None
        value = {}
        for wire_name, member, convert in table:
            inner = node.get(wire_name)
            if inner is not None and (converted := convert(inner)) is not None:
                value[member] = converted
        return value

    return read


def _items(step: str | None, convert: Read) -> Read:
    def read(node: Any) -> list[Any] | None:
        if node == "":
            return []
        if step is not None and isinstance(node, dict):
            # Some clients number the items of a list directly: both forms are read.
            node = node.get(step, node)
        if not isinstance(node, dict):
            return None
        return [item for number in _numbers(node) if (item := convert(node[number])) is not None]

    return read


def _entries(step: str | None, key: tuple[str, Read], value: tuple[str, Read]) -> Read:
    def read(node: Any) -> dict[str, Any] | None:
        if step is not None and isinstance(node, dict):
            node = node.get(step)
        if not isinstance(node, dict):
            return {} if node == "" else None
        entries = {}
        for number in _numbers(node):
            entry = node[number]
            if not isinstance(entry, dict) or key[0] not in entry:
                raise _malformed(f"Entry {number} of a map lacks its {key[0]}")
            item = value[1](entry[value[0]]) if value[0] in entry else None
            if item is not None:
                entries[key[1](entry[key[0]])] = item
        return entries

    return read


def _numbers(node: Tree) -> list[str]:
    """The numbered fields in the order of their numbers."""
    return sorted((name for name in node if name.isascii() and name.isdigit() and len(name) < 10), key=int)


def _scalar(kind: str) -> Read:
    def read(node: Any) -> Any:
        text = node.get("") if isinstance(node, dict) else node
        if text is None:
            return None
        try:
            return _PARSERS.get(kind, str)(text)
        except (ValueError, OverflowError, binascii.Error) as error:
            raise _malformed(f"{text[:64]} is not a valid {kind}") from error

    return read


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError(text)
    return int(text)


_PARSERS: dict[str, Read] = {
    "integer": _whole,
    "long": _whole,
    "short": _whole,
    "byte": _whole,
    "float": float,
    "double": float,
    "boolean": _truth,
    "timestamp": timestamps.parse,
    "blob": lambda text: base64.b64decode(text, validate=True),
}


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedInput", message)


def _response(status: int, request_id: str, text: str) -> Response:
    return Response(status, [(b"x-amzn-requestid", request_id.encode()), XML], (text + "\n").encode())
