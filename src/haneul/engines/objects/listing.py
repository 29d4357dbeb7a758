"""Listings by prefix and delimiter, which cost what they return: a common prefix is jumped over, not read through."""

from typing import Generic, TypeVar

import msgspec

from haneul.base.limits import LIST_CHUNK_MAX_ROWS, LIST_CHUNK_ROWS
from haneul.storage import keys
from haneul.storage.store import Range, Space, Store

R = TypeVar("R", bound=msgspec.Struct)


class Page(msgspec.Struct, Generic[R], frozen=True):
    """A stretch of a listing. found: (name, record); groups: common prefixes; both in order, and counted together.

    last is the name or group that it ends with, and `more` says that something stands behind it.
    """

    found: list[tuple[str, R]]
    groups: list[str]
    last: str
    more: bool


def behind(bucket: str, name: str, prefix: str, delimiter: str) -> bytes:
    """The key from which a listing goes on behind a name, or behind a whole group when the name is one."""
    cut = name.find(delimiter, len(prefix)) if delimiter and name.startswith(prefix) else -1
    if cut >= 0 and cut + len(delimiter) == len(name):
        return keys.after(keys.prefix(bucket, text=name)) or b""
    return keys.pack(bucket, name) + b"\0"


async def list_page(
    store: Store, space: Space[R], bucket: str, *, prefix: str, delimiter: str, start: bytes, limit: int
) -> Page[R]:
    """At most limit names and groups under the prefix, from the key `start` on; rows stand under (bucket, name, …)."""
    found: list[tuple[str, R]] = []
    groups: list[str] = []
    last = ""
    name_at = len(keys.pack(bucket))
    lowest = keys.prefix(bucket, text=prefix)
    end = keys.after(lowest)
    position = max(lowest, start)
    chunk = min(LIST_CHUNK_ROWS, limit + 1) if delimiter else min(limit + 1, LIST_CHUNK_MAX_ROWS)
    while limit > 0:
        rows = await store.scan(space, Range(position, end), chunk)
        jumped = False
        for key, record in rows:
            if key < position:
                jumped = True
                continue
            if len(found) + len(groups) == limit:
                return Page(found, groups, last, True)
            last = str(keys.unpack(key[name_at:], "s")[0])
            cut = last.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                found.append((last, record))
                position = key + b"\0"
            else:
                last = last[: cut + len(delimiter)]
                groups.append(last)
                position = keys.after(keys.prefix(bucket, text=last)) or b""
        if len(rows) < chunk:
            break
        chunk = LIST_CHUNK_ROWS if jumped else min(chunk * 4, LIST_CHUNK_MAX_ROWS)
    return Page(found, groups, last, False)
