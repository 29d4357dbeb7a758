"""Managed policies: named, versioned, shared by any number of holders."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from haneul.base.scope import Scope

from .book import Book, Draft
from .holders import with_tags, without_tags
from .provider import Provider, new_id
from .records import GROUPS, POLICIES, ROLES, USERS, Document, Holder, Managed, PolicyRef, Version


class ManagedPolicies:
    """An account's own managed policies; those that the cloud provides can be read, and used, but not changed."""

    def __init__(self, book: Book, env: Env, provider: Provider) -> None:
        self._book = book
        self._env = env
        self._provider = provider

    def find(self, scope: Scope, ref: PolicyRef) -> Managed | None:
        if ref.provided:
            return self._provider.policy(ref.name)
        policy = self._book.table(POLICIES, scope.account).get(ref.name.casefold())
        return policy if policy is not None and policy.name == ref.name else None

    def get(self, scope: Scope, ref: PolicyRef) -> Managed:
        """Raises NotFound("policy", name)."""
        if (policy := self.find(scope, ref)) is None:
            raise NotFound("policy", ref.name)
        return policy

    def version(self, scope: Scope, ref: PolicyRef, number: int) -> Version:
        """Raises NotFound("policy", …) or NotFound("policy version", …)."""
        return _version(self.get(scope, ref), number)

    def list(self, scope: Scope, path_prefix: str = "/") -> Sequence[Managed]:
        """The account's own, in the order of their names."""
        return [each for each in self._book.table(POLICIES, scope.account) if each.path.startswith(path_prefix)]

    def list_provided(self, path_prefix: str = "/") -> Sequence[Managed]:
        """Those that every account has, in the order of their names."""
        return [each for each in self._provider.policies() if each.path.startswith(path_prefix)]

    def count_uses(self, scope: Scope, ref: PolicyRef) -> tuple[int, int]:
        """How many holders it is attached to, and how many it bounds."""
        uses = [how for _, _, how in self._book.uses(scope.account, ref)]
        return uses.count("attached"), uses.count("boundary")

    def uses(self, scope: Scope, ref: PolicyRef) -> Sequence[tuple[str, Holder, str]]:
        """("users", "groups" or "roles", the holder, "attached" or "boundary") of everything that it hangs on."""
        tables = {space.name: self._book.table(space, scope.account) for space in (USERS, GROUPS, ROLES)}
        found = [(space, tables[space].get(key), how) for space, key, how in self._book.uses(scope.account, ref)]
        return [(space, holder, how) for space, holder, how in found if holder is not None]

    async def create(
        self,
        scope: Scope,
        name: str,
        document: Document,
        *,
        path: str = "/",
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Managed:
        """Raises AlreadyExists, LimitExceeded."""

        def work(draft: Draft) -> Managed:
            table = self._book.table(POLICIES, scope.account)
            if table.get(name.casefold()) is not None:
                raise AlreadyExists("policy", name)
            if len(table) >= limits.POLICIES_MAX:
                raise LimitExceeded("policy", name, "there are too many policies", limit=limits.POLICIES_MAX)
            now_ms = self._env.now_ms()
            policy = Managed(
                name=name,
                path=path,
                id=new_id(self._env, self._provider, "policy"),
                created_ms=now_ms,
                updated_ms=now_ms,
                versions=(Version(1, document, now_ms),),
                description=description,
                tags=dict(tags or {}),
            )
            draft.put(POLICIES, name.casefold(), policy)
            return policy

        return await self._book.change(scope.account, work)

    async def delete(self, scope: Scope, ref: PolicyRef) -> None:
        """Raises Conflict("policy use", …) while it hangs on anything, Conflict("policy versions", …) with several."""

        def work(draft: Draft) -> None:
            policy = self._own(scope, ref)
            if self._book.uses(scope.account, ref):
                raise Conflict("policy use", ref.name, "it is attached")
            if len(policy.versions) > 1:
                raise Conflict("policy versions", ref.name, "it has several versions")
            draft.delete(POLICIES, ref.name.casefold())

        await self._book.change(scope.account, work)

    async def create_version(
        self, scope: Scope, ref: PolicyRef, document: Document, *, as_default: bool = False
    ) -> Version:
        """Raises LimitExceeded("policy version", …)."""

        def work(draft: Draft) -> Version:
            policy = self._own(scope, ref)
            if len(policy.versions) >= limits.POLICY_VERSIONS_MAX:
                raise LimitExceeded(
                    "policy version", ref.name, "there are too many versions", limit=limits.POLICY_VERSIONS_MAX
                )
            now_ms = self._env.now_ms()
            version = Version(policy.last + 1, document, now_ms)
            changed = replace(
                policy,
                versions=(*policy.versions, version),
                last=version.number,
                default=version.number if as_default else policy.default,
                updated_ms=now_ms,
            )
            draft.put(POLICIES, ref.name.casefold(), changed)
            return version

        return await self._book.change(scope.account, work)

    async def delete_version(self, scope: Scope, ref: PolicyRef, number: int) -> None:
        """Raises Conflict("default policy version", …) for the one in force."""

        def work(draft: Draft) -> None:
            policy = self._own(scope, ref)
            _version(policy, number)
            if number == policy.default:
                raise Conflict("default policy version", ref.name, "it is in force")
            kept = tuple(each for each in policy.versions if each.number != number)
            changed = replace(policy, versions=kept, updated_ms=self._env.now_ms())
            draft.put(POLICIES, ref.name.casefold(), changed)

        await self._book.change(scope.account, work)

    async def put_default(self, scope: Scope, ref: PolicyRef, number: int) -> None:
        """Put another version in force."""

        def work(draft: Draft) -> None:
            policy = self._own(scope, ref)
            _version(policy, number)
            changed = replace(policy, default=number, updated_ms=self._env.now_ms())
            draft.put(POLICIES, ref.name.casefold(), changed)

        await self._book.change(scope.account, work)

    async def tag(self, scope: Scope, ref: PolicyRef, tags: Mapping[str, str]) -> None:
        def work(draft: Draft) -> None:
            policy = self._own(scope, ref)
            draft.put(POLICIES, ref.name.casefold(), replace(policy, tags=with_tags(policy.tags, tags, ref.name)))

        await self._book.change(scope.account, work)

    async def untag(self, scope: Scope, ref: PolicyRef, tag_keys: Sequence[str]) -> None:
        def work(draft: Draft) -> None:
            policy = self._own(scope, ref)
            draft.put(POLICIES, ref.name.casefold(), replace(policy, tags=without_tags(policy.tags, tag_keys)))

        await self._book.change(scope.account, work)

    def _own(self, scope: Scope, ref: PolicyRef) -> Managed:
        if ref.provided:
            raise NotFound("policy", ref.name, "policies that the cloud provides cannot be changed")
        return self.get(scope, ref)


def _version(policy: Managed, number: int) -> Version:
    for version in policy.versions:
        if version.number == number:
            return version
    raise NotFound("policy version", policy.name, version=number)
