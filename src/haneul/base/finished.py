"""Finished: the one record that every request and invocation ends in; logs, metrics, traces and bills derive from it."""

from typing import Protocol

import msgspec

from .scope import Scope
from .trace import Trace


class Requested(msgspec.Struct, frozen=True, tag="request"):
    """An API call. error_code is "" when it succeeded. principal: who called, in the face's words."""

    service: str
    operation: str
    status: int
    error_code: str = ""
    principal: str = ""
    resource: str = ""
    bytes_in: int = 0
    bytes_out: int = 0


class Invoked(msgspec.Struct, frozen=True, tag="invoke"):
    """A run of a function. Durations are measured by the supervisor, not by the function.

    outcome: ok | error (the handler raised) | timeout | crash | out_of_memory | init_error | throttled
    start:   warm | pool | fork | snapshot | exec: where the environment came from
    init_us: None for a warm start. billed_ms is rounded up to 1 ms. peak_memory_mb is 0 where it cannot be measured.
    """

    function: str
    version: str
    outcome: str
    start: str
    memory_mb: int
    duration_us: int
    billed_ms: int
    init_us: int | None = None
    peak_memory_mb: int = 0
    error_type: str = ""
    architecture: str = "x86_64"
    tmp_mb: int = 512
    asynchronous: bool = False
    attempt: int = 1
    bytes_in: int = 0
    bytes_out: int = 0
    log_group: str = ""
    log_stream: str = ""


class Delivered(msgspec.Struct, frozen=True, tag="delivery"):
    """An attempt to hand an event to a target. outcome: done | retry | dropped."""

    source: str
    target: str
    outcome: str
    attempt: int
    error: str = ""


class Finished(msgspec.Struct, frozen=True):
    """Something ended. started_ms: epoch milliseconds with fraction. duration_us: wall time in microseconds."""

    scope: Scope
    request_id: str
    trace: Trace
    started_ms: float
    duration_us: int
    what: Requested | Invoked | Delivered


class Logged(msgspec.Struct, frozen=True):
    """Lines that a function or service wrote, in order. lines: (epoch milliseconds, text without line end)."""

    scope: Scope
    group: str
    stream: str
    lines: list[tuple[int, str]]


class Observer(Protocol):
    """Told of what ended and what was written. Never awaited, never raises, bounded memory: it buffers and flushes."""

    def finished(self, record: Finished) -> None: ...

    def logged(self, record: Logged) -> None: ...
