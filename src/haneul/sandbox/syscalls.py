"""Linux system calls that Python has no function for, through ctypes; private to the sandbox room.

Runs in every interpreter that functions may use (3.9 and later), standard library only. Every call raises OSError with
the kernel's errno. `missing()` tries what a sandbox needs in a child, for `haneul doctor` and the choice of tier.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from typing import Callable  # noqa: UP035 - collections.abc.Callable[...] is not hashable enough in 3.9's annotations

CLONE_NEWTIME = 0x80
CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
CAP_SYS_ADMIN = 21

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = 0o2000000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_FSOPEN_CLOEXEC = 1
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1
_CAPABILITY_VERSION_3 = 0x20080522

MACHINE = platform.machine()
# (x86_64, aarch64). Calls added since 2019 have one number everywhere.
_NUMBERS = {
    "pivot_root": (155, 41),
    "capset": (126, 91),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def supported() -> bool:
    """Whether this machine's numbers are known here."""
    return MACHINE in _COLUMN and os.name == "posix" and platform.system() == "Linux"


def unshare(flags: int) -> None:
    """Leave the namespaces (or shared attributes) named by flags; CLONE_NEWPID concerns only children born later."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace that fd refers to; CLONE_NEWPID concerns only children born later."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    data = options.encode() if options else None
    _check(
        _libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data),
        f"mount {kind or source} on {target}",
    )


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2); lazily unless told otherwise."""
    _check(_libc.umount2(os.fsencode(target), flags), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root; what was the root is then at `old` (which may be the same place: it lies on top)."""
    _number("pivot_root", os.fsencode(new), os.fsencode(old))


def open_tree(path: str, *, recursive: bool = True) -> int:
    """A detached copy of the mount at path, as a file descriptor, ready for move_mount."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _number("open_tree", _AT_FDCWD, os.fsencode(path), flags)


def move_mount(fd: int, path: str) -> None:
    """Attach a detached mount at path."""
    _number("move_mount", fd, b"", _AT_FDCWD, os.fsencode(path), _MOVE_MOUNT_F_EMPTY_PATH)


def restrict_mount(where: int | str, attributes: int) -> None:
    """Add MOUNT_ATTR_* to a mount and all below it: a detached one by file descriptor, an attached one by path."""
    payload = ctypes.create_string_buffer(struct.pack("=QQQQ", attributes, 0, 0, 0))
    if isinstance(where, int):
        _number("mount_setattr", where, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, payload, 32)
    else:
        _number("mount_setattr", _AT_FDCWD, os.fsencode(where), _AT_RECURSIVE, payload, 32)


def new_filesystem(kind: str, options: dict[str, str], attributes: int) -> int:
    """A new file system of a kind as a detached mount: its file descriptor."""
    context = _number("fsopen", kind.encode(), _FSOPEN_CLOEXEC)
    try:
        for name, value in options.items():
            _number("fsconfig", context, _FSCONFIG_SET_STRING, name.encode(), os.fsencode(value), 0)
        _number("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _number("fsmount", context, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    """prctl(2) with up to two arguments."""
    _check(
        _libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)),
        f"prctl {option}",
    )


def keep_capabilities(mask: int) -> None:
    """Have exactly the capabilities of mask (bit n: capability n), permitted and effective; inherit none."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0))
    _number("capset", header, data)


def drop_bounding_set() -> None:
    """No program started from here on can gain a capability, whatever its file says."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            return  # EINVAL: past the kernel's last capability


def install_filter(program: bytes) -> None:
    """Load a seccomp filter (an array of struct sock_filter). no_new_privs or CAP_SYS_ADMIN is needed before."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    buffer = ctypes.create_string_buffer(header, len(header))
    _check(
        _libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), buffer, ctypes.c_ulong(0), ctypes.c_ulong(0)),
        "seccomp",
    )


def missing(*, rootless: bool) -> str:
    """Really tries, in a child, what a sandbox is made of. "" when all of it works, else what failed."""
    if not supported():
        return f"{platform.system()} on {MACHINE} is not supported"
    return try_in_child(lambda: _rehearse(rootless))


def try_in_child(work: Callable[[], None]) -> str:
    """Runs work in a forked child that is then gone. "" when it returned, else the error's text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            code = 0
        except BaseException as error:
            os.write(writer, str(error).encode()[:500])
            code = 1
        os._exit(code)
    os.close(writer)
    text = os.read(reader, 500).decode(errors="replace")
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    if status == 0:
        return ""
    return text or f"the rehearsal ended with status {status}"


def enter_user_namespace(inside: int) -> None:
    """Become user and group `inside` of a new user namespace that knows no other. The process must be single-threaded."""
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{inside} {user} 1")
    _write("/proc/self/gid_map", f"{inside} {group} 1")


def enter_root_namespace(first: int, count: int) -> None:
    """As root, become root of a new user namespace that also knows the ids from `first` on, under their own numbers.

    Only a process outside may write such a map: a child does, which the caller has made before it left.
    """
    left, leave = os.pipe()
    helper = os.fork()
    if helper == 0:
        parent = os.getppid()
        os.close(leave)
        os.read(left, 1)
        code = 1
        try:
            for kind in ("uid_map", "gid_map"):
                _write(f"/proc/{parent}/{kind}", f"0 0 1\n{first} {first} {count}\n")
            code = 0
        finally:
            os._exit(code)
    os.close(left)
    try:
        unshare(CLONE_NEWUSER)
    finally:
        os.close(leave)
        status = os.waitpid(helper, 0)[1]
    if status:
        raise OSError(1, "the user namespace's ids could not be set: CAP_SETUID and CAP_SETGID are needed")


def _rehearse(rootless: bool) -> None:
    if rootless:
        enter_user_namespace(0)
    unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET)
    mount("", "/", "", MS_REC | MS_PRIVATE)
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        try:
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            tree = open_tree("/usr")
            restrict_mount(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
            os.close(tree)
            os.close(new_filesystem("tmpfs", {"size": "64k"}, MOUNT_ATTR_NOSUID))
            os._exit(0)
        except OSError as error:
            os.write(2, str(error).encode())
            os._exit(error.errno or 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, f"mounting inside the namespaces failed: {os.strerror(abs(status))}")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _number(name: str, *arguments: object) -> int:
    number = _NUMBERS[name][_COLUMN[MACHINE]]
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(_syscall(ctypes.c_long(number), *wide), name)


def _check(result: int, what: str) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return int(result)
