"""Chunked bodies: read strictly, whatever the pieces in which they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haneul.base.limits import CHUNK_LINE_MAX_BYTES, HEADERS_MAX_BYTES, HEADERS_MAX_COUNT
from haneul.gateway.chunked import ChunkedDecoder
from haneul.gateway.head import Malformed

REFUSED = {
    "no number": b"x\r\n",
    "no size": b"\r\n",
    "a sign": b"+3\r\nabc\r\n",
    "a prefix": b"0x3\r\nabc\r\n",
    "an underscore": b"1_0\r\n",
    "a space before": b" 3\r\nabc\r\n",
    "a size beyond 60 bits": b"f" * 16 + b"\r\n",
    "a size line without CR": b"3\nabc\r\n",
    "NUL in an extension": b"3;\0\r\nabc\r\n",
    "CR in an extension": b"3;a\rb\r\nabc\r\n",
    "more than the size said": b"3\r\nabcd\r\n0\r\n\r\n",
    "no CR behind a chunk": b"3\r\nabc\n0\r\n\r\n",
    "no line end behind a chunk": b"3\r\nabc0\r\n\r\n",
    "an endless size line": b"3;" + b"a" * CHUNK_LINE_MAX_BYTES,
    "an endless trailer": b"0\r\nA: " + b"a" * HEADERS_MAX_BYTES,
    "too many trailers": b"0\r\n" + b"a: b\r\n" * (HEADERS_MAX_COUNT + 1),
    "a trailer without colon": b"0\r\nabc\r\n\r\n",
    "a trailer with a space before its colon": b"0\r\nA : b\r\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a trailer without CR": b"0\r\nA: b\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_bad_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        ChunkedDecoder().feed(data)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_bad_chunks_are_refused_byte_by_byte(data: bytes) -> None:
    decoder = ChunkedDecoder()

    with pytest.raises(Malformed):
        for position in range(len(data)):
            decoder.feed(data[position : position + 1])


def test_extensions_are_read_over_and_trailers_kept() -> None:
    decoder = ChunkedDecoder()

    body, rest = decoder.feed(b'3;a="b";c\r\nabc\r\n0A \r\n0123456789\r\n000\r\nX-Sum:  1 \r\nx-sum: 2\r\n\r\nGET /')

    assert (body, rest, decoder.over) == (b"abc0123456789", b"GET /", True)
    assert decoder.trailers == [(b"x-sum", b"1"), (b"x-sum", b"2")]


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=9))
def test_any_split_of_the_wire_gives_the_same_body(pieces: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nA: b\r\n\r\nrest"
    decoder = ChunkedDecoder()
    body = rest = b""
    position = turn = 0

    while position < len(wire):
        cut = cuts[turn % len(cuts)]
        if decoder.over:
            rest += wire[position : position + cut]
        else:
            piece, left = decoder.feed(wire[position : position + cut])
            body, rest = body + piece, rest + left
        position, turn = position + cut, turn + 1

    assert (body, rest, decoder.over) == (b"".join(pieces), b"rest", True)
    assert decoder.trailers == [(b"a", b"b")]


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_read_but_never_worse(garbage: bytes) -> None:
    try:
        ChunkedDecoder().feed(garbage)
    except Malformed as refused:
        assert refused.status in (400, 431)
