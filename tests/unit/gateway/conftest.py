"""Every asynchronous test here runs on both event loops: uvloop's and asyncio's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog

from .stage import Stage

try:
    import uvloop
except ImportError:
    uvloop = None


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A place where servers and clients meet; everything is taken down in the end."""
    stage = Stage(ManualEnv(), SilentLog())
    yield stage
    await stage.strike()
