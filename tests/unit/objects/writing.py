"""Short ways to write and read in tests."""

from collections.abc import AsyncIterator
from typing import Any

from haneul.base.scope import Scope
from haneul.engines.objects.bodies import Bytes, Section
from haneul.engines.objects.engine import ObjectsEngine, Reading
from haneul.engines.objects.events import Origin
from haneul.engines.objects.records import Description, Object


class Chunks:
    """A source of unknown length that can be told to break off."""

    length = None

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = chunks

    async def read(self, limit: int) -> bytes:
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


async def put(
    engine: ObjectsEngine, scope: Scope, bucket: str, key: str, body: bytes | Chunks, origin: Origin, **options: Any
) -> Object:
    source = Bytes(body) if isinstance(body, bytes) else body
    options.setdefault("algorithm", "crc32")
    return await engine.put(scope, bucket, key, source, options.pop("description", Description()), origin, **options)


async def content(reading: Reading) -> bytes:
    if isinstance(reading.content, bytes):
        return reading.content
    if isinstance(reading.content, Section):
        with reading.content.path.open("rb") as file:
            file.seek(reading.content.offset)
            return file.read(reading.content.length)
    return b"".join([chunk async for chunk in reading.content])
