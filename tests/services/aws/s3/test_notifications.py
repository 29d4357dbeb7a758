"""Notifications: configured by AWS's rules, delivered to functions as the events that AWS sends."""

import json
import re
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.functions import make_function

from .conftest import refused

RECORDER = """
import json, os, urllib.request

def handler(event, context):
    record = event["Records"][0]
    name = f"{record['eventName']} {record['s3']['object']['sequencer']}"
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{os.environ['RESULTS']}/{urllib.request.quote(name)}"
    urllib.request.urlopen(urllib.request.Request(url, data=json.dumps(event).encode(), method="PUT"))
"""


@pytest.fixture
def function(cloud: Any, bucket: str) -> str:
    """A function that S3 may invoke for this bucket, and that keeps what it is told in a bucket of its own."""
    client = cloud.client("lambda")
    cloud.client("s3").create_bucket(Bucket=f"{bucket}-results")
    environment = {"Variables": {"RESULTS": f"{bucket}-results"}}
    arn = make_function(client, f"recorder-{bucket}", RECORDER, Environment=environment)
    client.add_permission(
        FunctionName=arn,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}",
        SourceAccount="000000000000",
    )
    return arn


def told(cloud: Any, bucket: str) -> list[dict[str, Any]]:
    """The records that the function was handed, by the order of their sequencers."""
    s3 = cloud.client("s3")
    cloud.run(cloud.cloud.rooms.engines.delivery.idle())
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=f"{bucket}-results").get("Contents", [])]
    events = [json.load(s3.get_object(Bucket=f"{bucket}-results", Key=key)["Body"]) for key in keys]
    return sorted((event["Records"][0] for event in events), key=lambda record: record["s3"]["object"]["sequencer"])


def configuration(arn: str, *events: str, id: str | None = None, **filters: str) -> dict[str, Any]:
    rules = [{"Name": name, "Value": value} for name, value in filters.items()]
    return {
        "LambdaFunctionArn": arn,
        "Events": list(events),
        **({"Id": id} if id else {}),
        **({"Filter": {"Key": {"FilterRules": rules}}} if rules else {}),
    }


def configure(s3: Any, bucket: str, *configurations: dict[str, Any], **parameters: Any) -> None:
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": list(configurations)}, **parameters
    )


def test_a_function_is_told_what_happened(cloud: Any, s3: Any, bucket: str, function: str) -> None:
    configure(s3, bucket, configuration(function, "s3:ObjectCreated:*", id="made", prefix="in/", suffix=".jpg"))

    answer = s3.put_object(Bucket=bucket, Key="in/a b+ü.jpg", Body=b"picture")
    s3.put_object(Bucket=bucket, Key="in/a.png", Body=b"not a jpg")
    s3.put_object(Bucket=bucket, Key="out/a.jpg", Body=b"elsewhere")

    (record,) = told(cloud, bucket)
    assert record["eventVersion"] == "2.1" and record["eventSource"] == "aws:s3"
    assert record["awsRegion"] == "us-east-1" and record["eventName"] == "ObjectCreated:Put"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["eventTime"])
    assert record["userIdentity"]["principalId"].startswith("AWS:")
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert record["responseElements"]["x-amz-request-id"] == answer["ResponseMetadata"]["RequestId"]
    assert record["responseElements"]["x-amz-id-2"] == answer["ResponseMetadata"]["HostId"]
    said = record["s3"]
    assert said["s3SchemaVersion"] == "1.0" and said["configurationId"] == "made"
    assert said["bucket"]["name"] == bucket and said["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert said["object"]["key"] == "in/a+b%2B%C3%BC.jpg" and unquote_plus(said["object"]["key"]) == "in/a b+ü.jpg"
    assert said["object"]["size"] == 7 and said["object"]["eTag"] == answer["ETag"].strip('"')
    assert re.fullmatch(r"[0-9A-F]{16}", said["object"]["sequencer"])


def test_each_way_to_change_an_object_has_its_event(cloud: Any, s3: Any, bucket: str, function: str) -> None:
    configure(
        s3,
        bucket,
        configuration(function, "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"),
    )

    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copied", CopySource={"Bucket": bucket, "Key": "k"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copied"}, {"Key": "never"}]})

    records = told(cloud, bucket)
    assert [(record["eventName"], record["s3"]["object"]["key"]) for record in records] == [
        ("ObjectCreated:Put", "k"),
        ("ObjectCreated:Copy", "copied"),
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectTagging:Put", "k"),
        ("ObjectTagging:Delete", "k"),
        ("ObjectRemoved:Delete", "k"),
        ("ObjectRemoved:Delete", "copied"),
    ]
    assert "size" not in records[-1]["s3"]["object"]


def test_a_configuration_reads_back_and_is_replaced_whole(s3: Any, bucket: str, function: str) -> None:
    jpg = configuration(function, "s3:ObjectCreated:Put", id="jpg", suffix=".jpg")
    png = configuration(function + ":$LATEST", "s3:ObjectCreated:*", suffix=".png")
    configure(s3, bucket, jpg, png, SkipDestinationValidation=True)

    first, second = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert first == {**jpg, "Filter": {"Key": {"FilterRules": [{"Name": "Suffix", "Value": ".jpg"}]}}}
    assert second["LambdaFunctionArn"] == function + ":$LATEST" and second["Id"]

    configure(s3, bucket)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_a_function_that_does_not_let_s3_in_is_refused(cloud: Any, s3: Any, bucket: str) -> None:
    arn = make_function(cloud.client("lambda"), f"closed-{bucket}", RECORDER)
    allow = {"FunctionName": arn, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}

    closed = outcome(s3, bucket, arn)
    cloud.client("lambda").add_permission(**allow, StatementId="other", SourceArn="arn:aws:s3:::another-bucket")
    elsewhere = outcome(s3, bucket, arn)
    missing = outcome(s3, bucket, arn + "-missing")
    cloud.client("lambda").add_permission(**allow, StatementId="all")

    for error in (closed, elsewhere, missing):
        assert (error.code, error.status) == ("InvalidArgument", 400)
        assert error.message == "Unable to validate the following destination configurations"
    assert closed.fields["ArgumentName1"] == arn
    configure(s3, bucket, configuration(arn, "s3:ObjectCreated:*"))


def test_configurations_that_overlap_are_refused(s3: Any, bucket: str, function: str) -> None:
    def message(*configurations: dict[str, Any]) -> str:
        wanted = {"LambdaFunctionConfigurations": list(configurations)}
        return refused(
            s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=wanted
        ).message

    created, put = "s3:ObjectCreated:*", "s3:ObjectCreated:Put"
    plain = message(configuration(function, created), configuration(function, put))
    filtered = message(
        configuration(function, created, prefix="a", suffix=".jpg"), configuration(function, put, prefix="ab")
    )

    assert plain.startswith("Configurations overlap.")
    assert filtered.startswith("Configuration is ambiguously defined.")
    configure(
        s3,
        bucket,
        configuration(function, created, prefix="a/", suffix=".jpg"),
        configuration(function, created, prefix="a/", suffix=".png"),
        configuration(function, created, prefix="b/"),
        configuration(function, "s3:ObjectRemoved:*"),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"Events": ["s3:ObjectEaten:*"]},
        {"LambdaFunctionArn": "not an arn"},
        {"LambdaFunctionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f"},
        {"Filter": {"Key": {"FilterRules": [{"Name": "middle", "Value": "x"}]}}},
        {"Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "x"}, {"Name": "Prefix", "Value": "y"}]}}},
    ],
)
def test_configurations_that_make_no_sense_are_refused(s3: Any, bucket: str, wrong: dict[str, Any]) -> None:
    base = configuration("arn:aws:lambda:us-east-1:000000000000:function:f", "s3:ObjectCreated:*")

    error = refused(
        s3.put_bucket_notification_configuration,
        Bucket=bucket,
        NotificationConfiguration={"LambdaFunctionConfigurations": [{**base, **wrong}]},
        SkipDestinationValidation=True,
    )

    assert (error.code, error.status) == ("InvalidArgument", 400)


@pytest.mark.parametrize(
    "target",
    [
        {
            "QueueConfigurations": [
                {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"]}
            ]
        },
        {
            "TopicConfigurations": [
                {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Events": ["s3:ObjectCreated:*"]}
            ]
        },
        {"EventBridgeConfiguration": {}},
    ],
)
def test_targets_that_are_not_built_say_so(s3: Any, bucket: str, target: dict[str, Any]) -> None:
    error = refused(s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=target)

    assert (error.code, error.status) == ("NotImplemented", 501)
    assert next(iter(target)) in error.message


def outcome(s3: Any, bucket: str, arn: str) -> Any:
    wanted = {"LambdaFunctionConfigurations": [configuration(arn, "s3:ObjectCreated:*")]}
    return refused(s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=wanted)
