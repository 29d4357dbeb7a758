"""What is recorded about a bucket; defaults as AWS has them, and its exact words for what was never configured."""

import json
from typing import Any

import pytest

from .conftest import refused


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_policy_status", "NoSuchBucketPolicy"),
        ("get_bucket_tagging", "NoSuchTagSet"),
        ("get_bucket_cors", "NoSuchCORSConfiguration"),
        ("get_bucket_website", "NoSuchWebsiteConfiguration"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ],
)
def test_what_was_never_configured_is_absent(s3: Any, bucket: str, operation: str, code: str) -> None:
    error = refused(getattr(s3, operation), Bucket=bucket)

    assert (error.code, error.status) == (code, 404)
    assert refused(getattr(s3, operation), Bucket="never-made").code == "NoSuchBucket"


def test_defaults_of_a_new_bucket(s3: Any, bucket: str) -> None:
    owner = s3.list_buckets()["Owner"]

    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    controls = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert controls == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert acl["Owner"] == owner
    assert acl["Grants"] == [{"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_tags_are_recorded(s3: Any, bucket: str) -> None:
    tags = [{"Key": "stage", "Value": "test"}, {"Key": "empty", "Value": ""}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags

    s3.delete_bucket_tagging(Bucket=bucket)
    assert refused(s3.get_bucket_tagging, Bucket=bucket).code == "NoSuchTagSet"
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    assert refused(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": many}).code == "BadRequest"


def test_tags_can_come_with_the_bucket(s3: Any) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    s3.create_bucket(Bucket="tagged-from-birth", CreateBucketConfiguration={"Tags": tags})

    assert s3.get_bucket_tagging(Bucket="tagged-from-birth")["TagSet"] == tags


def test_a_policy_is_recorded_as_it_was_written(s3: Any, bucket: str) -> None:
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
            ],
        },
        indent=2,
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)

    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    s3.delete_bucket_policy(Bucket=bucket)
    assert refused(s3.get_bucket_policy, Bucket=bucket).code == "NoSuchBucketPolicy"


@pytest.mark.parametrize("policy", ["", "{", "[]", "{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}'])
def test_a_policy_that_is_none_is_refused(s3: Any, bucket: str, policy: str) -> None:
    assert refused(s3.put_bucket_policy, Bucket=bucket, Policy=policy).code in ("MalformedPolicy", "MalformedXML")


def test_encryption_public_access_and_ownership_are_recorded(s3: Any, bucket: str) -> None:
    rules = {
        "Rules": [
            {
                "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/mine"},
                "BucketKeyEnabled": True,
            }
        ]
    }
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"] == rules
    s3.delete_bucket_encryption(Bucket=bucket)
    again = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert again["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"

    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    access = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert access == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": False,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": False,
    }
    s3.delete_public_access_block(Bucket=bucket)
    assert refused(s3.get_public_access_block, Bucket=bucket).code == "NoSuchPublicAccessBlockConfiguration"

    controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert refused(s3.get_bucket_ownership_controls, Bucket=bucket).code == "OwnershipControlsNotFoundError"


def test_acls_need_an_ownership_that_allows_them(s3: Any, bucket: str) -> None:
    assert refused(s3.put_bucket_acl, Bucket=bucket, ACL="public-read").code == "AccessControlListNotSupported"
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    assert refused(s3.put_bucket_acl, Bucket=bucket, ACL="public-read").code == "AccessDenied"
    s3.delete_public_access_block(Bucket=bucket)

    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")

    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]
    assert grants[1]["Grantee"] == {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
    assert refused(s3.put_bucket_acl, Bucket=bucket, ACL="everybody").code == "InvalidArgument"
