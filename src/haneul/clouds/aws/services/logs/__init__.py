"""Amazon CloudWatch Logs: groups, streams, events, filter patterns, live tail."""

from collections.abc import Callable

from haneul.base.errors import AlreadyExists, Conflict, Failure, Invalid, LimitExceeded, NotFound
from haneul.clouds.aws.call import Call, Fault, Handler, Operation, Service

from . import events, groups
from .names import group_arn, resource

_FAULTS: dict[tuple[type[Failure], str], Fault] = {
    (NotFound, ""): Fault("ResourceNotFoundException", 400, "The specified {noun} does not exist."),
    (AlreadyExists, ""): Fault("ResourceAlreadyExistsException", 400, "The specified {noun} already exists"),
    (Conflict, "log group"): Fault(
        "ValidationException", 400, "The log group {name} cannot be deleted: deletion protection is enabled."
    ),
    (Invalid, "filter pattern"): Fault("InvalidParameterException", 400, "Invalid filter pattern: {reason}"),
    (Invalid, ""): Fault("InvalidParameterException", 400, "{reason}"),
    (LimitExceeded, "log group"): Fault(
        "TooManyTagsException", 400, "The log group {name} would have more than 50 tags."
    ),
    (LimitExceeded, ""): Fault("LimitExceededException", 400, "{reason}"),
}


def _everywhere(call: Call) -> str:
    return group_arn(call.scope, "*")


def _on(handler: Handler, name: str, what: Callable[[Call], str] = resource, action: str = "") -> tuple[str, Operation]:
    return name, Operation(handler, f"logs:{action or name}", what)


SERVICE = Service(
    "logs",
    dict(
        (
            _on(groups.create_log_group, "CreateLogGroup"),
            _on(groups.delete_log_group, "DeleteLogGroup"),
            _on(groups.describe_log_groups, "DescribeLogGroups", _everywhere),
            _on(groups.list_log_groups, "ListLogGroups", _everywhere),
            _on(groups.put_retention_policy, "PutRetentionPolicy"),
            _on(groups.delete_retention_policy, "DeleteRetentionPolicy"),
            _on(groups.put_log_group_deletion_protection, "PutLogGroupDeletionProtection"),
            _on(groups.create_log_stream, "CreateLogStream"),
            _on(groups.delete_log_stream, "DeleteLogStream"),
            _on(groups.describe_log_streams, "DescribeLogStreams"),
            _on(groups.tag_resource, "TagResource"),
            _on(groups.untag_resource, "UntagResource"),
            _on(groups.list_tags_for_resource, "ListTagsForResource"),
            _on(groups.tag_log_group, "TagLogGroup"),
            _on(groups.untag_log_group, "UntagLogGroup"),
            _on(groups.list_tags_log_group, "ListTagsLogGroup"),
            _on(events.put_log_events, "PutLogEvents"),
            _on(events.get_log_events, "GetLogEvents"),
            _on(events.filter_log_events, "FilterLogEvents"),
            _on(events.test_metric_filter, "TestMetricFilter", _everywhere),
            _on(events.start_live_tail, "StartLiveTail", events.group_arns),
        )
    ),
    _FAULTS,
)
