"""A client and a bucket of the test's own; and requests that no SDK would send."""

import http.client
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

_NUMBERS = itertools.count(1)


class Refused(NamedTuple):
    code: str
    status: int
    message: str
    fields: dict[str, Any]


def refused(work: Callable[..., Any], **parameters: Any) -> Refused:
    """The error that a call ends in."""
    with pytest.raises(ClientError) as raised:
        work(**parameters)
    response = raised.value.response
    error = response["Error"]
    return Refused(error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"], error)


class Raw(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def s3(cloud: Any) -> Any:
    return cloud.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-bucket-{next(_NUMBERS)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def raw(cloud: Any) -> Callable[..., Raw]:
    """Send a request as it is: raw(method, target, body=…, headers=…)."""

    def send(method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Raw:
        connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=20)
        try:
            connection.request(method, target, body=body, headers={"x-amz-date": "20260101T000000Z", **(headers or {})})
            response = connection.getresponse()
            return Raw(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    return send
