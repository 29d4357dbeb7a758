"""The batch under every observer: it never makes its caller wait, and it is bounded."""

from haneul.base.batch import Batch
from haneul.base.env import ManualEnv
from haneul.base.errors import Unavailable
from haneul.base.limits import OBSERVER_BUFFER_MAX
from haneul.base.log import SilentLog


class Sink:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failure: Exception | None = None

    async def write(self, records: list[int]) -> None:
        if self.failure is not None:
            raise self.failure
        self.batches.append(records)


async def test_records_leave_together_on_the_timer() -> None:
    env, sink = ManualEnv(), Sink()
    batch = Batch(env, SilentLog(), "x", sink.write)
    for number in range(3):
        batch.add(number)

    await env.advance(0.2)
    early = list(sink.batches)
    await env.advance(0.1)

    assert (early, sink.batches) == ([], [[0, 1, 2]])


async def test_a_flush_writes_now_and_leaves_nothing_for_the_timer() -> None:
    env, sink = ManualEnv(), Sink()
    batch = Batch(env, SilentLog(), "x", sink.write)
    batch.add(1)

    await batch.flush()
    await env.advance(1)

    assert sink.batches == [[1]]


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    env, sink, log = ManualEnv(), Sink(), SilentLog()
    batch = Batch(env, log, "x", sink.write)
    for number in range(OBSERVER_BUFFER_MAX + 5):
        batch.add(number)

    await batch.flush()

    assert len(sink.batches[0]) == OBSERVER_BUFFER_MAX
    assert log.events == [("warning", "batch overflowed", {"batch": "x", "dropped": 5})]


async def test_a_store_that_is_busy_gets_the_records_later() -> None:
    env, sink = ManualEnv(), Sink()
    batch = Batch(env, SilentLog(), "x", sink.write)
    sink.failure = Unavailable("store", "", "busy")
    batch.add(1)
    await batch.flush()
    sink.failure = None
    batch.add(2)

    await env.advance(1)

    assert sink.batches == [[1, 2]]


async def test_records_that_cannot_be_written_are_lost_and_said_so() -> None:
    env, sink, log = ManualEnv(), Sink(), SilentLog()
    batch = Batch(env, log, "x", sink.write)
    sink.failure = ValueError("bad")
    batch.add(1)

    await batch.flush()
    sink.failure = None
    await batch.flush()

    assert sink.batches == []
    assert log.events[0][2]["lost"] == 1


async def test_after_stop_nothing_is_taken() -> None:
    env, sink = ManualEnv(), Sink()
    batch = Batch(env, SilentLog(), "x", sink.write)
    batch.add(1)
    await batch.stop()
    batch.add(2)
    await env.advance(1)

    assert sink.batches == [[1]]
