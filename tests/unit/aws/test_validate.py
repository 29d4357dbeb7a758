"""Refused inputs, in AWS's words."""

from typing import Any

import msgspec
import pytest

from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import Library
from haneul.clouds.aws.patterns import compiled, satisfies
from haneul.clouds.aws.protocols import Wire
from haneul.clouds.aws.protocols.json import JsonCodec
from haneul.clouds.aws.protocols.locations import parse_query
from haneul.clouds.aws.protocols.query import QueryCodec
from haneul.clouds.aws.protocols.rest_json import RestJsonCodec
from haneul.clouds.aws.protocols.rest_xml import RestXmlCodec
from tests.unit.aws.driver import request

LIBRARY = Library()


def json(service: str, operation: str, body: bytes | dict[str, Any]) -> dict[str, Any]:
    model = LIBRARY.load(service)
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return JsonCodec(b"1.1").decoder(model, model.operations[operation])(Wire(request("POST"), {}, raw))


def rest(
    operation: str, labels: dict[str, str], body: bytes | dict[str, Any] = b"", target: str = "/", **headers: str
) -> dict[str, Any]:
    model = LIBRARY.load("lambda")
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    made = request("POST", target, headers)
    return RestJsonCodec().decoder(model, model.operations[operation])(Wire(made, labels, raw))


def query(service: str, operation: str, form: str) -> dict[str, Any]:
    model = LIBRARY.load(service)
    return QueryCodec().decoder(model, model.operations[operation])(Wire(request("POST"), {}, b"", parse_query(form)))


def xml(operation: str, body: bytes, target: str = "/b") -> dict[str, Any]:
    model = LIBRARY.load("s3")
    made = request("PUT", target)
    return RestXmlCodec().decoder(model, model.operations[operation])(Wire(made, {"Bucket": "b", "Key": "k"}, body))


def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        call()
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


def test_a_number_out_of_range() -> None:
    code, message = refusal(lambda: rest("UpdateFunctionConfiguration", {"FunctionName": "f"}, {"MemorySize": 1}))

    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value '1' at 'memorySize' failed to satisfy constraint: "
        "Member must have value greater than or equal to 128"
    )


def test_every_broken_constraint_is_named() -> None:
    _, message = refusal(lambda: json("dynamodb", "CreateTable", {"TableName": "a", "KeySchema": []}))

    assert (
        "Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater than or equal to 1"
        in message
    )


def test_a_missing_member() -> None:
    code, message = refusal(lambda: json("logs", "CreateLogGroup", {}))

    assert code == "InvalidParameterException"
    assert message == (
        "1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be null"
    )


def test_a_null_is_a_missing_member() -> None:
    assert refusal(lambda: json("logs", "CreateLogGroup", b'{"logGroupName":null}'))[0] == "InvalidParameterException"
    assert json("logs", "CreateLogGroup", b'{"logGroupName":"g","tags":null}') == {"logGroupName": "g"}


def test_an_enum_value_that_is_not_known() -> None:
    body = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}, "Runtime": "cobol"}

    code, message = refusal(lambda: rest("CreateFunction", {}, body))

    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value 'cobol' at 'runtime' failed to satisfy constraint: "
        "Member must satisfy enum value set: [nodejs, nodejs4.3"
    )


def test_a_pattern_in_a_path_label() -> None:
    _, message = refusal(lambda: rest("GetFunction", {"FunctionName": "a%20b"}))

    assert message.startswith("1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: "
                              "Member must satisfy regular expression pattern: ")  # fmt: skip


def test_items_of_a_list_and_entries_of_a_map() -> None:
    body = {"Layers": ["x" * 200]}

    _, message = refusal(lambda: rest("UpdateFunctionConfiguration", {"FunctionName": "f"}, body))

    assert (
        "at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less"
        in message
    )

    _, message = refusal(lambda: json("dynamodb", "BatchWriteItem", {"RequestItems": {"t": []}}))

    assert (
        "at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less"
        in message
    )


def test_members_inside_lists_are_numbered() -> None:
    _, message = refusal(lambda: query("iam", "TagRole", "RoleName=r&Tags.member.1.Key=&Tags.member.1.Value=v"))

    assert (
        "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1"
        in message
    )


def test_secrets_are_not_repeated() -> None:
    _, message = refusal(lambda: json("secretsmanager", "CreateSecret", {"Name": "n", "SecretString": ""}))

    assert "at 'secretString'" in message and "'***'" in message


def test_a_long_value_is_cut() -> None:
    assert len(refusal(lambda: json("logs", "CreateLogGroup", {"logGroupName": "g" * 1_000_000}))[1]) < 2000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"TableName":1}', "NUMBER_VALUE cannot be converted to String"),
        (b'{"TableName":1.5}', "DECIMAL_VALUE cannot be converted to String"),
        (b'{"TableName":true}', "TRUE_VALUE cannot be converted to String"),
        (b'{"TableName":{}}', "Start of structure or map found where not expected."),
        (b'{"TableName":[]}', "Start of list found where not expected"),
        (b'{"TableName":"t","Limit":"1"}', "STRING_VALUE cannot be converted to Integer"),
        (b'{"TableName":"t","Limit":1.5}', "NUMBER_VALUE cannot be converted to Integer"),
        (b'{"TableName":"t","Limit":true}', "TRUE_VALUE cannot be converted to Integer"),
        (b'{"TableName":"t","Limit":99999999999}', "Numeric value (99999999999) out of range of Integer"),
        (b'{"TableName":"t","ConsistentRead":"true"}', "STRING_VALUE cannot be converted to Boolean"),
        (b'{"TableName":"t","AttributesToGet":"a"}', "Expected list or null, found STRING_VALUE"),
        (b'{"TableName":"t","ExclusiveStartKey":[]}', "Start of list found where not expected"),
        (b'{"TableName":"t","ExclusiveStartKey":{"a":{"B":"not base64!"}}}', "Invalid base64 in a blob"),
        (b'{"TableName":"t","ExclusiveStartKey":{"a":{"B":7}}}', "NUMBER_VALUE cannot be converted to ByteBuffer"),
        (b"[]", "Start of list found where not expected"),
        (b'"x"', "Expected structure or null, found STRING_VALUE"),
        (b"{", "Could not parse the request body"),
        (b"\xff", "Could not parse the request body"),
        (b'{"TableName":"\\ud800"}', "Could not parse the request body"),
        (b'{"TableName":' + b"[" * 100_000, "Could not parse the request body"),
    ],
)
def test_json_of_the_wrong_kind(body: bytes, words: str) -> None:
    code, message = refusal(lambda: json("dynamodb", "Scan", body))

    assert code == "SerializationException"
    assert message.startswith(words)


def test_nesting_without_end_is_refused() -> None:
    nested = b'{"L":[' * 5000 + b'{"S":"x"}' + b"]}" * 5000

    code, _ = refusal(lambda: json("dynamodb", "PutItem", b'{"TableName":"tbl","Item":{"a":' + nested + b"}}"))

    assert code == "SerializationException"


def test_what_aws_takes_is_taken() -> None:
    taken = json(
        "kinesis",
        "GetShardIterator",
        b'{"StreamName":"s","ShardId":"0","ShardIteratorType":"AT_TIMESTAMP","Timestamp":"2026-01-01T00:00:00Z","Unknown":{"a":[1]}}',
    )

    assert taken["Timestamp"] == 1767225600.0 and "Unknown" not in taken
    assert json("dynamodb", "Scan", b'{"TableName":"tbl","Limit":2.0}')["Limit"] == 2
    assert json("dynamodb", "ListTables", b"") == {}
    assert json("dynamodb", "ListTables", b'{"Limit":1,"Limit":2}') == {"Limit": 2}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("MaxItems=x", "x is not a valid integer"),
        ("MaxItems=" + "9" * 5000, " is not a valid integer"),
        ("PathPrefix." + "a." * 100 + "b=1", " is nested too deeply"),
    ],
)
def test_forms_of_the_wrong_kind(form: str, words: str) -> None:
    code, message = refusal(lambda: query("iam", "ListUsers", form))

    assert code == "MalformedInput" and words in message


def test_a_form_with_too_many_fields_is_refused() -> None:
    assert refusal(lambda: query("iam", "ListUsers", "&".join(["a=1"] * 50_000)))[0] == "MalformedInput"


def test_query_services_have_their_own_code() -> None:
    assert refusal(lambda: query("iam", "CreateUser", "UserName="))[0] == "ValidationError"
    assert refusal(lambda: query("sts", "AssumeRole", "DurationSeconds=1"))[0] == "ValidationError"


def test_sqs_words_a_missing_member_its_own_way() -> None:
    assert refusal(lambda: json("sqs", "SendMessage", {"QueueUrl": "q"})) == (
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<",
        b"text",
        b"<Other/>",
        b"<Tagging><TagSet>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><Tagging><TagSet/></Tagging>',
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging>" * 1000,
        b"<Tagging/>",
        b"\xff\xfe",
    ],
)
def test_documents_of_the_wrong_kind(body: bytes) -> None:
    code, message = refusal(lambda: xml("PutBucketTagging", body))

    assert code == "MalformedXML"
    assert message == "The XML you provided was not well-formed or did not validate against our published schema"


def test_a_document_may_have_prefixes_and_unknown_elements() -> None:
    tag = b"<a:Tag><a:Key>k</a:Key><a:Value> v </a:Value></a:Tag>"
    body = b'<a:Tagging xmlns:a="x"><a:New><b/>x</a:New><a:TagSet>' + tag + b"</a:TagSet></a:Tagging>"

    assert xml("PutBucketTagging", body)["Tagging"] == {"TagSet": [{"Key": "k", "Value": " v "}]}


@pytest.mark.parametrize("target", ["/b?max-keys=x", "/b?max-keys=9999999999999999999999", "/b?max-keys="])
def test_s3_query_fields_of_the_wrong_kind(target: str) -> None:
    assert refusal(lambda: xml("ListObjectsV2", b"", target))[0] == "InvalidArgument"


def test_a_pattern_matches_as_a_whole() -> None:
    assert satisfies("[a-z]+", "abc") and not satisfies("[a-z]+", "abc1") and not satisfies("[a-z]+", "1abc")
    assert satisfies("^a|b$", "a") and not satisfies("^a$", "a\n")


def test_word_characters_are_ascii_as_in_java() -> None:
    assert satisfies(r"[\w+=,.@-]+", "a_1") and not satisfies(r"[\w+=,.@-]+", "é") and not satisfies(r"\d+", "٣")
    assert refusal(lambda: query("iam", "GetUser", "UserName=é"))[0] == "ValidationError"


def test_the_tag_pattern_knows_letters_of_every_alphabet() -> None:
    pattern = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"

    assert satisfies(pattern, "하늘 é_1.:/=+-@") and not satisfies(pattern, "a#b")


@pytest.mark.parametrize("pattern", [r"([ \t]+[\x20-\x7E]+)*", r"(a+)+", r"((a+)b?)*", r"(a|b+)*$", r"\p{M}+"])
def test_patterns_that_could_run_forever_are_left_unchecked(pattern: str) -> None:
    assert compiled(pattern) is None and satisfies(pattern, "anything")


def test_few_patterns_of_the_services_in_scope_are_left_unchecked() -> None:
    unchecked = {
        shape.pattern
        for name in ("lambda", "s3", "sqs", "iam", "sts", "dynamodb", "logs", "events", "kms", "ssm")
        for shape in LIBRARY.load(name).shapes.values()
        if shape.pattern is not None and compiled(shape.pattern) is None
    }

    assert len(unchecked) <= 25
