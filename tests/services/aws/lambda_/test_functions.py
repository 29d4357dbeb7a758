"""Create, get, list, update, delete: what Lambda answers, member by member."""

import base64
import hashlib
import re
from typing import Any

import pytest
from botocore.config import Config

from tests.functions import make_function, package

ROLE = "arn:aws:iam::000000000000:role/any"
HELLO = "def handler(event, context):\n    return 'hello'\n"


def make(client: Any, name: str, **settings: Any) -> Any:
    given = {"Runtime": "python3.11", "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": package(HELLO)}}
    return client.create_function(FunctionName=name, **{**given, **settings})


def arn(name: str, qualifier: str = "") -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}{qualifier and ':'}{qualifier}"


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def test_create_answers_with_every_member_that_lambda_returns(client: Any, name: str) -> None:
    answer = make(client, name)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    made = without_metadata(answer)
    archive = package(HELLO)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", made.pop("LastModified"))
    assert re.fullmatch(r"[0-9a-f-]{36}", made.pop("RevisionId"))
    assert made.pop("RuntimeVersionConfig")["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert made == {
        "FunctionName": name,
        "FunctionArn": arn(name),
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(archive),
        "CodeSha256": base64.b64encode(hashlib.sha256(archive).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }


def test_a_function_becomes_active_and_the_waiters_see_it(client: Any, name: str) -> None:
    made = make(client, name)
    client.get_waiter("function_exists").wait(FunctionName=name)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    found = client.get_function_configuration(FunctionName=name)

    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReasonCode" not in found
    assert found["RevisionId"] != made["RevisionId"]


def test_settings_are_kept(client: Any, name: str) -> None:
    make_function(
        client,
        name,
        HELLO,
        Description="a test",
        Timeout=900,
        MemorySize=10_240,
        Environment={"Variables": {"A1": "b", "Leer": ""}},
        EphemeralStorage={"Size": 10_240},
        TracingConfig={"Mode": "Active"},
        Architectures=["arm64"],
        LoggingConfig={"LogFormat": "JSON", "LogGroup": "mine", "SystemLogLevel": "WARN"},
        Tags={"team": "red"},
    )

    answer = client.get_function(FunctionName=name)

    found = answer["Configuration"]
    assert answer["Tags"] == {"team": "red"}
    assert (found["Description"], found["Timeout"], found["MemorySize"]) == ("a test", 900, 10_240)
    assert found["Environment"] == {"Variables": {"A1": "b", "Leer": ""}}
    assert found["EphemeralStorage"] == {"Size": 10_240}
    assert found["TracingConfig"] == {"Mode": "Active"}
    assert found["Architectures"] == ["arm64"]
    assert found["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "mine",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }


def test_a_name_is_taken_once(client: Any, name: str, refusal: Any) -> None:
    make(client, name)

    assert refusal(make, client=client, name=name) == (
        "ResourceConflictException",
        409,
        f"Function already exist: {name}",
    )


@pytest.mark.parametrize(
    ("operation", "qualifier"),
    [
        (operation, qualifier)
        for operation in ("get_function", "get_function_configuration", "delete_function", "invoke")
        for qualifier in ("", "$LATEST", "1", "live")
        if (operation, qualifier) != ("delete_function", "$LATEST")  # refused for another reason
    ],
)
def test_what_does_not_exist_is_not_found(client: Any, operation: str, qualifier: str, refusal: Any) -> None:
    given = {"Qualifier": qualifier} if qualifier else {}

    assert refusal(getattr(client, operation), FunctionName="nobody", **given) == (
        "ResourceNotFoundException",
        404,
        f"Function not found: {arn('nobody', qualifier)}",
    )


def test_errors_carry_their_type(client: Any) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException) as failure:
        client.get_function(FunctionName="nobody")

    assert failure.value.response["Type"] == "User"
    assert failure.value.response["Message"] == f"Function not found: {arn('nobody')}"


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "function:{}",
        "000000000000:{}",
        "000000000000:function:{}",
        "arn:aws:lambda:us-east-1:000000000000:function:{}",
    ],
)
def test_a_function_may_be_named_in_every_way(client: Any, name: str, form: str) -> None:
    make_function(client, name, HELLO)

    named = client.get_function_configuration(FunctionName=form.format(name))
    qualified = client.get_function_configuration(FunctionName=form.format(name) + ":$LATEST")

    assert named["FunctionArn"] == arn(name)
    assert qualified["FunctionArn"] == arn(name, "$LATEST")


def test_a_name_and_a_qualifier_must_agree(client: Any, name: str, refusal: Any) -> None:
    make(client, name)

    code, status, message = refusal(client.get_function, FunctionName=f"{name}:1", Qualifier="2")

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message == "The derived qualifier from the function name does not match the specified qualifier."


def test_functions_of_another_region_are_out_of_reach(client: Any, refusal: Any) -> None:
    name = "arn:aws:lambda:eu-west-1:000000000000:function:f"

    assert refusal(client.get_function, FunctionName=name) == (
        "ResourceNotFoundException",
        404,
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )


def test_regions_and_accounts_are_apart(cloud: Any, client: Any, name: str) -> None:
    make(client, name)

    for other in (cloud.client("lambda", region="eu-west-1"), cloud.client("lambda", account="111111111111")):
        assert name not in [function["FunctionName"] for function in other.list_functions()["Functions"]]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"Runtime": "cobol"}, "", "enum value set"),
        ({"Timeout": 0}, "", "greater than or equal to 1"),
        ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
        ({"MemorySize": 127}, "", "greater than or equal to 128"),
        ({"MemorySize": 10_241}, "ValidationException", "less than or equal to 10240"),
        ({"EphemeralStorage": {"Size": 511}}, "", "greater than or equal to 512"),
        ({"EphemeralStorage": {"Size": 10_241}}, "ValidationException", "less than or equal to 10240"),
        ({"Role": "nonsense"}, "ValidationException", "regular expression pattern"),
        ({"Handler": "two words"}, "", "regular expression pattern"),
        ({"Description": "x" * 257}, "", "length less than or equal to 256"),
        ({"Code": {}}, "InvalidParameterValueException", "Please provide a source for function code."),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file."),
        ({"Code": {"ZipFile": b""}}, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
        (
            {"Code": {"S3Bucket": "nowhere", "S3Key": "x"}},
            "InvalidParameterValueException",
            "S3 Error Code: NoSuchBucket.",
        ),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "request: AWS_REGION"),
        (
            {"Environment": {"Variables": {"A1": "x" * 4_097}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        (
            {"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "WARN"}},
            "InvalidParameterValueException",
            "Log level",
        ),
        ({"Tags": {str(number): "" for number in range(51)}}, "InvalidParameterValueException", "tag limit of 50"),
        ({"PackageType": "Image", "Code": {"ImageUri": "x"}}, "NotImplemented", "container images"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "NotImplemented", "VpcConfig"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:x:1"]}, "NotImplemented", "Layers"),
    ],
)
def test_bad_settings_are_refused(
    cloud: Any, name: str, refusal: Any, settings: dict[str, Any], code: str, words: str
) -> None:
    # boto3 would refuse some of them itself.
    client = cloud.client("lambda", config=Config(parameter_validation=False))

    found, status, message = refusal(make, client=client, name=name, **settings)

    assert words in message
    assert found == code or (not code and found in ("ValidationException", "InvalidParameterValueException"))
    assert status == (501 if code == "NotImplemented" else 400)
    assert name not in [function["FunctionName"] for function in client.list_functions()["Functions"]]


def test_a_function_without_handler_is_refused(client: Any, name: str, refusal: Any) -> None:
    members = {"FunctionName": name, "Role": ROLE, "Runtime": "python3.11", "Code": {"ZipFile": package(HELLO)}}

    code, _, message = refusal(client.create_function, **members)

    assert code == "InvalidParameterValueException"
    assert message == "Runtime and Handler are mandatory parameters for functions created with deployment packages."


def test_old_runtimes_run_on_what_is_there_and_say_so(client: Any, name: str) -> None:
    make_function(client, name, HELLO, Runtime="python3.6")

    found = client.get_function_configuration(FunctionName=name)

    assert found["State"] == "Active"
    assert found["Runtime"] == "python3.6"
    assert "python3.6 is not on this machine" in found["StateReason"]
    assert client.invoke(FunctionName=name)["Payload"].read() == b'"hello"'


def test_code_may_come_from_a_bucket(cloud: Any, client: Any, name: str) -> None:
    store = cloud.client("s3")
    store.create_bucket(Bucket=f"code-{name}")
    store.put_object(Bucket=f"code-{name}", Key="small.zip", Body=package(HELLO))
    padding = "# " + "x" * 70 + "\n"
    big = package("".join(padding + f"# {number}\n" for number in range(30_000)) + HELLO)
    store.put_object(Bucket=f"code-{name}", Key="big.zip", Body=big)

    for key in ("small.zip", "big.zip"):
        make_function(client, f"{name}-{key[:3]}", "", Code={"S3Bucket": f"code-{name}", "S3Key": key})
        assert client.invoke(FunctionName=f"{name}-{key[:3]}")["Payload"].read() == b'"hello"'


def test_an_update_of_settings_passes_through_its_states(client: Any, name: str) -> None:
    make_function(client, name, HELLO, Environment={"Variables": {"A1": "b"}})
    before = client.get_function_configuration(FunctionName=name)

    updating = client.update_function_configuration(FunctionName=name, Timeout=30, Description="new")
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    after = client.get_function_configuration(FunctionName=name)

    assert (updating["State"], updating["LastUpdateStatus"]) == ("Active", "InProgress")
    assert updating["LastUpdateStatusReasonCode"] == "Creating"
    assert (after["Timeout"], after["Description"], after["LastUpdateStatus"]) == (30, "new", "Successful")
    assert after["Environment"] == before["Environment"]
    assert after["CodeSha256"] == before["CodeSha256"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {}}, RevisionId=after["RevisionId"]
    )
    assert client.get_function_configuration(FunctionName=name)["Environment"] == {"Variables": {}}


def test_new_code_runs_from_the_next_invocation_on(client: Any, name: str) -> None:
    make_function(client, name, HELLO)
    assert client.invoke(FunctionName=name)["Payload"].read() == b'"hello"'

    client.update_function_code(FunctionName=name, ZipFile=package(HELLO.replace("hello", "bye")))
    client.get_waiter("function_updated_v2").wait(FunctionName=name)

    assert client.invoke(FunctionName=name)["Payload"].read() == b'"bye"'


def test_a_dry_run_of_new_code_changes_nothing(client: Any, name: str) -> None:
    make_function(client, name, HELLO)
    before = client.get_function_configuration(FunctionName=name)

    answer = client.update_function_code(FunctionName=name, ZipFile=package("x = 1"), DryRun=True)

    assert answer["CodeSha256"] != before["CodeSha256"]
    assert client.get_function_configuration(FunctionName=name)["CodeSha256"] == before["CodeSha256"]


def test_a_wrong_revision_is_refused(client: Any, name: str, refusal: Any) -> None:
    make_function(client, name, HELLO)
    message = (
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
        "the latest Revision Id"
    )

    for operation, members in (
        (client.update_function_configuration, {"Timeout": 5}),
        (client.update_function_code, {"ZipFile": package(HELLO)}),
        (client.publish_version, {}),
    ):
        found = refusal(operation, FunctionName=name, RevisionId="other", **members)
        assert found == ("PreconditionFailedException", 412, message)


def test_versions_are_published_listed_and_deleted(client: Any, name: str, refusal: Any) -> None:
    make_function(client, name, HELLO)

    first = client.publish_version(FunctionName=name, Description="one")
    again = client.publish_version(FunctionName=name)
    second = client.update_function_code(FunctionName=name, ZipFile=package("x = 2"), Publish=True)

    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["Version"], first["FunctionArn"], first["State"]) == ("1", arn(name, "1"), "Active")
    assert first["Description"] == "one"
    assert without_metadata(again) == without_metadata(first)
    assert (second["Version"], second["FunctionArn"]) == ("2", arn(name, "2"))
    listed = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["FunctionArn"] for version in listed] == [arn(name, "$LATEST"), arn(name, "1"), arn(name, "2")]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & set(listed[0])
    client.delete_function(FunctionName=name, Qualifier="1")
    assert refusal(client.get_function, FunctionName=name, Qualifier="1")[0] == "ResourceNotFoundException"
    assert refusal(client.delete_function, FunctionName=name, Qualifier="$LATEST") == (
        "InvalidParameterValueException",
        400,
        "$LATEST version cannot be deleted without deleting the function.",
    )


def test_publishing_may_be_tied_to_the_code(client: Any, name: str, refusal: Any) -> None:
    make_function(client, name, HELLO)
    current = client.get_function_configuration(FunctionName=name)["CodeSha256"]
    other = base64.b64encode(bytes(32)).decode()

    code, status, message = refusal(client.publish_version, FunctionName=name, CodeSha256=other)

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message == (
        f"CodeSHA256 ({other}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the "
        "CodeSHA256 in $LATEST."
    )
    assert client.publish_version(FunctionName=name, CodeSha256=current)["Version"] == "1"


def test_a_function_may_be_published_as_it_is_created(client: Any, name: str) -> None:
    made = make(client, name, Publish=True)

    assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", arn(name), "Pending")
    assert client.get_function_configuration(FunctionName=name, Qualifier="1")["FunctionArn"] == arn(name, "1")


def test_lists_come_a_page_at_a_time(cloud: Any) -> None:
    client = cloud.client("lambda", account="222222222222")
    for number in range(5):
        make(client, f"f{number}", Role="arn:aws:iam::222222222222:role/any", Publish=number == 2)

    first = client.list_functions(MaxItems=2)
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    every = client.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 2})

    assert [function["FunctionName"] for function in first["Functions"]] == ["f0", "f1"]
    assert "NextMarker" in first
    assert [function["FunctionName"] for page in pages for function in page["Functions"]] == [
        "f0",
        "f1",
        "f2",
        "f3",
        "f4",
    ]
    assert [
        f"{function['FunctionName']}:{function['Version']}" for page in every for function in page["Functions"]
    ] == [
        "f0:$LATEST",
        "f1:$LATEST",
        "f2:$LATEST",
        "f2:1",
        "f3:$LATEST",
        "f4:$LATEST",
    ]


@pytest.mark.parametrize("marker", ["nonsense", "Zjp4", "Zg==", "8J-YgA=="])
def test_a_marker_that_nobody_gave_is_refused(client: Any, refusal: Any, marker: str) -> None:
    found = refusal(client.list_functions, FunctionVersion="ALL", Marker=marker)

    assert found[:2] == ("InvalidParameterValueException", 400)


def test_a_list_goes_on_behind_a_function_that_was_deleted_meanwhile(cloud: Any) -> None:
    client = cloud.client("lambda", account="444444444444")
    for name in ("a", "b", "c"):
        make(client, name, Role="arn:aws:iam::444444444444:role/any")
    for kind in ({}, {"FunctionVersion": "ALL"}):
        first = client.list_functions(MaxItems=1, **kind)
        client.delete_function(FunctionName=first["Functions"][0]["FunctionName"])

        rest = client.list_functions(Marker=first["NextMarker"], **kind)

        assert first["Functions"][0]["FunctionName"] not in [each["FunctionName"] for each in rest["Functions"]]
        assert rest["Functions"][-1]["FunctionName"] == "c"


def test_a_deleted_function_is_gone(client: Any, name: str, refusal: Any) -> None:
    make_function(client, name, HELLO)
    client.publish_version(FunctionName=name)

    answer = client.delete_function(FunctionName=name)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(client.get_function, FunctionName=name, Qualifier="1")[0] == "ResourceNotFoundException"
    assert refusal(client.delete_function, FunctionName=name)[0] == "ResourceNotFoundException"


def test_operations_on_all_versions_take_no_qualifier(client: Any, name: str, refusal: Any) -> None:
    make_function(client, name, HELLO)

    assert (
        refusal(client.update_function_configuration, FunctionName=f"{name}:1")[0] == "InvalidParameterValueException"
    )
