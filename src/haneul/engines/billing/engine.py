"""BillingEngine: what ran, counted in the units that are billed, and priced when somebody asks."""

from collections import defaultdict
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from haneul.base.batch import Batch
from haneul.base.env import Env
from haneul.base.finished import Finished, Invoked, Logged, Requested
from haneul.base.limits import BILL_ROWS_MAX, SCAN_MAX_ROWS
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Store, Txn, within

from .prices import PriceSheet, load_prices
from .records import USES, Use, minute_key, use_key

MICRO = 1_000_000
TMP_FREE_MB = 512
LOG_EVENT_OVERHEAD_BYTES = 26  # CloudWatch Logs: each event is counted with 26 bytes beside its text
WRITES = ("Put", "Copy", "Post", "List", "Create", "Complete", "Upload")
FREE = ("Delete", "Abort")

Uses = list[tuple[str, str, int]]
"""(name of the price, resource, millionths of its unit)"""


class BillingEngine:
    """An Observer. Quantities are summed per minute in memory and added to their rows in batches."""

    def __init__(self, store: Store, env: Env, log: Log, *, ahead: Callable[[], None] | None = None) -> None:
        self._store = store
        self._batch: Batch[Finished | Logged] = Batch(env, log, "billing", self._write, ahead=ahead)
        self._sheet: PriceSheet | None = None

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
        self._batch.add(record)

    async def cost(self, scope: Scope, from_ms: int, to_ms: int) -> dict[str, Any]:
        """The bill of a span of time: lines with service, resource, what, quantity, unit, price, amount (decimal text,
        never a binary fraction), their total, the currency, and where the prices come from."""
        await self.flush()
        sheet = self._sheet = self._sheet or load_prices()
        sums = await self._sums(scope, from_ms, to_ms)
        lines = [_line(sheet, price, resource, micros) for (price, resource), micros in sorted(sums.items())]
        total = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        return {
            "currency": sheet.currency,
            "prices": f"{sheet.provider} {sheet.region}, {sheet.date} ({sheet.source})",
            "from_ms": from_ms,
            "to_ms": to_ms,
            "lines": lines,
            "total": _text(total),
        }

    async def reset(self, account: str | None) -> None:
        """Forget what an account used, or all."""
        await self.flush()
        everything = within(keys.pack(account) if account is not None else b"")

        def work(txn: Txn) -> bool:
            rows = txn.scan(USES, everything, SCAN_MAX_ROWS)
            for key, _ in rows:
                txn.delete(USES, key)
            return len(rows) == SCAN_MAX_ROWS

        while await self._store.transact(work, scans=(USES,)):
            pass

    async def _sums(self, scope: Scope, from_ms: int, to_ms: int) -> dict[tuple[str, str], int]:
        sums: dict[tuple[str, str], int] = defaultdict(int)
        at, end = minute_key(scope, from_ms // 60_000), minute_key(scope, to_ms // 60_000 + 1)
        for _ in range(BILL_ROWS_MAX // SCAN_MAX_ROWS):
            rows = await self._store.scan(USES, Range(at, end), SCAN_MAX_ROWS)
            for key, use in rows:
                _, _, _, price, resource = keys.unpack(key, "ssiss")
                sums[str(price), str(resource)] += use.micros
            if len(rows) < SCAN_MAX_ROWS:
                break
            at = rows[-1][0] + b"\0"
        return sums

    async def _write(self, records: list[Finished | Logged]) -> None:
        counted: dict[tuple[Scope, int, str, str], int] = defaultdict(int)
        for record in records:
            started_ms = (
                record.started_ms if isinstance(record, Finished) else record.lines[0][0] if record.lines else 0
            )
            for price, resource, micros in uses_of(record):
                counted[record.scope, int(started_ms) // 60_000, price, resource] += micros
        sums = {use_key(*about): micros for about, micros in counted.items()}

        def work(txn: Txn) -> None:
            for key, micros in sums.items():
                before = txn.get(USES, key)
                txn.put(USES, key, Use(micros + (before.micros if before is not None else 0)))

        if sums:
            await self._store.transact(work, keys=[(USES, key) for key in sums])


def uses_of(record: Finished | Logged) -> Uses:
    """What a record costs, in units."""
    if isinstance(record, Logged):
        size = sum(len(text.encode()) + LOG_EVENT_OVERHEAD_BYTES for _, text in record.lines)
        return [("logs.ingested_bytes", record.group, size * MICRO)] if size else []
    match record.what:
        case Invoked() as what:
            return _invoked(what)
        case Requested(service="s3") as what if what.status < 500 and not what.operation.startswith(FREE):
            kind = "s3.writes" if what.operation.startswith(WRITES) else "s3.reads"
            return [(kind, what.resource.rpartition(":")[2].partition("/")[0], MICRO)]
    return []


def _invoked(what: Invoked) -> Uses:
    if what.outcome == "throttled":
        return []
    seconds_micros = what.billed_ms * 1000
    uses = [
        ("lambda.requests", what.function, MICRO),
        (f"lambda.gb_seconds.{what.architecture}", what.function, what.memory_mb * seconds_micros // 1024),
    ]
    if what.tmp_mb > TMP_FREE_MB:
        uses.append(("lambda.tmp_gb_seconds", what.function, (what.tmp_mb - TMP_FREE_MB) * seconds_micros // 1024))
    return uses


def _line(sheet: PriceSheet, name: str, resource: str, micros: int) -> dict[str, Any]:
    price = sheet.prices[name]
    quantity = Decimal(micros) / MICRO
    amount = quantity * Decimal(price.price) / price.per
    return {
        "service": name.partition(".")[0],
        "resource": resource,
        "what": price.what,
        "quantity": _text(quantity, places=6),
        "unit": price.unit,
        "price": f"{price.price} per {price.per:,}" if price.per != 1 else price.price,
        "amount": _text(amount),
    }


def _text(value: Decimal, *, places: int = 10) -> str:
    """Plain digits, no exponent, no trailing zeros."""
    text = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
