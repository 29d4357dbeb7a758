"""Blobs in memory, for tests and for what need not outlive the process. (The Store's is open_store() without a directory.)"""

import asyncio
import bisect
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path

from haneul.base.env import Env
from haneul.base.errors import NotFound, Unavailable
from haneul.base.ids import hex_id
from haneul.base.limits import BLOB_CHUNK_BYTES, BLOB_ID_BYTES

from . import checksums
from .blobs import Blob, Digest
from .pieces import Piece, pieces


class MemoryBlobs:
    """Blobs; bounded by nothing but memory."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._bodies: dict[str, bytes] = {}
        self._closed = False

    async def put(
        self, chunks: AsyncIterable[bytes], *, digests: Sequence[str] = (), size_max: int | None = None
    ) -> Blob:
        self._check_open()
        running = {name: checksums.new(name) for name in digests}
        body: Piece = []
        async for piece in pieces(chunks, size_max):
            body += piece
            if running:
                await asyncio.to_thread(_digest, running, piece)
        self._check_open()
        id = hex_id(self._env, BLOB_ID_BYTES)
        self._bodies[id] = b"".join(body)
        return Blob(id, len(self._bodies[id]), {name: digest.hexdigest() for name, digest in running.items()})

    async def read(self, id: str, start: int = 0, end: int | None = None) -> bytes:
        return self._body(id)[start:end]

    def path(self, id: str) -> Path | None:
        return None

    async def stream(self, id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        body = self._body(id)
        end = len(body) if end is None else min(end, len(body))
        for at in range(start, end, BLOB_CHUNK_BYTES):
            yield body[at : min(at + BLOB_CHUNK_BYTES, end)]

    async def delete(self, id: str) -> None:
        self._check_open()
        self._bodies.pop(id, None)

    async def names(self, after: str, limit: int) -> list[str]:
        self._check_open()
        ordered = sorted(self._bodies)
        first = bisect.bisect_right(ordered, after)
        return ordered[first : first + limit]

    async def close(self) -> None:
        self._closed = True
        self._bodies.clear()

    def _body(self, id: str) -> bytes:
        self._check_open()
        body = self._bodies.get(id)
        if body is None:
            raise NotFound("blob", id)
        return body

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("blobs", "", "they are closed")


def _digest(running: dict[str, Digest], piece: Piece) -> None:
    for chunk in piece:
        for digest in running.values():
            digest.update(chunk)
