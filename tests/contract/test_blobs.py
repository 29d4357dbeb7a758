"""What every Blobs must do, whatever keeps the bodies."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import NotFound, TooLarge, Unavailable
from haneul.base.limits import BLOB_CHUNK_BYTES, BLOB_PIECE_BYTES
from haneul.storage.blobs import Blobs
from haneul.storage.checksums import ALGORITHMS
from haneul.storage.disk import DiskBlobs
from haneul.storage.memory import MemoryBlobs

BODY = bytes(range(256)) * 12_289  # about 3 MiB, no multiple of any chunk


@pytest.fixture(params=["disk", "memory"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    opened: Blobs = DiskBlobs(tmp_path, ManualEnv()) if request.param == "disk" else MemoryBlobs(ManualEnv())
    yield opened
    await opened.close()


async def chunks(body: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


async def collect(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in stream]


@pytest.mark.parametrize("size", [0, 1, 4095, BLOB_PIECE_BYTES - 1, BLOB_PIECE_BYTES, BLOB_PIECE_BYTES + 1, len(BODY)])
async def test_what_was_put_is_read_whatever_its_size(blobs: Blobs, size: int) -> None:
    blob = await blobs.put(chunks(BODY[:size]))

    assert blob.size_bytes == size
    assert await blobs.read(blob.id) == BODY[:size]


@pytest.mark.parametrize("size", [1, 777, 70_000, len(BODY)])
async def test_the_size_of_the_chunks_does_not_matter(blobs: Blobs, size: int) -> None:
    body = BODY[: 300 * size]
    blob = await blobs.put(chunks(body, size), digests=["sha256", "md5"])

    assert blob.digests == {"sha256": hashlib.sha256(body).hexdigest(), "md5": hashlib.md5(body).hexdigest()}
    assert await blobs.read(blob.id) == body


async def test_every_digest_can_be_asked_for(blobs: Blobs) -> None:
    blob = await blobs.put(chunks(b"123456789", 2), digests=ALGORITHMS)

    assert blob.digests == {
        "md5": "25f9e794323b453885f5181f1b624d0b",
        "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
        "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        "crc32": f"{zlib.crc32(b'123456789'):08x}",
        "crc32c": "e3069283",
        "crc64nvme": "ae8b14860a799888",
    }


async def test_an_unknown_digest_is_a_programmers_error(blobs: Blobs) -> None:
    with pytest.raises(AssertionError):
        await blobs.put(chunks(b"x"), digests=["crc7"])

    assert await blobs.names("", 10) == []


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (0, 1), (5, 10), (len(BODY) - 1, None), (len(BODY), None), (len(BODY) + 9, None), (0, 2**40), (7, 3)],
)
async def test_parts_are_read_like_slices(blobs: Blobs, start: int, end: int | None) -> None:
    blob = await blobs.put(chunks(BODY))

    assert await blobs.read(blob.id, start, end) == BODY[start:end]
    assert b"".join(await collect(blobs.stream(blob.id, start, end))) == BODY[start:end]


async def test_a_stream_comes_in_chunks_of_bounded_size(blobs: Blobs) -> None:
    blob = await blobs.put(chunks(BODY))

    assert max(map(len, await collect(blobs.stream(blob.id)))) <= BLOB_CHUNK_BYTES


async def test_equal_bodies_are_two_blobs(blobs: Blobs) -> None:
    one = await blobs.put(chunks(b"same"))
    two = await blobs.put(chunks(b"same"))
    await blobs.delete(one.id)

    assert await blobs.read(two.id) == b"same"


async def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(blobs: Blobs) -> None:
    blob = await blobs.put(chunks(b"x"))
    await blobs.delete(blob.id)
    await blobs.delete(blob.id)

    with pytest.raises(NotFound):
        await blobs.read(blob.id)
    with pytest.raises(NotFound):
        await collect(blobs.stream(blob.id))


async def test_an_id_that_is_no_id_is_not_found(blobs: Blobs) -> None:
    for id in ("", "..", "../../etc/passwd", "a" * 31, "0" * 32):
        with pytest.raises(NotFound):
            await blobs.read(id)


async def test_a_body_of_exactly_the_greatest_size_is_taken_and_a_byte_more_is_not(blobs: Blobs) -> None:
    await blobs.put(chunks(BODY), size_max=len(BODY))
    with pytest.raises(TooLarge):
        await blobs.put(chunks(BODY), size_max=len(BODY) - 1)

    assert len(await blobs.names("", 10)) == 1


async def test_a_stream_that_breaks_leaves_nothing_and_its_error_comes_through(blobs: Blobs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield BODY
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await blobs.put(broken(), digests=["md5", "sha256"])

    assert await blobs.names("", 10) == []
    assert files_in(tmp_path) == []


async def test_a_put_that_is_cancelled_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield BODY
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(blobs.put(endless(), digests=["md5"]))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert files_in(tmp_path) == []


async def test_puts_at_the_same_time_do_not_mix(blobs: Blobs) -> None:
    bodies = [bytes([at]) * (400_000 + at) for at in range(8)]
    put = await asyncio.gather(*[blobs.put(chunks(body, 65_536), digests=["sha256"]) for body in bodies])

    assert [await blobs.read(blob.id) for blob in put] == bodies
    assert [blob.digests["sha256"] for blob in put] == [hashlib.sha256(body).hexdigest() for body in bodies]


async def test_names_are_listed_in_order_and_in_pages(blobs: Blobs) -> None:
    ids = sorted([(await blobs.put(chunks(b"x"))).id for _ in range(20)])

    pages, after = [], ""
    while page := await blobs.names(after, 7):
        pages.append(page)
        after = page[-1]
    assert [name for page in pages for name in page] == ids
    assert [len(page) for page in pages] == [7, 7, 6]


async def test_the_path_if_there_is_one_holds_the_body(blobs: Blobs) -> None:
    blob = await blobs.put(chunks(b"body"))
    path = blobs.path(blob.id)

    assert path is None or path.read_bytes() == b"body"


async def test_closed_blobs_refuse(blobs: Blobs) -> None:
    blob = await blobs.put(chunks(b"body"))
    await blobs.close()
    await blobs.close()

    for attempt in (blobs.put(chunks(b"x")), blobs.read(blob.id), blobs.delete(blob.id), blobs.names("", 1)):
        with pytest.raises(Unavailable):
            await attempt
