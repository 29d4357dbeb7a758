"""What identity keeps: users, groups, roles, managed policies, profiles, keys and sessions, as rows."""

import msgspec

from haneul.storage.store import Schema, Space

from .policy import Policy
from .principal import Principal


class Credential(msgspec.Struct, frozen=True):
    """What a signature is checked with, and whose it is.

    session_token  "" for a key that lasts; otherwise the request must carry exactly this token
    expires_ms     epoch milliseconds; None for a key that lasts. credential() returns expired ones too
    """

    secret: str
    session_token: str
    expires_ms: int | None
    principal: Principal

    def __repr__(self) -> str:
        return f"Credential({self.principal.access_key})"  # never a secret in a log or a traceback


class PolicyRef(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A managed policy: one of the account's own, or one that the cloud itself provides to every account."""

    name: str
    provided: bool = False


class Document(msgspec.Struct, frozen=True):
    """A policy as its author wrote it (given back unchanged), and what it means."""

    source: str
    policy: Policy


class Login(msgspec.Struct, frozen=True):
    """A console password: only its scrypt hash and salt are kept, and neither is ever given out."""

    hash: bytes
    salt: bytes
    created_ms: int
    reset_required: bool = False

    def __repr__(self) -> str:
        return "Login(…)"


class Holder(msgspec.Struct, frozen=True):
    """A user, group or role: whatever policies hang on. The space it stands in says which of the three it is.

    path         begins and ends with "/"
    inline       policies of its own, by name
    attached     managed policies, in the order in which they were attached
    boundary     the most that its policies can allow; None: no such bound
    groups       (users) names of the groups it is in
    trust        (roles) who may assume it
    linked_to    (roles) the service that owns it; "" when it is the account's own
    """

    name: str
    path: str
    id: str
    created_ms: int
    inline: dict[str, Document] = {}
    attached: tuple[PolicyRef, ...] = ()
    boundary: PolicyRef | None = None
    tags: dict[str, str] = {}
    groups: tuple[str, ...] = ()
    login: Login | None = None
    trust: Document | None = None
    description: str = ""
    session_max_s: int = 3600
    linked_to: str = ""


class Version(msgspec.Struct, frozen=True):
    """One version of a managed policy; number counts from 1 and is never used again."""

    number: int
    document: Document
    created_ms: int


class Managed(msgspec.Struct, frozen=True):
    """A policy with a name of its own, that any number of holders can share."""

    name: str
    path: str
    id: str
    created_ms: int
    updated_ms: int
    versions: tuple[Version, ...]
    default: int = 1
    last: int = 1
    description: str = ""
    tags: dict[str, str] = {}

    @property
    def document(self) -> Document:
        """The version in force."""
        return next(version.document for version in self.versions if version.number == self.default)


class Profile(msgspec.Struct, frozen=True):
    """An instance profile: a box for at most one role."""

    name: str
    path: str
    id: str
    created_ms: int
    roles: tuple[str, ...] = ()
    tags: dict[str, str] = {}


class Key(msgspec.Struct, frozen=True):
    """An access key that lasts. user: the user's name, or "" for the account's root."""

    id: str
    secret: str
    user: str
    created_ms: int
    active: bool = True
    used_ms: int | None = None
    used_service: str = ""
    used_region: str = ""

    def __repr__(self) -> str:
        return f"Key({self.id})"


class Session(msgspec.Struct, frozen=True):
    """Temporary credentials, until expires_ms.

    limits     policies handed in with the request: the session can do only what each of them allows too
    limit_refs the same, as managed policies; what they say is looked up when it matters
    tags       session tags, seen by conditions
    """

    key: str
    secret: str
    token: str
    principal: Principal
    created_ms: int
    expires_ms: int
    limits: tuple[Document, ...] = ()
    limit_refs: tuple[PolicyRef, ...] = ()
    tags: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Session({self.key})"


class Trusted(msgspec.Struct, frozen=True):
    """An outside identity provider. kind: oidc | saml. body: its metadata; audiences, thumbprints: of oidc."""

    name: str
    kind: str
    created_ms: int
    body: str = ""
    audiences: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()
    tags: dict[str, str] = {}


class Account(msgspec.Struct, frozen=True):
    """Settings of an account. alias: its friendly name, or ""; passwords: its password rules as the face words them."""

    created_ms: int
    alias: str = ""
    passwords: dict[str, int | bool] | None = None


ACCOUNTS: Space[Account] = Space("accounts", Account)
USERS: Space[Holder] = Space("users", Holder)
GROUPS: Space[Holder] = Space("groups", Holder)
ROLES: Space[Holder] = Space("roles", Holder)
POLICIES: Space[Managed] = Space("policies", Managed)
PROFILES: Space[Profile] = Space("profiles", Profile)
KEYS: Space[Key] = Space("keys", Key)
SESSIONS: Space[Session] = Space("sessions", Session)
TRUSTED: Space[Trusted] = Space("trusted", Trusted)

SCHEMA = Schema("identity", 1, (ACCOUNTS, USERS, GROUPS, ROLES, POLICIES, PROFILES, KEYS, SESSIONS, TRUSTED))
