"""Snapshots: a template runs user code with one capability of a namespace of its own. What that is good for, and not."""

import json
import platform
from typing import Any

import pytest

from haneul.sandbox import numbers
from haneul.sandbox.api import Outcome
from tests.escape.attacks import CALLS, PRIVILEGES, TRY
from tests.escape.test_kernel import ARGUMENTS
from tests.sandboxes import Rig

pytestmark = pytest.mark.tiers("strict", "userns")


async def _prepared(rig: Rig, source: str, reason: str = "") -> dict[str, Any]:
    """What further environments of a function are started with, once it has a template."""
    if not rig.sandbox.capabilities.snapshots:
        pytest.skip("snapshots need control groups")
    code = rig.code(source)
    assert reason in await rig.sandbox.prepare(rig.spec("", code_dir=code, snapshot="s"))
    return {"code_dir": code, "snapshot": "s"}


async def test_a_fork_has_no_privileges_left(rig: Rig) -> None:
    given = await _prepared(rig, PRIVILEGES)

    instance = await rig.start("", **given)
    found = json.loads((await rig.call(instance)).payload)

    assert instance.start_path == "snapshot"
    assert (found.pop("effective"), found.pop("bounding"), found.pop("no_new_privileges")) == (0, 0, "1")
    assert found.pop("user") != 0 and all(found.values()), found


async def test_a_fork_can_call_nothing_that_its_template_could(rig: Rig) -> None:
    table = numbers.numbers(numbers.REFUSED, platform.machine())
    given = await _prepared(rig, CALLS)

    calls = {name: [table[name], *arguments] for name, arguments in ARGUMENTS.items()}
    found = await rig.ask("", {**calls, "own mounts": [table["unshare"], 0x20000]}, **given)

    assert set(found.values()) == {"EPERM"}, found


async def test_importing_code_cannot_mount_or_make_other_namespaces(rig: Rig) -> None:
    table = numbers.numbers(numbers.REFUSED, platform.machine())
    calls = {name: [table[name], *given] for name, given in ARGUMENTS.items() if name != "move_mount"}
    written = "\nWRITTEN = {p: tried(lambda: open(p + '/x', 'w').close()) for p in ('/', '/etc', '/proc/sys/kernel')}\n"
    source = CALLS + f"FOUND = handler({calls!r}, None)\n{written}def handler(e, c):\n    return [FOUND, WRITTEN]\n"
    given = await _prepared(rig, source)

    found, written_to = await rig.ask("", **given)

    assert set(found.values()) == {"EPERM"}, found
    assert all(written_to.values()), written_to


async def test_two_forks_do_not_share_tmp(rig: Rig) -> None:
    source = (
        TRY
        + "def handler(e, c):\n    before = os.listdir('/tmp')\n    open('/tmp/mine', 'w').close()\n    return before\n"
    )
    given = await _prepared(rig, source)

    first, second = await rig.start("", **given), await rig.start("", **given)
    answers = [(await rig.call(one)).payload for one in (first, second)]

    assert answers == [b"[]", b"[]"]


async def test_a_fork_that_is_stopped_leaves_its_sibling_and_template_alive(rig: Rig) -> None:
    given = await _prepared(rig, "import time\ndef handler(e, c):\n    time.sleep(e)\n    return e\n")
    first, second = await rig.start("", **given), await rig.start("", **given)

    late = await rig.call(first, 60, timeout_s=0.3)
    answered = await rig.call(second, 0)
    third = await rig.start("", **given)

    assert late.kind == "timeout" and answered.payload == b"0" and third.start_path == "snapshot"


async def test_memory_of_a_fork_is_limited(rig: Rig) -> None:
    given = await _prepared(rig, "def handler(e, c):\n    return len([b'x' * (1 << 20) for _ in range(e)])\n")

    instance = await rig.start("", memory_mb=128, **given)
    outcome = await rig.call(instance, 4096, timeout_s=20.0)

    assert outcome.kind == "out_of_memory"


async def test_a_template_that_speaks_nonsense_ends_alone(rig: Rig) -> None:
    neighbour = await rig.start("def handler(e, c):\n    return 1\n")
    source = TRY + "for _ in range(50):\n    tried(lambda: os.write(4, b'[]'))\ndef handler(e, c):\n    return 2\n"
    code = rig.code(source)
    if not rig.sandbox.capabilities.snapshots:
        pytest.skip("snapshots need control groups")

    reason = await rig.sandbox.prepare(rig.spec("", code_dir=code, snapshot="s"))
    made = await rig.sandbox.start(rig.spec("", code_dir=code, snapshot="s"), rig.lines.extend)

    assert reason and not isinstance(made, Outcome) and made.start_path != "snapshot"
    assert (await rig.call(neighbour)).payload == b"1"


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n", "thread"),
        ("import socket\nKEPT = socket.socketpair()\n", "connection"),
        ("import select\nKEPT = select.epoll()\n", "event loop"),
        ("import subprocess\nKEPT = subprocess.Popen(['/bin/sleep', '60'])\n", "process"),
        ("raise ValueError('no')\n", "ValueError"),
    ],
)
async def test_what_cannot_be_forked_faithfully_is_refused_with_the_reason(rig: Rig, source: str, word: str) -> None:
    await _prepared(rig, source + "def handler(e, c):\n    return 1\n", reason=word)
