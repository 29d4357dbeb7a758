"""Writing events: lines become chunks, and chunks, streams and groups are changed in one transaction."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from haneul.base.env import Env
from haneul.base.errors import NotFound
from haneul.base.limits import LOG_CHUNK_MAX_CHARS, LOG_CHUNK_MAX_EVENTS, LOG_WRITE_CHUNKS
from haneul.base.scope import Scope
from haneul.storage.store import Space, Store, Txn

from .records import (
    CHUNK_SPAN_MS,
    CHUNKS,
    GROUPS,
    MARKS,
    STREAMS,
    Chunk,
    Group,
    Mark,
    Stream,
    chunk_key,
    group_key,
    mark_key,
    stream_key,
)

Line = tuple[int, str]
"""(epoch milliseconds, text)"""

_EVENT_OVERHEAD_BYTES = 26  # what CloudWatch Logs counts for each event beside its text


class Lines(msgspec.Struct, frozen=True):
    """Lines of one stream, on their way into the store."""

    scope: Scope
    group: str
    stream: str
    lines: list[Line]


class Writer:
    """Numbers chunks by arrival, also across restarts."""

    def __init__(self, store: Store, env: Env) -> None:
        self._store = store
        self._env = env
        self._last_seq = 0

    async def write(self, batches: Iterable[Lines], *, make: bool) -> list[tuple[Lines, list[Chunk]]]:
        """Durably write. make: groups and streams that are missing are made; else NotFound is raised, for all."""
        now_ms = self._env.now_ms()
        written = [(batch, list(self._chunks(batch, now_ms))) for batch in batches]
        parts = [(batch, chunk) for batch, chunks in written for chunk in chunks]
        for at in range(0, len(parts), LOG_WRITE_CHUNKS):
            await self._write_some(parts[at : at + LOG_WRITE_CHUNKS], now_ms, make=make)
        return written

    async def _write_some(self, parts: list[tuple[Lines, Chunk]], now_ms: int, *, make: bool) -> None:
        streams = {stream_key(batch.scope, batch.group, batch.stream): batch for batch, _ in parts}
        groups = {group_key(batch.scope, batch.group): batch.group for batch in streams.values()}

        def work(txn: Txn) -> None:
            held_groups = {key: txn.get(GROUPS, key) for key in groups}
            held_streams = {key: txn.get(STREAMS, key) for key in streams}
            for batch, chunk in parts:
                group_place = group_key(batch.scope, batch.group)
                stream_place = stream_key(batch.scope, batch.group, batch.stream)
                group, stream = held_groups[group_place], held_streams[stream_place]
                if group is None or stream is None:
                    if not make:
                        raise NotFound(*(("log group", batch.group) if group is None else ("log stream", batch.stream)))
                    group = group or Group(name=batch.group, created_ms=now_ms)
                    stream = stream or Stream(name=batch.stream, created_ms=now_ms)
                held_groups[group_place] = _grown(group, chunk)
                held_streams[stream_place] = _extended(stream, chunk)
                first_ms = chunk.times_ms[0]
                txn.put(CHUNKS, chunk_key(batch.scope, batch.group, first_ms, chunk.seq), chunk)
                txn.put(MARKS, mark_key(batch.scope, batch.group, batch.stream, first_ms, chunk.seq), Mark())
            for key, group in held_groups.items():
                if group is not None:
                    txn.put(GROUPS, key, group)
            for key, stream in held_streams.items():
                if stream is not None:
                    txn.put(STREAMS, key, stream)

        keys: list[tuple[Space[Any], bytes]] = [(GROUPS, key) for key in groups]
        keys += ((STREAMS, key) for key in streams)
        await self._store.transact(work, keys=keys)

    def _chunks(self, batch: Lines, now_ms: int) -> Iterator[Chunk]:
        lines = sorted(batch.lines, key=lambda line: line[0])
        for _, span in itertools.groupby(lines, key=lambda line: line[0] // CHUNK_SPAN_MS):
            times: list[int] = []
            texts: list[str] = []
            chars = 0
            for time_ms, text in span:
                if times and (len(times) == LOG_CHUNK_MAX_EVENTS or chars + len(text) > LOG_CHUNK_MAX_CHARS):
                    yield self._chunk(batch, now_ms, times, texts)
                    times, texts, chars = [], [], 0
                times.append(time_ms)
                texts.append(text)
                chars += len(text)
            yield self._chunk(batch, now_ms, times, texts)

    def _chunk(self, batch: Lines, now_ms: int, times: list[int], texts: list[str]) -> Chunk:
        # Microseconds: rises across restarts, unless somebody turns the clock back; the random bits are for that case.
        self._last_seq = max(self._last_seq + 1, now_ms * 1000)
        seq = self._last_seq << 8 | self._env.random.getrandbits(8)
        return Chunk(stream=batch.stream, seq=seq, ingested_ms=now_ms, times_ms=times, texts=texts)


def size_of(texts: Iterable[str]) -> int:
    """Bytes as they are counted and billed: UTF-8, and a fixed part for each event."""
    return sum(len(text.encode("utf-8", "surrogatepass")) + _EVENT_OVERHEAD_BYTES for text in texts)


def _grown(group: Group, chunk: Chunk) -> Group:
    return msgspec.structs.replace(group, stored_bytes=group.stored_bytes + size_of(chunk.texts))


def _extended(stream: Stream, chunk: Chunk) -> Stream:
    first_ms = chunk.times_ms[0]
    return msgspec.structs.replace(
        stream,
        first_ms=min(stream.first_ms or first_ms, first_ms),
        last_ms=max(stream.last_ms, chunk.times_ms[-1]),
        ingested_ms=chunk.ingested_ms,
    )
