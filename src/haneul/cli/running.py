"""Which cloud the other commands talk to: the one whose address stands in the data folder, or --endpoint."""

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFAULT_URL = "http://127.0.0.1:4566"
TIMEOUT_S = 30.0


class NotRunning(Exception):
    """No cloud answers there; the message says what to do."""


class Refused(Exception):
    """The cloud answered with an error."""


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


def ask(url: str, path: str, *, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of the admin interface. Raises NotRunning, or Refused with what it said."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data=data, method=method)
    token = data_dir() / "admin-token"
    if token.is_file():
        request.add_header("authorization", f"Bearer {token.read_text(encoding='utf-8').strip()}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            text = text or error.reason
        raise Refused(text) from error
    except (urllib.error.URLError, OSError) as error:
        raise NotRunning(
            f"no cloud answers at {url}. Start one with `haneul up`, or name it with --endpoint."
        ) from error
