"""Checksums: given ahead, behind or not at all; verified, kept, returned."""

import base64
import hashlib
import zlib
from typing import Any

import pytest
from botocore.config import Config

from .conftest import refused

BODY = b"the quick brown fox"
BIG = BODY * 10_000


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("body", [b"", BODY, BIG])
def test_every_algorithm_is_verified_and_kept(s3: Any, bucket: str, algorithm: str, body: bytes) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)

    member = f"Checksum{algorithm}"
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body  # the client compares the checksum itself
    assert got[member] == put[member] and got["ChecksumType"] == put["ChecksumType"] == "FULL_OBJECT"
    if algorithm.startswith("SHA"):
        assert put[member] == b64(hashlib.new(algorithm, body).digest())


def test_known_values(s3: Any, bucket: str) -> None:
    check = b"123456789"  # the usual check value of the catalogues of CRCs
    for algorithm, value in {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}.items():
        put = s3.put_object(Bucket=bucket, Key="k", Body=check, ChecksumAlgorithm=algorithm)
        size = 8 if algorithm == "CRC64NVME" else 4
        assert put[f"Checksum{algorithm}"] == b64(value.to_bytes(size, "big"))


@pytest.mark.parametrize("body", [BODY, BIG])
def test_a_checksum_that_does_not_match_is_refused(s3: Any, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    error = refused(s3.put_object, Bucket=bucket, Key="k", Body=body, ChecksumCRC32="AAAAAA==")
    md5 = refused(s3.put_object, Bucket=bucket, Key="k", Body=body, ContentMD5=b64(b"0" * 16))

    assert (error.code, error.status) == ("BadDigest", 400)
    assert error.message == "The CRC32 you specified did not match the calculated checksum."
    assert (md5.code, md5.fields["CalculatedDigest"]) == ("BadDigest", b64(hashlib.md5(body).digest()))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_content_md5_that_matches_is_accepted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5=b64(hashlib.md5(BODY).digest()))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": "nonsense"}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": "nonsense"}, "InvalidRequest"),
        ({"x-amz-checksum-sha256": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-checksum-sha512": "AAAA"}, "NotImplemented"),
    ],
)
def test_headers_that_cannot_be_checksums_are_refused(
    bucket: str, raw: Any, headers: dict[str, str], code: str
) -> None:
    answer = raw("PUT", f"/{bucket}/k", BODY, headers)

    assert f"<Code>{code}</Code>".encode() in answer.body


def test_without_a_checksum_there_is_a_default_one(cloud: Any, bucket: str) -> None:
    bare = cloud.client("s3", config=Config(request_checksum_calculation="when_required"))

    put = bare.put_object(Bucket=bucket, Key="k", Body=b"123456789")

    assert put["ChecksumCRC64NVME"] == b64((0xAE8B14860A799888).to_bytes(8, "big"))
    assert put["ChecksumType"] == "FULL_OBJECT"


def chunked(body: bytes, trailer: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailer)


@pytest.mark.parametrize("body", [BODY, BIG])
def test_a_checksum_behind_the_body_is_verified(bucket: str, raw: Any, s3: Any, body: bytes) -> None:
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(body)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    right = b"x-amz-checksum-crc32:" + b64(zlib.crc32(body).to_bytes(4, "big")).encode()
    wrong = b"x-amz-checksum-crc32:AAAAAA=="

    refused_one = raw("PUT", f"/{bucket}/k", chunked(body, wrong), headers)
    accepted = raw("PUT", f"/{bucket}/k", chunked(body, right), headers)

    assert (refused_one.status, accepted.status) == (400, 200)
    assert b"<Code>BadDigest</Code>" in refused_one.body
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body and "ContentEncoding" not in got


def test_ranges_carry_no_checksum(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)

    assert "ChecksumCRC32" not in s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-3", ChecksumMode="ENABLED")
