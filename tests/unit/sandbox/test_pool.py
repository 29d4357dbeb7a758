"""A pool of ready sandboxes: filled while there is room, and left alone for a while when what it makes does not live."""

from typing import Any, cast

from haneul.base.limits import SANDBOX_POOL_REST_MAX_S, SANDBOX_POOL_REST_S
from haneul.sandbox.pool import Cell, Pool, PoolKey


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def cell(serial: str) -> Cell:
    return Cell(serial=serial, key=cast(PoolKey, None), slot=cast(Any, None), zygote=cast(Any, None), path="pool")


def test_each_one_lost_in_a_row_doubles_the_rest() -> None:
    clock = Clock()
    pool = Pool(cast(PoolKey, None), 4, clock)
    assert pool.short

    pool.discard(cell("1"))
    assert not pool.short
    clock.now += SANDBOX_POOL_REST_S
    assert pool.short
    pool.discard(cell("2"))
    clock.now += SANDBOX_POOL_REST_S
    assert not pool.short
    for number in range(40):
        pool.discard(cell(str(number)))
    clock.now += SANDBOX_POOL_REST_MAX_S - 1
    assert not pool.short
    clock.now += 1

    assert pool.short


def test_one_that_was_of_use_ends_the_rests() -> None:
    clock = Clock()
    pool = Pool(cast(PoolKey, None), 4, clock)
    for number in range(10):
        pool.discard(cell(str(number)))
    pool.add(cell("good"))

    assert pool.take() is not None
    pool.discard(cell("again"))
    clock.now += SANDBOX_POOL_REST_S

    assert pool.short
