"""Buckets: made, listed, described by documents that faces record, subscribed to, removed."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from haneul.base.limits import BUCKETS_KNOWN_MAX, BUCKETS_MAX, LIST_CHUNK_MAX_ROWS, SUBSCRIPTIONS_MAX
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Store, Txn, within

from .bodies import Bodies
from .conditions import check_bucket
from .events import check_subscriptions
from .records import (
    BUCKETS,
    LAYOUTS,
    OBJECTS,
    OWNED,
    PARTS,
    UPLOADS,
    Bucket,
    Owned,
    Subscription,
    bucket_key,
    owned_key,
)


class Buckets:
    """The buckets of every account; names are unique over all of them. Reached as ObjectsEngine.buckets."""

    def __init__(self, store: Store, bodies: Bodies, env: Env) -> None:
        self._store = store
        self._bodies = bodies
        self._env = env
        self.version = 0
        self._known: dict[str, Bucket] = {}
        store.on_change(BUCKETS, self._changed)

    def _changed(self) -> None:
        """What was concluded from any bucket's settings may no longer hold: version rises."""
        self.version += 1
        self._known.clear()

    async def find(self, name: str) -> Bucket | None:
        """The bucket, whoever owns it: for those who decide who may see it."""
        known = self._known.get(name)
        if known is not None:
            return known
        version = self.version
        found = await self._store.get(BUCKETS, bucket_key(name))
        if found is not None and version == self.version:
            if len(self._known) >= BUCKETS_KNOWN_MAX:
                self._known.clear()
            self._known[name] = found
        return found

    async def create(self, scope: Scope, name: str, *, settings: dict[str, bytes]) -> Bucket:
        """A new bucket in the scope's region. Raises AlreadyExists (fields: owned, region), LimitExceeded."""
        made = Bucket(name, scope.account, scope.region, self._env.now_ms(), settings=settings)

        def work(txn: Txn) -> None:
            held = txn.get(BUCKETS, bucket_key(name))
            if held is not None:
                raise AlreadyExists("bucket", name, owned=held.account == scope.account, region=held.region)
            if len(txn.scan(OWNED, within(keys.pack(scope.account)), BUCKETS_MAX)) >= BUCKETS_MAX:
                raise LimitExceeded("bucket", name, f"an account has at most {BUCKETS_MAX}")
            txn.put(BUCKETS, bucket_key(name), made)
            txn.put(OWNED, owned_key(scope.account, name), Owned(scope.region, made.created_ms))

        await self._store.transact(work, keys=[(BUCKETS, bucket_key(name))], scans=[OWNED])
        return made

    async def get(self, scope: Scope, name: str) -> Bucket:
        """Raises NotFound, Denied."""
        return check_bucket(await self.find(name), scope, name)

    async def list(self, scope: Scope, *, prefix: str = "", after: str = "", limit: int) -> list[tuple[str, Owned]]:
        """The account's buckets of all regions in the order of their names, behind `after`."""
        lowest = keys.prefix(scope.account, text=prefix)
        start = max(lowest, owned_key(scope.account, after) + b"\0") if after else lowest
        rows = await self._store.scan(OWNED, Range(start, keys.after(lowest)), limit)
        return [(str(keys.unpack(key, "ss")[1]), owned) for key, owned in rows]

    async def delete(self, scope: Scope, name: str) -> None:
        """Remove an empty bucket and the uploads that never ended. Raises NotFound, Denied, Conflict when it holds objects."""
        inside = within(keys.pack(name))

        def work(txn: Txn) -> tuple[bool, Sequence[str]]:
            held = check_bucket(txn.get(BUCKETS, bucket_key(name)), scope, name)
            if txn.scan(OBJECTS, inside, 1):
                raise Conflict("bucket", name, "it is not empty")
            freed: list[str] = []
            for key, upload in txn.scan(UPLOADS, inside, 1):
                parts = txn.scan(PARTS, within(keys.pack(upload.id)), LIST_CHUNK_MAX_ROWS)
                for part_row, part in parts:
                    freed.extend(self._bodies.remove(txn, part.body))
                    txn.delete(PARTS, part_row)
                if len(parts) < LIST_CHUNK_MAX_ROWS:
                    txn.delete(UPLOADS, key)
                return True, freed
            txn.delete(BUCKETS, bucket_key(name))
            txn.delete(OWNED, owned_key(held.account, name))
            return False, freed

        more = True
        while more:
            more, freed = await self._store.transact(
                work, keys=[(BUCKETS, bucket_key(name))], scans=[OBJECTS, UPLOADS, PARTS, LAYOUTS]
            )
            self._bodies.release(freed)

    async def names_of(self, account: str | None) -> Sequence[str]:
        """Some of the buckets of an account, or of all."""
        rows = await self._store.scan(OWNED, within(keys.pack(account) if account else b""), LIST_CHUNK_MAX_ROWS)
        return [str(keys.unpack(key, "ss")[1]) for key, _ in rows]

    async def wipe(self, name: str) -> None:
        """Remove a bucket with everything in it."""
        inside = within(keys.pack(name))

        def work(txn: Txn) -> tuple[bool, Sequence[str]]:
            freed: list[str] = []
            found = txn.scan(OBJECTS, inside, LIST_CHUNK_MAX_ROWS)
            for key, gone in found:
                freed.extend(self._bodies.remove(txn, gone.body))
                txn.delete(OBJECTS, key)
            return bool(found), freed

        more = True
        while more:
            more, freed = await self._store.transact(work, scans=[OBJECTS, LAYOUTS])
            self._bodies.release(freed)
        held = await self._store.get(BUCKETS, bucket_key(name))
        if held is not None:
            await self.delete(Scope(held.account, held.region), name)

    async def get_setting(self, scope: Scope, name: str, setting: str) -> bytes:
        """A document that a face recorded. Raises NotFound("setting", its name) when there is none."""
        found = (await self.get(scope, name)).settings.get(setting)
        if found is None:
            raise NotFound("setting", setting, bucket=name)
        return found

    async def put_setting(
        self, scope: Scope, name: str, setting: str, document: bytes, *, shared: bool | None = None
    ) -> None:
        """Record a document. shared: whether it lets other accounts in (see Bucket), None when it says nothing of them."""

        def change(held: Bucket) -> Bucket:
            settings = {**held.settings, setting: document}
            return replace(held, settings=settings, shared=held.shared if shared is None else shared)

        await self._update(scope, name, change)

    async def delete_setting(self, scope: Scope, name: str, setting: str, *, shared: bool | None = None) -> None:
        """Forget a document; nothing happens when there is none."""

        def change(held: Bucket) -> Bucket:
            settings = {key: document for key, document in held.settings.items() if key != setting}
            return replace(held, settings=settings, shared=held.shared if shared is None else shared)

        await self._update(scope, name, change)

    async def subscribe(self, scope: Scope, name: str, subscriptions: tuple[Subscription, ...]) -> None:
        """Set who is told of changes, in place of those before. Raises Invalid when two of them overlap, LimitExceeded."""
        if len(subscriptions) > SUBSCRIPTIONS_MAX:
            raise LimitExceeded("subscription", name, f"a bucket has at most {SUBSCRIPTIONS_MAX}")
        check_subscriptions(subscriptions)
        await self._update(scope, name, lambda held: replace(held, subscriptions=subscriptions))

    async def _update(self, scope: Scope, name: str, change: Callable[[Bucket], Bucket]) -> None:
        key = bucket_key(name)

        def work(txn: Txn) -> None:
            txn.put(BUCKETS, key, change(check_bucket(txn.get(BUCKETS, key), scope, name)))

        await self._store.transact(work, keys=[(BUCKETS, key)])
