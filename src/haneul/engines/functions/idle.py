"""How long an idle environment is worth keeping: a histogram of the pauses between a function's invocations."""

import math

from haneul.base.limits import IDLE_BUCKETS, IDLE_SAMPLES_MIN

_KEPT_SHARE = 0.99


class IdleTimes:
    """The pauses of one function, in IDLE_BUCKETS buckets up to the longest time that anything is kept.

    The hybrid policy of "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020), without its prediction of the next
    arrival: a start from the pool is cheap here, so the tail of the histogram is all that is needed.
    """

    __slots__ = ("_buckets", "_count", "_longest_s", "_width_s")

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._width_s = max(longest_s / IDLE_BUCKETS, 0.001)
        self._buckets = [0] * (IDLE_BUCKETS + 1)
        self._count = 0

    def add(self, pause_s: float) -> None:
        """A pause that has ended; those longer than the longest are counted in a bucket of their own."""
        bucket = int(pause_s / self._width_s)
        self._buckets[bucket if bucket < IDLE_BUCKETS else IDLE_BUCKETS] += 1
        self._count += 1

    def keep_s(self) -> float:
        """Until 99 of 100 pauses would have ended; the longest time while too few are known."""
        if self._count < IDLE_SAMPLES_MIN:
            return self._longest_s
        wanted = math.ceil(self._count * _KEPT_SHARE)
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if seen >= wanted:
                return min((bucket + 1) * self._width_s, self._longest_s)
        return self._longest_s
