"""Whole files through boto3's transfer manager and through awscrt; big bodies in flat memory."""

import hashlib
import http.client
import io
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from boto3.s3.transfer import TransferConfig

MIB = 1024 * 1024


def test_files_travel_through_the_transfer_manager(s3: Any, bucket: str, tmp_path: Path) -> None:
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(os.urandom(21 * MIB))
    several = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)

    s3.upload_file(str(sent), bucket, "file", ExtraArgs={"ContentType": "image/png"}, Config=several)
    s3.download_file(bucket, "file", str(got), Config=several)

    assert got.read_bytes() == sent.read_bytes()
    head = s3.head_object(Bucket=bucket, Key="file")
    assert head["ContentType"] == "image/png" and head["ETag"].endswith('-5"')


def test_small_files_travel_in_one_piece(s3: Any, bucket: str) -> None:
    s3.upload_fileobj(io.BytesIO(b"small"), bucket, "small")
    got = io.BytesIO()
    s3.download_fileobj(bucket, "small", got)

    assert got.getvalue() == b"small"
    assert s3.head_object(Bucket=bucket, Key="small")["ETag"] == f'"{hashlib.md5(b"small").hexdigest()}"'


def test_a_managed_copy_uses_parts(s3: Any, bucket: str) -> None:
    body = os.urandom(12 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=body)

    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=6 * MIB)
    s3.copy({"Bucket": bucket, "Key": "from"}, bucket, "to", Config=config)

    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == body


class Pattern(io.RawIOBase):
    """A body that is made while it is read, so that nobody holds it."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = bytes(range(256)) * 4096

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(self._left, len(self._block) if size < 0 else min(size, len(self._block)))
        self._left -= size
        return self._block[:size]


def pieces(body: Any) -> Iterator[bytes]:
    while piece := body.read(MIB):
        yield piece


def test_a_hundred_megabytes_pass_in_flat_memory(cloud: Any, bucket: str) -> None:
    size = 100 * MIB
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    connection.request("PUT", f"/{bucket}/big", body=pieces(Pattern(size)), headers={"Content-Length": str(size)})
    assert connection.getresponse().read() == b""
    connection.request("GET", f"/{bucket}/big")
    response = connection.getresponse()
    digest = hashlib.md5()
    for piece in pieces(response):
        digest.update(piece)

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert response.getheader("etag") == f'"{digest.hexdigest()}"'
    assert grown_kib < 40 * 1024, f"memory grew by {grown_kib} KiB"
    connection.close()


def test_the_crt_client_puts_and_gets(cloud: Any, bucket: str, tmp_path: Path) -> None:
    auth = pytest.importorskip("awscrt.auth")
    boto3_crt = pytest.importorskip("s3transfer.crt")
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(os.urandom(20 * MIB))
    session = botocore.session.get_session()
    serializer = boto3_crt.BotocoreCRTRequestSerializer(
        session, client_kwargs={"region_name": "us-east-1", "endpoint_url": cloud.url}
    )
    provider = auth.AwsCredentialsProvider.new_static("000000000000", "secret")
    crt = boto3_crt.create_s3_crt_client(
        region="us-east-1", crt_credentials_provider=provider, use_ssl=False, part_size=8 * MIB
    )

    with boto3_crt.CRTTransferManager(crt, serializer) as manager:
        manager.upload(str(sent), bucket, "crt").result()
        manager.download(bucket, "crt", str(got)).result()

    assert got.read_bytes() == sent.read_bytes()
