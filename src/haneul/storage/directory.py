"""The data directory: made private, owned by one process at a time, its entries synced."""

import fcntl
import os
from pathlib import Path

from haneul.base.errors import Unavailable

PID_MAX_BYTES = 20


class OwnerLock:
    """Held from construction to release(). Raises Unavailable, naming the owner's process id, when it is taken.

    The lock is on the open file, not on its existence: a file left by a killed process is no obstacle, and it is never
    removed (removing it would let two processes hold locks on two files of the same name).
    """

    def __init__(self, path: Path) -> None:
        self._file: int | None = _open(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, PID_MAX_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            reason = f"in use by another haneul, process {owner}; stop it, or give this one its own data directory"
            raise Unavailable("data directory", os.fspath(path.parent), reason, pid=owner) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; any number of times."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def make_directory(directory: Path) -> None:
    """The directory, durable, readable by its owner only when it is new. Raises Unavailable when it cannot be made."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            sync(path.parent)
    except OSError as error:
        raise Unavailable("data directory", os.fspath(directory), f"cannot be made: {error.strerror}") from error


def sync(path: Path) -> None:
    """Make a file's content, or a directory's entries, durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = f"cannot be written: {error.strerror}; make it writable for this user, or choose another"
        raise Unavailable("data directory", os.fspath(path.parent), reason) from error
