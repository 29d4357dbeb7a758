"""Files of the store: made whole, checked before they are touched, brought up to date, owned by one process."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import Damaged, NotFound, Unavailable
from haneul.base.log import SilentLog
from haneul.storage.sqlite import open_store
from haneul.storage.store import Range, Schema, Space, Store


class Item(msgspec.Struct, frozen=True):
    text: str


class NewItem(msgspec.Struct, frozen=True):
    words: list[str]


ITEMS = Space("items", Item, feed=True)
NEW_ITEMS = Space("items", NewItem, feed=True)
SCHEMA = Schema("things", 3, (ITEMS,))

Rows = dict[str, list[tuple[bytes, bytes]]]


def split_words(rows: Rows) -> Rows:
    decode = msgspec.msgpack.Decoder(Item).decode
    encode = msgspec.msgpack.encode
    return {"items": [(key, encode(NewItem(decode(value).text.split()))) for key, value in rows["items"]]}


def double(rows: Rows) -> Rows:
    return {"items": [*rows["items"], *[(key + b"2", value) for key, value in rows["items"]]]}


def open_here(directory: Path, schema: Schema = SCHEMA) -> Store:
    return open_store(schema, directory, ManualEnv(), SilentLog())


async def make(directory: Path, *keys: bytes) -> Path:
    store = open_here(directory)
    for key in keys or (b"a",):
        await store.transact(lambda txn, key=key: txn.put(ITEMS, key, Item("two words")))
    await store.close()
    return directory / "things.sqlite"


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".lock"}


async def test_rows_are_there_after_closing_and_opening(tmp_path: Path) -> None:
    await make(tmp_path, b"a", b"b")
    store = open_here(tmp_path)

    assert await store.scan(ITEMS, Range(), 10) == [(b"a", Item("two words")), (b"b", Item("two words"))]
    assert [change.seq for change in await store.changes(ITEMS, 0, 10)] == [1, 2]
    await store.close()


async def test_numbers_of_changes_go_on_after_opening(tmp_path: Path) -> None:
    await make(tmp_path, b"a", b"b")
    store = open_here(tmp_path)
    await store.transact(lambda txn: txn.delete(ITEMS, b"a"))

    assert [change.seq for change in await store.changes(ITEMS, 0, 10)] == [1, 2, 3]
    await store.close()


async def test_a_clean_close_leaves_one_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = await make(tmp_path / "data")

    assert sorted(content(file.parent)) == ["things.sqlite"]
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


async def test_an_unfinished_new_file_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "things.sqlite.new").write_bytes(b"half of")
    await make(tmp_path)

    assert sorted(content(tmp_path)) == ["things.sqlite"]


def open_in_another_process(directory: Path) -> str:
    code = (
        "import sys; from pathlib import Path; from tests.unit.storage.test_sqlite_file import open_here\n"
        "try: open_here(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    return subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True, check=True).stdout


def cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def write_over_the_beginning(file: Path) -> None:
    file.write_bytes(b"\0" * 50 + file.read_bytes()[50:])


def write_over_the_middle(file: Path) -> None:
    body = file.read_bytes()
    file.write_bytes(body[: len(body) // 2] + os.urandom(5000) + body[len(body) // 2 + 5000 :])


def replace_by_text(file: Path) -> None:
    file.write_text("shopping list\n" * 50)


def replace_by_a_strangers_database(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value)")
    connection.close()


def make_newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 4")
    connection.close()


def make_another_kind(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE meta SET value = 'queues' WHERE name = 'kind'")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (cut_in_half, "damaged"),
        (empty, "not a database"),
        (write_over_the_beginning, "not a database"),
        (write_over_the_middle, "damaged"),
        (replace_by_text, "not a database"),
        (replace_by_a_strangers_database, "another program"),
        (make_newer, r"newer haneul \(version 4, this one knows 3\)"),
        (make_another_kind, "holds 'queues', not 'things'"),
    ],
)
async def test_a_file_that_cannot_be_ours_is_refused_and_left_as_it_is(
    tmp_path: Path, harm: Callable[[Path], None], says: str
) -> None:
    file = await make(tmp_path, *[b"%d" % at for at in range(300)])
    harm(file)
    before = content(tmp_path)

    with pytest.raises(Damaged, match=says) as refused:
        open_here(tmp_path)

    assert content(tmp_path) == before
    assert str(file) in str(refused.value)
    assert "left as it is" in str(refused.value)


async def test_a_newer_file_whose_log_is_not_yet_in_it_is_left_as_it_is_too(tmp_path: Path) -> None:
    file = await make(tmp_path / "alive")
    writing = sqlite3.connect(file)
    writing.execute("PRAGMA user_version = 4")
    writing.commit()
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name, body in content(file.parent).items():
        if not name.endswith("-shm"):
            (crashed / name).write_bytes(body)
    writing.close()
    before = content(crashed)

    with pytest.raises(Damaged, match="newer"):
        open_here(crashed)

    assert {name: body for name, body in content(crashed).items() if not name.endswith("-shm")} == before


async def test_a_log_whose_file_is_gone_is_not_replayed_into_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "things.sqlite-wal").write_bytes(b"rows that were acknowledged")

    with pytest.raises(Damaged, match="file is gone"):
        open_here(tmp_path)

    assert content(tmp_path) == {"things.sqlite-wal": b"rows that were acknowledged"}


async def test_after_a_refusal_the_directory_is_free_again(tmp_path: Path) -> None:
    file = await make(tmp_path)
    whole = file.read_bytes()
    empty(file)
    with pytest.raises(Damaged):
        open_here(tmp_path)
    file.write_bytes(whole)

    await open_here(tmp_path).close()


async def test_a_row_that_is_no_record_is_damage_and_says_where(tmp_path: Path) -> None:
    file = await make(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE space_items SET value = x'c1'")
    connection.close()
    store = open_here(tmp_path)

    with pytest.raises(Damaged, match="items"):
        await store.get(ITEMS, b"a")
    await store.close()


async def test_migrations_run_in_order_and_once(tmp_path: Path) -> None:
    await make(tmp_path)
    newer = Schema("things", 5, (NEW_ITEMS,), {3: split_words, 4: double})
    for _ in range(2):
        store = open_here(tmp_path, newer)
        words = NewItem(["two", "words"])
        assert await store.scan(NEW_ITEMS, Range(), 10) == [(b"a", words), (b"a2", words)]
        await store.close()

    with pytest.raises(Damaged, match="newer"):
        open_here(tmp_path)


async def test_a_migration_tells_readers_of_the_feed_to_begin_anew(tmp_path: Path) -> None:
    await make(tmp_path, b"a", b"b")
    store = open_here(tmp_path, Schema("things", 4, (NEW_ITEMS,), {3: split_words}))

    with pytest.raises(NotFound):
        await store.changes(NEW_ITEMS, 1, 10)
    assert await store.changes(NEW_ITEMS, 2, 10) == []
    await store.transact(lambda txn: txn.put(NEW_ITEMS, b"c", NewItem([])))
    assert [change.seq for change in await store.changes(NEW_ITEMS, 2, 10)] == [3]
    await store.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = await make(tmp_path)
    before = file.read_bytes()

    def fail(rows: Rows) -> Rows:
        raise KeyError("no")

    with pytest.raises(KeyError):
        open_here(tmp_path, Schema("things", 5, (NEW_ITEMS,), {3: split_words, 4: fail}))

    assert file.read_bytes() == before
    await open_here(tmp_path).close()


async def test_a_version_without_a_way_up_is_refused(tmp_path: Path) -> None:
    await make(tmp_path)

    with pytest.raises(Damaged, match="cannot bring version 3 up to 5"):
        open_here(tmp_path, Schema("things", 5, (NEW_ITEMS,), {4: double}))


async def test_a_space_that_is_added_needs_no_new_version(tmp_path: Path) -> None:
    await make(tmp_path)
    added = Space("added", Item)
    store = open_here(tmp_path, Schema("things", 3, (ITEMS, added)))

    assert await store.get(added, b"a") is None
    assert await store.get(ITEMS, b"a") == Item("two words")
    await store.close()


async def test_a_name_that_is_no_name_is_a_programmers_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        open_here(tmp_path, Schema("things", 1, (Space("items; DROP TABLE", Item),)))


async def test_a_second_process_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    store = open_here(tmp_path)
    answer = open_in_another_process(tmp_path)

    assert answer.startswith("Unavailable")
    assert f"process {os.getpid()}" in answer
    await store.close()
    assert open_in_another_process(tmp_path) == ""


async def test_opening_twice_in_one_process_is_refused_too(tmp_path: Path) -> None:
    store = open_here(tmp_path)
    with pytest.raises(Unavailable, match="in use"):
        open_here(tmp_path)
    await store.close()

    await open_here(tmp_path).close()


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(Unavailable):
        open_here(tmp_path / "data")
    with pytest.raises(Unavailable):
        open_here(tmp_path / "data" / "deeper")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(Unavailable, match="writable"):
        open_here(tmp_path)
