"""The file tree that user code sees: built once per zygote, inherited by each sandbox that it forks.

An empty tmpfs as root; the system's programs and libraries and the interpreter, read-only; a small /etc that is written
here; five devices; nothing of /sys, /dev/shm, /root, /home or the host's /etc. Runs in Python 3.9 and later.
"""

# ruff: noqa: PTH103, PTH112, PTH118, PTH120, PTH208, PTH114, PTH211, PTH115, PTH116, PTH123, PTH101  # pathlib would cost the memory of every function

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from . import syscalls

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
DEVICES = ("null", "zero", "full", "random", "urandom")
CERTIFICATES = (
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/alternatives",
)
COPIES = ("/etc/ssl/openssl.cnf", "/etc/ld.so.cache", "/etc/resolv.conf", "/etc/mime.types", "/etc/services")
COPY_MAX_BYTES = 1 << 20
EMPTY = ("/var/task", "/opt", "/tmp", "/proc", "/var/tmp", "/home", "/root", "/mnt", "/run")

_WRITTEN = {
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/os-release": 'NAME="haneul"\nID=haneul\nPRETTY_NAME="haneul function sandbox"\n',
}
_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID


class Plan(NamedTuple):
    """What to build, and where.

    root    an existing empty directory of the host to mount the tree on
    binds   (host path, path inside), read-only; parents are made
    hidden  directories inside the binds that are covered by an empty one
    users   uids that get a name in /etc/passwd
    proc    show the host's /proc until each sandbox mounts its own: an unprivileged user namespace may mount a new
            proc only where a whole one is already visible
    """

    root: str
    binds: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    proc: bool = False


def enter(plan: Plan) -> None:
    """Build the tree in the caller's own mount namespace and make it the root. Nothing of the host's tree stays."""
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount(
        "tmpfs", plan.root, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=4m,nr_inodes=2048,mode=755"
    )
    for path in EMPTY:
        os.makedirs(plan.root + path, exist_ok=True)
    _system(plan.root)
    _etc(plan)
    _devices(plan.root)
    for source, target in plan.binds:
        _bind(source, plan.root + target)
    for path in plan.hidden:
        if os.path.isdir(plan.root + path):
            syscalls.mount("tmpfs", plan.root + path, "tmpfs", _READ_ONLY | syscalls.MS_NODEV, "size=4k,nr_inodes=2")
    if plan.proc:
        syscalls.mount("/proc", plan.root + "/proc", "", syscalls.MS_BIND | syscalls.MS_REC)
    os.chdir(plan.root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("", "/", "", flags)


def interpreter_binds(
    executable: str, prefixes: tuple[str, ...]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """(binds, hidden) that make an interpreter outside of /usr usable at its own path, without its site-packages."""
    wanted = {os.path.realpath(prefix) for prefix in prefixes} | {os.path.dirname(os.path.realpath(executable))}
    outside = sorted(path for path in wanted if not _inside(path, SYSTEM))
    tops = [path for path in outside if not _inside(path, tuple(other for other in outside if other != path))]
    hidden = []
    for top in tops:
        library = os.path.join(top, "lib")
        names = os.listdir(library) if os.path.isdir(library) else []
        hidden += [os.path.join(library, name, "site-packages") for name in names if name.startswith("python")]
    return tuple((top, top) for top in tops), tuple(hidden)


def _inside(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith(top.rstrip("/") + "/") for top in tops)


def _system(root: str) -> None:
    for path in SYSTEM:
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            _bind(path, root + path)


def _etc(plan: Plan) -> None:
    os.makedirs(plan.root + "/etc/ssl", exist_ok=True)
    people = [("root", 0, "/root"), ("nobody", 65534, "/")]
    people += [(f"sbx_user{user}", user, "/tmp") for user in plan.users]
    written = dict(_WRITTEN)
    written["/etc/passwd"] = "".join(f"{name}:x:{user}:{user}::{home}:/bin/sh\n" for name, user, home in people)
    written["/etc/group"] = "".join(f"{name}:x:{user}:\n" for name, user, _ in people)
    for path in COPIES:
        content = _content(path)
        if content is not None:
            _create(plan.root + path, content)
    for path, text in written.items():
        _create(plan.root + path, text.encode())
    for path in CERTIFICATES:
        if os.path.isdir(path):
            _bind(os.path.realpath(path), plan.root + path)


def _devices(root: str) -> None:
    os.makedirs(root + "/dev")
    for name in DEVICES:
        _create(f"{root}/dev/{name}", b"")
        syscalls.mount(f"/dev/{name}", f"{root}/dev/{name}", "", syscalls.MS_BIND)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"{root}/dev/{name}")


def _bind(source: str, target: str) -> None:
    if stat.S_ISDIR(os.stat(source).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _create(target, b"")
    # A bind mount takes MS_RDONLY only in a second step, and then only for its top: mount_setattr does the whole tree.
    syscalls.mount(source, target, "", syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.restrict_mount(target, _READ_ONLY | syscalls.MOUNT_ATTR_NODEV)


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read(COPY_MAX_BYTES)
    except OSError:
        return None


def _create(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content)
    os.chmod(path, 0o644)
