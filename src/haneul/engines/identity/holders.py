"""Holders: users, groups and roles, and the policies, bounds and tags that hang on each in the same way."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from haneul.base.scope import Scope
from haneul.storage.store import Space

from .book import Book, Draft
from .provider import Provider, new_id
from .records import GROUPS, KEYS, POLICIES, PROFILES, ROLES, USERS, Document, Holder, PolicyRef


class HolderKind(msgspec.Struct, frozen=True):
    """One of the three sorts of holder, and its bounds."""

    noun: str
    space: Space[Holder]
    count_max: int
    inline_max_chars: int


USER = HolderKind("user", USERS, limits.USERS_MAX, limits.INLINE_POLICIES_USER_MAX_CHARS)
GROUP = HolderKind("group", GROUPS, limits.GROUPS_MAX, limits.INLINE_POLICIES_GROUP_MAX_CHARS)
ROLE = HolderKind("role", ROLES, limits.ROLES_MAX, limits.INLINE_POLICIES_ROLE_MAX_CHARS)


class Holders:
    """Holders of one kind. Names are unique whatever their case, and found only as they were spelled.

    Every method raises NotFound(noun, name) for a holder that is not there.
    """

    def __init__(self, book: Book, env: Env, provider: Provider, kind: HolderKind) -> None:
        self._book = book
        self._env = env
        self._provider = provider
        self._kind = kind

    def find(self, scope: Scope, name: str) -> Holder | None:
        holder = self._book.table(self._kind.space, scope.account).get(name.casefold())
        return holder if holder is not None and holder.name == name else None

    def get(self, scope: Scope, name: str) -> Holder:
        if (holder := self.find(scope, name)) is None:
            raise NotFound(self._kind.noun, name)
        return holder

    def list(self, scope: Scope, path_prefix: str = "/") -> Sequence[Holder]:
        """In the order of their names."""
        table = self._book.table(self._kind.space, scope.account)
        return [holder for holder in table if holder.path.startswith(path_prefix)]

    async def create(
        self,
        scope: Scope,
        name: str,
        *,
        path: str = "/",
        tags: Mapping[str, str] | None = None,
        boundary: PolicyRef | None = None,
        trust: Document | None = None,
        description: str = "",
        session_max_s: int = 3600,
        linked_to: str = "",
    ) -> Holder:
        """Raises AlreadyExists, LimitExceeded."""

        def work(draft: Draft) -> Holder:
            table = self._book.table(self._kind.space, scope.account)
            if table.get(name.casefold()) is not None:
                raise AlreadyExists(self._kind.noun, name)
            if len(table) >= self._kind.count_max:
                raise _too_many(self._kind.noun, name, self._kind.count_max)
            holder = Holder(
                name=name,
                path=path,
                id=new_id(self._env, self._provider, self._kind.noun),
                created_ms=self._env.now_ms(),
                boundary=boundary,
                tags=dict(tags or {}),
                trust=trust,
                description=description,
                session_max_s=session_max_s,
                linked_to=linked_to,
            )
            draft.put(self._kind.space, name.casefold(), holder)
            return holder

        return await self._book.change(scope.account, work)

    async def change(self, scope: Scope, name: str, edit: Callable[[Holder], Holder]) -> Holder:
        """Put what edit makes of the holder in its place; edit may raise. Its name and id stay."""

        def work(draft: Draft) -> Holder:
            changed = edit(self.get(scope, name))
            draft.put(self._kind.space, name.casefold(), changed)
            return changed

        return await self._book.change(scope.account, work)

    async def delete(self, scope: Scope, name: str, *, linked: bool = False) -> None:
        """Raises Conflict while anything hangs on it. linked: also one that belongs to a service, with all it holds."""

        def work(draft: Draft) -> None:
            holder = self.get(scope, name)
            if not linked:
                _must_be_bare(self._kind.noun, holder)
                self._must_be_alone(scope, holder)
            draft.delete(self._kind.space, name.casefold())

        await self._book.change(scope.account, work)

    def _must_be_alone(self, scope: Scope, holder: Holder) -> None:
        """Nothing else may refer to it: members of a group, the profile that a role is in."""
        noun = self._kind.noun
        if noun == "group" and any(holder.name in user.groups for user in self._book.table(USERS, scope.account)):
            raise Conflict(noun, holder.name, "it has members", must="remove users from group")
        if noun == "role" and any(holder.name in box.roles for box in self._book.table(PROFILES, scope.account)):
            raise Conflict(noun, holder.name, "it is in a profile", must="remove roles from instance profile")
        if noun == "user" and any(key.user == holder.name for key in self._book.table(KEYS, scope.account)):
            raise Conflict(noun, holder.name, "it has access keys", must="delete access keys")

    def inline(self, scope: Scope, name: str, policy: str) -> Document:
        """The holder's own policy of that name. Raises NotFound("inline policy of …", policy)."""
        document = self.get(scope, name).inline.get(policy)
        if document is None:
            raise NotFound(f"inline policy of {self._kind.noun}", policy)
        return document

    async def put_inline(self, scope: Scope, name: str, policy: str, document: Document) -> None:
        """Raises LimitExceeded when all inline policies together become too long (white space does not count)."""

        def edit(holder: Holder) -> Holder:
            inline = {**holder.inline, policy: document}
            if sum(size_of(each) for each in inline.values()) > self._kind.inline_max_chars:
                raise LimitExceeded(
                    f"size of inline policies of {self._kind.noun}",
                    name,
                    "inline policies are too long",
                    limit=self._kind.inline_max_chars,
                )
            return replace(holder, inline=dict(sorted(inline.items())))

        await self.change(scope, name, edit)

    async def delete_inline(self, scope: Scope, name: str, policy: str) -> None:
        def edit(holder: Holder) -> Holder:
            if policy not in holder.inline:
                raise NotFound(f"inline policy of {self._kind.noun}", policy)
            return replace(holder, inline={key: each for key, each in holder.inline.items() if key != policy})

        await self.change(scope, name, edit)

    async def attach(self, scope: Scope, name: str, policy: PolicyRef) -> None:
        """Attaching what is attached changes nothing. The policy must exist: NotFound("policy", …) otherwise."""

        def edit(holder: Holder) -> Holder:
            if not self._exists(scope, policy):
                raise NotFound("policy", policy.name)
            if policy in holder.attached:
                return holder
            if len(holder.attached) >= limits.ATTACHED_POLICIES_MAX:
                raise _too_many(f"attached policy of {self._kind.noun}", name, limits.ATTACHED_POLICIES_MAX)
            return replace(holder, attached=(*holder.attached, policy))

        await self.change(scope, name, edit)

    async def detach(self, scope: Scope, name: str, policy: PolicyRef) -> None:
        """Raises NotFound("attached policy of …", policy)."""

        def edit(holder: Holder) -> Holder:
            if policy not in holder.attached:
                raise NotFound(f"attached policy of {self._kind.noun}", policy.name)
            return replace(holder, attached=tuple(each for each in holder.attached if each != policy))

        await self.change(scope, name, edit)

    async def put_boundary(self, scope: Scope, name: str, policy: PolicyRef | None) -> None:
        """None takes the bound away; NotFound("boundary of …") when there is none to take."""

        def edit(holder: Holder) -> Holder:
            if policy is None and holder.boundary is None:
                raise NotFound(f"boundary of {self._kind.noun}", name)
            if policy is not None and not self._exists(scope, policy):
                raise NotFound("policy", policy.name)
            return replace(holder, boundary=policy)

        await self.change(scope, name, edit)

    async def tag(self, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        await self.change(scope, name, lambda holder: replace(holder, tags=with_tags(holder.tags, tags, name)))

    async def untag(self, scope: Scope, name: str, tag_keys: Sequence[str]) -> None:
        await self.change(scope, name, lambda holder: replace(holder, tags=without_tags(holder.tags, tag_keys)))

    def _exists(self, scope: Scope, policy: PolicyRef) -> bool:
        return policy_exists(self._book, self._provider, scope, policy)


def policy_exists(book: Book, provider: Provider, scope: Scope, policy: PolicyRef) -> bool:
    """Whether a managed policy is there to be attached."""
    if policy.provided:
        return provider.policy(policy.name) is not None
    return book.table(POLICIES, scope.account).get(policy.name.casefold()) is not None


def size_of(document: Document) -> int:
    """Length in characters as it counts against a limit: white space is free."""
    return sum(map(len, document.source.split()))


def with_tags(tags: Mapping[str, str], more: Mapping[str, str], name: str) -> dict[str, str]:
    """Both together; raises LimitExceeded("tag", …)."""
    both = {**tags, **more}
    if len(both) > limits.TAGS_PER_IDENTITY_MAX:
        raise _too_many("tag", name, limits.TAGS_PER_IDENTITY_MAX)
    return both


def without_tags(tags: Mapping[str, str], tag_keys: Sequence[str]) -> dict[str, str]:
    """The tags that are left."""
    return {key: value for key, value in tags.items() if key not in tag_keys}


def _must_be_bare(noun: str, holder: Holder) -> None:
    if holder.attached:
        raise Conflict(noun, holder.name, "policies are attached", must="detach all policies")
    if holder.inline:
        raise Conflict(noun, holder.name, "it has policies of its own", must="delete policies")
    if holder.groups:
        raise Conflict(noun, holder.name, "it is in groups", must="remove user from all groups")
    if holder.login is not None:
        raise Conflict(noun, holder.name, "it has a password", must="delete login profile")


def _too_many(noun: str, name: str, limit: int) -> LimitExceeded:
    return LimitExceeded(noun, name, f"there can be at most {limit}", limit=limit)
