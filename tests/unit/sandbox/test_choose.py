"""Which tier is taken, and what is said about the others."""

import os
from pathlib import Path

import pytest

from haneul.base.config import Config
from haneul.base.env import RealEnv
from haneul.base.errors import Unavailable
from haneul.base.log import SilentLog
from haneul.sandbox import choose
from haneul.sandbox.choose import make_sandbox


async def test_the_process_tier_can_always_be_had(tmp_path: Path) -> None:
    sandbox = make_sandbox(Config(tier="process"), RealEnv(), SilentLog(), tmp_path)
    await sandbox.open()

    assert sandbox.capabilities.tier == "process" and sandbox.capabilities.runtimes
    await sandbox.close()


async def test_auto_takes_the_strongest_and_gives_a_reason_for_each_stronger_one(tmp_path: Path) -> None:
    sandbox = make_sandbox(Config(), RealEnv(), SilentLog(), tmp_path)
    await sandbox.open()

    stronger = choose.TIERS[: choose.TIERS.index(sandbox.capabilities.tier)]
    assert [reason.partition(":")[0] for reason in sandbox.capabilities.reasons] == list(stronger)
    await sandbox.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root has the strict tier")
async def test_an_ordinary_user_is_told_how_to_get_the_strict_tier(tmp_path: Path) -> None:
    sandbox = make_sandbox(Config(tier="strict"), RealEnv(), SilentLog(), tmp_path)

    with pytest.raises(Unavailable, match="sudo"):
        await sandbox.open()


async def test_a_sandbox_that_is_not_open_refuses(tmp_path: Path) -> None:
    sandbox = make_sandbox(Config(), RealEnv(), SilentLog(), tmp_path)

    with pytest.raises(Unavailable, match="not open"):
        await sandbox.forget("s")
    await sandbox.close()


async def test_a_demanded_tier_that_is_impossible_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sandboxd").write_text("in the way")
    for tier in ("strict", "userns"):
        sandbox = make_sandbox(Config(tier=tier), RealEnv(), SilentLog(), tmp_path)

        with pytest.raises(Unavailable):
            await sandbox.open()
