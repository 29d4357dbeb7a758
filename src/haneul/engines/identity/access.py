"""Access keys that last: made for users and for an account's root, looked up for every signature."""

import base64
from collections.abc import Sequence

from msgspec.structs import replace

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import LimitExceeded, NotFound, Unavailable
from haneul.base.scope import Scope

from .book import Book, Draft
from .holders import Holders
from .provider import Provider, new_id
from .records import KEYS, Key


class AccessKeys:
    """Keys of users, and of the root under the user name ""."""

    def __init__(self, book: Book, env: Env, provider: Provider, users: Holders) -> None:
        self._book = book
        self._env = env
        self._provider = provider
        self._users = users
        self._noted: dict[str, float] = {}

    def list(self, scope: Scope, user: str) -> Sequence[Key]:
        """In the order in which they were made. Raises NotFound("user", …)."""
        if user:
            self._users.get(scope, user)
        mine = [key for key in self._book.table(KEYS, scope.account) if key.user == user]
        return sorted(mine, key=lambda key: key.created_ms)

    def get(self, scope: Scope, key_id: str) -> Key:
        """Raises NotFound("access key", id)."""
        if (key := self._book.table(KEYS, scope.account).get(key_id)) is None:
            raise NotFound("access key", key_id)
        return key

    async def create(self, scope: Scope, user: str) -> Key:
        """A new pair; this is the only answer that shows the secret. Raises LimitExceeded("access key", …)."""

        def work(draft: Draft) -> Key:
            if len(self.list(scope, user)) >= limits.KEYS_PER_USER_MAX:
                raise LimitExceeded(
                    "access key", user, "there are too many access keys", limit=limits.KEYS_PER_USER_MAX
                )
            key = Key(
                new_id(self._env, self._provider, "key"), new_secret(self._env), user, created_ms=self._env.now_ms()
            )
            draft.put(KEYS, key.id, key)
            return key

        return await self._book.change(scope.account, work)

    async def update(self, scope: Scope, user: str, key_id: str, *, active: bool) -> None:
        """Raises NotFound("access key", …) when the user has no such key."""

        def work(draft: Draft) -> None:
            draft.put(KEYS, key_id, replace(self._of(scope, user, key_id), active=active))

        await self._book.change(scope.account, work)

    async def delete(self, scope: Scope, user: str, key_id: str) -> None:
        def work(draft: Draft) -> None:
            self._of(scope, user, key_id)
            draft.delete(KEYS, key_id)

        await self._book.change(scope.account, work)

    def note_use(self, account: str, key_id: str, service: str, region: str) -> None:
        """Remember when and where a key was used; written at most once in KEY_USE_INTERVAL_S for a key."""
        now = self._env.monotonic()
        noted = self._noted.get(key_id)
        if noted is not None and now - noted < limits.KEY_USE_INTERVAL_S:
            return
        if len(self._noted) >= limits.KEYS_NOTED_MAX:
            self._noted.clear()
        self._noted[key_id] = now
        self._env.spawn(self._write_use(account, key_id, service, region), name="identity key use")

    async def _write_use(self, account: str, key_id: str, service: str, region: str) -> None:
        def work(draft: Draft) -> None:
            draft.decides = False
            key = self._book.table(KEYS, account).get(key_id)
            if key is not None:
                now_ms = self._env.now_ms()
                draft.put(KEYS, key_id, replace(key, used_ms=now_ms, used_service=service, used_region=region))

        try:
            await self._book.change(account, work)
        except Unavailable:
            self._noted.pop(key_id, None)  # the store is closing or full: the next use notes it again

    def _of(self, scope: Scope, user: str, key_id: str) -> Key:
        if user:
            self._users.get(scope, user)
        key = self.get(scope, key_id)
        if key.user != user:
            raise NotFound("access key", key_id)
        return key


def new_secret(env: Env) -> str:
    """40 characters, 240 random bits."""
    return base64.b64encode(env.token(30)).decode()
