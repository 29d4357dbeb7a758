"""Nothing of ours is left behind: not after many starts, not after a crash of any part."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from haneul.base.errors import Unavailable
from tests.sandboxes import Rig, open_rig

ECHO = "def handler(event, context):\n    return event\n"
GROUPS = Path("/sys/fs/cgroup")


_KILLED = """
import asyncio, pathlib
from tests.escape.test_leftovers import _sandboxd
from tests.sandboxes import open_rig
async def main():
    rig = await open_rig({tier!r}, pathlib.Path({directory!r}), pool_size=2)
    await rig.start("", code_dir=pathlib.Path({code!r}))
    print(*_sandboxd(), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def _groups() -> set[str]:
    # os.walk and not rglob: another worker's groups may go while this one looks.
    return {
        os.path.join(top, name) for top, names, _ in os.walk(GROUPS) for name in names if name.startswith("haneul-")
    }


def _sandboxd() -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"haneul.sandbox import daemon" in (entry / "cmdline").read_bytes():
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if stat[0] != "Z" and int(stat[1]) == os.getpid():
                    found.add(int(entry.name))
        except OSError:
            continue
    return found


def _below(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                found += [int(entry.name), *_below(int(entry.name))]
        except OSError:
            continue
    return found


def _kinds(pid: int) -> dict[str, int]:
    """How many descriptors, mounts and children a process has."""
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    mounts = len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    return {"descriptors": descriptors, "mounts": mounts, "processes": len(_below(pid))}


@pytest.fixture(params=["strict", "userns"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return await open_rig(request.param, tmp_path, pool_size=2)


@pytest.mark.parametrize("egress", ["open", "closed"])
async def test_two_hundred_starts_and_stops_leave_nothing(rig: Rig, egress: str) -> None:
    daemon = next(iter(_sandboxd()))
    code = rig.code(ECHO)
    for round_number in range(4):
        for _ in range(5):
            made = await asyncio.gather(*(rig.start("", code_dir=code, egress=egress) for _ in range(10)))
            await asyncio.gather(*(rig.call(one) for one in made))
            await asyncio.gather(*(one.stop() for one in made))
        if round_number == 0:
            await asyncio.sleep(1)  # pools and stocks are full again
            before, own = _kinds(daemon), len(os.listdir("/proc/self/fd"))

    await asyncio.sleep(1)
    after, own_after = _kinds(daemon), len(os.listdir("/proc/self/fd"))
    await rig.sandbox.close()

    assert after == before and own_after == own
    assert not _sandboxd() and not [path for path in _groups() if f"haneul-{daemon}" in path]
    assert not _runs(daemon)


async def test_a_killed_sandboxd_takes_its_sandboxes_with_it_and_is_started_again(rig: Rig) -> None:
    instance = await rig.start(ECHO)
    daemon = next(iter(_sandboxd()))
    inside = _below(daemon)

    os.kill(daemon, signal.SIGKILL)
    await _until_gone(inside)
    outcome = await rig.call(instance, timeout_s=5.0)
    again = await rig.start(ECHO)
    answered = await rig.call(again, 1)
    await rig.sandbox.close()

    assert outcome.kind == "crash" and answered.payload == b"1"
    assert not [pid for pid in inside if _runs(pid)]
    assert not [path for path in _groups() if f"haneul-{daemon}" in path]


async def test_a_killed_api_process_takes_everything_with_it(rig: Rig) -> None:
    await rig.sandbox.close()
    program = _KILLED.format(tier=rig.tier, directory=os.fspath(rig.directory), code=os.fspath(rig.code(ECHO)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert process.stdout is not None
    daemon = int(await process.stdout.readline())
    inside = _below(daemon)

    process.kill()
    await process.wait()
    await _until_gone([daemon, *inside])

    assert len(inside) >= 3 and not [pid for pid in [daemon, *inside] if _runs(pid)]
    assert not [path for path in _groups() if f"haneul-{daemon}" in path]


async def test_a_killed_zygote_ends_its_sandboxes_and_another_takes_its_place(rig: Rig) -> None:
    instance = await rig.start(ECHO)
    inside = [pid for pid in _below(next(iter(_sandboxd()))) if _is_zygote(pid)]

    for pid in inside:
        os.kill(pid, signal.SIGKILL)
    await _until_gone(inside)
    outcome = await rig.call(instance, timeout_s=5.0)
    again = await rig.start(ECHO)
    answered = await rig.call(again, 1)
    await rig.sandbox.close()

    assert outcome.kind == "crash" and answered.payload == b"1"


async def test_a_caller_that_gives_up_leaves_no_environment(rig: Rig) -> None:
    slow = rig.spec("import time\ntime.sleep(30)\n")
    starting = asyncio.ensure_future(rig.sandbox.start(slow, rig.lines.extend))
    await asyncio.sleep(0.2)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    daemon = next(iter(_sandboxd()))
    for _ in range(100):
        if not [pid for pid in _below(daemon) if _in_code(pid, slow.code_dir)]:
            break
        await asyncio.sleep(0.02)

    assert not [pid for pid in _below(daemon) if _in_code(pid, slow.code_dir)]
    await rig.sandbox.close()


async def test_code_that_is_not_there_is_refused_and_nothing_is_left(rig: Rig) -> None:
    with pytest.raises(Exception, match="No such file"):
        await rig.start("", code_dir=rig.directory / "nowhere")

    assert (await rig.call(await rig.start(ECHO), 1)).kind == "ok"
    await rig.sandbox.close()
    with pytest.raises(Unavailable):
        await rig.start(ECHO)


async def _until_gone(pids: list[int]) -> None:
    """Wait, at most two seconds, until none of the processes runs."""
    for _ in range(100):
        if not any(_runs(pid) for pid in pids):
            return
        await asyncio.sleep(0.02)


def _is_zygote(pid: int) -> bool:
    try:
        return b"import zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _in_code(pid: int, code: Path) -> bool:
    try:
        return os.fspath(code) in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return False
