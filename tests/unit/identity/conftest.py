"""An identity engine on a store in memory and a clock that tests move."""

from collections.abc import AsyncIterator

import pytest

from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.engines.identity.engine import IdentityEngine
from haneul.engines.identity.records import SCHEMA
from haneul.storage.sqlite import open_store
from haneul.storage.store import Store

HERE = Scope("000000000000", "us-east-1")


@pytest.fixture
def env() -> ManualEnv:
    return ManualEnv()


@pytest.fixture
async def store(env: ManualEnv) -> AsyncIterator[Store]:
    opened = open_store(SCHEMA, None, env, SilentLog())
    yield opened
    await opened.close()


@pytest.fixture
async def identity(store: Store, env: ManualEnv) -> AsyncIterator[IdentityEngine]:
    engine = IdentityEngine(store, env)
    await engine.start()
    yield engine
    await engine.stop()
