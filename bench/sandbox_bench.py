"""What starting and keeping environments costs: `python bench/sandbox_bench.py [--tier strict] [--quick]`; JSON on stdout.

Latency figures are milliseconds from the request to the answer of the first invocation, measured in one asyncio process on
uvloop, as in the server. "spaced" waits between starts, which is what a real cold start meets: cold caches, an idle core.
"""

import argparse
import asyncio
import json
import os
import platform
import py_compile
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from haneul.base.config import Config
from haneul.base.env import RealEnv
from haneul.base.log import SilentLog
from haneul.sandbox.api import Instance, Invocation, Outcome, Sandbox, Spec
from haneul.sandbox.choose import make_sandbox

HELLO = "def handler(event, context):\n    return event\n"
BOTO3 = "import boto3\nclient = boto3.client('s3', region_name='us-east-1')\n" + HELLO
ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
}


class Bench:
    """One sandbox, and starts of one function."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.directory = directory
        self.interpreter = f"python3.{sys.version_info[1]}"
        self._serial = 0

    def code(self, name: str, source: str) -> Path:
        """A folder with the function, compiled as deployment compiles it."""
        folder = self.directory / name
        folder.mkdir()
        (folder / "app.py").write_text(source)
        py_compile.compile(str(folder / "app.py"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        return folder

    def spec(self, code: Path, **given: Any) -> Spec:
        self._serial += 1
        facts: dict[str, Any] = {"environment": ENVIRONMENT, "account": "000000000000", "memory_mb": 256}
        facts |= {"id": f"b{self._serial}", "interpreter": self.interpreter, "handler": "app.handler", "code_dir": code}
        return Spec(**{**facts, **given})

    async def start(self, code: Path, **given: Any) -> Instance:
        made = await self.sandbox.start(self.spec(code, **given), lambda lines: None)
        assert not isinstance(made, Outcome), made
        return made

    async def starts(self, code: Path, count: int, gap_s: float, **given: Any) -> dict[str, Any]:
        """Start, answer, stop, one after the other."""
        times, paths = [], {}
        for _ in range(count):
            began = time.perf_counter()
            instance = await self.start(code, **given)
            await call(instance)
            times.append(time.perf_counter() - began)
            paths[instance.start_path] = paths.get(instance.start_path, 0) + 1
            await instance.stop()
            await asyncio.sleep(gap_s)
        return {**figures(times), "paths": paths}

    async def warm(self, code: Path, count: int) -> dict[str, Any]:
        instance = await self.start(code)
        times = []
        for _ in range(count):
            began = time.perf_counter()
            await call(instance)
            times.append(time.perf_counter() - began)
        await instance.stop()
        return figures(times)

    async def frozen(self, code: Path, count: int) -> dict[str, Any]:
        """Freezing, and thawing with the answer to an event."""
        instance = await self.start(code)
        freezing, thawing = [], []
        for _ in range(count):
            began = time.perf_counter()
            await instance.freeze()
            freezing.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)
            began = time.perf_counter()
            await instance.thaw()
            await call(instance)
            thawing.append(time.perf_counter() - began)
        await instance.stop()
        return {"freeze": figures(freezing), "thaw_and_answer": figures(thawing)}

    async def burst(self, code: Path, count: int, **given: Any) -> dict[str, Any]:
        """Milliseconds until `count` environments that are asked for at once have all answered."""
        began = time.perf_counter()

        async def one() -> Instance:
            instance = await self.start(code, **given)
            await call(instance)
            return instance

        made = await asyncio.gather(*(one() for _ in range(count)))
        took = time.perf_counter() - began
        await asyncio.gather(*(instance.stop() for instance in made))
        return {"count": count, "ms": round(took * 1000, 1)}

    async def density(self, code: Path, count: int, **given: Any) -> dict[str, Any]:
        """Memory that each idle environment takes from the machine, by what the kernel says is available."""
        first = await self.start(code, **given)
        await asyncio.sleep(1)
        before = available_mb()
        made = [await self.start(code, **given) for _ in range(count)]
        for instance in made:
            await call(instance)
            await instance.freeze()
        await asyncio.sleep(1)
        each = (before - available_mb()) / count
        await asyncio.gather(*(instance.stop() for instance in [first, *made]))
        return {"count": count, "mb_each": round(each, 3), "fit_in_4_gib": int(4096 / each)}


async def call(instance: Instance) -> None:
    invocation = Invocation(request_id="r", payload=b'{"n": 1}', deadline_ms=0, timeout_s=30.0)
    outcome = await instance.run(invocation)
    assert outcome.kind == "ok", outcome


def figures(times: list[float]) -> dict[str, Any]:
    """Percentiles in milliseconds."""
    ordered = sorted(times)
    at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in SHARES.items()}
    return {"n": len(times), **{name: round(value * 1000, 3) for name, value in at.items()}}


SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def _open_to_all(folder: str) -> Path:
    """Functions run as other users, who must reach their code."""
    directory = Path(folder)
    directory.chmod(0o755)
    return directory


def available_mb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no MemAvailable")


def bare_fork_ms() -> float:
    """fork, exit and wait of this process: what the machine's figures may be compared by."""
    times = []
    for _ in range(50):
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1000, 3)


async def measure(tier: str, quick: bool) -> dict[str, Any]:
    n = 40 if quick else 200
    results: dict[str, Any] = {"tier": tier}

    async def within(name: str, work: Callable[[Bench], Awaitable[Any]], **settings: Any) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            directory = _open_to_all(scratch)
            config = Config(tier=tier, environments_max=1000, **settings)
            sandbox = make_sandbox(config, RealEnv(), SilentLog(), directory / "scratch")
            await sandbox.open()
            bench = Bench(sandbox, directory)
            try:
                warming = await bench.start(bench.code("warming", HELLO))
                await warming.stop()
                await asyncio.sleep(0.5)
                results[name] = await work(bench)
            finally:
                await sandbox.close()

    async def snapshot(bench: Bench, source: str, gap_s: float) -> dict[str, Any]:
        code = bench.code("snapshot", source)
        reason = await bench.sandbox.prepare(bench.spec(code, snapshot="s"))
        if reason:
            return {"refused": reason}
        return await bench.starts(code, n, gap_s, snapshot="s")

    for egress in ("open", "closed"):
        await within(
            f"pool_{egress}_spaced",
            lambda b, e=egress: b.starts(b.code("f", HELLO), n, 0.05, egress=e),  # type: ignore[misc]
            pool_size=4,
        )
        await within(
            f"fork_{egress}_spaced",
            lambda b, e=egress: b.starts(b.code("f", HELLO), n, 0.05, egress=e),  # type: ignore[misc]
            pool_size=0,
        )
    await within("fork_back_to_back", lambda b: b.starts(b.code("f", HELLO), n, 0.0), pool_size=0)
    await within("snapshot_hello_spaced", lambda b: snapshot(b, HELLO, 0.05), pool_size=0)
    await within("snapshot_hello_back_to_back", lambda b: snapshot(b, HELLO, 0.0), pool_size=0)
    await within("snapshot_boto3_spaced", lambda b: snapshot(b, BOTO3, 0.05), pool_size=0)
    await within("snapshot_boto3_back_to_back", lambda b: snapshot(b, BOTO3, 0.0), pool_size=0)
    await within("boto3_pool_spaced", lambda b: b.starts(b.code("f", BOTO3), max(20, n // 5), 0.2), pool_size=4)
    await within("warm", lambda b: b.warm(b.code("f", HELLO), 5 * n), pool_size=0)
    await within("freezer", lambda b: b.frozen(b.code("f", HELLO), n), pool_size=0)
    await within("burst_without_pool", lambda b: b.burst(b.code("f", HELLO), 100), pool_size=0)
    await within("burst_closed_without_pool", lambda b: b.burst(b.code("f", HELLO), 100, egress="closed"), pool_size=0)
    await within("burst_with_pool", lambda b: b.burst(b.code("f", HELLO), 100), pool_size=16)
    count = 100 if quick else 500
    await within("density", lambda b: b.density(b.code("f", HELLO), count), pool_size=0)
    await within("density_closed", lambda b: b.density(b.code("f", HELLO), count, egress="closed"), pool_size=0)
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tier", default="strict")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"kernel": platform.release(), "cores": os.cpu_count(), "python": platform.python_version()}
    about = {"machine": machine, "commit": commit.stdout.strip(), "load": os.getloadavg()[0]}
    about["fork_exit_wait_ms"] = bare_fork_ms()
    print(json.dumps({**about, **uvloop.run(measure(options.tier, options.quick))}, indent=1))


if __name__ == "__main__":
    main()
