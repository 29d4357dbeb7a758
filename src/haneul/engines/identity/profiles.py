"""Instance profiles: a box around a role, for machines that take a role by the name of its box."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from haneul.base.scope import Scope

from .book import Book, Draft
from .holders import with_tags, without_tags
from .provider import Provider, new_id
from .records import PROFILES, ROLES, Profile


class Profiles:
    """Instance profiles: boxes for one role."""

    def __init__(self, book: Book, env: Env, provider: Provider) -> None:
        self._book = book
        self._env = env
        self._provider = provider

    def get(self, scope: Scope, name: str) -> Profile:
        """Raises NotFound("profile", name)."""
        profile = self._book.table(PROFILES, scope.account).get(name.casefold())
        if profile is None or profile.name != name:
            raise NotFound("profile", name)
        return profile

    def list(self, scope: Scope, path_prefix: str = "/") -> Sequence[Profile]:
        return [each for each in self._book.table(PROFILES, scope.account) if each.path.startswith(path_prefix)]

    def list_of_role(self, scope: Scope, role: str) -> Sequence[Profile]:
        return [each for each in self._book.table(PROFILES, scope.account) if role in each.roles]

    async def create(self, scope: Scope, name: str, *, path: str = "/", tags: Mapping[str, str]) -> Profile:
        """Raises AlreadyExists, LimitExceeded."""

        def work(draft: Draft) -> Profile:
            table = self._book.table(PROFILES, scope.account)
            if table.get(name.casefold()) is not None:
                raise AlreadyExists("profile", name)
            if len(table) >= limits.PROFILES_MAX:
                raise LimitExceeded("profile", name, "there are too many profiles", limit=limits.PROFILES_MAX)
            profile = Profile(
                name, path, new_id(self._env, self._provider, "profile"), self._env.now_ms(), tags=dict(tags)
            )
            draft.put(PROFILES, name.casefold(), profile)
            return profile

        return await self._book.change(scope.account, work)

    async def delete(self, scope: Scope, name: str) -> None:
        """Raises Conflict while a role is in it."""

        def work(draft: Draft) -> None:
            if self.get(scope, name).roles:
                raise Conflict("profile", name, "a role is in it", must="remove roles from instance profile")
            draft.delete(PROFILES, name.casefold())

        await self._book.change(scope.account, work)

    async def add_role(self, scope: Scope, name: str, role: str) -> None:
        """Raises LimitExceeded("role in profile", …) when there is one already."""

        def work(draft: Draft) -> None:
            profile = self.get(scope, name)
            known = self._book.table(ROLES, scope.account).get(role.casefold())
            if known is None or known.name != role:
                raise NotFound("role", role)
            if profile.roles:
                raise LimitExceeded("role in profile", name, "there is a role in it already", limit=1)
            draft.put(PROFILES, name.casefold(), replace(profile, roles=(role,)))

        await self._book.change(scope.account, work)

    async def remove_role(self, scope: Scope, name: str, role: str) -> None:
        """Raises NotFound("role in profile", …)."""

        def work(draft: Draft) -> None:
            profile = self.get(scope, name)
            if role not in profile.roles:
                raise NotFound("role in profile", role)
            draft.put(PROFILES, name.casefold(), replace(profile, roles=()))

        await self._book.change(scope.account, work)

    async def tag(self, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        def work(draft: Draft) -> None:
            profile = self.get(scope, name)
            draft.put(PROFILES, name.casefold(), replace(profile, tags=with_tags(profile.tags, tags, name)))

        await self._book.change(scope.account, work)

    async def untag(self, scope: Scope, name: str, tag_keys: Sequence[str]) -> None:
        def work(draft: Draft) -> None:
            profile = self.get(scope, name)
            draft.put(PROFILES, name.casefold(), replace(profile, tags=without_tags(profile.tags, tag_keys)))

        await self._book.change(scope.account, work)
