"""A cluster of one: this process owns everything."""

from .api import Lease


class SingleNode:
    """Ownership for one node."""

    async def claim(self, shard: str) -> Lease | None:
        return Lease(shard, 1)

    async def release(self, lease: Lease) -> None:
        return None

    def members(self) -> list[str]:
        return ["self"]
