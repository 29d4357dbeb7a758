"""IAM's policy language: what it means, and how malformed documents are refused."""

import json
from typing import Any

import pytest

from haneul.base.errors import Invalid
from haneul.clouds.aws.managed import AwsProvider
from haneul.clouds.aws.policies import Kind, parse_policy, read_pattern
from haneul.engines.identity.pattern import ANY, ONE, Variable


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}


def refusal(source: str, kind: Kind = "identity") -> str:
    with pytest.raises(Invalid) as refused:
        parse_policy(source, kind)
    assert refused.value.noun == "policy document"
    return refused.value.reason


def test_a_statement_becomes_a_plain_tree() -> None:
    statement = {
        "Sid": "One",
        "Effect": "Deny",
        "Action": ["s3:Get*", "S3:PutObject"],
        "NotResource": "arn:aws:s3:::b/${aws:username}/*",
        "Condition": {"ForAnyValue:StringNotLikeIfExists": {"aws:TagKeys": ["a?", "b"]}, "Bool": {"aws:x": True}},
    }

    (read,) = parse_policy(document(statement)).policy.statements

    assert (read.effect, read.id, read.except_resources) == ("deny", "One", True)
    assert read.actions == (("s3:get", ANY), ("s3:putobject",))
    assert read.resources == (("arn:aws:s3:::b/", Variable("aws:username"), "/", ANY),)
    like, boolean = read.conditions
    assert (like.test, like.key, like.negated, like.if_exists, like.quantifier) == (
        "text_like",
        "aws:tagkeys",
        True,
        True,
        "any",
    )
    assert like.values == (("a", ONE), ("b",))
    assert (boolean.test, boolean.values) == ("bool", (("true",),))


def test_the_source_is_kept_as_it_was_written() -> None:
    source = '{ "Version" : "2012-10-17",\n"Statement": {"Effect":"Allow","Action":"*","Resource":"*"}}'

    assert parse_policy(source).source == source


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", ()),
        ("a*b?", ("a", ANY, "b", ONE)),
        ("${aws:UserName}", (Variable("aws:username"),)),
        ("${aws:x, 'none'}", (Variable("aws:x", "none"),)),
        ("${*}${?}${$}", ("*", "?", "$")),
        ("${open", ("${open",)),
    ],
)
def test_patterns_are_read(text: str, pattern: object) -> None:
    assert read_pattern(text, variables=True) == pattern


def test_the_older_version_knows_no_variables() -> None:
    statement = {**ALLOW, "Principal": "*", "Resource": "arn:aws:s3:::b/${aws:username}"}

    (read,) = parse_policy(document(statement, version="2008-10-17"), "resource").policy.statements

    assert read.resources == (("arn:aws:s3:::b/${aws:username}",),)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "This policy contains invalid Json"),
        ("{", "This policy contains invalid Json"),
        ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "This policy contains invalid Json"),
        ("[" * 100_000, "This policy contains invalid Json"),
        ("[]", "Syntax errors in policy."),
        ("{}", "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Statement":[]}', "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Statement":"x"}', "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Statement":[{}],"More":1}', "Syntax errors in policy."),
        (document(ALLOW, version="2013-01-01"), "Syntax errors in policy."),
        (document(ALLOW, version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
        (document({**ALLOW, "Effect": "allow"}), "Syntax errors in policy."),
        (document({**ALLOW, "Extra": 1}), "Syntax errors in policy."),
        (document({**ALLOW, "Sid": 1}), "Syntax errors in policy."),
        (document({"Effect": "Allow", "Resource": "*"}), "Policy statement must contain actions."),
        (document({"Effect": "Allow", "Action": [], "Resource": "*"}), "Policy statement must contain actions."),
        (document({"Effect": "Allow", "Action": "s3:Get"}), "Policy statement must contain resources."),
        (document({**ALLOW, "NotAction": "s3:Put"}), "Syntax errors in policy."),
        (document({**ALLOW, "Action": 7}), "Syntax errors in policy."),
        (
            document({**ALLOW, "Action": "GetObject"}),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (document({**ALLOW, "Action": "s 3:Get"}), "Vendor s 3 is not valid"),
        (document({**ALLOW, "Resource": "bucket"}), 'Resource bucket must be in ARN format or "*".'),
        (
            document({**ALLOW, "Resource": "arn:elsewhere:s3:::b"}),
            'Partition "elsewhere" is not valid for resource "arn:elsewhere:s3:::b".',
        ),
        (document({**ALLOW, "Resource": "arn:aws:s3"}), "The policy failed legacy parsing"),
        (document({**ALLOW, "Principal": "*"}), "Policy document should not specify a principal."),
        (
            document({**ALLOW, "Sid": "a"}, {**ALLOW, "Sid": "a"}),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (
            document({**ALLOW, "Sid": "not so"}),
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ),
        (
            document({**ALLOW, "Condition": {"StringSame": {"aws:x": "y"}}}),
            "Invalid Condition type : StringSame.",
        ),
        (document({**ALLOW, "Condition": {"NullIfExists": {"aws:x": "y"}}}), "Invalid Condition type : NullIfExists."),
        (document({**ALLOW, "Condition": []}), "Syntax errors in policy."),
        (document({**ALLOW, "Condition": {"Bool": "x"}}), "Syntax errors in policy."),
        (document({**ALLOW, "Condition": {"Bool": {"aws:x": [{}]}}}), "Syntax errors in policy."),
    ],
)
def test_a_malformed_document_is_refused_in_awss_words(source: str, reason: str) -> None:
    assert refusal(source) == reason


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ({**TRUST, "Resource": "*"}, "Has prohibited field Resource"),
        ({"Effect": "Allow", "Action": "sts:AssumeRole"}, "Missing required field Principal"),
        ({**TRUST, "Action": "s3:GetObject"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        ({**TRUST, "Principal": {"AWS": "bob"}}, 'Invalid principal in policy: "AWS":"bob"'),
        ({**TRUST, "Principal": {}}, "Syntax errors in policy."),
        ({**TRUST, "Principal": {"Who": "x"}}, "Syntax errors in policy."),
    ],
)
def test_a_trust_policy_says_who_and_nothing_of_resources(statement: dict[str, Any], reason: str) -> None:
    assert refusal(document(statement), "trust") == reason


def test_principals_are_sorted_by_what_they_are() -> None:
    who = {
        "AWS": ["*", "111111111111", "arn:aws:iam::222222222222:root", "arn:aws:iam::333333333333:user/x/bob"],
        "Service": "lambda.amazonaws.com",
        "Federated": "cognito-identity.amazonaws.com",
    }

    (read,) = parse_policy(document({**TRUST, "Principal": who}), "trust").policy.statements

    assert read.principals is not None
    assert read.principals.everyone
    assert read.principals.accounts == ("111111111111", "222222222222")
    assert read.principals.names == ("arn:aws:iam::333333333333:user/x/bob", "cognito-identity.amazonaws.com")
    assert read.principals.services == ("lambda.amazonaws.com",)


def test_every_aws_managed_policy_can_be_read_and_has_an_id_of_its_own() -> None:
    provider = AwsProvider()

    policies = provider.policies()

    assert len(policies) >= 40
    assert len({policy.id for policy in policies}) == len(policies)
    assert all(len(policy.id) == 21 for policy in policies)
    assert provider.policy("NoSuchPolicy") is None
