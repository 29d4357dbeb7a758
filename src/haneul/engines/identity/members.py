"""Members: what only users and groups have: who is in which group, new names, passwords."""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence

from msgspec.structs import replace

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, LimitExceeded, NotFound
from haneul.base.scope import Scope

from .book import Book, Draft
from .holders import Holders
from .records import GROUPS, KEYS, USERS, Holder, Login


class Members:
    """Users' groups, names and passwords."""

    def __init__(self, book: Book, env: Env, users: Holders, groups: Holders) -> None:
        self._book = book
        self._env = env
        self._users = users
        self._groups = groups

    def of_group(self, scope: Scope, group: str) -> Sequence[Holder]:
        """The users in a group, in the order of their names. Raises NotFound("group", …)."""
        name = self._groups.get(scope, group).name
        return [user for user in self._book.table(USERS, scope.account) if name in user.groups]

    def groups_of(self, scope: Scope, user: str) -> Sequence[Holder]:
        return [self._groups.get(scope, group) for group in self._users.get(scope, user).groups]

    async def join(self, scope: Scope, user: str, group: str) -> None:
        """Joining again changes nothing. Raises LimitExceeded("groups of user", …)."""

        def edit(holder: Holder) -> Holder:
            self._groups.get(scope, group)
            if group in holder.groups:
                return holder
            if len(holder.groups) >= limits.GROUPS_PER_USER_MAX:
                raise LimitExceeded(
                    "groups of user", user, "it is in too many groups", limit=limits.GROUPS_PER_USER_MAX
                )
            return replace(holder, groups=tuple(sorted((*holder.groups, group))))

        await self._users.change(scope, user, edit)

    async def leave(self, scope: Scope, user: str, group: str) -> None:
        """Raises NotFound("membership", …) when it is not in the group."""

        def edit(holder: Holder) -> Holder:
            self._groups.get(scope, group)
            if group not in holder.groups:
                raise NotFound("membership", user, group=group)
            return replace(holder, groups=tuple(each for each in holder.groups if each != group))

        await self._users.change(scope, user, edit)

    async def rename_user(self, scope: Scope, name: str, *, to: str | None, path: str | None) -> None:
        """A new name or path for the same user: its id, keys, groups and policies stay."""

        def work(draft: Draft) -> None:
            user = self._users.get(scope, name)
            new = replace(user, name=to or name, path=path or user.path)
            if new.name.casefold() != name.casefold():
                self._must_be_free(scope, "user", new.name)
                draft.delete(USERS, name.casefold())
            draft.put(USERS, new.name.casefold(), new)
            for key in self._book.table(KEYS, scope.account):
                if key.user == name:
                    draft.put(KEYS, key.id, replace(key, user=new.name))

        await self._book.change(scope.account, work)

    async def rename_group(self, scope: Scope, name: str, *, to: str | None, path: str | None) -> None:
        """A new name or path for the same group, with the same members."""

        def work(draft: Draft) -> None:
            group = self._groups.get(scope, name)
            new = replace(group, name=to or name, path=path or group.path)
            if new.name.casefold() != name.casefold():
                self._must_be_free(scope, "group", new.name)
                draft.delete(GROUPS, name.casefold())
            draft.put(GROUPS, new.name.casefold(), new)
            for user in self._book.table(USERS, scope.account):
                if name in user.groups:
                    groups = tuple(sorted(new.name if each == name else each for each in user.groups))
                    draft.put(USERS, user.name.casefold(), replace(user, groups=groups))

        await self._book.change(scope.account, work)

    def _must_be_free(self, scope: Scope, noun: str, name: str) -> None:
        space = USERS if noun == "user" else GROUPS
        if self._book.table(space, scope.account).get(name.casefold()) is not None:
            raise AlreadyExists(noun, name)

    async def create_login(self, scope: Scope, user: str, password: str, *, reset_required: bool = False) -> Login:
        """Raises AlreadyExists("login", …). The password is kept as a hash only."""
        login = await self._login(password, reset_required)

        def edit(holder: Holder) -> Holder:
            if holder.login is not None:
                raise AlreadyExists("login", user)
            return replace(holder, login=login)

        await self._users.change(scope, user, edit)
        return login

    def login(self, scope: Scope, user: str) -> Login:
        """Raises NotFound("login", …)."""
        if (login := self._users.get(scope, user).login) is None:
            raise NotFound("login", user)
        return login

    async def update_login(
        self, scope: Scope, user: str, *, password: str | None = None, reset_required: bool | None = None
    ) -> None:
        fresh = await self._login(password, False) if password is not None else None

        def edit(holder: Holder) -> Holder:
            if holder.login is None:
                raise NotFound("login", user)
            login = holder.login
            if fresh is not None:
                login = replace(login, hash=fresh.hash, salt=fresh.salt)
            if reset_required is not None:
                login = replace(login, reset_required=reset_required)
            return replace(holder, login=login)

        await self._users.change(scope, user, edit)

    async def delete_login(self, scope: Scope, user: str) -> None:
        def edit(holder: Holder) -> Holder:
            if holder.login is None:
                raise NotFound("login", user)
            return replace(holder, login=None)

        await self._users.change(scope, user, edit)

    async def check_password(self, scope: Scope, user: str, password: str) -> bool:
        """Whether it is the user's password; takes as long for a wrong one."""
        login = self.login(scope, user)
        return hmac.compare_digest(await asyncio.to_thread(_hash, password, login.salt), login.hash)

    async def _login(self, password: str, reset_required: bool) -> Login:
        salt = self._env.token(16)
        return Login(await asyncio.to_thread(_hash, password, salt), salt, self._env.now_ms(), reset_required)


def _hash(password: str, salt: bytes) -> bytes:
    # OWASP password storage cheat sheet: N = 2^14, r = 8, p = 5 is one of its equal settings of scrypt; 16 MiB.
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=5, maxmem=64 * limits.MIB)
