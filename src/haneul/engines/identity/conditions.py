"""Conditions of a statement: tests of what is known about a request, with the rules for missing and several values."""

import ipaddress
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal

import msgspec

from haneul.base.limits import ADDRESS_CACHE_MAX

from .pattern import Context, Filled, Pattern, compile_filled, fill, matcher, variables

Test = Literal[
    "text",
    "text_ignore_case",
    "text_like",
    "segments_like",
    "number_equals",
    "number_less",
    "number_at_most",
    "number_greater",
    "number_at_least",
    "time_equals",
    "time_before",
    "time_until",
    "time_after",
    "time_from",
    "bool",
    "binary",
    "address",
    "absent",
]
"""segments_like: up to six parts between colons, each matched on its own. absent: whether the key is missing at all."""


class Condition(msgspec.Struct, frozen=True):
    """Holds when a value of the key passes the test against one of the values; negated: when it passes against none.

    key          lower case
    if_exists    also holds when the request has no such key
    quantifier   of a key with several values: "any" of them, "all" of them, or "" as for a single one
    """

    test: Test
    key: str
    values: tuple[Pattern, ...]
    negated: bool = False
    if_exists: bool = False
    quantifier: Literal["", "any", "all"] = ""


def holds(condition: Condition, context: Context, consulted: set[str]) -> bool:
    """Whether it holds; the keys whose values decided are added to consulted."""
    consulted.add(condition.key)
    found = context.get(condition.key)
    if condition.test == "absent":
        wanted = {_text(value, context) for value in condition.values}
        return ("true" if found is None else "false") in wanted
    if not found:
        return _without_value(condition)
    for value in condition.values:
        consulted |= variables(value)

    def passes(value: str) -> bool:
        return _TESTS[condition.test](value, condition.values, context) is not condition.negated

    if condition.quantifier == "all":
        return all(map(passes, found))
    if condition.quantifier == "any" or not condition.negated:
        return any(map(passes, found))
    return all(map(passes, found))


def _without_value(condition: Condition) -> bool:
    # IAM reference, "Condition operators": a negated test is true when the key is missing; ForAllValues is true and
    # ForAnyValue is false for an empty set.
    if condition.if_exists or condition.quantifier == "all":
        return True
    return condition.negated and condition.quantifier == ""


def _text(value: Pattern, context: Context) -> str | None:
    filled = fill(value, context)
    return None if filled is None else "".join(part if isinstance(part, str) else "*?"[part] for part in filled)


def _texts(values: Sequence[Pattern], context: Context) -> list[str]:
    return [text for value in values if (text := _text(value, context)) is not None]


def _is_text(found: str, values: Sequence[Pattern], context: Context) -> bool:
    return found in _texts(values, context)


def _is_text_ignoring_case(found: str, values: Sequence[Pattern], context: Context) -> bool:
    folded = found.casefold()
    return any(text.casefold() == folded for text in _texts(values, context))


def _is_like(found: str, values: Sequence[Pattern], context: Context) -> bool:
    return any((matches := matcher(value, context)) is not None and matches(found) for value in values)


def _has_segments_like(found: str, values: Sequence[Pattern], context: Context) -> bool:
    return any((filled := fill(value, context)) is not None and _segments_match(found, filled) for value in values)


def _segments_match(found: str, pattern: Filled) -> bool:
    segments = split_segments(pattern)
    if len(segments) == 1:
        return compile_filled(segments[0])(found)
    texts = found.split(":", 5)
    return len(texts) == len(segments) and all(
        compile_filled(segment)(text) for segment, text in zip(segments, texts, strict=True)
    )


def split_segments(pattern: Filled) -> list[Filled]:
    """The pattern cut at its first five colons."""
    segments: list[list[str | int]] = [[]]
    for part in pattern:
        if not isinstance(part, str):
            segments[-1].append(part)
            continue
        head, *rest = part.split(":", 6 - len(segments)) if len(segments) < 6 else [part]
        segments[-1].append(head)
        segments.extend([piece] for piece in rest)
    return [tuple(segment) for segment in segments]


def _is_bool(found: str, values: Sequence[Pattern], context: Context) -> bool:
    return found.lower() in {text.lower() for text in _texts(values, context)}


def _number(text: str) -> Decimal | None:
    if len(text) > 64:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _time(text: str) -> float | None:
    """Epoch seconds of an ISO 8601 date or of a number of seconds."""
    number = _number(text)
    if number is not None and -(10**12) < number < 10**12:
        return float(number)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _ordered(
    read: Callable[[str], Decimal | float | None], compare: Callable[[Decimal | float, Decimal | float], bool]
) -> Callable[[str, Sequence[Pattern], Context], bool]:
    def test(found: str, values: Sequence[Pattern], context: Context) -> bool:
        left = read(found)
        if left is None:
            return False
        return any((right := read(text)) is not None and compare(left, right) for text in _texts(values, context))

    return test


@lru_cache(maxsize=ADDRESS_CACHE_MAX)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_address_in(found: str, values: Sequence[Pattern], context: Context) -> bool:
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    return any((network := _network(text)) is not None and address in network for text in _texts(values, context))


_TESTS: dict[str, Callable[[str, Sequence[Pattern], Context], bool]] = {
    "text": _is_text,
    "text_ignore_case": _is_text_ignoring_case,
    "text_like": _is_like,
    "segments_like": _has_segments_like,
    "number_equals": _ordered(_number, lambda a, b: a == b),
    "number_less": _ordered(_number, lambda a, b: a < b),
    "number_at_most": _ordered(_number, lambda a, b: a <= b),
    "number_greater": _ordered(_number, lambda a, b: a > b),
    "number_at_least": _ordered(_number, lambda a, b: a >= b),
    "time_equals": _ordered(_time, lambda a, b: a == b),
    "time_before": _ordered(_time, lambda a, b: a < b),
    "time_until": _ordered(_time, lambda a, b: a <= b),
    "time_after": _ordered(_time, lambda a, b: a > b),
    "time_from": _ordered(_time, lambda a, b: a >= b),
    "bool": _is_bool,
    "binary": _is_text,
    "address": _is_address_in,
}
