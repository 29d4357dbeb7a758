"""Site: what all connections of one server share, and the sweep that ends those which are too slow."""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Protocol

from haneul.base.env import Env, Timer
from haneul.base.limits import CONNECTIONS_MAX, SWEEP_INTERVAL_S
from haneul.base.log import Log

from .eager import Starter
from .http import Accepted, Face, Request, Response

Upgrade = Callable[[Request], Awaitable[Accepted | Response]]


class Guest(Protocol):
    """A connection, as the sweep and the stop see it."""

    deadline: float

    def expire(self) -> None: ...

    def wind_down(self) -> None: ...

    def abort(self) -> None: ...


class Site:
    """One timer for all connections, running only while there are any: each has a deadline, in seconds of `clock`.

    clock     monotonic seconds, renewed with every sweep: cheap to read, late by at most SWEEP_INTERVAL_S
    date      the Date header line, renewed with it
    stopping  whether answers are the last ones of their connections
    """

    def __init__(self, face: Face, env: Env, log: Log, loop: asyncio.AbstractEventLoop, *, scheme: str) -> None:
        self.face = face
        self.upgrade: Upgrade | None = getattr(face, "upgrade", None)
        self.env = env
        self.log = log
        self.loop = loop
        self.scheme = scheme
        self.starter = Starter(loop)
        self.stopping = False
        self.guests: set[Guest] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.clock = 0.0
        self.date = b""
        self._timer: Timer | None = None

    def admit(self, guest: Guest) -> bool:
        """Count a connection in; False when there are too many, or the server is stopping (it is counted even so)."""
        self.guests.add(guest)
        self.empty.clear()
        if self._timer is None:
            self._renew()
        return len(self.guests) <= CONNECTIONS_MAX and not self.stopping

    def forget(self, guest: Guest) -> None:
        self.guests.discard(guest)
        if not self.guests:
            self.empty.set()

    def close(self) -> None:
        self.starter.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _renew(self) -> None:
        self.clock = self.env.monotonic()
        self.date = b"date: %b\r\n" % formatdate(self.env.now(), usegmt=True).encode()
        self._timer = self.env.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        if not self.guests:
            return
        self._renew()
        clock = self.clock
        for guest in [guest for guest in self.guests if guest.deadline <= clock]:
            guest.expire()
