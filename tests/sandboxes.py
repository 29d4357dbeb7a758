"""Sandboxes for tests: one of each tier that works on this machine, and functions written on the spot."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from haneul.base.config import Config
from haneul.base.env import RealEnv
from haneul.base.errors import Unavailable
from haneul.base.log import SilentLog
from haneul.sandbox.api import Instance, Invocation, Outcome, Sandbox, Spec
from haneul.sandbox.choose import TIERS, make_sandbox

__all__ = ["TIERS", "Rig", "open_rig"]


def _let_pass(directory: Path) -> None:
    """Functions run as another user, who must reach code below pytest's own folder."""
    for folder in [directory, *list(directory.parents)[:2]]:
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)


class Rig:
    """A sandbox of one tier, and short words for what tests do with it."""

    def __init__(self, tier: str, sandbox: Sandbox, directory: Path) -> None:
        self.tier = tier
        self.sandbox = sandbox
        self.directory = directory
        self.lines: list[bytes] = []
        self.started: list[Instance] = []
        self._serial = itertools.count(1)

    def code(self, source: str, **files: str) -> Path:
        """A directory with app.py, and further files by module name."""
        folder = self.directory / f"code{next(self._serial)}"
        folder.mkdir()
        folder.chmod(0o755)
        for name, text in {"app": source, **files}.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return folder

    def spec(self, source: str, **given: Any) -> Spec:
        """A function of the given source, with what a test does not care about filled in."""
        facts: dict[str, Any] = {
            "id": f"environment-{next(self._serial)}",
            "account": "111111111111",
            "interpreter": next(reversed(self.sandbox.capabilities.runtimes)),
            "handler": "app.handler",
            "environment": {"LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            "egress": "closed" if self.sandbox.capabilities.network_isolated else "open",
        }
        if "code_dir" not in given:
            facts["code_dir"] = self.code(source)
        return Spec(**{**facts, **given})

    async def start(self, source: str, **given: Any) -> Instance:
        """A started environment; fails the test when it does not start."""
        made = await self.sandbox.start(self.spec(source, **given), self.lines.extend)
        assert not isinstance(made, Outcome), made
        self.started.append(made)
        return made

    async def call(self, instance: Instance, event: Any = None, timeout_s: float = 10.0) -> Outcome:
        """One invocation."""
        payload = json.dumps(event).encode()
        return await instance.run(Invocation(request_id="r", payload=payload, deadline_ms=0, timeout_s=timeout_s))

    async def ask(self, source: str, event: Any = None, **given: Any) -> Any:
        """What a function answers, started for this one call."""
        instance = await self.start(source, **given)
        outcome = await self.call(instance, event)
        await instance.stop()
        assert outcome.kind == "ok", (outcome, self.lines)
        return json.loads(outcome.payload)


async def open_rig(tier: str, directory: Path, **settings: Any) -> Rig:
    """The tier's sandbox, opened; skips the test with the reason where the machine cannot have it."""
    _let_pass(directory)
    config = Config(tier=tier, **{"pool_size": 0, "environments_max": 50, **settings})
    sandbox = make_sandbox(config, RealEnv(), SilentLog(), directory / "scratch")
    try:
        await sandbox.open()
    except Unavailable as error:
        pytest.skip(f"tier {tier}: {error.reason}")
    return Rig(tier, sandbox, directory)
