"""The register of functions: made, read, changed, published, listed, deleted; what is often read is kept in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import msgspec

from haneul.base import ids
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, Conflict, Invalid, LimitExceeded, NotFound, PreconditionFailed
from haneul.base.limits import (
    CONCURRENCY_UNRESERVED_MIN,
    FUNCTION_TAGS_MAX,
    FUNCTIONS_CACHED_MAX,
    SCAN_MAX_ROWS,
    SETTLE_WAIT_S,
)
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Space, Store, Txn, within

from .packages import Packages
from .records import (
    ACTIVE,
    ASYNC_SETTINGS,
    FAILED,
    FUNCTIONS,
    HEAD,
    IN_PROGRESS,
    PENDING,
    POLICIES,
    SUCCESSFUL,
    UNSUCCESSFUL,
    VERSIONS,
    Code,
    Function,
    Settings,
    function_key,
    scope_key,
    version_key,
)


class Usage(msgspec.Struct, frozen=True):
    """What an account uses in a region. code_bytes: archives of all versions; reserved: concurrency."""

    functions: int
    code_bytes: int
    reserved: int


Change = Callable[[Settings], Settings]


class Registry:
    """Every method takes the scope first. Functions are named plainly, versions by number (HEAD is the changeable one).

    settle(function) is awaited in the background for each function that is pending or being updated, before it turns
    active; it returns (why it failed or "", why it has no snapshot or ""). changed(scope, name) is called, on the
    loop, after each committed change of code, settings or reservation, and after deletion.
    """

    def __init__(
        self,
        store: Store,
        packages: Packages,
        env: Env,
        *,
        concurrency_max: int,
        settle: Callable[[Function], Awaitable[tuple[str, str]]],
        changed: Callable[[Scope, str], None],
    ) -> None:
        self._store = store
        self._packages = packages
        self._env = env
        self._concurrency_max = concurrency_max
        self._settle = settle
        self._changed = changed
        self._cache: dict[tuple[Scope, str, int], Function] = {}
        self._generation = 0
        self._settling: dict[tuple[Scope, str, int], asyncio.Task[None]] = {}

    @property
    def version(self) -> int:
        """Rises after every committed change of any function, its permissions included."""
        return self._generation

    async def create(
        self,
        scope: Scope,
        name: str,
        chunks: AsyncIterable[bytes],
        settings: Settings,
        *,
        tags: dict[str, str],
        publish: bool = False,
    ) -> Function:
        """A new function, pending until its code is ready. Raises AlreadyExists, and what Packages.put raises."""
        key = function_key(scope, name)
        _check_tags(tags)
        if await self._store.get(FUNCTIONS, key) is not None:
            raise AlreadyExists("function", name)
        code = await self._packages.put(chunks)
        now_ms = self._env.now_ms()
        function = Function(
            scope=scope,
            name=name,
            id=ids.hex_id(self._env, 16),
            code=code,
            settings=settings,
            build=ids.hex_id(self._env, 8),
            revision=ids.uuid(self._env),
            created_ms=now_ms,
            modified_ms=now_ms,
            tags=tags,
            versions_made=1 if publish else 0,
        )
        version = self._version_of(function, 1) if publish else None

        def write(txn: Txn) -> None:
            if txn.get(FUNCTIONS, key) is not None:
                raise AlreadyExists("function", name)
            txn.put(FUNCTIONS, key, function)
            if version is not None:
                txn.put(VERSIONS, version_key(scope, name, 1), version)

        await self._store.transact(write, keys=[(FUNCTIONS, key)])
        self._committed(scope, name)
        self._begin_settling(function)
        if version is not None:
            self._begin_settling(version)
            return msgspec.structs.replace(version, state=PENDING, update=SUCCESSFUL)
        return function

    async def get(self, scope: Scope, name: str, number: int = HEAD) -> Function:
        """The version as it is now. Raises NotFound with the fields name and number."""
        if (cached := self._cache.get((scope, name, number))) is not None:
            return cached
        generation = self._generation
        if number == HEAD:
            function = await self._store.get(FUNCTIONS, function_key(scope, name))
        else:
            function = await self._store.get(VERSIONS, version_key(scope, name, number))
        if function is None:
            raise NotFound("function", name, number=number)
        if function.state == PENDING or function.update == IN_PROGRESS:
            # Also after a restart in the middle of it: whoever looks first takes it up again.
            self._begin_settling(function)
        elif generation == self._generation:
            if len(self._cache) >= FUNCTIONS_CACHED_MAX:
                self._cache.clear()
            self._cache[scope, name, number] = function
        return function

    def cached(self, scope: Scope, name: str, number: int) -> Function | None:
        """The version when it is in memory (it is settled then)."""
        return self._cache.get((scope, name, number))

    async def settled(self, scope: Scope, name: str, number: int = HEAD) -> Function:
        """The same once it is neither pending nor being updated. Raises NotFound."""
        function = await self.get(scope, name, number)
        while (task := self._settling.get((scope, name, number))) is not None:
            await asyncio.shield(task)
            function = await self.get(scope, name, number)
        return function

    async def look(self, scope: Scope, name: str, number: int = HEAD) -> Function:
        """The version as it is SETTLE_WAIT_S from now at the latest: settling is mostly done before that, and who asks
        for a state would otherwise ask again only after a second or five. Raises NotFound."""
        function = await self.get(scope, name, number)
        if (task := self._settling.get((scope, name, number))) is not None:
            with contextlib.suppress(TimeoutError):
                await self._env.within(SETTLE_WAIT_S, asyncio.shield(task))
            return await self.get(scope, name, number)
        return function

    async def update_code(
        self,
        scope: Scope,
        name: str,
        chunks: AsyncIterable[bytes],
        *,
        architecture: str = "",
        revision: str = "",
        publish: bool = False,
        dry_run: bool = False,
    ) -> Function:
        """New code for the head. Raises NotFound, PreconditionFailed when revision is another, what Packages.put raises."""
        head = await self.settled(scope, name)
        _check_revision(head, revision)
        code = await self._packages.put(chunks)

        def change(settings: Settings) -> Settings:
            return msgspec.structs.replace(settings, architecture=architecture or settings.architecture)

        if dry_run:
            return msgspec.structs.replace(head, code=code, settings=change(head.settings))
        updated = await self._update(scope, name, change, code, revision)
        return await self.publish(scope, name) if publish else updated

    async def update_settings(self, scope: Scope, name: str, change: Change, *, revision: str = "") -> Function:
        """New settings for the head: change is a plain function, and may raise. Raises NotFound, PreconditionFailed."""
        await self.settled(scope, name)
        return await self._update(scope, name, change, None, revision)

    async def publish(
        self, scope: Scope, name: str, *, description: str | None = None, sha256: str = "", revision: str = ""
    ) -> Function:
        """A version that never changes; the newest one again when nothing has changed since.

        Raises NotFound, PreconditionFailed for another revision, Invalid (cause="sha256") when the code is another.
        """
        head = await self.settled(scope, name)
        key = function_key(scope, name)
        newest = version_key(scope, name, head.versions_made)
        next_revision = ids.uuid(self._env)

        def write(txn: Txn) -> Function | None:
            current = txn.get(FUNCTIONS, key)
            if current is None:
                raise NotFound("function", name, number=HEAD)
            _check_revision(current, revision)
            if sha256 and sha256 != current.code.sha256:
                raise Invalid("code", name, "", cause="sha256", given=sha256, current=current.code.sha256)
            if current.versions_made != head.versions_made:
                return None
            if (last := txn.get(VERSIONS, newest)) is not None and last.build == current.build:
                return last
            number = current.versions_made + 1
            settings = current.settings
            if description is not None:
                settings = msgspec.structs.replace(settings, description=description)
            version = self._version_of(msgspec.structs.replace(current, settings=settings), number)
            txn.put(VERSIONS, version_key(scope, name, number), version)
            txn.put(FUNCTIONS, key, msgspec.structs.replace(current, versions_made=number, revision=next_revision))
            return version

        version = await self._store.transact(write, keys=[(FUNCTIONS, key), (VERSIONS, newest)])
        self._committed(scope, name)
        if version is None:
            raise Conflict("function", name, "another version is being published")
        self._begin_settling(version)
        return version

    async def delete(self, scope: Scope, name: str) -> None:
        """The function with its versions, permissions and settings. Raises NotFound."""
        await self.settled(scope, name)
        key = function_key(scope, name)
        owned: tuple[Space[Any], ...] = (VERSIONS, POLICIES, ASYNC_SETTINGS)

        def write(txn: Txn) -> None:
            if txn.get(FUNCTIONS, key) is None:
                raise NotFound("function", name, number=HEAD)
            txn.delete(FUNCTIONS, key)
            for space in owned:
                while rows := txn.scan(space, within(key), SCAN_MAX_ROWS):
                    for row, _ in rows:
                        txn.delete(space, row)

        await self._store.transact(write, keys=[(FUNCTIONS, key)], scans=owned)
        self._committed(scope, name)

    async def delete_version(self, scope: Scope, name: str, number: int) -> None:
        """One published version; that there is none is no error. Raises NotFound for the function."""
        await self.settled(scope, name)
        row = version_key(scope, name, number)

        def write(txn: Txn) -> None:
            for space in (VERSIONS, POLICIES, ASYNC_SETTINGS):
                txn.delete(space, row)

        await self._store.transact(write)
        self._committed(scope, name)

    async def list_functions(self, scope: Scope, after: str, limit: int) -> list[Function]:
        """Heads by name, from the first behind `after`."""
        start = function_key(scope, after) + b"\0" if after else scope_key(scope)
        end = keys.after(scope_key(scope))
        return [row for _, row in await self._store.scan(FUNCTIONS, Range(start, end), limit)]

    async def list_versions(self, scope: Scope, name: str, after: int, limit: int) -> list[Function]:
        """The head, then what was published, oldest first; after: the number to go on behind, -1 for the beginning."""
        head = await self.get(scope, name)
        found = [head] if after < HEAD else []
        if len(found) < limit:
            start = version_key(scope, name, max(after, HEAD)) + b"\0"
            end = keys.after(function_key(scope, name))
            rows = await self._store.scan(VERSIONS, Range(start, end), limit - len(found))
            found += [row for _, row in rows]
        return found

    async def tag(self, scope: Scope, name: str, tags: dict[str, str]) -> None:
        """Add or replace tags. Raises NotFound, Invalid past FUNCTION_TAGS_MAX."""
        await self.amend(scope, name, lambda head: _with_tags(head, {**head.tags, **tags}))

    async def untag(self, scope: Scope, name: str, names: list[str]) -> None:
        kept = set(names)
        await self.amend(
            scope, name, lambda head: _with_tags(head, {k: v for k, v in head.tags.items() if k not in kept})
        )

    async def reserve(self, scope: Scope, name: str, amount: int | None) -> None:
        """Keep concurrency for a function alone (None: no longer). Raises NotFound, LimitExceeded."""
        await self.settled(scope, name)
        key = function_key(scope, name)

        def write(txn: Txn) -> None:
            head = txn.get(FUNCTIONS, key)
            if head is None:
                raise NotFound("function", name, number=HEAD)
            if amount is not None:
                others = txn.scan(FUNCTIONS, within(scope_key(scope)), SCAN_MAX_ROWS)
                reserved = sum(other.reserved or 0 for _, other in others if other.name != name)
                if self._concurrency_max - reserved - amount < CONCURRENCY_UNRESERVED_MIN:
                    raise LimitExceeded(
                        "concurrency", name, f"fewer than {CONCURRENCY_UNRESERVED_MIN} would be left unreserved"
                    )
            txn.put(FUNCTIONS, key, msgspec.structs.replace(head, reserved=amount))

        await self._store.transact(write, keys=[(FUNCTIONS, key)], scans=[FUNCTIONS])
        self._committed(scope, name)

    async def amend(self, scope: Scope, name: str, change: Callable[[Function], Function]) -> Function:
        """Change the head in what is neither code nor settings; change is plain and may raise. Raises NotFound."""
        await self.settled(scope, name)
        key = function_key(scope, name)

        def write(txn: Txn) -> Function:
            head = txn.get(FUNCTIONS, key)
            if head is None:
                raise NotFound("function", name, number=HEAD)
            changed = change(head)
            txn.put(FUNCTIONS, key, changed)
            return changed

        changed = await self._store.transact(write, keys=[(FUNCTIONS, key)])
        self._committed(scope, name)
        return changed

    async def reservations(self, scope: Scope) -> dict[str, int]:
        """Reserved concurrency by function name."""
        found: dict[str, int] = {}
        after = ""
        while page := await self.list_functions(scope, after, SCAN_MAX_ROWS):
            found |= {head.name: head.reserved for head in page if head.reserved is not None}
            after = page[-1].name
        return found

    async def usage(self, scope: Scope) -> Usage:
        functions = code_bytes = reserved = 0
        for space in (FUNCTIONS, VERSIONS):
            start, end = scope_key(scope), keys.after(scope_key(scope))
            while rows := await self._store.scan(space, Range(start, end), SCAN_MAX_ROWS):
                code_bytes += sum(row.code.size_bytes for _, row in rows)
                functions += len(rows) if space is FUNCTIONS else 0
                reserved += sum(row.reserved or 0 for _, row in rows)
                start = rows[-1][0] + b"\0"
        return Usage(functions, code_bytes, reserved)

    async def codes_in_use(self) -> set[str]:
        """The sha256 of every package that some version of some account refers to."""
        found: set[str] = set()
        for space in (FUNCTIONS, VERSIONS):
            start = b""
            while rows := await self._store.scan(space, Range(start), SCAN_MAX_ROWS):
                found |= {row.code.sha256 for _, row in rows}
                start = rows[-1][0] + b"\0"
        return found

    def forget(self, scope: Scope, name: str) -> None:
        """Drop what is in memory of it: somebody changed its records."""
        self._committed(scope, name)

    async def _update(self, scope: Scope, name: str, change: Change, code: Code | None, revision: str) -> Function:
        key = function_key(scope, name)
        fresh = {"build": ids.hex_id(self._env, 8), "revision": ids.uuid(self._env), "modified_ms": self._env.now_ms()}

        def write(txn: Txn) -> Function:
            head = txn.get(FUNCTIONS, key)
            if head is None:
                raise NotFound("function", name, number=HEAD)
            _check_revision(head, revision)
            updated = msgspec.structs.replace(
                head, settings=change(head.settings), code=code or head.code, update=IN_PROGRESS, **fresh
            )
            txn.put(FUNCTIONS, key, updated)
            return updated

        updated = await self._store.transact(write, keys=[(FUNCTIONS, key)])
        self._committed(scope, name)
        self._begin_settling(updated)
        return updated

    def _version_of(self, head: Function, number: int) -> Function:
        # Only a version that is to start from a snapshot has to wait for it; the others are ready as they are.
        waits = head.settings.snapshot or head.state == PENDING
        return msgspec.structs.replace(
            head,
            number=number,
            revision=ids.uuid(self._env),
            modified_ms=self._env.now_ms(),
            state=PENDING if waits else ACTIVE,
            update=SUCCESSFUL,
            tags={},
            reserved=None,
            versions_made=0,
        )

    def _begin_settling(self, function: Function) -> None:
        key = (function.scope, function.name, function.number)
        if key in self._settling or (function.state != PENDING and function.update != IN_PROGRESS):
            return
        self._settling[key] = self._env.spawn(self._settle_and_leave(function, key), name="settle")

    async def _settle_and_leave(self, function: Function, key: tuple[Scope, str, int]) -> None:
        # It leaves before it is done, not after: whoever waits for it would otherwise find it again, and not wait.
        try:
            await self._settle_one(function)
        finally:
            del self._settling[key]

    async def _settle_one(self, function: Function) -> None:
        failed, no_snapshot = await self._settle(function)
        scope, name, number = function.scope, function.name, function.number
        space = FUNCTIONS if number == HEAD else VERSIONS
        key = function_key(scope, name) if number == HEAD else version_key(scope, name, number)
        revision = ids.uuid(self._env)

        def write(txn: Txn) -> None:
            current = txn.get(space, key)
            if current is None or current.id != function.id or current.build != function.build:
                return
            ready = msgspec.structs.replace(
                current,
                state=FAILED if failed else ACTIVE,
                state_reason=failed,
                update=UNSUCCESSFUL if failed else SUCCESSFUL,
                revision=revision,
                snapshot_reason=no_snapshot,
            )
            txn.put(space, key, ready)

        await self._store.transact(write, keys=[(space, key)])
        self._generation += 1

    def _committed(self, scope: Scope, name: str) -> None:
        self._generation += 1
        for key in [key for key in self._cache if key[1] == name and key[0] == scope]:
            del self._cache[key]
        self._changed(scope, name)


def _check_revision(function: Function, revision: str) -> None:
    if revision and revision != function.revision:
        raise PreconditionFailed("function", function.name, "its revision is another one", cause="revision")


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > FUNCTION_TAGS_MAX:
        raise Invalid("tags", "", f"more than {FUNCTION_TAGS_MAX}", cause="tags")


def _with_tags(head: Function, tags: dict[str, str]) -> Function:
    _check_tags(tags)
    return msgspec.structs.replace(head, tags=tags)
