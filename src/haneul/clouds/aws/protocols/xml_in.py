"""XML documents in: expat events led straight into values by elements compiled per shape; no entities, bounded depth."""

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from haneul.base import limits
from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.protocols.coerce import wrong
from haneul.clouds.aws.protocols.locations import READERS
from haneul.clouds.aws.shapes import Ref, Shape

Attach = Callable[[Any, Any], None]
"""(value of the element around, value of this element): put one into the other."""


class MalformedXml(Exception):
    """The document cannot be parsed, or is not of the expected kind."""


class Element:
    """What an element may hold. kind: text | structure | list | map | entry."""

    __slots__ = ("attributes", "children", "kind", "read")

    def __init__(self, kind: str, read: Callable[[str], Any] | None = None) -> None:
        self.kind = kind
        self.read = read
        self.children: dict[str, tuple[Element, Attach]] = {}
        self.attributes: dict[str, str] = {}


class XmlReader:
    """Compiles the elements of one service's REST-XML shapes."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._structures: dict[str, Element] = {}

    def structure(self, name: str) -> Element:
        element = self._structures.get(name)
        if element is None:
            element = self._structures[name] = Element("structure")
            for member, ref in self._model.shapes[name].members.items():
                if ref.xml_attribute:
                    element.attributes[ref.location_name or member] = member
                elif ref.location is None:
                    self._member(element, member, ref)
        return element

    def _member(self, element: Element, member: str, ref: Ref) -> None:
        shape = self._model.shapes[ref.shape]
        tag = ref.location_name or member
        flat = ref.flattened or shape.flattened
        if shape.type == "list" and flat:
            assert shape.member is not None
            entry = (self._value(shape.member), _appended_under(member))
            # Clients name the items of a flattened list by the member or by the item: both are read.
            for spelling in {tag, shape.member.location_name or tag}:
                element.children[spelling] = entry
        elif shape.type == "map" and flat:
            element.children[tag] = (self._entry(shape), _put_under(member))
        else:
            element.children[tag] = (self._value(ref), _set(member))

    def _value(self, ref: Ref) -> Element:
        shape = self._model.shapes[ref.shape]
        if shape.type == "structure":
            return self.structure(ref.shape)
        if shape.type == "list":
            assert shape.member is not None
            element = Element("list")
            element.children[shape.member.location_name or "member"] = (self._value(shape.member), _append)
            return element
        if shape.type == "map":
            element = Element("map")
            element.children["entry"] = (self._entry(shape), _put)
            return element
        return Element("text", READERS.get(shape.type, str))

    def _entry(self, shape: Shape) -> Element:
        assert shape.key is not None and shape.value is not None
        element = Element("entry")
        element.children[shape.key.location_name or "key"] = (self._value(shape.key), _set("key"))
        element.children[shape.value.location_name or "value"] = (self._value(shape.value), _set("value"))
        return element


def read(text: bytes, element: Element, roots: frozenset[str]) -> dict[str, Any]:
    """The value of a document whose root is one of `roots`. Raises MalformedXml."""
    parse = _Parse(element, roots)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = parse.start
    parser.EndElementHandler = parse.end
    parser.CharacterDataHandler = parse.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # LookupError: an encoding that Python does not know
        raise MalformedXml(str(error)) from error
    result: dict[str, Any] = parse.result
    return result


class _Parse:
    __slots__ = ("_ignored", "_root", "_roots", "_stack", "_text", "result")

    def __init__(self, root: Element, roots: frozenset[str]) -> None:
        self.result: Any = {}
        self._root = root
        self._roots = roots
        self._stack: list[tuple[Element, Any, Attach | None]] = []
        self._text: list[str] = []
        self._ignored = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._ignored:
            self._ignored += 1
            return
        if len(self._stack) >= limits.INPUT_MAX_DEPTH:
            raise MalformedXml("nested too deeply")
        name = tag.rpartition(":")[2]
        if not self._stack:
            if name not in self._roots:
                raise MalformedXml(f"unexpected root element {name}")
            element, attach = self._root, None
        else:
            found = self._stack[-1][0].children.get(name)
            if found is None:
                self._ignored = 1
                return
            element, attach = found
        value: Any = [] if element.kind == "list" else {}
        for key, member in element.attributes.items():
            if key in attributes:
                value[member] = attributes[key]
        self._text.clear()
        self._stack.append((element, value, attach))

    def end(self, _tag: str) -> None:
        if self._ignored:
            self._ignored -= 1
            return
        element, value, attach = self._stack.pop()
        if element.read is not None:
            value = element.read("".join(self._text))
            self._text.clear()
        if attach is None:
            self.result = value
        else:
            attach(self._stack[-1][1], value)

    def data(self, text: str) -> None:
        if self._stack and not self._ignored and self._stack[-1][0].read is not None:
            self._text.append(text)


def _refuse_doctype(*_declaration: Any) -> None:
    raise MalformedXml("document type declarations are not accepted")


def _set(name: str) -> Attach:
    def attach(around: dict[str, Any], value: Any) -> None:
        around[name] = value

    return attach


def _append(around: list[Any], value: Any) -> None:
    around.append(value)


def _appended_under(name: str) -> Attach:
    def attach(around: dict[str, Any], value: Any) -> None:
        around.setdefault(name, []).append(value)

    return attach


def _put(around: dict[str, Any], entry: dict[str, Any]) -> None:
    if "key" not in entry or "value" not in entry:
        raise wrong("An entry of a map lacks its key or value")
    around[entry["key"]] = entry["value"]


def _put_under(name: str) -> Attach:
    def attach(around: dict[str, Any], entry: dict[str, Any]) -> None:
        _put(around.setdefault(name, {}), entry)

    return attach
