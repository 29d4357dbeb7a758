"""Timestamps on the wire: ISO 8601, HTTP dates and epoch seconds; epoch seconds (float) inside."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|z|[+-]\d\d:?\d\d)?\Z",
    re.ASCII,
)
_HTTP = re.compile(
    r"(?:[A-Za-z]{3,9},\s*)?(\d{1,2})[ -]([A-Za-z]{3})[ -](\d{2,4}) (\d\d):(\d\d):(\d\d)(?: GMT| UTC| [+-]0000)?\Z"
)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?(?:[eE]\+?\d{1,2})?\Z", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def parse(text: str) -> float:
    """Epoch seconds out of any of the three forms. Raises ValueError."""
    text = text.strip()
    if (found := _ISO.match(text)) is not None:
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
        seconds = moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
        if zone and zone not in "Zz":
            offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
            seconds -= offset if zone[0] == "+" else -offset
        return seconds
    if (found := _HTTP.match(text)) is not None:
        dated, named, years, hour, minute, second = found.groups()
        year_number = int(years) + (0 if len(years) == 4 else 2000 if int(years) < 70 else 1900)
        if named.title() not in _MONTHS:
            raise ValueError(f"not a month: {named}")
        month_number = _MONTHS.index(named.title()) + 1
        return datetime(
            year_number, month_number, int(dated), int(hour), int(minute), int(second), tzinfo=UTC
        ).timestamp()
    if _NUMBER.match(text):
        return float(text)
    raise ValueError(f"not a timestamp: {text[:64]}")


def epoch(value: float | datetime) -> float:
    """Epoch seconds of an output member, which may be a datetime (a naive one is UTC)."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return value


def unix(value: float | datetime) -> float | int:
    """The JSON form: a whole number where there is no fraction, else rounded to milliseconds."""
    seconds = round(epoch(value), 3)
    return int(seconds) if seconds == int(seconds) else seconds


def iso(value: float | datetime) -> str:
    """2026-01-02T03:04:05Z, with milliseconds only where they are not zero."""
    moment = datetime.fromtimestamp(round(epoch(value), 3), UTC)
    text = f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}"
    return f"{text}.{moment.microsecond // 1000:03}Z" if moment.microsecond else text + "Z"


def iso_milliseconds(value: float | datetime) -> str:
    """2026-01-02T03:04:05.000Z: always with milliseconds, as S3 writes them."""
    moment = datetime.fromtimestamp(round(epoch(value), 3), UTC)
    return (
        f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}"
        f".{moment.microsecond // 1000:03}Z"
    )


def http_date(value: float | datetime) -> str:
    """Fri, 02 Jan 2026 03:04:05 GMT."""
    return _http_date(int(epoch(value)))


@lru_cache(maxsize=1024)
def _http_date(second: int) -> str:
    moment = datetime.fromtimestamp(second, UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
        f"{moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    )
