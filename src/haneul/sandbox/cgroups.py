"""Control groups of sandboxes: one small interface over version 1, version 2, and none at all.

A group limits memory, CPU and processes, freezes, and tells the peak and whether the kernel killed for memory. All of
ours lie in one directory per controller, named after the run that made it; its names are written to a file, so that the
next run removes what a crashed one left.

Version 1 trap: moving a process by writing its pid waits 6 to 15 ms for an RCU grace period unless moves come back to
back. A single-threaded process that writes "0" into `tasks` moves itself in 0.1 ms, so groups hand out open `tasks` files.
"""

import contextlib
import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Protocol

from haneul.base.limits import (
    CPU_PERIOD_US,
    CPU_QUOTA_MIN_US,
    MEMORY_PER_CORE_MB,
    MIB,
    SANDBOX_PROCESSES_MAX,
)

_V1 = ("memory", "cpu", "pids", "freezer")
_CLONE = os.O_CLOEXEC | os.O_WRONLY


class Group(Protocol):
    """The group of one sandbox. limited: whether the kernel keeps its limits."""

    limited: bool

    def tasks(self) -> list[int]:
        """Open files into which a single-threaded process writes "0" to enter. The caller closes them."""
        ...

    def limit_memory(self, memory_mb: int, tmp_mb: int) -> None: ...

    def limit_cpu(self, memory_mb: int) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def files(self) -> dict[str, int]:
        """Open files for the API process: "peak" (read the highest use in bytes, write to reset), "freezer"."""
        ...

    def used_bytes(self) -> int:
        """Memory that cannot be given back: anonymous pages, and shared ones such as /tmp's."""
        ...

    def open_charged(self) -> int:
        """An open file in which all memory in the group's name stands, the file cache included; -1 for none."""
        ...

    def peak_bytes(self) -> int: ...

    def kills(self) -> int:
        """How often the kernel killed in this group because memory was short."""
        ...

    def pids(self) -> list[int]: ...

    def kill(self) -> None:
        """Kill every process in it, and let no new one be born."""
        ...

    def remove(self) -> bool:
        """False when processes are still in it."""
        ...


class Cgroups(Protocol):
    """Where groups are made."""

    kind: str

    def create(self, name: str) -> Group: ...

    def close(self) -> None:
        """Remove every group of ours, with what is left inside."""
        ...


def open_cgroups(directory: Path, run: str) -> Cgroups:
    """The strongest kind that this process may really use; cleans up after a crashed run in the same directory first."""
    _sweep(directory / "cgroups.json")
    for attempt in (_open_v1, _open_v2):
        try:
            found = attempt(run)
        except OSError:
            continue
        if found is not None:
            roots = [os.fspath(root) for root in found.roots]
            (directory / "cgroups.json").write_text(json.dumps(roots), encoding="utf-8")
            return found
    return NoCgroups()


def quota_us(memory_mb: int) -> int:
    """CPU time in each period: 1,769 MB is one core, as on Lambda."""
    return max(CPU_QUOTA_MIN_US, CPU_PERIOD_US * memory_mb // MEMORY_PER_CORE_MB)


class NoCgroups:
    """An ordinary user without delegation: no groups."""

    kind = "none"
    roots: tuple[Path, ...] = ()

    def create(self, name: str) -> Group:
        return _NoGroup()

    def close(self) -> None:
        return


class _NoGroup:
    limited = False

    def tasks(self) -> list[int]:
        return []

    def limit_memory(self, memory_mb: int, tmp_mb: int) -> None:
        return

    def limit_cpu(self, memory_mb: int) -> None:
        return

    def freeze(self) -> None:
        return

    def thaw(self) -> None:
        return

    def files(self) -> dict[str, int]:
        return {}

    def used_bytes(self) -> int:
        return 0

    def open_charged(self) -> int:
        return -1

    def peak_bytes(self) -> int:
        return 0

    def kills(self) -> int:
        return 0

    def pids(self) -> list[int]:
        return []

    def kill(self) -> None:
        return

    def remove(self) -> bool:
        return True


class CgroupsV1:
    """One directory per controller."""

    def __init__(self, kind: str, roots: dict[str, Path]) -> None:
        self.kind = kind
        self._of = roots
        # Without swap the second limit says nothing new; kernels without swap accounting lack the file.
        self._swap = len(_read("/proc/swaps").splitlines()) > 1
        self._swap = self._swap and (roots["memory"] / "memory.memsw.limit_in_bytes").exists()
        self.roots = tuple(dict.fromkeys(roots.values()))

    def create(self, name: str) -> Group:
        paths = {controller: root / name for controller, root in self._of.items()}
        for path in dict.fromkeys(paths.values()):
            path.mkdir()
        _write(paths["pids"] / "pids.max", str(SANDBOX_PROCESSES_MAX))
        return _GroupV1(paths, self._swap)

    def close(self) -> None:
        for root in self.roots:
            _remove_tree(root)


class _GroupV1:
    limited = True

    def __init__(self, paths: dict[str, Path], swap: bool) -> None:
        self._paths = {controller: os.fspath(path) for controller, path in paths.items()}
        self._swap = swap

    def tasks(self) -> list[int]:
        return [os.open(f"{path}/tasks", _CLONE) for path in dict.fromkeys(self._paths.values())]

    def limit_memory(self, memory_mb: int, tmp_mb: int) -> None:
        # The pages of /tmp are charged to the group that touches them, and Lambda counts the two apart.
        limit = str((memory_mb + tmp_mb) * MIB)
        _write(f"{self._paths['memory']}/memory.limit_in_bytes", limit)
        if self._swap:
            _write(f"{self._paths['memory']}/memory.memsw.limit_in_bytes", limit)

    def limit_cpu(self, memory_mb: int) -> None:
        # Period first: the kernel refuses a quota above it. Short periods, as on Lambda: a small function that has used
        # up its share waits milliseconds for the next, not the kernel's default of a tenth of a second.
        _write(f"{self._paths['cpu']}/cpu.cfs_period_us", str(CPU_PERIOD_US))
        _write(f"{self._paths['cpu']}/cpu.cfs_quota_us", str(quota_us(memory_mb)))

    def freeze(self) -> None:
        _write(f"{self._paths['freezer']}/freezer.state", "FROZEN")

    def thaw(self) -> None:
        _write(f"{self._paths['freezer']}/freezer.state", "THAWED")

    def files(self) -> dict[str, int]:
        return {
            "peak": os.open(f"{self._paths['memory']}/memory.max_usage_in_bytes", os.O_RDWR | os.O_CLOEXEC),
            "freezer": os.open(f"{self._paths['freezer']}/freezer.state", os.O_RDWR | os.O_CLOEXEC),
        }

    def used_bytes(self) -> int:
        found = _table(f"{self._paths['memory']}/memory.stat")
        return found.get("total_rss", 0) + found.get("total_shmem", 0)

    def open_charged(self) -> int:
        return os.open(f"{self._paths['memory']}/memory.usage_in_bytes", os.O_RDONLY | os.O_CLOEXEC)

    def peak_bytes(self) -> int:
        return int(_read(f"{self._paths['memory']}/memory.max_usage_in_bytes") or 0)

    def kills(self) -> int:
        return _table(f"{self._paths['memory']}/memory.oom_control").get("oom_kill", 0)

    def pids(self) -> list[int]:
        return [int(pid) for pid in _read(f"{self._paths['pids']}/cgroup.procs").split()]

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            _write(f"{self._paths['pids']}/pids.max", "0")
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        left = [path for path in dict.fromkeys(self._paths.values()) if not _rmdir(path)]
        return not left


class CgroupsV2:
    """One directory."""

    kind = "v2"

    def __init__(self, root: Path) -> None:
        self.roots = (root,)

    def create(self, name: str) -> Group:
        path = self.roots[0] / name
        path.mkdir()
        _write(path / "pids.max", str(SANDBOX_PROCESSES_MAX))
        return _GroupV2(os.fspath(path))

    def close(self) -> None:
        _remove_tree(self.roots[0])


class _GroupV2:
    limited = True

    def __init__(self, path: str) -> None:
        self._path = path

    def tasks(self) -> list[int]:
        return [os.open(f"{self._path}/cgroup.procs", _CLONE)]

    def limit_memory(self, memory_mb: int, tmp_mb: int) -> None:
        _write(f"{self._path}/memory.max", str((memory_mb + tmp_mb) * MIB))
        with contextlib.suppress(OSError):  # kernels without swap have no such file
            _write(f"{self._path}/memory.swap.max", "0")

    def limit_cpu(self, memory_mb: int) -> None:
        _write(f"{self._path}/cpu.max", f"{quota_us(memory_mb)} {CPU_PERIOD_US}")

    def freeze(self) -> None:
        _write(f"{self._path}/cgroup.freeze", "1")

    def thaw(self) -> None:
        _write(f"{self._path}/cgroup.freeze", "0")

    def files(self) -> dict[str, int]:
        found = {"freeze": os.open(f"{self._path}/cgroup.freeze", os.O_RDWR | os.O_CLOEXEC)}
        for flags in (os.O_RDWR, os.O_RDONLY):  # resetting the peak through a descriptor came with 6.12
            with contextlib.suppress(OSError):
                found["peak"] = os.open(f"{self._path}/memory.peak", flags | os.O_CLOEXEC)
                break
        return found

    def used_bytes(self) -> int:
        found = _table(f"{self._path}/memory.stat")
        return found.get("anon", 0) + found.get("shmem", 0)

    def open_charged(self) -> int:
        return os.open(f"{self._path}/memory.current", os.O_RDONLY | os.O_CLOEXEC)

    def peak_bytes(self) -> int:
        return int(_read(f"{self._path}/memory.peak") or 0)

    def kills(self) -> int:
        return _table(f"{self._path}/memory.events").get("oom_kill", 0)

    def pids(self) -> list[int]:
        return [int(pid) for pid in _read(f"{self._path}/cgroup.procs").split()]

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # removed already
            _write(f"{self._path}/cgroup.kill", "1")

    def remove(self) -> bool:
        return _rmdir(self._path)


def _open_v1(run: str) -> CgroupsV1 | None:
    mounts = _mounts("cgroup")
    own = _own_paths()
    roots: dict[str, Path] = {}
    for controller in _V1:
        for mountpoint, inner, options in mounts:
            if controller in options.split(","):
                roots[controller] = _beneath(mountpoint, inner, own.get(controller, "/")) / run
    if set(roots) != set(_V1):
        return None
    for root in dict.fromkeys(roots.values()):
        root.mkdir()
    hybrid = bool(_mounts("cgroup2"))
    return CgroupsV1("hybrid" if hybrid else "v1", roots)


def _open_v2(run: str) -> CgroupsV2 | None:
    """Below our own group where that is delegated to us, else below the hierarchy's root."""
    for mountpoint, inner, _ in _mounts("cgroup2"):
        own = _beneath(mountpoint, inner, _own_paths().get("", "/"))
        for parent in dict.fromkeys((own, Path(mountpoint))):
            if not {"memory", "cpu", "pids"} <= set(_read(parent / "cgroup.controllers").split()):
                continue
            with contextlib.suppress(OSError):
                _delegate(parent)
                root = parent / run
                root.mkdir()
                _write(root / "cgroup.subtree_control", "+memory +cpu +pids")
                return CgroupsV2(root)
    return None


def _delegate(parent: Path) -> None:
    """Let children of parent have controllers. A group with processes of its own may not, so ours move to a leaf."""
    try:
        _write(parent / "cgroup.subtree_control", "+memory +cpu +pids")
        return
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    leaf = parent / "haneul-host"
    leaf.mkdir(exist_ok=True)
    for pid in _read(parent / "cgroup.procs").split():
        with contextlib.suppress(ProcessLookupError):
            _write(leaf / "cgroup.procs", pid)
    _write(parent / "cgroup.subtree_control", "+memory +cpu +pids")


def _sweep(record: Path) -> None:
    try:
        roots = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for root in roots:
        _remove_tree(Path(root))
    record.unlink(missing_ok=True)


def _remove_tree(root: Path) -> None:
    """Kill what is left in the groups below root and remove them; bounded to about two seconds."""
    for _ in range(200):
        groups = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
        for group in groups:
            for pid in _read(group / "cgroup.procs").split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                _write(group / "freezer.state", "THAWED")
            _rmdir(os.fspath(group))
        if _rmdir(os.fspath(root)):
            return
        time.sleep(0.01)


def _mounts(kind: str) -> list[tuple[str, str, str]]:
    """(mount point, root inside the hierarchy, super options) of the mounts of a file system type."""
    found = []
    for line in _read("/proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        parts, tail = fields.split(), rest.split()
        if tail and tail[0] == kind:
            found.append((parts[4], parts[3], tail[2]))
    return found


def _own_paths() -> dict[str, str]:
    """Controller ("" for version 2) -> the path of our own group in its hierarchy."""
    found = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _beneath(mountpoint: str, inner: str, own: str) -> Path:
    inside = own[len(inner.rstrip("/")) :] if own.startswith(inner) else own
    path = Path(mountpoint) / inside.strip("/")
    return path if path.is_dir() else Path(mountpoint)


def _table(path: str) -> dict[str, int]:
    found = {}
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def _read(path: str | Path) -> str:
    try:
        with open(path, encoding="ascii") as stream:  # noqa: PTH123 - half the time of Path.read_text, on a hot path
            return stream.read()
    except OSError:
        return ""


def _write(path: str | Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _rmdir(path: str) -> bool:
    try:
        Path(path).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
