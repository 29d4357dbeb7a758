"""Whatever happens in whatever order: nobody shares an environment, nothing is counted twice, nothing is left behind."""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from haneul.base.errors import Failure, NotFound, Throttled
from haneul.sandbox.api import Invocation, Outcome
from tests.unit.functions.conftest import MakeWorld
from tests.unit.functions.fake import HERE, World, plain, stream, zipped

NAMES = ("f", "g", "h")
KINDS = ("ok", "ok", "ok", "ok", "error", "timeout", "crash", "out_of_memory")


class Chaos:
    """A handler that answers when told to, with any outcome; it sees that an environment runs one thing at a time."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        self.waiting: list[asyncio.Event] = []
        self.running: set[str] = set()
        self.most = 0
        world.sandbox.handler = self

    async def __call__(self, invocation: Invocation) -> Outcome:
        instance, _ = self.world.sandbox.runs[-1]
        assert instance.id not in self.running
        self.running.add(instance.id)
        self.most = max(self.most, len(self.running))
        event = asyncio.Event()
        self.waiting.append(event)
        await event.wait()
        self.running.discard(instance.id)
        return Outcome(kind=self.chance.choice(KINDS), duration_us=1)

    def release(self, count: int) -> None:
        for _ in range(min(count, len(self.waiting))):
            self.waiting.pop(self.chance.randrange(len(self.waiting))).set()


async def step(world: World, chance: random.Random, chaos: Chaos, calls: list[asyncio.Task[Any]]) -> None:
    registry, name = world.engine.registry, chance.choice(NAMES)
    act = chance.randrange(10)
    if act < 4:
        calls.append(asyncio.ensure_future(world.invoke(name, chance.choice(("", "", "1")))))
    elif act == 4:
        chaos.release(chance.randrange(1, 6))
    elif act == 5:
        await world.env.advance(chance.choice((0.01, 0.1, 5, 700)))
    elif act == 6 and calls:
        chance.choice(calls).cancel()
    elif act == 7:
        await registry.update_code(HERE, name, stream(zipped({"app.py": f"# {chance.random()}"})))
    elif act == 8:
        await registry.reserve(HERE, name, chance.choice((None, 0, 1, 3)))
    else:
        await chance.choice((world.create, lambda name: registry.publish(HERE, name), registry_delete(world)))(name)


def registry_delete(world: World) -> Any:
    async def delete(name: str) -> None:
        await world.engine.registry.delete(HERE, name)

    return delete


@pytest.mark.parametrize("seed", range(25))
async def test_any_order_of_events_leaves_the_books_in_order(make_world: MakeWorld, seed: int) -> None:
    world = await make_world(environments_max=8, concurrency_max=110)
    chance = random.Random(seed)
    chaos = Chaos(world, chance)
    calls: list[asyncio.Task[Any]] = []
    for name in NAMES:
        await world.create(name)

    for _ in range(150):
        with contextlib.suppress(Failure):
            await step(world, chance, chaos, calls)
        await world.env.settle(3)
    for _ in range(50):
        chaos.release(1_000)
        await world.env.settle()
    results = await asyncio.gather(*calls, return_exceptions=True)

    refusals = [result for result in results if isinstance(result, Exception)]
    assert all(isinstance(refusal, NotFound | Throttled) for refusal in refusals)
    assert not chaos.running
    assert chaos.most <= 8
    alive = sum(instance.alive for instance in world.sandbox.started)
    assert world.engine.environments == alive
    for share in world.engine._concurrency.known(HERE).shares.values():  # type: ignore[union-attr]
        assert share.busy == 0
    account = world.engine._concurrency.known(HERE)
    assert account is not None and account.unreserved_busy == 0
    assert account.reserved == sum((await world.engine.registry.reservations(HERE)).values())
    await world.env.advance(700)
    assert world.engine.environments == 0
    assert all(not instance.alive for instance in world.sandbox.started)


async def test_changes_at_once_are_all_made(world: World) -> None:
    await world.create()
    registry = world.engine.registry

    await asyncio.gather(
        *(registry.tag(HERE, "f", {f"k{number}": ""}) for number in range(20)),
        registry.update_settings(HERE, "f", lambda settings: plain(timeout_s=7)),
        *(registry.publish(HERE, "f") for _ in range(3)),
        return_exceptions=True,
    )
    function = await registry.settled(HERE, "f")

    assert len(function.tags) == 20
    assert function.settings.timeout_s == 7
