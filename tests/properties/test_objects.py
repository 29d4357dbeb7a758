"""A bucket behaves as a dictionary does, whatever is put, copied, deleted, listed or uploaded in parts."""

import asyncio
import hashlib
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from haneul.base.env import ManualEnv
from haneul.base.errors import NotFound, PreconditionFailed
from haneul.base.limits import BLOB_INLINE_MAX_BYTES
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.base.trace import new_trace
from haneul.engines.objects.assembly import Chosen
from haneul.engines.objects.bodies import Bytes
from haneul.engines.objects.conditions import Conditions
from haneul.engines.objects.engine import ObjectsEngine
from haneul.engines.objects.events import Origin
from haneul.engines.objects.records import BODIES, HELD, LAYOUTS, SCHEMA, Description
from haneul.storage.memory import MemoryBlobs
from haneul.storage.sqlite import open_store
from haneul.storage.store import Range

SCOPE = Scope("111111111111", "us-east-1")
KEYS = st.text(alphabet="ab/\0é\U0001f600", min_size=1, max_size=4)
BODIES_IN = st.one_of(
    st.binary(max_size=20),
    st.integers(0, 255).map(lambda byte: bytes([byte]) * (BLOB_INLINE_MAX_BYTES + byte)),
)


def expected_page(keys: list[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    found, groups = [], []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            found.append(key)
        elif (group := key[: cut + len(delimiter)]) not in groups:
            groups.append(group)
    return found, groups


class BucketMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model: dict[str, bytes] = {}

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def open(self) -> None:
        async def make() -> None:
            self.env = ManualEnv()
            self.store = open_store(SCHEMA, None, self.env, SilentLog())
            self.blobs = MemoryBlobs(self.env)
            self.engine = ObjectsEngine(self.store, self.blobs, self.env)
            self.origin = Origin(new_trace(self.env))
            await self.engine.buckets.create(SCOPE, "bucket", settings={})

        self.run(make())

    @rule(key=KEYS, body=BODIES_IN, only_new=st.booleans())
    def put(self, key: str, body: bytes, only_new: bool) -> None:
        conditions = {"conditions": Conditions(none_match="*")} if only_new else {}
        work = self.engine.put(
            SCOPE, "bucket", key, Bytes(body), Description(), self.origin, algorithm="crc32", **conditions
        )
        try:
            made = self.run(work)
        except PreconditionFailed:
            assert only_new and key in self.model
            return
        assert not (only_new and key in self.model)
        assert made.etag == hashlib.md5(body).hexdigest()
        self.model[key] = body

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.run(self.engine.delete(SCOPE, "bucket", key, self.origin))
        self.model.pop(key, None)

    @rule(key=KEYS, start=st.integers(0, 70_000), size=st.integers(1, 70_000))
    def read(self, key: str, start: int, size: int) -> None:
        def select(found: Any) -> tuple[int, int]:
            end = found.body.size_bytes
            return min(start, end), min(start + size, end)

        async def read() -> bytes:
            reading = await self.engine.read(SCOPE, "bucket", key, select)
            if isinstance(reading.content, bytes):
                return reading.content
            return b"".join([chunk async for chunk in reading.content])

        try:
            got = self.run(read())
        except NotFound:
            assert key not in self.model
            return
        assert got == self.model[key][start : start + size]

    @rule(source=KEYS, copied=KEYS)
    def copy(self, source: str, copied: str) -> None:
        work = self.engine.copy(SCOPE, "bucket", source, "bucket", copied, lambda found: found.description, self.origin)
        try:
            self.run(work)
        except NotFound:
            assert source not in self.model
            return
        self.model[copied] = self.model[source]

    @rule(key=KEYS, body=BODIES_IN, replaced=BODIES_IN, extra=st.booleans(), abort=st.booleans())
    def upload(self, key: str, body: bytes, replaced: bytes, extra: bool, abort: bool) -> None:
        async def work() -> None:
            uploads = self.engine.uploads
            upload = await uploads.create(
                SCOPE, "bucket", key, Description(), algorithm="crc32", asked=False, composite=False
            )
            await uploads.put_part(SCOPE, "bucket", key, upload.id, 2, Bytes(replaced))
            part = await uploads.put_part(SCOPE, "bucket", key, upload.id, 2, Bytes(body))
            if extra:
                await uploads.put_part(SCOPE, "bucket", key, upload.id, 5, Bytes(replaced))
            if abort:
                await uploads.abort(SCOPE, "bucket", key, upload.id)
                return
            chosen = [Chosen(2, part.etag)]
            await uploads.complete(
                SCOPE, "bucket", key, upload.id, chosen, self.origin, check=lambda upload, assembled: None
            )

        self.run(work())
        if not abort:
            self.model[key] = body

    @rule(
        prefix=st.text(alphabet="ab/\0", max_size=2),
        delimiter=st.sampled_from(["", "/", "a", "b/"]),
        size=st.integers(1, 4),
    )
    def list(self, prefix: str, delimiter: str, size: int) -> None:
        found: list[str] = []
        groups: list[str] = []
        after = ""
        for _ in range(1000):
            page = self.run(
                self.engine.list(SCOPE, "bucket", prefix=prefix, delimiter=delimiter, after=after, limit=size)
            )
            found += [name for name, _ in page.found]
            groups += page.groups
            after = page.last
            if not page.more:
                break
            assert len(page.found) + len(page.groups) == size
        assert (found, groups) == expected_page([*self.model], prefix, delimiter)

    @invariant()
    def nothing_is_kept_that_nobody_refers_to(self) -> None:
        if not hasattr(self, "engine"):
            return

        async def look() -> tuple[int, int, int]:
            await self.env.advance(10)
            held = [row for _, row in await self.store.scan(HELD, Range(), 1000)]
            rows = await self.store.scan(BODIES, Range(), 1000)
            assert len(held) == len(await self.blobs.names("", 1000))
            return len(rows), len(held), len(await self.store.scan(LAYOUTS, Range(), 1000))

        rows, held, _ = self.run(look())
        assert rows + held == sum(1 for body in self.model.values() if body)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.loop.close()


TestBucket = BucketMachine.TestCase
TestBucket.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
