"""Presigned URLs, opened by a client that knows nothing of AWS."""

import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.config import Config


@pytest.fixture(params=["s3v4", "s3"])
def signer(request: Any, cloud: Any) -> Any:
    return cloud.client("s3", config=Config(signature_version=request.param, s3={"addressing_style": "path"}))


def test_an_object_is_got_by_url(signer: Any, bucket: str) -> None:
    signer.put_object(Bucket=bucket, Key="a b/ü.txt", Body=b"hello", ContentType="text/plain")
    url = signer.generate_presigned_url(
        "get_object", {"Bucket": bucket, "Key": "a b/ü.txt", "ResponseContentType": "text/html"}, ExpiresIn=60
    )

    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"
        assert answer.headers["content-type"] == "text/html"


def test_an_object_is_put_by_url(signer: Any, bucket: str) -> None:
    url = signer.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=60)

    request = urllib.request.Request(url, data=b"sent by url", method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200

    assert signer.get_object(Bucket=bucket, Key="k")["Body"].read() == b"sent by url"


def test_a_url_that_has_expired_is_refused(signer: Any, bucket: str) -> None:
    url = signer.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    url = re.sub(r"X-Amz-Date=\d{8}", "X-Amz-Date=20200101", re.sub(r"Expires=1\d{9}", "Expires=1000000000", url))

    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(url)

    assert raised.value.code in (400, 403)
