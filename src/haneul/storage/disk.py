"""Blobs on disk: a file each, immutable, under a random id; hashed and written by threads, acknowledged when durable."""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import TypeVar

from haneul.base.env import Env
from haneul.base.errors import NotFound, Unavailable
from haneul.base.ids import hex_id
from haneul.base.limits import BLOB_CHUNK_BYTES, BLOB_ID_BYTES, BLOB_THREADS

from . import checksums
from .blobs import Blob, Digest
from .directory import OwnerLock, make_directory, sync
from .pieces import Piece, pieces

T = TypeVar("T")

_ID = re.compile(rf"[0-9a-f]{{{BLOB_ID_BYTES * 2}}}")
_FOLDER_CHARACTERS = 2
_JOIN_BELOW_BYTES = 32 * 1024

# How long each takes for the same bytes, roughly, to share the work out evenly; measured with SHA instructions present.
_EFFORT = {"md5": 17, "sha256": 7, "sha1": 7, "crc32": 3, "crc32c": 2, "crc64nvme": 1}
_EFFORT_OF_WRITING = 4


class DiskBlobs:
    """Blobs in `directory`: 256 folders by the first two digits of the id, and `unfinished/`, emptied at open.

    A file appears under its id by a rename, after its content is durable; the folder is synced before put() returns.
    Raises Unavailable when the directory cannot be used or another process owns it.
    """

    def __init__(self, directory: Path, env: Env) -> None:
        make_directory(directory)
        self._directory = directory
        self._unfinished = directory / "unfinished"
        self._env = env
        self._closed = False
        self._lock = OwnerLock(directory / "blobs.lock")
        self._threads = futures.ThreadPoolExecutor(BLOB_THREADS, thread_name_prefix="blobs")
        try:
            self._unfinished.mkdir(mode=0o700, exist_ok=True)
            for left in self._unfinished.iterdir():
                left.unlink()
        except OSError as error:
            self._lock.release()
            raise _refusal(error) from error

    async def put(
        self, chunks: AsyncIterable[bytes], *, digests: Sequence[str] = (), size_max: int | None = None
    ) -> Blob:
        id = hex_id(self._env, BLOB_ID_BYTES)
        upload = _Upload(self._unfinished / id, digests)
        try:
            upload.working = [self._submit(upload.open)]
            async for piece in pieces(chunks, size_max):
                # Two pieces exist at most: the one that comes in while the one before is hashed and written.
                await upload.wait()
                upload.working = [self._submit(lane, piece) for lane in upload.lanes]
            await upload.wait()
            upload.working = [self._submit(upload.finish, self._file(id))]
            await upload.wait()
        except BaseException:
            await asyncio.shield(asyncio.wrap_future(self._discard(upload)))
            raise
        return Blob(id, upload.size_bytes, {name: digest.hexdigest() for name, digest in upload.digests.items()})

    async def read(self, id: str, start: int = 0, end: int | None = None) -> bytes:
        return await self._run(_read, self._file(id), start, end)

    def path(self, id: str) -> Path | None:
        return self._file(id)

    async def stream(self, id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        file = await self._run(_open_to_read, self._file(id))
        try:
            at = start
            while end is None or at < end:
                size = BLOB_CHUNK_BYTES if end is None else min(BLOB_CHUNK_BYTES, end - at)
                chunk = await self._run(os.pread, file, size, at)
                if not chunk:
                    return
                yield chunk
                at += len(chunk)
        finally:
            os.close(file)

    async def delete(self, id: str) -> None:
        await self._run(_delete, self._file(id))

    async def names(self, after: str, limit: int) -> list[str]:
        return await self._run(_names, self._directory, after, limit)

    async def close(self) -> None:
        """Puts that are under way fail with Unavailable; the threads finish the piece that they are at."""
        self._closed = True
        self._threads.shutdown(wait=False)
        self._lock.release()

    def _file(self, id: str) -> Path:
        if _ID.fullmatch(id) is None:
            raise NotFound("blob", id)
        return self._directory / id[:_FOLDER_CHARACTERS] / id

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.wrap_future(self._submit(work, *args))
        except OSError as error:
            raise _refusal(error) from error

    def _submit(self, work: Callable[..., T], *args: object) -> "futures.Future[T]":
        if self._closed:
            raise Unavailable("blobs", "", "they are closed")
        return self._threads.submit(work, *args)

    def _discard(self, upload: "_Upload") -> "futures.Future[None]":
        """Remove what was begun. Submitted behind the pieces it waits for, so that they are never behind it."""
        try:
            return self._threads.submit(upload.discard)
        except RuntimeError:  # closed meanwhile
            upload.discard()
            done: futures.Future[None] = futures.Future()
            done.set_result(None)
            return done


class _Upload:
    """A file that is being written. lanes: functions that may run at the same time, each in the order of the pieces."""

    def __init__(self, file: Path, digests: Sequence[str]) -> None:
        self.size_bytes = 0
        self.digests: dict[str, Digest] = {name: checksums.new(name) for name in digests}
        self.working: list[futures.Future[None]] = []
        self._file = file  # where the bytes are: the name changes once, in finish()
        self._handle: int | None = None
        with_writing, others = _share_out(self.digests)
        self._with_writing = with_writing
        self._others = others
        self.lanes: list[Callable[[Piece], None]] = [self._write_lane, *([self._hash_lane] if others else [])]

    def open(self) -> None:
        self._handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    async def wait(self) -> None:
        """Until the threads are done with what they were given. Raises Unavailable when the disk refused."""
        try:
            for working in self.working:
                await asyncio.wrap_future(working)
        except OSError as error:
            raise _refusal(error) from error

    def finish(self, target: Path) -> None:
        """Make the content durable, then the name."""
        assert self._handle is not None
        os.fdatasync(self._handle)
        os.close(self._handle)
        self._handle = None
        try:
            self._file.rename(target)
        except FileNotFoundError:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            sync(target.parent.parent)
            self._file.rename(target)
        self._file = target
        sync(target.parent)

    def discard(self) -> None:
        """Leave nothing behind, whatever the moment."""
        futures.wait(self.working)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._file.unlink(missing_ok=True)

    def _write_lane(self, piece: Piece) -> None:
        assert self._handle is not None
        for chunk in _joined(piece):
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._handle, view) :]
            self.size_bytes += len(chunk)
            for digest in self._with_writing:
                digest.update(chunk)

    def _hash_lane(self, piece: Piece) -> None:
        for chunk in _joined(piece):
            for digest in self._others:
                digest.update(chunk)


def _share_out(digests: dict[str, Digest]) -> tuple[list[Digest], list[Digest]]:
    """Two lanes of about the same effort; the first one writes as well."""
    lanes: tuple[list[Digest], list[Digest]] = ([], [])
    load = [_EFFORT_OF_WRITING, 0]
    for name in sorted(digests, key=lambda name: -_EFFORT[name]):
        lane = 0 if load[0] <= load[1] else 1
        lanes[lane].append(digests[name])
        load[lane] += _EFFORT[name]
    return lanes


def _joined(piece: Piece) -> Piece:
    """Many small chunks as one: hashlib lets other threads run only for data of some size."""
    if len(piece) > 1 and sum(map(len, piece)) < len(piece) * _JOIN_BELOW_BYTES:
        return [b"".join(piece)]
    return piece


def _open_to_read(file: Path) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound("blob", file.name) from error


def _read(file: Path, start: int, end: int | None) -> bytes:
    handle = _open_to_read(file)
    try:
        size = os.fstat(handle).st_size
        end = size if end is None else min(end, size)
        parts = []
        while start < end and (part := os.pread(handle, end - start, start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(handle)


def _delete(file: Path) -> None:
    file.unlink(missing_ok=True)


def _names(directory: Path, after: str, limit: int) -> list[str]:
    names: list[str] = []
    first = after[:_FOLDER_CHARACTERS]
    for folder in sorted(path for path in directory.iterdir() if len(path.name) == _FOLDER_CHARACTERS):
        if folder.name >= first and len(names) < limit:
            names += sorted(path.name for path in folder.iterdir() if path.name > after and _ID.fullmatch(path.name))
    return names[:limit]


def _refusal(error: OSError) -> Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("blobs", "", "the disk is full; make room, then try again")
    return Unavailable("blobs", "", f"the disk refused: {error.strerror}")
