"""How AWS writes who is who: the ARNs and ids of principals, roles and policies, and back."""

from typing import Protocol

from haneul.base.scope import Scope
from haneul.engines.identity.principal import Principal
from haneul.engines.identity.records import Holder, PolicyRef

_PROVIDED = "arn:aws:iam::aws:policy/"


class Identities(Protocol):
    """What of the identity engine it takes to name a principal."""

    def holder(self, principal: Principal) -> Holder | None: ...


def principal_arn(identities: Identities, principal: Principal) -> str:
    """The ARN that GetCallerIdentity and refusals give: of the user or of the session, not of the role behind it."""
    account = principal.account
    if principal.kind == "root":
        return f"arn:aws:iam::{account}:root"
    if principal.kind == "session":
        return f"arn:aws:sts::{account}:assumed-role/{principal.name}/{principal.session}"
    if principal.kind == "federated":
        return f"arn:aws:sts::{account}:federated-user/{principal.session}"
    if principal.kind == "user":
        holder = identities.holder(principal)
        return f"arn:aws:iam::{account}:user{holder.path if holder else '/'}{principal.name}"
    return principal.session if principal.kind == "service" else "anonymous"


def user_id(principal: Principal) -> str:
    """The id that GetCallerIdentity and the condition key aws:userid give."""
    if principal.kind == "root":
        return principal.account
    if principal.kind == "session":
        return f"{principal.id}:{principal.session}"
    if principal.kind == "federated":
        return f"{principal.account}:{principal.session}"
    return principal.id or "anonymous"


def holder_arn(scope: Scope, sort: str, path: str, name: str) -> str:
    """sort: user | group | role | instance-profile."""
    return f"arn:aws:iam::{scope.account}:{sort}{path}{name}"


def role_of_arn(arn: str) -> tuple[str, str] | None:
    """(account, name) of a role's ARN, without its path; None for anything else."""
    pieces = arn.split(":")
    if len(pieces) != 6 or pieces[0] != "arn" or pieces[2] != "iam" or not pieces[5].startswith("role/"):
        return None
    return pieces[4], pieces[5].rpartition("/")[2]


def policy_arn(scope: Scope, ref: PolicyRef, path: str) -> str:
    """The ARN of a managed policy, the account's own or AWS's."""
    return f"arn:aws:iam::{'aws' if ref.provided else scope.account}:policy{path}{ref.name}"


def policy_of_arn(arn: str) -> tuple[str, PolicyRef, str] | None:
    """(account or "aws", reference, path) of a managed policy's ARN; None for anything else."""
    pieces = arn.split(":")
    if len(pieces) != 6 or pieces[0] != "arn" or pieces[2] != "iam" or not pieces[5].startswith("policy/"):
        return None
    path, _, name = pieces[5].removeprefix("policy").rpartition("/")
    return pieces[4], PolicyRef(name, arn.startswith(_PROVIDED)), path + "/"
