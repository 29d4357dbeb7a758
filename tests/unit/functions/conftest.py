from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.unit.functions.fake import World

MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Make engines, with options of their own or over a store that is already there; all are stopped in the end."""
    made: list[World] = []

    async def make(**given: object) -> World:
        world = World(tmp_path, **given)  # type: ignore[arg-type]
        made.append(world)
        await world.engine.start()
        return world

    yield make
    for world in made:
        await world.engine.stop()
        await world.store.close()


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world()
