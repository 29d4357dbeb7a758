"""Metrics: minutes add up, percentiles are close, and the number of series is bounded."""

from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog
from haneul.engines.metrics import distribution
from haneul.engines.metrics.engine import MetricsEngine
from haneul.engines.metrics.records import SCHEMA
from haneul.storage.sqlite import open_store
from tests.unit.records import HOME, START_MS, invoked, requested

NOW = int(START_MS)


def engine() -> MetricsEngine:
    env = ManualEnv()
    return MetricsEngine(open_store(SCHEMA, None, env, SilentLog()), env, SilentLog())


async def test_runs_are_counted_with_their_errors_and_durations() -> None:
    metrics = engine()
    for number in range(10):
        metrics.finished(invoked(outcome="error" if number < 3 else "ok", duration_us=(number + 1) * 1000))
        await metrics.flush()

    points = {
        name: (await metrics.get(HOME, "functions", name, "thumbs", from_ms=NOW, to_ms=NOW + 60_000))[0].values
        for name in ("invocations", "errors", "duration_ms")
    }

    assert points["invocations"].sum == 10
    assert (points["errors"].count, points["errors"].sum) == (10, 3)
    assert (points["duration_ms"].least, points["duration_ms"].most) == (1.0, 10.0)
    assert abs(distribution.percentile(points["duration_ms"], 50) - 5.0) <= 0.5


async def test_periods_join_minutes() -> None:
    metrics = engine()
    base = NOW - NOW % 300_000
    for minute in range(5):
        metrics.finished(requested(at_ms=base + minute * 60_000))

    points = await metrics.get(
        HOME, "requests", "duration_ms", "s3.PutObject", from_ms=base, to_ms=base + 300_000, period_s=300
    )

    assert [(point.start_ms, point.values.count) for point in points] == [(base, 5)]


async def test_failed_requests_are_counted_by_whose_fault_it_was() -> None:
    metrics = engine()
    metrics.finished(requested(status=404))
    metrics.finished(requested(status=500))

    for name in ("client_errors", "server_errors"):
        points = await metrics.get(HOME, "requests", name, "s3.PutObject", from_ms=NOW, to_ms=NOW + 60_000)
        assert points[0].values.sum == 1


def test_percentiles_of_zeros_are_zero() -> None:
    assert distribution.percentile(distribution.add(distribution.of(0.0), distribution.of(0.0)), 99) == 0.0
