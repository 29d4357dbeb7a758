"""The store against a dictionary: whatever is done in whatever order, both hold the same, and the feed tells the story."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from haneul.base.env import ManualEnv
from haneul.base.log import SilentLog
from haneul.storage.sqlite import open_store
from haneul.storage.store import Range, Schema, Space, Txn


class Item(msgspec.Struct, frozen=True):
    number: int


PLAIN = Space("plain", Item)
FED = Space("fed", Item, feed=True)
SCHEMA = Schema("model", 1, (PLAIN, FED))

Model = dict[str, dict[bytes, Item]]

SPACES = st.sampled_from([PLAIN, FED])
KEYS = st.sampled_from([b"", b"\0", b"a", b"a\0", b"a\xff", b"b", b"\xff", b"\xff\xff"])
ITEMS = st.integers(0, 99).map(Item)
RANGES = st.builds(Range, KEYS, st.one_of(st.none(), KEYS), st.booleans())
LIMITS = st.integers(1, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), SPACES, KEYS, ITEMS),
        st.tuples(st.just("delete"), SPACES, KEYS),
        st.tuples(st.just("get"), SPACES, KEYS),
        st.tuples(st.just("scan"), SPACES, RANGES, LIMITS),
        st.tuples(st.just("raise")),
    ),
    max_size=8,
)


class Refused(Exception):
    pass


class InDictionary:
    """What a transaction should see and do."""

    def __init__(self, state: Model) -> None:
        self.state = state

    def get(self, space: Space[Any], key: bytes) -> Item | None:
        return self.state[space.name].get(key)

    def scan(self, space: Space[Any], range: Range, limit: int) -> list[tuple[bytes, Item]]:
        rows = sorted(self.state[space.name].items(), reverse=range.reverse)
        return [row for row in rows if range.start <= row[0] and (range.end is None or row[0] < range.end)][:limit]

    def put(self, space: Space[Any], key: bytes, record: Item) -> None:
        self.state[space.name][key] = record

    def delete(self, space: Space[Any], key: bytes) -> None:
        self.state[space.name].pop(key, None)


def run(steps: list[tuple[Any, ...]], txn: Any) -> list[Any]:
    seen = []
    for step, *arguments in steps:
        if step == "raise":
            raise Refused
        seen.append(getattr(txn, step)(*arguments))
    return seen


class StoreMachine(RuleBasedStateMachine):
    in_file: bool

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.state: Model = {"plain": {}, "fed": {}}
        self.replayed: dict[bytes, Item] = {}
        self.seq = 0
        self.open()

    def open(self) -> None:
        directory = Path(self.folder.name) if self.in_file else None
        self.store = open_store(SCHEMA, directory, ManualEnv(), SilentLog())

    @rule(batch=st.lists(STEPS, min_size=1, max_size=4))
    def transact(self, batch: list[list[tuple[Any, ...]]]) -> None:
        expected: list[Any] = []
        for steps in batch:
            state = {name: dict(rows) for name, rows in self.state.items()}
            try:
                expected.append(run(steps, InDictionary(state)))
                self.state = state
            except Refused:
                expected.append(Refused)

        async def together() -> list[Any]:
            return await asyncio.gather(*[self.attempt(steps) for steps in batch], return_exceptions=True)

        found = self.loop.run_until_complete(together())
        assert [Refused if isinstance(result, Refused) else result for result in found] == expected

    async def attempt(self, steps: list[tuple[Any, ...]]) -> list[Any]:
        named = [(step[1], step[2]) for step in steps if step[0] == "get"]

        def work(txn: Txn) -> list[Any]:
            return run(steps, txn)

        return await self.store.transact(work, keys=named, scans=[PLAIN, FED])

    @rule(space=SPACES, range=RANGES, limit=LIMITS)
    def scan(self, space: Space[Item], range: Range, limit: int) -> None:
        found = self.loop.run_until_complete(self.store.scan(space, range, limit))

        assert found == InDictionary(self.state).scan(space, range, limit)

    @rule()
    def reopen(self) -> None:
        if self.in_file:
            self.loop.run_until_complete(self.store.close())
            self.open()

    @rule(limit=st.integers(1, 5))
    def follow(self, limit: int) -> None:
        for change in self.loop.run_until_complete(self.store.changes(FED, self.seq, limit)):
            assert change.seq == self.seq + 1
            self.seq = change.seq
            if change.record is None:
                del self.replayed[change.key]
            else:
                self.replayed[change.key] = change.record

    @invariant()
    def both_hold_the_same(self) -> None:
        if hasattr(self, "store"):
            for space in (PLAIN, FED):
                rows = dict(self.loop.run_until_complete(self.store.scan(space, Range(), 100)))
                assert rows == self.state[space.name]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            while self.loop.run_until_complete(self.store.changes(FED, self.seq, 1)):
                self.follow(100)
            assert self.replayed == self.state["fed"]
            self.loop.run_until_complete(self.store.close())
            self.loop.close()
            self.folder.cleanup()


class FileMachine(StoreMachine):
    in_file = True


class MemoryMachine(StoreMachine):
    in_file = False


TestStoreInAFile = FileMachine.TestCase
TestStoreInAFile.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestStoreInMemory = MemoryMachine.TestCase
TestStoreInMemory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
