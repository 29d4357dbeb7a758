"""Ranges and conditions, as RFC 9110 has them."""

import pytest

from haneul.base.errors import Invalid, PreconditionFailed
from haneul.engines.objects.conditions import Conditions, check_read, check_write, slice_of
from haneul.engines.objects.records import Body, Description, Object

FOUND = Object("null", "abc", Body("row", "1", 10), 1_000_500, 1, {}, False, 0, Description())


@pytest.mark.parametrize(
    ("wanted", "size", "expected"),
    [
        (None, 10, None),
        ("bytes=0-", 10, (0, 10)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=9-9", 10, (9, 10)),
        ("bytes=0-99", 10, (0, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-99", 10, (0, 10)),
        (" bytes=1-2 ", 10, (1, 3)),
        ("bytes=4-2", 10, None),
        ("bytes=-", 10, None),
        ("bytes=1-2,4-5", 10, None),
        ("items=1-2", 10, None),
        ("bytes=١-٢", 10, None),
        ("bytes=" + "9" * 30 + "-", 10, None),
    ],
)
def test_a_range_selects_bytes(wanted: str | None, size: int, expected: tuple[int, int] | None) -> None:
    assert slice_of(wanted, size) == expected


@pytest.mark.parametrize(
    ("wanted", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_outside_the_body_cannot_be_satisfied(wanted: str, size: int) -> None:
    with pytest.raises(Invalid) as raised:
        slice_of(wanted, size)

    assert raised.value.noun == "range" and raised.value.fields["size_bytes"] == size


@pytest.mark.parametrize(
    ("conditions", "sent"),
    [
        (Conditions(match='"abc"'), True),
        (Conditions(match='"x", W/"abc"'), True),
        (Conditions(match="*"), True),
        (Conditions(none_match='"x"'), True),
        (Conditions(none_match='"x","abc"'), False),
        (Conditions(none_match="*"), False),
        (Conditions(modified_since=999.0), True),
        (Conditions(modified_since=1000.0), False),
        (Conditions(unmodified_since=1000.0), True),
        (Conditions(match='"abc"', unmodified_since=1.0), True),
        (Conditions(none_match='"x"', modified_since=9999.0), True),
    ],
)
def test_reading_heeds_conditions(conditions: Conditions, sent: bool) -> None:
    assert check_read(conditions, FOUND) is sent


@pytest.mark.parametrize("conditions", [Conditions(match='"x"'), Conditions(unmodified_since=999.0)])
def test_a_read_whose_condition_fails_is_refused(conditions: Conditions) -> None:
    with pytest.raises(PreconditionFailed):
        check_read(conditions, FOUND)


def test_writing_only_what_is_new() -> None:
    check_write(Conditions(none_match="*"), None, "k")

    with pytest.raises(PreconditionFailed):
        check_write(Conditions(none_match="*"), FOUND, "k")
