"""The identity engine: names, limits, what may be deleted, and credentials that outlive the process."""

import asyncio

import pytest
from msgspec.structs import replace

from haneul.base import limits
from haneul.base.env import ManualEnv
from haneul.base.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from haneul.base.scope import Scope
from haneul.engines.identity.engine import IdentityEngine
from haneul.engines.identity.pattern import ANY
from haneul.engines.identity.policy import Policy, Statement
from haneul.engines.identity.principal import Principal
from haneul.engines.identity.records import KEYS, SESSIONS, Document, PolicyRef
from haneul.storage.store import Store, within

from .conftest import HERE

EVERYTHING = Document("{everything}", Policy((Statement("allow", ((ANY,),), ((ANY,),)),)))
ELSEWHERE = Scope("111111111111", "us-east-1")


async def test_names_are_unique_whatever_their_case_and_found_as_spelled(identity: IdentityEngine) -> None:
    await identity.users.create(HERE, "Bob")

    with pytest.raises(AlreadyExists):
        await identity.users.create(HERE, "bob")
    with pytest.raises(NotFound):
        identity.users.get(HERE, "bob")
    assert identity.users.get(HERE, "Bob").name == "Bob"


async def test_accounts_do_not_see_each_other(identity: IdentityEngine) -> None:
    await identity.roles.create(HERE, "r")

    assert identity.roles.find(ELSEWHERE, "r") is None
    await identity.roles.create(ELSEWHERE, "r")
    assert identity.roles.get(ELSEWHERE, "r").id != identity.roles.get(HERE, "r").id


async def test_everything_is_there_again_after_a_restart(
    identity: IdentityEngine, store: Store, env: ManualEnv
) -> None:
    user = await identity.users.create(HERE, "bob", path="/team/", tags={"a": "b"})
    key = await identity.keys.create(HERE, "bob")
    await identity.users.put_inline(HERE, "bob", "p", EVERYTHING)
    await identity.roles.create(HERE, "r")
    session = await identity.sessions.assume(HERE, "r", "s", duration_s=900)

    again = IdentityEngine(store, env)
    await again.start()

    assert again.users.get(HERE, "bob") == identity.users.get(HERE, "bob")
    assert again.users.get(HERE, "bob").id == user.id
    assert again.credential(key.id) == identity.credential(key.id)
    assert again.credential(session.key) == identity.credential(session.key)
    await again.stop()


async def test_lists_come_by_name_and_under_a_path(identity: IdentityEngine) -> None:
    for name, path in (("c", "/x/"), ("A", "/"), ("b", "/x/y/")):
        await identity.roles.create(HERE, name, path=path)

    assert [role.name for role in identity.roles.list(HERE)] == ["A", "b", "c"]
    assert [role.name for role in identity.roles.list(HERE, "/x/")] == ["b", "c"]


async def test_a_holder_with_anything_on_it_is_not_deleted(identity: IdentityEngine) -> None:
    await identity.users.create(HERE, "bob")
    await identity.groups.create(HERE, "g")
    await identity.policies.create(HERE, "p", EVERYTHING)
    key = await identity.keys.create(HERE, "bob")
    await identity.users.attach(HERE, "bob", PolicyRef("p"))
    await identity.users.put_inline(HERE, "bob", "own", EVERYTHING)
    await identity.members.join(HERE, "bob", "g")

    steps = (
        ("detach all policies", identity.users.detach(HERE, "bob", PolicyRef("p"))),
        ("delete policies", identity.users.delete_inline(HERE, "bob", "own")),
        ("remove user from all groups", identity.members.leave(HERE, "bob", "g")),
        ("delete access keys", identity.keys.delete(HERE, "bob", key.id)),
    )
    for must, step in steps:
        with pytest.raises(Conflict) as refused:
            await identity.users.delete(HERE, "bob")
        assert refused.value.fields["must"] == must
        await step

    await identity.users.delete(HERE, "bob")
    assert identity.users.find(HERE, "bob") is None


async def test_a_group_with_members_and_a_role_in_a_profile_stay(identity: IdentityEngine) -> None:
    await identity.users.create(HERE, "bob")
    await identity.groups.create(HERE, "g")
    await identity.members.join(HERE, "bob", "g")
    await identity.roles.create(HERE, "r")
    await identity.profiles.create(HERE, "box", tags={})
    await identity.profiles.add_role(HERE, "box", "r")

    with pytest.raises(Conflict):
        await identity.groups.delete(HERE, "g")
    with pytest.raises(Conflict):
        await identity.roles.delete(HERE, "r")
    with pytest.raises(Conflict):
        await identity.profiles.delete(HERE, "box")
    with pytest.raises(LimitExceeded):
        await identity.profiles.add_role(HERE, "box", "r")


async def test_a_policy_in_use_is_not_deleted_and_its_uses_are_counted(identity: IdentityEngine) -> None:
    ref = PolicyRef("p")
    await identity.policies.create(HERE, "p", EVERYTHING)
    await identity.roles.create(HERE, "r", boundary=ref)
    await identity.users.create(HERE, "u")
    await identity.users.attach(HERE, "u", ref)
    await identity.users.attach(HERE, "u", ref)

    assert identity.policies.count_uses(HERE, ref) == (1, 1)
    with pytest.raises(Conflict):
        await identity.policies.delete(HERE, ref)
    await identity.users.detach(HERE, "u", ref)
    await identity.roles.put_boundary(HERE, "r", None)
    await identity.policies.delete(HERE, ref)


async def test_a_policy_has_at_most_five_versions_and_numbers_are_not_used_again(identity: IdentityEngine) -> None:
    ref = PolicyRef("p")
    await identity.policies.create(HERE, "p", EVERYTHING)
    for _ in range(4):
        await identity.policies.create_version(HERE, ref, EVERYTHING)

    with pytest.raises(LimitExceeded):
        await identity.policies.create_version(HERE, ref, EVERYTHING)
    with pytest.raises(Conflict):
        await identity.policies.delete_version(HERE, ref, 1)
    with pytest.raises(Conflict):
        await identity.policies.delete(HERE, ref)
    await identity.policies.delete_version(HERE, ref, 5)
    assert (await identity.policies.create_version(HERE, ref, EVERYTHING, as_default=True)).number == 6
    assert identity.policies.get(HERE, ref).default == 6


async def test_limits_hold(identity: IdentityEngine) -> None:
    await identity.users.create(HERE, "u")
    for number in range(limits.ATTACHED_POLICIES_MAX + 1):
        await identity.policies.create(HERE, f"p{number}", EVERYTHING)
    for number in range(limits.ATTACHED_POLICIES_MAX):
        await identity.users.attach(HERE, "u", PolicyRef(f"p{number}"))
    for _ in range(limits.KEYS_PER_USER_MAX):
        await identity.keys.create(HERE, "u")

    with pytest.raises(LimitExceeded):
        await identity.users.attach(HERE, "u", PolicyRef(f"p{limits.ATTACHED_POLICIES_MAX}"))
    with pytest.raises(LimitExceeded):
        await identity.keys.create(HERE, "u")
    with pytest.raises(LimitExceeded):
        await identity.users.tag(HERE, "u", {str(number): "" for number in range(limits.TAGS_PER_IDENTITY_MAX + 1)})
    with pytest.raises(LimitExceeded):
        await identity.users.put_inline(HERE, "u", "big", Document("x" * 3_000, Policy(())))
    await identity.users.put_inline(HERE, "u", "wide", Document(" " * 30_000, Policy(())))


async def test_credentials_are_those_of_their_owner_until_the_key_is_off(identity: IdentityEngine) -> None:
    user = await identity.users.create(HERE, "bob")
    key = await identity.keys.create(HERE, "bob")

    known = identity.credential(key.id)

    assert known is not None
    assert known.secret == key.secret
    assert known.principal == Principal(HERE.account, "user", "bob", user.id, access_key=key.id)
    await identity.keys.update(HERE, "bob", key.id, active=False)
    assert identity.credential(key.id) is None
    await identity.keys.update(HERE, "bob", key.id, active=True)
    assert identity.credential(key.id) is not None
    await identity.keys.delete(HERE, "bob", key.id)
    assert identity.credential(key.id) is None


async def test_secrets_do_not_show_when_printed(identity: IdentityEngine) -> None:
    await identity.users.create(HERE, "bob")
    key = await identity.keys.create(HERE, "bob")
    await identity.roles.create(HERE, "r")
    session = await identity.sessions.assume(HERE, "r", "s", duration_s=900)

    shown = f"{key!r} {session!r} {identity.credential(key.id)!r} {identity.credential(session.key)!r}"

    assert key.secret not in shown
    assert session.secret not in shown
    assert session.token not in shown


async def test_an_expired_session_is_known_as_such_until_its_row_is_swept(
    identity: IdentityEngine, store: Store, env: ManualEnv
) -> None:
    await identity.roles.create(HERE, "r")
    session = await identity.sessions.assume(HERE, "r", "s", duration_s=900)
    await env.advance(899)
    assert identity.credential(session.key) is not None
    swept = asyncio.Event()
    store.on_change(SESSIONS, swept.set)

    await env.advance(1)

    known = identity.credential(session.key)
    assert known is not None and known.expires_ms == env.now_ms()
    assert identity.sessions.find(HERE.account, session.key) is None
    await env.advance(limits.SESSION_KEPT_S)
    await asyncio.wait_for(swept.wait(), 10)
    assert identity.credential(session.key) is None
    assert await store.scan(SESSIONS, within(b""), 10) == []


async def test_lent_credentials_are_the_same_until_half_their_time_is_over(
    identity: IdentityEngine, env: ManualEnv
) -> None:
    await identity.roles.create(HERE, "r")

    first = await identity.sessions.lend(HERE, "r", "f", duration_s=3600)
    await env.advance(1700)
    second = await identity.sessions.lend(HERE, "r", "f", duration_s=3600)
    await env.advance(200)
    third = await identity.sessions.lend(HERE, "r", "f", duration_s=3600)

    assert first.key == second.key != third.key


async def test_a_role_made_anew_under_an_old_name_gives_old_sessions_nothing(identity: IdentityEngine) -> None:
    await identity.roles.create(HERE, "r")
    session = await identity.sessions.assume(HERE, "r", "s", duration_s=900)
    await identity.roles.delete(HERE, "r")
    await identity.roles.create(HERE, "r")
    await identity.roles.put_inline(HERE, "r", "p", EVERYTHING)

    assert identity.rules(session.principal).identity == ()


async def test_rules_are_the_users_own_its_groups_and_what_is_attached(identity: IdentityEngine) -> None:
    await identity.policies.create(HERE, "m", EVERYTHING)
    user = await identity.users.create(HERE, "u", boundary=PolicyRef("m"))
    await identity.groups.create(HERE, "g")
    await identity.groups.put_inline(HERE, "g", "of-group", EVERYTHING)
    await identity.members.join(HERE, "u", "g")
    await identity.users.put_inline(HERE, "u", "own", EVERYTHING)
    await identity.users.attach(HERE, "u", PolicyRef("m"))

    rules = identity.rules(Principal(HERE.account, "user", "u", user.id))

    assert [each.name for each in rules.identity] == ["own", "m", "of-group"]
    assert rules.boundary is not None and rules.boundary.name == "m"


async def test_the_generation_rises_with_changes_of_the_account_only(identity: IdentityEngine) -> None:
    before = identity.generation(HERE.account), identity.generation(ELSEWHERE.account)

    await identity.users.create(HERE, "u")

    assert identity.generation(HERE.account) > before[0]
    assert identity.generation(ELSEWHERE.account) == before[1]


async def test_a_new_name_keeps_id_keys_and_groups(identity: IdentityEngine) -> None:
    user = await identity.users.create(HERE, "old")
    key = await identity.keys.create(HERE, "old")
    await identity.groups.create(HERE, "g")
    await identity.members.join(HERE, "old", "g")

    await identity.members.rename_user(HERE, "old", to="new", path="/p/")
    await identity.members.rename_group(HERE, "g", to="h", path=None)

    renamed = identity.users.get(HERE, "new")
    assert (renamed.id, renamed.path, renamed.groups) == (user.id, "/p/", ("h",))
    assert identity.users.find(HERE, "old") is None
    known = identity.credential(key.id)
    assert known is not None and known.principal.name == "new"


async def test_passwords_are_checked_and_never_kept_in_the_clear(identity: IdentityEngine) -> None:
    await identity.users.create(HERE, "u")
    login = await identity.members.create_login(HERE, "u", "Correct-horse-1")

    assert b"Correct" not in login.hash
    assert await identity.members.check_password(HERE, "u", "Correct-horse-1")
    assert not await identity.members.check_password(HERE, "u", "correct-horse-1")
    with pytest.raises(AlreadyExists):
        await identity.members.create_login(HERE, "u", "Correct-horse-1")


async def test_root_credentials_are_made_once(identity: IdentityEngine) -> None:
    first = await identity.root_credentials(HERE)

    assert await identity.root_credentials(HERE) == first
    known = identity.credential(first[0])
    assert known is not None
    assert (known.principal.kind, len(known.secret)) == ("root", 40)


async def test_a_change_whose_caller_goes_away_happens_all_the_same(identity: IdentityEngine) -> None:
    work = asyncio.create_task(identity.users.create(HERE, "u"))
    await asyncio.sleep(0)

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await identity.users.create(HERE, "after")

    assert identity.users.find(HERE, "u") is not None


async def test_of_many_at_once_only_one_gets_the_name(identity: IdentityEngine) -> None:
    made = await asyncio.gather(*(identity.users.create(HERE, "same") for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(each, AlreadyExists) for each in made) == 19


async def test_reset_forgets_one_account(identity: IdentityEngine, store: Store, env: ManualEnv) -> None:
    for scope in (HERE, ELSEWHERE):
        await identity.users.create(scope, "u")
    key = await identity.keys.create(HERE, "u")

    await identity.reset(HERE.account)

    assert identity.users.find(HERE, "u") is None
    assert identity.credential(key.id) is None
    assert identity.users.find(ELSEWHERE, "u") is not None
    again = IdentityEngine(store, env)
    await again.start()
    assert again.users.find(HERE, "u") is None
    await again.stop()


async def test_an_alias_belongs_to_one_account(identity: IdentityEngine) -> None:
    await identity.put_account(HERE, replace(identity.account(HERE), alias="mine"))

    with pytest.raises(Conflict):
        await identity.put_account(ELSEWHERE, replace(identity.account(ELSEWHERE), alias="mine"))


async def test_the_use_of_a_key_is_noted_without_forgetting_decisions(
    identity: IdentityEngine, store: Store, env: ManualEnv
) -> None:
    await identity.users.create(HERE, "u")
    key = await identity.keys.create(HERE, "u")
    generation = identity.generation(HERE.account)

    noted = asyncio.Event()
    store.on_change(KEYS, noted.set)
    identity.keys.note_use(HERE.account, key.id, "s3", "us-east-1")
    await asyncio.wait_for(noted.wait(), 10)
    await env.settle()

    assert identity.keys.get(HERE, key.id).used_service == "s3"
    assert identity.generation(HERE.account) == generation
