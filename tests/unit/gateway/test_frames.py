"""WebSocket frames: whole messages out of any pieces, and a close code for every broken rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haneul.gateway.frames import Broken, FrameDecoder, Opcode, decode_close, encode, encode_close, unmask

MASK = b"\x12\x34\x56\x78"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, first: int = 0) -> bytes:
    """A frame as a client sends it; first: further bits of the first byte."""
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0) | first])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + MASK + unmask(payload, MASK)


BROKEN = {
    "reserved bit": (frame(1, b"a", first=0x40), 1002),
    "unknown opcode": (frame(3, b"a"), 1002),
    "unknown control opcode": (frame(11), 1002),
    "no mask": (b"\x81\x01a", 1002),
    "fragmented ping": (frame(9, b"a", final=False), 1002),
    "long ping": (frame(9, b"a" * 126), 1002),
    "continuation of nothing": (frame(0, b"a"), 1002),
    "beginning inside a message": (frame(1, b"a", final=False) + frame(1, b"b"), 1002),
    "length not in its shortest form": (b"\x81\xfe\x00\x7d" + MASK, 1002),
    "64-bit length not in its shortest form": (b"\x81\xff" + (65535).to_bytes(8, "big") + MASK, 1002),
    "too large": (frame(2, b"a" * 1001), 1009),
    "too large, known from the head": (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1009),
    "too large in pieces": (frame(2, b"a" * 600, final=False) + frame(0, b"a" * 401), 1009),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_has_its_code(data: bytes, code: int) -> None:
    with pytest.raises(Broken) as broken:
        FrameDecoder(limit=1000).feed(data)

    assert broken.value.code == code


def test_control_frames_come_between_the_parts_of_a_message() -> None:
    data = frame(1, b"Hel", final=False) + frame(9, b"ping") + frame(0, b"", final=False) + frame(0, b"lo")

    assert FrameDecoder().feed(data) == [(Opcode.PING, b"ping"), (Opcode.TEXT, b"Hello")]


def test_nothing_is_read_behind_a_close() -> None:
    assert FrameDecoder().feed(frame(8) + frame(1, b"a")) == [(Opcode.CLOSE, b"")]


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300) | st.just(b"x" * 70_000)), max_size=4),
    st.integers(1, 5000),
)
def test_any_split_gives_the_same_messages(messages: list[tuple[int, bytes]], cut: int) -> None:
    data = b"".join(frame(opcode, payload) for opcode, payload in messages)
    decoder = FrameDecoder()
    cut = max(cut, len(data) // 1000)  # byte by byte only where that is soon done

    found = [one for at in range(0, len(data), cut) for one in decoder.feed(data[at : at + cut])]

    assert found == messages


@given(st.binary(max_size=200))
def test_garbage_is_broken_or_read_but_never_worse(garbage: bytes) -> None:
    try:
        for opcode, payload in FrameDecoder().feed(garbage):
            if opcode is Opcode.CLOSE:
                decode_close(payload)
    except Broken as broken:
        assert broken.code in (1002, 1007, 1009)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_of_a_server_have_no_mask_and_the_shortest_length(size: int) -> None:
    data = encode(Opcode.BINARY, b"x" * size)

    assert data[0] == 0x82
    assert len(data) - size == (2 if size < 126 else 4 if size < 65536 else 10)
    assert not data[1] & 0x80


def test_a_close_reason_is_cut_between_characters() -> None:
    data = encode_close(1011, "é" * 100)

    assert len(data) <= 2 + 125
    assert data[4:].decode() == "é" * 61


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xe7", b"\x03\xed", b"\x00\x00", b"\x0b\xb7", b"\x13\x88"])
def test_a_close_with_a_code_that_may_not_be_sent_is_broken(payload: bytes) -> None:
    with pytest.raises(Broken):
        decode_close(payload)


def test_a_close_with_a_reason_that_is_not_utf_8_is_broken() -> None:
    with pytest.raises(Broken) as broken:
        decode_close(b"\x03\xe8\xff")

    assert broken.value.code == 1007
