"""Sandbox: the contract between the engines and whatever isolates user code. One page; tiers live beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force on this machine, and why nothing stronger.

    tier        strict | userns | landlock | process
    reasons     for each stronger tier that is not in force: a sentence that says what is missing and how to get it
    cgroups     v1 | v2 | hybrid | none
    runtimes    interpreter family ("python3.11", "nodejs20") -> its executable
    """

    tier: str
    reasons: tuple[str, ...] = ()
    cgroups: str = "none"
    memory_limited: bool = False
    cpu_limited: bool = False
    network_isolated: bool = False
    syscalls_filtered: bool = False
    snapshots: bool = False
    runtimes: dict[str, str] = {}


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One execution environment to be made. It serves one version of one function of one account, nothing else, ever.

    id              unique on this node
    account         environments of different accounts share no zygote
    interpreter     a key of Capabilities.runtimes
    handler         "module.function", or what the runtime's loop expects
    code_dir        mounted read-only at /var/task
    layer_dirs      mounted read-only at /opt, the later over the earlier
    environment     the complete environment of the process
    memory_mb       hard limit; cpu follows it (1,769 MB is one core)
    tmp_mb          size of the private /tmp
    init_timeout_s  how long importing the handler may take
    snapshot        name of the template to start from or to leave behind ("" for none): one per published code and settings
    egress          "open" (the host's network) or "closed" (only the cloud's own endpoint)
    endpoint        (host, port) of the cloud on the host, reachable inside as AWS_ENDPOINT_URL says
    """

    id: str
    account: str
    interpreter: str
    handler: str
    code_dir: Path
    layer_dirs: tuple[Path, ...] = ()
    environment: dict[str, str]
    memory_mb: int = 128
    tmp_mb: int = 512
    init_timeout_s: float = 10.0
    snapshot: str = ""
    egress: str = "open"
    endpoint: tuple[str, int] = ("127.0.0.1", 4566)


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One event for an environment. context: what the runtime's context object needs beyond the fields here, JSON-ready."""

    request_id: str
    payload: bytes
    deadline_ms: int
    timeout_s: float
    trace_header: str = ""
    context: dict[str, str] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a start or a run ended.

    kind            ok | error | timeout | crash | out_of_memory | init_error
                    error: the handler raised; payload is the runtime's JSON error document
                    crash: the process ended by itself; `reason` is "exit status 1" or "signal: killed"
    payload         the handler's answer, or the error document, as JSON bytes
    duration_us     measured outside the sandbox
    peak_memory_mb  0 where it cannot be measured
    dropped_bytes   size of an answer (kind ok or error) above PAYLOAD_SYNC_MAX_BYTES: it was not kept, payload is empty
    """

    kind: str
    payload: bytes = b""
    reason: str = ""
    duration_us: int = 0
    peak_memory_mb: int = 0
    dropped_bytes: int = 0


class Instance(Protocol):
    """A started environment. It runs one invocation at a time; after anything but ok and error it is dead.

    start_path: pool | fork | snapshot | exec. init_us: from the request to the handler being ready.
    """

    id: str
    start_path: str
    init_us: int

    @property
    def alive(self) -> bool: ...

    async def run(self, invocation: Invocation) -> Outcome:
        """Hand over the event and wait for the answer, at most timeout_s: past that everything inside is killed."""
        ...

    async def freeze(self) -> None:
        """Stop its processes from using the CPU. Harmless where the tier cannot."""
        ...

    async def thaw(self) -> None: ...

    async def stop(self) -> None:
        """Kill everything inside and give everything back. May be called more than once, from any state."""
        ...


LogSink = Callable[[list[bytes]], None]
"""Handed the complete lines (without line ends) that the environment's processes wrote, as they arrive."""


class Sandbox(Protocol):
    """The contract; tests/contract/test_sandbox.py holds every tier to it."""

    capabilities: Capabilities

    async def open(self) -> None:
        """Get ready (daemon, zygotes, pools); afterwards capabilities is final."""
        ...

    async def start(self, spec: Spec, on_log: LogSink) -> Instance | Outcome:
        """An environment whose handler is imported and ready; or, when that failed, the Outcome that says how
        (init_error with the error document, timeout, crash, out_of_memory). Raises Unavailable when this node is full."""
        ...

    async def prepare(self, spec: Spec) -> str:
        """Make the template named spec.snapshot. Returns "" when it is ready, else the reason it is not possible."""
        ...

    async def forget(self, snapshot: str) -> None:
        """Drop a template if it is there."""
        ...

    async def close(self) -> None:
        """Stop every environment and give everything back; no process, mount or cgroup of ours is left."""
        ...
