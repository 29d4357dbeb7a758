"""The AWS CLI, unmodified, against a real server: Lambda from its creation to its log, IAM and STS, over HTTPS as well."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functions import TRUST, package
from tests.server import Server

GREET = """
import os

def handler(event, context):
    print("greets", event["name"])
    return {"said": os.environ["GREETING"] + " " + event["name"]}
"""
READ_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}


class Aws:
    """Runs `aws`; what it prints is JSON."""

    def __init__(self, server: Server, home: Path, **environment: str) -> None:
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ.get("PATH", ""),
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "000000000000",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            **environment,
        }

    def __call__(self, *arguments: str) -> Any:
        text = self.run(*arguments)
        return json.loads(text) if text else None

    def run(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "awscli", *arguments],
            env=self._environment, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == status, f"aws {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return (done.stdout if status == 0 else done.stderr).strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("awscli", reason="the AWS CLI is not installed: pip install 'haneul[test]'")
    running = Server(tmp_path_factory.mktemp("cloud") / "data").start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def aws(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    return Aws(server, tmp_path_factory.mktemp("home"))


def test_a_function_lives_its_life(aws: Aws, tmp_path: Path) -> None:
    code, out = tmp_path / "code.zip", tmp_path / "out.json"
    code.write_bytes(package(GREET))
    role = aws("iam", "create-role", "--role-name", "greeter", "--assume-role-policy-document", TRUST)["Role"]["Arn"]

    made = aws("lambda", "create-function", "--function-name", "greet", "--runtime", "python3.11", "--role", role,
               "--handler", "app.handler", "--zip-file", f"fileb://{code}",
               "--environment", "Variables={GREETING=hello}")  # fmt: skip
    aws.run("lambda", "wait", "function-active-v2", "--function-name", "greet")
    payload = ("--cli-binary-format", "raw-in-base64-out") if _version() >= 2 else ()
    said = aws("lambda", "invoke", "--function-name", "greet", "--payload", '{"name": "sky"}', *payload, str(out))

    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:greet"
    assert said == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads(out.read_text()) == {"said": "hello sky"}

    aws(
        "lambda",
        "update-function-configuration",
        "--function-name",
        "greet",
        "--environment",
        "Variables={GREETING=hi}",
    )
    aws.run("lambda", "wait", "function-updated-v2", "--function-name", "greet")
    aws("lambda", "invoke", "--function-name", "greet", "--payload", '{"name": "moon"}', *payload, str(out))

    assert json.loads(out.read_text()) == {"said": "hi moon"}
    assert [one["FunctionName"] for one in aws("lambda", "list-functions")["Functions"]] == ["greet"]

    told = aws("logs", "filter-log-events", "--log-group-name", "/aws/lambda/greet", "--filter-pattern", "greets")
    assert [event["message"].strip() for event in told["events"]] == ["greets sky", "greets moon"]
    streams = aws("logs", "describe-log-streams", "--log-group-name", "/aws/lambda/greet")["logStreams"]
    assert all("[$LATEST]" in stream["logStreamName"] for stream in streams)

    aws.run("lambda", "delete-function", "--function-name", "greet")
    assert "ResourceNotFoundException" in aws.run("lambda", "get-function", "--function-name", "greet", status=255)


def test_a_failing_function_says_so(aws: Aws, tmp_path: Path) -> None:
    code, out = tmp_path / "code.zip", tmp_path / "out.json"
    code.write_bytes(package("def handler(event, context):\n    raise KeyError('sky')\n"))
    aws("lambda", "create-function", "--function-name", "fails", "--runtime", "python3.11",
        "--role", "arn:aws:iam::000000000000:role/any", "--handler", "app.handler",
        "--zip-file", f"fileb://{code}")  # fmt: skip
    aws.run("lambda", "wait", "function-active-v2", "--function-name", "fails")

    said = aws("lambda", "invoke", "--function-name", "fails", str(out))

    assert said["FunctionError"] == "Unhandled"
    assert json.loads(out.read_text())["errorType"] == "KeyError"


def test_people_keys_and_policies(aws: Aws) -> None:
    aws("iam", "create-user", "--user-name", "reader")
    key = aws("iam", "create-access-key", "--user-name", "reader")["AccessKey"]
    aws.run("iam", "put-user-policy", "--user-name", "reader", "--policy-name", "read",
            "--policy-document", json.dumps(READ_ONLY))  # fmt: skip
    kept = aws("iam", "get-user-policy", "--user-name", "reader", "--policy-name", "read")
    decided = aws("iam", "simulate-principal-policy", "--policy-source-arn",
                  "arn:aws:iam::000000000000:user/reader", "--action-names", "s3:GetObject", "s3:PutObject")  # fmt: skip

    assert key["Status"] == "Active"
    assert kept["PolicyDocument"] == READ_ONLY
    assert [one["EvalDecision"] for one in decided["EvaluationResults"]] == ["allowed", "implicitDeny"]
    assert "NoSuchEntity" in aws.run("iam", "get-user", "--user-name", "nobody", status=255)


def test_who_am_i_and_who_may_i_become(aws: Aws, server: Server, tmp_path: Path) -> None:
    aws("iam", "create-role", "--role-name", "worker", "--assume-role-policy-document",
        TRUST.replace('"Service": "lambda.amazonaws.com"', '"AWS": "000000000000"'))  # fmt: skip
    got = aws("sts", "assume-role", "--role-arn", "arn:aws:iam::000000000000:role/worker", "--role-session-name", "day")
    keys = got["Credentials"]
    other = Aws(server, tmp_path, AWS_ACCESS_KEY_ID=keys["AccessKeyId"],
                AWS_SECRET_ACCESS_KEY=keys["SecretAccessKey"], AWS_SESSION_TOKEN=keys["SessionToken"])  # fmt: skip

    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
    assert other("sts", "get-caller-identity")["Arn"] == "arn:aws:sts::000000000000:assumed-role/worker/day"


def test_https_with_the_built_in_ca(tmp_path: Path) -> None:
    pytest.importorskip("awscli", reason="the AWS CLI is not installed: pip install 'haneul[test]'")
    server = Server(tmp_path / "data", "--tls").start()
    try:
        ca = str(server.folder / "tls" / "ca.pem")
        aws = Aws(server, tmp_path, AWS_CA_BUNDLE=ca)

        assert server.url.startswith("https://") and ca in server.output()
        assert aws.run("s3", "mb", "s3://by-tls") == "make_bucket: by-tls"
        assert "SSL" in Aws(server, tmp_path).run("s3", "ls", status=255)
        assert f"url\t{server.url}" in server.haneul("status")
        assert "Function not found" in server.haneul("invoke", "nothing", status=1)
    finally:
        assert server.stop() == 0


def _version() -> int:
    from awscli import __version__

    return int(__version__.partition(".")[0])
