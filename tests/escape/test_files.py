"""Reading and writing what is not the function's own."""

import os
from pathlib import Path

import pytest

from tests.escape.attacks import FILL_TMP, MANY_FILES, READ_FILES, WRITE_FILES
from tests.sandboxes import Rig

HOST = ["/etc/shadow", "/root/.bashrc", "/root/.ssh/", "/home/", "/var/log/", "/var/lib/", "/sys/", "/dev/shm/"]


@pytest.mark.tiers("strict", "userns", "landlock")
async def test_the_hosts_files_cannot_be_read(rig: Rig) -> None:
    secret = rig.directory / "data" / "secret"
    secret.parent.mkdir()
    secret.write_text("key")
    secret.chmod(0o644)

    found = await rig.ask(READ_FILES, [*HOST, str(secret), str(rig.directory) + "/", str(Path.home()) + "/"])

    open_and_empty = {"/home/", "/root/"} if rig.tier in ("strict", "userns") else set()
    assert {path for path, error in found.items() if not error} <= open_and_empty


@pytest.mark.tiers("strict", "userns", "landlock")
async def test_nothing_but_tmp_can_be_written(rig: Rig) -> None:
    places = ["/", "/etc", "/usr", "/usr/lib", "/var/task", "/opt", "/var/runtime", "/dev", "/proc", "/root", "/home"]

    found = await rig.ask(WRITE_FILES, [*places, str(rig.directory), os.fspath(Path.cwd())])

    assert all(found.values()), found


@pytest.mark.tiers("strict", "userns", "landlock")
async def test_another_functions_code_and_tmp_cannot_be_read(rig: Rig) -> None:
    victim = rig.spec("def handler(e, c):\n    open('/tmp/mine', 'w').write('x')\n    return 1\n")
    instance = await rig.start("", code_dir=victim.code_dir, account="222222222222")
    if rig.tier != "landlock":
        assert (await rig.call(instance)).kind == "ok"

    found = await rig.ask(READ_FILES, [str(victim.code_dir / "app.py"), "/tmp/mine", "/proc/1/root/tmp/mine"])

    assert all(found.values()), found


@pytest.mark.tiers("strict", "userns")
async def test_tmp_ends_where_its_size_does_and_is_not_taken_from_memory(rig: Rig) -> None:
    failed, written_mb = await rig.ask(FILL_TMP, 400, memory_mb=128, tmp_mb=300)

    assert failed == "ENOSPC" and 280 <= written_mb <= 300


@pytest.mark.tiers("strict", "userns")
async def test_tmp_cannot_be_filled_with_endless_empty_files(rig: Rig) -> None:
    failed, made = await rig.ask(MANY_FILES, memory_mb=256)

    assert failed == "ENOSPC" and made < 100_000
