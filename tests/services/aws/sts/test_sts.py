"""STS through unmodified boto3: who one is, roles assumed, and credentials that work."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud import TestCloud

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}],
    }
)


def role(cloud: TestCloud, name: str, **more: Any) -> str:
    made = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, **more)
    return str(made["Role"]["Arn"])


def assumed(cloud: TestCloud, answer: dict[str, Any], service: str = "sts") -> Any:
    """A client that uses the credentials of an answer."""
    given = answer["Credentials"]
    return cloud.client(
        service,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    said = error.value.response["Error"]
    return said["Code"], said["Message"]


def test_the_root_of_an_account_is_told_who_it_is(cloud: TestCloud) -> None:
    answer = cloud.client("sts", account="123456789012").get_caller_identity()

    assert (answer["UserId"], answer["Account"], answer["Arn"]) == (
        "123456789012",
        "123456789012",
        "arn:aws:iam::123456789012:root",
    )


def test_a_user_is_told_who_it_is(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    user = iam.create_user(UserName="sts-user", Path="/team/")["User"]
    key = iam.create_access_key(UserName="sts-user")["AccessKey"]

    answer = cloud.client(
        "sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    ).get_caller_identity()

    assert (answer["UserId"], answer["Arn"]) == (user["UserId"], "arn:aws:iam::000000000000:user/team/sts-user")


def test_an_assumed_role_gives_credentials_that_speak_for_it(cloud: TestCloud) -> None:
    arn = role(cloud, "sts-role", Path="/deep/")
    unique = cloud.client("iam").get_role(RoleName="sts-role")["Role"]["RoleId"]

    answer = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="me@home")

    given = answer["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA") and len(given["AccessKeyId"]) == 20
    assert len(given["SecretAccessKey"]) == 40
    left = given["Expiration"] - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)
    session_arn = "arn:aws:sts::000000000000:assumed-role/sts-role/me@home"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{unique}:me@home", "Arn": session_arn}
    assert "PackedPolicySize" not in answer
    assert assumed(cloud, answer).get_caller_identity()["Arn"] == session_arn


def test_a_role_of_another_account_is_assumed_there(cloud: TestCloud) -> None:
    other = cloud.client("iam", account="222222222222")
    arn = other.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]

    answer = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="s1")

    assert assumed(cloud, answer).get_caller_identity()["Account"] == "222222222222"


def test_a_role_that_is_not_there_is_not_told_from_one_that_does_not_trust(cloud: TestCloud) -> None:
    arn = "arn:aws:iam::000000000000:role/nobody"

    with pytest.raises(ClientError) as error:
        cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="s1")

    assert code(error) == (
        "AccessDenied",
        f"User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: {arn}",
    )
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_session_is_no_longer_than_its_role_allows(cloud: TestCloud) -> None:
    arn = role(cloud, "sts-short")
    long = role(cloud, "sts-long", MaxSessionDuration=7200)
    sts = cloud.client("sts")

    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=arn, RoleSessionName="s1", DurationSeconds=3601)
    assert code(error) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    first = sts.assume_role(RoleArn=long, RoleSessionName="s1", DurationSeconds=7200)
    with pytest.raises(ClientError) as error:
        assumed(cloud, first).assume_role(RoleArn=long, RoleSessionName="s2", DurationSeconds=7200)
    assert "role chaining" in code(error)[1]
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn="arn:aws:iam::000000000000:user/" + "u" * 20, RoleSessionName="s1")
    assert code(error)[0] == "ValidationError"


def test_policies_and_tags_of_a_session_are_checked_and_measured(cloud: TestCloud) -> None:
    arn = role(cloud, "sts-narrow")
    sts = cloud.client("sts")
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'

    answer = sts.assume_role(
        RoleArn=arn,
        RoleSessionName="s1",
        Policy=policy,
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}],
        Tags=[{"Key": "a", "Value": "b"}],
    )

    assert 0 < answer["PackedPolicySize"] < 100
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=arn, RoleSessionName="s1", Policy='{"Statement":1}')
    assert code(error)[0] == "MalformedPolicyDocument"
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=arn, RoleSessionName="s1", Tags=[{"Key": k, "Value": "v"} for k in ("a", "A")])
    assert code(error)[0] == "InvalidParameterValue"
    with pytest.raises(ClientError) as error:
        missing = [{"arn": "arn:aws:iam::aws:policy/NoSuchPolicyAtAll"}]
        sts.assume_role(RoleArn=arn, RoleSessionName="s1", PolicyArns=missing)
    assert code(error)[0] == "InvalidParameterValue"


def test_a_session_token_speaks_for_the_same_user_and_cannot_make_another(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="sts-token")
    key = iam.create_access_key(UserName="sts-token")["AccessKey"]
    mine = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    temporary = assumed(cloud, cloud.client("sts", **mine).get_session_token(DurationSeconds=900))

    assert temporary.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/sts-token"
    with pytest.raises(ClientError) as error:
        temporary.get_session_token()
    assert code(error) == ("AccessDenied", "Cannot call GetSessionToken with session credentials")


def test_a_federated_user_is_named_by_its_session(cloud: TestCloud) -> None:
    answer = cloud.client("sts").get_federation_token(Name="guest")

    arn = "arn:aws:sts::000000000000:federated-user/guest"
    assert answer["FederatedUser"] == {"FederatedUserId": "000000000000:guest", "Arn": arn}
    assert assumed(cloud, answer).get_caller_identity()["Arn"] == arn


def test_a_token_can_be_asked_to_be_long(cloud: TestCloud) -> None:
    answer = cloud.client("sts").get_session_token(MinimumSessionTokenSize=4000)

    assert len(answer["Credentials"]["SessionToken"]) == answer["SessionTokenSize"] >= 4000
    assert 97 <= answer["SessionTokenUtilization"] <= 100


def test_a_key_tells_its_account(cloud: TestCloud) -> None:
    iam = cloud.client("iam", account="333333333333")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    sts = cloud.client("sts")

    assert sts.get_access_key_info(AccessKeyId=key)["Account"] == "333333333333"
    with pytest.raises(ClientError) as error:
        sts.get_access_key_info(AccessKeyId="AKIA" + "X" * 16)
    assert code(error)[0] == "ValidationError"


def test_what_is_not_built_says_so(cloud: TestCloud) -> None:
    with pytest.raises(ClientError) as error:
        cloud.client("sts").decode_authorization_message(EncodedMessage="x")

    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
