"""Packets between the API process, sandboxd and the zygotes."""

import os
import socket
from collections.abc import Iterator

import pytest

from haneul.sandbox import wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = wire.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_packet_arrives_whole_with_its_descriptors(pair: Pair) -> None:
    reader, writer = os.pipe()

    wire.send(pair[0], {"op": "x", "n": [1, "é"]}, (writer,))
    message, fds = wire.receive(pair[1]) or ({}, [])
    os.write(fds[0], b"through")

    assert message == {"op": "x", "n": [1, "é"]} and os.read(reader, 10) == b"through"
    assert not os.get_inheritable(fds[0])
    wire.close_all([reader, writer, *fds])


def test_the_end_of_the_other_side_is_none(pair: Pair) -> None:
    pair[0].close()

    assert wire.receive(pair[1]) is None


def test_a_packet_that_is_too_long_is_refused_before_it_is_sent(pair: Pair) -> None:
    with pytest.raises(ValueError, match="longer than"):
        wire.send(pair[0], {"op": "x" * wire.PACKET_MAX_BYTES})


def test_a_packet_longer_than_the_receiver_takes_is_an_error_and_leaks_nothing(pair: Pair) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    wire.send(pair[0], {"op": "x" * 100}, (null,))
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(OSError, match="cut"):
        wire.receive(pair[1], 50)

    assert len(os.listdir("/proc/self/fd")) == before
    os.close(null)


def test_what_the_socket_does_not_take_waits_in_order(pair: Pair) -> None:
    pair[0].setblocking(False)
    pair[1].setblocking(False)
    sender = wire.Sender(pair[0])
    for number in range(2000):
        sender.send({"n": number, "text": "x" * 1000})
    assert sender.waiting

    got = []
    while len(got) < 2000:
        packet = wire.receive(pair[1])
        assert packet is not None
        got.append(packet[0]["n"])
        sender.flush()

    assert got == list(range(2000)) and not sender.waiting


def test_a_sender_whose_other_side_is_gone_forgets_and_closes(pair: Pair) -> None:
    pair[0].setblocking(False)
    sender = wire.Sender(pair[0])
    pair[1].close()
    fd = os.open(os.devnull, os.O_RDONLY)

    sender.send({"op": "x"}, (fd,))

    assert not sender.waiting
    with pytest.raises(OSError):
        os.fstat(fd)
