"""The policies that hang on functions: their statements as Lambda writes them, and what they mean to the authorise step."""

import json
from functools import lru_cache
from typing import Any

from haneul.base.errors import Invalid
from haneul.base.limits import RESOURCE_POLICY_CACHE_MAX
from haneul.base.scope import Scope
from haneul.clouds.aws.authorise import ResourcePolicy
from haneul.clouds.aws.names import parse_arn
from haneul.clouds.aws.policies import parse_policy
from haneul.engines.functions.engine import FunctionsEngine
from haneul.engines.functions.records import HEAD, Permission
from haneul.engines.functions.records import Policy as Permissions
from haneul.engines.identity.policy import Policy, Statement

_LATEST = "$LATEST"


class FunctionPolicies:
    """What AddPermission has granted on a version: it opens that version only, under the name that it was granted on."""

    def __init__(self, functions: FunctionsEngine) -> None:
        self._functions = functions

    async def find(self, scope: Scope, resource: str) -> ResourcePolicy | None:
        found = parse_arn(resource)
        kind, _, rest = found.resource.partition(":") if found is not None else ("", "", "")
        name, _, qualifier = rest.partition(":")
        if found is None or kind != "function" or not name:
            return None
        owner = Scope(found.account, found.region)
        if not qualifier or qualifier == _LATEST:
            number = HEAD
        elif qualifier.isascii() and qualifier.isdigit() and len(qualifier) <= 18:
            number = int(qualifier)
        else:
            return ResourcePolicy(owner.account)
        held = await self._functions.permissions.find(owner, name, number)
        granted_on = str(found._replace(resource=f"function:{name}:{number}" if number != HEAD else f"function:{name}"))
        return ResourcePolicy(owner.account, _read(granted_on, held) if held is not None else None)

    def generation(self) -> int:
        return self._functions.registry.version


def statement(function_arn: str, permission: Permission) -> dict[str, Any]:
    """One statement as Lambda writes it."""
    kinds = {"service": "Service", "account": "AWS"}
    principal: Any = "*"
    if permission.principal_kind in kinds:
        principal = {kinds[permission.principal_kind]: permission.principal}
    written: dict[str, Any] = {
        "Sid": permission.id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": permission.action,
        "Resource": function_arn,
    }
    equals = {
        name: value
        for name, value in (
            ("AWS:SourceAccount", permission.source_account),
            ("aws:PrincipalOrgID", permission.organisation),
            ("lambda:EventSourceToken", permission.token),
            ("lambda:FunctionUrlAuthType", permission.url_auth),
        )
        if value
    }
    condition: dict[str, Any] = {}
    if equals:
        condition["StringEquals"] = equals
    if permission.source:
        condition["ArnLike"] = {"AWS:SourceArn": permission.source}
    if permission.via_url is not None:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": str(permission.via_url).lower()}
    if condition:
        written["Condition"] = condition
    return written


@lru_cache(maxsize=RESOURCE_POLICY_CACHE_MAX)
def _read(function_arn: str, held: Permissions) -> Policy:
    """What the statements mean. They only ever allow, so one that cannot be read is as if it were not there."""
    read: list[Statement] = []
    for permission in held.permissions:
        document = {"Version": "2012-10-17", "Statement": [statement(function_arn, permission)]}
        try:
            read.extend(parse_policy(json.dumps(document), "resource").policy.statements)
        except Invalid:
            continue
    return Policy(tuple(read))
