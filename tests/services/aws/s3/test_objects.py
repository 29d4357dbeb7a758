"""Objects through an unmodified boto3: bodies, headers, conditions, ranges, deletion."""

import base64
import datetime
import hashlib
from typing import Any

import pytest

from .conftest import refused

BIG = bytes(range(256)) * 800  # 200 KiB: not kept in a row


@pytest.mark.parametrize("body", [b"", b"hello", BIG])
def test_what_was_put_is_got(s3: Any, bucket: str, body: bytes) -> None:
    put = s3.put_object(Bucket=bucket, Key="folder/ключ ü+&.txt", Body=body)

    got = s3.get_object(Bucket=bucket, Key="folder/ключ ü+&.txt")

    assert got["Body"].read() == body
    assert got["ETag"] == put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert got["ContentLength"] == len(body)
    assert got["ContentType"] == "binary/octet-stream"
    assert got["AcceptRanges"] == "bytes"
    assert put["ServerSideEncryption"] == got["ServerSideEncryption"] == "AES256"
    assert got["LastModified"].microsecond == 0
    assert "StorageClass" not in got and "VersionId" not in got


def test_headers_and_metadata_come_back(s3: Any, bucket: str) -> None:
    said = {
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "ko",
        "ContentType": "text/plain; charset=utf-8",
        "StorageClass": "STANDARD_IA",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", Metadata={"one": "1", "two": "zwei"}, Tagging="a=1&b=%C3%BC", **said
    )

    for got in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: got[name] for name in said} == said
        assert got["Metadata"] == {"one": "1", "two": "zwei"}
        assert got["TagCount"] == 2


def test_the_answer_can_carry_other_headers_than_were_stored(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="image/png")

    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="text/html",
        ResponseContentDisposition="inline",
        ResponseCacheControl="no-cache",
        ResponseExpires=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC),
    )

    assert got["ContentType"] == "text/html"
    assert got["ContentDisposition"] == "inline"
    assert got["CacheControl"] == "no-cache"
    assert got["ExpiresString"] == "Tue, 01 Jan 2030 00:00:00 GMT"


def test_an_anonymous_reader_cannot_choose_headers(s3: Any, bucket: str, raw: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    answer = raw("GET", f"/{bucket}/k?response-content-type=text/html")

    assert answer.status == 400 and b"InvalidRequest" in answer.body


def test_an_object_is_replaced_whole(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BIG, Metadata={"old": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")

    got = s3.get_object(Bucket=bucket, Key="k")

    assert got["Body"].read() == b"new" and got["Metadata"] == {}


def test_what_is_missing_is_named(s3: Any, bucket: str) -> None:
    error = refused(s3.get_object, Bucket=bucket, Key="missing")

    assert (error.code, error.status) == ("NoSuchKey", 404)
    assert error.message == "The specified key does not exist."
    assert error.fields["Key"] == "missing"
    assert refused(s3.head_object, Bucket=bucket, Key="missing").code == "404"
    assert refused(s3.put_object, Bucket="never-made", Key="k", Body=b"x").code == "NoSuchBucket"
    assert refused(s3.put_object, Bucket="never-made", Key="k", Body=BIG).code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=10-", 10, None),
        ("bytes=-5", -5, None),
        ("bytes=0-99999999", 0, None),
    ],
)
@pytest.mark.parametrize("body", [b"0123456789abcdef", BIG])
def test_a_range_is_a_part(s3: Any, bucket: str, body: bytes, wanted: str, start: int, end: int | None) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=body)

    got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)

    expected = body[start:end]
    at = start if start >= 0 else len(body) + start
    assert got["Body"].read() == expected
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {at}-{at + len(expected) - 1}/{len(body)}"
    assert got["ContentLength"] == len(expected)
    assert s3.head_object(Bucket=bucket, Key="k", Range=wanted)["ContentLength"] == len(expected)


@pytest.mark.parametrize("wanted", ["bytes=0-1,3-4", "bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=-"])
def test_a_range_that_means_nothing_is_ignored(s3: Any, bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")

    got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)

    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200 and got["Body"].read() == b"0123456789"


@pytest.mark.parametrize(("body", "wanted"), [(b"0123", "bytes=4-"), (b"0123", "bytes=-0"), (b"", "bytes=0-0")])
def test_a_range_outside_the_object_is_refused(s3: Any, bucket: str, body: bytes, wanted: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=body)

    error = refused(s3.get_object, Bucket=bucket, Key="k", Range=wanted)

    assert (error.code, error.status) == ("InvalidRange", 416)
    assert error.fields["ActualObjectSize"] == str(len(body))
    assert error.fields["RangeRequested"] == wanted


def test_reads_heed_entity_tags_and_dates(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    moment = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = moment - datetime.timedelta(hours=1), moment + datetime.timedelta(hours=1)

    def outcome(**conditions: Any) -> int:
        got = {}
        for call in (s3.get_object, s3.head_object):
            try:
                got[call] = call(Bucket=bucket, Key="k", **conditions)["ResponseMetadata"]["HTTPStatusCode"]
            except s3.exceptions.ClientError as error:
                got[call] = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert len(set(got.values())) == 1
        return next(iter(got.values()))

    assert outcome(IfMatch=etag) == outcome(IfMatch="*") == outcome(IfMatch=etag.strip('"')) == 200
    assert outcome(IfMatch='"other"') == 412
    assert outcome(IfNoneMatch='"other"') == 200
    assert outcome(IfNoneMatch=etag) == outcome(IfNoneMatch="*") == 304
    assert outcome(IfModifiedSince=before) == 200
    assert outcome(IfModifiedSince=moment) == outcome(IfModifiedSince=after) == 304
    assert outcome(IfUnmodifiedSince=before) == 412
    assert outcome(IfUnmodifiedSince=moment) == 200
    # Entity tags outweigh dates: RFC 9110 section 13.2.2, and S3 API reference, GetObject.
    assert outcome(IfMatch=etag, IfUnmodifiedSince=before) == 200
    assert outcome(IfNoneMatch='"other"', IfModifiedSince=after) == 200


def test_an_unchanged_object_is_answered_with_its_tag_and_no_body(s3: Any, bucket: str, raw: Any) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]

    answer = raw("GET", f"/{bucket}/k", headers={"If-None-Match": etag})

    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert "last-modified" in answer.headers


def test_writes_heed_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]

    error = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert (error.code, error.status) == ("PreconditionFailed", 412)
    assert error.message == "At least one of the pre-conditions you specified did not hold"
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch='"other"').status == 412
    assert refused(s3.put_object, Bucket=bucket, Key="none", Body=b"2", IfMatch=etag).code == "NoSuchKey"
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch=etag).code == "NotImplemented"

    changed = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)["ETag"]
    assert refused(s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag).status == 412
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=changed)


def test_deleting_is_the_same_twice(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204

    assert refused(s3.get_object, Bucket=bucket, Key="k").code == "NoSuchKey"


def test_many_objects_are_deleted_at_once(s3: Any, bucket: str) -> None:
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")

    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys[:3], "missing"]]})
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": keys[3]}], "Quiet": True})

    assert [item["Key"] for item in done["Deleted"]] == ["k0", "k1", "k2", "missing"]
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k4"]


def test_a_deletion_of_too_many_or_none_is_refused(s3: Any, bucket: str) -> None:
    many = [{"Key": str(number)} for number in range(1001)]

    assert refused(s3.delete_objects, Bucket=bucket, Delete={"Objects": many}).code == "MalformedXML"
    assert refused(s3.delete_objects, Bucket=bucket, Delete={"Objects": []}).code == "MalformedXML"


def test_a_deletion_without_a_checksum_is_refused(bucket: str, raw: Any) -> None:
    answer = raw("POST", f"/{bucket}?delete", b"<Delete><Object><Key>k</Key></Object></Delete>")

    assert answer.status == 400 and b"Missing required header" in answer.body


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("content-md5", base64.b64encode(bytes(16)).decode(), "BadDigest"),
        ("content-md5", "nonsense", "InvalidDigest"),
        ("x-amz-checksum-crc32", base64.b64encode(bytes(4)).decode(), "BadDigest"),
        ("x-amz-checksum-sha256", "nonsense", "InvalidRequest"),
    ],
)
def test_a_deletion_that_is_not_what_was_sent_deletes_nothing(
    s3: Any, bucket: str, raw: Any, header: str, value: str, code: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"

    answer = raw("POST", f"/{bucket}?delete", document, {header: value})

    assert answer.status == 400 and f"<Code>{code}</Code>".encode() in answer.body
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    md5 = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()
    assert raw("POST", f"/{bucket}?delete", document, {"content-md5": md5}).status == 200
    assert refused(s3.get_object, Bucket=bucket, Key="k").code == "NoSuchKey"


def test_a_key_may_have_1024_bytes_and_no_more(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="ü" * 512, Body=b"x")

    error = refused(s3.put_object, Bucket=bucket, Key="ü" * 512 + "x", Body=b"x")

    assert (error.code, error.status) == ("KeyTooLongError", 400)
    assert (error.fields["Size"], error.fields["MaxSizeAllowed"]) == ("1025", "1024")


@pytest.mark.parametrize(
    "key", ["/", "//a", "a//b", ".", "../x", "a/../b", "a b", "%", "%2F", "?", "#", "\U0001f600", "é"]
)
def test_odd_keys_are_keys(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_metadata_has_a_limit(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "x" * 2047})

    error = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "x" * 2048})

    assert (error.code, error.fields["Size"]) == ("MetadataTooLarge", "2049")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"StorageClass": "WARM"}, "InvalidStorageClass"),
        ({"Tagging": "a=1&a=2"}, "InvalidArgument"),
        ({"Tagging": "&".join(f"k{n}=v" for n in range(11))}, "BadRequest"),
        ({"Tagging": "x" * 129 + "=v"}, "InvalidTag"),
        ({"ObjectLockLegalHoldStatus": "ON"}, "NotImplemented"),
        ({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}, "NotImplemented"),
    ],
)
def test_what_cannot_be_stored_is_refused(s3: Any, bucket: str, parameters: dict[str, str], code: str) -> None:
    if "SSECustomerKey" in parameters:
        s3.meta.events.unregister("before-parameter-build.s3.PutObject")
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **parameters).code == code


def test_a_body_without_a_length_is_refused(bucket: str, raw: Any) -> None:
    answer = raw("PUT", f"/{bucket}/k", iter([b"a", b"b"]), {"Transfer-Encoding": "chunked"})

    assert answer.status == 411 and b"MissingContentLength" in answer.body


def test_only_the_null_version_exists(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"x"
    assert refused(s3.get_object, Bucket=bucket, Key="k", VersionId="abc").code == "NoSuchVersion"


def test_attributes_of_an_object(s3: Any, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]

    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)

    assert got["ETag"] == put["ETag"].strip('"')
    assert got["Checksum"] == {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}
    assert (got["StorageClass"], got["ObjectSize"]) == ("STANDARD", 5)
    assert "ObjectParts" not in got


def test_tags_of_an_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]

    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "b", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "b", "Value": ""}]

    assert s3.delete_object_tagging(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    assert refused(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=twice).code == "InvalidTag"
    assert refused(s3.get_object_tagging, Bucket=bucket, Key="none").code == "NoSuchKey"


def test_expires_comes_back_and_spoils_no_list(s3: Any, bucket: str) -> None:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    s3.put_object(Bucket=bucket, Key="a", Body=b"1", Expires=moment)

    assert s3.head_object(Bucket=bucket, Key="a")["Expires"] == moment
    assert s3.get_object(Bucket=bucket, Key="a")["ExpiresString"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a"]


def test_an_expires_that_no_calendar_has_is_refused(s3: Any, bucket: str) -> None:
    def say(params: Any, **_: Any) -> None:
        params["headers"]["Expires"] = "9e99"

    s3.meta.events.register("before-call.s3.PutObject", say)
    try:
        assert refused(s3.put_object, Bucket=bucket, Key="a", Body=b"1")[0] == "InvalidArgument"
    finally:
        s3.meta.events.unregister("before-call.s3.PutObject", say)
