"""Ownership: who may act for a shard of hot state. On one node the answer is always: this process, epoch 1."""

from typing import Protocol

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """The right to act for a shard; writes made under an older epoch than the newest are refused."""

    shard: str
    epoch: int


class Ownership(Protocol):
    async def claim(self, shard: str) -> Lease | None:
        """The lease, or None when another member holds it."""
        ...

    async def release(self, lease: Lease) -> None: ...

    def members(self) -> list[str]:
        """Names of the members now alive, this one included."""
        ...
