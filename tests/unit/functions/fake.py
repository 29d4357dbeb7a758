"""The functions engine over a sandbox that runs Python callables instead of processes."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from haneul.base import ids
from haneul.base.env import ManualEnv
from haneul.base.finished import Finished, Invoked, Logged
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.base.trace import Trace, new_trace
from haneul.engines.functions.dress import Dressing, FailureText, Granted
from haneul.engines.functions.engine import FunctionsEngine, Options, Request
from haneul.engines.functions.records import SCHEMA, Function, Settings
from haneul.sandbox.api import Capabilities, Instance, Invocation, LogSink, Outcome, Spec
from haneul.storage.memory import MemoryBlobs
from haneul.storage.sqlite import open_store
from haneul.storage.store import Store

HERE = Scope("000000000000", "us-east-1")
Handler = Callable[[Invocation], Awaitable[Outcome]]


class FakeInstance:
    start_path = "fork"
    init_us = 1_500

    def __init__(self, sandbox: "FakeSandbox", spec: Spec, on_log: LogSink) -> None:
        self.sandbox, self.spec, self.on_log = sandbox, spec, on_log
        self.id = spec.id
        self.alive = True
        self.frozen = False

    async def run(self, invocation: Invocation) -> Outcome:
        assert self.alive and not self.frozen
        self.sandbox.runs.append((self, invocation))
        self.on_log([b"hello from " + self.id.encode()])
        outcome = await self.sandbox.handler(invocation)
        self.alive = self.alive and outcome.kind in ("ok", "error")
        return outcome

    async def freeze(self) -> None:
        self.frozen = True

    async def thaw(self) -> None:
        self.frozen = False

    async def stop(self) -> None:
        self.alive = False
        self.sandbox.stopped.append(self)


class FakeSandbox:
    capabilities = Capabilities(tier="process", runtimes={"python3.11": "", "nodejs20": ""})

    def __init__(self) -> None:
        self.started: list[FakeInstance] = []
        self.stopped: list[FakeInstance] = []
        self.runs: list[tuple[FakeInstance, Invocation]] = []
        self.prepared: list[Spec] = []
        self.forgotten: list[str] = []
        self.failing: list[Outcome] = []
        self.handler: Handler = ok

    async def open(self) -> None: ...

    async def start(self, spec: Spec, on_log: LogSink) -> Instance | Outcome:
        await asyncio.sleep(0)
        if self.failing:
            return self.failing.pop(0)
        self.started.append(FakeInstance(self, spec, on_log))
        return self.started[-1]

    async def prepare(self, spec: Spec) -> str:
        self.prepared.append(spec)
        return ""

    async def forget(self, snapshot: str) -> None:
        self.forgotten.append(snapshot)

    async def close(self) -> None: ...


async def ok(invocation: Invocation) -> Outcome:
    return Outcome(kind="ok", payload=invocation.payload, duration_us=1_200, peak_memory_mb=30)


class Plain:
    """A dress and a renderer without any cloud's words."""

    def version(self, number: int) -> str:
        return "head" if number == 0 else str(number)

    def environment(self, function: Function, interpreter: str, warning: str) -> Dressing:
        return Dressing(environment={"NAME": function.name}, log_group=f"g/{function.name}", log_stream="s")

    def context(self, function: Function, qualifier: str) -> dict[str, str]:
        return {"called": f"{function.name}:{qualifier}"}

    def trace_header(self, trace: Trace) -> str:
        return f"{trace.trace_id};{trace.hops}"

    def failure(self, kind: str, request_id: str, reason: str, function: Function, at_ms: int) -> FailureText:
        return FailureText(f"Plain.{kind}", f'"{kind} {reason}"'.encode(), (f"failed: {kind}",))

    def start(self, settings: Settings, at_ms: int, request_id: str, version: str) -> list[str]:
        return [f"START {request_id} {version}"]

    def end(self, settings: Settings, request_id: str) -> list[str]:
        return [f"END {request_id}"]

    def report(
        self, settings: Settings, at_ms: int, request_id: str, invoked: Invoked, trace: Trace | None
    ) -> list[str]:
        return [f"REPORT {request_id} {invoked.billed_ms}"]


class Watcher:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.records: list[Finished] = []
        self.lines: list[str] = []

    def finished(self, record: Finished) -> None:
        self.records.append(record)

    def logged(self, record: Logged) -> None:
        self.lines += [text for _, text in record.lines]

    @property
    def last(self) -> Invoked:
        what = self.records[-1].what
        assert isinstance(what, Invoked)
        return what


class World:
    """An engine with everything round it, and a few shorthands."""

    def __init__(self, folder: Path, store: Store | None = None, **options: object) -> None:
        self.env = ManualEnv()
        self.log = SilentLog()
        self.watcher = Watcher()
        self.sandbox = FakeSandbox()
        self.store = store or open_store(SCHEMA, None, self.env, self.log)
        self.blobs = MemoryBlobs(self.env)
        self.granted: Granted | None = None
        dress = Plain()
        self.engine = FunctionsEngine(
            self.store,
            self.blobs,
            self.sandbox,
            self.env,
            self.log,
            self.watcher,
            code_dir=folder / "code",
            dress=dress,
            renderer=dress,
            credentials=self._credentials,
            choose_runtime=lambda runtime: ("python3.11", ""),
            options=Options(**options),  # type: ignore[arg-type]
        )

    async def _credentials(self, scope: Scope, role: str, function: str) -> Granted | None:
        return self.granted

    async def create(
        self, name: str = "f", content: str = "x = 1", scope: Scope = HERE, **settings: object
    ) -> Function:
        await self.engine.registry.create(scope, name, stream(zipped({"app.py": content})), plain(**settings), tags={})
        return await self.engine.registry.settled(scope, name)

    async def invoke(self, name: str = "f", qualifier: str = "", payload: bytes = b"{}", **request: object):
        return await self.engine.invoke(HERE, name, qualifier, self.request(payload, **request))

    def request(self, payload: bytes = b"{}", **fields: object) -> Request:
        given = {"request_id": ids.uuid(self.env), "trace": new_trace(self.env), "payload": payload, **fields}
        return Request(**given)  # type: ignore[arg-type]


def plain(**settings: object) -> Settings:
    given = {"runtime": "python3.11", "handler": "app.handler", "role": "r", **settings}
    return Settings(**given)  # type: ignore[arg-type]


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content
