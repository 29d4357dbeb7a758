"""Conditions: every test, and the rules for keys that are missing or have several values."""

import pytest

from haneul.engines.identity.conditions import Condition, Test, holds
from haneul.engines.identity.pattern import ANY, Pattern, Variable


def check(condition: Condition, **context: list[str]) -> bool:
    return holds(condition, context, set())


def on(test: Test, *values: str | Pattern, **more: object) -> Condition:
    patterns = tuple((value,) if isinstance(value, str) else value for value in values)
    return Condition(test, "k", patterns, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("test", "value", "passing", "failing"),
    [
        ("text", "abc", "abc", "ABC"),
        ("text", "a*", "a*", "ab"),
        ("text_ignore_case", "aBc", "AbC", "abd"),
        ("number_equals", "10", "10.0", "11"),
        ("number_less", "10", "9", "10"),
        ("number_at_most", "10", "10", "10.01"),
        ("number_greater", "10", "11", "10"),
        ("number_at_least", "10", "10", "9"),
        ("time_before", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"),
        ("time_until", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
        ("time_after", "2026-01-01", "2026-01-02", "2026-01-01"),
        ("time_from", "1767225600", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"),
        ("time_equals", "2026-01-01T00:00:00Z", "1767225600", "1767225601"),
        ("bool", "true", "True", "false"),
        ("binary", "aGk=", "aGk=", "aGh="),
        ("address", "10.0.0.0/8", "10.2.3.4", "11.0.0.1"),
        ("address", "2001:db8::/32", "2001:db8::1", "10.0.0.1"),
        ("address", "203.0.113.7", "203.0.113.7", "203.0.113.8"),
    ],
)
def test_each_test_tells_what_passes_from_what_fails(test: Test, value: str, passing: str, failing: str) -> None:
    assert check(on(test, value), k=[passing])
    assert not check(on(test, value), k=[failing])
    assert not check(on(test, value, negated=True), k=[passing])
    assert check(on(test, value, negated=True), k=[failing])


@pytest.mark.parametrize("test", ["number_equals", "number_less", "time_before", "time_equals", "address"])
@pytest.mark.parametrize("nonsense", ["", "x", "nan", "Infinity", "9" * 5_000, "1e9999999", "2026-13-01", "::g"])
def test_nonsense_never_passes_and_never_raises(test: Test, nonsense: str) -> None:
    assert not check(on(test, "2026-01-01"), k=[nonsense])
    assert not check(on(test, nonsense), k=["10"]) or test.startswith("number")


def test_like_takes_wildcards_and_variables() -> None:
    assert check(on("text_like", ("a", ANY)), k=["abc"])
    assert check(on("text_like", (Variable("who"), "/", ANY)), k=["bob/x"], who=["bob"])
    assert not check(on("text_like", (Variable("who"), "/", ANY)), k=["bob/x"])


def test_segments_are_matched_one_by_one() -> None:
    pattern: Pattern = ("arn:aws:sns:", ANY, ":123456789012:t", ANY)

    assert check(on("segments_like", pattern), k=["arn:aws:sns:us-east-1:123456789012:topic"])
    assert not check(on("segments_like", pattern), k=["arn:aws:sns:us-east-1:999999999999:123456789012:topic"])
    assert check(on("segments_like", (ANY,)), k=["arn:aws:sns:us-east-1:123456789012:topic"])


def test_a_missing_key_fails_a_test_but_passes_its_negation() -> None:
    assert not check(on("text", "a"))
    assert check(on("text", "a", negated=True))
    assert check(on("text", "a", if_exists=True))
    assert not check(on("text", "a", if_exists=True), k=["b"])


def test_absent_asks_whether_the_key_is_there() -> None:
    assert check(on("absent", "true"))
    assert not check(on("absent", "true"), k=["a"])
    assert check(on("absent", "false"), k=["a"])


def test_all_wants_every_value_and_is_true_of_none() -> None:
    condition = on("text", "a", "b", quantifier="all")

    assert check(condition, k=["a", "b"])
    assert not check(condition, k=["a", "c"])
    assert check(condition)


def test_any_wants_one_value_and_is_false_of_none() -> None:
    condition = on("text", "a", "b", quantifier="any")

    assert check(condition, k=["c", "b"])
    assert not check(condition, k=["c"])
    assert not check(condition)
    assert not check(on("text", "a", quantifier="any", negated=True))


def test_a_negated_test_must_hold_for_every_value() -> None:
    assert not check(on("text", "a", negated=True), k=["a", "b"])
    assert check(on("text", "a", negated=True, quantifier="any"), k=["a", "b"])


def test_the_keys_that_decided_are_told() -> None:
    consulted: set[str] = set()

    holds(on("text_like", (Variable("who"),)), {"k": ["bob"], "who": ["bob"]}, consulted)

    assert consulted == {"k", "who"}
