"""Amazon S3: the face of engines/objects."""

from collections.abc import Callable

from haneul.clouds.aws.call import Call, Handler, Operation, Service

from . import buckets, copy, listing, multipart, notifications, objects, settings, tagging
from .digests import verified
from .errors import FAULTS, guarded
from .names import any_resource, bucket_arn, object_arn


def _of(resource: Callable[[Call], str], handler: Handler, action: str) -> Operation:
    return Operation(guarded(handler), f"s3:{action}", resource)


def _bucket(handler: Handler, action: str) -> Operation:
    return _of(bucket_arn, verified(handler), action)


def _object(handler: Handler, action: str) -> Operation:
    return _of(object_arn, handler, action)


# IAM actions: Service Authorization Reference, "Actions defined by Amazon S3"; several differ from the operation's name.
OPERATIONS = {
    "CreateBucket": _bucket(buckets.create_bucket, "CreateBucket"),
    "ListBuckets": Operation(buckets.list_buckets, "s3:ListAllMyBuckets", any_resource),
    "HeadBucket": _bucket(buckets.head_bucket, "ListBucket"),
    "DeleteBucket": _bucket(buckets.delete_bucket, "DeleteBucket"),
    "GetBucketLocation": _bucket(buckets.get_bucket_location, "GetBucketLocation"),
    "PutObject": _object(objects.put_object, "PutObject"),
    "GetObject": _object(objects.get_object, "GetObject"),
    "HeadObject": _object(objects.head_object, "GetObject"),
    "DeleteObject": _object(objects.delete_object, "DeleteObject"),
    "DeleteObjects": _bucket(objects.delete_objects, "DeleteObject"),
    "GetObjectAttributes": _object(objects.get_object_attributes, "GetObjectAttributes"),
    "CopyObject": _object(copy.copy_object, "PutObject"),
    "ListObjects": _bucket(listing.list_objects, "ListBucket"),
    "ListObjectsV2": _bucket(listing.list_objects_v2, "ListBucket"),
    "ListObjectVersions": _bucket(listing.list_object_versions, "ListBucketVersions"),
    "CreateMultipartUpload": _object(multipart.create_multipart_upload, "PutObject"),
    "UploadPart": _object(multipart.upload_part, "PutObject"),
    "UploadPartCopy": _object(copy.upload_part_copy, "PutObject"),
    "CompleteMultipartUpload": _object(multipart.complete_multipart_upload, "PutObject"),
    "AbortMultipartUpload": _object(multipart.abort_multipart_upload, "AbortMultipartUpload"),
    "ListParts": _object(multipart.list_parts, "ListMultipartUploadParts"),
    "ListMultipartUploads": _bucket(multipart.list_multipart_uploads, "ListBucketMultipartUploads"),
    "GetObjectTagging": _object(tagging.get_object_tagging, "GetObjectTagging"),
    "PutObjectTagging": _object(verified(tagging.put_object_tagging), "PutObjectTagging"),
    "DeleteObjectTagging": _object(tagging.delete_object_tagging, "DeleteObjectTagging"),
    "GetObjectAcl": _object(settings.get_object_acl, "GetObjectAcl"),
    "GetBucketNotificationConfiguration": _bucket(
        notifications.get_bucket_notification_configuration, "GetBucketNotification"
    ),
    "PutBucketNotificationConfiguration": _bucket(
        notifications.put_bucket_notification_configuration, "PutBucketNotification"
    ),
    "GetBucketTagging": _bucket(settings.get_bucket_tagging, "GetBucketTagging"),
    "PutBucketTagging": _bucket(settings.put_bucket_tagging, "PutBucketTagging"),
    "DeleteBucketTagging": _bucket(settings.delete_setting(settings.TAGGING), "PutBucketTagging"),
    "GetBucketPolicy": _bucket(settings.get_bucket_policy, "GetBucketPolicy"),
    "PutBucketPolicy": _bucket(settings.put_bucket_policy, "PutBucketPolicy"),
    "DeleteBucketPolicy": _bucket(settings.delete_bucket_policy, "DeleteBucketPolicy"),
    "GetBucketPolicyStatus": _bucket(settings.get_bucket_policy_status, "GetBucketPolicyStatus"),
    "GetBucketEncryption": _bucket(settings.get_bucket_encryption, "GetEncryptionConfiguration"),
    "PutBucketEncryption": _bucket(settings.put_bucket_encryption, "PutEncryptionConfiguration"),
    "DeleteBucketEncryption": _bucket(settings.delete_setting(settings.ENCRYPTION), "PutEncryptionConfiguration"),
    "GetPublicAccessBlock": _bucket(settings.get_public_access_block, "GetBucketPublicAccessBlock"),
    "PutPublicAccessBlock": _bucket(settings.put_public_access_block, "PutBucketPublicAccessBlock"),
    "DeletePublicAccessBlock": _bucket(settings.delete_public_access_block, "PutBucketPublicAccessBlock"),
    "GetBucketOwnershipControls": _bucket(settings.get_bucket_ownership_controls, "GetBucketOwnershipControls"),
    "PutBucketOwnershipControls": _bucket(settings.put_bucket_ownership_controls, "PutBucketOwnershipControls"),
    "DeleteBucketOwnershipControls": _bucket(settings.delete_bucket_ownership_controls, "PutBucketOwnershipControls"),
    "GetBucketAcl": _bucket(settings.get_bucket_acl, "GetBucketAcl"),
    "PutBucketAcl": _bucket(settings.put_bucket_acl, "PutBucketAcl"),
    "GetBucketVersioning": _bucket(settings.get_bucket_versioning, "GetBucketVersioning"),
    "GetBucketRequestPayment": _bucket(settings.get_bucket_request_payment, "GetBucketRequestPayment"),
    "GetBucketLogging": _bucket(settings.get_nothing, "GetBucketLogging"),
    "GetBucketAccelerateConfiguration": _bucket(settings.get_nothing, "GetAccelerateConfiguration"),
    "GetBucketCors": _bucket(
        settings.get_absent("NoSuchCORSConfiguration", "The CORS configuration does not exist"), "GetBucketCORS"
    ),
    "GetBucketWebsite": _bucket(
        settings.get_absent("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
        "GetBucketWebsite",
    ),
    "GetBucketLifecycleConfiguration": _bucket(
        settings.get_absent("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
        "GetLifecycleConfiguration",
    ),
    "GetBucketReplication": _bucket(
        settings.get_absent("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
        "GetReplicationConfiguration",
    ),
    "GetObjectLockConfiguration": _bucket(
        settings.get_absent(
            "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"
        ),
        "GetBucketObjectLockConfiguration",
    ),
}

SERVICE = Service("s3", OPERATIONS, FAULTS)
