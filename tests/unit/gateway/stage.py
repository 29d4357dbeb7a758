"""A server in this process, and clients that speak to it byte by byte over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog
from haneul.gateway.http import Accepted, Request, Response
from haneul.gateway.server import Server

PATIENCE_S = 10.0
"""Real seconds until a test gives up: sockets take real time, even where the clock is ours."""


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    head: bytes = field(repr=False)


class Client:
    """One connection. read_* wait for at most PATIENCE_S."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask(self, request: bytes, *, to_head: bool = False) -> Answer:
        self.send(request)
        return await self.answer(to_head=to_head)

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer, whatever frames its body."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            headers: dict[bytes, bytes] = {}
            for text in fields:
                name, _, value = text.partition(b": ")
                assert name.lower() not in headers, f"{name!r} comes twice"
                headers[name.lower()] = value
            status = int(line.split(b" ")[1])
            if to_head or status in (204, 304) or status < 200:
                body = b""
            elif b"content-length" in headers:
                body = await self.reader.readexactly(int(headers[b"content-length"]))
            elif headers.get(b"transfer-encoding") == b"chunked":
                body = await self._chunks()
            else:
                body = await self.reader.read()
            return Answer(status, headers, body, head)

    async def chunk(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def _chunks(self) -> bytes:
        body = b""
        while chunk := await self.chunk():
            body += chunk
        return body

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection; a reset counts as one."""
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(1 << 16):
                    data += piece
        return data

    async def is_open(self) -> bool:
        """Whether the connection still answers."""
        return (await self.ask(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Handle = Callable[[Request], Awaitable[Response]]


class Plain:
    """A face made of one function."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle(self, request: Request) -> Response:
        return await self._handle(request)


class WithSockets(Plain):
    """The same, with upgrades."""

    def __init__(self, upgrade: Callable[[Request], Awaitable[Accepted | Response]]) -> None:
        super().__init__(hello)
        self.upgrade = upgrade


class Stage:
    def __init__(self, env: ManualEnv, log: SilentLog) -> None:
        self.env = env
        self.log = log
        self.server: Server | None = None
        self.port = 0
        self._clients: list[Client] = []

    async def serve(self, face: object) -> None:
        self.server = Server(face, self.env, self.log)  # type: ignore[arg-type]
        self.port = await self.server.start("127.0.0.1", 0)

    async def client(self, *, receive_buffer: int | None = None) -> Client:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        client = Client(*await asyncio.open_connection(sock=sock, limit=1 << 20))
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.stop()

    async def advance(self, seconds: float) -> None:
        """Let what is under way on the sockets arrive, then move the clock."""
        await self.settle()
        await self.env.advance(seconds)

    async def settle(self) -> None:
        """Give bytes on loopback the few loop turns and the little real time that they need."""
        loop = asyncio.get_running_loop()
        for _ in range(5):
            await self.env.settle()
            woken: asyncio.Future[None] = loop.create_future()
            loop.call_later(0.002, woken.set_result, None)
            await woken

    def failures(self) -> list[dict[str, object]]:
        return [facts for level, _, facts in self.log.events if level in ("error", "warning")]

    async def strike(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()
        if self.server is not None:
            stopping = asyncio.ensure_future(self.server.stop())
            for _ in range(20):
                if stopping.done():
                    break
                await self.advance(1.0)
            await stopping


async def hello(request: Request) -> Response:
    return Response(200, [(b"content-type", b"text/plain")], b"hello")
