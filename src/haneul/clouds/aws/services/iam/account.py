"""The account as a whole: its alias, its password rules, its counts, and everything in it at a glance."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from haneul.base import limits
from haneul.clouds.aws.call import AwsError, Call, Operation, Output
from haneul.engines.identity.records import Document, Holder, PolicyRef

from . import shapes

if TYPE_CHECKING:
    from haneul.engines import Engines

_PASSWORD_RULES: dict[str, int | bool] = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}
_PASSWORD_OPTIONS = ("MaxPasswordAge", "PasswordReusePrevention", "HardExpiry")


async def create_account_alias(engines: "Engines", call: Call) -> Output:
    account = engines.identity.account(call.scope)
    await engines.identity.put_account(call.scope, replace(account, alias=call.input["AccountAlias"]))
    return {}


async def list_account_aliases(engines: "Engines", call: Call) -> Output:
    alias = engines.identity.account(call.scope).alias
    return shapes.page(call, "AccountAliases", [alias] if alias else [], str, str)


async def delete_account_alias(engines: "Engines", call: Call) -> Output:
    account, alias = engines.identity.account(call.scope), call.input["AccountAlias"]
    if account.alias != alias:
        raise AwsError("NoSuchEntity", f"The account alias {alias} cannot be found.", 404)
    await engines.identity.put_account(call.scope, replace(account, alias=""))
    return {}


async def update_account_password_policy(engines: "Engines", call: Call) -> Output:
    rules = {name: call.input.get(name, default) for name, default in _PASSWORD_RULES.items()}
    rules |= {name: call.input[name] for name in _PASSWORD_OPTIONS if name in call.input}
    await engines.identity.put_account(call.scope, replace(engines.identity.account(call.scope), passwords=rules))
    return {}


async def get_account_password_policy(engines: "Engines", call: Call) -> Output:
    rules = engines.identity.account(call.scope).passwords
    if rules is None:
        raise _no_password_policy(call)
    return {"PasswordPolicy": {**rules, "ExpirePasswords": "MaxPasswordAge" in rules}}


async def delete_account_password_policy(engines: "Engines", call: Call) -> Output:
    account = engines.identity.account(call.scope)
    if account.passwords is None:
        raise _no_password_policy(call)
    await engines.identity.put_account(call.scope, replace(account, passwords=None))
    return {}


def _no_password_policy(call: Call) -> AwsError:
    return AwsError("NoSuchEntity", f"The Password Policy with domain name {call.scope.account} cannot be found.", 404)


async def get_account_summary(engines: "Engines", call: Call) -> Output:
    identity, scope = engines.identity, call.scope
    own = identity.policies.list(scope)
    provided = identity.policies.list_provided()
    in_use = sum(any(identity.policies.count_uses(scope, PolicyRef(each.name))) for each in own)
    in_use += sum(any(identity.policies.count_uses(scope, PolicyRef(each.name, True))) for each in provided)
    return {
        "SummaryMap": {
            "AccessKeysPerUserQuota": limits.KEYS_PER_USER_MAX,
            "AccountAccessKeysPresent": int(bool(identity.keys.list(scope, ""))),
            "AccountMFAEnabled": 0,
            "AccountPasswordPresent": 0,
            "AccountSigningCertificatesPresent": 0,
            "AssumeRolePolicySizeQuota": limits.TRUST_POLICY_MAX_CHARS,
            "AttachedPoliciesPerGroupQuota": limits.ATTACHED_POLICIES_MAX,
            "AttachedPoliciesPerRoleQuota": limits.ATTACHED_POLICIES_MAX,
            "AttachedPoliciesPerUserQuota": limits.ATTACHED_POLICIES_MAX,
            "GlobalEndpointTokenVersion": 1,
            "GroupPolicySizeQuota": limits.INLINE_POLICIES_GROUP_MAX_CHARS,
            "Groups": len(identity.groups.list(scope)),
            "GroupsPerUserQuota": limits.GROUPS_PER_USER_MAX,
            "GroupsQuota": limits.GROUPS_MAX,
            "InstanceProfiles": len(identity.profiles.list(scope)),
            "InstanceProfilesQuota": limits.PROFILES_MAX,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "Policies": len(own),
            "PoliciesQuota": limits.POLICIES_MAX,
            "PolicySizeQuota": limits.MANAGED_POLICY_MAX_CHARS,
            "PolicyVersionsInUse": in_use,
            "PolicyVersionsInUseQuota": 10_000,
            "Providers": len(identity.outside.list(scope, "oidc")) + len(identity.outside.list(scope, "saml")),
            "RolePolicySizeQuota": limits.INLINE_POLICIES_ROLE_MAX_CHARS,
            "Roles": len(identity.roles.list(scope)),
            "RolesQuota": limits.ROLES_MAX,
            "ServerCertificates": 0,
            "ServerCertificatesQuota": 20,
            "SigningCertificatesPerUserQuota": 2,
            "UserPolicySizeQuota": limits.INLINE_POLICIES_USER_MAX_CHARS,
            "Users": len(identity.users.list(scope)),
            "UsersQuota": limits.USERS_MAX,
            "VersionsPerPolicyQuota": limits.POLICY_VERSIONS_MAX,
        }
    }


_DETAILS = ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")


async def get_account_authorization_details(engines: "Engines", call: Call) -> Output:
    """One list of everything, paged as one; each page is sorted into its five kinds."""
    wanted = call.input.get("Filter") or _DETAILS
    identity, scope = engines.identity, call.scope
    rows: list[tuple[str, Any]] = []
    if "User" in wanted:
        rows += [("UserDetailList", user) for user in identity.users.list(scope)]
    if "Group" in wanted:
        rows += [("GroupDetailList", group) for group in identity.groups.list(scope)]
    if "Role" in wanted:
        rows += [("RoleDetailList", role) for role in identity.roles.list(scope)]
    if "LocalManagedPolicy" in wanted:
        rows += [("Policies", PolicyRef(policy.name)) for policy in identity.policies.list(scope)]
    if "AWSManagedPolicy" in wanted:
        provided = [PolicyRef(policy.name, True) for policy in identity.policies.list_provided()]
        rows += [("Policies", ref) for ref in provided if any(identity.policies.count_uses(scope, ref))]
    answer = shapes.page(call, "all", rows, lambda row: f"{row[0]} {row[1].name.casefold()}", lambda row: row)
    lists: dict[str, list[Any]] = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for member, row in answer.pop("all"):
        lists[member].append(_detail(engines, call, member, row))
    return {**answer, **lists}


def _detail(engines: "Engines", call: Call, member: str, row: Any) -> dict[str, Any]:
    if member == "Policies":
        return _policy_detail(engines, call, row)
    if member == "UserDetailList":
        return {
            **shapes.user_shape(engines, call, row),
            "UserPolicyList": _inline(row.inline),
            "GroupList": list(row.groups),
            "AttachedManagedPolicies": _attached(engines, call, row),
        }
    if member == "GroupDetailList":
        return {
            **shapes.group_shape(call, row),
            "GroupPolicyList": _inline(row.inline),
            "AttachedManagedPolicies": _attached(engines, call, row),
        }
    role = shapes.role_shape(engines, call, row)
    del role["Description"], role["MaxSessionDuration"]  # RoleDetail has neither: IAM API reference
    profiles = engines.identity.profiles.list_of_role(call.scope, row.name)
    return {
        **role,
        "InstanceProfileList": [shapes.profile_shape(engines, call, each, whole=False) for each in profiles],
        "RolePolicyList": _inline(row.inline),
        "AttachedManagedPolicies": _attached(engines, call, row),
    }


def _policy_detail(engines: "Engines", call: Call, ref: PolicyRef) -> dict[str, Any]:
    policy = engines.identity.policies.get(call.scope, ref)
    return {
        **shapes.policy_shape(engines, call, policy, ref, whole=False),
        "PolicyVersionList": [
            {
                "Document": shapes.encoded(version.document),
                "VersionId": f"v{version.number}",
                "IsDefaultVersion": version.number == policy.default,
                "CreateDate": shapes.seconds(version.created_ms),
            }
            for version in reversed(policy.versions)
        ],
    }


def _inline(policies: dict[str, Document]) -> list[dict[str, str]]:
    return [{"PolicyName": name, "PolicyDocument": shapes.encoded(each)} for name, each in policies.items()]


def _attached(engines: "Engines", call: Call, holder: Holder) -> list[dict[str, str]]:
    return [{"PolicyName": ref.name, "PolicyArn": shapes.ref_arn(engines, call, ref)} for ref in holder.attached]


OPERATIONS = {
    name: Operation(handler, f"iam:{name}", shapes.anything)
    for name, handler in (
        ("CreateAccountAlias", create_account_alias),
        ("ListAccountAliases", list_account_aliases),
        ("DeleteAccountAlias", delete_account_alias),
        ("UpdateAccountPasswordPolicy", update_account_password_policy),
        ("GetAccountPasswordPolicy", get_account_password_policy),
        ("DeleteAccountPasswordPolicy", delete_account_password_policy),
        ("GetAccountSummary", get_account_summary),
        ("GetAccountAuthorizationDetails", get_account_authorization_details),
    )
}
