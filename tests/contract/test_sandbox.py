"""The Sandbox contract, held by every tier that works on this machine."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from haneul.base.errors import Unavailable
from haneul.sandbox.api import Outcome
from haneul.sandbox.interpreters import can_import_provided
from tests.sandboxes import TIERS, Rig, open_rig

ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture(params=TIERS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    made = await open_rig(request.param, tmp_path)
    yield made
    await made.sandbox.close()


async def test_a_handler_answers_and_its_environment_serves_again(rig: Rig) -> None:
    instance = await rig.start(ECHO)

    first = await rig.call(instance, {"n": 1})
    second = await rig.call(instance, {"n": 2})

    assert (first.kind, first.payload, second.payload) == ("ok", b'{"n": 1}', b'{"n": 2}')
    assert first.duration_us > 0 and instance.init_us > 0 and instance.alive


async def test_the_environment_is_complete_and_nothing_else_is_in_it(rig: Rig) -> None:
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"

    found = await rig.ask(source, environment={"LANG": "C.UTF-8", "ONLY": "this"})

    mine = {"TMPDIR", "LAMBDA_TASK_ROOT", "HOME"}  # a tier without a file tree of its own says where things are
    assert {name: value for name, value in found.items() if name not in mine} == {"LANG": "C.UTF-8", "ONLY": "this"}


async def test_a_raised_error_is_an_error_document_and_the_environment_lives(rig: Rig) -> None:
    instance = await rig.start("def handler(event, context):\n    raise ValueError('no')\n")

    outcome = await rig.call(instance)

    assert outcome.kind == "error" and instance.alive
    assert json.loads(outcome.payload)["errorType"] == "ValueError"


async def test_an_import_that_fails_is_an_init_error_with_its_document(rig: Rig) -> None:
    made = await rig.sandbox.start(rig.spec("import nothing_of_this_name\n"), rig.lines.extend)

    assert isinstance(made, Outcome) and made.kind == "init_error"
    assert json.loads(made.payload)["errorType"] == "Runtime.ImportModuleError"


async def test_an_import_that_takes_too_long_is_a_timeout(rig: Rig) -> None:
    made = await rig.sandbox.start(rig.spec("while True: pass\n", init_timeout_s=0.3), rig.lines.extend)

    assert isinstance(made, Outcome) and made.kind == "timeout"


async def test_a_run_past_its_timeout_ends_the_environment(rig: Rig) -> None:
    instance = await rig.start("def handler(event, context):\n    while True: pass\n")

    outcome = await rig.call(instance, timeout_s=0.3)

    assert outcome.kind == "timeout" and not instance.alive
    assert (await rig.call(instance)).kind == "crash"


@pytest.mark.parametrize(("end", "reason"), [("os._exit(3)", "exit status 3"), ("os.abort()", "signal: aborted")])
async def test_a_process_that_ends_itself_is_a_crash_that_says_how(rig: Rig, end: str, reason: str) -> None:
    instance = await rig.start(f"import os\ndef handler(event, context):\n    {end}\n")

    outcome = await rig.call(instance)

    # The first process of a pid namespace ignores signals that it sends itself, so abort ends in another way there.
    assert outcome.kind == "crash" and (outcome.reason == reason or "abort" in end)
    assert not instance.alive


async def test_lines_arrive_before_the_answer(rig: Rig) -> None:
    instance = await rig.start("def handler(event, context):\n    print('one')\n    print('two')\n")

    await rig.call(instance)

    assert rig.lines == [b"one", b"two"]


async def test_code_in_layers_is_found_and_the_later_layer_wins(rig: Rig) -> None:
    layers = []
    for name in ("first", "second"):
        layer = rig.directory / name
        (layer / "python").mkdir(parents=True)
        (layer / "python" / "shared.py").write_text(f"NAME = {name!r}\n")
        (layer / "python" / f"of_{name}.py").write_text("THERE = True\n")
        layers.append(layer)
    source = "import shared, of_first, of_second\ndef handler(event, context):\n    return shared.NAME\n"

    assert await rig.ask(source, layer_dirs=tuple(layers)) == "second"


async def test_boto3_can_be_imported(rig: Rig) -> None:
    source = "import boto3\ndef handler(event, context):\n    return boto3.__name__\n"

    assert await rig.ask(source) == "boto3"


async def test_every_interpreter_runs_a_handler(rig: Rig) -> None:
    source = "import sys\ndef handler(event, context):\n    return 'python%d.%d' % sys.version_info[:2]\n"

    for interpreter in rig.sandbox.capabilities.runtimes:
        assert await rig.ask(source, interpreter=interpreter) == interpreter


async def test_a_frozen_environment_answers_once_thawed(rig: Rig) -> None:
    instance = await rig.start(ECHO)

    await instance.freeze()
    await instance.freeze()
    await instance.thaw()
    outcome = await rig.call(instance, 1)

    assert outcome.kind == "ok"


async def test_a_frozen_environment_can_be_stopped(rig: Rig) -> None:
    instance = await rig.start(ECHO)
    await instance.freeze()

    await instance.stop()
    await instance.stop()

    assert not instance.alive


@pytest.mark.parametrize("tier", TIERS)
async def test_a_full_node_refuses_until_one_ends(tier: str, tmp_path: Path) -> None:
    rig = await open_rig(tier, tmp_path, environments_max=2)
    first = await rig.start(ECHO)
    await rig.start(ECHO)

    with pytest.raises(Unavailable):
        await rig.start(ECHO)
    await first.stop()
    await rig.start(ECHO)

    await rig.sandbox.close()


async def test_two_at_once_do_not_disturb_each_other(rig: Rig) -> None:
    one = await rig.start("def handler(event, context):\n    return ['one', event]\n")
    two = await rig.start("def handler(event, context):\n    return ['two', event]\n")

    answers = [await rig.call(one, 1), await rig.call(two, 2), await rig.call(one, 3)]

    assert [json.loads(answer.payload) for answer in answers] == [["one", 1], ["two", 2], ["one", 3]]


async def test_a_large_event_and_answer_pass_whole(rig: Rig) -> None:
    instance = await rig.start("def handler(event, context):\n    return event + event[:1]\n")
    event = "x" * 3_000_000

    outcome = await rig.call(instance, event)

    assert outcome.payload == json.dumps(event + "x").encode()


async def test_a_snapshot_starts_with_what_was_imported_or_says_why_it_cannot(rig: Rig) -> None:
    source = "import os, random\nMADE = random.random()\ndef handler(e, c):\n    return [MADE, random.random(), os.environ['N']]\n"
    code = rig.code(source)

    def spec(number: str) -> dict[str, object]:
        return {"code_dir": code, "snapshot": "s", "environment": {"N": number}}

    reason = await rig.sandbox.prepare(rig.spec("", **spec("0")))
    first, second = await rig.ask("", **spec("1")), await rig.ask("", **spec("2"))
    await rig.sandbox.forget("s")

    assert (reason == "") == rig.sandbox.capabilities.snapshots
    assert (first[0] == second[0]) == rig.sandbox.capabilities.snapshots
    assert first[1] != second[1] and [first[2], second[2]] == ["1", "2"]


async def test_close_ends_what_runs_and_refuses_more(rig: Rig) -> None:
    instance = await rig.start(ECHO)

    await rig.sandbox.close()

    assert not instance.alive
    with pytest.raises(Unavailable):
        await rig.start(ECHO)


@pytest.mark.parametrize("interpreter", ["python3.9", f"python3.{sys.version_info[1]}"])
async def test_the_provided_boto3_is_given_to_interpreters_that_can_import_it(rig: Rig, interpreter: str) -> None:
    if interpreter not in rig.sandbox.capabilities.runtimes:
        pytest.skip(f"{interpreter} is not on this machine")
    source = "import importlib.util\ndef handler(event, context):\n    return importlib.util.find_spec('boto3') is not None\n"

    assert await rig.ask(source, interpreter=interpreter) is can_import_provided(interpreter)
