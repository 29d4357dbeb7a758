"""Events lie in the outbox of the very transaction that caused them, one for each subscription that wants them."""

import msgspec
import pytest

from haneul.base.env import ManualEnv
from haneul.base.errors import Invalid, PreconditionFailed
from haneul.base.scope import Scope
from haneul.clouds.aws.events import ENCODERS, owner_principal, s3_test_event
from haneul.engines.objects.conditions import Conditions
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import ObjectEvent, Origin, check_subscriptions, wants
from haneul.engines.objects.records import Subscription
from haneul.storage.outbox import OUTBOX, Delivery, Target
from haneul.storage.store import Range, Store

from .conftest import SCOPE
from .writing import put

TARGET = Target("function", SCOPE, "resize")


def subscription(id: str, *events: str, prefix: str = "", suffix: str = "") -> Subscription:
    return Subscription(id, TARGET, events, prefix, suffix, "aws.s3")


async def waiting(store: Store) -> list[Delivery]:
    return [row for _, row in await store.scan(OUTBOX, Range(), 100)]


def event_of(row: Delivery) -> ObjectEvent:
    return msgspec.msgpack.decode(row.event, type=ObjectEvent)


async def test_a_change_leaves_a_row_for_each_subscription_that_wants_it(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    await engine.buckets.subscribe(
        SCOPE,
        bucket,
        (subscription("made", "created:*", suffix=".jpg"), subscription("gone", "removed:*", prefix="a")),
    )

    made = await put(engine, SCOPE, bucket, "a.jpg", b"12345", origin)
    await put(engine, SCOPE, bucket, "a.png", b"x", origin)
    await engine.delete(SCOPE, bucket, "a.jpg", origin)

    rows = await waiting(store)
    events = sorted((event_of(row) for row in rows), key=lambda event: event.sequence)
    assert [(event.kind, event.subscription) for event in events] == [
        ("created:put", "made"),
        ("removed:delete", "gone"),
    ]
    assert (events[0].size_bytes, events[0].etag, events[1].etag) == (5, made.etag, "")
    assert len({row.id for row in rows}) == 2 and rows[0].target == TARGET
    assert rows[0].trace == origin.trace


async def test_a_change_that_is_refused_tells_nobody(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    await put(engine, SCOPE, bucket, "k", b"x", origin)
    await engine.buckets.subscribe(SCOPE, bucket, (subscription("all", "created:*"),))

    with pytest.raises(PreconditionFailed):
        await put(engine, SCOPE, bucket, "k", b"y", origin, conditions=Conditions(none_match="*"))

    assert await waiting(store) == []


async def test_sequences_grow_even_when_the_clock_stands_or_goes_back(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store, env: ManualEnv
) -> None:
    await engine.buckets.subscribe(SCOPE, bucket, (subscription("all", "created:*", "removed:*"),))

    for _ in range(3):
        await put(engine, SCOPE, bucket, "k", b"x", origin)
        await engine.delete(SCOPE, bucket, "k", origin)
    env._now -= 100
    await put(engine, SCOPE, bucket, "k", b"x", origin)

    sequences = [event_of(row).sequence for row in await waiting(store)]
    assert len(set(sequences)) == 7
    last = (await engine.get(SCOPE, bucket, "k")).sequence
    assert last == max(sequences)


async def test_resetting_an_account_forgets_its_buckets_and_what_waits_for_it(
    engine: ObjectsEngine, bucket: str, origin: Origin, store: Store
) -> None:
    other = Scope("222222222222", "eu-west-1")
    await engine.buckets.create(other, "theirs", settings={})
    await engine.buckets.subscribe(SCOPE, bucket, (subscription("all", "created:*"),))
    await put(engine, SCOPE, bucket, "k", b"x" * 100_000, origin)

    await engine.reset(SCOPE.account)

    assert await waiting(store) == []
    assert await engine.buckets.list(SCOPE, limit=10) == []
    assert [name for name, _ in await engine.buckets.list(other, limit=10)] == ["theirs"]
    await engine.reset(None)
    assert await engine.buckets.list(other, limit=10) == []


@pytest.mark.parametrize(
    ("events", "kind", "wanted"),
    [
        (("created:*",), "created:put", True),
        (("created:put",), "created:put", True),
        (("created:put",), "created:copy", False),
        (("removed:*", "tagged:*"), "tagged:put", True),
        (("removed:*",), "created:put", False),
    ],
)
def test_kinds_of_events_are_matched(events: tuple[str, ...], kind: str, wanted: bool) -> None:
    assert wants(subscription("s", *events), kind, "k") is wanted


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        (subscription("1", "created:*"), subscription("2", "created:put"), True),
        (subscription("1", "created:put"), subscription("2", "created:copy"), False),
        (subscription("1", "created:*", prefix="a"), subscription("2", "created:*", prefix="b"), False),
        (subscription("1", "created:*", prefix="a"), subscription("2", "created:*", prefix="ab"), True),
        (subscription("1", "created:*", suffix="g"), subscription("2", "created:*", suffix=".jpg"), True),
        (subscription("1", "created:*", suffix=".png"), subscription("2", "created:*", suffix=".jpg"), False),
        (subscription("1", "created:*", prefix="a"), subscription("2", "created:*", suffix=".jpg"), True),
    ],
)
def test_two_subscriptions_may_not_want_the_same(one: Subscription, other: Subscription, overlaps: bool) -> None:
    if not overlaps:
        check_subscriptions((one, other))
        return
    with pytest.raises(Invalid):
        check_subscriptions((one, other))


async def test_the_encoder_writes_aws_records(engine: ObjectsEngine, bucket: str, origin: Origin, store: Store) -> None:
    await engine.buckets.subscribe(SCOPE, bucket, (subscription("mine", "created:*"),))
    await put(engine, SCOPE, bucket, "a b/ü", b"12345", origin)

    (row,) = await waiting(store)
    (record,) = msgspec.json.decode(ENCODERS[row.format](row))["Records"]

    assert record["eventName"] == "ObjectCreated:Put" and record["awsRegion"] == "eu-west-1"
    assert record["eventTime"] == "2027-01-15T08:00:00.000Z"
    assert record["s3"]["object"]["key"] == "a+b/%C3%BC"
    assert record["s3"]["bucket"]["ownerIdentity"] == {"principalId": owner_principal(SCOPE.account)}
    assert len(owner_principal(SCOPE.account)) == 14


def test_the_test_event_names_the_bucket() -> None:
    event = msgspec.json.decode(s3_test_event("photos", 1_800_000_000_000, "R"))

    assert (event["Event"], event["Bucket"], event["Time"]) == ("s3:TestEvent", "photos", "2027-01-15T08:00:00.000Z")
