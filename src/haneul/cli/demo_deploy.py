"""How the demo's application is deployed: boto3 for the role and the function, the AWS CLI for buckets and the notification."""

import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from . import show
from .invoke import client

SOURCE, TARGET, FUNCTION = "pictures", "thumbnails", "thumbnails"
CLI_TIMEOUT_S = 60
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
MAY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{SOURCE}/*"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{TARGET}/*"},
    ],
}


class ToolFailed(Exception):
    """A command of the AWS CLI failed; the message is what it printed."""


def deploy(url: str, example: Path, folder: Path) -> None:
    """Buckets, role, function, permission and notification. Raises botocore's errors, or ToolFailed."""
    _aws(url, folder, "s3", "mb", f"s3://{SOURCE}")
    _aws(url, folder, "s3", "mb", f"s3://{TARGET}")
    iam = client(url, "iam", "us-east-1")
    role = iam.create_role(RoleName="thumbnails", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="thumbnails", PolicyName="pictures", PolicyDocument=json.dumps(MAY))
    iam.attach_role_policy(
        RoleName="thumbnails", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    )
    package = _package(example, folder / "thumbnails.zip")
    functions = client(url, "lambda", "us-east-1")
    made = functions.create_function(
        FunctionName=FUNCTION,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": package.read_bytes()},
        Timeout=30,
        MemorySize=1024,
        Environment={"Variables": {"TARGET_BUCKET": TARGET}},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=FUNCTION, WaiterConfig={"Delay": 1})
    functions.add_permission(
        FunctionName=FUNCTION,
        StatementId="pictures",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{SOURCE}",
    )
    notification = {
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": made["FunctionArn"], "Events": ["s3:ObjectCreated:*"]}]
    }
    _aws(url, folder, "s3api", "put-bucket-notification-configuration", "--bucket", SOURCE,
         "--notification-configuration", json.dumps(notification))  # fmt: skip
    size_mb = package.stat().st_size / 1e6
    show.step(
        "deployed", f"a function ({size_mb:.1f} MB of code), two buckets, a role, a notification", "with boto3 and aws"
    )


def _package(example: Path, file: Path) -> Path:
    """The function and the Pillow of this environment in a deployment package."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(example / "app.py", "app.py")
        for path, name in _pillow_files():
            archive.write(path, name)
    return file


def _pillow_files() -> Iterator[tuple[Path, str]]:
    for entry in importlib.metadata.files("pillow") or ():
        name = entry.as_posix()
        if ".." not in name and not name.endswith(".pyc") and ".dist-info" not in name:
            yield Path(str(entry.locate())), name


def _aws(url: str, folder: Path, *arguments: str) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "haneul",
        **os.environ,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "awscli", "--endpoint-url", url, *arguments],
        env=environment, capture_output=True, text=True, timeout=CLI_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        raise ToolFailed(f"aws {' '.join(arguments[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")
