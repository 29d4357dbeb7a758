"""A cloud that is killed while objects are written: what was acknowledged is whole, and nothing else is left on the disk."""

import hashlib
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.server import Server

ROUNDS = 3
WRITERS = 4
SIZES = (10, 5_000, 70_000, 300_000)
SWEPT_WITHIN_S = 10


class Writer(threading.Thread):
    """Puts object after object until the cloud is gone; remembers what was acknowledged, and what was under way."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = client(url)
        self._name = name
        self._random = random.Random(seed)
        self.known: dict[str, str] = {}
        self.unsure: dict[str, set[str]] = {}

    def run(self) -> None:
        while True:
            key = f"{self._name}/{self._random.randrange(12)}"
            body = os.urandom(self._random.choice(SIZES))
            digest = hashlib.md5(body).hexdigest()
            try:
                self._client.put_object(Bucket="crash", Key=key, Body=body)
            except (BotoCoreError, ClientError):
                self.unsure.setdefault(key, set()).add(digest)
                return
            self.known[key] = digest


def client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def blobs(folder: Path) -> int:
    return sum(1 for file in (folder / "blobs" / "objects").glob("*/*") if len(file.name) > 8)


@pytest.mark.parametrize("seed", [1])
def test_acknowledged_objects_outlive_kills_and_orphans_do_not(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    server = Server(tmp_path / "data", "--tier", "process").start()
    client(server.url).create_bucket(Bucket="crash")
    known: dict[str, str] = {}
    for round in range(ROUNDS):
        writers = [Writer(server.url, f"{round}-{number}", seed * 100 + number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.5, 1.5))
        server.kill()
        for writer in writers:
            writer.join(30)
        server.start()
        s3 = client(server.url)
        for writer in writers:
            for key in {*writer.known, *writer.unsure}:
                possible = {writer.known.get(key, "")} | writer.unsure.get(key, set())
                try:
                    body = s3.get_object(Bucket="crash", Key=key)["Body"].read()
                except s3.exceptions.NoSuchKey:
                    assert key not in writer.known
                    continue
                known[key] = hashlib.md5(body).hexdigest()
                assert known[key] in possible
        assert writers[0].known, "nothing was written before the kill"

    listed = {item["Key"]: item for item in client(server.url).list_objects_v2(Bucket="crash")["Contents"]}
    assert {key: item["ETag"].strip('"') for key, item in listed.items()} == known
    large = sum(1 for item in listed.values() if item["Size"] >= 65_536)
    until = time.monotonic() + SWEPT_WITHIN_S
    while blobs(server.folder) != large and time.monotonic() < until:
        time.sleep(0.1)
    assert blobs(server.folder) == large
    server.stop()
