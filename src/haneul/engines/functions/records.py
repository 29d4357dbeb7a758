"""What is kept about functions: the function and its versions, who may invoke them, their asynchronous settings, their code."""

import msgspec

from haneul.base.limits import ASYNC_AGE_MAX_S, ASYNC_RETRIES_DEFAULT
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.outbox import OUTBOX
from haneul.storage.store import Schema, Space

HEAD = 0
"""The number of the version that can still be changed."""

PENDING, ACTIVE, INACTIVE, FAILED = "pending", "active", "inactive", "failed"
IN_PROGRESS, SUCCESSFUL, UNSUCCESSFUL = "in_progress", "successful", "unsuccessful"


class Code(msgspec.Struct, frozen=True):
    """A deployment package. sha256: hexadecimal, of the archive as it was uploaded; size_bytes: of the archive."""

    sha256: str
    size_bytes: int
    unzipped_bytes: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a version runs. runtime and role are names in the face's words: the engine hands them on and reads neither.

    environment     the user's own variables; None when none were ever set
    tracing         active: every invocation is traced; passive: those whose caller is
    log_format      text | json
    snapshot        published versions start from a template of the initialised function
    """

    runtime: str
    handler: str
    role: str
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    tmp_mb: int = 512
    environment: dict[str, str] | None = None
    architecture: str = "x86_64"
    tracing: str = "passive"
    log_format: str = "text"
    application_log_level: str = ""
    system_log_level: str = ""
    log_group: str = ""
    snapshot: bool = False


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a function; number HEAD is the one that changes, and it alone carries what belongs to them all.

    id          of this incarnation: a function that is deleted and made again is another one
    build       changes with every change of code or settings: environments of different builds are never mixed
    revision    changes with everything that a caller can see
    state       pending | active | inactive | failed, and why in state_reason when it is not active
    update      in_progress | successful | unsuccessful
    tags, reserved, versions_made   (head only) reserved is None when the function shares the account's concurrency
    """

    scope: Scope
    name: str
    number: int = HEAD
    id: str
    code: Code
    settings: Settings
    build: str
    revision: str
    created_ms: int
    modified_ms: int
    state: str = PENDING
    state_reason: str = ""
    update: str = SUCCESSFUL
    snapshot_reason: str = ""
    tags: dict[str, str] = {}
    reserved: int | None = None
    versions_made: int = 0


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of who may invoke. principal_kind: service | account | any; source: a pattern of resource names."""

    id: str
    action: str
    principal_kind: str
    principal: str
    source: str = ""
    source_account: str = ""
    organisation: str = ""
    token: str = ""
    url_auth: str = ""
    via_url: bool | None = None


class Policy(msgspec.Struct, frozen=True):
    """The statements of one version, in the order in which they were added."""

    permissions: tuple[Permission, ...]


class AsyncSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an asynchronous invocation is retried. retries: after the first attempt that failed in the function itself."""

    modified_ms: int
    retries: int = ASYNC_RETRIES_DEFAULT
    age_max_s: int = ASYNC_AGE_MAX_S
    retries_set: bool = False
    age_set: bool = False


class StoredCode(msgspec.Struct, frozen=True):
    """Where the archive of a Code lies. Rows that no version refers to are swept."""

    blob: str
    size_bytes: int
    unzipped_bytes: int
    stored_ms: int


class Failures(msgspec.Struct, frozen=True):
    """How often an asynchronous invocation has failed in the function itself (waiting for a free place does not count)."""

    count: int


FUNCTIONS: Space[Function] = Space("functions", Function)
VERSIONS: Space[Function] = Space("versions", Function)
POLICIES: Space[Policy] = Space("policies", Policy)
ASYNC_SETTINGS: Space[AsyncSettings] = Space("async_settings", AsyncSettings)
CODES: Space[StoredCode] = Space("codes", StoredCode)
FAILURES: Space[Failures] = Space("failures", Failures)

SCHEMA = Schema("functions", 1, (FUNCTIONS, VERSIONS, POLICIES, ASYNC_SETTINGS, CODES, FAILURES, OUTBOX))


def function_key(scope: Scope, name: str) -> bytes:
    """Of the head in FUNCTIONS; with a number behind it, of a version in VERSIONS and of what belongs to one."""
    return keys.pack(scope.account, scope.region, name)


def version_key(scope: Scope, name: str, number: int) -> bytes:
    return keys.pack(scope.account, scope.region, name, number)


def scope_key(scope: Scope) -> bytes:
    """What the keys of all functions of a scope begin with."""
    return keys.pack(scope.account, scope.region)
