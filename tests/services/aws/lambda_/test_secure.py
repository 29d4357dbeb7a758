"""In secure mode a function needs a role that exists, and acts as it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from haneul.base.scope import Scope
from tests.cloud import TestCloud, test_config
from tests.functions import TRUST, make_function, package

WHO = """
import boto3
def handler(event, context):
    return boto3.client("sts").get_caller_identity()["Arn"]
"""


@pytest.fixture(scope="module")
def secure() -> Iterator[TestCloud]:
    running = TestCloud(test_config(secure=True))
    yield running
    running.close()


@pytest.fixture
def root(secure: TestCloud) -> dict[str, str]:
    scope = Scope("000000000000", "us-east-1")
    key, secret = secure.run(secure.cloud.rooms.engines.identity.root_credentials(scope))
    return {"aws_access_key_id": key, "aws_secret_access_key": secret}


def test_a_role_that_does_not_exist_is_refused(secure: TestCloud, root: dict[str, str], refusal: Any) -> None:
    client = secure.client("lambda", **root)

    found = refusal(
        client.create_function,
        FunctionName="f",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/nobody",
        Handler="app.handler",
        Code={"ZipFile": package(WHO)},
    )

    assert found == (
        "InvalidParameterValueException",
        400,
        "The role defined for the function cannot be assumed by Lambda.",
    )
    assert client.list_functions()["Functions"] == []


def test_a_function_acts_as_its_role(secure: TestCloud, root: dict[str, str]) -> None:
    role = secure.client("iam", **root).create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    client = secure.client("lambda", **root)
    make_function(client, "who", WHO, Role=role, Timeout=30, MemorySize=1_024)

    said = json.loads(client.invoke(FunctionName="who")["Payload"].read())

    assert said.startswith("arn:aws:sts::000000000000:assumed-role/worker/")


def test_a_role_may_not_be_changed_to_one_that_does_not_exist(
    secure: TestCloud, root: dict[str, str], refusal: Any
) -> None:
    client = secure.client("lambda", **root)
    for role in ("arn:aws:iam::000000000000:role/nobody", "nonsense"):
        code, status, _ = refusal(client.update_function_configuration, FunctionName="who", Role=role)
        assert (code, status) in (("InvalidParameterValueException", 400), ("ValidationException", 400))


OTHER = "111111111111"
INVOKE = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}


@pytest.fixture(scope="module")
def stranger(secure: TestCloud) -> Any:
    """The client of a user in another account, whom its own account allows everything of Lambda."""
    identity = secure.cloud.rooms.engines.identity
    key, secret = secure.run(identity.root_credentials(Scope(OTHER, "us-east-1")))
    iam = secure.client("iam", aws_access_key_id=key, aws_secret_access_key=secret)
    iam.create_user(UserName="stranger")
    document = json.dumps({"Version": "2012-10-17", "Statement": [INVOKE]})
    iam.put_user_policy(UserName="stranger", PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName="stranger")["AccessKey"]
    return secure.client("lambda", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"])


@pytest.fixture
def shared(secure: TestCloud, root: dict[str, str], name: str) -> str:
    """The ARN of a function of another account than the stranger's."""
    role = secure.client("iam", **root).create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    return make_function(secure.client("lambda", **root), name, "def handler(event, context): return 7", Role=role)


@pytest.mark.parametrize("principal", [OTHER, f"arn:aws:iam::{OTHER}:user/stranger", "*"])
def test_another_account_may_invoke_a_function_only_while_a_permission_says_so(
    secure: TestCloud, root: dict[str, str], stranger: Any, shared: str, refusal: Any, principal: str
) -> None:
    owner = secure.client("lambda", **root)
    denied = ("AccessDeniedException", 403)
    assert refusal(stranger.invoke, FunctionName=shared)[:2] == denied

    owner.add_permission(FunctionName=shared, StatementId="one-1", Action="lambda:InvokeFunction", Principal=principal)
    assert stranger.invoke(FunctionName=shared)["Payload"].read() == b"7"
    assert refusal(stranger.get_function, FunctionName=shared)[:2] == denied
    assert refusal(stranger.invoke, FunctionName=shared, Qualifier="1")[:2] == denied

    owner.remove_permission(FunctionName=shared, StatementId="one-1")
    assert refusal(stranger.invoke, FunctionName=shared)[:2] == denied
