"""TracesEngine: every hop of every request, by trace; and the latest runs of a function."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from haneul.base.batch import Batch
from haneul.base.env import Env, Timer
from haneul.base.errors import NotFound
from haneul.base.finished import Delivered, Finished, Invoked, Logged, Requested
from haneul.base.limits import (
    SCAN_MAX_ROWS,
    TRACE_KEEP_S,
    TRACE_PAGE_ROWS,
    TRACE_ROW_RECORDS,
    TRACE_SPANS_MAX,
    TRACE_SWEEP_ROWS,
    TRACE_SWEEP_S,
)
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Space, Store, Txn, within

from .records import RUNS, TRACES, Spans, runs_key, trace_key


class TracesEngine:
    """An Observer. Rows are written in batches: one per slice of time, one per function with runs."""

    def __init__(self, store: Store, env: Env, log: Log, *, ahead: Callable[[], None] | None = None) -> None:
        self._store = store
        self._env = env
        self._batch: Batch[Finished] = Batch(env, log, "traces", self._write, ahead=ahead)
        self._written = 0
        self._sweeping: Timer | None = None

    async def start(self) -> None:
        self._sweeping = self._env.call_later(TRACE_SWEEP_S, self._sweep_due)

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._batch.stop()

    async def flush(self) -> None:
        """Make everything that has ended visible to the queries below."""
        await self._batch.flush()

    def finished(self, record: Finished) -> None:
        if record.trace.sampled:
            self._batch.add(record)

    def logged(self, record: Logged) -> None:
        return None

    async def latest(self, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """The latest traces, newest first: trace_id, name, start_ms, duration_us, spans, outcome."""
        await self.flush()
        found: dict[str, list[Finished]] = {}
        everything = within(keys.pack(scope.account, scope.region), reverse=True)
        last = ""
        async for second, records in self._backward(everything):
            if second != last and len(found) >= limit:
                break
            last = second
            for record in records:
                found.setdefault(record.trace.trace_id, []).append(record)
        listed = [summary(trace_id, records) for trace_id, records in found.items()]
        return sorted(listed, key=lambda one: -one["start_ms"])[:limit]

    async def get(self, scope: Scope, trace_id: str) -> list[Finished]:
        """All records of a trace, by their start. Raises NotFound."""
        await self.flush()
        records: list[Finished] = []
        async for _, spans in self._backward(within(trace_key(scope, trace_id), reverse=True)):
            records += (record for record in spans if record.trace.trace_id == trace_id)
            if len(records) >= TRACE_SPANS_MAX:
                break
        if not records:
            raise NotFound("trace", trace_id, "no request of this account and region has it")
        return sorted(records[:TRACE_SPANS_MAX], key=lambda record: record.started_ms)

    async def waterfall(self, scope: Scope, trace_id: str) -> dict[str, Any]:
        """The spans of a trace in the order of a waterfall: parents before children, with their depth."""
        records = await self.get(scope, trace_id)
        return {"trace_id": trace_id, "spans": [span(record, depth) for record, depth in in_order(records)]}

    async def runs(self, scope: Scope, function: str, limit: int) -> list[dict[str, Any]]:
        """The latest runs of a function, newest first."""
        await self.flush()
        rows = await self._store.scan(RUNS, within(runs_key(scope, function), reverse=True), min(limit, SCAN_MAX_ROWS))
        records = [record for _, row in rows for record in row.records]
        records.sort(key=lambda record: -record.started_ms)
        return [run(record) for record in records[:limit]]

    async def reset(self, account: str | None) -> None:
        """Forget the traces of an account, or all."""
        await self.flush()
        everything = within(keys.pack(account) if account is not None else b"")

        def work(txn: Txn) -> bool:
            more = False
            for space in (TRACES, RUNS):
                rows = txn.scan(space, everything, SCAN_MAX_ROWS)
                for key, _ in rows:
                    txn.delete(space, key)
                more = more or len(rows) == SCAN_MAX_ROWS
            return more

        while await self._store.transact(work, scans=(TRACES, RUNS)):
            pass

    async def _backward(self, span: Range) -> AsyncIterator[tuple[str, list[Finished]]]:
        """(second of the traces' start, spans) of each row, the last row first; at most SCAN_MAX_ROWS rows."""
        for _ in range(SCAN_MAX_ROWS // TRACE_PAGE_ROWS):
            rows = await self._store.scan(TRACES, span, TRACE_PAGE_ROWS)
            for key, row in rows:
                yield str(keys.unpack(key, "sss")[2])[:8], row.records
            if len(rows) < TRACE_PAGE_ROWS:
                return
            span = Range(span.start, rows[-1][0], reverse=True)

    async def _write(self, records: list[Finished]) -> None:
        traces: dict[bytes, list[Finished]] = defaultdict(list)
        runs: dict[bytes, list[Finished]] = defaultdict(list)
        for record in records:
            traces[trace_key(record.scope, record.trace.trace_id)].append(record)
            if isinstance(record.what, Invoked):
                runs[runs_key(record.scope, record.what.function)].append(record)
        now_ms = self._env.now_ms()
        rows: list[tuple[Space[Spans], bytes, Spans]] = []
        for space, grouped in ((TRACES, traces), (RUNS, runs)):
            for start, together in grouped.items():
                for at in range(0, len(together), TRACE_ROW_RECORDS):
                    self._written += 1
                    key = start + keys.pack(now_ms, self._written)
                    rows.append((space, key, Spans(together[at : at + TRACE_ROW_RECORDS])))

        def work(txn: Txn) -> None:
            for space, key, spans in rows:
                txn.put(space, key, spans)

        await self._store.transact(work)

    def _sweep_due(self) -> None:
        self._env.spawn(self._sweep(), name="traces: sweep")

    async def _sweep(self) -> None:
        """Remove what is older than TRACE_KEEP_S, a bounded number of rows at a time, one account's scope after another."""
        oldest_ms = self._env.now_ms() - int(TRACE_KEEP_S * 1000)
        at = b""
        while True:
            rows = await self._store.scan(TRACES, Range(at), 1)
            if not rows:
                break
            account, region, _ = keys.unpack(rows[0][0], "sss")
            scope = keys.pack(account, region)
            await self._sweep_scope(scope, oldest_ms)
            after = within(scope).end
            if after is None:
                break
            at = after
        self._sweeping = self._env.call_later(TRACE_SWEEP_S, self._sweep_due)

    async def _sweep_scope(self, scope: bytes, oldest_ms: int) -> None:
        old_traces = Range(scope, scope + keys.prefix(text=f"{oldest_ms // 1000:08x}"))
        rows = await self._store.scan(RUNS, within(scope), TRACE_SWEEP_ROWS)
        old_runs = [key for key, _ in rows if int(keys.unpack(key, "sssii")[3]) < oldest_ms]

        def work(txn: Txn) -> None:
            for key, _ in txn.scan(TRACES, old_traces, TRACE_SWEEP_ROWS):
                txn.delete(TRACES, key)
            for key in old_runs:
                txn.delete(RUNS, key)

        await self._store.transact(work, scans=(TRACES,))


def in_order(records: list[Finished]) -> list[tuple[Finished, int]]:
    """Depth first, children by their start; a record whose parent is not there stands at the top."""
    known = {record.trace.span_id for record in records}
    children: dict[str, list[Finished]] = defaultdict(list)
    for record in records:
        parent = record.trace.parent_id
        children[parent if parent in known and parent != record.trace.span_id else ""].append(record)
    ordered: list[tuple[Finished, int]] = []
    seen: set[int] = set()
    waiting = [(record, 0) for record in reversed(children[""])]
    while waiting:
        record, depth = waiting.pop()
        if id(record) in seen:
            continue
        seen.add(id(record))
        ordered.append((record, depth))
        waiting.extend((child, depth + 1) for child in reversed(children[record.trace.span_id]))
    ordered.extend((record, 0) for record in records if id(record) not in seen)
    return ordered


def summary(trace_id: str, records: list[Finished]) -> dict[str, Any]:
    """One line of the list."""
    records = sorted(records, key=lambda record: record.started_ms)
    start_ms = records[0].started_ms
    end_ms = max(record.started_ms + record.duration_us / 1000 for record in records)
    return {
        "trace_id": trace_id,
        "name": name_of(records[0]),
        "start_ms": start_ms,
        "duration_us": round((end_ms - start_ms) * 1000),
        "spans": len(records),
        "outcome": "ok" if all(is_ok(record) for record in records) else "failed",
    }


def span(record: Finished, depth: int) -> dict[str, Any]:
    """One bar of the waterfall."""
    return {
        "name": name_of(record),
        "span_id": record.trace.span_id,
        "parent_id": record.trace.parent_id,
        "request_id": record.request_id,
        "depth": depth,
        "start_ms": record.started_ms,
        "duration_us": record.duration_us,
        "ok": is_ok(record),
        "note": note_of(record),
    }


def run(record: Finished) -> dict[str, Any]:
    """One run of a function."""
    what = record.what
    assert isinstance(what, Invoked)
    return {
        "request_id": record.request_id,
        "trace_id": record.trace.trace_id,
        "function": what.function,
        "version": what.version,
        "start_ms": record.started_ms,
        "duration_us": what.duration_us,
        "billed_ms": what.billed_ms,
        "init_us": what.init_us,
        "start": what.start,
        "outcome": what.outcome,
        "memory_mb": what.memory_mb,
        "peak_memory_mb": what.peak_memory_mb,
        "attempt": what.attempt,
    }


def name_of(record: Finished) -> str:
    """What a person calls it."""
    match record.what:
        case Requested() as what:
            return f"{what.service} {what.operation}"
        case Invoked() as what:
            return f"function {what.function}"
        case Delivered() as what:
            return f"delivery to {what.target}"


def is_ok(record: Finished) -> bool:
    """Whether it went well."""
    match record.what:
        case Requested() as what:
            return what.status < 400
        case Invoked() as what:
            return what.outcome == "ok"
        case Delivered() as what:
            return what.outcome == "done"


def note_of(record: Finished) -> str:
    """What else is worth knowing in a few words."""
    match record.what:
        case Requested() as what:
            return what.error_code or str(what.status)
        case Invoked() as what:
            init = f", init {what.init_us / 1000:.1f} ms" if what.init_us is not None else ""
            return f"{what.start} start{init}" + (
                f", {what.error_type or what.outcome}" if what.outcome != "ok" else ""
            )
        case Delivered() as what:
            return what.outcome if what.attempt <= 1 else f"{what.outcome}, attempt {what.attempt}"
