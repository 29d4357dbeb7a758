"""Regular expressions of service models: compiled for Python where that is possible and safe to run."""

import re
from functools import lru_cache

from haneul.base import limits

# Java's Unicode classes in the only spelling the models use them in: inside [...]. \w is letters, numbers and "_";
# the class that the tag patterns share always allows "_" too, so the translation is exact for it.
_TAG_CLASSES = (r"\p{L}\p{Z}\p{N}_", r"\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000")
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*[+*](?:[^()\\]|\\.)*\)(?:[+*]|\{\d+,\})")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str] | None:
    """A matcher for whole values, or None for a pattern that Python cannot compile or that could take exponential
    time (a repeated group that itself ends in a repetition)."""
    text = pattern.replace(*_TAG_CLASSES)
    if _may_explode(text):
        return None
    # Java's \w and \d are ASCII, unlike Python's; said inside the pattern, because msgspec compiles it once more.
    group = "?a:" if text == pattern else "?:"
    try:
        return re.compile(rf"({group}{text})\Z")
    except re.error:
        return None


def satisfies(pattern: str, value: str) -> bool:
    """Whether a value matches as a whole. Patterns that are not checked, and values too long to check, satisfy."""
    matcher = compiled(pattern)
    return matcher is None or len(value) > limits.PATTERN_INPUT_MAX_CHARS or matcher.match(value) is not None


def _may_explode(pattern: str) -> bool:
    """True when an unbounded group contains an unbounded repetition at any depth: (a+)+ and its like."""
    reduced = re.sub(r"\[(?:\^?\])?(?:[^\]\\]|\\.)*\]", "x", pattern)
    reduced = re.sub(r"\\.", "x", reduced)
    while True:
        if _NESTED.search(reduced):
            return True
        # An innermost group becomes one character, keeping the fact that something in it repeats without bound.
        shrunk = re.sub(
            r"\((?:\?(?::|=|!|<=|<!|P<\w+>))?([^()]*)\)",
            lambda group: "(~" if re.search(r"[+*]|\{\d+,\}", group[1]) else "x",
            reduced,
            count=1,
        ).replace("(~", "x+")
        if shrunk == reduced:
            return False
        reduced = shrunk
