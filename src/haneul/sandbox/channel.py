"""The supervisor's end of an environment: its frames, its log pipe, its time limit and its end, for every tier."""

import asyncio
import os
import socket
from typing import Protocol

import msgspec

from haneul.base import limits
from haneul.base.env import Env, Timer

from . import frames
from .api import Invocation, LogSink, Outcome

_BUFFER_BYTES = 64 * limits.KIB
_READS_PER_WAKE = 8
_LINE_BREAK = b"\x1e"  # boot/python.py writes it for a line break inside one log event
_STARTING = frames.READY + frames.FAILED
_RUNNING = frames.OK + frames.NO
_SIGNALLED = "signal: killed"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an environment's first process ended: reason is "exit status 1" or "signal: killed"."""

    reason: str
    out_of_memory: bool = False
    peak_memory_mb: int = 0


class Processes(Protocol):
    """What a tier offers for the processes of one environment."""

    def peak_memory_mb(self) -> int:
        """The most memory that they used since the last call; 0 where it cannot be measured. Quick: called per run."""
        ...

    async def freeze(self) -> None: ...

    async def thaw(self) -> None: ...

    async def end(self) -> Ended:
        """Kill whatever still runs inside, reap it, give everything back. Called once."""
        ...


class LiveInstance:
    """api.Instance over a connected stream socket and the read end of the log pipe, both owned from here on.

    The code inside is hostile: it may send anything, at any time, or nothing. A frame that is malformed or that nobody
    asked for costs it its life; an answer above PAYLOAD_SYNC_MAX_BYTES is counted but not kept. requested: the moment
    (env.monotonic) from which init_us is counted.
    """

    def __init__(
        self,
        *,
        id: str,
        start_path: str,
        env: Env,
        channel: socket.socket,
        log_fd: int,
        on_log: LogSink,
        processes: Processes,
        requested: float,
    ) -> None:
        self.id = id
        self.start_path = start_path
        self.init_us = 0
        self._env = env
        self._loop = asyncio.get_running_loop()
        self._socket = channel
        self._fd = channel.fileno()
        self._log = _LogPipe(self._loop, log_fd, on_log)
        self._processes = processes
        self._requested = requested
        self._asked = 0.0  # when the present question was put
        self._expected = b""  # the kinds of frame that may come now
        self._waiter: asyncio.Future[Outcome] | None = None
        self._timer: Timer | None = None
        self._burial: asyncio.Task[None] | None = None
        self._unsent = memoryview(b"")
        self._view = memoryview(bytearray(_BUFFER_BYTES))
        self._have = 0
        self._passed = 0  # bytes of an oversized frame that were thrown away
        self._size = 0
        channel.setblocking(False)
        self._loop.add_reader(self._fd, self._readable)

    @property
    def alive(self) -> bool:
        return self._burial is None

    async def start(self, init: bytes, timeout_s: float) -> Outcome | None:
        """Send the init frame's body and wait for the handler to be ready: None then, else how it failed."""
        outcome = await self._ask((frames.frame(frames.INIT, init),), _STARTING, timeout_s)
        if outcome.kind == "ok":
            self.init_us = round((self._env.monotonic() - self._requested) * 1e6)
            return None
        await self.stop()
        return outcome

    async def run(self, invocation: Invocation) -> Outcome:
        meta = msgspec.json.encode(
            {
                "request_id": invocation.request_id,
                "deadline_ms": invocation.deadline_ms,
                "trace_header": invocation.trace_header,
                "context": invocation.context,
            }
        )
        return await self._ask(frames.event_parts(meta, invocation.payload), _RUNNING, invocation.timeout_s)

    async def freeze(self) -> None:
        if self._burial is None:
            await self._processes.freeze()

    async def thaw(self) -> None:
        if self._burial is None:
            await self._processes.thaw()

    async def stop(self) -> None:
        self._over("crash")
        if self._burial is not None:
            await asyncio.shield(self._burial)

    async def _ask(self, parts: tuple[bytes, ...], expected: bytes, timeout_s: float) -> Outcome:
        assert self._waiter is None, "an environment answers one question at a time"
        if self._burial is not None:
            return Outcome(kind="crash", reason=_SIGNALLED)
        waiter: asyncio.Future[Outcome] = self._loop.create_future()
        self._waiter = waiter
        self._expected = expected
        self._asked = self._env.monotonic()
        self._timer = self._env.call_later(timeout_s, self._late)
        self._send(parts)
        try:
            return await waiter
        finally:
            self._timer.cancel()
            self._waiter = None
            if not waiter.done() or waiter.cancelled():
                self._over("crash")  # nobody waits for the answer any more, and the next question must not get it

    def _send(self, parts: tuple[bytes, ...]) -> None:
        try:
            sent = self._socket.send(parts[0]) if len(parts) == 1 else self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is gone, which its reader is about to learn
        if sent < sum(map(len, parts)):
            self._unsent = memoryview(b"".join(parts))[sent:]
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._loop.remove_writer(self._fd)

    def _readable(self) -> None:
        for _ in range(_READS_PER_WAKE):
            try:
                got = self._socket.recv_into(self._view[self._have :])
            except BlockingIOError:
                return
            except OSError:
                got = 0
            if not got:
                self._over("crash")
                return
            self._have += got
            if not self._wants_more():
                return

    def _wants_more(self) -> bool:
        """Look at what has arrived. Whether to go on reading now: not once a frame is complete or has proved bad."""
        if not self._size:
            if self._have < 5:
                return True
            self._size = int.from_bytes(self._view[:4], "big") + 4
            if self._waiter is None or self._size < 5 or self._view[4] not in self._expected:
                self._over("crash")
                return False
        total = self._passed + self._have
        kept = self._size <= limits.PAYLOAD_SYNC_MAX_BYTES + 5
        if total < self._size:
            if not kept:
                self._passed, self._have = total - 5, 5  # the head stays, for its kind
            elif self._have == len(self._view):
                larger = memoryview(bytearray(min(self._size, 2 * len(self._view))))
                larger[: self._have] = self._view
                self._view = larger
            return True
        body = bytes(self._view[5 : self._size]) if kept else b""
        self._answered(self._view[4], body, 0 if kept else self._size - 5)
        if total > self._size:
            self._over("crash")
        self._size = self._have = self._passed = 0
        if len(self._view) > _BUFFER_BYTES:
            self._view = memoryview(bytearray(_BUFFER_BYTES))
        return False

    def _answered(self, kind: int, body: bytes, dropped_bytes: int) -> None:
        """The frame that was waited for: what was written before it belongs to it."""
        if self._unsent:  # an answer to a question that it has not even read
            self._over("crash")
            return
        duration_us = round((self._env.monotonic() - self._asked) * 1e6)
        self._log.drain()
        named = {frames.READY[0]: "ok", frames.FAILED[0]: "init_error", frames.OK[0]: "ok"}.get(kind, "error")
        self._finish(
            Outcome(
                kind=named,
                payload=body,
                duration_us=duration_us,
                peak_memory_mb=self._processes.peak_memory_mb(),
                dropped_bytes=dropped_bytes,
            )
        )

    def _finish(self, outcome: Outcome) -> None:
        self._expected = b""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(outcome)

    def _late(self) -> None:
        self._over("timeout")

    def _over(self, kind: str) -> None:
        """It is dead from here on; what is left of it is killed, and whoever waits is told once that is done."""
        if self._burial is not None:
            return
        duration_us = round((self._env.monotonic() - self._asked) * 1e6)
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._burial = self._env.spawn(self._bury(kind, duration_us), name=f"end environment {self.id}")

    async def _bury(self, kind: str, duration_us: int) -> None:
        ended = Ended(reason=_SIGNALLED)
        try:
            ended = await self._processes.end()
        finally:
            self._log.close()
            self._socket.close()
            self._finish(
                Outcome(
                    kind="out_of_memory" if ended.out_of_memory and kind == "crash" else kind,
                    reason=ended.reason,
                    duration_us=duration_us,
                    peak_memory_mb=ended.peak_memory_mb,
                )
            )


class _LogPipe:
    """Reads what the environment's processes write, and hands it on as lines."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, on_log: LogSink) -> None:
        self._loop = loop
        self._fd = fd
        self._on_log = on_log
        self._partial = b""
        self._open = True
        os.set_blocking(fd, False)
        loop.add_reader(fd, self._read)

    def drain(self) -> None:
        """Take everything that was written so far, a line without an end included."""
        taken = 0
        while self._open and taken < limits.LOG_PIPE_MAX_BYTES:  # a pipe holds no more: the rest was written later
            got = self._read()
            if not got:
                break
            taken += got
        if self._partial:
            self._hand_over([self._partial])
            self._partial = b""

    def close(self) -> None:
        """Take what is left and let the pipe go."""
        self.drain()
        if self._open:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._open = False

    def _read(self) -> int:
        try:
            chunk = os.read(self._fd, _BUFFER_BYTES)
        except BlockingIOError:
            return 0
        if not chunk:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._open = False
            return 0
        lines = (self._partial + chunk).split(b"\n")
        self._partial = lines.pop()
        if len(self._partial) >= limits.LOG_LINE_MAX_BYTES:
            lines.append(self._partial)
            self._partial = b""
        if lines:
            self._hand_over(lines)
        return len(chunk)

    def _hand_over(self, lines: list[bytes]) -> None:
        most = limits.LOG_LINE_MAX_BYTES
        if any(len(line) > most for line in lines):
            lines = [line[at : at + most] for line in lines for at in range(0, len(line) or 1, most)]
        if any(_LINE_BREAK in line for line in lines):
            lines = [line.replace(_LINE_BREAK, b"\n") for line in lines]
        self._on_log(lines)
