"""The decision: denies win, accounts need both sides, boundaries and sessions narrow."""

from haneul.engines.identity.conditions import Condition
from haneul.engines.identity.pattern import ANY, Pattern
from haneul.engines.identity.policy import (
    Caller,
    Decision,
    Named,
    Policy,
    Principals,
    Question,
    Rules,
    Statement,
    decide,
)

BOB = Caller("1", ("bob",))
SESSION = Caller("1", ("role/session", "role"))


def ask(
    rules: Rules, caller: Caller = BOB, *, action: str = "s3:get", resource: str = "thing", owner: str = "1"
) -> Decision:
    return decide(Question(caller, action, resource, owner), rules)


def named(*statements: Statement, name: str = "p") -> Named:
    return Named(name, Policy(statements))


def allow(action: Pattern = (ANY,), resource: Pattern = (ANY,), **more: object) -> Statement:
    return Statement("allow", (action,), (resource,), **more)  # type: ignore[arg-type]


def deny(action: Pattern = (ANY,), resource: Pattern = (ANY,), **more: object) -> Statement:
    return Statement("deny", (action,), (resource,), **more)  # type: ignore[arg-type]


def test_without_a_policy_nothing_is_allowed() -> None:
    decision = ask(Rules())

    assert (decision.allowed, decision.explicit, decision.layer) == (False, False, "identity")


def test_the_statement_that_allowed_is_named() -> None:
    decision = ask(Rules(identity=(named(allow(("s3:put",)), allow(("s3:get",), id="Read")),)))

    assert decision.allowed
    assert (decision.layer, decision.policy, decision.statement) == ("identity", "p", "Read")


def test_a_deny_wins_over_every_allow() -> None:
    rules = Rules(identity=(named(allow()), named(deny(("s3:get",)), name="q")))

    decision = ask(rules)

    assert (decision.allowed, decision.explicit, decision.policy, decision.statement) == (False, True, "q", "1")
    assert ask(rules, action="s3:put").allowed


def test_everything_but_means_everything_but() -> None:
    rules = Rules(identity=(named(Statement("allow", (("iam:", ANY),), ((ANY,),), except_actions=True)),))

    assert ask(rules).allowed
    assert not ask(rules, action="iam:createuser").allowed


def test_resources_excepted_are_left_out() -> None:
    rules = Rules(identity=(named(Statement("allow", ((ANY,),), (("secret", ANY),), except_resources=True)),))

    assert ask(rules).allowed
    assert not ask(rules, resource="secret/1").allowed


def test_a_root_needs_no_policy_but_bows_to_a_denying_resource() -> None:
    root = Caller("1", ("root",), root=True)

    assert ask(Rules(), root).allowed
    refused = ask(Rules(resource=named(deny(principals=Principals(everyone=True)))), root)
    assert (refused.allowed, refused.explicit, refused.layer) == (False, True, "resource")


def test_a_resource_can_let_in_a_caller_of_its_account_alone() -> None:
    rules = Rules(resource=named(allow(principals=Principals(names=("bob",)))))

    assert ask(rules).allowed
    assert not ask(rules, Caller("1", ("eve",))).allowed


def test_naming_the_account_only_leaves_it_to_the_accounts_own_policies() -> None:
    hung = named(allow(principals=Principals(accounts=("1",))))

    assert not ask(Rules(resource=hung)).allowed
    assert ask(Rules(resource=hung, identity=(named(allow()),))).allowed


def test_between_accounts_both_sides_must_allow() -> None:
    hung = named(allow(principals=Principals(accounts=("1",))))
    own = (named(allow()),)

    assert not ask(Rules(identity=own), owner="2").allowed
    assert not ask(Rules(resource=hung), owner="2").allowed
    assert ask(Rules(identity=own, resource=hung), owner="2").allowed


def test_a_root_of_another_account_needs_the_resources_word() -> None:
    root = Caller("1", ("root",), root=True)

    assert not ask(Rules(), root, owner="2").allowed
    assert ask(Rules(resource=named(allow(principals=Principals(accounts=("1",))))), root, owner="2").allowed


def test_a_boundary_narrows_what_policies_allow_and_allows_nothing_itself() -> None:
    boundary = named(allow(("s3:", ANY)))

    assert ask(Rules(identity=(named(allow()),), boundary=boundary)).allowed
    refused = ask(Rules(identity=(named(allow()),), boundary=boundary), action="sqs:send")
    assert (refused.allowed, refused.layer) == (False, "boundary")
    assert not ask(Rules(boundary=boundary)).allowed


def test_a_grant_to_the_role_is_narrowed_by_a_session_but_one_to_the_session_is_not() -> None:
    nothing = (named(),)

    to_role = Rules(session=nothing, resource=named(allow(principals=Principals(names=("role",)))))
    to_session = Rules(session=nothing, resource=named(allow(principals=Principals(names=("role/session",)))))

    assert ask(to_role, SESSION).layer == "session"
    assert ask(to_session, SESSION).allowed


def test_a_session_policy_narrows_a_role() -> None:
    rules = Rules(identity=(named(allow()),), session=(named(allow(("s3:get",))),))

    assert ask(rules, SESSION).allowed
    assert ask(rules, SESSION, action="s3:put").layer == "session"


def test_where_the_resource_decides_an_identity_policy_is_not_enough() -> None:
    own = (named(allow()),)

    assert ask(Rules(identity=own, resource=named(), resource_decides=True)).layer == "resource"
    trusting = named(allow(principals=Principals(names=("bob",))))
    assert ask(Rules(resource=trusting, resource_decides=True)).allowed


def test_somebody_without_an_account_needs_a_resource_that_is_open_to_everyone() -> None:
    nobody = Caller("")

    assert not ask(Rules(), nobody).allowed
    assert not ask(Rules(resource=named(allow(principals=Principals(accounts=("",))))), nobody).allowed
    assert ask(Rules(resource=named(allow(principals=Principals(everyone=True)))), nobody).allowed


def test_a_service_is_let_in_by_its_name() -> None:
    lambda_ = Caller("", service="lambda.amazonaws.com")
    hung = named(allow(principals=Principals(services=("lambda.amazonaws.com",))))

    assert ask(Rules(resource=hung), lambda_).allowed
    assert not ask(Rules(resource=hung), Caller("", service="sns.amazonaws.com")).allowed


def test_excepted_principals_are_everyone_else() -> None:
    hung = named(allow(), deny(principals=Principals(names=("bob",)), except_principals=True))

    assert not ask(Rules(identity=(named(allow()),), resource=hung), Caller("1", ("eve",))).allowed
    assert ask(Rules(identity=(named(allow()),), resource=hung)).allowed


def test_only_keys_that_were_looked_at_are_told() -> None:
    condition = Condition("text", "aws:sourceip", (("x",),))
    rules = Rules(identity=(named(allow(("s3:get",), conditions=(condition,)), allow(("s3:put",))),))

    assert ask(rules).consulted == {"aws:sourceip"}
    assert ask(rules, action="s3:put").consulted == frozenset()
