"""Patterns with wildcards and variables, matched in linear time: user-written text must never cost more to test."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec

from haneul.base.limits import PATTERN_CACHE_MAX

ANY = 0
"""Any run of characters, also an empty one."""

ONE = 1
"""Any one character."""


class Variable(msgspec.Struct, frozen=True, array_like=True):
    """The value of a context key, as it stands in the request; default when the request has none (None: no match)."""

    key: str
    default: str | None = None


Pattern = tuple[str | int | Variable, ...]
"""Literal text, ANY, ONE and variables in a row."""

Filled = tuple[str | int, ...]
"""A pattern without variables."""

Matcher = Callable[[str], bool]
Context = Mapping[str, Sequence[str]]
"""What is known about a request: values by lower-case key."""


def matcher(pattern: Pattern, context: Context) -> Matcher | None:
    """The test of a text against the pattern, or None when a variable has no single value in this request."""
    filled = fill(pattern, context)
    return None if filled is None else compile_filled(filled)


def has_variables(pattern: Pattern) -> bool:
    """Whether what it matches depends on the request."""
    return any(type(part) is Variable for part in pattern)


def variables(pattern: Pattern) -> set[str]:
    """The context keys that it takes values from."""
    return {part.key for part in pattern if isinstance(part, Variable)}


def fill(pattern: Pattern, context: Context) -> Filled | None:
    """The pattern with each variable replaced by its value: a value is plain text, its * and ? are not wildcards."""
    parts: list[str | int] = []
    for part in pattern:
        if isinstance(part, Variable):
            values = context.get(part.key)
            value = values[0] if values is not None and len(values) == 1 else part.default
            if value is None:
                return None
            parts.append(value)
        else:
            parts.append(part)
    return tuple(parts)


@lru_cache(maxsize=PATTERN_CACHE_MAX)
def compile_filled(pattern: Filled) -> Matcher:
    """The test of a text against a pattern, built once."""
    pieces: list[list[str | None]] = [[]]  # runs of characters between ANYs; None stands for ONE
    for part in pattern:
        if part == ANY and type(part) is int:
            pieces.append([])
        elif part == ONE and type(part) is int:
            pieces[-1].append(None)
        else:
            pieces[-1].extend(str(part))
    if len(pieces) == 1:
        return _exactly(pieces[0])
    head, *middle, tail = pieces
    middle = [piece for piece in middle if piece]
    if not middle and None not in head and None not in tail:
        return _between("".join(map(str, head)), "".join(map(str, tail)))
    return _in_order(head, [_finder(piece) for piece in middle], tail)


def _exactly(piece: list[str | None]) -> Matcher:
    if None not in piece:
        return "".join(map(str, piece)).__eq__
    return lambda text: len(text) == len(piece) and _same(piece, text)


def _between(head: str, tail: str) -> Matcher:
    if not head and not tail:
        return lambda text: True
    if not tail:
        return lambda text: text.startswith(head)
    least = len(head) + len(tail)
    return lambda text: len(text) >= least and text.startswith(head) and text.endswith(tail)


def _in_order(head: list[str | None], finders: list[Callable[[str, int, int], int]], tail: list[str | None]) -> Matcher:
    """The leftmost place of each piece in turn: what is left for the rest is never less than any other choice leaves."""

    def match(text: str) -> bool:
        at, end = len(head), len(text) - len(tail)
        if at > end or not _same(head, text[:at]) or not _same(tail, text[end:]):
            return False
        for find in finders:
            at = find(text, at, end)
            if at < 0:
                return False
        return True

    return match


def _same(piece: list[str | None], text: str) -> bool:
    return all(wanted is None or wanted == found for wanted, found in zip(piece, text, strict=True))


def _finder(piece: list[str | None]) -> Callable[[str, int, int], int]:
    """Finds the first place of the piece in text[start:end]; answers where the place ends, or -1."""
    if None not in piece:
        needle = "".join(map(str, piece))

        def find(text: str, start: int, end: int) -> int:
            found = text.find(needle, start, end)
            return -1 if found < 0 else found + len(needle)

        return find
    return _shift_and(piece)


def _shift_and(piece: list[str | None]) -> Callable[[str, int, int], int]:
    """Baeza-Yates and Gonnet's Shift-And: bit i of the state says that the last i + 1 characters fit the piece."""
    wild = sum(1 << at for at, wanted in enumerate(piece) if wanted is None)
    masks: dict[str, int] = {}
    for at, wanted in enumerate(piece):
        if wanted is not None:
            masks[wanted] = masks.get(wanted, wild) | 1 << at
    done = 1 << (len(piece) - 1)

    def find(text: str, start: int, end: int) -> int:
        state = 0
        for at in range(start, end):
            state = (state << 1 | 1) & masks.get(text[at], wild)
            if state & done:
                return at + 1
        return -1

    return find
