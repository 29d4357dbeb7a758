"""Events in and out: order, pages, windows, retention, followers; groups and streams."""

import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import AlreadyExists, Conflict, Invalid, LimitExceeded, NotFound
from haneul.engines.logs.engine import Accepted, LogsEngine
from haneul.engines.logs.reading import Page, Window
from haneul.engines.logs.records import Event

from .conftest import OTHER, SCOPE, wrote

FAR = 2**62


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events]


async def group_with(logs: LogsEngine, *streams: str, group: str = "g") -> None:
    await logs.groups.create(SCOPE, group, tags={})
    for stream in streams:
        await logs.groups.create_stream(SCOPE, group, stream)


async def put(logs: LogsEngine, stream: str, *lines: tuple[int, str], group: str = "g") -> Accepted:
    return await logs.put(SCOPE, group, stream, lines, oldest_ms=0, newest_ms=FAR)


def anything(text: str) -> bool:
    return True


async def everything(logs: LogsEngine, **more: int) -> list[str]:
    """All of group g through pages of the given limit."""
    found: list[str] = []
    window = Window()
    while True:
        page = await logs.search(SCOPE, "g", window=window, streams=anything, accepts=anything, **more)
        found += texts(page.events)
        if not page.more:
            return found
        window = Window(after=page.scanned)


async def test_what_was_logged_can_be_read_at_once_with_group_and_stream_made(logs: LogsEngine, env: ManualEnv) -> None:
    logs.logged(wrote(env, "START", "hello"))

    page = await logs.read(SCOPE, "g", "s", window=Window(), backward=False)

    assert texts(page.events) == ["START\n", "hello\n"]
    assert (await logs.groups.get(SCOPE, "g")).stored_bytes == 2 * 26 + len("START\nhello\n")


async def test_lines_are_written_by_the_timer_without_being_asked(logs: LogsEngine, env: ManualEnv) -> None:
    logs.logged(wrote(env, "one"))

    await env.advance(0.3)

    assert (await logs.groups.get_stream(SCOPE, "g", "s")).last_ms > 0


async def test_lines_of_many_streams_come_in_order_of_time(logs: LogsEngine) -> None:
    await group_with(logs, "a", "b")
    await put(logs, "a", (1_000, "1"), (9_000, "3"), (30_000, "5"))
    await put(logs, "b", (2_000, "2"), (9_500, "4"), (9_000, "3b"))

    assert await everything(logs) == ["1", "2", "3", "3b", "4", "5"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_of_any_size_give_every_line_once(logs: LogsEngine, limit: int) -> None:
    await group_with(logs, "a", "b")
    for step in range(10):
        await put(logs, "ab"[step % 2], *((step * 4_000 + 500 * n, f"{step}.{n}") for n in range(5)))

    assert sorted(await everything(logs, limit=limit)) == sorted(f"{step}.{n}" for step in range(10) for n in range(5))


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_stream_is_read_backward_page_by_page(logs: LogsEngine, limit: int) -> None:
    await group_with(logs, "a", "b")
    for step in range(6):
        await put(logs, "a", (step * 7_000, f"a{step}"), (step * 7_000 + 2_500, f"a{step}+"))
        await put(logs, "b", (step * 7_000, "other"))
    found: list[str] = []
    window = Window()
    more = True

    while more:
        page: Page = await logs.read(SCOPE, "g", "a", window=window, backward=True, limit=limit)
        found = texts(page.events)[::-1] + found
        window, more = Window(before=page.scanned), page.more

    assert found == [f"a{step}{end}" for step in range(6) for end in ("", "+")]


async def test_a_page_ends_before_its_bytes_are_too_many_but_has_one_event_at_least(logs: LogsEngine) -> None:
    await group_with(logs, "a")
    await put(logs, "a", *((n, "x" * 100) for n in range(5)))

    small = await logs.read(SCOPE, "g", "a", window=Window(), backward=False, max_bytes=250)
    tiny = await logs.read(SCOPE, "g", "a", window=Window(), backward=True, max_bytes=1)

    assert (len(small.events), small.more) == (2, True)
    assert (len(tiny.events), tiny.more) == (1, True)


async def test_a_window_takes_its_start_and_leaves_its_end(logs: LogsEngine) -> None:
    await group_with(logs, "a")
    await put(logs, "a", *((n * 1_000, str(n)) for n in range(60)))

    page = await logs.read(SCOPE, "g", "a", window=Window(start_ms=9_000, end_ms=12_000), backward=False)
    back = await logs.read(SCOPE, "g", "a", window=Window(start_ms=9_000, end_ms=12_000), backward=True)

    assert texts(page.events) == texts(back.events)[::-1] == ["9", "10", "11"]


async def test_a_search_takes_the_wanted_lines_of_the_wanted_streams(logs: LogsEngine) -> None:
    await group_with(logs, "a", "b")
    await put(logs, "a", (1, "yes a"), (2, "no"))
    await put(logs, "b", (3, "yes b"))

    page = await logs.search(
        SCOPE, "g", window=Window(), streams=lambda name: name == "a", accepts=lambda text: "yes" in text
    )

    assert (texts(page.events), page.more) == (["yes a"], False)


@pytest.mark.parametrize("backward", [False, True])
async def test_a_search_gives_up_after_a_while_and_can_be_gone_on_with(
    logs: LogsEngine, monkeypatch: pytest.MonkeyPatch, backward: bool
) -> None:
    monkeypatch.setattr("haneul.engines.logs.reading.LOG_SEARCH_MAX_CHUNKS", 3)
    await group_with(logs, "a")
    for step in range(40):
        await put(logs, "a", (step * 1_500, f"{step}"), (step * 1_500 + 4_000, "no"))
    window, found, pages, more = Window(), [], 0, True

    while more:
        page = await logs.search(
            SCOPE, "g", window=window, streams=anything, accepts=lambda text: text != "no", backward=backward
        )
        found += texts(page.events)
        window = Window(before=page.scanned) if backward else Window(after=page.scanned)
        more, pages = page.more, pages + 1

    assert found == [str(step) for step in (reversed(range(40)) if backward else range(40))]
    assert 3 < pages < 50


async def test_events_outside_the_window_of_a_put_are_counted_and_left_out(logs: LogsEngine, env: ManualEnv) -> None:
    await group_with(logs, "a")
    await logs.groups.set_retention(SCOPE, "g", 1)
    now = env.now_ms()
    lines = [(now - 3 * 86_400_000, "old"), (now - 90_000_000, "expired"), (now, "good"), (now + 10_000, "new")]

    accepted = await logs.put(SCOPE, "g", "a", lines, oldest_ms=now - 2 * 86_400_000, newest_ms=now + 5_000)

    assert accepted == Accepted(expired=2, too_old=1, too_new=1)
    assert await everything(logs) == ["good"]


async def test_past_its_retention_an_event_is_not_seen_and_then_deleted(logs: LogsEngine, env: ManualEnv) -> None:
    await logs.start()
    logs.logged(wrote(env, "old"))
    await logs.flush()
    await logs.groups.set_retention(SCOPE, "g", 1)
    seen = await everything(logs)

    await env.advance(86_400 + 1)
    hidden = await everything(logs)
    await env.advance(400)
    await logs.groups.set_retention(SCOPE, "g", 0)

    assert (seen, hidden, await everything(logs)) == (["old\n"], [], [])


async def test_groups_are_apart_by_account_region_and_name(logs: LogsEngine, env: ManualEnv) -> None:
    logs.logged(wrote(env, "mine"))
    logs.logged(wrote(env, "theirs", scope=OTHER))
    logs.logged(wrote(env, "longer", group="gg"))

    assert await everything(logs) == ["mine\n"]


async def test_following_misses_no_late_line_and_repeats_none(logs: LogsEngine, env: ManualEnv) -> None:
    logs.logged(wrote(env, "first"))
    answer = await logs.last(SCOPE, "g", limit=10)
    seen = [event["text"] for event in answer["events"]]
    late = wrote(env, "late", stream="slow")
    await env.advance(2)
    for more in (wrote(env, "second"), late):
        logs.logged(more)
        answer = await logs.last(SCOPE, "g", limit=10, after=answer["after"])
        seen += [event["text"] for event in answer["events"]]
    answer = await logs.last(SCOPE, "g", limit=10, after=answer["after"])

    assert seen == ["first\n", "second\n", "late\n"]
    assert answer["events"] == []


@pytest.mark.parametrize("after", ["x", "1", "1-", "-1", "1-2-3", "9" * 50 + "-1"])
async def test_a_made_up_place_to_go_on_is_invalid(logs: LogsEngine, env: ManualEnv, after: str) -> None:
    logs.logged(wrote(env, "first"))

    with pytest.raises(Invalid):
        await logs.last(SCOPE, "g", limit=10, after=after)


async def test_a_tail_sees_what_is_written_from_now_on(logs: LogsEngine, env: ManualEnv) -> None:
    logs.logged(wrote(env, "before"))
    await logs.flush()
    tail = await logs.tail(SCOPE, ["g"], streams=lambda name: True, accepts=lambda text: "no" not in text)
    logs.logged(wrote(env, "no", "yes"))
    logs.logged(wrote(env, "yes", group="another"))
    logs.logged(wrote(env, "yes", scope=OTHER))
    await logs.flush()

    batches = [batch async for batch in _until_closed(tail)]

    assert [[(group, event.text) for group, event in batch] for batch in batches] == [[("g", "yes\n")]]


async def _until_closed(tail):  # type: ignore[no-untyped-def]
    async for batch in tail:
        yield batch
        tail.close()


async def test_tails_are_bounded_and_must_name_groups_that_exist(logs: LogsEngine, env: ManualEnv) -> None:
    with pytest.raises(NotFound):
        await logs.tail(SCOPE, ["g"], streams=bool, accepts=bool)
    await group_with(logs)
    for _ in range(100):
        await logs.tail(SCOPE, ["g"], streams=bool, accepts=bool)

    with pytest.raises(LimitExceeded):
        await logs.tail(SCOPE, ["g"], streams=bool, accepts=bool)


async def test_groups_are_listed_by_name_prefix_and_page(logs: LogsEngine) -> None:
    for name in ("b/1", "a/1", "a/2", "a/3", "A/4"):
        await logs.groups.create(SCOPE, name, tags={})

    first, more = await logs.groups.find(SCOPE, prefix="a/", limit=2)
    rest, no_more = await logs.groups.find(SCOPE, prefix="a/", limit=2, after=first[-1].name)
    like, _ = await logs.groups.find(SCOPE, accepts=lambda name: name.endswith("1"), limit=9)

    assert ([group.name for group in first], more) == (["a/1", "a/2"], True)
    assert ([group.name for group in rest], no_more) == (["a/3"], False)
    assert [group.name for group in like] == ["a/1", "b/1"]


async def test_streams_are_listed_by_name_or_by_newest_event(logs: LogsEngine) -> None:
    await group_with(logs, "a", "b", "c", "d")
    for time_ms, name in enumerate("badc", 1):
        await put(logs, name, (time_ms, "x"))

    async def listed(**how: object) -> tuple[str, bool]:
        options: dict = {"by_time": False, "newest_first": False, "skip": 0, "limit": 9, **how}
        found, more = await logs.groups.list_streams(SCOPE, "g", **options)
        return "".join(stream.name for stream in found), more

    assert await listed() == ("abcd", False)
    assert await listed(newest_first=True) == ("dcba", False)
    assert await listed(by_time=True, newest_first=True) == ("cdab", False)
    assert await listed(by_time=True, skip=1, limit=2) == ("ad", True)
    assert await listed(prefix="c") == ("c", False)


async def test_what_is_not_there_is_named(logs: LogsEngine) -> None:
    with pytest.raises(NotFound) as no_group:
        await put(logs, "s", (1, "x"))
    await group_with(logs)
    with pytest.raises(NotFound) as no_stream:
        await put(logs, "s", (1, "x"))
    with pytest.raises(NotFound):
        await logs.read(SCOPE, "g", "s", window=Window(), backward=False)

    assert (no_group.value.noun, no_stream.value.noun) == ("log group", "log stream")


async def test_names_are_taken_once(logs: LogsEngine) -> None:
    await group_with(logs, "s")

    with pytest.raises(AlreadyExists):
        await logs.groups.create(SCOPE, "g", tags={})
    with pytest.raises(AlreadyExists):
        await logs.groups.create_stream(SCOPE, "g", "s")


async def test_deleting_a_stream_takes_its_events_only(logs: LogsEngine) -> None:
    await group_with(logs, "a", "b")
    await put(logs, "a", (1, "a"))
    await put(logs, "b", (2, "b"))

    await logs.groups.delete_stream(SCOPE, "g", "a")

    assert await everything(logs) == ["b"]
    with pytest.raises(NotFound):
        await logs.groups.delete_stream(SCOPE, "g", "a")


async def test_a_deleted_group_that_is_made_again_is_empty(logs: LogsEngine) -> None:
    await group_with(logs, "a")
    await put(logs, "a", (1, "a"))

    await logs.groups.delete(SCOPE, "g")
    with pytest.raises(NotFound):
        await logs.groups.delete(SCOPE, "g")
    await group_with(logs)

    assert await everything(logs) == []


async def test_a_protected_group_is_not_deleted(logs: LogsEngine) -> None:
    await group_with(logs)
    await logs.groups.set_protected(SCOPE, "g", True)

    with pytest.raises(Conflict):
        await logs.groups.delete(SCOPE, "g")


async def test_tags_are_added_replaced_deleted_and_bounded(logs: LogsEngine) -> None:
    await logs.groups.create(SCOPE, "g", tags={"a": "1"})
    await logs.groups.put_tags(SCOPE, "g", {"a": "2", "b": "3"})
    await logs.groups.delete_tags(SCOPE, "g", ["a", "none"])

    assert (await logs.groups.get(SCOPE, "g")).tags == {"b": "3"}
    with pytest.raises(LimitExceeded):
        await logs.groups.put_tags(SCOPE, "g", {str(n): "" for n in range(51)})


async def test_reset_forgets_one_account_or_all(logs: LogsEngine, env: ManualEnv) -> None:
    logs.logged(wrote(env, "mine"))
    logs.logged(wrote(env, "theirs", scope=OTHER))

    await logs.reset(OTHER.account)
    assert await everything(logs) == ["mine\n"]
    await logs.reset(None)

    with pytest.raises(NotFound):
        await everything(logs)


async def test_the_last_lines_of_a_flood_are_found_in_order(logs: LogsEngine) -> None:
    streams = [f"s{number}" for number in range(8)]
    await group_with(logs, *streams)
    flood = [(5_000 + number // 40, f"{number:04}") for number in range(4_000)]
    for offset, stream in enumerate(streams):
        await put(logs, stream, *flood[offset::8])

    answer = await logs.last(SCOPE, "g", limit=50)
    pages: list[str] = []
    window, more = Window(), True
    while more:
        page = await logs.search(SCOPE, "g", window=window, streams=anything, accepts=anything, backward=True, limit=70)
        pages += texts(page.events)
        window, more = Window(before=page.scanned), page.more

    times = {text: time_ms for time_ms, text in flood}
    assert {event["time_ms"] for event in answer["events"]} == {times["3999"], times["3959"]}
    assert len(pages) == len(set(pages)) == 4_000
    assert [times[text] for text in pages] == sorted(times.values(), reverse=True)
