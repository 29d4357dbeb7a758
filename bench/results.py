"""Results: figures beside their targets, as JSON for machines and as a table for people."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.load import Load

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Target:
    """figure: a field of Result. least or most: what it has to reach or not to pass."""

    figure: str
    least: float | None = None
    most: float | None = None

    def met(self, value: float | None) -> bool | None:
        if value is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        bound = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return f"{self.figure} {bound}"


@dataclass
class Result:
    """One measurement. Figures that do not apply are None.

    rate_per_s   answers per second           mb_per_s  bodies, in 10^6 bytes per second
    p50_ms, p99_ms  latency                   cpu_us    CPU of the server's whole process tree per operation
    took_ms      how long the whole thing took, for what happens once
    of_bare      rate as a share of the bare server's, same number of connections, same run
    """

    name: str
    connections: int = 1
    count: int = 0
    rate_per_s: float | None = None
    mb_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None
    took_ms: float | None = None
    memory_mib: float | None = None
    of_bare: float | None = None
    bad: int = 0
    note: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    targets: Sequence[Target] = ()

    def verdicts(self) -> list[tuple[Target, bool | None]]:
        """(target, met), None where it was not measured."""
        return [(target, target.met(getattr(self, target.figure))) for target in self.targets]


def from_load(name: str, connections: int, load: Load, cpu_s: float, targets: Sequence[Target] = ()) -> Result:
    """What a load came to. A share of bad answers makes the figures worthless, so they are left out then."""
    result = Result(name, connections, load.good, bad=load.bad + load.lost, targets=targets)
    if load.examples:
        result.note = load.examples[0]
    if load.good and result.bad * 100 <= load.good:
        result.rate_per_s = round(load.good / load.wall_s, 1)
        result.p50_ms, result.p99_ms = load.percentile_ms(0.5), load.percentile_ms(0.99)
        result.cpu_us = round(cpu_s / load.good * 1e6, 1)
    return result


def report(results: Sequence[Result], options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that makes figures comparable: machine, commit, date, options, results with verdicts."""
    rows = []
    for result in results:
        row = asdict(result)
        row["targets"] = [{"target": str(target), "met": met} for target, met in result.verdicts()]
        rows.append(row)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") + ("+changes" if _git("status", "--porcelain", "-uno") else ""),
        "machine": _machine(),
        "options": dict(options),
        "results": rows,
    }


def table(results: Sequence[Result]) -> str:
    """One row for each result; the last column says which targets are met."""
    head = (
        "measurement",
        "conns",
        "per s",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "CPU µs",
        "took ms",
        "MiB",
        "of bare",
        "targets",
    )
    rows = [head]
    for result in results:
        figures = (
            result.rate_per_s,
            result.mb_per_s,
            result.p50_ms,
            result.p99_ms,
            result.cpu_us,
            result.took_ms,
            result.memory_mib,
            result.of_bare,
        )
        verdicts = [f"{_SAID[met]}: {target}" for target, met in result.verdicts()]
        said = "; ".join((*verdicts, *([result.note.splitlines()[0][:100]] if result.note else [])))
        rows.append((result.name, str(result.connections), *map(_number, figures), said))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, len(head) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


_SAID = {True: "met", False: "MISSED", None: "not measured"}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _machine() -> dict[str, Any]:
    model = memory = ""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
        model = found[1] if found else ""
        found = re.search(r"^MemTotal: +(\d+)", Path("/proc/meminfo").read_text(), re.M)
        memory = f"{int(found[1]) // 1024} MiB" if found else ""
    except OSError:
        model = platform.processor()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
