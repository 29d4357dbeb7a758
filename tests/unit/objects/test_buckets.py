"""Buckets: their rows are remembered, and never for longer than they are true."""

import pytest

from haneul.base.errors import AlreadyExists, Conflict, Denied, NotFound
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import Origin
from haneul.engines.objects.records import BUCKETS
from haneul.storage.store import Store

from .conftest import OTHER, SCOPE
from .writing import put


class Counting:
    """A store that counts the buckets it reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0

    async def get(self, space: object, key: bytes) -> object:
        self.reads += space is BUCKETS
        return await self._store.get(space, key)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


async def test_a_bucket_is_read_once_until_a_bucket_changes(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    await put(engine, SCOPE, bucket, "k", b"x", origin)
    counting = Counting(store)
    engine.buckets._store = counting  # type: ignore[assignment]

    for _ in range(3):
        await engine.read(SCOPE, bucket, "k")
    await engine.buckets.put_setting(SCOPE, bucket, "policy", b"{}", shared=True)
    await engine.read(OTHER, bucket, "k")

    assert counting.reads == 2


async def test_what_changed_is_seen_at_once(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    await put(engine, SCOPE, bucket, "k", b"x", origin)
    with pytest.raises(Denied):
        await engine.read(OTHER, bucket, "k")

    await engine.buckets.put_setting(SCOPE, bucket, "policy", b"{}", shared=True)
    await engine.read(OTHER, bucket, "k")
    await engine.buckets.delete_setting(SCOPE, bucket, "policy", shared=False)
    with pytest.raises(Denied):
        await engine.read(OTHER, bucket, "k")

    await engine.delete(SCOPE, bucket, "k", origin)
    await engine.buckets.delete(SCOPE, bucket)
    with pytest.raises(NotFound):
        await engine.list(SCOPE, bucket, limit=1)
    await engine.buckets.create(OTHER, bucket, settings={})
    assert (await engine.buckets.get(OTHER, bucket)).account == OTHER.account


async def test_settings_are_documents_that_come_back_as_they_were(engine: ObjectsEngine, bucket: str) -> None:
    await engine.buckets.put_setting(SCOPE, bucket, "a", b"\x00\xff")
    await engine.buckets.put_setting(SCOPE, bucket, "b", b"2")

    assert await engine.buckets.get_setting(SCOPE, bucket, "a") == b"\x00\xff"
    await engine.buckets.delete_setting(SCOPE, bucket, "a")
    with pytest.raises(NotFound) as raised:
        await engine.buckets.get_setting(SCOPE, bucket, "a")
    assert (raised.value.noun, raised.value.name) == ("setting", "a")
    assert await engine.buckets.get_setting(SCOPE, bucket, "b") == b"2"


async def test_names_are_taken_and_buckets_with_objects_stay(
    engine: ObjectsEngine, bucket: str, origin: Origin
) -> None:
    with pytest.raises(AlreadyExists) as mine:
        await engine.buckets.create(SCOPE, bucket, settings={})
    with pytest.raises(AlreadyExists) as theirs:
        await engine.buckets.create(OTHER, bucket, settings={})
    await put(engine, SCOPE, bucket, "k", b"x", origin)
    with pytest.raises(Conflict):
        await engine.buckets.delete(SCOPE, bucket)

    assert (mine.value.fields["owned"], theirs.value.fields["owned"]) == (True, False)
