"""Tier "process": each environment is an ordinary process group. Time limits hold; nothing else is kept apart.

For machines that offer nothing better, and for code that one trusts. Works wherever CPython does.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import Unavailable
from haneul.base.log import Log

from . import boot
from .api import Capabilities, Instance, LogSink, Outcome, Spec
from .channel import Ended, LiveInstance
from .interpreters import Interpreters, can_import_provided, link_provided_packages

BOOT_DIR = str(Path(boot.__file__).parent)
# Imported rather than run as a script, so that its compiled form is kept; and it leaves no trace for user code to trip over.
_LAUNCH = (
    f"import sys;sys.path.insert(0,{BOOT_DIR!r});import python;del sys.path[0],sys.modules['python'];python.serve(3)"
)

Command = Callable[[Spec, str, Path], list[str]]
"""(spec, interpreter's path, the environment's /tmp) -> what to run so that boot/python.py serves on descriptor 3."""


class ProcessSandbox:
    """api.Sandbox without isolation. command: another tier's way to start the loop within further restrictions."""

    def __init__(
        self,
        env: Env,
        log: Log,
        directory: Path,
        interpreters: Interpreters,
        *,
        capabilities: Capabilities | None = None,
        environments_max: int = 200,
        pool_size: int = 0,
        command: Command | None = None,
    ) -> None:
        self.capabilities = capabilities or Capabilities(tier="process")
        self._env = env
        self._log = log
        self._directory = directory
        self._interpreters = interpreters
        self._environments_max = environments_max
        self._pool_size = 0 if command is not None else pool_size
        self._command = command
        self._live: dict[str, LiveInstance] = {}
        self._starting = 0
        self._pool: dict[str, list[_Child]] = {}
        self._filling: set[str] = set()
        self._closed = False

    async def open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        link_provided_packages(self._directory / "runtime")
        self.capabilities = _with_runtimes(self.capabilities, self._interpreters.found)

    async def start(self, spec: Spec, on_log: LogSink) -> Instance | Outcome:
        requested = self._env.monotonic()
        self._forget_dead()
        if self._closed:
            raise Unavailable("sandbox", "", "it is closed")
        if len(self._live) + self._starting >= self._environments_max:
            raise Unavailable("sandbox", "", f"{self._environments_max} environments exist, which is the limit here")
        self._starting += 1
        try:
            executable = await self._interpreters.executable(spec.interpreter)
            child, start_path = self._child(spec, executable)
            instance = LiveInstance(
                id=spec.id,
                start_path=start_path,
                env=self._env,
                channel=child.channel,
                log_fd=child.log_fd,
                on_log=on_log,
                processes=child,
                requested=requested,
            )
            self._live[spec.id] = instance
        finally:
            self._starting -= 1
        self._fill(spec.interpreter, executable)
        failed = await instance.start(self._init_frame(spec, child.tmp), spec.init_timeout_s)
        return instance if failed is None else failed

    async def prepare(self, spec: Spec) -> str:
        return "the process tier has no snapshots"

    async def forget(self, snapshot: str) -> None:
        return

    async def close(self) -> None:
        self._closed = True
        pooled = [child for children in self._pool.values() for child in children]
        self._pool.clear()
        await asyncio.gather(
            *(instance.stop() for instance in self._live.values()), *(child.discard() for child in pooled)
        )
        self._live.clear()
        shutil.rmtree(self._directory / "runtime", ignore_errors=True)

    def _child(self, spec: Spec, executable: str) -> tuple["_Child", str]:
        pooled = self._pool.get(spec.interpreter, [])
        while pooled:
            child = pooled.pop()
            if child.runs():
                return child, "pool"
            self._env.spawn(child.discard(), name="discard pooled process")
        tmp = self._make_tmp(spec.id)
        command = [executable, "-I", "-S", "-c", _LAUNCH]
        if self._command is not None:
            command = self._command(spec, executable, tmp)
        return _Child(self._env, command, tmp), "exec"

    def _make_tmp(self, name: str) -> Path:
        tmp = self._directory / "tmp" / name
        tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
        return tmp

    def _fill(self, interpreter: str, executable: str) -> None:
        """Have processes of this interpreter wait for the next start."""
        if self._pool_size and interpreter not in self._filling:
            self._filling.add(interpreter)
            self._env.call_later(limits.POOL_FILL_DELAY_S, lambda: self._fill_now(interpreter, executable))

    def _fill_now(self, interpreter: str, executable: str) -> None:
        self._filling.discard(interpreter)
        pooled = self._pool.setdefault(interpreter, [])
        while not self._closed and len(pooled) < self._pool_size:
            tmp = self._make_tmp(f"pool-{self._env.token(8).hex()}")
            pooled.append(_Child(self._env, [executable, "-I", "-S", "-c", _LAUNCH], tmp))

    def _init_frame(self, spec: Spec, tmp: Path) -> bytes:
        code = str(spec.code_dir)
        provided = "runtime" if can_import_provided(spec.interpreter) else "no-runtime"
        return json.dumps(
            {
                "handler": spec.handler,
                "environment": {**spec.environment, "TMPDIR": str(tmp), "LAMBDA_TASK_ROOT": code},
                "code_root": code,
                "layer_roots": [str(layer) for layer in spec.layer_dirs],
                "runtime_root": str(self._directory / provided),
            }
        ).encode()

    def _forget_dead(self) -> None:
        for id in [id for id, instance in self._live.items() if not instance.alive]:
            del self._live[id]


def _with_runtimes(capabilities: Capabilities, found: dict[str, str]) -> Capabilities:
    fields = {name: getattr(capabilities, name) for name in Capabilities.__struct_fields__}
    return Capabilities(**{**fields, "runtimes": dict(found)})


class _Child:
    """A process group of its own, which waits for its init frame on descriptor 3."""

    def __init__(self, env: Env, command: list[str], tmp: Path) -> None:
        self._env = env
        self.tmp = tmp
        self.channel, theirs = socket.socketpair()
        self.log_fd, log_end = os.pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log_end, 1),
            (os.POSIX_SPAWN_DUP2, log_end, 2),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        try:
            # posix_spawn shares our memory with the child until it execs: a fork would copy our page tables.
            self.pid = os.posix_spawn(command[0], command, {"PATH": os.defpath}, file_actions=actions, setpgroup=0)
        except OSError as error:
            self.channel.close()
            os.close(self.log_fd)
            raise Unavailable("sandbox", "", f"no process could be started: {error}") from error
        finally:
            theirs.close()
            os.close(log_end)

        try:
            self._status_fd = os.open(f"/proc/{self.pid}/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._status_fd = -1  # not Linux, or already gone

    def runs(self) -> bool:
        """Whether it has not ended by itself."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def peak_memory_mb(self) -> int:
        if self._status_fd < 0:
            return 0
        try:
            peak_kb = os.pread(self._status_fd, 4096, 0).partition(b"VmHWM:")[2].split(maxsplit=1)[0]
        except (OSError, IndexError):
            return 0
        return -(-int(peak_kb) // 1024)

    async def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def end(self) -> Ended:
        self._signal(signal.SIGKILL)
        _, status, usage = await asyncio.get_running_loop().run_in_executor(None, os.wait4, self.pid, 0)
        if self._status_fd >= 0:
            os.close(self._status_fd)
            self._status_fd = -1
        await asyncio.get_running_loop().run_in_executor(None, _remove, self.tmp)
        peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Ended(reason=reason_of(status), peak_memory_mb=-(-peak_bytes // limits.MIB))

    async def discard(self) -> None:
        """End it when it never became an environment."""
        self.channel.close()
        os.close(self.log_fd)
        await self.end()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # it has ended; macOS says PermissionError of a group of zombies


def reason_of(status: int) -> str:
    """How a process ended, in the words that Lambda uses: "exit status 1" or "signal: killed"."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"signal: {signal.strsignal(number) or number}".lower()
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
