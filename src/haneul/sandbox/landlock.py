"""Landlock: an unprivileged process gives up, for good, every file and port that it was not told to keep.

Runs inside the environment, before any user code, under any Python >= 3.9: the standard library only. Source of the
numbers: the kernel's include/uapi/linux/landlock.h and Documentation/userspace-api/landlock.rst. What it does not stop:
reading about other processes of the same user, signals to them before ABI 6, and using their CPU and memory.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys

from . import seccomp, syscalls

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # what a rule on a file may name
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2

# What programs read of the machine without it being anybody's secret.
_SYSTEM_READ = (
    *("/usr", "/bin", "/lib", "/lib64", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg"),
    *("/proc/sys/kernel/random", "/etc/ssl", "/etc/pki", "/etc/ld.so.cache", "/etc/localtime", "/etc/hosts"),
    *("/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/mime.types"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
_SYSTEM_WRITE = ("/dev/null", "/dev/full")


def abi() -> int:
    """The kernel's Landlock version; 0 when it has none, or none that is switched on."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def restrict(read: list[str], write: list[str], *, connect_port: int | None = None) -> None:
    """From here on this process and its children may read and run what is under `read`, and change what is under `write`.

    connect_port: the only TCP port that may be connected to (from ABI 4 on); None leaves the network alone. Places that
    do not exist are passed over. Raises OSError where the kernel has no Landlock.
    """
    version = abi()
    if version == 0:
        raise OSError("this kernel has no Landlock, or it is switched off")
    files = (1 << _file_rights(version)) - 1
    ports = _BIND_TCP | _CONNECT_TCP if version >= 4 and connect_port is not None else 0
    scopes = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if version >= 6 else 0
    attributes = struct.pack("=QQQ", files, ports, scopes)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in (*_SYSTEM_READ, *read):
            _allow_path(ruleset, path, _READ & files)
        for path in (*_SYSTEM_WRITE, *write):
            _allow_path(ruleset, path, files & ~_IOCTL_DEV)
        if ports and connect_port is not None:
            _call(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, connect_port), 0)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def enter(plan: str) -> None:
    """What a landlocked environment runs first. plan: JSON {"read", "write", "connect_port"}."""
    restrict(**json.loads(plan))
    if syscalls.supported():
        machine = "aarch64" if syscalls.MACHINE == "arm64" else syscalls.MACHINE
        syscalls.install_filter(seccomp.compile_filter(machine))


def _file_rights(version: int) -> int:
    """How many rights of files this version knows: renaming across folders came with 2, truncation with 3, ioctl with 5."""
    return {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(f"/proc/self/fd/{place}"):  # noqa: PTH112 - pathlib would cost every function's memory
            rights &= _OF_FILES
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = int(libc.syscall(ctypes.c_long(number), *wide))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
