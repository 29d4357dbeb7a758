"""XML documents out: writers closed over each shape, in the order of the model's members."""

import base64
import re
from collections.abc import Callable
from typing import Any

from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.protocols import timestamps
from haneul.clouds.aws.shapes import Ref, Shape

Emit = Callable[[str], None]
Write = Callable[[Any, Emit], None]
Text = Callable[[Any], str]

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')


def escape(text: str) -> str:
    """Character data that is safe in elements and attributes. Characters that XML 1.0 cannot hold become numbered
    references, as S3 writes them."""
    # Nearly all text is plain, and four searches for a character are ten times as fast as one of a set.
    if text.isascii() and text.isprintable() and "&" not in text and "<" not in text and ">" not in text:
        return text.replace('"', "&quot;") if '"' in text else text
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def _reference(found: re.Match[str]) -> str:
    character = found[0]
    return {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}.get(character) or f"&#x{ord(character):x};"


class XmlWriter:
    """Compiles the writers of one service.

    as_query: names and times as the query protocol has them; otherwise as REST-XML has them.
    """

    def __init__(self, model: ServiceModel, *, as_query: bool) -> None:
        self._model = model
        self._as_query = as_query
        self._insides: dict[str, Write] = {}

    def inside(self, name: str, without: frozenset[str] = frozenset()) -> Write:
        """A writer of what a structure's element holds; `without` names members that travel elsewhere."""
        if without:
            return self._members(name, without)
        made = self._insides.get(name)
        if made is None:
            # Registered before it is made: shapes may contain themselves.
            parts: list[Write] = []
            made = self._insides[name] = lambda value, emit: parts[0](value, emit)
            parts.append(self._members(name, without))
        return made

    def element(self, tag: str, ref: Ref) -> Write:
        """A writer of a whole element."""
        shape = self._model.shapes[ref.shape]
        if shape.type == "structure":
            return self._structure(tag, ref)
        if shape.type == "list":
            return self._list(tag, ref, shape)
        if shape.type == "map":
            return self._map(tag, ref, shape)
        text = self.text(ref)
        start, end = f"<{tag}>", f"</{tag}>"
        if text is None:
            return lambda value, emit: emit(start + escape(value) + end)
        return lambda value, emit: emit(start + text(value) + end)

    def text(self, ref: Ref) -> Text | None:
        """How a scalar is spelled; None for a string, which must be escaped."""
        shape = self._model.shapes[ref.shape]
        if shape.type in ("string", "character"):
            return None
        if shape.type == "boolean":
            return lambda value: "true" if value else "false"
        if shape.type == "blob":
            return lambda value: base64.b64encode(value).decode()
        if shape.type == "timestamp":
            form = ref.timestamp_format or shape.timestamp_format or "iso8601"
            if form == "rfc822":
                return timestamps.http_date
            if form == "unixTimestamp":
                return lambda value: str(timestamps.unix(value))
            return timestamps.iso if self._as_query else timestamps.iso_milliseconds
        return str

    def _name(self, ref: Ref, default: str) -> str:
        return (ref.query_name if self._as_query else None) or ref.location_name or default

    def _members(self, name: str, without: frozenset[str]) -> Write:
        shape = self._model.shapes[name]
        table = [
            (member, self.element(self._tag(ref, member), ref))
            for member, ref in shape.members.items()
            if not ref.xml_attribute and member not in without
        ]
        known = shape.members.keys()

        def write(value: dict[str, Any], emit: Emit) -> None:
            if not value.keys() <= known:
                raise ValueError(f"{name} has no member {', '.join(sorted(value.keys() - known))}")
            get = value.get
            for member, put in table:
                item = get(member)
                if item is not None:
                    put(item, emit)

        return write

    def _tag(self, ref: Ref, member: str) -> str:
        """A member's element name. A flattened list is named by its items where they have a name of their own."""
        shape = self._model.shapes[ref.shape]
        if shape.type == "list" and (ref.flattened or shape.flattened) and shape.member is not None:
            own = shape.member.location_name
            if own is not None and not (self._as_query and ref.query_name):
                return own
        return self._name(ref, member)

    def _structure(self, tag: str, ref: Ref) -> Write:
        inside = self.inside(ref.shape)
        shape = self._model.shapes[ref.shape]
        attributes = [(member, inner) for member, inner in shape.members.items() if inner.xml_attribute]
        namespace = namespace_text(ref.xml_namespace or shape.xml_namespace)
        start, end = f"<{tag}{namespace}", f"</{tag}>"

        def write(value: dict[str, Any], emit: Emit) -> None:
            emit(start)
            for member, inner in attributes:
                if value.get(member) is not None:
                    emit(f' {inner.location_name or member}="{escape(str(value[member]))}"')
            emit(">")
            inside(value, emit)
            emit(end)

        return write

    def _list(self, tag: str, ref: Ref, shape: Shape) -> Write:
        assert shape.member is not None
        if ref.flattened or shape.flattened:
            item = self.element(tag, shape.member)

            def write_flat(value: list[Any], emit: Emit) -> None:
                for one in value:
                    item(one, emit)

            return write_flat
        item = self.element(self._name(shape.member, "member"), shape.member)
        start, end, empty = f"<{tag}>", f"</{tag}>", f"<{tag}/>"

        def write(value: list[Any], emit: Emit) -> None:
            if not value:
                emit(empty)
                return
            emit(start)
            for one in value:
                item(one, emit)
            emit(end)

        return write

    def _map(self, tag: str, ref: Ref, shape: Shape) -> Write:
        assert shape.key is not None and shape.value is not None
        write_key = self.element(self._name(shape.key, "key"), shape.key)
        write_value = self.element(self._name(shape.value, "value"), shape.value)
        flat = ref.flattened or shape.flattened
        start, end = ("", "") if flat else (f"<{tag}>", f"</{tag}>")
        entry, entry_end = (f"<{tag}>", f"</{tag}>") if flat else ("<entry>", "</entry>")

        def write(value: dict[str, Any], emit: Emit) -> None:
            emit(start)
            for key, item in value.items():
                emit(entry)
                write_key(key, emit)
                write_value(item, emit)
                emit(entry_end)
            emit(end)

        return write


def namespace_text(namespace: Any) -> str:
    """The xmlns attribute of a namespace trait, with a leading space, or ""."""
    if not namespace:
        return ""
    if isinstance(namespace, str):
        return f' xmlns="{namespace}"'
    prefix = namespace.get("prefix")
    return f' xmlns{":" + prefix if prefix else ""}="{namespace.get("uri", "")}"'
