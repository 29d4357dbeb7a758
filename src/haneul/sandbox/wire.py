"""Messages between the API process, sandboxd and the zygotes: one JSON object and file descriptors per packet.

The socket is a SOCK_SEQPACKET pair, so a packet arrives whole or not at all. Runs in Python 3.9 and later.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections import deque
from typing import Any

PACKET_MAX_BYTES = 64 * 1024
FDS_MAX = 32

Message = "dict[str, Any]"


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a packet channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """One packet. The descriptors stay open here. Raises BlockingIOError when the other side does not keep up."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > PACKET_MAX_BYTES:
        raise ValueError(f"a packet of {len(body)} bytes is longer than {PACKET_MAX_BYTES}")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([body], rights, socket.MSG_NOSIGNAL)


def receive(channel: socket.socket, most_bytes: int = PACKET_MAX_BYTES) -> tuple[dict[str, Any], list[int]] | None:
    """The next packet and its descriptors (close-on-exec, now ours); None when the other side is gone."""
    try:
        body, ancillary, flags, _ = channel.recvmsg(most_bytes, socket.CMSG_SPACE(FDS_MAX * 4), socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if not body:
        close_all(fds.tolist())
        return None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(fds.tolist())
        raise OSError("a packet was cut: out of file descriptors, or too long")
    return json.loads(body), fds.tolist()


def close_all(fds: list[int] | tuple[int, ...]) -> None:
    """Close descriptors that nobody needs any more."""
    for fd in fds:
        os.close(fd)


class Sender:
    """Sends in order without blocking: what the socket does not take now waits, and `flush` goes on when it can.

    The descriptors handed over are closed once they are sent. The queue is bounded by what its owner asks for: a packet
    or two for each environment.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self._waiting: deque[tuple[dict[str, Any], tuple[int, ...]]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be sent: flush when the socket is writable."""
        return bool(self._waiting)

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send or queue. A peer that is gone is noticed by its reader; what was meant for it is dropped."""
        self._waiting.append((message, fds))
        if len(self._waiting) == 1:
            self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._waiting:
            message, fds = self._waiting[0]
            try:
                send(self.channel, message, fds)
            except BlockingIOError:
                return
            except OSError:
                self.drop()
                return
            self._waiting.popleft()
            close_all(fds)

    def drop(self) -> None:
        """Forget everything that waits."""
        while self._waiting:
            close_all(self._waiting.popleft()[1])
