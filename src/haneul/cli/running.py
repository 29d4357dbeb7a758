"""Where the running cloud is: its address in the data folder, for the other commands to find."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFAULT_URL = "http://127.0.0.1:4566"
NOTE = "running.json"


@contextlib.contextmanager
def write_running(data_dir: Path, url: str, *, directory: Path, ca: Path | None) -> Iterator[None]:
    """Leave the address of this process in the data folder while it runs.

    directory: where its state and admin token lie (elsewhere than data_dir when it is ephemeral). ca: the certificate
    of its built-in CA. An ephemeral cloud leaves the note of one that owns the folder alone.
    """
    file = data_dir / NOTE
    if directory != data_dir.absolute() and _read(file):
        yield
        return
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = {"url": url, "pid": os.getpid(), "directory": os.fspath(directory), "ca": os.fspath(ca) if ca else None}
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(note), encoding="utf-8")
    unfinished.rename(file)
    try:
        yield
    finally:
        if _read(file).get("pid") == os.getpid():
            file.unlink(missing_ok=True)


def find_url(endpoint: str | None) -> str:
    """--endpoint, HANEUL_ENDPOINT, the cloud of the data folder (HANEUL_DATA_DIR or .haneul), or the default port."""
    if endpoint or (endpoint := os.environ.get("HANEUL_ENDPOINT")):
        return endpoint.rstrip("/")
    return str(_read(data_dir() / NOTE).get("url", DEFAULT_URL))


def find_ca(url: str) -> str | None:
    """The CA file with which the certificate at url is verified: the cloud's own, or AWS_CA_BUNDLE; None: the system's."""
    return _of(url).get("ca") or os.environ.get("AWS_CA_BUNDLE")


def find_token(url: str) -> str | None:
    """The admin token, where secure mode asks for one: HANEUL_ADMIN_TOKEN, or the one of the data folder's own cloud."""
    if token := os.environ.get("HANEUL_ADMIN_TOKEN"):
        return token
    return _kept(url, "admin-token")  # never sent to another address


def find_root_credentials(url: str) -> str | None:
    """What secure mode wrote down for the owner of the data folder, as an AWS credentials file."""
    return _kept(url, "root-credentials")


def data_dir() -> Path:
    """The folder in which the commands look for a running cloud."""
    return Path(os.environ.get("HANEUL_DATA_DIR", ".haneul"))


def _kept(url: str, name: str) -> str | None:
    directory = _of(url).get("directory")
    if directory is None:
        return None
    try:
        return (Path(directory) / name).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _of(url: str) -> dict[str, Any]:
    note = _read(data_dir() / NOTE)
    return note if note.get("url") == url else {}


def _read(file: Path) -> dict[str, Any]:
    """The note of a process that still runs, or {}."""
    try:
        note = json.loads(file.read_text(encoding="utf-8"))
        os.kill(note["pid"], 0)
    except PermissionError:
        return {}  # another user's
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(note)
