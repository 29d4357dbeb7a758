"""Multipart uploads: begun, filled with parts in any order, listed, completed into an object or given up."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from haneul.base.env import Env
from haneul.base.errors import Conflict, Invalid, NotFound
from haneul.base.ids import hex_id
from haneul.base.limits import COMPLETE_ATTEMPTS_MAX, OBJECT_MAX_BYTES, PARTS_MAX
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Range, Store, Txn, within

from .assembly import Assembled, Chosen, assemble
from .bodies import Bodies, Source, check_digests
from .conditions import NO_CONDITIONS, Conditions, check_bucket, check_write
from .events import CREATED_PARTS, Origin, Sequencer, enqueue_events
from .listing import Page, behind, list_page
from .records import (
    BUCKETS,
    LAYOUTS,
    OBJECTS,
    PARTS,
    UNVERSIONED,
    UPLOADS,
    Body,
    Description,
    Layout,
    Object,
    Part,
    Upload,
    bucket_key,
    id_key,
    object_key,
    part_key,
    upload_key,
)


class Parts(msgspec.Struct, frozen=True):
    """A stretch of an upload's parts by rising number. more: others stand behind them."""

    upload: Upload
    parts: list[Part]
    more: bool


class Uploads:
    """Uploads that are under way. Reached as ObjectsEngine.uploads. Every method raises NotFound("upload") for one that is not."""

    def __init__(self, store: Store, bodies: Bodies, env: Env, sequencer: Sequencer) -> None:
        self._store = store
        self._bodies = bodies
        self._env = env
        self._sequencer = sequencer

    async def create(
        self,
        scope: Scope,
        bucket: str,
        key: str,
        description: Description,
        *,
        algorithm: str,
        asked: bool,
        composite: bool,
        initiator: str = "",
    ) -> Upload:
        """Begin an upload. algorithm, asked, composite: see Upload. Raises NotFound("bucket"), Denied."""
        now_ms = self._env.now_ms()
        made = Upload(
            # The time in front lets the uploads of a key stand in the order in which they began.
            id=f"{now_ms:012x}{hex_id(self._env, 26)}",
            bucket=bucket,
            key=key,
            created_ms=now_ms,
            description=description,
            algorithm=algorithm,
            asked=asked,
            composite=composite,
            initiator=initiator,
        )

        def work(txn: Txn) -> None:
            check_bucket(txn.get(BUCKETS, bucket_key(bucket)), scope, bucket)
            txn.put(UPLOADS, upload_key(bucket, key, made.id), made)

        await self._store.transact(work, keys=[(BUCKETS, bucket_key(bucket))])
        return made

    async def get(self, scope: Scope, bucket: str, key: str, id: str) -> Upload:
        check_bucket(await self._store.get(BUCKETS, bucket_key(bucket)), scope, bucket)
        found = await self._store.get(UPLOADS, upload_key(bucket, key, id))
        if found is None:
            raise NotFound("upload", id)
        return found

    async def put_part(
        self,
        scope: Scope,
        bucket: str,
        key: str,
        id: str,
        number: int,
        source: Source,
        *,
        algorithm: str | None = None,
        claims: Callable[[], Mapping[str, str]] = dict,
    ) -> Part:
        """Store a part (1 to PARTS_MAX) in place of an earlier one of its number.

        algorithm: of a checksum to keep beside the upload's own. claims: see ObjectsEngine.put(). Raises
        Invalid("checksum algorithm") when the upload asked for another one.
        """
        upload = await self.get(scope, bucket, key, id)
        if algorithm is not None and upload.asked and algorithm != upload.algorithm:
            raise Invalid("checksum algorithm", algorithm, "the upload has another", expected=upload.algorithm)
        algorithms = {upload.algorithm, algorithm or upload.algorithm}
        arrival = await self._bodies.take(source, ("md5", *algorithms))
        row_key, upload_row = part_key(id, number), upload_key(bucket, key, id)

        def work(txn: Txn) -> tuple[Part, list[str]]:
            held = txn.get(UPLOADS, upload_row)
            if held is None:
                raise NotFound("upload", id)
            before = txn.get(PARTS, row_key)
            made = Part(
                number=number,
                etag=taken.digests["md5"],
                body=taken.body,
                digests={name: taken.digests[name] for name in algorithms},
                modified_ms=self._env.now_ms(),
            )
            freed = self._bodies.remove(txn, before.body) if before is not None else []
            self._bodies.write(txn, taken, bucket)
            txn.put(PARTS, row_key, made)
            txn.put(UPLOADS, upload_row, replace(held, revision=held.revision + 1))
            return made, freed

        with arrival as taken:
            check_digests(claims(), taken.digests)
            made, freed = await self._store.transact(
                work, keys=[(UPLOADS, upload_row), (PARTS, row_key)], scans=[LAYOUTS]
            )
        self._bodies.release(freed)
        return made

    async def list_parts(self, scope: Scope, bucket: str, key: str, id: str, *, after: int, limit: int) -> Parts:
        """At most limit parts whose number is greater than `after`."""
        upload = await self.get(scope, bucket, key, id)
        end = keys.after(keys.pack(id))
        rows = await self._store.scan(PARTS, Range(part_key(id, after) + b"\0", end), limit + 1)
        return Parts(upload, [part for _, part in rows[:limit]], len(rows) > limit)

    async def list(
        self,
        scope: Scope,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_id: str = "",
        limit: int,
    ) -> Page[Upload]:
        """Uploads by key, then by their beginning, behind those of the key `after`, or behind its upload `after_id`."""
        check_bucket(await self._store.get(BUCKETS, bucket_key(bucket)), scope, bucket)
        start = b""
        if after and after_id:
            start = upload_key(bucket, after, after_id) + b"\0"
        elif after:
            start = max(behind(bucket, after, prefix, delimiter), keys.after(keys.pack(bucket, after)) or b"")
        return await list_page(
            self._store, UPLOADS, bucket, prefix=prefix, delimiter=delimiter, start=start, limit=limit
        )

    async def complete(
        self,
        scope: Scope,
        bucket: str,
        key: str,
        id: str,
        chosen: Sequence[Chosen],
        origin: Origin,
        *,
        check: Callable[[Upload, Assembled], None],
        conditions: Conditions = NO_CONDITIONS,
    ) -> Object:
        """Make an object of the chosen parts, without copying them; the other parts are removed.

        check: a face's own objections to what would be made. Asked again after it succeeded, it answers the same.
        Raises what assemble() and check_write() do, TooLarge, and Conflict when parts keep changing meanwhile.
        """
        for _ in range(COMPLETE_ATTEMPTS_MAX):
            try:
                upload = await self.get(scope, bucket, key, id)
            except NotFound as error:
                done = await self._store.get(OBJECTS, object_key(bucket, key))
                if error.noun == "upload" and done is not None and done.body.id == id:
                    return done
                raise
            rows = await self._store.scan(PARTS, within(keys.pack(id)), PARTS_MAX)
            uploaded = [part for _, part in rows]
            # Up to ten thousand parts: too much arithmetic for the loop.
            assembled = await asyncio.to_thread(assemble, upload, uploaded, chosen)
            if assembled.size_bytes > OBJECT_MAX_BYTES:
                raise Invalid("object size", key, "", size_bytes=assembled.size_bytes, size_max=OBJECT_MAX_BYTES)
            check(upload, assembled)
            made = await self._complete(scope, upload, uploaded, assembled, origin, conditions)
            if made is not None:
                return made
        raise Conflict("upload", id, "its parts keep changing")

    async def _complete(
        self,
        scope: Scope,
        upload: Upload,
        uploaded: Sequence[Part],
        assembled: Assembled,
        origin: Origin,
        conditions: Conditions,
    ) -> Object | None:
        """The transaction; None when a part has been written since the parts were read."""
        bucket, key, id = upload.bucket, upload.key, upload.id
        held_key, row_key, upload_row = bucket_key(bucket), object_key(bucket, key), upload_key(bucket, key, id)
        used = {part.number for part in assembled.parts}

        def work(txn: Txn) -> tuple[Object | None, list[str]]:
            held = check_bucket(txn.get(BUCKETS, held_key), scope, bucket)
            now = txn.get(UPLOADS, upload_row)
            if now is None or now.revision != upload.revision:
                return None, []
            before = txn.get(OBJECTS, row_key)
            check_write(conditions, before, key)
            sequence = self._sequencer.next()
            made = Object(
                version=UNVERSIONED,
                etag=assembled.etag,
                body=Body("parts", id, assembled.size_bytes),
                modified_ms=self._env.now_ms(),
                sequence=sequence,
                digests={upload.algorithm: assembled.digest},
                composite=upload.composite,
                parts=len(assembled.parts),
                description=upload.description,
            )
            freed = self._bodies.remove(txn, before.body) if before is not None else []
            for part in uploaded:
                txn.delete(PARTS, part_key(id, part.number))
                if part.number not in used:
                    freed.extend(self._bodies.remove(txn, part.body))
            txn.put(LAYOUTS, id_key(id), Layout(assembled.parts))
            txn.delete(UPLOADS, upload_row)
            txn.put(OBJECTS, row_key, made)
            enqueue_events(txn, self._env, held, CREATED_PARTS, key, made, sequence, origin)
            return made, freed

        made, freed = await self._store.transact(
            work, keys=[(BUCKETS, held_key), (OBJECTS, row_key), (UPLOADS, upload_row)], scans=[LAYOUTS]
        )
        self._bodies.release(freed)
        return made

    async def abort(self, scope: Scope, bucket: str, key: str, id: str) -> None:
        """Give the upload up and remove its parts."""
        upload_row = upload_key(bucket, key, id)

        def work(txn: Txn) -> list[str]:
            check_bucket(txn.get(BUCKETS, bucket_key(bucket)), scope, bucket)
            if txn.get(UPLOADS, upload_row) is None:
                raise NotFound("upload", id)
            freed: list[str] = []
            for key, part in txn.scan(PARTS, within(keys.pack(id)), PARTS_MAX):
                freed.extend(self._bodies.remove(txn, part.body))
                txn.delete(PARTS, key)
            txn.delete(UPLOADS, upload_row)
            return freed

        freed = await self._store.transact(
            work, keys=[(BUCKETS, bucket_key(bucket)), (UPLOADS, upload_row)], scans=[PARTS, LAYOUTS]
        )
        self._bodies.release(freed)
