"""What is kept of traces: the spans of each trace, and the latest runs of each function."""

import msgspec

from haneul.base.finished import Finished
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Schema, Space

SLICE_DIGITS = 9


class Spans(msgspec.Struct, frozen=True, array_like=True):
    """Spans of the traces of one slice of time, or runs of one function, that were written together."""

    records: list[Finished]


TRACES: Space[Spans] = Space("traces", Spans)
"""By account, region, the beginning of the trace id and numbers. A trace id begins with its start in seconds, so their
order is time's; SLICE_DIGITS of it are sixteen slices of a second: under load a row holds hundreds of spans, where a
row for each trace cost 7 µs of every request, and still one trace is found without reading more than its slice."""
RUNS: Space[Spans] = Space("runs", Spans)
"""By account, region, function, time of writing and a number."""

SCHEMA = Schema("traces", 1, (TRACES, RUNS))


def trace_key(scope: Scope, trace_id: str) -> bytes:
    """What the keys of all rows that may hold spans of a trace begin with."""
    return keys.pack(scope.account, scope.region, trace_id[:SLICE_DIGITS])


def runs_key(scope: Scope, function: str) -> bytes:
    """What the keys of all rows of a function's runs begin with."""
    return keys.pack(scope.account, scope.region, function)
