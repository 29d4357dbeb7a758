"""Records of things that ended, for the tests of those that observe them."""

from typing import Any

from haneul.base.finished import Finished, Invoked, Requested
from haneul.base.scope import Scope
from haneul.base.trace import Trace

HOME = Scope("000000000000", "us-east-1")
START_MS = 1_800_000_000_000.0
TRACE_ID = "6b49d200" + "0" * 24


def invoked(
    name: str = "thumbs", *, at_ms: float = START_MS, span: str = "b" * 16, parent: str = "", **facts: Any
) -> Finished:
    """A run of a function that took 12.3 ms in 512 MB, unless told otherwise."""
    what = Invoked(
        **{
            "function": name,
            "version": "1",
            "outcome": "ok",
            "start": "warm",
            "memory_mb": 512,
            "duration_us": 12_300,
            "billed_ms": 13,
            **facts,
        }
    )
    return Finished(HOME, f"request-{span[:4]}", Trace(TRACE_ID, span, parent), at_ms, what.duration_us, what)


def requested(
    operation: str = "PutObject",
    *,
    at_ms: float = START_MS,
    span: str = "a" * 16,
    trace_id: str = TRACE_ID,
    **facts: Any,
) -> Finished:
    """A request to S3 that took 1 ms."""
    what = Requested(
        **{"service": "s3", "operation": operation, "status": 200, "resource": "arn:aws:s3:::b/k", **facts}
    )
    return Finished(HOME, "request", Trace(trace_id, span), at_ms, 1_000, what)
