"""Distributions that can be added up: counts in bands of ten percent, so that percentiles are right to within five."""

import math
from collections import Counter
from collections.abc import Sequence

from .records import Minute

_BAND = math.log(1.1)
ZERO = -1_000_000
"""The band of zero and below."""


def of(value: float) -> Minute:
    """The distribution of one value."""
    return Minute(1, value, value, value, {band(value): 1})


def of_all(values: Sequence[float]) -> Minute:
    """The distribution of some values, at least one."""
    return Minute(len(values), math.fsum(values), min(values), max(values), dict(Counter(map(band, values))))


def band(value: float) -> int:
    """Which band a value falls into."""
    return math.floor(math.log(value) / _BAND) if value > 0 else ZERO


def add(one: Minute, other: Minute) -> Minute:
    """Both together."""
    buckets = dict(one.buckets)
    for each, count in other.buckets.items():
        buckets[each] = buckets.get(each, 0) + count
    return Minute(
        one.count + other.count, one.sum + other.sum, min(one.least, other.least), max(one.most, other.most), buckets
    )


def percentile(minute: Minute, percent: float) -> float:
    """The value below which `percent` (0 to 100) of all values lie: the middle of its band, within least and most."""
    wanted = max(1, math.ceil(minute.count * percent / 100))
    seen = 0
    for each in sorted(minute.buckets):
        seen += minute.buckets[each]
        if seen >= wanted:
            middle = 0.0 if each == ZERO else math.exp((each + 0.5) * _BAND)
            return min(max(middle, minute.least), minute.most)
    return minute.most
