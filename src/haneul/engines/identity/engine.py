"""IdentityEngine: who there is, what they may do, and which credentials speak for whom."""

from collections.abc import Iterator

from haneul.base.env import Env
from haneul.base.errors import Conflict
from haneul.base.limits import SESSIONS_MAX
from haneul.base.log import Log, SilentLog
from haneul.base.scope import Scope
from haneul.storage.store import Store

from .access import AccessKeys
from .book import Book, Draft
from .holders import GROUP, ROLE, USER, Holders
from .managed import ManagedPolicies
from .members import Members
from .outside import OutsideProviders
from .policy import NOTHING, Named, Rules
from .principal import Principal
from .profiles import Profiles
from .provider import NoProvider, Provider
from .records import ACCOUNTS, KEYS, SESSIONS, Account, Credential, Holder, PolicyRef
from .sessions import Sessions


class IdentityEngine:
    """Identity is global: of a scope only the account counts. Call start() before anything else, stop() at the end.

    Everything is kept in memory by this one owner and written through the store: credential() and rules() are plain
    calls that never wait.
    """

    def __init__(self, store: Store, env: Env, *, log: Log | None = None, provider: Provider | None = None) -> None:
        provider = provider or NoProvider()
        self._env = env
        self._book = book = Book(store, env)
        self.users = Holders(book, env, provider, USER)
        self.groups = Holders(book, env, provider, GROUP)
        self.roles = Holders(book, env, provider, ROLE)
        self.members = Members(book, env, self.users, self.groups)
        self.policies = ManagedPolicies(book, env, provider)
        self.profiles = Profiles(book, env, provider)
        self.keys = AccessKeys(book, env, provider, self.users)
        self.sessions = Sessions(book, env, log or SilentLog(), provider, self.roles)
        self.outside = OutsideProviders(book, env)
        self._key_accounts = book.key_accounts
        self._credentials: dict[str, Credential] = {}
        self._credentials_version = 0

    async def start(self) -> None:
        await self._book.load()
        self.sessions.start()

    async def stop(self) -> None:
        self.sessions.stop()

    def generation(self, account: str) -> int:
        """Rises whenever an earlier decision about a principal of the account may no longer hold."""
        return self._book.generation(account)

    def credential(self, key_id: str) -> Credential | None:
        """What to check a signature with; None for a key that is unknown or inactive. One that has expired is known for
        a while yet, so that its holder hears that it has expired: whoever believes it looks at expires_ms."""
        if key_id not in self._key_accounts:
            return None
        if self._credentials_version != self._book.version:
            self._credentials.clear()
            self._credentials_version = self._book.version
        known = self._credentials.get(key_id)
        if known is None:
            known = self._look_up(key_id)
            if known is None:
                return None
            if len(self._credentials) >= SESSIONS_MAX:
                self._credentials.clear()
            self._credentials[key_id] = known
        return known

    def _look_up(self, key_id: str) -> Credential | None:
        account = self._key_accounts.get(key_id)
        if account is None:
            return None
        session = self._book.table(SESSIONS, account).get(key_id)
        if session is not None:
            return Credential(session.secret, session.token, session.expires_ms, session.principal)
        key = self._book.table(KEYS, account).get(key_id)
        if key is None or not key.active:
            return None
        if not key.user:
            return Credential(key.secret, "", None, Principal(account, "root", access_key=key_id))
        user = self.users.find(Scope(account, ""), key.user)
        if user is None:
            return None
        return Credential(key.secret, "", None, Principal(account, "user", user.name, user.id, access_key=key_id))

    def account_of_key(self, key_id: str) -> str | None:
        """The account that an access key belongs to, whatever its state."""
        return self._key_accounts.get(key_id)

    async def root_credentials(self, scope: Scope) -> tuple[str, str]:
        """Access key and secret of the account's root: made at first, the same ones afterwards."""
        keys = self.keys.list(scope, "")
        key = keys[0] if keys else await self.keys.create(scope, "")
        return key.id, key.secret

    def account(self, scope: Scope) -> Account:
        """Settings of the account; those of a new one when nothing was ever changed in it."""
        return self._book.table(ACCOUNTS, scope.account).get("") or Account(self._env.now_ms())

    async def put_account(self, scope: Scope, account: Account) -> None:
        """Raises Conflict("alias", …) when another account has the alias."""

        def work(draft: Draft) -> None:
            for other in self._book.accounts():
                row = self._book.table(ACCOUNTS, other).get("")
                if row is not None and account.alias and row.alias == account.alias and other != scope.account:
                    raise Conflict("alias", account.alias, "another account has it")
            draft.put(ACCOUNTS, "", account)

        await self._book.change(scope.account, work)

    async def reset(self, account: str | None = None) -> None:
        """Forget an account, or all of them."""
        for each in [account] if account is not None else self._book.accounts():
            await self._book.wipe(each)
            self.sessions.forget_lent(each)

    def rules(self, principal: Principal) -> Rules:
        """The policies that bear on what a principal may do. A holder that was deleted, or made anew under the same
        name since the credentials were given out, has none."""
        scope = Scope(principal.account, "")
        session = self.sessions.find(principal.account, principal.access_key) if principal.access_key else None
        narrowed: tuple[Named, ...] | None = None
        if session is not None and (session.limits or session.limit_refs or principal.kind == "federated"):
            documents = [Named("session policy", each.policy) for each in session.limits]
            narrowed = (*documents, *self._managed(scope, session.limit_refs))
        holder = self._holder(scope, principal)
        if holder is None:
            return Rules(session=narrowed)
        boundary = None
        if holder.boundary is not None:
            # A boundary whose policy is gone allows nothing.
            found = list(self._managed(scope, (holder.boundary,)))
            boundary = found[0] if found else Named(holder.boundary.name, NOTHING)
        return Rules(identity=self.policies_of(scope, holder), boundary=boundary, session=narrowed)

    def holder(self, principal: Principal) -> Holder | None:
        """The user or role that a principal acts as, while it is still the same one."""
        return self._holder(Scope(principal.account, ""), principal)

    def policies_of(self, scope: Scope, holder: Holder) -> tuple[Named, ...]:
        """All policies of a user, group or role: its own, those attached, those of its groups."""
        found = list(self._hanging_on(scope, holder))
        for name in holder.groups:
            if (group := self.groups.find(scope, name)) is not None:
                found.extend(self._hanging_on(scope, group))
        return tuple(found)

    def _holder(self, scope: Scope, principal: Principal) -> Holder | None:
        holders = self.roles if principal.kind == "session" else self.users
        holder = holders.find(scope, principal.name)
        return holder if holder is not None and holder.id == principal.id else None

    def _hanging_on(self, scope: Scope, holder: Holder) -> Iterator[Named]:
        for name, document in holder.inline.items():
            yield Named(name, document.policy)
        yield from self._managed(scope, holder.attached)

    def _managed(self, scope: Scope, refs: tuple[PolicyRef, ...]) -> Iterator[Named]:
        for ref in refs:
            if (policy := self.policies.find(scope, ref)) is not None:
                yield Named(ref.name, policy.document.policy)
