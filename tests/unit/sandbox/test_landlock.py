"""The landlock tier: what code inside can no longer do, and what it still can."""

import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from haneul.base.env import RealEnv
from haneul.base.log import SilentLog
from haneul.sandbox import landlock, landlocked
from haneul.sandbox.api import Instance, Invocation, Outcome, Spec
from haneul.sandbox.interpreters import Interpreters
from haneul.sandbox.process import ProcessSandbox

from .loop import write_app

pytestmark = pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")

SOURCE = """
import os, socket
def handler(event, context):
    try:
        return repr(eval(event))
    except Exception as error:
        return type(error).__name__
def boto(event, context):
    import boto3, tempfile, json, decimal, ssl
    with tempfile.NamedTemporaryFile("w+") as f:
        f.write("x")
    return boto3.__name__
"""


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = write_app(folder / "code", SOURCE)
        self.interpreters = Interpreters(RealEnv())
        self.sandbox = ProcessSandbox(
            RealEnv(), SilentLog(), folder / "sandbox", self.interpreters, command=landlocked.command
        )

    async def start(self, handler: str = "app.handler", egress: str = "open", port: int = 1) -> Instance:
        spec = Spec(
            id="one",
            account="000000000000",
            interpreter=f"python3.{sys.version_info[1]}",
            handler=handler,
            code_dir=self.code,
            environment={"PATH": os.defpath},
            egress=egress,
            endpoint=("127.0.0.1", port),
        )
        started = await self.sandbox.start(spec, lambda lines: None)
        assert not isinstance(started, Outcome), started
        return started


async def said(instance: Instance, expression: str) -> str:
    payload = json.dumps(expression).encode()
    outcome = await instance.run(
        Invocation(request_id="r", payload=payload, deadline_ms=4_000_000_000_000, timeout_s=20)
    )
    assert outcome.kind == "ok", outcome
    return str(json.loads(outcome.payload))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    one = Rig(tmp_path)
    await one.sandbox.open()
    yield one
    await one.sandbox.close()


async def test_files_outside_are_out_of_reach(rig: Rig) -> None:
    write_app(rig.folder, "secret", "secret.txt")
    instance = await rig.start()

    attempts = [
        f"open({str(rig.folder / 'secret.txt')!r}).read()",
        "open('/etc/passwd').read()",
        f"open({str(rig.code / 'app.py')!r}, 'a')",
        f"os.listdir({str(rig.folder)!r})",
        f"os.rename({str(rig.code / 'app.py')!r}, os.environ['TMPDIR'] + '/x')",
    ]

    assert [await said(instance, attempt) for attempt in attempts] == ["PermissionError"] * len(attempts)


async def test_the_code_and_the_private_folder_are_usable(rig: Rig) -> None:
    instance = await rig.start()

    assert await said(instance, "open(os.environ['TMPDIR'] + '/x', 'w').write('abc')") == "3"
    assert await said(instance, "'handler' in open(os.environ['LAMBDA_TASK_ROOT'] + '/app.py').read()") == "True"


async def test_provided_packages_and_the_standard_library_work(rig: Rig) -> None:
    instance = await rig.start("app.boto")

    assert await said(instance, "") == "boto3"


async def test_it_cannot_be_undone_from_inside(rig: Rig) -> None:
    instance = await rig.start()

    assert await said(instance, "os.setuid(0) or open('/etc/shadow')") == "PermissionError"


@pytest.mark.skipif(landlock.abi() < 6, reason="this kernel's Landlock does not scope signals")
async def test_processes_outside_cannot_be_signalled(rig: Rig) -> None:
    instance = await rig.start()

    assert await said(instance, f"os.kill({os.getpid()}, 0)") == "PermissionError"


@pytest.mark.skipif(landlock.abi() < 4, reason="this kernel's Landlock does not know ports")
async def test_closed_egress_leaves_the_cloud_itself(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as cloud, socket.create_server(("127.0.0.1", 0)) as other:
        port, elsewhere = cloud.getsockname()[1], other.getsockname()[1]
        instance = await rig.start(egress="closed", port=port)

        assert await said(instance, f"socket.create_connection(('127.0.0.1', {port})).close()") == "None"
        assert await said(instance, f"socket.create_connection(('127.0.0.1', {elsewhere}))") == "PermissionError"


def test_without_landlock_the_tier_says_so() -> None:
    assert landlocked.unfit() == ""
