"""Book: the identity rows of all accounts, held in memory by their one owner; every change is durable before it is seen."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from haneul.base.env import Env
from haneul.base.errors import Failure
from haneul.base.limits import SCAN_MAX_ROWS
from haneul.storage import keys
from haneul.storage.store import Range, Space, Store, Txn

from .records import ACCOUNTS, GROUPS, KEYS, ROLES, SCHEMA, SESSIONS, USERS, Account, Holder, PolicyRef

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

_HOLDERS = (USERS, GROUPS, ROLES)
_CREDENTIALS = (KEYS, SESSIONS)


class Table(Generic[R]):
    """The rows of one space and account, by name and in the order of names."""

    def __init__(self) -> None:
        self._rows: dict[str, R] = {}
        self._names: list[str] = []

    def get(self, name: str) -> R | None:
        return self._rows.get(name)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[R]:
        rows = self._rows
        return (rows[name] for name in self._names)

    def put(self, name: str, row: R) -> None:
        if name not in self._rows:
            insort(self._names, name)
        self._rows[name] = row

    def delete(self, name: str) -> None:
        if self._rows.pop(name, None) is not None:
            del self._names[bisect_left(self._names, name)]


class Draft:
    """Changes on their way: what a piece of work wants written, all of it or nothing.

    decides    whether earlier decisions and credentials may no longer hold; a note on the side says False
    """

    def __init__(self, account: str) -> None:
        self.account = account
        self.decides = True
        self.changes: list[tuple[Space[Any], str, Any]] = []

    def put(self, space: Space[R], name: str, row: R) -> None:
        self.changes.append((space, name, row))

    def delete(self, space: Space[Any], name: str) -> None:
        self.changes.append((space, name, None))


class Book:
    """Reads are plain look-ups. change() runs one at a time: it thinks on memory, commits, and then shows the result.

    Names are keys as given by the caller; where a name is unique whatever its case, the caller folds it.

    key_accounts   which account each access key, lasting or temporary, belongs to; to be read only
    version        rises with every change that generation() counts, of any account
    """

    def __init__(self, store: Store, env: Env) -> None:
        self._store = store
        self._env = env
        self._turn = asyncio.Lock()
        self._tables: dict[tuple[str, str], Table[Any]] = {}
        self._generations: dict[str, int] = {}
        self._uses: dict[tuple[str, PolicyRef], dict[tuple[str, str, str], None]] = {}
        self.key_accounts: dict[str, str] = {}
        self.version = 0

    async def load(self) -> None:
        """Read every row. Call once, before anything else."""
        for space in SCHEMA.spaces:
            start = b""
            while rows := await self._store.scan(space, Range(start), SCAN_MAX_ROWS):
                for key, row in rows:
                    account, name = keys.unpack(key, "ss")
                    self._show(space, str(account), str(name), row)
                start = rows[-1][0] + b"\0"

    def table(self, space: Space[R], account: str) -> Table[R]:
        """The rows of an account; to be read only."""
        table = self._tables.get((space.name, account))
        return table if table is not None else Table()

    def accounts(self) -> list[str]:
        """Accounts that hold anything."""
        return sorted(account for space, account in self._tables if space == ACCOUNTS.name)

    def generation(self, account: str) -> int:
        """Rises with every change that could change a decision about a principal of the account."""
        return self._generations.get(account, 0)

    def uses(self, account: str, policy: PolicyRef) -> list[tuple[str, str, str]]:
        """(space, key of the holder, "attached" or "boundary") of everything that the managed policy hangs on."""
        return list(self._uses.get((account, policy), ()))

    async def change(self, account: str, work: Callable[[Draft], T]) -> T:
        """Run work alone, commit what it drafted, show it, and return its result.

        Once begun, a change ends as a whole even when its caller goes away. Whatever work raises, nothing is changed.
        """
        done = self._env.spawn(self._change(account, work), name="identity change")
        result, failure = await asyncio.shield(done)
        if failure is not None:
            raise failure
        return result  # type: ignore[return-value]

    async def _change(self, account: str, work: Callable[[Draft], T]) -> tuple[T | None, Failure | None]:
        async with self._turn:
            draft = Draft(account)
            try:
                result = work(draft)
                if draft.changes and self.table(ACCOUNTS, account).get("") is None:
                    draft.changes.insert(0, (ACCOUNTS, "", Account(self._env.now_ms())))
                await self._commit(draft)
            except Failure as failure:
                return None, failure
            if draft.decides:
                self._generations[account] = self._generations.get(account, 0) + 1
                self.version += 1
            return result, None

    async def add(self, account: str, space: Space[R], name: str, row: R) -> None:
        """Write a row that no other row depends on and whose name is new: no turn to wait for, no decision changes."""
        draft = Draft(account)
        draft.put(space, name, row)
        await self._commit(draft)

    async def remove(self, account: str, space: Space[Any], names: list[str]) -> None:
        """Remove rows that no other row depends on."""
        draft = Draft(account)
        for name in names:
            draft.delete(space, name)
        await self._commit(draft)

    async def wipe(self, account: str) -> None:
        """Forget everything of an account."""

        def everything(draft: Draft) -> None:
            for space in SCHEMA.spaces:
                for name in list(self.table(space, account)._rows):
                    draft.delete(space, name)

        await self.change(account, everything)
        for space in SCHEMA.spaces:
            self._tables.pop((space.name, account), None)

    async def _commit(self, draft: Draft) -> None:
        if not draft.changes:
            return

        def work(txn: Txn) -> None:
            for space, name, row in draft.changes:
                key = keys.pack(draft.account, name)
                if row is None:
                    txn.delete(space, key)
                else:
                    txn.put(space, key, row)

        await self._store.transact(work)
        for space, name, row in draft.changes:
            self._show(space, draft.account, name, row)

    def _show(self, space: Space[R], account: str, name: str, row: R | None) -> None:
        table = self._tables.setdefault((space.name, account), Table())
        if space in _HOLDERS:
            self._index_uses(space.name, account, name, table.get(name), row)
        if row is None:
            table.delete(name)
            if space in _CREDENTIALS:
                self.key_accounts.pop(name, None)
        else:
            table.put(name, row)
            if space in _CREDENTIALS:
                self.key_accounts[name] = account

    def _index_uses(self, space: str, account: str, name: str, before: Any, now: Any) -> None:
        for ref, how in _references(before):
            uses = self._uses[account, ref]
            uses.pop((space, name, how), None)
            if not uses:
                del self._uses[account, ref]
        for ref, how in _references(now):
            self._uses.setdefault((account, ref), {})[space, name, how] = None


def _references(holder: Holder | None) -> list[tuple[PolicyRef, str]]:
    if holder is None:
        return []
    attached = [(ref, "attached") for ref in holder.attached]
    return attached + ([(holder.boundary, "boundary")] if holder.boundary is not None else [])
