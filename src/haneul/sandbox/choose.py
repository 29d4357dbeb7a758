"""Which tier of isolation this machine can really give: the strongest that works, and why nothing stronger does."""

import os
import sys
from pathlib import Path

import msgspec

from haneul.base.config import Config
from haneul.base.env import Env
from haneul.base.errors import Unavailable
from haneul.base.log import Log

from . import landlocked
from .api import Capabilities, Instance, LogSink, Outcome, Sandbox, Spec
from .interpreters import Interpreters, provided_packages
from .packages import Packages
from .process import ProcessSandbox
from .strict import IsolatedSandbox, Settings

TIERS = ("strict", "userns", "landlock", "process")


def make_sandbox(config: Config, env: Env, log: Log, directory: Path) -> Sandbox:
    """The sandbox that the settings ask for; which tier it is stands in its capabilities after open().

    directory: scratch space, emptied by nobody else. With a tier demanded, open() raises Unavailable when it is not
    possible here; with "auto" it takes the strongest that is, and says in capabilities.reasons what the others lack.
    """
    return _ChosenSandbox(config, env, log, directory)


class _ChosenSandbox:
    """Decides at open(), and is the decided one from there on."""

    def __init__(self, config: Config, env: Env, log: Log, directory: Path) -> None:
        self._config = config
        self._env = env
        self._log = log
        self._directory = directory
        self._interpreters = Interpreters(env)
        self._within: Sandbox | None = None
        self.capabilities = Capabilities(tier="process")

    async def open(self) -> None:
        demanded = self._config.tier
        reasons: list[str] = []
        for tier in TIERS if demanded == "auto" else (demanded,):
            reason, sandbox = await self._try(tier, tuple(reasons))
            if sandbox is not None:
                self._within, self.capabilities = sandbox, sandbox.capabilities
                self._log.info("sandbox", tier=tier, cgroups=sandbox.capabilities.cgroups)
                return
            reasons.append(f"{tier}: {reason}")
        raise Unavailable("sandbox tier", demanded, "; ".join(reasons))

    async def start(self, spec: Spec, on_log: LogSink) -> Instance | Outcome:
        return await self._opened().start(spec, on_log)

    async def prepare(self, spec: Spec) -> str:
        return await self._opened().prepare(spec)

    async def forget(self, snapshot: str) -> None:
        await self._opened().forget(snapshot)

    async def close(self) -> None:
        if self._within is not None:
            await self._within.close()

    def _opened(self) -> Sandbox:
        if self._within is None:
            raise Unavailable("sandbox", "", "it is not open")
        return self._within

    async def _try(self, tier: str, reasons: tuple[str, ...]) -> tuple[str, Sandbox | None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        capabilities = Capabilities(tier=tier, reasons=reasons)
        if tier in ("strict", "userns"):
            reason = _unfit(tier)
            if reason:
                return reason, None
            isolated = self._isolated(capabilities)
            reason = await isolated.try_open()
            return _advice(tier, reason), None if reason else isolated
        if tier == "landlock" and (reason := landlocked.unfit()):
            return reason, None
        confined = tier == "landlock"
        if confined:
            capabilities = msgspec.structs.replace(capabilities, syscalls_filtered=True)
        weaker = ProcessSandbox(
            self._env,
            self._log,
            self._directory,
            self._interpreters,
            capabilities=capabilities,
            environments_max=self._config.environments_max,
            pool_size=self._config.pool_size,
            command=landlocked.command if confined else None,
        )
        await weaker.open()
        return "", weaker

    def _isolated(self, capabilities: Capabilities) -> IsolatedSandbox:
        config = self._config
        settings = Settings(
            directory=self._directory / "sandboxd",
            rootless=capabilities.tier == "userns",
            environments_max=config.environments_max,
            pool_size=config.pool_size,
            port=config.port,
            account=config.account,
            closed=config.egress == "closed" or (config.egress == "auto" and config.secure),
        )
        packages = Packages(provided_packages())
        return IsolatedSandbox(settings, capabilities, self._interpreters, packages, self._env, self._log)


def _unfit(tier: str) -> str:
    """Why there is no point in trying a tier; "" when there is."""
    if sys.platform != "linux":
        return f"namespaces are a feature of Linux, and this is {sys.platform}"
    if tier == "strict" and os.geteuid() != 0:
        return "needs root: start haneul with sudo, or as a service that runs as root"
    return ""


def _advice(tier: str, reason: str) -> str:
    """The kernel's word, and what usually helps."""
    if not reason:
        return ""
    if tier == "strict":
        return f"{reason} (in a container, give it --privileged, or CAP_SYS_ADMIN and CAP_NET_ADMIN without seccomp)"
    return (
        f"{reason} (unprivileged user namespaces may be forbidden: see sysctl kernel.unprivileged_userns_clone, "
        "user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns)"
    )
