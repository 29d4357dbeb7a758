"""What a cloud gives its functions to wear: the Protocols through which a face words environments, log lines and failures."""

from typing import Protocol

import msgspec

from haneul.base.finished import Invoked
from haneul.base.scope import Scope
from haneul.base.trace import Trace

from .records import Function, Settings


class Dressing(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution environment is given, beside the user's own variables and the credentials of its role.

    environment   variables of the process
    log_group, log_stream   where its lines go
    first_lines   what its log begins with, before anything that the function's own initialisation writes
    """

    environment: dict[str, str]
    log_group: str
    log_stream: str
    first_lines: tuple[str, ...] = ()


class FailureText(msgspec.Struct, frozen=True):
    """A failure that the runtime could not word itself: the error document for the caller, and lines for the log."""

    error_type: str
    payload: bytes
    lines: tuple[str, ...] = ()


class Dress(Protocol):
    """How a cloud dresses functions; handed in by app.py."""

    def version(self, number: int) -> str:
        """The name of a version in log lines and records."""
        ...

    def environment(self, function: Function, interpreter: str, warning: str) -> Dressing:
        """For one new environment. warning: why another interpreter than the runtime's own was taken, or ""."""
        ...

    def context(self, function: Function, qualifier: str) -> dict[str, str]:
        """Fields of the context object that depend on how the function was addressed: qualifier is "" or a version's name."""
        ...

    def trace_header(self, trace: Trace) -> str: ...

    def failure(self, kind: str, request_id: str, reason: str, function: Function, at_ms: int) -> FailureText:
        """kind: timeout | crash | out_of_memory | init_timeout | init_crash | response_too_large; reason as Outcome has it."""
        ...


class LogRenderer(Protocol):
    """The lines that the platform itself writes round the function's own; handed in by app.py.

    An invocation's log is start, the function's lines, lines of Dress.failure, end, report.
    """

    def start(self, settings: Settings, at_ms: int, request_id: str, version: str) -> list[str]: ...

    def end(self, settings: Settings, request_id: str) -> list[str]: ...

    def report(
        self, settings: Settings, at_ms: int, request_id: str, invoked: Invoked, trace: Trace | None
    ) -> list[str]:
        """settings: they say in what form, and how much. trace: when the function's own setting asks for traces, else None."""
        ...


class Granted(msgspec.Struct, frozen=True):
    """Credentials for one environment, as variables of its process, valid until expires_ms (epoch milliseconds)."""

    environment: dict[str, str]
    expires_ms: int


class Credentials(Protocol):
    """Where credentials of a function's role come from; handed in by app.py."""

    async def __call__(self, scope: Scope, role: str, function: str) -> Granted | None:
        """function: its name, for the role's session. None when the role gives none: the function then runs without."""
        ...


class ChooseRuntime(Protocol):
    """Which interpreter of this machine stands for a runtime; handed in by app.py."""

    def __call__(self, runtime: str, /) -> tuple[str, str]:
        """(a key of Capabilities.runtimes, a warning or ""). Raises Invalid for a runtime that cannot be had here."""
        ...
