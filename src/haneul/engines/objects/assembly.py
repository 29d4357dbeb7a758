"""The checks and digests of an object that is put together from parts: pure functions, for a thread of their own."""

import functools
import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from haneul.base.errors import Invalid
from haneul.base.limits import PART_MIN_BYTES
from haneul.storage.checksums import digest_of

from .records import Part, Upload

# Reflected polynomials by bit width, as storage.checksums computes them.
_POLYNOMIALS = {
    "crc32": (0xEDB88320, 32),
    "crc32c": (0x82F63B78, 32),
    "crc64nvme": (0x9A6C9329AC4BC9B5, 64),
}


class Chosen(msgspec.Struct, frozen=True):
    """A part as the writer lists it when completing. digests: hexadecimal, by algorithm; may be empty."""

    number: int
    etag: str
    digests: Mapping[str, str] = {}


class Assembled(msgspec.Struct, frozen=True):
    """What the object made of the parts is: its entity tag, its checksum, its size and its parts in order."""

    etag: str
    digest: str
    size_bytes: int
    parts: tuple[Part, ...]


def assemble(upload: Upload, uploaded: Sequence[Part], chosen: Sequence[Chosen]) -> Assembled:
    """The object that the chosen parts make. Raises Invalid("part order"), ("part"), ("part size"), ("part digest")."""
    parts = _matched(upload, uploaded, chosen)
    hashes = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    if upload.composite:
        raw = b"".join(bytes.fromhex(part.digests[upload.algorithm]) for part in parts)
        digest = f"{digest_of(upload.algorithm, raw)}-{len(parts)}"
    else:
        digest = combine(upload.algorithm, [(part.digests[upload.algorithm], part.body.size_bytes) for part in parts])
    size = sum(part.body.size_bytes for part in parts)
    return Assembled(f"{hashes.hexdigest()}-{len(parts)}", digest, size, parts)


def combine(algorithm: str, pieces: Sequence[tuple[str, int]]) -> str:
    """The CRC (hexadecimal) of bodies one behind the other, out of each one's (CRC, size in bytes).

    A CRC is a remainder of polynomials over GF(2): putting n bytes behind a body multiplies it by x to the 8n.
    """
    polynomial, bits = _POLYNOMIALS[algorithm]
    shifts: dict[int, int] = {}
    whole = 0
    for position, (digest, size) in enumerate(pieces):
        crc = int(digest, 16)
        if position == 0:
            whole = crc
            continue
        if size not in shifts:
            shifts[size] = _power(8 * size, polynomial, bits)
        whole = _multiply(whole, shifts[size], polynomial, bits) ^ crc
    return f"{whole:0{bits // 4}x}"


def _matched(upload: Upload, uploaded: Sequence[Part], chosen: Sequence[Chosen]) -> tuple[Part, ...]:
    by_number = {part.number: part for part in uploaded}
    parts: list[Part] = []
    for choice in chosen:
        if parts and choice.number <= parts[-1].number:
            raise Invalid("part order", str(choice.number), "parts must be listed by rising number")
        part = by_number.get(choice.number)
        if part is None or part.etag != choice.etag:
            raise Invalid(
                "part", str(choice.number), "it was not uploaded, or its entity tag differs", etag=choice.etag
            )
        for algorithm, digest in choice.digests.items():
            if part.digests.get(algorithm) != digest:
                raise Invalid("part", str(choice.number), "its checksum differs", etag=choice.etag)
        if upload.composite and upload.asked and upload.algorithm not in choice.digests:
            raise Invalid("part digest", str(choice.number), "is missing", algorithm=upload.algorithm)
        parts.append(part)
    if not parts:
        raise Invalid("part list", "", "it names no part")
    for part in parts[:-1]:
        if part.body.size_bytes < PART_MIN_BYTES:
            raise Invalid(
                "part size",
                str(part.number),
                "only the last part may be small",
                etag=part.etag,
                size_bytes=part.body.size_bytes,
                size_min=PART_MIN_BYTES,
            )
    return tuple(parts)


@functools.lru_cache(maxsize=64)
def _power(exponent: int, polynomial: int, bits: int) -> int:
    """x to the exponent, modulo the polynomial, reflected: the highest bit is x to the 0."""
    result, square = 1 << (bits - 1), 1 << (bits - 2)
    while exponent:
        if exponent & 1:
            result = _multiply(result, square, polynomial, bits)
        square = _multiply(square, square, polynomial, bits)
        exponent >>= 1
    return result


def _multiply(a: int, b: int, polynomial: int, bits: int) -> int:
    product = 0
    for shift in range(bits - 1, -1, -1):
        if a >> shift & 1:
            product ^= b
        b = b >> 1 ^ polynomial if b & 1 else b >> 1
    return product
