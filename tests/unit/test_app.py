"""Starting and stopping the whole cloud: a start that fails leaves nothing behind, whatever it failed at."""

import asyncio
import contextlib
import socket
import threading
from pathlib import Path

import pytest

from haneul.app import Cloud, build
from haneul.base.config import Config
from haneul.base.errors import Damaged, Failure, Invalid, Unavailable
from haneul.base.log import SilentLog
from haneul.gateway.http import Request
from haneul.storage.directory import OwnerLock
from tests.cloud import test_config

KINDS = ("identity", "objects", "functions", "logs", "metrics", "traces", "billing")


def children() -> set[str]:
    """Processes that this one started and that are not gone."""
    found: set[str] = set()
    for each in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            found.update((each / "children").read_text().split())
    return found


def threads() -> set[threading.Thread]:
    """Those that run, but for the event loop's own, which end with it."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def assert_ended(begun: set[threading.Thread]) -> None:
    for thread in begun:
        thread.join(5)
        assert not thread.is_alive(), f"{thread.name} is left"


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def failed_start(config: Config) -> Failure:
    """The error of a start that must fail, after checking that it left no thread, process, task or port."""
    running, processes, tasks = threads(), children(), asyncio.all_tasks()
    cloud = build(config, log=SilentLog())
    with pytest.raises(Failure) as caught:
        await cloud.start()

    assert_ended(threads() - running)
    assert children() <= processes
    assert asyncio.all_tasks() <= tasks
    if cloud.url:
        host, port = cloud.url.removeprefix("http://").split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), 1)
    await cloud.stop()  # whoever called start() may call it in a finally
    return caught.value


async def starts(config: Config) -> None:
    cloud = build(config, log=SilentLog())
    await cloud.start()
    await cloud.stop()


async def test_a_cloud_that_stops_leaves_nothing(tmp_path: Path) -> None:
    running, processes = threads(), children()
    await starts(test_config(tmp_path / "data", pool_size=1))

    assert_ended(threads() - running)
    assert children() <= processes
    OwnerLock(tmp_path / "data" / "haneul.lock").release()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_damaged_file_stops_the_start_and_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    config = test_config(tmp_path / "data", pool_size=1)
    await starts(config)
    file = tmp_path / "data" / "state" / f"{kind}.sqlite"
    kept = file.read_bytes()
    file.write_bytes(b"no database" * 100)

    error = await failed_start(config)

    assert isinstance(error, Damaged) and kind in str(error)
    assert file.read_bytes() == b"no database" * 100
    file.write_bytes(kept)
    await starts(config)


async def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = await failed_start(test_config(tmp_path / "data", port=taken.getsockname()[1]))

    assert isinstance(error, Unavailable) and "cannot listen" in str(error) and "--port" in str(error)
    await starts(test_config(tmp_path / "data"))


async def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    error = await failed_start(test_config(tmp_path / "file" / "data"))

    assert isinstance(error, Unavailable) and "data directory" in str(error)


async def test_files_that_are_no_certificate_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "pem").write_bytes(b"no certificate")

    error = await failed_start(
        test_config(tmp_path / "data", tls_certificate=tmp_path / "pem", tls_key=tmp_path / "pem")
    )

    assert isinstance(error, Invalid) and "certificate" in str(error)
    await starts(test_config(tmp_path / "data"))


async def test_a_second_cloud_touches_nothing_of_the_first_ones_folder(tmp_path: Path) -> None:
    first = build(test_config(tmp_path / "data"), log=SilentLog())
    await first.start()
    try:
        before = files_in(tmp_path)
        error = await failed_start(test_config(tmp_path / "data", tls=True))

        assert isinstance(error, Unavailable) and "in use by another haneul" in str(error)
        assert files_in(tmp_path) == before
    finally:
        await first.stop()


async def test_a_sandbox_that_does_not_open_stops_the_start(tmp_path: Path) -> None:
    cloud = build(test_config(tmp_path / "data"), log=SilentLog())
    cloud.sandbox = Closed(cloud)  # type: ignore[assignment]
    with pytest.raises(Unavailable, match="not on this machine"):
        await cloud.start()

    assert cloud.sandbox.closed
    await starts(test_config(tmp_path / "data"))


async def test_requests_that_came_during_a_failed_start_are_answered(tmp_path: Path) -> None:
    cloud = build(test_config(tmp_path / "data"), log=SilentLog())
    waiting = asyncio.ensure_future(cloud.handle(Request(method="GET", target=b"/", headers=[], body=None)))  # type: ignore[arg-type]
    (tmp_path / "data" / "state").mkdir(parents=True)
    (tmp_path / "data" / "state" / "identity.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(Damaged):
        await cloud.start()

    assert (await waiting).status == 503


async def test_the_folder_of_an_ephemeral_cloud_is_gone_with_it() -> None:
    cloud = build(test_config(), log=SilentLog())
    await cloud.start()
    assert cloud.directory.is_dir()
    await cloud.stop()

    assert not cloud.directory.exists()


async def test_what_secure_mode_keeps_is_whole_and_private_also_after_a_crash_while_writing(tmp_path: Path) -> None:
    config = test_config(tmp_path / "data", secure=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "admin-token.unfinished").write_bytes(b"")
    await starts(config)

    for name in ("admin-token", "root-credentials"):
        file = tmp_path / "data" / name
        assert file.stat().st_mode & 0o777 == 0o600 and len(file.read_text()) > 20
    assert not list((tmp_path / "data").glob("*.unfinished"))


class Closed:
    """A sandbox that does not open on this machine."""

    def __init__(self, cloud: Cloud) -> None:
        self.capabilities = cloud.sandbox.capabilities
        self.closed = False

    async def open(self) -> None:
        raise Unavailable("sandbox tier", "strict", "not on this machine")

    async def close(self) -> None:
        self.closed = True
