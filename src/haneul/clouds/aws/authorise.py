"""The authorise step: may this principal do this action to this resource? Decided once, remembered until policies change."""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

import msgspec

from haneul.base.config import Config
from haneul.base.env import Env
from haneul.base.limits import DECISION_CACHE_MAX, DENIALS_KEPT_MAX
from haneul.base.scope import Scope
from haneul.clouds.aws.call import AwsError, Call
from haneul.clouds.aws.context import account_in, is_lasting, principal_role_arn, request_context
from haneul.clouds.aws.principals import principal_arn, role_of_arn
from haneul.engines.identity.engine import IdentityEngine
from haneul.engines.identity.policy import ALLOWED, NOTHING, Caller, Decision, Named, Policy, Question, Rules, decide
from haneul.engines.identity.principal import Principal


class ResourcePolicy(msgspec.Struct, frozen=True):
    """What hangs on a resource. owner: the account that the resource is in; decides: nobody gets in without its word."""

    owner: str
    policy: Policy | None = None
    decides: bool = False


class ResourcePolicies(Protocol):
    """A service whose resources carry policies of their own."""

    async def find(self, scope: Scope, resource: str) -> ResourcePolicy | None:
        """The policy on a resource (given by its ARN); None when there is no such resource."""
        ...

    def generation(self) -> int:
        """Rises with every change of any of these policies."""
        ...


class Denial(msgspec.Struct):
    """What was not allowed, how often, and why: in developer mode it went through all the same."""

    principal: str
    action: str
    resource: str
    reason: str
    count: int = 0
    last_ms: int = 0


class _Known(msgspec.Struct, frozen=True, gc=False):
    """A remembered decision, good while the stamp is what it was."""

    decision: Decision
    owner: str
    stamp: int


class _Passed(msgspec.Struct, frozen=True):
    """An operation that hands a role to a service: in `member` of its input."""

    member: str
    service: str


_PASSES: Mapping[str, _Passed] = {
    "lambda:CreateFunction": _Passed("Role", "lambda.amazonaws.com"),
    "lambda:UpdateFunctionConfiguration": _Passed("Role", "lambda.amazonaws.com"),
    "states:CreateStateMachine": _Passed("roleArn", "states.amazonaws.com"),
    "states:UpdateStateMachine": _Passed("roleArn", "states.amazonaws.com"),
    "pipes:CreatePipe": _Passed("RoleArn", "pipes.amazonaws.com"),
    "iam:AddRoleToInstanceProfile": _Passed("RoleName", "ec2.amazonaws.com"),
}
# Nobody needs a permission to ask who they are: STS API reference.
_FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
# A policy that locks everyone out can still be taken away by the owner's root: S3 user guide, "Bucket policies".
_UNLOCKS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
_UNTRUSTED = "The role defined for the function cannot be assumed by Lambda."
_NO_CODE = ("AccessDeniedException", 400)
_CODES: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(
        ("s3", "iam", "sts", "cloudformation", "elasticloadbalancing", "cloudwatch"), ("AccessDenied", 403)
    ),
    **dict.fromkeys(("lambda", "apigateway", "scheduler", "pipes", "xray", "schemas"), ("AccessDeniedException", 403)),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDeniedException", 403),
}


class Authoriser:
    """Asked by the front before each operation.

    In developer mode decisions are made for users and roles and denials are kept to be looked at; nothing is refused.
    In secure mode a denial is raised as the service's own error.
    """

    def __init__(
        self,
        identity: IdentityEngine,
        config: Config,
        env: Env,
        *,
        policies: Mapping[str, ResourcePolicies] | None = None,
    ) -> None:
        self._identity = identity
        self._env = env
        self._secure = config.secure
        self._policies: dict[str, ResourcePolicies] = {"sts": RoleTrust(identity), **(policies or {})}
        self._known: dict[tuple[Principal, str, str], _Known] = {}
        self._denials: dict[tuple[str, str, str], Denial] = {}

    async def decide(self, call: Call, action: str, resource: str) -> Decision:
        """The decision on a call. Raises AwsError in secure mode when it is a denial."""
        principal = call.principal
        if not self._secure and principal.kind == "root":
            return ALLOWED
        if principal.access_key:
            service = action.partition(":")[0]
            self._identity.keys.note_use(principal.account, principal.access_key, service, call.scope.region)
        if action == "s3:DeleteObject" and call.operation == "DeleteObjects":
            decision = await self._decide_each(call, action, resource)
        else:
            decision = await self._decide(call, action, resource)
        if action == "s3:PutObject" and (source := call.input.get("CopySource")) is not None:
            await self._decide(call, "s3:GetObject", _copied(source))
        if (passed := _PASSES.get(action)) is not None:
            await self._may_pass(call, passed)
        return decision

    async def _decide_each(self, call: Call, action: str, bucket: str) -> Decision:
        """One request, many objects: each is asked for."""
        decision = ALLOWED
        for each in call.input.get("Delete", {}).get("Objects", ()):
            decision = await self._decide(call, action, f"{bucket}/{each.get('Key', '')}")
        return decision

    async def _decide(self, call: Call, action: str, resource: str) -> Decision:
        principal = call.principal
        known = self._known.get((principal, action, resource))
        if known is not None and known.stamp == self._stamp(principal, action, known.owner):
            decision = known.decision
        else:
            decision = await self._find_out(call, action, resource)
        if not decision.allowed:
            self._denied(principal, action, resource, decision)
        return decision

    def denials(self) -> list[Denial]:
        """What was denied since the start, the last new one last; at most DENIALS_KEPT_MAX."""
        return list(self._denials.values())

    def _stamp(self, principal: Principal, action: str, owner: str) -> int:
        """Changes when any policy does that could bear on the decision: a sum of numbers that only rise."""
        stamp = self._identity.generation(principal.account)
        if owner != principal.account:
            stamp += self._identity.generation(owner)
        policies = self._policies.get(action.partition(":")[0])
        return stamp if policies is None else stamp + policies.generation()

    async def _find_out(self, call: Call, action: str, resource: str) -> Decision:
        principal = call.principal
        service = action.partition(":")[0]
        policies = self._policies.get(service)
        if self._secure and principal.kind == "root" and action == "sts:AssumeRole":
            raise AwsError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
        generation = policies.generation() if policies is not None else 0
        found = await policies.find(call.scope, resource) if policies is not None else None
        owner = (found.owner if found is not None else account_in(resource)) or call.scope.account
        stamp = self._stamp(principal, action, owner)
        rules = self._rules(principal, found)
        context = request_context(self._identity, self._env, call, service, owner)
        question = Question(self._caller(principal), action.lower(), resource, owner, context)
        decision = decide(question, rules)
        if action in _FREE and not decision.explicit:
            decision = ALLOWED
        if action in _UNLOCKS and principal.kind == "root" and principal.account == owner:
            decision = ALLOWED
        # What changed while it was being looked up may or may not have been seen: such a decision is for this call only.
        unchanged = policies is None or policies.generation() == generation
        if unchanged and all(map(is_lasting, decision.consulted)):
            if len(self._known) >= DECISION_CACHE_MAX:
                self._known.clear()
            self._known[principal, action, resource] = _Known(decision, owner, stamp)
        return decision

    def _rules(self, principal: Principal, found: ResourcePolicy | None) -> Rules:
        rules = self._identity.rules(principal) if principal.account else Rules()
        if found is None:
            return rules
        named = Named("resource policy", found.policy) if found.policy is not None else None
        return msgspec.structs.replace(rules, resource=named, resource_decides=found.decides)

    def _caller(self, principal: Principal) -> Caller:
        return caller_of(self._identity, principal)

    async def _may_pass(self, call: Call, passed: _Passed) -> None:
        """Handing a role to a service takes iam:PassRole on it, and stays inside its account."""
        role = call.input.get(passed.member)
        if not isinstance(role, str) or not role:
            return
        arn = role if role.startswith("arn:") else f"arn:aws:iam::{call.scope.account}:role/{role}"
        owner = account_in(arn)
        context = request_context(self._identity, self._env, call, "iam", owner)
        context["iam:passedtoservice"] = [passed.service]
        rules = self._identity.rules(call.principal) if call.principal.account else Rules()
        decision = decide(Question(self._caller(call.principal), "iam:passrole", arn, owner, context), rules)
        if not decision.allowed:
            # Worded about iam:PassRole, but in the codes of the service that was called.
            self._denied(
                call.principal, "iam:PassRole", arn, decision, call_action=f"{passed.service.partition('.')[0]}:"
            )
        if self._secure and passed.service == "lambda.amazonaws.com" and not await self._trusts(call, arn, passed):
            raise AwsError("InvalidParameterValueException", _UNTRUSTED, 400, Type="User")

    async def _trusts(self, call: Call, role: str, passed: _Passed) -> bool:
        """Whether the role trusts the service: else whoever may pass it could act as it through the service."""
        trust = await self._policies["sts"].find(call.scope, role)
        if trust is None:
            return False
        caller = Caller("", service=passed.service)
        rules = self._rules(Principal("", "service", session=passed.service), trust)
        return decide(Question(caller, "sts:assumerole", role, trust.owner), rules).allowed

    def _denied(
        self, principal: Principal, action: str, resource: str, decision: Decision, *, call_action: str = ""
    ) -> None:
        who = principal_arn(self._identity, principal)
        message = denial_message(who, action, resource, decision)
        if principal.kind == "anonymous" and action.startswith("s3:"):
            message = "Access Denied"
        key = (who, action, resource)
        denial = self._denials.get(key)
        if denial is None:
            if len(self._denials) >= DENIALS_KEPT_MAX:
                del self._denials[next(iter(self._denials))]
            denial = self._denials[key] = Denial(who, action, resource, message)
        denial.reason = message
        denial.count += 1
        denial.last_ms = self._env.now_ms()
        if self._secure:
            code, status = _CODES.get((call_action or action).partition(":")[0], _NO_CODE)
            raise AwsError(code, message, status)


def _copied(source: str) -> str:
    """The ARN of the object that CopySource names: [/]bucket/key[?versionId=…], percent-encoded."""
    return "arn:aws:s3:::" + unquote(source.partition("?versionId=")[0]).removeprefix("/")


class RoleTrust:
    """The trust policies of roles: what hangs on a role that someone wants to assume."""

    def __init__(self, identity: IdentityEngine) -> None:
        self._identity = identity

    async def find(self, scope: Scope, resource: str) -> ResourcePolicy | None:
        target = role_of_arn(resource)
        if target is None:
            return None
        account, name = target
        role = self._identity.roles.find(Scope(account, scope.region), name)
        # A role that is not there trusts nobody: an answer must not tell the one from the other.
        trust = role.trust.policy if role is not None and role.trust is not None else NOTHING
        return ResourcePolicy(account, trust, decides=True)

    def generation(self) -> int:
        return 0  # roles are counted by the identity engine, in their own account


def caller_of(identity: IdentityEngine, principal: Principal) -> Caller:
    """The principal as policies on resources name it: itself first, then the role behind it."""
    if principal.kind == "anonymous":
        return Caller("")
    if principal.kind == "service":
        return Caller("", service=principal.session)
    own = principal_arn(identity, principal)
    wider = principal_role_arn(identity, principal)
    names = (own,) if wider == own else (own, wider)
    return Caller(principal.account, names, root=principal.kind == "root")


_LAYERS: Mapping[str, str] = {
    "identity": "identity-based policy",
    "resource": "resource-based policy",
    "boundary": "permissions boundary",
    "session": "session policy",
}


def denial_message(who: str, action: str, resource: str, decision: Decision) -> str:
    """AWS's sentence. Source: IAM user guide, "Troubleshoot access denied error messages"."""
    on = f'"{resource}"' if action.startswith("s3:") else resource
    text = f"User: {who} is not authorized to perform: {action} on resource: {on}"
    layer = _LAYERS[decision.layer or "identity"]
    if decision.explicit:
        article = "an" if layer.startswith("identity") else "a"
        return f"{text} with an explicit deny in {article} {layer}"
    if action == "sts:AssumeRole":
        return text  # STS gives no reason: it would tell who trusts whom
    return f"{text} because no {layer} allows the {action} action"
