"""Checksums of bodies by algorithm name; CRC32C and CRC64NVME natively when awscrt is installed, else in Python."""

import functools
import hashlib
import importlib
import importlib.util
import struct
import zlib
from collections.abc import Callable

from .blobs import Digest

ALGORITHMS = ("md5", "sha1", "sha256", "crc32", "crc32c", "crc64nvme")

# Reflected polynomials. CRC32C: RFC 3720 appendix B.4; CRC64NVME: NVM Express base specification 2.0, section 5.2.1.3.4.
_POLYNOMIALS = {"crc32c": (0x82F63B78, 32), "crc64nvme": (0x9A6C9329AC4BC9B5, 64)}

_WORD = struct.Struct("<Q")


def new(name: str) -> Digest:
    """A running digest: update(data), then hexdigest(). The name is one of ALGORITHMS; anything else is an assert."""
    if name in ("md5", "sha1", "sha256"):
        return hashlib.new(name, usedforsecurity=False)
    if name == "crc32":
        return Crc(zlib.crc32, 8)
    if name not in _POLYNOMIALS:
        raise AssertionError(f"checksum {name!r} is not one of {', '.join(ALGORITHMS)}")
    return Crc(_native(name) or functools.partial(crc_in_python, name), _POLYNOMIALS[name][1] // 4)


def digest_of(name: str, data: bytes) -> str:
    """The digest of data that is at hand, hexadecimal."""
    digest = new(name)
    digest.update(data)
    return digest.hexdigest()


class Crc:
    """A cyclic redundancy check with the face of a hashlib object. step(data, crc so far) -> crc."""

    def __init__(self, step: Callable[[bytes, int], int], hex_digits: int) -> None:
        self._step = step
        self._hex_digits = hex_digits
        self._crc = 0

    def update(self, data: bytes, /) -> None:
        self._crc = self._step(data, self._crc)

    def hexdigest(self) -> str:
        return f"{self._crc:0{self._hex_digits}x}"


def crc_in_python(name: str, data: bytes, crc: int = 0) -> int:
    """Slicing by 8: eight table look-ups for eight bytes. About 10 MB/s, for machines without awscrt."""
    _, bits = _POLYNOMIALS[name]
    mask = (1 << bits) - 1
    t0, t1, t2, t3, t4, t5, t6, t7 = _tables(name)
    crc ^= mask
    whole = len(data) - len(data) % 8
    for (word,) in _WORD.iter_unpack(memoryview(data)[:whole]):
        word ^= crc
        crc = (
            t7[word & 0xFF]
            ^ t6[word >> 8 & 0xFF]
            ^ t5[word >> 16 & 0xFF]
            ^ t4[word >> 24 & 0xFF]
            ^ t3[word >> 32 & 0xFF]
            ^ t2[word >> 40 & 0xFF]
            ^ t1[word >> 48 & 0xFF]
            ^ t0[word >> 56]
        )
    for byte in data[whole:]:
        crc = t0[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ mask


@functools.cache
def _native(name: str) -> Callable[[bytes, int], int] | None:
    """awscrt takes 90 ms and 7 MiB to import, so it is looked for only when one of its checksums is asked for."""
    if importlib.util.find_spec("awscrt") is None:
        return None
    found: Callable[[bytes, int], int] | None = getattr(importlib.import_module("awscrt.checksums"), name, None)
    return found


@functools.cache
def _tables(name: str) -> tuple[tuple[int, ...], ...]:
    polynomial, _ = _POLYNOMIALS[name]
    tables = [tuple(_shifted(byte, polynomial) for byte in range(256))]
    for _ in range(7):
        tables.append(tuple(tables[0][entry & 0xFF] ^ entry >> 8 for entry in tables[-1]))
    return tuple(tables)


def _shifted(entry: int, polynomial: int) -> int:
    for _ in range(8):
        entry = entry >> 1 ^ polynomial if entry & 1 else entry >> 1
    return entry
