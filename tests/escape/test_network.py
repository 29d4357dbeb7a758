"""Reaching the host and the world from a function without egress."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.escape.attacks import CONNECT
from tests.sandboxes import Rig

FETCH = """
import socket
def handler(event, context):
    answers = []
    for _ in range(event["times"]):
        with socket.create_connection(("127.0.0.1", event["port"]), timeout=5) as line:
            line.sendall(b"hello " + b"x" * event["size"])
            line.shutdown(socket.SHUT_WR)
            got = b""
            while chunk := line.recv(65536):
                got += chunk
        answers.append([got[:6].decode(), len(got)])
    return answers
"""

HOLD = """
import socket
def handler(event, context):
    held, refused = [], 0
    for _ in range(event["times"]):
        line = socket.create_connection(("127.0.0.1", event["port"]), timeout=5)
        line.settimeout(2)
        line.sendall(b"x")
        held.append(line)
    for line in held:
        try:
            if line.recv(1) == b"":
                refused += 1
        except OSError:
            refused += 1
    return refused
"""


@pytest.fixture
async def endpoint() -> AsyncIterator[int]:
    """Something on the host that echoes, standing in for the cloud's own endpoint: its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.tiers("strict", "userns")
async def test_host_services_and_the_world_cannot_be_reached(rig: Rig, endpoint: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        places = [["127.0.0.1", port], ["10.0.0.1", 80], ["169.254.169.254", 80], ["1.1.1.1", 53]]

        found = await rig.ask(CONNECT, places, egress="closed", endpoint=("127.0.0.1", endpoint))

    assert set(found.values()) <= {"ECONNREFUSED", "ENETUNREACH"}


@pytest.mark.tiers("strict", "userns")
async def test_abstract_sockets_of_the_host_cannot_be_reached(rig: Rig) -> None:
    with socket.socket(socket.AF_UNIX) as service:
        service.bind("\0haneul-escape-test")
        service.listen()

        found = await rig.ask(CONNECT, ["\0haneul-escape-test"], egress="closed")

    assert set(found.values()) == {"ECONNREFUSED"}


@pytest.mark.tiers("strict", "userns")
async def test_the_clouds_own_endpoint_is_reached_and_streams_both_ways(rig: Rig, endpoint: int) -> None:
    event = {"port": endpoint, "times": 3, "size": 2_000_000}

    answers = await rig.ask(FETCH, event, egress="closed", endpoint=("127.0.0.1", endpoint))

    assert answers == [["hello ", 2_000_006]] * 3


@pytest.mark.tiers("strict", "userns")
async def test_connections_to_the_endpoint_are_bounded(rig: Rig, endpoint: int) -> None:
    event = {"port": endpoint, "times": 150}

    assert await rig.ask(HOLD, event, egress="closed", endpoint=("127.0.0.1", endpoint)) == 150 - 128


@pytest.mark.tiers("strict", "userns")
async def test_with_egress_the_endpoint_is_reached_directly(rig: Rig, endpoint: int) -> None:
    event = {"port": endpoint, "times": 1, "size": 10}

    assert await rig.ask(FETCH, event, egress="open") == [["hello ", 16]]
