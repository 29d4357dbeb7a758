"""Outside identity providers (OpenID Connect, SAML) that an account has named as trusted."""

from collections.abc import Callable, Sequence

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, LimitExceeded, NotFound
from haneul.base.scope import Scope

from .book import Book, Draft
from .records import TRUSTED, Trusted


class OutsideProviders:
    """They are recorded, as deploy tools expect; nothing signs in through them."""

    def __init__(self, book: Book, env: Env) -> None:
        self._book = book
        self._env = env

    def get(self, scope: Scope, kind: str, name: str) -> Trusted:
        """Raises NotFound("oidc provider" or "saml provider", name)."""
        if (row := self._book.table(TRUSTED, scope.account).get(f"{kind}/{name}")) is None:
            raise NotFound(f"{kind} provider", name)
        return row

    def list(self, scope: Scope, kind: str) -> Sequence[Trusted]:
        return [row for row in self._book.table(TRUSTED, scope.account) if row.kind == kind]

    async def create(
        self,
        scope: Scope,
        kind: str,
        name: str,
        *,
        body: str = "",
        audiences: Sequence[str] = (),
        thumbprints: Sequence[str] = (),
        tags: dict[str, str],
    ) -> Trusted:
        """Raises AlreadyExists, LimitExceeded."""
        row = Trusted(name, kind, self._env.now_ms(), body, tuple(audiences), tuple(thumbprints), tags)

        def work(draft: Draft) -> Trusted:
            table = self._book.table(TRUSTED, scope.account)
            if table.get(f"{kind}/{name}") is not None:
                raise AlreadyExists(f"{kind} provider", name)
            if len(table) >= limits.PROVIDERS_MAX:
                raise LimitExceeded(f"{kind} provider", name, "there are too many", limit=limits.PROVIDERS_MAX)
            draft.put(TRUSTED, f"{kind}/{name}", row)
            return row

        return await self._book.change(scope.account, work)

    async def change(self, scope: Scope, kind: str, name: str, edit: Callable[[Trusted], Trusted]) -> None:
        """Put what edit makes of it in its place."""

        def work(draft: Draft) -> None:
            draft.put(TRUSTED, f"{kind}/{name}", edit(self.get(scope, kind, name)))

        await self._book.change(scope.account, work)

    async def delete(self, scope: Scope, kind: str, name: str) -> None:
        def work(draft: Draft) -> None:
            self.get(scope, kind, name)
            draft.delete(TRUSTED, f"{kind}/{name}")

        await self._book.change(scope.account, work)
