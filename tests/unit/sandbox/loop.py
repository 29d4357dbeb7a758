"""A boot loop under test: the real program in a real process, driven over its descriptor with hand-made frames."""

import json
import os
import socket
import struct
import subprocess
import textwrap
from pathlib import Path
from typing import Any

from haneul.sandbox import boot

BOOT = Path(boot.__file__).parent / "python.py"


class Loop:
    """One process of boot/python.py over a folder with app.py."""

    def __init__(self, interpreter: str, code: Path) -> None:
        self.code = code
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(20)
        self.log_end, log = os.pipe()
        command = [interpreter, "-I", "-S", str(BOOT), str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        theirs.close()
        os.close(log)

    def send(self, kind: bytes, body: bytes) -> None:
        self.channel.sendall(struct.pack(">I", len(body) + 1) + kind + body)

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame; (b"", b"") when the process has ended."""
        head = self._exactly(4)
        if not head:
            return b"", b""
        body = self._exactly(struct.unpack(">I", head)[0])
        return body[:1], body[1:]

    def start(self, handler: str = "app.handler", environment: dict[str, str] | None = None, **more: Any) -> str:
        """Send the init frame; "" when the handler is ready, else the error document as text."""
        init = {"handler": handler, "code_root": str(self.code), "environment": environment or {}, **more}
        self.send(b"I", json.dumps(init).encode())
        kind, body = self.receive()
        return "" if kind == b"R" else body.decode()

    def invoke(self, event: Any, **meta: Any) -> tuple[str, Any]:
        """("ok" or "error", the decoded answer)."""
        kind, body = self.invoke_raw(json.dumps(event).encode(), **meta)
        return kind, json.loads(body) if body else None

    def invoke_raw(self, payload: bytes, **meta: Any) -> tuple[str, bytes]:
        head = {"request_id": "r-1", "deadline_ms": 4_000_000_000_000, "trace_header": "", "context": {}, **meta}
        text = json.dumps(head).encode()
        self.send(b"E", struct.pack(">I", len(text)) + text + payload)
        kind, body = self.receive()
        return {b"O": "ok", b"N": "error", b"": "gone"}[kind], body

    def finish(self) -> tuple[int, str]:
        """Let the process end; its status and everything that it wrote."""
        self.channel.close()
        written = b""
        while chunk := os.read(self.log_end, 65_536):
            written += chunk
        os.close(self.log_end)
        self.log_end = -1
        return self.process.wait(20), written.decode()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()
        if self.log_end >= 0:
            os.close(self.log_end)

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            chunk = self.channel.recv(size - len(got))
            if not chunk:
                return b""
            got += chunk
        return got


def write_app(folder: Path, source: str, name: str = "app.py") -> Path:
    """A module of user code; the folder again."""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(textwrap.dedent(source), encoding="utf-8")
    return folder
