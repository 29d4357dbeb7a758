"""The logs engine: groups, streams and events; fed by callers (put) and, as an Observer, by functions (logged)."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from haneul.base.batch import Batch
from haneul.base.env import Env, Timer
from haneul.base.errors import Failure, Invalid
from haneul.base.finished import Finished, Logged
from haneul.base.limits import LOG_PAGE_MAX_BYTES, LOG_PAGE_MAX_EVENTS, LOG_RETENTION_SWEEP_S, SCAN_MAX_ROWS
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.clearing import delete_range
from haneul.storage.store import Range, Store, within

from . import reading
from .groups import Groups
from .reading import Accepts, Page, Source, Window
from .records import CHUNK_SPAN_MS, CHUNKS, GROUPS, MARKS, STREAMS, Event, Group, Position, chunk_key, mark_key
from .tail import Tail, Tails
from .writing import Line, Lines, Writer

_DAY_MS = 86_400_000


class Accepted(msgspec.Struct, frozen=True):
    """What became of a put. Counts of events: too old for the window, past the group's retention, too far ahead."""

    expired: int = 0
    too_old: int = 0
    too_new: int = 0


class LogsEngine:
    """groups holds the operations on groups and streams; the rest is here. Reading sees what was logged before it."""

    def __init__(self, store: Store, env: Env, log: Log, *, ahead: Callable[[], None] | None = None) -> None:
        self.groups = Groups(store, env)
        self._store = store
        self._env = env
        self._writer = Writer(store, env)
        self._tails = Tails(env)
        self._batch: Batch[Logged] = Batch(env, log, "logs", self._write_logged, ahead=ahead)
        self._log = log
        self._sweeping: Timer | None = None

    def now_ms(self) -> int:
        """The time by which events are judged to be too old or too new: epoch milliseconds."""
        return self._env.now_ms()

    async def start(self) -> None:
        self._sweep_later()

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._tails.close()
        await self._batch.stop()

    async def flush(self) -> None:
        """Everything that was logged before this call can be read after it."""
        await self._batch.flush()

    def finished(self, record: Finished) -> None:
        """Nothing to do: what a function wrote comes through logged()."""

    def logged(self, record: Logged) -> None:
        self._batch.add(record)

    async def put(
        self, scope: Scope, group: str, stream: str, lines: Sequence[Line], *, oldest_ms: int, newest_ms: int
    ) -> Accepted:
        """Durably append events, in order of time, to a stream. Those before oldest_ms, past the group's retention, or
        behind newest_ms are left out and counted. Raises NotFound (the group or the stream)."""
        retention_days = (await self.groups.get(scope, group)).retention_days
        kept_from_ms = self._env.now_ms() - retention_days * _DAY_MS if retention_days else 0
        expired = sum(1 for time_ms, _ in lines if time_ms < kept_from_ms)
        too_old = sum(1 for time_ms, _ in lines if time_ms < oldest_ms)
        too_new = sum(1 for time_ms, _ in lines if time_ms > newest_ms)
        good = [line for line in lines if max(oldest_ms, kept_from_ms) <= line[0] <= newest_ms]
        if good:
            await self._write([Lines(scope, group, stream, good)], make=False)
        else:
            await self.groups.get_stream(scope, group, stream)
        return Accepted(expired, too_old, too_new)

    async def read(
        self,
        scope: Scope,
        group: str,
        stream: str,
        *,
        window: Window,
        backward: bool,
        limit: int = LOG_PAGE_MAX_EVENTS,
        max_bytes: int = LOG_PAGE_MAX_BYTES,
    ) -> Page:
        """A page of one stream: its first events, or, backward, its last (the latest first). Raises NotFound."""
        await self.flush()
        await self.groups.get_stream(scope, group, stream)
        source = Source(self._store, scope, group, stream)
        read = reading.search_backward if backward else reading.search_forward
        return await read(source, await self._kept(scope, group, window), limit, max_bytes)

    async def search(
        self,
        scope: Scope,
        group: str,
        *,
        window: Window,
        streams: Accepts,
        accepts: Accepts,
        backward: bool = False,
        limit: int = LOG_PAGE_MAX_EVENTS,
        max_bytes: int = LOG_PAGE_MAX_BYTES,
    ) -> Page:
        """The next wanted events of the wanted streams of a group; backward: the latest first. Raises NotFound.

        The page may be short, or empty, and yet have `more`.
        """
        await self.flush()
        kept = await self._kept(scope, group, window)
        source = Source(self._store, scope, group)
        look = reading.search_backward if backward else reading.search_forward
        return await look(source, kept, limit, max_bytes, streams=streams, accepts=accepts)

    async def tail(self, scope: Scope, groups: Sequence[str], *, streams: Accepts, accepts: Accepts) -> Tail:
        """Watch groups from now on. Raises NotFound, LimitExceeded."""
        for group in groups:
            await self.groups.get(scope, group)
        return self._tails.open(scope, frozenset(groups), streams, accepts)

    async def last(self, scope: Scope, group: str, *, limit: int, after: str = "") -> dict[str, Any]:
        """For those who follow a group: its last events, or, given the `after` of the answer before, those that came since.

        {"events": [{"time_ms", "stream", "text"}], "after": where to go on}. Raises NotFound, Invalid (after).
        """
        await self.flush()
        await self.groups.get(scope, group)
        if after:
            events, upto = await reading.newest(self._store, scope, group, _position(after), limit)
        else:
            source = Source(self._store, scope, group)
            window = await self._kept(scope, group, Window())
            events = (await reading.search_backward(source, window, limit, LOG_PAGE_MAX_BYTES)).events[::-1]
            upto = max(
                (Position(event.ingested_ms, event.at.seq, 0) for event in events),
                key=lambda position: position.seq,
                default=Position(self._env.now_ms(), 0, 0),
            )
        return {
            "events": [{"time_ms": event.time_ms, "stream": event.stream, "text": event.text} for event in events],
            "after": f"{upto.time_ms}-{upto.seq}",
        }

    async def reset(self, account: str | None) -> None:
        """Forget everything of an account, or everything."""
        await self.flush()
        range = within(keys.pack(account)) if account is not None else Range()
        for space in (MARKS, CHUNKS, STREAMS, GROUPS):
            await delete_range(self._store, space, range)

    async def sweep(self) -> int:
        """Delete the chunks that are past their group's retention; how many."""
        deleted = 0
        start = b""
        while page := await self._store.scan(GROUPS, Range(start), SCAN_MAX_ROWS):
            for key, group in page:
                if group.retention_days:
                    account, region, _ = keys.unpack(key, "sss")
                    deleted += await self._expire(Scope(str(account), str(region)), group)
            start = page[-1][0] + b"\0"
        return deleted

    async def _expire(self, scope: Scope, group: Group) -> int:
        floor_ms = self._env.now_ms() - group.retention_days * _DAY_MS - CHUNK_SPAN_MS
        range = Range(chunk_key(scope, group.name, 0, 0), chunk_key(scope, group.name, max(floor_ms, 0), 0))
        deleted = 0
        while page := await self._store.scan(CHUNKS, range, 500):
            marks = [
                (key, mark_key(scope, group.name, chunk.stream, chunk.times_ms[0], chunk.seq)) for key, chunk in page
            ]

            def work(txn: Any, marks: list[tuple[bytes, bytes]] = marks) -> None:
                for key, mark in marks:
                    txn.delete(CHUNKS, key)
                    txn.delete(MARKS, mark)

            await self._store.transact(work)
            deleted += len(page)
        return deleted

    async def _kept(self, scope: Scope, group: str, window: Window) -> Window:
        """The window without what is past the group's retention."""
        days = (await self.groups.get(scope, group)).retention_days
        if not days:
            return window
        kept_from_ms = self._env.now_ms() - days * _DAY_MS
        return msgspec.structs.replace(window, start_ms=max(window.start_ms, kept_from_ms))

    async def _write_logged(self, records: list[Logged]) -> None:
        by_stream: dict[tuple[Scope, str, str], list[Line]] = {}
        for record in records:
            lines = by_stream.setdefault((record.scope, record.group, record.stream), [])
            lines += ((time_ms, f"{text}\n") for time_ms, text in record.lines)
        await self._write([Lines(*where, lines) for where, lines in by_stream.items()], make=True)

    async def _write(self, batches: list[Lines], *, make: bool) -> None:
        written = await self._writer.write(batches, make=make)
        if not self._tails.watching:
            return
        for batch, chunks in written:
            events = [
                Event(Position(time_ms, chunk.seq, index), chunk.stream, text, chunk.ingested_ms)
                for chunk in chunks
                for index, (time_ms, text) in enumerate(zip(chunk.times_ms, chunk.texts, strict=True))
            ]
            self._tails.offer(batch.scope, batch.group, events)

    def _sweep_later(self) -> None:
        self._sweeping = self._env.call_later(LOG_RETENTION_SWEEP_S, self._sweep_now)

    def _sweep_now(self) -> None:
        self._env.spawn(self._sweep(), name="logs retention")

    async def _sweep(self) -> None:
        try:
            await self.sweep()
        except Failure as failure:
            self._log.warning("logs retention", reason=str(failure))
        self._sweep_later()


def _position(text: str) -> Position:
    time_ms, _, seq = text.partition("-")
    if not (time_ms.isdigit() and seq.isdigit() and len(text) < 40):
        raise Invalid("position", text, "not one that was given out")
    return Position(int(time_ms), int(seq), 0)
