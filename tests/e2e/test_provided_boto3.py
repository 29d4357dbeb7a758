"""The boto3 that functions find is prepared ahead, and still takes everything from the function's own environment."""

import json
from collections.abc import Iterator

import pytest

from tests.cloud import TestCloud, test_config
from tests.functions import make_function

WHO = """
import boto3
made_early = boto3.client("s3")

def handler(event, context):
    made_late = boto3.client("sts")
    return {
        "early": made_early.meta.region_name,
        "late": made_late.meta.region_name,
        "given": boto3.client("sqs", region_name="eu-west-3").meta.region_name,
        "account": made_late.get_caller_identity()["Account"],
    }
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[TestCloud]:
    """The strongest tier of this machine: there, boto3 is imported before the function is known."""
    running = TestCloud(test_config(tier="auto", pool_size=1))
    yield running
    running.close()


@pytest.mark.parametrize(("account", "region"), [("000000000000", "us-east-1"), ("222222222222", "eu-central-1")])
def test_region_and_credentials_are_the_functions_own(cloud: TestCloud, account: str, region: str) -> None:
    client = cloud.client("lambda", account=account, region=region)
    make_function(client, "who", WHO, Role=f"arn:aws:iam::{account}:role/any", Timeout=30, MemorySize=512)

    said = json.loads(client.invoke(FunctionName="who")["Payload"].read())

    assert said == {"early": region, "late": region, "given": "eu-west-3", "account": account}
