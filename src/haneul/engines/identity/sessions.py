"""Sessions: temporary credentials, known until they expire, also across a restart."""

import base64
import heapq
from collections.abc import Mapping, Sequence

import msgspec

from haneul.base.env import Env, Timer
from haneul.base.errors import Failure, Throttled
from haneul.base.limits import LENT_CREDENTIALS_MAX, SESSION_KEPT_S, SESSION_SWEEP_S, SESSIONS_MAX
from haneul.base.log import Log
from haneul.base.scope import Scope

from .access import new_secret
from .book import Book
from .holders import Holders
from .principal import Principal
from .provider import Provider, new_id
from .records import SESSIONS, Document, PolicyRef, Session

_TOKEN_BYTES = 240


class Sessions:
    """At most SESSIONS_MAX at a time; expired ones are swept away after another SESSION_KEPT_S."""

    def __init__(self, book: Book, env: Env, log: Log, provider: Provider, roles: Holders) -> None:
        self._book = book
        self._env = env
        self._log = log
        self._provider = provider
        self._roles = roles
        self._due: list[tuple[int, str, str]] = []
        self._timer: Timer | None = None
        self._lent: dict[tuple[str, str, str], Session] = {}
        self._stopped = False

    def start(self) -> None:
        """Take over what the book has loaded."""
        for account in self._book.accounts():
            self._due.extend((_gone_ms(row), account, row.key) for row in self._book.table(SESSIONS, account))
        heapq.heapify(self._due)
        self._wait()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def find(self, account: str, key: str) -> Session | None:
        """A session that has not expired."""
        session = self._book.table(SESSIONS, account).get(key)
        return session if session is not None and session.expires_ms > self._env.now_ms() else None

    async def assume(
        self,
        scope: Scope,
        role: str,
        session: str,
        *,
        duration_s: int,
        limits: Sequence[Document] = (),
        limit_refs: Sequence[PolicyRef] = (),
        tags: Mapping[str, str] | None = None,
        token_min_chars: int = 0,
    ) -> Session:
        """Credentials that act as the role. Whether the caller may was decided before. Raises NotFound("role", …)."""
        holder = self._roles.get(scope, role)
        return await self.issue(
            Principal(scope.account, "session", holder.name, holder.id, session),
            duration_s=duration_s,
            limits=limits,
            limit_refs=limit_refs,
            tags=tags,
            token_min_chars=token_min_chars,
        )

    async def lend(self, scope: Scope, role: str, session: str, *, duration_s: int) -> Session:
        """Credentials of a role for a program that haneul runs: the same ones again while half their time is left, so
        that starting many programs costs one write. Raises NotFound("role", …)."""
        holder = self._roles.get(scope, role)
        about = (scope.account, holder.id, session)
        lent = self._lent.get(about)
        if lent is not None and lent.expires_ms - self._env.now_ms() > duration_s * 500:
            return lent
        if len(self._lent) >= LENT_CREDENTIALS_MAX:
            self._lent.pop(next(iter(self._lent)))
        self._lent[about] = lent = await self.assume(scope, role, session, duration_s=duration_s)
        return lent

    def forget_lent(self, account: str) -> None:
        """After an account was wiped: what was lent is no longer known."""
        self._lent = {about: lent for about, lent in self._lent.items() if about[0] != account}

    async def issue(
        self,
        principal: Principal,
        *,
        duration_s: int,
        limits: Sequence[Document] = (),
        limit_refs: Sequence[PolicyRef] = (),
        tags: Mapping[str, str] | None = None,
        token_min_chars: int = 0,
    ) -> Session:
        """Temporary credentials for a principal of any kind. Raises Throttled while SESSIONS_MAX are alive."""
        if len(self._due) >= SESSIONS_MAX:
            raise Throttled("session", principal.session, "too many temporary credentials are in use")
        key = new_id(self._env, self._provider, "session")
        now_ms = self._env.now_ms()
        session = Session(
            key=key,
            secret=new_secret(self._env),
            token=base64.b64encode(self._env.token(max(_TOKEN_BYTES, -(-token_min_chars * 3 // 4)))).decode(),
            principal=msgspec.structs.replace(principal, access_key=key),
            created_ms=now_ms,
            expires_ms=now_ms + duration_s * 1000,
            limits=tuple(limits),
            limit_refs=tuple(limit_refs),
            tags=dict(tags or {}),
        )
        heapq.heappush(self._due, (_gone_ms(session), principal.account, key))
        await self._book.add(principal.account, SESSIONS, key, session)
        self._wait()
        return session

    def _wait(self) -> None:
        if self._timer is None and self._due and not self._stopped:
            wait_s = max(SESSION_SWEEP_S, self._due[0][0] / 1000 - self._env.now())
            self._timer = self._env.call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._env.spawn(self._sweep(), name="identity session sweep")

    async def _sweep(self) -> None:
        now_ms = self._env.now_ms()
        expired: dict[str, list[str]] = {}
        while self._due and self._due[0][0] <= now_ms:
            _, account, key = heapq.heappop(self._due)
            expired.setdefault(account, []).append(key)
        for account, names in expired.items():
            try:
                await self._book.remove(account, SESSIONS, names)
            except Failure as failure:  # expired ones are refused anyway; a later start removes the rows
                self._log.warning("session sweep failed", account=account, reason=failure.reason)
        for about, lent in list(self._lent.items()):
            if lent.expires_ms <= now_ms:
                del self._lent[about]
        self._wait()


def _gone_ms(session: Session) -> int:
    """When its row is swept: until then its holder is told that it has expired, rather than that it never was."""
    return session.expires_ms + int(SESSION_KEPT_S * 1000)
