"""Tags, reserved concurrency, account settings, retries of events."""

from typing import Any

import pytest

from tests.functions import make_function

SOURCE = "def handler(event, context): return 1"


@pytest.fixture
def function(client: Any, name: str) -> str:
    return make_function(client, name, SOURCE)


def test_tags_are_added_replaced_and_removed(client: Any, function: str) -> None:
    client.tag_resource(Resource=function, Tags={"a": "1", "b": "2"})
    client.tag_resource(Resource=function, Tags={"b": "3"})
    assert client.list_tags(Resource=function)["Tags"] == {"a": "1", "b": "3"}

    client.untag_resource(Resource=function, TagKeys=["a", "unknown"])

    assert client.list_tags(Resource=function)["Tags"] == {"b": "3"}
    assert client.get_function(FunctionName=function)["Tags"] == {"b": "3"}


def test_a_function_without_tags_has_none(client: Any, function: str) -> None:
    assert client.list_tags(Resource=function)["Tags"] == {}
    assert "Tags" not in client.get_function(FunctionName=function)


def test_tags_belong_to_functions_not_to_versions(client: Any, function: str, refusal: Any) -> None:
    assert refusal(client.list_tags, Resource=f"{function}:$LATEST") == (
        "InvalidParameterValueException",
        400,
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert refusal(client.list_tags, Resource="nonsense")[:2] == ("ValidationException", 400)
    assert refusal(client.tag_resource, Resource=function[:-1] + "none", Tags={"a": "b"})[0] == (
        "ResourceNotFoundException"
    )


def test_concurrency_is_reserved_and_given_back(client: Any, name: str, function: str) -> None:
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)

    assert (
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)[
            "ReservedConcurrentExecutions"
        ]
        == 7
    )

    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 7
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] <= 993
    client.delete_function_concurrency(FunctionName=name)
    assert "Concurrency" not in client.get_function(FunctionName=name)


def test_a_hundred_must_stay_unreserved(client: Any, name: str, function: str, refusal: Any) -> None:
    assert refusal(client.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=901) == (
        "InvalidParameterValueException",
        400,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100].",
    )


def test_account_settings_count_functions_and_bytes(cloud: Any) -> None:
    client = cloud.client("lambda", account="333333333333")
    assert client.get_account_settings()["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}
    make_function(client, "f", SOURCE, Role="arn:aws:iam::333333333333:role/any")
    size = client.get_function_configuration(FunctionName="f")["CodeSize"]

    answer = client.get_account_settings()

    assert answer["AccountUsage"] == {"TotalCodeSize": size, "FunctionCount": 1}
    assert answer["AccountLimit"] == {
        "TotalCodeSize": 80_530_636_800,
        "CodeSizeUnzipped": 262_144_000,
        "CodeSizeZipped": 52_428_800,
        "ConcurrentExecutions": 1_000,
        "UnreservedConcurrentExecutions": 1_000,
    }


def test_retries_of_events_are_set_read_and_removed(client: Any, name: str, function: str, refusal: Any) -> None:
    nothing = refusal(client.get_function_event_invoke_config, FunctionName=name)
    assert nothing[0] == "ResourceNotFoundException"
    assert nothing[2] == f"The function {function}:$LATEST doesn't have an EventInvokeConfig"

    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert (put["FunctionArn"], put["MaximumRetryAttempts"]) == (f"{function}:$LATEST", 0)
    assert "MaximumEventAgeInSeconds" not in put
    client.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    found = client.get_function_event_invoke_config(FunctionName=name)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)
    assert found["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    listed = client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [each["FunctionArn"] for each in listed] == [f"{function}:$LATEST"]

    client.delete_function_event_invoke_config(FunctionName=name)
    assert refusal(client.get_function_event_invoke_config, FunctionName=name)[0] == "ResourceNotFoundException"


def test_destinations_are_refused_and_not_forgotten(client: Any, name: str, function: str, refusal: Any) -> None:
    found = refusal(
        client.put_function_event_invoke_config,
        FunctionName=name,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}},
    )

    assert found[:2] == ("NotImplemented", 501)
