"""Names, ARNs and page tokens of CloudWatch Logs."""

import base64
import re

from haneul.base.scope import Scope
from haneul.clouds.aws.call import AwsError, Call
from haneul.clouds.aws.names import arn, parse_arn
from haneul.engines.logs.reading import BEGINNING
from haneul.engines.logs.records import Position

_PLACE = re.compile(r"([fb])/(\d{18})(\d{20})(\d{18})/s")


def invalid(message: str) -> AwsError:
    """The service's one error for whatever a caller gets wrong."""
    return AwsError("InvalidParameterException", message)


def group_arn(scope: Scope, group: str) -> str:
    """Without the :* that some members carry behind it."""
    return arn("logs", scope, f"log-group:{group}")


def stream_arn(scope: Scope, group: str, stream: str) -> str:
    return arn("logs", scope, f"log-group:{group}:log-stream:{stream}")


def group_of(call: Call) -> str:
    """The group that a call names, by logGroupName or by logGroupIdentifier (a name or an ARN)."""
    name, identifier = call.input.get("logGroupName"), call.input.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    return str(name) if name is not None else group_of_identifier(call.scope, str(identifier))


def group_of_identifier(scope: Scope, identifier: str) -> str:
    """The name in a group's name or ARN. An ARN must be of the caller's account and region."""
    if not identifier.startswith("arn:"):
        return identifier
    parsed = parse_arn(identifier)
    if parsed is None or parsed.service != "logs" or not parsed.resource.startswith("log-group:"):
        raise invalid(f"Invalid ARN: {identifier}")
    if (parsed.account, parsed.region) != (scope.account, scope.region):
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return parsed.resource.removeprefix("log-group:").removesuffix(":*")


def resource(call: Call) -> str:
    """What the authorise step asks about."""
    name = call.input.get("logGroupName") or call.input.get("logGroupIdentifier")
    if isinstance(name, str) and not name.startswith("arn:"):
        stream = call.input.get("logStreamName")
        return stream_arn(call.scope, name, stream) if isinstance(stream, str) else f"{group_arn(call.scope, name)}:*"
    return str(name or call.input.get("resourceArn") or group_arn(call.scope, "*"))


def place_token(direction: str, at: Position) -> str:
    """GetLogEvents' token: which way to go on, from which event."""
    if at.time_ms >= 10**18:
        at = BEGINNING
    return f"{direction}/{at.time_ms:018}{at.seq:020}{at.index + 1:018}/s"


def parse_place(token: str) -> tuple[str, Position]:
    found = _PLACE.fullmatch(token)
    if found is None:
        raise invalid("The specified nextToken is invalid.")
    return found[1], Position(int(found[2]), int(found[3]), int(found[4]) - 1)


def name_token(text: str) -> str:
    """A page's token that holds a name or a number."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def parse_name_token(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except ValueError:
        raise invalid("The specified nextToken is invalid.") from None


def parse_number_token(token: str | None) -> int:
    text = parse_name_token(token)
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("The specified nextToken is invalid.")
    return int(text or 0)
