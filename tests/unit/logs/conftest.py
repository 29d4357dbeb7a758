"""A logs engine on a store in memory, with a clock that is moved by hand."""

from collections.abc import AsyncIterator

import pytest

from haneul.base.env import ManualEnv
from haneul.base.finished import Logged
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.engines.logs.engine import LogsEngine
from haneul.engines.logs.records import SCHEMA
from haneul.storage.sqlite import open_store

SCOPE = Scope("111111111111", "eu-west-1")
OTHER = Scope("222222222222", "eu-west-1")


@pytest.fixture
def env() -> ManualEnv:
    return ManualEnv()


@pytest.fixture
async def logs(env: ManualEnv) -> AsyncIterator[LogsEngine]:
    store = open_store(SCHEMA, None, env, SilentLog())
    engine = LogsEngine(store, env, SilentLog())
    yield engine
    await engine.stop()
    await store.close()


def wrote(env: ManualEnv, *texts: str, group: str = "g", stream: str = "s", scope: Scope = SCOPE) -> Logged:
    return Logged(scope, group, stream, [(env.now_ms(), text) for text in texts])
