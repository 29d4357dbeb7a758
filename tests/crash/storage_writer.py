"""A process that writes as fast as it can and says what was acknowledged, until it is killed. Run by test_store_crash."""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from haneul.base.env import RealEnv
from haneul.base.limits import MIB
from haneul.base.log import SilentLog
from haneul.storage import keys
from haneul.storage.disk import DiskBlobs
from haneul.storage.sqlite import open_store
from haneul.storage.store import Schema, Space, Store, Txn


class Part(msgspec.Struct, frozen=True):
    """One of the records that a transaction writes together; writer and number say which transaction."""

    writer: int
    number: int
    body: bytes = b""


PARTS = Space("parts", Part)
COUNTS = Space("counts", Part)
FED = Space("fed", Part, feed=True)
SCHEMA = Schema("crash", 1, (PARTS, COUNTS, FED))

PARTS_PER_TRANSACTION = 3
CHUNK_BYTES = MIB // 2 + 1


def say(*words: object) -> None:
    """One write to the pipe: it is in the reader's hands even when this process is killed right after."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write_rows(store: Store, writer: int, first: int) -> None:
    number = first
    while True:
        number += 1

        def work(txn: Txn, number: int = number) -> None:
            for at in range(PARTS_PER_TRANSACTION):
                txn.put(PARTS, keys.pack(writer, number, at), Part(writer, number, os.urandom(200)))
            txn.put(COUNTS, keys.pack(writer), Part(writer, number))
            txn.put(FED, keys.pack(writer, number), Part(writer, number))
            if number > 5:
                txn.delete(FED, keys.pack(writer, number - 5))

        await store.transact(work)
        say("row", writer, number)


async def write_blobs(blobs: DiskBlobs, chunk: bytes) -> None:
    async def body(count: int) -> AsyncIterator[bytes]:
        for at in range(count):
            yield chunk + bytes([at])

    count = 0
    while True:
        count = count % 5 + 1
        blob = await blobs.put(body(count), digests=["sha256"])
        say("blob", blob.id, blob.size_bytes, blob.digests["sha256"])


async def main(directory: Path, first: int) -> None:
    env = RealEnv()
    store = open_store(SCHEMA, directory / "rows", env, SilentLog())
    blobs = DiskBlobs(directory / "blobs", env)
    say("ready")
    chunk = hashlib.sha256(b"seed").digest() * (CHUNK_BYTES // 32)
    await asyncio.gather(*[write_rows(store, writer, first) for writer in range(8)], write_blobs(blobs, chunk))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
