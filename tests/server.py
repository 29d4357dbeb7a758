"""A real `haneul up` in a process of its own, to be used, killed and started again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

START_TIMEOUT_S = 30.0


class Server:
    """The folder outlives the process: start() after kill() goes on with what was kept."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.flags = flags
        self.url = ""
        self.port = "0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        note = self.folder / "running.json"
        note.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "haneul",
                    "up",
                    "--port",
                    self.port,
                    "--data-dir",
                    str(self.folder),
                    *self.flags,
                ],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if note.is_file() and (text := note.read_text(encoding="utf-8")):
                self.url = json.loads(text)["url"]
                self.port = self.url.rpartition(":")[2]
                return self
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
                raise AssertionError(f"haneul ended:\n{self.output()}")
        raise AssertionError(f"haneul did not start:\n{self.output()}")

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def client(self, service: str, **settings: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            **{
                "region_name": "us-east-1",
                "aws_access_key_id": "000000000000",
                "aws_secret_access_key": "any",
                **settings,
            },
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def haneul(self, *arguments: str, status: int = 0) -> str:
        """Run a command of the command line against this cloud and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "haneul", *arguments],
            env={**os.environ, "HANEUL_DATA_DIR": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr
