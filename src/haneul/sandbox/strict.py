"""The tiers strict and userns: environments made by sandboxd, in namespaces, limits and a file tree of their own."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from haneul.base.env import Env
from haneul.base.errors import Invalid, Unavailable
from haneul.base.limits import MIB, SANDBOX_BASELINE_MB, SANDBOX_STOP_S
from haneul.base.log import Log

from .api import Capabilities, Instance, LogSink, Outcome, Spec
from .channel import Ended, LiveInstance
from .interpreters import Interpreters
from .line import LIBRARY, Answer, Line
from .packages import PREIMPORT, Code, Packages
from .process import reason_of
from .proxy import EndpointProxy

_BOOT = os.fspath(Path(__file__).with_name("boot") / "python.py")
_NOT_STARTED = Ended(reason="signal: killed")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What sandboxd is to become. closed: whether the first functions are expected to have no egress."""

    directory: Path
    rootless: bool
    environments_max: int
    pool_size: int
    port: int
    account: str
    closed: bool


class IsolatedSandbox:
    """api.Sandbox through sandboxd. One thread's event loop owns it, from open to close."""

    def __init__(
        self,
        settings: Settings,
        capabilities: Capabilities,
        interpreters: Interpreters,
        packages: Packages,
        env: Env,
        log: Log,
    ) -> None:
        self.capabilities = capabilities
        self._settings = settings
        self._interpreters = interpreters
        self._packages = packages
        self._env = env
        self._log = log
        self._line = Line(env)
        self._opening: asyncio.Task[str] | None = None
        self._live: dict[str, LiveInstance] = {}
        self._starting: set[str] = set()
        self._closed = False
        self._templates: dict[str, LiveInstance] = {}

    async def open(self) -> None:
        reason = await self.try_open()
        if reason:
            raise Unavailable("sandbox", self.capabilities.tier, reason)

    async def try_open(self) -> str:
        """Start sandboxd: "" when the tier works here, else why it does not."""
        settings = self._settings
        found = self._interpreters.found
        first = next(reversed(found), "")
        with contextlib.suppress(Unavailable):
            await self._interpreters.executable(first)
        answer = await self._line.open(
            {
                "directory": os.fspath(settings.directory.resolve()),
                "rootless": settings.rootless,
                "environments_max": settings.environments_max,
                "pool_size": settings.pool_size,
                "port": settings.port,
                "library": LIBRARY,
                "boot": _BOOT,
                "binds": self._packages.binds(),
                "preimport": PREIMPORT,
                "warm": {
                    "account": settings.account,
                    "executable": found[first],
                    "flavour": "plain",
                    "closed": settings.closed,
                }
                if first
                else None,
            }
        )
        if answer["error"]:
            await self._line.close()
            return str(answer["error"])
        limited = answer["cgroups"] != "none"
        self.capabilities = msgspec.structs.replace(
            self.capabilities,
            cgroups=answer["cgroups"],
            memory_limited=True,
            cpu_limited=limited,
            network_isolated=True,
            syscalls_filtered=True,
            snapshots=answer["snapshots"],
            runtimes=dict(found),
        )
        return ""

    async def start(self, spec: Spec, on_log: LogSink) -> Instance | Outcome:
        template = self._templates.get(spec.snapshot)
        origin = spec.snapshot if template is not None and template.alive else ""
        return await self._make("start", spec, on_log, {"template": origin})

    async def _make(
        self, operation: str, spec: Spec, on_log: LogSink, facts: Mapping[str, Any]
    ) -> LiveInstance | Outcome:
        requested = self._env.monotonic()
        self._check(spec)
        executable = await self._interpreters.executable(spec.interpreter)
        code = self._packages.of(spec)
        self._starting.add(spec.id)
        try:
            answer, fds = await self._ask_start(operation, spec.id, {**_request(spec, executable, code), **facts})
            processes = _Cell(self._env, self._line, spec, fds)
            instance = self._live[spec.id] = LiveInstance(
                id=spec.id,
                start_path=answer["path"],
                env=self._env,
                channel=socket.socket(fileno=fds["channel"]),
                log_fd=fds["log"],
                on_log=on_log,
                processes=processes,
                requested=requested,
            )
        finally:
            self._starting.discard(spec.id)
        await processes.serve_endpoint()
        failed = await instance.start(_init_frame(spec, code), spec.init_timeout_s)
        if failed is not None:
            return failed
        if operation == "start":  # a template's CPU is what its forks wait for
            self._line.tell("limit", spec.id, {})  # Lambda, too, gives the CPU of a whole core during init
        return instance

    async def prepare(self, spec: Spec) -> str:
        if not self.capabilities.snapshots:
            return f"the {self.capabilities.tier} tier has no snapshots here: they need control groups"
        template = self._templates.get(spec.snapshot)
        if template is not None and template.alive:
            return ""
        made = await self._make("template", spec, _discard, {})
        if isinstance(made, Outcome):
            return _why(made)
        try:
            answer, _ = await self._env.within(SANDBOX_STOP_S, self._line.ask("seal", spec.id, {"name": spec.snapshot}))
            reason = str(answer["reason"])
        except (TimeoutError, Unavailable) as error:
            reason = f"the template does not answer: {error}"
        if reason:
            await made.stop()
            return reason
        self._templates[spec.snapshot] = made
        return ""

    async def forget(self, snapshot: str) -> None:
        template = self._templates.pop(snapshot, None)
        if template is not None:
            await template.stop()

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*(instance.stop() for instance in list(self._live.values())))
        self._live.clear()
        await self._line.close()

    def _check(self, spec: Spec) -> None:
        if self._closed:
            raise Unavailable("sandbox", "", "it is closed")
        for id in [id for id, instance in self._live.items() if not instance.alive]:
            del self._live[id]
        for name in [name for name, instance in self._templates.items() if not instance.alive]:
            del self._templates[name]
        assert spec.id not in self._live and spec.id not in self._starting, "an id names one environment"
        if len(self._live) + len(self._starting) >= self._settings.environments_max:
            most = self._settings.environments_max
            raise Unavailable("sandbox", "", f"{most} environments exist, which is the limit here")

    async def _reopen(self) -> None:
        """Start sandboxd again, should it have died; every environment died with it."""
        if self._line.up:
            return
        if self._opening is None or self._opening.done():
            self._log.error("sandboxd is gone; starting it again")
            await self._line.close()
            self._opening = self._env.spawn(self.try_open(), name="start sandboxd again")
        reason = await asyncio.shield(self._opening)
        if reason:
            raise Unavailable("sandbox", "", f"sandboxd does not start: {reason}")

    async def _ask_start(self, operation: str, id: str, facts: Mapping[str, Any]) -> Answer:
        await self._reopen()
        try:
            answer, fds = await self._line.ask(operation, id, facts)
        except asyncio.CancelledError:
            self._line.tell("stop", id, {})
            raise
        except Unavailable:  # it died just now; once more with a new one
            await self._reopen()
            answer, fds = await self._line.ask(operation, id, facts)
        if answer["op"] == "refused":
            if answer["full"]:
                raise Unavailable("sandbox", "", answer["reason"])
            raise Invalid("sandbox", id, answer["reason"])
        return answer, fds


class _Cell:
    """channel.Processes of an environment that sandboxd made."""

    def __init__(self, env: Env, line: Line, spec: Spec, fds: Mapping[str, int]) -> None:
        self._env = env
        self._line = line
        self._id = spec.id
        self._most_mb = spec.memory_mb
        self._peak = fds.get("peak", -1)
        self._freezer = fds.get("freezer", fds.get("freeze", -1))
        self._words = (b"FROZEN", b"THAWED") if "freezer" in fds else (b"1", b"0")
        self._proxy: EndpointProxy | None = None
        if "listener" in fds:
            self._proxy = EndpointProxy(env, socket.socket(fileno=fds["listener"]), spec.endpoint)

    async def serve_endpoint(self) -> None:
        """Answer at the cloud's endpoint inside the closed network."""
        if self._proxy is not None:
            await self._proxy.start()

    def peak_memory_mb(self) -> int:
        if self._peak < 0:
            return 0
        try:
            peak_bytes = int(os.pread(self._peak, 32, 0))
            os.pwrite(self._peak, b"0", 0)
        except OSError:
            return 0  # the group is gone, or this kernel cannot reset the peak
        return self._shown(peak_bytes)

    async def freeze(self) -> None:
        self._set_frozen(True)

    async def thaw(self) -> None:
        self._set_frozen(False)

    async def end(self) -> Ended:
        try:
            answer, _ = await self._env.within(2 * SANDBOX_STOP_S, self._line.ask("stop", self._id, {}))
        except (Unavailable, TimeoutError):
            return _NOT_STARTED
        finally:
            self._close()
        peak_mb = self._shown(answer["peak_bytes"]) if answer["peak_bytes"] else 0
        return Ended(reason=reason_of(answer["status"]), out_of_memory=answer["out_of_memory"], peak_memory_mb=peak_mb)

    def _shown(self, peak_bytes: int) -> int:
        """A group is charged for pages that its processes touched first; those of the zygote come on top."""
        return min(self._most_mb, -(-peak_bytes // MIB) + SANDBOX_BASELINE_MB)

    def _set_frozen(self, frozen: bool) -> None:
        if self._freezer < 0:
            self._line.tell("freeze" if frozen else "thaw", self._id, {})
            return
        with contextlib.suppress(OSError):  # the group is gone
            os.write(self._freezer, self._words[0 if frozen else 1])

    def _close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        for fd in (self._peak, self._freezer):
            if fd >= 0:
                os.close(fd)
        self._peak = self._freezer = -1


def _discard(lines: list[bytes]) -> None:
    """What a template's import prints is nobody's log: each environment's own start is logged by its engine."""


def _why(outcome: Outcome) -> str:
    detail = outcome.reason or outcome.payload[:500].decode(errors="replace")
    return f"importing the handler ended with {outcome.kind}: {detail}"


def _request(spec: Spec, executable: str, code: Code) -> dict[str, Any]:
    return {
        "account": spec.account,
        "executable": executable,
        "flavour": code.flavour,
        "closed": spec.egress == "closed",
        "port": spec.endpoint[1],
        "code": os.fspath(spec.code_dir.resolve()),
        "layers": [os.fspath(layer.resolve()) for layer in spec.layer_dirs],
        "memory_mb": spec.memory_mb,
        "tmp_mb": spec.tmp_mb,
    }


def _init_frame(spec: Spec, code: Code) -> bytes:
    return msgspec.json.encode(
        {
            "handler": spec.handler,
            "environment": spec.environment,
            "code_root": "/var/task",
            "layer_roots": ["/opt"],
            "runtime_root": "/var/runtime",
            "files": code.files,
            "magic": code.magic,
        }
    )
