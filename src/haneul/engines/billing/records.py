"""What is kept of use: a quantity per day, account, region, price and resource."""

import msgspec

from haneul.base.scope import Scope
from haneul.storage import keys
from haneul.storage.store import Schema, Space


class Use(msgspec.Struct, frozen=True, array_like=True):
    """How much was used in one minute. micros: millionths of the price's unit, so that sums stay exact."""

    micros: int


USES: Space[Use] = Space("uses", Use)

SCHEMA = Schema("billing", 1, (USES,))


def use_key(scope: Scope, minute: int, price: str, resource: str) -> bytes:
    """By account, region and minute since the epoch, then by price and resource."""
    return keys.pack(scope.account, scope.region, minute, price, resource)


def minute_key(scope: Scope, minute: int) -> bytes:
    """What all keys of a minute begin with; those of later minutes sort behind."""
    return keys.pack(scope.account, scope.region, minute)
