"""Code and layers as mounts: detached read-only copies that are attached in a sandbox, from inside or from outside."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import syscalls

_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV


class Trees:
    """Makes detached mounts, and attaches them in other processes' mount namespaces.

    The calling thread must be the only one of its process, or have file system attributes of its own: it enters the
    other namespace for the length of a call.
    """

    def __init__(self, directory: str) -> None:
        self._overlay = directory
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def code(self, directory: str) -> int:
        """A read-only view of a directory. The caller closes it. Raises OSError."""
        tree = syscalls.open_tree(directory)
        try:
            syscalls.restrict_mount(tree, _READ_ONLY)
        except OSError:
            os.close(tree)
            raise
        return tree

    def layers(self, directories: Sequence[str]) -> int:
        """Several directories as one, the later over the earlier, read-only. The caller closes it. Raises OSError."""
        if len(directories) == 1:
            return self.code(directories[0])
        # An overlay needs an attached mount point; it is gone again before anybody else could see it.
        lower = ":".join(_escaped(directory) for directory in reversed(directories))
        flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("overlay", self._overlay, "overlay", flags, f"lowerdir={lower}")
        try:
            return self.code(self._overlay)
        finally:
            syscalls.umount(self._overlay)

    @contextmanager
    def inside(self, pidfd: int) -> Iterator[None]:
        """Be in the mount namespace of another process meanwhile."""
        syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
        try:
            yield
        finally:
            syscalls.setns(self._home, syscalls.CLONE_NEWNS)
            os.fchdir(self._root)  # setns moves to the namespace's own root, which is not ours under chroot
            os.chroot(".")

    def close(self) -> None:
        """Let go of the own namespace."""
        os.close(self._home)
        os.close(self._root)


def tmp_options(size_mb: int) -> str:
    """Mount options of a private /tmp."""
    return f"size={size_mb}m,nr_inodes={max(16384, size_mb * 64)},mode=1777"


def resize_tmp(size_mb: int) -> None:
    """Give /tmp of the namespace that the caller is in another size."""
    flags = syscalls.MS_REMOUNT | syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", "/tmp", "tmpfs", flags, tmp_options(size_mb))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
