"""Who and where: the account and region that every engine method is told first."""

import msgspec


class Scope(msgspec.Struct, frozen=True, order=True, array_like=True):
    """An account (12 digits) in a region (such as us-east-1). Hashable; stored as a two-element array."""

    account: str
    region: str
