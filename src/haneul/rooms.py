"""The engines and their state, made and joined for one data folder: what app.py opens behind the front door."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from haneul.base.config import Config
from haneul.base.env import Env
from haneul.base.errors import Unavailable
from haneul.base.finished import Observer
from haneul.base.log import Log
from haneul.base.relay import Relay
from haneul.clouds.aws.dress import LambdaDress, RoleCredentials
from haneul.clouds.aws.events import ENCODERS
from haneul.clouds.aws.managed import AwsProvider
from haneul.clouds.aws.report import LambdaReport
from haneul.cluster.api import Ownership
from haneul.cluster.single import SingleNode
from haneul.engines import Engines
from haneul.engines.billing.engine import BillingEngine
from haneul.engines.billing.records import SCHEMA as BILLING
from haneul.engines.delivery.engine import DeliveryEngine
from haneul.engines.delivery.verdict import Done, Dropped, Retry, Verdict
from haneul.engines.functions.engine import FunctionsEngine, Options
from haneul.engines.functions.records import SCHEMA as FUNCTIONS
from haneul.engines.identity.engine import IdentityEngine
from haneul.engines.identity.records import SCHEMA as IDENTITY
from haneul.engines.logs.engine import LogsEngine
from haneul.engines.logs.records import SCHEMA as LOGS
from haneul.engines.metrics.engine import MetricsEngine
from haneul.engines.metrics.records import SCHEMA as METRICS
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.records import SCHEMA as OBJECTS
from haneul.engines.traces.engine import TracesEngine
from haneul.engines.traces.records import SCHEMA as TRACES
from haneul.sandbox.api import Sandbox
from haneul.sandbox.interpreters import choose_runtime
from haneul.storage.disk import DiskBlobs
from haneul.storage.outbox import Delivery
from haneul.storage.sqlite import open_store
from haneul.storage.store import Schema, Store


class Files:
    """The stores and blobs of a data folder. close() closes whatever is open, however far the opening came.

    state: where the stores lie; None keeps them in memory.
    """

    def __init__(self, directory: Path, state: Path | None, env: Env, log: Log) -> None:
        self._directory = directory
        self._state = state
        self._env = env
        self._log = log
        self._closing = contextlib.AsyncExitStack()
        self.stores: dict[str, Store] = {}

    def store(self, schema: Schema) -> Store:
        """Open it. Raises Damaged or Unavailable."""
        opened = self.stores[schema.kind] = open_store(schema, self._state, self._env, self._log)
        self._closing.push_async_callback(opened.close)
        return opened

    def blobs(self, name: str) -> DiskBlobs:
        """Open them. Raises Unavailable."""
        opened = DiskBlobs(self._directory / "blobs" / name, self._env)
        self._closing.push_async_callback(opened.close)
        return opened

    async def close(self) -> None:
        """In reverse, and each also when another fails to close."""
        await self._closing.aclose()


class Rooms:
    """All engines with their stores. start() and stop() once each; reset() whenever."""

    def __init__(self, engines: Engines, files: Files, observer: Observer, ownership: Ownership) -> None:
        self.engines = engines
        self.observer = observer
        self._files = files
        self._ownership = ownership
        self._closing = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Load what must be in memory, go on with what was left: deliveries last, when their targets are there."""
        for kind in self._files.stores:
            lease = await self._ownership.claim(kind)
            if lease is None:
                raise Unavailable("state", kind, "another member of the cluster owns it")
            self._closing.push_async_callback(self._ownership.release, lease)
        each = self.engines
        for engine in (
            each.identity, each.logs, each.metrics, each.traces, each.billing, each.objects, each.functions, each.delivery,
        ):  # fmt: skip
            self._closing.push_async_callback(engine.stop)  # also of one whose start fails half way
            await engine.start()

    async def stop(self) -> None:
        """In reverse, as far as the start came, and each also when another fails. The files are closed by their owner."""
        await self._closing.aclose()

    def store_of(self, kind: str) -> Store:
        """The store of one kind of engine, by its schema's name."""
        return self._files.stores[kind]

    async def reset(self, account: str | None) -> None:
        """Forget everything of an account, or everything."""
        each = self.engines
        for engine in (
            each.functions,
            each.objects,
            each.identity,
            each.logs,
            each.metrics,
            each.traces,
            each.billing,
        ):
            await engine.reset(account)


def build_rooms(
    config: Config,
    env: Env,
    log: Log,
    files: Files,
    *,
    sandbox: Sandbox,
    code_dir: Path,
    endpoint: tuple[str, int],
    url: str,
) -> Rooms:
    """Open every store of the data folder and join the engines. Raises Damaged or Unavailable from storage."""
    store = files.store
    observer = Relay(env)
    logs = LogsEngine(store(LOGS), env, log, ahead=observer.pass_on)
    metrics = MetricsEngine(store(METRICS), env, log, ahead=observer.pass_on)
    traces = TracesEngine(store(TRACES), env, log, ahead=observer.pass_on)
    billing = BillingEngine(store(BILLING), env, log, ahead=observer.pass_on)
    observer.join((logs, metrics, traces, billing))

    identity = IdentityEngine(store(IDENTITY), env, log=log, provider=AwsProvider())
    object_blobs = files.blobs("objects")
    code_blobs = files.blobs("code")
    objects_store = store(OBJECTS)
    objects = ObjectsEngine(objects_store, object_blobs, env)
    functions_store = store(FUNCTIONS)
    functions = FunctionsEngine(
        functions_store,
        code_blobs,
        sandbox,
        env,
        log,
        observer,
        code_dir=code_dir,
        dress=LambdaDress(env, endpoint=url),
        renderer=LambdaReport(),
        credentials=RoleCredentials(identity, secure=config.secure),
        choose_runtime=choose_runtime(sandbox, strict=config.strict_runtimes),
        options=Options(
            environments_max=config.environments_max,
            idle_s=config.idle_s,
            egress=egress(config),
            endpoint=endpoint,
        ),
    )
    delivery = DeliveryEngine(
        env,
        log,
        [objects_store, functions_store],
        ENCODERS,
        {"function": deliver_to(functions)},
        observer,
    )
    engines = Engines(
        functions=functions,
        objects=objects,
        identity=identity,
        delivery=delivery,
        logs=logs,
        metrics=metrics,
        traces=traces,
        billing=billing,
    )
    return Rooms(engines, files, observer, SingleNode())


def egress(config: Config) -> str:
    """The network of functions: open for developers, closed in secure mode, unless it was chosen."""
    if config.egress != "auto":
        return config.egress
    return "closed" if config.secure else "open"


def deliver_to(functions: FunctionsEngine) -> Callable[[Delivery, bytes], Awaitable[Verdict]]:
    """Delivery's target "function": what the functions engine says of an attempt, in delivery's words."""

    async def deliver(row: Delivery, payload: bytes) -> Verdict:
        handed = await functions.asynchronous.deliver(row, payload)
        if handed.outcome == "done":
            return Done()
        if handed.outcome == "retry":
            return Retry(handed.wait_ms, handed.reason)
        return Dropped(handed.reason)

    return deliver
