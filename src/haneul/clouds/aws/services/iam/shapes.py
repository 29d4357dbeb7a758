"""IAM's output shapes, out of the engine's records, and what its operations share: paging, tags, references."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from haneul.clouds.aws.call import AwsError, Call
from haneul.clouds.aws.principals import holder_arn, policy_arn, policy_of_arn
from haneul.engines.identity.records import Document, Holder, Managed, PolicyRef, Profile

if TYPE_CHECKING:
    from haneul.engines import Engines

T = TypeVar("T")

_PAGE_DEFAULT = 100


def encoded(document: Document) -> str:
    """A policy as IAM answers it: percent-encoded (RFC 3986)."""
    return quote(document.source, safe="")


def seconds(epoch_ms: int) -> int:
    """IAM's dates have no fraction."""
    return epoch_ms // 1000


def user_shape(engines: "Engines", call: Call, user: Holder, *, whole: bool = True) -> dict[str, Any]:
    """whole: with the members that lists leave out."""
    shape = {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": holder_arn(call.scope, "user", user.path, user.name),
        "CreateDate": seconds(user.created_ms),
    }
    return shape | _bound_and_tags(engines, call, user) if whole else shape


def group_shape(call: Call, group: Holder) -> dict[str, Any]:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": holder_arn(call.scope, "group", group.path, group.name),
        "CreateDate": seconds(group.created_ms),
    }


def role_shape(
    engines: "Engines", call: Call, role: Holder, *, created: bool = False, whole: bool = True
) -> dict[str, Any]:
    """created: as CreateRole answers; whole: with the members that lists leave out."""
    shape: dict[str, Any] = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": holder_arn(call.scope, "role", role.path, role.name),
        "CreateDate": seconds(role.created_ms),
        "AssumeRolePolicyDocument": encoded(role.trust) if role.trust is not None else None,
        "Description": role.description or None,
    }
    if not created:
        shape["MaxSessionDuration"] = role.session_max_s
    if whole:
        shape |= _bound_and_tags(engines, call, role)
        if not created:
            shape["RoleLastUsed"] = {}
    return shape


def policy_shape(engines: "Engines", call: Call, policy: Managed, ref: PolicyRef, *, whole: bool) -> dict[str, Any]:
    """whole: with the members that lists leave out."""
    attached, bounding = engines.identity.policies.count_uses(call.scope, ref)
    shape: dict[str, Any] = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy_arn(call.scope, ref, policy.path),
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounding,
        "IsAttachable": True,
        "CreateDate": seconds(policy.created_ms),
        "UpdateDate": seconds(policy.updated_ms),
    }
    if whole:
        shape["Description"] = policy.description or None
        shape["Tags"] = tags_shape(policy.tags)
    return shape


def profile_shape(engines: "Engines", call: Call, profile: Profile, *, whole: bool = True) -> dict[str, Any]:
    roles = [engines.identity.roles.find(call.scope, name) for name in profile.roles]
    shape = {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": holder_arn(call.scope, "instance-profile", profile.path, profile.name),
        "CreateDate": seconds(profile.created_ms),
        "Roles": [role_shape(engines, call, role, created=True, whole=False) for role in roles if role is not None],
    }
    return shape | {"Tags": tags_shape(profile.tags)} if whole else shape


def _bound_and_tags(engines: "Engines", call: Call, holder: Holder) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    if holder.boundary is not None:
        arn = ref_arn(engines, call, holder.boundary)
        shape["PermissionsBoundary"] = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    if holder.tags:
        shape["Tags"] = tags_shape(holder.tags)
    return shape


def tags_shape(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(call: Call) -> dict[str, str]:
    """The tags that a request brings."""
    tags: dict[str, str] = {}
    for tag in call.input.get("Tags", ()):
        if any(key.casefold() == tag["Key"].casefold() for key in tags):
            raise AwsError("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        tags[tag["Key"]] = tag["Value"]
    return tags


def page(
    call: Call, member: str, items: Iterable[T], key: Callable[[T], str], shape: Callable[[T], Any]
) -> dict[str, Any]:
    """One page of a list, in the order of keys: MaxItems of them behind Marker."""
    ordered: Sequence[T] = sorted(items, key=key)
    after = _read_marker(call.input.get("Marker"))
    if after is not None:
        ordered = [item for item in ordered if key(item) > after]
    size = int(call.input.get("MaxItems", _PAGE_DEFAULT))
    shown = ordered[:size]
    answer: dict[str, Any] = {member: [shape(item) for item in shown], "IsTruncated": len(ordered) > size}
    if len(ordered) > size:
        answer["Marker"] = base64.urlsafe_b64encode(key(shown[-1]).encode()).decode()
    return answer


def _read_marker(marker: str | None) -> str | None:
    if marker is None:
        return None
    try:
        return base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise AwsError("ValidationError", f"Invalid Marker: {marker}") from None


def by_name(item: Holder | Managed | Profile) -> str:
    """The order in which IAM lists things."""
    return item.name.casefold()


def policy_ref(engines: "Engines", call: Call, arn: str, *, attaching: bool = False) -> PolicyRef:
    """The managed policy that an ARN names, when there is one."""
    found = policy_of_arn(arn)
    if found is None:
        raise AwsError("InvalidInput", f"ARN {arn} is not valid.")
    account, ref, path = found
    policy = engines.identity.policies.find(call.scope, ref)
    if policy is None or policy.path != path or account not in (call.scope.account, "aws"):
        ending = "does not exist or is not attachable." if attaching else "was not found."
        raise AwsError("NoSuchEntity", f"Policy {arn} {ending}", 404)
    return ref


def ref_arn(engines: "Engines", call: Call, ref: PolicyRef) -> str:
    """The ARN of a policy that something refers to, with its path."""
    policy = engines.identity.policies.find(call.scope, ref)
    return policy_arn(call.scope, ref, policy.path if policy is not None else "/")


def resource(sort: str, member: str) -> Callable[[Call], str]:
    """The ARN that an operation touches: of the thing that an input member names, or of the caller itself."""

    def arn(call: Call) -> str:
        name = call.input.get(member)
        if name is None and sort == "user":
            name = call.principal.name
        path = call.input.get("Path", "/")
        return holder_arn(call.scope, sort, path, str(name or "*"))

    return arn


def anything(call: Call) -> str:
    """Of operations that touch no resource of their own."""
    return "*"
