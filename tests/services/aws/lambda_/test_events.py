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
