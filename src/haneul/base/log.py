"""Structured log: events with fields, as one line of text in a terminal or one JSON object a line in a pipe."""

import sys
from typing import Any, Protocol, TextIO

import msgspec

from .env import Env

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log(Protocol):
    """Name the event, give the facts: log.info("delivered", target=..., attempt=...). Never a secret, never a body."""

    def debug(self, event: str, **facts: Any) -> None: ...

    def info(self, event: str, **facts: Any) -> None: ...

    def warning(self, event: str, **facts: Any) -> None: ...

    def error(self, event: str, **facts: Any) -> None: ...


class StreamLog:
    """Writes to a text stream, from `level` (debug, info, warning, error) up."""

    def __init__(
        self, env: Env, *, level: str = "info", stream: TextIO | None = None, as_json: bool | None = None
    ) -> None:
        self._env = env
        self._least = _LEVELS[level]
        self._stream = stream if stream is not None else sys.stderr
        self._as_json = as_json if as_json is not None else not self._stream.isatty()

    def debug(self, event: str, **facts: Any) -> None:
        self._write("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._write("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._write("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._write("error", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        if _LEVELS[level] < self._least:
            return
        if self._as_json:
            line = msgspec.json.encode(
                {"time": round(self._env.now(), 3), "level": level, "event": event, **facts}, enc_hook=str
            ).decode()
        else:
            line = f"{level:7} {event}" + "".join(f" {name}={_plain(value)}" for name, value in facts.items())
        self._stream.write(line + "\n")
        self._stream.flush()


def _plain(value: Any) -> str:
    """As it is when it is one printable word, else quoted: what a client wrote can forge neither lines nor colours."""
    text = str(value)
    return text if text and text.isprintable() and " " not in text else msgspec.json.encode(text).decode()


class SilentLog:
    """For tests: remembers the last events instead of writing them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def debug(self, event: str, **facts: Any) -> None:
        self._keep("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._keep("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._keep("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._keep("error", event, facts)

    def _keep(self, level: str, event: str, facts: dict[str, Any]) -> None:
        self.events = [*self.events[-999:], (level, event, facts)]
