"""Any rows, any answers, any restarts: every row is tried until it is done or dropped, never early, never twice at once."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from haneul.base.limits import DELIVERY_BACKOFF_MAX_MS, GRACE_TIMEOUT_S
from haneul.engines.delivery.verdict import Done, Dropped, Retry, Verdict
from haneul.storage.outbox import Delivery
from tests.unit.delivery.world import World

ANSWERS = st.one_of(
    st.tuples(st.just("raise"), st.integers(0, 3)),
    st.tuples(st.just("retry"), st.integers(0, 90_000)),
    st.tuples(st.just("hang"), st.integers(1, 60)),
)
ENDS = st.sampled_from([("done", 0), ("drop", 0)])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["f", "g", "h"]),
        st.one_of(st.just(0), st.integers(0, 100_000)),
        st.lists(ANSWERS, max_size=3),
        ENDS,
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=30,
)
RESTARTS = st.lists(st.integers(1, 60), max_size=3)

Script = list[tuple[str, int]]


class Scripted:
    """Answers each row by its own script. An attempt that is cut short by a stop is made again with the same answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.scripts: dict[str, Script] = {}
        self.not_before_ms: dict[str, int] = {}

    async def __call__(self, row: Delivery) -> Verdict:
        assert self.world.env.now_ms() >= self.not_before_ms[row.id], "tried before it was due"
        word, number = self.scripts[row.id][0]
        if word == "hang":
            await self.world.env.sleep(number)
        self.scripts[row.id].pop(0)
        if word == "retry":
            self.not_before_ms[row.id] = self.world.env.now_ms() + number
            return Retry(number, "later")
        if word in ("raise", "hang"):
            raise ValueError(word)
        return Done() if word == "done" else Dropped("no")


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, restarts=RESTARTS)
def test_every_row_comes_to_the_end_of_its_script(
    rows: list[tuple[str, int, Script, tuple[str, int], int]], restarts: list[int]
) -> None:
    asyncio.run(deliver_all(rows, restarts))


async def deliver_all(rows: list[tuple[str, int, Script, tuple[str, int], int]], restarts: list[int]) -> None:
    world = World()
    scripted = Scripted(world)
    world.answers = dict.fromkeys("fgh", scripted)
    await world.engine.start()
    for at, (target, delay_ms, script, end, pause_s) in enumerate(rows):
        row = world.row(str(at), target, delay_ms=delay_ms)
        scripted.scripts[row.id] = [*script, end]
        scripted.not_before_ms[row.id] = row.due_ms
        await world.send(row)
        await world.env.advance(pause_s)
    for after_s in restarts:
        await world.env.advance(after_s)
        await world.restart()
    for _ in range(40):
        await world.env.advance(DELIVERY_BACKOFF_MAX_MS / 1000)
    await world.idle()

    assert await world.rows() == []
    assert {id: script for id, script in scripted.scripts.items() if script} == {}
    assert all(most == 1 for id, most in world.most_at_once.items() if id.isdigit())
    assert world.observed.outcomes().count("done") == sum(end == ("done", 0) for _, _, _, end, _ in rows)
    await world.close()


def test_the_grace_time_is_shorter_than_a_hanging_target_may_hang() -> None:
    assert GRACE_TIMEOUT_S < 60, "otherwise the model above never cuts an attempt short"
