"""Parts of files as answers: right to the byte, round the transport, whatever the client does."""

import asyncio
import os
from pathlib import Path

import pytest

from haneul.base import limits
from haneul.gateway import sending
from haneul.gateway.http import FileSlice, Request, Response

from .stage import Stage

DATA = os.urandom(1 << 16) * 160 + b"the end"


class Files:
    """Answers GET /offset/length with that part of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def handle(self, request: Request) -> Response:
        if request.path == b"/alive":
            return Response(200)
        _, offset, length = request.path.split(b"/")
        return Response(206, [(b"etag", b"x")], FileSlice(self.path, int(offset), int(length)))


def get(offset: int, length: int, method: bytes = b"GET") -> bytes:
    return b"%b /%d/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (method, offset, length)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "data"
    file.write_bytes(DATA)
    return file


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, len(DATA)), (0, 0), (len(DATA), 0), (1, 1), (len(DATA) - 7, 7), (12_345, 5_000_001)],
)
async def test_a_part_of_a_file_is_sent(stage: Stage, path: Path, offset: int, length: int) -> None:
    await stage.serve(Files(path))
    client = await stage.client()

    answer = await client.ask(get(offset, length))

    assert answer.headers[b"content-length"] == b"%d" % length
    assert answer.body == DATA[offset : offset + length]
    assert await client.is_open()


async def test_files_are_pipelined_like_anything_else(stage: Stage, path: Path) -> None:
    await stage.serve(Files(path))
    client = await stage.client()
    parts = [(number * 100_000, 70_000 + number) for number in range(20)]

    client.send(b"".join(get(*part) for part in parts))

    for offset, length in parts:
        assert (await client.answer()).body == DATA[offset : offset + length]


async def test_head_of_a_file_has_its_length_and_no_body(stage: Stage, path: Path) -> None:
    await stage.serve(Files(path))
    client = await stage.client()

    answer = await client.ask(get(5, 1000, b"HEAD"), to_head=True)

    assert answer.headers[b"content-length"] == b"1000"
    assert await client.is_open()


async def test_what_is_not_in_memory_goes_through_a_thread(
    stage: Stage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_in_memory", lambda *_: False)
    await stage.serve(Files(path))
    client = await stage.client()

    assert (await client.ask(get(3, 3_000_000))).body == DATA[3:3_000_003]


async def test_without_sendfile_the_file_is_read(stage: Stage, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sendfile", raising=False)
    await stage.serve(Files(path))
    client = await stage.client()

    assert (await client.ask(get(3, 3_000_000))).body == DATA[3:3_000_003]


async def test_a_slow_reader_gets_every_byte(stage: Stage, path: Path) -> None:
    await stage.serve(Files(path))
    client = await stage.client(receive_buffer=65536)

    client.send(get(0, len(DATA)))
    body = b""
    await client.reader.readuntil(b"\r\n\r\n")
    while len(body) < 2_000_000:
        body += await client.read(50_000)
        await stage.settle()
    body += await client.read(len(DATA) - len(body))

    assert body == DATA


async def test_a_reader_that_stops_is_cut_off(stage: Stage, path: Path) -> None:
    os.truncate(path, 64 << 20)
    await stage.serve(Files(path))
    client = await stage.client()
    client.writer.transport.pause_reading()

    client.send(get(0, 64 << 20))
    for _ in range(2):  # what the client's kernel took at first counts as progress
        await stage.advance(limits.BODY_TIMEOUT_S + 5)
    client.writer.transport.resume_reading()

    assert len(await client.rest()) < 64 << 20
    assert not stage.failures()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc to count descriptors in")
async def test_a_client_that_leaves_leaves_no_descriptor_open(stage: Stage, path: Path) -> None:
    await stage.serve(Files(path))
    warm = await stage.client()
    await warm.ask(get(0, 1))
    await warm.close()
    await stage.settle()
    before = len(os.listdir("/proc/self/fd"))

    client = await stage.client(receive_buffer=4096)
    client.send(get(0, len(DATA)))
    await client.read(1000)
    await client.close()
    for _ in range(20):
        await stage.settle()
        if len(os.listdir("/proc/self/fd")) <= before:
            break

    assert len(os.listdir("/proc/self/fd")) <= before
    assert not stage.failures()


async def test_a_file_that_is_missing_or_short_is_a_failure_before_the_answer_begins(stage: Stage, path: Path) -> None:
    await stage.serve(Files(path))
    client = await stage.client()

    short = await client.ask(get(10, len(DATA)))
    os.unlink(path)
    missing = await client.ask(get(0, 1))

    assert (short.status, missing.status) == (500, 500)
    assert await client.is_open()
    assert len(stage.failures()) == 2


async def test_other_requests_are_served_while_a_file_is_sent(stage: Stage, path: Path) -> None:
    await stage.serve(Files(path))
    slow, quick = await stage.client(receive_buffer=4096), await stage.client()
    slow.send(get(0, len(DATA)))
    await stage.settle()

    assert await asyncio.wait_for(quick.is_open(), 5)
