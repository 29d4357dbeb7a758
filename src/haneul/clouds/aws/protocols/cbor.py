"""CBOR (RFC 8949), as much of it as RPC v2 uses: a codec for plain values, with bounded depth."""

import math
import struct
from typing import Any

from haneul.base import limits

_BREAK = object()


class Timestamp(float):
    """Epoch seconds: written with tag 1, and read from it."""


class CborError(ValueError):
    """The bytes are not CBOR, or hold what RPC v2 does not use."""


def dumps(value: Any) -> bytes:
    """The shortest encoding of None, bool, int, float (always 64 bits), Timestamp, str, bytes, list and dict."""
    out: list[bytes] = []
    _write(value, out.append)
    return b"".join(out)


def loads(data: bytes) -> Any:
    """The one value that data holds. Raises CborError for anything else, including bytes behind it."""
    reader = _Reader(data)
    try:
        value = reader.value(0)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise CborError(str(error)) from error
    if value is _BREAK or reader.position != len(data):
        raise CborError("one value expected")
    return value


def _head(major: int, count: int) -> bytes:
    start = major << 5
    if count < 24:
        return bytes((start | count,))
    if count < 0x100:
        return bytes((start | 24, count))
    if count < 0x10000:
        return struct.pack(">BH", start | 25, count)
    if count < 0x100000000:
        return struct.pack(">BI", start | 26, count)
    return struct.pack(">BQ", start | 27, count)


def _write(value: Any, emit: Any) -> None:
    kind = type(value)
    if kind is str:
        raw = value.encode()
        emit(_head(3, len(raw)))
        emit(raw)
    elif kind is bool:
        emit(b"\xf5" if value else b"\xf4")
    elif kind is int:
        emit(_head(0, value) if value >= 0 else _head(1, -1 - value))
    elif kind is float:
        emit(struct.pack(">Bd", 0xFB, value))
    elif kind is Timestamp:
        emit(b"\xc1")
        emit(struct.pack(">Bd", 0xFB, value))
    elif kind is dict:
        emit(_head(5, len(value)))
        for key, item in value.items():
            _write(key, emit)
            _write(item, emit)
    elif kind is list:
        emit(_head(4, len(value)))
        for item in value:
            _write(item, emit)
    elif value is None:
        emit(b"\xf6")
    elif isinstance(value, bytes | bytearray | memoryview):
        emit(_head(2, len(value)))
        emit(bytes(value))
    else:
        raise TypeError(f"CBOR has no form for {kind.__name__} here")


class _Reader:
    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def value(self, depth: int) -> Any:
        if depth > limits.INPUT_MAX_DEPTH:
            raise CborError("nested too deeply")
        first = self.data[self.position]
        self.position += 1
        major, low = first >> 5, first & 31
        if major == 7:
            return self._simple(low)
        count = self._count(low)
        if major == 0 or major == 1:
            if count is None:
                raise CborError("an integer has no indefinite length")
            return count if major == 0 else -1 - count
        if major == 2:
            return self._string(2, count)
        if major == 3:
            return self._string(3, count).decode()
        if major == 4:
            return self._list(count, depth)
        if major == 5:
            return self._map(count, depth)
        return self._tagged(count, depth)

    def _count(self, low: int) -> int | None:
        if low < 24:
            return low
        if low == 31:
            return None
        if low > 27:
            raise CborError("reserved length")
        size = 1 << (low - 24)
        start = self.position
        if start + size > len(self.data):
            raise CborError("ends inside a length")
        self.position = start + size
        return int.from_bytes(self.data[start : start + size], "big")

    def _string(self, major: int, count: int | None) -> bytes:
        if count is not None:
            end = self.position + count
            if end > len(self.data):
                raise CborError("ends inside a string")
            raw = self.data[self.position : end]
            self.position = end
            return raw
        parts = []
        while self.data[self.position] != 0xFF:
            first = self.data[self.position]
            self.position += 1
            inner = self._count(first & 31)
            if first >> 5 != major or inner is None:
                raise CborError("a piece of another kind inside a string")
            parts.append(self._string(major, inner))
        self.position += 1
        return b"".join(parts)

    def _list(self, count: int | None, depth: int) -> list[Any]:
        items: list[Any] = []
        while count is None or len(items) < count:
            item = self.value(depth + 1)
            if item is _BREAK:
                if count is None:
                    return items
                raise CborError("unexpected break")
            items.append(item)
        return items

    def _map(self, count: int | None, depth: int) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        left = count
        while left is None or left > 0:
            key = self.value(depth + 1)
            if key is _BREAK and left is None:
                return entries
            item = self.value(depth + 1)
            if key is _BREAK or item is _BREAK:
                raise CborError("unexpected break")
            entries[key] = item
            left = None if left is None else left - 1
        return entries

    def _tagged(self, tag: int | None, depth: int) -> Any:
        value = self.value(depth + 1)
        if tag == 1:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise CborError("a timestamp must be a number")
            return Timestamp(value)
        if tag in (2, 3) and isinstance(value, bytes):
            number = int.from_bytes(value, "big")
            return number if tag == 2 else -1 - number
        return value

    def _simple(self, low: int) -> Any:
        if low in (20, 21):
            return low == 21
        if low in (22, 23):
            return None
        if low == 31:
            return _BREAK
        if low == 25:
            return self._float(">e", 2)
        if low == 26:
            return self._float(">f", 4)
        if low == 27:
            return self._float(">d", 8)
        raise CborError(f"simple value {low}")

    def _float(self, form: str, size: int) -> float:
        number: float = struct.unpack_from(form, self.data, self.position)[0]
        self.position += size
        return number if not math.isnan(number) else math.nan
