"""The writing side of a connection: back pressure from a client that reads slowly, and how slow it may be."""

import asyncio

from haneul.base.env import Env
from haneul.base.limits import BODY_PROGRESS_MIN_BYTES, WRITE_BUFFER_MAX_BYTES

from .site import Site

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ

    QUEUED: int | None = TIOCOUTQ
except ImportError:  # not a Unix: nothing tells how much the kernel still holds
    QUEUED = None


class Outlet:
    """What senders write to.

    started   whether the head of the answer is out: from then on it cannot be taken back
    writable  whether the client has read enough of what is written already
    """

    __slots__ = ("_drained", "_lost", "_site", "_transport", "_unread", "env", "started", "writable")

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self._site = site
        self._transport = transport
        self._drained: asyncio.Future[None] | None = None
        self._lost = False
        self._unread = 0
        self.env: Env = site.env
        self.started = False
        self.writable = True
        transport.set_write_buffer_limits(WRITE_BUFFER_MAX_BYTES)

    def begin(self, *pieces: bytes) -> None:
        """Send the head of an answer, and what may follow it."""
        self.started = True
        self.write(*pieces)

    def write(self, *pieces: bytes) -> None:
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)

    async def drain(self) -> None:
        """Wait until the client has taken enough for more to be written; at once when it has, or when it is gone."""
        while not self.writable and not self._lost:
            self._drained = self._site.loop.create_future()
            await self._drained

    async def flush(self, head: bytes) -> int | None:
        """Send the head and wait until nothing is held back; then the socket's descriptor, so that bytes can go round
        the transport, or None where they cannot."""
        transport = self._transport
        # With a limit of zero, transports send at once, and report when all is out.
        transport.set_write_buffer_limits(0)
        try:
            self.begin(head)
            if transport.get_write_buffer_size():
                await self.drain()
        finally:
            transport.set_write_buffer_limits(WRITE_BUFFER_MAX_BYTES)
        return None if self._site.scheme == "https" else self._descriptor()

    # what the connection calls

    def pause(self) -> None:
        self.writable = False

    def resume(self) -> None:
        self.writable = True
        self._wake()

    def lose(self) -> None:
        """The client is gone."""
        self._lost = True
        self._wake()

    def mark(self) -> None:
        """Remember how much the client has not read, for has_moved()."""
        self._unread = self._count()

    def has_moved(self) -> bool:
        """Whether the client has read anything worth the name since mark(). Marks anew."""
        before = self._unread
        self.mark()
        return before - self._unread >= BODY_PROGRESS_MIN_BYTES

    def is_empty(self) -> bool:
        return not self._transport.get_write_buffer_size()

    def _count(self) -> int:
        return self._transport.get_write_buffer_size() + unsent(self._descriptor())

    def _descriptor(self) -> int | None:
        socket = self._transport.get_extra_info("socket")
        return None if socket is None or (number := socket.fileno()) < 0 else int(number)

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None


def unsent(socket: int | None) -> int:
    """Bytes in the kernel that the client has not acknowledged; 0 where that is not known."""
    if QUEUED is None or socket is None:
        return 0
    answer = bytearray(4)
    try:
        ioctl(socket, QUEUED, answer)
    except OSError:
        return 0
    return int.from_bytes(answer, "little")
