"""Request and Response: what passes between the socket and a face."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

Header = tuple[bytes, bytes]


class Body(Protocol):
    """A request body: read once, as a whole or in chunks. Reading it is what lets `100 Continue` go out."""

    length: int | None
    """Content-Length in bytes; 0 without a body; None when it is chunked."""

    trailers: list[Header]
    """Trailer fields (names in lower case), complete once the body has been read to its end."""

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises TooLarge past limit bytes, Invalid when the client breaks off or is too slow."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Request:
    """One HTTP request. Header names are in lower case, values as sent; a header may come more than once.

    target   path and query exactly as sent (percent-encoding untouched)
    path     the part of target before "?"
    query    the part behind it, or b""
    remote   (address, port) of the client
    received when its head was complete, seconds since the epoch
    index    headers as a dict, for those who look up many; given by whoever has it already, when no name comes twice
    """

    __slots__ = (
        "body",
        "headers",
        "http_version",
        "index",
        "method",
        "path",
        "query",
        "received",
        "remote",
        "scheme",
        "target",
    )

    def __init__(
        self,
        *,
        method: str,
        target: bytes,
        headers: list[Header],
        body: Body,
        remote: tuple[str, int] = ("", 0),
        scheme: str = "http",
        http_version: str = "1.1",
        received: float = 0.0,
        index: dict[bytes, bytes] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition(b"?")
        self.headers = headers
        self.body = body
        self.remote = remote
        self.scheme = scheme
        self.http_version = http_version
        self.received = received
        self.index = index if index is not None else _joined(headers)

    def header(self, name: bytes) -> bytes | None:
        """The value of a header (its values joined by a comma when it came more than once), or None."""
        return self.index.get(name)


def _joined(headers: list[Header]) -> dict[bytes, bytes]:
    index: dict[bytes, bytes] = {}
    for key, value in headers:
        index[key] = index[key] + b"," + value if key in index else value
    return index


class FileSlice:
    """A response body that is a part of a file: `length` bytes from `offset`; sent without passing through Python."""

    __slots__ = ("length", "offset", "path")

    def __init__(self, path: Path, offset: int, length: int) -> None:
        self.path = path
        self.offset = offset
        self.length = length


class Response:
    """One HTTP response.

    body is bytes (Content-Length is added), a FileSlice (the same), or an async iterable (chunked, unless the headers
    carry a content-length, which must then be right; `close_after` ends the connection instead). Date and Connection
    are the server's own; every other header is sent as given, in order.
    """

    __slots__ = ("body", "close_after", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Sequence[Header] = (),
        body: bytes | FileSlice | AsyncIterable[bytes] = b"",
        *,
        close_after: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.close_after = close_after


class Face(Protocol):
    """Whoever answers requests. It must not raise for anything a client can send; the server turns an exception into
    a bare 500 and logs it."""

    async def handle(self, request: Request) -> Response: ...


class Sockets(Protocol):
    """A face that takes WebSocket upgrades too: the seam for two-way APIs. Its answer decides the handshake."""

    async def upgrade(self, request: Request) -> "Accepted | Response": ...


class Accepted:
    """Agree to an upgrade: serve(socket) runs until the conversation ends."""

    __slots__ = ("protocol", "serve")

    def __init__(self, serve: "ServeSocket", protocol: str | None = None) -> None:
        self.serve = serve
        self.protocol = protocol


class Socket(Protocol):
    """One open WebSocket."""

    async def receive(self) -> str | bytes | None:
        """The next message, or None when the other side has closed."""
        ...

    async def send(self, message: str | bytes) -> None: ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


class ServeSocket(Protocol):
    async def __call__(self, socket: Socket, /) -> None: ...
