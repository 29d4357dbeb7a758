"""Managed policies, the account's own and AWS's, with their versions and what they hang on."""

from typing import TYPE_CHECKING, Any

from haneul.base import limits
from haneul.clouds.aws.call import AwsError, Call, Operation, Output
from haneul.clouds.aws.policies import parse_policy
from haneul.clouds.aws.principals import policy_arn
from haneul.engines.identity.holders import size_of
from haneul.engines.identity.records import Document, Managed, PolicyRef, Version

from . import holding, shapes

if TYPE_CHECKING:
    from haneul.engines import Engines


async def create_policy(engines: "Engines", call: Call) -> Output:
    given = call.input
    policy = await engines.identity.policies.create(
        call.scope,
        given["PolicyName"],
        _document(given["PolicyDocument"]),
        path=given.get("Path", "/"),
        description=given.get("Description", ""),
        tags=shapes.tags_of(call),
    )
    shape = shapes.policy_shape(engines, call, policy, PolicyRef(policy.name), whole=True)
    if not policy.tags:
        del shape["Tags"]
    return {"Policy": shape}


def _document(source: str) -> Document:
    document = parse_policy(source)
    if size_of(document) > limits.MANAGED_POLICY_MAX_CHARS:
        raise holding.too_long("PolicySize", limits.MANAGED_POLICY_MAX_CHARS)
    return document


async def get_policy(engines: "Engines", call: Call) -> Output:
    ref = _ref(engines, call)
    policy = engines.identity.policies.get(call.scope, ref)
    return {"Policy": shapes.policy_shape(engines, call, policy, ref, whole=True)}


def _ref(engines: "Engines", call: Call) -> PolicyRef:
    return shapes.policy_ref(engines, call, call.input["PolicyArn"])


def _own(engines: "Engines", call: Call) -> PolicyRef:
    ref = _ref(engines, call)
    if ref.provided:
        raise AwsError("AccessDenied", f"Policy {call.input['PolicyArn']} is outside your own account.", 403)
    return ref


async def list_policies(engines: "Engines", call: Call) -> Output:
    given = call.input
    prefix, kind = given.get("PathPrefix", "/"), given.get("Scope", "All")
    found: list[tuple[Managed, PolicyRef]] = []
    if kind in ("All", "Local"):
        found += [(each, PolicyRef(each.name)) for each in engines.identity.policies.list(call.scope, prefix)]
    if kind in ("All", "AWS"):
        provided = engines.identity.policies.list_provided(prefix)
        found += [(each, PolicyRef(each.name, True)) for each in provided]
    usage = given.get("PolicyUsageFilter")
    if given.get("OnlyAttached") or usage:
        found = [each for each in found if _in_use(engines, call, each[1], usage)]
    return shapes.page(
        call,
        "Policies",
        found,
        lambda each: f"{each[0].name.casefold()} {each[1].provided:d}",
        lambda each: shapes.policy_shape(engines, call, each[0], each[1], whole=False),
    )


def _in_use(engines: "Engines", call: Call, ref: PolicyRef, usage: str | None) -> bool:
    attached, bounding = engines.identity.policies.count_uses(call.scope, ref)
    if usage == "PermissionsBoundary":
        return bounding > 0
    return attached > 0 or (usage is None and bounding > 0)


async def delete_policy(engines: "Engines", call: Call) -> Output:
    await engines.identity.policies.delete(call.scope, _own(engines, call))
    return {}


async def create_policy_version(engines: "Engines", call: Call) -> Output:
    ref = _own(engines, call)
    as_default = bool(call.input.get("SetAsDefault", False))
    version = await engines.identity.policies.create_version(
        call.scope, ref, _document(call.input["PolicyDocument"]), as_default=as_default
    )
    return {"PolicyVersion": _version_shape(version, default=version.number if as_default else 0)}


def _version_shape(version: Version, *, default: int) -> dict[str, Any]:
    return {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == default,
        "CreateDate": shapes.seconds(version.created_ms),
    }


async def get_policy_version(engines: "Engines", call: Call) -> Output:
    policy, version = _version(engines, call, _ref(engines, call))
    shape = _version_shape(version, default=policy.default)
    return {"PolicyVersion": {"Document": shapes.encoded(version.document), **shape}}


def _version(engines: "Engines", call: Call, ref: PolicyRef) -> tuple[Managed, Version]:
    policy = engines.identity.policies.get(call.scope, ref)
    wanted = call.input["VersionId"]
    for version in policy.versions:
        if f"v{version.number}" == wanted:
            return policy, version
    arn = policy_arn(call.scope, ref, policy.path)
    raise AwsError("NoSuchEntity", f"Policy {arn} version {wanted} does not exist or is not attachable.", 404)


async def list_policy_versions(engines: "Engines", call: Call) -> Output:
    policy = engines.identity.policies.get(call.scope, _ref(engines, call))
    return shapes.page(
        call,
        "Versions",
        policy.versions,
        lambda version: f"{-version.number + 10**9:010}",  # the newest first
        lambda version: _version_shape(version, default=policy.default),
    )


async def set_default_policy_version(engines: "Engines", call: Call) -> Output:
    ref = _own(engines, call)
    _, version = _version(engines, call, ref)
    await engines.identity.policies.put_default(call.scope, ref, version.number)
    return {}


async def delete_policy_version(engines: "Engines", call: Call) -> Output:
    ref = _own(engines, call)
    _, version = _version(engines, call, ref)
    await engines.identity.policies.delete_version(call.scope, ref, version.number)
    return {}


async def tag_policy(engines: "Engines", call: Call) -> Output:
    await engines.identity.policies.tag(call.scope, _own(engines, call), shapes.tags_of(call))
    return {}


async def untag_policy(engines: "Engines", call: Call) -> Output:
    await engines.identity.policies.untag(call.scope, _own(engines, call), call.input["TagKeys"])
    return {}


async def list_policy_tags(engines: "Engines", call: Call) -> Output:
    policy = engines.identity.policies.get(call.scope, _ref(engines, call))
    return shapes.page(
        call, "Tags", policy.tags.items(), lambda each: each[0], lambda each: {"Key": each[0], "Value": each[1]}
    )


_SORTS = {"users": "User", "groups": "Group", "roles": "Role"}
_FILTERS = {"User": "users", "Group": "groups", "Role": "roles"}


async def list_entities_for_policy(engines: "Engines", call: Call) -> Output:
    given = call.input
    ref = _ref(engines, call)
    wanted = _FILTERS.get(given.get("EntityFilter", ""))
    usage = {"PermissionsPolicy": "attached", "PermissionsBoundary": "boundary"}.get(given.get("PolicyUsageFilter", ""))
    prefix = given.get("PathPrefix", "/")
    found = {
        (space, holder.name, holder.id)
        for space, holder, how in engines.identity.policies.uses(call.scope, ref)
        if wanted in (None, space) and usage in (None, how) and holder.path.startswith(prefix)
    }
    answer = shapes.page(call, "all", found, " ".join, lambda each: each)
    shown = answer.pop("all")
    for space, sort in _SORTS.items():
        answer[f"Policy{sort}s"] = [
            {f"{sort}Name": name, f"{sort}Id": unique} for each, name, unique in shown if each == space
        ]
    return answer


def _arn(call: Call) -> str:
    return str(call.input["PolicyArn"])


OPERATIONS = {
    "CreatePolicy": Operation(create_policy, "iam:CreatePolicy", shapes.resource("policy", "PolicyName")),
    "ListPolicies": Operation(list_policies, "iam:ListPolicies", shapes.anything),
    **{
        name: Operation(handler, f"iam:{name}", _arn)
        for name, handler in (
            ("GetPolicy", get_policy),
            ("DeletePolicy", delete_policy),
            ("CreatePolicyVersion", create_policy_version),
            ("GetPolicyVersion", get_policy_version),
            ("ListPolicyVersions", list_policy_versions),
            ("SetDefaultPolicyVersion", set_default_policy_version),
            ("DeletePolicyVersion", delete_policy_version),
            ("TagPolicy", tag_policy),
            ("UntagPolicy", untag_policy),
            ("ListPolicyTags", list_policy_tags),
            ("ListEntitiesForPolicy", list_entities_for_policy),
        )
    },
}
