"""A zygote: a fresh interpreter that builds its jail once, imports what every function needs, and forks sandboxes.

One per account, interpreter and set of imports. Started by sandboxd as a new program, never as a fork of anything that
holds keys, and single-threaded for life, so that fork, unshare and the `tasks` files of cgroup v1 behave. Runs in every
interpreter that functions may use (3.9 and later), standard library only.

From sandboxd: {"op": "plan", ...} once, then {"op": "spawn", "id", "uid", "tmp_mb", "with": [names of the descriptors]}.
To sandboxd: {"op": "ready", "refused": {module: why}}, {"op": "born", "id"} with a pidfd, and
{"op": "died", "id", "status", "peak_kb"}.
"""

# ruff: noqa: PTH123  # pathlib would cost the memory of every function

from __future__ import annotations

import binascii
import contextlib
import gc
import importlib
import importlib.util
import json
import marshal
import os
import resource
import select
import signal
import socket
import sys
import types
from typing import Any

from . import jail, seccomp, snapshot, syscalls, wire

INSIDE_UID = 993  # what Lambda's own sandbox user is called
NOFILE = 1024
PROCESSES = 1024
REQUEST_MAX_BYTES = 4096
BOOT = "/var/runtime/boot/python.py"
HOSTNAME = "haneul"
MODELS_READ = ("s3", "dynamodb", "sqs", "sns", "lambda")  # the services that functions call most

_REHEARSED = "_rehearsal"
_REHEARSAL = "def handler(event, context):\n    return event\n"
_PRIVATE = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
_QUIET = syscalls.MS_NOSUID | syscalls.MS_NODEV
_MACHINE = "aarch64" if syscalls.MACHINE == "arm64" else syscalls.MACHINE


class Zygote:
    """What a zygote knows: its line to sandboxd, what to run in a child, and the children that live."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.boot: Any = None
        self.rootless = False
        self.own_uids = True
        self.filter = b""
        self.children: dict[int, str] = {}
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def prepare(self, plan: dict[str, Any]) -> None:
        """Jail, limits, imports; then say ready."""
        self.rootless = plan["rootless"]
        self.own_uids = plan["own_uids"]
        self.filter = seccomp.compile_filter(_MACHINE)
        with open(plan["boot"], "rb") as stream:
            source = stream.read()
        prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
        binds, hidden = jail.interpreter_binds(sys.executable, prefixes)
        binds += tuple((source, target) for source, target, oldest in plan["binds"] if sys.version_info[1] >= oldest)
        syscalls.unshare(_PRIVATE)
        socket.sethostname(HOSTNAME)
        users = (INSIDE_UID, *range(*plan["uids"]))
        jail.enter(jail.Plan(plan["root"], binds, hidden, users, proc=self.rootless))
        syscalls.drop_bounding_set()
        _limits()
        refused = _imports(plan)
        self.boot = types.ModuleType("bootstrap")
        self.boot.__file__ = BOOT
        sys.modules["bootstrap"] = self.boot
        exec(compile(source, BOOT, "exec"), self.boot.__dict__)
        _rehearse(self.boot)
        for name in [name for name in sys.modules if name == "haneul" or name.startswith("haneul.")]:
            del sys.modules[name]  # a function may bring a package of that name
        gc.collect()
        gc.freeze()
        wire.send(self.channel, {"op": "ready", "refused": refused})

    def serve(self) -> None:
        """Fork on request, report deaths, until sandboxd is gone."""
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                self._bury()
            if self.channel.fileno() in ready:
                packet = wire.receive(self.channel, REQUEST_MAX_BYTES)
                if packet is None:
                    return
                self._spawn(*packet)

    def _spawn(self, request: dict[str, Any], fds: list[int]) -> None:
        syscalls.unshare(syscalls.CLONE_NEWPID)  # concerns children only
        try:
            pid = os.fork()
            if pid == 0:
                self._child(request, fds)
        except OSError as error:
            wire.send(self.channel, {"op": "unborn", "id": request["id"], "reason": str(error)})
            return
        finally:
            syscalls.setns(self.own_pids, syscalls.CLONE_NEWPID)  # a second unshare fails with EINVAL otherwise
            wire.close_all(fds)
        self.children[pid] = request["id"]
        watch = os.pidfd_open(pid)
        wire.send(self.channel, {"op": "born", "id": request["id"]}, (watch,))
        os.close(watch)

    def _bury(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.children.pop(pid, "")
            wire.send(self.channel, {"op": "died", "id": name, "status": status, "peak_kb": usage.ru_maxrss})

    def _child(self, request: dict[str, Any], fds: list[int]) -> None:
        """Everything from here on happens in the new process; it never returns."""
        try:
            template = "control" in request["with"]
            named: dict[str, list[int]] = {}
            for name, fd in zip(request["with"], fds):  # noqa: B905 - 3.9 has no strict
                named.setdefault(name, []).append(fd)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(named["log"][0], 2)
            os.dup2(2, 1)
            self._settle(request, named, template=template)
            if template:
                os.dup2(os.dup(named["control"][0]), snapshot.CONTROL)
            os.dup2(named["channel"][0], 3)
            settled = named.get("settled", ())
            if settled:
                _rehearse(
                    self.boot
                )  # touch what a function will touch, while nobody waits: the pages are shared until then
                os.write(settled[0], b"1")
            os.closerange(5 if template else 4, NOFILE)
            if template:
                syscalls.install_filter(seccomp.compile_filter(_MACHINE, template=True))
                snapshot.serve(self.boot, self.filter)
            syscalls.install_filter(self.filter)
            self.boot.serve(3)
            os._exit(0)
        except SystemExit as leave:
            os._exit(leave.code if isinstance(leave.code, int) else 1)
        except BaseException as error:
            os.write(2, f"haneul: the sandbox could not be set up: {error!r}\n".encode())
            os._exit(70)

    def _settle(self, request: dict[str, Any], named: dict[str, list[int]], *, template: bool) -> None:
        """From a privileged fork to an unprivileged process in namespaces, limits and a file tree of its own."""
        for tasks in named.get("tasks", ()):
            os.write(tasks, b"0")  # the writer itself; moving by pid would wait for an RCU grace period
        syscalls.unshare(_PRIVATE)
        for net in named.get("net", ()):
            syscalls.setns(net, syscalls.CLONE_NEWNET)
        for place, tree in (("/var/task", "code"), ("/opt", "layers")):
            for fd in named.get(tree, ()):
                syscalls.move_mount(fd, place)
        syscalls.mount("tmpfs", "/tmp", "tmpfs", _QUIET, request["tmp"])
        syscalls.mount("proc", "/proc", "proc", _QUIET | syscalls.MS_NOEXEC)
        if self.own_uids:
            user = request["uid"]
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        if template or not self.own_uids:
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # else the maps below belong to root
            syscalls.enter_user_namespace(INSIDE_UID)
            syscalls.drop_bounding_set()
            syscalls.keep_capabilities(1 << syscalls.CAP_SYS_ADMIN if template else 0)
        _limit(resource.RLIMIT_DATA, request["data_bytes"])
        _limit(resource.RLIMIT_NPROC, PROCESSES)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # this and the next are reset by the change of user
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        os.umask(0o022)
        os.chdir("/var/task")


def _rehearse(boot: Any) -> None:
    """Go once through a function's start and a run, and leave no trace: what is slow the first time then is not."""
    finders, path = sys.meta_path[:], sys.path[:]
    ours, theirs = socket.socketpair()
    with ours:
        code = binascii.b2a_base64(marshal.dumps(compile(_REHEARSAL, BOOT, "exec")), newline=False).decode()
        magic = importlib.util.MAGIC_NUMBER.hex()
        init = {"handler": f"{_REHEARSED}.handler", "environment": {"A": "b"}, "magic": magic}
        init["files"] = {_REHEARSED: [BOOT, code]}
        meta = json.dumps({"request_id": "", "deadline_ms": 0, "trace_header": "", "context": {}}).encode()
        body = len(meta).to_bytes(4, "big") + meta + b"{}"
        for kind, content in ((b"I", json.dumps(init).encode()), (b"E", body)):
            ours.sendall((len(content) + 1).to_bytes(4, "big") + kind + content)
        ours.shutdown(socket.SHUT_WR)
        with theirs:
            boot.run(boot.load(boot.Channel(theirs.fileno())))
    sys.meta_path[:], sys.path[:] = finders, path
    sys.modules.pop(_REHEARSED, None)
    os.environ.clear()
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger().handlers.clear()


def _limits() -> None:
    _limit(resource.RLIMIT_NOFILE, NOFILE)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_MEMLOCK, 64 * 1024)
    _limit(resource.RLIMIT_MSGQUEUE, 819_200)
    _limit(resource.RLIMIT_SIGPENDING, 4096)


def _limit(what: int, most: int) -> None:
    if most >= 0:
        resource.setrlimit(what, (most, most))


def _imports(plan: dict[str, Any]) -> dict[str, str]:
    """Set the module path as on Lambda and import what the plan names; what cannot be imported, and why."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    own = [path for path in sys.path if path != plan["library"]]
    sys.path[:] = ["/var/task", "/opt/python", f"/opt/python/lib/{version}/site-packages", "/var/runtime", *own]
    sys.dont_write_bytecode = True
    refused = {}
    for name in plan["preimport"]:
        try:
            importlib.import_module(name)
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"
    if "boto3" in sys.modules:
        try:
            _read_models(sys.modules["boto3"])
        except Exception as error:
            refused["service models"] = f"{type(error).__name__}: {error}"
    sys.path_importer_cache.clear()  # /var/task and /opt were empty here, and will not be in a sandbox
    return refused


def _read_models(boto3: Any) -> None:
    """Have boto3's default session read what boto3.client() would read in every function anew: 80 ms for S3's client.

    Only files are read: region, credentials and settings are looked up by each function, in its own environment.
    """
    boto3.setup_default_session()
    loader = boto3.DEFAULT_SESSION._session.get_component("data_loader")
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    for service in MODELS_READ:
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model(service, kind, api_version=None)


def main() -> int:
    """Entry point; descriptor 3 is the line to sandboxd."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[2]):
        return 1  # sandboxd died before the line above
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, 3)
    os.set_inheritable(3, False)
    packet = wire.receive(channel)
    if packet is None:
        return 0
    zygote = Zygote(channel)
    zygote.prepare(packet[0])
    zygote.serve()
    return 0
