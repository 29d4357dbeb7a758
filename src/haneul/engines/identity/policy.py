"""Policies as plain trees, and the decision that they lead to: pure, bounded, with the statement that decided."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from .conditions import Condition, holds
from .pattern import Context, Pattern, has_variables, matcher, variables

Layer = Literal["identity", "resource", "boundary", "session", ""]


class Principals(msgspec.Struct, frozen=True):
    """Whom a statement is about. names: callers, sessions, roles and outside providers as the face spells them."""

    everyone: bool = False
    accounts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


class Statement(msgspec.Struct, frozen=True):
    """Allows or denies actions on resources to principals under conditions.

    actions, resources    patterns; except_…: everything but these. No resources and not except_resources: any
    principals            None in a policy that hangs on its principal
    """

    effect: Literal["allow", "deny"]
    actions: tuple[Pattern, ...]
    resources: tuple[Pattern, ...] = ()
    except_actions: bool = False
    except_resources: bool = False
    principals: Principals | None = None
    except_principals: bool = False
    conditions: tuple[Condition, ...] = ()
    id: str = ""


class Policy(msgspec.Struct, frozen=True):
    """Statements in the order in which they were written."""

    statements: tuple[Statement, ...]


NOTHING = Policy(())


class Named(msgspec.Struct, frozen=True):
    """A policy with the name that a decision shall report it under."""

    name: str
    policy: Policy


class Caller(msgspec.Struct, frozen=True):
    """Who asks. names: from the most exact (a session, a user) to the wider (its role); account "" when it has none."""

    account: str
    names: tuple[str, ...] = ()
    service: str = ""
    root: bool = False


class Question(msgspec.Struct, frozen=True):
    """May caller do action to resource? owner: the account that the resource is in. Actions are in lower case."""

    caller: Caller
    action: str
    resource: str
    owner: str
    context: Context = {}


class Rules(msgspec.Struct, frozen=True):
    """Everything that bears on a question.

    identity           policies of the caller: its own, its groups', its role's
    boundary           the most that identity can allow; None: no such bound
    session            each of these must allow too
    resource           the policy that hangs on the resource
    resource_decides   without a word of the resource's policy nobody gets in (the trust policy of a role)
    """

    identity: tuple[Named, ...] = ()
    boundary: Named | None = None
    session: tuple[Named, ...] | None = None
    resource: Named | None = None
    resource_decides: bool = False


class Decision(msgspec.Struct, frozen=True):
    """allowed, or not: denied in so many words (explicit), or because no policy of `layer` allows it.

    policy, statement   what decided: the policy's name and the statement's id or number (from 1); "" when nothing did
    consulted           context keys whose values the decision depends on
    """

    allowed: bool
    explicit: bool = False
    layer: Layer = ""
    policy: str = ""
    statement: str = ""
    consulted: frozenset[str] = frozenset()


ALLOWED = Decision(True)


def decide(question: Question, rules: Rules) -> Decision:
    """The decision: a deny anywhere wins; then resource and identity policies are joined, or, between accounts, both
    needed; boundary and session policies only narrow. Source: IAM user guide, "Policy evaluation logic"."""
    consulted: set[str] = set()
    verdict = _denied(question, rules, consulted) or _joined(question, rules, consulted)
    return msgspec.structs.replace(verdict, consulted=frozenset(consulted)) if consulted else verdict


def _denied(question: Question, rules: Rules, consulted: set[str]) -> Decision | None:
    for layer, policies in _layers(rules):
        for named in policies:
            for number, statement in enumerate(named.policy.statements, 1):
                if statement.effect == "deny" and _applies(statement, question, layer == "resource", consulted):
                    return Decision(False, True, layer, named.name, statement.id or str(number))
    return None


def _layers(rules: Rules) -> Iterable[tuple[Layer, tuple[Named, ...]]]:
    yield "identity", rules.identity
    if rules.resource is not None:
        yield "resource", (rules.resource,)
    if rules.boundary is not None:
        yield "boundary", (rules.boundary,)
    if rules.session is not None:
        yield "session", rules.session


_NOT_AT_ALL, _TO_ITS_ACCOUNT, _TO_ITS_ROLE, _TO_ITSELF = range(4)


def _joined(question: Question, rules: Rules, consulted: set[str]) -> Decision:
    caller = question.caller
    strength, by_resource = _resource_allows(question, rules.resource, consulted)
    if strength == _NOT_AT_ALL and (rules.resource_decides or not caller.account or caller.account != question.owner):
        return Decision(False, layer="resource")
    if not caller.account:
        return by_resource
    here = caller.account == question.owner
    # A grant to exactly this caller is final inside its account; one to its role is narrowed by boundary and session;
    # one to its account only lets the account's own policies decide.
    if here and strength == _TO_ITSELF:
        return by_resource
    if rules.boundary is not None and not _allows(rules.boundary, question, consulted):
        return Decision(False, layer="boundary")
    if rules.session is not None and not any(_allows(named, question, consulted) for named in rules.session):
        return Decision(False, layer="session")
    if here and strength == _TO_ITS_ROLE:
        return by_resource
    if caller.root:
        return ALLOWED
    for named in rules.identity:
        if (statement := _allows(named, question, consulted)) is not None:
            return Decision(True, layer="identity", policy=named.name, statement=statement)
    return Decision(False, layer="identity")


def _resource_allows(question: Question, named: Named | None, consulted: set[str]) -> tuple[int, Decision]:
    """How closely the resource's policy means this caller, by its statement that does so most closely."""
    best, decision = _NOT_AT_ALL, Decision(False, layer="resource")
    if named is None:
        return best, decision
    for number, statement in enumerate(named.policy.statements, 1):
        if statement.effect == "deny" or not _applies(statement, question, True, consulted):
            continue
        strength = _closeness(statement, question.caller)
        if strength > best:
            best = strength
            decision = Decision(True, layer="resource", policy=named.name, statement=statement.id or str(number))
    return best, decision


def _closeness(statement: Statement, caller: Caller) -> int:
    whom = statement.principals
    if whom is None or statement.except_principals:
        return _TO_ITS_ROLE
    if caller.names and caller.names[0] in whom.names:
        return _TO_ITSELF
    if whom.everyone or caller.service in whom.services or any(name in whom.names for name in caller.names[1:]):
        return _TO_ITS_ROLE
    return _TO_ITS_ACCOUNT


def _allows(named: Named, question: Question, consulted: set[str]) -> str | None:
    """The id or number of the first statement that allows it."""
    for number, statement in enumerate(named.policy.statements, 1):
        if statement.effect == "allow" and _applies(statement, question, False, consulted):
            return statement.id or str(number)
    return None


def _applies(statement: Statement, question: Question, on_resource: bool, consulted: set[str]) -> bool:
    """Whether it speaks of this question at all. Only a policy on a resource says whom it means."""
    if on_resource and _means(statement, question.caller) is statement.except_principals:
        return False
    if _any_matches(statement.actions, question.action, question, consulted) is statement.except_actions:
        return False
    if (statement.resources or statement.except_resources) and _any_matches(
        statement.resources, question.resource, question, consulted
    ) is statement.except_resources:
        return False
    return all(holds(condition, question.context, consulted) for condition in statement.conditions)


def _means(statement: Statement, caller: Caller) -> bool:
    whom = statement.principals
    if whom is None:
        return False
    return (
        whom.everyone
        or (caller.account != "" and caller.account in whom.accounts)
        or (caller.service != "" and caller.service in whom.services)
        or any(name in whom.names for name in caller.names)
    )


def _any_matches(patterns: tuple[Pattern, ...], text: str, question: Question, consulted: set[str]) -> bool:
    for pattern in patterns:
        if has_variables(pattern):
            consulted |= variables(pattern)
        matches = matcher(pattern, question.context)
        if matches is not None and matches(text):
            return True
    return False
