"""Passes connections from inside a closed sandbox on to the cloud's endpoint, and to nothing else.

The listening socket lives in the sandbox's network namespace but is served here, by the event loop: bytes flow both ways
with back pressure, a bounded number of connections at a time, each bounded in how long it may be silent.
"""

import asyncio
import socket
from typing import cast

from haneul.base.env import Env, Timer
from haneul.base.limits import SANDBOX_PROXY_CONNECTIONS_MAX, SANDBOX_PROXY_IDLE_S


class EndpointProxy:
    """Serves one listening socket until closed."""

    def __init__(self, env: Env, listener: socket.socket, endpoint: tuple[str, int]) -> None:
        self._env = env
        self._listener = listener
        self._endpoint = endpoint
        self._inner: set[_Side] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept from now on."""
        self._listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self), sock=self._listener)

    def close(self) -> None:
        """Drop every connection, and the listening socket."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for side in list(self._inner):
            side.abort()

    def opened(self, side: "_Side") -> None:
        """A connection came from inside: join it to one to the endpoint."""
        if len(self._inner) >= SANDBOX_PROXY_CONNECTIONS_MAX:
            side.abort()
            return
        self._inner.add(side)
        self._env.spawn(self._join(side), name="connect to the endpoint")

    def closed(self, side: "_Side") -> None:
        """A connection is gone."""
        self._inner.discard(side)

    def timer(self, side: "_Side") -> Timer:
        """When a silent connection is dropped."""
        return self._env.call_later(SANDBOX_PROXY_IDLE_S, side.look)

    def now(self) -> float:
        """Seconds, for measuring silence."""
        return self._env.monotonic()

    async def _join(self, side: "_Side") -> None:
        loop = asyncio.get_running_loop()
        try:
            _, other = await loop.create_connection(lambda: _Side(self, side), *self._endpoint)
        except OSError:
            side.abort()
            return
        side.join(other)


class _Side(asyncio.Protocol):
    """One of two joined connections: what arrives here leaves there."""

    def __init__(self, proxy: EndpointProxy, other: "_Side | None" = None) -> None:
        self._proxy = proxy
        self._outer = other is not None
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._timer: Timer | None = None
        self._heard = 0.0
        self._finished = False
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._heard = self._proxy.now()
        if not self._outer:
            self._timer = self._proxy.timer(self)
            self._proxy.opened(self)

    def join(self, other: "_Side") -> None:
        """Both are there."""
        if self._transport is None or self._transport.is_closing():
            other.abort()
            return
        self._other = other
        if other._transport is not None:
            other._transport.writelines(self._early)
            if self._finished:
                other._transport.write_eof()
        self._early.clear()
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._heard = self._proxy.now()
        if self._other is None:
            # uvloop reads once whatever connection_made() asked: what comes before both are there is one read, kept.
            self._early.append(data)
            self.pause()
        elif self._other._transport is not None:
            self._other._transport.write(data)

    def eof_received(self) -> bool:
        """The half that still speaks may finish."""
        self._finished = True
        other = self._other
        if other is None:
            return True
        if other._transport is None or other._finished:
            return False
        if other._transport.can_write_eof() and not other._transport.is_closing():
            other._transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause()

    def resume_writing(self) -> None:
        other = self._other
        if other is not None and other._transport is not None and not other._transport.is_closing():
            other._transport.resume_reading()

    def pause(self) -> None:
        """Take nothing more until the other side has caught up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._proxy.closed(self)
        if self._other is not None and self._other._transport is not None:
            self._other._transport.close()

    def look(self) -> None:
        """Drop the pair when both have been silent for too long."""
        heard = max(self._heard, self._other._heard if self._other is not None else 0.0)
        if self._proxy.now() - heard >= SANDBOX_PROXY_IDLE_S:
            self.abort()
        else:
            self._timer = self._proxy.timer(self)

    def abort(self) -> None:
        """Drop it now."""
        if self._transport is not None:
            self._transport.abort()
