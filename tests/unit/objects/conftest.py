"""An objects engine on a store in memory, with a clock that is moved by hand."""

from collections.abc import AsyncIterator

import pytest

from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.base.trace import new_trace
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import Origin
from haneul.engines.objects.records import SCHEMA
from haneul.storage.memory import MemoryBlobs
from haneul.storage.sqlite import open_store
from haneul.storage.store import Store

SCOPE = Scope("111111111111", "eu-west-1")
OTHER = Scope("222222222222", "eu-west-1")


@pytest.fixture
def env() -> ManualEnv:
    return ManualEnv()


@pytest.fixture
async def store(env: ManualEnv) -> AsyncIterator[Store]:
    store = open_store(SCHEMA, None, env, SilentLog())
    yield store
    await store.close()


@pytest.fixture
def blobs(env: ManualEnv) -> MemoryBlobs:
    return MemoryBlobs(env)


@pytest.fixture
async def engine(store: Store, blobs: MemoryBlobs, env: ManualEnv) -> ObjectsEngine:
    return ObjectsEngine(store, blobs, env)


@pytest.fixture
async def bucket(engine: ObjectsEngine) -> str:
    await engine.buckets.create(SCOPE, "photos", settings={})
    return "photos"


@pytest.fixture
def origin(env: ManualEnv) -> Origin:
    return Origin(new_trace(env), principal="someone", address="127.0.0.1", request_id="r-1")
