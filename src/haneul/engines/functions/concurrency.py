"""Concurrency: how many invocations may run at once, by function when it has a reservation, else by account and region."""

from haneul.base.errors import Throttled
from haneul.base.scope import Scope


class Share:
    """What one function may use. reserved: None when it draws on what the account has left unreserved."""

    __slots__ = ("account", "busy", "name", "reserved")

    def __init__(self, account: "Account", name: str) -> None:
        self.account = account
        self.name = name
        self.reserved: int | None = None
        self.busy = 0

    def enter(self) -> bool:
        """Count one invocation in. Returns whether it counts against the account, for leave().

        Raises Throttled with the field limit: "function" | "account".
        """
        if self.reserved is not None:
            if self.busy >= self.reserved:
                raise Throttled("function", self.name, "its reserved concurrency is used up", limit="function")
            self.busy += 1
            return False
        account = self.account
        if account.unreserved_busy >= account.limit - account.reserved:
            raise Throttled("function", self.name, "the account's concurrency is used up", limit="account")
        self.busy += 1
        account.unreserved_busy += 1
        return True

    def leave(self, shared: bool) -> None:
        self.busy -= 1
        if shared:
            self.account.unreserved_busy -= 1


class Account:
    """An account in a region."""

    __slots__ = ("limit", "reserved", "shares", "unreserved_busy")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.reserved = 0
        self.unreserved_busy = 0
        self.shares: dict[str, Share] = {}

    def share(self, name: str) -> Share:
        if (share := self.shares.get(name)) is None:
            share = self.shares[name] = Share(self, name)
        return share

    def reserve(self, name: str, amount: int | None) -> None:
        """Set or lift a reservation. What already runs is not touched."""
        share = self.share(name)
        self.reserved += (amount or 0) - (share.reserved or 0)
        share.reserved = amount


class Concurrency:
    """All accounts that have invoked something since the start."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._accounts: dict[Scope, Account] = {}

    def known(self, scope: Scope) -> Account | None:
        return self._accounts.get(scope)

    def learn(self, scope: Scope, reservations: dict[str, int]) -> Account:
        """The account, told of its reservations when it is new."""
        if (account := self._accounts.get(scope)) is None:
            account = self._accounts[scope] = Account(self._limit)
            for name, amount in reservations.items():
                account.reserve(name, amount)
        return account
