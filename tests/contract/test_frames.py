"""The frame format as the supervisor writes it and as the Python loop reads it, and back: two copies, one contract."""

import importlib.util
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haneul.sandbox import boot, frames


def load_boot() -> ModuleType:
    """boot/python.py by its path, as zygotes load it."""
    spec = importlib.util.spec_from_file_location("boot_under_test", Path(boot.__file__).parent / "python.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BOOT = load_boot()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Any]]:
    ours, theirs = socket.socketpair()
    yield ours, BOOT.Channel(theirs.fileno())
    ours.close()
    theirs.close()


def test_every_kind_is_one_byte_and_there_are_no_two_alike() -> None:
    kinds = [frames.INIT, frames.EVENT, frames.SNAPSHOT, frames.EXIT, frames.READY, frames.FAILED, frames.OK, frames.NO]

    assert all(len(kind) == 1 for kind in kinds)
    assert len(set(kinds)) == len(kinds)
    assert (frames.INIT[0], frames.EVENT[0]) == (BOOT._INIT, BOOT._EVENT)
    assert (BOOT._READY, BOOT._FAILED, BOOT._OK, BOOT._NO) == (frames.READY, frames.FAILED, frames.OK, frames.NO)


@settings(max_examples=50, deadline=None)
@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=8), cuts=st.lists(st.integers(1, 50), min_size=1))
def test_frames_arrive_whole_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = b"".join(frames.frame(frames.INIT, body) for body in bodies)
        at = 0
        for number in range(len(stream)):
            size = cuts[number % len(cuts)]
            ours.sendall(stream[at : at + size])
            at += size
        channel = BOOT.Channel(theirs.fileno())

        received = []
        for _ in bodies:
            kind, body = channel.receive()
            received.append((kind, bytes(body)))

    assert received == [(frames.INIT[0], body) for body in bodies]


@pytest.mark.parametrize("size", [0, 1, 65_530, 65_536, 3_000_000])
def test_an_event_of_any_size_is_split_into_meta_and_payload(ends: tuple[socket.socket, Any], size: int) -> None:
    ours, channel = ends
    payload = bytes(size)
    sender = threading.Thread(target=ours.sendall, args=(frames.event(b'{"m":1}', payload),))
    sender.start()

    kind, body = channel.receive()
    sender.join()

    head = struct.unpack(">I", body[:4])[0] + 4
    assert (kind, bytes(body[4:head]), bytes(body[head:])) == (frames.EVENT[0], b'{"m":1}', payload)


@pytest.mark.parametrize("size", [0, 5, 65_531, 65_536, 3_000_000])
def test_what_the_loop_sends_has_the_supervisors_form(ends: tuple[socket.socket, Any], size: int) -> None:
    ours, channel = ends
    body = b"x" * size
    sender = threading.Thread(target=channel.send, args=(frames.OK, body))
    sender.start()
    want = frames.frame(frames.OK, body)
    got = b""
    while len(got) < len(want):
        got += ours.recv(1 << 20)
    sender.join()

    assert got == want


def test_a_closed_channel_is_kind_zero(ends: tuple[socket.socket, Any]) -> None:
    ours, channel = ends
    ours.close()

    assert channel.receive()[0] == 0
