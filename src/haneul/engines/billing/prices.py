"""The price sheet: a dated file of what each unit costs."""

from importlib.resources import files

import msgspec

SHEET = "aws-us-east-1-2026-11-01.json"


class Price(msgspec.Struct, frozen=True):
    """price (a decimal number as text, in the sheet's currency) is for `per` units."""

    what: str
    unit: str
    per: int
    price: str


class PriceSheet(msgspec.Struct, frozen=True):
    """Prices by name, "service.what"; source and date say where they come from."""

    provider: str
    region: str
    date: str
    currency: str
    source: str
    prices: dict[str, Price]


def load_prices(name: str = SHEET) -> PriceSheet:
    """A sheet of this package, by its file name."""
    return msgspec.json.decode((files(__package__) / "prices" / name).read_bytes(), type=PriceSheet)
