"""The authorise step: who is refused, in which words, and when a remembered decision is made again."""

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from haneul.base import limits
from haneul.base.config import Config
from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.base.trace import Trace
from haneul.clouds.aws.authorise import Authoriser, ResourcePolicy
from haneul.clouds.aws.call import AwsError, Call
from haneul.clouds.aws.managed import AwsProvider
from haneul.clouds.aws.policies import parse_policy
from haneul.engines.identity.engine import IdentityEngine
from haneul.engines.identity.policy import Policy
from haneul.engines.identity.principal import Principal
from haneul.engines.identity.records import SCHEMA, PolicyRef
from haneul.gateway.http import Request
from haneul.storage.sqlite import open_store

HERE = Scope("111111111111", "us-east-1")
THERE = Scope("222222222222", "us-east-1")
OBJECT = "arn:aws:s3:::bucket/key"


class NoBody:
    length: int | None = 0
    trailers: list[tuple[bytes, bytes]] = []  # noqa: RUF012  the Protocol's own type

    async def read(self, limit: int) -> bytes:
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""


class Hung:
    """Policies on resources, as a service would keep them."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.policies: dict[str, Policy] = {}
        self.changes = 0
        self.asked = 0

    def put(self, resource: str, policy: Policy) -> None:
        self.policies[resource] = policy
        self.changes += 1

    async def find(self, scope: Scope, resource: str) -> ResourcePolicy | None:
        self.asked += 1
        return ResourcePolicy(self.owner, self.policies.get(resource))

    def generation(self) -> int:
        return self.changes


class World:
    def __init__(self, identity: IdentityEngine, env: ManualEnv, *, secure: bool) -> None:
        self.identity = identity
        self.env = env
        self.hung = Hung(HERE.account)
        self.authoriser = Authoriser(identity, Config(secure=secure), env, policies={"s3": self.hung})

    async def user(self, name: str, *statements: dict[str, object], scope: Scope = HERE) -> Principal:
        user = await self.identity.users.create(scope, name)
        if statements:
            await self.identity.users.put_inline(scope, name, "p", policy(*statements))
        return Principal(scope.account, "user", name, user.id)

    async def ask(
        self,
        who: Principal,
        action: str = "s3:PutObject",
        resource: str = OBJECT,
        operation: str = "",
        **given: object,
    ) -> bool:
        call = Call(
            scope=Scope(who.account, "us-east-1"),
            operation=operation or action.partition(":")[2],
            input=given,
            principal=who,
            request=Request(method="GET", target=b"/", headers=[], body=NoBody(), remote=("10.1.2.3", 5)),
            request_id="r",
            trace=Trace("0" * 32, "0" * 16),
        )
        return (await self.authoriser.decide(call, action, resource)).allowed

    async def refused(
        self,
        who: Principal,
        action: str = "s3:PutObject",
        resource: str = OBJECT,
        operation: str = "",
        **given: object,
    ) -> AwsError:
        with pytest.raises(AwsError) as error:
            await self.ask(who, action, resource, operation, **given)
        return error.value


def policy(*statements: dict[str, object], kind: str = "identity"):  # type: ignore[no-untyped-def]
    source = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return parse_policy(source, kind)  # type: ignore[arg-type]


def allow(action: str, resource: str = "*", **more: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture
async def identity() -> AsyncIterator[IdentityEngine]:
    env = ManualEnv()
    store = open_store(SCHEMA, None, env, SilentLog())
    engine = IdentityEngine(store, env, provider=AwsProvider())
    await engine.start()
    yield engine
    await engine.stop()
    await store.close()


@pytest.fixture
def secure(identity: IdentityEngine) -> World:
    return World(identity, ManualEnv(), secure=True)


@pytest.fixture
def developer(identity: IdentityEngine) -> World:
    return World(identity, ManualEnv(), secure=False)


async def test_a_user_without_policies_is_refused_in_awss_words(secure: World) -> None:
    bob = await secure.user("bob")

    error = await secure.refused(bob)

    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == (
        "User: arn:aws:iam::111111111111:user/bob is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::bucket/key" because no identity-based policy allows the s3:PutObject action'
    )


async def test_each_family_of_services_has_its_code(secure: World) -> None:
    bob = await secure.user("bob")

    table = await secure.refused(bob, "dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:111111111111:table/t")
    function = await secure.refused(bob, "lambda:Invoke", "arn:aws:lambda:us-east-1:111111111111:function:f")

    assert (table.code, table.status) == ("AccessDeniedException", 400)
    assert (function.code, function.status) == ("AccessDeniedException", 403)


async def test_an_explicit_deny_says_so(secure: World) -> None:
    bob = await secure.user("bob", allow("s3:*"), {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"})

    error = await secure.refused(bob)

    assert error.message.endswith("with an explicit deny in an identity-based policy")


async def test_a_policy_change_is_seen_at_once(secure: World) -> None:
    bob = await secure.user("bob")
    await secure.refused(bob)

    await secure.identity.users.attach(HERE, "bob", PolicyRef("AmazonS3FullAccess", True))
    assert await secure.ask(bob)
    assert await secure.ask(bob)

    await secure.identity.users.detach(HERE, "bob", PolicyRef("AmazonS3FullAccess", True))
    await secure.refused(bob)


async def test_a_remembered_decision_asks_nobody(secure: World) -> None:
    bob = await secure.user("bob", allow("s3:*"))
    for _ in range(5):
        assert await secure.ask(bob)

    assert secure.hung.asked == 1


async def test_a_changed_resource_policy_is_seen_at_once(secure: World) -> None:
    bob = await secure.user("bob", allow("s3:*"))
    assert await secure.ask(bob)

    secure.hung.put(
        OBJECT, policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}, kind="resource").policy
    )

    error = await secure.refused(bob)
    assert error.message.endswith("with an explicit deny in a resource-based policy")


async def test_a_decision_that_depends_on_the_request_is_made_for_each(secure: World) -> None:
    bob = await secure.user("bob", allow("s3:ListBucket", Condition={"StringLike": {"s3:prefix": "home/*"}}))

    assert await secure.ask(bob, "s3:ListBucket", Prefix="home/x")
    await secure.refused(bob, "s3:ListBucket", Prefix="other")
    await secure.refused(bob, "s3:ListBucket")


async def test_the_senders_address_can_be_asked_for(secure: World) -> None:
    bob = await secure.user("bob", allow("s3:*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    eve = await secure.user("eve", allow("s3:*", Condition={"IpAddress": {"aws:SourceIp": "192.168.0.0/16"}}))

    assert await secure.ask(bob)
    await secure.refused(eve)


async def test_a_users_name_and_tags_stand_in_policies(secure: World) -> None:
    bob = await secure.user(
        "bob",
        allow("s3:*", "arn:aws:s3:::bucket/${aws:username}/*"),
        allow("sqs:*", Condition={"StringEquals": {"aws:PrincipalTag/Team": "red"}}),
    )
    await secure.refused(bob, "sqs:SendMessage")

    await secure.identity.users.tag(HERE, "bob", {"Team": "red"})

    assert await secure.ask(bob, "sqs:SendMessage")
    assert await secure.ask(bob, resource="arn:aws:s3:::bucket/bob/x")
    await secure.refused(bob, resource="arn:aws:s3:::bucket/eve/x")


async def test_a_root_may_do_everything_that_no_resource_denies(secure: World) -> None:
    root = Principal(HERE.account, "root")
    assert await secure.ask(root)

    secure.hung.put(
        OBJECT, policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}, kind="resource").policy
    )

    await secure.refused(root)
    assert await secure.ask(root, "s3:DeleteBucketPolicy", "arn:aws:s3:::bucket")


async def test_each_object_of_a_multi_delete_is_asked_for(secure: World) -> None:
    bob = await secure.user(
        "bob", allow("s3:*"), {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/kept/*"}
    )
    bucket = "arn:aws:s3:::bucket"

    assert await secure.ask(bob, "s3:DeleteObject", bucket, "DeleteObjects", Delete={"Objects": [{"Key": "a"}]})
    both = {"Objects": [{"Key": "a"}, {"Key": "kept/b"}]}
    error = await secure.refused(bob, "s3:DeleteObject", bucket, "DeleteObjects", Delete=both)
    assert "kept/b" in error.message


async def test_a_copy_takes_reading_the_source_too(secure: World) -> None:
    bob = await secure.user("bob", allow("s3:PutObject"), allow("s3:GetObject", "arn:aws:s3:::from/a b*"))

    assert await secure.ask(bob, CopySource="/from/a%20b?versionId=1")
    error = await secure.refused(bob, CopySource="other/key")
    assert "s3:GetObject" in error.message


async def test_another_account_needs_the_resources_word_and_its_own(secure: World) -> None:
    eve = await secure.user("eve", allow("s3:*"), scope=THERE)
    assert "no resource-based policy allows" in (await secure.refused(eve)).message

    opened = policy({**allow("s3:*"), "Principal": {"AWS": THERE.account}}, kind="resource").policy
    secure.hung.put(OBJECT, opened)

    assert await secure.ask(eve)


async def test_nobody_gets_in_only_where_everybody_may(secure: World) -> None:
    nobody = Principal(HERE.account, "anonymous")
    assert (await secure.refused(nobody)).message == "Access Denied"

    secure.hung.put(OBJECT, policy({**allow("s3:*"), "Principal": "*"}, kind="resource").policy)

    assert await secure.ask(nobody)


async def test_a_role_is_assumed_by_whom_it_trusts(secure: World) -> None:
    bob = await secure.user("bob", allow("sts:AssumeRole"))
    arn = "arn:aws:iam::111111111111:role/r"
    refused = await secure.refused(bob, "sts:AssumeRole", arn)
    assert refused.message == (
        f"User: arn:aws:iam::111111111111:user/bob is not authorized to perform: sts:AssumeRole on resource: {arn}"
    )

    trust = {"Effect": "Allow", "Principal": {"AWS": HERE.account}, "Action": "sts:AssumeRole"}
    await secure.identity.roles.create(HERE, "r", trust=policy(trust, kind="trust"))

    assert await secure.ask(bob, "sts:AssumeRole", arn)
    assert (await secure.refused(Principal(HERE.account, "root"), "sts:AssumeRole", arn)).message == (
        "Roles may not be assumed by root accounts."
    )


async def test_asking_who_one_is_needs_no_permission(secure: World) -> None:
    bob = await secure.user("bob")

    assert await secure.ask(bob, "sts:GetCallerIdentity", "*")
    await secure.refused(bob, "sts:GetAccessKeyInfo", "*")


async def test_handing_a_role_to_a_function_takes_pass_role(secure: World) -> None:
    arn = "arn:aws:iam::111111111111:role/r"
    bob = await secure.user("bob", allow("lambda:*"))
    function = "arn:aws:lambda:us-east-1:111111111111:function:f"

    error = await secure.refused(bob, "lambda:CreateFunction", function, Role=arn)

    assert "iam:PassRole on resource: arn:aws:iam::111111111111:role/r" in error.message
    assert (error.code, error.status) == ("AccessDeniedException", 403)
    condition = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    await secure.identity.users.put_inline(HERE, "bob", "q", policy(allow("iam:PassRole", arn, Condition=condition)))
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    await secure.identity.roles.create(HERE, "r", trust=policy(trust, kind="trust"))
    untrusted = await secure.refused(bob, "lambda:CreateFunction", function, Role=arn)
    assert untrusted.message == "The role defined for the function cannot be assumed by Lambda."
    trusting = policy({**trust, "Principal": {"Service": "lambda.amazonaws.com"}}, kind="trust")
    await secure.identity.roles.change(HERE, "r", lambda role: replace(role, trust=trusting))
    assert await secure.ask(bob, "lambda:CreateFunction", function, Role=arn)
    foreign = "arn:aws:iam::222222222222:role/r"
    await secure.refused(Principal(HERE.account, "root"), "lambda:CreateFunction", function, Role=foreign)


async def test_a_session_policy_narrows_what_the_role_may(secure: World) -> None:
    await secure.identity.roles.create(HERE, "r")
    await secure.identity.roles.put_inline(HERE, "r", "p", policy(allow("s3:*")))
    whole = await secure.identity.sessions.assume(HERE, "r", "s", duration_s=900)
    narrow = await secure.identity.sessions.assume(HERE, "r", "s", duration_s=900, limits=[policy(allow("s3:Get*"))])

    assert await secure.ask(whole.principal)
    assert await secure.ask(narrow.principal, "s3:GetObject")
    error = await secure.refused(narrow.principal)
    assert error.message.startswith("User: arn:aws:sts::111111111111:assumed-role/r/s is not authorized")
    assert error.message.endswith("because no session policy allows the s3:PutObject action")


async def test_in_developer_mode_a_denial_is_kept_and_the_call_goes_on(developer: World) -> None:
    bob = await developer.user("bob")

    assert not await developer.ask(bob)
    assert not await developer.ask(bob)

    (denial,) = developer.authoriser.denials()
    assert (denial.principal, denial.action, denial.count) == ("arn:aws:iam::111111111111:user/bob", "s3:PutObject", 2)


async def test_denials_kept_are_bounded(developer: World) -> None:
    bob = await developer.user("bob")
    for number in range(limits.DENIALS_KEPT_MAX + 5):
        await developer.ask(bob, resource=f"arn:aws:s3:::bucket/{number}")

    assert len(developer.authoriser.denials()) == limits.DENIALS_KEPT_MAX
