"""What is kept of metrics: one distribution per minute, metric and resource."""

import msgspec

from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Schema, Space


class Minute(msgspec.Struct, frozen=True, array_like=True):
    """The values of one minute. buckets: how many values fell into each band of ten percent; see distribution.py."""

    count: int
    sum: float
    least: float
    most: float
    buckets: dict[int, int]


MINUTES: Space[Minute] = Space("minutes", Minute)

SCHEMA = Schema("metrics", 1, (MINUTES,))


def minute_key(scope: Scope, source: str, name: str, resource: str, minute: int) -> bytes:
    """By what is measured, then by time (minutes since the epoch)."""
    return keys.pack(scope.account, scope.region, source, name, resource, minute)
