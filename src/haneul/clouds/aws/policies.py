"""IAM's policy language, JSON in, plain tree out, refused in the words in which AWS refuses it.

Source: IAM user guide, "IAM JSON policy reference" and "Grammar of the IAM JSON policy language".
"""

import json
import re
from typing import Any, Literal

from haneul.base.errors import Invalid
from haneul.base.limits import POLICY_STATEMENTS_MAX
from haneul.engines.identity.conditions import Condition, Test
from haneul.engines.identity.pattern import ANY, ONE, Pattern, Variable
from haneul.engines.identity.policy import Policy, Principals, Statement
from haneul.engines.identity.records import Document

Kind = Literal["identity", "trust", "resource"]

_TOP = {"Version", "Id", "Statement"}
_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
_SID = re.compile(r"[0-9A-Za-z]*\Z")
_VENDOR = re.compile(r"[A-Za-z0-9\-.]+\Z")
_ACTION = re.compile(r"[A-Za-z0-9*?_\-]+\Z")
_ACCOUNT = re.compile(r"\d{12}\Z")
_ACCOUNT_ROOT = re.compile(r"arn:aws[a-z\-]*:iam::(\d{12}):root\Z")
_PRINCIPAL_ARN = re.compile(r"arn:aws[a-z\-]*:(iam|sts)::\d{12}:[a-z\-]+/[^*?]+\Z")
_UNIQUE_ID = re.compile(r"A[A-Z]{2}A[A-Z2-7]{12,}\Z")
_TRUST_ACTIONS = {
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:tagsession",
    "sts:setsourceidentity",
    "sts:setcontext",
    "sts:assumerole*",
    "sts:*",
}


def parse_policy(source: str, kind: Kind = "identity") -> Document:
    """The document and its tree. Raises Invalid("policy document", "", AWS's sentence).

    identity: hangs on a user, group or role; trust: says who may assume a role; resource: hangs on anything else.
    """
    return Document(source, _Reader(kind).policy(_load(source)))


def _load(source: str) -> dict[str, Any]:
    try:
        loaded = json.loads(source, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _bad("This policy contains invalid Json") from None
    if not isinstance(loaded, dict):
        raise _bad("Syntax errors in policy.")
    return loaded


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _bad(reason: str) -> Invalid:
    return Invalid("policy document", "", reason)


class _Reader:
    """Reads one document; what is allowed in it depends on what it hangs on, and on its version."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._with_variables = False

    def policy(self, top: dict[str, Any]) -> Policy:
        if not set(top) <= _TOP or "Statement" not in top:
            raise _bad("Syntax errors in policy.")
        version = top.get("Version", "2008-10-17")
        if version not in ("2012-10-17", "2008-10-17") or not isinstance(top.get("Id", ""), str):
            raise _bad("Syntax errors in policy.")
        if version != "2012-10-17" and self._kind == "identity":
            raise _bad("Policy document must be version 2012-10-17 or greater.")
        self._with_variables = version == "2012-10-17"
        written = top["Statement"] if isinstance(top["Statement"], list) else [top["Statement"]]
        if not written or len(written) > POLICY_STATEMENTS_MAX:
            raise _bad("Syntax errors in policy.")
        statements = tuple(self._statement(each) for each in written)
        ids = [each.id for each in statements if each.id]
        if len(set(ids)) != len(ids):
            raise _bad("Statement IDs (SID) in a single policy must be unique.")
        return Policy(statements)

    def _statement(self, written: Any) -> Statement:
        if not isinstance(written, dict) or not set(written) <= _ELEMENTS:
            raise _bad("Syntax errors in policy.")
        effect = written.get("Effect")
        if effect not in ("Allow", "Deny"):
            raise _bad("Syntax errors in policy.")
        sid = written.get("Sid", "")
        if not isinstance(sid, str):
            raise _bad("Syntax errors in policy.")
        if self._kind != "resource" and not _SID.match(sid):
            raise _bad(
                "Statement IDs (SID) must be alpha-numeric. "
                "Check that your input satisfies the regular expression [0-9A-Za-z]*"
            )
        actions, except_actions = _either(written, "Action", "NotAction", "actions")
        resources, except_resources = self._resources(written)
        principals, except_principals = self._principals(written)
        return Statement(
            effect="allow" if effect == "Allow" else "deny",
            actions=tuple(self._action(action) for action in actions),
            resources=tuple(read_pattern(each, variables=self._with_variables) for each in resources),
            except_actions=except_actions,
            except_resources=except_resources,
            principals=principals,
            except_principals=except_principals,
            conditions=self._conditions(written.get("Condition", {})),
            id=sid,
        )

    def _action(self, action: str) -> Pattern:
        if action == "*":
            return (ANY,)
        vendor, colon, name = action.partition(":")
        if not colon:
            raise _bad("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if not _VENDOR.match(vendor):
            raise _bad(f"Vendor {vendor} is not valid")
        if not _ACTION.match(name):
            raise _bad("The policy failed legacy parsing")
        if self._kind == "trust" and action.lower() not in _TRUST_ACTIONS:
            raise _bad("AssumeRole policy may only specify STS AssumeRole actions.")
        return read_pattern(action.lower(), variables=False)

    def _resources(self, written: dict[str, Any]) -> tuple[list[str], bool]:
        if self._kind == "trust":
            if "Resource" in written or "NotResource" in written:
                raise _bad("Has prohibited field Resource")
            return [], False
        if self._kind == "resource" and "Resource" not in written and "NotResource" not in written:
            return [], False
        resources, negated = _either(written, "Resource", "NotResource", "resources")
        for resource in resources:
            self._check_resource(resource)
        return resources, negated

    def _check_resource(self, resource: str) -> None:
        if resource == "*":
            return
        if ":" not in resource and self._kind == "identity":
            raise _bad(f'Resource {resource} must be in ARN format or "*".')
        pieces = resource.split(":", 5)
        if pieces[0] != "arn" and "*" not in pieces[0] and self._kind == "identity":
            raise _bad(f'Resource {resource} must be in ARN format or "*".')
        if len(pieces) > 1 and pieces[0] == "arn":
            if not re.match(r"(aws[a-z\-]*|\*|\$\{.*)\Z", pieces[1]):
                raise _bad(f'Partition "{pieces[1]}" is not valid for resource "{resource}".')
            if len(pieces) < 6 and "*" not in pieces[-1]:
                raise _bad("The policy failed legacy parsing")

    def _principals(self, written: dict[str, Any]) -> tuple[Principals | None, bool]:
        named = "Principal" in written or "NotPrincipal" in written
        if self._kind == "identity":
            if named:
                raise _bad("Policy document should not specify a principal.")
            return None, False
        if not named:
            raise _bad("Missing required field Principal")
        if "Principal" in written and "NotPrincipal" in written:
            raise _bad("Syntax errors in policy.")
        negated = "NotPrincipal" in written
        return _read_principals(written["NotPrincipal" if negated else "Principal"]), negated

    def _conditions(self, written: Any) -> tuple[Condition, ...]:
        if not isinstance(written, dict):
            raise _bad("Syntax errors in policy.")
        conditions: list[Condition] = []
        for operator, keys in written.items():
            if not isinstance(keys, dict):
                raise _bad("Syntax errors in policy.")
            read = _read_operator(operator)
            conditions.extend(self._condition(read, key, values) for key, values in keys.items())
        return tuple(conditions)

    def _condition(self, operator: "_Operator", key: str, values: Any) -> Condition:
        if ":" not in key:
            raise _bad("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        texts = [_condition_text(value) for value in (values if isinstance(values, list) else [values])]
        return Condition(
            test=operator.test,
            key=key.lower(),
            values=tuple(
                read_pattern(text, variables=self._with_variables, wildcards=operator.wildcards) for text in texts
            ),
            negated=operator.negated,
            if_exists=operator.if_exists,
            quantifier=operator.quantifier,
        )


def _either(written: dict[str, Any], name: str, negated: str, noun: str) -> tuple[list[str], bool]:
    """The texts of an element or of its negation; one of the two must be there, never both."""
    if name in written and negated in written:
        raise _bad("Syntax errors in policy.")
    found = written.get(name, written.get(negated))
    texts = [found] if isinstance(found, str) else found
    if found is None or texts == []:
        raise _bad(f"Policy statement must contain {noun}.")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _bad("Syntax errors in policy.")
    return texts, negated in written


def _read_principals(written: Any) -> Principals:
    if written == "*":
        return Principals(everyone=True)
    if not isinstance(written, dict) or not written:
        raise _bad("Syntax errors in policy.")
    everyone = False
    accounts: list[str] = []
    names: list[str] = []
    services: list[str] = []
    for sort, values in written.items():
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or sort not in ("AWS", "Service", "Federated", "CanonicalUser"):
                raise _bad("Syntax errors in policy.")
            if sort == "Service":
                services.append(value)
            elif sort != "AWS":
                names.append(value)
            elif value == "*":
                everyone = True
            elif _ACCOUNT.match(value):
                accounts.append(value)
            elif root := _ACCOUNT_ROOT.match(value):
                accounts.append(root[1])
            elif _PRINCIPAL_ARN.match(value) or _UNIQUE_ID.match(value):
                names.append(value)
            else:
                raise _bad(f'Invalid principal in policy: "AWS":"{value}"')
    return Principals(everyone, tuple(accounts), tuple(names), tuple(services))


def _condition_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _bad("Syntax errors in policy.")


class _Operator:
    __slots__ = ("if_exists", "negated", "quantifier", "test", "wildcards")

    def __init__(self, test: Test, negated: bool, wildcards: bool) -> None:
        self.test: Test = test
        self.negated = negated
        self.wildcards = wildcards
        self.if_exists = False
        self.quantifier: Literal["", "any", "all"] = ""


_OPERATORS: dict[str, tuple[Test, bool, bool]] = {
    "stringequals": ("text", False, False),
    "stringnotequals": ("text", True, False),
    "stringequalsignorecase": ("text_ignore_case", False, False),
    "stringnotequalsignorecase": ("text_ignore_case", True, False),
    "stringlike": ("text_like", False, True),
    "stringnotlike": ("text_like", True, True),
    "numericequals": ("number_equals", False, False),
    "numericnotequals": ("number_equals", True, False),
    "numericlessthan": ("number_less", False, False),
    "numericlessthanequals": ("number_at_most", False, False),
    "numericgreaterthan": ("number_greater", False, False),
    "numericgreaterthanequals": ("number_at_least", False, False),
    "dateequals": ("time_equals", False, False),
    "datenotequals": ("time_equals", True, False),
    "datelessthan": ("time_before", False, False),
    "datelessthanequals": ("time_until", False, False),
    "dategreaterthan": ("time_after", False, False),
    "dategreaterthanequals": ("time_from", False, False),
    "bool": ("bool", False, False),
    "binaryequals": ("binary", False, False),
    "ipaddress": ("address", False, False),
    "notipaddress": ("address", True, False),
    "arnequals": ("segments_like", False, True),
    "arnlike": ("segments_like", False, True),
    "arnnotequals": ("segments_like", True, True),
    "arnnotlike": ("segments_like", True, True),
    "null": ("absent", False, False),
}


def _read_operator(written: str) -> _Operator:
    quantifier, colon, name = written.rpartition(":")
    name = name.lower()
    if_exists = name.endswith("ifexists")
    known = _OPERATORS.get(name.removesuffix("ifexists"))
    wanted = {"forallvalues": "all", "foranyvalue": "any", "": ""}.get(quantifier.lower())
    if known is None or wanted is None or (bool(colon) and not quantifier) or (if_exists and known[0] == "absent"):
        raise _bad(f"Invalid Condition type : {written}.")
    operator = _Operator(*known)
    operator.if_exists = if_exists
    operator.quantifier = "all" if wanted == "all" else "any" if wanted == "any" else ""
    return operator


_VARIABLE = r"\$\{[^{}]*\}"
_WILDCARD = r"[*?]"
_SPECIAL = {
    (True, True): re.compile(f"{_VARIABLE}|{_WILDCARD}"),
    (True, False): re.compile(_VARIABLE),
    (False, True): re.compile(_WILDCARD),
    (False, False): re.compile(r"(?!)"),
}


def read_pattern(text: str, *, variables: bool, wildcards: bool = True) -> Pattern:
    """The pattern that a text of the policy language means: * and ? are wildcards, ${key} and ${key, 'default'} are
    variables, and ${*}, ${?} and ${$} are the characters themselves."""
    parts: list[str | int | Variable] = []
    at = 0
    for found in _SPECIAL[variables, wildcards].finditer(text):
        if found.start() > at:
            parts.append(text[at : found.start()])
        parts.append(_token(found[0]))
        at = found.end()
    if at < len(text):
        parts.append(text[at:])
    return tuple(parts)


def _token(token: str) -> str | int | Variable:
    if token == "*":
        return ANY
    if token == "?":
        return ONE
    inside = token[2:-1]
    if inside in ("*", "?", "$"):
        return inside
    key, comma, default = inside.partition(",")
    default = default.strip()
    quoted = len(default) >= 2 and default[0] == default[-1] == "'"
    return Variable(key.strip().lower(), default[1:-1] if comma and quoted else None)
