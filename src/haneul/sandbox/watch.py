"""Keeps memory limits where the kernel alone would not: /tmp shares its function's control group, or there is no group.

A group's hard limit is memory plus the size of /tmp, because the kernel charges the pages of a tmpfs to whoever touches
them. So that an empty /tmp does not become memory, what a sandbox uses beyond its memory limit and beyond what really
lies in /tmp ends it as out of memory.

Everything is looked at in turn, at 2 µs each. Version 1 could wake us instead when a group passes its limit, but to
register for that waits 6 to 27 ms for an RCU grace period (measured on 6.18): ten cold starts.
"""

import contextlib
import os

from haneul.base.limits import MIB, SANDBOX_WATCH_S

from .pool import Cell, Clock

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_TREE_MAX = 1_100
_PAUSE_IDLE_S = 30.0


class Watch:
    """The sandboxes whose memory is looked at, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[str, tuple[Cell, int]] = {}
        self._new: dict[str, Cell] = {}
        self._next = 0.0

    @property
    def pause(self) -> float:
        """Seconds until `look` should be called again, at most."""
        if not self._watched and not self._new:
            return _PAUSE_IDLE_S
        return max(0.0, self._next - self._clock())

    def add(self, cell: Cell) -> None:
        """Its memory_mb is to be kept from now on. Nothing is done yet: it is being waited for."""
        self._new[cell.serial] = cell

    def remove(self, cell: Cell) -> None:
        """It is gone."""
        self._new.pop(cell.serial, None)
        _, usage = self._watched.pop(cell.serial, (cell, -1))
        if usage >= 0:
            os.close(usage)

    def look(self) -> None:
        """See who uses too much, if it is time."""
        now = self._clock()
        if now < self._next:
            return
        for serial, cell in self._new.items():
            try:
                self._watched[serial] = (cell, cell.slot.group.open_charged())
            except OSError:
                self._watched[serial] = (cell, -1)
        self._new.clear()
        for cell, usage in list(self._watched.values()):
            if _uses_too_much(cell, usage) and cell.state == "given":
                cell.out_of_memory = True
                cell.kill()
        spent = self._clock() - now
        self._next = now + max(SANDBOX_WATCH_S, 20 * spent)  # never more than a twentieth of a core


def _uses_too_much(cell: Cell, usage: int) -> bool:
    limit = cell.memory_mb * MIB
    if usage < 0:
        return _tree_bytes(cell.pid) > limit
    try:
        if int(os.pread(usage, 32, 0)) <= limit:
            return False
    except OSError:
        return False  # the group is gone
    used = cell.slot.group.used_bytes()
    return used > limit and used - _tmp_bytes(cell.pid) > limit


def _tmp_bytes(pid: int) -> int:
    try:
        facts = os.statvfs(f"/proc/{pid}/root/tmp")
    except OSError:
        return 0
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def _tree_bytes(pid: int) -> int:
    """Resident private memory of a process and its descendants."""
    total, waiting, seen = 0, [pid], 0
    while waiting and seen < _TREE_MAX:
        seen += 1
        one = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            fields = _read(f"/proc/{one}/statm").split()
            total += (int(fields[1]) - int(fields[2])) * _PAGE_BYTES
            for task in os.listdir(f"/proc/{one}/task"):  # noqa: PTH208 - names only
                waiting += [int(child) for child in _read(f"/proc/{one}/task/{task}/children").split()]
    return total


def _read(path: str) -> str:
    with open(path, encoding="ascii") as stream:  # noqa: PTH123 - a hot path
        return stream.read()
