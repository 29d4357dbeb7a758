"""Identifiers in neutral forms; faces dress them as their cloud does."""

from functools import lru_cache

from .env import Env

_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_BYTES = 256


def uuid(env: Env) -> str:
    """A random UUID, version 4, in its usual text form (36 characters)."""
    raw = bytearray(env.token(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def hex_id(env: Env, size_bytes: int) -> str:
    """Random lower-case hexadecimal, two characters per byte."""
    return env.token(size_bytes).hex()


def letters(env: Env, count: int, alphabet: str = _ALPHANUMERIC) -> str:
    """Unguessable characters out of alphabet (slightly uneven when its length does not divide 256: never for keys)."""
    return env.token(count).translate(_table(alphabet)).decode()


@lru_cache(maxsize=16)
def _table(alphabet: str) -> bytes:
    """What each byte becomes."""
    return bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(_BYTES))
