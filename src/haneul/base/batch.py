"""Batch: what comes in one by one goes out together, a moment later; bounded, and never in the way of who adds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .env import Env, Timer
from .errors import Unavailable
from .limits import OBSERVER_BUFFER_MAX, OBSERVER_FLUSH_S
from .log import Log

T = TypeVar("T")


class Batch(Generic[T]):
    """write is handed everything that was added since its last call, in order; never twice at the same time.

    At most OBSERVER_BUFFER_MAX records wait: what comes on top is dropped, counted and logged. When write raises
    Unavailable the records wait for the next turn; any other failure costs the records that write was given.
    ahead: called at the beginning of every flush, to fetch what still waits before this batch.
    """

    def __init__(
        self,
        env: Env,
        log: Log,
        name: str,
        write: Callable[[list[T]], Awaitable[None]],
        *,
        ahead: Callable[[], None] | None = None,
    ) -> None:
        self._env = env
        self._log = log
        self._name = name
        self._write = write
        self._ahead = ahead
        self._waiting: list[T] = []
        self._dropped = 0
        self._timer: Timer | None = None
        self._turn = asyncio.Lock()
        self._stopped = False

    def add(self, record: T) -> None:
        """Take a record. Never waits, never raises."""
        if len(self._waiting) >= OBSERVER_BUFFER_MAX or self._stopped:
            self._dropped += 1
            return
        self._waiting.append(record)
        if self._timer is None:
            self._timer = self._env.call_later(OBSERVER_FLUSH_S, self._due)

    async def flush(self) -> None:
        """Everything that was added before this call is written after it (unless writing it fails)."""
        if self._ahead is not None:
            self._ahead()
        async with self._turn:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            await self._write_waiting()

    async def stop(self) -> None:
        """Write what waits and take no more."""
        await self.flush()
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        self._env.spawn(self.flush(), name=f"flush {self._name}")

    async def _write_waiting(self) -> None:
        if self._dropped:
            self._log.warning("batch overflowed", batch=self._name, dropped=self._dropped)
            self._dropped = 0
        records, self._waiting = self._waiting, []
        if not records:
            return
        try:
            await self._write(records)
        except Unavailable as refused:
            self._waiting[:0] = records[: OBSERVER_BUFFER_MAX - len(self._waiting)]
            self._log.warning("batch not written", batch=self._name, reason=refused.reason)
            if self._timer is None and not self._stopped:
                self._timer = self._env.call_later(OBSERVER_FLUSH_S, self._due)
        except Exception as error:
            self._log.error("batch lost", batch=self._name, lost=len(records), error=repr(error))
