"""WebSockets: the handshake, and one open conversation over a connection (RFC 6455)."""

import asyncio
import base64
import binascii
import hashlib
from collections import deque
from typing import Final, Protocol

from haneul.base.errors import Invalid
from haneul.base.limits import (
    BODY_BUFFER_MAX_BYTES,
    BODY_PIECE_OVERHEAD_BYTES,
    WEBSOCKET_CLOSE_TIMEOUT_S,
    WEBSOCKET_IDLE_TIMEOUT_S,
)

from .frames import Broken, FrameDecoder, Opcode, decode_close, decode_text, encode, encode_close
from .http import Accepted, Request, Response, ServeSocket
from .outlet import Outlet
from .site import Upgrade
from .writer import BadResponse

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handshake:
    """An agreed upgrade: the bytes of the 101 answer, and what to run then."""

    __slots__ = ("head", "serve")

    def __init__(self, head: bytes, serve: ServeSocket) -> None:
        self.head = head
        self.serve = serve


def wants_socket(request: Request) -> bool:
    """Whether the client asks to go on as a WebSocket; anything else in Upgrade is ignored (RFC 9110, 7.8)."""
    return b"websocket" in _tokens(request, b"upgrade") and b"upgrade" in _tokens(request, b"connection")


async def accept(upgrade: Upgrade, request: Request) -> Handshake | Response:
    """Check the client's side of the handshake, ask the face, and make the answer."""
    if request.header(b"sec-websocket-version") != b"13":
        headers = [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
        return Response(426, headers, b"only version 13 of the WebSocket protocol is spoken here\n")
    key = request.header(b"sec-websocket-key") or b""
    try:
        sound = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        sound = False
    if not sound or request.method != "GET" or request.http_version != "1.1" or request.body.length != 0:
        return Response(400, [(b"content-type", b"text/plain")], b"this is no proper WebSocket handshake\n")
    answer = await upgrade(request)
    if not isinstance(answer, Accepted):
        return answer
    accepted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    head += b"sec-websocket-accept: %b\r\n" % accepted
    if answer.protocol is not None:
        offered = request.header(b"sec-websocket-protocol") or b""
        chosen = answer.protocol.encode("ascii")
        if chosen not in [name.strip() for name in offered.split(b",")]:
            raise BadResponse("the chosen subprotocol was not offered")
        head += b"sec-websocket-protocol: %b\r\n" % chosen
    return Handshake(head + b"\r\n", answer.serve)


class Wire(Protocol):
    """The connection, as a WebSocket sees it."""

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def expect_within(self, seconds: float) -> None:
        """Call expire() unless this is called again within so many seconds."""
        ...

    def finish(self) -> None:
        """Send what is written, then end the connection."""
        ...


class WebSocket:
    """A Socket. Messages that nobody receives are bounded: then the client is no longer read from."""

    __slots__ = (
        "_buffered",
        "_closed",
        "_closing",
        "_decoder",
        "_messages",
        "_out",
        "_paused",
        "_pinged",
        "_waiting",
        "_wire",
    )

    def __init__(self, wire: Wire, out: Outlet) -> None:
        self._wire = wire
        self._out = out
        self._decoder = FrameDecoder()
        self._messages: deque[str | bytes] = deque()
        self._buffered = 0
        self._waiting: asyncio.Future[None] | None = None
        self._paused = False
        self._pinged = False
        self._closing = False  # our close frame is out
        self._closed = False  # nothing more will come
        wire.expect_within(WEBSOCKET_IDLE_TIMEOUT_S / 2)

    # what a face calls

    async def receive(self) -> str | bytes | None:
        while not self._messages:
            if self._closed:
                return None
            if self._waiting is not None:
                raise RuntimeError("a WebSocket is received from by one receiver at a time")
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        message = self._messages.popleft()
        self._buffered -= len(message) + BODY_PIECE_OVERHEAD_BYTES
        if self._buffered < BODY_BUFFER_MAX_BYTES // 2:
            self._unpause()
        return message

    async def send(self, message: str | bytes) -> None:
        """Raises Invalid once either side has closed."""
        if self._closing or self._closed:
            raise Invalid("web socket", "", "is closed")
        if isinstance(message, str):
            self._out.write(encode(Opcode.TEXT, message.encode()))
        else:
            self._out.write(encode(Opcode.BINARY, message))
        await self._out.drain()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.begin_close(code, reason)

    # what the connection calls

    def feed(self, data: bytes) -> None:
        if self._closed:
            return
        self._pinged = False
        if not self._closing:
            self._wire.expect_within(WEBSOCKET_IDLE_TIMEOUT_S / 2)
        try:
            for opcode, payload in self._decoder.feed(data):
                self._take(opcode, payload)
        except Broken as broken:
            self.begin_close(broken.code, broken.reason)
            self._end()

    def begin_close(self, code: int, reason: str = "") -> None:
        """Send a close frame, once; the other side has WEBSOCKET_CLOSE_TIMEOUT_S to answer it."""
        if not self._closing and not self._closed:
            self._closing = True
            self._unpause()
            self._out.write(encode_close(code, reason))
            self._wire.expect_within(WEBSOCKET_CLOSE_TIMEOUT_S)

    def expire(self) -> None:
        """Nothing has come for a while: ask whether the other side is still there, then give it up."""
        if self._closing:
            self._end()
        elif self._paused:
            self._wire.expect_within(WEBSOCKET_IDLE_TIMEOUT_S / 2)  # it is we who do not read
        elif self._pinged:
            self.begin_close(1001, "idle for too long")
            self._end()
        else:
            self._pinged = True
            self._out.write(encode(Opcode.PING, b""))
            self._wire.expect_within(WEBSOCKET_IDLE_TIMEOUT_S / 2)

    def lost(self) -> None:
        """The connection is gone."""
        self._closed = True
        self._wake()

    def _take(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.PING:
            if self._out.writable and not self._closing:  # one who pings without reading is not answered
                self._out.write(encode(Opcode.PONG, payload))
        elif opcode is Opcode.CLOSE:
            code = decode_close(payload)
            self.begin_close(1000 if code == 1005 else code)
            self._end()
        elif opcode is not Opcode.PONG and not self._closing:
            self._messages.append(decode_text(payload) if opcode is Opcode.TEXT else payload)
            self._buffered += len(payload) + BODY_PIECE_OVERHEAD_BYTES
            if self._buffered > BODY_BUFFER_MAX_BYTES and not self._paused:
                self._paused = True
                self._wire.pause_body()
            self._wake()

    def _end(self) -> None:
        self._closed = True
        self._wake()
        self._wire.finish()

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            self._wire.resume_body()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _tokens(request: Request, name: bytes) -> list[bytes]:
    return [token.strip().lower() for token in (request.header(name) or b"").split(b",")]
