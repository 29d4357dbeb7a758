"""Traces: every hop is found again, parents before children."""

from pathlib import Path

import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import NotFound
from haneul.base.limits import TRACE_KEEP_S, TRACE_SWEEP_S
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.engines.traces.engine import TracesEngine, in_order
from haneul.engines.traces.records import SCHEMA
from haneul.storage.sqlite import open_store
from tests.unit.records import HOME, START_MS, TRACE_ID, invoked, requested


def engine(env: ManualEnv, folder: Path | None = None) -> TracesEngine:
    return TracesEngine(open_store(SCHEMA, folder, env, SilentLog()), env, SilentLog())


async def test_a_waterfall_puts_children_below_their_parents() -> None:
    traces = engine(ManualEnv())
    traces.finished(invoked(at_ms=START_MS + 5, span="b" * 16, parent="a" * 16, start="pool", init_us=2_000))
    traces.finished(requested("GetObject", at_ms=START_MS + 6, span="c" * 16))
    traces.finished(requested(span="a" * 16))

    shown = await traces.waterfall(HOME, TRACE_ID)

    assert [(span["name"], span["depth"]) for span in shown["spans"]] == [
        ("s3 PutObject", 0),
        ("function thumbs", 1),
        ("s3 GetObject", 0),
    ]
    assert shown["spans"][1]["note"] == "pool start, init 2.0 ms"


async def test_the_latest_traces_come_first_each_once() -> None:
    traces = engine(ManualEnv())
    for second in range(5):
        traces.finished(requested(at_ms=START_MS + second * 1000, trace_id=f"{0x6B49D200 + second:08x}" + "1" * 24))
        await traces.flush()
        traces.finished(invoked(at_ms=START_MS))

    listed = await traces.latest(HOME, 3)

    assert [one["start_ms"] - START_MS for one in listed] == [4000, 3000, 2000]
    assert {one["spans"] for one in listed} == {1}


async def test_an_unknown_trace_is_not_found_and_others_do_not_see_it() -> None:
    traces = engine(ManualEnv())
    traces.finished(requested())

    with pytest.raises(NotFound):
        await traces.get(HOME, "0" * 32)
    with pytest.raises(NotFound):
        await traces.get(Scope("111111111111", "us-east-1"), TRACE_ID)


async def test_runs_of_a_function_are_listed_newest_first() -> None:
    traces = engine(ManualEnv())
    for number in range(4):
        traces.finished(invoked(at_ms=START_MS + number, span=f"{number}" * 16))
    traces.finished(invoked("other"))

    listed = await traces.runs(HOME, "thumbs", 3)

    assert [one["start_ms"] - START_MS for one in listed] == [3, 2, 1]


async def test_old_traces_are_swept_and_young_ones_stay(tmp_path: Path) -> None:
    env = ManualEnv(now=START_MS / 1000)
    traces = engine(env)
    await traces.start()
    traces.finished(requested())
    traces.finished(invoked())
    await traces.flush()
    await env.advance(TRACE_KEEP_S - 10)
    young = f"{int(env.now()):08x}" + "2" * 24
    traces.finished(requested(at_ms=env.now() * 1000, trace_id=young))
    await traces.flush()

    for _ in range(3):
        await env.advance(TRACE_SWEEP_S)
        await traces.flush()

    assert [one["trace_id"] for one in await traces.latest(HOME, 10)] == [young]
    assert await traces.runs(HOME, "thumbs", 10) == []


async def test_a_reset_forgets_one_account_only() -> None:
    traces = engine(ManualEnv())
    traces.finished(requested())
    await traces.reset("111111111111")
    assert len(await traces.latest(HOME, 10)) == 1

    await traces.reset(HOME.account)

    assert await traces.latest(HOME, 10) == []


def test_records_in_a_circle_are_all_shown_once() -> None:
    one, two = invoked(span="1" * 16, parent="2" * 16), invoked(span="2" * 16, parent="1" * 16)

    assert len(in_order([one, two])) == 2
