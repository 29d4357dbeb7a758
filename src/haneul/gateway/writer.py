"""The head of an answer: which headers frame its body, and the bytes that go out."""

import http
from collections.abc import Sequence
from typing import Final

from .http import FileSlice, Header, Response

_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}
# Names that the server writes itself or must look at, by length first: most headers cost one lookup of a small number.
_OWN_LENGTHS: Final = frozenset(
    map(len, (b"date", b"connection", b"keep-alive", b"content-length", b"transfer-encoding"))
)
_DROPPED: Final = (b"date", b"connection", b"keep-alive", b"transfer-encoding")


class BadResponse(Exception):
    """A face's answer that cannot be sent: a mistake in our own program."""


class Head:
    """An answer's head, ready to be sent.

    data      the bytes up to and including the empty line
    bodiless  nothing may follow: HEAD, 204, 304
    length    bytes of body that will follow, or None when it is chunked or ends with the connection
    chunked   whether the body is sent in chunks
    """

    __slots__ = ("bodiless", "chunked", "data", "length")

    def __init__(self, data: bytes, bodiless: bool, length: int | None, chunked: bool) -> None:
        self.data = data
        self.bodiless = bodiless
        self.length = length
        self.chunked = chunked


def render(response: Response, *, to_head: bool, http10: bool, keep_alive: bool, date: bytes) -> Head:
    """Frame an answer (RFC 9112, section 6). date is a whole Date header line. Raises BadResponse.

    An async iterable without a content-length goes out chunked; to an HTTP/1.0 client, or with `close_after`, it ends
    with the connection, so keep_alive must be False then: see ends_with_connection().
    """
    status, body = response.status, response.body
    parts, given = _fields(response.headers)
    length: int | None
    if isinstance(body, bytes):
        length = len(body)
    else:
        length = body.length if isinstance(body, FileSlice) else None
    bodiless = to_head or status == 204 or status == 304
    chunked = False
    if given is not None:
        if status == 204:
            raise BadResponse("a 204 has no content-length")
        if length is not None and length != given and not (bodiless and length == 0):
            raise BadResponse(f"content-length says {given}, the body has {length} bytes")
        length = given
        parts.append(b"content-length: %d\r\n" % given)
    elif length is None:
        chunked = not ends_with_connection(response, http10=http10)
        if chunked and status != 204 and status != 304:
            parts.append(b"transfer-encoding: chunked\r\n")
    elif status != 204 and not (bodiless and length == 0):
        parts.append(b"content-length: %d\r\n" % length)
    parts.append(date)
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    elif http10:
        parts.append(b"connection: keep-alive\r\n")
    block = b"".join(parts)
    if block.count(b"\n") != len(parts) or block.count(b"\r") != len(parts) or b"\0" in block:
        raise BadResponse("a header holds a line break or NUL")
    line = _LINES.get(status)
    if line is None:
        line = b"HTTP/1.1 %d \r\n" % status
    if not 200 <= status <= 999:
        raise BadResponse(f"status {status} is no final answer")
    return Head(line + block + b"\r\n", bodiless, length, chunked)


def ends_with_connection(response: Response, *, http10: bool) -> bool:
    """Whether only the end of the connection can mark the end of this body."""
    body = response.body
    if isinstance(body, bytes | FileSlice) or not (http10 or response.close_after):
        return False
    return not any(name.lower() == b"content-length" for name, _ in response.headers)


def refusal(status: int, reason: str, date: bytes) -> bytes:
    """A whole plain answer after which the connection ends, for requests that no face has seen."""
    body = reason.encode() + b"\n"
    head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
    return _LINES[status] + head % (len(body), date) + body


def _fields(headers: Sequence[Header]) -> tuple[list[bytes], int | None]:
    """(header lines, the content-length among them), without those that are the server's own."""
    parts: list[bytes] = []
    given: int | None = None
    for name, value in headers:
        if len(name) in _OWN_LENGTHS:
            lower = name.lower()
            if lower in _DROPPED:
                continue
            if lower == b"content-length":
                if given is not None or not value.isdigit():
                    raise BadResponse(f"content-length {value!r} is not one number")
                given = int(value)
                continue
        parts.append(b"%b: %b\r\n" % (name, value))
    return parts, given
