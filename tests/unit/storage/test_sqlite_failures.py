"""A disk that refuses: whoever was not acknowledged is told so, and the store is usable afterwards or says that it is not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import NotFound, Unavailable
from haneul.base.log import SilentLog
from haneul.storage.sqlite import SqliteStore, open_store
from haneul.storage.store import Range, Schema, Space, Txn


class Item(msgspec.Struct, frozen=True):
    body: bytes = b""


ITEMS = Space("items", Item)
FED = Space("fed", Item, feed=True)
SCHEMA = Schema("things", 1, (ITEMS, FED))


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = open_store(SCHEMA, tmp_path if request.param == "file" else None, ManualEnv(), SilentLog())
    assert isinstance(opened, SqliteStore)
    yield opened
    await opened.close()


class Breaking:
    """The writer's connection, whose COMMIT fails as a disk would make it fail."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection = connection
        self._code = code
        self.executemany = connection.executemany
        self.close = connection.close

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *args)


def limit_pages(store: SqliteStore, spare: int) -> None:
    (count,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {count + spare}")


async def test_a_full_disk_refuses_the_batch_and_takes_the_next_when_there_is_room(store: SqliteStore) -> None:
    await store.transact(lambda txn: txn.put(ITEMS, b"before", Item()))
    limit_pages(store, 20)

    def fail(txn: Txn) -> None:
        raise NotFound("thing")

    def large(txn: Txn) -> None:
        txn.put(ITEMS, b"large", Item(bytes(1_000_000)))

    outcomes = await asyncio.gather(
        store.transact(lambda txn: txn.put(FED, b"small", Item())),
        store.transact(large),
        store.transact(fail),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert "full" in str(outcomes[0])
    assert await store.scan(ITEMS, Range(), 10) == [(b"before", Item())]

    limit_pages(store, 10_000)
    await store.transact(large)
    await store.transact(lambda txn: txn.put(FED, b"small", Item()))
    assert [change.seq for change in await store.changes(FED, 0, 10)] == [1]


async def test_after_an_io_error_the_store_refuses_clearly(store: SqliteStore) -> None:
    await store.transact(lambda txn: txn.put(ITEMS, b"before", Item()))
    store._writer = Breaking(store._writer, sqlite3.SQLITE_IOERR | 4 << 8)  # type: ignore[assignment]

    for _ in range(2):
        with pytest.raises(Unavailable, match="restart"):
            await store.transact(lambda txn: txn.put(ITEMS, b"lost", Item()))
    assert await store.get(ITEMS, b"before") == Item()
    assert await store.get(ITEMS, b"lost") is None


async def test_a_callback_is_not_called_for_a_batch_that_did_not_commit(store: SqliteStore) -> None:
    calls: list[int] = []
    store.on_change(ITEMS, lambda: calls.append(1))
    limit_pages(store, 1)

    with pytest.raises(Unavailable):
        await store.transact(lambda txn: txn.put(ITEMS, b"a", Item(bytes(1_000_000))))

    assert calls == []
