"""Buckets: created by AWS's rules of names and places, listed, found, deleted."""

from typing import Any

import pytest

from .conftest import refused


def test_a_bucket_is_created_found_and_deleted(s3: Any) -> None:
    made = s3.create_bucket(Bucket="first-bucket")

    assert made["Location"] == "/first-bucket"
    head = s3.head_bucket(Bucket="first-bucket")
    assert head["BucketRegion"] == "us-east-1"
    assert head["AccessPointAlias"] is False
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert s3.delete_bucket(Bucket="first-bucket")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(s3.head_bucket, Bucket="first-bucket").status == 404


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "Upper", "under_score", "dot..dot", "192.168.0.1", "-dash", "dash-", "xn--a", "a-s3alias"]
)
def test_a_name_against_the_rules_is_refused(raw: Any, name: str) -> None:
    answer = raw("PUT", f"/{name}")

    assert answer.status == 400
    assert b"<Code>InvalidBucketName</Code>" in answer.body
    assert f"<BucketName>{name}</BucketName>".encode() in answer.body


def test_creating_ones_own_bucket_again_is_fine_in_us_east_1_only(cloud: Any) -> None:
    here, away = cloud.client("s3"), cloud.client("s3", region="eu-west-1")
    place = {"LocationConstraint": "eu-west-1"}
    here.create_bucket(Bucket="again-here")
    away.create_bucket(Bucket="again-away", CreateBucketConfiguration=place)

    here.create_bucket(Bucket="again-here")
    error = refused(away.create_bucket, Bucket="again-away", CreateBucketConfiguration=place)

    assert (error.code, error.status) == ("BucketAlreadyOwnedByYou", 409)
    assert error.fields["BucketName"] == "again-away"


def test_a_name_is_taken_for_every_account(cloud: Any) -> None:
    cloud.client("s3").create_bucket(Bucket="taken-name")
    other = cloud.client("s3", account="222222222222")

    error = refused(other.create_bucket, Bucket="taken-name")

    assert (error.code, error.status) == ("BucketAlreadyExists", 409)
    assert refused(other.head_bucket, Bucket="taken-name").status == 403
    assert refused(other.list_objects_v2, Bucket="taken-name").code == "AccessDenied"
    assert "taken-name" not in [bucket["Name"] for bucket in other.list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    ("region", "constraint", "code"),
    [
        ("us-east-1", "us-east-1", "InvalidLocationConstraint"),
        ("eu-west-1", None, "IllegalLocationConstraintException"),
        ("eu-west-1", "us-west-2", "IllegalLocationConstraintException"),
    ],
)
def test_a_place_that_contradicts_the_endpoint_is_refused(
    cloud: Any, region: str, constraint: str | None, code: str
) -> None:
    place = {"CreateBucketConfiguration": {"LocationConstraint": constraint}} if constraint else {}

    assert refused(cloud.client("s3", region=region).create_bucket, Bucket="misplaced", **place).code == code


@pytest.mark.parametrize(
    ("region", "constraint", "location"),
    [("us-east-1", None, None), ("us-east-1", "eu-central-1", "eu-central-1"), ("eu-west-1", "EU", "eu-west-1")],
)
def test_a_bucket_knows_its_region(cloud: Any, region: str, constraint: str | None, location: str | None) -> None:
    client = cloud.client("s3", region=region)
    name = f"placed-{region}-{constraint or 'nowhere'}".lower()
    place = {"CreateBucketConfiguration": {"LocationConstraint": constraint}} if constraint else {}
    client.create_bucket(Bucket=name, **place)

    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == location
    assert client.head_bucket(Bucket=name)["BucketRegion"] == (location or "us-east-1")


def test_only_an_empty_bucket_can_be_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    error = refused(s3.delete_bucket, Bucket=bucket)

    assert (error.code, error.status) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


def test_uploads_that_never_ended_go_with_their_bucket(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")

    s3.delete_bucket(Bucket=bucket)

    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_buckets_are_listed_in_pages_and_by_prefix(cloud: Any) -> None:
    client = cloud.client("s3", account="333333333333")
    names = [f"pages-{letter}" for letter in "abcde"]
    for name in [*names, "another"]:
        client.create_bucket(Bucket=name)

    pages = list(client.get_paginator("list_buckets").paginate(Prefix="pages-", PaginationConfig={"PageSize": 2}))

    assert [[bucket["Name"] for bucket in page["Buckets"]] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert pages[0]["Prefix"] == "pages-"
    assert pages[0]["Buckets"][0]["BucketRegion"] == "us-east-1"
    whole = client.list_buckets()
    assert [bucket["Name"] for bucket in whole["Buckets"]] == sorted([*names, "another"])
    assert len(whole["Owner"]["ID"]) == 64
    assert refused(client.list_buckets, ContinuationToken="***").code == "InvalidArgument"


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects", "delete_bucket", "get_bucket_location"])
def test_a_bucket_that_does_not_exist_is_named(s3: Any, operation: str) -> None:
    error = refused(getattr(s3, operation), Bucket="never-made")

    assert (error.code, error.status) == ("NoSuchBucket", 404)
    assert error.message == "The specified bucket does not exist"
    assert error.fields["BucketName"] == "never-made"


def test_the_owner_that_a_caller_expects_is_checked(s3: Any, bucket: str) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="000000000000")

    assert refused(s3.head_bucket, Bucket=bucket, ExpectedBucketOwner="999999999999").status == 403
    assert refused(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="999999999999").code == "AccessDenied"


def test_what_is_not_offered_says_so(s3: Any, bucket: str) -> None:
    error = refused(s3.put_bucket_cors, Bucket=bucket, CORSConfiguration={"CORSRules": []})

    assert (error.code, error.status) == ("NotImplemented", 501)
    assert "PutBucketCors" in error.message


@pytest.mark.parametrize(
    "host", ["{}.localhost", "{}.s3.localhost", "{}.s3.us-east-1.amazonaws.com", "{}.s3.amazonaws.com"]
)
def test_a_bucket_can_be_named_by_the_host(s3: Any, bucket: str, raw: Any, host: str) -> None:
    headers = {"Host": host.format(bucket)}

    assert raw("PUT", "/a/b.txt", b"by host", headers).status == 200
    assert raw("GET", "/a/b.txt", headers=headers).body == b"by host"
    assert b"<Key>a/b.txt</Key>" in raw("GET", "/?list-type=2", headers=headers).body
    assert s3.get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"by host"
