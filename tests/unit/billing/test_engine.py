"""Bills: quantities add up exactly, over flushes and restarts."""

from decimal import Decimal
from pathlib import Path

from haneul.base.env import ManualEnv
from haneul.base.finished import Logged
from haneul.base.log import SilentLog
from haneul.engines.billing.engine import BillingEngine
from haneul.engines.billing.prices import load_prices
from haneul.engines.billing.records import SCHEMA
from haneul.storage.sqlite import open_store
from tests.unit.records import HOME, START_MS, invoked, requested

SPAN = (int(START_MS) - 60_000, int(START_MS) + 60_000)


async def test_a_run_costs_its_request_and_its_gigabyte_seconds() -> None:
    billing = BillingEngine(open_store(SCHEMA, None, ManualEnv(), SilentLog()), ManualEnv(), SilentLog())
    billing.finished(invoked(memory_mb=1024, billed_ms=1500))

    bill = await billing.cost(HOME, *SPAN)

    amounts = {line["what"]: (line["quantity"], line["amount"]) for line in bill["lines"]}
    assert amounts == {"requests": ("1", "0.0000002"), "duration, x86": ("1.5", "0.0000250001")}
    assert Decimal(bill["total"]) == Decimal("0.0000252001")


async def test_sums_survive_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        env = ManualEnv()
        store = open_store(SCHEMA, tmp_path, env, SilentLog())
        billing = BillingEngine(store, env, SilentLog())
        for _ in range(1000):
            billing.finished(requested())
        await billing.stop()
        await store.close()
    env = ManualEnv()
    billing = BillingEngine(open_store(SCHEMA, tmp_path, env, SilentLog()), env, SilentLog())

    bill = await billing.cost(HOME, *SPAN)

    assert [(line["resource"], line["quantity"], line["amount"]) for line in bill["lines"]] == [("b", "2000", "0.01")]


async def test_what_is_free_is_not_billed() -> None:
    billing = BillingEngine(open_store(SCHEMA, None, ManualEnv(), SilentLog()), ManualEnv(), SilentLog())
    billing.finished(requested("DeleteObject"))
    billing.finished(requested(status=500))
    billing.finished(invoked(outcome="throttled"))
    billing.finished(requested("CreateRole", service="iam"))

    assert (await billing.cost(HOME, *SPAN))["lines"] == []


async def test_log_lines_are_billed_by_the_byte() -> None:
    billing = BillingEngine(open_store(SCHEMA, None, ManualEnv(), SilentLog()), ManualEnv(), SilentLog())
    billing.logged(Logged(HOME, "/aws/lambda/x", "s", [(int(START_MS), "x" * 974)] * 1_000_000))

    bill = await billing.cost(HOME, *SPAN)

    assert [(line["quantity"], line["amount"]) for line in bill["lines"]] == [("1000000000", "0.5")]


async def test_only_the_asked_span_of_time_is_billed() -> None:
    billing = BillingEngine(open_store(SCHEMA, None, ManualEnv(), SilentLog()), ManualEnv(), SilentLog())
    billing.finished(requested(at_ms=START_MS - 3_600_000))

    assert (await billing.cost(HOME, *SPAN))["lines"] == []


def test_every_price_says_what_it_is_for() -> None:
    sheet = load_prices()

    assert sheet.currency == "USD" and sheet.date in "aws-us-east-1-2026-11-01"
    for name, price in sheet.prices.items():
        assert name.count(".") >= 1 and price.per > 0 and Decimal(price.price) > 0 and price.what and price.unit
