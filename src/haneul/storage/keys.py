"""Keys whose byte order is the order of their parts, so that a range of keys is a range of names or times."""

import struct

_INT = struct.Struct(">Q")
_BIAS = 1 << 63

INT_MAX = _BIAS - (1 << 56) - 1
"""Greater integers would begin with 0xff, which behind a text's closing NUL would read as more of the text."""


def pack(*parts: str | int) -> bytes:
    """The key of these parts. Text sorts as UTF-8, integers (-2**63 to INT_MAX) as numbers; pack(a) is a prefix of pack(a, b)."""
    packed = b""
    for part in parts:
        packed += _text(part) if isinstance(part, str) else _int(part)
    return packed


def prefix(*parts: str | int, text: str) -> bytes:
    """What every key begins with whose next part is a text that begins with `text`."""
    return pack(*parts) + text.encode().replace(b"\0", b"\0\xff")


def after(start: bytes) -> bytes | None:
    """The first key behind all keys that begin with `start`; None when there is none (start is empty or all 0xff)."""
    kept = start.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None


def unpack(key: bytes, kinds: str) -> tuple[str | int, ...]:
    """The parts of a key again; kinds has a letter per part: "s" for text, "i" for an integer."""
    parts: list[str | int] = []
    at = 0
    for kind in kinds:
        if kind == "i":
            parts.append(_INT.unpack_from(key, at)[0] - _BIAS)
            at += 8
            continue
        end = key.index(b"\0", at)
        while key[end + 1 : end + 2] == b"\xff":
            end = key.index(b"\0", end + 2)
        parts.append(key[at:end].replace(b"\0\xff", b"\0").decode())
        at = end + 1
    return tuple(parts)


def _text(part: str) -> bytes:
    text = part.encode()
    return text + b"\0" if b"\0" not in text else text.replace(b"\0", b"\0\xff") + b"\0"


def _int(part: int) -> bytes:
    if part > INT_MAX:
        raise AssertionError(f"{part} is too great for a key; at most {INT_MAX}")
    return _INT.pack(part + _BIAS)
