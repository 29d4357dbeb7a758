"""Every sandbox that exists, from sandboxd's side: starting by the fastest way there is, stopping, making ahead."""

import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from haneul.base.limits import (
    MIB,
    SANDBOX_POOLS_MAX,
    SANDBOX_TEMPLATES_MAX,
    SANDBOX_TMP_DEFAULT_MB,
    SANDBOX_UID_FIRST,
    SANDBOX_ZYGOTES_MAX,
)

from . import syscalls, wire
from .cgroups import Cgroups
from .pool import Cell, Clock, Kind, Pool, PoolKey, Zygote
from .slots import Slot, Slots, scratch
from .templates import Template, Templates, line
from .trees import Trees, resize_tmp, tmp_options

Listen = Callable[[Any, Any], None]
Send = Callable[..., None]


_NOT_BORN = 70 << 8  # the wait status of the exit code that a failed set-up ends with


class Refused(Exception):
    """This node is full."""


class Watcher(Protocol):
    """Who is told which sandboxes have a memory limit to be kept."""

    def add(self, cell: Cell) -> None: ...

    def remove(self, cell: Cell) -> None: ...


class Cells:
    """The table of sandboxes and zygotes."""

    def __init__(self, settings: dict[str, Any], cgroups: Cgroups, listen: Listen, send: Send, clock: Clock) -> None:
        self._clock = clock
        self._settings = settings
        self._cgroups = cgroups
        self._listen = listen
        self._send = send
        self._most = settings["environments_max"]
        self._serial = 0
        directory = Path(settings["directory"])
        self._plan = {
            "rootless": settings["rootless"],
            "boot": settings["boot"],
            "binds": settings["binds"],
            "library": settings["library"],
            "root": scratch(directory, "root"),
            "own_uids": settings["own_uids"],
            "uids": [SANDBOX_UID_FIRST, SANDBOX_UID_FIRST],
        }
        slots = slots_max(settings)
        if settings["own_uids"]:
            self._plan["uids"] = [SANDBOX_UID_FIRST, SANDBOX_UID_FIRST + slots]
        self.slots = Slots(cgroups, slots, rootless=settings["rootless"])
        self.trees = Trees(scratch(directory, "overlay"))
        self.given: dict[str, Cell] = {}
        self.zygotes: dict[Kind, Zygote] = {}
        self._retired: list[Zygote] = []
        self._pools: dict[PoolKey, Pool] = {}
        self.unfinished = True
        self.watch: Watcher | None = None
        self.templates = Templates(self.ended, send, listen, clock)

    def warm(self, wanted: dict[str, Any] | None) -> None:
        """Get ready for the function that is likely to come first."""
        self.slots.port = self._settings["port"]
        if wanted is not None:
            kind = Kind(wanted["account"], wanted["executable"], wanted["flavour"])
            self._pool(PoolKey(kind, wanted["closed"]))
            self._zygote(kind)

    def start(self, request: dict[str, Any]) -> Cell:
        """A sandbox for a function: a ready one, else a fork. Its descriptors are to be handed over. Raises Refused,
        and OSError when the code's directory is not there or the machine refuses."""
        key = self._key(request)
        if request["op"] == "template":
            if self.templates.full or self._cgroups.kind == "none":
                raise Refused("no further snapshot can be kept on this node")
            return self._give(self._fork(key, request), request)
        template = self.templates.named(request["template"])
        if template is not None and template.cell.key == key:
            cell = self.templates.take_spare(template, request["tmp_mb"])
            return self._give(cell or self._from_template(template, request["tmp_mb"]), request)
        return self._give(self._from_pool(key, request) or self._fork(key, request), request)

    def _give(self, cell: Cell, request: dict[str, Any]) -> Cell:
        """The sandbox is a function's from here on."""
        cell.id, cell.state = request["id"], "given"
        cell.memory_mb, cell.tmp_mb = request["memory_mb"], request["tmp_mb"]
        cell.ends.update(cell.slot.files)
        cell.slot.files = {}
        if cell.slot.listener is not None:
            cell.ends["listener"] = cell.slot.listener.detach()
            cell.slot.listener = None
        self.given[cell.id] = cell
        if self.watch is not None:
            self.watch.add(cell)
        self.unfinished = True
        return cell

    def limit(self, cell: Cell) -> None:
        """Set the limits of the function. The answer to the start is on its way by then: no code of the function's runs
        before the API process has it and has sent the init frame. A sandbox that cannot be limited ends."""
        try:
            cell.slot.group.limit_memory(cell.memory_mb, cell.tmp_mb)
            if self._cgroups.kind == "none" and cell.pid:
                most = cell.memory_mb * MIB
                resource.prlimit(cell.pid, resource.RLIMIT_DATA, (most, most))
        except OSError:
            cell.kill()

    def _key(self, request: dict[str, Any]) -> PoolKey:
        """Which pool could serve a request. Raises Refused when this node is full."""
        if len(self.given) >= self._most:
            raise Refused(f"all {self._most} environments of this node are in use")
        return PoolKey(Kind(request["account"], request["executable"], request["flavour"]), request["closed"])

    def stop(self, cell: Cell) -> None:
        """Kill it; the answer goes out once it is gone."""
        cell.stopping = True
        if cell.state == "dead":
            self._answer_stop(cell)
        else:
            cell.kill()

    def freeze(self, cell: Cell) -> None:
        """Without control groups only its first process can be stopped from outside."""
        if self._cgroups.kind != "none":
            cell.slot.group.freeze()
        elif cell.pidfd >= 0:
            signal.pidfd_send_signal(cell.pidfd, signal.SIGSTOP)

    def thaw(self, cell: Cell) -> None:
        """The other way."""
        if self._cgroups.kind != "none":
            cell.slot.group.thaw()
        elif cell.pidfd >= 0:
            signal.pidfd_send_signal(cell.pidfd, signal.SIGCONT)

    def ended(self, cell: Cell, status: int) -> None:
        """Its first process was reaped: take note of how it went, and give back what it occupied."""
        if cell.state == "dead":
            return
        group = cell.slot.group
        cell.status, cell.peak_bytes = status, group.peak_bytes()
        cell.out_of_memory = cell.out_of_memory or group.kills() > 0
        pool = self._pools.get(cell.key)
        if pool is not None and not cell.id:
            pool.discard(cell)
        if self.watch is not None:
            self.watch.remove(cell)
        if cell.settled >= 0:
            self._listen(cell.settled, None)
        self.templates.lost(cell)
        cell.state = "dead"
        cell.close()
        self.slots.give_back(cell.slot)
        self.unfinished = True
        if cell.stopping:
            self._answer_stop(cell)

    def seal(self, cell: Cell, name: str) -> None:
        """Turn a sandbox that was started as a template into one."""
        self.templates.seal(cell, name)

    def make_ahead(self) -> None:
        """One step towards full pools and stocks; `unfinished` says whether there is another."""
        for pool in list(self._pools.values()):
            zygote = self.zygotes.get(pool.key.kind)
            if pool.idle and len(self._pools) > 1:
                self._drop_pool(pool)
                return
            if pool.short and (zygote is None or zygote.ready):
                self._fill(pool)
                return
        template = self.templates.short()
        if template is not None:
            self._add_spare(template)
            return
        for zygote in self._retired[:]:
            if not zygote.cells:
                self._lose(zygote)
        closed = any(pool.key.closed for pool in self._pools.values())
        self.unfinished = self.slots.stock(nets=closed)

    def senders(self) -> list[wire.Sender]:
        """The lines to every zygote and template."""
        zygotes = [zygote.sender for zygote in [*self.zygotes.values(), *self._retired]]
        return zygotes + self.templates.senders()

    def kill_all(self) -> None:
        """The beginning of the end."""
        for zygote in [*self.zygotes.values(), *self._retired]:
            for cell in list(zygote.cells.values()):
                cell.stopping = True
                cell.kill()

    def close(self) -> None:
        """End the zygotes, and remove the groups with whatever may be left in them."""
        for zygote in [*self.zygotes.values(), *self._retired]:
            self._lose(zygote)
        self.slots.close()
        self._cgroups.close()
        self.trees.close()

    def _from_pool(self, key: PoolKey, request: dict[str, Any]) -> Cell | None:
        cell = self._pool(key).take()
        if cell is None:
            return None
        try:
            code, layers = self._open_trees(request)
            try:
                with self.trees.inside(cell.pidfd):
                    syscalls.move_mount(code, "/var/task")
                    if layers >= 0:
                        syscalls.move_mount(layers, "/opt")
                    if request["tmp_mb"] != SANDBOX_TMP_DEFAULT_MB:
                        resize_tmp(request["tmp_mb"])
            finally:
                wire.close_all([fd for fd in (code, layers) if fd >= 0])
            self.slots.at_port(cell.slot, request["port"])
        except OSError:
            cell.kill()
            raise
        cell.path = "pool"
        return cell

    def _fork(self, key: PoolKey, request: dict[str, Any]) -> Cell:
        zygote = self._zygote(key.kind)
        slot = self._slot(key, request["port"])
        cell = Cell(serial=self._next(), key=key, slot=slot, zygote=zygote, path="fork")
        given: list[tuple[str, int]] = []
        try:
            code, layers = self._open_trees(request)
            given.append(("code", code))
            if layers >= 0:
                given.append(("layers", layers))
            control = None
            if request["op"] == "template":
                control, theirs = line()
                given.append(("control", theirs))
            self._spawn(cell, request, given)
            if control is not None:
                self.templates.add(cell, control)
            self.slots.at_port(slot, request["port"])
        except OSError:
            wire.close_all([fd for _, fd in given])
            cell.close()
            self.slots.give_back(slot)
            raise
        return cell

    def _from_template(self, template: Template, tmp_mb: int) -> Cell:
        slot = self._slot(template.cell.key._replace(closed=False), 0)  # the network is the template's
        cell = Cell(serial=self._next(), key=template.cell.key, slot=slot, zygote=template.cell.zygote, path="snapshot")
        cell.pid, cell.tmp_mb = template.cell.pid, tmp_mb
        given: list[tuple[str, int]] = []
        try:
            self._connect(cell, given)
            self.templates.fork(template, cell, given, tmp_mb)
        except OSError:
            wire.close_all([fd for _, fd in given])
            cell.close()
            self.slots.give_back(slot)
            raise
        return cell

    def _add_spare(self, template: Template) -> None:
        try:
            template.spare = self._from_template(template, template.cell.tmp_mb)
            template.spare.state = "ready"
        except (OSError, Refused):
            template.wanted_at = 0.0  # the machine has no room for spares

    def _fill(self, pool: Pool) -> None:
        """Have one more ready sandbox made."""
        zygote = self._zygote(pool.key.kind)
        try:
            slot = self._slot(pool.key, self.slots.port)
        except (OSError, Refused):
            pool.size = 0  # the machine has no room for spares
            return
        cell = Cell(serial=self._next(), key=pool.key, slot=slot, zygote=zygote, path="pool")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        cell.settled = reader
        pool.coming.add(cell.serial)
        self._listen(reader, lambda: self._settled(pool, cell))
        self._spawn(cell, {"tmp_mb": SANDBOX_TMP_DEFAULT_MB, "memory_mb": 0}, [("settled", writer)])

    def _settled(self, pool: Pool, cell: Cell) -> None:
        """Only now has the fork a mount namespace of its own; before, code would be put into its zygote's."""
        if cell.settled < 0:
            return  # it ended in the same round of events
        alive = os.read(cell.settled, 1)
        self._listen(cell.settled, None)
        os.close(cell.settled)
        cell.settled = -1
        pool.coming.discard(cell.serial)
        if alive and cell.pidfd >= 0 and cell.state == "filling":
            pool.add(cell)
        else:
            cell.kill()

    def _spawn(self, cell: Cell, request: dict[str, Any], given: list[tuple[str, int]]) -> None:
        self._connect(cell, given)
        if cell.slot.net >= 0:
            given.append(("net", os.dup(cell.slot.net)))
        facts = {"tmp": tmp_options(request["tmp_mb"]), "data_bytes": -1}
        if self._cgroups.kind == "none" and request["memory_mb"]:
            facts["data_bytes"] = request["memory_mb"] * MIB
        cell.zygote.spawn(cell, facts, given)

    def _connect(self, cell: Cell, given: list[tuple[str, int]]) -> None:
        """Make the channel and the log pipe, and hand over the way into the control groups."""
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        cell.ends = {"channel": ours.detach(), "log": reader}
        given += [("channel", theirs.detach()), ("log", writer)]
        given += [("tasks", fd) for fd in cell.slot.tasks]
        cell.slot.tasks = []

    def _slot(self, key: PoolKey, port: int) -> Slot:
        slot = self.slots.take(net=key.closed, port=port)
        if slot is None:
            raise Refused("all user ids for environments are in use")
        return slot

    def _open_trees(self, request: dict[str, Any]) -> tuple[int, int]:
        code = self.trees.code(request["code"])
        try:
            return code, self.trees.layers(request["layers"]) if request["layers"] else -1
        except OSError:
            os.close(code)
            raise

    def _zygote(self, kind: Kind) -> Zygote:
        zygote = self.zygotes.get(kind)
        if zygote is not None and zygote.worn:
            self._retire(zygote)
            zygote = None
        if zygote is None:
            if len(self.zygotes) >= SANDBOX_ZYGOTES_MAX:
                self._retire(next(iter(self.zygotes.values())))
            plan = {**self._plan, "preimport": self._settings["preimport"][kind.flavour]}
            zygote = self.zygotes[kind] = Zygote(kind, plan, self._settings["library"], self._clock)
            known = zygote
            self._listen(zygote.channel, lambda: self._from_zygote(known))
        else:
            self.zygotes[kind] = self.zygotes.pop(kind)  # the least recently used comes first
        return zygote

    def _from_zygote(self, zygote: Zygote) -> None:
        zygote.sender.flush()
        for _ in range(64):
            try:
                packet = wire.receive(zygote.channel)
            except BlockingIOError:
                return
            if packet is None:
                self._lose(zygote)
                return
            self._heard(zygote, *packet)

    def _heard(self, zygote: Zygote, message: dict[str, Any], fds: list[int]) -> None:
        operation = message["op"]
        if operation == "ready":
            zygote.ready = self.unfinished = True
            zygote.refused = message["refused"]
            return
        cell = zygote.cells.get(message["id"])
        if cell is None:
            wire.close_all(fds)
        elif operation == "born":
            cell.pidfd = fds[0]
            cell.pid = _pid_of(cell.pidfd)
            if cell.state == "dying":
                cell.kill()
        else:
            del zygote.cells[cell.serial]
            self.ended(cell, message.get("status", _NOT_BORN))

    def _retire(self, zygote: Zygote) -> None:
        """No further forks; it ends when its last sandbox has."""
        del self.zygotes[zygote.kind]
        self._retired.append(zygote)
        for pool in list(self._pools.values()):
            if pool.key.kind == zygote.kind:
                for cell in pool.drain():
                    cell.kill()

    def _lose(self, zygote: Zygote) -> None:
        """It is gone, or is to go, and every sandbox that it forked with it."""
        self._listen(zygote.channel, None)
        zygote.end()
        if self.zygotes.get(zygote.kind) is zygote:
            del self.zygotes[zygote.kind]
        if zygote in self._retired:
            self._retired.remove(zygote)
        for cell in list(zygote.cells.values()):
            cell.kill()
            self.ended(cell, signal.SIGKILL)
        zygote.cells.clear()

    def _pool(self, key: PoolKey) -> Pool:
        pool = self._pools.get(key)
        if pool is None:
            if len(self._pools) >= SANDBOX_POOLS_MAX:
                self._drop_pool(next(iter(self._pools.values())))
            pool = self._pools[key] = Pool(key, self._settings["pool_size"], self._clock)
        else:
            self._pools[key] = self._pools.pop(key)
        return pool

    def _drop_pool(self, pool: Pool) -> None:
        del self._pools[pool.key]
        for cell in pool.drain():
            cell.kill()

    def _answer_stop(self, cell: Cell) -> None:
        self.given.pop(cell.id, None)
        if cell.id:
            facts = {"status": cell.status, "out_of_memory": cell.out_of_memory, "peak_bytes": cell.peak_bytes}
            self._send({"op": "stopped", "id": cell.id, **facts})

    def _next(self) -> str:
        self._serial += 1
        return str(self._serial)


def slots_max(settings: dict[str, Any]) -> int:
    """How many sandboxes may exist at once, those that wait in pools and templates included."""
    pooled = SANDBOX_POOLS_MAX * int(settings["pool_size"])
    return int(settings["environments_max"]) + pooled + SANDBOX_TEMPLATES_MAX


def _pid_of(pidfd: int) -> int:
    """The process's number in our own pid namespace; 0 when it is gone. The zygote's number for it may be another."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as facts:  # noqa: PTH123 - a hot path
        for line in facts:
            if line.startswith("Pid:"):
                return max(0, int(line[4:]))
    return 0
