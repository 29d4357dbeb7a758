"""A whole cloud inside the test process, on a port of the system's choice, for unmodified clients."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import boto3
import uvloop
from botocore.config import Config as ClientConfig

from haneul.app import Cloud, build
from haneul.base.config import Config
from haneul.base.env import Env
from haneul.base.log import SilentLog

T = TypeVar("T")
START_TIMEOUT_S = 30


class TestCloud:
    """The cloud runs on an event loop in a thread of its own; close() stops it."""

    __test__ = False

    def __init__(self, config: Config, *, env: Env | None = None) -> None:
        self.config = config
        self.log = SilentLog()
        self._env = env
        self._ready: asyncio.Queue[None] | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="cloud", daemon=True)
        self._thread.start()
        assert self._started.wait(START_TIMEOUT_S), "the cloud did not start"
        if self._error is not None:
            raise self._error

    def client(self, service: str, *, region: str = "us-east-1", account: str = "000000000000", **settings: Any) -> Any:
        """An unmodified boto3 client with default settings, but for the endpoint and a single attempt."""
        config = ClientConfig(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        if (more := settings.pop("config", None)) is not None:
            config = config.merge(more)
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            **{"aws_access_key_id": account, "aws_secret_access_key": "secret", **settings},
            config=config,
        )

    @property
    def url(self) -> str:
        return self.cloud.url

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the cloud's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the cloud did not stop"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:
                self._error = error
                self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.cloud: Cloud = build(self.config, env=self._env, log=self.log)
        try:
            await self.cloud.start()
            self._started.set()
            await self._stop.wait()
        finally:
            await self.cloud.stop()


def test_config(folder: Path | None = None, **settings: Any) -> Config:
    """Settings for tests: a free port, the tier that works anywhere, in memory unless a folder is given."""
    kept: dict[str, Any] = {"ephemeral": True} if folder is None else {"data_dir": folder}
    return Config(**{"port": 0, "tier": "process", "log_level": "error", "pool_size": 0, **kept, **settings})


test_config.__test__ = False  # type: ignore[attr-defined]
