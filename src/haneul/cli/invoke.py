"""`haneul invoke`: through the public API, as any client would."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

from .ask import NotRunning, Refused


def client(url: str, service: str, region: str) -> Any:
    """An ordinary boto3 client of the cloud at url, with the caller's credentials or the developer's defaults."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "000000000000"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "haneul"),
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=960,
            parameter_validation=False,
            s3={"addressing_style": "path"},
        ),
    )


def invoke_function(url: str, function: str, data: str, *, asynchronous: bool, region: str) -> None:
    """Print the answer on standard output and the log on standard error; exit with status 1 when the function failed."""
    from botocore.exceptions import ClientError, EndpointConnectionError

    kind = {"InvocationType": "Event"} if asynchronous else {"LogType": "Tail"}
    try:
        answer = client(url, "lambda", region).invoke(FunctionName=function, Payload=_read(data), **kind)
    except EndpointConnectionError as error:
        raise NotRunning(
            f"no cloud answers at {url}. Start one with `haneul up`, or name it with --endpoint."
        ) from error
    except ClientError as error:
        raise Refused(str(error)) from error
    if "LogResult" in answer:
        sys.stderr.write(base64.b64decode(answer["LogResult"]).decode(errors="replace"))
    body = answer["Payload"].read().decode()
    print(body if body else f"accepted: {answer['ResponseMetadata']['RequestId']}")
    if "FunctionError" in answer:
        sys.exit(1)


def _read(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise Refused(f"cannot read {data[1:]}: {error.strerror}") from error
    return data.encode()
