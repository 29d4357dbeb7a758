"""Listings: order, prefixes, delimiters, pages, encodings; both versions of the operation, and the one of versions."""

from typing import Any

import pytest

from .conftest import refused

KEYS = ["a", "a/1", "a/2", "a/b/1", "b", "c/1", "c/2", "d", "é", "日本", "\U0001f600"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in reversed(KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def names(answer: dict[str, Any]) -> tuple[list[str], list[str]]:
    return (
        [item["Key"] for item in answer.get("Contents", [])],
        [item["Prefix"] for item in answer.get("CommonPrefixes", [])],
    )


def test_keys_come_in_the_order_of_their_bytes(s3: Any, filled: str) -> None:
    answer = s3.list_objects_v2(Bucket=filled)

    assert names(answer) == (KEYS, [])
    assert answer["KeyCount"] == len(KEYS) and answer["IsTruncated"] is False
    assert answer["MaxKeys"] == 1000 and answer["Name"] == filled and answer["Prefix"] == ""
    first = answer["Contents"][0]
    assert first["StorageClass"] == "STANDARD" and first["Size"] == 1
    assert first["ChecksumType"] == "FULL_OBJECT" and first["ChecksumAlgorithm"] == ["CRC32"]
    assert "Owner" not in first


@pytest.mark.parametrize(
    ("prefix", "delimiter", "keys", "groups"),
    [
        ("", "/", ["a", "b", "d", "é", "日本", "\U0001f600"], ["a/", "c/"]),
        ("a", "/", ["a"], ["a/"]),
        ("a/", "/", ["a/1", "a/2"], ["a/b/"]),
        ("a/b", "/", [], ["a/b/"]),
        ("a/", "", ["a/1", "a/2", "a/b/1"], []),
        ("nothing", "/", [], []),
        ("", "1", ["a", "a/2", "b", "c/2", "d", "é", "日本", "\U0001f600"], ["a/1", "a/b/1", "c/1"]),
        ("", "b/", ["a", "a/1", "a/2", "b", "c/1", "c/2", "d", "é", "日本", "\U0001f600"], ["a/b/"]),
    ],
)
def test_a_delimiter_folds_what_lies_behind_it(
    s3: Any, filled: str, prefix: str, delimiter: str, keys: list[str], groups: list[str]
) -> None:
    for operation in (s3.list_objects_v2, s3.list_objects):
        assert names(operation(Bucket=filled, Prefix=prefix, Delimiter=delimiter)) == (keys, groups)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_together_are_the_whole(s3: Any, filled: str, operation: str, size: int, delimiter: str) -> None:
    whole = names(getattr(s3, operation)(Bucket=filled, Delimiter=delimiter))
    pages = list(
        s3.get_paginator(operation).paginate(Bucket=filled, Delimiter=delimiter, PaginationConfig={"PageSize": size})
    )

    found = [names(page) for page in pages]
    assert [key for keys, _ in found for key in keys] == whole[0]
    assert [group for _, groups in found for group in groups] == whole[1]
    assert all(len(keys) + len(groups) == size for keys, groups in found[:-1])
    assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]


def test_a_listing_begins_behind_a_key(s3: Any, filled: str) -> None:
    assert names(s3.list_objects_v2(Bucket=filled, StartAfter="c/1"))[0] == KEYS[6:]
    assert names(s3.list_objects_v2(Bucket=filled, StartAfter="c/0"))[0] == KEYS[5:]
    assert names(s3.list_objects(Bucket=filled, Marker="c/1"))[0] == KEYS[6:]


def test_the_marker_of_the_next_page_comes_only_with_a_delimiter(s3: Any, filled: str) -> None:
    assert "NextMarker" not in s3.list_objects(Bucket=filled, MaxKeys=2)
    page = s3.list_objects(Bucket=filled, MaxKeys=2, Delimiter="/")

    assert page["NextMarker"] == "a/"
    assert names(s3.list_objects(Bucket=filled, Marker="a/", MaxKeys=2, Delimiter="/")) == (["b"], ["c/"])


def test_the_owner_is_there_when_asked_for(s3: Any, filled: str) -> None:
    owner = s3.list_buckets()["Owner"]["ID"]

    assert s3.list_objects_v2(Bucket=filled, FetchOwner=True)["Contents"][0]["Owner"]["ID"] == owner
    assert s3.list_objects(Bucket=filled)["Contents"][0]["Owner"]["ID"] == owner


def test_no_keys_are_a_page_too(s3: Any, filled: str) -> None:
    answer = s3.list_objects_v2(Bucket=filled, MaxKeys=0)

    assert names(answer) == ([], []) and answer["IsTruncated"] is False and answer["MaxKeys"] == 0
    assert s3.list_objects_v2(Bucket=filled, MaxKeys=5000)["MaxKeys"] == 1000
    assert refused(s3.list_objects_v2, Bucket=filled, MaxKeys=-1).code == "InvalidArgument"
    assert refused(s3.list_objects_v2, Bucket=filled, ContinuationToken="wrong!").code == "InvalidArgument"


def test_names_can_come_percent_encoded(s3: Any, bucket: str, raw: Any) -> None:
    s3.put_object(Bucket=bucket, Key="a b/c\u0001+%<", Body=b"x")

    plain = raw("GET", f"/{bucket}?list-type=2&encoding-type=url")

    assert b"<Key>a+b/c%01%2B%25%3C</Key>" in plain.body
    assert b"<EncodingType>url</EncodingType>" in plain.body
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == "a b/c\u0001+%<"


def test_times_and_tags_are_spelled_as_s3_spells_them(s3: Any, bucket: str, raw: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    body = raw("GET", f"/{bucket}?list-type=2").body.decode()

    assert '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' in body
    assert ".000Z</LastModified>" in body
    assert "<ETag>&quot;9dd4e461268c8034f5c8564e155c67a6&quot;</ETag>" in body


def test_every_object_is_its_only_version(s3: Any, filled: str) -> None:
    answer = s3.list_object_versions(Bucket=filled, Prefix="a/")

    assert [(item["Key"], item["VersionId"], item["IsLatest"]) for item in answer["Versions"]] == [
        ("a/1", "null", True),
        ("a/2", "null", True),
        ("a/b/1", "null", True),
    ]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=filled, PaginationConfig={"PageSize": 3})
    assert [item["Key"] for page in pages for item in page["Versions"]] == KEYS


def test_a_thousand_keys_are_a_page(s3: Any, bucket: str) -> None:
    for number in range(1005):
        s3.put_object(Bucket=bucket, Key=f"{number:04}", Body=b"")

    first = s3.list_objects_v2(Bucket=bucket)
    second = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])

    assert first["KeyCount"] == 1000 and first["IsTruncated"]
    assert [item["Key"] for item in second["Contents"]] == ["1000", "1001", "1002", "1003", "1004"]
