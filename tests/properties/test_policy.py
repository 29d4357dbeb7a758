"""Policies as Hypothesis sees them: patterns against a plain reference, laws of decisions, and hostile documents."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from haneul.base.errors import Invalid
from haneul.clouds.aws.policies import parse_policy, read_pattern
from haneul.engines.identity.pattern import ANY, ONE, Pattern, matcher
from haneul.engines.identity.policy import Caller, Named, Policy, Principals, Question, Rules, Statement, decide

BOB = Caller("1", ("bob",))
patterns = some.lists(some.sampled_from(["a", "b", "ab", ANY, ONE]), max_size=8).map(tuple)
texts = some.text(alphabet="ab", max_size=12)
statements = some.builds(
    Statement,
    effect=some.sampled_from(["allow", "deny"]),
    actions=some.lists(patterns, min_size=1, max_size=3).map(tuple),
    resources=some.lists(patterns, max_size=2).map(tuple),
    except_actions=some.booleans(),
    principals=some.sampled_from(
        [None, Principals(everyone=True), Principals(accounts=("1",)), Principals(names=("bob",))]
    ),
)
policies = some.lists(statements, max_size=4).map(lambda each: Named("p", Policy(tuple(each))))
rules = some.builds(
    Rules,
    identity=some.lists(policies, max_size=3).map(tuple),
    boundary=some.none() | policies,
    session=some.none() | some.lists(policies, max_size=2).map(tuple),
    resource=some.none() | policies,
    resource_decides=some.booleans(),
)
questions = some.builds(Question, some.just(BOB), texts, texts, some.sampled_from(["1", "2"]))


def slow_match(pattern: Pattern, text: str) -> bool:
    """The definition, with nothing clever: which ends of text can be reached after each part."""
    reached = {0}
    for part in pattern:
        if part == ANY:
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        elif part == ONE:
            reached = {at + 1 for at in reached if at < len(text)}
        else:
            assert isinstance(part, str)
            reached = {at + len(part) for at in reached if text.startswith(part, at)}
    return len(text) in reached


@given(patterns, texts)
def test_a_pattern_matches_as_it_is_defined(pattern: Pattern, text: str) -> None:
    test = matcher(pattern, {})

    assert test is not None
    assert test(text) is slow_match(pattern, text)


@given(some.text(max_size=30))
def test_a_text_without_specials_matches_itself(text: str) -> None:
    test = matcher(read_pattern(text, variables=False, wildcards=False), {})

    assert test is not None and test(text)


@given(rules, questions, statements)
def test_one_more_deny_never_allows(rules: Rules, question: Question, statement: Statement) -> None:
    deny = Statement("deny", statement.actions, statement.resources)
    more = Rules(
        (*rules.identity, Named("more", Policy((deny,)))),
        rules.boundary,
        rules.session,
        rules.resource,
        rules.resource_decides,
    )

    assert decide(question, rules).allowed or not decide(question, more).allowed


@given(rules, questions, statements)
def test_one_more_allow_never_denies(rules: Rules, question: Question, statement: Statement) -> None:
    allow = Statement("allow", statement.actions, statement.resources)
    more = Rules(
        (*rules.identity, Named("more", Policy((allow,)))),
        rules.boundary,
        rules.session,
        rules.resource,
        rules.resource_decides,
    )

    assert decide(question, more).allowed or not decide(question, rules).allowed


@given(rules, questions)
def test_bounds_only_narrow(rules: Rules, question: Question) -> None:
    unbounded = Rules(rules.identity, None, None, rules.resource, rules.resource_decides)

    assert decide(question, unbounded).allowed or not decide(question, rules).allowed


@given(rules, questions)
def test_what_is_allowed_is_allowed_by_somebody(rules: Rules, question: Question) -> None:
    decision = decide(question, rules)

    assert not (decision.allowed and decision.explicit)
    if decision.allowed or decision.explicit:
        assert decision.policy and decision.statement
    else:
        assert decision.layer


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
elements = some.sampled_from(
    ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition", "X"]
)
plausible = some.sampled_from(
    ["*", "Allow", "Deny", "s3:GetObject", "arn:aws:s3:::b/*", {"AWS": "*"}, {"StringLike": {"aws:x": ["a*", 1]}}]
)


@given(
    some.sampled_from(["2012-10-17", "2008-10-17", 1]),
    some.lists(some.dictionaries(elements, plausible | json_values, max_size=6), max_size=3) | json_values,
    some.sampled_from(["identity", "trust", "resource"]),
)
def test_any_document_is_read_or_refused(version: Any, statement: Any, kind: Any) -> None:
    source = json.dumps({"Version": version, "Statement": statement})

    try:
        document = parse_policy(source, kind)
    except Invalid as refused:
        assert refused.reason
    else:
        assert document.source == source


@given(some.text(max_size=40), some.sampled_from(["identity", "trust", "resource"]))
def test_any_text_is_read_or_refused(source: str, kind: Any) -> None:
    try:
        parse_policy(source, kind)
    except Invalid as refused:
        assert refused.reason
