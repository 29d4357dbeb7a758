"""The functions engine: joins register, packages, permissions, pool and invocations, and answers for all of them."""

from pathlib import Path
from typing import Any

from haneul.base.env import Env, Timer
from haneul.base.errors import Failure, NotFound
from haneul.base.finished import Observer
from haneul.base.limits import CODE_SWEEP_S, SCAN_MAX_ROWS
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.sandbox.api import Sandbox
from haneul.storage import keys
from haneul.storage.blobs import Blobs
from haneul.storage.outbox import OUTBOX
from haneul.storage.store import Range, Space, Store, Txn, within

from .asynchronous import Asynchronous, Handed
from .concurrency import Concurrency
from .dress import ChooseRuntime, Credentials, Dress, LogRenderer
from .invoke import Answer, Invoker, Request
from .outfit import Options, Outfitter, snapshot_name
from .packages import Packages
from .permissions import Permissions
from .pool import Pool
from .records import ASYNC_SETTINGS, FAILURES, FUNCTIONS, HEAD, POLICIES, VERSIONS, Function
from .registry import Registry

__all__ = ["Answer", "FunctionsEngine", "Handed", "Options", "Request"]


class FunctionsEngine:
    """Functions of all accounts.

    registry        functions and their versions: create, get, update, publish, list, delete
    permissions     who may invoke them
    asynchronous    send an event, deliver it, and how it is retried
    packages        their code
    choose_runtime  as it was handed in: faces ask it before they accept a runtime

    sandbox is opened and closed by whoever made it; blobs may be shared with others.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        sandbox: Sandbox,
        env: Env,
        log: Log,
        observer: Observer,
        *,
        code_dir: Path,
        dress: Dress,
        renderer: LogRenderer,
        credentials: Credentials,
        choose_runtime: ChooseRuntime,
        options: Options,
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._env = env
        self._log = log
        self._credentials = credentials
        self.options = options
        self.choose_runtime = choose_runtime
        self.packages = Packages(store, blobs, env, log, code_dir)
        self.registry = Registry(
            store,
            self.packages,
            env,
            concurrency_max=options.concurrency_max,
            settle=self._settle,
            changed=self._changed,
        )
        self.permissions = Permissions(store, env, self.registry)
        self._outfit = Outfitter(self.packages, env, observer, dress, credentials, choose_runtime, options)
        self._pool = Pool(sandbox, env, log, self._outfit, most=options.environments_max, idle_s=options.idle_s)
        self._concurrency = Concurrency(options.concurrency_max)
        self._invoker = Invoker(
            self.registry,
            self._pool,
            self._concurrency,
            env,
            observer,
            dress,
            renderer,
            reservations=self.registry.reservations,
        )
        self.asynchronous = Asynchronous(store, self.registry, self._invoker, env, log)
        self._sweeping: Timer | None = None
        self._snapshots: dict[tuple[Scope, str], dict[int, str]] = {}

    async def start(self) -> None:
        await self.packages.start()
        self._sweep_later()

    async def stop(self) -> None:
        """Stop every environment; what is running is cut off. Asynchronous events stay in the outbox."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._pool.close()
        await self.packages.stop()

    async def invoke(self, scope: Scope, name: str, qualifier: str, request: Request) -> Answer:
        """Run it and wait; see Invoker.invoke."""
        return await self._invoker.invoke(scope, name, qualifier, request)

    async def send(self, scope: Scope, name: str, qualifier: str, request: Request) -> None:
        """Run it later; returns once that is certain. See Asynchronous.send."""
        await self.asynchronous.send(scope, name, qualifier, request)

    async def check_role(self, scope: Scope, role: str) -> None:
        """Raises what the credentials' source raises for a role that no function may have."""
        await self._credentials(scope, role, "")

    def now_ms(self) -> int:
        return self._env.now_ms()

    @property
    def environments(self) -> int:
        """How many execution environments exist now."""
        return self._pool.count

    async def reset(self, account: str | None) -> None:
        """Forget everything of an account, or (None) everything."""
        start = b"" if account is None else keys.pack(account)
        owned: tuple[Space[Any], ...] = (FUNCTIONS, VERSIONS, POLICIES, ASYNC_SETTINGS)

        def write(txn: Txn) -> list[Function]:
            gone: list[Function] = []
            for space in owned:
                while rows := txn.scan(space, within(start), SCAN_MAX_ROWS):
                    for key, row in rows:
                        txn.delete(space, key)
                        if space is FUNCTIONS:
                            gone.append(row)
            if account is None:
                while failures := txn.scan(FAILURES, Range(), SCAN_MAX_ROWS):
                    for key, _ in failures:
                        txn.delete(FAILURES, key)
            after = b""
            while waiting := txn.scan(OUTBOX, Range(after), SCAN_MAX_ROWS):
                for key, delivery in waiting:
                    if account in (None, delivery.target.scope.account):
                        txn.delete(OUTBOX, key)
                after = waiting[-1][0] + b"\0"
            return gone

        for function in await self._store.transact(write, scans=(*owned, FAILURES, OUTBOX)):
            self.registry.forget(function.scope, function.name)

    async def _settle(self, function: Function) -> tuple[str, str]:
        """What a version waits for before it is active: its code in place, its snapshot made."""
        try:
            await self.packages.path(function.code.sha256)
        except Failure as failure:
            self._log.warning("function_failed", function=function.name, reason=str(failure))
            return str(failure), ""
        try:
            interpreter, _ = self.choose_runtime(function.settings.runtime)
            executable = self._sandbox.capabilities.runtimes.get(interpreter, "")
            if interpreter.startswith("python") and executable:
                self.packages.compile_soon(function.code.sha256, executable)
            if not snapshot_name(function):
                return "", ""
            outfit = await self._outfit(function)
            reason = await self._sandbox.prepare(outfit.spec)
            if not reason:
                self._snapshots.setdefault((function.scope, function.name), {})[function.number] = outfit.spec.snapshot
            return "", reason
        except Failure as failure:
            # It can be had without: then imports compile at the first start, and every start is an ordinary one.
            return "", str(failure) if snapshot_name(function) else ""

    def _changed(self, scope: Scope, name: str) -> None:
        self._invoker.forget(scope, name)
        known = self._concurrency.known(scope) is not None or (scope, name) in self._snapshots
        if known or self._pool.fleets(scope, name):
            self._env.spawn(self._reconcile(scope, name), name="reconcile")

    async def _reconcile(self, scope: Scope, name: str) -> None:
        """Take a new reservation into account; let the environments of builds that are no longer in force drain, and
        the snapshots of versions that are gone go."""
        head = await self._find(scope, name, HEAD)
        if (account := self._concurrency.known(scope)) is not None:
            account.reserve(name, head.reserved if head is not None else None)
        for fleet in self._pool.fleets(scope, name):
            old = fleet.function
            current = await self._find(scope, name, old.number)
            if current is None or current.id != old.id or current.build != old.build:
                self._pool.drain(fleet)
        snapshots = self._snapshots.get((scope, name), {})
        for number, snapshot in list(snapshots.items()):
            current = await self._find(scope, name, number)
            if current is None or snapshot_name(current) != snapshot:
                snapshots.pop(number, None)
                await self._sandbox.forget(snapshot)
        if not snapshots:
            self._snapshots.pop((scope, name), None)

    async def _find(self, scope: Scope, name: str, number: int) -> Function | None:
        try:
            return await self.registry.get(scope, name, number)
        except NotFound:
            return None

    def _sweep_later(self) -> None:
        def sweep() -> None:
            self._env.spawn(self._sweep(), name="sweep packages")
            self._sweep_later()

        self._sweeping = self._env.call_later(CODE_SWEEP_S, sweep)

    async def _sweep(self) -> None:
        if swept := await self.packages.sweep(await self.registry.codes_in_use()):
            self._log.info("packages_swept", count=swept)
