"""Asynchronous invocations: durable before they are acknowledged, then tried until done, too old, or tried often enough."""

import msgspec

from haneul.base.env import Env
from haneul.base.errors import Failure, NotFound, Throttled, TooLarge
from haneul.base.limits import (
    ASYNC_BACKOFF_MAX_S,
    ASYNC_BACKOFF_S,
    ASYNC_RETRY_WAITS_S,
    FUNCTION_HOPS_MAX,
    PAYLOAD_ASYNC_MAX_BYTES,
    SCAN_MAX_ROWS,
)
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.outbox import Delivery, Target, enqueue
from haneul.storage.store import Store, within

from .invoke import Invoker, Request, number_of
from .records import ASYNC_SETTINGS, FAILURES, AsyncSettings, Failures, function_key, version_key
from .registry import Registry

_DEFAULT = AsyncSettings(modified_ms=0)


class Handed(msgspec.Struct, frozen=True):
    """What became of one attempt. outcome: done | retry | dropped; wait_ms: until the next attempt."""

    outcome: str
    wait_ms: int = 0
    reason: str = ""


class Asynchronous:
    """The sending and the receiving end; what lies between is the outbox, and the delivery engine that empties it."""

    def __init__(self, store: Store, registry: Registry, invoker: Invoker, env: Env, log: Log) -> None:
        self._store = store
        self._registry = registry
        self._invoker = invoker
        self._env = env
        self._log = log

    async def send(self, scope: Scope, name: str, qualifier: str, request: Request) -> None:
        """Returns once the event is durable. Raises NotFound, TooLarge past PAYLOAD_ASYNC_MAX_BYTES."""
        if len(request.payload) > PAYLOAD_ASYNC_MAX_BYTES:
            raise TooLarge("payload", name, "", size_bytes=len(request.payload), size_max_bytes=PAYLOAD_ASYNC_MAX_BYTES)
        await self._registry.get(scope, name, number_of(name, qualifier))
        now_ms = self._env.now_ms()
        row = Delivery(
            id=request.request_id,
            target=Target("function", scope, name, qualifier),
            source="functions",
            format="raw",
            event=request.payload,
            created_ms=now_ms,
            due_ms=now_ms,
            trace=request.trace,
        )
        await self._store.transact(lambda txn: enqueue(txn, row))

    async def deliver(self, row: Delivery, payload: bytes) -> Handed:
        """One attempt at an event, from whatever engine it comes; never raises a Failure.

        A function that fails is tried again after ASYNC_RETRY_WAITS_S; waiting for a free place does not count as trying,
        and goes on, ever more slowly, until the event is too old. An event that functions have passed on to each other
        FUNCTION_HOPS_MAX times goes no further.
        """
        if row.trace.hops >= FUNCTION_HOPS_MAX:
            return await self._drop(row, f"recursive: {row.trace.hops} functions in a row led here")
        scope, name, qualifier = row.target.scope, row.target.name, row.target.qualifier
        settings = await self._settings(scope, name, qualifier)
        if self._env.now_ms() - row.created_ms > settings.age_max_s * 1000:
            return await self._drop(row, f"older than {settings.age_max_s} s")
        request = Request(
            payload=payload,
            request_id=row.id,
            trace=row.trace,
            asynchronous=True,
            attempt=row.attempt + 1,
        )
        try:
            answer = await self._invoker.invoke(scope, name, qualifier, request)
        except NotFound as failure:
            return await self._drop(row, f"{failure.noun} not found")
        except TooLarge as failure:
            return await self._drop(row, str(failure))
        except Throttled as failure:
            if failure.fields.get("limit") == "function" and await self._switched_off(scope, name):
                return await self._drop(row, "its reserved concurrency is 0")
            return Handed("retry", backoff_ms(row.attempt), failure.reason)
        except Failure as failure:
            return Handed("retry", backoff_ms(row.attempt), str(failure))
        if not answer.error:
            await self._settle(row)
            return Handed("done")
        return await self._failed(row, settings, answer.invoked.error_type or answer.error)

    async def set_settings(self, scope: Scope, name: str, number: int, settings: AsyncSettings) -> AsyncSettings:
        """Raises NotFound for the function."""
        await self._registry.get(scope, name, number)
        key = version_key(scope, name, number)
        await self._store.transact(lambda txn: txn.put(ASYNC_SETTINGS, key, settings))
        return settings

    async def get_settings(self, scope: Scope, name: str, number: int) -> AsyncSettings | None:
        """What was set; None when nothing was. Raises NotFound for the function."""
        await self._registry.get(scope, name, number)
        return await self._store.get(ASYNC_SETTINGS, version_key(scope, name, number))

    async def list_settings(self, scope: Scope, name: str) -> list[tuple[int, AsyncSettings]]:
        """What was set for each version, by its number. Raises NotFound for the function."""
        await self._registry.get(scope, name)
        rows = await self._store.scan(ASYNC_SETTINGS, within(function_key(scope, name)), SCAN_MAX_ROWS)
        return [(int(keys.unpack(key, "sssi")[3]), settings) for key, settings in rows]

    async def delete_settings(self, scope: Scope, name: str, number: int) -> None:
        key = version_key(scope, name, number)
        await self._store.transact(lambda txn: txn.delete(ASYNC_SETTINGS, key))

    async def _settings(self, scope: Scope, name: str, qualifier: str) -> AsyncSettings:
        try:
            key = version_key(scope, name, number_of(name, qualifier))
        except NotFound:
            return _DEFAULT
        return await self._store.get(ASYNC_SETTINGS, key) or _DEFAULT

    async def _switched_off(self, scope: Scope, name: str) -> bool:
        try:
            return (await self._registry.get(scope, name)).reserved == 0
        except NotFound:
            return True

    async def _failed(self, row: Delivery, settings: AsyncSettings, error: str) -> Handed:
        key = keys.pack(row.id)
        before = await self._store.get(FAILURES, key) if row.attempt else None
        count = (before.count if before is not None else 0) + 1
        if count > settings.retries:
            return await self._drop(row, error)
        await self._store.transact(lambda txn: txn.put(FAILURES, key, Failures(count)))
        wait_s = ASYNC_RETRY_WAITS_S[min(count, len(ASYNC_RETRY_WAITS_S)) - 1]
        return Handed("retry", int(wait_s * 1000), error)

    async def _drop(self, row: Delivery, reason: str) -> Handed:
        await self._settle(row)
        target = row.target
        self._log.warning(
            "event_dropped", function=target.name, account=target.scope.account, request=row.id, reason=reason
        )
        return Handed("dropped", 0, reason)

    async def _settle(self, row: Delivery) -> None:
        # Before delivery forgets the event, not after: a crash in between costs one attempt too many, but leaves no row.
        if row.attempt:
            await self._store.transact(lambda txn: txn.delete(FAILURES, keys.pack(row.id)))


def backoff_ms(attempt: int) -> int:
    """Between attempts that found no room: 1 s, doubled up to 5 minutes."""
    return int(min(ASYNC_BACKOFF_S * 2 ** min(attempt, 30), ASYNC_BACKOFF_MAX_S) * 1000)
