"""Coroutines started by hand behave as if a task had run them from the start."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from haneul.gateway.eager import Starter


class Ends:
    """Remembers how coroutines ended."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.ended = asyncio.Event()

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.seen.append(result if error is None else error)
        self.ended.set()


async def outside(call: Callable[[], Any]) -> Any:
    """Run a call as the loop itself would: outside of any task."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(run)
    return await done


async def start(starter: Starter, work: Coroutine[Any, Any, Any], ends: Any) -> "asyncio.Task[None] | None":
    task: asyncio.Task[None] | None = await outside(lambda: starter.start(work, ends))
    return task


@pytest.fixture
async def starter() -> Starter:
    return Starter(asyncio.get_running_loop())


async def test_a_coroutine_that_does_not_wait_ends_at_once(starter: Starter) -> None:
    ends = Ends()

    async def work() -> int:
        return 1

    assert await outside(lambda: (starter.start(work(), ends), list(ends.seen))) == (None, [1])
    starter.close()


async def test_an_error_before_the_first_wait_is_reported(starter: Starter) -> None:
    ends, error = Ends(), ValueError("x")

    async def work() -> None:
        raise error

    assert await start(starter, work(), ends) is None
    assert ends.seen == [error]
    starter.close()


async def test_the_task_is_the_same_before_and_after_a_wait(starter: Starter) -> None:
    ends = Ends()

    async def work() -> list[Any]:
        tasks = [asyncio.current_task()]
        for _ in range(3):
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
        return tasks

    task = await start(starter, work(), ends)
    await ends.ended.wait()

    assert task is not None
    assert ends.seen == [[task] * 4]
    assert asyncio.current_task() is not task
    starter.close()


async def test_results_and_errors_of_what_was_waited_for_come_back(starter: Starter) -> None:
    loop, ends, others = asyncio.get_running_loop(), Ends(), Ends()
    first, second = loop.create_future(), loop.create_future()

    async def work() -> str:
        got = await first
        try:
            await second
        except KeyError as error:
            return f"{got} {error!r}"
        return "nothing"

    await start(starter, work(), ends)
    first.set_result("one")
    await start(starter, work(), others)  # waits first for a future that is done
    second.set_exception(KeyError("two"))
    await ends.ended.wait()
    await others.ended.wait()

    assert ends.seen == others.seen == ["one KeyError('two')"]
    starter.close()


async def test_many_may_wait_for_one_future(starter: Starter) -> None:
    shared = asyncio.get_running_loop().create_future()
    ends = Ends()

    async def work() -> Any:
        return await shared

    def start_three() -> None:
        for _ in range(3):
            starter.start(work(), ends)

    await outside(start_three)
    other = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    shared.set_result(7)
    await other
    for _ in range(5):
        await asyncio.sleep(0)

    assert ends.seen == [7, 7, 7]
    starter.close()


async def test_a_timeout_around_the_first_wait_works(starter: Starter) -> None:
    ends = Ends()

    async def work() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            await asyncio.sleep(0)
            return "late"
        return "never"

    await start(starter, work(), ends)
    await ends.ended.wait()

    assert ends.seen == ["late"]
    starter.close()


async def test_a_task_group_works(starter: Starter) -> None:
    ends = Ends()

    async def part(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def work() -> list[int]:
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part(number)) for number in range(3)]
        return [part.result() for part in parts]

    await start(starter, work(), ends)
    await ends.ended.wait()

    assert ends.seen == [[0, 1, 2]]
    starter.close()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_cancelled_task_ends_its_coroutine_and_what_it_waits_for(starter: Starter, turns: int) -> None:
    waited = asyncio.get_running_loop().create_future()
    ends = Ends()

    async def work() -> None:
        await waited

    def start_and_cancel() -> "asyncio.Task[None]":
        task = starter.start(work(), ends)
        assert task is not None
        if not turns:
            task.cancel()
        return task

    task = await outside(start_and_cancel)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await ends.ended.wait()

    assert isinstance(ends.seen[0], asyncio.CancelledError)
    assert waited.cancelled()
    starter.close()


async def test_a_coroutine_may_clean_up_while_it_is_cancelled(starter: Starter) -> None:
    ends = Ends()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ends.seen.append("cleaned")

    task = await start(starter, work(), ends)
    assert task is not None
    task.cancel()
    await ends.ended.wait()

    assert ends.seen[0] == "cleaned"
    assert isinstance(ends.seen[1], asyncio.CancelledError)
    starter.close()


async def test_another_coroutine_may_follow_in_the_same_task(starter: Starter) -> None:
    ends = Ends()

    async def first() -> Any:
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def second() -> Any:
        await asyncio.sleep(0)
        return asyncio.current_task()

    def then(result: Any, error: BaseException | None) -> Any:
        ends.seen.append(result)
        return second(), ends

    task = await start(starter, first(), then)
    await ends.ended.wait()

    assert ends.seen == [task, task]
    starter.close()


async def test_context_variables_do_not_leak_from_one_into_the_next(starter: Starter) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    ends = Ends()

    async def work(waits: bool) -> tuple[str, str]:
        before = variable.get()
        variable.set("set")
        if waits:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return before, variable.get()

    await start(starter, work(False), ends)
    await start(starter, work(True), ends)
    await start(starter, work(False), ends)
    for _ in range(5):
        await asyncio.sleep(0)

    assert ends.seen == [("unset", "set")] * 3
    assert variable.get() == "unset"
    starter.close()


async def test_cancelling_the_task_of_a_coroutine_that_never_waited_hurts_nobody(starter: Starter) -> None:
    ends = Ends()

    async def remember() -> Any:
        return asyncio.current_task()

    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    await start(starter, remember(), ends)
    ends.seen[0].cancel()
    await start(starter, work(), ends)
    for _ in range(5):
        await asyncio.sleep(0)

    assert ends.seen[1:] == [5]
    starter.close()


async def test_inside_a_task_everything_is_left_to_another_task(starter: Starter) -> None:
    ends = Ends()

    async def work() -> Any:
        return asyncio.current_task()

    task = starter.start(work(), ends)
    assert ends.seen == []
    await ends.ended.wait()

    assert ends.seen == [task]
    starter.close()


async def test_closing_leaves_no_task_behind(starter: Starter) -> None:
    async def work() -> None: ...

    await start(starter, work(), Ends())
    starter.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}
