"""A delivery engine on a manual clock, with a target that does what a test tells it to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from haneul.base.env import ManualEnv
from haneul.base.finished import Delivered, Finished, Logged
from haneul.base.limits import GRACE_TIMEOUT_S
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.base.trace import Trace
from haneul.engines.delivery.engine import DeliveryEngine
from haneul.engines.delivery.verdict import Done, Encoder, Verdict
from haneul.storage.outbox import OUTBOX, Delivery, Target, enqueue
from haneul.storage.sqlite import open_store
from haneul.storage.store import Range, Schema, Store

HERE = Scope("000000000000", "us-east-1")
SCHEMA = Schema("events", 1, (OUTBOX,))

Answer = Callable[[Delivery], Awaitable[Verdict]]


class Observed:
    def __init__(self) -> None:
        self.records: list[Finished] = []

    def finished(self, record: Finished) -> None:
        self.records.append(record)

    def logged(self, record: Logged) -> None:
        raise AssertionError("delivery writes no log lines")

    def outcomes(self) -> list[str]:
        return [record.what.outcome for record in self.records if isinstance(record.what, Delivered)]


class World:
    """seen: (virtual seconds since the start, row id, payload) per attempt, in order."""

    def __init__(
        self, *, directory: Path | None = None, stores: int = 1, wrap: Callable[[Store], Store] = lambda store: store
    ) -> None:
        self.env = ManualEnv()
        self.began = self.env.now()
        self.log = SilentLog()
        self.observed = Observed()
        self.stores: Sequence[Store] = [wrap(open_store(SCHEMA, directory, self.env, self.log)) for _ in range(stores)]
        self.store = self.stores[0]
        self.seen: list[tuple[float, str, bytes]] = []
        self.at_once: dict[str, int] = {}
        self.most_at_once: dict[str, int] = {}
        self.answers: dict[str, Answer] = {}
        self.encoders: dict[str, Encoder] = {}
        self.engine = self._make_engine()

    def _make_engine(self) -> DeliveryEngine:
        return DeliveryEngine(self.env, self.log, self.stores, self.encoders, {"function": self._target}, self.observed)

    async def _target(self, row: Delivery, payload: bytes) -> Verdict:
        name = row.target.name
        self.seen.append((round(self.env.now() - self.began, 3), row.id, payload))
        for group in (name, "", row.id):
            self.at_once[group] = self.at_once.get(group, 0) + 1
            self.most_at_once[group] = max(self.most_at_once.get(group, 0), self.at_once[group])
        try:
            answer = self.answers.get(name)
            return Done() if answer is None else await answer(row)
        finally:
            for group in (name, "", row.id):
                self.at_once[group] -= 1

    def row(self, id: str, name: str = "f", *, delay_ms: int = 0, format: str = "raw", event: bytes = b"") -> Delivery:
        now_ms = self.env.now_ms()
        return Delivery(
            id=id,
            target=Target("function", HERE, name),
            source="tests",
            format=format,
            event=event,
            created_ms=now_ms,
            due_ms=now_ms + delay_ms,
            trace=Trace("0" * 32, "0" * 16),
        )

    async def send(self, *rows: Delivery, store: Store | None = None) -> None:
        for at in range(0, len(rows), 500):
            part = rows[at : at + 500]
            await (store or self.store).transact(lambda txn, part=part: [enqueue(txn, row) for row in part] and None)

    async def wipe(self) -> None:
        for store in self.stores:
            await store.transact(
                lambda txn: [txn.delete(OUTBOX, key) for key, _ in txn.scan(OUTBOX, Range(), 10_000)] and None,
                scans=[OUTBOX],
            )

    async def rows(self) -> list[Delivery]:
        return [row for _, row in await self.store.scan(OUTBOX, Range(), 10_000)]

    def ids(self) -> list[str]:
        return [id for _, id, _ in self.seen]

    async def idle(self) -> None:
        """Fails, rather than hangs, when the engine does not come to rest."""
        await asyncio.wait_for(self.engine.idle(), 20)

    async def restart(self) -> None:
        await self._stop()
        self.engine = self._make_engine()
        await self.engine.start()

    async def _stop(self) -> None:
        stopping = asyncio.ensure_future(self.engine.stop())
        await self.env.advance(GRACE_TIMEOUT_S)
        await stopping

    async def close(self) -> None:
        await self._stop()
        for store in self.stores:
            await store.close()
