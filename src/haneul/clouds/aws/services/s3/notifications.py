"""Put- and GetBucketNotificationConfiguration: whom S3 tells of which changes, and whether it may."""

import base64
import fnmatch
import hashlib
import re
from typing import Any

from haneul.base.errors import Invalid, NotBuilt, NotFound
from haneul.base.scope import Scope
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.clouds.aws.events import S3_EVENTS
from haneul.engines import Engines
from haneul.engines.functions.records import HEAD, Permission
from haneul.engines.objects.records import Bucket, Subscription
from haneul.storage.outbox import Target

from .errors import invalid_argument

FORMAT = "aws.s3"
PRINCIPAL = "s3.amazonaws.com"
LATEST = "$LATEST"
_FUNCTION = re.compile(
    r"arn:aws[a-z-]*:lambda:([a-z0-9-]+):(\d{12}):function:([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]{1,128}))?",
    re.ASCII,
)
_UNABLE = "Unable to validate the following destination configurations"
_AMBIGUOUS = (
    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are"
    " overlapping for the same event type."
)
_OVERLAP = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
_KINDS = {name: kind for kind, name in S3_EVENTS.items()}


async def put_bucket_notification_configuration(engines: Engines, call: Call) -> Output:
    """Functions can be told. S3 sends its test event to queues and topics only, so a function sees none."""
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    wanted = call.input["NotificationConfiguration"]
    for member in ("QueueConfigurations", "TopicConfigurations"):
        if wanted.get(member):
            raise NotBuilt("notification target", member)
    if wanted.get("EventBridgeConfiguration") is not None:
        raise NotBuilt("notification target", "EventBridgeConfiguration")
    subscriptions = tuple(_subscription(held, each) for each in wanted.get("LambdaFunctionConfigurations", ()))
    if len({each.id for each in subscriptions}) != len(subscriptions):
        raise AwsError("InvalidArgument", "Same ID used for multiple configurations. IDs must be unique.", 400)
    if not call.input.get("SkipDestinationValidation"):
        refused = [
            (_function_arn(each.target), reason)
            for each in subscriptions
            if (reason := await _refusal(engines, held, each.target)) is not None
        ]
        if refused:
            error = AwsError("InvalidArgument", _UNABLE, 400)
            for number, (name, reason) in enumerate(refused, 1):
                error.members |= {f"ArgumentName{number}": name, f"ArgumentValue{number}": reason}
            raise error
    try:
        await engines.objects.buckets.subscribe(call.scope, held.name, subscriptions)
    except Invalid as error:
        if error.noun != "subscription":
            raise
        raise AwsError("InvalidArgument", _AMBIGUOUS if error.fields["filtered"] else _OVERLAP, 400) from error
    return {}


async def get_bucket_notification_configuration(engines: Engines, call: Call) -> Output:
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return {"LambdaFunctionConfigurations": [_configuration(each) for each in held.subscriptions]}


def _subscription(held: Bucket, wanted: dict[str, Any]) -> Subscription:
    target = _target(wanted["LambdaFunctionArn"])
    if target.scope.region != held.region:
        raise invalid_argument(
            "The notification destination service region is not valid for the bucket location constraint",
            wanted["LambdaFunctionArn"],
            "null",
        )
    if not wanted["Events"]:
        raise AwsError(
            "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
        )
    for event in wanted["Events"]:
        if event not in _KINDS:
            raise invalid_argument("The event is not supported for notifications", "Event", event)
    prefix, suffix = _filter(wanted.get("Filter") or {})
    events = tuple(_KINDS[event] for event in wanted["Events"])
    return Subscription(
        id=wanted.get("Id") or _made_id(held.name, wanted),
        target=target,
        events=events,
        prefix=prefix,
        suffix=suffix,
        format=FORMAT,
    )


def _target(arn: str) -> Target:
    found = _FUNCTION.fullmatch(arn)
    if found is None:
        raise invalid_argument("The ARN is not well formed", "CloudFunction", arn)
    region, account, name, qualifier = found.groups()
    # The functions engine knows versions by their numbers.
    version = str(HEAD) if qualifier == LATEST else qualifier or ""
    return Target("function", Scope(account, region), name, version)


def _filter(wanted: dict[str, Any]) -> tuple[str, str]:
    """(prefix, suffix)."""
    found: dict[str, str] = {}
    for rule in wanted.get("Key", {}).get("FilterRules", []):
        name = str(rule.get("Name", "")).lower()
        if name not in ("prefix", "suffix"):
            raise invalid_argument("filter rule name must be either prefix or suffix", "FilterRule.Name", name)
        if name in found:
            raise invalid_argument(f"Cannot specify more than one {name} rule in a filter.", "FilterRule.Name", name)
        found[name] = rule.get("Value", "")
    return found.get("prefix", ""), found.get("suffix", "")


def _made_id(bucket: str, wanted: dict[str, Any]) -> str:
    """An id for a configuration without one: the same for the same configuration."""
    return base64.b64encode(hashlib.sha256(f"{bucket} {wanted!r}".encode()).digest()).decode()


async def _refusal(engines: Engines, held: Bucket, target: Target) -> str | None:
    """Why the function cannot be told, None when it can: it must exist, and its policy must let S3 in for this bucket."""
    if target.qualifier and not target.qualifier.isdigit():
        return "The destination Lambda does not exist"
    number = int(target.qualifier or HEAD)
    try:
        await engines.functions.registry.get(target.scope, target.name, number)
    except NotFound:
        return "The destination Lambda does not exist"
    try:
        policy, _ = await engines.functions.permissions.get(target.scope, target.name, number)
    except NotFound:
        return f"Not authorized to invoke function [{_function_arn(target)}]"
    if any(_lets_in(permission, held) for permission in policy.permissions):
        return None
    return f"Not authorized to invoke function [{_function_arn(target)}]"


def _lets_in(permission: Permission, held: Bucket) -> bool:
    return (
        permission.principal_kind in ("service", "any")
        and permission.principal in (PRINCIPAL, "*", "")
        and fnmatch.fnmatchcase("lambda:InvokeFunction", permission.action)
        and (not permission.source or fnmatch.fnmatchcase(f"arn:aws:s3:::{held.name}", permission.source))
        and permission.source_account in ("", held.account)
    )


def _function_arn(target: Target) -> str:
    arn = f"arn:aws:lambda:{target.scope.region}:{target.scope.account}:function:{target.name}"
    if not target.qualifier:
        return arn
    return f"{arn}:{LATEST if target.qualifier == str(HEAD) else target.qualifier}"


def _configuration(subscription: Subscription) -> dict[str, Any]:
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("Prefix", subscription.prefix), ("Suffix", subscription.suffix))
        if value
    ]
    return {
        "Id": subscription.id,
        "LambdaFunctionArn": _function_arn(subscription.target),
        "Events": [S3_EVENTS[event] for event in subscription.events],
        "Filter": {"Key": {"FilterRules": rules}} if rules else None,
    }
