"""AWS Security Token Service: who am I, and temporary credentials. Trust policies are checked by the authorise step."""

from typing import TYPE_CHECKING, Any

from haneul.base.errors import Failure, Invalid, NotFound, Throttled
from haneul.base.scope import Scope
from haneul.clouds.aws.call import AwsError, Call, Fault, Operation, Output, Service
from haneul.clouds.aws.policies import parse_policy
from haneul.clouds.aws.principals import policy_of_arn, principal_arn, role_of_arn, user_id
from haneul.engines.identity.principal import Principal
from haneul.engines.identity.records import Document, PolicyRef, Session

if TYPE_CHECKING:
    from haneul.engines import Engines

_ROLE_DEFAULT_S = 3_600
_TOKEN_DEFAULT_S = 43_200
_ROOT_MAX_S = 3_600
_CHAINED_MAX_S = 3_600
_TOKEN_MAX_CHARS = 4_096
_PACKED_MAX_CHARS = 2_048


async def get_caller_identity(engines: "Engines", call: Call) -> Output:
    return {
        "UserId": user_id(call.principal),
        "Account": call.principal.account,
        "Arn": principal_arn(engines.identity, call.principal),
    }


async def assume_role(engines: "Engines", call: Call) -> Output:
    arn, name, duration_s = call.input["RoleArn"], call.input["RoleSessionName"], _duration(call, _ROLE_DEFAULT_S)
    target = role_of_arn(arn)
    if target is None:
        raise AwsError("ValidationError", f"{arn} is invalid", 400)
    scope = Scope(target[0], call.scope.region)
    role = engines.identity.roles.find(scope, target[1])
    if role is None or f"arn:aws:iam::{scope.account}:role{role.path}{role.name}" != arn:
        # AWS does not tell a role that is not there from one that does not trust the caller.
        who = principal_arn(engines.identity, call.principal)
        raise AwsError(
            "AccessDenied", f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}", 403
        )
    if call.principal.kind == "session" and duration_s > _CHAINED_MAX_S:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if duration_s > role.session_max_s:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    documents, refs = _session_policies(engines, scope, call)
    tags = _tags(call)
    session = await engines.identity.sessions.assume(
        scope,
        role.name,
        name,
        duration_s=duration_s,
        limits=documents,
        limit_refs=refs,
        tags=tags,
        token_min_chars=call.input.get("MinimumSessionTokenSize", 0),
    )
    return {
        "Credentials": _credentials(session),
        "AssumedRoleUser": {
            "AssumedRoleId": user_id(session.principal),
            "Arn": principal_arn(engines.identity, session.principal),
        },
        "PackedPolicySize": _packed_percent(call, documents, tags),
        "SourceIdentity": call.input.get("SourceIdentity"),
        **_token_size(session),
    }


async def get_session_token(engines: "Engines", call: Call) -> Output:
    if call.principal.kind in ("session", "federated") or _is_temporary(engines, call.principal):
        raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    session = await engines.identity.sessions.issue(
        call.principal,
        duration_s=_root_capped(call, _duration(call, _TOKEN_DEFAULT_S)),
        token_min_chars=call.input.get("MinimumSessionTokenSize", 0),
    )
    return {"Credentials": _credentials(session), **_token_size(session)}


async def get_federation_token(engines: "Engines", call: Call) -> Output:
    caller = call.principal
    if caller.kind in ("session", "federated") or _is_temporary(engines, caller):
        raise AwsError("AccessDenied", "Cannot call GetFederationToken with session credentials", 403)
    documents, refs = _session_policies(engines, call.scope, call)
    tags = _tags(call)
    session = await engines.identity.sessions.issue(
        Principal(caller.account, "federated", caller.name, caller.id, call.input["Name"]),
        duration_s=_root_capped(call, _duration(call, _TOKEN_DEFAULT_S)),
        limits=documents,
        limit_refs=refs,
        tags=tags,
        token_min_chars=call.input.get("MinimumSessionTokenSize", 0),
    )
    return {
        "Credentials": _credentials(session),
        "FederatedUser": {
            "FederatedUserId": user_id(session.principal),
            "Arn": principal_arn(engines.identity, session.principal),
        },
        "PackedPolicySize": _packed_percent(call, documents, tags),
        **_token_size(session),
    }


async def get_access_key_info(engines: "Engines", call: Call) -> Output:
    key = call.input["AccessKeyId"]
    account = engines.identity.account_of_key(key)
    if account is None and len(key) == 12 and key.isdigit():
        account = key  # developer mode: such a key is its account
    if account is None:
        raise AwsError("ValidationError", f"Invalid Access Key ID: {key}")
    return {"Account": account}


def _duration(call: Call, default_s: int) -> int:
    return int(call.input.get("DurationSeconds", default_s))


def _root_capped(call: Call, duration_s: int) -> int:
    # STS API reference, GetSessionToken: "root user … maximum of 3,600 seconds (one hour)"; a longer wish gets an hour.
    return min(duration_s, _ROOT_MAX_S) if call.principal.kind == "root" else duration_s


def _is_temporary(engines: "Engines", principal: Principal) -> bool:
    return engines.identity.sessions.find(principal.account, principal.access_key) is not None


def _session_policies(engines: "Engines", scope: Scope, call: Call) -> tuple[list[Document], list[PolicyRef]]:
    documents = [parse_policy(call.input["Policy"])] if call.input.get("Policy") else []
    refs: list[PolicyRef] = []
    for each in call.input.get("PolicyArns", ()):
        found = policy_of_arn(each.get("arn", ""))
        if found is None or engines.identity.policies.find(scope, found[1]) is None:
            raise AwsError("InvalidParameterValue", f"PolicyArns contains an invalid policy ARN: {each.get('arn')}")
        refs.append(found[1])
    return documents, refs


def _tags(call: Call) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in call.input.get("Tags", ()):
        if any(key.casefold() == tag["Key"].casefold() for key in tags):
            raise AwsError(
                "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        tags[tag["Key"]] = tag["Value"]
    return tags


def _packed_percent(call: Call, documents: list[Document], tags: dict[str, str]) -> int | None:
    """How much of the room for policies and tags is taken; None when there are none."""
    arns = [each.get("arn", "") for each in call.input.get("PolicyArns", ())]
    if not documents and not arns and not tags:
        return None
    texts = [*("".join(each.source.split()) for each in documents), *arns, *(k + v for k, v in tags.items())]
    percent = -(-sum(map(len, texts)) * 100 // _PACKED_MAX_CHARS)
    if percent > 100:
        raise AwsError(
            "PackedPolicyTooLarge",
            f"Packed policy consumes {percent}% of allotted space, please use smaller policy.",
        )
    return percent


def _credentials(session: Session) -> dict[str, Any]:
    return {
        "AccessKeyId": session.key,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.expires_ms // 1000,
    }


def _token_size(session: Session) -> dict[str, int]:
    return {
        "SessionTokenUtilization": -(-len(session.token) * 100 // _TOKEN_MAX_CHARS),
        "SessionTokenSize": len(session.token),
    }


def _any(call: Call) -> str:
    return "*"


def _federated(call: Call) -> str:
    return f"arn:aws:sts::{call.scope.account}:federated-user/{call.input['Name']}"


_FAULTS: dict[tuple[type[Failure], str], Fault] = {
    (Invalid, "policy document"): Fault("MalformedPolicyDocument", 400),
    (NotFound, ""): Fault("NoSuchEntity", 404, "The {noun} with name {name} cannot be found."),
    (Throttled, ""): Fault("Throttling", 400, "Rate exceeded"),
}

SERVICE = Service(
    "sts",
    {
        "GetCallerIdentity": Operation(get_caller_identity, "sts:GetCallerIdentity", _any),
        "AssumeRole": Operation(assume_role, "sts:AssumeRole", lambda call: str(call.input["RoleArn"])),
        "GetSessionToken": Operation(get_session_token, "sts:GetSessionToken", _any),
        "GetFederationToken": Operation(get_federation_token, "sts:GetFederationToken", _federated),
        "GetAccessKeyInfo": Operation(get_access_key_info, "sts:GetAccessKeyInfo", _any),
    },
    _FAULTS,
)
