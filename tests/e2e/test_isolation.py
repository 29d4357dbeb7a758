"""What keeps accounts and regions apart, and what other tools look for, seen by plain HTTP clients and boto3."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions import make_function
from tests.server import Server

ACCOUNTS = ("111111111111", "222222222222")
WHO = """
import boto3

def handler(event, context):
    return [{source!r}, boto3.client("sts").get_caller_identity()["Account"], context.invoked_function_arn]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("cloud") / "data").start()
    yield running
    assert running.stop() == 0


def test_two_accounts_have_functions_of_one_name(server: Server) -> None:
    for account in ACCOUNTS:
        client = server.client("lambda", aws_access_key_id=account)
        make_function(client, "same", WHO.format(source=f"code of {account}"), Role=f"arn:aws:iam::{account}:role/any")

    for account in ACCOUNTS:
        client = server.client("lambda", aws_access_key_id=account)
        said = json.loads(client.invoke(FunctionName="same")["Payload"].read())
        assert said == [f"code of {account}", account, f"arn:aws:lambda:us-east-1:{account}:function:same"]

    server.client("lambda", aws_access_key_id=ACCOUNTS[0]).delete_function(FunctionName="same")
    assert server.client("lambda", aws_access_key_id=ACCOUNTS[1]).get_function(FunctionName="same")


def test_regions_do_not_see_each_others_functions(server: Server) -> None:
    make_function(server.client("lambda"), "here", "def handler(event, context):\n    return 1\n")

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        server.client("lambda", region_name="eu-west-1").get_function(FunctionName="here")


def test_one_account_cannot_read_anothers_bucket(server: Server) -> None:
    one, other = (server.client("s3", aws_access_key_id=account) for account in ACCOUNTS)
    one.create_bucket(Bucket="of-one")
    one.put_object(Bucket="of-one", Key="a", Body=b"private")

    assert "of-one" not in [each["Name"] for each in other.list_buckets()["Buckets"]]
    with pytest.raises(ClientError):
        other.create_bucket(Bucket="of-one")


def test_presigned_links_work_with_any_client(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="links")
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "links", "Key": "a b"}, ExpiresIn=60)
    get = s3.generate_presigned_url("get_object", Params={"Bucket": "links", "Key": "a b"}, ExpiresIn=60)

    urllib.request.urlopen(urllib.request.Request(put, data=b"by link", method="PUT")).close()
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"by link"


@pytest.mark.parametrize(
    "host", ["hosted.s3.localhost", "hosted.s3.us-east-1.amazonaws.com", "hosted.s3.amazonaws.com"]
)
def test_a_bucket_is_named_by_the_host(server: Server, host: str) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="hosted")
    s3.put_object(Bucket="hosted", Key="folder/key", Body=b"by host")

    address = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/folder/key", headers={"host": f"{host}:{address.rpartition(':')[2]}"})
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (200, b"by host")
    connection.close()


@pytest.mark.parametrize("path", ["/_haneul/health", "/_localstack/health"])
def test_health_is_where_tools_look_for_it(server: Server, path: str) -> None:
    with urllib.request.urlopen(server.url + path) as answer:
        said = json.loads(answer.read())

    assert said["status"] == "running"
    assert {"lambda", "s3", "iam", "sts", "logs"} <= set(said["services"])


def test_reset_from_a_foreign_web_page_is_refused(server: Server) -> None:
    request = urllib.request.Request(
        f"{server.url}/_haneul/reset", method="POST", headers={"origin": "https://example.com"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)

    assert caught.value.code == 403


def test_reset_of_one_account_leaves_the_other(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--tier", "process").start()
    try:
        clients: list[Any] = [server.client("s3", aws_access_key_id=account) for account in ACCOUNTS]
        for number, client in enumerate(clients):
            client.create_bucket(Bucket=f"bucket-{number}")

        server.haneul("reset", "--yes", "--account", ACCOUNTS[0])
        assert [len(client.list_buckets()["Buckets"]) for client in clients] == [0, 1]

        request = urllib.request.Request(f"{server.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request).close()
        assert [len(client.list_buckets()["Buckets"]) for client in clients] == [0, 0]
    finally:
        assert server.stop() == 0


def test_functions_reach_a_cloud_that_speaks_https(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--tls", "--egress", "closed").start()
    try:
        trusting = {"verify": str(server.folder / "tls" / "ca.pem")}
        make_function(server.client("lambda", **trusting), "who", WHO.format(source="by TLS"), Timeout=20)
        said = json.loads(server.client("lambda", **trusting).invoke(FunctionName="who")["Payload"].read())
    finally:
        assert server.stop() == 0

    assert said[:2] == ["by TLS", "000000000000"]
