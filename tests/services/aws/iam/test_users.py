"""Users, groups, keys, managed policies and the account through unmodified boto3."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud import TestCloud

READ: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}],
}


@pytest.fixture
def iam(cloud: TestCloud) -> Any:
    return cloud.client("iam")


def failure(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    said = error.value.response["Error"]
    return said["Code"], said["Message"]


def test_the_root_is_a_user_too(iam: Any) -> None:
    assert iam.get_user()["User"]["Arn"] == "arn:aws:iam::000000000000:root"


def test_a_user_has_keys_at_most_two(iam: Any) -> None:
    user = iam.create_user(UserName="keys")["User"]
    assert user["UserId"].startswith("AIDA") and len(user["UserId"]) == 21
    first = iam.create_access_key(UserName="keys")["AccessKey"]
    assert first["AccessKeyId"].startswith("AKIA") and len(first["SecretAccessKey"]) == 40
    iam.create_access_key(UserName="keys")

    with pytest.raises(ClientError) as error:
        iam.create_access_key(UserName="keys")
    assert failure(error) == ("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    iam.update_access_key(UserName="keys", AccessKeyId=first["AccessKeyId"], Status="Inactive")
    listed = iam.list_access_keys(UserName="keys")["AccessKeyMetadata"]
    assert [key["Status"] for key in listed] == ["Inactive", "Active"]
    assert all("SecretAccessKey" not in key for key in listed)
    with pytest.raises(ClientError) as error:
        iam.delete_user(UserName="keys")
    assert failure(error) == ("DeleteConflict", "Cannot delete entity, must delete access keys first.")
    with pytest.raises(ClientError) as error:
        iam.delete_access_key(UserName="keys", AccessKeyId="AKIA" + "X" * 16)
    assert failure(error) == ("NoSuchEntity", f"The Access Key with id AKIA{'X' * 16} cannot be found.")


def test_the_last_use_of_a_new_key_is_not_known(iam: Any) -> None:
    iam.create_user(UserName="unused")
    key = iam.create_access_key(UserName="unused")["AccessKey"]["AccessKeyId"]

    answer = iam.get_access_key_last_used(AccessKeyId=key)

    assert answer["UserName"] == "unused"
    assert answer["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}


def test_groups_have_members_and_policies(iam: Any) -> None:
    iam.create_user(UserName="member")
    iam.create_group(GroupName="team", Path="/t/")
    iam.put_group_policy(GroupName="team", PolicyName="p", PolicyDocument=json.dumps(READ))
    iam.attach_group_policy(GroupName="team", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")

    iam.add_user_to_group(GroupName="team", UserName="member")

    answer = iam.get_group(GroupName="team")
    assert answer["Group"]["Arn"] == "arn:aws:iam::000000000000:group/t/team"
    assert [user["UserName"] for user in answer["Users"]] == ["member"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="member")["Groups"]] == ["team"]
    assert iam.list_group_policies(GroupName="team")["PolicyNames"] == ["p"]
    iam.detach_group_policy(GroupName="team", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.delete_group_policy(GroupName="team", PolicyName="p")
    with pytest.raises(ClientError) as error:
        iam.delete_group(GroupName="team")
    assert failure(error) == ("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    iam.update_user(UserName="member", NewUserName="renamed")
    assert [user["UserName"] for user in iam.get_group(GroupName="team")["Users"]] == ["renamed"]
    iam.remove_user_from_group(GroupName="team", UserName="renamed")
    iam.delete_group(GroupName="team")


def test_a_password_is_set_but_never_shown(iam: Any) -> None:
    iam.create_user(UserName="login")

    with pytest.raises(ClientError) as error:
        iam.create_login_profile(UserName="login", Password="short")
    assert failure(error)[0] == "PasswordPolicyViolation"
    made = iam.create_login_profile(UserName="login", Password="Long-enough-1", PasswordResetRequired=True)
    assert "Password" not in made["LoginProfile"]
    assert iam.get_login_profile(UserName="login")["LoginProfile"]["PasswordResetRequired"] is True
    iam.update_login_profile(UserName="login", PasswordResetRequired=False)
    iam.delete_login_profile(UserName="login")
    with pytest.raises(ClientError) as error:
        iam.get_login_profile(UserName="login")
    assert failure(error) == ("NoSuchEntity", "Login Profile for User login cannot be found.")


def test_a_managed_policy_has_versions(iam: Any) -> None:
    made = iam.create_policy(PolicyName="m", Path="/x/", PolicyDocument=json.dumps(READ), Description="d")["Policy"]
    arn = made["Arn"]
    assert arn == "arn:aws:iam::000000000000:policy/x/m"
    wide = {**READ, "Statement": [{**READ["Statement"][0], "Action": "s3:*"}]}

    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(wide), SetAsDefault=True)

    assert (version["PolicyVersion"]["VersionId"], version["PolicyVersion"]["IsDefaultVersion"]) == ("v2", True)
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["DefaultVersionId"], policy["Description"], policy["Tags"]) == ("v2", "d", [])
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == READ
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [each["VersionId"] for each in versions] == ["v2", "v1"]
    with pytest.raises(ClientError) as error:
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert failure(error) == ("DeleteConflict", "Cannot delete the default version of a policy.")
    with pytest.raises(ClientError) as error:
        iam.delete_policy(PolicyArn=arn)
    assert failure(error)[0] == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    with pytest.raises(ClientError) as error:
        iam.get_policy_version(PolicyArn=arn, VersionId="v2")
    assert failure(error) == ("NoSuchEntity", f"Policy {arn} version v2 does not exist or is not attachable.")
    iam.delete_policy(PolicyArn=arn)
    with pytest.raises(ClientError) as error:
        iam.get_policy(PolicyArn=arn)
    assert failure(error) == ("NoSuchEntity", f"Policy {arn} was not found.")


def test_awss_policies_are_there_by_name_and_cannot_be_changed(iam: Any) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"

    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 20})
    names = [policy["PolicyName"] for page in pages for policy in page["Policies"]]

    assert len(names) >= 40 and len(set(names)) == len(names)
    assert "AdministratorAccess" in names
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert version["Document"]["Statement"] == [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    with pytest.raises(ClientError) as error:
        iam.delete_policy(PolicyArn=arn)
    assert failure(error)[0] == "AccessDenied"


def test_the_entities_of_a_policy_are_told_by_kind(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="used", PolicyDocument=json.dumps(READ))["Policy"]["Arn"]
    iam.create_user(UserName="user-of")
    iam.create_group(GroupName="group-of")
    iam.attach_user_policy(UserName="user-of", PolicyArn=arn)
    iam.attach_group_policy(GroupName="group-of", PolicyArn=arn)

    answer = iam.list_entities_for_policy(PolicyArn=arn)

    assert [each["UserName"] for each in answer["PolicyUsers"]] == ["user-of"]
    assert [each["GroupName"] for each in answer["PolicyGroups"]] == ["group-of"]
    assert answer["PolicyRoles"] == []
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 2
    only = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="User")
    assert only["PolicyGroups"] == []
    with pytest.raises(ClientError) as error:
        iam.delete_policy(PolicyArn=arn)
    assert failure(error) == ("DeleteConflict", "Cannot delete a policy attached to entities.")


def test_the_account_is_summed_up(cloud: TestCloud) -> None:
    iam = cloud.client("iam", account="555555555555")
    iam.create_user(UserName="u", Tags=[{"Key": "a", "Value": "b"}])
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(READ))

    summary = iam.get_account_summary()["SummaryMap"]
    details = iam.get_account_authorization_details()

    assert (summary["Users"], summary["Roles"], summary["PolicySizeQuota"]) == (1, 0, 6144)
    (user,) = details["UserDetailList"]
    assert user["UserPolicyList"] == [{"PolicyName": "p", "PolicyDocument": READ}]
    assert details["RoleDetailList"] == []


def test_an_account_has_one_alias_and_password_rules(cloud: TestCloud) -> None:
    iam = cloud.client("iam", account="666666666666")

    iam.create_account_alias(AccountAlias="my-alias")
    iam.update_account_password_policy(MinimumPasswordLength=12, MaxPasswordAge=30)

    assert iam.list_account_aliases()["AccountAliases"] == ["my-alias"]
    rules = iam.get_account_password_policy()["PasswordPolicy"]
    assert (rules["MinimumPasswordLength"], rules["ExpirePasswords"]) == (12, True)
    iam.delete_account_alias(AccountAlias="my-alias")
    iam.delete_account_password_policy()
    with pytest.raises(ClientError) as error:
        iam.get_account_password_policy()
    assert failure(error)[0] == "NoSuchEntity"


def test_the_simulator_says_what_would_be_decided(iam: Any) -> None:
    arn = iam.create_user(UserName="simulated")["User"]["Arn"]
    iam.put_user_policy(UserName="simulated", PolicyName="p", PolicyDocument=json.dumps(READ))

    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=["arn:aws:s3:::b/k"]
    )

    decisions = {each["EvalActionName"]: each["EvalDecision"] for each in answer["EvaluationResults"]}
    assert decisions == {"s3:GetObject": "allowed", "s3:PutObject": "implicitDeny"}
    deny = json.dumps({**READ, "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    (result,) = iam.simulate_custom_policy(PolicyInputList=[deny], ActionNames=["s3:GetObject"])["EvaluationResults"]
    assert result["EvalDecision"] == "explicitDeny"


def test_outside_providers_are_recorded(iam: Any) -> None:
    arn = iam.create_open_id_connect_provider(
        Url="https://token.example.com/path", ClientIDList=["one"], ThumbprintList=["a" * 40]
    )["OpenIDConnectProviderArn"]

    assert arn == "arn:aws:iam::000000000000:oidc-provider/token.example.com/path"
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="two")
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert provider["ClientIDList"] == ["one", "two"]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with pytest.raises(ClientError) as error:
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert failure(error)[0] == "NoSuchEntity"
