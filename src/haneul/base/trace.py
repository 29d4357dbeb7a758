"""Trace: the thread through every hop of a request. Ids are W3C sized; faces write them in their cloud's form."""

import msgspec

from .env import Env


class Trace(msgspec.Struct, frozen=True, array_like=True):
    """trace_id: 32 hex digits, the first 8 of them the start in epoch seconds. span_id, parent_id: 16 hex digits or "".
    hops: how many functions in a row led here."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True
    hops: int = 0


def new_trace(env: Env, now_s: float | None = None) -> Trace:
    """A trace that begins here, now or at now_s (seconds since the epoch)."""
    raw = env.token(20).hex()
    return Trace(f"{int(env.now() if now_s is None else now_s) & 0xFFFFFFFF:08x}{raw[:24]}", raw[24:])


def child_of(trace: Trace, env: Env, *, hops: int = 0) -> Trace:
    """The next span of the same trace. hops: functions on the way to it."""
    return Trace(trace.trace_id, env.token(8).hex(), trace.span_id, trace.sampled, trace.hops + hops)
