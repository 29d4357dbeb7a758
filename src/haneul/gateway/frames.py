"""WebSocket frames (RFC 6455, section 5): bytes to messages and back. Pure: no socket, no clock."""

from enum import IntEnum
from typing import Final

from haneul.base.limits import WEBSOCKET_MESSAGE_MAX_BYTES

CONTROL_MAX_BYTES: Final = 125


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_KNOWN: Final = frozenset(Opcode)
_MAY_CLOSE_WITH: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


class Broken(Exception):
    """The other side broke the protocol; code is what the close frame has to say."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameDecoder:
    """Takes bytes as they come and gives whole messages and control frames. After Broken it must not be fed again."""

    __slots__ = ("_buffer", "_limit", "_message", "_opcode")

    def __init__(self, limit: int = WEBSOCKET_MESSAGE_MAX_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode: Opcode | None = None

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """(opcode, payload) of each message and control frame that is whole now. Raises Broken."""
        self._buffer += data
        found: list[tuple[Opcode, bytes]] = []
        position = 0
        while (frame := self._frame(position)) is not None:
            position, final, opcode, payload = frame
            if opcode >= Opcode.CLOSE:
                found.append((opcode, payload))
                if opcode is Opcode.CLOSE:
                    break
            elif final and self._opcode is None:
                found.append((opcode, payload))
            else:
                self._message += payload
                self._opcode = opcode if self._opcode is None else self._opcode
                if final:
                    found.append((self._opcode, bytes(self._message)))
                    self._message.clear()
                    self._opcode = None
        del self._buffer[:position]
        return found

    def _frame(self, start: int) -> tuple[int, bool, Opcode, bytes] | None:
        """(end, final, opcode, payload) of the frame at start, or None while it is not whole."""
        buffer = self._buffer
        if len(buffer) - start < 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        final, opcode = bool(first & 0x80), first & 0x0F
        self._check(first, second)
        size, at = second & 0x7F, start + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) - at < width:
                return None
            size = int.from_bytes(buffer[at : at + width], "big")
            at += width
            if size < (126 if width == 2 else 1 << 16):
                raise Broken(1002, "a length is not in its shortest form")
        if opcode < Opcode.CLOSE and len(self._message) + size > self._limit:
            raise Broken(1009, f"a message is over {self._limit} bytes")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        return end, final, Opcode(opcode), unmask(bytes(buffer[at + 4 : end]), bytes(buffer[at : at + 4]))

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise Broken(1002, "a reserved bit is set: no extension was agreed")
        if opcode not in _KNOWN:
            raise Broken(1002, f"opcode {opcode} is not known")
        if not second & 0x80:
            raise Broken(1002, "a frame from a client is not masked")
        if opcode >= Opcode.CLOSE:
            if not first & 0x80 or second & 0x7F > CONTROL_MAX_BYTES:
                raise Broken(1002, "a control frame is fragmented or too long")
        elif (opcode == Opcode.CONTINUATION) != (self._opcode is not None):
            raise Broken(1002, "a continuation without a beginning, or a beginning inside a message")


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated 4-byte mask; applying it twice gives the payload back. One big XOR beats a loop by far."""
    size = len(payload)
    if not size:
        return payload
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def encode(opcode: Opcode, payload: bytes) -> bytes:
    """One whole frame as a server sends it, unmasked."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut, between characters, to what a control frame can hold."""
    text = reason.encode()[: CONTROL_MAX_BYTES - 2].decode(errors="ignore").encode()
    return encode(Opcode.CLOSE, code.to_bytes(2, "big") + text)


def decode_close(payload: bytes) -> int:
    """The code of a close frame, 1005 when it has none. Raises Broken."""
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _MAY_CLOSE_WITH or 3000 <= code <= 4999):
        raise Broken(1002, "a close frame has no proper code")
    decode_text(payload[2:])
    return code


def decode_text(payload: bytes) -> str:
    """The text of a message. Raises Broken (1007) when it is not UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Broken(1007, "a text is not UTF-8") from None
