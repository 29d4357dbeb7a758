"""Packages: deployment packages at rest (blobs, by the hash of the archive) and unpacked, ready to be mounted."""

import asyncio
import contextlib
import hmac
import io
import os
import shutil
import weakref
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from haneul.base import ids
from haneul.base.env import Env
from haneul.base.errors import Damaged, NotFound, Unavailable
from haneul.base.limits import (
    CODE_LINK_S,
    CODE_SWEEP_S,
    CODE_UNPACK_THREADS,
    CODE_UNZIPPED_MAX_BYTES,
    COMPILE_CONCURRENCY,
    COMPILE_TIMEOUT_S,
    SCAN_MAX_ROWS,
)
from haneul.base.log import Log
from haneul.storage import keys
from haneul.storage.blobs import Blob, Blobs
from haneul.storage.store import Range, Store, Txn

from .code import Unpacked, unpack
from .records import CODES, Code, StoredCode

T = TypeVar("T")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNPACKING = ".unpacking-"

# Runs in an interpreter of its own, with little memory and processor time: the source is a stranger's.
_COMPILE = """
import compileall, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
except (ImportError, ValueError, OSError):
    pass
compileall.compile_dir(sys.argv[1], quiet=2, maxlevels=20)
"""


class Packages:
    """Deployment packages by the sha256 of their archive. folder is a cache: whatever is missing is unpacked again."""

    def __init__(self, store: Store, blobs: Blobs, env: Env, log: Log, folder: Path) -> None:
        self._store = store
        self._blobs = blobs
        self._env = env
        self._log = log
        self._folder = folder
        self._secret = env.token(32)
        self._threads = ThreadPoolExecutor(CODE_UNPACK_THREADS, thread_name_prefix="unpack")
        self._unpacking: dict[str, asyncio.Task[None]] = {}
        self._ready: set[str] = set()
        self._compiled: set[tuple[str, str]] = set()
        self._compiling = asyncio.Semaphore(COMPILE_CONCURRENCY)
        self._compilers: set[asyncio.Task[None]] = set()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def start(self) -> None:
        """Make the cache usable. A cache from before the machine last started is thrown away: it was never fsynced."""
        await self._on_thread(lambda: _open_cache(self._folder))
        await self._sweep_blobs()

    async def _sweep_blobs(self) -> None:
        """Remove archives that no row refers to: what was arriving when the process was killed."""
        kept: set[str] = set()
        start = b""
        while rows := await self._store.scan(CODES, Range(start), SCAN_MAX_ROWS):
            kept.update(row.blob for _, row in rows)
            start = rows[-1][0] + b"\0"
        after = ""
        while names := await self._blobs.names(after, SCAN_MAX_ROWS):
            after = names[-1]
            for lost in set(names) - kept:
                await self._blobs.delete(lost)

    async def stop(self) -> None:
        tasks = [*self._unpacking.values(), *self._compilers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def put(self, chunks: AsyncIterable[bytes]) -> Code:
        """Keep an archive durably and unpack it. Raises Invalid or TooLarge, and keeps nothing then."""
        blob = await self._blobs.put(chunks, digests=("sha256",), size_max=CODE_UNZIPPED_MAX_BYTES)
        sha256 = blob.digests["sha256"]
        try:
            async with self._alone(sha256):
                kept = await self._keep(sha256, blob)
        except Unavailable:
            raise  # the row may have been written after all: what is not needed goes at the next start
        except BaseException:
            await self._blobs.delete(blob.id)
            raise
        if kept.blob != blob.id:
            await self._blobs.delete(blob.id)
        return Code(sha256, kept.size_bytes, kept.unzipped_bytes)

    async def _keep(self, sha256: str, blob: Blob) -> StoredCode:
        """The row of an archive that has arrived; its blob is another when the same archive was there already."""
        key = keys.pack(sha256)
        known = await self._store.get(CODES, key)
        if known is None or not await self._is_sound(sha256):
            unpacked = await self._unpack(sha256, blob.id)
            known = StoredCode(blob.id, blob.size_bytes, unpacked.size_bytes, 0)
        # Written anew even when it was there: its age keeps the sweep away from it.
        fresh = msgspec.structs.replace(known, stored_ms=self._env.now_ms())
        await self._store.transact(lambda txn: txn.put(CODES, key, fresh))
        return fresh

    def _alone(self, sha256: str) -> asyncio.Lock:
        """A package is stored or dropped by one at a time."""
        lock = self._locks.get(sha256)
        if lock is None:
            lock = self._locks[sha256] = asyncio.Lock()
        return lock

    async def _is_sound(self, sha256: str) -> bool:
        try:
            await self.path(sha256)
        except Damaged as damage:
            self._log.warning("package_damaged", code=sha256, reason=damage.reason)
            return False
        return True

    async def path(self, sha256: str) -> Path:
        """The folder of an unpacked package; unpacks it when it is not there. Raises Damaged when it is gone for good."""
        folder = self._folder / sha256
        if sha256 in self._ready:
            return folder
        if (task := self._unpacking.get(sha256)) is None:
            task = self._env.spawn(self._unpack_again(sha256), name="unpack")
            self._unpacking[sha256] = task
            task.add_done_callback(lambda _: self._unpacking.pop(sha256, None))
        await asyncio.shield(task)
        return folder

    def grant(self, sha256: str) -> str:
        """A token that lets whoever holds it download the archive, for CODE_LINK_S."""
        expires_s = int(self._env.now() + CODE_LINK_S)
        return f"{sha256}.{expires_s}.{self._sign(sha256, expires_s)}"

    async def download(self, token: str) -> tuple[AsyncIterable[bytes], int]:
        """The archive that a token was granted for, and its size in bytes. Raises NotFound for any other token."""
        sha256, _, rest = token.partition(".")
        expires, _, signature = rest.partition(".")
        if not expires.isdigit() or len(expires) > 12 or int(expires) < self._env.now():
            raise NotFound("code", sha256)
        if not hmac.compare_digest(self._sign(sha256, int(expires)).encode(), signature.encode()):
            raise NotFound("code", sha256)
        row = await self._store.get(CODES, keys.pack(sha256))
        if row is None:
            raise NotFound("code", sha256)
        return self._blobs.stream(row.blob), row.size_bytes

    def _sign(self, sha256: str, expires_s: int) -> str:
        return hmac.digest(self._secret, f"{sha256}.{expires_s}".encode(), "sha256").hex()

    async def archive(self, sha256: str) -> str:
        """The id of the blob that holds the archive. Raises NotFound."""
        row = await self._store.get(CODES, keys.pack(sha256))
        if row is None:
            raise NotFound("code", sha256)
        return row.blob

    def compile_soon(self, sha256: str, executable: str) -> None:
        """Write, in the background, the bytecode of every Python source for this interpreter. Best effort: where it
        fails, imports compile as they always do."""
        if (sha256, executable) not in self._compiled:
            self._compiled.add((sha256, executable))
            task = self._env.spawn(self._compile(sha256, executable), name="compile")
            self._compilers.add(task)
            task.add_done_callback(self._compilers.discard)

    async def _compile(self, sha256: str, executable: str) -> None:
        folder = self._folder / sha256
        async with self._compiling:
            process = await asyncio.create_subprocess_exec(
                executable,
                "-I",
                "-S",
                "-c",
                _COMPILE,
                os.fspath(folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": os.defpath},
                start_new_session=True,
            )
            try:
                await self._env.within(COMPILE_TIMEOUT_S, process.wait())
            except (TimeoutError, asyncio.CancelledError) as error:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                if isinstance(error, asyncio.CancelledError):
                    raise
                self._log.warning("compile_took_too_long", code=sha256)

    async def sweep(self, in_use: Iterable[str]) -> int:
        """Forget packages that no version refers to and that were not stored within CODE_SWEEP_S. Returns how many."""
        used = set(in_use)
        before_ms = self._env.now_ms() - int(CODE_SWEEP_S * 1000)
        swept = 0
        start = b""
        while rows := await self._store.scan(CODES, Range(start), SCAN_MAX_ROWS):
            for key, row in rows:
                if _sha256(key) not in used and row.stored_ms < before_ms:
                    swept += await self._drop(key, before_ms)
            start = rows[-1][0] + b"\0"
        return swept

    async def _drop(self, key: bytes, before_ms: int) -> bool:
        def drop(txn: Txn) -> str:
            current = txn.get(CODES, key)
            # Stored again since it was looked at: somebody is about to refer to it.
            if current is None or current.stored_ms >= before_ms:
                return ""
            txn.delete(CODES, key)
            return current.blob

        async with self._alone(_sha256(key)):
            if not (blob := await self._store.transact(drop, keys=[(CODES, key)])):
                return False
            folder = self._folder / _sha256(key)
            self._ready.discard(folder.name)
            self._compiled = {done for done in self._compiled if done[0] != folder.name}
            await self._blobs.delete(blob)
            await self._on_thread(lambda: _remove(folder))
        return True

    async def _unpack_again(self, sha256: str) -> None:
        folder = self._folder / sha256
        if not await self._on_thread(folder.is_dir):
            await self._unpack(sha256, await self.archive(sha256))
        self._ready.add(sha256)

    async def _unpack(self, sha256: str, blob: str) -> Unpacked:
        archive = self._blobs.path(blob)
        try:
            content = None if archive is not None else await self._blobs.read(blob)
        except NotFound as error:
            raise Damaged("code", sha256, "its archive is gone") from error
        temporary = self._folder / f"{_UNPACKING}{ids.hex_id(self._env, 8)}"
        folder = self._folder / sha256
        unpacked = await self._on_thread(lambda: _unpack_into(archive, content, temporary, folder))
        self._ready.add(sha256)
        return unpacked

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _sha256(key: bytes) -> str:
    return str(keys.unpack(key, "s")[0])


def _unpack_into(archive: Path | None, content: bytes | None, temporary: Path, folder: Path) -> Unpacked:
    temporary.mkdir(mode=0o755)
    try:
        try:
            unpacked = unpack(archive if archive is not None else io.BytesIO(content or b""), temporary)
        except FileNotFoundError as error:
            raise Damaged("code", folder.name, "its archive is gone") from error
        try:
            temporary.rename(folder)
        except OSError:
            # What is there may be the rest of a folder whose removal was cut off: never trust it.
            folder.rename(temporary.with_name(f"{temporary.name}-replaced"))
            temporary.rename(folder)
            _remove(temporary.with_name(f"{temporary.name}-replaced"))
        return unpacked
    finally:
        _remove(temporary)


def _open_cache(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    mark = folder / "boot"
    fresh = bool(boot) and mark.is_file() and mark.read_text() == boot
    for path in folder.iterdir():
        if path.is_dir() and (not fresh or path.name.startswith(_UNPACKING)):
            _remove(path)
    mark.write_text(boot)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
