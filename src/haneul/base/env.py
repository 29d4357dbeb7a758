"""Env: the only source of time, timers, tasks and randomness. RealEnv for life, ManualEnv for tests and simulation."""

import asyncio
import heapq
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_ENTROPY_PAGE_BYTES = 4096


class Timer(Protocol):
    """A pending call; cancel() may be called any number of times."""

    def cancel(self) -> None: ...


class Env(Protocol):
    """What the world gives a program. Everything above base takes one; nothing above base reads a clock itself."""

    random: random.Random

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def now_ms(self) -> int:
        """Whole milliseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer: ...

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        """Run work beside the caller. The task is referenced until it ends; an exception it dies of is reported."""
        ...

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result of work, or TimeoutError when it takes longer; work is cancelled then."""
        ...

    def token(self, size_bytes: int) -> bytes:
        """Unguessable bytes (predictable only in ManualEnv)."""
        ...


class _Tasks:
    """Keeps a reference to each running task, and tells the loop's exception handler of one that failed."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": f"task {task.get_name()} failed", "exception": error, "task": task}
            )


class RealEnv:
    """The machine's own clocks, the running event loop's timers, the operating system's randomness."""

    def __init__(self) -> None:
        self.random = random.Random(os.urandom(16))
        self._tasks = _Tasks()
        self._entropy = b""
        self._entropy_used = 0

    def now(self) -> float:
        return time.time()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        return self._tasks.spawn(work, name=name)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        return await asyncio.wait_for(work, seconds)

    def token(self, size_bytes: int) -> bytes:
        # The kernel's bytes, fetched in pages: each fetch gives the interpreter lock away, 9 µs under load. Nothing is
        # handed out twice. This process never forks itself: what runs user code is a fresh exec.
        start = self._entropy_used
        if start + size_bytes > len(self._entropy):
            self._entropy = os.urandom(max(_ENTROPY_PAGE_BYTES, size_bytes))
            start = 0
        self._entropy_used = start + size_bytes
        return self._entropy[start : start + size_bytes]


class _ManualTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualEnv:
    """A clock that moves only when told to, and a seeded random: the same run every time.

    Real I/O (sockets, threads) still takes real time; only timers and timestamps are ours.
    """

    def __init__(self, *, now: float = 1_800_000_000.0, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self._now = now
        self._started = now
        self._timers: list[tuple[float, int, _ManualTimer]] = []
        self._order = itertools.count()
        self._tasks = _Tasks()

    def now(self) -> float:
        return self._now

    def now_ms(self) -> int:
        return int(self._now * 1000)

    def monotonic(self) -> float:
        return self._now - self._started

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = _ManualTimer(callback)
        heapq.heappush(self._timers, (self._now + max(seconds, 0.0), next(self._order), timer))
        return timer

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        return self._tasks.spawn(work, name=name)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        late = False

        def give_up() -> None:
            nonlocal late
            if not task.done():
                late = True
                task.cancel()

        timer = self.call_later(seconds, give_up)
        try:
            return await task
        except asyncio.CancelledError:
            if late:
                raise TimeoutError from None
            task.cancel()
            raise
        finally:
            timer.cancel()

    def token(self, size_bytes: int) -> bytes:
        return self.random.randbytes(size_bytes)

    async def advance(self, seconds: float) -> None:
        """Move the clock forward, firing each timer at its own moment and letting what it woke run in between."""
        end = self._now + seconds
        await self.settle()
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            if timer.callback is not None:
                timer.callback()
                await self.settle()
        self._now = end
        await self.settle()

    @staticmethod
    async def settle(turns: int = 20) -> None:
        """Let everything that is ready run, for a bounded number of loop turns."""
        for _ in range(turns):
            await asyncio.sleep(0)
