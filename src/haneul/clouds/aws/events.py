"""Event JSON: what functions, queues and topics are handed when something happened; encoders by name of the format."""

import datetime
import hashlib
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

import msgspec

from haneul.engines.objects import events as kinds
from haneul.engines.objects.events import ObjectEvent
from haneul.storage.outbox import Delivery

Encoder = Callable[[Delivery], bytes]

# S3 user guide, "Event notification types and destinations". Those of kinds that never happen here can be subscribed to.
S3_EVENTS = {
    "created:*": "s3:ObjectCreated:*",
    kinds.CREATED_PUT: "s3:ObjectCreated:Put",
    kinds.CREATED_POST: "s3:ObjectCreated:Post",
    kinds.CREATED_COPY: "s3:ObjectCreated:Copy",
    kinds.CREATED_PARTS: "s3:ObjectCreated:CompleteMultipartUpload",
    "removed:*": "s3:ObjectRemoved:*",
    kinds.REMOVED: "s3:ObjectRemoved:Delete",
    "removed:marked": "s3:ObjectRemoved:DeleteMarkerCreated",
    "tagged:*": "s3:ObjectTagging:*",
    kinds.TAGGED: "s3:ObjectTagging:Put",
    kinds.UNTAGGED: "s3:ObjectTagging:Delete",
    "acl:put": "s3:ObjectAcl:Put",
    "restored:*": "s3:ObjectRestore:*",
    "restored:begun": "s3:ObjectRestore:Post",
    "restored:done": "s3:ObjectRestore:Completed",
    "restored:over": "s3:ObjectRestore:Delete",
    "lost:reduced redundancy": "s3:ReducedRedundancyLostObject",
    "replicated:*": "s3:Replication:*",
    "replicated:failed": "s3:Replication:OperationFailedReplication",
    "replicated:not tracked": "s3:Replication:OperationNotTracked",
    "replicated:missed threshold": "s3:Replication:OperationMissedThreshold",
    "replicated:after threshold": "s3:Replication:OperationReplicatedAfterThreshold",
    "expired:*": "s3:LifecycleExpiration:*",
    "expired:delete": "s3:LifecycleExpiration:Delete",
    "expired:marked": "s3:LifecycleExpiration:DeleteMarkerCreated",
    "moved:lifecycle": "s3:LifecycleTransition",
    "moved:tiering": "s3:IntelligentTiering",
}


def s3_event(row: Delivery) -> bytes:
    """An S3 event record as a function gets it. S3 user guide, "Event message structure"."""
    event = msgspec.msgpack.decode(row.event, type=ObjectEvent)
    described = {"key": quote_plus(event.key, safe="/*")}
    if event.kind.startswith("created:"):
        described |= {"size": event.size_bytes, "eTag": event.etag}  # type: ignore[dict-item]  # a JSON object of both
    elif event.etag:
        described["eTag"] = event.etag
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": event.scope.region,
        "eventTime": _moment(event.time_ms),
        "eventName": S3_EVENTS[event.kind].removeprefix("s3:"),
        "userIdentity": {"principalId": event.principal},
        "requestParameters": {"sourceIPAddress": event.address},
        "responseElements": {"x-amz-request-id": event.request_id, "x-amz-id-2": f"haneul/{event.request_id * 3}="},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.subscription,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": {"principalId": owner_principal(event.owner)},
                "arn": f"arn:aws:s3:::{event.bucket}",
            },
            "object": {**described, "sequencer": f"{event.sequence:016X}"},
        },
    }
    return msgspec.json.encode({"Records": [record]})


def s3_test_event(bucket: str, time_ms: int, request_id: str) -> bytes:
    """What S3 sends to a queue or topic when it is first told to notify it."""
    return msgspec.json.encode(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _moment(time_ms),
            "Bucket": bucket,
            "RequestId": request_id,
            "HostId": f"haneul/{request_id * 3}=",
        }
    )


def owner_principal(account: str) -> str:
    """An account's short principal id: "A" and 13 characters, as S3 names a bucket's owner in events."""
    number = int.from_bytes(hashlib.sha256(b"event owner " + account.encode()).digest(), "big")
    letters = ""
    for _ in range(13):
        number, digit = divmod(number, 36)
        letters += "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit]
    return "A" + letters


def _moment(time_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(time_ms // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}Z"


ENCODERS: Mapping[str, Encoder] = {"aws.s3": s3_event}
