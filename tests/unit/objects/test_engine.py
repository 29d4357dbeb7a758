"""Objects are stored, read, copied, tagged and removed, each change in one transaction."""

import asyncio
import hashlib
import zlib

import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import Denied, Invalid, NotFound, PreconditionFailed, TooLarge
from haneul.engines.objects import bodies
from haneul.engines.objects.bodies import Bytes
from haneul.engines.objects.conditions import Conditions
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import Origin
from haneul.engines.objects.records import BODIES, HELD, Body, Description, Object, Part
from haneul.storage.memory import MemoryBlobs
from haneul.storage.store import Range, Store

from .conftest import OTHER, SCOPE
from .writing import Chunks, content, put

BIG = bytes(range(256)) * 1024  # 256 KiB: a blob


@pytest.mark.parametrize("body", [b"", b"x", b"y" * 65_535, b"z" * 65_536, BIG])
async def test_what_was_put_is_read_again(engine: ObjectsEngine, bucket: str, origin: Origin, body: bytes) -> None:
    made = await put(engine, SCOPE, bucket, "a/b.jpg", body, origin)

    reading = await engine.read(SCOPE, bucket, "a/b.jpg")

    assert await content(reading) == body
    assert reading.object == made
    assert made.etag == hashlib.md5(body).hexdigest()
    assert made.digests == {"crc32": f"{zlib.crc32(body):08x}"}
    assert made.body.size_bytes == len(body)


@pytest.mark.parametrize("body", [b"", b"short", BIG])
async def test_a_body_of_unknown_length_is_taken_to_its_end(
    engine: ObjectsEngine, bucket: str, origin: Origin, body: bytes
) -> None:
    chunks = [body[at : at + 1000] for at in range(0, len(body), 1000)]

    await put(engine, SCOPE, bucket, "k", Chunks(*chunks), origin)

    assert await content(await engine.read(SCOPE, bucket, "k")) == body


async def test_small_bodies_are_rows_and_large_ones_blobs(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store, blobs: MemoryBlobs
) -> None:
    await put(engine, SCOPE, bucket, "small", b"s", origin)
    await put(engine, SCOPE, bucket, "large", BIG, origin)

    assert len(await store.scan(BODIES, Range(), 10)) == 1
    assert len(await blobs.names("", 10)) == 1 == len(await store.scan(HELD, Range(), 10))


async def test_what_is_replaced_or_deleted_leaves_nothing_behind(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    for body in (BIG, b"small", BIG, b"small"):
        await put(engine, SCOPE, bucket, "k", body, origin)
    await put(engine, SCOPE, bucket, "k2", BIG, origin)

    await engine.delete(SCOPE, bucket, "k", origin)
    await engine.delete(SCOPE, bucket, "k2", origin)
    await env.advance(10)

    assert await store.scan(BODIES, Range(), 10) == []
    assert await store.scan(HELD, Range(), 10) == []
    assert await blobs.names("", 10) == []


async def test_a_reader_keeps_the_body_that_is_replaced_under_it(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    await put(engine, SCOPE, bucket, "k", BIG, origin)
    reading = await engine.read(SCOPE, bucket, "k")

    await put(engine, SCOPE, bucket, "k", b"new", origin)
    await env.advance(60)

    assert await content(reading) == BIG
    await env.advance(10)
    assert await blobs.names("", 10) == []


async def test_deleting_what_is_not_there_is_no_failure(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    await engine.delete(SCOPE, bucket, "never", origin)

    with pytest.raises(NotFound) as raised:
        await engine.read(SCOPE, bucket, "never")
    assert raised.value.noun == "object"


async def test_a_client_that_breaks_off_leaves_nothing(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs
) -> None:
    with pytest.raises(Invalid):
        await put(engine, SCOPE, bucket, "k", Chunks(BIG, Invalid("body", "", "broken off")), origin)

    assert await blobs.names("", 10) == []
    with pytest.raises(NotFound):
        await engine.get(SCOPE, bucket, "k")


async def test_a_digest_that_does_not_match_keeps_the_old_object(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    await put(engine, SCOPE, bucket, "k", b"old", origin)

    for body in (b"new", BIG):
        with pytest.raises(Invalid) as raised:
            await put(engine, SCOPE, bucket, "k", body, origin, claims=lambda: {"md5": "0" * 32})
        assert (raised.value.noun, raised.value.name) == ("digest", "md5")
    await env.settle()

    assert await content(await engine.read(SCOPE, bucket, "k")) == b"old"
    assert await blobs.names("", 10) == []


async def test_a_body_over_the_limit_is_refused_before_it_is_read(
    engine: ObjectsEngine, bucket: str, origin: Origin
) -> None:
    class Huge(Chunks):
        length = 6 * 1024**3

    with pytest.raises(TooLarge):
        await put(engine, SCOPE, bucket, "k", Huge(AssertionError("it was read")), origin)


async def test_a_bucket_of_another_account_is_closed(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    await put(engine, SCOPE, bucket, "k", b"mine", origin)

    with pytest.raises(Denied):
        await engine.read(OTHER, bucket, "k")
    with pytest.raises(Denied):
        await put(engine, OTHER, bucket, "k", b"theirs", origin)
    with pytest.raises(Denied):
        await engine.list(OTHER, bucket, limit=10)
    with pytest.raises(Denied):
        await engine.buckets.delete(OTHER, bucket)


async def test_a_bucket_that_is_shared_is_open_to_others(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    await engine.buckets.put_setting(SCOPE, bucket, "policy", b"{}", shared=True)

    await put(engine, OTHER, bucket, "k", b"theirs", origin)

    assert await content(await engine.read(SCOPE, bucket, "k")) == b"theirs"


async def test_only_one_of_many_creates_if_nothing_may_exist(
    engine: ObjectsEngine, bucket: str, origin: Origin
) -> None:
    only_new = Conditions(none_match="*")

    results = await asyncio.gather(
        *(put(engine, SCOPE, bucket, "k", b"%d" % n, origin, conditions=only_new) for n in range(20)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, Object) for result in results) == 1
    assert sum(isinstance(result, PreconditionFailed) for result in results) == 19


async def test_a_write_that_must_match_needs_the_object(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    with pytest.raises(NotFound):
        await put(engine, SCOPE, bucket, "k", b"x", origin, conditions=Conditions(match='"abc"'))
    made = await put(engine, SCOPE, bucket, "k", b"x", origin)
    with pytest.raises(PreconditionFailed):
        await put(engine, SCOPE, bucket, "k", b"y", origin, conditions=Conditions(match='"abc"'))

    await put(engine, SCOPE, bucket, "k", b"y", origin, conditions=Conditions(match=f'"{made.etag}"'))


async def test_a_copy_takes_body_and_description(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    said = Description(headers={"content-type": "image/png"}, metadata={"by": "me"}, tags={"a": "b"})
    for body in (b"small", BIG, b""):
        await put(engine, SCOPE, bucket, "from", body, origin, description=said, algorithm="sha256")

        source, made = await engine.copy(SCOPE, bucket, "from", bucket, "to", lambda found: found.description, origin)

        assert await content(await engine.read(SCOPE, bucket, "to")) == body
        assert made.description == said
        assert (made.etag, made.digests) == (source.etag, source.digests)
        assert made.body.id != source.body.id or not body


async def test_a_copy_heeds_conditions_on_its_source(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    await put(engine, SCOPE, bucket, "from", b"x", origin)

    with pytest.raises(PreconditionFailed):
        await engine.copy(
            SCOPE,
            bucket,
            "from",
            bucket,
            "to",
            lambda found: found.description,
            origin,
            source_conditions=Conditions(match='"other"'),
        )


async def test_tags_are_set_and_removed_without_touching_the_body(
    engine: ObjectsEngine, bucket: str, origin: Origin, env: ManualEnv
) -> None:
    before = await put(engine, SCOPE, bucket, "k", b"x", origin)
    await env.advance(5)

    tagged = await engine.set_tags(SCOPE, bucket, "k", {"a": "1"}, origin)
    untagged = await engine.set_tags(SCOPE, bucket, "k", {}, origin)

    assert tagged.description.tags == {"a": "1"}
    assert untagged.description.tags == {}
    assert untagged.modified_ms == before.modified_ms
    assert await content(await engine.read(SCOPE, bucket, "k")) == b"x"
    with pytest.raises(NotFound):
        await engine.set_tags(SCOPE, bucket, "nothing", {"a": "1"}, origin)


async def test_many_keys_are_removed_at_once_and_each_says_what_became_of_it(
    engine: ObjectsEngine, bucket: str, origin: Origin
) -> None:
    for key in ("a", "b", "c"):
        await put(engine, SCOPE, bucket, key, b"x", origin)

    removals = await engine.delete_many(
        SCOPE,
        bucket,
        [("a", Conditions()), ("nothing", Conditions()), ("b", Conditions(match='"other"')), ("c", Conditions())],
        origin,
    )

    assert [removal.key for removal in removals if removal.failure is None] == ["a", "nothing", "c"]
    assert [type(removal.failure) for removal in removals if removal.failure] == [PreconditionFailed]
    assert [name for name, _ in (await engine.list(SCOPE, bucket, limit=10)).found] == ["b"]


async def test_the_sweep_removes_blobs_that_no_row_knows_and_no_other(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs
) -> None:
    await put(engine, SCOPE, bucket, "k", BIG, origin)
    orphan = await blobs.put(Bytes(BIG).__aiter__())

    removed = await engine._bodies.sweep()

    assert removed == 1
    assert orphan.id not in await blobs.names("", 10)
    assert await content(await engine.read(SCOPE, bucket, "k")) == BIG


async def test_the_sweep_waits_for_bodies_that_are_arriving(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    arrival = await engine._bodies.take(Bytes(BIG), ("md5",), size_max=1 << 30)

    sweep = env.spawn(engine._bodies.sweep(), name="sweep")
    await env.settle()

    assert not sweep.done()
    assert await blobs.names("", 10) == [arrival.taken.body.id]
    with pytest.raises(NotFound), arrival:
        raise NotFound("bucket", "gone")
    await sweep
    await env.settle()
    assert await blobs.names("", 10) == []


async def test_a_put_that_is_cancelled_keeps_the_blob_only_if_it_was_committed(
    engine: ObjectsEngine, bucket: str, origin: Origin, blobs: MemoryBlobs, env: ManualEnv
) -> None:
    arrival = await engine._bodies.take(Bytes(BIG), ("md5",), size_max=1 << 30)

    with pytest.raises(asyncio.CancelledError), arrival:
        raise asyncio.CancelledError
    while engine._bodies._arriving:
        await env.settle()

    assert await blobs.names("", 10) == []


def test_pieces_of_a_range_are_those_that_it_touches() -> None:
    parts = [Part(number, "", Body("blob", name, 10), {}, 0) for number, name in enumerate("abc")]

    def cut(start: int, end: int) -> list[tuple[str, int, int]]:
        return [(body.id, a, b) for body, a, b in bodies._pieces(parts, start, end)]

    assert cut(0, 30) == [("a", 0, 10), ("b", 0, 10), ("c", 0, 10)]
    assert cut(5, 6) == [("a", 5, 6)]
    assert cut(9, 21) == [("a", 9, 10), ("b", 0, 10), ("c", 0, 1)]
    assert cut(10, 20) == [("b", 0, 10)]
