"""The policy simulator: what would be decided, by the evaluator that decides."""

from typing import TYPE_CHECKING, Any

from haneul.clouds.aws.call import AwsError, Call, Operation, Output
from haneul.clouds.aws.context import account_in
from haneul.clouds.aws.policies import parse_policy
from haneul.clouds.aws.principals import holder_arn, policy_arn
from haneul.engines.identity.policy import Caller, Decision, Named, Policy, Question, Rules, decide
from haneul.engines.identity.records import Holder

from . import shapes

if TYPE_CHECKING:
    from haneul.engines import Engines


async def simulate_custom_policy(engines: "Engines", call: Call) -> Output:
    policies = _given(call, "PolicyInputList", "PolicyInputList")
    return _simulate(call, policies, call.input.get("CallerArn", ""), {})


async def simulate_principal_policy(engines: "Engines", call: Call) -> Output:
    source = call.input["PolicySourceArn"]
    sort, holder = _holder(engines, call, source)
    policies = (*_of(engines, call, holder), *_given(call, "PolicyInputList", "PolicyInputList"))
    context = {"aws:principalarn": [source], "aws:principalaccount": [call.scope.account], "aws:userid": [holder.id]}
    if sort == "user":
        context["aws:username"] = [holder.name]
    context |= {f"aws:principaltag/{key.lower()}": [value] for key, value in holder.tags.items()}
    caller = call.input.get("CallerArn") or (source if sort == "user" else "")
    boundary = None
    if holder.boundary is not None and "PermissionsBoundaryPolicyInputList" not in call.input:
        policy = engines.identity.policies.find(call.scope, holder.boundary)
        if policy is not None:
            boundary = Named(policy_arn(call.scope, holder.boundary, policy.path), policy.document.policy)
    return _simulate(call, policies, caller, context, boundary)


def _holder(engines: "Engines", call: Call, source: str) -> tuple[str, Holder]:
    sort, _, name = source.rpartition(":")[2].partition("/")
    holders = {"user": engines.identity.users, "group": engines.identity.groups, "role": engines.identity.roles}
    found = holders[sort].find(call.scope, name.rpartition("/")[2]) if sort in holders else None
    if found is None or holder_arn(call.scope, sort, found.path, found.name) != source:
        raise AwsError("NoSuchEntity", f"The {sort or 'entity'} with ARN {source} cannot be found.", 404)
    return sort, found


def _of(engines: "Engines", call: Call, holder: Holder) -> tuple[Named, ...]:
    return engines.identity.policies_of(call.scope, holder)


def _given(call: Call, member: str, prefix: str) -> tuple[Named, ...]:
    documents = call.input.get(member, ())
    return tuple(Named(f"{prefix}.{number}", parse_policy(source).policy) for number, source in enumerate(documents, 1))


def _simulate(
    call: Call,
    policies: tuple[Named, ...],
    caller_arn: str,
    context: dict[str, list[str]],
    boundary: Named | None = None,
) -> Output:
    given = call.input
    limits = _given(call, "PermissionsBoundaryPolicyInputList", "PermissionsBoundaryPolicyInputList")
    if limits:
        boundary = Named(
            limits[0].name, Policy(tuple(statement for each in limits for statement in each.policy.statements))
        )
    hung = given.get("ResourcePolicy")
    resource_policy = Named("ResourcePolicy", parse_policy(hung, "resource").policy) if hung else None
    context = context | {
        entry["ContextKeyName"].lower(): list(entry.get("ContextKeyValues", ()))
        for entry in given.get("ContextEntries", ())
        if "ContextKeyName" in entry
    }
    account = account_in(caller_arn) or call.scope.account
    caller = Caller(account, (caller_arn,) if caller_arn else ())
    owner = account_in(given.get("ResourceOwner", "")) or given.get("ResourceOwner", "")
    results = []
    for action in given["ActionNames"]:
        for resource in given.get("ResourceArns") or ["*"]:
            home = owner or account_in(resource) or account
            question = Question(caller, action.lower(), resource, home, context)
            rules = Rules(identity=policies, boundary=boundary, resource=resource_policy)
            results.append(_result(action, resource, context, decide(question, rules), boundary))
    return shapes.page(
        call, "EvaluationResults", enumerate(results), lambda each: f"{each[0]:06}", lambda each: each[1]
    )


def _result(
    action: str, resource: str, context: dict[str, list[str]], decision: Decision, boundary: Named | None
) -> dict[str, Any]:
    verdict = "allowed" if decision.allowed else "explicitDeny" if decision.explicit else "implicitDeny"
    matched = [{"SourcePolicyId": decision.policy, "SourcePolicyType": "IAM Policy"}] if decision.policy else []
    result: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": verdict,
        "MatchedStatements": matched,
        "MissingContextValues": sorted(key for key in decision.consulted if key not in context),
    }
    if boundary is not None:
        result["PermissionsBoundaryDecisionDetail"] = {
            "AllowedByPermissionsBoundary": decision.layer != "boundary" or decision.allowed
        }
    return result


async def get_context_keys_for_custom_policy(engines: "Engines", call: Call) -> Output:
    return _context_keys(_given(call, "PolicyInputList", "PolicyInputList"))


async def get_context_keys_for_principal_policy(engines: "Engines", call: Call) -> Output:
    _, holder = _holder(engines, call, call.input["PolicySourceArn"])
    return _context_keys((*_of(engines, call, holder), *_given(call, "PolicyInputList", "PolicyInputList")))


def _context_keys(policies: tuple[Named, ...]) -> Output:
    keys = {
        condition.key for each in policies for statement in each.policy.statements for condition in statement.conditions
    }
    return {"ContextKeyNames": sorted(keys)}


def _source(call: Call) -> str:
    return str(call.input["PolicySourceArn"])


OPERATIONS = {
    "SimulateCustomPolicy": Operation(simulate_custom_policy, "iam:SimulateCustomPolicy", shapes.anything),
    "SimulatePrincipalPolicy": Operation(simulate_principal_policy, "iam:SimulatePrincipalPolicy", _source),
    "GetContextKeysForCustomPolicy": Operation(
        get_context_keys_for_custom_policy, "iam:GetContextKeysForCustomPolicy", shapes.anything
    ),
    "GetContextKeysForPrincipalPolicy": Operation(
        get_context_keys_for_principal_policy, "iam:GetContextKeysForPrincipalPolicy", _source
    ),
}
