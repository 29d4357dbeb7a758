"""Templates from sandboxd's side: sealing them, forking them, and not believing them."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from haneul.base.limits import SANDBOX_SPARE_IDLE_S, SANDBOX_TEMPLATES_MAX

from . import syscalls, wire
from .pool import Cell, Clock
from .trees import tmp_options

_ATTRIBUTES = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV


@dataclass(eq=False, slots=True)
class Template:
    """A sandbox that is forked instead of asked. name is "" until it is sealed. spare: a fork that waits for its use,
    wanted_at: when the last fork was asked for."""

    cell: Cell
    sender: wire.Sender
    name: str = ""
    open: bool = True
    spare: Cell | None = None
    wanted_at: float = 0.0
    forks: dict[str, Cell] = field(default_factory=dict)


class Templates:
    """The templates of this node, by their cell's serial and, once sealed, by name.

    `ended` is told of forks that are gone; `answer` sends to the API process; `listen` watches a socket.
    """

    def __init__(
        self,
        ended: Callable[[Cell, int], None],
        answer: Callable[..., None],
        listen: Callable[[Any, Any], None],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._ended = ended
        self._answer = answer
        self._listen = listen
        self._by_serial: dict[str, Template] = {}
        self._by_name: dict[str, Template] = {}

    def add(self, cell: Cell, control: socket.socket) -> None:
        """A cell is becoming a template; control is our end of its line."""
        control.setblocking(False)
        template = self._by_serial[cell.serial] = Template(cell, wire.Sender(control))
        self._listen(control, lambda: self._heard(template))

    @property
    def full(self) -> bool:
        """Whether no further template may be made."""
        return len(self._by_serial) >= SANDBOX_TEMPLATES_MAX

    def seal(self, cell: Cell, name: str) -> None:
        """Have it say whether it can be forked; the answer goes to the API process under the cell's id."""
        template = self._by_serial.get(cell.serial)
        if template is None:
            self._answer({"op": "sealed", "id": cell.id, "reason": "its process ended"})
            return
        template.name = name
        template.sender.send({"op": "seal"})

    def named(self, name: str) -> Template | None:
        """The sealed template of a name."""
        return self._by_name.get(name)

    def take_spare(self, template: Template, tmp_mb: int) -> Cell | None:
        """The fork that waits, if it is one that suits; a next one is made when there is time."""
        template.wanted_at = self._clock()
        spare = template.spare
        if spare is None or spare.tmp_mb != tmp_mb or spare.state != "ready":
            return None
        template.spare = None
        return spare

    def short(self) -> Template | None:
        """A template that is in use and has no spare."""
        since = self._clock() - SANDBOX_SPARE_IDLE_S
        for template in self._by_name.values():
            if template.spare is None and template.wanted_at > since:
                return template
            if template.spare is not None and template.wanted_at <= since:
                template.spare.kill()
        return None

    def fork(self, template: Template, cell: Cell, given: list[tuple[str, int]], tmp_mb: int) -> None:
        """Ask for a fork; the descriptors are gone from here on. Raises OSError."""
        options = dict(option.split("=") for option in tmp_options(tmp_mb).split(","))
        given.append(("tmp", syscalls.new_filesystem("tmpfs", options, _ATTRIBUTES)))
        template.forks[cell.serial] = cell
        names, fds = [name for name, _ in given], tuple(fd for _, fd in given)
        template.sender.send({"op": "fork", "id": cell.serial, "with": names}, fds)

    def lost(self, cell: Cell) -> None:
        """A template's first process is gone, and with it, as its pid namespace ended, every fork."""
        template = self._by_serial.pop(cell.serial, None)
        if template is None:
            return
        if self._by_name.get(template.name) is template:
            del self._by_name[template.name]
        elif template.name:
            self._answer({"op": "sealed", "id": cell.id, "reason": "its process ended"})
        self._hang_up(template)
        template.sender.drop()
        template.sender.channel.close()
        for fork in list(template.forks.values()):
            self._ended(fork, 9)

    def senders(self) -> list[wire.Sender]:
        """The lines to every template."""
        return [template.sender for template in self._by_serial.values()]

    def sweep(self) -> None:
        """Forks whose death their template does not tell of: a group without processes is a sandbox without life."""
        for template in list(self._by_serial.values()):
            for fork in list(template.forks.values()):
                if fork.state == "dying" and not fork.slot.group.pids():
                    self._gone(template, fork, 9)

    @property
    def dying(self) -> bool:
        """Whether a fork's end is awaited."""
        return any(fork.state == "dying" for one in self._by_serial.values() for fork in one.forks.values())

    def _heard(self, template: Template) -> None:
        """User code may be at the other end: anything odd ends the template."""
        template.sender.flush()
        for _ in range(64):
            try:
                packet = wire.receive(template.sender.channel)
                if packet is None:
                    break
                wire.close_all(packet[1])
                self._take(template, packet[0])
            except BlockingIOError:
                return
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                break
        else:
            return
        template.cell.kill()
        self._hang_up(template)

    def _hang_up(self, template: Template) -> None:
        if template.open:
            template.open = False
            self._listen(template.sender.channel, None)

    def _take(self, template: Template, message: dict[str, Any]) -> None:
        if message["op"] == "sealed":
            reason = str(message["reason"])[:500]
            if not reason:
                self._by_name[template.name] = template
            self._answer({"op": "sealed", "id": template.cell.id, "reason": reason})
            return
        fork = template.forks.get(message["id"])
        if fork is not None:
            fork.slot.group.kill()  # whatever it left running
            self._gone(template, fork, int(message["status"]) & 0xFFFF)

    def _gone(self, template: Template, fork: Cell, status: int) -> None:
        del template.forks[fork.serial]
        if template.spare is fork:
            template.spare = None
        self._ended(fork, status)


def line() -> tuple[socket.socket, int]:
    """Our end and the template's end of a control line."""
    ours, theirs = wire.pair()
    os.set_inheritable(theirs.fileno(), False)
    return ours, theirs.detach()
