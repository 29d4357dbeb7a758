"""CloudWatch Logs filter patterns, compiled into plain predicates over the text of an event.

The grammar is that of the user guide, "Filter pattern syntax": terms, JSON conditions in {}, and columns in []. It is
bounded by the pattern's length, by two regular expressions per pattern, and by what a message may hold to be read as JSON.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from haneul.base import limits
from haneul.base.errors import Invalid

from .logregex import Regex

Predicate = Callable[[str], bool]
_Test = Callable[[Any], bool]
"""Whether one condition holds: of the decoded JSON, or of the columns by name."""

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%((?:[^%\\]|\\.)*)%|([^\s"%]+))(?=\s|$)')
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_TOKEN = re.compile(
    r'\s*(?:(&&|\|\||[()])|(!=|<=|>=|=|<|>)|("(?:[^"\\]|\\.)*")|(%(?:[^%\\]|\\.)*%)|((?:[^\s()=!<>&|"%]|&(?!&)|\|(?!\|))+))'
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_STEP = re.compile(r"\.?([A-Za-z_][\w-]*|\*)|\.?\[(?:(\d{1,6})|(\*)|'([^']*)'|\"([^\"]*)\")\]|\.(\d+)")
_COLUMN = re.compile(r'\s*(?:\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+))')
_DEPTH_MAX = 32
_MISSING = object()


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Predicate:
    """Whether an event's text matches. The empty pattern matches everything. Raises Invalid."""
    text = pattern.strip()
    if len(text) > limits.LOG_PATTERN_MAX_CHARS:
        raise _invalid(pattern, f"longer than {limits.LOG_PATTERN_MAX_CHARS} characters")
    if not text:
        return lambda message: True
    if text[0] == "{":
        if text[-1] != "}":
            raise _invalid(pattern, "{ is not closed")
        return _json_pattern(pattern, text[1:-1])
    if text[0] == "[":
        if text[-1] != "]":
            raise _invalid(pattern, "[ is not closed")
        return _column_pattern(pattern, text[1:-1])
    return _term_pattern(pattern, text)


def _term_pattern(pattern: str, text: str) -> Predicate:
    """All plain terms, none of the excluded; optional terms (any of them) count only when there is no other kind."""
    wanted: list[Predicate] = []
    excluded: list[Predicate] = []
    optional: list[Predicate] = []
    regexes = 0
    at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            raise _invalid(pattern, "a quotation or regular expression is not closed")
        sign, quoted, regex, word = term.groups()
        if regex is not None:
            regexes += 1
            found: Predicate = _regex(pattern, regex, regexes).found
        elif quoted is not None:
            found = _contains(_unquoted(quoted))
        elif re.fullmatch(r"[\w.]+", word):
            found = _contains(word)
        else:
            raise _invalid(pattern, f"Invalid character(s) in term '{word}'")
        {"": wanted, "-": excluded, "?": optional}[sign].append(found)
        at = term.end()
    if not wanted and not excluded:
        return lambda message: any(found(message) for found in optional)
    return lambda message: all(found(message) for found in wanted) and not any(found(message) for found in excluded)


def _json_pattern(pattern: str, text: str) -> Predicate:
    test = _Conditions(pattern, text, _selector).whole()

    def matches(message: str) -> bool:
        stripped = message.strip()
        if not stripped.startswith(("{", "[")) or len(stripped) > limits.LOG_JSON_MAX_BYTES:
            return False
        try:
            decoded = msgspec.json.decode(stripped)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return False
        return test(decoded)

    return matches


def _column_pattern(pattern: str, text: str) -> Predicate:
    names: list[str] = []
    tests: list[_Test] = []
    for part in _split_columns(text):
        if part in ("", "..."):
            names.append(part)
            continue
        conditions = _Conditions(pattern, part, _column)
        tests.append(conditions.whole())
        name = re.match(r"[\s(]*([\w-]+)", part)
        names.append(name[1] if name else "")
    if names.count("...") > 1:
        raise _invalid(pattern, "... may stand once")

    def matches(message: str) -> bool:
        values = _named(names, _columns(message))
        return values is not None and all(test(values) for test in tests)

    return matches


def _named(names: list[str], values: list[str]) -> dict[str, str] | None:
    """The columns by name; None when there are more or fewer of them than the pattern has."""
    if "..." not in names:
        return dict(zip(names, values, strict=True)) if len(names) == len(values) else None
    gap = names.index("...")
    behind = len(names) - gap - 1
    if len(values) < gap + behind:
        return None
    named = dict(zip(names[:gap], values, strict=False))
    if behind:
        named.update(zip(names[-behind:], values[-behind:], strict=True))
    return named


def _columns(message: str) -> list[str]:
    """Words; what stands in brackets or quotation marks is one."""
    return [next(part for part in found.groups() if part is not None) for found in _COLUMN.finditer(message)]


def _split_columns(text: str) -> list[str]:
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)*%|[^,"%])*(?:,|$)', text)
    trimmed = [part.rstrip(",").strip() for part in parts]
    return trimmed[:-1] if len(trimmed) > 1 and trimmed[-1] == "" and not text.rstrip().endswith(",") else trimmed


class _Conditions:
    """Conditions joined by && and ||, with parentheses; operand makes the way to a value out of a name."""

    def __init__(self, pattern: str, text: str, operand: Callable[[str, str], Callable[[Any], list[Any]]]) -> None:
        self._pattern = pattern
        self._operand = operand
        self._tokens = self._scan(text)
        self._at = 0
        self._depth = 0
        self._regexes = 0

    def whole(self) -> _Test:
        test = self._either()
        if self._at != len(self._tokens):
            raise _invalid(self._pattern, f"unexpected {self._tokens[self._at]}")
        return test

    def _scan(self, text: str) -> list[str]:
        tokens: list[str] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise _invalid(self._pattern, f"unexpected {text[at:].strip()[:20]}")
            tokens.append(found[0].strip())
            at = found.end()
        return tokens

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._peek() == "||":
            self._at += 1
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _both(self) -> _Test:
        tests = [self._one()]
        while self._peek() == "&&":
            self._at += 1
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _one(self) -> _Test:
        if self._peek() != "(":
            return self._condition()
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise _invalid(self._pattern, "nested too deeply")
        self._at += 1
        test = self._either()
        if self._next() != ")":
            raise _invalid(self._pattern, "( is not closed")
        self._depth -= 1
        return test

    def _condition(self) -> _Test:
        name = self._next()
        values = self._operand(self._pattern, name)
        operator = self._peek()
        if operator in ("IS", "NOT", "EXISTS"):
            return self._state(values)
        if operator not in _COMPARE:
            if self._operand is _selector:
                raise _invalid(self._pattern, f"{name} is compared with nothing")
            return lambda columns: True
        self._at += 1
        return _comparison(values, operator, self._value())

    def _state(self, values: Callable[[Any], list[Any]]) -> _Test:
        words = self._next()
        if words in ("IS", "NOT"):
            words += " " + self._next()
        match words:
            case "EXISTS":
                return lambda value: bool(values(value))
            case "NOT EXISTS":
                return lambda value: not values(value)
            case "IS NULL":
                return lambda value: any(found is None for found in values(value))
            case "IS TRUE":
                return lambda value: any(found is True for found in values(value))
            case "IS FALSE":
                return lambda value: any(found is False for found in values(value))
        raise _invalid(self._pattern, f"{words} is not a condition")

    def _value(self) -> "_Value":
        token = self._next()
        if token.startswith("%"):
            self._regexes += 1
            return _Value(token, None, _regex(self._pattern, token[1:-1], self._regexes).found)
        text = _unquoted(token[1:-1]) if token.startswith('"') else token
        if token in _COMPARE or token in ("&&", "||", "(", ")"):
            raise _invalid(self._pattern, f"unexpected {token}")
        number = float(token) if _NUMBER.fullmatch(token) else None
        return _Value(text, number, _wildcard(text) if "*" in text else None)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise _invalid(self._pattern, "it ends too early")
        self._at += 1
        return token


class _Value(msgspec.Struct, frozen=True):
    """What is compared with: text, perhaps also a number, perhaps a form (a wildcard or regular expression)."""

    text: str
    number: float | None
    form: Predicate | None


def _comparison(values: Callable[[Any], list[Any]], operator: str, value: _Value) -> _Test:
    return lambda subject: any(_compares(found, operator, value) for found in values(subject))


def _compares(found: Any, operator: str, value: _Value) -> bool:
    if operator in ("=", "!="):
        return _equals(found, value) == (operator == "=")
    if value.number is None or isinstance(found, bool):
        return False
    number = found if isinstance(found, int | float) else _as_number(found)
    return number is not None and _COMPARE[operator](number, value.number)


def _equals(found: Any, value: _Value) -> bool:
    if isinstance(found, bool | None):
        return {True: "true", False: "false", None: "null"}[found] == value.text
    if isinstance(found, dict | list):
        return False
    if value.number is not None and (number := _as_number(found)) is not None:
        return number == value.number
    text = found if isinstance(found, str) else msgspec.json.encode(found).decode()
    return value.form(text) if value.form is not None else text == value.text


def _as_number(found: Any) -> float | None:
    if isinstance(found, int | float):
        return float(found)
    return float(found) if isinstance(found, str) and _NUMBER.fullmatch(found) else None


def _selector(pattern: str, name: str) -> Callable[[Any], list[Any]]:
    """The way to the values that $.a.b[0] or $.a[*].b names in a JSON document; none when it leads nowhere."""
    if not name.startswith("$"):
        raise _invalid(pattern, f"{name} does not begin with $")
    steps: list[str | int] = []
    at = 1
    while at < len(name):
        step = _STEP.match(name, at)
        if step is None:
            raise _invalid(pattern, f"{name} is not a selector")
        key, index, every, single, double, digits = step.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append("*" if every else next(part for part in (key, single, double, digits) if part is not None))
        at = step.end()
    if not steps or steps.count("*") > 1:
        raise _invalid(pattern, f"{name} names nothing, or has more than one wildcard")

    def values(document: Any) -> list[Any]:
        found = [document]
        for step in steps:
            found = [below for each in found for below in _below(each, step)]
        return found

    return values


def _below(value: Any, step: str | int) -> list[Any]:
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list) and step < len(value) else []
    if step == "*":
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    found = value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
    return [] if found is _MISSING else [found]


def _column(pattern: str, name: str) -> Callable[[Any], list[Any]]:
    if not re.fullmatch(r"[\w-]+", name):
        raise _invalid(pattern, f"{name} is not the name of a column")
    return lambda columns: [columns[name]] if name in columns else []


def _regex(pattern: str, expression: str, number: int) -> Regex:
    if number > limits.LOG_REGEXES_MAX:
        raise _invalid(pattern, f"more than {limits.LOG_REGEXES_MAX} regular expressions")
    return Regex(expression)


def _wildcard(text: str) -> Predicate:
    """Text in which * stands for anything; its pieces are looked for one behind the other, so the cost is linear."""
    first, *middle, last = text.split("*")

    def matches(value: str) -> bool:
        if not value.startswith(first) or len(value) < len(first) + len(last):
            return False
        at = len(first)
        end = len(value) - len(last)
        for piece in middle:
            found = value.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return value.endswith(last)

    return matches


def _contains(text: str) -> Predicate:
    return lambda message: text in message


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _invalid(pattern: str, reason: str) -> Invalid:
    return Invalid("filter pattern", pattern, reason)
