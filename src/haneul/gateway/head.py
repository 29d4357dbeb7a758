"""The head of a request: request line and headers, parsed by httptools, then held to the rules of RFC 9112."""

import re
from typing import Final

import httptools

from haneul.base.limits import HEADERS_MAX_BYTES, HEADERS_MAX_COUNT, REQUEST_LINE_MAX_BYTES

from .http import Header

END: Final = b"\r\n\r\n"
HEAD_MAX_BYTES: Final = REQUEST_LINE_MAX_BYTES + HEADERS_MAX_BYTES
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.vV]+\])(?::[0-9]*)?").fullmatch
_METHODS: Final = {name.encode(): name for name in ("GET", "PUT", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS")}
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class Malformed(Exception):
    """A request that is refused before any face sees it, with this status. The connection ends after it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class HeadParser:
    """Parses one head after the other; the fields below hold what the last parse() found.

    It is fed whole heads only (up to and including the empty line), and never a body: llhttp checks the grammar, while
    the connection knows where each head ends and takes the body itself. That costs a new httptools parser (0.3 µs)
    after each request with a body, and saves passing bodies through callbacks.

    method, target, headers   as in Request
    index                     name → value when no name comes twice, else None
    length                    bytes of body to come; 0 for none; None for a chunked one
    keep_alive                whether the client wants the connection to live on
    http10                    whether this is HTTP/1.0
    expects                   whether the client waits for 100 Continue
    """

    __slots__ = (
        "_host",
        "_parser",
        "expects",
        "headers",
        "http10",
        "index",
        "keep_alive",
        "length",
        "method",
        "target",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._host: bytes | None = None
        self.method = ""
        self.target = b""
        self.headers: list[Header] = []
        self.index: dict[bytes, bytes] | None = None
        self.length: int | None = 0
        self.keep_alive = True
        self.http10 = False
        self.expects = False

    def on_url(self, url: bytes) -> None:
        self.target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip()))

    def parse(self, head: bytes) -> None:
        """Take the head apart. Raises Malformed with 400, 414, 417, 431, 501 or 505; then nothing more can be parsed."""
        if len(head) > REQUEST_LINE_MAX_BYTES:
            check_size(head)
        headers = self.headers = []
        parser = self._parser
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._parser = httptools.HttpRequestParser(self)
        except httptools.HttpParserError as error:
            raise _explain(head, error) from None
        method: bytes = parser.get_method()
        target = self.target
        if head.startswith(b"%b %b HTTP/1.1\r\n" % (method, target)):
            self.http10 = False
        elif head.startswith(b"%b %b HTTP/1.0\r\n" % (method, target)):
            self.http10 = True
        else:
            raise _wrong_line(head[: head.find(b"\r\n")])
        self.method = _METHODS.get(method) or method.decode("ascii")
        index = dict(headers)
        self.index = index if len(index) == len(headers) else None
        if len(headers) > HEADERS_MAX_COUNT or self.index is None:
            _check_counts(headers)
        host = index.get(b"host")
        if host is None or host != self._host:
            self._check_host(host)
        if target[:1] != b"/" or method == b"CONNECT" or b"#" in target:
            self._check_target(method, target)
        self._check_framing(index)
        if self.length != 0:
            self._parser = httptools.HttpRequestParser(self)

    def _check_host(self, host: bytes | None) -> None:
        if host is None:
            if not self.http10:
                raise Malformed(400, "the Host header is missing")
        elif _HOST(host) is None:
            raise Malformed(400, "the Host header is not a host name")
        self._host = host  # the next request of this connection most likely has the same

    def _check_target(self, method: bytes, target: bytes) -> None:
        if method == b"CONNECT":
            raise Malformed(501, "this is not a proxy")
        if b"#" in target:
            raise Malformed(400, "the request target has a fragment")
        if target != b"*" or method != b"OPTIONS":
            self._take_absolute(target)

    def _take_absolute(self, target: bytes) -> None:
        """http://host/path: the host given there stands in place of the Host header (RFC 9112, 3.2.2)."""
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise Malformed(400, "the request target is neither a path nor an http URL")
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        host, path = rest[:end], rest[end:]
        if not host or _HOST(host) is None:
            raise Malformed(400, "the request target has no proper host")
        self.target = path if path[:1] == b"/" else b"/" + path
        self.headers = [pair for pair in self.headers if pair[0] != b"host"]
        self.headers.append((b"host", host))
        if self.index is not None:
            self.index[b"host"] = host

    def _check_framing(self, index: dict[bytes, bytes]) -> None:
        """How long the body is. llhttp has refused both lengths together, and lengths that are not plain digits."""
        coding = index.get(b"transfer-encoding")
        if coding is not None:
            if self.http10:
                raise Malformed(400, "HTTP/1.0 has no Transfer-Encoding")
            if b"content-length" in index:
                raise Malformed(400, "Content-Length and Transfer-Encoding exclude each other")
            if coding.lower() != b"chunked":
                raise Malformed(501, "the only Transfer-Encoding known here is chunked")
            self.length = None
        else:
            length = index.get(b"content-length")
            if length is not None and not length.isdigit():
                raise Malformed(400, "Content-Length is not a number")
            self.length = 0 if length is None else int(length)
        connection = index.get(b"connection")
        self.keep_alive = not self.http10 if connection is None else _keeps(self.headers, self.http10)
        expect = index.get(b"expect")
        self.expects = False
        if expect is not None and not self.http10:
            if expect.lower() != b"100-continue":
                raise Malformed(417, "the only expectation known here is 100-continue")
            self.expects = self.length != 0


def check_size(head: bytes | bytearray) -> None:
    """Raises Malformed when this beginning of a head is over a limit already, or cannot become one."""
    line = head.find(b"\r\n", 0, REQUEST_LINE_MAX_BYTES + 2)
    if line < 0 and len(head) > REQUEST_LINE_MAX_BYTES:
        raise Malformed(414, f"the request line is over {REQUEST_LINE_MAX_BYTES} bytes")
    if len(head) - max(line, 0) > HEADERS_MAX_BYTES:
        raise Malformed(431, f"the headers are over {HEADERS_MAX_BYTES} bytes")


def check_beginning(head: bytes | bytearray) -> None:
    """The same for a head that is not whole yet; line ends without CR would otherwise wait for the time-out."""
    check_size(head)
    if head.startswith(b"PRI "):
        raise Malformed(505, "this server speaks HTTP/1.1, not HTTP/2 with prior knowledge")
    if head.count(b"\n") != head.count(b"\r\n"):
        raise Malformed(400, "a line ends without CR")


def _check_counts(headers: list[Header]) -> None:
    if len(headers) > HEADERS_MAX_COUNT:
        raise Malformed(431, f"there are more than {HEADERS_MAX_COUNT} headers")
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise Malformed(400, f"{name.decode()} comes more than once")


def _keeps(headers: list[Header], http10: bool) -> bool:
    options = {
        option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")
    }
    return b"close" not in options and (not http10 or b"keep-alive" in options)


def _wrong_line(line: bytes) -> Malformed:
    _, separator, version = line.rpartition(b" ")
    if separator and re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version) and version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return Malformed(505, "this server speaks HTTP/1.1 and HTTP/1.0")
    return Malformed(400, "the request line is not `METHOD target HTTP/1.1`")


def _explain(head: bytes, error: Exception) -> Malformed:
    """What to answer when llhttp refuses a head."""
    line = head[: head.find(b"\r\n")]
    method, _, rest = line.partition(b" ")
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD(method) and rest.endswith(b" HTTP/1.1"):
        return Malformed(501, "this method is not known")
    if (wrong := _wrong_line(line)).status == 505:
        return wrong
    return Malformed(400, str(error) or "the request cannot be parsed")
