"""DeliveryEngine: carries every row of every outbox to its target, at least once, fairly, until it is done or dropped."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from haneul.base.env import Env
from haneul.base.errors import NotBuilt
from haneul.base.finished import Delivered, Finished, Observer
from haneul.base.limits import (
    DELIVERY_ATTEMPTS_MAX,
    DELIVERY_CONCURRENCY,
    DELIVERY_REASON_MAX_CHARACTERS,
    DELIVERY_TIMEOUT_S,
    GRACE_TIMEOUT_S,
    SCAN_MAX_ROWS,
)
from haneul.base.log import Log
from haneul.base.trace import child_of
from haneul.storage.outbox import Delivery
from haneul.storage.store import Store

from .reader import Reader
from .slots import Slots
from .verdict import Done, Dropped, Encoder, Handler, Retry, Verdict, backoff_ms

RAW = "raw"


class DeliveryEngine:
    """stores: those whose schema lists OUTBOX. encoders by format ("raw" needs none), targets by kind.

    A row is tried when it is due, by one task at a time. It is deleted once its target said Done or Dropped and that is
    durable; otherwise it is written anew, due later. After a crash all rows that are there are tried (again).
    """

    def __init__(
        self,
        env: Env,
        log: Log,
        stores: Sequence[Store],
        encoders: Mapping[str, Encoder],
        targets: Mapping[str, Handler],
        observer: Observer,
    ) -> None:
        self._env = env
        self._log = log
        self._encoders = encoders
        self._targets = targets
        self._observer = observer
        self._slots = Slots(DELIVERY_CONCURRENCY)
        self._readers = [
            Reader(store, env, log, self._slots, start=self._spawn, freed=self._nudge, rested=self._rested)
            for store in stores
        ]
        self._reading: list[asyncio.Task[None]] = []
        self._attempts: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Begin; returns at once, rows are read by tasks."""
        self._reading = [self._env.spawn(reader.run(), name="read outbox") for reader in self._readers]

    async def stop(self) -> None:
        """Start nothing more, give what runs GRACE_TIMEOUT_S, then let go of it: its rows stay and are tried again."""
        self._stopping = True
        for task in self._reading:
            task.cancel()
        try:
            await self._env.within(GRACE_TIMEOUT_S, self._drain())
        except TimeoutError:
            self._log.warning("deliveries interrupted", count=len(self._attempts))
        for reader in self._readers:
            reader.abandon()
        for task in (*self._reading, *self._attempts):
            task.cancel()
        await asyncio.gather(*self._reading, *self._attempts, return_exceptions=True)
        self._wake_idle()

    async def idle(self) -> None:
        """Wait until nothing is due and nothing runs. Rows that are due later are not waited for."""
        while not (self._stopping or self._is_quiet()):
            waiting = asyncio.get_running_loop().create_future()
            self._idle.append(waiting)
            await waiting

    async def pending(self) -> int:
        """Rows that are not settled, those due later included; counted up to SCAN_MAX_ROWS per store."""
        return sum([await reader.count(SCAN_MAX_ROWS) for reader in self._readers])

    @property
    def running(self) -> int:
        """Attempts under way, those being settled included."""
        return self._slots.taken

    def _spawn(self, reader: Reader, key: bytes, row: Delivery) -> None:
        task = self._env.spawn(self._deliver(reader, key, row), name=f"deliver {row.id}")
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _deliver(self, reader: Reader, key: bytes, row: Delivery) -> None:
        """One attempt, from the row to its settlement: a hop below the request that caused it; the target's is the next."""
        started, began = self._env.now(), self._env.monotonic()
        trace = child_of(row.trace, self._env)
        verdict = self._bounded(row, await self._attempt(msgspec.structs.replace(row, trace=trace)))
        took_us = int((self._env.monotonic() - began) * 1_000_000)
        instead = self._after(row, verdict) if isinstance(verdict, Retry) else None
        reader.settle(key, row, instead)
        outcome = type(verdict).__name__.lower()
        reason = "" if isinstance(verdict, Done) else verdict.reason
        target = f"{row.target.kind}:{row.target.name}"
        delivered = Delivered(row.source, target, outcome, row.attempt + 1, reason)
        self._observer.finished(Finished(row.target.scope, row.id, trace, started * 1000, took_us, delivered))
        write = {"done": self._log.debug, "retry": self._log.info, "dropped": self._log.error}[outcome]
        write("delivery " + outcome, id=row.id, target=target, attempt=row.attempt + 1, reason=reason)

    async def _attempt(self, row: Delivery) -> Verdict:
        """What the target says; whatever goes wrong on the way there is a Retry."""
        began = self._env.monotonic()
        try:
            verdict = await self._env.within(DELIVERY_TIMEOUT_S, self._handler(row)(row, self._encode(row)))
            if not isinstance(verdict, Done | Retry | Dropped):
                raise TypeError(f"target {row.target.kind!r} answered {verdict!r}, which is no verdict")
            return verdict
        except asyncio.CancelledError:
            if self._stopping:
                raise
            return Retry(None, "cancelled by its target")
        except Exception as error:
            if isinstance(error, TimeoutError) and self._env.monotonic() - began >= DELIVERY_TIMEOUT_S:
                return Retry(None, f"no answer within {DELIVERY_TIMEOUT_S:g} s")
            return Retry(None, f"{type(error).__name__}: {error}")

    def _handler(self, row: Delivery) -> Handler:
        handler = self._targets.get(row.target.kind)
        if handler is None:
            raise NotBuilt("delivery target", row.target.kind)
        return handler

    def _encode(self, row: Delivery) -> bytes:
        if row.format == RAW:
            return row.event
        encoder = self._encoders.get(row.format)
        if encoder is None:
            raise NotBuilt("event format", row.format)
        return encoder(row)

    def _bounded(self, row: Delivery, verdict: Verdict) -> Verdict:
        if isinstance(verdict, Retry) and row.attempt + 1 >= DELIVERY_ATTEMPTS_MAX:
            return Dropped(f"tried {row.attempt + 1} times; the last time: {verdict.reason}")
        return verdict

    def _after(self, row: Delivery, verdict: Retry) -> Delivery:
        attempt = row.attempt + 1
        wait_ms = backoff_ms(attempt, self._env) if verdict.after_ms is None else verdict.after_ms
        reason = str(verdict.reason)[:DELIVERY_REASON_MAX_CHARACTERS]
        due_ms = self._env.now_ms() + max(int(wait_ms), 0)
        return msgspec.structs.replace(row, attempt=attempt, due_ms=due_ms, last_error=reason)

    def _nudge(self) -> None:
        for reader in self._readers:
            reader.nudge()

    def _rested(self) -> None:
        if self._is_quiet():
            self._wake_idle()

    def _wake_idle(self) -> None:
        waiting, self._idle = self._idle, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _is_quiet(self) -> bool:
        return all(reader.quiet for reader in self._readers)

    async def _drain(self) -> None:
        """Until every attempt has ended and is settled."""
        if self._attempts:
            await asyncio.wait(self._attempts)
        for reader in self._readers:
            await reader.drain()
