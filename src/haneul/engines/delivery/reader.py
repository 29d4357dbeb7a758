"""Reader: finds the due rows of one outbox, starts each once, and settles what became of them in batches."""

import asyncio
from collections.abc import Callable

from haneul.base.env import Env, Timer
from haneul.base.errors import Failure
from haneul.base.limits import (
    DELIVERY_BEHIND_MAX,
    DELIVERY_LATE_MS,
    DELIVERY_PAGE_ROWS,
    DELIVERY_REST_MAX_S,
    DELIVERY_REST_S_PER_ROW,
    DELIVERY_SETTLE_MAX,
    DELIVERY_STORE_RETRY_S,
    DELIVERY_SWEEP_S,
)
from haneul.base.log import Log
from haneul.storage import keys
from haneul.storage.outbox import OUTBOX, Delivery, Target, row_key
from haneul.storage.store import Range, Store, Txn

from .slots import Slots

CLOCK_STEP_S = 0.001
"""A timer may fire this much early by the clock that it is compared with."""

Settled = tuple[bytes, Delivery, Delivery | None]
"""A row's key, the row, and the row to write in its place: None when it is over."""


class Reader:
    """One store's outbox.

    Rows stand by due time, so what is due is what lies before now. Three things are remembered about that stretch:
    frontier   everything before it has been looked at
    running    keys that were started and are not settled yet; they are passed by
    behind     for a target that had no room: its first row that was passed over

    A row may appear before the frontier, when its transaction waited longer than its neighbours'. Each look therefore
    begins DELIVERY_LATE_MS before now, and a sweep over everything follows DELIVERY_SWEEP_S after a change.
    """

    def __init__(
        self,
        store: Store,
        env: Env,
        log: Log,
        slots: Slots,
        *,
        start: Callable[["Reader", bytes, Delivery], None],
        freed: Callable[[], None],
        rested: Callable[[], None],
    ) -> None:
        self._store = store
        self._env = env
        self._log = log
        self._slots = slots
        self._start = start
        self._freed = freed
        self._rested = rested
        self._wake = asyncio.Event()
        self._news = True
        self._sweep = True
        self._waiting = False
        self._frontier = b""
        self._running: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._behind: dict[Target, bytes] = {}
        self._settled: list[Settled] = []
        self._settler: asyncio.Task[None] | None = None
        self._next_due: Timer | None = None
        self._next_sweep: Timer | None = None
        self._next_look: Timer | None = None
        self._rest_until = 0.0

    @property
    def quiet(self) -> bool:
        """Nothing runs, nothing is due, nothing is on its way to being looked at."""
        return self._waiting and not (self._wake.is_set() or self._news or self._running)

    async def run(self) -> None:
        """Until cancelled."""
        stop = self._store.on_change(OUTBOX, self.changed)
        self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._waiting = False
                await self._look()
                self._waiting = True
                if self.quiet:
                    self._rested()
        finally:
            stop()
            for timer in (self._next_due, self._next_sweep, self._next_look):
                if timer is not None:
                    timer.cancel()

    def changed(self) -> None:
        """The outbox changed, or time has passed."""
        self._news = True
        self._wake.set()
        if self._next_sweep is None:
            self._next_sweep = self._env.call_later(DELIVERY_SWEEP_S, self._sweep_now)

    def nudge(self) -> None:
        """Slots were freed, here or at another reader."""
        if self._behind:
            self._wake.set()

    def settle(self, key: bytes, row: Delivery, instead: Delivery | None) -> None:
        """The attempt at this row is over; it is written with others that end at the same time."""
        self._settled.append((key, row, instead))
        if self._settler is None:
            self._settler = self._env.spawn(self._settle(), name="settle deliveries")

    async def drain(self) -> None:
        """Wait until what was given to settle() is written."""
        if self._settler is not None:
            await asyncio.wait([self._settler])

    def abandon(self) -> None:
        """Leave what is not written yet: it will be delivered again."""
        if self._settler is not None:
            self._settler.cancel()

    async def count(self, limit: int) -> int:
        """Rows in the outbox, due or not."""
        return len(await self._store.scan(OUTBOX, Range(), limit))

    async def _look(self) -> None:
        try:
            await self._refill()
            if not self._news:
                return
            rest_s = self._rest_until - self._env.monotonic()
            if rest_s > CLOCK_STEP_S and self._running:
                self._next_look = self._later(self._next_look, rest_s)
                return
            self._news = False
            await self._advance()
        except Failure as failure:
            self._log.error("outbox unreadable", error=str(failure))
            self._news = True
            self._next_look = self._later(self._next_look, DELIVERY_STORE_RETRY_S)

    async def _refill(self) -> None:
        """Start passed-over rows of targets that have room again, oldest first."""
        wanted = {target for target in self._behind if self._slots.room(target)}
        position = min((self._behind[target] for target in wanted), default=self._frontier)
        while wanted:
            page = await self._page(position, self._frontier)
            for key, row in page:
                if row.target not in wanted or key < self._behind[row.target] or self._known(key):
                    continue
                if self._slots.room(row.target):
                    self._begin(key, row)
                else:
                    self._behind[row.target] = key
                    wanted.discard(row.target)
            if len(page) < DELIVERY_PAGE_ROWS:
                break
            position = page[-1][0] + b"\0"
            await self._env.sleep(0)
        for target in wanted:  # those whose last row before the frontier was started
            del self._behind[target]

    async def _advance(self) -> None:
        """Look at everything that is due behind the frontier, and what may have come late before it."""
        now_ms = self._env.now_ms()
        end = keys.pack(now_ms + 1)
        position = b"" if self._sweep else min(self._frontier, keys.pack(now_ms - DELIVERY_LATE_MS))
        self._sweep = False
        passed = 0
        while True:
            page = await self._page(position, end)
            for key, row in page:
                if self._known(key):
                    continue
                behind = self._behind.get(row.target)
                if behind is None and self._slots.room(row.target):
                    self._begin(key, row)
                    continue
                passed += 1
                if behind is None and len(self._behind) >= DELIVERY_BEHIND_MAX:
                    self._frontier = key  # no memory for more targets: go on from here when there is
                    self._rest(passed)
                    self._news = True
                    self._next_look = self._later(self._next_look, DELIVERY_REST_MAX_S)
                    return
                self._behind[row.target] = key if behind is None else min(behind, key)
            if len(page) < DELIVERY_PAGE_ROWS:
                break
            position = page[-1][0] + b"\0"
            self._frontier = max(self._frontier, position)
            await self._env.sleep(0)
        self._frontier = max(self._frontier, end)
        self._rest(passed)
        await self._expect(end, now_ms)

    async def _page(self, start: bytes, end: bytes) -> list[tuple[bytes, Delivery]]:
        self._gone.clear()
        return await self._store.scan(OUTBOX, Range(start, end), DELIVERY_PAGE_ROWS)

    def _known(self, key: bytes) -> bool:
        """Running, or settled since the page at hand was read."""
        return key in self._running or key in self._gone

    def _begin(self, key: bytes, row: Delivery) -> None:
        self._running.add(key)
        self._slots.take(row.target)
        self._start(self, key, row)

    def _rest(self, passed: int) -> None:
        """After a look that passed many rows over, the next one is put off, so that a backlog does not cost a core."""
        if passed > DELIVERY_PAGE_ROWS:
            rest_s = min(passed * DELIVERY_REST_S_PER_ROW, DELIVERY_REST_MAX_S)
            self._rest_until = self._env.monotonic() + rest_s

    async def _expect(self, end: bytes, now_ms: int) -> None:
        """Be woken when the next row falls due; at the latest with the next sweep, for clocks may be set."""
        if self._next_due is not None:
            self._next_due.cancel()
            self._next_due = None
        if first := await self._store.scan(OUTBOX, Range(end), 1):
            wait_s = (first[0][1].due_ms - now_ms) / 1000
            self._next_due = self._env.call_later(min(wait_s, DELIVERY_SWEEP_S), self.changed)

    def _later(self, pending: Timer | None, seconds: float) -> Timer:
        if pending is not None:
            pending.cancel()
        return self._env.call_later(seconds, self._wake.set)

    def _sweep_now(self) -> None:
        self._next_sweep = None
        self._news = self._sweep = True
        self._wake.set()

    async def _settle(self) -> None:
        """Write what became of rows until nothing is left to write. A row stays running until that is durable."""
        try:
            while self._settled:
                batch, self._settled = self._settled[:DELIVERY_SETTLE_MAX], self._settled[DELIVERY_SETTLE_MAX:]
                await self._write(batch)
                for key, row, instead in batch:
                    self._running.discard(key)
                    self._gone.add(key)
                    self._slots.give(row.target)
                    self._news = self._news or instead is not None
                self._wake.set()
                self._freed()
        finally:
            self._settler = None

    async def _write(self, batch: list[Settled]) -> None:
        retried = [(OUTBOX, key) for key, _, instead in batch if instead is not None]
        while True:
            try:
                await self._store.transact(lambda txn: _replace(txn, batch), keys=retried)
                return
            except Failure as failure:
                self._log.error("deliveries not settled", rows=len(batch), error=str(failure))
                await self._env.sleep(DELIVERY_STORE_RETRY_S)


def _replace(txn: Txn, batch: list[Settled]) -> None:
    for key, _, instead in batch:
        if instead is None:
            txn.delete(OUTBOX, key)
        elif txn.get(OUTBOX, key) is not None:  # else it was wiped meanwhile, and must not rise again
            txn.delete(OUTBOX, key)
            txn.put(OUTBOX, row_key(instead), instead)
