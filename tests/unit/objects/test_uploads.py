"""Multipart uploads: parts become an object without being copied, and nothing is left of what was not used."""

import asyncio
import os
import zlib

import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import Conflict, Invalid, NotFound
from haneul.base.limits import PART_MIN_BYTES
from haneul.engines.objects.assembly import Assembled, Chosen, combine
from haneul.engines.objects.bodies import Bytes
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import Origin
from haneul.engines.objects.records import BODIES, HELD, LAYOUTS, PARTS, UPLOADS, Description, Part, Upload
from haneul.storage.checksums import digest_of
from haneul.storage.memory import MemoryBlobs
from haneul.storage.store import Range, Store

from .conftest import SCOPE
from .writing import content, put

FULL = os.urandom(PART_MIN_BYTES)


async def begin(engine: ObjectsEngine, bucket: str, key: str = "k", *, algorithm: str = "crc32") -> Upload:
    return await engine.uploads.create(
        SCOPE, bucket, key, Description(), algorithm=algorithm, asked=False, composite=False
    )


async def send(engine: ObjectsEngine, upload: Upload, number: int, body: bytes) -> Part:
    return await engine.uploads.put_part(SCOPE, upload.bucket, upload.key, upload.id, number, Bytes(body))


def nothing_to_say(upload: Upload, assembled: Assembled) -> None:
    pass


async def finish(engine: ObjectsEngine, upload: Upload, parts: list[Part], origin: Origin) -> None:
    chosen = [Chosen(part.number, part.etag) for part in parts]
    await engine.uploads.complete(SCOPE, upload.bucket, upload.key, upload.id, chosen, origin, check=nothing_to_say)


async def test_the_object_is_made_of_the_very_blobs_of_its_parts(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, store: Store
) -> None:
    upload = await begin(engine, bucket)
    parts = [await send(engine, upload, 1, FULL), await send(engine, upload, 2, b"end")]
    before = await blobs.names("", 10)

    await finish(engine, upload, parts, origin)

    assert await blobs.names("", 10) == before
    reading = await engine.read(SCOPE, bucket, "k")
    assert await content(reading) == FULL + b"end"
    assert reading.object.digests == {"crc32": f"{zlib.crc32(FULL + b'end'):08x}"}
    assert await store.scan(PARTS, Range(), 10) == [] == await store.scan(UPLOADS, Range(), 10)


async def test_nothing_is_left_of_an_object_of_parts_that_is_deleted(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, store: Store, env: ManualEnv
) -> None:
    upload = await begin(engine, bucket)
    parts = [await send(engine, upload, 1, FULL), await send(engine, upload, 2, b"end")]
    await send(engine, upload, 3, FULL)
    await finish(engine, upload, parts, origin)

    await engine.delete(SCOPE, bucket, "k", origin)
    await env.advance(10)

    assert await blobs.names("", 10) == []
    for space in (BODIES, HELD, LAYOUTS, PARTS, UPLOADS):
        assert await store.scan(space, Range(), 10) == []


async def test_an_aborted_upload_leaves_nothing(
    engine: ObjectsEngine, bucket: str, blobs: MemoryBlobs, store: Store, env: ManualEnv
) -> None:
    upload = await begin(engine, bucket)
    await send(engine, upload, 1, FULL)
    await send(engine, upload, 1, b"again")
    await send(engine, upload, 2, FULL)

    await engine.uploads.abort(SCOPE, bucket, "k", upload.id)
    await env.advance(10)

    assert await blobs.names("", 10) == []
    for space in (BODIES, HELD, PARTS, UPLOADS):
        assert await store.scan(space, Range(), 10) == []
    with pytest.raises(NotFound):
        await engine.uploads.abort(SCOPE, bucket, "k", upload.id)


async def test_a_part_for_an_upload_that_has_ended_is_dropped(
    engine: ObjectsEngine, bucket: str, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    upload = await begin(engine, bucket)

    class Late(Bytes):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            await engine.uploads.abort(SCOPE, bucket, "k", upload.id)
            yield FULL

    with pytest.raises(NotFound):
        await engine.uploads.put_part(SCOPE, bucket, "k", upload.id, 1, Late(FULL))
    await env.settle()

    assert await blobs.names("", 10) == []


async def test_a_part_that_arrives_while_completing_is_not_lost_sight_of(
    engine: ObjectsEngine, bucket: str, origin: Origin
) -> None:
    upload = await begin(engine, bucket)
    part = await send(engine, upload, 1, b"one")
    rounds = 0

    def interfere(held: Upload, assembled: Assembled) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            late.append(asyncio.ensure_future(send(engine, upload, 2, b"late")))

    late: list[asyncio.Future[Part]] = []
    made = await engine.uploads.complete(SCOPE, bucket, "k", upload.id, [Chosen(1, part.etag)], origin, check=interfere)

    assert made.parts == 1
    await asyncio.wait(late)
    assert await content(await engine.read(SCOPE, bucket, "k")) == b"one"


async def test_parts_that_never_stop_changing_end_in_a_conflict(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    upload = await begin(engine, bucket)
    part = await send(engine, upload, 1, b"one")
    real = store.scan

    class Busy:
        async def scan(self, *arguments: object) -> object:
            rows = await real(*arguments)  # type: ignore[arg-type]
            await send(engine, upload, 2, b"again")
            return rows

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

    engine.uploads._store = Busy()  # type: ignore[assignment]
    with pytest.raises(Conflict):
        await finish(engine, upload, [part], origin)


async def test_refused_lists_of_parts(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    upload = await begin(engine, bucket)
    one, two = await send(engine, upload, 1, b"small"), await send(engine, upload, 2, b"x")

    for chosen, noun in (
        ([two, one], "part order"),
        ([one, one], "part order"),
        ([one, two], "part size"),
        ([], "part list"),
    ):
        with pytest.raises(Invalid) as raised:
            await finish(engine, upload, chosen, origin)
        assert raised.value.noun == noun


async def test_an_upload_replaces_what_was_there(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    await put(engine, SCOPE, bucket, "k", FULL, origin)
    upload = await begin(engine, bucket)

    await finish(engine, upload, [await send(engine, upload, 1, b"new")], origin)
    await env.advance(10)

    assert await content(await engine.read(SCOPE, bucket, "k")) == b"new"
    assert await blobs.names("", 10) == []


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme"])
def test_crcs_of_pieces_combine_into_that_of_the_whole(algorithm: str) -> None:
    pieces = [os.urandom(size) for size in (1000, 0, 1, 1000, 77)]

    whole = combine(algorithm, [(digest_of(algorithm, piece), len(piece)) for piece in pieces])

    assert whole == digest_of(algorithm, b"".join(pieces))
