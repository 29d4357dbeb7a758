"""The process tier with real processes: start, answers, ends, and that nothing is left behind."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from haneul.base.env import ManualEnv, RealEnv
from haneul.base.errors import Unavailable
from haneul.base.log import SilentLog
from haneul.sandbox.api import Instance, Invocation, Outcome, Spec
from haneul.sandbox.interpreters import Interpreters
from haneul.sandbox.process import ProcessSandbox, reason_of

from .loop import write_app

SOURCE = """
import os, signal, sys, tempfile
def handler(event, context):
    print("hello", event)
    return event
def leave(event, context): sys.exit(event)
def hang(event, context):
    child = os.fork()
    if child:
        with open(event, "w") as f: f.write(str(child))
    signal.pause()
def temp(event, context):
    path = tempfile.mkstemp()[1]
    return [path, os.environ["TMPDIR"]]
def versions(event, context):
    import boto3
    return boto3.__version__
"""


class Rig:
    def __init__(self, folder: Path, env: RealEnv | ManualEnv, **more: int) -> None:
        self.env = env
        self.folder = folder
        self.code = write_app(folder / "code", SOURCE)
        found = Interpreters(env)
        self.name = f"python3.{sys.version_info[1]}"
        self.lines: list[bytes] = []
        self.sandbox = ProcessSandbox(env, SilentLog(), folder / "sandbox", found, **more)

    async def start(self, handler: str = "app.handler", id: str = "one") -> Instance:
        started = await self.try_start(handler, id)
        assert not isinstance(started, Outcome), started
        return started

    async def try_start(self, handler: str, id: str = "one") -> Instance | Outcome:
        spec = Spec(
            id=id,
            account="000000000000",
            interpreter=self.name,
            handler=handler,
            code_dir=self.code,
            environment={"PATH": os.defpath},
        )
        return await self.sandbox.start(spec, self.lines.extend)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    one = Rig(tmp_path, RealEnv(), environments_max=2)
    await one.sandbox.open()
    yield one
    await one.sandbox.close()


def there(path: Path) -> bool:
    return path.exists()


def running_still(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie that its new parent has yet to reap."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def event(payload: bytes, timeout_s: float = 20.0) -> Invocation:
    return Invocation(request_id="r", payload=payload, deadline_ms=4_000_000_000_000, timeout_s=timeout_s)


async def test_a_function_starts_runs_and_logs(rig: Rig) -> None:
    instance = await rig.start()

    outcome = await instance.run(event(b'{"a": 1}'))

    assert (outcome.kind, outcome.payload) == ("ok", b'{"a": 1}')
    assert outcome.duration_us > 0
    assert (instance.start_path, instance.alive) == ("exec", True)
    assert instance.init_us > 0
    assert rig.lines == [b"hello {'a': 1}"]


async def test_a_handler_that_is_not_there_is_an_init_error(rig: Rig) -> None:
    outcome = await rig.try_start("app.nope")

    assert isinstance(outcome, Outcome)
    assert outcome.kind == "init_error"
    assert b"Runtime.HandlerNotFound" in outcome.payload


@pytest.mark.parametrize(
    ("code", "reason"), [(b"3", "exit status 3"), (b"0", "exit status 0"), (b'"x"', "exit status 1")]
)
async def test_a_handler_that_leaves_is_a_crash_with_its_status(rig: Rig, code: bytes, reason: str) -> None:
    instance = await rig.start("app.leave")

    outcome = await instance.run(event(code))

    assert (outcome.kind, outcome.reason, instance.alive) == ("crash", reason, False)


async def test_a_timeout_kills_the_whole_process_group(tmp_path: Path) -> None:
    env = ManualEnv()
    rig = Rig(tmp_path, env)
    await rig.sandbox.open()
    instance = await rig.start("app.hang")
    marker = tmp_path / "marker"
    running = env.spawn(instance.run(event(f'"{marker}"'.encode(), 3.0)), name="run")
    while not marker.exists() or not marker.read_text():
        await env.settle()

    await env.advance(3.1)

    assert (await running).kind == "timeout"
    for _ in range(1_000):  # what is killed takes a moment to be gone
        if not running_still(int(marker.read_text())):
            break
        await env.settle()
    assert not running_still(int(marker.read_text()))
    await rig.sandbox.close()


async def test_each_environment_has_a_temporary_folder_that_goes_with_it(rig: Rig) -> None:
    instance = await rig.start("app.temp")
    outcome = await instance.run(event(b"1"))
    path = Path(eval(outcome.payload)[0])
    existed = there(path)

    await instance.stop()

    assert existed
    assert path.is_relative_to(rig.folder / "sandbox" / "tmp" / "one")
    assert not there(path.parent)


async def test_boto3_is_provided(rig: Rig) -> None:
    instance = await rig.start("app.versions")

    assert (await instance.run(event(b"1"))).kind == "ok"


async def test_more_environments_than_the_limit_are_refused_until_one_ends(rig: Rig) -> None:
    first = await rig.start(id="one")
    await rig.start(id="two")

    with pytest.raises(Unavailable, match="2 environments"):
        await rig.start(id="three")
    await first.stop()

    assert (await rig.start(id="three")).alive


async def test_an_interpreter_that_is_not_there_is_refused(rig: Rig) -> None:
    rig.name = "python3.99"

    with pytest.raises(Unavailable, match="not on this machine"):
        await rig.start()


async def test_a_pool_starts_the_second_environment_at_once(tmp_path: Path) -> None:
    env = ManualEnv()
    rig = Rig(tmp_path, env, pool_size=1)
    await rig.sandbox.open()
    await rig.start(id="one")
    await env.advance(1)

    second = await rig.start(id="two")

    assert second.start_path == "pool"
    assert (await second.run(event(b"7"))).payload == b"7"
    await rig.sandbox.close()
    assert list((tmp_path / "sandbox" / "tmp").iterdir()) == []


async def test_freezing_stops_and_thawing_goes_on(rig: Rig) -> None:
    instance = await rig.start()

    await instance.freeze()
    await instance.thaw()

    assert (await instance.run(event(b"1"))).kind == "ok"


async def test_close_ends_everything_and_refuses_more(rig: Rig) -> None:
    instance = await rig.start()

    await rig.sandbox.close()

    assert not instance.alive
    with pytest.raises(Unavailable):
        await rig.start(id="two")


@pytest.mark.parametrize(("status", "words"), [(0, "exit status 0"), (256, "exit status 1"), (9, "signal: killed")])
def test_an_ending_is_worded_as_lambda_words_it(status: int, words: str) -> None:
    assert reason_of(status) == words
