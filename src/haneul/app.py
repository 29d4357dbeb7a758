"""build(config) -> Cloud: everything made and joined, bottom floor first; stop() in reverse. Read this first."""

import asyncio
import contextlib
import secrets
import shutil
import ssl
import tempfile
from pathlib import Path

from haneul.base.config import Config
from haneul.base.env import Env, RealEnv
from haneul.base.errors import Denied
from haneul.base.log import Log, StreamLog
from haneul.base.scope import Scope
from haneul.clouds.aws.front import AwsFace
from haneul.console.admin import AdminFace, is_admin
from haneul.console.answers import make_answers
from haneul.engines import Engines
from haneul.gateway.http import Request, Response
from haneul.gateway.server import Server
from haneul.gateway.tls import make_context
from haneul.rooms import Rooms, build_rooms
from haneul.sandbox.choose import make_sandbox


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
        self.directory = Path(tempfile.mkdtemp(prefix="haneul-")) if config.ephemeral else config.data_dir.absolute()
        self.sandbox = make_sandbox(config, env, log, self.directory / "sandbox")
        self._tls = self._make_tls()
        self._server = Server(self, env, log, tls=self._tls)
        self._rooms: Rooms | None = None
        self._aws: AwsFace | None = None
        self._admin: AdminFace | None = None
        self._open = asyncio.Event()

    @property
    def rooms(self) -> Rooms:
        """State and engines; there from start() on."""
        assert self._rooms is not None
        return self._rooms

    @property
    def engines(self) -> Engines:
        return self.rooms.engines

    async def handle(self, request: Request) -> Response:
        """Answer a request; while the rooms are being opened, wait for them."""
        if not self._open.is_set():
            await self._open.wait()
        if is_admin(request):
            assert self._admin is not None
            return await self._admin.handle(request)
        assert self._aws is not None
        return await self._aws.handle(request)

    async def start(self) -> None:
        """Listen, open the state, go on with what was left, and get the sandboxes ready.

        Raises Unavailable, Damaged or OSError when that is not possible; what was begun is undone by stop().
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        port = await self._server.start(self.config.host, self.config.port)
        self.url = f"{'https' if self._tls else 'http'}://{self.config.host}:{port}"
        opening = self.env.spawn(self.sandbox.open(), name="sandbox: open")
        try:
            await self._open_rooms(port)
        finally:
            await opening

    async def stop(self) -> None:
        """Finish what is in flight, then close everything, top floor first."""
        await self._server.stop()
        if self._rooms is not None:
            await self._rooms.stop()
        await self.sandbox.close()
        if self.config.ephemeral:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def reset(self, account: str | None) -> None:
        """Wipe one account, or everything. Raises Denied in secure mode."""
        if self.config.secure:
            raise Denied("reset", "", "only in developer mode: this cloud runs with --secure")
        await self.rooms.reset(account)

    async def _open_rooms(self, port: int) -> None:
        rooms = self._rooms = build_rooms(
            self.config,
            self.env,
            self.log,
            sandbox=self.sandbox,
            directory=self.directory,
            endpoint=(self.config.host, port),
            url=self.url,
        )
        await rooms.start()
        self._aws = AwsFace(rooms.engines, self.config, self.env, self.log, rooms.observer)
        self._admin = AdminFace(make_answers(self), token=await self._admin_token())
        self._open.set()

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
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_context(self.directory / "tls", certificate=self.config.tls_certificate, key=self.config.tls_key)


def _write_private(file: Path, text: str) -> bool:
    """Write a file of mode 600 unless it is there; whether it was written."""
    with contextlib.suppress(FileExistsError):
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(text, encoding="utf-8")
        return True
    return False
