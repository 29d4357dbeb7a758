"""The API process's line to sandboxd: starts it, asks, and is told; notices when it is gone."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haneul.base.env import Env
from haneul.base.errors import Unavailable
from haneul.base.limits import SANDBOX_DAEMON_START_S, SANDBOX_STOP_S

from . import wire

LIBRARY = os.fspath(Path(__file__).resolve().parents[2])
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from haneul.sandbox import daemon; sys.exit(daemon.main())"
_ANSWERS = {"opened": "open", "started": "start", "refused": "start", "stopped": "stop", "sealed": "seal"}
_STARTS = {"start": "start", "template": "start"}

Answer = tuple[dict[str, Any], dict[str, int]]


class Line:
    """Asks by operation and id, and gives each answer to who asked. Descriptors that come along are the asker's."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pid = 0
        self._sender: wire.Sender | None = None
        self._asked: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    @property
    def up(self) -> bool:
        """Whether sandboxd can be asked."""
        return self._sender is not None

    async def open(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Start sandboxd and have it become what the settings say: its answer, whose "error" is "" when it did.

        The thread that calls must live as long as the line: the kernel takes its end for the end of sandboxd's parent.
        """
        ours, theirs = wire.pair()
        with theirs:
            self._pid = os.posix_spawn(  # noqa: ASYNC221 - a millisecond, once
                sys.executable,
                [sys.executable, "-I", "-S", "-c", _PROGRAM, LIBRARY, str(os.getpid())],
                {"LANG": "C.UTF-8"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
                ],
                setsid=True,  # Ctrl-C in a terminal is for the API process, which stops us in order
            )
        ours.setblocking(False)
        self._sender = wire.Sender(ours)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._readable)
        try:
            answer = await self._env.within(SANDBOX_DAEMON_START_S, self.ask("open", "", settings))
            return answer[0]
        except TimeoutError:
            await self.close()
            return {"error": f"sandboxd did not answer within {SANDBOX_DAEMON_START_S:.0f} s"}
        except Unavailable as error:
            return {"error": error.reason}

    async def ask(self, operation: str, id: str, facts: Mapping[str, Any]) -> Answer:
        """Send and wait for the answer. Raises Unavailable when sandboxd is gone, or goes meanwhile."""
        if self._sender is None:
            raise Unavailable("sandbox", id, "sandboxd is not running")
        key = (_STARTS.get(operation, operation), id)
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[key] = waiter
        self.tell(operation, id, facts)
        try:
            return await waiter
        finally:
            self._asked.pop(key, None)

    def tell(self, operation: str, id: str, facts: Mapping[str, Any]) -> None:
        """Send what needs no answer."""
        if self._sender is None:
            return
        self._sender.send({"op": operation, "id": id, **facts})
        if self._sender.waiting:
            asyncio.get_running_loop().add_writer(self._sender.channel.fileno(), self._writable)

    async def close(self) -> None:
        """Have sandboxd take everything down, and wait for its end."""
        self._drop()
        if not self._pid:
            return
        pid, self._pid = self._pid, 0
        if not await self._ended(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await self._ended(pid)

    async def _ended(self, pid: int) -> bool:
        """Wait until a child has ended, and collect it; False when it takes too long."""
        loop = asyncio.get_running_loop()
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(watch, lambda: None if ended.done() else ended.set_result(None))
        try:
            await self._env.within(2 * SANDBOX_STOP_S, ended)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(watch)
            os.close(watch)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)  # noqa: ASYNC222 - it has ended
        return True

    def _writable(self) -> None:
        assert self._sender is not None
        self._sender.flush()
        if not self._sender.waiting:
            asyncio.get_running_loop().remove_writer(self._sender.channel.fileno())

    def _readable(self) -> None:
        for _ in range(64):  # then others have their turn
            if self._sender is None:
                return
            try:
                packet = wire.receive(self._sender.channel)
            except BlockingIOError:
                return
            if packet is None:
                self._drop()
                return
            message, fds = packet
            waiter = self._asked.get((_ANSWERS[message["op"]], message.get("id", "")))
            if waiter is None or waiter.done():
                wire.close_all(fds)
            else:
                waiter.set_result((message, dict(zip(message.get("with", ()), fds, strict=True))))

    def _drop(self) -> None:
        """It is gone, or is to go: nobody is answered any more."""
        if self._sender is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sender.channel.fileno())
        loop.remove_writer(self._sender.channel.fileno())
        self._sender.drop()
        self._sender.channel.close()
        self._sender = None
        for (_, id), waiter in self._asked.items():
            if not waiter.done():
                waiter.set_exception(Unavailable("sandbox", id, "sandboxd ended"))
