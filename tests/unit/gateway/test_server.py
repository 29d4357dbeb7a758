"""The server on real sockets: requests in, answers out, in order, on connections that live as long as they should."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haneul.base.env import ManualEnv
from haneul.base.errors import Invalid, TooLarge
from haneul.base.limits import BODY_BUFFER_MAX_BYTES, DRAIN_MAX_BYTES, PIPELINE_MAX_REQUESTS, WRITE_BUFFER_MAX_BYTES
from haneul.base.log import SilentLog
from haneul.gateway.connection import Connection
from haneul.gateway.http import Request, Response
from haneul.gateway.router import Router, under
from haneul.gateway.site import Site

from .stage import Client, Plain, Stage, hello
from .test_head import REFUSED

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1 << 20


def post(body: bytes, path: str = "/") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


async def echo(request: Request) -> Response:
    return Response(200, [], await request.body.read(64 * MEGABYTE))


async def streamed_echo(request: Request) -> Response:
    return Response(200, [], aiter(request.body))


async def path_echo(request: Request) -> Response:
    return Response(200, [], request.path)


class Ledger:
    """A face that writes down what it got."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def handle(self, request: Request) -> Response:
        body = await request.body.read(MEGABYTE)
        self.seen.append((request.method, request.target, request.headers, body, request.body.trailers))
        return Response(200, [], b"ok")


class Gate:
    """A face that waits to be opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.begun = asyncio.Event()
        self.ended: BaseException | str = "not yet"

    async def handle(self, request: Request) -> Response:
        self.begun.set()
        try:
            await self.opened.wait()
        except BaseException as error:
            self.ended = error
            raise
        return Response(200, [], request.path)


# answers


async def test_an_answer_has_date_and_length_and_the_headers_as_given(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        return Response(201, [(b"X-CamelCase", b"1"), (b"x-camelcase2", b""), (b"Date", b"mine")], b"made")

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(GET)

    assert await client.read(len(b"HTTP/1.1 201 Created\r\n")) == b"HTTP/1.1 201 Created\r\n"
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head == (
        b"X-CamelCase: 1\r\nx-camelcase2: \r\ncontent-length: 4\r\ndate: Fri, 15 Jan 2027 08:00:00 GMT\r\n\r\n"
    )
    assert await client.read(4) == b"made"


async def test_the_date_moves_with_the_clock(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()
    await client.ask(GET)

    await stage.advance(5)

    assert (await client.ask(GET)).headers[b"date"] == b"Fri, 15 Jan 2027 08:00:05 GMT"


async def test_a_request_carries_everything_that_was_sent(stage: Stage) -> None:
    requests: list[Request] = []

    async def handle(request: Request) -> Response:
        requests.append(request)
        return Response(200)

    await stage.serve(Plain(handle))
    client = await stage.client()
    await client.ask(b"PUT /a%2Fb?c=d&e HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")

    request = requests[0]
    assert (request.method, request.target, request.path, request.query) == (
        "PUT",
        b"/a%2Fb?c=d&e",
        b"/a%2Fb",
        b"c=d&e",
    )
    assert request.header(b"x-a") == b"1,2"
    assert request.remote == client.writer.get_extra_info("sockname")
    assert (request.scheme, request.http_version, request.received) == ("http", "1.1", stage.env.now())
    assert request.body.length == 0


@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_malformed_request_is_answered_and_the_connection_closed(
    stage: Stage, head: bytes, status: int
) -> None:
    await stage.serve(Ledger())
    client = await stage.client()

    client.send(head + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = await client.answer()

    assert (answer.status, answer.headers[b"connection"]) == (status, b"close")
    assert answer.body
    assert await client.rest() == b""


async def test_nothing_behind_a_malformed_request_is_seen(stage: Stage) -> None:
    ledger = Ledger()
    await stage.serve(ledger)
    client = await stage.client()

    client.send(GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nGET " + GET)
    await client.rest()

    assert len(ledger.seen) == 1


async def test_line_ends_without_cr_are_refused_before_the_head_is_whole(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    assert (await client.ask(b"GET / HTTP/1.1\nHost: a\n\n")).status == 400


async def test_the_http2_preface_is_refused_in_clear_words(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    answer = await client.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")

    assert (answer.status, b"HTTP/1.1" in answer.body) == (505, True)


async def test_an_endless_head_is_refused_without_waiting_for_its_end(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    one, other = await stage.client(), await stage.client()

    one.send(b"GET /" + b"a" * 20_000)
    other.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 12_000)

    assert (await one.answer()).status == 414
    assert (await other.answer()).status == 431


# connections


async def test_a_connection_serves_one_request_after_the_other(stage: Stage) -> None:
    await stage.serve(Plain(echo))
    client = await stage.client()

    for number in range(5):
        assert (await client.ask(post(b"%d" % number))).body == b"%d" % number


async def test_connection_close_is_kept(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)

    assert answer.headers[b"connection"] == b"close"
    assert await client.rest() == b""


async def test_http_1_0_closes_unless_it_asks_otherwise(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client, other = await stage.client(), await stage.client()

    kept = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    closed = await other.ask(b"GET / HTTP/1.0\r\n\r\n")

    assert (kept.headers[b"connection"], await client.is_open()) == (b"keep-alive", True)
    assert (closed.headers[b"connection"], await other.rest()) == (b"close", b"")


async def test_an_empty_line_before_a_request_is_ignored(stage: Stage) -> None:
    await stage.serve(Plain(echo))
    client = await stage.client()

    client.send(post(b"1") + b"\r\n" + post(b"2"))

    assert [(await client.answer()).body for _ in range(2)] == [b"1", b"2"]


async def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        number = int(request.path[1:])
        for _ in range(number % 4):
            await asyncio.sleep(0)
        body = await request.body.read(10)
        return Response(200, [], request.path + body)

    await stage.serve(Plain(handle))
    client = await stage.client()
    count = PIPELINE_MAX_REQUESTS * 3

    client.send(b"".join(post(b"x", f"/{number}") for number in range(count)))
    answers = [await client.answer() for _ in range(count)]

    assert [answer.body for answer in answers] == [b"/%dx" % number for number in range(count)]


async def test_pipelined_requests_wait_while_one_is_answered(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()

    client.send(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /3 HTTP/1.1\r\nHo"
    )
    await gate.begun.wait()
    gate.opened.set()
    first = [(await client.answer()).body for _ in range(2)]
    client.send(b"st: a\r\n\r\n")

    assert [*first, (await client.answer()).body] == [b"/1", b"/2", b"/3"]


async def test_a_flood_of_pipelined_requests_is_not_taken_in(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()

    taken = await flood(stage, client, GET * 1000, 64 * MEGABYTE)
    gate.opened.set()

    assert taken < 16 * MEGABYTE
    assert (await client.answer()).status == 200


async def test_who_does_not_read_its_answers_gets_no_more(stage: Stage) -> None:
    made = 0

    async def handle(request: Request) -> Response:
        nonlocal made
        made += 1
        return Response(200, [], b"x" * 10_000)

    await stage.serve(Plain(handle))
    client = await stage.client(receive_buffer=4096)
    client.writer.transport.pause_reading()

    await flood(stage, client, GET * 100, 4 * MEGABYTE)

    assert made * 10_000 < 32 * MEGABYTE
    client.writer.transport.resume_reading()
    for _ in range(made):
        assert len((await client.answer()).body) == 10_000


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_any_split_of_the_stream_gives_the_same_requests(cuts: list[int]) -> None:
    stream = (
        GET
        + post(b"abc", "/1")
        + b"\r\nPOST /2 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nT: 1\r\n\r\n"
        + b"GET http://c/3 HTTP/1.1\r\nHost: d\r\n\r\n"
        + b"PUT /4 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"
        + b"DELETE /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )

    async def run() -> list[Any]:
        ledger = Ledger()
        wire = FakeWire(ledger)
        position = turn = 0
        while position < len(stream):
            cut = cuts[turn % len(cuts)]
            await wire.deliver(stream[position : position + cut])
            position, turn = position + cut, turn + 1
        await wire.leave()
        assert wire.transport.closed
        return ledger.seen

    seen = asyncio.run(run())

    assert [(method, target, body) for method, target, _, body, _ in seen] == [
        ("GET", b"/", b""),
        ("POST", b"/1", b"abc"),
        ("POST", b"/2", b"hello"),
        ("GET", b"/3", b""),
        ("PUT", b"/4", b"ok"),
        ("DELETE", b"/5", b""),
    ]
    assert seen[2][4] == [(b"t", b"1")]
    assert seen[3][2] == [(b"host", b"c")]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([GET, CHUNKED, b"3\r\nabc\r\n", b"0\r\n\r\n", b"\r\n", b"Content-Length: 5\r\n"]) | st.binary()
    )
)
def test_garbage_never_breaks_the_server(pieces: list[bytes]) -> None:
    async def run() -> None:
        wire = FakeWire(Plain(echo))
        for piece in pieces:
            await wire.deliver(piece)
        await wire.leave()
        assert not [event for event in wire.log.events if event[0] == "error"]

    asyncio.run(run())


# bodies of requests


async def test_chunks_and_trailers_reach_the_face(stage: Stage) -> None:
    ledger = Ledger()
    await stage.serve(ledger)
    client = await stage.client()

    client.send(CHUNKED + b"4\r\nwiki\r\n")
    await stage.settle()
    client.send(b"5\r\npedia\r\n0\r\nX-Sum: abc\r\n\r\n")
    await client.answer()

    assert ledger.seen[0][3:] == (b"wikipedia", [(b"x-sum", b"abc")])
    assert await client.is_open()


async def test_a_long_body_arrives_whole(stage: Stage) -> None:
    body = bytes(range(256)) * 4096 * 5
    await stage.serve(Plain(streamed_echo))
    client = await stage.client()

    client.send(post(body))
    answer = await client.answer()

    assert answer.body == body


async def test_bad_chunks_end_the_request_and_the_connection(stage: Stage) -> None:
    await stage.serve(Plain(echo))
    client = await stage.client()

    answer = await client.ask(CHUNKED + b"3\r\nabcd\r\n" + GET)

    assert (answer.status, answer.headers[b"connection"]) == (400, b"close")
    assert await client.rest() == b""
    assert not stage.failures()


async def test_a_body_over_the_limit_of_its_reader_is_refused(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        await request.body.read(10)
        return Response(200)

    await stage.serve(Plain(handle))

    for request in (post(b"x" * 11), CHUNKED + b"b\r\nxxxxxxxxxxx\r\n0\r\n\r\n"):
        assert (await (await stage.client()).ask(request)).status == 413


async def test_a_whole_body_over_the_limit_leaves_the_connection_alive(stage: Stage) -> None:
    caught: list[BaseException] = []

    async def handle(request: Request) -> Response:
        try:
            await request.body.read(10)
        except TooLarge as error:
            caught.append(error)
        return Response(413)

    await stage.serve(Plain(handle))
    client = await stage.client()

    answers = [(await client.ask(post(b"x" * 11))).status for _ in range(2)]

    assert (answers, len(caught)) == ([413, 413], 2)


async def test_continue_is_sent_when_the_face_begins_to_read(stage: Stage) -> None:
    read = asyncio.Event()

    async def handle(request: Request) -> Response:
        await read.wait()
        return await echo(request)

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n")
    await stage.settle()
    assert not client.reader._buffer  # type: ignore[attr-defined]
    read.set()

    assert (await client.answer()).status == 100
    assert (await client.ask(b"abc")).body == b"abc"
    assert await client.is_open()


async def test_a_refusal_comes_instead_of_continue_and_ends_the_connection(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        return Response(403, [], b"no")

    await stage.serve(Plain(handle))
    client = await stage.client()

    answer = await client.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")

    assert (answer.status, answer.headers[b"connection"]) == (403, b"close")
    assert await client.rest() == b""


async def test_continue_is_not_sent_to_who_did_not_wait_for_it(stage: Stage) -> None:
    await stage.serve(Plain(echo))
    client = await stage.client()

    answer = await client.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")

    assert (answer.status, answer.body) == (200, b"abc")


async def test_a_small_unread_body_is_read_over(stage: Stage) -> None:
    await stage.serve(Plain(path_echo))
    client = await stage.client()

    client.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % DRAIN_MAX_BYTES)
    answer = await client.answer()
    client.send(b"x" * DRAIN_MAX_BYTES + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")

    assert b"connection" not in answer.headers
    assert (await client.answer()).body == b"/2"


async def test_a_big_unread_body_ends_the_connection_but_not_the_answer(stage: Stage) -> None:
    await stage.serve(Plain(hello))
    client = await stage.client()

    client.send(post(b"x" * 4 * MEGABYTE))
    answer = await client.answer()

    assert (answer.body, answer.headers[b"connection"]) == (b"hello", b"close")
    assert await client.rest() == b""


async def test_a_body_that_nobody_reads_is_not_taken_in(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * MEGABYTE))

    taken = await flood(stage, client, b"x" * 65536, 64 * MEGABYTE)

    # What the kernel's buffers hold comes on top of ours.
    assert BODY_BUFFER_MAX_BYTES <= taken < 16 * MEGABYTE
    gate.opened.set()
    assert (await client.answer()).status == 200


async def test_a_second_reader_of_one_body_is_told(stage: Stage) -> None:
    errors: list[BaseException | bytes] = []

    async def handle(request: Request) -> Response:
        errors.extend(await asyncio.gather(request.body.read(9), request.body.read(9), return_exceptions=True))
        return Response(200)

    await stage.serve(Plain(handle))
    client = await stage.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    await stage.settle()

    assert (await client.ask(b"abc")).status == 200
    assert errors[0] == b"abc"
    assert isinstance(errors[1], RuntimeError)


# bodies of answers


async def test_a_stream_is_sent_piece_by_piece(stage: Stage) -> None:
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await more.wait()
        yield b""
        yield b"two" * 50_000

    async def handle(request: Request) -> Response:
        return Response(200, [], body())

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(GET)
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert await client.chunk() == b"one"
    more.set()
    assert await client.chunk() == b"two" * 50_000
    assert await client.chunk() == b""
    assert await client.is_open()


async def test_a_stream_may_read_the_request_while_it_answers(stage: Stage) -> None:
    await stage.serve(Plain(streamed_echo))
    client = await stage.client()

    client.send(CHUNKED + b"3\r\nabc\r\n")
    await client.reader.readuntil(b"\r\n\r\n")
    assert await client.chunk() == b"abc"
    client.send(b"3\r\ndef\r\n0\r\n\r\n")

    assert await client.chunk() == b"def"
    assert await client.chunk() == b""


async def test_a_stream_with_a_length_is_not_chunked(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        return Response(200, [(b"Content-Length", b"6")], pieces(b"abc", b"def"))

    await stage.serve(Plain(handle))
    client = await stage.client()

    answer = await client.ask(GET)

    assert (answer.body, b"transfer-encoding" in answer.headers) == (b"abcdef", False)
    assert await client.is_open()


@pytest.mark.parametrize("length", [b"5", b"7"])
async def test_a_stream_that_breaks_its_length_breaks_the_connection(stage: Stage, length: bytes) -> None:
    async def handle(request: Request) -> Response:
        return Response(200, [(b"Content-Length", length)], pieces(b"abc", b"def"))

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(GET)
    await client.rest()

    assert "content-length" in str(stage.failures()[0]["error"])


async def test_a_stream_to_an_old_client_ends_with_the_connection(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        return Response(200, [], pieces(b"abc", b"def"), close_after=request.http_version == "1.1")

    await stage.serve(Plain(handle))

    for request in (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", GET):
        answer = await (await stage.client()).ask(request)
        assert (answer.body, answer.headers[b"connection"]) == (b"abcdef", b"close")
        assert b"transfer-encoding" not in answer.headers


async def test_a_slow_reader_holds_up_its_stream(stage: Stage) -> None:
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(250):
            made += 65536
            yield b"x" * 65536

    async def handle(request: Request) -> Response:
        return Response(200, [], body())

    await stage.serve(Plain(handle))
    client = await stage.client()
    client.writer.transport.pause_reading()
    client.send(GET)
    await stage.settle()
    held = made
    await stage.settle()

    assert WRITE_BUFFER_MAX_BYTES < made == held < 16 * MEGABYTE
    client.writer.transport.resume_reading()
    assert len((await client.answer()).body) == 16_384_000


@pytest.mark.parametrize("status", [200, 204, 304])
async def test_no_body_where_none_may_be(stage: Stage, status: int) -> None:
    closed: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"never"
        finally:
            closed.append("closed")

    async def handle(request: Request) -> Response:
        if request.path == b"/bytes":
            return Response(status, [], b"body")
        if request.path == b"/said":
            return Response(status, [(b"content-length", b"42")] if status != 204 else [])
        return Response(status, [], body())

    await stage.serve(Plain(handle))
    client = await stage.client()
    method = b"HEAD" if status == 200 else b"GET"

    answers = [
        await client.ask(b"%b /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (method, path), to_head=True)
        for path in (b"bytes", b"said", b"stream")
    ]

    assert [answer.status for answer in answers] == [status] * 3
    assert [answer.headers.get(b"content-length") for answer in answers] == (
        [None, None, None] if status == 204 else [b"4", b"42", None]
    )
    assert not client.reader._buffer  # type: ignore[attr-defined]


# faces that fail


async def test_a_face_that_raises_costs_its_answer_only(stage: Stage) -> None:
    async def handle(request: Request) -> Response:
        if request.path == b"/waits":
            await asyncio.sleep(0)
        if request.path != b"/alive":
            raise ValueError("secret detail")
        return Response(200)

    await stage.serve(Plain(handle))
    client = await stage.client()

    for path in (b"/", b"/waits"):
        answer = await client.ask(b"GET %b?token=x HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        assert (answer.status, answer.body) == (500, b"internal error\n")
    assert await client.is_open()
    assert [facts["path"] for facts in stage.failures()] == ["/", "/waits"]
    assert "secret detail" in str(stage.failures()[0]["error"])


async def test_a_stream_that_raises_breaks_the_connection(stage: Stage) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        raise ValueError

    async def handle(request: Request) -> Response:
        return Response(200, [], body())

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(GET)

    assert not (await client.rest()).endswith(b"0\r\n\r\n")
    assert stage.failures()[0]["started"] is True


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [(b"x", b"a\r\nset-cookie: b")]),
        Response(200, [(b"x\n", b"a")]),
        Response(200, [(b"x", b"\0")]),
        Response(200, [(b"content-length", b"3")], b"abcd"),
        Response(200, [(b"content-length", b"x")], b"abcd"),
        Response(200, [(b"content-length", b"4"), (b"Content-Length", b"4")], b"abcd"),
        Response(204, [(b"content-length", b"0")]),
        Response(100),
        None,
    ],
)
async def test_an_answer_that_cannot_be_sent_is_a_failure_of_the_face(stage: Stage, response: Response) -> None:
    async def handle(request: Request) -> Response:
        return response if request.path == b"/" else Response(200)

    await stage.serve(Plain(handle))
    client = await stage.client()

    assert (await client.ask(GET)).status == 500
    assert await client.is_open()
    assert len(stage.failures()) == 1


# clients that leave


async def test_a_client_that_leaves_cancels_its_request(stage: Stage) -> None:
    gate = Gate()
    await stage.serve(gate)
    client = await stage.client()

    client.send(GET)
    await gate.begun.wait()
    await client.close()
    await stage.settle()

    assert isinstance(gate.ended, asyncio.CancelledError)
    assert not stage.failures()


async def test_a_client_that_leaves_closes_the_stream(stage: Stage) -> None:
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def handle(request: Request) -> Response:
        return Response(200, [], body())

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(GET)
    await client.read(5000)
    await client.close()

    await asyncio.wait_for(closed.wait(), 10)
    assert not stage.failures()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_noticed(stage: Stage) -> None:
    errors: list[BaseException] = []

    async def handle(request: Request) -> Response:
        try:
            await asyncio.shield(asyncio.ensure_future(request.body.read(100)))
        except BaseException as error:
            errors.append(error)
            raise
        return Response(200)

    await stage.serve(Plain(handle))
    client = await stage.client()

    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    await stage.settle()
    await client.close()
    await stage.settle()

    assert isinstance(errors[0], asyncio.CancelledError | Invalid)
    assert not stage.failures()


# the router


async def test_the_router_chooses_by_condition_then_default(stage: Stage) -> None:
    async def admin(request: Request) -> Response:
        return Response(200, [], b"admin")

    await stage.serve(Router([(under(b"/_haneul"), Plain(admin))], Plain(hello)))
    client = await stage.client()

    for path, body in (
        (b"/_haneul", b"admin"),
        (b"/_haneul/health?x", b"admin"),
        (b"/_haneulx", b"hello"),
        (b"/", b"hello"),
    ):
        assert (await client.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)).body == body


# what the tests above use


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def flood(stage: Stage, client: Client, data: bytes, limit: int) -> int:
    """Send data over and over until it is no longer taken, or limit is reached; how much was taken."""
    transport = client.writer.transport
    sent = 0
    for _ in range(limit // len(data) + 1):
        client.send(data)
        sent += len(data)
        if transport.get_write_buffer_size():
            await stage.settle()
            if transport.get_write_buffer_size() > len(data) or transport.is_closing():
                break
    return sent - transport.get_write_buffer_size()


class FakeTransport(asyncio.Transport):
    """As much of a transport as a connection needs, for streams that are cut by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def is_reading(self) -> bool:
        return True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class FakeWire:
    """A connection that is fed by hand, from the loop itself as a real transport would."""

    def __init__(self, face: Any) -> None:
        self.log = SilentLog()
        self.site = Site(face, ManualEnv(), self.log, asyncio.get_running_loop(), scheme="http")
        self.transport = FakeTransport()
        self.connection = Connection(self.site)
        self.connection.connection_made(self.transport)

    async def deliver(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self.connection.data_received, data)
        await ManualEnv.settle(6)

    async def leave(self) -> None:
        self.connection.eof_received()
        self.connection.connection_lost(None)
        await ManualEnv.settle()
        self.site.close()
        await ManualEnv.settle()
