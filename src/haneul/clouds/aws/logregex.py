"""The regular expressions of CloudWatch Logs filter patterns, matched in time that grows with the text and nothing else.

They have no groups: an expression is alternatives of atoms with a quantifier each (user guide, "Supported regular
expressions"). So the state of a match is a set of positions, one bit each, and what a character does to such a set is
worked out once and remembered. No backtracking, whatever the expression.
"""

import re
import string

from haneul.base import limits
from haneul.base.errors import Invalid

_LITERALS = frozenset(string.ascii_letters + string.digits + ":_#=@/;,- ")
_OPERATORS = frozenset("^$?[]{}|\\*+.")
_CLASSES = {"d": r"[0-9]", "D": r"[^0-9]", "s": r"\s", "S": r"\S", "w": r"[A-Za-z0-9_]", "W": r"[^A-Za-z0-9_]"}
_BOUNDS = re.compile(r"\{(\d{1,3})(?:(,)(\d{1,3})?)?\}")
_POSITIONS_MAX = 2_000
_REMEMBERED_MAX = 10_000

_Atom = tuple["re.Pattern[str]", bool, bool]
"""(one character, may repeat, may be left out)"""


class Regex:
    """A compiled expression; found(text) says whether it matches anywhere in the text."""

    def __init__(self, expression: str) -> None:
        """Raises Invalid for what the syntax does not offer."""
        if len(expression) > limits.LOG_REGEX_MAX_CHARS:
            raise _invalid(expression, f"longer than {limits.LOG_REGEX_MAX_CHARS} characters")
        self._alternatives = [_Alternative(*parsed) for parsed in _parse(expression)]

    def found(self, text: str) -> bool:
        return any(alternative.found(text) for alternative in self._alternatives)


class _Alternative:
    def __init__(self, atoms: list[_Atom], from_start: bool, to_end: bool) -> None:
        self._atoms = atoms
        self._from_start = from_start
        self._to_end = to_end
        self._done = 1 << len(atoms)
        self._first = self._closed(1)
        self._moves: dict[tuple[int, str], int] = {}

    def found(self, text: str) -> bool:
        state = self._first
        moves = self._moves
        if state & self._done and not (self._to_end and self._from_start and text):
            return True
        for character in text:
            after = moves.get((state, character))
            if after is None:
                after = self._moved(state, character)
            if after & self._done and not self._to_end:
                return True
            if not after and self._from_start:
                return False
            state = after
        return bool(state & self._done)

    def _moved(self, state: int, character: str) -> int:
        after = 0 if self._from_start else self._first
        for position, (accepts, repeats, _) in enumerate(self._atoms):
            if state >> position & 1 and accepts.match(character):
                after |= 1 << position + 1
                if repeats:
                    after |= 1 << position
        after = self._closed(after)
        if len(self._moves) >= _REMEMBERED_MAX:
            self._moves.clear()
        self._moves[state, character] = after
        return after

    def _closed(self, state: int) -> int:
        for position, (_, _, optional) in enumerate(self._atoms):
            if optional and state >> position & 1:
                state |= 1 << position + 1
        return state


def _parse(expression: str) -> list[tuple[list[_Atom], bool, bool]]:
    alternatives: list[tuple[list[_Atom], bool, bool]] = []
    atoms: list[_Atom] = []
    from_start = to_end = False
    at = 0
    while at < len(expression):
        character = expression[at]
        if character == "|":
            alternatives.append((atoms, from_start, to_end))
            atoms, from_start, to_end = [], False, False
            at += 1
        elif character == "^" and not atoms and not from_start:
            from_start = True
            at += 1
        elif character == "$" and not to_end:
            to_end = True
            at += 1
        elif to_end:
            raise _invalid(expression, "$ stands at the end only")
        else:
            accepts, at = _atom(expression, at)
            least, most, at = _quantifier(expression, at)
            atoms += _repeated(accepts, least, most)
            if len(atoms) > _POSITIONS_MAX:
                raise _invalid(expression, "too many repetitions")
    return [*alternatives, (atoms, from_start, to_end)]


def _atom(expression: str, at: int) -> tuple["re.Pattern[str]", int]:
    character = expression[at]
    if character == ".":
        return re.compile(r"."), at + 1
    if character == "[":
        end = expression.find("]", at + 2 + (expression[at + 1 : at + 2] == "^"))
        body = expression[at + 1 : end]
        if end < 0 or not all(each in _LITERALS or each in "^\\-.$*+?|{}" for each in body):
            raise _invalid(expression, "a class of characters is not closed, or holds what it may not")
        try:
            return re.compile(f"[{body}]"), end + 1
        except re.error as error:
            raise _invalid(expression, str(error)) from error
    if character == "\\":
        escaped = expression[at + 1 : at + 2]
        if escaped == "x" and re.fullmatch(r"[0-9A-Fa-f]{2}", expression[at + 2 : at + 4]):
            return re.compile(re.escape(chr(int(expression[at + 2 : at + 4], 16)))), at + 4
        if escaped in _CLASSES:
            return re.compile(_CLASSES[escaped]), at + 2
        if not escaped or escaped.isalnum() or ord(escaped) > 127:
            raise _invalid(expression, f"\\{escaped} means nothing")
        return re.compile(re.escape(escaped)), at + 2
    if character not in _LITERALS:
        said = "quantifies nothing" if character in _OPERATORS else "is not supported"
        raise _invalid(expression, f"{character} {said}")
    return re.compile(re.escape(character)), at + 1


def _quantifier(expression: str, at: int) -> tuple[int, int | None, int]:
    """(least, most, where the expression goes on); most None: without end."""
    character = expression[at : at + 1]
    if character and character in "?*+":
        return {"?": (0, 1), "*": (0, None), "+": (1, None)}[character] + (at + 1,)
    if character != "{":
        return 1, 1, at
    bounds = _BOUNDS.match(expression, at)
    if bounds is None:
        raise _invalid(expression, "{ begins no number of repetitions")
    least = int(bounds[1])
    most = None if bounds[2] and bounds[3] is None else int(bounds[3] or bounds[1])
    if most is not None and most < least:
        raise _invalid(expression, "the bounds of a repetition are the wrong way round")
    return least, most, bounds.end()


def _repeated(accepts: "re.Pattern[str]", least: int, most: int | None) -> list[_Atom]:
    once: _Atom = (accepts, False, False)
    if most is None:
        return [*[once] * (least - 1), (accepts, True, least == 0)]
    return [*[once] * least, *[(accepts, False, True)] * (most - least)]


def _invalid(expression: str, reason: str) -> Invalid:
    return Invalid("filter pattern", f"%{expression}%", reason)
