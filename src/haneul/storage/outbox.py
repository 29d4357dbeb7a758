"""The outbox: rows of "tell X that Y happened", written in the same transaction as Y; delivery/ reads and settles them."""

import msgspec

from haneul.base.scope import Scope
from haneul.base.trace import Trace

from . import keys
from .store import Space, Txn


class Target(msgspec.Struct, frozen=True):
    """Whom to tell. kind: "function" (later "queue", "topic", "bus", …); name and qualifier as that engine knows them."""

    kind: str
    scope: Scope
    name: str
    qualifier: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """One event for one target. Repeated until done, so a target may see it more than once, always under the same id.

    id          the event's id for this target (a UUID): the request id of an asynchronous invocation
    source      the engine that wrote it: "objects", "functions"
    format      the name of the encoder that turns `event` into the target's payload; "raw" hands it over as it is
    event       the engine's own event struct as msgpack, or the payload itself when format is "raw"
    attempt     how many attempts have been made
    due_ms      not before; epoch milliseconds
    """

    id: str
    target: Target
    source: str
    format: str
    event: bytes
    created_ms: int
    due_ms: int
    trace: Trace
    attempt: int = 0
    last_error: str = ""


OUTBOX: Space[Delivery] = Space("outbox", Delivery, feed=False)
"""Each engine that causes events lists this space in its Schema: its own file has its own outbox."""


def row_key(row: Delivery) -> bytes:
    """Rows stand in the order in which they fall due."""
    return keys.pack(row.due_ms, row.id)


def enqueue(txn: Txn, row: Delivery) -> None:
    """Write the row beside the change that caused it."""
    txn.put(OUTBOX, row_key(row), row)
