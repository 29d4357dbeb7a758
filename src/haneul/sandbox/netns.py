"""Network namespaces with nothing but loopback, and a listening socket inside where the cloud's endpoint is expected.

The sockets stay in the namespace that they were made in, whoever holds them: the API process accepts on them from its
own event loop and passes the bytes on to the cloud's endpoint. No veth, no NAT, no proxy process.
"""

import fcntl
import os
import socket
import struct

from . import syscalls

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_BACKLOG = 128


class Factory:
    """Makes namespaces from the calling thread, which returns to its own namespace each time (about 0.4 ms)."""

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def make(self, port: int) -> tuple[int, socket.socket]:
        """(namespace, socket listening on 127.0.0.1:port in it). Raises OSError."""
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            _loopback_up()
            listener = _listen(port)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), listener
        finally:
            syscalls.setns(self._home, syscalls.CLONE_NEWNET)

    def listen(self, namespace: int, port: int) -> socket.socket:
        """A further listening socket in a namespace made before."""
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        try:
            return _listen(port)
        finally:
            syscalls.setns(self._home, syscalls.CLONE_NEWNET)

    def close(self) -> None:
        """Let go of the own namespace."""
        os.close(self._home)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack_from("=h", fcntl.ioctl(handle, _SIOCGIFFLAGS, name + bytes(24)), 16)[0]
        fcntl.ioctl(handle, _SIOCSIFFLAGS, name + struct.pack("=h", flags | _IFF_UP) + bytes(22))


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
