"""What a target says about a delivery, and how long to wait before the next attempt."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from haneul.base.env import Env
from haneul.base.limits import DELIVERY_BACKOFF_MAX_MS, DELIVERY_BACKOFF_MS
from haneul.storage.outbox import Delivery


class Done(msgspec.Struct, frozen=True):
    """The target has it, durably if it is to survive; it will not be told again."""


class Retry(msgspec.Struct, frozen=True):
    """Not now. after_ms: wait this long; None: as long as backoff_ms() says. It counts as an attempt."""

    after_ms: int | None
    reason: str


class Dropped(msgspec.Struct, frozen=True):
    """Never: the target will not take it. What should become of it (a dead-letter queue) is the target's affair."""

    reason: str


Verdict: TypeAlias = Done | Retry | Dropped

Encoder: TypeAlias = Callable[[Delivery], bytes]
"""Turns the event of a row into the target's payload; plain and quick."""

Handler: TypeAlias = Callable[[Delivery, bytes], Awaitable[Verdict]]
"""Hands a payload to a target. Raising means Retry(None, the exception). It may be told the same id again."""


def backoff_ms(attempt: int, env: Env) -> int:
    """Before the attempt after this many: doubled each time up to a bound; spread, so that a herd does not come back as one."""
    longest = min(DELIVERY_BACKOFF_MS << min(attempt - 1, 30), DELIVERY_BACKOFF_MAX_MS)
    return int(env.random.uniform(longest / 2, longest))
