"""Fitting out: from a function's record to everything that a new environment of it needs."""

import msgspec

from haneul.base import ids
from haneul.base.env import Env
from haneul.base.finished import Observer
from haneul.base.limits import INIT_TIMEOUT_S
from haneul.sandbox.api import Spec

from .dress import ChooseRuntime, Credentials, Dress
from .journal import Journal
from .packages import Packages
from .pool import Outfit
from .records import HEAD, Function


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the engine; the names are those of base.config.

    endpoint            where the cloud listens, as environments reach it
    concurrency_max     invocations at once, per account and region
    """

    environments_max: int = 2_000
    idle_s: float = 600.0
    egress: str = "open"
    endpoint: tuple[str, int] = ("127.0.0.1", 4566)
    concurrency_max: int = 1_000


class Outfitter:
    """Makes outfits: code unpacked, interpreter chosen, credentials granted, dressed."""

    def __init__(
        self,
        packages: Packages,
        env: Env,
        observer: Observer,
        dress: Dress,
        credentials: Credentials,
        choose_runtime: ChooseRuntime,
        options: Options,
    ) -> None:
        self._packages = packages
        self._env = env
        self._observer = observer
        self._dress = dress
        self._credentials = credentials
        self._choose_runtime = choose_runtime
        self._options = options

    async def __call__(self, function: Function) -> Outfit:
        """Raises Invalid when no interpreter here will do, NotFound when the role is gone, Damaged when the code is."""
        settings = function.settings
        interpreter, warning = self._choose_runtime(settings.runtime)
        code_dir = await self._packages.path(function.code.sha256)
        granted = await self._credentials(function.scope, settings.role, function.name)
        dressing = self._dress.environment(function, interpreter, warning)
        environment = {**(settings.environment or {}), **dressing.environment}
        if granted is not None:
            environment |= granted.environment
        spec = Spec(
            id=ids.hex_id(self._env, 8),
            account=function.scope.account,
            interpreter=interpreter,
            handler=settings.handler,
            code_dir=code_dir,
            environment=environment,
            memory_mb=settings.memory_mb,
            tmp_mb=settings.tmp_mb,
            # Lambda stops an initialisation after 10 s and runs it again within the function's own time; once is enough.
            init_timeout_s=max(INIT_TIMEOUT_S, float(settings.timeout_s)),
            snapshot=snapshot_name(function),
            egress=self._options.egress,
            endpoint=self._options.endpoint,
        )
        journal = Journal(self._env, self._observer, function.scope, dressing.log_group, dressing.log_stream)
        journal.write(dressing.first_lines)
        expires_ms = granted.expires_ms if granted is not None else 0
        return Outfit(spec, journal, dressing.log_group, dressing.log_stream, expires_ms)


def snapshot_name(function: Function) -> str:
    """The name of the version's template, or "" when it starts without one."""
    wanted = function.settings.snapshot and function.number != HEAD and not function.snapshot_reason
    return f"{function.id}-{function.number}-{function.build}" if wanted else ""
