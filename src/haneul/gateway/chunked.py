"""Decoder of chunked bodies (RFC 9112, section 7.1), strict: what two parsers could read differently is refused."""

import re
from enum import Enum, auto
from typing import Final

from haneul.base.limits import CHUNK_LINE_MAX_BYTES, HEADERS_MAX_BYTES, HEADERS_MAX_COUNT

from .head import Malformed
from .http import Header

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?").fullmatch
_TRAILER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)").fullmatch


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    OVER = auto()


class ChunkedDecoder:
    """Turns the bytes on the wire into the bytes of the body; chunk extensions are read over.

    over       whether the last chunk and the trailers have been seen
    trailers   (lower-case name, value), complete once over
    """

    __slots__ = ("_at", "_left", "_line", "_trailer_bytes", "trailers")

    def __init__(self) -> None:
        self._at = _At.SIZE
        self._left = 0
        self._line = b""
        self._trailer_bytes = 0
        self.trailers: list[Header] = []

    @property
    def over(self) -> bool:
        return self._at is _At.OVER

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """(bytes of the body, bytes behind its end: the next request's). Raises Malformed."""
        pieces: list[bytes] = []
        position, size = 0, len(data)
        while position < size and self._at is not _At.OVER:
            if self._at is _At.DATA:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._at = _At.DATA_END
                continue
            end = data.find(b"\n", position)
            stop = size if end < 0 else end + 1
            self._line += data[position:stop]
            position = stop
            self._check_line(whole=end >= 0)
            if end >= 0:
                line, self._line = self._line[:-2], b""
                self._take_line(line)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), data[position:]

    def _check_line(self, *, whole: bool) -> None:
        line = self._line
        if self._at is _At.DATA_END and not b"\r\n".startswith(line):
            raise Malformed(400, "a chunk is longer than it said")
        if whole and not line.endswith(b"\r\n"):
            raise Malformed(400, "a line of a chunked body ends without CR")
        if len(line) > (HEADERS_MAX_BYTES if self._at is _At.TRAILERS else CHUNK_LINE_MAX_BYTES):
            raise Malformed(400, "a line of a chunked body is too long")

    def _take_line(self, line: bytes) -> None:
        if self._at is _At.DATA_END:
            self._at = _At.SIZE
        elif self._at is _At.SIZE:
            found = _SIZE(line)
            if found is None:
                raise Malformed(400, "a chunk size is not a hexadecimal number")
            self._left = int(found[1], 16)
            self._at = _At.DATA if self._left else _At.TRAILERS
        elif not line:
            self._at = _At.OVER
        else:
            self._take_trailer(line)

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        found = _TRAILER(line)
        if found is None:
            raise Malformed(400, "a trailer field is malformed")
        if self._trailer_bytes > HEADERS_MAX_BYTES or len(self.trailers) >= HEADERS_MAX_COUNT:
            raise Malformed(431, "the trailers are too large or too many")
        self.trailers.append((found[1].lower(), found[2].rstrip(b" \t")))
