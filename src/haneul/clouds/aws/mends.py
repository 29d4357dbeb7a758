"""Corrections to published models: what the SDKs correct too, and what a newer model has dropped but AWS still speaks."""

from haneul.clouds.aws.shapes import ErrorTrait, Shape

# SQS still answers clients of before its move to JSON (2023); its present model has lost the names of their forms,
# documents and error codes. SQS API reference of 2012-11-05, the query examples and errors of each operation.
_SQS_MEMBERS = {
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
    "AttributeNames": "AttributeName",
    "Attributes": "Attribute",
    "BinaryListValues": "BinaryListValue",
    "Failed": "BatchResultErrorEntry",
    "MessageAttributeNames": "MessageAttributeName",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "MessageSystemAttributes": "MessageSystemAttribute",
    "Messages": "Message",
    "QueueUrls": "QueueUrl",
    "StringListValues": "StringListValue",
    "TagKeys": "TagKey",
    "Tags": "Tag",
    "queueUrls": "QueueUrl",
    "tags": "Tag",
}
_SQS_ENTRIES = {
    "ChangeMessageVisibilityBatchRequest": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResult": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequest": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResult": "DeleteMessageBatchResultEntry",
    "SendMessageBatchRequest": "SendMessageBatchRequestEntry",
    "SendMessageBatchResult": "SendMessageBatchResultEntry",
}
_SQS_CODES = {
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsNotFound": "KMS.NotFoundException",
    "KmsOptInRequired": "KMS.OptInRequired",
    "KmsThrottled": "KMS.ThrottlingException",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}


def mend(service: str, shapes: dict[str, Shape]) -> None:
    """Correct a service's shapes in place."""
    if service == "s3" and "Expires" in shapes:
        # botocore's sdk-extras file says the same: clients send and expect a date.
        shapes["Expires"].type = "timestamp"
    if service == "sqs":
        _name_forms(shapes)
        for name, code in _SQS_CODES.items():
            if name in shapes:
                shapes[name].error = ErrorTrait(code=code, http_status_code=400)


def _name_forms(shapes: dict[str, Shape]) -> None:
    for name, shape in shapes.items():
        for member, ref in shape.members.items():
            if shapes[ref.shape].type in ("list", "map"):
                entries = _SQS_ENTRIES.get(name) if member in ("Entries", "Successful") else None
                ref.query_name = entries or _SQS_MEMBERS.get(member)
        if shape.type == "map" and shape.key is not None and shape.value is not None:
            shape.key.query_name = "Key" if name == "TagMap" else "Name"
            shape.value.query_name = "Value"
