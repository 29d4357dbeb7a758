"""ObjectsEngine: put, read, copy, tag, list and delete objects; buckets and uploads hang below it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from haneul.base.env import Env
from haneul.base.errors import Failure, NotFound, PreconditionFailed, Unavailable
from haneul.base.limits import BLOB_INLINE_MAX_BYTES, READ_ATTEMPTS_MAX
from haneul.base.scope import Scope
from haneul.storage.blobs import Blobs
from haneul.storage.outbox import OUTBOX
from haneul.storage.store import Store, Txn

from .bodies import Arrival, Bodies, Content, Source, check_digests
from .buckets import Buckets
from .conditions import NO_CONDITIONS, Conditions, check_bucket, check_read, check_write
from .events import (
    CREATED_COPY,
    CREATED_PUT,
    REMOVED,
    TAGGED,
    UNTAGGED,
    Origin,
    Sequencer,
    enqueue_events,
    forget_events,
)
from .listing import Page, behind, list_page
from .records import BUCKETS, LAYOUTS, OBJECTS, UNVERSIONED, Body, Description, Object, Part, bucket_key, object_key
from .uploads import Uploads

NO_CLAIMS: Callable[[], Mapping[str, str]] = dict


class Reading(msgspec.Struct, frozen=True):
    """An object and the part of its body that was asked for. fresh: the reader has it already, nothing was read."""

    object: Object
    start: int
    end: int
    content: Content
    fresh: bool = False


class Removal(msgspec.Struct, frozen=True):
    """One key of a deletion of many: what kept it from being deleted, if anything."""

    key: str
    failure: Failure | None = None


class ObjectsEngine:
    """Buckets and objects of all accounts.

    blobs must be this engine's own: start() removes those that no row of it refers to.
    """

    def __init__(self, store: Store, blobs: Blobs, env: Env) -> None:
        self._store = store
        self._env = env
        self._sequencer = Sequencer(env)
        self._bodies = Bodies(store, blobs, env)
        self.buckets = Buckets(store, self._bodies, env)
        self.uploads = Uploads(store, self._bodies, env, self._sequencer)
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Clear away, in the background, what a crash may have left behind."""
        self._sweeping = self._env.spawn(self._sweep(), name="objects: sweep blobs")

    async def _sweep(self) -> None:
        with contextlib.suppress(Unavailable):  # the store closed meanwhile: the next start sweeps again
            await self._bodies.sweep()

    async def stop(self) -> None:
        """Remove what is due; requests have ended before."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._bodies.close()

    async def reset(self, account: str | None) -> None:
        """Forget the buckets of an account, or (None) everything, with all that is in them, and events that wait for it."""
        await self._store.transact(lambda txn: forget_events(txn, account), scans=[OUTBOX])
        while names := await self.buckets.names_of(account):
            for name in names:
                await self.buckets.wipe(name)

    async def put(
        self,
        scope: Scope,
        bucket: str,
        key: str,
        source: Source,
        description: Description,
        origin: Origin,
        *,
        algorithm: str,
        claims: Callable[[], Mapping[str, str]] = NO_CLAIMS,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Object:
        """Store an object; durable on return.

        algorithm: of the checksum to keep beside the MD5. claims: asked when the body has been read, the digests
        (hexadecimal, by algorithm: md5 or `algorithm`) that it must have. Raises NotFound, Denied, PreconditionFailed,
        Invalid("digest"), TooLarge.
        """
        length = source.length
        if length is None or length >= BLOB_INLINE_MAX_BYTES:
            await self._check_before(scope, bucket, key, conditions)
        arrival = await self._bodies.take(source, ("md5", algorithm))
        return await self._commit(
            scope, bucket, key, arrival, description, origin, CREATED_PUT, algorithm, claims, conditions
        )

    async def _check_before(self, scope: Scope, bucket: str, key: str, conditions: Conditions) -> None:
        """Refuse a big body before it has been sent; the transaction checks again."""
        await self.buckets.get(scope, bucket)
        if conditions is not NO_CONDITIONS:
            check_write(conditions, await self._store.get(OBJECTS, object_key(bucket, key)), key)

    async def _commit(
        self,
        scope: Scope,
        bucket: str,
        key: str,
        arrival: Arrival,
        description: Description,
        origin: Origin,
        kind: str,
        algorithm: str,
        claims: Callable[[], Mapping[str, str]],
        conditions: Conditions,
    ) -> Object:
        """The one transaction of a put or a copy: rows of the new body, of the object and of its events; old rows go."""
        held_key, row_key = bucket_key(bucket), object_key(bucket, key)

        def work(txn: Txn) -> tuple[Object, list[str]]:
            held = check_bucket(txn.get(BUCKETS, held_key), scope, bucket)
            before = txn.get(OBJECTS, row_key)
            if conditions is not NO_CONDITIONS:
                check_write(conditions, before, key)
            sequence = self._sequencer.next()
            made = Object(
                version=UNVERSIONED,
                etag=taken.digests["md5"],
                body=taken.body,
                modified_ms=self._env.now_ms(),
                sequence=sequence,
                digests={algorithm: taken.digests[algorithm]},
                composite=False,
                parts=0,
                description=description,
            )
            freed = self._bodies.remove(txn, before.body) if before is not None else []
            self._bodies.write(txn, taken, bucket)
            txn.put(OBJECTS, row_key, made)
            if held.subscriptions:
                enqueue_events(txn, self._env, held, kind, key, made, sequence, origin)
            return made, freed

        with arrival as taken:
            check_digests(claims(), taken.digests)
            made, freed = await self._store.transact(
                work, keys=((BUCKETS, held_key), (OBJECTS, row_key)), scans=(LAYOUTS,)
            )
        if freed:
            self._bodies.release(freed)
        return made

    async def get(self, scope: Scope, bucket: str, key: str) -> Object:
        """What is known of an object. Raises NotFound("bucket" or "object"), Denied."""
        await self.buckets.get(scope, bucket)
        found = await self._store.get(OBJECTS, object_key(bucket, key))
        if found is None:
            raise NotFound("object", key, bucket=bucket)
        return found

    async def look(
        self, scope: Scope, bucket: str, key: str, *, conditions: Conditions = NO_CONDITIONS
    ) -> tuple[Object, bool]:
        """An object without its body, and whether the reader needs it. Raises NotFound, Denied, PreconditionFailed."""
        found = await self.get(scope, bucket, key)
        return found, check_read(conditions, found)

    async def read(
        self,
        scope: Scope,
        bucket: str,
        key: str,
        select: Callable[[Object], tuple[int, int]] | None = None,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Reading:
        """An object with its body, or the part of it (start, end excluded) that `select` picks.

        Raises NotFound, Denied, PreconditionFailed, and what `select` raises.
        """
        for _ in range(READ_ATTEMPTS_MAX):
            found = await self.get(scope, bucket, key)
            if not check_read(conditions, found):
                return Reading(found, 0, 0, b"", fresh=True)
            start, end = select(found) if select is not None else (0, found.body.size_bytes)
            try:
                return Reading(found, start, end, await self._bodies.open(found.body, start, end))
            except NotFound as error:
                # The object was replaced between the reading of its row and of its body: read the new one.
                if error.noun != "body":
                    raise
        raise NotFound("object", key, bucket=bucket)

    async def parts(self, found: Object) -> tuple[Part, ...]:
        """The parts that an object was uploaded in; none when it came as a whole. Raises NotFound("body") when it is gone."""
        return (await self._bodies.layout(found.body.id)).parts if found.parts else ()

    async def copy(
        self,
        scope: Scope,
        from_bucket: str,
        from_key: str,
        bucket: str,
        key: str,
        describe: Callable[[Object], Description],
        origin: Origin,
        *,
        algorithm: str | None = None,
        source_conditions: Conditions = NO_CONDITIONS,
        conditions: Conditions = NO_CONDITIONS,
    ) -> tuple[Object, Object]:
        """Make an object of another one's bytes: (the source, the copy). describe: the source → what the copy says of itself.

        algorithm: of the copy's checksum; None keeps the source's. Raises as get() and put() do.
        """
        source = await self._readable(scope, from_bucket, from_key, source_conditions)
        await self._check_before(scope, bucket, key, conditions)
        kept = algorithm or next(iter(source.digests))
        arrival = await self._bodies.take(_Copied(self._bodies, source.body, 0, source.body.size_bytes), ("md5", kept))
        made = await self._commit(
            scope, bucket, key, arrival, describe(source), origin, CREATED_COPY, kept, NO_CLAIMS, conditions
        )
        return source, made

    async def copy_part(
        self,
        scope: Scope,
        from_bucket: str,
        from_key: str,
        bucket: str,
        key: str,
        upload: str,
        number: int,
        select: Callable[[Object], tuple[int, int]],
        *,
        source_conditions: Conditions = NO_CONDITIONS,
    ) -> Part:
        """Make a part of a multipart upload of another object's bytes. Raises as read() and uploads.put_part() do."""
        source = await self._readable(scope, from_bucket, from_key, source_conditions)
        start, end = select(source)
        copied = _Copied(self._bodies, source.body, start, end)
        return await self.uploads.put_part(scope, bucket, key, upload, number, copied)

    async def _readable(self, scope: Scope, bucket: str, key: str, conditions: Conditions) -> Object:
        found = await self.get(scope, bucket, key)
        if not check_read(conditions, found):
            raise PreconditionFailed("object", key, "it has not changed", condition="If-None-Match")
        return found

    async def set_tags(self, scope: Scope, bucket: str, key: str, tags: Mapping[str, str], origin: Origin) -> Object:
        """Replace the tags of an object; none removes them. Raises NotFound, Denied."""
        held_key, row_key = bucket_key(bucket), object_key(bucket, key)

        def work(txn: Txn) -> Object:
            held = check_bucket(txn.get(BUCKETS, held_key), scope, bucket)
            found = txn.get(OBJECTS, row_key)
            if found is None:
                raise NotFound("object", key, bucket=bucket)
            sequence = self._sequencer.next()
            made = replace(found, sequence=sequence, description=replace(found.description, tags=dict(tags)))
            txn.put(OBJECTS, row_key, made)
            enqueue_events(txn, self._env, held, TAGGED if tags else UNTAGGED, key, made, sequence, origin)
            return made

        return await self._store.transact(work, keys=((BUCKETS, held_key), (OBJECTS, row_key)))

    async def delete(
        self, scope: Scope, bucket: str, key: str, origin: Origin, *, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Remove an object; nothing happens when there is none. Raises NotFound("bucket"), Denied, PreconditionFailed."""
        (removal,) = await self.delete_many(scope, bucket, [(key, conditions)], origin)
        if removal.failure is not None:
            raise removal.failure

    async def delete_many(
        self, scope: Scope, bucket: str, wanted: Sequence[tuple[str, Conditions]], origin: Origin
    ) -> list[Removal]:
        """Remove objects in one transaction; a key whose condition does not hold stays and is named in the answer."""
        held_key = bucket_key(bucket)

        def work(txn: Txn) -> tuple[list[Removal], list[str]]:
            held = check_bucket(txn.get(BUCKETS, held_key), scope, bucket)
            removals: list[Removal] = []
            freed: list[str] = []
            for key, conditions in wanted:
                row_key = object_key(bucket, key)
                found = txn.get(OBJECTS, row_key)
                try:
                    check_write(conditions, found, key)
                except Failure as failure:
                    removals.append(Removal(key, failure))
                    continue
                removals.append(Removal(key))
                if found is not None:
                    freed.extend(self._bodies.remove(txn, found.body))
                    txn.delete(OBJECTS, row_key)
                    enqueue_events(txn, self._env, held, REMOVED, key, found, self._sequencer.next(), origin)
            return removals, freed

        named = [(OBJECTS, object_key(bucket, key)) for key, _ in wanted]
        removals, freed = await self._store.transact(work, keys=[(BUCKETS, held_key), *named], scans=(LAYOUTS,))
        self._bodies.release(freed)
        return removals

    async def list(
        self, scope: Scope, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int
    ) -> Page[Object]:
        """Objects and common prefixes in the order of their UTF-8 bytes, behind the name or common prefix `after`."""
        await self.buckets.get(scope, bucket)
        start = behind(bucket, after, prefix, delimiter) if after else b""
        return await list_page(
            self._store, OBJECTS, bucket, prefix=prefix, delimiter=delimiter, start=start, limit=limit
        )


class _Copied:
    """A Source that is a stretch of a body that is already stored."""

    def __init__(self, bodies: Bodies, body: Body, start: int, end: int) -> None:
        self.length: int | None = end - start
        self._bodies = bodies
        self._body = body
        self._start = start
        self._end = end

    async def read(self, limit: int) -> bytes:
        """The whole of it; only asked of what is small."""
        return b"".join([chunk async for chunk in self])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._bodies.chunks(self._body, self._start, self._end)
