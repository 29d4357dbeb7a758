"""Listings cost what they return, in every combination of prefix, delimiter and page size."""

from typing import Any

import pytest

from haneul.base.errors import NotFound
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import Origin
from haneul.storage.store import Store

from .conftest import SCOPE
from .writing import put


class Counting:
    """A store that counts the rows it hands out by scan()."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.rows = 0

    async def scan(self, space: Any, range: Any, limit: int) -> Any:
        found = await self._store.scan(space, range, limit)
        self.rows += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_group_of_many_keys_is_jumped_over(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    for group in range(4):
        for number in range(200):
            await put(engine, SCOPE, bucket, f"{group}/{number:03}", b"", origin)
    counting = Counting(store)
    engine._store = counting

    page = await engine.list(SCOPE, bucket, delimiter="/", limit=1000)

    assert page.groups == ["0/", "1/", "2/", "3/"] and not page.found and not page.more
    assert counting.rows <= 4 * 20


async def test_a_page_reads_little_more_than_it_returns(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    for number in range(300):
        await put(engine, SCOPE, bucket, f"{number:03}", b"", origin)
    counting = Counting(store)
    engine._store = counting

    page = await engine.list(SCOPE, bucket, after="099", limit=5)

    assert [name for name, _ in page.found] == ["100", "101", "102", "103", "104"] and page.more
    assert counting.rows <= 6


async def test_the_names_of_one_bucket_are_not_those_of_another(engine: ObjectsEngine, origin: Origin) -> None:
    for name in ("pics", "pics2", "pic"):
        await engine.buckets.create(SCOPE, name, settings={})
        await put(engine, SCOPE, name, f"in {name}", b"", origin)

    page = await engine.list(SCOPE, "pics", limit=10)

    assert [name for name, _ in page.found] == ["in pics"]


async def test_going_on_behind_a_group_leaves_all_of_it(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    for key in ("a", "a/1", "a/2", "a0", "b"):
        await put(engine, SCOPE, bucket, key, b"", origin)

    page = await engine.list(SCOPE, bucket, delimiter="/", after="a/", limit=10)
    inside = await engine.list(SCOPE, bucket, delimiter="/", after="a/1", limit=10)

    assert ([name for name, _ in page.found], page.groups) == (["a0", "b"], [])
    assert ([name for name, _ in inside.found], inside.groups) == (["a0", "b"], ["a/"])


async def test_a_delimiter_longer_than_a_name_is_not_in_it(engine: ObjectsEngine, bucket: str, origin: Origin) -> None:
    for key in ("a", "aa"):
        await put(engine, SCOPE, bucket, key, b"", origin)

    page = await engine.list(SCOPE, bucket, delimiter="b/", after="a", limit=10)

    assert [name for name, _ in page.found] == ["aa"]


@pytest.mark.parametrize("odd", ["a\0b", "\0", "a\0\0b", "\U0010ffff", "a\x01b"])
async def test_keys_with_odd_characters_are_listed(
    engine: ObjectsEngine, bucket: str, origin: Origin, odd: str
) -> None:
    await put(engine, SCOPE, bucket, odd, b"", origin)
    await put(engine, SCOPE, bucket, odd + "/x", b"", origin)

    page = await engine.list(SCOPE, bucket, prefix=odd, delimiter="/", limit=10)

    assert [name for name, _ in page.found] == [odd] and page.groups == [odd + "/"]


async def test_a_bucket_that_is_not_there_has_no_listing(engine: ObjectsEngine) -> None:
    with pytest.raises(NotFound):
        await engine.list(SCOPE, "nothing", limit=10)
