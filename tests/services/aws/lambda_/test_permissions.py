"""AddPermission, RemovePermission, GetPolicy: the statements, letter by letter."""

import json
from typing import Any

import pytest

from tests.functions import make_function

SOURCE = "def handler(event, context): return 1"


@pytest.fixture
def function(client: Any, name: str) -> str:
    return make_function(client, name, SOURCE)


def add(client: Any, function: str, id: str = "one", **members: Any) -> Any:
    given = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", **members}
    return json.loads(client.add_permission(FunctionName=function, StatementId=id, **given)["Statement"])


def test_a_service_with_its_source(client: Any, function: str) -> None:
    statement = add(client, function, SourceArn="arn:aws:s3:::pictures", SourceAccount="000000000000")

    assert statement == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": function,
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "000000000000"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::pictures"},
        },
    }


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("111111111111", {"AWS": "arn:aws:iam::111111111111:root"}),
        ("arn:aws:iam::111111111111:role/r", {"AWS": "arn:aws:iam::111111111111:role/r"}),
        ("*", "*"),
        ("events.amazonaws.com", {"Service": "events.amazonaws.com"}),
    ],
)
def test_principals_of_every_kind(client: Any, function: str, given: str, written: Any) -> None:
    assert add(client, function, Principal=given)["Principal"] == written


def test_conditions_of_every_kind(client: Any, function: str) -> None:
    statement = add(
        client,
        function,
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
        PrincipalOrgID="o-a1b2c3d4e5",
        EventSourceToken="token",
    )

    assert statement["Condition"] == {
        "StringEquals": {
            "aws:PrincipalOrgID": "o-a1b2c3d4e5",
            "lambda:EventSourceToken": "token",
            "lambda:FunctionUrlAuthType": "NONE",
        }
    }


def test_a_policy_lists_them_in_order(client: Any, name: str, function: str) -> None:
    first = add(client, function, "b")
    second = add(client, name, "a")

    answer = client.get_policy(FunctionName=name)

    assert json.loads(answer["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [first, second]}
    assert answer["RevisionId"] == client.get_function_configuration(FunctionName=name)["RevisionId"]


def test_versions_have_policies_of_their_own(client: Any, name: str, function: str, refusal: Any) -> None:
    client.publish_version(FunctionName=name)

    statement = add(client, name, Qualifier="1")

    assert statement["Resource"] == f"{function}:1"
    assert refusal(client.get_policy, FunctionName=name)[0] == "ResourceNotFoundException"
    assert json.loads(client.get_policy(FunctionName=f"{name}:1")["Policy"])["Statement"] == [statement]


def test_an_id_is_taken_once(client: Any, function: str, refusal: Any) -> None:
    add(client, function)

    assert refusal(add, client=client, function=function) == (
        "ResourceConflictException",
        409,
        "The statement id (one) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    )


def test_a_removed_statement_is_gone(client: Any, name: str, function: str, refusal: Any) -> None:
    add(client, function, "one")
    add(client, function, "two")

    assert client.remove_permission(FunctionName=name, StatementId="one")["ResponseMetadata"]["HTTPStatusCode"] == 204

    assert refusal(client.remove_permission, FunctionName=name, StatementId="one") == (
        "ResourceNotFoundException",
        404,
        "Statement one is not found in resource policy.",
    )
    client.remove_permission(FunctionName=name, StatementId="two")
    assert refusal(client.get_policy, FunctionName=name) == (
        "ResourceNotFoundException",
        404,
        "The resource you requested does not exist.",
    )
    assert refusal(client.remove_permission, FunctionName=name, StatementId="two")[2] == (
        "No policy is associated with the given resource."
    )


@pytest.mark.parametrize(
    "members",
    [{"Principal": "nobody"}, {"Action": "everything"}, {"StatementId": "two words"}, {"Qualifier": "$LATEST"}],
)
def test_bad_statements_are_refused(client: Any, function: str, refusal: Any, members: dict[str, str]) -> None:
    given = {"StatementId": "one", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", **members}

    code, status, _ = refusal(client.add_permission, FunctionName=function, **given)

    assert (code, status) in (("InvalidParameterValueException", 400), ("ValidationException", 400))


def test_a_wrong_revision_is_refused(client: Any, name: str, function: str, refusal: Any) -> None:
    found = refusal(
        client.add_permission,
        FunctionName=name,
        StatementId="one",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        RevisionId="other",
    )

    assert found[:2] == ("PreconditionFailedException", 412)


def test_a_function_that_is_not_there(client: Any, refusal: Any) -> None:
    nobody = "arn:aws:lambda:us-east-1:000000000000:function:nobody"

    assert refusal(add, client=client, function="nobody") == (
        "ResourceNotFoundException",
        404,
        f"Function not found: {nobody}",
    )
    assert refusal(client.get_policy, FunctionName="nobody")[2] == f"Function not found: {nobody}"
