"""The pool of execution environments: started on demand, used again newest first, frozen, kept a while, reaped to zero."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from haneul.base.env import Env, Timer
from haneul.base.errors import Throttled, Unavailable
from haneul.base.limits import FREEZE_AFTER_S
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.sandbox.api import Instance, Outcome, Sandbox, Spec

from .idle import IdleTimes
from .journal import Journal
from .records import Function

# Timers may fire a hair early; without slack they would be set again for no time at all.
_SLACK_S = 0.001


class Outfit(msgspec.Struct, frozen=True):
    """Everything that a new environment needs. expires_ms: when its credentials do (0: never)."""

    spec: Spec
    journal: Journal
    log_group: str
    log_stream: str
    expires_ms: int


class Fleet:
    """The environments of one build of one version. idle: the one used last is at the end."""

    __slots__ = ("draining", "function", "idle", "idle_since", "idle_times", "size")

    def __init__(self, function: Function, idle_longest_s: float) -> None:
        self.function = function
        self.idle: list[Environment] = []
        self.idle_times = IdleTimes(idle_longest_s)
        self.idle_since: float | None = None
        self.size = 0
        self.draining = False


class Environment:
    """A started environment in its fleet. fresh: it has not run anything yet. chill: the freezing under way, or done."""

    __slots__ = ("chill", "dropped", "fleet", "fresh", "idle_since", "instance", "outfit", "timer")

    def __init__(self, fleet: Fleet, instance: Instance, outfit: Outfit) -> None:
        self.fleet = fleet
        self.instance = instance
        self.outfit = outfit
        self.fresh = True
        self.dropped = False
        self.idle_since = 0.0
        self.chill: asyncio.Task[None] | None = None
        self.timer: Timer | None = None


class Pool:
    """All environments of this node: at most `most` at once, starting, idle and busy together."""

    def __init__(
        self,
        sandbox: Sandbox,
        env: Env,
        log: Log,
        outfit: Callable[[Function], Awaitable[Outfit]],
        *,
        most: int,
        idle_s: float,
    ) -> None:
        self._sandbox = sandbox
        self._env = env
        self._log = log
        self._outfit = outfit
        self._most = most
        self._idle_s = idle_s
        self._count = 0
        # In the order in which they became idle: the first is the one that has been idle longest.
        self._idle: dict[Environment, None] = {}
        self._fleets: dict[tuple[Scope, str, int, str], Fleet] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._busy: set[Environment] = set()
        self._closed = False

    @property
    def count(self) -> int:
        """Environments that exist now, those that are being started included."""
        return self._count

    def fleet(self, function: Function) -> Fleet:
        """The fleet of this build, made when there is none."""
        key = (function.scope, function.name, function.number, function.build)
        fleet = self._fleets.get(key)
        if fleet is None or fleet.function.id != function.id:
            if fleet is not None:
                self.drain(fleet)
            fleet = self._fleets[key] = Fleet(function, self._idle_s)
        return fleet

    def fleets(self, scope: Scope, name: str) -> list[Fleet]:
        """All fleets of a function, of whatever version and build."""
        return [fleet for key, fleet in self._fleets.items() if key[1] == name and key[0] == scope]

    def take(self, fleet: Fleet, needed_until_ms: int) -> Environment | None:
        """The idle environment that was used last, or None. It must be woken when its chill is set, see wake()."""
        while fleet.idle:
            environment = fleet.idle.pop()
            del self._idle[environment]
            expires_ms = environment.outfit.expires_ms
            if not environment.instance.alive or (expires_ms and expires_ms < needed_until_ms):
                self.drop(environment)
                continue
            fleet.idle_times.add(self._env.monotonic() - environment.idle_since)
            self._busy.add(environment)
            return environment
        return None

    async def wake(self, environment: Environment) -> bool:
        """Thaw it; False when it did not survive, and then it is already dropped."""
        if environment.timer is not None:
            environment.timer.cancel()
            environment.timer = None
        try:
            if environment.chill is not None:
                await asyncio.shield(environment.chill)
                environment.chill = None
            await environment.instance.thaw()
        except BaseException as error:
            self.drop(environment)
            if isinstance(error, Exception):
                self._log.warning("environment_did_not_wake", environment=environment.instance.id, error=str(error))
                return False
            raise
        return environment.instance.alive

    async def start(self, fleet: Fleet) -> Environment | tuple[Outcome, Outfit]:
        """A new environment, busy; or how its start failed. Raises Throttled (limit="node") when this node is full."""
        self._check_open(fleet)
        # The one that is evicted is still being stopped while its place is given away: for a moment there is one more.
        if self._count >= self._most and not self._evict():
            raise Throttled("function", fleet.function.name, "no room for another environment", limit="node")
        if fleet.idle_since is not None and not fleet.size:
            fleet.idle_times.add(self._env.monotonic() - fleet.idle_since)
        self._count += 1
        fleet.size += 1
        started: Instance | Outcome | None = None
        try:
            outfit = await self._outfit(fleet.function)
            try:
                started = await self._sandbox.start(outfit.spec, outfit.journal.take)
            except Unavailable:
                # The sandbox has less room than this pool: give up what is idle, and try once more.
                if not self._evict():
                    raise
                await asyncio.gather(*self._stopping, return_exceptions=True)
                started = await self._sandbox.start(outfit.spec, outfit.journal.take)
        finally:
            if started is None or isinstance(started, Outcome):
                self._count -= 1
                fleet.size -= 1
                self._forget_empty(fleet)
        if isinstance(started, Outcome):
            return started, outfit
        environment = Environment(fleet, started, outfit)
        self._busy.add(environment)
        try:
            self._check_open(fleet)
        except Throttled:
            self.drop(environment)
            raise
        return environment

    def give(self, environment: Environment) -> None:
        """Back from an invocation."""
        fleet = environment.fleet
        if fleet.draining or self._closed or not environment.instance.alive:
            self.drop(environment)
            return
        self._busy.discard(environment)
        environment.fresh = False
        environment.idle_since = self._env.monotonic()
        fleet.idle.append(environment)
        self._idle[environment] = None
        if environment.timer is None:
            environment.timer = self._env.call_later(FREEZE_AFTER_S, lambda: self._tick(environment))

    def drop(self, environment: Environment) -> None:
        """Stop one that is not idle (any more); a second time does nothing."""
        if environment.dropped:
            return
        environment.dropped = True
        fleet = environment.fleet
        self._busy.discard(environment)
        if environment.timer is not None:
            environment.timer.cancel()
            environment.timer = None
        environment.outfit.journal.flush()
        fleet.idle_since = self._env.monotonic()
        fleet.size -= 1
        task = self._env.spawn(self._stop(environment), name="stop environment")
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        self._forget_empty(fleet)

    def drain(self, fleet: Fleet) -> None:
        """Stop what is idle now, and what is busy when it comes back."""
        fleet.draining = True
        while fleet.idle:
            environment = fleet.idle.pop()
            del self._idle[environment]
            self.drop(environment)
        self._forget_empty(fleet)

    async def close(self) -> None:
        """Stop everything; what is running is cut off."""
        self._closed = True
        for fleet in list(self._fleets.values()):
            self.drain(fleet)
        for environment in list(self._busy):
            self.drop(environment)
        while self._stopping:
            await asyncio.gather(*self._stopping, return_exceptions=True)

    def _tick(self, environment: Environment) -> None:
        """One timer per environment, set again only while it is idle, so that a busy one costs no timer at all."""
        environment.timer = None
        if environment not in self._idle:
            return
        idle_s = self._env.monotonic() - environment.idle_since
        if environment.chill is None and idle_s < FREEZE_AFTER_S - _SLACK_S:
            again_s = FREEZE_AFTER_S - idle_s
        else:
            if environment.chill is None:
                environment.chill = self._env.spawn(environment.instance.freeze(), name="freeze")
            again_s = environment.fleet.idle_times.keep_s() - idle_s
            if again_s <= _SLACK_S:
                self._retire(environment)
                return
        environment.timer = self._env.call_later(again_s, lambda: self._tick(environment))

    def _check_open(self, fleet: Fleet) -> None:
        if self._closed:
            raise Throttled("function", fleet.function.name, "the service is stopping", limit="node")

    def _evict(self) -> bool:
        for environment in self._idle:
            self._retire(environment)
            return True
        return False

    def _retire(self, environment: Environment) -> None:
        del self._idle[environment]
        environment.fleet.idle.remove(environment)
        self.drop(environment)

    async def _stop(self, environment: Environment) -> None:
        try:
            await environment.instance.stop()
        finally:
            self._count -= 1

    def _forget_empty(self, fleet: Fleet) -> None:
        # Its histogram goes with a fleet that is drained; one that is merely idle keeps it for the next start.
        function = fleet.function
        key = (function.scope, function.name, function.number, function.build)
        if fleet.draining and not fleet.size and self._fleets.get(key) is fleet:
            del self._fleets[key]
