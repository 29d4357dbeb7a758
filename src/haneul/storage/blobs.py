"""Blobs: big immutable bodies under names of their own; a Store row makes one visible, and only then does it exist."""

from collections.abc import AsyncIterable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class Blob(msgspec.Struct, frozen=True):
    """A body that is durable. digests: hexadecimal, by algorithm name, for those that were asked for."""

    id: str
    size_bytes: int
    digests: dict[str, str] = {}


class Digest(Protocol):
    """What hashlib gives, and what checksums of other kinds (CRC32, CRC32C, CRC64NVME) look like too."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class Blobs(Protocol):
    """The contract; tests/contract/test_blobs.py holds every implementation to it."""

    async def put(
        self, chunks: AsyncIterable[bytes], *, digests: Sequence[str] = (), size_max: int | None = None
    ) -> Blob:
        """Take the stream to its end and make it durable; memory stays flat, hashing and writing are off the loop.

        digests: any of md5 sha1 sha256 crc32 crc32c crc64nvme. Raises TooLarge past size_max; whatever it or the
        stream raises, nothing is left behind.
        """
        ...

    async def read(self, id: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes start up to end (excluded); for bodies known to be small. Raises NotFound."""
        ...

    def path(self, id: str) -> Path | None:
        """The file that holds it, for sendfile, unpacking and mounting; None when this store keeps no files."""
        ...

    def stream(self, id: str, start: int = 0, end: int | None = None) -> AsyncIterable[bytes]:
        """The same in chunks of at most BLOB_CHUNK_BYTES."""
        ...

    async def delete(self, id: str) -> None:
        """Remove it if it is there."""
        ...

    async def names(self, after: str, limit: int) -> list[str]:
        """Ids in order, behind `after`: for the sweep that removes what no row refers to."""
        ...

    async def close(self) -> None: ...
