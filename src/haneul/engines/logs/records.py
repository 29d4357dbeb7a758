"""What the logs engine keeps: groups, streams, and chunks of events."""

import msgspec

from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Schema, Space

CHUNK_SPAN_MS = 1_000
"""All events of a chunk lie in one span of this length, counted from the epoch: how far a reader must look back."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """retention_days: 0 keeps events for ever. kind and key are the face's: a class of storage, an encryption key."""

    name: str
    created_ms: int
    retention_days: int = 0
    stored_bytes: int = 0
    kind: str = ""
    key: str = ""
    tags: dict[str, str] = {}
    protected: bool = False


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """first_ms, last_ms: the times of its oldest and newest event; 0 when it has none. ingested_ms: when the last came."""

    name: str
    created_ms: int
    first_ms: int = 0
    last_ms: int = 0
    ingested_ms: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one stream that arrived together, in order of time. Never changed once written.

    seq rises by arrival, over all chunks of the store.
    """

    stream: str
    seq: int
    ingested_ms: int
    times_ms: list[int]
    texts: list[str]


class Mark(msgspec.Struct, frozen=True):
    """Nothing but its key: where a chunk of a stream is."""


class Position(msgspec.Struct, frozen=True, order=True):
    """The place of an event: by time, then by arrival."""

    time_ms: int
    seq: int
    index: int


class Event(msgspec.Struct, frozen=True):
    """A line of a log, as it was written."""

    at: Position
    stream: str
    text: str
    ingested_ms: int

    @property
    def time_ms(self) -> int:
        return self.at.time_ms


GROUPS: Space[Group] = Space("groups", Group)
STREAMS: Space[Stream] = Space("streams", Stream)
CHUNKS: Space[Chunk] = Space("chunks", Chunk)
MARKS: Space[Mark] = Space("marks", Mark)

SCHEMA = Schema("logs", 1, (GROUPS, STREAMS, CHUNKS, MARKS))


def group_key(scope: Scope, group: str) -> bytes:
    return keys.pack(scope.account, scope.region, group)


def stream_key(scope: Scope, group: str, stream: str) -> bytes:
    return keys.pack(scope.account, scope.region, group, stream)


def chunk_key(scope: Scope, group: str, first_ms: int, seq: int) -> bytes:
    return keys.pack(scope.account, scope.region, group, first_ms, seq)


def mark_key(scope: Scope, group: str, stream: str, first_ms: int, seq: int) -> bytes:
    return keys.pack(scope.account, scope.region, group, stream, first_ms, seq)
