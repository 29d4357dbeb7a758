"""Keeps memory limits where the kernel alone would not: /tmp shares its function's control group, or there is no group.

A group's hard limit is memory plus the size of /tmp, because the kernel charges the pages of a tmpfs to whoever touches
them. So that an empty /tmp does not become memory, what a sandbox uses beyond its memory limit and beyond what really
lies in /tmp ends it as out of memory. With control groups of version 1 the kernel wakes us when a group passes its
memory limit; else each sandbox is looked at in turn.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from haneul.base.limits import MIB, SANDBOX_WATCH_S

from .pool import Cell

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_TREE_MAX = 1_100


class Watch:
    """The sandboxes whose memory is looked at, and when."""

    def __init__(self, listen: Callable[[Any, Any], None]) -> None:
        self._listen = listen
        self._alarms: dict[str, tuple[Cell, int]] = {}
        self._close: dict[str, Cell] = {}
        self._polled: dict[str, Cell] = {}
        self._next = 0.0

    @property
    def pause(self) -> float:
        """Seconds until `look` should be called again, at most."""
        return SANDBOX_WATCH_S if self._close or self._polled else 30.0

    def add(self, cell: Cell) -> None:
        """Its memory_mb is to be kept from now on."""
        try:
            alarm = cell.slot.group.alarm(cell.memory_mb)
        except OSError:
            alarm = -1
        if alarm < 0:
            self._polled[cell.serial] = cell
            return
        self._alarms[cell.serial] = (cell, alarm)
        self._listen(alarm, lambda: self._alarmed(cell, alarm))

    def remove(self, cell: Cell) -> None:
        """It is gone."""
        self._close.pop(cell.serial, None)
        self._polled.pop(cell.serial, None)
        if cell.serial in self._alarms:
            alarm = self._alarms.pop(cell.serial)[1]
            self._listen(alarm, None)
            os.close(alarm)

    def look(self) -> None:
        """See who uses too much, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        for cell in [*self._close.values(), *self._polled.values()]:
            self._judge(cell)
        spent = time.monotonic() - now
        self._next = now + max(SANDBOX_WATCH_S, 20 * spent)  # never more than a twentieth of a core

    def _alarmed(self, cell: Cell, alarm: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(alarm, 8)
        self._close[cell.serial] = cell
        self._judge(cell)

    def _judge(self, cell: Cell) -> None:
        group = cell.slot.group
        limit = cell.memory_mb * MIB
        used = group.used_bytes() if group.limited else _tree_bytes(cell.pid)
        if used <= limit:
            if group.charged_bytes() <= limit:
                self._close.pop(cell.serial, None)
            return
        if group.limited:
            used -= _tmp_bytes(cell.pid)
        if used > limit and cell.state == "given":
            cell.out_of_memory = True
            cell.kill()


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
