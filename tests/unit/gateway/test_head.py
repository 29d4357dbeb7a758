"""Heads that are taken, and heads that are refused: each with the status that says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haneul.base.limits import HEADERS_MAX_BYTES, HEADERS_MAX_COUNT, REQUEST_LINE_MAX_BYTES
from haneul.gateway.head import HeadParser, Malformed

GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
HOST = b"Host: a\r\n"

REFUSED = {
    "no host": (GET + b"\r\n", 400),
    "two hosts": (GET + HOST + b"Host: b\r\n\r\n", 400),
    "the same host twice": (GET + HOST + HOST + b"\r\n", 400),
    "a path in the host": (GET + b"Host: a/b\r\n\r\n", 400),
    "a user in the host": (GET + b"Host: u@a\r\n\r\n", 400),
    "a space in the host": (GET + b"Host: a b\r\n\r\n", 400),
    "two hosts in one": (GET + b"Host: a, b@c\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
    "the same length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
    "a list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\n", 400),
    "a signed length": (POST + b"Content-Length: +3\r\n\r\n", 400),
    "a negative length": (POST + b"Content-Length: -3\r\n\r\n", 400),
    "a hexadecimal length": (POST + b"Content-Length: 0x3\r\n\r\n", 400),
    "an empty length": (POST + b"Content-Length:\r\n\r\n", 400),
    "a length with a space inside": (POST + b"Content-Length: 1 2\r\n\r\n", 400),
    "a length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "length and chunked": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "chunked and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
    "chunked not last": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    "chunked in two headers": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "chunked hidden in another word": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    "chunked behind a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    "an empty coding": (POST + b"Transfer-Encoding:\r\n\r\n", 400),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "an unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "line ends without CR": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "a header's end without CR": (GET + b"Host: a\nX: b\r\n\r\n", 400),
    "CR alone": (GET + HOST + b"X: a\rb\r\n\r\n", 400),
    "a space before the colon": (GET + b"Host : a\r\n\r\n", 400),
    "a folded header": (GET + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "a space before the first header": (GET + b" Host: a\r\n\r\n", 400),
    "NUL in a value": (GET + HOST + b"X: a\0b\r\n\r\n", 400),
    "a control character in a value": (GET + HOST + b"X: a\x01b\r\n\r\n", 400),
    "a name that is no token": (GET + HOST + b"f(o: 1\r\n\r\n", 400),
    "a name that is not ASCII": (GET + HOST + "é: 1\r\n\r\n".encode(), 400),
    "no name": (GET + HOST + b": 1\r\n\r\n", 400),
    "no colon": (GET + HOST + b"foo\r\n\r\n", 400),
    "a target that is not ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target with a space": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target with a tab": (b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target with a fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target without slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a foreign scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an absolute target without host": (b"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a user in an absolute target": (b"GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "authority form": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "asterisk for GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two spaces in the request line": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space behind the version": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "HTTP/2 as text": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "lower case version": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "another protocol": (b"OPTIONS * RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    "an unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "a lower case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "a method that is no token": (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "an unknown expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\n", 417),
    "too long a request line": (b"GET /" + b"a" * REQUEST_LINE_MAX_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "too long headers": (GET + HOST + b"X: " + b"a" * HEADERS_MAX_BYTES + b"\r\n\r\n", 431),
    "too many headers": (GET + HOST + b"".join(b"X-%d: a\r\n" % i for i in range(HEADERS_MAX_COUNT)) + b"\r\n", 431),
}


@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=REFUSED)
def test_a_malformed_head_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(Malformed) as refused:
        HeadParser().parse(head)

    assert refused.value.status == status
    assert refused.value.reason


def test_names_come_in_lower_case_and_values_as_they_were_sent() -> None:
    parser = HeadParser()

    parser.parse(GET + b"HOST: A.b\r\nX-Meta:   \xdcnicode \t \r\nEmpty:\r\n\r\n")

    assert parser.headers == [(b"host", b"A.b"), (b"x-meta", b"\xdcnicode"), (b"empty", b"")]


def test_a_header_that_comes_twice_is_kept_twice() -> None:
    parser = HeadParser()

    parser.parse(GET + HOST + b"A: 1\r\nB: 2\r\nA: 3\r\n\r\n")

    assert parser.headers[1:] == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert parser.index is None


@pytest.mark.parametrize(
    ("target", "taken"),
    [
        (b"http://b.example:80/x?y=%2F", b"/x?y=%2F"),
        (b"http://b.example:80?y", b"/?y"),
        (b"HTTPS://b.example:80", b"/"),
    ],
)
def test_an_absolute_target_names_the_host(target: bytes, taken: bytes) -> None:
    parser = HeadParser()

    parser.parse(b"GET %b HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n" % target)

    assert parser.target == taken
    assert [value for name, value in parser.headers if name == b"host"] == [b"b.example:80"]
    assert parser.index == {b"x": b"1", b"host": b"b.example:80"}


def test_the_target_is_left_as_it_was_sent() -> None:
    parser = HeadParser()

    parser.parse(b"GET //a/../%2e%2F/b%20c?d=%zz&&=+ HTTP/1.1\r\nHost: a\r\n\r\n")

    assert parser.target == b"//a/../%2e%2F/b%20c?d=%zz&&=+"


def test_an_asterisk_is_a_target_for_options() -> None:
    parser = HeadParser()

    parser.parse(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")

    assert parser.target == b"*"


@pytest.mark.parametrize("host", [b"a", b"a.b:1", b"[::1]:80", b"127.0.0.1", b"bucket_1.s3.localhost:4566", b""])
def test_a_proper_host_is_taken(host: bytes) -> None:
    HeadParser().parse(GET + b"Host: %b\r\n\r\n" % host)


@pytest.mark.parametrize(
    ("line", "option", "lives"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: TE, Close\r\n", False),
        (b"1.1", b"Connection: TE\r\nConnection: close\r\n", False),
        (b"1.1", b"Connection: closed\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        (b"1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_the_client_says_whether_the_connection_lives_on(line: bytes, option: bytes, lives: bool) -> None:
    parser = HeadParser()

    parser.parse(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n" % (line, option))

    assert parser.keep_alive is lives
    assert parser.http10 is (line == b"1.0")


@pytest.mark.parametrize(
    ("framing", "length"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"content-length:\t007 \r\n", 7),
        (b"Transfer-Encoding: Chunked\r\n", None),
    ],
)
def test_the_length_of_the_body_is_known_from_the_head(framing: bytes, length: int | None) -> None:
    parser = HeadParser()

    parser.parse(POST + framing + b"\r\n")

    assert parser.length == length


def test_other_upgrades_are_ignored() -> None:
    parser = HeadParser()
    for _ in range(2):
        parser.parse(POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n")

        assert parser.length == 3


def test_one_parser_takes_heads_of_all_kinds_in_turn() -> None:
    parser = HeadParser()
    for framing, length in ((b"", 0), (b"Content-Length: 3\r\n", 3), (b"Transfer-Encoding: chunked\r\n", None)) * 2:
        parser.parse(POST + framing + b"\r\n")

        assert (parser.method, parser.length) == ("POST", length)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_parsed_but_never_worse(garbage: bytes) -> None:
    for head in (garbage + b"\r\n\r\n", GET + HOST + garbage + b"\r\n\r\n", b"GET " + garbage + b" HTTP/1.1\r\n\r\n"):
        try:
            HeadParser().parse(head)
        except Malformed as refused:
            assert 400 <= refused.status <= 505
