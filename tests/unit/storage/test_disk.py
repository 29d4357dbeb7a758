"""DiskBlobs: files of their own, nothing left of what was not finished, memory that stays flat."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import Unavailable
from haneul.base.limits import BLOB_PIECE_BYTES, MIB
from haneul.storage.disk import DiskBlobs


async def chunks(count: int, chunk: bytes) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield chunk


async def test_blobs_are_there_after_closing_and_opening(tmp_path: Path) -> None:
    first = DiskBlobs(tmp_path, ManualEnv())
    blob = await first.put(chunks(3, b"body"))
    await first.close()
    second = DiskBlobs(tmp_path, ManualEnv())

    assert await second.read(blob.id) == b"bodybodybody"
    assert await second.names("", 10) == [blob.id]
    await second.close()


async def test_what_an_earlier_run_did_not_finish_is_removed_at_open(tmp_path: Path) -> None:
    await DiskBlobs(tmp_path, ManualEnv()).close()
    left = tmp_path / "unfinished" / ("0" * 32)
    left.write_bytes(b"half")
    blobs = DiskBlobs(tmp_path, ManualEnv())

    assert not left.exists()
    assert await blobs.names("", 10) == []
    await blobs.close()


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path / "blobs", ManualEnv())
    blob = await blobs.put(chunks(1, b"secret"))
    path = blobs.path(blob.id)

    assert path is not None
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    await blobs.close()


async def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path, ManualEnv())
    with pytest.raises(Unavailable, match=f"process {os.getpid()}"):
        DiskBlobs(tmp_path, ManualEnv())
    await blobs.close()


async def test_memory_stays_flat_whatever_the_size(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path, ManualEnv())

    async def fresh() -> AsyncIterator[bytes]:
        for at in range(64):
            yield bytes([at]) * MIB

    tracemalloc.start()
    blob = await blobs.put(fresh(), digests=["sha256"])
    async for _ in blobs.stream(blob.id):
        pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert blob.size_bytes == 64 * MIB
    assert most < 8 * BLOB_PIECE_BYTES
    await blobs.close()


async def test_a_put_under_way_at_close_fails_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path, ManualEnv())
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(BLOB_PIECE_BYTES)
        reached.set()
        await go_on.wait()
        yield bytes(BLOB_PIECE_BYTES)

    putting = asyncio.ensure_future(blobs.put(slow()))
    await reached.wait()
    await blobs.close()
    go_on.set()
    with pytest.raises(Unavailable, match="closed"):
        await putting

    assert list((tmp_path / "unfinished").iterdir()) == []


async def test_a_disk_that_refuses_is_unavailable_and_not_the_clients_fault(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path, ManualEnv())
    (tmp_path / "unfinished").rmdir()

    with pytest.raises(Unavailable, match="refused"):
        await blobs.put(chunks(1, b"x"))
    await blobs.close()
