"""Keys: the order of bytes is the order of parts."""

import pytest

from haneul.storage import keys


def test_a_text_sorts_before_the_same_text_with_more_behind_it_even_nul() -> None:
    assert keys.pack("a") < keys.pack("a\0") < keys.pack("a\0\0") < keys.pack("a\x01") < keys.pack("aa")


def test_the_parts_do_not_run_into_each_other() -> None:
    assert keys.pack("a", "bc") != keys.pack("ab", "c")
    assert keys.pack("a\0b") != keys.pack("a", "b")


def test_integers_sort_as_numbers_below_zero_too() -> None:
    numbers = [-(2**63), -256, -1, 0, 1, 255, 256, keys.INT_MAX]

    assert sorted(numbers, key=keys.pack) == numbers


def test_nothing_is_behind_a_key_of_the_highest_bytes() -> None:
    assert keys.after(b"") is None
    assert keys.after(b"\xff\xff") is None
    assert keys.after(b"a\xff") == b"b"


def test_a_key_that_ends_too_soon_is_an_error() -> None:
    with pytest.raises(ValueError):
        keys.unpack(b"abc", "s")


def test_an_integer_that_would_read_as_part_of_the_text_before_it_is_refused() -> None:
    assert keys.unpack(keys.pack("a", keys.INT_MAX), "si") == ("a", keys.INT_MAX)
    with pytest.raises(AssertionError):
        keys.pack("a", keys.INT_MAX + 1)
