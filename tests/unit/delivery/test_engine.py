"""DeliveryEngine: every row reaches its target, at least once, fairly, at the right time, until it is done or dropped."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from haneul.base.errors import Unavailable
from haneul.base.finished import Delivered
from haneul.base.limits import (
    DELIVERY_ATTEMPTS_MAX,
    DELIVERY_BACKOFF_MAX_MS,
    DELIVERY_BACKOFF_MS,
    DELIVERY_CONCURRENCY,
    DELIVERY_SWEEP_S,
    DELIVERY_TIMEOUT_S,
    GRACE_TIMEOUT_S,
)
from haneul.engines.delivery.verdict import Done, Dropped, Retry, Verdict
from haneul.storage.outbox import OUTBOX, Delivery
from haneul.storage.store import Store

from .world import HERE, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


def says(*verdicts: Verdict | Exception) -> "Said":
    return Said(list(verdicts))


class Said:
    """Gives these verdicts in turn, and the last one for ever."""

    def __init__(self, verdicts: list[Verdict | Exception]) -> None:
        self._verdicts = verdicts

    async def __call__(self, row: Delivery) -> Verdict:
        verdict = self._verdicts.pop(0) if len(self._verdicts) > 1 else self._verdicts[0]
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


class Gate:
    """A target that does not answer before it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, row: Delivery) -> Verdict:
        await self.open.wait()
        return Done()


class Grumpy:
    """A store whose disk can be full."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refuses = False
        self.get, self.scan, self.changes = store.get, store.scan, store.changes
        self.on_change, self.close = store.on_change, store.close

    async def transact(self, work: Any, *, keys: Any = (), scans: Any = ()) -> Any:
        if self.refuses:
            raise Unavailable("store", "events", "the disk is full")
        return await self._store.transact(work, keys=keys, scans=scans)


async def test_a_row_that_is_there_at_the_start_is_delivered_and_gone(world: World) -> None:
    await world.send(world.row("one", event=b"payload"))
    await world.engine.start()
    await world.idle()

    assert world.seen == [(0.0, "one", b"payload")]
    assert await world.rows() == []


async def test_a_row_written_later_wakes_the_engine(world: World) -> None:
    await world.engine.start()
    await world.idle()
    await world.send(world.row("one"))
    await world.idle()

    assert world.ids() == ["one"]


async def test_every_store_is_read() -> None:
    world = World(stores=3)
    await world.engine.start()
    for at, store in enumerate(world.stores):
        await world.send(world.row(str(at)), store=store)
    await world.idle()

    assert sorted(world.ids()) == ["0", "1", "2"]
    await world.close()


async def test_an_encoder_makes_the_payload_of_its_format(world: World) -> None:
    world.encoders["shout"] = lambda row: row.event.upper()
    await world.send(world.row("one", format="shout", event=b"hey"))
    await world.engine.start()
    await world.idle()

    assert world.seen[0][2] == b"HEY"


async def test_a_row_is_not_delivered_before_it_is_due(world: World) -> None:
    await world.send(world.row("later", delay_ms=90_500), world.row("sooner", delay_ms=2_000))
    await world.engine.start()
    await world.idle()
    assert world.seen == []

    await world.env.advance(1.999)
    assert world.ids() == []
    await world.env.advance(200)
    assert [(at, id) for at, id, _ in world.seen] == [(2.0, "sooner"), (90.5, "later")]


async def test_a_row_due_sooner_than_the_one_awaited_is_noticed(world: World) -> None:
    await world.send(world.row("later", delay_ms=20_000))
    await world.engine.start()
    await world.idle()
    await world.send(world.row("sooner", delay_ms=1_000))
    await world.env.advance(30)

    assert [(at, id) for at, id, _ in world.seen] == [(1.0, "sooner"), (20.0, "later")]


async def test_retry_waits_as_long_as_the_target_asked_and_counts_the_attempt(world: World) -> None:
    world.answers["f"] = says(Retry(5_000, "busy"), Retry(0, "busy"), Done())
    await world.send(world.row("one"))
    await world.engine.start()
    await world.idle()
    (row,) = await world.rows()
    assert (row.attempt, row.last_error, row.due_ms) == (1, "busy", row.created_ms + 5_000)

    await world.env.advance(10)
    await world.idle()

    assert [at for at, _, _ in world.seen] == [0.0, 5.0, 5.0]
    assert world.observed.outcomes() == ["retry", "retry", "done"]
    assert await world.rows() == []


async def test_a_target_that_raises_is_tried_again_ever_more_slowly_and_then_dropped(world: World) -> None:
    world.answers["f"] = says(ConnectionError("refused"))
    await world.send(world.row("one"))
    await world.engine.start()
    while await world.engine.pending():
        await world.env.advance(DELIVERY_BACKOFF_MAX_MS / 1000)

    times = [at for at, _, _ in world.seen]
    waits_ms = [round((later - sooner) * 1000) for sooner, later in itertools.pairwise(times)]
    assert len(times) == DELIVERY_ATTEMPTS_MAX
    for attempt, wait_ms in enumerate(waits_ms):
        longest = min(DELIVERY_BACKOFF_MS * 2**attempt, DELIVERY_BACKOFF_MAX_MS)
        assert longest // 2 - 1 <= wait_ms <= longest + 1
    assert len(set(waits_ms[20:])) > 50, "waits are spread"
    assert world.observed.outcomes() == ["retry"] * (DELIVERY_ATTEMPTS_MAX - 1) + ["dropped"]
    level, event, facts = world.log.events[-1]
    assert (level, event, facts["id"]) == ("error", "delivery dropped", "one")
    assert "ConnectionError: refused" in facts["reason"]


async def test_dropped_is_final_and_logged(world: World) -> None:
    world.answers["f"] = says(Dropped("no such function"))
    await world.send(world.row("one"))
    await world.engine.start()
    await world.idle()
    await world.env.advance(3600)

    assert world.ids() == ["one"]
    assert await world.rows() == []
    assert world.log.events[-1][1] == "delivery dropped"


@pytest.mark.parametrize("format", ["poison", "unknown"])
async def test_a_row_that_cannot_be_encoded_harms_no_other(world: World, format: str) -> None:
    world.encoders["poison"] = lambda row: bytes(1 // 0)
    await world.send(world.row("bad", format=format), world.row("good"))
    await world.engine.start()
    await world.idle()

    assert world.ids() == ["good"]
    (row,) = await world.rows()
    assert (row.id, row.attempt) == ("bad", 1)
    assert row.last_error.startswith(("ZeroDivisionError", "NotBuilt"))


async def test_a_kind_of_target_that_is_not_there_is_a_retry(world: World) -> None:
    row = world.row("one")
    await world.send(msgspec.structs.replace(row, target=msgspec.structs.replace(row.target, kind="pigeon")))
    await world.engine.start()
    await world.idle()

    assert [row.last_error for row in await world.rows()] == ["NotBuilt: delivery target pigeon"]


async def test_an_answer_that_is_no_verdict_is_a_retry(world: World) -> None:
    async def silly(row: Delivery) -> Verdict:
        return "fine"  # type: ignore[return-value]

    world.answers["f"] = silly
    await world.send(world.row("one"))
    await world.engine.start()
    await world.idle()

    assert "no verdict" in (await world.rows())[0].last_error


async def test_a_target_that_cancels_itself_is_a_retry(world: World) -> None:
    async def cancelled(row: Delivery) -> Verdict:
        raise asyncio.CancelledError

    world.answers["f"] = cancelled
    await world.send(world.row("one"))
    await world.engine.start()
    await world.idle()

    assert (await world.rows())[0].attempt == 1


async def test_a_target_that_never_answers_is_given_up_and_tried_again(world: World) -> None:
    gate = Gate()
    world.answers["f"] = gate
    await world.send(world.row("one"))
    await world.engine.start()
    await world.env.advance(DELIVERY_TIMEOUT_S + 1)

    assert "no answer" in (await world.rows())[0].last_error
    gate.open.set()
    await world.env.advance(10)
    assert await world.rows() == []


async def test_each_attempt_is_observed_with_scope_id_and_trace(world: World) -> None:
    world.answers["f"] = says(Retry(1000, "busy"), Done())
    sent = world.row("one")
    await world.send(sent)
    await world.engine.start()
    await world.env.advance(5)

    first, second = world.observed.records
    assert (first.scope, first.request_id, first.trace.trace_id) == (HERE, "one", sent.trace.trace_id)
    assert first.what == Delivered("tests", "function:f", "retry", 1, "busy")
    assert second.what == Delivered("tests", "function:f", "done", 2, "")
    assert second.started_ms == first.started_ms + 1000


async def test_each_attempt_is_a_hop_between_the_request_that_caused_it_and_the_target(world: World) -> None:
    handed: list[Delivery] = []

    async def target(row: Delivery) -> Verdict:
        handed.append(row)
        return Done() if len(handed) > 1 else Retry(1000, "busy")

    world.answers["f"] = target
    sent = world.row("one")
    await world.send(sent)
    await world.engine.start()
    await world.env.advance(5)

    spans = [record.trace for record in world.observed.records]
    assert [span.parent_id for span in spans] == [sent.trace.span_id] * 2
    assert len({sent.trace.span_id, *(span.span_id for span in spans)}) == 3
    assert [row.trace for row in handed] == spans


async def test_concurrency_is_bounded(world: World) -> None:
    gate = Gate()
    names = [f"f{at}" for at in range(400)]
    world.answers = dict.fromkeys(names, gate)
    await world.send(*[world.row(f"{name}-{at}", name) for name in names for at in range(2)])
    await world.engine.start()
    await world.env.settle()
    assert world.engine.running == world.most_at_once[""] == DELIVERY_CONCURRENCY

    gate.open.set()
    await world.idle()
    assert len(world.seen) == len(set(world.ids())) == 800
    assert world.most_at_once[""] <= DELIVERY_CONCURRENCY


async def test_a_slow_target_with_a_long_backlog_does_not_keep_others_waiting(world: World) -> None:
    gate = Gate()
    world.answers["slow"] = gate
    await world.send(*[world.row(f"slow-{at:04}", "slow") for at in range(2_000)])
    await world.engine.start()
    await world.env.settle()
    await world.send(*[world.row(f"quick-{at}", "quick") for at in range(50)])
    await world.env.advance(2)

    assert len([id for id in world.ids() if id.startswith("quick")]) == 50
    assert world.at_once["slow"] == DELIVERY_CONCURRENCY * 3 // 8
    gate.open.set()
    await world.idle()
    assert len(set(world.ids())) == 2_050


async def test_many_slow_targets_leave_room_for_a_newcomer(world: World) -> None:
    gate = Gate()
    slow = [f"slow{at}" for at in range(40)]
    world.answers = dict.fromkeys(slow, gate)
    await world.send(*[world.row(f"{name}-{at}", name) for at in range(100) for name in slow])
    await world.engine.start()
    await world.env.settle(200)
    await world.send(world.row("quick", "quick"))
    await world.env.advance(2)

    assert "quick" in world.ids()
    gate.open.set()
    await world.idle()
    assert len(world.seen) == len(set(world.ids())) == 4_001


async def test_rows_of_one_target_begin_in_the_order_in_which_they_fell_due(world: World) -> None:
    await world.send(*[world.row(f"{at:04}") for at in range(1_000)])
    await world.engine.start()
    await world.idle()

    assert world.ids() == [f"{at:04}" for at in range(1_000)]


async def test_a_row_never_runs_twice_at_the_same_time(world: World) -> None:
    gate = Gate()
    world.answers["f"] = gate
    await world.send(world.row("one"))
    await world.engine.start()
    for at in range(20):
        await world.send(world.row(f"other{at}", "quick"))
        await world.env.advance(DELIVERY_SWEEP_S)

    assert world.ids().count("one") == 1
    assert world.most_at_once["one"] == 1


async def test_a_row_that_is_committed_long_after_its_due_time_is_found(world: World) -> None:
    await world.engine.start()
    await world.send(world.row("first"))
    await world.idle()
    late = world.row("late")
    await world.env.advance(60)
    await world.send(world.row("second"))
    await world.idle()
    await world.send(late)
    await world.env.advance(DELIVERY_SWEEP_S)

    assert world.ids() == ["first", "second", "late"]


async def test_a_row_that_was_wiped_during_its_attempt_does_not_rise_again(world: World) -> None:
    gate = Gate()

    async def wait_then_retry(row: Delivery) -> Verdict:
        await gate.open.wait()
        return Retry(1_000, "busy")

    world.answers["f"] = wait_then_retry
    await world.send(world.row("one"))
    await world.engine.start()
    await world.env.settle()
    await world.wipe()
    gate.open.set()
    await world.idle()
    await world.env.advance(60)

    assert world.ids() == ["one"]
    assert await world.rows() == []


async def test_stop_waits_for_what_runs_and_settles_it(world: World) -> None:
    gate = Gate()
    world.answers["f"] = gate
    await world.send(world.row("one"))
    await world.engine.start()
    await world.env.settle()
    stopping = asyncio.ensure_future(world.engine.stop())
    await world.env.advance(GRACE_TIMEOUT_S / 2)
    gate.open.set()
    await stopping

    assert await world.rows() == []


async def test_stop_gives_up_after_the_grace_time_and_the_row_stays(world: World) -> None:
    world.answers["f"] = Gate()
    await world.send(world.row("one"))
    await world.engine.start()
    await world.env.settle()
    stopping = asyncio.ensure_future(world.engine.stop())
    await world.env.advance(GRACE_TIMEOUT_S)
    await asyncio.wait_for(stopping, 5)

    assert [row.id for row in await world.rows()] == ["one"]


async def test_nothing_is_started_after_stop(world: World) -> None:
    await world.engine.start()
    await world.idle()
    await world.engine.stop()
    await world.send(world.row("one"))
    await world.env.advance(60)

    assert world.seen == []


async def test_after_a_restart_unsettled_rows_are_delivered_again_and_settled_ones_are_not(tmp_path: Path) -> None:
    first = World(directory=tmp_path)
    changed = asyncio.Event()
    first.store.on_change(OUTBOX, changed.set)
    first.answers["stuck"] = Gate()
    first.answers["failing"] = says(Retry(60_000, "busy"))
    await first.engine.start()
    await first.send(first.row("done"), first.row("stuck", "stuck"), first.row("failing", "failing"))
    while {(row.id, row.attempt) for row in await first.rows()} != {("stuck", 0), ("failing", 1)}:
        await asyncio.wait_for(changed.wait(), 5)
        changed.clear()
    stopping = asyncio.ensure_future(first.engine.stop())
    await first.env.advance(GRACE_TIMEOUT_S)
    await stopping
    await first.store.close()

    second = World(directory=tmp_path)
    await second.engine.start()
    await second.idle()
    assert second.ids() == ["stuck"]
    await second.close()


async def test_a_disk_that_refuses_for_a_while_loses_and_repeats_nothing() -> None:
    world = World(wrap=Grumpy)
    grumpy = world.store
    assert isinstance(grumpy, Grumpy)
    await world.send(world.row("one"))
    grumpy.refuses = True
    await world.engine.start()
    await world.env.advance(3)
    assert world.ids() == ["one"]
    assert len(await world.rows()) == 1

    grumpy.refuses = False
    await world.env.advance(3)
    await world.idle()
    assert world.ids() == ["one"]
    assert await world.rows() == []
    await world.close()


async def test_ten_thousand_rows_pass_without_one_lost_or_repeated(world: World) -> None:
    await world.engine.start()
    await world.send(*[world.row(f"{at}", f"f{at % 7}") for at in range(10_000)])
    await world.idle()

    assert len(world.seen) == 10_000
    assert len(set(world.ids())) == 10_000
