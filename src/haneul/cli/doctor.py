"""`haneul doctor`: try the sandbox on this machine, without starting the cloud."""

import asyncio
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from haneul import __version__
from haneul.base.config import Config
from haneul.base.env import RealEnv
from haneul.base.errors import Failure
from haneul.base.log import SilentLog
from haneul.sandbox.choose import make_sandbox
from haneul.sandbox.interpreters import can_import_provided, choose_runtime

LAMBDA_PYTHONS = tuple(f"python3.{minor}" for minor in range(9, 15))


def examine(tier: str) -> dict[str, Any]:
    """Facts by name; "reasons" is a list of sentences that say why nothing stronger is in force."""
    facts: dict[str, Any] = {
        "haneul": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "user": "root" if sys.platform != "win32" and _is_root() else "ordinary",
    }
    try:
        facts.update(asyncio.run(_probe(tier)))
    except Failure as error:
        facts.update({"sandbox tier": "none", "reasons": [str(error)]})
    return facts


def _served(runtime: str, chosen: tuple[str, str]) -> str:
    """Which interpreter serves a runtime: "python3.14 by python3.13"; whether it lacks the provided boto3."""
    interpreter, _ = chosen
    text = runtime if interpreter == runtime else f"{runtime} by {interpreter}"
    return text if can_import_provided(interpreter) else f"{text} without boto3"


def _is_root() -> bool:
    import os

    return os.geteuid() == 0


async def _probe(tier: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="haneul-doctor-") as folder:
        sandbox = make_sandbox(Config(tier=tier, pool_size=0), RealEnv(), SilentLog(), Path(folder))
        await sandbox.open()
        try:
            known = sandbox.capabilities
        finally:
            await sandbox.close()
    return {
        "sandbox tier": known.tier,
        "cgroups": known.cgroups,
        "memory limited": known.memory_limited,
        "cpu limited": known.cpu_limited,
        "network isolated": known.network_isolated,
        "system calls filtered": known.syscalls_filtered,
        "snapshots": known.snapshots,
        "runtimes": known.runtimes,
        "Lambda's Python": ", ".join(
            map(_served, LAMBDA_PYTHONS, map(choose_runtime(sandbox, strict=False), LAMBDA_PYTHONS))
        ),
        "reasons": list(known.reasons),
    }
