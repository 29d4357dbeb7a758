"""`haneul up --secure`: only who holds a key comes in, and may do only what a policy allows."""

import configparser
import json
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions import TRUST, make_function
from tests.server import Server

READ_ONLY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]}
)
LISTS = """
import boto3

def handler(event, context):
    try:
        return [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]]
    except Exception as error:
        return str(error)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("secure") / "data", "--secure").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def root(server: Server) -> dict[str, str]:
    kept = configparser.ConfigParser()
    kept.read(server.folder / "root-credentials")
    return dict(kept["default"])


def refusal(work: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        work(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_roots_keys_are_made_once_and_are_its_owners_only(server: Server, root: dict[str, str]) -> None:
    file = server.folder / "root-credentials"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert root["aws_secret_access_key"] not in server.output()
    assert server.client("sts", **root).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


def test_strangers_and_forgers_are_refused(server: Server, root: dict[str, str]) -> None:
    forged = {**root, "aws_secret_access_key": "x" * 40}

    assert refusal(server.client("sts").get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refusal(server.client("s3", **forged).list_buckets) == ("SignatureDoesNotMatch", 403)
    assert refusal(server.client("lambda", **forged).list_functions) == ("InvalidSignatureException", 403)


def test_a_user_may_do_what_its_policy_allows_and_nothing_else(server: Server, root: dict[str, str]) -> None:
    iam = server.client("iam", **root)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=READ_ONLY)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = server.client("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    server.client("s3", **root).create_bucket(Bucket="guarded")

    assert [one["Name"] for one in reader.list_buckets()["Buckets"]] == ["guarded"]
    assert refusal(reader.put_object, Bucket="guarded", Key="a", Body=b"1") == ("AccessDenied", 403)

    iam.update_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"], Status="Inactive")

    assert refusal(reader.list_buckets)[1] == 403


def test_a_function_acts_as_its_role(server: Server, root: dict[str, str]) -> None:
    iam = server.client("iam", **root)
    role = iam.create_role(RoleName="lister", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    functions = server.client("lambda", **root)
    make_function(functions, "lister", LISTS, Role=role, Timeout=20, MemorySize=256)

    refused = json.loads(functions.invoke(FunctionName="lister")["Payload"].read())
    iam.put_role_policy(RoleName="lister", PolicyName="read", PolicyDocument=READ_ONLY)
    allowed = json.loads(functions.invoke(FunctionName="lister")["Payload"].read())

    assert "AccessDenied" in refused
    assert isinstance(allowed, list)


def test_the_admin_interface_needs_its_token(server: Server) -> None:
    assert urllib.request.urlopen(f"{server.url}/_haneul/health").status == 200
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/_haneul/status")
    assert caught.value.code == 403

    assert "secure" in server.haneul("status")
    assert "only in developer mode" in server.haneul("reset", "--yes", status=1)


def test_a_foreign_web_page_cannot_steer_the_cloud(server: Server) -> None:
    token = (server.folder / "admin-token").read_text()
    request = urllib.request.Request(
        f"{server.url}/_haneul/status", headers={"origin": "http://evil.example", "authorization": f"Bearer {token}"}
    )

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403
