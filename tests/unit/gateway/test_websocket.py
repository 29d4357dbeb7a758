"""WebSockets over real sockets: handshake, conversation, endings."""

import asyncio

import pytest

from haneul.base import limits
from haneul.base.errors import Invalid
from haneul.gateway.frames import Opcode, encode
from haneul.gateway.http import Accepted, Request, Response, Socket
from haneul.gateway.router import Router

from .stage import Client, Plain, Stage, WithSockets, hello
from .test_frames import frame

HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


async def echo(socket: Socket) -> None:
    while (message := await socket.receive()) is not None:
        await socket.send(message)


async def accept(request: Request) -> Accepted | Response:
    return Accepted(echo)


async def opened(stage: Stage, extra: bytes = b"") -> Client:
    client = await stage.client()
    client.send(HANDSHAKE + extra + b"\r\n")
    answer = await client.answer()
    assert answer.status == 101
    return client


async def receive(client: Client) -> tuple[int, bytes]:
    """(opcode, payload) of the server's next frame."""
    first, size = await client.read(2)
    assert first & 0x80
    if size >= 126:
        size = int.from_bytes(await client.read(2 if size == 126 else 8), "big")
    return first & 0x0F, await client.read(size)


async def test_the_handshake_is_answered_as_the_rfc_says(stage: Stage) -> None:
    async def choose(request: Request) -> Accepted | Response:
        return Accepted(echo, protocol="chat.v2")

    await stage.serve(WithSockets(choose))
    client = await stage.client()

    answer = await client.ask(HANDSHAKE + b"Sec-WebSocket-Protocol: chat, chat.v2\r\n\r\n")

    assert answer.status == 101
    assert answer.headers[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answer.headers[b"sec-websocket-protocol"] == b"chat.v2"
    assert answer.headers[b"connection"] == b"upgrade"


@pytest.mark.parametrize(
    ("change", "to", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"***", 400),
        (b"GET", b"PUT", 400),
        (b"Connection: keep-alive, Upgrade", b"Connection: keep-alive", 200),
        (b"Upgrade: websocket", b"Upgrade: h2c", 200),
    ],
)
async def test_an_improper_handshake_is_answered_in_plain_http(
    stage: Stage, change: bytes, to: bytes, status: int
) -> None:
    await stage.serve(WithSockets(accept))
    client = await stage.client()

    answer = await client.ask(HANDSHAKE.replace(change, to) + b"\r\n")

    assert answer.status == status
    assert (answer.headers.get(b"sec-websocket-version") == b"13") is (status == 426)
    assert await client.is_open()


async def test_a_face_may_refuse(stage: Stage) -> None:
    async def refuse(request: Request) -> Accepted | Response:
        await asyncio.sleep(0)
        return Response(403, [], b"no")

    await stage.serve(WithSockets(refuse))
    client = await stage.client()

    assert (await client.ask(HANDSHAKE + b"\r\n")).status == 403
    assert await client.is_open()


async def test_a_face_without_sockets_answers_as_usual(stage: Stage) -> None:
    await stage.serve(Plain(hello))

    assert (await (await stage.client()).ask(HANDSHAKE + b"\r\n")).body == b"hello"


async def test_the_router_asks_the_face_that_it_chose(stage: Stage) -> None:
    await stage.serve(Router([(lambda request: request.path == b"/chat", WithSockets(accept))], Plain(hello)))

    client = await opened(stage)
    other = await stage.client()

    client.send(frame(1, b"a"))
    assert await receive(client) == (1, b"a")
    assert (await other.ask(HANDSHAKE.replace(b"/chat", b"/else") + b"\r\n")).body == b"hello"


async def test_messages_go_both_ways(stage: Stage) -> None:
    await stage.serve(WithSockets(accept))
    client = await opened(stage)

    for opcode, payload in ((1, "grüße".encode()), (2, b"\xff\0"), (1, b""), (2, b"x" * 200), (2, b"y" * 70_000)):
        client.send(frame(opcode, payload))
        assert await receive(client) == (opcode, payload)


async def test_frames_sent_with_the_handshake_are_not_lost(stage: Stage) -> None:
    async def slowly(request: Request) -> Accepted | Response:
        await asyncio.sleep(0)
        return Accepted(echo)

    for upgrade in (accept, slowly):
        await stage.serve(WithSockets(upgrade))
        client = await stage.client()
        client.send(HANDSHAKE + b"\r\n" + frame(1, b"early"))
        assert (await client.answer()).status == 101
        assert await receive(client) == (1, b"early")
        client.writer.transport.abort()
        await stage.stop()


async def test_a_message_in_parts_is_one_message_and_pings_are_answered_between(stage: Stage) -> None:
    await stage.serve(WithSockets(accept))
    client = await opened(stage)

    client.send(frame(1, b"a\xc3", final=False) + frame(9, b"?") + frame(0, b"\xa9"))

    assert await receive(client) == (10, b"?")
    assert await receive(client) == (1, "aé".encode())


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (b"\x81\x01a", 1002),
        (frame(2, b"x" * (limits.WEBSOCKET_MESSAGE_MAX_BYTES + 1)), 1009),
    ],
    ids=["not UTF-8", "no mask", "too large"],
)
async def test_a_broken_rule_ends_the_conversation_with_its_code(stage: Stage, sent: bytes, code: int) -> None:
    await stage.serve(WithSockets(accept))
    client = await opened(stage)

    client.send(sent)

    opcode, payload = await receive(client)
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, code)
    assert await client.rest() == b""


async def test_a_close_is_answered_and_the_connection_ended(stage: Stage) -> None:
    left = asyncio.Event()

    async def serve(socket: Socket) -> None:
        assert await socket.receive() is None
        with pytest.raises(Invalid):
            await socket.send("too late")
        left.set()

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)

    client.send(frame(8, b"\x0f\xa0bye"))

    assert await receive(client) == (8, b"\x0f\xa0")
    assert await client.rest() == b""
    await asyncio.wait_for(left.wait(), 5)


async def test_a_face_that_ends_closes_the_socket(stage: Stage) -> None:
    async def serve(socket: Socket) -> None:
        await socket.send("bye")

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)

    assert await receive(client) == (1, b"bye")
    assert await receive(client) == (8, b"\x03\xe8")
    client.send(frame(8, b"\x03\xe8"))
    assert await client.rest() == b""


async def test_a_face_that_raises_closes_with_1011(stage: Stage) -> None:
    async def serve(socket: Socket) -> None:
        await socket.receive()
        raise ValueError

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)
    client.send(frame(1, b"a"))

    assert await receive(client) == (8, b"\x03\xf3")
    assert len(stage.failures()) == 1


async def test_who_does_not_answer_a_close_is_cut_off(stage: Stage) -> None:
    async def serve(socket: Socket) -> None:
        await socket.close(4000, "enough")

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)
    assert await receive(client) == (8, b"\x0f\xa0enough")

    await stage.advance(limits.WEBSOCKET_CLOSE_TIMEOUT_S + 2)

    assert await client.rest() == b""


async def test_a_client_that_leaves_is_noticed_by_who_receives(stage: Stage) -> None:
    seen: list[object] = []

    async def serve(socket: Socket) -> None:
        seen.append(await socket.receive())
        seen.append(await socket.receive())

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)
    client.send(frame(1, b"a"))
    await stage.settle()
    await client.close()
    await stage.settle()

    assert seen == ["a", None]
    assert not stage.failures()


async def test_who_serves_a_lost_socket_and_does_not_notice_is_cancelled(stage: Stage) -> None:
    ended: list[BaseException] = []

    async def serve(socket: Socket) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except BaseException as error:
            ended.append(error)
            raise

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)
    await client.close()
    await stage.advance(limits.WEBSOCKET_CLOSE_TIMEOUT_S + 1)

    assert isinstance(ended[0], asyncio.CancelledError)


async def test_an_idle_socket_is_asked_then_given_up(stage: Stage) -> None:
    await stage.serve(WithSockets(accept))
    client = await opened(stage)
    half = limits.WEBSOCKET_IDLE_TIMEOUT_S / 2 + 2

    await stage.advance(half)
    assert await receive(client) == (9, b"")
    client.send(frame(10))
    await stage.advance(half)
    assert await receive(client) == (9, b"")
    await stage.advance(half)

    opcode, payload = await receive(client)
    assert (opcode, payload[:2]) == (8, b"\x03\xe9")
    assert await client.rest() == b""


async def test_messages_that_nobody_receives_hold_up_the_client(stage: Stage) -> None:
    got: list[int] = []
    go = asyncio.Event()

    async def serve(socket: Socket) -> None:
        await go.wait()
        while (message := await socket.receive()) is not None:
            got.append(len(message))

    async def upgrade(request: Request) -> Accepted | Response:
        return Accepted(serve)

    await stage.serve(WithSockets(upgrade))
    client = await opened(stage)
    message = frame(2, b"x" * 100_000)
    sent = 0
    for _ in range(400):
        client.send(message)
        sent += 1
        if client.writer.transport.get_write_buffer_size():
            await stage.settle()
            if client.writer.transport.get_write_buffer_size() > 2 * len(message):
                break

    assert sent < 300
    go.set()
    client.send(frame(8))
    assert (await receive(client))[0] == 8
    assert got == [100_000] * sent


async def test_stopping_says_goodbye(stage: Stage) -> None:
    await stage.serve(WithSockets(accept))
    client = await opened(stage)

    stopping = asyncio.ensure_future(stage.stop())
    opcode, payload = await receive(client)
    client.send(frame(8, payload))
    assert await client.rest() == b""
    await client.close()
    await asyncio.wait_for(stopping, 10)

    assert (opcode, payload[:2]) == (8, b"\x03\xe9")
    assert encode(Opcode.CLOSE, b"") == b"\x88\0"
