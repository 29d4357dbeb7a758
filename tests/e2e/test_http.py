"""Clients that people use, against the server on a real clock: http.client, TLS, curl."""

import asyncio
import hashlib
import http.client
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from haneul.base.env import RealEnv
from haneul.base.log import SilentLog
from haneul.gateway.http import FileSlice, Request, Response
from haneul.gateway.server import Server
from haneul.gateway.tls import make_context

try:
    import uvloop
except ImportError:
    uvloop = None

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop
DATA = bytes(range(256)) * 40_000


class Face:
    def __init__(self, file: Path) -> None:
        self.file = file

    async def handle(self, request: Request) -> Response:
        if request.path == b"/file":
            return Response(200, [], FileSlice(self.file, 0, len(DATA)))
        if request.path == b"/sum":
            digest = hashlib.sha256()
            async for piece in request.body:
                digest.update(piece)
            return Response(200, [], digest.hexdigest().encode())
        if request.path == b"/echo":
            return Response(200, [], aiter(request.body))
        return Response(200, [(b"content-type", b"text/plain")], b"hello from " + request.scheme.encode())


@contextmanager
def serving(folder: Path, loop_name: str, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on a loop in a thread of its own; the port."""
    (folder / "data").write_bytes(DATA)
    loop = LOOPS[loop_name]()
    started = threading.Event()
    state: dict[str, Any] = {}

    async def run() -> None:
        server = Server(Face(folder / "data"), RealEnv(), SilentLog(), tls=tls)
        state["port"] = await server.start("127.0.0.1", 0)
        state["stop"] = asyncio.Event()
        started.set()
        await state["stop"].wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield state["port"]
    finally:
        loop.call_soon_threadsafe(state["stop"].set)
        thread.join(20)
        assert not thread.is_alive(), "the server does not stop"
        loop.close()


@pytest.fixture(params=LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["http", "https"])
def connection(request: pytest.FixtureRequest, loop_name: str, tmp_path: Path) -> Iterator[http.client.HTTPConnection]:
    context = make_context(tmp_path / "tls") if request.param == "https" else None
    with serving(tmp_path, loop_name, context) as port:
        if context is None:
            made = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        else:
            trust = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
            made = http.client.HTTPSConnection("localhost", port, timeout=20, context=trust)
        yield made
        made.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, **options: Any) -> bytes:
    connection.request(method, path, **options)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return body


def test_a_plain_client_is_served_on_one_connection(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/").startswith(b"hello from http")
    assert ask(connection, "POST", "/sum", body=DATA).decode() == hashlib.sha256(DATA).hexdigest()
    assert ask(connection, "POST", "/sum", body=iter([DATA] * 3), encode_chunked=True).decode() == (
        hashlib.sha256(DATA * 3).hexdigest()
    )
    assert ask(connection, "GET", "/file") == DATA
    assert ask(connection, "POST", "/echo", body=b"small") == b"small"


def test_who_does_not_trust_the_ca_is_not_served(tmp_path: Path, loop_name: str) -> None:
    with serving(tmp_path, loop_name, make_context(tmp_path / "tls")) as port:
        stranger = http.client.HTTPSConnection("localhost", port, timeout=20)
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("GET", "/")
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(plain, "GET", "/")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_uploads_with_expect_and_downloads(tmp_path: Path, loop_name: str) -> None:
    with serving(tmp_path, loop_name) as port:
        url = f"http://127.0.0.1:{port}"
        upload = ["curl", "-sS", "--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "15"]
        done = subprocess.run(
            [*upload, "-m", "10", "-T", str(tmp_path / "data"), f"{url}/sum"], capture_output=True, check=True
        )
        got = subprocess.run(["curl", "-sS", "-m", "20", f"{url}/file"], capture_output=True, check=True)
        upgrade = subprocess.run(["curl", "-sS", "--http2", "-m", "20", f"{url}/"], capture_output=True, check=False)

    assert done.stdout.decode() == hashlib.sha256(DATA).hexdigest()
    assert got.stdout == DATA
    assert upgrade.returncode != 0 or upgrade.stdout == b"hello from http"
