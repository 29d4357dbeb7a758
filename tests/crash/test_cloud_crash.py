"""kill -9 of the whole cloud between an acknowledged upload and its function: the function runs all the same."""

import random
from pathlib import Path

import pytest

from tests.functions import TRUST, make_function
from tests.server import Server

ROUNDS = 3
UPLOADS = 12
MARK = """
import boto3
from urllib.parse import unquote_plus
s3 = boto3.client("s3")

def handler(event, context):
    for record in event["Records"]:
        key = unquote_plus(record["s3"]["object"]["key"])
        s3.put_object(Bucket="marks", Key=key, Body=context.aws_request_id.encode())
"""


def test_every_acknowledged_upload_is_seen_by_the_function(tmp_path: Path) -> None:
    chance = random.Random(4)
    server = Server(tmp_path / "data").start()
    try:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="uploads")
        s3.create_bucket(Bucket="marks")
        role = server.client("iam").create_role(RoleName="mark", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        functions = server.client("lambda")
        arn = make_function(functions, "mark", MARK, Role=role, Timeout=20, MemorySize=256)
        functions.add_permission(
            FunctionName="mark", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        )
        s3.put_bucket_notification_configuration(
            Bucket="uploads",
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]
            },
        )
        acknowledged = set()
        for each in range(ROUNDS):
            kill_after = chance.randrange(1, UPLOADS)
            for number in range(UPLOADS):
                key = f"round {each}/object-{number}"
                s3.put_object(Bucket="uploads", Key=key, Body=b"x" * chance.choice((10, 100_000)))
                acknowledged.add(key)
                if number == kill_after:
                    break
            server.kill()
            server.start()
            s3 = server.client("s3")

        marked = wait_for(s3, len(acknowledged))
    finally:
        server.stop()

    assert marked == acknowledged


def wait_for(s3: object, count: int) -> set[str]:
    """The keys of all marks, once there are `count`, or after half a minute whatever there is."""
    import time

    until = time.monotonic() + 30
    marked: set[str] = set()
    while len(marked) < count and time.monotonic() < until:
        marked = {entry["Key"] for entry in s3.list_objects_v2(Bucket="marks").get("Contents", [])}  # type: ignore[attr-defined]
        time.sleep(0.05)
    return marked


@pytest.mark.parametrize("signal_name", ["kill", "stop"])
def test_nothing_of_ours_is_left_running(tmp_path: Path, signal_name: str) -> None:
    server = Server(tmp_path / "data").start()
    make_function(server.client("lambda"), "hello", "def handler(event, context):\n    return 1\n")
    server.haneul("invoke", "hello")
    assert server.process is not None
    mine = str(server.folder)

    getattr(server, signal_name)()

    assert wait_until_none(mine) == []


def wait_until_none(word: str) -> list[str]:
    """Command lines of processes that name the folder; waits a little for those that are just ending."""
    import time

    until = time.monotonic() + 10
    while (found := commands(word)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def commands(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and "pytest" not in line:
            found.append(line)
    return found
