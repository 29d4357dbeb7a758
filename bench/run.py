"""Chooses and runs the measurements: `python -m bench.run --out bench/out/latest.json`."""

import argparse
import fnmatch
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import rates, starts
from bench.api import Refused
from bench.results import Result, report, table
from bench.servers import Place
from bench.stage import Stage

MEASUREMENTS: dict[str, Callable[[Stage], list[Result]]] = {
    "bare.hello": rates.hello,
    "sts.noop": rates.nothing,
    "s3.10k": rates.small_objects,
    "s3.10m": rates.large_objects,
    "invoke.warm": rates.warm,
    "cold.pool": starts.from_pool,
    "cold.fork": starts.from_fork,
    "cold.snapshot": starts.from_snapshot,
    "cold.snapshot_boto3": starts.from_snapshot_with_boto3,
    "burst": starts.burst,
    "density": starts.density,
    "start": starts.of_itself,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when every target that was measured is met, 1 when one is missed or could not be measured."""
    options = _options(arguments)
    if not hasattr(os, "sched_setaffinity"):
        print("the benchmark reads /proc and pins processes to cores: it needs Linux", file=sys.stderr)
        return 2
    cores = os.sched_getaffinity(0)
    server_cpus = options.server_cpus or {min(cores)}
    client_cpus = options.client_cpus or (cores - server_cpus) or cores
    stage = Stage(
        Place(server_cpus, options.boost),
        Place(cores, options.boost),
        0.5 if options.quick else options.seconds,
        options.quick,
    )
    chosen = [name for name in MEASUREMENTS if any(fnmatch.fnmatch(name, one) for one in options.only.split(","))]
    if not chosen:
        print(f"nothing is called {options.only}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    results: list[Result] = []
    Place(client_cpus, options.boost).enter()
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            results += MEASUREMENTS[name](stage)
        except (Refused, OSError, TimeoutError) as error:
            results.append(Result(name, note=f"could not be run: {error or type(error).__name__}"))
    _compare(results)
    made = report(results, vars(options) | {"server_cpus": sorted(server_cpus), "client_cpus": sorted(client_cpus)})
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(made, indent=1, default=str, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(results))
    whole = all(met for result in results for _, met in result.verdicts())
    return 0 if whole and not any(result.note.startswith("could not") for result in results) else 1


def _compare(results: list[Result]) -> None:
    """Rates as a share of the bare server's in the same run."""
    ceiling = {one.connections: one.rate_per_s for one in results if one.name == "bare.hello" and one.rate_per_s}
    for result in results:
        top = ceiling.get(result.connections)
        if top and result.rate_per_s is not None and result.name != "bare.hello":
            result.of_bare = round(result.rate_per_s / top, 3)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="measure haneul against its targets")
    parser.add_argument("--only", default="*", help=f"patterns, comma-separated, of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each load (default 3)")
    parser.add_argument(
        "--quick", action="store_true", help="half a second each and fewer rounds: a look, not a figure"
    )
    parser.add_argument("--server-cpus", type=_cpus, help="cores of the server, as 0 or 0,1 (default: the first)")
    parser.add_argument("--client-cpus", type=_cpus, help="cores of the load (default: all others)")
    parser.add_argument(
        "--boost", action="store_true", help="take precedence over the other processes of a busy machine (root)"
    )
    parser.add_argument("--out", type=Path, help="write everything as JSON here")
    return parser.parse_args(arguments)


def _cpus(text: str) -> set[int]:
    return {int(one) for one in text.split(",")}


if __name__ == "__main__":
    sys.exit(main())
