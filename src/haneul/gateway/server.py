"""The HTTP/1.1 server: listens, and stops gracefully. DESIGN section 6 has the reasons for a server of our own."""

import asyncio
import socket
from typing import TYPE_CHECKING

from haneul.base.env import Env
from haneul.base.limits import GRACE_TIMEOUT_S, HEADERS_TIMEOUT_S, LISTEN_BACKLOG
from haneul.base.log import Log

from .connection import Connection
from .http import Face
from .site import Site

if TYPE_CHECKING:
    import ssl


class Server:
    """Answers requests with a face; with its `upgrade`, if it has one, WebSocket handshakes too.

    Runs on uvloop and on asyncio's own loops. start() and stop() once each, on the same loop.
    """

    def __init__(self, face: Face, env: Env, log: Log, *, tls: "ssl.SSLContext | None" = None) -> None:
        self._face = face
        self._env = env
        self._log = log
        self._tls = tls
        self._site: Site | None = None
        self._listeners: list[asyncio.Server] = []

    async def start(self, host: str, port: int) -> int:
        """Listen on every address that host names, on one port; 0 lets the system choose. The port that it became.
        Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        scheme = "http" if self._tls is None else "https"
        site = self._site = Site(self._face, self._env, self._log, loop, scheme=scheme)
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        # IPv4 first: its port is free for IPv6 far more often than the other way round.
        for address in sorted(addresses, key=lambda address: ":" in address):
            try:
                listener = await loop.create_server(
                    lambda: Connection(site),
                    address,
                    port,
                    backlog=LISTEN_BACKLOG,
                    ssl=self._tls,
                    ssl_handshake_timeout=HEADERS_TIMEOUT_S if self._tls is not None else None,
                )
            except OSError:
                if not self._listeners or ":" not in address:
                    await self.stop()
                    raise
                continue  # a machine may name ::1 and not have it
            self._listeners.append(listener)
            port = listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no more connections, close idle ones, give requests in flight GRACE_TIMEOUT_S, then break them off."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        site, self._site = self._site, None
        if site is None:
            return
        site.stopping = True
        for guest in list(site.guests):
            guest.wind_down()
        try:
            await self._env.within(GRACE_TIMEOUT_S, site.empty.wait())
        except TimeoutError:
            self._log.warning("requests broken off", connections=len(site.guests))
            for guest in list(site.guests):
                guest.abort()
            await site.empty.wait()
        site.close()
