"""The pool: reuse, freezing, reaping, limits."""

import asyncio

import pytest

from haneul.base.errors import LimitExceeded, Throttled, Unavailable
from haneul.base.limits import CONCURRENCY_ACCOUNT_DEFAULT, CONCURRENCY_UNRESERVED_MIN
from haneul.base.scope import Scope
from haneul.engines.functions.dress import Granted
from haneul.engines.functions.idle import IdleTimes
from haneul.sandbox.api import Instance, Invocation, LogSink, Outcome, Spec
from tests.unit.functions.conftest import MakeWorld
from tests.unit.functions.fake import HERE, World, stream, zipped


class Gate:
    """A handler that waits until it is opened."""

    def __init__(self, world: World) -> None:
        self.open = asyncio.Event()
        world.sandbox.handler = self

    async def __call__(self, invocation: Invocation) -> Outcome:
        await self.open.wait()
        return Outcome(kind="ok", duration_us=100)


async def at_once(world: World, count: int, name: str = "f") -> list[asyncio.Task[object]]:
    tasks = [world.env.spawn(world.invoke(name), name="invoke") for _ in range(count)]
    await world.env.settle()
    return tasks


async def test_invocations_at_once_have_an_environment_each(world: World) -> None:
    await world.create()
    gate = Gate(world)

    tasks = await at_once(world, 5)

    assert world.engine.environments == 5
    gate.open.set()
    await asyncio.gather(*tasks)


async def test_the_environment_used_last_is_used_next(world: World) -> None:
    await world.create()
    gate = Gate(world)
    tasks = await at_once(world, 3)
    gate.open.set()
    await asyncio.gather(*tasks)
    last = world.sandbox.runs[-1][0]

    await world.invoke()
    await world.invoke()

    assert [instance for instance, _ in world.sandbox.runs[-2:]] == [last, last]


async def test_an_idle_environment_is_frozen_and_thawed_for_the_next_run(world: World) -> None:
    await world.create()
    await world.invoke()
    assert not world.sandbox.started[0].frozen

    await world.env.advance(0.1)
    assert world.sandbox.started[0].frozen

    await world.invoke()
    assert len(world.sandbox.started) == 1
    await world.env.advance(0.1)
    assert world.sandbox.started[0].frozen


async def test_a_busy_function_is_never_frozen_in_between(world: World) -> None:
    await world.create()
    for _ in range(20):
        await world.invoke()
        await world.env.advance(0.03)
        assert not world.sandbox.started[0].frozen


async def test_idle_environments_are_reaped_to_zero(world: World) -> None:
    await world.create()
    await world.invoke()

    await world.env.advance(599)
    assert world.engine.environments == 1

    await world.env.advance(2)
    assert world.engine.environments == 0
    await world.invoke()
    assert world.watcher.last.start == "fork"


async def test_a_function_that_is_called_often_is_kept_only_as_long_as_it_pauses(world: World) -> None:
    await world.create()
    for _ in range(200):
        await world.invoke()
        await world.env.advance(12)

    await world.env.advance(30)

    assert world.engine.environments == 0
    assert len(world.sandbox.started) == 1


def test_the_histogram_keeps_until_99_of_100_pauses_would_have_ended() -> None:
    times = IdleTimes(600)
    assert times.keep_s() == 600

    for _ in range(990):
        times.add(1)
    for _ in range(10):
        times.add(300)
    assert times.keep_s() == 10

    for _ in range(90):
        times.add(300)
    assert times.keep_s() == 310

    for _ in range(100):
        times.add(100_000)
    assert times.keep_s() == 600


async def test_reserved_concurrency_is_a_ceiling(world: World) -> None:
    await world.create()
    await world.engine.registry.reserve(HERE, "f", 2)
    gate = Gate(world)
    tasks = await at_once(world, 2)

    with pytest.raises(Throttled) as refused:
        await world.invoke()
    assert refused.value.fields["limit"] == "function"

    gate.open.set()
    await asyncio.gather(*tasks)
    await world.invoke()


async def test_what_others_have_reserved_is_not_left_for_the_rest(make_world: MakeWorld) -> None:
    world = await make_world(concurrency_max=CONCURRENCY_UNRESERVED_MIN + 3)
    await world.create("f")
    await world.create("g")
    gate = Gate(world)
    tasks = await at_once(world, 1)
    await world.engine.registry.reserve(HERE, "g", 3)
    tasks += await at_once(world, CONCURRENCY_UNRESERVED_MIN - 1)

    with pytest.raises(Throttled) as refused:
        await world.invoke()
    assert refused.value.fields["limit"] == "account"
    tasks += await at_once(world, 3, "g")

    await world.engine.registry.reserve(HERE, "g", None)
    with pytest.raises(Throttled):
        await world.invoke()
    gate.open.set()
    await asyncio.gather(*tasks)
    gate.open.clear()
    tasks = await at_once(world, CONCURRENCY_UNRESERVED_MIN + 3)
    assert world.engine.environments == CONCURRENCY_UNRESERVED_MIN + 6
    gate.open.set()
    await asyncio.gather(*tasks)


async def test_so_much_cannot_be_reserved_that_too_little_is_left(make_world: MakeWorld) -> None:
    world = await make_world(concurrency_max=CONCURRENCY_UNRESERVED_MIN + 3)
    await world.create()

    with pytest.raises(LimitExceeded):
        await world.engine.registry.reserve(HERE, "f", 4)

    await world.engine.registry.reserve(HERE, "f", 3)


async def test_reservations_are_known_after_a_restart(make_world: MakeWorld) -> None:
    before = await make_world()
    await before.create()
    await before.engine.registry.reserve(HERE, "f", 0)

    after = await make_world(store=before.store)

    with pytest.raises(Throttled):
        await after.invoke()


async def test_accounts_do_not_share_concurrency(make_world: MakeWorld) -> None:
    world = await make_world(concurrency_max=1)
    other = Scope("111111111111", "us-east-1")
    await world.create()
    await world.create(scope=other)
    gate = Gate(world)
    tasks = await at_once(world, 1)

    task = world.env.spawn(world.engine.invoke(other, "f", "", world.request()), name="other")
    await world.env.settle()
    gate.open.set()

    assert (await task).error == ""
    await asyncio.gather(*tasks)
    accounts = [instance.spec.account for instance in world.sandbox.started]
    assert accounts == ["000000000000", "111111111111"]


async def test_a_full_node_gives_up_what_has_been_idle_longest(make_world: MakeWorld) -> None:
    world = await make_world(environments_max=2)
    for name in ("a", "b", "c"):
        await world.create(name)
    await world.invoke("a")
    await world.invoke("b")

    await world.invoke("c")
    await world.env.settle()

    assert [instance.spec.environment["NAME"] for instance in world.sandbox.stopped] == ["a"]
    assert world.engine.environments == 2


async def test_a_full_and_busy_node_throttles(make_world: MakeWorld) -> None:
    world = await make_world(environments_max=1)
    await world.create()
    gate = Gate(world)
    tasks = await at_once(world, 1)

    with pytest.raises(Throttled) as refused:
        await world.invoke()

    assert refused.value.fields["limit"] == "node"
    gate.open.set()
    await asyncio.gather(*tasks)


async def test_an_environment_is_replaced_before_its_credentials_expire(world: World) -> None:
    await world.create()
    world.granted = Granted({"KEY": "first"}, world.env.now_ms() + 3_600_000)
    await world.invoke()
    world.granted = Granted({"KEY": "second"}, world.env.now_ms() + 7_200_000)

    for _ in range(12):
        await world.env.advance(290)
        await world.invoke()

    keys = [instance.spec.environment["KEY"] for instance in world.sandbox.started]
    assert keys == ["first", "second"]


async def test_a_dead_idle_environment_is_not_used(world: World) -> None:
    await world.create()
    await world.invoke()
    world.sandbox.started[0].alive = False

    answer = await world.invoke()

    assert answer.error == ""
    assert len(world.sandbox.started) == 2


async def test_stopping_the_engine_stops_every_environment(make_world: MakeWorld) -> None:
    world = await make_world()
    await world.create()
    gate = Gate(world)
    tasks = await at_once(world, 3)
    await world.engine.stop()

    assert len(world.sandbox.stopped) == 3
    gate.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(Throttled):
        await world.invoke()


async def test_published_versions_that_ask_for_it_start_from_a_snapshot(world: World) -> None:
    await world.create(snapshot=True)
    await world.engine.registry.publish(HERE, "f")
    await world.engine.registry.settled(HERE, "f", 1)

    await world.invoke(qualifier="1")
    await world.invoke()

    assert len(world.sandbox.prepared) == 1
    of_version, of_head = (instance.spec.snapshot for instance in world.sandbox.started)
    assert of_version == world.sandbox.prepared[0].snapshot != ""
    assert of_head == ""
    await world.engine.registry.delete_version(HERE, "f", 1)
    await world.env.settle()
    assert world.sandbox.forgotten == [of_version]


async def test_a_sandbox_that_is_full_is_given_back_what_is_idle(world: World) -> None:
    for name in ("a", "b"):
        await world.create(name)
    await world.invoke("a")
    start = world.sandbox.start

    async def tight(spec: Spec, on_log: LogSink) -> Instance | Outcome:
        if any(instance.alive for instance in world.sandbox.started):
            raise Unavailable("sandbox", "", "full")
        return await start(spec, on_log)

    world.sandbox.start = tight  # type: ignore[method-assign]
    assert (await world.invoke("b")).error == ""

    assert world.engine.environments == 1
    gate = Gate(world)
    tasks = await at_once(world, 1, "b")
    with pytest.raises(Unavailable):
        await world.invoke("a")
    gate.open.set()
    await asyncio.gather(*tasks)


async def test_the_default_limit_is_the_documented_one(world: World) -> None:
    assert world.engine.options.concurrency_max == CONCURRENCY_ACCOUNT_DEFAULT
    await world.create()
    await world.engine.registry.update_code(HERE, "f", stream(zipped({"a.py": ""})), dry_run=True)
    assert (await world.engine.registry.get(HERE, "f")).code.size_bytes != 0
