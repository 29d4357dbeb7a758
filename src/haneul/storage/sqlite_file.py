"""A SQLite file of ours: made whole or not at all, checked before anything is written to it, brought up to date."""

import contextlib
import os
import re
import sqlite3
import struct
from pathlib import Path
from typing import Any

from haneul.base.errors import Damaged, Unavailable
from haneul.base.limits import CHECK_ON_OPEN_MAX_BYTES, WAL_CHECKPOINT_PAGES

from .directory import sync
from .store import Schema

APPLICATION_ID = 0x686E756C
"""Bytes 68 to 71 of the header say "hnul": https://www.sqlite.org/fileformat2.html#application_id"""

LAYOUT = 1
"""Version of how spaces and feeds are laid out in tables; the schema's own version is SQLite's user_version."""

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


def connect_existing(file: Path, schema: Schema) -> tuple[sqlite3.Connection, int]:
    """A writing connection to a file that was found to be ours, and the version of what is in it.

    Raises Damaged, with the file as it was, when it is foreign, damaged, of another kind or of a newer version.
    """
    _check_header(file)
    version = _check_content(file, schema)
    return connect(file), version


def connect_new(file: Path, schema: Schema) -> sqlite3.Connection:
    """A writing connection to a new file, which appears under its name only when it is complete and durable.

    Raises Damaged when the log of an older file of that name is still there, Unavailable when the disk refuses.
    """
    unfinished = file.with_name(file.name + ".new")
    log = file.with_name(file.name + "-wal")
    if log.exists() and log.stat().st_size:
        # SQLite would replay it into whatever file has the name.
        raise _refused(log, "is the log of a store whose file is gone")
    try:
        _remove(unfinished)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            lay_out(connection, schema)
            connection.execute("PRAGMA journal_mode = WAL")
        sync(unfinished)
        unfinished.rename(file)
        sync(file.parent)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable("store", os.fspath(file), f"cannot be made: {error}") from error
    return connect(file)


def connect_memory(schema: Schema) -> sqlite3.Connection:
    """A connection to a store that lives as long as the connection."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    lay_out(connection, schema)
    return connection


def connect(file: Path) -> sqlite3.Connection:
    """A connection that syncs at every commit; it may be used from any one thread at a time."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_CHECKPOINT_PAGES * 4096 * 2}")
    return connection


def lay_out(connection: sqlite3.Connection, schema: Schema) -> None:
    """Make whatever of the schema the file has not got yet; one transaction."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "meta" in present and all(_tables(space) <= present for space in schema.spaces):
        return
    connection.execute("BEGIN IMMEDIATE")
    if "meta" not in present:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value)")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [("kind", schema.kind), ("layout", LAYOUT)])
    for space in schema.spaces:
        make_tables(connection, space.name, with_feed=space.feed, present=present)
    connection.execute("COMMIT")


def make_tables(connection: sqlite3.Connection, name: str, *, with_feed: bool, present: set[str]) -> None:
    """Tables of one space. Rowid tables with an index: WITHOUT ROWID is slower for values of 1 KB."""
    if _NAME.fullmatch(name) is None:
        raise AssertionError(f"space name {name!r} must match {_NAME.pattern}")
    if f"space_{name}" not in present:
        connection.execute(f"CREATE TABLE space_{name} (key BLOB NOT NULL, value BLOB NOT NULL)")
        connection.execute(f"CREATE UNIQUE INDEX space_{name}_key ON space_{name} (key)")
    if with_feed and f"feed_{name}" not in present:
        connection.execute(f"CREATE TABLE feed_{name} (seq INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB)")


def migrate(connection: sqlite3.Connection, schema: Schema, version: int) -> None:
    """Bring the rows from their version to the schema's, in one transaction. Raises Damaged when there is no way.

    Feeds start anew behind their last change, for their rows are in the old form: a reader that was not at the end is
    told so by changes().
    """
    steps = range(version, schema.version)
    if missing := [step for step in steps if step not in schema.migrations]:
        reason = f"holds version {version}, and this haneul cannot bring version {missing[0]} up to {schema.version}"
        raise Damaged("store", schema.kind, reason)
    connection.execute("BEGIN IMMEDIATE")
    try:
        present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        old = sorted(name.removeprefix("space_") for name in present if name.startswith("space_"))
        rows = {
            name: connection.execute(f"SELECT key, value FROM space_{name} ORDER BY key").fetchall() for name in old
        }
        for step in steps:
            rows = schema.migrations[step](rows)
        for space in schema.spaces:
            make_tables(connection, space.name, with_feed=space.feed, present=present)
        for name in {*old, *(space.name for space in schema.spaces)}:
            connection.execute(f"DELETE FROM space_{name}")
            connection.executemany(f"INSERT INTO space_{name} VALUES (?, ?)", rows.get(name, []))
            if f"feed_{name}" in present:
                _restart_feed(connection, name)
        connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    # The header of the file itself says the new version from now on, and an older haneul reads it there.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _restart_feed(connection: sqlite3.Connection, name: str) -> None:
    (last,) = connection.execute(f"SELECT max(seq) FROM feed_{name}").fetchone()
    if last is not None:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"feed_{name}", last))
        connection.execute(f"DELETE FROM feed_{name}")


def _tables(space: Any) -> set[str]:
    return {f"space_{space.name}", f"feed_{space.name}"} if space.feed else {f"space_{space.name}"}


def _remove(file: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + end).unlink(missing_ok=True)


def _check_header(file: Path) -> None:
    """What can be told without SQLite, which would make side files and replay a log."""
    try:
        with file.open("rb") as handle:
            header = handle.read(_HEADER_BYTES)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; make it readable for this user"
        raise Unavailable("store", os.fspath(file), reason) from error
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise _refused(file, "is not a database, or its beginning is damaged")
    (application,) = struct.unpack_from(">I", header, 68)
    if application != APPLICATION_ID:
        raise _refused(file, "is a database of another program")


def _check_content(file: Path, schema: Schema) -> int:
    """The version of the rows, read through a connection that cannot write; its side files are removed again."""
    beside = [file.with_name(file.name + end) for end in ("-wal", "-shm")]
    made_here = [path for path in beside if not path.exists()]
    reader = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        (version,) = reader.execute("PRAGMA user_version").fetchone()
        about = dict(reader.execute("SELECT name, value FROM meta WHERE name IN ('kind', 'layout')"))
        if about.get("kind") != schema.kind:
            raise _refused(file, f"holds {about.get('kind')!r}, not {schema.kind!r}")
        if about.get("layout", 0) > LAYOUT or version > schema.version:
            raise _refused(file, f"was written by a newer haneul (version {version}, this one knows {schema.version})")
        if file.stat().st_size <= CHECK_ON_OPEN_MAX_BYTES:
            (verdict,) = reader.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise _refused(file, f"is damaged ({verdict})")
        return int(version)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
            raise Unavailable("store", os.fspath(file), f"cannot be opened: {error}") from error
        raise _refused(file, f"is damaged ({error})") from error
    finally:
        reader.close()
        if len(made_here) == len(beside):
            for path in made_here:
                path.unlink(missing_ok=True)


def _refused(file: Path, what: str) -> Damaged:
    reason = f"{what}; it is left as it is: move it away, restore it from a backup, or choose another data directory"
    return Damaged("store", os.fspath(file), reason)
