"""kill -9 at any moment: what was acknowledged is there, whole; what was not is there whole or not at all."""

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from haneul.base.env import ManualEnv
from haneul.base.limits import CHANGES_MAX_ROWS
from haneul.base.log import SilentLog
from haneul.storage import keys
from haneul.storage.disk import DiskBlobs
from haneul.storage.sqlite import open_store
from haneul.storage.store import Change, Range, Store

from .storage_writer import CHUNK_BYTES, COUNTS, FED, PARTS, PARTS_PER_TRANSACTION, SCHEMA, Part

ROUNDS = 8
WRITERS = 8


class Killed:
    """What a writer acknowledged before it was killed: the last number of each of its writers, and its blobs."""

    def __init__(self, lines: list[list[str]]) -> None:
        self.rows: dict[int, int] = {}
        self.blobs: dict[str, tuple[int, str]] = {}
        for kind, *words in lines:
            if kind == "row":
                self.rows[int(words[0])] = int(words[1])
            elif kind == "blob":
                self.blobs[words[0]] = (int(words[1]), words[2])


def write_until_killed(directory: Path, first: int, seconds: float) -> Killed:
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.storage_writer", directory, str(first)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n", "the writer did not start"
    time.sleep(seconds)  # the moment of the crash is the point of the test; nothing waits for anything here
    writer.kill()
    said, _ = writer.communicate()
    whole = said[: said.rindex(b"\n") + 1] if b"\n" in said else b""
    return Killed([line.split() for line in whole.decode().splitlines()])


async def check_rows(store: Store, killed: Killed, floor: int) -> int:
    """The greatest number that is there. Every writer's rows are whole, without a hole, up to what it acknowledged."""
    last = floor
    for writer in range(WRITERS):
        count = await store.get(COUNTS, keys.pack(writer))
        there = count.number if count is not None else 0
        assert there >= killed.rows.get(writer, 0), "an acknowledged transaction is lost"
        start = keys.pack(writer, floor)
        rows = await store.scan(PARTS, Range(start, keys.after(keys.pack(writer))), 10_000)
        found = [keys.unpack(key, "iii")[1:] for key, _ in rows]
        numbers = sorted({number for number, _ in found})
        assert found == [(number, at) for number in numbers for at in range(PARTS_PER_TRANSACTION)], (
            "a torn transaction"
        )
        if there > floor:
            assert numbers == list(range(numbers[0], there + 1)), "a hole"
        last = max(last, there)
    return last


async def check_feed(store: Store) -> None:
    changes: list[Change[Part]] = []
    while page := await store.changes(FED, changes[-1].seq if changes else 0, CHANGES_MAX_ROWS):
        changes += page
    assert [change.seq for change in changes] == list(range(1, len(changes) + 1)), "the feed has a gap"
    replayed: dict[bytes, Part] = {}
    for change in changes:
        if change.record is None:
            del replayed[change.key]
        else:
            replayed[change.key] = change.record
    assert sorted(replayed.items()) == await store.scan(FED, Range(), 10_000), "the feed leads elsewhere"


async def check_blobs(blobs: DiskBlobs, acknowledged: dict[str, tuple[int, str]]) -> None:
    for id, (size_bytes, sha256) in acknowledged.items():
        body = await blobs.read(id)
        assert len(body) == size_bytes
        assert hashlib.sha256(body).hexdigest() == sha256
        await blobs.delete(id)
    unacknowledged = await blobs.names("", 10_000)
    assert len(unacknowledged) <= 1
    for id in unacknowledged:
        assert len(await blobs.read(id)) % CHUNK_BYTES == 0, "a blob is there in part"
        await blobs.delete(id)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_writer_killed_at_random_moments_loses_and_tears_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    first, acknowledged = 0, 0
    for _ in range(ROUNDS // 2):
        killed = write_until_killed(tmp_path, first, chance.uniform(0.02, 0.6))
        acknowledged += len(killed.rows)
        store = open_store(SCHEMA, tmp_path / "rows", ManualEnv(), SilentLog())
        blobs = DiskBlobs(tmp_path / "blobs", ManualEnv())

        first = await check_rows(store, killed, first) + 1
        await check_feed(store)
        await check_blobs(blobs, killed.blobs)

        await store.close()
        await blobs.close()
    assert acknowledged > 0, "nothing was acknowledged: the test has shown nothing"
