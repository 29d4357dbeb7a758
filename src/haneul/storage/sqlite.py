"""Store on SQLite: a file per kind of engine (or none), one writer, group commit; reads inline on the event loop."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from haneul.base.env import Env
from haneul.base.errors import Damaged, Failure, NotFound, Unavailable
from haneul.base.limits import CHANGES_MAX_ROWS, COMMIT_BATCH_MAX, SCAN_MAX_ROWS, WRITE_QUEUE_MAX
from haneul.base.log import Log

from . import sqlite_file
from .directory import OwnerLock, make_directory
from .sqlite_batch import Batch, Feeds, Key, check_limit, feed_floor, make_tables, table_of
from .store import Change, Range, Schema, Space, Store, Txn

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")


def open_store(schema: Schema, directory: Path | None, env: Env, log: Log) -> Store:
    """The store of this schema: `<directory>/<kind>.sqlite`, made when it is not there; None keeps it in memory.

    Raises Damaged when the file is foreign, corrupt, of another kind or of a newer version (it is left as it was), and
    Unavailable when the directory cannot be used or another process owns the file. Quick: about 1 ms per file.
    """
    if directory is None:
        connection = sqlite_file.connect_memory(schema)
        return SqliteStore(schema, log, writer=connection, reader=connection, lock=None)
    make_directory(directory)
    lock = OwnerLock(directory / f"{schema.kind}.lock")
    try:
        return _open_file(schema, directory / f"{schema.kind}.sqlite", lock, log)
    except BaseException:
        lock.release()
        raise


def _open_file(schema: Schema, file: Path, lock: OwnerLock, log: Log) -> Store:
    if not file.exists():
        writer = sqlite_file.connect_new(file, schema)
    else:
        writer, version = sqlite_file.connect_existing(file, schema)
        try:
            if version < schema.version:
                sqlite_file.migrate(writer, schema, version)
                log.info("store migrated", kind=schema.kind, old=version, new=schema.version)
            sqlite_file.lay_out(writer, schema)
        except sqlite3.Error as error:
            writer.close()
            raise _refusal(error, schema.kind) from error
        except BaseException:
            writer.close()
            raise
    return SqliteStore(schema, log, writer=writer, reader=sqlite_file.connect(file), lock=lock)


class _Request(NamedTuple):
    """A transaction on its way to the writer."""

    work: Callable[[Txn], Any]
    keys: Sequence[Key]
    scans: Sequence[Space[Any]]
    caller: "asyncio.Future[Any]"


class _Outcome(NamedTuple):
    """What became of it: a result, or the exception to raise at the caller's."""

    caller: "asyncio.Future[Any]"
    result: Any
    error: BaseException | None


class SqliteStore:
    """Store; made by open_store(). Belongs to the event loop that first writes to it.

    Requests of one turn of the loop are handed to the writer together, and whatever was handed over while it committed
    is its next batch: more callers make bigger batches, not longer queues. In memory the loop itself is the writer.
    """

    def __init__(
        self,
        schema: Schema,
        log: Log,
        *,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        lock: OwnerLock | None,
    ) -> None:
        self._kind = schema.kind
        self._log = log
        self._tables = make_tables(schema)
        self._feeds = Feeds(writer, self._tables)
        self._writer = writer
        self._reader = reader
        self._lock = lock
        self._in_memory = reader is writer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._handed: queue.SimpleQueue[list[_Request] | None] = queue.SimpleQueue()
        self._turn: list[_Request] = []
        self._unanswered = 0
        self._late: dict[asyncio.Future[Any], asyncio.Future[Any]] = {}  # by the future that was cancelled
        self._closed: asyncio.Future[None] | None = None
        self._broken = ""
        self._callbacks: dict[str, tuple[Callable[[], None], ...]] = {}

    async def get(self, space: Space[R], key: bytes) -> R | None:
        table = table_of(self._tables, space)
        try:
            row = self._reader.execute(table.get, (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return None if row is None else table.decode(row[0])

    async def scan(self, space: Space[R], range: Range, limit: int) -> list[tuple[bytes, R]]:
        table = table_of(self._tables, space)
        check_limit(limit, SCAN_MAX_ROWS)
        try:
            rows = table.rows(self._reader, range, limit)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        decode = table.decode
        return [(key, decode(value)) for key, value in rows]

    async def transact(
        self, work: Callable[[Txn], T], *, keys: Sequence[Key] = (), scans: Sequence[Space[Any]] = ()
    ) -> T:
        if self._closed is not None:
            raise Unavailable("store", self._kind, "it is closed")
        if self._broken:
            raise Unavailable("store", self._kind, self._broken)
        if self._unanswered >= WRITE_QUEUE_MAX:
            raise Unavailable("store", self._kind, f"{self._unanswered} writes are waiting; try again later")
        loop = self._loop
        if loop is None:
            loop = self._begin()
        caller: asyncio.Future[T] = loop.create_future()
        if not self._turn:
            loop.call_soon(self._hand_over)
        self._turn.append(_Request(work, keys, scans, caller))
        self._unanswered += 1
        try:
            return await caller
        except asyncio.CancelledError:
            return await self._outlast(loop, caller)

    async def _outlast(self, loop: asyncio.AbstractEventLoop, caller: "asyncio.Future[T]") -> T:
        """What became of a transaction whose caller is being cancelled.

        It cannot be taken back, and what the caller keeps in memory beside it has to follow; so the cancellation waits,
        and reaches the caller where it waits next.
        """
        task = asyncio.current_task()
        told: asyncio.Future[T] = (
            caller if not caller.cancelled() else self._late.setdefault(caller, loop.create_future())
        )
        while not told.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([told])
        self._late.pop(caller, None)
        if task is not None:
            loop.call_soon(_cancel_again, task)
        return told.result()

    async def changes(self, space: Space[R], after: int, limit: int) -> list[Change[R]]:
        table = table_of(self._tables, space)
        if not table.feed:
            raise AssertionError(f"space {space.name!r} has no feed")
        check_limit(limit, CHANGES_MAX_ROWS)
        sql = f"SELECT seq, key, value FROM feed_{table.name} WHERE seq > ? ORDER BY seq LIMIT ?"
        try:
            rows = self._reader.execute(sql, (after, limit)).fetchall()
            floor = after if rows and rows[0][0] == after + 1 else feed_floor(self._reader, table.name)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        if after < floor:
            raise NotFound("change", str(after), f"changes up to {floor} are no longer kept", floor=floor)
        return [Change(seq, key, None if value is None else table.decode(value)) for seq, key, value in rows]

    def on_change(self, space: Space[Any], callback: Callable[[], None]) -> Callable[[], None]:
        name = table_of(self._tables, space).name
        entry: Callable[[], None] = lambda: callback()  # noqa: E731  an identity of its own: the same callback may be given twice
        self._callbacks[name] = (*self._callbacks.get(name, ()), entry)

        def stop() -> None:
            self._callbacks[name] = tuple(kept for kept in self._callbacks[name] if kept is not entry)

        return stop

    async def close(self) -> None:
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_future()
            if not self._in_memory:
                self._reader.close()
            if self._turn:
                self._hand_over()
            if self._thread is not None:
                self._handed.put(None)
            else:
                self._release()
                self._closed.set_result(None)
        await asyncio.shield(self._closed)

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        if not self._in_memory:
            # Daemon: a process that ends without close() must not hang; what it acknowledged is durable already.
            self._thread = threading.Thread(target=self._write, name=f"store {self._kind}", daemon=True)
            self._thread.start()
        return self._loop

    def _hand_over(self) -> None:
        requests, self._turn = self._turn, []
        if not requests:
            return
        if self._in_memory:
            for batch in _cut(requests):
                self._answer(*self._commit(batch))
        else:
            self._handed.put(requests)

    def _write(self) -> None:
        """The writer's thread: everything that was handed over is the next batch."""
        assert self._loop is not None
        closing = False
        while not closing:
            requests = self._handed.get()
            closing = requests is None
            waiting = requests or []
            while not self._handed.empty():
                more = self._handed.get()
                closing = closing or more is None
                waiting = waiting + (more or [])
            for batch in _cut(waiting):
                outcomes, changed = self._commit(batch)
                if not _tell(self._loop, self._answer, outcomes, changed):
                    return
        self._release()
        _tell(self._loop, self._end)

    def _commit(self, requests: list[_Request]) -> tuple[list[_Outcome], set[str]]:
        """Run the works, commit once. On the writer's thread; touches nothing that the loop writes."""
        before = self._feeds.snapshot()
        batch = Batch(self._writer, self._tables, self._feeds)
        outcomes: list[_Outcome] = []
        try:
            if self._broken:
                raise Unavailable("store", self._kind, self._broken)
            self._writer.execute("BEGIN IMMEDIATE")
            for request in requests:
                try:
                    outcomes.append(
                        _Outcome(request.caller, batch.run(request.work, request.keys, request.scans), None)
                    )
                except sqlite3.Error:
                    raise
                except BaseException as error:
                    outcomes.append(_Outcome(request.caller, None, _raisable(error)))
            batch.flush()
            self._writer.execute("COMMIT")
        except BaseException as error:
            self._feeds.restore(before)
            self._roll_back()
            return [_Outcome(request.caller, None, self._failed(error)) for request in requests], set()
        return outcomes, batch.changed

    def _roll_back(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = f"a failed commit could not be undone ({error}); restart haneul"

    def _failed(self, error: BaseException) -> BaseException:
        """What callers of a batch that did not commit are told; whose outcome was an exception, too, for it may rest
        on a neighbour's change that is gone now."""
        if self._broken:
            return Unavailable("store", self._kind, self._broken)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            # After a failed fsync the kernel may report success for pages it dropped: https://wiki.postgresql.org/wiki/Fsync_Errors
            self._broken = f"the disk failed or the file is damaged ({error}); check the disk, then restart haneul"
            return Unavailable("store", self._kind, self._broken)
        return _refusal(error, self._kind)

    def _answer(self, outcomes: list[_Outcome], changed: set[str]) -> None:
        """On the loop, once per batch."""
        self._unanswered -= len(outcomes)
        for future, result, error in outcomes:
            caller = future
            if caller.cancelled():
                caller = self._late.setdefault(future, future.get_loop().create_future())
            if error is None:
                caller.set_result(result)
            else:
                caller.set_exception(error)
        for name in changed:
            for callback in self._callbacks.get(name, ()):
                try:
                    callback()
                except Exception as error:
                    self._log.error("change callback failed", kind=self._kind, space=name, error=repr(error))

    def _release(self) -> None:
        """Close the writer, which empties the log into the file, then let go of the lock."""
        try:
            self._writer.close()
        except sqlite3.Error as error:
            self._log.error("store not closed cleanly", kind=self._kind, error=str(error))
        if self._lock is not None:
            self._lock.release()

    def _end(self) -> None:
        assert self._closed is not None
        self._closed.set_result(None)

    def _unreadable(self, error: sqlite3.Error) -> Failure:
        if self._closed is not None:
            return Unavailable("store", self._kind, "it is closed")
        return _refusal(error, self._kind)


def _cut(requests: list[_Request]) -> list[list[_Request]]:
    return [requests[at : at + COMMIT_BATCH_MAX] for at in range(0, len(requests), COMMIT_BATCH_MAX)]


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> bool:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return False  # the loop is closed: nobody waits any more
    return True


def _cancel_again(task: "asyncio.Task[Any]") -> None:
    """Cancel a task as before, unless whoever cancelled it has taken that back."""
    if task.cancelling():
        task.uncancel()
        task.cancel()


def _raisable(error: BaseException) -> BaseException:
    """The same, in a form that a future takes."""
    if isinstance(error, StopIteration):
        wrapped = RuntimeError("the work of a transaction raised StopIteration")
        wrapped.__cause__ = error
        return wrapped
    return error


def _refusal(error: BaseException, kind: str) -> Failure:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Damaged("store", kind, f"the file is damaged ({error}); restore it from a backup")
    if code == sqlite3.SQLITE_FULL:
        return Unavailable("store", kind, "the disk is full; make room, then try again")
    return Unavailable("store", kind, f"the change was not stored, or it is not known whether it was: {error}")
