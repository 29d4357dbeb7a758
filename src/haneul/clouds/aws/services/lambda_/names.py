"""Names of functions as callers may write them, and the ARNs that answers carry."""

import re
from functools import lru_cache
from typing import NamedTuple

from haneul.base.scope import Scope
from haneul.clouds.aws.call import AwsError, Call
from haneul.clouds.aws.names import arn, parse_arn
from haneul.engines.functions.records import HEAD, Function

LATEST = "$LATEST"

# The pattern of FunctionName in the service model, with its groups named. A qualifier may follow every form.
_REFERENCE = re.compile(
    r"(arn:(?P<partition>aws[a-zA-Z-]*)?:lambda:)?((?P<region>(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d):)?"
    r"((?P<account>\d{12}):)?(function:)?(?P<name>[a-zA-Z0-9-_.]+)(:(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?"
)
_NAME_MAX_CHARS = 64


class Reference(NamedTuple):
    """Which function is meant. qualifier: as the caller wrote it, "" without one."""

    scope: Scope
    name: str
    qualifier: str

    @property
    def key(self) -> str:
        """The qualifier as the engine knows it: "" or a number."""
        return str(HEAD) if self.qualifier == LATEST else self.qualifier

    @property
    def number(self) -> int:
        """The version that is meant. Raises ResourceNotFoundException for a qualifier that names none."""
        if self.qualifier in ("", LATEST):
            return HEAD
        if not self.qualifier.isdigit() or len(self.qualifier) > 18 or int(self.qualifier) == HEAD:
            raise not_found(self)
        return int(self.qualifier)

    @property
    def arn(self) -> str:
        return function_arn(self.scope, self.name, self.qualifier)


def reference(call: Call) -> Reference:
    """The function of FunctionName and Qualifier. Raises for names that contradict the call."""
    found = parse_reference(call.scope, call.input["FunctionName"])
    given = call.input.get("Qualifier", "")
    if not given:
        return found
    if found.qualifier and found.qualifier != given:
        raise AwsError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
            Type="User",
        )
    return found._replace(qualifier=given)


def plain_reference(call: Call) -> Reference:
    """The function of an operation that is about all its versions: a qualifier in the name is refused."""
    found = parse_reference(call.scope, call.input["FunctionName"])
    if found.qualifier not in ("", LATEST):
        raise AwsError(
            "InvalidParameterValueException",
            f"This operation does not permit a function name that is qualified with a version or an alias: "
            f"{call.input['FunctionName']}",
            Type="User",
        )
    return found._replace(qualifier="")


@lru_cache(maxsize=1024)
def parse_reference(scope: Scope, text: str) -> Reference:
    """A name, partial ARN or ARN. Raises ValidationException for what is none, 404 for another region."""
    match = _REFERENCE.fullmatch(text)
    if match is None or len(match["name"]) > _NAME_MAX_CHARS:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64"
            if match is not None
            else f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: Member "
            "must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\\d{1}:)?"
            "(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
        )
    region = match["region"] or scope.region
    if region != scope.region:
        raise AwsError(
            "ResourceNotFoundException",
            f"Functions from '{region}' are not reachable in this region ('{scope.region}')",
            404,
            Type="User",
        )
    return Reference(Scope(match["account"] or scope.account, region), match["name"], match["qualifier"] or "")


def resource(call: Call) -> str:
    """The ARN that an operation on FunctionName touches, for authorisation."""
    return _resource(call.scope, str(call.input.get("FunctionName", "")), call.input.get("Qualifier") or "")


@lru_cache(maxsize=1024)
def _resource(scope: Scope, name: str, qualifier: str) -> str:
    match = _REFERENCE.fullmatch(name)
    if match is None:
        return "*"
    owner = Scope(match["account"] or scope.account, match["region"] or scope.region)
    return function_arn(owner, match["name"], qualifier or match["qualifier"] or "")


def tagged_reference(call: Call) -> Reference:
    """The function of a tagging operation, which takes a full ARN without qualifier. Raises as Lambda does."""
    text = call.input["Resource"]
    found = parse_arn(text)
    if found is None or found.service != "lambda" or not found.resource.startswith("function:"):
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{text}' at 'resource' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:"
            "(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
            "code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-"
            "[a-f0-9]{12})",
        )
    meant = parse_reference(call.scope, text)
    if meant.qualifier:
        raise AwsError(
            "InvalidParameterValueException",
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
            Type="User",
        )
    return meant


def function_arn(scope: Scope, name: str, qualifier: str = "") -> str:
    return arn("lambda", scope, f"function:{name}:{qualifier}" if qualifier else f"function:{name}")


def version_name(function: Function) -> str:
    return LATEST if function.number == HEAD else str(function.number)


def not_found(meant: Reference) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Function not found: {meant.arn}", 404, Type="User")
