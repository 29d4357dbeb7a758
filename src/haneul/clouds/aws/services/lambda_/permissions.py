"""Permissions: the statements that let other accounts and services invoke a function."""

import json
import re
from typing import Any

from haneul.base.errors import NotFound
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.clouds.aws.function_policies import statement
from haneul.clouds.aws.names import partition_of
from haneul.engines import Engines
from haneul.engines.functions.records import Permission

from .names import LATEST, Reference, reference

_ACCOUNT = re.compile(r"\d{12}")
_IDENTITY = re.compile(r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:.+")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


async def add_permission(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = _versioned(call)
    permission = Permission(
        id=values["StatementId"],
        action=values["Action"],
        **_principal(meant, values["Principal"]),
        source=values.get("SourceArn", ""),
        source_account=values.get("SourceAccount", ""),
        organisation=values.get("PrincipalOrgID", ""),
        token=values.get("EventSourceToken", ""),
        url_auth=values.get("FunctionUrlAuthType", ""),
        via_url=values.get("InvokedViaFunctionUrl"),
    )
    added = await engines.functions.permissions.add(
        meant.scope, meant.name, meant.number, permission, revision=values.get("RevisionId", "")
    )
    return {"Statement": _text(statement(meant.arn, added))}


async def remove_permission(engines: Engines, call: Call) -> Output:
    values = call.input
    meant = _versioned(call)
    try:
        await engines.functions.permissions.remove(
            meant.scope, meant.name, meant.number, values["StatementId"], revision=values.get("RevisionId", "")
        )
    except NotFound as failure:
        if failure.noun != "policy":
            raise
        raise AwsError(
            "ResourceNotFoundException", "No policy is associated with the given resource.", 404, Type="User"
        ) from None
    return {}


async def get_policy(engines: Engines, call: Call) -> Output:
    meant = reference(call)
    policy, revision = await engines.functions.permissions.get(meant.scope, meant.name, meant.number)
    statements = [statement(meant.arn, permission) for permission in policy.permissions]
    document = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": _text(document), "RevisionId": revision}


def _versioned(call: Call) -> Reference:
    meant = reference(call)
    if meant.qualifier == LATEST:
        raise AwsError(
            "InvalidParameterValueException",
            "We currently do not support adding policies for $LATEST.",
            Type="User",
        )
    return meant


def _principal(meant: Reference, given: str) -> dict[str, str]:
    if given == "*":
        return {"principal_kind": "any", "principal": "*"}
    if _ACCOUNT.fullmatch(given):
        root = f"arn:{partition_of(meant.scope.region)}:iam::{given}:root"
        return {"principal_kind": "account", "principal": root}
    if _IDENTITY.fullmatch(given):
        return {"principal_kind": "account", "principal": given}
    if _SERVICE.fullmatch(given):
        return {"principal_kind": "service", "principal": given}
    raise AwsError(
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
        Type="User",
    )


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
