"""Asynchronous invocations, from Invoke through the outbox to the function and what it does."""

from typing import Any

from botocore.exceptions import ClientError

from tests.functions import make_function

NOTE = """
import boto3, json
def handler(event, context):
    key = event["key"]
    boto3.client("s3").put_object(Bucket=event["bucket"], Key=key, Body=context.aws_request_id.encode())
    if event.get("fail"):
        raise RuntimeError("as asked")
"""
LOOKS_MAX = 3_000


def seen(store: Any, bucket: str, key: str) -> str:
    """What was written under a key, once it is there."""
    for _ in range(LOOKS_MAX):
        try:
            return str(store.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except ClientError as failure:
            assert failure.response["Error"]["Code"] == "NoSuchKey"
    raise AssertionError(f"{key} did not come")


def test_an_event_runs_under_the_request_id_that_was_answered(cloud: Any, client: Any, name: str) -> None:
    store = cloud.client("s3")
    store.create_bucket(Bucket=f"bucket-{name}")
    make_function(client, name, NOTE, Timeout=30, MemorySize=1_024)
    payload = f'{{"bucket": "bucket-{name}", "key": "one"}}'

    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=payload)

    assert seen(store, f"bucket-{name}", "one") == answer["ResponseMetadata"]["RequestId"]


def test_events_wait_for_nobody(cloud: Any, client: Any, name: str) -> None:
    store = cloud.client("s3")
    store.create_bucket(Bucket=f"bucket-{name}")
    make_function(client, name, NOTE, Timeout=30, MemorySize=1_024)

    sent = {
        key: client.invoke(
            FunctionName=name,
            InvocationType="Event",
            Payload=f'{{"bucket": "bucket-{name}", "key": "{key}", "fail": {str(key == "b").lower()}}}',
        )["ResponseMetadata"]["RequestId"]
        for key in "abcde"
    }

    assert {key: seen(store, f"bucket-{name}", key) for key in sent} == sent


LOOP = """
import boto3
def handler(event, context):
    record = event["Records"][0]["s3"]
    number = int(record["object"]["key"]) + 1
    boto3.client("s3").put_object(Bucket=record["bucket"]["name"], Key=str(number), Body=b"")
"""


def test_a_function_that_writes_into_its_own_source_bucket_ends_after_16_runs(
    cloud: Any, client: Any, name: str
) -> None:
    store, bucket = cloud.client("s3"), f"bucket-{name}"
    store.create_bucket(Bucket=bucket)
    arn = make_function(client, name, LOOP, Timeout=30, MemorySize=1_024)
    client.add_permission(
        FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    wanted = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    store.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [wanted]}
    )

    store.put_object(Bucket=bucket, Key="0", Body=b"")
    seen(store, bucket, "16")
    cloud.run(cloud.cloud.engines.delivery.idle())

    assert len(store.list_objects_v2(Bucket=bucket)["Contents"]) == 17
