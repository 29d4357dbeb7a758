"""Other processes, exhausted resources, and processes that will not end."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.escape.attacks import (
    FORK_BOMB,
    GREEDY,
    LEFTOVERS,
    LITTER,
    MEMORY_BOMB,
    MEMORY_BOMB_OF_CHILDREN,
    PROCESSES,
    STUBBORN,
    ZOMBIES,
)
from tests.sandboxes import Rig

HELLO = "def handler(event, context):\n    return 1\n"


@pytest.mark.tiers("strict", "userns")
async def test_other_processes_are_neither_seen_nor_killed(rig: Rig) -> None:
    await rig.start(HELLO)

    found = await rig.ask(PROCESSES, [os.getpid(), os.getppid()])

    assert found == {"seen": [found["own"]], "own": found["own"], "killed": []}


@pytest.mark.tiers("strict", "userns")
async def test_a_fork_bomb_is_bounded_and_ends_with_its_environment(rig: Rig) -> None:
    await rig.ask(HELLO)  # the zygote is there now
    before = _sandboxed()
    instance = await rig.start(FORK_BOMB, memory_mb=1024)

    outcome = await rig.call(instance, timeout_s=30.0)
    await instance.stop()

    assert outcome.kind in ("ok", "out_of_memory") and int(outcome.payload or 0) <= 1024
    assert _new(before) == set()


@pytest.mark.tiers("strict", "userns")
async def test_a_memory_bomb_is_out_of_memory_and_its_neighbour_lives(rig: Rig) -> None:
    neighbour = await rig.start(HELLO)
    bomb = await rig.start(MEMORY_BOMB, memory_mb=128)

    outcome = await rig.call(bomb, 4096)

    assert outcome.kind in ("out_of_memory", "error")  # without control groups the allocation fails inside
    if rig.sandbox.capabilities.cgroups != "none":
        assert outcome.kind == "out_of_memory" and outcome.reason == "signal: killed"
    assert (await rig.call(neighbour)).kind == "ok"


@pytest.mark.tiers("strict", "userns")
async def test_memory_is_limited_for_all_processes_together(rig: Rig) -> None:
    instance = await rig.start(MEMORY_BOMB_OF_CHILDREN, memory_mb=128, tmp_mb=64)

    outcome = await rig.call(instance, 100, timeout_s=10.0)

    assert outcome.kind in ("out_of_memory", "timeout")
    if rig.sandbox.capabilities.cgroups != "none":
        assert _highest_resident_mb(os.getpid()) < 1000


@pytest.mark.tiers("strict", "userns")
async def test_an_empty_tmp_does_not_become_memory(rig: Rig) -> None:
    instance = await rig.start(GREEDY, memory_mb=128, tmp_mb=1024)

    outcome = await rig.call(instance, 300)

    assert outcome.kind in ("out_of_memory", "error")


async def test_a_process_that_ignores_signals_and_daemonises_ends_with_the_timeout(rig: Rig) -> None:
    if rig.tier in ("landlock", "process"):
        pytest.skip(f"tier {rig.tier} kills the process group, which a daemon leaves")
    await rig.ask(HELLO)  # the zygote is there now
    before = _sandboxed()
    instance = await rig.start(STUBBORN)

    outcome = await rig.call(instance, timeout_s=0.5)

    assert outcome.kind == "timeout" and not instance.alive
    assert _new(before) == set()


@pytest.mark.tiers("strict", "userns")
async def test_orphans_do_not_use_up_the_machine(rig: Rig) -> None:
    before = len(os.listdir("/proc"))
    instance = await rig.start(ZOMBIES)

    outcome = await rig.call(instance, 200, timeout_s=20.0)
    await instance.stop()
    await asyncio.sleep(0)

    assert outcome.kind == "ok"
    assert len(os.listdir("/proc")) < before + 50


async def test_nothing_of_another_function_is_left(rig: Rig) -> None:
    halves = ["this-is-a-", "secret-left5"]
    first = await rig.start(LITTER, environment={"SECRET": "".join(halves)})
    await rig.call(first)
    await first.stop()

    found = await rig.ask(LEFTOVERS, halves, environment={"HOME": "/tmp"})

    assert "SECRET" not in found["environment"]
    assert found["tmp"] == [] and found["memory"] == ""


def _sandboxed() -> set[int]:
    """Processes that descend from this one and are in a pid namespace of their own."""
    found = set()
    own = os.readlink("/proc/self/ns/pid")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns" / "pid") != own and _descends(int(entry.name)):
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def _descends(pid: int) -> bool:
    """Whether this process is among the ancestors: another worker's sandboxes are none of ours."""
    while pid > 1 and pid != os.getpid():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == os.getpid()


def _new(before: set[int]) -> set[int]:
    return {pid for pid in _sandboxed() - before if Path(f"/proc/{pid}").exists()}


def _highest_resident_mb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) // 1024
