"""What is kept of traces: the spans of each trace, and the latest runs of each function."""

import msgspec

from haneul.base.finished import Finished
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Schema, Space


class Spans(msgspec.Struct, frozen=True, array_like=True):
    """Spans of one trace, or runs of one function, that were written together."""

    records: list[Finished]


TRACES: Space[Spans] = Space("traces", Spans)
"""By account, region, trace id and a number: a trace id begins with its start in seconds, so their order is time's."""
RUNS: Space[Spans] = Space("runs", Spans)
"""By account, region, function, time of writing and a number."""

SCHEMA = Schema("traces", 1, (TRACES, RUNS))


def trace_key(scope: Scope, trace_id: str) -> bytes:
    """What the keys of all rows of a trace begin with."""
    return keys.pack(scope.account, scope.region, trace_id)


def runs_key(scope: Scope, function: str) -> bytes:
    """What the keys of all rows of a function's runs begin with."""
    return keys.pack(scope.account, scope.region, function)
