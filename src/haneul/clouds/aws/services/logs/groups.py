"""CloudWatch Logs: groups and streams, their retention, protection and tags."""

import re
from typing import TYPE_CHECKING, Any

from haneul.base.scope import Scope
from haneul.clouds.aws.call import Call, Output
from haneul.clouds.aws.names import parse_arn
from haneul.engines.logs.records import Group, Stream

from .names import (
    group_arn,
    group_of,
    group_of_identifier,
    invalid,
    name_token,
    parse_name_token,
    parse_number_token,
    stream_arn,
)

if TYPE_CHECKING:
    from haneul.engines import Engines

_PAGE = 50
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_STANDARD = "STANDARD"


async def create_log_group(engines: "Engines", call: Call) -> Output:
    name = call.input["logGroupName"]
    if name.lower().startswith("aws/"):
        raise invalid("Log groups starting with AWS/ are reserved for AWS.")
    await engines.logs.groups.create(
        call.scope,
        name,
        tags=call.input.get("tags") or {},
        kind=call.input.get("logGroupClass") or _STANDARD,
        key=call.input.get("kmsKeyId") or "",
        protected=bool(call.input.get("deletionProtectionEnabled")),
    )
    return {}


async def delete_log_group(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.delete(call.scope, call.input["logGroupName"])
    return {}


async def describe_log_groups(engines: "Engines", call: Call) -> Output:
    prefix, pattern = call.input.get("logGroupNamePrefix"), call.input.get("logGroupNamePattern")
    identifiers = call.input.get("logGroupIdentifiers")
    if prefix and pattern:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    if identifiers and (prefix or pattern):
        raise invalid("LogGroupIdentifiers cannot be combined with a LogGroup name prefix or pattern.")
    named = {group_of_identifier(call.scope, each) for each in identifiers or ()}
    like = (pattern or "").lower()  # a part of the name, whatever its case: DescribeLogGroups API reference
    found, more = await engines.logs.groups.find(
        call.scope,
        prefix=prefix or "",
        accepts=(lambda name: (like in name.lower()) and (not named or name in named)) if like or named else None,
        after=parse_name_token(call.input.get("nextToken")),
        limit=call.input.get("limit") or _PAGE,
    )
    kind = call.input.get("logGroupClass")
    shown = [_described(call.scope, group) for group in found if kind in (None, group.kind or _STANDARD)]
    return {"logGroups": shown, "nextToken": name_token(found[-1].name) if more else None}


async def list_log_groups(engines: "Engines", call: Call) -> Output:
    alternatives = (call.input.get("logGroupNamePattern") or "").lower().split("|")

    def accepts(name: str) -> bool:
        lower = name.lower()
        return any(lower.startswith(one[1:]) if one.startswith("^") else one in lower for one in alternatives)

    found, more = await engines.logs.groups.find(
        call.scope,
        accepts=accepts,
        after=parse_name_token(call.input.get("nextToken")),
        limit=call.input.get("limit") or _PAGE,
    )
    shown = [
        {
            "logGroupName": group.name,
            "logGroupArn": group_arn(call.scope, group.name),
            "logGroupClass": group.kind or _STANDARD,
        }
        for group in found
    ]
    return {"logGroups": shown, "nextToken": name_token(found[-1].name) if more else None}


async def put_retention_policy(engines: "Engines", call: Call) -> Output:
    days = call.input["retentionInDays"]
    if days not in _RETENTIONS:
        raise invalid(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(map(str, _RETENTIONS))}]"
        )
    await engines.logs.groups.set_retention(call.scope, call.input["logGroupName"], days)
    return {}


async def delete_retention_policy(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.set_retention(call.scope, call.input["logGroupName"], 0)
    return {}


async def put_log_group_deletion_protection(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.set_protected(call.scope, group_of(call), call.input["deletionProtectionEnabled"])
    return {}


async def create_log_stream(engines: "Engines", call: Call) -> Output:
    name = call.input["logStreamName"]
    if re.search(r"[:*]", name):
        raise invalid("Log stream names must not contain ':' or '*'.")
    await engines.logs.groups.create_stream(call.scope, call.input["logGroupName"], name)
    return {}


async def delete_log_stream(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.delete_stream(call.scope, call.input["logGroupName"], call.input["logStreamName"])
    return {}


async def describe_log_streams(engines: "Engines", call: Call) -> Output:
    group = group_of(call)
    prefix = call.input.get("logStreamNamePrefix")
    by_time = call.input.get("orderBy") == "LastEventTime"
    if prefix and by_time:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    skip, limit = parse_number_token(call.input.get("nextToken")), call.input.get("limit") or _PAGE
    await engines.logs.flush()
    found, more = await engines.logs.groups.list_streams(
        call.scope,
        group,
        prefix=prefix or "",
        by_time=by_time,
        newest_first=bool(call.input.get("descending")),
        skip=skip,
        limit=limit,
    )
    return {
        "logStreams": [_described_stream(call.scope, group, stream) for stream in found],
        "nextToken": name_token(str(skip + limit)) if more else None,
    }


async def tag_resource(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.put_tags(call.scope, _tagged(call), call.input["tags"])
    return {}


async def untag_resource(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.delete_tags(call.scope, _tagged(call), call.input["tagKeys"])
    return {}


async def list_tags_for_resource(engines: "Engines", call: Call) -> Output:
    return {"tags": (await engines.logs.groups.get(call.scope, _tagged(call))).tags}


async def tag_log_group(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.put_tags(call.scope, call.input["logGroupName"], call.input["tags"])
    return {}


async def untag_log_group(engines: "Engines", call: Call) -> Output:
    await engines.logs.groups.delete_tags(call.scope, call.input["logGroupName"], call.input["tags"])
    return {}


async def list_tags_log_group(engines: "Engines", call: Call) -> Output:
    return {"tags": (await engines.logs.groups.get(call.scope, call.input["logGroupName"])).tags}


def _tagged(call: Call) -> str:
    """The group of resourceArn; nothing else is tagged here."""
    parsed = parse_arn(call.input["resourceArn"])
    if parsed is None or parsed.service != "logs":
        raise invalid(f"Invalid ARN: {call.input['resourceArn']}")
    return group_of_identifier(call.scope, str(parsed))


def _described(scope: Scope, group: Group) -> dict[str, Any]:
    return {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "retentionInDays": group.retention_days or None,
        "metricFilterCount": 0,
        "arn": f"{group_arn(scope, group.name)}:*",
        "storedBytes": group.stored_bytes,
        "kmsKeyId": group.key or None,
        "logGroupClass": group.kind or _STANDARD,
        "logGroupArn": group_arn(scope, group.name),
        "deletionProtectionEnabled": group.protected,
    }


def _described_stream(scope: Scope, group: str, stream: Stream) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "firstEventTimestamp": stream.first_ms or None,
        "lastEventTimestamp": stream.last_ms or None,
        "lastIngestionTime": stream.ingested_ms or None,
        "uploadSequenceToken": "49039859582275254428" + f"{stream.ingested_ms:036}" if stream.ingested_ms else None,
        "arn": stream_arn(scope, group, stream.name),
        "storedBytes": 0,  # always: it was given up in June 2019, LogStream in the API reference
    }
