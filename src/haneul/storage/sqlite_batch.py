"""A batch: transactions of many callers, each alone against the state, made durable by one commit."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from haneul.base.errors import Damaged, TooLarge
from haneul.base.limits import FEED_MAX_ROWS, FEED_TRIM_ROWS, SCAN_MAX_ROWS, STORE_VALUE_MAX_BYTES

from .store import Range, Schema, Space

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

Key = tuple[Space[Any], bytes]
Written = dict[bytes, bytes | None]
"""Encoded records by key, in the order of writing; None for a deletion."""


class Table:
    """A space in a file: its statements and its decoder (made at first use: most spaces of a run are never read)."""

    __slots__ = ("_decoder", "change", "feed", "get", "name", "put", "remove", "space")

    def __init__(self, space: Space[Any]) -> None:
        name = space.name
        self.space = space
        self.name = name
        self.feed = space.feed
        self.get = f"SELECT value FROM space_{name} WHERE key = ?"
        self.put = f"INSERT INTO space_{name} (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self.remove = f"DELETE FROM space_{name} WHERE key = ?"
        self.change = f"INSERT INTO feed_{name} (seq, key, value) VALUES (?, ?, ?)"
        self._decoder: msgspec.msgpack.Decoder[Any] | None = None

    def decode(self, value: bytes) -> Any:
        """The record. Raises Damaged when the bytes are not one."""
        if self._decoder is None:
            self._decoder = msgspec.msgpack.Decoder(self.space.record)
        try:
            return self._decoder.decode(value)
        except msgspec.MsgspecError as error:
            raise Damaged("space", self.name, f"a record cannot be read: {error}") from error

    def rows(self, connection: sqlite3.Connection, range: Range, limit: int) -> list[tuple[bytes, bytes]]:
        """Encoded records in the range's order."""
        order = "DESC" if range.reverse else "ASC"
        if range.end is None:
            sql = f"SELECT key, value FROM space_{self.name} WHERE key >= ? ORDER BY key {order} LIMIT ?"
            return connection.execute(sql, (range.start, limit)).fetchall()
        sql = f"SELECT key, value FROM space_{self.name} WHERE key >= ? AND key < ? ORDER BY key {order} LIMIT ?"
        return connection.execute(sql, (range.start, range.end, limit)).fetchall()


def make_tables(schema: Schema) -> dict[str, Table]:
    """The schema's spaces by name."""
    return {space.name: Table(space) for space in schema.spaces}


def table_of(tables: Mapping[str, Table], space: Space[Any]) -> Table:
    """The table of a space; a space that is not of this store is a programmer's error."""
    table = tables.get(space.name)
    if table is None or (table.space is not space and table.space != space):
        raise AssertionError(f"space {space.name!r} is not in this store's schema")
    return table


def check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise AssertionError(f"limit {limit} is not between 1 and {most}")


class Feeds:
    """Numbers of the last change of each space with a feed, and the trimming of old changes."""

    def __init__(self, connection: sqlite3.Connection, tables: Mapping[str, Table]) -> None:
        self.last: dict[str, int] = {}
        self._trimmed: dict[str, int] = {}
        for table in tables.values():
            if table.feed:
                floor = feed_floor(connection, table.name)
                (newest,) = connection.execute(f"SELECT max(seq) FROM feed_{table.name}").fetchone()
                self.last[table.name] = newest if newest is not None else floor
                self._trimmed[table.name] = floor

    def trim(self, connection: sqlite3.Connection, name: str) -> None:
        """Keep the newest FEED_MAX_ROWS changes, give or take FEED_TRIM_ROWS; part of the open transaction."""
        floor = self.last[name] - FEED_MAX_ROWS
        if floor - self._trimmed[name] < FEED_TRIM_ROWS:
            return
        connection.execute(f"DELETE FROM feed_{name} WHERE seq <= ?", (floor,))
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"feed_{name}", floor))
        self._trimmed[name] = floor

    def snapshot(self) -> tuple[dict[str, int], dict[str, int]]:
        return dict(self.last), dict(self._trimmed)

    def restore(self, snapshot: tuple[dict[str, int], dict[str, int]]) -> None:
        """After a rollback: the numbers given out since are given out again."""
        self.last, self._trimmed = snapshot


def feed_floor(connection: sqlite3.Connection, name: str) -> int:
    """Changes up to this number, included, are no longer kept."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (f"feed_{name}",)).fetchone()
    return int(row[0]) if row is not None else 0


class Batch:
    """Runs works one after the other. Their writes wait here until flush(); a work that raises leaves nothing here.

    No savepoints: one executemany per space instead, and a row that several works change is written once. What was
    measured stands in docs/decisions/one-flush-per-batch.md.
    """

    def __init__(self, connection: sqlite3.Connection, tables: Mapping[str, Table], feeds: Feeds) -> None:
        self._connection = connection
        self._tables = tables
        self._feeds = feeds
        self._waiting: dict[str, Written] = {}
        self._changes: dict[str, list[tuple[int, bytes, bytes | None]]] = {}
        self.changed: set[str] = set()
        self.encode = msgspec.msgpack.Encoder().encode

    def run(self, work: Callable[[Any], T], keys: Sequence[Key], scans: Sequence[Space[Any]]) -> T:
        """The work's result; raises what it raises."""
        txn = BatchTxn(self, keys, scans)
        try:
            result = work(txn)
            written = txn.written
        finally:
            txn.over()
        for name, writes in written.items():
            self._take(name, writes)
        return result

    def flush(self) -> None:
        """Hand everything that waits to SQLite."""
        for name in list(self._waiting):
            self._flush_space(name)
        for name, changes in self._changes.items():
            self._connection.executemany(self._tables[name].change, changes)
            self._feeds.trim(self._connection, name)
        self._changes.clear()

    def value(self, table: Table, key: bytes) -> bytes | None:
        """The encoded record as the works before left it."""
        waiting = self._waiting.get(table.name)
        if waiting is not None and key in waiting:
            return waiting[key]
        row = self._connection.execute(table.get, (key,)).fetchone()
        return None if row is None else row[0]

    def rows(self, table: Table, range: Range, limit: int, own: Written) -> list[tuple[bytes, bytes]]:
        """Encoded records as the works before left them, with the work's own writes laid over."""
        if self._waiting.get(table.name):
            self._flush_space(table.name)
        if not own:
            return table.rows(self._connection, range, limit)
        inside = {key: value for key, value in own.items() if _in_range(range, key)}
        merged: dict[bytes, bytes | None] = dict(table.rows(self._connection, range, limit + len(inside)))
        merged.update(inside)
        ordered = sorted(merged, reverse=range.reverse)
        found = [(key, value) for key in ordered if (value := merged[key]) is not None]
        return found[:limit]

    def table(self, space: Space[Any]) -> Table:
        return table_of(self._tables, space)

    def _take(self, name: str, writes: Written) -> None:
        table = self._tables[name]
        if table.feed:
            changes = self._changes.setdefault(name, [])
            last = self._feeds.last[name]
            for key, value in writes.items():
                if value is None and self.value(table, key) is None:
                    continue  # what was not there was not changed by its deletion
                last += 1
                changes.append((last, key, value))
            self._feeds.last[name] = last
        self._waiting.setdefault(name, {}).update(writes)
        self.changed.add(name)

    def _flush_space(self, name: str) -> None:
        table = self._tables[name]
        waiting = self._waiting.pop(name)
        puts = [(key, value) for key, value in waiting.items() if value is not None]
        if puts:
            self._connection.executemany(table.put, puts)
        if len(puts) < len(waiting):
            self._connection.executemany(table.remove, [(key,) for key, value in waiting.items() if value is None])


class BatchTxn:
    """The Txn that a work of a batch is handed."""

    __slots__ = ("_batch", "_keys", "_named", "_open", "_scans", "written")

    def __init__(self, batch: Batch, keys: Sequence[Key], scans: Sequence[Space[Any]]) -> None:
        self._batch = batch
        self._keys = keys
        self._scans = scans
        self._named: set[tuple[str, bytes]] | None = None
        self._open = True
        self.written: dict[str, Written] = {}

    def get(self, space: Space[R], key: bytes) -> R | None:
        table = self._table(space)
        own = self.written.get(space.name)
        if own is not None and key in own:
            value = own[key]
        else:
            if self._named is None:
                self._named = {(named.name, of) for named, of in self._keys}
            if (space.name, key) not in self._named:
                raise AssertionError(f"key {key!r} of space {space.name!r} was not named in transact(keys=…)")
            value = self._batch.value(table, key)
        return None if value is None else table.decode(value)

    def scan(self, space: Space[R], range: Range, limit: int) -> list[tuple[bytes, R]]:
        table = self._table(space)
        if not any(declared.name == space.name for declared in self._scans):
            raise AssertionError(f"space {space.name!r} was not declared in transact(scans=…)")
        check_limit(limit, SCAN_MAX_ROWS)
        rows = self._batch.rows(table, range, limit, self.written.get(space.name, {}))
        return [(key, table.decode(value)) for key, value in rows]

    def put(self, space: Space[R], key: bytes, record: R) -> None:
        table = self._table(space)
        if not isinstance(record, table.space.record):
            raise AssertionError(
                f"space {space.name!r} keeps {table.space.record.__name__}, not {type(record).__name__}"
            )
        value = self._batch.encode(record)
        if len(value) > STORE_VALUE_MAX_BYTES:
            raise TooLarge("record", space.name, f"{len(value)} bytes; at most {STORE_VALUE_MAX_BYTES} fit in a row")
        self._write(table, key, value)

    def delete(self, space: Space[Any], key: bytes) -> None:
        self._write(self._table(space), key, None)

    def over(self) -> None:
        """From here on every call is refused: a kept transaction would write into a stranger's."""
        self._open = False

    def _table(self, space: Space[Any]) -> Table:
        if not self._open:
            raise AssertionError("a transaction was used after its work returned")
        return self._batch.table(space)

    def _write(self, table: Table, key: bytes, value: bytes | None) -> None:
        if not isinstance(key, bytes):
            raise AssertionError(f"key {key!r} of space {table.name!r} is not bytes")
        writes = self.written.get(table.name)
        if writes is None:
            writes = self.written[table.name] = {}
        writes[key] = value


def _in_range(range: Range, key: bytes) -> bool:
    return range.start <= key and (range.end is None or key < range.end)
