"""Invoking: answers, meters, log lines, limits."""

import asyncio

import pytest

from haneul.base.errors import NotFound, Throttled, TooLarge
from haneul.base.limits import LOG_TAIL_MAX_BYTES, PAYLOAD_REQUEST_MAX_BYTES, PAYLOAD_SYNC_MAX_BYTES
from haneul.sandbox.api import Invocation, Outcome
from tests.unit.functions.fake import HERE, World, ok, stream, zipped


async def test_a_function_answers_what_its_handler_returns(world: World) -> None:
    await world.create()

    answer = await world.invoke(payload=b'{"a":1}')

    assert (answer.payload, answer.error, answer.version) == (b'{"a":1}', "", "head")


async def test_the_first_run_is_billed_with_its_initialisation_and_the_next_without(world: World) -> None:
    await world.create()

    first = await world.invoke()
    second = await world.invoke()

    assert (first.invoked.billed_ms, first.invoked.init_us, first.invoked.start) == (3, 1_500, "fork")
    assert (second.invoked.billed_ms, second.invoked.init_us, second.invoked.start) == (2, None, "warm")


async def test_log_lines_come_in_order_and_all_of_them(world: World) -> None:
    await world.create()

    await world.invoke(request_id="r1")

    id = world.sandbox.started[0].id
    assert world.watcher.lines == ["START r1 head", f"hello from {id}", "END r1", "REPORT r1 3"]


async def test_lines_of_a_long_run_are_handed_over_while_it_runs(world: World) -> None:
    await world.create()
    released = asyncio.Event()

    async def wait(invocation: Invocation) -> Outcome:
        await released.wait()
        return Outcome(kind="ok")

    world.sandbox.handler = wait
    running = world.env.spawn(world.invoke(), name="invoke")
    await world.env.settle()
    await world.env.advance(1)

    assert len(world.watcher.lines) == 2

    released.set()
    await running
    assert len(world.watcher.lines) == 4


async def test_the_tail_is_the_last_4_kib_of_the_log(world: World) -> None:
    await world.create()

    async def chatter(invocation: Invocation) -> Outcome:
        world.sandbox.runs[-1][0].on_log([b"x" * 1_000] * 100)
        return Outcome(kind="ok")

    world.sandbox.handler = chatter
    answer = await world.invoke(tail=True, request_id="r")

    assert len(answer.log_tail) == LOG_TAIL_MAX_BYTES
    assert answer.log_tail.endswith(b"\nEND r\nREPORT r 2\n")


async def test_without_asking_there_is_no_tail(world: World) -> None:
    await world.create()

    assert (await world.invoke()).log_tail == b""


async def test_a_handler_that_raises_is_an_answer_with_its_error_document(world: World) -> None:
    await world.create()

    async def fail(invocation: Invocation) -> Outcome:
        return Outcome(kind="error", payload=b'{"errorType":"ValueError","errorMessage":"no"}', duration_us=10)

    world.sandbox.handler = fail
    answer = await world.invoke()

    assert (answer.error, answer.invoked.error_type) == ("error", "ValueError")
    assert world.watcher.last.outcome == "error"
    await world.invoke()
    assert len(world.sandbox.started) == 1


@pytest.mark.parametrize("kind", ["timeout", "crash", "out_of_memory"])
async def test_after_a_death_the_next_run_has_a_new_environment(world: World, kind: str) -> None:
    await world.create()

    async def die(invocation: Invocation) -> Outcome:
        return Outcome(kind=kind, reason="signal: killed", duration_us=3_000_000)

    world.sandbox.handler = die
    answer = await world.invoke()

    assert (answer.error, answer.payload) == (kind, f'"{kind} signal: killed"'.encode())
    assert answer.invoked.error_type == f"Plain.{kind}"
    await world.invoke()
    await world.env.settle()
    assert len(world.sandbox.started) == 2
    assert len(world.sandbox.stopped) == 2


async def test_a_failed_start_is_an_answer_and_the_next_run_tries_again(world: World) -> None:
    await world.create()
    world.sandbox.failing = [Outcome(kind="init_error", payload=b'{"errorType":"Runtime.ImportModuleError"}')]

    first = await world.invoke()
    second = await world.invoke()

    assert (first.error, first.invoked.error_type) == ("init_error", "Runtime.ImportModuleError")
    assert second.error == ""


async def test_a_start_that_times_out_is_worded_as_one(world: World) -> None:
    await world.create()
    world.sandbox.failing = [Outcome(kind="timeout", duration_us=10_000_000)]

    answer = await world.invoke()

    assert (answer.error, answer.invoked.error_type) == ("timeout", "Plain.init_timeout")


async def test_an_answer_that_is_too_large_is_the_functions_failure(world: World) -> None:
    await world.create()

    async def big(invocation: Invocation) -> Outcome:
        return Outcome(kind="ok", dropped_bytes=PAYLOAD_SYNC_MAX_BYTES + 1)

    world.sandbox.handler = big
    answer = await world.invoke()

    assert (answer.error, answer.payload) == ("error", b'"response_too_large "')


async def test_a_payload_that_is_too_large_is_refused(world: World) -> None:
    await world.create()

    with pytest.raises(TooLarge) as refused:
        await world.invoke(payload=b" " * (PAYLOAD_REQUEST_MAX_BYTES + 1))

    assert refused.value.fields["size_bytes"] == PAYLOAD_REQUEST_MAX_BYTES + 1


async def test_what_does_not_exist_is_not_found(world: World) -> None:
    await world.create()

    for name, qualifier in (("g", ""), ("f", "7"), ("f", "live"), ("f", "²")):
        with pytest.raises(NotFound):
            await world.invoke(name, qualifier)


async def test_versions_never_share_an_environment(world: World) -> None:
    await world.create()
    await world.engine.registry.publish(HERE, "f")

    await world.invoke()
    await world.invoke(qualifier="1")
    await world.invoke(qualifier="0")

    first, second, third = (instance for instance, _ in world.sandbox.runs)
    assert first is not second
    assert first is third
    assert world.sandbox.runs[2][1].context == {"called": "f:head"}


async def test_after_an_update_the_next_run_has_the_new_code(world: World) -> None:
    await world.create()
    await world.invoke()

    await world.engine.registry.update_code(HERE, "f", stream(zipped({"app.py": "x = 2"})))
    await world.invoke()
    await world.env.settle()

    old, new = (instance for instance, _ in world.sandbox.runs)
    assert old.spec.code_dir != new.spec.code_dir
    assert (new.spec.code_dir / "app.py").read_text() == "x = 2"
    assert world.sandbox.stopped == [old]


async def test_what_runs_during_an_update_runs_to_its_end_and_then_stops(world: World) -> None:
    await world.create()
    released = asyncio.Event()

    async def wait(invocation: Invocation) -> Outcome:
        await released.wait()
        return Outcome(kind="ok", payload=b"old")

    world.sandbox.handler = wait
    running = world.env.spawn(world.invoke(), name="invoke")
    await world.env.settle()
    await world.engine.registry.update_code(HERE, "f", stream(zipped({"app.py": "x = 2"})))
    await world.engine.registry.settled(HERE, "f")
    await world.env.settle()
    released.set()

    assert (await running).payload == b"old"
    await world.env.settle()
    assert not world.sandbox.started[0].alive
    await world.invoke()
    assert len(world.sandbox.started) == 2


async def test_a_deleted_function_is_gone_and_its_environments_too(world: World) -> None:
    await world.create()
    await world.invoke()

    await world.engine.registry.delete(HERE, "f")
    await world.env.settle()

    assert world.engine.environments == 0
    with pytest.raises(NotFound):
        await world.invoke()


async def test_a_function_made_again_under_the_same_name_is_another(world: World) -> None:
    await world.create()
    await world.invoke()
    await world.engine.registry.delete(HERE, "f")

    await world.create()
    await world.invoke()

    assert len(world.sandbox.started) == 2


async def test_a_throttled_request_is_observed_too(world: World) -> None:
    await world.create()
    await world.engine.registry.reserve(HERE, "f", 0)

    with pytest.raises(Throttled) as refused:
        await world.invoke()

    assert refused.value.fields["limit"] == "function"
    assert world.watcher.last.outcome == "throttled"


async def test_the_clients_context_reaches_the_function(world: World) -> None:
    await world.create()

    await world.invoke(client_context='{"custom":{}}')

    assert world.sandbox.runs[0][1].context == {"called": "f:", "client_context": '{"custom":{}}'}


async def test_an_invocation_whose_caller_hangs_up_runs_to_its_end(world: World) -> None:
    await world.create()
    await world.engine.registry.reserve(HERE, "f", 1)
    released = asyncio.Event()

    async def wait(invocation: Invocation) -> Outcome:
        await released.wait()
        return Outcome(kind="ok", duration_us=5_000)

    world.sandbox.handler = wait
    calling = asyncio.ensure_future(world.invoke())
    await world.env.settle()
    calling.cancel()
    await world.env.settle()

    with pytest.raises(Throttled):
        await world.invoke()
    released.set()
    await world.env.settle()

    assert calling.cancelled()
    assert world.watcher.last.duration_us == 5_000
    assert (await world.invoke()).invoked.start == "warm"


async def test_a_run_that_breaks_costs_its_environment_and_nothing_else(world: World) -> None:
    await world.create()

    async def broken(invocation: Invocation) -> Outcome:
        raise RuntimeError("the sandbox broke")

    world.sandbox.handler = broken
    with pytest.raises(RuntimeError):
        await world.invoke()
    await world.env.settle()

    assert world.engine.environments == 0
    world.sandbox.handler = ok
    assert (await world.invoke()).error == ""
