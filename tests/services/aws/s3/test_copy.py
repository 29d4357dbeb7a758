"""CopyObject and UploadPartCopy: what is taken over, what is said anew, ranges and conditions."""

import os
from typing import Any

import pytest

from .conftest import refused

BIG = os.urandom(300_000)


@pytest.fixture
def source(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="from +ü", Body=BIG, ContentType="image/png", Metadata={"a": "1"}, Tagging="t=1")
    return bucket


def test_a_copy_takes_everything_over(s3: Any, source: str) -> None:
    done = s3.copy_object(Bucket=source, Key="to", CopySource={"Bucket": source, "Key": "from +ü"})

    got = s3.get_object(Bucket=source, Key="to")
    assert got["Body"].read() == BIG
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("image/png", {"a": "1"}, 1)
    assert done["CopyObjectResult"]["ETag"] == got["ETag"]
    assert done["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"
    assert done["ServerSideEncryption"] == "AES256"


def test_directives_say_what_is_new(s3: Any, source: str) -> None:
    s3.copy_object(
        Bucket=source,
        Key="to",
        CopySource=f"{source}/from +ü",
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        TaggingDirective="REPLACE",
        Tagging="u=2",
        StorageClass="STANDARD_IA",
    )

    got = s3.head_object(Bucket=source, Key="to")
    assert (got["ContentType"], got["Metadata"], got["StorageClass"]) == (
        "binary/octet-stream",
        {"b": "2"},
        "STANDARD_IA",
    )
    assert s3.get_object_tagging(Bucket=source, Key="to")["TagSet"] == [{"Key": "u", "Value": "2"}]


def test_an_object_is_copied_onto_itself_only_with_a_change(s3: Any, source: str) -> None:
    itself = {"Bucket": source, "Key": "from +ü", "CopySource": {"Bucket": source, "Key": "from +ü"}}

    error = refused(s3.copy_object, **itself)

    assert error.code == "InvalidRequest" and error.message.startswith("This copy request is illegal")
    s3.copy_object(**itself, MetadataDirective="REPLACE", Metadata={"c": "3"})
    assert s3.get_object(Bucket=source, Key="from +ü")["Body"].read() == BIG


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nothing", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("bucket/", "InvalidArgument"),
        ("never-made/key", "NoSuchBucket"),
        ("{}/missing", "NoSuchKey"),
        ("{}/from?versionId=abc", "NoSuchVersion"),
    ],
)
def test_a_source_that_is_none_is_refused(s3: Any, source: str, text: str, code: str) -> None:
    assert refused(s3.copy_object, Bucket=source, Key="to", CopySource=text.format(source)).code == code


def test_conditions_on_the_source(s3: Any, source: str) -> None:
    head = s3.head_object(Bucket=source, Key="from +ü")
    place = {"Bucket": source, "Key": "to", "CopySource": {"Bucket": source, "Key": "from +ü"}}

    for condition in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": head["ETag"]},
        {"CopySourceIfModifiedSince": head["LastModified"]},
    ):
        error = refused(s3.copy_object, **place, **condition)
        assert (error.code, error.status) == ("PreconditionFailed", 412)
    s3.copy_object(**place, CopySourceIfMatch=head["ETag"], CopySourceIfUnmodifiedSince=head["LastModified"])


def test_a_copy_can_have_another_checksum(s3: Any, source: str) -> None:
    place = {"Bucket": source, "Key": "to", "CopySource": {"Bucket": source, "Key": "from +ü"}}

    done = s3.copy_object(**place, ChecksumAlgorithm="SHA256")

    assert "ChecksumSHA256" in done["CopyObjectResult"]


def test_parts_are_copied_from_ranges(s3: Any, bucket: str) -> None:
    five = os.urandom(5 * 1024 * 1024 + 10)
    s3.put_object(Bucket=bucket, Key="from", Body=five)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="to")["UploadId"]
    place = {"Bucket": bucket, "Key": "to", "UploadId": upload, "CopySource": {"Bucket": bucket, "Key": "from"}}

    first = s3.upload_part_copy(**place, PartNumber=1, CopySourceRange=f"bytes=0-{len(five) - 6}")
    second = s3.upload_part_copy(**place, PartNumber=2, CopySourceRange=f"bytes={len(five) - 5}-{len(five) - 1}")
    third = s3.upload_part_copy(**place, PartNumber=3)
    for text in ("bytes=0-99999999", "bytes=5-", "bytes=9-5", "0-5"):
        assert refused(s3.upload_part_copy, **place, PartNumber=4, CopySourceRange=text).code == "InvalidArgument"
    assert refused(s3.upload_part_copy, **place, PartNumber=4, CopySourceIfMatch='"x"').status == 412

    parts = [
        {"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]} for number, part in ((1, first), (2, second))
    ]
    assert third["CopyPartResult"]["ETag"] == s3.head_object(Bucket=bucket, Key="from")["ETag"]
    s3.complete_multipart_upload(Bucket=bucket, Key="to", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == five


def test_an_object_of_parts_is_copied_into_one_piece(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="from")["UploadId"]
    bodies = [os.urandom(5 * 1024 * 1024), b"end"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key="from", UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key="from", UploadId=upload, MultipartUpload={"Parts": parts})

    done = s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})

    assert "-" not in done["CopyObjectResult"]["ETag"]
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"".join(bodies)


def test_what_is_missing_is_named_even_when_it_is_the_source(s3: Any, source: str) -> None:
    upload = s3.create_multipart_upload(Bucket=source, Key="to")["UploadId"]
    to = {"Bucket": source, "Key": "to"}

    for copy, more in ((s3.copy_object, {}), (s3.upload_part_copy, {"UploadId": upload, "PartNumber": 1})):
        no_key = refused(copy, **to, **more, CopySource=f"{source}/missing").fields
        no_bucket = refused(copy, **to, **more, CopySource="no-such-bucket-here/missing").fields
        assert (no_key["Code"], no_key["Key"]) == ("NoSuchKey", "missing")
        assert (no_bucket["Code"], no_bucket["BucketName"]) == ("NoSuchBucket", "no-such-bucket-here")
    assert refused(s3.copy_object, Bucket="none-here", Key="to", CopySource=f"{source}/from +ü").fields[
        "BucketName"
    ] == ("none-here")
