"""Subscriptions to changes, and the events they cause: which subscription sees which change, and its outbox rows."""

import msgspec

from haneul.base.env import Env
from haneul.base.errors import Invalid
from haneul.base.ids import uuid
from haneul.base.limits import SCAN_MAX_ROWS
from haneul.base.scope import Scope
from haneul.base.trace import Trace
from haneul.storage.outbox import OUTBOX, Delivery, enqueue
from haneul.storage.store import Range, Txn

from .records import Bucket, Object, Subscription

CREATED_PUT = "created:put"
CREATED_POST = "created:post"
CREATED_COPY = "created:copy"
CREATED_PARTS = "created:parts"
REMOVED = "removed:delete"
TAGGED = "tagged:put"
UNTAGGED = "tagged:delete"
KINDS = (CREATED_PUT, CREATED_POST, CREATED_COPY, CREATED_PARTS, REMOVED, TAGGED, UNTAGGED)


class Origin(msgspec.Struct, frozen=True):
    """Where a change comes from. principal: the caller, in the face's words; address: the client's."""

    trace: Trace
    principal: str = ""
    address: str = ""
    request_id: str = ""


class ObjectEvent(msgspec.Struct, frozen=True):
    """A change of an object, as it lies in the outbox. size_bytes and etag are 0 and "" for a removal."""

    kind: str
    scope: Scope
    bucket: str
    owner: str
    key: str
    version: str
    size_bytes: int
    etag: str
    sequence: int
    time_ms: int
    subscription: str
    principal: str
    address: str
    request_id: str


class Sequencer:
    """Numbers that only grow, also over a restart: microseconds since the epoch, pushed on when two would be the same.

    next() is called inside a transaction's work, which the store runs one at a time: the order of numbers is the order
    of commits.
    """

    def __init__(self, env: Env) -> None:
        self._env = env
        self._last = 0

    def next(self) -> int:
        self._last = max(self._last + 1, self._env.now_ms() * 1000)
        return self._last


def enqueue_events(
    txn: Txn, env: Env, bucket: Bucket, kind: str, key: str, changed: Object, sequence: int, origin: Origin
) -> None:
    """One outbox row for each subscription that wants to know of the change."""
    gone = kind == REMOVED
    now_ms = env.now_ms()
    for subscription in bucket.subscriptions:
        if not wants(subscription, kind, key):
            continue
        event = ObjectEvent(
            kind=kind,
            scope=Scope(bucket.account, bucket.region),
            bucket=bucket.name,
            owner=bucket.account,
            key=key,
            version=changed.version,
            size_bytes=0 if gone else changed.body.size_bytes,
            etag="" if gone else changed.etag,
            sequence=sequence,
            time_ms=now_ms,
            subscription=subscription.id,
            principal=origin.principal,
            address=origin.address,
            request_id=origin.request_id,
        )
        enqueue(
            txn,
            Delivery(
                id=uuid(env),
                target=subscription.target,
                source="objects",
                format=subscription.format,
                event=msgspec.msgpack.encode(event),
                created_ms=now_ms,
                due_ms=now_ms,
                trace=origin.trace,
            ),
        )


def forget_events(txn: Txn, account: str | None) -> None:
    """Drop the rows that wait for targets of an account, or all. Needs OUTBOX among the scans."""
    after = b""
    while waiting := txn.scan(OUTBOX, Range(after), SCAN_MAX_ROWS):
        for key, row in waiting:
            if account in (None, row.target.scope.account):
                txn.delete(OUTBOX, key)
        after = waiting[-1][0] + b"\0"


def wants(subscription: Subscription, kind: str, key: str) -> bool:
    """Whether the subscription is to be told of this change of this key."""
    return (
        key.startswith(subscription.prefix)
        and key.endswith(subscription.suffix)
        and any(_covers(event, kind) for event in subscription.events)
    )


def check_subscriptions(subscriptions: tuple[Subscription, ...]) -> None:
    """Raises Invalid when two subscriptions could both be told of one change: which of them wins would be a matter of luck."""
    for position, one in enumerate(subscriptions):
        for other in subscriptions[position + 1 :]:
            if (
                any(_covers(a, b) or _covers(b, a) for a in one.events for b in other.events)
                and (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix))
                and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))
            ):
                filtered = any((one.prefix, one.suffix, other.prefix, other.suffix))
                raise Invalid("subscription", one.id, "overlaps", other=other.id, filtered=filtered)


def _covers(event: str, kind: str) -> bool:
    return event == kind or (event.endswith("*") and kind.startswith(event[:-1]))
