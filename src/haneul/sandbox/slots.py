"""What a sandbox occupies on the machine: a user id, a control group, and, without egress, a network namespace.

A few of each are made ahead of time, because making them costs half a millisecond that a cold start need not wait for.
Nothing is used twice: a namespace or a group may remember its last tenant. Only user ids come back.
"""

import heapq
import os
import socket
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from haneul.base.limits import SANDBOX_SLOTS_READY, SANDBOX_UID_FIRST

from . import wire
from .cgroups import Cgroups, Group
from .netns import Factory


@dataclass(slots=True)
class Slot:
    """One sandbox's share. files and tasks are the group's, open; net and listener are there only without egress."""

    uid: int
    group: Group
    files: dict[str, int]
    tasks: list[int]
    net: int = -1
    listener: socket.socket | None = None
    port: int = 0


class Slots:
    """Takes from the stock or makes; gives back. At most `most` slots exist at once."""

    def __init__(self, cgroups: Cgroups, most: int, *, rootless: bool) -> None:
        self._cgroups = cgroups
        self._factory = Factory(rootless=rootless)
        self._uids = list(range(SANDBOX_UID_FIRST, SANDBOX_UID_FIRST + most))
        self._serial = 0
        self._groups: deque[tuple[Group, dict[str, int], list[int]]] = deque()
        self._nets: deque[tuple[int, socket.socket, int]] = deque()
        self._leaving: list[Slot] = []
        self.port = 0

    def take(self, *, net: bool, port: int) -> Slot | None:
        """A slot, or None when all user ids are in use. Raises OSError when the machine refuses."""
        if not self._uids:
            return None
        group, files, tasks = self._groups.popleft() if self._groups else self._group()
        slot = Slot(uid=heapq.heappop(self._uids), group=group, files=files, tasks=tasks)
        if net:
            try:
                self._add_net(slot, port)
            except OSError:
                self.give_back(slot)
                raise
        return slot

    def at_port(self, slot: Slot, port: int) -> None:
        """Have the slot's network answer at this port too, if it does not yet."""
        if slot.net >= 0 and slot.port != port:
            if slot.listener is not None:
                slot.listener.close()
            slot.listener, slot.port = self._factory.listen(slot.net, port), port

    def give_back(self, slot: Slot) -> None:
        """Let go of everything. A group in which something still dies is removed by a later call of `stock`."""
        if slot.listener is not None:
            slot.listener.close()
            slot.listener = None
        if slot.net >= 0:
            os.close(slot.net)
            slot.net = -1
        wire.close_all([*slot.files.values(), *slot.tasks])
        slot.files, slot.tasks = {}, []
        if slot.group.remove():
            heapq.heappush(self._uids, slot.uid)
        else:
            self._leaving.append(slot)

    def stock(self, *, nets: bool) -> bool:
        """Make one thing that is missing from the stock; False when nothing is. Called when there is time."""
        self._leaving = [slot for slot in self._leaving if not self._gone(slot)]
        if len(self._groups) < SANDBOX_SLOTS_READY:
            self._groups.append(self._group())
            return True
        if nets and self.port and len(self._nets) < SANDBOX_SLOTS_READY:
            self._nets.append((*self._factory.make(self.port), self.port))
            return True
        return False

    def close(self) -> None:
        """Remove the stock."""
        while self._groups:
            group, files, tasks = self._groups.popleft()
            wire.close_all([*files.values(), *tasks])
            group.remove()
        while self._nets:
            net, listener, _ = self._nets.popleft()
            os.close(net)
            listener.close()
        self._factory.close()

    def _group(self) -> tuple[Group, dict[str, int], list[int]]:
        self._serial += 1
        group = self._cgroups.create(str(self._serial))
        return group, group.files(), group.tasks()

    def _add_net(self, slot: Slot, port: int) -> None:
        self.port = port
        if not self._nets:
            slot.net, slot.listener = self._factory.make(port)
            slot.port = port
            return
        slot.net, slot.listener, slot.port = self._nets.popleft()
        self.at_port(slot, port)

    def _gone(self, slot: Slot) -> bool:
        slot.group.kill()
        if not slot.group.remove():
            return False
        heapq.heappush(self._uids, slot.uid)
        return True


def scratch(directory: Path, name: str) -> str:
    """An empty directory below directory, made if need be."""
    path = directory / name
    path.mkdir(parents=True, exist_ok=True)
    return os.fspath(path)
