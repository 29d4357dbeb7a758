"""The way out of a closed sandbox: bytes pass both ways, whatever the client says first, on both event loops."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from haneul.base.env import RealEnv
from haneul.sandbox.proxy import EndpointProxy

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


async def conversation(said: bytes, *, finish: bool) -> bytes:
    """What comes back from an upper-casing endpoint, through a proxy, when everything is said at once."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await (reader.read() if finish else reader.readexactly(len(said)))
        writer.write(heard.upper())
        writer.close()

    endpoint = await asyncio.start_server(shout, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = EndpointProxy(RealEnv(), listener, endpoint.sockets[0].getsockname()[:2])
    await proxy.start()
    try:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(said)
        if finish:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        proxy.close()
        endpoint.close()


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("finish", [False, True], ids=["open", "half closed"])
@pytest.mark.parametrize("size_bytes", [1, 3_000_000])
def test_what_is_said_at_once_arrives_whole(
    loop: Callable[[], asyncio.AbstractEventLoop], finish: bool, size_bytes: int
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        heard = runner.run(conversation(b"a" * size_bytes, finish=finish))

    assert heard == b"A" * size_bytes


def test_a_dead_endpoint_closes_the_connection() -> None:
    async def ask() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            endpoint = gone.getsockname()
        listener = socket.create_server(("127.0.0.1", 0))
        proxy = EndpointProxy(RealEnv(), listener, endpoint)
        await proxy.start()
        try:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"hello")
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionResetError:
            return b""
        finally:
            proxy.close()

    assert uvloop.run(ask()) == b""
