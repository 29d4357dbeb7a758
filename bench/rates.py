"""Rates: the bare server, a signed call that does nothing, objects, and warm functions."""

import os

from bench.api import HELLO
from bench.results import Result, Target
from bench.servers import Server, bare, cloud
from bench.stage import Stage

POOL = 256  # different signed requests, used in turn
MEGABYTE = 1_000_000
SMALL, LARGE = 10_240, 10 * 1024 * 1024


def hello(stage: Stage) -> list[Result]:
    """The bare server: the ceiling of everything else."""
    with bare(stage.one_core) as server:
        request = [server.api.plain()]
        return [
            stage.load(
                server, "bare.hello", request, connections, [Target("cpu_us", most=10)] if connections > 1 else []
            )
            for connections in (1, 16, 64)
        ]


def nothing(stage: Stage) -> list[Result]:
    """GetCallerIdentity: socket, signature, route, decode, authorise, encode, observers, and no engine to speak of."""
    with cloud(stage.one_core) as server:
        server.settle()
        requests = [server.api.who_am_i() for _ in range(POOL)]
        return [
            stage.load(
                server, "sts.noop", requests, connections, [Target("cpu_us", most=55)] if connections > 1 else []
            )
            for connections in (1, 16, 64)
        ]


def small_objects(stage: Stage) -> list[Result]:
    with cloud(stage.one_core) as server:
        api = server.api
        server.settle()
        api.make_bucket("bench")
        keys, body = [f"k{number:04}" for number in range(100)], os.urandom(SMALL)
        puts = [api.put("bench", key, body) for key in keys]
        results = [
            stage.load(server, "s3.put10k", puts, 1),
            stage.load(server, "s3.put10k", puts, 16, [Target("rate_per_s", least=6000), Target("cpu_us", most=75)]),
        ]
        for put in puts:
            api.demand(put)
        gets = [api.get("bench", key) for key in keys]
        results.append(stage.load(server, "s3.get10k", gets, 1))
        targets = [Target("rate_per_s", least=15000), Target("cpu_us", most=55)]
        results.append(stage.load(server, "s3.get10k", gets, 16, targets))
        return results


def large_objects(stage: Stage) -> list[Result]:
    """10 MiB bodies; the server may use every core, as hashing does. Memory has to stay flat."""
    with cloud(stage.all_cores) as server:
        api = server.api
        server.settle()
        api.make_bucket("bench")
        puts = [api.put("bench", f"k{number}", os.urandom(LARGE)) for number in range(2)]
        gets = [api.get("bench", f"k{number}") for number in range(2)]
        before = server.memory_mib()
        results = [
            _in_megabytes(stage.load(server, "s3.put10m", puts, connections, targets), LARGE, server, before)
            for connections, targets in ((1, []), (4, [Target("mb_per_s", least=400)]))
        ]
        for put in puts:
            api.demand(put)
        results += [
            _in_megabytes(stage.load(server, "s3.get10m", gets, connections, targets), LARGE, server, before)
            for connections, targets in ((1, []), (4, [Target("mb_per_s", least=1000)]))
        ]
        return results


def warm(stage: Stage) -> list[Result]:
    """Invocations of a function whose environments are there."""
    targets = {
        1: [Target("p50_ms", most=0.25)],
        16: [Target("rate_per_s", least=10_000), Target("p50_ms", most=1.5), Target("cpu_us", most=75)],
        64: [],
    }
    with cloud(stage.one_core) as server:
        server.settle()
        server.api.make_function("warm", HELLO)
        requests = [server.api.invoke("warm", {"n": number}) for number in range(POOL)]
        results = [stage.load(server, "invoke.warm", requests, n, wanted) for n, wanted in targets.items()]
        results[-1].more["starts"] = server.api.paths_of_starts("warm")
        return results


def _in_megabytes(result: Result, size: int, server: Server, before_mib: float) -> Result:
    if result.rate_per_s is not None:
        result.mb_per_s = round(result.rate_per_s * size / MEGABYTE, 1)
    result.memory_mib = server.memory_mib()
    result.more["memory_before_mib"] = before_mib
    return result
