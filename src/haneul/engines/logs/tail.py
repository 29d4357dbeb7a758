"""Live subscriptions: events as they are written, for those who watch; whoever watches too slowly misses some."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from haneul.base.env import Env
from haneul.base.errors import LimitExceeded
from haneul.base.limits import LOG_TAIL_BUFFER_MAX, LOG_TAILS_MAX
from haneul.base.scope import Scope

from .reading import Accepts
from .records import Event

Watched = tuple[str, Event]
"""(group, event)"""


class Tail:
    """One watcher. `missed` counts what did not fit into its buffer. close() ends the iterations over it."""

    def __init__(
        self,
        env: Env,
        scope: Scope,
        groups: frozenset[str],
        streams: Accepts,
        accepts: Accepts,
        leave: Callable[[], None],
    ) -> None:
        self.missed = 0
        self._env = env
        self._scope = scope
        self._groups = groups
        self._streams = streams
        self._accepts = accepts
        self._leave = leave
        self._waiting: deque[Watched] = deque()
        self._something = asyncio.Event()
        self._closed = False

    def offer(self, scope: Scope, group: str, events: list[Event]) -> None:
        """Take those of the events that are watched for."""
        if scope != self._scope or group not in self._groups:
            return
        for event in events:
            if not self._streams(event.stream) or not self._accepts(event.text):
                continue
            if len(self._waiting) == LOG_TAIL_BUFFER_MAX:
                self._waiting.popleft()
                self.missed += 1
            self._waiting.append((group, event))
        if self._waiting:
            self._something.set()

    def take(self) -> list[Watched]:
        """What has come since the last call, without waiting."""
        taken = list(self._waiting)
        self._waiting.clear()
        self._something.clear()
        return taken

    async def __aiter__(self) -> AsyncIterator[list[Watched]]:
        while not self._closed:
            await self._something.wait()
            if taken := self.take():
                yield taken

    async def every(self, seconds: float) -> AsyncIterator[list[Watched]]:
        """What has come, each so many seconds, also when it is nothing."""
        while not self._closed:
            await self._env.sleep(seconds)
            yield self.take()

    def close(self) -> None:
        """Stop watching; may be called more than once."""
        self._closed = True
        self._something.set()
        self._leave()


class Tails:
    """All watchers."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._tails: list[Tail] = []

    def open(self, scope: Scope, groups: frozenset[str], streams: Accepts, accepts: Accepts) -> Tail:
        """Raises LimitExceeded when LOG_TAILS_MAX watch already."""
        if len(self._tails) >= LOG_TAILS_MAX:
            raise LimitExceeded("live tail", "", f"{LOG_TAILS_MAX} are open already")

        def leave() -> None:
            if tail in self._tails:
                self._tails.remove(tail)

        tail = Tail(self._env, scope, groups, streams, accepts, leave)
        self._tails.append(tail)
        return tail

    @property
    def watching(self) -> bool:
        return bool(self._tails)

    def offer(self, scope: Scope, group: str, events: list[Event]) -> None:
        for tail in self._tails:
            tail.offer(scope, group, events)

    def close(self) -> None:
        for tail in list(self._tails):
            tail.close()
