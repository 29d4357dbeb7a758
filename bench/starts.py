"""Starts: of functions on each of the three paths, of a hundred at once, of many that then idle, and of haneul itself."""

import asyncio
import statistics
import time
from pathlib import Path

from bench.api import HELLO, WITH_BOTO3, Api, Refused
from bench.load import Asker, ask_once, connect, run
from bench.results import Result, Target
from bench.servers import Server, cloud
from bench.stage import Stage

GAP_S = 0.05  # between cold starts: they meet an idle machine with a full pool, as they do in life
COLD_TAIL = Target("p99_ms", most=10)


def from_pool(stage: Stage) -> list[Result]:
    return _cold(stage, "cold.pool", HELLO, {}, [Target("p50_ms", most=2), COLD_TAIL])


def from_fork(stage: Stage) -> list[Result]:
    return _cold(stage, "cold.fork", HELLO, {"pool_size": "0"}, [Target("p50_ms", most=4), COLD_TAIL])


def from_snapshot(stage: Stage) -> list[Result]:
    return _cold(stage, "cold.snapshot", HELLO, {}, [Target("p50_ms", most=5), COLD_TAIL], snapshot=True)


def from_snapshot_with_boto3(stage: Stage) -> list[Result]:
    return _cold(stage, "cold.snapshot_boto3", WITH_BOTO3, {}, [Target("p50_ms", most=5)], snapshot=True)


def burst(stage: Stage) -> list[Result]:
    """0 → 100: as many requests at once, each needing an environment of its own."""
    count, hold_s = stage.times(100, 30), 0.5
    results = []
    with cloud(stage.all_cores) as server:
        for number in range(stage.times(5, 2)):
            name = f"burst{number}"
            server.api.make_function(name, HELLO)
            server.settle()
            before = server.cpu_s()
            took_s = run(_all_at_once(server.api, name, count, hold_s)) - hold_s
            results.append((took_s * 1000, (server.cpu_s() - before) / count * 1e6))
            starts = server.api.paths_of_starts(name)
            server.api.delete_function(name)
    targets = [Target("took_ms", most=250)] if count == 100 else []
    result = Result(f"burst.{count}", count, count * len(results), targets=targets, more={"starts": starts})
    result.took_ms = round(statistics.median(took for took, _ in results), 1)
    result.cpu_us = round(statistics.median(cpu for _, cpu in results), 1)
    result.more["rounds_ms"] = [round(took, 1) for took, _ in results]
    return [result]


def density(stage: Stage) -> list[Result]:
    """What an idle environment takes from the machine, by what the kernel says is available."""
    count, at_once, hold_s = stage.times(500, 100), 50, 20.0
    with cloud(stage.all_cores) as server:
        server.api.make_function("idle", HELLO, memory_mb=128)
        server.api.demand(server.api.invoke("idle", {}))
        server.settle()
        before = _available_mib()
        cpu_before = server.cpu_s()
        run(_hold(server.api, "idle", count, at_once, hold_s))
        time.sleep(2.0)
        each = (before - _available_mib()) / count
        result = Result(f"density.{count}", count, count, memory_mib=round(each, 3))
        result.targets = [Target("memory_mib", most=round(4096 / 1500, 3))]
        result.cpu_us = round((server.cpu_s() - cpu_before) / count * 1e6, 1)
        result.more = {"fit_in_4_gib": int(4096 / each) if each > 0 else None}
        result.more["starts"] = server.api.paths_of_starts("idle")
        return [result]


def of_itself(stage: Stage) -> list[Result]:
    """Spawn to first answer of a signed request, and what the idle process tree weighs."""
    took, weights = [], []
    for number in range(stage.times(7, 3)):
        with cloud(stage.all_cores) as server:
            took.append(server.start_s * 1000)
            if number == 0:
                server.settle()
                weights.append(server.memory_mib())
                cpu = _idle_cpu_us(server)
    start = Result("start.first_answer", 1, len(took), targets=[Target("took_ms", most=200)])
    start.took_ms = round(statistics.median(took), 1)
    start.more["rounds_ms"] = [round(one, 1) for one in took]
    idle = Result("idle.memory", 0, 1, memory_mib=weights[0], targets=[Target("memory_mib", most=45)])
    idle.more["cpu_us_per_s"] = cpu
    return [start, idle]


def _cold(
    stage: Stage, name: str, source: str, settings: dict[str, str], targets: list[Target], *, snapshot: bool = False
) -> list[Result]:
    """First invocations of new environments, one after the other."""
    count = stage.times(100, 20)
    path = name.partition(".")[2].partition("_")[0]
    with cloud(stage.all_cores, settings) as server:
        server.api.make_function("cold", source, snapshot=snapshot)
        server.settle()
        before = server.cpu_s()
        took = run(_one_by_one(server.api, "cold", count, "1" if snapshot else ""))
        cpu_s = server.cpu_s() - before
        starts = server.api.paths_of_starts("cold")
    ordered = sorted(took)
    result = Result(name, 1, count, targets=targets, more={"starts": starts})
    result.p50_ms = round(statistics.median(ordered) * 1000, 3)
    result.p99_ms = round(ordered[min(count - 1, int(count * 0.99))] * 1000, 3)
    result.cpu_us = round(cpu_s / count * 1e6, 1)
    if starts and starts.get(path, 0) < count * 0.9:
        result.note = f"not all came from there: {starts}"
    return [result]


async def _one_by_one(api: Api, function: str, count: int, qualifier: str) -> list[float]:
    """Seconds of each first answer. The environment is then kept busy, so that the next request needs a new one."""
    held: list[Asker] = []
    took = []
    hold = api.invoke(function, {"hold_s": 100}, qualifier=qualifier)
    for number in range(count):
        request = api.invoke(function, {"n": number}, qualifier=qualifier)
        seconds, status, first = await ask_once(api.host, api.port, request)
        if status >= 300:
            raise Refused(f"{status} {first!r}")
        took.append(seconds)
        asker = await connect(api.host, api.port, lambda *_: None, lambda: None)
        asker.ask(hold)
        held.append(asker)
        await asyncio.sleep(GAP_S)
    for asker in held:
        asker.close()
    return took


async def _all_at_once(api: Api, function: str, count: int, hold_s: float) -> float:
    """Seconds until all have answered; the connections are open before."""
    request = api.invoke(function, {"hold_s": hold_s})
    left, over = count, asyncio.get_running_loop().create_future()
    failed: list[str] = []

    def answered(status: int, size: int, first: bytes) -> None:
        nonlocal left
        if status >= 300:
            failed.append(f"{status} {first[:200]!r}")
        left -= 1
        if not left:
            over.set_result(None)

    def broken() -> None:
        if not over.done():
            over.set_exception(Refused("a connection broke"))

    askers = [await connect(api.host, api.port, answered, broken) for _ in range(count)]
    began = time.perf_counter()
    for asker in askers:
        asker.ask(request)
    await asyncio.wait_for(over, 60)
    took = time.perf_counter() - began
    for asker in askers:
        asker.close()
    if failed:
        raise Refused(failed[0])
    return took


async def _hold(api: Api, function: str, count: int, at_once: int, hold_s: float) -> None:
    """Have `count` environments at the same time, by requests that take so long, a few more every moment."""
    request = api.invoke(function, {"hold_s": hold_s})
    asked = []
    for number in range(count):
        asked.append(asyncio.ensure_future(ask_once(api.host, api.port, request)))
        if number % at_once == at_once - 1:
            await asyncio.sleep(0.5)
    for answer in asked:
        _, status, first = await answer
        if status >= 300:
            raise Refused(f"{status} {first[:200]!r}")


def _idle_cpu_us(server: Server) -> float:
    before, seconds = server.cpu_s(), 3.0
    time.sleep(seconds)
    return round((server.cpu_s() - before) / seconds * 1e6, 1)


def _available_mib() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) / 1024
    raise Refused("the kernel does not say how much memory is available")
