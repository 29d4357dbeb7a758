"""Bodies of answers that take their time: streams, and parts of files sent by the kernel."""

import asyncio
import os
from collections.abc import AsyncIterable, Callable
from typing import Any, Final, TypeVar

from haneul.base.env import Env
from haneul.base.limits import BODY_PROGRESS_MIN_BYTES, BODY_TIMEOUT_S, FILE_WINDOW_BYTES, JOIN_MAX_BYTES

from .http import FileSlice
from .outlet import Outlet, unsent
from .writer import BadResponse, Head

T = TypeVar("T")
_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
_WINDOWS_PER_TURN: Final = 8


class ClientGone(Exception):
    """The client broke off, or stopped reading."""


async def send_stream(out: Outlet, head: Head, body: AsyncIterable[bytes]) -> None:
    """Send what an async iterable gives, each piece as soon as it comes. Raises BadResponse when it does not keep the
    length that the head promised."""
    left = head.length
    stream = aiter(body)
    try:
        out.begin(head.data)
        async for piece in stream:
            if not piece:
                continue
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise BadResponse("the body is longer than its content-length")
            if not head.chunked:
                out.write(piece)
            elif len(piece) > JOIN_MAX_BYTES:
                out.write(b"%x\r\n" % len(piece), piece, b"\r\n")
            else:
                out.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await out.drain()
        if left:
            raise BadResponse(f"the body is {left} bytes shorter than its content-length")
        if head.chunked:
            out.write(b"0\r\n\r\n")
    finally:
        await close_stream(stream)


async def close_stream(stream: Any) -> None:
    """Let an async iterable clean up after itself, whether it was begun or not."""
    if (aclose := getattr(stream, "aclose", None)) is not None:
        await aclose()


async def send_file(out: Outlet, head: Head, part: FileSlice) -> None:
    """Send a part of a file. Raises OSError or BadResponse, before the head goes out when the file is not as said; and
    ClientGone."""
    file = os.open(part.path, os.O_RDONLY)
    try:
        if os.fstat(file).st_size < part.offset + part.length:
            raise BadResponse(f"the file ends before {part.offset + part.length} bytes")
        socket = await out.flush(head.data)
        if socket is None or not hasattr(os, "sendfile"):
            await _send_reads(out, file, part)
        else:
            # A descriptor of our own: event loops refuse to watch one that belongs to a transport.
            socket = os.dup(socket)
            try:
                await _send_pages(out.env, socket, file, part)
            finally:
                os.close(socket)
    finally:
        os.close(file)


async def _send_reads(out: Outlet, file: int, part: FileSlice) -> None:
    """Through Python bytes: for TLS, and systems without sendfile."""
    offset, end = part.offset, part.offset + part.length
    while offset < end:
        piece = await _in_thread(os.pread, file, min(end - offset, FILE_WINDOW_BYTES), offset)
        if not piece:
            raise BadResponse("the file became shorter while it was sent")
        offset += len(piece)
        out.write(piece)
        await out.drain()


async def _send_pages(env: Env, socket: int, file: int, part: FileSlice) -> None:
    """From page cache to socket inside the kernel. Only what would have to wait for the disk goes through a thread;
    no thread ever waits for a client."""
    offset, end, windows = part.offset, part.offset + part.length, 0
    while offset < end:
        count = min(end - offset, FILE_WINDOW_BYTES)
        try:
            if _in_memory(file, offset, count):
                sent = os.sendfile(socket, file, offset, count)
            else:
                sent = await _in_thread(os.sendfile, socket, file, offset, count)
        except BlockingIOError:
            await _until_writable(env, socket)
            continue
        except ConnectionError as error:
            raise ClientGone(str(error)) from error
        if not sent:
            raise BadResponse("the file became shorter while it was sent")
        offset += sent
        windows += 1
        if windows % _WINDOWS_PER_TURN == 0:
            await env.sleep(0)  # a client that is as fast as we are must not keep the loop to itself


def _in_memory(file: int, offset: int, count: int) -> bool:
    """Whether the kernel has both ends of this stretch in its page cache (preadv2(2), RWF_NOWAIT)."""
    if _NO_WAIT is None:
        return False
    probe = [bytearray(1)]
    try:
        return os.preadv(file, probe, offset, _NO_WAIT) + os.preadv(file, probe, offset + count - 1, _NO_WAIT) == 2
    except OSError:
        return False


async def _until_writable(env: Env, socket: int) -> None:
    """Wait for room in the socket. Raises ClientGone when the client took next to nothing for BODY_TIMEOUT_S."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[bool] = loop.create_future()

    def wake(ready: bool) -> None:
        if not woken.done():
            woken.set_result(ready)

    while True:
        queued = unsent(socket)
        loop.add_writer(socket, wake, True)
        timer = env.call_later(BODY_TIMEOUT_S, lambda: wake(False))
        try:
            if await woken:
                return
        finally:
            timer.cancel()
            loop.remove_writer(socket)
        # The kernel reports room late, when a third of its buffer is free: a slow client may well have taken something.
        if queued - unsent(socket) < BODY_PROGRESS_MIN_BYTES:
            raise ClientGone("the client does not read its answer")
        woken = loop.create_future()


async def _in_thread(call: Callable[..., T], *arguments: int) -> T:
    """The result of a blocking call; cancelled only after the call has ended, as it holds descriptors."""
    future = asyncio.get_running_loop().run_in_executor(None, call, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise
