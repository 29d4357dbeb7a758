"""One invocation, from the request to the Finished record: admit, take or start an environment, run, meter, log."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from haneul.base.env import Env
from haneul.base.errors import NotFound, Throttled, TooLarge
from haneul.base.finished import Finished, Invoked, Observer
from haneul.base.limits import (
    CREDENTIALS_MARGIN_S,
    FUNCTIONS_CACHED_MAX,
    PAYLOAD_REQUEST_MAX_BYTES,
    PAYLOAD_SYNC_MAX_BYTES,
)
from haneul.base.scope import Scope
from haneul.base.trace import Trace, child_of
from haneul.sandbox.api import Invocation, Outcome

from .concurrency import Account, Concurrency, Share
from .dress import Dress, LogRenderer
from .pool import Environment, Fleet, Outfit, Pool
from .records import HEAD, Function
from .registry import Registry

FAILED_INIT = {"timeout": "init_timeout", "crash": "init_crash", "out_of_memory": "out_of_memory"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One event for a function. attempt counts from 1."""

    payload: bytes
    request_id: str
    trace: Trace
    client_context: str = ""
    tail: bool = False
    asynchronous: bool = False
    attempt: int = 1


class Answer(msgspec.Struct, frozen=True):
    """How an invocation ended. error: "" when the handler returned; else what kind of failure the payload describes,
    in the words of Invoked.outcome. version: its name, as the log has it. log_tail: the end of its log, if asked for."""

    payload: bytes
    error: str
    version: str
    log_tail: bytes
    invoked: Invoked


class Route(msgspec.Struct, frozen=True):
    """What a way of addressing a function leads to, kept until the function changes."""

    function: Function
    fleet: Fleet
    share: Share
    context: dict[str, str]
    version: str


class Invoker:
    """Runs invocations. A warm one touches memory only: no store, and no await but for the run itself."""

    def __init__(
        self,
        registry: Registry,
        pool: Pool,
        concurrency: Concurrency,
        env: Env,
        observer: Observer,
        dress: Dress,
        renderer: LogRenderer,
        *,
        reservations: Callable[[Scope], Awaitable[dict[str, int]]],
    ) -> None:
        self._registry = registry
        self._pool = pool
        self._concurrency = concurrency
        self._env = env
        self._observer = observer
        self._dress = dress
        self._renderer = renderer
        self._reservations = reservations
        self._routes: dict[tuple[Scope, str, str], Route] = {}

    async def invoke(self, scope: Scope, name: str, qualifier: str, request: Request) -> Answer:
        """Run it and wait. qualifier: "" (the head), or a version's number.

        Raises NotFound, TooLarge for the payload, Throttled (limit: function | account | node), Unavailable.
        Whatever the function itself does wrong is an Answer.
        """
        if len(request.payload) > PAYLOAD_REQUEST_MAX_BYTES:
            raise TooLarge(
                "payload", name, "", size_bytes=len(request.payload), size_max_bytes=PAYLOAD_REQUEST_MAX_BYTES
            )
        route = self._routes.get((scope, name, qualifier))
        if route is None:
            route = await self.route(scope, name, qualifier)
        started_ms = self._env.now() * 1000
        try:
            shared = route.share.enter()
        except Throttled:
            self._throttled(route, request, started_ms)
            raise
        # A task of its own: what has begun runs to its end and is metered, also when the caller hangs up meanwhile.
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._env.spawn(self._conclude(route, request, started_ms, shared, ended), name="invocation")
        return await ended

    async def route(self, scope: Scope, name: str, qualifier: str) -> Route:
        """Look the function up, waiting until it is ready. Raises NotFound."""
        number = number_of(name, qualifier)
        account = self._concurrency.known(scope)
        if account is None:
            account = self._concurrency.learn(scope, await self._reservations(scope))
        head = await self._registry.settled(scope, name)
        function = head if number == HEAD else await self._registry.settled(scope, name, number)
        route = Route(
            function,
            self._pool.fleet(function),
            _share(account, head),
            self._dress.context(function, qualifier and self._dress.version(number)),
            self._dress.version(number),
        )
        # Only what the registry keeps too is kept here: it tells of every change to what it keeps.
        if self._registry.cached(scope, name, number) is function:
            if len(self._routes) >= FUNCTIONS_CACHED_MAX:
                self._routes.clear()
            self._routes[scope, name, qualifier] = route
        return route

    def forget(self, scope: Scope, name: str) -> None:
        """Drop the routes of a function that has changed."""
        for key in [key for key in self._routes if key[1] == name and key[0] == scope]:
            del self._routes[key]

    async def _conclude(
        self, route: Route, request: Request, started_ms: float, shared: bool, ended: "asyncio.Future[Answer]"
    ) -> None:
        try:
            answer = await self._admitted(route, request, started_ms)
        except asyncio.CancelledError:
            ended.cancel()
            raise
        except Exception as error:
            if isinstance(error, Throttled):
                self._throttled(route, request, started_ms)
            if ended.cancelled():
                raise
            ended.set_exception(error)
        else:
            if not ended.done():
                ended.set_result(answer)
        finally:
            route.share.leave(shared)

    async def _admitted(self, route: Route, request: Request, started_ms: float) -> Answer:
        function = route.function
        timeout_s = function.settings.timeout_s
        needed_until_ms = int(started_ms + (timeout_s + CREDENTIALS_MARGIN_S) * 1000)
        environment = self._pool.take(route.fleet, needed_until_ms)
        while environment is not None and environment.chill is not None and not await self._pool.wake(environment):
            environment = self._pool.take(route.fleet, needed_until_ms)
        if environment is None:
            started = await self._pool.start(route.fleet)
            if isinstance(started, tuple):
                return self._did_not_start(route, request, started_ms, *started)
            environment = started
        journal = environment.outfit.journal
        if request.tail:
            journal.begin_tail()
        trace = child_of(request.trace, self._env, hops=1)
        journal.write(self._renderer.start(function.settings, self._env.now_ms(), request.request_id, route.version))
        context = route.context
        if request.client_context:
            context = {**context, "client_context": request.client_context}
        invocation = Invocation(
            request_id=request.request_id,
            payload=request.payload,
            deadline_ms=self._env.now_ms() + timeout_s * 1000,
            timeout_s=timeout_s,
            trace_header=self._dress.trace_header(trace),
            context=context,
        )
        try:
            outcome = await environment.instance.run(invocation)
        except BaseException:
            self._pool.drop(environment)
            raise
        answer = self._answer(route, request, started_ms, trace, environment, outcome)
        if outcome.kind in ("ok", "error"):
            self._pool.give(environment)
        else:
            self._pool.drop(environment)
        return answer

    def _answer(
        self,
        route: Route,
        request: Request,
        started_ms: float,
        trace: Trace,
        environment: Environment,
        outcome: Outcome,
    ) -> Answer:
        fresh = environment.fresh
        instance = environment.instance
        return self._finish(
            route,
            request,
            started_ms,
            trace,
            environment.outfit,
            outcome,
            start=instance.start_path if fresh else "warm",
            init_us=instance.init_us if fresh else None,
        )

    def _did_not_start(
        self, route: Route, request: Request, started_ms: float, outcome: Outcome, outfit: Outfit
    ) -> Answer:
        trace = child_of(request.trace, self._env)
        if request.tail:
            outfit.journal.begin_tail()
        outfit.journal.write(
            self._renderer.start(route.function.settings, self._env.now_ms(), request.request_id, route.version)
        )
        return self._finish(route, request, started_ms, trace, outfit, outcome, start="exec", init_us=None, init=True)

    def _finish(
        self,
        route: Route,
        request: Request,
        started_ms: float,
        trace: Trace,
        outfit: Outfit,
        outcome: Outcome,
        *,
        start: str,
        init_us: int | None,
        init: bool = False,
    ) -> Answer:
        function = route.function
        settings = function.settings
        kind, payload, error_type = outcome.kind, outcome.payload, ""
        failure = kind if kind not in ("ok", "error", "init_error") else ""
        if init:
            failure = FAILED_INIT.get(kind, "")
        if outcome.dropped_bytes or len(payload) > PAYLOAD_SYNC_MAX_BYTES:
            kind, failure = "error", "response_too_large"
        journal = outfit.journal
        if failure:
            text = self._dress.failure(failure, request.request_id, outcome.reason, function, self._env.now_ms())
            payload, error_type = text.payload, text.error_type
            journal.write(text.lines)
        elif kind != "ok":
            error_type = error_type_of(payload)
        invoked = Invoked(
            function=function.name,
            version=route.version,
            outcome=kind,
            start=start,
            memory_mb=settings.memory_mb,
            duration_us=outcome.duration_us,
            # Initialisation is billed too, for every kind of function, since 1 August 2025: AWS Compute Blog, "AWS Lambda
            # standardizes billing for INIT Phase". The sum is rounded up, not its parts.
            billed_ms=-(-(outcome.duration_us + (init_us or 0)) // 1000),
            init_us=init_us,
            peak_memory_mb=outcome.peak_memory_mb,
            error_type=error_type,
            architecture=settings.architecture,
            tmp_mb=settings.tmp_mb,
            asynchronous=request.asynchronous,
            attempt=request.attempt,
            bytes_in=len(request.payload),
            bytes_out=len(payload),
            log_group=outfit.log_group,
            log_stream=outfit.log_stream,
        )
        journal.write(self._renderer.end(settings, request.request_id))
        journal.write(
            self._renderer.report(
                settings,
                self._env.now_ms(),
                request.request_id,
                invoked,
                trace if settings.tracing == "active" else None,
            )
        )
        tail = journal.end_tail() if request.tail else b""
        journal.flush()
        wall_us = int((self._env.now() * 1000 - started_ms) * 1000)
        self._observer.finished(Finished(function.scope, request.request_id, trace, started_ms, wall_us, invoked))
        return Answer(payload, "" if kind == "ok" else kind, route.version, tail, invoked)

    def _throttled(self, route: Route, request: Request, started_ms: float) -> None:
        function = route.function
        invoked = Invoked(
            function=function.name,
            version=route.version,
            outcome="throttled",
            start="",
            memory_mb=function.settings.memory_mb,
            duration_us=0,
            billed_ms=0,
            architecture=function.settings.architecture,
            asynchronous=request.asynchronous,
            attempt=request.attempt,
        )
        trace = child_of(request.trace, self._env)
        self._observer.finished(Finished(function.scope, request.request_id, trace, started_ms, 0, invoked))


def number_of(name: str, qualifier: str) -> int:
    """The version that a qualifier names. Raises NotFound for what is no number: names for versions are not there yet."""
    if not qualifier:
        return HEAD
    if not qualifier.isascii() or not qualifier.isdigit() or len(qualifier) > 18:
        raise NotFound("function", name, qualifier=qualifier)
    return int(qualifier)


def error_type_of(document: bytes) -> str:
    """What a runtime's error document calls the error; "" when it says nothing that can be read."""
    try:
        found = msgspec.json.decode(document, type=_ErrorDocument).errorType
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return found[:200]


class _ErrorDocument(msgspec.Struct):
    errorType: str = ""


def _share(account: Account, head: Function) -> Share:
    share = account.share(head.name)
    if share.reserved != head.reserved:
        account.reserve(head.name, head.reserved)
        share = account.share(head.name)
    return share
