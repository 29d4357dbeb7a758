"""The load: raw connections that write the next request from inside the last one's answer; standard library only."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

try:
    import uvloop
except ImportError:
    uvloop = None

ANSWER_TIMEOUT_S = 60.0
EXAMPLES_MAX = 3


@dataclass
class Load:
    """What came of it. latencies_s: of every answer, in order of arrival. wall_s: first request to last answer."""

    latencies_s: list[float] = field(default_factory=list)
    bad: int = 0
    lost: int = 0
    wall_s: float = 0.0
    bytes_in: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> int:
        return len(self.latencies_s) - self.bad

    def percentile_ms(self, share: float) -> float | None:
        ordered = sorted(self.latencies_s)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 4) if ordered else None

    def count_bad(self, example: str) -> None:
        self.bad += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(example)


class Asker(asyncio.Protocol):
    """One connection, one request at a time. answered(status, body size, first bytes) or broken() for each."""

    def __init__(self, answered: Callable[[int, int, bytes], None], broken: Callable[[], None]) -> None:
        self._answered = answered
        self._broken = broken
        self._transport: asyncio.Transport | None = None
        self._left: int | None = None
        self._head = b""
        self._chunks: bytearray | None = None
        self._status = 0
        self._size = 0
        self._first = b""
        self._last = False

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes) -> None:
        assert self._transport is not None
        self._head, self._left, self._chunks = b"", None, None
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._left is None and self._chunks is None:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            if data.startswith(b"HTTP/1.1 100"):
                self._head = b""
                self.data_received(data[end + 4 :])
                return
            self._begin(data[:end].lower(), end)
            data = data[end + 4 :]
            self._first = data[:300]
        if self._chunks is not None:
            self._chunks += data
            if not self._chunks.endswith(b"0\r\n\r\n"):
                return
            self._size = len(self._chunks)
        else:
            assert self._left is not None
            self._left -= len(data)
            if self._left > 0:
                return
        if self._last:
            self.close()
        self._answered(self._status, self._size, self._first)

    def _begin(self, head: bytes, end: int) -> None:
        self._status = int(head[9:12])
        at = head.find(b"\r\ncontent-length:")
        self._last = b"\r\nconnection: close" in head
        if at >= 0:
            stop = head.find(b"\r", at + 2)
            self._left = self._size = int(head[at + 17 : stop if stop > 0 else end])
        elif b"\r\ntransfer-encoding: chunked" in head:
            self._chunks = bytearray()
        else:
            self._left = self._size = 0

    def connection_lost(self, error: Exception | None) -> None:
        was_closed = self._last
        self._transport = None
        if not was_closed:
            self._broken()


async def connect(
    host: str, port: int, answered: Callable[[int, int, bytes], None], broken: Callable[[], None]
) -> Asker:
    loop = asyncio.get_running_loop()
    _, asker = await loop.create_connection(lambda: Asker(answered, broken), host, port)
    return asker


async def ask_once(host: str, port: int, request: bytes) -> tuple[float, int, bytes]:
    """(seconds from the request to the answer, status, first bytes) on a connection of its own, opened before."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[int, bytes]] = loop.create_future()

    def broken() -> None:
        if not done.done():
            done.set_exception(ConnectionError("the connection broke"))

    def answered(status: int, size: int, first: bytes) -> None:
        if not done.done():
            done.set_result((status, first))

    asker = await connect(host, port, answered, broken)
    began = time.perf_counter()
    asker.ask(request)
    try:
        status, first = await asyncio.wait_for(done, ANSWER_TIMEOUT_S)
    finally:
        took = time.perf_counter() - began
        asker.close()
    return took, status, first


def press(host: str, port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Keep `connections` connections busy for `seconds`, going through the requests in turn."""
    return run(_press(host, port, itertools.cycle(requests), connections, seconds))


def run(work):  # type: ignore[no-untyped-def]
    """asyncio.run on the fastest loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop is not None else None) as runner:
        return runner.run(work)


async def _press(host: str, port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    load = Load()
    end = time.perf_counter() + seconds
    began = time.perf_counter()
    workers = [asyncio.ensure_future(_worker(host, port, requests, end, load)) for _ in range(connections)]
    _, late = await asyncio.wait(workers, timeout=seconds * 2 + ANSWER_TIMEOUT_S)
    load.wall_s = time.perf_counter() - began
    for worker in late:
        worker.cancel()
        load.count_bad("no answer within the time")
    for worker in workers:
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    return load


async def _worker(host: str, port: int, requests: Iterator[bytes], end: float, load: Load) -> None:
    """Callbacks all the way: a task per answer would cost the client more than the server spends."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    clock, latencies, following = time.perf_counter, load.latencies_s, requests.__next__
    sent = 0.0
    opening: list[asyncio.Task[None]] = []  # the loop itself keeps weak references only

    def fire() -> None:
        nonlocal sent
        sent = clock()
        asker.ask(following())

    def answered(status: int, size: int, first: bytes) -> None:
        now = clock()
        latencies.append(now - sent)
        load.bytes_in += size
        if status >= 300 or b"FunctionError" in first:
            load.count_bad(f"{status} {first[:200]!r}")
        if now >= end:
            if not over.done():
                over.set_result(None)
        elif asker.alive:
            fire()
        else:
            opening.append(loop.create_task(again()))

    def broken() -> None:
        load.lost += 1
        if clock() >= end or load.lost > 1000:
            if not over.done():
                over.set_result(None)
        else:
            opening.append(loop.create_task(again()))

    async def again() -> None:
        nonlocal asker
        try:
            asker = await connect(host, port, answered, broken)
        except OSError as error:
            load.count_bad(str(error))
            if not over.done():
                over.set_result(None)
            return
        fire()

    asker = Asker(answered, broken)
    await again()
    await over
    asker._broken = lambda: None
    asker.close()
