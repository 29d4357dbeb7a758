"""AWS Identity and Access Management: roles, users, groups, policies, profiles, and the simulator."""

from haneul.base.errors import AlreadyExists, Conflict, Failure, Invalid, LimitExceeded, NotFound
from haneul.clouds.aws.call import Fault, Service

from . import account, policies, profiles, roles, simulate, users

_QUOTAS = {
    "user": "UsersPerAccount",
    "group": "GroupsPerAccount",
    "role": "RolesPerAccount",
    "policy": "PoliciesPerAccount",
    "profile": "InstanceProfilesPerAccount",
    "attached policy of user": "PoliciesPerUser",
    "attached policy of group": "PoliciesPerGroup",
    "attached policy of role": "PoliciesPerRole",
    "groups of user": "GroupsPerUser",
    "access key": "AccessKeysPerUser",
    "tag": "TagsPerEntity",
    "role in profile": "InstanceSessionsPerInstanceProfile",
    "oidc provider": "OpenIdConnectProvidersPerAccount",
    "saml provider": "SAMLProvidersPerAccount",
}
_MISSING = {
    "": "The {noun} with name {name} cannot be found.",
    "profile": "Instance Profile {name} cannot be found.",
    "inline policy of user": "The user policy with name {name} cannot be found.",
    "inline policy of group": "The group policy with name {name} cannot be found.",
    "inline policy of role": "The role policy with name {name} cannot be found.",
    "boundary of user": "The user {name} does not have a permissions boundary.",
    "boundary of role": "The role {name} does not have a permissions boundary.",
    "login": "Login Profile for User {name} cannot be found.",
    "access key": "The Access Key with id {name} cannot be found.",
    "membership": "The user with name {name} is not in the group with name {group}.",
    "role in profile": "The role with name {name} cannot be found in the instance profile.",
    "oidc provider": "OpenIDConnect Provider not found for arn {name}",
    "saml provider": "SAMLProvider {name} does not exist.",
}
_TAKEN = {
    "user": "User with name {name} already exists.",
    "group": "Group with name {name} already exists.",
    "role": "Role with name {name} already exists.",
    "policy": "A policy called {name} already exists. Duplicate names are not allowed.",
    "profile": "Instance Profile {name} already exists.",
    "login": "Login Profile for user {name} already exists.",
    "oidc provider": "Provider with url https://{name} already exists.",
    "saml provider": "SAMLProvider {name} already exists.",
}
_VERSIONS_LEFT = (
    "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
    "The default version is deleted with the policy."
)
_VERSIONS_FULL = (
    "A managed policy can have up to {limit} versions. Before you create a new version, you must delete an existing "
    "version."
)
_FAULTS: dict[tuple[type[Failure], str], Fault] = {
    **{(NotFound, noun): Fault("NoSuchEntity", 404, message) for noun, message in _MISSING.items()},
    **{(AlreadyExists, noun): Fault("EntityAlreadyExists", 409, message) for noun, message in _TAKEN.items()},
    **{
        (LimitExceeded, noun): Fault("LimitExceeded", 409, f"Cannot exceed quota for {quota}: {{limit}}")
        for noun, quota in _QUOTAS.items()
    },
    **{
        (LimitExceeded, f"size of inline policies of {noun}"): Fault(
            "LimitExceeded", 409, f"Maximum policy size of {{limit}} bytes exceeded for {noun} {{name}}"
        )
        for noun in ("user", "group", "role")
    },
    (LimitExceeded, "policy version"): Fault("LimitExceeded", 409, _VERSIONS_FULL),
    (Conflict, ""): Fault("DeleteConflict", 409, "Cannot delete entity, must {must} first."),
    (Conflict, "policy use"): Fault("DeleteConflict", 409, "Cannot delete a policy attached to entities."),
    (Conflict, "policy versions"): Fault("DeleteConflict", 409, _VERSIONS_LEFT),
    (Conflict, "default policy version"): Fault(
        "DeleteConflict", 409, "Cannot delete the default version of a policy."
    ),
    (Conflict, "alias"): Fault("EntityAlreadyExists", 409, "The account alias {name} already exists."),
    (Invalid, "policy document"): Fault("MalformedPolicyDocument", 400),
}

SERVICE = Service(
    "iam",
    {
        **roles.OPERATIONS,
        **users.OPERATIONS,
        **policies.OPERATIONS,
        **profiles.OPERATIONS,
        **account.OPERATIONS,
        **simulate.OPERATIONS,
    },
    _FAULTS,
)
