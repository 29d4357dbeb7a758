"""The AWS CLI's own S3 commands against a real server: mb, cp, ls, sync, mv, rm, presign, rb."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import Server

MIB = 1024 * 1024
Aws = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("cloud"), "--tier", "process").start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def aws(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """Run the CLI; its output, or its failure with what it said."""
    command = shutil.which("aws", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if command is None:
        pytest.skip("the AWS CLI is not installed")
    home = tmp_path_factory.mktemp("home")
    environment = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", ""),
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
    }

    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [command, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode != 0) == fails, f"aws {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


def test_files_and_folders_travel_both_ways(aws: Aws, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "sub").mkdir(parents=True)
    (here / "small.txt").write_text("hello")
    (here / "sub" / "odd name +ü.txt").write_text("odd")
    (here / "big.bin").write_bytes(os.urandom(17 * MIB))  # over 8 MiB the CLI uploads in parts

    assert "make_bucket: cli-files" in aws("s3", "mb", "s3://cli-files")
    assert aws("s3", "sync", str(here), "s3://cli-files/copy").count("upload:") == 3
    aws("s3", "sync", "s3://cli-files/copy", str(there))

    for name in ("small.txt", "sub/odd name +ü.txt", "big.bin"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    assert aws("s3", "sync", str(here), "s3://cli-files/copy") == ""
    (here / "small.txt").write_text("hello again")
    (here / "big.bin").unlink()
    synced = aws("s3", "sync", "--delete", str(here), "s3://cli-files/copy")
    assert "small.txt" in synced and "delete: s3://cli-files/copy/big.bin" in synced


def test_listings_read_as_the_cli_shows_them(aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("12345")
    aws("s3", "mb", "s3://cli-list")
    aws("s3", "cp", str(file), "s3://cli-list/a/one.txt")
    aws("s3", "cp", str(file), "s3://cli-list/two.txt")

    shown = aws("s3", "ls", "s3://cli-list/")
    summed = aws("s3", "ls", "--recursive", "--summarize", "s3://cli-list")

    assert "PRE a/" in shown and "5 two.txt" in shown
    assert "Total Objects: 2" in summed and "Total Size: 10" in summed
    assert "cli-list" in aws("s3", "ls")


def test_objects_are_copied_moved_and_removed(aws: Aws, tmp_path: Path) -> None:
    small, big, back = tmp_path / "small", tmp_path / "big", tmp_path / "back"
    small.write_text("small")
    big.write_bytes(os.urandom(9 * MIB))  # copied in parts, which leaves metadata behind in version 1 of the CLI
    aws("s3", "mb", "s3://cli-move")
    aws("s3", "cp", str(small), "s3://cli-move/small", "--metadata", "color=blue", "--content-type", "image/png")
    aws("s3", "cp", str(big), "s3://cli-move/big")

    for name in ("small", "big"):
        aws("s3", "cp", f"s3://cli-move/{name}", f"s3://cli-move/{name}-copied")
        aws("s3", "mv", f"s3://cli-move/{name}-copied", f"s3://cli-move/{name}-moved")
    head = json.loads(aws("s3api", "head-object", "--bucket", "cli-move", "--key", "small-moved"))
    aws("s3", "cp", "s3://cli-move/big-moved", str(back))

    assert head["ContentType"] == "image/png" and head["Metadata"] == {"color": "blue"}
    assert back.read_bytes() == big.read_bytes()
    assert "Not Found" in aws("s3api", "head-object", "--bucket", "cli-move", "--key", "big-copied", fails=True)
    assert "BucketNotEmpty" in aws("s3", "rb", "s3://cli-move", fails=True)
    assert aws("s3", "rm", "--recursive", "s3://cli-move").count("delete:") == 4
    assert "remove_bucket: cli-move" in aws("s3", "rb", "s3://cli-move")


def test_streams_and_presigned_links(aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("by link")
    aws("s3", "mb", "s3://cli-links")
    aws("s3", "cp", str(file), "s3://cli-links/a b.txt")

    assert aws("s3", "cp", "s3://cli-links/a b.txt", "-") == "by link"
    with urllib.request.urlopen(aws("s3", "presign", "s3://cli-links/a b.txt").strip()) as answer:
        assert answer.read() == b"by link"


def test_what_was_stored_outlives_a_kill(aws: Aws, server: Server, tmp_path: Path) -> None:
    small, big, back = tmp_path / "small", tmp_path / "big", tmp_path / "back"
    small.write_text("kept")
    big.write_bytes(os.urandom(12 * MIB))
    aws("s3", "mb", "s3://cli-kept")
    aws("s3", "cp", str(small), "s3://cli-kept/small")
    aws("s3", "cp", str(big), "s3://cli-kept/big")

    server.kill()
    server.start()

    assert aws("s3", "cp", "s3://cli-kept/small", "-") == "kept"
    aws("s3", "cp", "s3://cli-kept/big", str(back))
    assert back.read_bytes() == big.read_bytes()
