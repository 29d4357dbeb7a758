"""MetricsEngine: how often, how long, how many failed: per minute, for each function, operation and delivery."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import reduce

import msgspec

from haneul.base.batch import Batch
from haneul.base.env import Env
from haneul.base.finished import Delivered, Finished, Invoked, Logged, Requested
from haneul.base.limits import METRIC_SERIES_MAX, METRICS_CHUNK_RECORDS, SCAN_MAX_ROWS
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Store, Txn, within

from . import distribution
from .records import MINUTES, Minute, minute_key

REST = "(rest)"
"""The resource under which everything is counted once a scope has METRIC_SERIES_MAX of them."""


class Point(msgspec.Struct, frozen=True):
    """A metric over one period. start_ms: its beginning, epoch milliseconds."""

    start_ms: int
    values: Minute


class MetricsEngine:
    """An Observer. Values of the same minute are added up in memory and merged into their rows in batches."""

    def __init__(self, store: Store, env: Env, log: Log, *, ahead: Callable[[], None] | None = None) -> None:
        self._store = store
        self._env = env
        self._batch: Batch[Finished] = Batch(env, log, "metrics", self._write, ahead=ahead)
        self._series: set[tuple[Scope, str, str, str]] = set()

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        await self._batch.stop()

    async def flush(self) -> None:
        """Count everything that has ended."""
        await self._batch.flush()

    def finished(self, record: Finished) -> None:
        self._batch.add(record)

    def logged(self, record: Logged) -> None:
        return None

    async def get(
        self, scope: Scope, source: str, name: str, resource: str, *, from_ms: int, to_ms: int, period_s: int = 60
    ) -> list[Point]:
        """The periods (whole minutes, aligned to the epoch) that have values, in order; at most SCAN_MAX_ROWS minutes."""
        await self.flush()
        start = minute_key(scope, source, name, resource, from_ms // 60_000)
        end = minute_key(scope, source, name, resource, -(-to_ms // 60_000))
        rows = await self._store.scan(MINUTES, Range(start, end), SCAN_MAX_ROWS)
        period_minutes = max(1, period_s // 60)
        periods: dict[int, list[Minute]] = {}
        for key, minute in rows:
            number = int(keys.unpack(key, "sssssi")[5])
            periods.setdefault(number - number % period_minutes, []).append(minute)
        return [Point(number * 60_000, reduce(distribution.add, each)) for number, each in periods.items()]

    async def reset(self, account: str | None) -> None:
        """Forget the values of an account, or all."""
        await self.flush()
        self._series.clear()
        everything = within(keys.pack(account) if account is not None else b"")

        def work(txn: Txn) -> bool:
            rows = txn.scan(MINUTES, everything, SCAN_MAX_ROWS)
            for key, _ in rows:
                txn.delete(MINUTES, key)
            return len(rows) == SCAN_MAX_ROWS

        while await self._store.transact(work, scans=(MINUTES,)):
            pass

    async def _write(self, records: list[Finished]) -> None:
        values: dict[tuple[Scope, str, str, str, int], list[float]] = defaultdict(list)
        for number, record in enumerate(records, 1):
            if not number % METRICS_CHUNK_RECORDS:
                await self._env.sleep(0)  # requests go first
            minute = int(record.started_ms) // 60_000
            for source, name, resource, value in values_of(record):
                values[record.scope, source, name, resource, minute].append(value)
        sums: dict[bytes, Minute] = {}
        for (scope, source, name, resource, minute), each in values.items():
            key = self._key(scope, source, name, resource, minute)
            now = distribution.of_all(each)
            sums[key] = distribution.add(sums[key], now) if key in sums else now

        def work(txn: Txn) -> None:
            for key, now in sums.items():
                before = txn.get(MINUTES, key)
                txn.put(MINUTES, key, now if before is None else distribution.add(before, now))

        await self._store.transact(work, keys=[(MINUTES, key) for key in sums])

    def _key(self, scope: Scope, source: str, name: str, resource: str, minute: int) -> bytes:
        series = (scope, source, name, resource)
        if series not in self._series:
            if len(self._series) >= METRIC_SERIES_MAX:
                return minute_key(scope, source, name, REST, minute)
            self._series.add(series)
        return minute_key(scope, source, name, resource, minute)


def values_of(record: Finished) -> Iterator[tuple[str, str, str, float]]:
    """(source, name, resource, value) for each thing that a record says. Durations in milliseconds."""
    what = record.what
    if isinstance(what, Invoked):
        yield "functions", "throttles" if what.outcome == "throttled" else "invocations", what.function, 1.0
        if what.outcome == "throttled":
            return
        yield "functions", "errors", what.function, 0.0 if what.outcome == "ok" else 1.0
        yield "functions", "duration_ms", what.function, what.duration_us / 1000
        if what.init_us is not None:
            yield "functions", "init_ms", what.function, what.init_us / 1000
    elif isinstance(what, Requested):
        name = f"{what.service}.{what.operation}"
        yield "requests", "duration_ms", name, record.duration_us / 1000
        if what.status >= 400:
            yield "requests", "server_errors" if what.status >= 500 else "client_errors", name, 1.0
    else:
        assert isinstance(what, Delivered)
        yield "deliveries", what.outcome, what.target, 1.0
