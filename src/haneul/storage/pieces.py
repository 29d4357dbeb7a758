"""Pieces: a stream of chunks regrouped into pieces that are worth a hop to a thread, its length watched."""

from collections.abc import AsyncIterable, AsyncIterator

from haneul.base.errors import TooLarge
from haneul.base.limits import BLOB_PIECE_BYTES

Piece = list[bytes]


async def pieces(chunks: AsyncIterable[bytes], size_max: int | None) -> AsyncIterator[Piece]:
    """Chunks in lists of at least BLOB_PIECE_BYTES together (the last one excepted), not copied.

    Raises TooLarge before it hands out a byte past size_max.
    """
    piece: Piece = []
    held = total = 0
    async for chunk in chunks:
        total += len(chunk)
        if size_max is not None and total > size_max:
            raise TooLarge("body", "", f"more than {size_max} bytes", size_max=size_max)
        piece.append(chunk)
        held += len(chunk)
        if held >= BLOB_PIECE_BYTES:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece
