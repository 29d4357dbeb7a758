"""Asynchronous invocations: durable, retried as documented, dropped loudly, also over a restart."""

import msgspec
import pytest

from haneul.base.errors import NotFound, TooLarge, Unavailable
from haneul.base.limits import PAYLOAD_ASYNC_MAX_BYTES, SCAN_MAX_ROWS
from haneul.base.trace import Trace
from haneul.engines.functions.asynchronous import backoff_ms
from haneul.engines.functions.records import FAILURES, AsyncSettings
from haneul.sandbox.api import Invocation, Outcome
from haneul.storage.outbox import OUTBOX, Delivery
from haneul.storage.store import Range
from tests.unit.functions.conftest import MakeWorld
from tests.unit.functions.fake import HERE, World


async def fail(invocation: Invocation) -> Outcome:
    return Outcome(kind="error", payload=b'{"errorType":"ValueError"}')


async def sent(world: World, **request: object) -> Delivery:
    await world.engine.send(HERE, "f", "", world.request(**request))
    (_, row), *_ = await world.store.scan(OUTBOX, Range(), 10)
    return row


def after(hops: int) -> Trace:
    """A trace in which that many functions have run."""
    return Trace("0" * 32, "0" * 16, hops=hops)


def tried(row: Delivery) -> Delivery:
    return msgspec.structs.replace(row, attempt=row.attempt + 1)


async def failures(world: World) -> int:
    return len(await world.store.scan(FAILURES, Range(), SCAN_MAX_ROWS))


async def test_an_event_is_in_the_outbox_before_it_is_acknowledged(world: World) -> None:
    await world.create()

    row = await sent(world, payload=b'{"a":1}', request_id="r1", trace=after(3))

    assert (row.id, row.format, row.event, row.trace.hops) == ("r1", "raw", b'{"a":1}', 3)
    assert (row.target.kind, row.target.name) == ("function", "f")
    assert world.sandbox.runs == []


async def test_an_event_that_succeeds_is_done(world: World) -> None:
    await world.create()
    row = await sent(world, trace=after(2))

    handed = await world.engine.asynchronous.deliver(row, row.event)

    assert handed.outcome == "done"
    assert world.watcher.last.asynchronous
    assert world.sandbox.runs[0][1].request_id == row.id
    assert world.sandbox.runs[0][1].trace_header.endswith(";3")


async def test_a_function_that_fails_is_tried_three_times_under_one_id(world: World) -> None:
    await world.create()
    world.sandbox.handler = fail
    row = await sent(world)
    waits = []

    for _ in range(3):
        handed = await world.engine.asynchronous.deliver(row, row.event)
        waits.append((handed.outcome, handed.wait_ms))
        row = tried(row)

    assert waits == [("retry", 60_000), ("retry", 120_000), ("dropped", 0)]
    assert {invocation.request_id for _, invocation in world.sandbox.runs} == {row.id}
    assert [record.what.attempt for record in world.watcher.records] == [1, 2, 3]
    assert [event for _, event, _ in world.log.events] == ["event_dropped"]
    assert await failures(world) == 0


async def test_retries_are_counted_over_a_restart(make_world: MakeWorld) -> None:
    before = await make_world()
    await before.create()
    before.sandbox.handler = fail
    row = await sent(before)
    await before.engine.asynchronous.deliver(row, row.event)
    await before.engine.asynchronous.deliver(tried(row), row.event)

    after = await make_world(store=before.store)
    after.blobs = before.blobs
    after.sandbox.handler = fail
    handed = await after.engine.asynchronous.deliver(tried(tried(row)), row.event)

    assert handed.outcome == "dropped"


async def test_waiting_for_room_does_not_count_as_trying(world: World) -> None:
    await world.create()
    world.sandbox.handler = fail
    row = await sent(world)
    outcomes = []

    async def full(spec: object, on_log: object) -> Outcome:
        raise Unavailable("sandbox", "", "full")

    start, world.sandbox.start = world.sandbox.start, full  # type: ignore[method-assign]
    for _ in range(5):
        handed = await world.engine.asynchronous.deliver(row, row.event)
        outcomes.append((handed.outcome, handed.wait_ms))
        row = tried(row)
    world.sandbox.start = start  # type: ignore[method-assign]
    handed = await world.engine.asynchronous.deliver(row, row.event)

    assert outcomes == [("retry", wait) for wait in (1_000, 2_000, 4_000, 8_000, 16_000)]
    assert (handed.outcome, handed.wait_ms) == ("retry", 60_000)


async def test_success_after_failures_leaves_nothing_behind(world: World) -> None:
    await world.create()
    world.sandbox.handler = fail
    row = await sent(world)
    await world.engine.asynchronous.deliver(row, row.event)
    assert await failures(world) == 1

    async def succeed(invocation: Invocation) -> Outcome:
        return Outcome(kind="ok")

    world.sandbox.handler = succeed
    assert (await world.engine.asynchronous.deliver(tried(row), row.event)).outcome == "done"

    assert await failures(world) == 0


async def test_settings_shorten_retries_and_age(world: World) -> None:
    await world.create()
    world.sandbox.handler = fail
    settings = AsyncSettings(modified_ms=0, retries=0, age_max_s=60)
    await world.engine.asynchronous.set_settings(HERE, "f", 0, settings)
    row = await sent(world)

    assert (await world.engine.asynchronous.deliver(row, row.event)).outcome == "dropped"

    row = await sent(world)
    await world.env.advance(61)
    assert (await world.engine.asynchronous.deliver(row, row.event)).reason == "older than 60 s"
    assert len(world.sandbox.runs) == 1


async def test_an_event_older_than_six_hours_is_dropped(world: World) -> None:
    await world.create()
    row = await sent(world)
    await world.env.advance(21_601)

    assert (await world.engine.asynchronous.deliver(row, row.event)).outcome == "dropped"


async def test_functions_that_call_each_other_in_a_circle_end_after_16_runs(world: World) -> None:
    await world.create()
    row = await sent(world)
    while (handed := await world.engine.asynchronous.deliver(row, row.event)).outcome == "done":
        hops = int(world.sandbox.runs[-1][1].trace_header.partition(";")[2])
        row = msgspec.structs.replace(row, trace=after(hops))

    assert (handed.outcome, handed.reason) == ("dropped", "recursive: 16 functions in a row led here")
    assert len(world.sandbox.runs) == 16
    assert [event for _, event, _ in world.log.events] == ["event_dropped"]


async def test_what_is_for_nobody_is_dropped(world: World) -> None:
    await world.create()
    row = await sent(world)
    await world.engine.registry.delete(HERE, "f")

    assert (await world.engine.asynchronous.deliver(row, row.event)).outcome == "dropped"


async def test_a_function_without_any_concurrency_gets_no_retries(world: World) -> None:
    await world.create()
    await world.engine.registry.reserve(HERE, "f", 0)
    row = await sent(world)

    assert (await world.engine.asynchronous.deliver(row, row.event)).outcome == "dropped"


async def test_bad_events_are_refused_when_they_are_sent(world: World) -> None:
    await world.create()

    with pytest.raises(TooLarge):
        await sent(world, payload=b" " * (PAYLOAD_ASYNC_MAX_BYTES + 1))
    with pytest.raises(NotFound):
        await world.engine.send(HERE, "g", "", world.request())
    with pytest.raises(NotFound):
        await world.engine.send(HERE, "f", "9", world.request())


def test_the_wait_for_room_doubles_up_to_five_minutes() -> None:
    assert [backoff_ms(attempt) for attempt in (0, 1, 2, 8, 9, 1_000)] == [
        1_000,
        2_000,
        4_000,
        256_000,
        300_000,
        300_000,
    ]
