"""build(config) -> Cloud: everything made and joined, bottom floor first; stop() in reverse. Read this first."""

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
import socket
import ssl
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from haneul.base.config import Config
from haneul.base.env import Env, RealEnv
from haneul.base.errors import Denied, Failure, Unavailable
from haneul.base.log import Log, StreamLog
from haneul.base.scope import Scope
from haneul.clouds.aws.front import AwsFace
from haneul.console.admin import AdminFace, is_admin
from haneul.console.answers import make_answers
from haneul.engines import Engines
from haneul.gateway.http import Request, Response
from haneul.gateway.router import Choice, Router
from haneul.gateway.server import Server
from haneul.gateway.tls import make_context
from haneul.gateway.visitors import ClosedDoor, from_elsewhere
from haneul.rooms import Files, Rooms, build_rooms
from haneul.sandbox.choose import make_sandbox
from haneul.storage.directory import OwnerLock, make_directory, sync

LOOPBACK = "127.0.0.1"


def build(config: Config, *, env: Env | None = None, log: Log | None = None) -> "Cloud":
    """A cloud that is not started yet."""
    env = env if env is not None else RealEnv()
    return Cloud(config, env, log if log is not None else StreamLog(env, level=config.log_level))


class Cloud:
    """The whole cloud. It is the gateway's face, too: what is not for the admin interface is AWS."""

    def __init__(self, config: Config, env: Env, log: Log) -> None:
        self.config = config
        self.env = env
        self.log = log
        self.url = ""
        self.new_root_key: str | None = None
        self.ca: Path | None = None  # with tls: what clients have to trust, unless the operator gave a certificate
        self.directory = Path(tempfile.mkdtemp(prefix="haneul-")) if config.ephemeral else config.data_dir.absolute()
        self.sandbox = make_sandbox(config, env, log, self.directory / "sandbox")
        self._server: Server | None = None
        self._inner: Server | None = None
        self._files: Files | None = None
        self._rooms: Rooms | None = None
        self._router: Router | None = None
        self._lock: OwnerLock | None = None
        self._decided = asyncio.Event()
        self._stopped = False

    @property
    def rooms(self) -> Rooms:
        """State and engines; there from start() on."""
        assert self._rooms is not None
        return self._rooms

    @property
    def engines(self) -> Engines:
        return self.rooms.engines

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answer a request; while the rooms are being opened, wait for them."""
        return self._router.handle(request) if self._router is not None else self._handle_later(request)

    async def _handle_later(self, request: Request) -> Response:
        await self._decided.wait()
        if self._router is None:
            return Response(503, [(b"content-type", b"text/plain")], b"haneul could not start\n")
        return await self._router.handle(request)

    async def start(self) -> None:
        """Take the data folder, listen, open the state, go on with what was left, and get the sandboxes ready.

        Raises Unavailable or Damaged when that is not possible; what was begun is then undone already.
        """
        try:
            await self._start()
        except BaseException:
            self._decided.set()
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what is in flight, then close everything, top floor first, and the rest also when one of them fails.

        Once: a second call does nothing.
        """
        if self._stopped:
            return
        self._stopped = True
        async with contextlib.AsyncExitStack() as closing:  # what is pushed last is closed first
            if self.config.ephemeral:
                closing.callback(shutil.rmtree, self.directory, ignore_errors=True)
            if self._lock is not None:
                closing.callback(self._lock.release)
            closing.push_async_callback(self.sandbox.close)
            if self._files is not None:
                closing.push_async_callback(self._files.close)
            if self._rooms is not None:
                closing.push_async_callback(self._rooms.stop)
            if self._inner is not None:
                closing.push_async_callback(self._inner.stop)
            if self._server is not None:
                closing.push_async_callback(self._server.stop)

    async def reset(self, account: str | None) -> None:
        """Wipe one account, or everything. Raises Denied in secure mode."""
        if self.config.secure:
            raise Denied("reset", "", "only in developer mode: this cloud runs with --secure")
        await self.rooms.reset(account)

    async def _start(self) -> None:
        make_directory(self.directory)
        self._lock = OwnerLock(self.directory / "haneul.lock")  # before anything else of the folder is touched
        port = await self._listen()
        opening = self.env.spawn(self._open_sandbox(), name="sandbox: open")
        try:
            await self._open_rooms(port)
        except BaseException:
            await asyncio.gather(opening, return_exceptions=True)  # it cannot be closed before it is open
            raise
        if (failure := await opening) is not None:
            raise failure

    async def _open_sandbox(self) -> Failure | None:
        """Why it cannot be opened, for whoever started this task and has other things to undo first."""
        try:
            await self.sandbox.open()
        except Failure as failure:
            return failure
        return None

    async def _listen(self) -> int:
        """The port. Raises Unavailable."""
        host, port = self.config.host, self.config.port
        tls = self._make_tls()
        self._server = Server(self, self.env, self.log, tls=tls)
        try:
            bound = await self._server.start(host, port)
        except OSError as error:
            why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
            advice = "; choose another with --port" if error.errno == errno.EADDRINUSE else ""
            raise Unavailable("address", f"{host}:{port}", f"cannot listen there: {why}{advice}") from error
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{bound}"
        return bound

    async def _listen_to_functions(self, port: int) -> tuple[tuple[str, int], str]:
        """Address and URL at which functions reach the cloud.

        With TLS that is a plain listener on loopback: inside a sandbox nobody trusts a development CA, nor knows the name
        on the operator's certificate. Raises Unavailable.
        """
        if not self.url.startswith("https:"):
            return (self.config.host, port), self.url
        self._inner = Server(self, self.env, self.log)
        try:
            inner = await self._inner.start(LOOPBACK, 0)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise Unavailable("address", f"{LOOPBACK}:0", f"cannot listen there: {why}") from error
        return (LOOPBACK, inner), f"http://{LOOPBACK}:{inner}"

    async def _open_rooms(self, port: int) -> None:
        endpoint, url = await self._listen_to_functions(port)
        state = None if self.config.ephemeral else self.directory / "state"
        files = self._files = Files(self.directory, state, self.env, self.log)
        rooms = self._rooms = build_rooms(
            self.config,
            self.env,
            self.log,
            files,
            sandbox=self.sandbox,
            code_dir=self.directory / "code",
            endpoint=endpoint,
            url=url,
        )
        await rooms.start()
        aws = AwsFace(rooms.engines, self.config, self.env, self.log, rooms.observer)
        admin = AdminFace(make_answers(self), token=await self._admin_token())
        self._router = Router([*self._closed_door(), (is_admin, admin)], default=aws)
        self._decided.set()

    def _closed_door(self) -> list[Choice]:
        """In developer mode, where nobody needs a key: what keeps the web pages that a developer visits out."""
        domain = self.config.domain
        return [] if self.config.secure else [(lambda request: from_elsewhere(request, domain), ClosedDoor())]

    async def _admin_token(self) -> str | None:
        """In secure mode: root's keys and the admin token lie in the data folder, readable by its owner only."""
        if not self.config.secure:
            return None
        key, secret = await self.rooms.engines.identity.root_credentials(Scope(self.config.account, self.config.region))
        if _write_private(
            self.directory / "root-credentials",
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n",
        ):
            self.new_root_key = key
        file = self.directory / "admin-token"
        _write_private(file, secrets.token_urlsafe(32))
        return file.read_text(encoding="utf-8").strip()

    def _make_tls(self) -> ssl.SSLContext | None:
        if not self.config.tls and self.config.tls_certificate is None:
            return None
        if self.config.tls_certificate is None:
            self.ca = self.directory / "tls" / "ca.pem"
        return make_context(self.directory / "tls", certificate=self.config.tls_certificate, key=self.config.tls_key)


def _write_private(file: Path, text: str) -> bool:
    """Write a file of mode 600, whole or not at all, unless it is there; whether it was written."""
    if file.exists():
        return False
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, encoding="utf-8")
    sync(unfinished)
    unfinished.rename(file)
    sync(file.parent)
    return True
