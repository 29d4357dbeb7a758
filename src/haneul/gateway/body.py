"""Request bodies: one that came with its head, and one that is still on its way, with back pressure on the client."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from haneul.base.errors import Invalid, TooLarge
from haneul.base.limits import BODY_BUFFER_MAX_BYTES, BODY_PIECE_OVERHEAD_BYTES

from .chunked import ChunkedDecoder
from .http import Header


class WholeBody:
    """A body that was there when the request began: reading it never waits."""

    __slots__ = ("_data", "length", "trailers")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: int | None = len(data)
        self.trailers: list[Header] = []

    async def read(self, limit: int) -> bytes:
        data = self._data
        if len(data) > limit:
            raise _too_large(limit)
        self._data = b""
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self._data = self._data, b""
        if data:
            yield data


class Tap(Protocol):
    """The connection behind a body, as the body sees it."""

    def ask_for_body(self) -> None:
        """The face begins to read: send `100 Continue`, when the client waits for it."""
        ...

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...


class IncomingBody:
    """A body that arrives while the face is at work. At most BODY_BUFFER_MAX_BYTES of it wait here to be read.

    over     whether all of it has arrived
    broken   why the rest will not come, or None
    left     bytes still to come; None when it is chunked and not over
    """

    __slots__ = (
        "_asked",
        "_buffered",
        "_chunked",
        "_dropping",
        "_paused",
        "_pieces",
        "_tap",
        "_waiting",
        "broken",
        "left",
        "length",
        "over",
        "trailers",
    )

    def __init__(self, tap: Tap, length: int | None) -> None:
        self._tap = tap
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._chunked = ChunkedDecoder() if length is None else None
        self._waiting: asyncio.Future[None] | None = None
        self._asked = False
        self._paused = False
        self._dropping = False
        self.length = length
        self.left = length
        self.over = False
        self.broken: Invalid | None = None
        self.trailers: list[Header] = self._chunked.trailers if self._chunked is not None else []

    # what the connection calls

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; the answer is what lies behind the body. Raises Malformed for bad chunks."""
        if self._chunked is not None:
            piece, rest = self._chunked.feed(data)
            if self._chunked.over:
                self.over, self.left = True, 0
        else:
            assert self.left is not None
            piece, rest = (data, b"") if len(data) <= self.left else (data[: self.left], data[self.left :])
            self.left -= len(piece)
            self.over = not self.left
        if piece and not self._dropping:
            self._pieces.append(piece)
            self._buffered += len(piece) + BODY_PIECE_OVERHEAD_BYTES
            if self._buffered > BODY_BUFFER_MAX_BYTES and not self.over and not self._paused:
                self._paused = True
                self._tap.pause_body()
        if piece or self.over:
            self._wake()
        return rest

    def is_nearly_over(self, limit: int) -> bool:
        """Whether at most limit bytes are still to come, and may be expected to."""
        return self.broken is None and self.left is not None and self.left <= limit

    def fail(self, reason: str) -> None:
        """The rest will not come: whoever reads gets Invalid."""
        if not self.over and self.broken is None:
            self.broken = Invalid("request body", "", reason)
            self._wake()

    def drop(self) -> None:
        """Nobody will read what is left."""
        self._dropping = True
        self._pieces.clear()
        self._buffered = 0
        self._unpause()

    # what the face calls

    async def read(self, limit: int) -> bytes:
        if self.length is not None and self.length > limit:
            raise _too_large(limit)
        pieces: list[bytes] = []
        size = 0
        while piece := await self._next():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        """The next piece, or b"" at the end."""
        if not self._asked:
            self._asked = True
            self._tap.ask_for_body()
        while not self._pieces:
            if self.over:
                return b""
            if self.broken is not None:
                raise self.broken
            if self._waiting is not None:
                raise RuntimeError("a request body is read by one reader at a time")
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        piece = self._pieces.popleft()
        self._buffered -= len(piece) + BODY_PIECE_OVERHEAD_BYTES
        if self._buffered < BODY_BUFFER_MAX_BYTES // 2:
            self._unpause()
        return piece

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            self._tap.resume_body()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _too_large(limit: int) -> TooLarge:
    return TooLarge("request body", "", f"is over {limit} bytes")
