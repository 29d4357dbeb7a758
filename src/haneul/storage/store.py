"""Store: ordered keys in typed spaces, changed by transactions; what every engine keeps its state in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from . import keys

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")


class Space(msgspec.Struct, Generic[R], frozen=True):
    """A named family of records of one type. feed: its changes are kept in order for changes() and on_change()."""

    name: str
    record: type[R]
    feed: bool = False


class Schema(msgspec.Struct, frozen=True):
    """What one kind of engine keeps: its file's name, its version, its spaces.

    migrations[n] turns the rows of version n into those of version n + 1: it is handed the raw rows of each space by
    name, as (key, msgpack value), and returns the rows to keep instead.
    """

    kind: str
    version: int
    spaces: tuple[Space[Any], ...]
    migrations: Mapping[
        int, Callable[[dict[str, list[tuple[bytes, bytes]]]], dict[str, list[tuple[bytes, bytes]]]]
    ] = {}


class Range(msgspec.Struct, frozen=True):
    """Keys from start (included) up to end (excluded; None: to the last), in order, or from the last when reverse."""

    start: bytes = b""
    end: bytes | None = None
    reverse: bool = False


def within(start: bytes, *, reverse: bool = False) -> Range:
    """The range of all keys that begin with `start`."""
    return Range(start, keys.after(start), reverse)


class Change(msgspec.Struct, Generic[R], frozen=True):
    """One committed change of a space with a feed. seq rises by commit order; record is None for a deletion."""

    seq: int
    key: bytes
    record: R | None


class Txn(Protocol):
    """What `work` of a transaction sees: the state before it, with its own changes. Never kept after work returns."""

    def get(self, space: Space[R], key: bytes) -> R | None:
        """The record; the key must be one of those that transact() was given, or one that this work wrote."""
        ...

    def scan(self, space: Space[R], range: Range, limit: int) -> list[tuple[bytes, R]]:
        """At most limit records in key order; the space must be one of transact()'s `scans`."""
        ...

    def put(self, space: Space[R], key: bytes, record: R) -> None: ...

    def delete(self, space: Space[Any], key: bytes) -> None:
        """Remove the record if it is there."""
        ...


class Store(Protocol):
    """The contract; tests/contract/test_store.py holds every implementation to it."""

    async def get(self, space: Space[R], key: bytes) -> R | None:
        """The committed record."""
        ...

    async def scan(self, space: Space[R], range: Range, limit: int) -> list[tuple[bytes, R]]:
        """At most limit (1 to SCAN_MAX_ROWS) committed records in the range's order; go on from the last key + b"\\0"."""
        ...

    async def transact(
        self,
        work: Callable[[Txn], T],
        *,
        keys: Sequence[tuple[Space[Any], bytes]] = (),
        scans: Sequence[Space[Any]] = (),
    ) -> T:
        """Run work alone against the state, commit its changes together, and return its result once they are durable.

        work is plain and quick: no awaits, no I/O, no side effects; it may run on another thread and more than once.
        When it raises, nothing of it is kept, its neighbours are not affected, and the exception is raised here.
        keys names what it reads by key, scans the spaces it reads by range. Raises Unavailable when the queue is full
        (WRITE_QUEUE_MAX), the store is closed, or the disk refuses.

        A caller that is cancelled meanwhile is told the outcome all the same, and cancelled where it waits next: what
        it does right behind the commit, without a wait, is always done.
        """
        ...

    async def changes(self, space: Space[R], after: int, limit: int) -> list[Change[R]]:
        """Committed changes of a space with a feed, in order, from the first behind `after`; none is ever skipped."""
        ...

    def on_change(self, space: Space[Any], callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the event loop after each commit that changed the space. Returns the way to stop it."""
        ...

    async def close(self) -> None:
        """Finish what is queued, then release the file. Later calls raise Unavailable."""
        ...
