"""System calls, privileges and devices."""

import os
import platform

import pytest

from haneul.sandbox import numbers
from tests.escape.attacks import CALLS, DESCRIPTORS, OPEN_DESCRIPTORS, PRIVILEGES, SCRIBBLE, SETUID_PROGRAM
from tests.sandboxes import Rig

NEWUSER, NEWNS, NEWNET = 0x10000000, 0x20000, 0x40000000
ARGUMENTS = {
    "unshare": (NEWUSER,),
    "setns": (0, 0),
    "mount": (0, 0, 0, 0, 0),
    "umount2": (0, 0),
    "pivot_root": (0, 0),
    "ptrace": (16, 1, 0, 0),
    "process_vm_readv": (1, 0, 0, 0, 0, 0),
    "bpf": (0, 0, 0),
    "perf_event_open": (0, 0, -1, -1, 0),
    "userfaultfd": (0,),
    "keyctl": (0, -3, 1),
    "add_key": (0, 0, 0, 0, 0),
    "io_uring_setup": (8, 0),
    "open_by_handle_at": (0, 0, 0),
    "fsopen": (0, 0),
    "open_tree": (-100, 0, 1),
    "move_mount": (-1, 0, -1, 0, 0),
    "init_module": (0, 0, 0),
    "kexec_load": (0, 0, 0, 0),
    "reboot": (0, 0, 0, 0),
    "swapon": (0, 0),
    "syslog": (2, 0, 0),
    "settimeofday": (0, 0),
    "pidfd_getfd": (0, 0, 0),
}


@pytest.mark.tiers("strict", "userns", "landlock")
async def test_the_kernels_dangerous_calls_are_refused(rig: Rig) -> None:
    table = numbers.numbers(numbers.REFUSED, platform.machine())
    calls = {name: [table[name], *arguments] for name, arguments in ARGUMENTS.items()}

    found = await rig.ask(CALLS, calls)

    assert found == dict.fromkeys(ARGUMENTS, "EPERM")


@pytest.mark.tiers("strict", "userns", "landlock")
async def test_new_ways_to_make_processes_and_unknown_calls_do_not_exist(rig: Rig) -> None:
    found = await rig.ask(CALLS, {"clone3": [435, 0, 0], "unknown": [2000], "x32": [0x40000000 + 39]})

    assert found == {"clone3": "ENOSYS", "unknown": "ENOSYS", "x32": "ENOSYS"}


@pytest.mark.tiers("strict", "userns", "landlock")
async def test_clone_makes_no_namespaces(rig: Rig) -> None:
    clone = numbers.numbers(numbers.ALLOWED, platform.machine())["clone"]

    flags = {"user": NEWUSER, "mount": NEWNS, "network": NEWNET}
    found = await rig.ask(CALLS, {name: [clone, flag | 17, 0, 0, 0, 0] for name, flag in flags.items()})

    assert set(found.values()) == {"EPERM"}


@pytest.mark.tiers("strict", "userns")
async def test_no_privilege_can_be_had(rig: Rig) -> None:
    found = await rig.ask(PRIVILEGES)

    assert found.pop("user") not in (0, os.getuid())
    assert (found.pop("effective"), found.pop("bounding"), found.pop("no_new_privileges")) == (0, 0, "1")
    assert all(found.values()), found


@pytest.mark.tiers("strict", "userns")
async def test_a_setuid_program_is_an_ordinary_one(rig: Rig) -> None:
    code, output = await rig.ask(SETUID_PROGRAM)

    assert code != 0 and output != "0\n"


@pytest.mark.tiers("strict", "userns")
async def test_file_descriptors_are_limited(rig: Rig) -> None:
    assert await rig.ask(DESCRIPTORS) <= 1024


@pytest.mark.tiers("strict", "userns")
async def test_no_descriptor_of_the_supervisor_is_inherited(rig: Rig) -> None:
    found = await rig.ask(OPEN_DESCRIPTORS)

    assert {name for name, target in found.items() if int(name) <= 3} == {"0", "1", "2", "3"}
    others = {target for name, target in found.items() if int(name) > 3}
    assert all(target.startswith("/proc") for target in others), found


async def test_a_forged_reply_costs_only_the_forger(rig: Rig) -> None:
    bystander = await rig.start("def handler(e, c):\n    return 'fine'\n")
    forger = await rig.start(SCRIBBLE)

    forged = await rig.call(forger)
    other = await rig.call(bystander)

    assert forged.kind in ("ok", "error", "crash") and (forged.payload == b"1234" or not forger.alive)
    assert other.payload == b'"fine"'
