"""Reading events in order: chunks overlap in time, so they are merged; a page costs what it returns, and one span more."""

import heapq
from collections.abc import AsyncIterator, Callable

import msgspec

from haneul.base.limits import LOG_READ_CHUNKS, LOG_SEARCH_MAX_CHUNKS
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Store, within

from .records import CHUNK_SPAN_MS, CHUNKS, MARKS, Chunk, Event, Position, chunk_key, group_key, mark_key, stream_key

BEGINNING = Position(0, 0, 0)
END = Position(2**62, 0, 0)
_PRUNE_ABOVE = 256  # events: below this sorting what waits costs more than keeping it
_LATE_MS = 60_000  # how much later than it happened a line may arrive and still be seen by those who follow

Accepts = Callable[[str], bool]
"""Whether an event's text (or a stream's name) is wanted."""


def _everything(text: str) -> bool:
    return True


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Events from start_ms (included) to end_ms (excluded), strictly between the positions `after` and `before`."""

    start_ms: int = 0
    end_ms: int = 2**62
    after: Position = BEGINNING
    before: Position = END

    def holds(self, at: Position) -> bool:
        return self.start_ms <= at.time_ms < self.end_ms and self.after < at < self.before

    @property
    def first_ms(self) -> int:
        return max(self.start_ms, self.after.time_ms)

    @property
    def last_ms(self) -> int:
        return min(self.end_ms - 1, self.before.time_ms)


class Page(msgspec.Struct, frozen=True):
    """Events, in the order of reading. scanned: the place up to which was looked; more: whether there may be others."""

    events: list[Event]
    scanned: Position
    more: bool


class Source:
    """The chunks of a group, or of one of its streams, in order of their first event."""

    def __init__(self, store: Store, scope: Scope, group: str, stream: str | None = None) -> None:
        self._store = store
        self._scope = scope
        self._group = group
        self._stream = stream

    async def forward(self, window: Window) -> AsyncIterator[Chunk]:
        """Every chunk that may hold events of the window, the earliest first."""
        start = self._key(max(window.first_ms - CHUNK_SPAN_MS + 1, 0))
        end = self._key(max(window.last_ms + 1, 0))
        while page := await self._page(Range(start, end)):
            for _, chunk in page:
                yield chunk
            start = page[-1][0] + b"\0"

    async def backward(self, window: Window) -> AsyncIterator[Chunk]:
        """The same, the latest first."""
        start = self._key(max(window.first_ms - CHUNK_SPAN_MS + 1, 0))
        end = self._key(max(window.last_ms + 1, 0))
        while page := await self._page(Range(start, end, reverse=True)):
            for _, chunk in page:
                yield chunk
            end = page[-1][0]

    async def _page(self, range: Range) -> list[tuple[bytes, Chunk]]:
        if self._stream is None:
            return await self._store.scan(CHUNKS, range, LOG_READ_CHUNKS)
        found = []
        for key, _ in await self._store.scan(MARKS, range, LOG_READ_CHUNKS):
            *_, first_ms, seq = keys.unpack(key, "ssssii")
            chunk = await self._store.get(CHUNKS, chunk_key(self._scope, self._group, int(first_ms), int(seq)))
            if chunk is not None:
                found.append((key, chunk))
        return found

    def _key(self, time_ms: int) -> bytes:
        if self._stream is None:
            return chunk_key(self._scope, self._group, time_ms, 0)
        return mark_key(self._scope, self._group, self._stream, time_ms, 0)


async def search_forward(
    source: Source,
    window: Window,
    limit: int,
    max_bytes: int,
    *,
    streams: Accepts = _everything,
    accepts: Accepts = _everything,
) -> Page:
    """The first events of the window that are wanted: at most limit, and no more than max_bytes of text (but one at least).

    Gives up looking after LOG_SEARCH_MAX_CHUNKS chunks: page.scanned says how far it got.
    """
    found = _Finding(limit, max_bytes, accepts)
    heap: list[tuple[Position, Event]] = []
    scanned = window.after

    def settle(ceiling: Position) -> bool:
        """Take what no further chunk can come before. Whether there is room for more."""
        nonlocal scanned
        while heap and heap[0][0] < ceiling:
            if not found.take(heap[0][1]):
                return False
            scanned = heapq.heappop(heap)[0]
        return True

    chunks = 0
    async for chunk in source.forward(window):
        first = Position(chunk.times_ms[0], chunk.seq, 0)
        if not settle(first):
            return Page(found.events, scanned, True)
        if chunks == LOG_SEARCH_MAX_CHUNKS and first > window.after:
            # What was before this chunk has been looked at: go on right before it, or before what still waits.
            following = min(first, heap[0][0]) if heap else first
            return Page(found.events, Position(following.time_ms, following.seq, following.index - 1), True)
        chunks += first > window.after  # those that begin before it are read again by each page
        if streams(chunk.stream):
            for event in _events_of(chunk, window):
                heapq.heappush(heap, (event.at, event))
    return Page(found.events, scanned, True) if not settle(END) else Page(found.events, scanned, False)


async def search_backward(
    source: Source,
    window: Window,
    limit: int,
    max_bytes: int,
    *,
    streams: Accepts = _everything,
    accepts: Accepts = _everything,
) -> Page:
    """The last events of the window that are wanted, the latest first; within the same bounds."""
    found = _Finding(limit, max_bytes, _everything)
    pending: list[Event] = []
    scanned = window.before
    earliest_ms = 0  # what is older has no place on this page: enough that is newer has been found

    def settle(floor_ms: int) -> bool:
        """Take what no further chunk can come behind. Whether there is room for more."""
        nonlocal scanned
        pending.sort(key=_place)
        while pending and pending[-1].time_ms >= floor_ms:
            if not found.take(pending[-1]):
                return False
            scanned = pending.pop().at
        return True

    chunks = 0
    async for chunk in source.backward(window):
        floor_ms = (chunk.times_ms[0] // CHUNK_SPAN_MS + 1) * CHUNK_SPAN_MS
        if not settle(floor_ms):
            return Page(found.events, scanned, True)
        floor = Position(floor_ms, 0, 0)
        if chunks >= LOG_SEARCH_MAX_CHUNKS and not pending and floor < window.before:
            return Page(found.events, min(scanned, floor), True)
        chunks += 1
        if chunk.times_ms[-1] < earliest_ms or not streams(chunk.stream):
            continue
        pending += (each for each in _events_of(chunk, window) if each.time_ms >= earliest_ms and accepts(each.text))
        if len(pending) > 2 * limit + _PRUNE_ABOVE:
            pending.sort(key=_place)
            del pending[: -limit - 1]
            earliest_ms = pending[0].time_ms
    return Page(found.events, scanned, True) if not settle(0) else Page(found.events, scanned, False)


class _Finding:
    """Collects wanted events up to a page's bounds."""

    def __init__(self, limit: int, max_bytes: int, accepts: Accepts) -> None:
        self.events: list[Event] = []
        self._limit = limit
        self._max_bytes = max_bytes
        self._accepts = accepts
        self._size = 0

    def take(self, event: Event) -> bool:
        """Look at an event; False when it is wanted and does not fit any more."""
        if not self._accepts(event.text):
            return True
        size = len(event.text)
        if len(self.events) == self._limit or (self.events and self._size + size > self._max_bytes):
            return False
        self.events.append(event)
        self._size += size
        return True


async def newest(store: Store, scope: Scope, group: str, since: Position, limit: int) -> tuple[list[Event], Position]:
    """Events that arrived behind `since` (time_ms: of arrival; seq), whole chunks, in order of arrival; and where to go on.

    A line may arrive later than one with a later time; following by arrival misses none.
    """
    window = Window(start_ms=max(since.time_ms - _LATE_MS, 0))
    source = Source(store, scope, group)
    fresh = [chunk async for chunk in source.forward(window) if chunk.seq > since.seq]
    fresh.sort(key=lambda chunk: chunk.seq)
    events: list[Event] = []
    upto = since
    for chunk in fresh:
        if events and len(events) + len(chunk.texts) > limit:
            break
        events += _events_of(chunk, Window())
        upto = Position(chunk.ingested_ms, chunk.seq, 0)
    return sorted(events, key=_place), upto


def all_chunks(scope: Scope, group: str) -> Range:
    return within(group_key(scope, group))


def all_marks(scope: Scope, group: str, stream: str) -> Range:
    return within(stream_key(scope, group, stream))


def _events_of(chunk: Chunk, window: Window) -> list[Event]:
    found = []
    for index, (time_ms, text) in enumerate(zip(chunk.times_ms, chunk.texts, strict=True)):
        at = Position(time_ms, chunk.seq, index)
        if window.holds(at):
            found.append(Event(at, chunk.stream, text, chunk.ingested_ms))
    return found


def _place(event: Event) -> Position:
    return event.at
