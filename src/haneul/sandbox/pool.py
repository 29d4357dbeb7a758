"""Zygotes and the ready pools that they fill: sandboxes that are built, unprivileged, and wait for their function."""

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from haneul.base.limits import (
    SANDBOX_POOL_IDLE_S,
    SANDBOX_POOL_REST_MAX_S,
    SANDBOX_POOL_REST_S,
    SANDBOX_ZYGOTE_AGE_MAX_S,
    SANDBOX_ZYGOTE_FORKS_MAX,
)

from . import wire
from .slots import Slot

_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from haneul.sandbox import zygote; sys.exit(zygote.main())"


Clock = Callable[[], float]
"""Seconds from some fixed point; sandboxd's own, which daemon.py hands in."""


class Kind(NamedTuple):
    """What sandboxes that may come out of one zygote have in common."""

    account: str
    executable: str
    flavour: str


class PoolKey(NamedTuple):
    """What ready sandboxes that may stand in for each other have in common."""

    kind: Kind
    closed: bool


@dataclass(eq=False, slots=True)
class Cell:
    """A sandbox as sandboxd sees it. state: filling → ready (in a pool) → given (it is a function's) → dying → dead.

    serial names it between sandboxd and its zygote, id between sandboxd and the API process.
    """

    serial: str
    key: PoolKey
    slot: Slot
    zygote: "Zygote"
    path: str
    id: str = ""
    state: str = "filling"
    status: int = 0
    peak_bytes: int = 0
    stopping: bool = False
    pid: int = 0
    pidfd: int = -1
    template: str = ""
    memory_mb: int = 0
    tmp_mb: int = 0
    out_of_memory: bool = False
    ends: dict[str, int] = field(default_factory=dict)
    settled: int = -1

    def hand_over(self) -> tuple[list[str], tuple[int, ...]]:
        """The names and descriptors of the API process's ends; they are the receiver's from here on."""
        names, fds = list(self.ends), tuple(self.ends.values())
        self.ends.clear()
        return names, fds

    def close(self) -> None:
        """Close what is still open here."""
        wire.close_all(list(self.ends.values()))
        self.ends.clear()
        for fd in (self.pidfd, self.settled):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.settled = -1

    def kill(self) -> None:
        """End every process inside, now: the first one's end is the end of its pid namespace."""
        self.state = "dying"
        if self.path == "snapshot":
            self.slot.group.kill()
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.slot.group.thaw()  # a frozen process does not notice that it was killed


class Zygote:
    """A zygote process, and what was asked of it."""

    def __init__(self, kind: Kind, plan: dict[str, Any], library: str, clock: Clock) -> None:
        # A parent outside of one's own pid namespace has the number 0.
        parent = 0 if plan["rootless"] else os.getpid()
        self.kind = kind
        self.cells: dict[str, Cell] = {}
        self.refused: dict[str, str] = {}
        self.ready = False
        self.forks = 0
        self.retired = False
        self._clock = clock
        self._born = clock()
        ours, theirs = wire.pair()
        with theirs:
            self.pid = os.posix_spawn(
                kind.executable,
                [kind.executable, "-I", "-S", "-c", _PROGRAM, library, str(parent)],
                {"LANG": "en_US.UTF-8"},
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
                setsigmask=(),
            )
        ours.setblocking(False)
        self.sender = wire.Sender(ours)
        self.sender.send({"op": "plan", **plan})

    @property
    def channel(self) -> socket.socket:
        return self.sender.channel

    @property
    def worn(self) -> bool:
        """Whether it is time for another: all forks of one share the layout of its memory."""
        return self.forks >= SANDBOX_ZYGOTE_FORKS_MAX or self._clock() - self._born > SANDBOX_ZYGOTE_AGE_MAX_S

    def spawn(self, cell: Cell, request: dict[str, Any], given: list[tuple[str, int]]) -> None:
        """Ask for a fork; the descriptors are the zygote's from here on."""
        self.forks += 1
        self.cells[cell.serial] = cell
        names = [name for name, _ in given]
        fds = tuple(fd for _, fd in given)
        self.sender.send({"op": "spawn", "id": cell.serial, "uid": cell.slot.uid, "with": names, **request}, fds)

    def end(self) -> None:
        """Kill it and collect it; the kernel kills what it forked."""
        self.sender.drop()
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class Pool:
    """Ready sandboxes of one key, oldest first."""

    def __init__(self, key: PoolKey, size: int, clock: Clock) -> None:
        self.key = key
        self.size = size
        self.coming: set[str] = set()
        self._ready: deque[Cell] = deque()
        self._clock = clock
        self._used = clock()
        self._lost = 0
        self._rest_until = 0.0

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def short(self) -> bool:
        """Whether one more should be made."""
        return len(self._ready) + len(self.coming) < self.size and self._clock() >= self._rest_until

    @property
    def idle(self) -> bool:
        """Whether nobody has asked for a long time."""
        return self._clock() - self._used > SANDBOX_POOL_IDLE_S

    def add(self, cell: Cell) -> None:
        """A sandbox is ready."""
        cell.state = "ready"
        self._ready.append(cell)

    def take(self) -> Cell | None:
        """The oldest ready sandbox."""
        self._used = self._clock()
        if self._ready:
            self._lost = 0
            return self._ready.popleft()
        return None

    def discard(self, cell: Cell) -> None:
        """It died before anybody asked for it. Each time in a row the next is made after twice as long a rest, so that
        a machine on which they cannot live is not kept busy making them."""
        self._rest_until = self._clock() + min(SANDBOX_POOL_REST_S * 2**self._lost, SANDBOX_POOL_REST_MAX_S)
        self._lost = min(self._lost + 1, 16)
        self.coming.discard(cell.serial)
        with contextlib.suppress(ValueError):
            self._ready.remove(cell)

    def drain(self) -> list[Cell]:
        """Everything that is ready, no longer in the pool."""
        cells = list(self._ready)
        self._ready.clear()
        return cells
