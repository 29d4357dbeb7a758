"""The head of an answer: which headers frame its body, and the bytes that go out."""

import http
from typing import Final

from haneul.base.limits import JOIN_MAX_BYTES

from .http import FileSlice, Response

_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus if status >= 200
}
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


def render_whole(
    response: Response, body: bytes, to_head: bool, http10: bool, keep_alive: bool, date: bytes
) -> bytes | tuple[bytes, bytes]:
    """A whole answer whose body is there already, ready to be sent; (head, body) when they are better not joined.
    date is a whole Date header line. Raises BadResponse."""
    status, length = response.status, len(body)
    parts, given = _fields(response)
    bodiless = to_head or status == 204 or status == 304
    if given is not None:
        if status == 204:
            raise BadResponse("a 204 has no content-length")
        if length != given and not (bodiless and not length):
            raise BadResponse(f"content-length says {given}, the body has {length} bytes")
        length = given
        parts.append(b"content-length: %d\r\n" % given)
    elif not bodiless or (length and status != 204):
        parts.append(b"content-length: %d\r\n" % length)
    head = _close(parts, http10, keep_alive, date)
    if bodiless or not body:
        return head
    return head + body if len(body) <= JOIN_MAX_BYTES else (head, body)


def render(response: Response, to_head: bool, http10: bool, keep_alive: bool, date: bytes) -> Head:
    """The head of an answer whose body is still to come (RFC 9112, section 6). Raises BadResponse.

    An async iterable without a content-length goes out chunked; to an HTTP/1.0 client, or with `close_after`, it ends
    with the connection, so keep_alive must be False then: see ends_with_connection().
    """
    status, body = response.status, response.body
    parts, given = _fields(response)
    length = body.length if isinstance(body, FileSlice) else None
    chunked = False
    if given is not None:
        if status == 204 or length not in (None, given):
            raise BadResponse(f"content-length says {given}")
        length = given
    elif length is None:
        chunked = not ends_with_connection(response, http10=http10)
    if length is not None and status != 204:
        parts.append(b"content-length: %d\r\n" % length)
    elif chunked and status != 204 and status != 304:
        parts.append(b"transfer-encoding: chunked\r\n")
    return Head(_close(parts, http10, keep_alive, date), to_head or status == 204 or status == 304, length, chunked)


def ends_with_connection(response: Response, *, http10: bool) -> bool:
    """Whether only the end of the connection can mark the end of this body."""
    body = response.body
    if type(body) is bytes or isinstance(body, FileSlice) or not (http10 or response.close_after):
        return False
    return not any(name.lower() == b"content-length" for name, _ in response.headers)


def refusal(status: int, reason: str, date: bytes) -> bytes:
    """A whole plain answer after which the connection ends, for requests that no face has seen."""
    body = reason.encode() + b"\n"
    head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
    return _LINES[status] + head % (len(body), date) + body


def _fields(response: Response) -> tuple[list[bytes], int | None]:
    """(status line and header lines, the content-length among them), without headers that are the server's own."""
    status = response.status
    line = _LINES.get(status)
    if line is None:
        if not 200 <= status <= 999:
            raise BadResponse(f"status {status} is no final answer")
        line = b"HTTP/1.1 %d \r\n" % status
    parts = [line]
    given: int | None = None
    for name, value in response.headers:
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


def _close(parts: list[bytes], http10: bool, keep_alive: bool, date: bytes) -> bytes:
    """The finished head. Each part is one line; more line breaks than parts would be an answer split in two."""
    parts.append(date)
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    elif http10:
        parts.append(b"connection: keep-alive\r\n")
    lines = len(parts)
    parts.append(b"\r\n")
    head = b"".join(parts)
    if head.count(b"\n") != lines + 1 or head.count(b"\r") != lines + 1 or b"\0" in head:
        raise BadResponse("a header holds a line break or NUL")
    return head
