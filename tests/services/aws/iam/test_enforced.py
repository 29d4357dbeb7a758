"""Secure mode, from outside: root makes users and roles, and each can do what its policies say and no more."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from haneul.base.scope import Scope
from haneul.engines.identity.principal import Principal
from tests.cloud import TestCloud, test_config

ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    running = TestCloud(test_config(tmp_path_factory.mktemp("secure"), secure=True))
    yield running
    running.close()


def client(cloud: TestCloud, service: str, key: str, secret: str, token: str | None = None) -> Any:
    return cloud.client(service, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)


def root(cloud: TestCloud, service: str, account: str = ACCOUNT) -> Any:
    scope = Scope(account, "us-east-1")
    return client(cloud, service, *cloud.run(cloud.cloud.engines.identity.root_credentials(scope)))


def user(cloud: TestCloud, name: str, *statements: dict[str, Any], account: str = ACCOUNT) -> dict[str, Any]:
    """A user with these permissions; answers its access key."""
    iam = root(cloud, "iam", account)
    iam.create_user(UserName=name)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def as_user(cloud: TestCloud, key: dict[str, Any], service: str) -> Any:
    return client(cloud, service, key["AccessKeyId"], key["SecretAccessKey"])


def allow(action: str | list[str], resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [("sts", "get_caller_identity", "ExpiredToken"), ("logs", "describe_log_groups", "ExpiredTokenException")],
)
def test_credentials_whose_time_is_over_are_said_to_be_expired(
    secured: TestCloud, service: str, operation: str, code: str
) -> None:
    over = secured.run(secured.cloud.engines.identity.sessions.issue(Principal(ACCOUNT, "root"), duration_s=0))

    with pytest.raises(ClientError) as error:
        getattr(client(secured, service, over.key, over.secret, over.token), operation)()

    assert refused(error)[1] == code
    assert error.value.response["Error"]["Message"] == "The security token included in the request is expired"


def test_a_key_that_nobody_made_is_refused(secured: TestCloud) -> None:
    with pytest.raises(ClientError) as error:
        client(secured, "sts", ACCOUNT, "secret").get_caller_identity()

    assert refused(error) == (403, "InvalidClientTokenId")


def test_a_user_does_what_its_policy_says_and_no_more(secured: TestCloud) -> None:
    s3 = root(secured, "s3")
    s3.create_bucket(Bucket="enforced")
    key = user(secured, "reader", allow("s3:GetObject", "arn:aws:s3:::enforced/open/*"))
    s3.put_object(Bucket="enforced", Key="open/a", Body=b"a")
    s3.put_object(Bucket="enforced", Key="shut/a", Body=b"a")
    mine = as_user(secured, key, "s3")

    assert mine.get_object(Bucket="enforced", Key="open/a")["Body"].read() == b"a"
    with pytest.raises(ClientError) as error:
        mine.get_object(Bucket="enforced", Key="shut/a")
    assert refused(error) == (403, "AccessDenied")
    with pytest.raises(ClientError) as error:
        mine.put_object(Bucket="enforced", Key="open/a", Body=b"b")
    assert refused(error) == (403, "AccessDenied")
    assert "no identity-based policy allows the s3:PutObject action" in str(error.value)


def test_another_account_sees_a_bucket_only_when_both_sides_agree(secured: TestCloud) -> None:
    s3 = root(secured, "s3")
    s3.create_bucket(Bucket="across")
    s3.put_object(Bucket="across", Key="k", Body=b"k")
    key = user(secured, "guest", allow("s3:*"), account="111111111111")
    stranger = user(secured, "stranger", account="111111111111")
    theirs = as_user(secured, key, "s3")
    with pytest.raises(ClientError) as error:
        theirs.get_object(Bucket="across", Key="k")
    assert refused(error)[0] == 403

    opened = {"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "s3:GetObject"}
    policy = {"Version": "2012-10-17", "Statement": [{**opened, "Resource": "arn:aws:s3:::across/*"}]}
    s3.put_bucket_policy(Bucket="across", Policy=json.dumps(policy))

    assert theirs.get_object(Bucket="across", Key="k")["Body"].read() == b"k"
    for attempt in (
        lambda: theirs.put_object(Bucket="across", Key="k", Body=b"x"),
        lambda: theirs.delete_object(Bucket="across", Key="k"),
        lambda: theirs.delete_bucket_policy(Bucket="across"),
        lambda: theirs.list_objects_v2(Bucket="across"),
        lambda: as_user(secured, stranger, "s3").get_object(Bucket="across", Key="k"),
        lambda: theirs.delete_objects(Bucket="across", Delete={"Objects": [{"Key": "k"}]}),
    ):
        with pytest.raises(ClientError) as error:
            attempt()
        assert refused(error) == (403, "AccessDenied")


def test_a_role_is_assumed_by_whom_it_trusts_and_acts_by_its_own_policies(secured: TestCloud) -> None:
    iam = root(secured, "iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(
        RoleName="lister", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    iam.attach_role_policy(RoleName="lister", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    may = as_user(secured, user(secured, "may", allow("sts:AssumeRole", arn)), "sts")
    may_not = as_user(secured, user(secured, "may-not"), "sts")

    given = may.assume_role(RoleArn=arn, RoleSessionName="s1")["Credentials"]

    s3 = client(secured, "s3", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert "Buckets" in s3.list_buckets()
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket="not-mine")
    assert refused(error) == (403, "AccessDenied")
    with pytest.raises(ClientError) as error:
        may_not.assume_role(RoleArn=arn, RoleSessionName="s1")
    assert refused(error) == (403, "AccessDenied")
    assert may_not.get_caller_identity()["Arn"].endswith(":user/may-not")
    forged = client(secured, "sts", given["AccessKeyId"], given["SecretAccessKey"], "another token")
    with pytest.raises(ClientError) as error:
        forged.get_caller_identity()
    assert refused(error)[0] in (400, 403)


def test_a_key_that_is_off_is_refused(secured: TestCloud) -> None:
    key = user(secured, "off")
    sts = as_user(secured, key, "sts")
    assert sts.get_caller_identity()["Arn"].endswith(":user/off")

    root(secured, "iam").update_access_key(UserName="off", AccessKeyId=key["AccessKeyId"], Status="Inactive")

    with pytest.raises(ClientError) as error:
        sts.get_caller_identity()
    assert refused(error) == (403, "InvalidClientTokenId")


def test_users_and_credentials_outlive_the_process(tmp_path: Path) -> None:
    first = TestCloud(test_config(tmp_path, secure=True))
    try:
        key = user(first, "lasting", allow("iam:GetUser"))
        given = as_user(first, key, "sts").get_session_token()["Credentials"]
    finally:
        first.close()

    again = TestCloud(test_config(tmp_path, secure=True))
    try:
        arn = client(again, "sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        assert arn.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/lasting"
        assert as_user(again, key, "iam").get_user()["User"]["UserName"] == "lasting"
    finally:
        again.close()
