"""Network namespaces with nothing but loopback, and a listening socket inside where the cloud's endpoint is expected.

The sockets stay in the namespace that they were made in, whoever holds them: the API process accepts on them from its
own event loop and passes the bytes on to the cloud's endpoint. No veth, no NAT, no proxy process.
"""

import fcntl
import os
import socket
import struct
from collections.abc import Callable

from . import syscalls, wire

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_BACKLOG = 128


class Factory:
    """Makes namespaces (about 0.4 ms each). The calling process must be single-threaded.

    With privileges the caller itself goes there and comes back. An ordinary user's process could not come back to the
    host's namespace, which is not its own: a child goes instead, and sends back what it made.
    """

    def __init__(self, *, rootless: bool) -> None:
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._rootless = rootless

    def make(self, port: int) -> tuple[int, socket.socket]:
        """(namespace, socket listening on 127.0.0.1:port in it). Raises OSError."""

        def work() -> list[int]:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            _loopback_up()
            return [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), _listen(port)]

        namespace, listener = self._elsewhere(work)
        return namespace, socket.socket(fileno=listener)

    def listen(self, namespace: int, port: int) -> socket.socket:
        """A further listening socket in a namespace made before."""

        def work() -> list[int]:
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
            return [_listen(port)]

        return socket.socket(fileno=self._elsewhere(work)[0])

    def close(self) -> None:
        """Let go of the own namespace."""
        os.close(self._home)

    def _elsewhere(self, work: Callable[[], list[int]]) -> list[int]:
        if self._rootless:
            return _in_child(work)
        try:
            return work()
        finally:
            syscalls.setns(self._home, syscalls.CLONE_NEWNET)


def _in_child(work: Callable[[], list[int]]) -> list[int]:
    ours, theirs = wire.pair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            try:
                wire.send(theirs, {}, tuple(work()))
            finally:
                os._exit(0)
        theirs.close()
        packet = wire.receive(ours)
        os.waitpid(pid, 0)
    if packet is None or not packet[1]:
        raise OSError("a network namespace could not be made")
    return packet[1]


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack_from("=h", fcntl.ioctl(handle, _SIOCGIFFLAGS, name + bytes(24)), 16)[0]
        fcntl.ioctl(handle, _SIOCSIFFLAGS, name + struct.pack("=h", flags | _IFF_UP) + bytes(22))


def _listen(port: int) -> int:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener.detach()
