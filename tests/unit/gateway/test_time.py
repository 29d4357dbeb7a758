"""Clients that are too slow, and servers that stop: all on a clock that the test moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from haneul.base import limits
from haneul.base.errors import Invalid
from haneul.gateway import site as site_module
from haneul.gateway.http import Request, Response
from haneul.gateway.server import Server

from .stage import Plain, Stage, hello
from .test_server import GET, MEGABYTE, Gate, flood


async def test_half_a_head_is_given_up(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    client.send(b"GET / HTTP/1.1\r\nHo")
    await stage.advance(limits.HEADERS_TIMEOUT_S - 2)
    client.send(b"st: a\r\n")
    await stage.advance(1)
    assert not client.reader.at_eof()
    await stage.advance(3)

    assert (await client.answer()).status == 408
    assert await client.rest() == b""


async def test_who_says_nothing_is_let_go_without_a_word(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    await stage.advance(limits.HEADERS_TIMEOUT_S + 2)

    assert await client.rest() == b""


async def test_an_idle_connection_is_closed_after_a_while(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    await client.ask(GET)
    await stage.advance(limits.KEEP_ALIVE_TIMEOUT_S - 2)
    assert await client.is_open()
    await stage.advance(limits.KEEP_ALIVE_TIMEOUT_S + 2)

    assert await client.rest() == b""


async def test_a_body_that_stops_is_given_up(stage: Stage) -> None:
    errors: list[BaseException] = []

    async def handle(request: Request) -> Response:
        try:
            await request.body.read(MEGABYTE)
        except Invalid as error:
            errors.append(error)
        return Response(400, [], b"too slow")

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    await stage.advance(limits.BODY_TIMEOUT_S + 2)

    assert (await client.answer()).body == b"too slow"
    assert await client.rest() == b""
    assert "in time" in str(errors[0])


async def test_a_trickle_of_a_body_is_given_up(stage: Stage) -> None:
    await stage.serve(Plain(lambda request: read_all(request)))
    client = await stage.client()

    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(8):
        client.send(b"x")
        await stage.advance(limits.BODY_TIMEOUT_S / 7)

    assert (await client.answer()).status == 400


async def test_a_slow_but_steady_body_arrives(stage: Stage) -> None:
    await stage.serve(Plain(lambda request: read_all(request)))
    client = await stage.client()

    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
    for _ in range(10):
        client.send(b"x" * 5000)
        await stage.advance(limits.BODY_TIMEOUT_S - 5)

    assert (await client.answer()).body == b"50000"


async def test_a_client_that_waits_for_continue_is_not_called_slow(stage: Stage) -> None:
    gate = Gate()

    async def handle(request: Request) -> Response:
        await gate.handle(request)
        return await read_all(request)

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    await stage.advance(limits.BODY_TIMEOUT_S * 3)
    gate.opened.set()

    assert (await client.answer()).status == 100
    assert (await client.ask(b"abc")).body == b"3"


async def test_a_face_may_take_as_long_as_it_likes(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()

    client.send(GET)
    await stage.advance(900)
    gate.opened.set()

    assert (await client.answer()).status == 200


async def test_a_client_that_stops_reading_is_cut_off(stage: Stage) -> None:
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    async def handle(request: Request) -> Response:
        return Response(200, [], body())

    await stage.serve(Plain(handle))
    client = await stage.client()
    client.writer.transport.pause_reading()

    client.send(GET)
    await stage.advance(limits.BODY_TIMEOUT_S - 5)
    assert not closed.is_set()
    await stage.advance(limits.BODY_TIMEOUT_S + 10)

    await asyncio.wait_for(closed.wait(), 10)
    assert not stage.failures()


async def test_a_client_that_never_fetches_its_last_answer_is_cut_off(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        return Response(200, [], b"x" * 32 * MEGABYTE, close_after=True)

    await stage.serve(Plain(handle))
    client = await stage.client()
    client.writer.transport.pause_reading()

    client.send(GET)
    await stage.advance(limits.BODY_TIMEOUT_S + 5)  # what its kernel took at first counts as progress
    await stage.advance(limits.BODY_TIMEOUT_S + 5)
    client.writer.transport.resume_reading()

    assert len(await client.rest()) < 32 * MEGABYTE


async def test_who_goes_on_sending_after_the_last_answer_is_cut_off(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    client.send(b"BREW / HTTP/1.1\r\n\r\n")
    await client.answer()
    await flood(stage, client, b"x" * 65536, limits.LINGER_MAX_BYTES * 4)

    assert client.writer.transport.is_closing()


async def test_one_connection_too_many_is_answered_with_503(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "CONNECTIONS_MAX", 2)
    await stage.serve(Plain(hello))
    first, second, third = [await stage.client() for _ in range(3)]
    await stage.settle()

    assert (await third.answer()).status == 503
    assert await third.rest() == b""
    assert await first.is_open()
    await second.close()
    await third.close()
    await stage.settle()
    assert await (await stage.client()).is_open()


# stopping


async def test_stopping_closes_idle_connections_at_once(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    fresh, idle = await stage.client(), await stage.client()
    await idle.ask(GET)
    await stage.settle()

    await asyncio.wait_for(stage.stop(), 10)

    assert (await fresh.rest(), await idle.rest()) == (b"", b"")
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await stage.client()


async def test_stopping_lets_requests_finish(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()
    client.send(GET + GET)
    await gate.begun.wait()

    stopping = asyncio.ensure_future(stage.stop())
    await stage.settle()
    assert not stopping.done()
    gate.opened.set()

    answer = await client.answer()
    assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
    assert await client.rest() == b""
    await stage.advance(limits.LINGER_TIMEOUT_S + 2)
    await asyncio.wait_for(stopping, 10)


async def test_stopping_breaks_off_what_takes_too_long(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()
    client.send(GET)
    await gate.begun.wait()

    stopping = asyncio.ensure_future(stage.stop())
    await stage.advance(limits.GRACE_TIMEOUT_S - 1)
    assert not stopping.done()
    await stage.advance(2)
    await stopping
    await stage.settle()

    assert isinstance(gate.ended, asyncio.CancelledError)
    assert await client.rest() == b""


async def read_all(request: Request) -> Response:
    return Response(200, [], b"%d" % len(await request.body.read(MEGABYTE)))


# starting


async def test_localhost_is_one_port_on_every_address_that_it_names(stage: Stage) -> None:
    server = Server(Plain(hello), stage.env, stage.log)

    port = await server.start("localhost", 0)

    named = {str(info[4][0]) for info in await asyncio.get_running_loop().getaddrinfo("localhost", port)}
    reached = 0
    for address in named:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            reached += 1
    assert reached >= 1
    await server.stop()


async def test_an_address_in_use_is_an_error(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    other = Server(Plain(hello), stage.env, stage.log)

    with pytest.raises(OSError):
        await other.start("127.0.0.1", stage.port)

    await other.stop()
