"""CloudWatch Logs: events in, events out, and events as they come."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from haneul.base import limits
from haneul.clouds.aws.call import Call, Output
from haneul.clouds.aws.logpatterns import compile_pattern
from haneul.engines.logs.reading import Window
from haneul.engines.logs.records import Event
from haneul.engines.logs.tail import Tail
from haneul.engines.logs.writing import size_of

from .names import group_arn, group_of, group_of_identifier, invalid, parse_place, place_token

if TYPE_CHECKING:
    from haneul.engines import Engines

# Limits of PutLogEvents: its API reference.
_BATCH_MAX_BYTES = 1_048_576
_BATCH_SPAN_MS = 24 * 3_600_000
_OLDEST_MS = 14 * 24 * 3_600_000
_NEWEST_MS = 2 * 3_600_000

_TAIL_EVERY_S = 1.0
_TAIL_EVENTS_MAX = 500
_TAIL_SESSION_MAX = 3 * 3_600


async def put_log_events(engines: "Engines", call: Call) -> Output:
    events = [(event["timestamp"], event["message"]) for event in call.input["logEvents"]]
    size = size_of(text for _, text in events)
    if size > _BATCH_MAX_BYTES:
        raise invalid(f"Upload too large: {size} bytes exceeds limit of {_BATCH_MAX_BYTES}")
    times = [time_ms for time_ms, _ in events]
    if times != sorted(times):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    now_ms = engines.logs.now_ms()
    oldest_ms, newest_ms = now_ms - _OLDEST_MS, now_ms + _NEWEST_MS
    valid = [time_ms for time_ms in times if oldest_ms <= time_ms <= newest_ms]
    if valid and valid[-1] - valid[0] > _BATCH_SPAN_MS:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    accepted = await engines.logs.put(
        call.scope,
        call.input["logGroupName"],
        call.input["logStreamName"],
        events,
        oldest_ms=oldest_ms,
        newest_ms=newest_ms,
    )
    rejected = {
        "tooNewLogEventStartIndex": len(events) - accepted.too_new if accepted.too_new else None,
        "tooOldLogEventEndIndex": accepted.too_old or None,
        "expiredLogEventEndIndex": accepted.expired or None,
    }
    return {
        "nextSequenceToken": "49039859582275254428" + f"{now_ms:036}",  # still sent, no longer asked for
        "rejectedLogEventsInfo": rejected if any(index is not None for index in rejected.values()) else None,
    }


async def get_log_events(engines: "Engines", call: Call) -> Output:
    backward = not call.input.get("startFromHead")
    window: dict[str, Any] = {"start_ms": call.input.get("startTime", 0), "end_ms": call.input.get("endTime", 2**62)}
    token = call.input.get("nextToken")
    if token is not None:
        direction, place = parse_place(token)
        backward = direction == "b"
        window["before" if backward else "after"] = place
    page = await engines.logs.read(
        call.scope,
        group_of(call),
        call.input["logStreamName"],
        window=Window(**window),
        backward=backward,
        limit=call.input.get("limit") or limits.LOG_PAGE_MAX_EVENTS,
    )
    events = page.events[::-1] if backward else page.events
    if events:
        first, last = events[0].at, events[-1].at
    else:
        first = last = parse_place(token)[1] if token is not None else Window(**window).after
    return {
        "events": [
            {"timestamp": event.time_ms, "message": event.text, "ingestionTime": event.ingested_ms} for event in events
        ],
        "nextForwardToken": place_token("f", last),
        "nextBackwardToken": place_token("b", first),
    }


async def filter_log_events(engines: "Engines", call: Call) -> Output:
    names, prefix = call.input.get("logStreamNames"), call.input.get("logStreamNamePrefix")
    if names and prefix:
        raise invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
    group = group_of(call)
    backward = call.input.get("startFromHead") is False
    # Unlike GetLogEvents, the end is part of the range: FilterLogEvents API reference, endTime.
    window: dict[str, Any] = {
        "start_ms": call.input.get("startTime", 0),
        "end_ms": call.input.get("endTime", 2**62 - 1) + 1,
    }
    token = call.input.get("nextToken")
    if token is not None:
        direction, place = parse_place(token)
        if (direction == "b") != backward:
            raise invalid("The specified nextToken is invalid.")
        window["before" if backward else "after"] = place
    for name in names or ():
        await engines.logs.groups.get_stream(call.scope, group, name)
    page = await engines.logs.search(
        call.scope,
        group,
        window=Window(**window),
        streams=_streams(names or (), (prefix,) if prefix else ()),
        accepts=compile_pattern(call.input.get("filterPattern") or ""),
        backward=backward,
        limit=call.input.get("limit") or limits.LOG_PAGE_MAX_EVENTS,
    )
    return {
        "events": [_filtered(event) for event in page.events],
        "searchedLogStreams": [],
        "nextToken": place_token("b" if backward else "f", page.scanned) if page.more else None,
    }


async def test_metric_filter(engines: "Engines", call: Call) -> Output:
    accepts = compile_pattern(call.input["filterPattern"])
    return {
        "matches": [
            {"eventNumber": number, "eventMessage": message, "extractedValues": {}}
            for number, message in enumerate(call.input["logEventMessages"], 1)
            if accepts(message)
        ]
    }


async def start_live_tail(engines: "Engines", call: Call) -> Output:
    identifiers = call.input["logGroupIdentifiers"]
    names, prefixes = call.input.get("logStreamNames") or (), call.input.get("logStreamNamePrefixes") or ()
    if names and prefixes:
        raise invalid("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
    if (names or prefixes) and len(identifiers) > 1:
        raise invalid("Log streams can be named only when there is one log group.")
    if not all(identifier.startswith("arn:") for identifier in identifiers):
        raise invalid("Log groups must be given by their ARNs.")
    pattern = call.input.get("logEventFilterPattern") or ""
    tail = await engines.logs.tail(
        call.scope,
        [group_of_identifier(call.scope, identifier) for identifier in identifiers],
        streams=_streams(names, prefixes),
        accepts=compile_pattern(pattern),
    )
    start = {
        "requestId": call.request_id,
        "sessionId": call.request_id,
        "logGroupIdentifiers": identifiers,
        "logStreamNames": list(names),
        "logStreamNamePrefixes": list(prefixes),
        "logEventFilterPattern": pattern,
    }
    return {"responseStream": _session(tail, start, call)}


async def _session(tail: Tail, start: dict[str, Any], call: Call) -> AsyncIterator[dict[str, Any]]:
    """An update each second, empty or not, for three hours, as StartLiveTail's API reference says."""
    try:
        yield {"sessionStart": start}
        updates = 0
        async for watched in tail.every(_TAIL_EVERY_S):
            yield {
                "sessionUpdate": {
                    "sessionMetadata": {"sampled": len(watched) > _TAIL_EVENTS_MAX or tail.missed > 0},
                    "sessionResults": [
                        {
                            "logStreamName": event.stream,
                            "logGroupIdentifier": f"{call.scope.account}:{group}",
                            "message": event.text,
                            "timestamp": event.time_ms,
                            "ingestionTime": event.ingested_ms,
                        }
                        for group, event in watched[-_TAIL_EVENTS_MAX:]
                    ],
                }
            }
            updates += 1
            if updates >= _TAIL_SESSION_MAX:
                yield {"SessionTimeoutException": {"message": "The session has timed out."}}
                return
    finally:
        tail.close()


def _streams(names: Any, prefixes: Any) -> Callable[[str], bool]:
    if names:
        wanted = frozenset(names)
        return lambda stream: stream in wanted
    if prefixes:
        beginnings = tuple(prefixes)
        return lambda stream: stream.startswith(beginnings)
    return lambda stream: True


def _filtered(event: Event) -> dict[str, Any]:
    return {
        "logStreamName": event.stream,
        "timestamp": event.time_ms,
        "message": event.text,
        "ingestionTime": event.ingested_ms,
        "eventId": f"{event.at.time_ms:018}{event.at.seq:020}{event.at.index:018}",
    }


def group_arns(call: Call) -> str:
    """What StartLiveTail touches, for the authorise step."""
    identifiers = call.input.get("logGroupIdentifiers") or ["*"]
    return str(identifiers[0]) if len(identifiers) == 1 else group_arn(call.scope, "*")
