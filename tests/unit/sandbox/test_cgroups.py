"""Control groups, on folders that look like them; the real ones are met in tests/contract and tests/escape."""

import json
from pathlib import Path

import pytest

from haneul.sandbox import cgroups


@pytest.fixture
def v2(tmp_path: Path) -> cgroups.CgroupsV2:
    return cgroups.CgroupsV2(tmp_path)


def _with_files(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).touch()
    return path


@pytest.mark.parametrize(("memory_mb", "quota"), [(128, 1_447), (1_769, 20_000), (10_240, 115_771), (1, 1_000)])
def test_the_cpu_follows_the_memory(memory_mb: int, quota: int) -> None:
    assert cgroups.quota_us(memory_mb) == quota


def test_version_2_limits_are_written_where_the_kernel_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.mkdir()
    group = cgroups._GroupV2(str(_with_files(path, "memory.max", "memory.swap.max", "cpu.max", "cgroup.freeze")))

    group.limit_memory(128, 512)
    group.limit_cpu(1_769)
    group.freeze()

    read = {name: (path / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max", "cgroup.freeze")}
    assert read == {
        "memory.max": str(640 << 20),
        "memory.swap.max": "0",
        "cpu.max": "20000 20000",
        "cgroup.freeze": "1",
    }


def test_version_2_says_what_was_used_and_killed(tmp_path: Path) -> None:
    path = _with_files(tmp_path)
    (path / "memory.stat").write_text("anon 100\nfile 5000\nshmem 20\n")
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n")
    (path / "memory.peak").write_text("4096\n")
    (path / "cgroup.procs").write_text("12\n13\n")
    group = cgroups._GroupV2(str(path))

    assert (group.used_bytes(), group.kills(), group.peak_bytes(), group.pids()) == (120, 2, 4096, [12, 13])


def test_a_group_that_is_gone_reads_as_nothing() -> None:
    group = cgroups._GroupV2("/nonexistent/group")

    assert (group.used_bytes(), group.kills(), group.peak_bytes(), group.pids()) == (0, 0, 0, [])
    assert group.remove()


def test_what_a_crashed_run_left_is_removed_first(tmp_path: Path) -> None:
    left = tmp_path / "groups" / "haneul-1"
    (left / "7").mkdir(parents=True)
    record = tmp_path / "cgroups.json"
    record.write_text(json.dumps([str(left)]))

    cgroups._sweep(record)

    assert not left.exists() and not record.exists()


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_record_of_groups_does_not_stop_a_start(tmp_path: Path, content: str) -> None:
    record = tmp_path / "cgroups.json"
    record.write_text(content)

    cgroups._sweep(record)


def test_the_own_group_is_found_below_a_mount_of_a_part(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()

    assert cgroups._beneath(str(tmp_path), "/docker/x", "/docker/x/inner") == tmp_path / "inner"
    assert cgroups._beneath(str(tmp_path), "/", "/inner") == tmp_path / "inner"
    assert cgroups._beneath(str(tmp_path), "/", "/not/there") == tmp_path


def test_without_groups_everything_is_harmless() -> None:
    group = cgroups.NoCgroups().create("x")

    group.limit_memory(1, 1)
    group.limit_cpu(1)
    group.freeze()
    group.kill()

    assert group.tasks() == [] and group.files() == {} and group.remove() and not group.limited
