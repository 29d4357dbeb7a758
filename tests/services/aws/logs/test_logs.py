"""CloudWatch Logs as unmodified boto3 sees it: groups, streams, events, and every refusal."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from haneul.base.finished import Logged
from haneul.base.scope import Scope
from tests.cloud import TestCloud

HERE = Scope("000000000000", "us-east-1")
ARN = "arn:aws:logs:us-east-1:000000000000:log-group:"
DAY_MS = 86_400_000


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def logs(cloud: TestCloud) -> Any:
    return cloud.client("logs")


@pytest.fixture
def group(cloud: TestCloud, logs: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A group with streams a and b, gone after the test."""
    name = f"/test/{request.node.name.split('[')[0]}"
    logs.create_log_group(logGroupName=name)
    for stream in "ab":
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
    yield name
    cloud.run(_delete(cloud, name))


async def _delete(cloud: TestCloud, name: str) -> None:
    groups = cloud.cloud.engines.logs.groups
    if (await groups.find(HERE, prefix=name, limit=1))[0]:
        await groups.set_protected(HERE, name, False)
        await groups.delete(HERE, name)


def put(logs: Any, group: str, stream: str, *texts: str, at_ms: int | None = None) -> dict[str, Any]:
    begin = now_ms() if at_ms is None else at_ms
    events = [{"timestamp": begin + step, "message": text} for step, text in enumerate(texts)]
    answer: dict[str, Any] = logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return answer


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_group_is_described_with_all_its_members(logs: Any, group: str) -> None:
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    put(logs, group, "a", "hello")

    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]

    assert abs(found.pop("creationTime") - now_ms()) < 60_000
    assert found == {
        "logGroupName": group,
        "retentionInDays": 7,
        "metricFilterCount": 0,
        "arn": f"{ARN}{group}:*",
        "storedBytes": 31,
        "logGroupClass": "STANDARD",
        "logGroupArn": f"{ARN}{group}",
        "deletionProtectionEnabled": False,
    }


def test_groups_are_paged_and_found_by_a_part_of_their_names(logs: Any) -> None:
    for number in range(5):
        logs.create_log_group(logGroupName=f"/paged/Name-{number}")

    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="/paged/", PaginationConfig={"PageSize": 2}
    )
    names = [[each["logGroupName"][-1] for each in page["logGroups"]] for page in pages]
    like = logs.describe_log_groups(logGroupNamePattern="NAME-3")["logGroups"]
    listed = logs.list_log_groups(logGroupNamePattern="^/paged/name-1|name-4")["logGroups"]

    assert names == [["0", "1"], ["2", "3"], ["4"]]
    assert [each["logGroupName"] for each in like] == ["/paged/Name-3"]
    assert [each["logGroupName"] for each in listed] == ["/paged/Name-1", "/paged/Name-4"]


def test_events_come_back_in_pages_forward_and_backward(logs: Any, group: str) -> None:
    put(logs, group, "a", *(f"line {number}" for number in range(10)))
    ask = {"logGroupName": group, "logStreamName": "a", "limit": 4}

    head = logs.get_log_events(**ask, startFromHead=True)
    following = logs.get_log_events(**ask, nextToken=head["nextForwardToken"])
    before = logs.get_log_events(**ask, nextToken=following["nextBackwardToken"])
    newest = logs.get_log_events(**ask)

    assert messages(head) == messages(before) == [f"line {number}" for number in range(4)]
    assert messages(following) == [f"line {number}" for number in range(4, 8)]
    assert messages(newest) == [f"line {number}" for number in range(6, 10)]
    assert set(head["events"][0]) == {"timestamp", "message", "ingestionTime"}


def test_at_the_end_the_token_stays_the_same_until_there_is_more(logs: Any, group: str) -> None:
    put(logs, group, "a", "one")
    ask = {"logGroupName": group, "logStreamName": "a", "startFromHead": True}
    first = logs.get_log_events(**ask)

    last = logs.get_log_events(**ask, nextToken=first["nextForwardToken"])
    again = logs.get_log_events(**ask, nextToken=last["nextForwardToken"])
    put(logs, group, "a", "two")
    more = logs.get_log_events(**ask, nextToken=again["nextForwardToken"])

    assert (messages(last), messages(again), messages(more)) == ([], [], ["two"])
    assert first["nextForwardToken"] == last["nextForwardToken"] == again["nextForwardToken"]
    assert len(first["nextForwardToken"]) == 60


def test_an_empty_stream_has_tokens_too(logs: Any, group: str) -> None:
    answer = logs.get_log_events(logGroupName=group, logStreamName="a")
    put(logs, group, "a", "one")

    more = logs.get_log_events(logGroupName=group, logStreamName="a", nextToken=answer["nextForwardToken"])

    assert (messages(answer), messages(more)) == ([], ["one"])


def test_the_end_time_of_a_read_is_left_out_and_that_of_a_filter_taken(logs: Any, group: str) -> None:
    begin = now_ms() - 1_000
    put(logs, group, "a", "0", "1", "2", "3", at_ms=begin)
    window = {"logGroupName": group, "startTime": begin + 1, "endTime": begin + 3}

    assert messages(logs.get_log_events(**window, logStreamName="a")) == ["1", "2"]
    assert messages(logs.filter_log_events(**window)) == ["1", "2", "3"]


def test_filtering_goes_over_streams_and_pages_and_by_pattern(logs: Any, group: str) -> None:
    begin = now_ms() - 1_000
    put(logs, group, "a", *(f"ERROR a{number}" for number in range(5)), at_ms=begin)
    put(logs, group, "b", *(f"INFO b{number}" for number in range(5)), at_ms=begin + 10)

    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 3})
    everything = [text for page in pages for text in messages(page)]

    assert everything == [f"ERROR a{n}" for n in range(5)] + [f"INFO b{n}" for n in range(5)]
    assert messages(logs.filter_log_events(logGroupName=group, filterPattern="INFO -b3")) == [
        *("INFO b0", "INFO b1", "INFO b2", "INFO b4")
    ]
    assert len(logs.filter_log_events(logGroupName=group, logStreamNames=["a"])["events"]) == 5
    assert len(logs.filter_log_events(logGroupName=group, logStreamNamePrefix="b")["events"]) == 5
    assert messages(logs.filter_log_events(logGroupName=group, startFromHead=False, limit=2)) == ["INFO b4", "INFO b3"]
    (event,) = logs.filter_log_events(logGroupIdentifier=f"{ARN}{group}", filterPattern='"b2"')["events"]
    assert set(event) == {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"}
    assert len(event["eventId"]) == 56


def test_json_conditions_filter_json_lines(logs: Any, group: str) -> None:
    put(logs, group, "a", '{"level": "error", "ms": 120}', '{"level": "error", "ms": 20}', "no json")

    found = logs.filter_log_events(logGroupName=group, filterPattern='{ $.level = "error" && $.ms > 100 }')

    assert messages(found) == ['{"level": "error", "ms": 120}']


def test_events_out_of_time_are_left_out_and_said_so(logs: Any, group: str) -> None:
    now = now_ms()
    old = logs.put_log_events(
        logGroupName=group,
        logStreamName="a",
        logEvents=[
            {"timestamp": now - 15 * DAY_MS, "message": "old"},
            {"timestamp": now - 14 * DAY_MS + 60_000, "message": "in time"},
        ],
    )
    new = logs.put_log_events(
        logGroupName=group,
        logStreamName="a",
        logEvents=[{"timestamp": now, "message": "good"}, {"timestamp": now + 3 * 3_600_000, "message": "new"}],
    )

    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert messages(logs.filter_log_events(logGroupName=group)) == ["in time", "good"]


def test_a_sequence_token_is_not_looked_at(logs: Any, group: str) -> None:
    answer = logs.put_log_events(
        logGroupName=group,
        logStreamName="a",
        logEvents=[{"timestamp": now_ms(), "message": "x"}],
        sequenceToken="anything",
    )

    assert answer["nextSequenceToken"]
    assert "rejectedLogEventsInfo" not in answer


def test_streams_are_described_by_name_and_by_time(logs: Any, group: str) -> None:
    put(logs, group, "b", "x", "y")
    put(logs, group, "a", "later", at_ms=now_ms() + 1_000)

    by_name = logs.describe_log_streams(logGroupName=group)["logStreams"]
    by_time = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
    rest = logs.describe_log_streams(
        logGroupName=group, orderBy="LastEventTime", descending=True, nextToken=by_time["nextToken"]
    )

    assert [stream["logStreamName"] for stream in by_name] == ["a", "b"]
    assert [stream["logStreamName"] for stream in by_time["logStreams"] + rest["logStreams"]] == ["a", "b"]
    described = by_name[1]
    assert described["lastEventTimestamp"] - described["firstEventTimestamp"] == 1
    assert described["arn"] == f"{ARN}{group}:log-stream:b"
    assert described["storedBytes"] == 0


def test_tags_are_set_listed_and_removed_by_both_generations_of_calls(logs: Any, group: str) -> None:
    arn = f"{ARN}{group}"
    logs.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    logs.tag_log_group(logGroupName=group, tags={"c": "3"})
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    logs.untag_log_group(logGroupName=group, tags=["b"])

    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"c": "3"}
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"c": "3"}


def test_a_protected_group_stays_until_the_protection_is_off(logs: Any, group: str) -> None:
    logs.put_log_group_deletion_protection(logGroupIdentifier=group, deletionProtectionEnabled=True)
    with pytest.raises(ClientError) as refused:
        logs.delete_log_group(logGroupName=group)
    logs.put_log_group_deletion_protection(logGroupIdentifier=group, deletionProtectionEnabled=False)
    logs.delete_log_group(logGroupName=group)

    assert refusal(refused)[0] == "ValidationException"
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_retention_is_put_and_deleted(logs: Any, group: str) -> None:
    logs.put_retention_policy(logGroupName=group, retentionInDays=3653)
    logs.delete_retention_policy(logGroupName=group)

    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]


def test_what_functions_write_is_there_at_once_with_line_ends(cloud: TestCloud, logs: Any) -> None:
    lines = [(now_ms(), "START RequestId: x Version: $LATEST"), (now_ms(), "two\nlines")]

    async def write() -> None:
        cloud.cloud.engines.logs.logged(Logged(HERE, "/aws/lambda/written", "2026/11/22/[$LATEST]0", lines))

    cloud.run(write())

    found = logs.filter_log_events(logGroupName="/aws/lambda/written")
    assert messages(found) == ["START RequestId: x Version: $LATEST\n", "two\nlines\n"]


def test_a_live_tail_sends_what_comes(cloud: TestCloud, logs: Any, group: str) -> None:
    watching = cloud.client("logs", config=Config(inject_host_prefix=False))
    stream = watching.start_live_tail(logGroupIdentifiers=[f"{ARN}{group}"], logEventFilterPattern="yes")
    events = iter(stream["responseStream"])
    start = next(events)["sessionStart"]
    put(logs, group, "a", "no", "yes")
    results: list[Any] = []
    while not results:
        results = next(events)["sessionUpdate"]["sessionResults"]
    stream["responseStream"].close()

    assert start["logEventFilterPattern"] == "yes"
    assert [(each["message"], each["logStreamName"]) for each in results] == [("yes", "a")]


def test_a_pattern_can_be_tried_out(logs: Any) -> None:
    answer = logs.test_metric_filter(filterPattern="ERROR", logEventMessages=["fine", "ERROR 1"])

    assert [(each["eventNumber"], each["eventMessage"]) for each in answer["matches"]] == [(2, "ERROR 1")]


def test_accounts_and_regions_do_not_see_each_other(cloud: TestCloud, logs: Any, group: str) -> None:
    for other in (cloud.client("logs", region="eu-west-1"), cloud.client("logs", account="111111111111")):
        assert other.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


GONE = ("ResourceNotFoundException", "The specified log group does not exist.")
NO_STREAM = ("ResourceNotFoundException", "The specified log stream does not exist.")


@pytest.mark.parametrize(
    ("operation", "arguments", "expected"),
    [
        ("delete_log_group", {"logGroupName": "/none"}, GONE),
        ("create_log_stream", {"logGroupName": "/none", "logStreamName": "s"}, GONE),
        ("describe_log_streams", {"logGroupName": "/none"}, GONE),
        ("get_log_events", {"logGroupName": "/none", "logStreamName": "s"}, GONE),
        ("filter_log_events", {"logGroupName": "/none"}, GONE),
        ("put_retention_policy", {"logGroupName": "/none", "retentionInDays": 1}, GONE),
        ("delete_retention_policy", {"logGroupName": "/none"}, GONE),
        ("list_tags_log_group", {"logGroupName": "/none"}, GONE),
        ("list_tags_for_resource", {"resourceArn": f"{ARN}/none"}, GONE),
        (
            "get_log_events",
            {"logGroupIdentifier": "arn:aws:logs:eu-west-1:000000000000:log-group:x", "logStreamName": "s"},
            GONE,
        ),
        ("get_log_events", {"logStreamName": "none"}, NO_STREAM),
        ("delete_log_stream", {"logStreamName": "none"}, NO_STREAM),
        ("put_log_events", {"logStreamName": "none", "logEvents": [{"timestamp": 1, "message": "x"}]}, NO_STREAM),
        ("filter_log_events", {"logStreamNames": ["none"]}, NO_STREAM),
        ("create_log_group", {}, ("ResourceAlreadyExistsException", "The specified log group already exists")),
        (
            "create_log_stream",
            {"logStreamName": "a"},
            ("ResourceAlreadyExistsException", "The specified log stream already exists"),
        ),
    ],
)
def test_what_is_missing_or_taken_is_refused_in_awss_words(
    logs: Any, group: str, operation: str, arguments: dict[str, Any], expected: tuple[str, str]
) -> None:
    named = {} if {"logGroupIdentifier", "resourceArn"} & set(arguments) else {"logGroupName": group}

    with pytest.raises(ClientError) as refused:
        getattr(logs, operation)(**{**named, **arguments})

    assert refusal(refused) == expected
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("create_log_group", {"logGroupName": "aws/x"}, "reserved for AWS"),
        ("create_log_group", {"logGroupName": "bad name"}, "logGroupName"),
        ("create_log_stream", {"logStreamName": "a:b"}, "logStreamName"),
        ("put_retention_policy", {"retentionInDays": 2}, "Value '2' at 'retentionInDays' failed to satisfy"),
        ("get_log_events", {"logStreamName": "a", "nextToken": "made up"}, "nextToken is invalid"),
        ("get_log_events", {"logStreamName": "a", "limit": 10_001}, "limit"),
        ("filter_log_events", {"nextToken": "b/" + "0" * 56 + "/s"}, "nextToken is invalid"),
        ("filter_log_events", {"filterPattern": "{ $.a"}, "Invalid filter pattern"),
        ("filter_log_events", {"filterPattern": "a/b"}, "Invalid character(s) in term 'a/b'"),
        ("filter_log_events", {"logStreamNames": ["a"], "logStreamNamePrefix": "a"}, "mutually exclusive"),
        ("filter_log_events", {"logGroupIdentifier": "x"}, "Exactly one of"),
        ("describe_log_streams", {"orderBy": "LastEventTime", "logStreamNamePrefix": "a"}, "Cannot order by"),
        ("describe_log_streams", {"nextToken": "%%%"}, "nextToken is invalid"),
        ("describe_log_streams", {"limit": 51}, "limit"),
        (
            "put_log_events",
            {"logStreamName": "a", "logEvents": [{"timestamp": 2, "message": "x"}, {"timestamp": 1, "message": "x"}]},
            "chronological order",
        ),
        (
            "put_log_events",
            {
                "logStreamName": "a",
                "logEvents": [{"timestamp": now_ms() - back, "message": "x"} for back in (2 * DAY_MS, 0)],
            },
            "cannot span more than 24 hours",
        ),
        (
            "put_log_events",
            {"logStreamName": "a", "logEvents": [{"timestamp": 1, "message": "x" * 1_048_576}]},
            "Upload too large: 1048602 bytes exceeds limit of 1048576",
        ),
    ],
)
def test_what_is_malformed_is_an_invalid_parameter(
    logs: Any, group: str, operation: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(logs, operation)(**{"logGroupName": group, **arguments})

    code, message = refusal(refused)
    assert code == "InvalidParameterException"
    assert said in message


def test_too_many_tags_are_refused(logs: Any, group: str) -> None:
    logs.tag_log_group(logGroupName=group, tags={f"a{number}": "" for number in range(50)})

    with pytest.raises(ClientError) as refused:
        logs.tag_log_group(logGroupName=group, tags={"more": ""})

    assert refusal(refused)[0] == "TooManyTagsException"
