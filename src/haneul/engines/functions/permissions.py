"""Who may invoke a function: the statements of the policy that hangs on each version."""

from collections.abc import Callable

import msgspec

from haneul.base import ids
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, LimitExceeded, NotFound, PreconditionFailed
from haneul.base.limits import FUNCTION_POLICY_MAX_BYTES
from haneul.base.scope import Scope
from haneul.storage.store import Space, Store, Txn

from .records import FUNCTIONS, HEAD, POLICIES, VERSIONS, Function, Permission, Policy, function_key, version_key
from .registry import Registry

Change = Callable[[Policy | None], Policy | None]


class Permissions:
    """Statements by function and version; adding and removing one changes the version's revision."""

    def __init__(self, store: Store, env: Env, registry: Registry) -> None:
        self._store = store
        self._env = env
        self._registry = registry

    async def add(
        self, scope: Scope, name: str, number: int, permission: Permission, *, revision: str = ""
    ) -> Permission:
        """Raises NotFound, AlreadyExists for its id, PreconditionFailed for another revision, LimitExceeded for size."""

        def change(policy: Policy | None) -> Policy:
            held = policy.permissions if policy is not None else ()
            if any(other.id == permission.id for other in held):
                raise AlreadyExists("permission", permission.id)
            changed = Policy((*held, permission))
            if len(msgspec.json.encode(changed)) > FUNCTION_POLICY_MAX_BYTES:
                raise LimitExceeded("policy", name, f"larger than {FUNCTION_POLICY_MAX_BYTES} bytes")
            return changed

        await self._change(scope, name, number, revision, change)
        return permission

    async def remove(self, scope: Scope, name: str, number: int, id: str, *, revision: str = "") -> None:
        """Raises NotFound for the function, for its policy (noun "policy") or for the statement (noun "permission")."""

        def change(policy: Policy | None) -> Policy | None:
            if policy is None:
                raise NotFound("policy", name)
            kept = tuple(permission for permission in policy.permissions if permission.id != id)
            if len(kept) == len(policy.permissions):
                raise NotFound("permission", id)
            return Policy(kept) if kept else None

        await self._change(scope, name, number, revision, change)

    async def get(self, scope: Scope, name: str, number: int) -> tuple[Policy, str]:
        """The statements and the version's revision. Raises NotFound (noun "policy" when there is none)."""
        function = await self._registry.get(scope, name, number)
        policy = await self._store.get(POLICIES, version_key(scope, name, number))
        if policy is None:
            raise NotFound("policy", name)
        return policy, function.revision

    async def find(self, scope: Scope, name: str, number: int) -> Policy | None:
        """The statements; None when there are none, or no such version. Registry.version rises when they change."""
        return await self._store.get(POLICIES, version_key(scope, name, number))

    async def _change(self, scope: Scope, name: str, number: int, revision: str, change: Change) -> None:
        await self._registry.settled(scope, name, number)
        space: Space[Function] = FUNCTIONS if number == HEAD else VERSIONS
        row = function_key(scope, name) if number == HEAD else version_key(scope, name, number)
        key = version_key(scope, name, number)
        fresh = ids.uuid(self._env)

        def write(txn: Txn) -> None:
            function = txn.get(space, row)
            if function is None:
                raise NotFound("function", name, number=number)
            policy = change(txn.get(POLICIES, key))
            if revision and revision != function.revision:
                raise PreconditionFailed("policy", name, "its revision is another one", cause="revision")
            if policy is None:
                txn.delete(POLICIES, key)
            else:
                txn.put(POLICIES, key, policy)
            txn.put(space, row, msgspec.structs.replace(function, revision=fresh))

        await self._store.transact(write, keys=[(space, row), (POLICIES, key)])
        self._registry.forget(scope, name)
