"""`haneul demo`: pictures in, thumbnails out: the whole cloud on a real application, with unmodified clients."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import demo_deploy, show, words
from .ask import NotRunning, ask
from .invoke import client

START_TIMEOUT_S = 30.0
WAIT_TIMEOUT_S = 120.0
POLL_S = 0.05
STARTS = {
    "warm": "an environment that had run before",
    "fork": "a sandbox made on the spot, from an interpreter that runs",
    "snapshot": "forked from a sandbox that had the handler imported",
    "pool": "a sandbox that was kept ready",
    "exec": "an interpreter started for it",
}
SOURCE, TARGET = demo_deploy.SOURCE, demo_deploy.TARGET


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what to do."""


class Running:
    """The cloud of the demo: a process of its own, so that it can be killed and started again like anybody's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> float:
        """Start it and wait for its first answer; returns seconds. Raises DemoFailed with what it printed."""
        began = time.monotonic()
        note = self._folder / "running.json"
        note.unlink(missing_ok=True)
        output = (self._folder / "haneul.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "haneul", "up", "--port", self._port, "--data-dir", str(self._folder)],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        os.environ["HANEUL_DATA_DIR"] = str(self._folder)
        while time.monotonic() - began < START_TIMEOUT_S:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(NotRunning, OSError, ValueError, KeyError):
                self.url = json.loads(note.read_text(encoding="utf-8"))["url"]
                ask(self.url, "/_haneul/health")
                self._port = self.url.rpartition(":")[2]
                return time.monotonic() - began
            time.sleep(0.01)
        raise DemoFailed(
            f"the cloud did not start:\n{(self._folder / 'haneul.log').read_text(errors='replace')[-2000:]}"
        )

    @property
    def pid(self) -> int:
        """Of the process, for people who want to stop it themselves."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to stop, and wait for it."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()


def run_demo(*, count: int, crash: bool, keep: bool, out: Path | None) -> None:
    """Everything, step by step. Raises DemoFailed."""
    example = _example()
    out = out or example / "out"
    folder = Path(mkdtemp(prefix="haneul-demo-"))
    cloud = Running(folder)
    done = False
    try:
        show.heading(
            "haneul demo", "pictures go into a bucket; each starts a function, which writes a thumbnail to another"
        )
        show.step(
            "cloud",
            f"up in {cloud.start() * 1000:.0f} ms at {cloud.url}",
            "a process of its own, as `haneul up` starts it",
        )
        sandbox = ask(cloud.url, "/_haneul/status")["sandbox"]
        show.step("sandbox", words.tier(sandbox["tier"], sandbox["reasons"]))
        pictures = _pictures(example, folder / "pictures", count)
        with _errors_of_tools():
            demo_deploy.deploy(cloud.url, example, folder)
            _upload(cloud, pictures, crash=crash)
            made = _wait(cloud.url, count)
            _fetch(cloud.url, made, out)
        _report(cloud.url, pictures, made, out)
        if keep:
            show.step("running", f"haneul status --endpoint {cloud.url}", f"stop it: kill {cloud.pid}")
        done = True
    finally:
        if not keep:
            cloud.stop()
        if done and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        elif not done:
            print(f"state and log of the cloud are left in {folder}", file=sys.stderr)


def _example() -> Path:
    for base in (Path.cwd(), Path(__file__).resolve().parents[3]):
        if (base / "examples" / "thumbnails" / "app.py").is_file():
            return base / "examples" / "thumbnails"
    raise DemoFailed(
        "examples/thumbnails is not here: run the demo in a checkout of haneul (git clone, then make demo)"
    )


def _pictures(example: Path, folder: Path, count: int) -> list[Path]:
    try:
        import PIL  # noqa: F401  (only whether it is there)
    except ImportError as error:
        raise DemoFailed("the demo's function needs Pillow: pip install 'haneul[demo]'") from error
    import importlib.util

    spec = importlib.util.spec_from_file_location("haneul_demo_images", example / "images.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: list[Path] = module.make_images(folder, count)
    size_mb = sum(path.stat().st_size for path in made) / 1e6
    show.step("pictures", f"{count} made, {size_mb:.1f} MB", "JPEG, PNG and WebP")
    return made


@contextlib.contextmanager
def _errors_of_tools() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, demo_deploy.ToolFailed) as error:
        raise DemoFailed(str(error)) from error


def _bar(title: str) -> Progress:
    return Progress(
        TextColumn(f"[cyan]{title:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=show.console,
        disable=not sys.stdout.isatty(), transient=True,
    )  # fmt: skip


def _upload(cloud: Running, pictures: list[Path], *, crash: bool) -> None:
    s3 = client(cloud.url, "s3", "us-east-1")
    with _bar("upload") as bar:
        task = bar.add_task("upload", total=len(pictures))
        for number, path in enumerate(pictures):
            if crash and number == (len(pictures) + 1) // 2:
                cloud.kill()
                again_ms = cloud.start() * 1000
                show.step("crash", f"SIGKILL after {number} acknowledged uploads; up again in {again_ms:.0f} ms")
                s3 = client(cloud.url, "s3", "us-east-1")
            s3.upload_file(str(path), SOURCE, path.name)
            bar.advance(task)
    show.step("upload", f"{len(pictures)} pictures into s3://{SOURCE}", "with boto3; each answer means: on disk")


def _wait(url: str, count: int) -> dict[str, dict[str, Any]]:
    s3 = client(url, "s3", "us-east-1")
    began = time.monotonic()
    with _bar("thumbnails") as bar:
        task = bar.add_task("thumbnails", total=count)
        while True:
            listed = s3.list_objects_v2(Bucket=TARGET).get("Contents", [])
            bar.update(task, completed=len(listed))
            if len(listed) >= count:
                break
            if time.monotonic() - began > WAIT_TIMEOUT_S:
                missing = f"{count - len(listed)} thumbnails are missing after {WAIT_TIMEOUT_S:.0f} s"
                raise DemoFailed(f"{missing}; see haneul logs thumbnails --endpoint {url}")
            time.sleep(POLL_S)
    took_s = time.monotonic() - began
    show.step("thumbnails", f"{count} in s3://{TARGET}, {took_s:.2f} s after the last upload")
    return {entry["Key"]: s3.head_object(Bucket=TARGET, Key=entry["Key"]) for entry in listed}


def _fetch(url: str, made: dict[str, dict[str, Any]], out: Path) -> None:
    s3 = client(url, "s3", "us-east-1")
    out.mkdir(parents=True, exist_ok=True)
    for key in made:
        s3.download_file(TARGET, key, str(out / key))


def _report(url: str, pictures: list[Path], made: dict[str, dict[str, Any]], out: Path) -> None:
    runs = {run["request_id"]: run for run in ask(url, "/_haneul/runs?function=thumbnails&limit=1000")}
    lines = []
    for path in pictures:
        head = made[path.name]
        run = runs.get(head["Metadata"]["request-id"], {})
        init = f"{run['init_us'] / 1000:.1f}" if run.get("init_us") else ""
        lines.append((
            path.name, f"{path.stat().st_size:,}", f"{head['Metadata']['width']}x{head['Metadata']['height']}",
            f"{head['ContentLength']:,}", run.get("start", "?"), init,
            f"{run.get('duration_us', 0) / 1000:.1f}", run.get("peak_memory_mb") or "–",
        ))  # fmt: skip
    show.heading("Runs", "one for each picture, in a sandbox of its own")
    show.rows(
        "", ("picture", "bytes", "thumbnail", "bytes out", "start", "init ms", "run ms", "peak MB"), lines,
        right=("bytes", "bytes out", "init ms", "run ms", "peak MB"), plain=False,
    )  # fmt: skip
    used = {run.get("start", "") for run in runs.values()}
    show.remark("start: " + "; ".join(f"{name} = {said}" for name, said in STARTS.items() if name in used))
    traces = [run["trace_id"] for run in runs.values() if run.get("trace_id")]
    if traces:
        show.heading("Trace", "one of the runs, hop by hop; each bar begins and ends where its hop did")
        show.waterfall(ask(url, f"/_haneul/traces/{traces[-1]}")["spans"])
    found = ask(url, "/_haneul/cost?since=1d")
    show.heading("What this run would have cost on AWS", "priced line by line from what was metered")
    show.bill(found, plain=False)
    if float(found["total"]) > 0:
        show.remark(f"one dollar pays for {1 / float(found['total']):,.0f} such runs")
    show.heading("Done")
    show.step("thumbnails", str(out))
    show.step("next", f"{_command()} up", "your own cloud, from this folder; the README shows what to do with it")


def _command() -> str:
    """How this command was called, as short as it can be said from here."""
    called = Path(sys.argv[0])
    if called.name != "haneul":
        return "haneul"
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)
