"""Where the running cloud is: its address in the data folder, for the other commands to find."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:4566"


@contextlib.contextmanager
def write_running(data_dir: Path, url: str) -> Iterator[None]:
    """Leave the address of this process in the data folder while it runs."""
    data_dir.mkdir(parents=True, exist_ok=True)
    file = data_dir / "running.json"
    file.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def find_url(endpoint: str | None) -> str:
    """--endpoint, HANEUL_ENDPOINT, the cloud of the data folder (HANEUL_DATA_DIR or .haneul), or the default port."""
    if endpoint or (endpoint := os.environ.get("HANEUL_ENDPOINT")):
        return endpoint.rstrip("/")
    try:
        kept = json.loads((data_dir() / "running.json").read_text(encoding="utf-8"))
        os.kill(kept["pid"], 0)
        return str(kept["url"])
    except (OSError, ValueError, KeyError):
        return DEFAULT_URL


def data_dir() -> Path:
    """The folder in which the commands look for a running cloud."""
    return Path(os.environ.get("HANEUL_DATA_DIR", ".haneul"))
