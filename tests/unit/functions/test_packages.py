"""Packages at rest: what a caller that goes away, a crash or a sweep at the wrong moment may not break."""

import asyncio

import pytest

from haneul.base.errors import Invalid, NotFound
from haneul.base.limits import CODE_SWEEP_S
from haneul.engines.functions.records import CODES
from haneul.storage.store import Range
from tests.unit.functions.conftest import MakeWorld
from tests.unit.functions.fake import HERE, World, plain, stream, zipped

SOURCE = {"app.py": "x = 1", "folder/more.py": "y = 2"}
STEPS = 12


async def test_a_package_is_whole_or_not_there_whenever_its_caller_goes_away(make_world: MakeWorld) -> None:
    for steps in range(STEPS):
        world = await make_world()
        task = asyncio.ensure_future(world.engine.packages.put(stream(zipped({"app.py": f"x = {steps}"}))))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        kept = {row.blob for _, row in await world.store.scan(CODES, Range(), 10)}
        assert kept == set(await world.blobs.names("", 10)), steps


async def test_a_change_is_seen_even_when_its_caller_went_away(world: World) -> None:
    registry = world.engine.registry
    for steps in range(STEPS):
        await world.create(f"f{steps}")
        await registry.get(HERE, f"f{steps}")
        task = asyncio.ensure_future(registry.update_settings(HERE, f"f{steps}", lambda _: plain(timeout_s=9)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        shown = await registry.settled(HERE, f"f{steps}")
        assert shown.settings.timeout_s == await stored_timeout_s(world, f"f{steps}")


async def test_a_deleted_function_is_gone_even_when_its_caller_went_away(world: World) -> None:
    registry = world.engine.registry
    await world.create()
    await registry.get(HERE, "f")
    task = asyncio.ensure_future(registry.delete(HERE, "f"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert await registry.list_functions(HERE, "", 10) == []
    with pytest.raises(NotFound):
        await registry.get(HERE, "f")


async def test_the_rest_of_a_folder_whose_removal_was_cut_off_is_never_run(world: World) -> None:
    packages = world.engine.packages
    code = await packages.put(stream(zipped(SOURCE)))
    folder = await packages.path(code.sha256)
    await world.env.advance(CODE_SWEEP_S + 1)
    await packages.sweep(())
    folder.mkdir()
    (folder / "app.py").write_text("x = 1")  # as a kill leaves it: the row has gone, the folder in part

    await packages.put(stream(zipped(SOURCE)))

    assert (await packages.path(code.sha256) / "folder" / "more.py").is_file()
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


async def test_a_package_that_is_stored_while_it_is_swept_stays_whole(world: World) -> None:
    packages = world.engine.packages
    for steps in range(STEPS):
        archive = zipped({"app.py": f"x = {steps}"})
        await packages.put(stream(archive))
        await world.env.advance(CODE_SWEEP_S + 1)
        sweeping = asyncio.ensure_future(packages.sweep(()))
        for _ in range(steps):
            await asyncio.sleep(0)
        code = await packages.put(stream(archive))
        await sweeping

        assert (await packages.path(code.sha256) / "app.py").is_file(), steps
        assert await packages.archive(code.sha256) in await world.blobs.names("", 100), steps


async def test_what_was_arriving_at_a_crash_is_removed_at_the_next_start(world: World) -> None:
    kept = await world.create()
    lost = await world.blobs.put(stream(b"half of a deployment"), digests=("sha256",))

    await world.engine.packages.start()

    assert lost.id not in await world.blobs.names("", 10)
    assert await world.engine.packages.archive(kept.code.sha256) in await world.blobs.names("", 10)


async def test_a_bad_archive_leaves_the_good_one_of_another_alone(world: World) -> None:
    code = await world.engine.packages.put(stream(zipped(SOURCE)))
    with pytest.raises(Invalid):
        await world.engine.packages.put(stream(b"no zip"))

    assert len(await world.blobs.names("", 10)) == 1
    assert (await world.engine.packages.path(code.sha256)).is_dir()


async def stored_timeout_s(world: World, name: str) -> int:
    for function in await world.engine.registry.list_functions(HERE, "", 100):
        if function.name == name:
            return function.settings.timeout_s
    raise AssertionError(name)
