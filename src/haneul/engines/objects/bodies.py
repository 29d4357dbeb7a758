"""Bodies: small ones as rows of the store, larger ones as blobs, and how they come, are read and go."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from haneul.base.env import Env, Timer
from haneul.base.errors import Failure, Invalid, NotFound, TooLarge, Unavailable
from haneul.base.limits import (
    BLOB_INLINE_MAX_BYTES,
    BLOB_LINGER_S,
    BLOBS_DOOMED_MAX,
    OBJECT_PUT_MAX_BYTES,
    SWEEP_PAGE_BLOBS,
)
from haneul.storage.blobs import Blobs
from haneul.storage.checksums import digest_of
from haneul.storage.store import Range, Store, Txn

from .records import BODIES, HELD, LAYOUTS, Body, Held, Inline, Layout, Part, id_key

NOTHING = Body("", "", 0)


class Source(Protocol):
    """Where a body comes from; a gateway's request body is one. length: bytes, None when it is not known beforehand."""

    @property
    def length(self) -> int | None: ...

    async def read(self, limit: int) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Taken(msgspec.Struct, frozen=True):
    """A body that has been taken in, for rows that are about to be written. digests: hexadecimal, md5 among them."""

    body: Body
    digests: dict[str, str]
    data: bytes = b""


class Section(msgspec.Struct, frozen=True):
    """Bytes that lie in a file of their own: `length` of them from `offset`."""

    path: Path
    offset: int
    length: int


Content = bytes | Section | AsyncIterable[bytes]


class Bytes:
    """A Source of bytes that are at hand."""

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._data = data

    async def read(self, limit: int) -> bytes:
        if len(self._data) > limit:
            raise TooLarge("body", "", f"more than {limit} bytes")
        return self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


class Bodies:
    """Takes bodies in, reads them, and removes blobs once nothing refers to them.

    The order that makes it safe: a blob is durable before the transaction that refers to it; it is removed after the
    transaction that drops the reference. What a crash leaves between the two is a blob without a row, for sweep().
    """

    def __init__(self, store: Store, blobs: Blobs, env: Env) -> None:
        self._store = store
        self._blobs = blobs
        self._env = env
        self._arriving: dict[object, asyncio.Future[None]] = {}
        self._doomed: deque[tuple[float, str]] = deque()
        self._reaping: Timer | None = None
        self._pinned: Counter[str] = Counter()

    async def take(self, source: Source, digests: Sequence[str], *, size_max: int = OBJECT_PUT_MAX_BYTES) -> "Arrival":
        """The whole body, durable when it is large; end with arrival.commit(). Raises TooLarge past size_max."""
        length = source.length
        if length is not None and length > size_max:
            raise TooLarge("body", "", "", size_bytes=length, size_max=size_max)
        if length is not None and length < BLOB_INLINE_MAX_BYTES:
            return Arrival(self, self._inline(await source.read(BLOB_INLINE_MAX_BYTES), digests), None)
        chunks = aiter(source)
        head: list[bytes] = []
        got = 0
        if length is None:
            async for chunk in chunks:
                head.append(chunk)
                got += len(chunk)
                if got >= BLOB_INLINE_MAX_BYTES:
                    break
            else:
                return Arrival(self, self._inline(b"".join(head), digests), None)
        ticket = object()
        self._arriving[ticket] = asyncio.get_running_loop().create_future()
        try:
            blob = await self._blobs.put(_chain(head, chunks), digests=digests, size_max=size_max)
        except BaseException:
            self._arrived(ticket)
            raise
        return Arrival(self, Taken(Body("blob", blob.id, blob.size_bytes), blob.digests), ticket)

    def _inline(self, data: bytes, digests: Sequence[str]) -> Taken:
        found = {name: digest_of(name, data) for name in digests}
        if not data:
            return Taken(NOTHING, found)
        # Ids that begin with the time keep new rows together on the pages of the store.
        return Taken(Body("row", f"{self._env.now_ms():012x}{self._env.token(6).hex()}", len(data)), found, data)

    def write(self, txn: Txn, taken: Taken, bucket: str) -> None:
        """The row that makes the body exist, beside the row that refers to it."""
        if taken.body.kind == "row":
            txn.put(BODIES, id_key(taken.body.id), Inline(taken.data))
        elif taken.body.kind == "blob":
            txn.put(HELD, id_key(taken.body.id), Held(bucket))

    def remove(self, txn: Txn, body: Body) -> list[str]:
        """Drop the rows of a body; the ids of blobs to release() after the commit. Needs LAYOUTS among the scans."""
        if body.kind == "row":
            txn.delete(BODIES, id_key(body.id))
        elif body.kind == "blob":
            txn.delete(HELD, id_key(body.id))
            return [body.id]
        elif body.kind == "parts":
            start = id_key(body.id)
            freed = [
                id
                for _, layout in txn.scan(LAYOUTS, Range(start, start + b"\0"), 1)
                for part in layout.parts
                for id in self.remove(txn, part.body)
            ]
            txn.delete(LAYOUTS, start)
            return freed
        return []

    def release(self, ids: Sequence[str]) -> None:
        """Remove blobs that no row refers to any more, a little later: an answer that is under way may still open them."""
        for id in ids:
            self._doomed.append((self._env.monotonic() + BLOB_LINGER_S, id))
        if self._doomed and self._reaping is None:
            self._reaping = self._env.call_later(BLOB_LINGER_S, self._reap)
        elif len(self._doomed) > BLOBS_DOOMED_MAX:
            self._reap()

    def _reap(self) -> None:
        if self._reaping is not None:
            self._reaping.cancel()
            self._reaping = None
        now = self._env.monotonic()
        ready: list[str] = []
        for _ in range(len(self._doomed)):
            due, id = self._doomed.popleft()
            if id in self._pinned or (due > now and len(self._doomed) < BLOBS_DOOMED_MAX):
                self._doomed.append((due, id))
            else:
                ready.append(id)
        if self._doomed:
            self._reaping = self._env.call_later(BLOB_LINGER_S, self._reap)
        if ready:
            self._env.spawn(self._delete(ready), name="objects: remove blobs")

    async def close(self) -> None:
        """Remove what is due, whether or not its time has come."""
        if self._reaping is not None:
            self._reaping.cancel()
            self._reaping = None
        ids = [id for _, id in self._doomed]
        self._doomed.clear()
        await self._delete(ids)

    async def _delete(self, ids: Sequence[str]) -> None:
        with contextlib.suppress(Unavailable):  # closed, or the disk refuses: the sweep of the next start removes them
            for id in ids:
                await self._blobs.delete(id)

    async def layout(self, id: str) -> Layout:
        """The parts of a body of that kind. Raises NotFound when its object has just been replaced."""
        found = await self._store.get(LAYOUTS, id_key(id))
        if found is None:
            raise NotFound("body", id)
        return found

    async def open(self, body: Body, start: int, end: int) -> Content:
        """Bytes start up to end (excluded). Raises NotFound when the body has gone since its row was read."""
        if body.kind == "row":
            found = await self._store.get(BODIES, id_key(body.id))
            if found is None:
                raise NotFound("body", body.id)
            return found.data if end - start == body.size_bytes else found.data[start:end]
        if body.kind == "parts":
            return self._stream(_pieces((await self.layout(body.id)).parts, start, end))
        if body.kind == "blob":
            path = self._blobs.path(body.id)
            if path is not None:
                return Section(path, start, end - start)
            return self._stream([(body, start, end)])
        return b""

    def _stream(self, pieces: list[tuple[Body, int, int]]) -> AsyncIterator[bytes]:
        """The pieces one after the other; their blobs stay until the stream has ended or been closed."""
        return Stream(self, pieces)

    async def chunks(self, body: Body, start: int, end: int) -> AsyncIterator[bytes]:
        """The same as open(), always in chunks: for copies."""
        if body.kind == "parts":
            pieces = _pieces((await self.layout(body.id)).parts, start, end)
        else:
            pieces = [(body, start, end)]
        async for chunk in Stream(self, pieces):
            yield chunk

    async def piece(self, body: Body, start: int, end: int) -> AsyncIterator[bytes]:
        """One piece in chunks."""
        if body.kind == "blob":
            async for chunk in self._blobs.stream(body.id, start, end):
                yield chunk
        elif body.kind == "row":
            found = await self._store.get(BODIES, id_key(body.id))
            if found is None:
                raise NotFound("body", body.id)
            yield found.data[start:end]

    def pin(self, pieces: Sequence[tuple[Body, int, int]]) -> None:
        self._pinned.update(body.id for body, _, _ in pieces if body.kind == "blob")

    def unpin(self, pieces: Sequence[tuple[Body, int, int]]) -> None:
        for body, _, _ in pieces:
            if body.kind == "blob":
                self._pinned[body.id] -= 1
                if self._pinned[body.id] <= 0:
                    del self._pinned[body.id]

    async def sweep(self) -> int:
        """Remove blobs without a row, which a crash left behind; how many. May run while the engine works:

        a blob that stood there when a page was listed either belongs to a body that was arriving at that moment, whose
        end is awaited here, or to nobody; only then is its row looked for.
        """
        removed, after = 0, ""
        while names := await self._blobs.names(after, SWEEP_PAGE_BLOBS):
            after = names[-1]
            suspects = [id for id in names if await self._store.get(HELD, id_key(id)) is None]
            if suspects and self._arriving:
                await asyncio.wait(list(self._arriving.values()))
            lost = [id for id in suspects if await self._store.get(HELD, id_key(id)) is None]
            lingering = {id for _, id in self._doomed}
            for id in lost:
                if id not in lingering and id not in self._pinned:
                    await self._blobs.delete(id)
                    removed += 1
        return removed

    async def give_up(self, taken: Taken, *, certain: bool) -> None:
        """A body whose rows were not written: certainly, or as far as is known (then the store is asked)."""
        if taken.body.kind != "blob":
            return
        if not certain:
            key = id_key(taken.body.id)
            if await self._store.transact(lambda txn: txn.get(HELD, key), keys=[(HELD, key)]) is not None:
                return
        await self._blobs.delete(taken.body.id)

    def _arrived(self, ticket: object) -> None:
        self._arriving.pop(ticket).set_result(None)

    def settle(self, ticket: object, taken: Taken, error: BaseException | None) -> None:
        """The transaction of an arrival has ended, with this error."""
        if error is None:
            self._arrived(ticket)
            return
        certain = isinstance(error, Failure) and not isinstance(error, Unavailable)
        self._env.spawn(self._settle(ticket, taken, certain), name="objects: drop a body")

    async def _settle(self, ticket: object, taken: Taken, certain: bool) -> None:
        try:
            await self.give_up(taken, certain=certain)
        except Unavailable:
            return  # the store is closing: the sweep of the next start removes the blob
        finally:
            self._arrived(ticket)


class Arrival:
    """A body between being durable and being referred to: `with arrival:` around the transaction that refers to it."""

    __slots__ = ("_bodies", "_ticket", "taken")

    def __init__(self, bodies: Bodies, taken: Taken, ticket: object | None) -> None:
        self._bodies = bodies
        self._ticket = ticket
        self.taken = taken

    def __enter__(self) -> Taken:
        return self.taken

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._ticket is not None:
            self._bodies.settle(self._ticket, self.taken, error)


class Stream:
    """Pieces of bodies as one stream of chunks; holds on to their blobs from the start to the end."""

    def __init__(self, bodies: Bodies, pieces: list[tuple[Body, int, int]]) -> None:
        self._bodies = bodies
        self._pieces = pieces
        self._chunks = self._run()
        self._open = True
        bodies.pin(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def _run(self) -> AsyncIterator[bytes]:
        try:
            for body, start, end in self._pieces:
                async for chunk in self._bodies.piece(body, start, end):
                    yield chunk
        finally:
            self._release()

    async def aclose(self) -> None:
        await self._chunks.aclose()  # type: ignore[attr-defined]  # an async generator behind its iterator's type
        self._release()

    def _release(self) -> None:
        if self._open:
            self._open = False
            self._bodies.unpin(self._pieces)

    def __del__(self) -> None:
        self._release()


def check_digests(claims: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raises Invalid for the first digest (hexadecimal, by algorithm) that is not what was claimed."""
    for algorithm, claimed in claims.items():
        if found.get(algorithm) != claimed:
            raise Invalid(
                "digest", algorithm, "does not match the body", claimed=claimed, found=found.get(algorithm, "")
            )


def _pieces(parts: Sequence[Part], start: int, end: int) -> list[tuple[Body, int, int]]:
    pieces: list[tuple[Body, int, int]] = []
    at = 0
    for part in parts:
        body = part.body
        if at >= end:
            break
        if at + body.size_bytes > start:
            pieces.append((body, max(start - at, 0), min(end - at, body.size_bytes)))
        at += body.size_bytes
    return pieces


async def _chain(head: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in head:
        yield chunk
    async for chunk in rest:
        yield chunk
