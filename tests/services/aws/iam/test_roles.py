"""Roles and their policies through unmodified boto3, as deploy tools use them."""

import json
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cloud import TestCloud

TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
READ: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}],
}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture
def iam(cloud: TestCloud) -> Any:
    return cloud.client("iam")


def create(iam: Any, name: str, **more: Any) -> dict[str, Any]:
    role: dict[str, Any] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), **more)["Role"]
    return role


def failure(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str, str]:
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def test_a_role_is_given_back_as_it_was_made(iam: Any) -> None:
    made = create(iam, "one", Path="/p/", Description="d", MaxSessionDuration=7200, Tags=[{"Key": "a", "Value": "b"}])

    role = iam.get_role(RoleName="one")["Role"]

    assert role["RoleId"] == made["RoleId"]
    assert role["RoleId"].startswith("AROA") and len(role["RoleId"]) == 21
    assert role["Arn"] == "arn:aws:iam::000000000000:role/p/one"
    assert role["AssumeRolePolicyDocument"] == TRUST
    assert (role["Path"], role["Description"], role["MaxSessionDuration"]) == ("/p/", "d", 7200)
    assert role["Tags"] == [{"Key": "a", "Value": "b"}]
    assert role["RoleLastUsed"] == {}
    assert role["CreateDate"].microsecond == 0


def test_a_name_is_taken_once_and_missed_by_name(iam: Any) -> None:
    create(iam, "two")

    with pytest.raises(ClientError) as error:
        create(iam, "TWO")
    assert failure(error) == (409, "EntityAlreadyExists", "Role with name TWO already exists.")
    with pytest.raises(iam.exceptions.NoSuchEntityException) as missing:
        iam.get_role(RoleName="none")
    assert failure(missing) == (404, "NoSuchEntity", "The role with name none cannot be found.")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("nonsense", "This policy contains invalid Json"),
        ('{"Version":"2012-10-17"}', "Syntax errors in policy."),
        (json.dumps(READ), "Has prohibited field Resource"),
    ],
)
def test_a_malformed_trust_policy_is_refused(iam: Any, document: str, message: str) -> None:
    with pytest.raises(ClientError) as error:
        iam.create_role(RoleName="bad", AssumeRolePolicyDocument=document)

    assert failure(error)[:2] == (400, "MalformedPolicyDocument")
    assert failure(error)[2] == message or "prohibited" not in message


def test_inline_policies_come_and_go(iam: Any) -> None:
    create(iam, "three")

    iam.put_role_policy(RoleName="three", PolicyName="p", PolicyDocument=json.dumps(READ))

    answer = iam.get_role_policy(RoleName="three", PolicyName="p")
    assert (answer["RoleName"], answer["PolicyName"], answer["PolicyDocument"]) == ("three", "p", READ)
    assert iam.list_role_policies(RoleName="three")["PolicyNames"] == ["p"]
    with pytest.raises(ClientError) as error:
        iam.delete_role(RoleName="three")
    assert failure(error) == (409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
    iam.delete_role_policy(RoleName="three", PolicyName="p")
    with pytest.raises(ClientError) as error:
        iam.get_role_policy(RoleName="three", PolicyName="p")
    assert failure(error) == (404, "NoSuchEntity", "The role policy with name p cannot be found.")
    iam.delete_role(RoleName="three")


def test_a_policy_that_is_too_long_is_refused_by_its_quota(iam: Any) -> None:
    create(iam, "long")
    statements = [{**READ["Statement"][0], "Resource": f"arn:aws:s3:::b/{n:04}/*"} for n in range(150)]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})

    with pytest.raises(ClientError) as error:
        iam.put_role_policy(RoleName="long", PolicyName="p", PolicyDocument=document)
    assert failure(error) == (409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role long")
    with pytest.raises(ClientError) as error:
        iam.create_policy(PolicyName="long", PolicyDocument=document)
    assert failure(error) == (409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")


def test_managed_policies_are_attached_and_detached(iam: Any) -> None:
    create(iam, "four")

    iam.attach_role_policy(RoleName="four", PolicyArn=BASIC)
    iam.attach_role_policy(RoleName="four", PolicyArn=BASIC)

    attached = iam.list_attached_role_policies(RoleName="four")
    assert attached["AttachedPolicies"] == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}]
    assert attached["IsTruncated"] is False
    with pytest.raises(ClientError) as error:
        iam.delete_role(RoleName="four")
    assert failure(error) == (409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    iam.detach_role_policy(RoleName="four", PolicyArn=BASIC)
    with pytest.raises(ClientError) as error:
        iam.detach_role_policy(RoleName="four", PolicyArn=BASIC)
    assert failure(error) == (404, "NoSuchEntity", f"Policy {BASIC} was not found.")


def test_a_policy_that_aws_does_not_have_cannot_be_attached(iam: Any) -> None:
    create(iam, "five")
    arn = "arn:aws:iam::aws:policy/NoSuchPolicyAtAll"

    with pytest.raises(ClientError) as error:
        iam.attach_role_policy(RoleName="five", PolicyArn=arn)
    assert failure(error) == (404, "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    with pytest.raises(ClientError) as error:
        iam.attach_role_policy(RoleName="five", PolicyArn="x" * 20)
    assert failure(error) == (400, "InvalidInput", f"ARN {'x' * 20} is not valid.")


def test_at_most_ten_policies_are_attached(iam: Any) -> None:
    create(iam, "ten")
    arns = [
        iam.create_policy(PolicyName=f"ten-{n}", PolicyDocument=json.dumps(READ))["Policy"]["Arn"] for n in range(11)
    ]
    for arn in arns[:10]:
        iam.attach_role_policy(RoleName="ten", PolicyArn=arn)

    with pytest.raises(ClientError) as error:
        iam.attach_role_policy(RoleName="ten", PolicyArn=arns[10])

    assert failure(error) == (409, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")


def test_roles_are_changed_in_place(iam: Any) -> None:
    create(iam, "six")
    other = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "states.amazonaws.com"}}]}

    iam.update_role(RoleName="six", Description="new", MaxSessionDuration=4000)
    iam.update_assume_role_policy(RoleName="six", PolicyDocument=json.dumps(other))
    iam.tag_role(RoleName="six", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_role(RoleName="six", TagKeys=["a"])

    role = iam.get_role(RoleName="six")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("new", 4000)
    assert role["AssumeRolePolicyDocument"] == other
    assert iam.list_role_tags(RoleName="six")["Tags"] == [{"Key": "b", "Value": "2"}]


def test_a_boundary_is_put_and_taken_away(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="edge", Path="/e/", PolicyDocument=json.dumps(READ))["Policy"]["Arn"]
    create(iam, "seven", PermissionsBoundary=arn)

    assert iam.get_role(RoleName="seven")["Role"]["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": arn,
    }
    iam.delete_role_permissions_boundary(RoleName="seven")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="seven")["Role"]


def test_lists_are_paged_and_stay_under_a_path(cloud: TestCloud) -> None:
    iam = cloud.client("iam", account="444444444444")
    for number in range(5):
        create(iam, f"r{number}", Path="/a/" if number % 2 else "/b/")

    first = iam.list_roles(MaxItems=2)
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})

    assert first["IsTruncated"] is True
    assert [role["RoleName"] for role in first["Roles"]] == ["r0", "r1"]
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == ["r0", "r1", "r2", "r3", "r4"]
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/a/")["Roles"]] == ["r1", "r3"]
    assert "Tags" not in first["Roles"][0]
    with pytest.raises(ClientError) as error:
        iam.list_roles(Marker="not a marker!")
    assert failure(error)[1] == "ValidationError"


def test_waiters_find_a_new_role(iam: Any) -> None:
    create(iam, "waited")

    iam.get_waiter("role_exists").wait(RoleName="waited", WaiterConfig={"MaxAttempts": 1})


def test_a_service_linked_role_belongs_to_its_service(iam: Any) -> None:
    role = iam.create_service_linked_role(AWSServiceName="ops.apigateway.amazonaws.com")["Role"]

    assert role["RoleName"] == "AWSServiceRoleForAPIGateway"
    assert role["Path"] == "/aws-service-role/ops.apigateway.amazonaws.com/"
    with pytest.raises(ClientError) as error:
        iam.delete_role(RoleName=role["RoleName"])
    assert failure(error)[:2] == (400, "UnmodifiableEntity")
    task = iam.delete_service_linked_role(RoleName=role["RoleName"])["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"


def test_a_role_in_a_profile_stays_until_it_is_taken_out(iam: Any) -> None:
    create(iam, "boxed")
    iam.create_instance_profile(InstanceProfileName="box")
    iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="boxed")

    profile = iam.get_instance_profile(InstanceProfileName="box")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["boxed"]
    (listed,) = iam.list_instance_profiles_for_role(RoleName="boxed")["InstanceProfiles"]
    assert listed["InstanceProfileName"] == "box"
    with pytest.raises(ClientError) as error:
        iam.delete_role(RoleName="boxed")
    assert failure(error)[2] == "Cannot delete entity, must remove roles from instance profile first."
    iam.remove_role_from_instance_profile(InstanceProfileName="box", RoleName="boxed")
    iam.delete_role(RoleName="boxed")
    iam.delete_instance_profile(InstanceProfileName="box")


@pytest.mark.parametrize("name", ["", "a b", "x" * 65])
def test_names_that_are_none_are_refused(cloud: TestCloud, name: str) -> None:
    iam = cloud.client("iam", config=Config(parameter_validation=False))

    with pytest.raises(ClientError) as error:
        create(iam, name)

    assert failure(error)[:2] == (400, "ValidationError")
