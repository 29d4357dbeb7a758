"""The manual clock moves only when told to; both clocks keep the same contract."""

import asyncio

import pytest

from haneul.base.env import ManualEnv, RealEnv


async def test_timers_fire_in_order_at_their_own_moment() -> None:
    env = ManualEnv(now=1000.0)
    seen: list[tuple[str, float]] = []
    env.call_later(5, lambda: seen.append(("five", env.now())))
    env.call_later(2, lambda: seen.append(("two", env.now())))
    env.call_later(9, lambda: seen.append(("nine", env.now())))

    await env.advance(6)

    assert seen == [("two", 1002.0), ("five", 1005.0)]
    assert env.now() == 1006.0


async def test_a_cancelled_timer_does_not_fire() -> None:
    env = ManualEnv()
    seen: list[str] = []
    env.call_later(1, lambda: seen.append("fired")).cancel()

    await env.advance(2)

    assert seen == []


async def test_a_sleeper_wakes_and_may_sleep_again_within_one_advance() -> None:
    env = ManualEnv(now=0.0)
    woken: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await env.sleep(10)
            woken.append(env.now())

    task = env.spawn(work(), name="sleeper")
    await env.advance(35)

    assert woken == [10.0, 20.0, 30.0]
    assert task.done()


async def test_within_gives_up_by_the_manual_clock() -> None:
    env = ManualEnv()
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = env.spawn(env.within(3, never), name="waiting")

    await env.advance(2.9)
    assert not waiting.done()
    await env.advance(0.2)

    with pytest.raises(TimeoutError):
        await waiting
    assert never.cancelled()


async def test_within_passes_on_a_cancellation_from_outside() -> None:
    env = ManualEnv()
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = env.spawn(env.within(3, never), name="waiting")
    await env.settle()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert never.cancelled()


async def test_the_same_seed_gives_the_same_run() -> None:
    assert ManualEnv(seed=3).token(16) == ManualEnv(seed=3).token(16)
    assert ManualEnv(seed=3).token(16) != ManualEnv(seed=4).token(16)


async def test_a_task_that_dies_is_reported() -> None:
    loop = asyncio.get_running_loop()
    reported: list[str] = []
    loop.set_exception_handler(lambda _, facts: reported.append(facts["message"]))

    async def dies() -> None:
        raise ValueError("no")

    RealEnv().spawn(dies(), name="doomed")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert reported == ["task doomed failed"]
