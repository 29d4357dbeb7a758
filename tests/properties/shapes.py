"""Seeded values for shapes of service models: right by every constraint, in the forms that operations are given."""

import random
import re
import string
from typing import Any

from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.patterns import satisfies
from haneul.clouds.aws.shapes import Ref, Shape

try:
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover - Python 3.10 spelling
    import sre_parse as parser

DEPTH_MAX = 4
_TEXTS = ("a", "abc", "Name-1", "x" * 40, "arn:aws:iam::123456789012:role/name", "1234567890ab", "a/b", "$.a", "1")
_UNICODE = "aé漢🙂 <&>\"'+%/?#=;:,~\n"


class Sampler:
    """fullness: how likely an optional member is (0: required members only, 1: every member). xml, form: leave out what
    XML documents, or the forms of the query protocol, cannot hold."""

    def __init__(
        self, model: ServiceModel, rng: random.Random, *, fullness: float, xml: bool = False, form: bool = False
    ) -> None:
        self.model = model
        self.rng = rng
        self.fullness = fullness
        self.xml = xml
        self.form = form

    def structure(self, name: str, depth: int = 0) -> dict[str, Any] | None:
        """None when a required member has a pattern that no sample satisfies."""
        shape = self.model.shapes[name]
        members = list(shape.members)
        if shape.union:
            members = [self.rng.choice(members)]
        value = {}
        for member in members:
            ref = shape.members[member]
            needed = member in shape.required or shape.union
            if not needed and (depth >= DEPTH_MAX or self.rng.random() >= self.fullness):
                continue
            if depth > DEPTH_MAX + 4 and not needed:
                continue
            made = self.value(ref, depth + 1)
            if made is not None:
                value[member] = made
            elif needed:
                return None
        if not value and self.form and depth:
            return None  # a form has no way of sending an empty structure
        return value

    def value(self, ref: Ref, depth: int = 0) -> Any:
        """A value, or None when the shape's pattern is one that no sample satisfies."""
        shape = self.model.shapes[ref.shape]
        kind = shape.type
        if shape.eventstream:
            return None
        if kind == "structure":
            return {"any": [1, "x"]} if shape.document else self.structure(ref.shape, depth)
        if kind == "list":
            assert shape.member is not None
            return self._list(shape, ref, depth)
        if kind == "map":
            return self._map(shape, depth)
        if kind in ("string", "character"):
            return self.text(ref, shape)
        if kind == "boolean":
            return self.rng.random() < 0.5
        if kind == "timestamp":
            return float(self.rng.randint(0, 4_000_000_000))
        if kind == "blob":
            low = int(shape.min or 0)
            return self.rng.randbytes(max(low, min(int(shape.max or 24), self.rng.randint(1, 24))))
        if kind in ("float", "double"):
            low = shape.min if shape.min is not None else -1000
            high = shape.max if shape.max is not None else 1000
            return round(self.rng.uniform(low, high), 3)
        low = int(shape.min) if shape.min is not None else -(2**31)
        high = int(shape.max) if shape.max is not None else 2**31 - 1
        return self.rng.choice((low, high, self.rng.randint(low, max(low, high))))

    def _list(self, shape: Shape, ref: Ref, depth: int) -> list[Any] | None:
        assert shape.member is not None
        low = int(shape.min or 0)
        count = max(low, 0 if depth > DEPTH_MAX else 1)
        if shape.max is None or shape.max > count:
            count += self.rng.randint(0, 1)
        items = [item for _ in range(count) if (item := self.value(shape.member, depth + 1)) is not None]
        if len(items) < low or (not items and (self.xml or ref.location)):
            return None
        return items

    def _map(self, shape: Shape, depth: int) -> dict[str, Any] | None:
        assert shape.key is not None and shape.value is not None
        low = int(shape.min or 0)
        entries: dict[str, Any] = {}
        for _ in range(max(low, 1) + 8):
            if len(entries) >= max(low, 1):
                break
            key, item = self.value(shape.key, depth + 1), self.value(shape.value, depth + 1)
            if key is not None and item is not None:
                entries[key] = item
        if len(entries) < low or not entries:
            return None
        return entries

    def text(self, ref: Ref, shape: Shape) -> str | None:
        enum = ref.enum or shape.enum
        if enum:
            return self.rng.choice(enum)
        low, high = int(shape.min or 0), int(shape.max if shape.max is not None else 2**20)
        outside = ref.location is not None
        for attempt in range(60):
            if shape.pattern is not None and attempt < 40:
                text = self._matching(shape.pattern)
            elif shape.pattern is not None or outside:
                text = self.rng.choice(_TEXTS)
            else:
                text = "".join(self.rng.choice(_UNICODE) for _ in range(self.rng.randint(1, 12)))
            if text is None:
                continue
            if len(text) < low:
                text = (text or "a") + (text[-1:] or "a") * (low - len(text))
            text = text[:high]
            if outside:
                text = text.strip()
                if not text or not text.isascii() or not text.isprintable() or "," in text:
                    continue
            if self.xml and not all(character in "\t\n" or character >= " " for character in text):
                continue
            if low <= len(text) <= high and (shape.pattern is None or satisfies(shape.pattern, text)):
                return text
        return None

    def _matching(self, pattern: str) -> str | None:
        try:
            tree = parser.parse(pattern.replace(r"\p{L}\p{Z}\p{N}_", r"\w "))
        except re.error:
            return None
        return "".join(self._emit(op, argument) for op, argument in tree)

    def _emit(self, op: Any, argument: Any) -> str:
        name = str(op)
        if name == "LITERAL":
            return chr(argument)
        if name == "NOT_LITERAL":
            return "a" if argument != ord("a") else "b"
        if name == "ANY":
            return self.rng.choice(string.ascii_letters)
        if name == "IN":
            return self._one_of(argument)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = argument
            count = self.rng.randint(low, min(int(high), low + 6))
            return "".join(self._emit(*item) for _ in range(count) for item in inner)
        if name == "SUBPATTERN":
            return "".join(self._emit(*item) for item in argument[-1])
        if name == "ATOMIC_GROUP":
            return "".join(self._emit(*item) for item in argument)
        if name == "BRANCH":
            return "".join(self._emit(*item) for item in self.rng.choice(argument[1]))
        return ""  # anchors and assertions: the result is checked as a whole

    def _one_of(self, choices: Any) -> str:
        if str(choices[0][0]) == "NEGATE":
            refused = {chr(argument) for op, argument in choices[1:] if str(op) == "LITERAL"}
            for op, argument in choices[1:]:
                if str(op) == "RANGE":
                    refused |= {chr(code) for code in range(argument[0], min(argument[1], 300) + 1)}
            allowed = [
                character for character in string.ascii_letters + string.digits + "~-é漢" if character not in refused
            ]
            return self.rng.choice(allowed) if allowed else ""
        op, argument = self.rng.choice(choices)
        if str(op) == "LITERAL":
            return chr(argument)
        if str(op) == "RANGE":
            low, high = argument
            return chr(self.rng.randint(low, min(high, max(low, 126))))
        category = str(argument)
        if category.endswith("DIGIT"):
            return self.rng.choice("0123456789" if "NOT" not in category else "abc")
        if category.endswith("SPACE"):
            return " " if "NOT" not in category else "a"
        return self.rng.choice("abcXYZ019_") if "NOT" not in category else "-"
