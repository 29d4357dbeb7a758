"""The register: states, revisions, versions, lists, tags; what survives a restart and what is swept."""

import asyncio

import pytest

from haneul.base.errors import AlreadyExists, Damaged, Invalid, NotFound, PreconditionFailed
from haneul.base.limits import CODE_SWEEP_S, FUNCTION_TAGS_MAX
from haneul.base.scope import Scope
from haneul.engines.functions.records import Permission
from tests.unit.functions.conftest import MakeWorld
from tests.unit.functions.fake import HERE, World, plain, stream, zipped


async def test_a_new_function_is_pending_then_active(world: World) -> None:
    registry = world.engine.registry

    made = await registry.create(HERE, "f", stream(zipped({"app.py": ""})), plain(), tags={"a": "b"})
    ready = await registry.settled(HERE, "f")

    assert (made.state, ready.state, ready.update) == ("pending", "active", "successful")
    assert made.revision != ready.revision
    assert ready.tags == {"a": "b"}


async def test_a_name_is_taken_once(world: World) -> None:
    await world.create()

    with pytest.raises(AlreadyExists):
        await world.create()

    await world.create(scope=Scope("000000000000", "eu-west-1"))
    await world.create(scope=Scope("111111111111", "us-east-1"))


async def test_two_at_once_make_one(world: World) -> None:
    results = await asyncio.gather(world.create(), world.create(), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["AlreadyExists", "Function"]


async def test_a_bad_archive_makes_no_function(world: World) -> None:
    with pytest.raises(Invalid):
        await world.engine.registry.create(HERE, "f", stream(b"no zip"), plain(), tags={})

    with pytest.raises(NotFound):
        await world.engine.registry.get(HERE, "f")
    assert await world.blobs.names("", 10) == []


async def test_what_was_pending_when_the_power_went_becomes_active(make_world: MakeWorld) -> None:
    before = await make_world()
    await before.engine.registry.create(HERE, "f", stream(zipped({"app.py": ""})), plain(), tags={})

    after = await make_world(store=before.store)

    assert (await after.engine.registry.settled(HERE, "f")).state == "active"


async def test_code_is_unpacked_again_where_the_cache_is_gone(make_world: MakeWorld, tmp_path) -> None:
    world = await make_world()
    function = await world.create()
    folder = await world.engine.packages.path(function.code.sha256)
    (folder / "app.py").unlink()
    folder.rmdir()
    world.engine.packages._ready.clear()

    await world.invoke()

    assert (folder / "app.py").is_file()


async def test_an_update_is_in_progress_then_successful(world: World) -> None:
    before = await world.create()

    updating = await world.engine.registry.update_settings(HERE, "f", lambda settings: plain(timeout_s=9))
    after = await world.engine.registry.settled(HERE, "f")

    assert (updating.state, updating.update, after.update) == ("active", "in_progress", "successful")
    assert after.settings.timeout_s == 9
    assert len({before.revision, updating.revision, after.revision}) == 3


async def test_a_wrong_revision_changes_nothing(world: World) -> None:
    function = await world.create()
    registry = world.engine.registry

    for attempt in (
        registry.update_settings(HERE, "f", lambda settings: plain(timeout_s=9), revision="other"),
        registry.update_code(HERE, "f", stream(zipped({"a.py": "2"})), revision="other"),
        registry.publish(HERE, "f", revision="other"),
    ):
        with pytest.raises(PreconditionFailed):
            await attempt

    assert await registry.get(HERE, "f") == function


async def test_versions_count_up_and_never_change(world: World) -> None:
    await world.create("f", "one")
    registry = world.engine.registry
    first = await registry.publish(HERE, "f", description="first")
    await registry.update_code(HERE, "f", stream(zipped({"app.py": "two"})))
    second = await registry.publish(HERE, "f")

    assert (first.number, second.number) == (1, 2)
    assert (await registry.get(HERE, "f", 1)).settings.description == "first"
    assert (await registry.get(HERE, "f", 1)).code != (await registry.get(HERE, "f", 2)).code


async def test_publishing_without_a_change_gives_the_same_version(world: World) -> None:
    await world.create()
    registry = world.engine.registry

    first = await registry.publish(HERE, "f")
    again = await registry.publish(HERE, "f", description="ignored")

    assert again == first
    assert len(await registry.list_versions(HERE, "f", -1, 10)) == 2


async def test_publishing_other_code_than_expected_is_refused(world: World) -> None:
    await world.create()

    with pytest.raises(Invalid):
        await world.engine.registry.publish(HERE, "f", sha256="00")


async def test_a_number_is_not_given_twice(world: World) -> None:
    await world.create()
    registry = world.engine.registry
    await registry.publish(HERE, "f")
    await registry.delete_version(HERE, "f", 1)

    second = await registry.publish(HERE, "f")

    assert second.number == 2


async def test_functions_are_listed_by_name_a_page_at_a_time(world: World) -> None:
    for name in ("b", "a-1", "a", "c"):
        await world.create(name)
    await world.create("elsewhere", scope=Scope("000000000000", "eu-west-1"))
    registry = world.engine.registry

    first = await registry.list_functions(HERE, "", 2)
    rest = await registry.list_functions(HERE, first[-1].name, 10)

    assert [function.name for function in (*first, *rest)] == ["a", "a-1", "b", "c"]


async def test_versions_are_listed_oldest_first_behind_the_head(world: World) -> None:
    await world.create("f", "0")
    await world.create("f2")
    registry = world.engine.registry
    for number in range(3):
        await registry.update_code(HERE, "f", stream(zipped({"app.py": f"#{number}"})), publish=True)

    first = await registry.list_versions(HERE, "f", -1, 2)
    rest = await registry.list_versions(HERE, "f", first[-1].number, 9)

    assert [function.number for function in (*first, *rest)] == [0, 1, 2, 3]


async def test_deleting_takes_everything_along(world: World) -> None:
    await world.create()
    registry = world.engine.registry
    await registry.publish(HERE, "f")
    allowed = Permission(id="s", action="a", principal_kind="service", principal="p")
    await world.engine.permissions.add(HERE, "f", 1, allowed)

    await registry.delete(HERE, "f")
    await world.create()

    with pytest.raises(NotFound):
        await registry.get(HERE, "f", 1)
    with pytest.raises(NotFound):
        await world.engine.permissions.get(HERE, "f", 1)
    with pytest.raises(NotFound):
        await registry.delete(HERE, "g")


async def test_tags_are_bounded(world: World) -> None:
    await world.create()
    registry = world.engine.registry
    await registry.tag(HERE, "f", {str(number): "" for number in range(FUNCTION_TAGS_MAX)})

    with pytest.raises(Invalid):
        await registry.tag(HERE, "f", {"one more": ""})
    await registry.untag(HERE, "f", ["1", "2", "unknown"])

    assert len((await registry.get(HERE, "f")).tags) == FUNCTION_TAGS_MAX - 2


async def test_tags_and_reservations_leave_environments_alone(world: World) -> None:
    await world.create()
    await world.invoke()
    await world.engine.registry.tag(HERE, "f", {"a": "b"})
    await world.engine.registry.reserve(HERE, "f", 5)
    await world.env.settle()

    await world.invoke()

    assert len(world.sandbox.started) == 1


async def test_permissions_are_kept_in_order_and_change_the_revision(world: World) -> None:
    before = await world.create()
    permissions = world.engine.permissions
    for id in ("z", "a"):
        added = Permission(id=id, action="run", principal_kind="service", principal="p")
        await permissions.add(HERE, "f", 0, added)

    policy, revision = await permissions.get(HERE, "f", 0)

    assert [permission.id for permission in policy.permissions] == ["z", "a"]
    assert revision != before.revision
    with pytest.raises(AlreadyExists):
        await permissions.add(HERE, "f", 0, policy.permissions[0])
    with pytest.raises(PreconditionFailed):
        await permissions.remove(HERE, "f", 0, "z", revision="other")
    with pytest.raises(NotFound) as missing:
        await permissions.remove(HERE, "f", 0, "y")
    assert missing.value.noun == "permission"
    await permissions.remove(HERE, "f", 0, "z")
    await permissions.remove(HERE, "f", 0, "a", revision=(await world.engine.registry.get(HERE, "f")).revision)
    with pytest.raises(NotFound) as missing:
        await permissions.get(HERE, "f", 0)
    assert missing.value.noun == "policy"


async def test_the_same_archive_is_kept_once(world: World) -> None:
    await world.create("f")
    await world.create("g")
    await world.create("h", "other")

    assert len(await world.blobs.names("", 10)) == 2


async def test_a_package_whose_archive_is_gone_fails_loudly_and_is_healed_by_the_next_upload(world: World) -> None:
    function = await world.create()
    packages = world.engine.packages
    for id in await world.blobs.names("", 10):
        await world.blobs.delete(id)
    folder = await packages.path(function.code.sha256)
    (folder / "app.py").unlink()
    folder.rmdir()
    packages._ready.clear()

    with pytest.raises(Damaged):
        await world.invoke()
    await world.create("g")

    assert (await world.invoke()).error == ""
    assert len(await world.blobs.names("", 10)) == 1


async def test_the_same_archive_uploaded_twice_at_once_is_kept_once(world: World) -> None:
    await asyncio.gather(world.create("f"), world.create("g"), world.create("h"))

    assert len(await world.blobs.names("", 10)) == 1
    for name in "fgh":
        assert (await world.invoke(name)).error == ""


async def test_packages_that_nobody_refers_to_are_swept(world: World) -> None:
    kept = await world.create("kept")
    gone = await world.create("gone", "old")
    old = await world.engine.packages.path(gone.code.sha256)
    await world.engine.registry.delete(HERE, "gone")

    assert await world.engine.packages.sweep({kept.code.sha256}) == 0
    await world.env.advance(CODE_SWEEP_S - 1)
    world.env._now += 2
    assert await world.engine.packages.sweep({kept.code.sha256}) == 1

    assert not old.exists()
    assert (await world.engine.packages.path(kept.code.sha256)).is_dir()
    assert len(await world.blobs.names("", 10)) == 1


async def test_a_link_to_code_opens_for_its_holder_and_for_a_while(world: World) -> None:
    function = await world.create()
    packages = world.engine.packages
    token = packages.grant(function.code.sha256)

    archive, size_bytes = await packages.download(token)

    assert len(b"".join([chunk async for chunk in archive])) == size_bytes == function.code.size_bytes
    for wrong in ("", "x", token[:-1], token.replace(".", ".9", 1), "é" + token):
        with pytest.raises(NotFound):
            await packages.download(wrong)
    await world.env.advance(601)
    with pytest.raises(NotFound):
        await packages.download(token)


async def test_a_reset_wipes_one_account_or_all(world: World) -> None:
    other = Scope("111111111111", "us-east-1")
    await world.create()
    await world.create(scope=other)
    await world.invoke()
    await world.engine.send(HERE, "f", "", world.request())

    await world.engine.reset(HERE.account)
    await world.env.settle()

    assert world.engine.environments == 0
    with pytest.raises(NotFound):
        await world.invoke()
    assert await world.engine.registry.get(other, "f")
    await world.engine.reset(None)
    with pytest.raises(NotFound):
        await world.engine.registry.get(other, "f")
