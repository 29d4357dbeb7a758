"""Deleting many rows in small transactions, so that neither memory nor other writers feel it."""

from typing import Any

from haneul.base.limits import CLEAR_BATCH_ROWS

from .store import Range, Space, Store, Txn


async def delete_range(store: Store, space: Space[Any], range: Range) -> int:
    """Delete every row of a range; how many there were. Rows that are written meanwhile may be missed or deleted."""

    def some(txn: Txn) -> int:
        found = txn.scan(space, range, CLEAR_BATCH_ROWS)
        for key, _ in found:
            txn.delete(space, key)
        return len(found)

    total = 0
    while deleted := await store.transact(some, scans=(space,)):
        total += deleted
        if deleted < CLEAR_BATCH_ROWS:
            break
    return total
