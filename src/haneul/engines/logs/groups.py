"""Log groups and their streams: made, listed, described, deleted."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from haneul.base.env import Env
from haneul.base.errors import AlreadyExists, Conflict, Invalid, LimitExceeded, NotFound
from haneul.base.limits import LOG_GROUP_TAGS_MAX, SCAN_MAX_ROWS
from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.clearing import delete_range
from haneul.storage.store import Range, Store, Txn, within

from .reading import all_chunks, all_marks
from .records import CHUNKS, GROUPS, MARKS, STREAMS, Group, Stream, chunk_key, group_key, stream_key


class Groups:
    """The groups of every scope. Names are the face's to check."""

    def __init__(self, store: Store, env: Env) -> None:
        self._store = store
        self._env = env

    async def create(
        self,
        scope: Scope,
        name: str,
        *,
        tags: Mapping[str, str],
        kind: str = "",
        key: str = "",
        protected: bool = False,
    ) -> Group:
        """Raises AlreadyExists, LimitExceeded (tags)."""
        _check_tags(name, tags)
        group = Group(
            name=name, created_ms=self._env.now_ms(), kind=kind, key=key, tags=dict(tags), protected=protected
        )
        place = group_key(scope, name)

        def work(txn: Txn) -> Group:
            if txn.get(GROUPS, place) is not None:
                raise AlreadyExists("log group", name)
            txn.put(GROUPS, place, group)
            return group

        return await self._store.transact(work, keys=((GROUPS, place),))

    async def get(self, scope: Scope, name: str) -> Group:
        group = await self._store.get(GROUPS, group_key(scope, name))
        if group is None:
            raise NotFound("log group", name)
        return group

    async def update(self, scope: Scope, name: str, change: Callable[[Group], Group]) -> Group:
        """Replace a group by what `change` makes of it. Raises NotFound."""
        place = group_key(scope, name)

        def work(txn: Txn) -> Group:
            group = txn.get(GROUPS, place)
            if group is None:
                raise NotFound("log group", name)
            changed = change(group)
            txn.put(GROUPS, place, changed)
            return changed

        return await self._store.transact(work, keys=((GROUPS, place),))

    async def set_retention(self, scope: Scope, name: str, days: int) -> None:
        """days: 0 keeps events for ever."""
        await self.update(scope, name, lambda group: msgspec.structs.replace(group, retention_days=days))

    async def set_protected(self, scope: Scope, name: str, protected: bool) -> None:
        await self.update(scope, name, lambda group: msgspec.structs.replace(group, protected=protected))

    async def put_tags(self, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        def change(group: Group) -> Group:
            merged = {**group.tags, **tags}
            _check_tags(name, merged)
            return msgspec.structs.replace(group, tags=merged)

        await self.update(scope, name, change)

    async def delete_tags(self, scope: Scope, name: str, names: Sequence[str]) -> None:
        def change(group: Group) -> Group:
            return msgspec.structs.replace(
                group, tags={tag: value for tag, value in group.tags.items() if tag not in names}
            )

        await self.update(scope, name, change)

    async def find(
        self,
        scope: Scope,
        *,
        prefix: str = "",
        accepts: Callable[[str], bool] | None = None,
        after: str = "",
        limit: int,
    ) -> tuple[list[Group], bool]:
        """Groups in order of their names, behind the name `after`; and whether there are more."""
        start = keys.prefix(scope.account, scope.region, text=prefix)
        end = keys.after(start)
        if after:
            start = max(start, group_key(scope, after) + b"\0")
        found: list[Group] = []
        while True:
            page = await self._store.scan(GROUPS, Range(start, end), SCAN_MAX_ROWS)
            for _, group in page:
                if accepts is None or accepts(group.name):
                    found.append(group)
                    if len(found) > limit:
                        return found[:limit], True
            if len(page) < SCAN_MAX_ROWS:
                return found, False
            start = page[-1][0] + b"\0"

    async def delete(self, scope: Scope, name: str) -> None:
        """The group with everything in it: its events first, so that a crash leaves a group that can be deleted again."""
        group = await self.get(scope, name)
        if group.protected:
            raise Conflict("log group", name, "deletion protection is on")
        place = group_key(scope, name)
        await delete_range(self._store, MARKS, within(place))
        await delete_range(self._store, CHUNKS, all_chunks(scope, name))
        await delete_range(self._store, STREAMS, within(place))
        await self._store.transact(lambda txn: txn.delete(GROUPS, place), keys=((GROUPS, place),))

    async def create_stream(self, scope: Scope, group: str, name: str) -> Stream:
        """Raises NotFound (the group), AlreadyExists."""
        stream = Stream(name=name, created_ms=self._env.now_ms())
        place, parent = stream_key(scope, group, name), group_key(scope, group)

        def work(txn: Txn) -> Stream:
            if txn.get(GROUPS, parent) is None:
                raise NotFound("log group", group)
            if txn.get(STREAMS, place) is not None:
                raise AlreadyExists("log stream", name)
            txn.put(STREAMS, place, stream)
            return stream

        return await self._store.transact(work, keys=((GROUPS, parent), (STREAMS, place)))

    async def get_stream(self, scope: Scope, group: str, name: str) -> Stream:
        """Raises NotFound, naming the group when that is what is missing."""
        stream = await self._store.get(STREAMS, stream_key(scope, group, name))
        if stream is None:
            await self.get(scope, group)
            raise NotFound("log stream", name)
        return stream

    async def list_streams(
        self, scope: Scope, group: str, *, prefix: str = "", by_time: bool, newest_first: bool, skip: int, limit: int
    ) -> tuple[list[Stream], bool]:
        """Streams by name, or by the time of their newest event, from the one number `skip` on; and whether more follow.

        By time it reads all streams of the group. Raises NotFound (the group), Invalid (more than SCAN_MAX_ROWS).
        """
        await self.get(scope, group)
        start = keys.prefix(scope.account, scope.region, group, text=prefix)
        if not by_time:
            range = Range(start, keys.after(start), newest_first)
            wanted = min(skip + limit + 1, SCAN_MAX_ROWS)
            found = [stream for _, stream in await self._store.scan(STREAMS, range, wanted)]
        else:
            found = [stream for _, stream in await self._store.scan(STREAMS, within(start), SCAN_MAX_ROWS)]
            found.sort(key=lambda stream: (stream.last_ms, stream.name), reverse=newest_first)
        if skip >= SCAN_MAX_ROWS:
            raise Invalid("page", str(skip), "too far")
        return found[skip : skip + limit], len(found) > skip + limit

    async def delete_stream(self, scope: Scope, group: str, name: str) -> None:
        """The stream with its events. Raises NotFound."""
        await self.get_stream(scope, group, name)
        range = all_marks(scope, group, name)
        while marks := await self._store.scan(MARKS, range, 500):
            places = [(key, keys.unpack(key, "ssssii")) for key, _ in marks]

            def work(txn: Txn, places: list[tuple[bytes, tuple[str | int, ...]]] = places) -> None:
                for key, parts in places:
                    txn.delete(CHUNKS, chunk_key(scope, group, int(parts[4]), int(parts[5])))
                    txn.delete(MARKS, key)

            await self._store.transact(work)
        place = stream_key(scope, group, name)
        await self._store.transact(lambda txn: txn.delete(STREAMS, place), keys=((STREAMS, place),))


def _check_tags(name: str, tags: Mapping[str, str]) -> None:
    if len(tags) > LOG_GROUP_TAGS_MAX:
        raise LimitExceeded("log group", name, f"at most {LOG_GROUP_TAGS_MAX} tags", what="tags")
