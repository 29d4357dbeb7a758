"""sandboxd: the process that owns zygotes, namespaces, control groups and mounts. One thread, one packet at a time.

A fresh interpreter (`-I -S`), so it holds no keys, no engines and little memory. It trusts the API process at the other
end of descriptor 3 and nothing else; what comes from a zygote is believed only about that zygote's own children. It ends,
with everything that it made, when that descriptor closes, on SIGTERM, and when its parent dies.

Packets from the API process            answers
  open      settings                    opened    {error, cgroups, snapshots}
  start     a sandbox's facts           started   {path, with: names} + descriptors  |  refused {full, reason}
  template  the same, for one that is to be forked; then
  seal      under a name                sealed    {reason}
  limit     apply the CPU quota
  freeze, thaw
  stop                                  stopped   {status, out_of_memory, peak_bytes}
"""

import contextlib
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haneul.base.limits import SANDBOX_REFILL_DELAY_S, SANDBOX_STOP_S, SANDBOX_UID_FIRST

from . import cgroups, syscalls, wire
from .cells import Cells, Refused, slots_max
from .pool import Cell
from .watch import Watch

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE
_LONG_S = 30.0
_SOON_S = 0.02
_ASKED = {"stop": "stopped", "seal": "sealed"}
_GONE = {"status": signal.SIGKILL, "out_of_memory": False, "peak_bytes": 0, "reason": "its process ended"}


class Daemon:
    """The event loop and the table of packets."""

    def __init__(self, channel: socket.socket) -> None:
        self._api = wire.Sender(channel)
        self._selector = selectors.DefaultSelector()
        self._acts: dict[int, Callable[[], object]] = {}
        self._woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._listen(channel, self._from_api)
        self._listen(self._woken, lambda: os.read(self._woken, 4096))
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._writers: dict[socket.socket, wire.Sender] = {}
        self._asked_at = 0.0
        self._cells: Cells | None = None
        self._watch: Watch | None = None
        self._ending = False

    def run(self) -> None:
        """Serve until the API process is gone or a signal says to end, then take everything down."""
        try:
            while not self._ending:
                self._turn(self._pause())
                self._between()
        finally:
            self._close()

    def end(self) -> None:
        """Leave the loop."""
        self._ending = True

    def _turn(self, wait_s: float | None, *, ignored: socket.socket | None = None) -> None:
        """Wait for what is readable and act on it. An act of the same turn may have ended what another is about."""
        for key, _ in self._selector.select(wait_s):
            act = self._acts.get(key.fd)
            if act is not None and act is key.data and key.fileobj is not ignored:
                act()

    def _pause(self) -> float | None:
        if self._cells is None:
            return None
        wait = self._watch.pause if self._watch is not None else _LONG_S
        if self._cells.templates.dying:
            wait = min(wait, _SOON_S)
        if self._cells.unfinished:
            wait = min(wait, max(0.0, self._asked_at + SANDBOX_REFILL_DELAY_S - time.monotonic()))
        return wait

    def _between(self) -> None:
        """What has time: watch memory, then make one thing ahead of need, unless starts are coming in just now."""
        if self._cells is None or self._watch is None:
            return
        self._watch.look()
        self._cells.templates.sweep()
        if self._cells.unfinished and time.monotonic() >= self._asked_at + SANDBOX_REFILL_DELAY_S:
            self._cells.make_ahead()
        for sender in [*self._cells.senders(), self._api]:
            if sender.waiting and sender.channel not in self._writers:
                self._writers[sender.channel] = sender
                self._selector.modify(sender.channel, _READ | _WRITE, self._selector.get_key(sender.channel).data)

    def _flush(self) -> None:
        for channel, sender in list(self._writers.items()):
            sender.flush()
            if not sender.waiting:
                del self._writers[channel]
                if channel.fileno() >= 0:
                    self._selector.modify(channel, _READ, self._selector.get_key(channel).data)

    def _from_api(self) -> None:
        self._flush()
        for _ in range(64):  # as many as come in one go; then the zygotes have their turn
            try:
                packet = wire.receive(self._api.channel)
            except BlockingIOError:
                return
            if packet is None:
                self._ending = True
                return
            message, fds = packet
            wire.close_all(fds)
            self._handle(message)

    def _handle(self, message: dict[str, Any]) -> None:
        operation = message["op"]
        if operation == "open":
            self._open(message)
            return
        assert self._cells is not None
        if operation in ("start", "template"):
            self._start(message)
        elif (cell := self._cells.given.get(message["id"])) is not None:
            self._touch(cell, message)
        elif operation in _ASKED:
            self._api.send({"op": _ASKED[operation], "id": message["id"], **_GONE})

    def _touch(self, cell: Cell, message: dict[str, Any]) -> None:
        assert self._cells is not None
        operation = message["op"]
        if operation == "stop":
            self._cells.stop(cell)
            return
        if operation == "seal":
            self._cells.seal(cell, message["name"])
            return
        with contextlib.suppress(OSError):  # it may have ended meanwhile, which its channel tells
            if operation == "limit":
                cell.slot.group.limit_cpu(cell.memory_mb)
            elif operation == "freeze":
                self._cells.freeze(cell)
            elif operation == "thaw":
                self._cells.thaw(cell)

    def _start(self, message: dict[str, Any]) -> None:
        assert self._cells is not None
        self._asked_at = time.monotonic()
        try:
            cell = self._cells.start(message)
        except (Refused, OSError) as error:
            full = isinstance(error, Refused)
            self._api.send({"op": "refused", "id": message["id"], "full": full, "reason": str(error)})
            return
        names, fds = cell.hand_over()
        self._api.send({"op": "started", "id": cell.id, "path": cell.path, "with": names}, fds)
        self._cells.limit(cell)

    def _open(self, settings: dict[str, Any]) -> None:
        """Become what the settings say. An error is answered; the API process then takes a weaker tier."""
        rootless = settings["rootless"]
        directory = Path(settings["directory"])
        error = syscalls.missing(rootless=rootless)
        kind = "none"
        if not error:
            try:
                directory.mkdir(parents=True, exist_ok=True)
                groups = cgroups.open_cgroups(directory, f"haneul-{os.getpid()}")
                kind = groups.kind
                settings["own_uids"] = os.geteuid() == 0
                if rootless:
                    _enter(settings)
                    self._keep_pids()
                syscalls.unshare(syscalls.CLONE_NEWNS)
                syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
                self._cells = Cells(settings, groups, self._listen, self._api.send, time.monotonic)
                self._watch = self._cells.watch = Watch(time.monotonic)
            except OSError as failure:
                error = str(failure)
        answer = {"op": "opened", "error": error, "cgroups": kind, "snapshots": not error and kind != "none"}
        self._api.send(answer)
        if not error and self._cells is not None:
            self._cells.warm(settings.get("warm"))

    def _keep_pids(self) -> None:
        """Have all children live in a pid namespace of ours, held open by a first process that only waits.

        A zygote comes back to its own pid namespace after each fork, and an ordinary user's process may only enter
        namespaces that its own user namespace owns.
        """
        syscalls.unshare(syscalls.CLONE_NEWPID)
        if os.fork() == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans that end are collected by the kernel
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            while True:
                signal.pause()

    def _listen(self, source: socket.socket | int, act: Callable[[], object] | None) -> None:
        """Call act when source is readable; None: no longer."""
        if act is None:
            if isinstance(source, socket.socket):
                self._writers.pop(source, None)
            del self._acts[self._selector.unregister(source).fd]
        else:
            self._acts[self._selector.register(source, _READ, act).fd] = act

    def _close(self) -> None:
        if self._cells is not None:
            until = time.monotonic() + SANDBOX_STOP_S
            self._cells.kill_all()
            while self._cells.given and time.monotonic() < until:
                self._turn(0.2, ignored=self._api.channel)
            self._cells.close()


def _enter(settings: dict[str, Any]) -> None:
    """Be root of a user namespace. Root itself must map further ids: a function that runs as the host's root, without
    any capability but with its user id, may still write what belongs to root, such as /proc/sys/kernel/core_pattern.
    """
    if settings["own_uids"]:
        syscalls.enter_root_namespace(SANDBOX_UID_FIRST, slots_max(settings))
    else:
        syscalls.enter_user_namespace(0)


def main() -> int:
    """Entry point; descriptor 3 is the line to the API process, argument 2 its process id."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[2]):
        return 1  # it died before the line above
    # What the API process itself was given by whoever started it may have come along.
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    with contextlib.suppress(OSError, ValueError):
        _raise_descriptor_limit()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, 3)
    os.set_inheritable(3, False)
    channel.setblocking(False)
    daemon = Daemon(channel)
    signal.signal(signal.SIGTERM, lambda *_: daemon.end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches us too; the API process decides
    daemon.run()
    return 0


def _raise_descriptor_limit() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
