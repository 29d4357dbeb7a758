"""Multipart uploads: parts in any order, checks at the end, checksums of both kinds, lists, aborts."""

import base64
import hashlib
import os
import zlib
from typing import Any

import pytest

from .conftest import refused

PART = 5 * 1024 * 1024
ONE, TWO, LAST = os.urandom(PART), os.urandom(PART), b"the end"


def begin(s3: Any, bucket: str, key: str = "k", **parameters: Any) -> str:
    upload: str = s3.create_multipart_upload(Bucket=bucket, Key=key, **parameters)["UploadId"]
    return upload


def send(s3: Any, bucket: str, upload: str, bodies: dict[int, bytes], key: str = "k", **parameters: Any) -> list[Any]:
    answers = {
        number: s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **parameters)
        for number, body in bodies.items()
    }
    return [
        {"PartNumber": number, **{name: answers[number][name] for name in answers[number] if name in ("ETag", *SUMS)}}
        for number in sorted(answers)
    ]


SUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")


def finish(s3: Any, bucket: str, upload: str, parts: list[Any], key: str = "k", **parameters: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **parameters
    )


def plain(parts: list[Any]) -> list[Any]:
    return [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]


def test_parts_become_one_object(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ContentType="image/png", Metadata={"a": "b"}, Tagging="t=1")
    parts = send(s3, bucket, upload, {7: LAST, 2: TWO, 1: ONE})

    done = finish(s3, bucket, upload, plain(parts))

    md5s = b"".join(hashlib.md5(body).digest() for body in (ONE, TWO, LAST))
    assert done["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-3"'
    assert done["Location"].endswith(f"/{bucket}/k") and (done["Bucket"], done["Key"]) == (bucket, "k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == ONE + TWO + LAST
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("image/png", {"a": "b"}, 1)
    assert got["ContentLength"] == 2 * PART + len(LAST)
    edge = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={PART - 3}-{PART + 2}")
    assert edge["Body"].read() == ONE[-3:] + TWO[:3]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_part_can_be_read_by_its_number(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    finish(s3, bucket, upload, plain(send(s3, bucket, upload, {1: ONE, 2: LAST})))

    second = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)

    assert second["Body"].read() == LAST
    assert (second["PartsCount"], second["ResponseMetadata"]["HTTPStatusCode"]) == (2, 206)
    assert second["ContentRange"] == f"bytes {PART}-{PART + len(LAST) - 1}/{PART + len(LAST)}"
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == PART
    assert refused(s3.get_object, Bucket=bucket, Key="k", PartNumber=3).status == 416
    both = refused(s3.get_object, Bucket=bucket, Key="k", PartNumber=1, Range="bytes=0-1")
    assert both.code == "InvalidRequest"


def test_a_part_is_replaced_by_a_later_one_of_its_number(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    first = send(s3, bucket, upload, {1: b"first"})
    second = send(s3, bucket, upload, {1: b"second"})

    assert refused(finish, s3=s3, bucket=bucket, upload=upload, parts=plain(first)).code == "InvalidPart"
    finish(s3, bucket, upload, plain(second))

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_parts_that_are_not_listed_are_left_out(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    parts = send(s3, bucket, upload, {1: b"one", 2: b"two", 3: b"three"})

    finish(s3, bucket, upload, plain(parts[1:2]))

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_what_cannot_be_completed_says_why(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    one, two = plain(send(s3, bucket, upload, {1: b"small", 2: LAST}))

    def outcome(*parts: Any, **parameters: Any) -> tuple[str, int]:
        error = refused(finish, s3=s3, bucket=bucket, upload=upload, parts=list(parts), **parameters)
        return error.code, error.status

    assert outcome(two, one) == ("InvalidPartOrder", 400)
    assert outcome(one, one) == ("InvalidPartOrder", 400)
    assert outcome(one, two) == ("EntityTooSmall", 400)
    assert outcome({**one, "ETag": '"0123"'}) == ("InvalidPart", 400)
    assert outcome({**one, "PartNumber": 9}) == ("InvalidPart", 400)
    assert outcome(one, MpuObjectSize=4) == ("InvalidRequest", 400)
    assert outcome()[1] == 400
    assert refused(s3.complete_multipart_upload, Bucket=bucket, Key="k", UploadId=upload).status == 400
    finish(s3, bucket, upload, [one], MpuObjectSize=5)


def test_an_upload_that_ended_is_unknown_but_completing_twice_is_fine(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    parts = plain(send(s3, bucket, upload, {1: b"x"}))

    first, again = finish(s3, bucket, upload, parts), finish(s3, bucket, upload, parts)

    assert first["ETag"] == again["ETag"]
    for work in (s3.list_parts, s3.abort_multipart_upload):
        error = refused(work, Bucket=bucket, Key="k", UploadId=upload)
        assert (error.code, error.status) == ("NoSuchUpload", 404)
    assert refused(finish, s3=s3, bucket=bucket, upload="nonsense", parts=parts).code == "NoSuchUpload"
    s3.delete_object(Bucket=bucket, Key="k")
    assert refused(finish, s3=s3, bucket=bucket, upload=upload, parts=parts).code == "NoSuchUpload"


def test_completing_heeds_conditions(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload = begin(s3, bucket)
    parts = plain(send(s3, bucket, upload, {1: b"x"}))

    assert refused(finish, s3=s3, bucket=bucket, upload=upload, parts=parts, IfNoneMatch="*").status == 412

    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    finish(s3, bucket, upload, parts, IfMatch=etag)


def test_an_upload_is_aborted_with_its_parts(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    send(s3, bucket, upload, {1: ONE, 2: b"x"})

    assert (
        s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)["ResponseMetadata"]["HTTPStatusCode"] == 204
    )

    late = refused(s3.upload_part, Bucket=bucket, Key="k", UploadId=upload, PartNumber=3, Body=b"x")
    assert (late.code, late.status) == ("NoSuchUpload", 404)


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(s3: Any, bucket: str, number: int) -> None:
    upload = begin(s3, bucket)

    error = refused(s3.upload_part, Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=b"x")

    assert error.code == "InvalidArgument"
    assert error.message == "Part number must be an integer between 1 and 10000, inclusive"


def test_parts_are_listed_in_pages(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    send(s3, bucket, upload, {number: b"x" * number for number in (5, 1, 9, 3)})

    pages = list(
        s3.get_paginator("list_parts").paginate(
            Bucket=bucket, Key="k", UploadId=upload, PaginationConfig={"PageSize": 3}
        )
    )

    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [[1, 3, 5], [9]]
    assert [part["Size"] for part in pages[0]["Parts"]] == [1, 3, 5]
    assert (pages[0]["IsTruncated"], pages[0]["NextPartNumberMarker"]) == (True, 5)
    assert pages[0]["StorageClass"] == "STANDARD" and len(pages[0]["Owner"]["ID"]) == 64


def test_uploads_are_listed_by_key_and_beginning(s3: Any, bucket: str) -> None:
    begun = [(key, begin(s3, bucket, key)) for key in ("b", "a/1", "a/2", "b", "c")]
    wanted = sorted(begun, key=lambda one: one[0])

    def ids(answer: Any) -> list[tuple[str, str]]:
        return [(upload["Key"], upload["UploadId"]) for upload in answer.get("Uploads", [])]

    whole = s3.list_multipart_uploads(Bucket=bucket)
    assert sorted(ids(whole)) == sorted(wanted) and [key for key, _ in ids(whole)] == [key for key, _ in wanted]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [one for page in pages for one in ids(page)] == ids(whole)
    folded = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [item["Prefix"] for item in folded["CommonPrefixes"]] == ["a/"]
    assert [key for key, _ in ids(folded)] == ["b", "b", "c"]
    assert [key for key, _ in ids(s3.list_multipart_uploads(Bucket=bucket, Prefix="a"))] == ["a/1", "a/2"]
    assert [key for key, _ in ids(s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b"))] == ["c"]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_a_composite_checksum_is_made_of_the_parts(s3: Any, bucket: str, algorithm: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm)
    parts = send(s3, bucket, upload, {1: ONE, 2: LAST}, ChecksumAlgorithm=algorithm)
    member = f"Checksum{algorithm}"

    missing = refused(finish, s3=s3, bucket=bucket, upload=upload, parts=plain(parts))
    done = finish(s3, bucket, upload, parts)

    assert missing.code == "InvalidRequest" and "must include the checksum for each part" in missing.message
    assert done["ChecksumType"] == "COMPOSITE" and done[member].endswith("-2")
    if algorithm.startswith("SHA"):
        each = b"".join(base64.b64decode(part[member]) for part in parts)
        assert done[member] == base64.b64encode(hashlib.new(algorithm, each).digest()).decode() + "-2"
    wanted = ["ObjectParts", "Checksum"]
    known = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert known["ObjectParts"]["TotalPartsCount"] == 2
    assert [part[member] for part in known["ObjectParts"]["Parts"]] == [part[member] for part in parts]
    assert [part["Size"] for part in known["ObjectParts"]["Parts"]] == [PART, len(LAST)]


def test_a_full_checksum_is_that_of_the_whole(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = send(s3, bucket, upload, {1: ONE, 2: TWO, 3: LAST}, ChecksumAlgorithm="CRC32")
    whole = base64.b64encode(zlib.crc32(ONE + TWO + LAST).to_bytes(4, "big")).decode()

    wrong = refused(finish, s3=s3, bucket=bucket, upload=upload, parts=plain(parts), ChecksumCRC32="AAAAAA==")
    done = finish(s3, bucket, upload, plain(parts), ChecksumCRC32=whole, ChecksumType="FULL_OBJECT")

    assert wrong.code == "BadDigest"
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (whole, "FULL_OBJECT")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == whole


def test_an_upload_without_a_checksum_gets_one(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)

    done = finish(s3, bucket, upload, plain(send(s3, bucket, upload, {1: ONE, 2: LAST})))

    assert done["ChecksumType"] == "FULL_OBJECT" and "ChecksumCRC64NVME" in done
    s3.put_object(Bucket=bucket, Key="same", Body=ONE + LAST, ChecksumAlgorithm="CRC64NVME")
    same = s3.head_object(Bucket=bucket, Key="same", ChecksumMode="ENABLED")
    assert same["ChecksumCRC64NVME"] == done["ChecksumCRC64NVME"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
    ],
)
def test_checksum_kinds_that_cannot_be_are_refused(s3: Any, bucket: str, parameters: dict[str, str]) -> None:
    assert refused(s3.create_multipart_upload, Bucket=bucket, Key="k", **parameters).code == "InvalidRequest"


def test_a_part_with_another_checksum_than_the_upload_is_refused(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")

    error = refused(s3.upload_part, Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")

    assert error.code == "InvalidRequest"
    assert error.message.endswith("expected checksum Type: sha256, actual checksum Type: crc32")
