"""What every Store must do, whichever keeps the rows."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import NotFound, TooLarge, Unavailable
from haneul.base.limits import FEED_MAX_ROWS, FEED_TRIM_ROWS, SCAN_MAX_ROWS, STORE_VALUE_MAX_BYTES, WRITE_QUEUE_MAX
from haneul.base.log import SilentLog
from haneul.storage.sqlite import open_store
from haneul.storage.store import Range, Schema, Space, Store, Txn, within


class Item(msgspec.Struct, frozen=True):
    text: str = ""
    number: int = 0
    body: bytes = b""


ITEMS = Space("items", Item)
OTHERS = Space("others", Item)
FED = Space("fed", Item, feed=True)
STRANGER = Space("stranger", Item)
SCHEMA = Schema("things", 1, (ITEMS, OTHERS, FED))


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    directory = tmp_path if request.param == "file" else None
    opened = open_store(SCHEMA, directory, ManualEnv(), SilentLog())
    yield opened
    await opened.close()


async def put(store: Store, key: bytes, item: Item, space: Space[Item] = ITEMS) -> None:
    await store.transact(lambda txn: txn.put(space, key, item))


async def delete(store: Store, key: bytes, space: Space[Item] = ITEMS) -> None:
    await store.transact(lambda txn: txn.delete(space, key))


async def test_what_was_put_is_read(store: Store) -> None:
    await put(store, b"a", Item("one", 1, b"\0\xff"))

    assert await store.get(ITEMS, b"a") == Item("one", 1, b"\0\xff")


async def test_a_key_that_was_never_put_reads_as_none(store: Store) -> None:
    assert await store.get(ITEMS, b"a") is None


async def test_the_same_key_in_two_spaces_is_two_records(store: Store) -> None:
    await put(store, b"a", Item("one"))

    assert await store.get(OTHERS, b"a") is None


async def test_a_second_put_replaces_the_first(store: Store) -> None:
    await put(store, b"a", Item("one"))
    await put(store, b"a", Item("two"))

    assert await store.scan(ITEMS, Range(), 10) == [(b"a", Item("two"))]


async def test_a_deleted_record_is_gone_and_deleting_it_again_is_no_error(store: Store) -> None:
    await put(store, b"a", Item("one"))
    await delete(store, b"a")
    await delete(store, b"a")

    assert await store.get(ITEMS, b"a") is None


async def test_the_empty_key_and_long_keys_are_keys(store: Store) -> None:
    await put(store, b"", Item("empty"))
    await put(store, b"k" * 5000, Item("long"))

    assert [item.text for _, item in await store.scan(ITEMS, Range(), 10)] == ["empty", "long"]


async def test_transact_returns_what_work_returned(store: Store) -> None:
    assert await store.transact(lambda txn: {"answer": 42}) == {"answer": 42}


async def test_a_scan_is_in_byte_order_and_cut_at_its_limit(store: Store) -> None:
    for key in (b"b", b"a\xff", b"a", b"a\0", b"\xff"):
        await put(store, key, Item())

    assert [key for key, _ in await store.scan(ITEMS, Range(), 4)] == [b"a", b"a\0", b"a\xff", b"b"]


async def test_a_range_holds_its_start_and_not_its_end(store: Store) -> None:
    for key in (b"a", b"b", b"c"):
        await put(store, key, Item())

    assert [key for key, _ in await store.scan(ITEMS, Range(b"a", b"c"), 10)] == [b"a", b"b"]


async def test_a_reverse_scan_begins_at_the_end(store: Store) -> None:
    for key in (b"a", b"b", b"c", b"d"):
        await put(store, key, Item())

    assert [key for key, _ in await store.scan(ITEMS, Range(b"a", b"d", reverse=True), 2)] == [b"c", b"b"]
    assert [key for key, _ in await store.scan(ITEMS, Range(b"b", reverse=True), 10)] == [b"d", b"c", b"b"]


async def test_a_range_whose_end_is_before_its_start_is_empty(store: Store) -> None:
    await put(store, b"b", Item())

    assert await store.scan(ITEMS, Range(b"c", b"a"), 10) == []


async def test_a_prefix_range_ends_where_the_prefix_ends(store: Store) -> None:
    for key in (b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff\xff"):
        await put(store, key, Item())

    assert [key for key, _ in await store.scan(ITEMS, within(b"a\xff"), 10)] == [b"a\xff", b"a\xff\xff"]
    assert [key for key, _ in await store.scan(ITEMS, within(b"\xff"), 10)] == [b"\xff\xff"]


@pytest.mark.parametrize("limit", [0, -1, SCAN_MAX_ROWS + 1])
async def test_a_scan_without_a_sane_limit_is_a_programmers_error(store: Store, limit: int) -> None:
    with pytest.raises(AssertionError):
        await store.scan(ITEMS, Range(), limit)
    with pytest.raises(AssertionError):
        await store.transact(lambda txn: txn.scan(ITEMS, Range(), limit), scans=[ITEMS])


async def test_a_transaction_sees_the_state_before_it_with_its_own_changes(store: Store) -> None:
    await put(store, b"a", Item("before"))

    def work(txn: Txn) -> list[Any]:
        seen: list[Any] = [txn.get(ITEMS, b"a")]
        txn.put(ITEMS, b"a", Item("mine"))
        seen.append(txn.get(ITEMS, b"a"))
        txn.delete(ITEMS, b"a")
        seen.append(txn.get(ITEMS, b"a"))
        return seen

    assert await store.transact(work, keys=[(ITEMS, b"a")]) == [Item("before"), Item("mine"), None]


async def test_a_key_that_this_work_wrote_may_be_read_without_being_named(store: Store) -> None:
    def work(txn: Txn) -> Item | None:
        txn.put(ITEMS, b"new", Item("mine"))
        return txn.get(ITEMS, b"new")

    assert await store.transact(work) == Item("mine")


async def test_a_scan_in_a_transaction_sees_its_own_changes_in_order(store: Store) -> None:
    for key in (b"a", b"c", b"e"):
        await put(store, key, Item(key.decode()))

    def work(txn: Txn) -> list[list[bytes]]:
        txn.delete(ITEMS, b"a")
        txn.put(ITEMS, b"b", Item("b"))
        txn.put(ITEMS, b"c", Item("changed"))
        txn.put(ITEMS, b"z", Item("outside"))
        forwards = txn.scan(ITEMS, Range(b"", b"y"), 2)
        backwards = txn.scan(ITEMS, Range(b"", b"y", reverse=True), 3)
        assert dict(forwards)[b"c"] == Item("changed")
        return [[key for key, _ in forwards], [key for key, _ in backwards]]

    assert await store.transact(work, scans=[ITEMS]) == [[b"b", b"c"], [b"e", b"c", b"b"]]


async def test_a_transaction_sees_what_those_handed_over_with_it_did_before_it(store: Store) -> None:
    def add(txn: Txn) -> int:
        held = txn.get(ITEMS, b"count")
        number = (held.number if held else 0) + 1
        txn.put(ITEMS, b"count", Item(number=number))
        txn.put(ITEMS, b"row%03d" % number, Item())
        return len(txn.scan(ITEMS, within(b"row"), 1000))

    results = await asyncio.gather(*[store.transact(add, keys=[(ITEMS, b"count")], scans=[ITEMS]) for _ in range(300)])

    assert results == list(range(1, 301))
    assert await store.get(ITEMS, b"count") == Item(number=300)


async def test_a_work_that_raises_leaves_nothing_and_its_neighbours_stand(store: Store) -> None:
    def fail(txn: Txn) -> None:
        txn.put(ITEMS, b"half", Item())
        txn.delete(ITEMS, b"kept")
        raise NotFound("thing", "x")

    await put(store, b"kept", Item())
    outcomes = await asyncio.gather(
        put(store, b"before", Item()), store.transact(fail), put(store, b"after", Item()), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), NotFound, type(None)]
    assert [key for key, _ in await store.scan(ITEMS, Range(), 10)] == [b"after", b"before", b"kept"]


async def test_even_stop_iteration_reaches_the_caller(store: Store) -> None:
    def work(txn: Txn) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.transact(work)


async def test_reading_a_key_that_was_not_named_is_a_programmers_error(store: Store) -> None:
    with pytest.raises(AssertionError, match="not named"):
        await store.transact(lambda txn: txn.get(ITEMS, b"b"), keys=[(ITEMS, b"a"), (OTHERS, b"b")])


async def test_scanning_a_space_that_was_not_declared_is_a_programmers_error(store: Store) -> None:
    with pytest.raises(AssertionError, match="not declared"):
        await store.transact(lambda txn: txn.scan(ITEMS, Range(), 1), scans=[OTHERS])


async def test_a_space_of_another_schema_is_a_programmers_error(store: Store) -> None:
    for attempt in (
        store.get(STRANGER, b"a"),
        store.scan(STRANGER, Range(), 1),
        store.changes(STRANGER, 0, 1),
        store.transact(lambda txn: txn.put(STRANGER, b"a", Item())),
        store.transact(lambda txn: txn.delete(STRANGER, b"a")),
    ):
        with pytest.raises(AssertionError):
            await attempt


async def test_a_record_or_key_of_the_wrong_type_is_refused_without_harm_to_neighbours(store: Store) -> None:
    class Strange(msgspec.Struct):
        text: str

    outcomes = await asyncio.gather(
        store.transact(lambda txn: txn.put(ITEMS, b"a", Strange("x"))),  # type: ignore[type-var]
        store.transact(lambda txn: txn.put(ITEMS, "a", Item())),  # type: ignore[arg-type]
        put(store, b"b", Item()),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [AssertionError, AssertionError, type(None)]


async def test_a_record_that_is_too_large_is_refused_without_harm_to_neighbours(store: Store) -> None:
    outcomes = await asyncio.gather(
        put(store, b"a", Item(body=bytes(STORE_VALUE_MAX_BYTES))), put(store, b"b", Item()), return_exceptions=True
    )

    assert isinstance(outcomes[0], TooLarge) and outcomes[1] is None
    assert await store.get(ITEMS, b"b") == Item()


async def test_a_transaction_that_is_kept_after_its_work_is_dead(store: Store) -> None:
    kept = await store.transact(lambda txn: txn)

    for use in (
        lambda: kept.put(ITEMS, b"a", Item()),
        lambda: kept.delete(ITEMS, b"a"),
        lambda: kept.get(ITEMS, b"a"),
        lambda: kept.scan(ITEMS, Range(), 1),
    ):
        with pytest.raises(AssertionError, match="after its work"):
            use()


async def test_a_cancelled_caller_breaks_nothing(store: Store) -> None:
    waiting = [asyncio.ensure_future(put(store, b"%d" % at, Item())) for at in range(10)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes[1::2]] == [type(None)] * 5
    await put(store, b"next", Item("fine"))
    assert await store.get(ITEMS, b"next") == Item("fine")


async def test_a_cancelled_caller_does_what_follows_its_commit_and_is_cancelled_at_its_next_wait(store: Store) -> None:
    steps: list[str] = []

    async def caller() -> None:
        await put(store, b"a", Item("one"))
        steps.append("told")
        await asyncio.Event().wait()
        steps.append("never")

    task = asyncio.ensure_future(caller())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert steps == ["told"]
    assert task.cancelled()
    assert await store.get(ITEMS, b"a") == Item("one")


async def test_a_cancelled_caller_is_told_of_its_refusal(store: Store) -> None:
    def refuse(txn: Txn) -> None:
        raise NotFound("item", "a")

    task = asyncio.ensure_future(store.transact(refuse))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert isinstance(task.exception(), NotFound)


async def test_a_caller_that_gave_up_in_time_is_not_cancelled_afterwards(store: Store) -> None:
    async def caller() -> str:
        async with asyncio.timeout(0):
            await put(store, b"a", Item("one"))
        await asyncio.sleep(0)
        return "went on"

    assert await caller() == "went on"


async def test_a_full_queue_refuses_and_then_recovers(store: Store) -> None:
    outcomes = await asyncio.gather(
        *[store.transact(lambda txn: None) for _ in range(WRITE_QUEUE_MAX + 5)], return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes[-6:]] == [type(None)] + [Unavailable] * 5
    await put(store, b"a", Item())


async def test_changes_come_in_commit_order_with_deletions_as_none(store: Store) -> None:
    await put(store, b"a", Item("one"), FED)
    await put(store, b"b", Item("two"), FED)
    await delete(store, b"a", FED)

    changes = await store.changes(FED, 0, 10)

    assert [(change.key, change.record) for change in changes] == [
        (b"a", Item("one")),
        (b"b", Item("two")),
        (b"a", None),
    ]
    assert [change.seq for change in changes] == sorted({change.seq for change in changes})


async def test_changes_go_on_behind_the_last_one_seen(store: Store) -> None:
    for at in range(7):
        await put(store, b"%d" % at, Item(), FED)
    first = await store.changes(FED, 0, 3)
    second = await store.changes(FED, first[-1].seq, 3)
    third = await store.changes(FED, second[-1].seq, 3)

    assert [change.key for change in first + second + third] == [b"%d" % at for at in range(7)]
    assert await store.changes(FED, third[-1].seq, 3) == []


async def test_changes_of_works_that_raised_or_changed_nothing_are_not_in_the_feed(store: Store) -> None:
    def fail(txn: Txn) -> None:
        txn.put(FED, b"lost", Item())
        raise ValueError

    await asyncio.gather(
        put(store, b"a", Item(), FED), store.transact(fail), delete(store, b"absent", FED), return_exceptions=True
    )
    await put(store, b"b", Item(), FED)

    assert [change.key for change in await store.changes(FED, 0, 10)] == [b"a", b"b"]


async def test_a_key_written_twice_in_one_transaction_is_one_change(store: Store) -> None:
    def work(txn: Txn) -> None:
        txn.put(FED, b"a", Item("one"))
        txn.put(FED, b"a", Item("two"))

    await store.transact(work)

    assert [change.record for change in await store.changes(FED, 0, 10)] == [Item("two")]


async def test_a_deletion_in_the_batch_of_its_put_is_a_change_too(store: Store) -> None:
    await asyncio.gather(put(store, b"a", Item(), FED), delete(store, b"a", FED), delete(store, b"a", FED))

    assert [change.record for change in await store.changes(FED, 0, 10)] == [Item(), None]


async def test_the_feed_is_bounded_and_a_reader_who_fell_behind_is_told(store: Store) -> None:
    size = FEED_MAX_ROWS + FEED_TRIM_ROWS + 10

    def fill(start: int) -> Any:
        return lambda txn: [txn.put(FED, b"%d" % at, Item()) for at in range(start, start + 10_000)] and None

    for start in range(0, size, 10_000):
        await store.transact(fill(start))
    with pytest.raises(NotFound) as refused:
        await store.changes(FED, 0, 10)
    floor = refused.value.fields["floor"]

    assert floor >= FEED_TRIM_ROWS
    assert [change.seq for change in await store.changes(FED, floor, 2)] == [floor + 1, floor + 2]


async def test_changes_of_a_space_without_a_feed_is_a_programmers_error(store: Store) -> None:
    with pytest.raises(AssertionError, match="no feed"):
        await store.changes(ITEMS, 0, 10)


async def test_callbacks_are_called_after_the_commit_on_the_loop_once_per_batch(store: Store) -> None:
    calls: list[asyncio.AbstractEventLoop] = []
    store.on_change(ITEMS, lambda: calls.append(asyncio.get_running_loop()))

    await asyncio.gather(*[put(store, b"%d" % at, Item()) for at in range(20)])

    assert calls == [asyncio.get_running_loop()]


async def test_callbacks_are_not_called_for_other_spaces_or_for_works_that_raised(store: Store) -> None:
    calls: list[str] = []
    store.on_change(ITEMS, lambda: calls.append("items"))

    def fail(txn: Txn) -> None:
        txn.put(ITEMS, b"a", Item())
        raise ValueError

    await put(store, b"a", Item(), OTHERS)
    with pytest.raises(ValueError):
        await store.transact(fail)

    assert calls == []


async def test_a_callback_can_be_stopped_and_one_that_raises_harms_no_other(store: Store) -> None:
    calls: list[str] = []
    stop = store.on_change(ITEMS, lambda: calls.append("stopped"))
    store.on_change(ITEMS, lambda: calls.append(str(1 / 0)))
    store.on_change(ITEMS, lambda: calls.append("kept"))
    stop()
    stop()

    await put(store, b"a", Item())

    assert calls == ["kept"]


async def test_close_finishes_what_is_queued_and_refuses_what_comes_later(store: Store) -> None:
    waiting = [asyncio.ensure_future(put(store, b"%d" % at, Item())) for at in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())

    assert [task.exception() for task in waiting] == [None] * 50
    for attempt in (store.get(ITEMS, b"1"), store.scan(ITEMS, Range(), 1), put(store, b"a", Item())):
        with pytest.raises(Unavailable):
            await attempt


async def test_reads_do_not_keep_a_snapshot(store: Store) -> None:
    await put(store, b"a", Item("one"))
    await store.get(ITEMS, b"a")
    await store.scan(ITEMS, Range(), 1)
    gc.collect()
    await put(store, b"a", Item("two"))

    assert await store.get(ITEMS, b"a") == Item("two")
