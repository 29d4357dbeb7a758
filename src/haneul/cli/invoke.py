"""`haneul invoke`: through the public API, as any client would."""

import base64
import configparser
import os
import re
import sys
from pathlib import Path
from typing import Any

from .ask import NotRunning, Refused
from .running import find_ca, find_root_credentials


def client(url: str, service: str, region: str) -> Any:
    """An ordinary boto3 client of the cloud at url.

    Its credentials: the caller's (AWS_ACCESS_KEY_ID), root's of this data folder in secure mode, or the developer's defaults.
    """
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        verify=find_ca(url),
        **_credentials(url),
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=960,
            parameter_validation=False,
            s3={"addressing_style": "path"},
        ),
    )


def invoke_function(url: str, function: str, data: str, *, asynchronous: bool, region: str) -> None:
    """Print the answer on standard output and the log on standard error; exit with status 1 when the function failed."""
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

    kind = {"InvocationType": "Event"} if asynchronous else {"LogType": "Tail"}
    try:
        answer = client(url, "lambda", region).invoke(FunctionName=function, Payload=_read(data), **kind)
    except EndpointConnectionError as error:
        raise NotRunning(url) from error
    except ClientError as error:
        raise Refused(re.sub(r" when calling the .*?: ", ": ", str(error), count=1)) from error
    except (BotoCoreError, ValueError) as error:
        raise Refused(str(error)) from error
    if "LogResult" in answer:
        sys.stderr.write(base64.b64decode(answer["LogResult"]).decode(errors="replace"))
    body = answer["Payload"].read().decode()
    print(body if body else f"accepted: {answer['ResponseMetadata']['RequestId']}")
    if "FunctionError" in answer:
        sys.exit(1)


def _credentials(url: str) -> dict[str, str | None]:
    if "AWS_ACCESS_KEY_ID" in os.environ:
        kept: Any = {name: os.environ.get(name.upper()) for name in ("aws_access_key_id", "aws_secret_access_key")}
        return {**kept, "aws_session_token": os.environ.get("AWS_SESSION_TOKEN")}
    if text := find_root_credentials(url):
        parsed = configparser.ConfigParser()
        parsed.read_string(text)
        return dict(parsed["default"])
    return {"aws_access_key_id": "000000000000", "aws_secret_access_key": "haneul"}


def _read(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise Refused(f"cannot read {data[1:]}: {error.strerror}") from error
    return data.encode()
