"""Asynchronous invocations and the delivery engine together: no function's backlog keeps another's events waiting."""

import asyncio

from haneul.base.finished import Invoked
from haneul.base.limits import DELIVERY_CONCURRENCY
from haneul.engines.delivery.engine import DeliveryEngine
from haneul.rooms import deliver_to
from haneul.sandbox.api import Invocation, Outcome
from tests.unit.functions.conftest import MakeWorld
from tests.unit.functions.fake import HERE, World

MANY = 300


def ended(world: World, function: str, outcome: str = "ok") -> int:
    runs = [record.what for record in world.watcher.records if isinstance(record.what, Invoked)]
    return sum(run.function == function and run.outcome == outcome for run in runs)


async def delivering(world: World) -> DeliveryEngine:
    """Deliver world's events; every run of a function takes a second, but for those whose event is "quick"."""

    async def run(invocation: Invocation) -> Outcome:
        if invocation.payload != b'"quick"':
            await world.env.sleep(1)
        return Outcome(kind="ok")

    world.sandbox.handler = run
    targets = {"function": deliver_to(world.engine)}
    engine = DeliveryEngine(world.env, world.log, [world.store], {}, targets, world.watcher)
    await engine.start()
    return engine


async def send(world: World, function: str, times: int, payload: bytes = b"{}") -> None:
    for _ in range(times):
        await world.engine.send(HERE, function, "", world.request(payload=payload))


async def test_a_flood_for_one_function_leaves_room_for_the_events_of_another(world: World) -> None:
    await world.create("slow")
    await world.create("other")
    delivery = await delivering(world)
    await send(world, "slow", MANY)
    await world.env.advance(0.01)
    assert 0 < delivery.running <= DELIVERY_CONCURRENCY // 2

    await send(world, "other", 1, b'"quick"')
    await world.env.advance(0.01)

    assert (ended(world, "other"), ended(world, "slow")) == (1, 0)
    await world.env.advance(10)
    assert ended(world, "slow") == MANY
    await asyncio.wait_for(delivery.idle(), 10)
    await delivery.stop()


async def test_events_that_find_no_concurrency_left_wait_longer_and_longer_and_all_run(make_world: MakeWorld) -> None:
    world = await make_world(concurrency_max=10)
    await world.create("slow")
    delivery = await delivering(world)
    await send(world, "slow", 60)

    await world.env.advance(0.01)
    assert delivery.running == 10 and ended(world, "slow", "throttled") > 0
    await world.env.advance(600)

    assert ended(world, "slow") == 60
    assert await delivery.pending() == 0
    assert ended(world, "slow", "throttled") < 60 * 6
    await delivery.stop()
