"""The servers that are measured, each a process of its own with a folder of its own; and what /proc tells of them."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.api import Api, Refused

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
SETTLE_TIMEOUT_S = 10.0
ROOT = Path(__file__).parents[1]
PROC = Path("/proc")


@dataclass(frozen=True)
class Place:
    """Where a process runs: on these cores; boosted over the other processes of a shared machine (needs root)."""

    cpus: set[int]
    boosted: bool = False

    def enter(self) -> None:
        os.sched_setaffinity(0, self.cpus)
        if self.boosted:
            # Without the second, nice has no effect between sessions (sched(7), autogroup).
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text("-20")


class Server:
    """A running process tree."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Path, start_s: float) -> None:
        self.process = process
        self.api = Api(url)
        self.folder = folder
        self.start_s = start_s

    @property
    def tree(self) -> list[int]:
        """Process ids, the first one's first."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in _listed(PROC / str(pid) / "task"):
                with contextlib.suppress(OSError):
                    todo += map(int, (PROC / str(pid) / "task" / task / "children").read_text().split())
        return found

    def cpu_s(self) -> float:
        """CPU seconds that the tree has used so far, those of children that ended and were waited for included."""
        ticks = 0
        for pid in self.tree:
            with contextlib.suppress(OSError):
                fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """Wait until it is done with what it prepares behind its first answer, for SETTLE_TIMEOUT_S at most."""
        until = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < until:
            before = self.cpu_s()
            time.sleep(0.3)
            if self.cpu_s() - before <= 0.01:
                return

    def memory_mib(self) -> float:
        """Proportional set size of the tree; resident size where the kernel does not tell."""
        kib = 0
        for pid in self.tree:
            with contextlib.suppress(OSError):
                found = re.search(r"^Pss: +(\d+)", (PROC / str(pid) / "smaps_rollup").read_text(), re.M)
                kib += int(found[1]) if found else 0
        return round(kib / 1024, 1)

    def stop(self) -> None:
        """SIGTERM, and after a while SIGKILL, to what was started here and nothing else."""
        tree = self.tree
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for pid in tree:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(STOP_TIMEOUT_S)


@contextlib.contextmanager
def cloud(place: Place, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`haneul up` on a port of the system's choice, ready when it has answered its first signed request."""
    with _folder() as folder:
        command = [sys.executable, "-m", "haneul", "up", "--port", "0", "--data-dir", str(folder / "data")]
        environment = {f"HANEUL_{name.upper()}": value for name, value in (settings or {}).items()}
        began = time.perf_counter()
        process = _spawn(command, folder, place, environment)
        try:
            url = _wait_for(process, folder / "data" / "running.json", folder)
            server = Server(process, url, folder, 0.0)
            _first_answer(server)
            server.start_s = time.perf_counter() - began
            yield server
        finally:
            if process.poll() is None:
                Server(process, "", folder, 0.0).stop()


@contextlib.contextmanager
def bare(place: Place) -> Iterator[Server]:
    """Nothing but haneul's HTTP server and a face that says hello."""
    with _folder() as folder:
        note = folder / "running.json"
        process = _spawn([sys.executable, "-m", "bench.bare", str(note)], folder, place, {})
        try:
            yield Server(process, _wait_for(process, note, folder), folder, 0.0)
        finally:
            if process.poll() is None:
                Server(process, "", folder, 0.0).stop()


def _spawn(command: list[str], folder: Path, place: Place, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANEUL_")}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with (folder / "output").open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, "PYTHONPATH": path, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=place.enter,
        )


def _wait_for(process: subprocess.Popen[bytes], note: Path, folder: Path) -> str:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(note.read_text(encoding="utf-8"))["url"])
        time.sleep(0.001)
    output = (folder / "output").read_text(errors="replace")[-1500:]
    raise Refused(f"the server did not start; it said:\n{output}")


def _first_answer(server: Server) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            server.api.demand(server.api.who_am_i())
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.001)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="haneul-bench-"))
    folder.chmod(0o755)  # functions run as other users, who must reach their code
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
