"""Batch: what comes in one by one goes out together, a moment later; bounded, and never in the way of who adds."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .env import Env, Timer
from .errors import Unavailable
from .limits import OBSERVER_BUFFER_MAX, OBSERVER_FLUSH_S
from .log import Log

T = TypeVar("T")


class Batch(Generic[T]):
    """add() is a plain call that never waits; write(items) is called with everything that came in since, in order.

    At most one write runs at a time. When it raises Unavailable its items are kept and tried again; past
    OBSERVER_BUFFER_MAX items the newest are dropped and counted, and a warning says how many.
    """

    def __init__(self, env: Env, log: Log, name: str, write: Callable[[list[T]], Awaitable[None]]) -> None:
        self._env = env
        self._log = log
        self._name = name
        self._write = write
        self._items: list[T] = []
        self._timer: Timer | None = None
        self._writing = False
        self._dropped = 0

    def add(self, item: T) -> None:
        """Take note of it; it is written within OBSERVER_FLUSH_S."""
        if len(self._items) >= OBSERVER_BUFFER_MAX:
            self._dropped += 1
            return
        self._items.append(item)
        if self._timer is None:
            self._timer = self._env.call_later(OBSERVER_FLUSH_S, self._due)

    async def flush(self) -> None:
        """Everything that was added before this call is written when it returns, unless writing fails."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._writing:
            await self._env.sleep(0.001)
        if not self._items:
            return
        items, self._items = self._items, []
        self._writing = True
        try:
            await self._write(items)
        except Unavailable as error:
            self._log.warning("batch not written", batch=self._name, items=len(items), reason=str(error))
            self._items = [*items, *self._items][:OBSERVER_BUFFER_MAX]
        finally:
            self._writing = False
        if self._dropped:
            self._log.warning("batch overflowed", batch=self._name, dropped=self._dropped)
            self._dropped = 0
        if self._items and self._timer is None:
            self._timer = self._env.call_later(OBSERVER_FLUSH_S, self._due)

    async def stop(self) -> None:
        """Write what is left; nothing may be added afterwards."""
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        self._env.spawn(self.flush(), name=f"{self._name}: flush")
