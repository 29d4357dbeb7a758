"""Patterns: wildcards, variables, and the bound on what a match may cost."""

import time

from haneul.engines.identity.pattern import ANY, ONE, Pattern, Variable, matcher


def matches(pattern: Pattern, text: str, **context: str) -> bool:
    test = matcher(pattern, {key: [value] for key, value in context.items()})
    return test is not None and test(text)


def test_text_without_wildcards_matches_only_itself() -> None:
    assert matches(("s3:getobject",), "s3:getobject")
    assert not matches(("s3:getobject",), "s3:getobjects")
    assert not matches((), "x")
    assert matches((), "")


def test_any_matches_every_run_also_an_empty_one() -> None:
    assert matches((ANY,), "")
    assert matches(("a", ANY), "a")
    assert matches((ANY, "z"), "abcz")
    assert matches(("a", ANY, "z"), "az")
    assert not matches(("ab", ANY, "ba"), "aba")


def test_one_matches_exactly_one_character() -> None:
    assert matches(("a", ONE, "c"), "abc")
    assert not matches(("a", ONE, "c"), "ac")
    assert matches((ANY, "a", ONE, "c", ANY), "xxabcxx")
    assert not matches((ANY, "a", ONE, "c", ANY), "xxacxx")
    assert matches((ONE, ANY, ONE), "ab")
    assert not matches((ONE, ANY, ONE), "a")


def test_pieces_between_anys_come_in_their_order_and_do_not_overlap() -> None:
    assert matches((ANY, "ab", ANY, "bc", ANY), "ab-bc")
    assert not matches((ANY, "ab", ANY, "bc", ANY), "abc")
    assert not matches((ANY, "bc", ANY, "ab", ANY), "ab-bc")


def test_a_variable_stands_for_its_value() -> None:
    pattern: Pattern = ("home/", Variable("aws:username"), "/", ANY)

    test = matcher(pattern, {"aws:username": ["bob"]})

    assert test is not None
    assert test("home/bob/x")
    assert not test("home/eve/x")


def test_wildcards_in_a_variables_value_are_plain_characters() -> None:
    test = matcher((Variable("aws:username"),), {"aws:username": ["*"]})

    assert test is not None
    assert test("*")
    assert not test("anything")


def test_a_variable_without_a_single_value_matches_nothing_unless_it_has_a_default() -> None:
    assert matcher((Variable("aws:username"),), {}) is None
    assert matcher((Variable("k"),), {"k": ["a", "b"]}) is None
    defaulted = matcher((Variable("k", "d"),), {})
    assert defaulted is not None and defaulted("d")


def test_a_hostile_pattern_costs_no_more_than_its_length_times_a_word() -> None:
    pattern = (*(ANY, "a", ONE) * 500, "b")
    text = "a" * 5_000

    started = time.perf_counter()
    result = matches(pattern, text)
    took_s = time.perf_counter() - started

    assert not result
    assert took_s < 0.5
