"""A snapshot's template, from inside: the function's own process with its handler imported, forked for each environment.

The template runs user code, so it never holds a privilege of the host: its only capability is CAP_SYS_ADMIN of a user
namespace that maps one id, and its filter lets it use that for two things, a mount namespace of its own for each fork and
attaching the /tmp that sandboxd hands over. A fork gives both up before it serves. All forks of one template are one
trust domain (same function, same code): they share a user id, pid, ipc and network namespace, and the layout of memory.

Runs in Python 3.9 and later, standard library only. From sandboxd, on descriptor 4: {"op": "seal"}, {"op": "fork", "id",
"with": [names]}. To sandboxd: {"op": "sealed", "reason"}, {"op": "died", "id", "status"}; it believes none of it further
than this function's own fate.
"""

# ruff: noqa: PTH208, PTH115  # pathlib would cost the memory of every function

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from typing import Any

from . import syscalls, wire

CHANNEL, CONTROL = 3, 4
_KEPT_FDS = 5
_REQUEST_MAX_BYTES = 4096


def serve(boot: Any, plain_filter: bytes) -> None:
    """Import the handler, then fork on request until sandboxd is gone."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, CONTROL)
    os.set_inheritable(CONTROL, False)
    runtime = boot.load(boot.Channel(CHANNEL))
    if runtime is None:
        os._exit(1)
    Template(boot, runtime, control, plain_filter).run()


class Template:
    """The loop of a template."""

    def __init__(self, boot: Any, runtime: Any, control: socket.socket, plain_filter: bytes) -> None:
        self._boot = boot
        self._runtime = runtime
        self._control = control
        self._filter = plain_filter
        self._children: dict[int, str] = {}

    def run(self) -> None:
        """Seal and fork when told to; tell of children that ended."""
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(woken, select.POLLIN)
        reason = _unfit() or _hooks_before()
        gc.collect()
        gc.freeze()  # a collection in a fork must not write to, and so copy, every page with an object on it
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        previous = signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready = dict(poll.poll())
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                self._bury()
            if CONTROL not in ready:
                continue
            packet = wire.receive(self._control, _REQUEST_MAX_BYTES)
            if packet is None:
                os._exit(0)
            request, fds = packet
            if request["op"] == "seal":
                wire.send(self._control, {"op": "sealed", "reason": reason})
                continue
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, previous)
                self._become(request, fds)
            wire.close_all(fds)
            self._children[pid] = request["id"]

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._children.pop(pid, "")
            if name:
                wire.send(self._control, {"op": "died", "id": name, "status": status})

    def _become(self, request: dict[str, Any], fds: list[int]) -> None:
        """In the fork: an environment of its own; never returns."""
        try:
            named: dict[str, list[int]] = {}
            for name, fd in zip(request["with"], fds):  # noqa: B905 - 3.9 has no strict
                named.setdefault(name, []).append(fd)
            for tasks in named.get("tasks", ()):
                os.write(tasks, b"0")
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.move_mount(named["tmp"][0], "/tmp")
            syscalls.keep_capabilities(0)
            syscalls.install_filter(self._filter)
            os.dup2(named["log"][0], 1)
            os.dup2(named["log"][0], 2)
            os.dup2(named["channel"][0], CHANNEL)
            self._control.detach()
            os.close(CONTROL)
            wire.close_all(fds)
            self._runtime.channel = self._boot.Channel(CHANNEL)
            _make_unique()
            _hooks_after()
            self._boot.run(self._runtime)
            self._boot.leave(0)
        except SystemExit as leave:
            os._exit(leave.code if isinstance(leave.code, int) else 1)
        except BaseException as error:
            os.write(2, f"haneul: the snapshot could not be restored: {error!r}\n".encode())
            os._exit(70)


def _unfit() -> str:
    """Why this process cannot be forked faithfully, now that the handler is imported; "" when it can."""
    tasks = len(os.listdir("/proc/self/task"))
    if tasks > 1:
        return f"importing the handler started {tasks - 1} thread(s), which a fork would not have"
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if int(name) >= _KEPT_FDS and target.startswith(("socket:", "anon_inode:")):
            return f"importing the handler left a connection or event loop open ({target})"
    with open("/proc/self/task/" + os.listdir("/proc/self/task")[0] + "/children", "rb") as children:  # noqa: PTH123
        if children.read().strip():
            return "importing the handler left a process running"
    return ""


def _make_unique() -> None:
    """What a fork does not renew by itself. random, uuid, secrets, ssl and tempfile notice forks; numpy does not."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed()


def _hooks_before() -> str:
    """Run the hooks that the function registered with the official library, in reverse order; why not, if one fails."""
    library = sys.modules.get("snapshot_restore_py")
    try:
        hooks = library.get_before_snapshot() if library is not None else []
        while hooks:
            function, arguments, named = hooks.pop()
            function(*arguments, **named)
    except Exception as error:
        return f"a hook before the snapshot failed: {type(error).__name__}: {error}"
    return ""


def _hooks_after() -> None:
    library = sys.modules.get("snapshot_restore_py")
    for function, arguments, named in library.get_after_restore() if library is not None else ():
        function(*arguments, **named)
