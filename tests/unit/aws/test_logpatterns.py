"""Filter patterns of CloudWatch Logs: the examples of the user guide, and patterns that are none."""

import time

import pytest

from haneul.base.errors import Invalid
from haneul.clouds.aws.logpatterns import compile_pattern
from haneul.clouds.aws.logregex import Regex

CLOUDTRAIL = (
    '{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],'
    ' "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "cluster.name": "c",'
    ' "bandwidth": 75, "latency": 0.5, "flag": true, "user": {"id": 1, "email": "John.Stiles@example.com"}}'
)
ACCESS = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("   ", "", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "error", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("?ERROR ?ARGUMENTS", "nothing", False),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL ERROR", False),
        ('"a \\"b\\""', 'x a "b" y', True),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 401] UNAUTHORIZED ARGUMENTS", False),
        ('-"two words"', "two words", False),
        ("-ERROR", "fine", True),
        ("ERROR ?IGNORED", "ERROR", True),
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("%[hc]at$% -dog", "the cat", True),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert compile_pattern(pattern)(message) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('$.eventType = "UpdateTrail"', True),
        ('$.eventType="UpdateTrail"', True),
        ('$.eventType = "Other"', False),
        ('$.eventType != "Other"', True),
        ('$.nothing != "Other"', False),
        ("$.eventType = Update*", True),
        ("$.eventType = *Tra*", True),
        ("$.eventType = U*d*e*l", True),
        ("$.eventType = U*x*l", False),
        ("$.sourceIPAddress != 123.123.*", True),
        ('$.arrayKey[0] = "value"', True),
        ('$.arrayKey[9] = "value"', False),
        ('$.arrayKey[*] = "another value"', True),
        ("$.objectList[1].id = 2", True),
        ('$.objectList[*].name = "b"', True),
        ("$.SomeObject IS NULL", True),
        ("$.flag IS TRUE", True),
        ("$.flag IS FALSE", False),
        ("$.flag = true", True),
        ("$.SomeOtherObject NOT EXISTS", True),
        ("$.SomeObject EXISTS", True),
        ("$.['cluster.name'] = c", True),
        ("$.bandwidth > 74", True),
        ("$.bandwidth >= 75 && $.bandwidth <= 75", True),
        ("$.bandwidth = 7.5e1", True),
        ("$.latency < 1", True),
        ("$.flag > 0", False),
        ('($.user.id = 1) && ($.user.email = "John.Stiles@example.com")', True),
        ("$.user.id = 2 && $.user.id = 1 || $.user.id = 1", True),
        ("$.user.id = 2 && ($.user.id = 1 || $.user.id = 1)", False),
        ("$.eventType = %Trail$%", True),
        ("$.eventType = %^Trail%", False),
        ("$.user = 1", False),
    ],
)
def test_json_conditions(condition: str, expected: bool) -> None:
    assert compile_pattern("{ " + condition + " }")(CLOUDTRAIL) is expected


@pytest.mark.parametrize("message", ["", "text", "{", '{"a":', "[1", "{" * 100_000, "5", "\ud800{}"])
def test_what_is_not_json_matches_no_condition(message: str) -> None:
    assert compile_pattern("{ $.a EXISTS }")(message) is False


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code]", False),
        ("[ip, user, username, timestamp, request, status_code=4*, bytes]", True),
        ("[ip, user, username, timestamp, request =*.html*, status_code = 404, bytes > 1000]", True),
        ("[ip, user, username, timestamp, request, status_code=2*, bytes]", False),
        ("[..., status_code=404, bytes]", True),
        ("[ip=127.0.0.1, ...]", True),
        ("[ip, ..., bytes<1000]", False),
        ("[ip, user, username, timestamp, request, (status_code=404 || status_code=410), bytes]", True),
        ("[ip, user, username, timestamp, request, status_code!=404 && status_code!=410, bytes]", False),
        ("[ip, user, username!=frank, ...]", False),
        ("[ip, user, username = %fr.nk%, ...]", True),
        ('[ip, user, username = "frank", ...]', True),
        ("[,,,,,,]", True),
    ],
)
def test_columns(pattern: str, expected: bool) -> None:
    assert compile_pattern(pattern)(ACCESS) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a = 1",
        "[a, b",
        "{ }",
        "{ $.a }",
        "{ a = 1 }",
        "{ $.a = }",
        "{ $.a = = }",
        "{ ($.a = 1 }",
        "{ $.a = 1) }",
        "{ $.a == 1 }",
        "{ $.a[*][*] = 1 }",
        "{ $ = 1 }",
        "{ $.a IS 5 }",
        "{ $.a NOT NULL }",
        "{ $.a = 1 && }",
        "{ " + "(" * 100 + "$.a = 1" + ")" * 100 + " }",
        "[..., a, ...]",
        "[a = ]",
        '"open',
        "%open",
        "foo/bar",
        "%a% %b% %c%",
        "%a!b%",
        "%(a)%",
        "%a**%",
        "%*a%",
        "%[a%",
        "%a{3,1}%",
        "%a{%",
        "%a$b%",
        "%ü%",
        "%\\q%",
        "%" + "a{999}" * 5 + "%",
        "x" * 2_000,
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("colou?r", "the color", True),
        ("^[hc]at", "hat", True),
        ("^[hc]at", "a hat", False),
        ("a{3,5}", "aa", False),
        ("a{3,5}", "xaaax", True),
        ("^a{2}$", "aaa", False),
        ("^a{2,}$", "aaaa", True),
        ("gray|grey", "grey", True),
        (r"10\.10\.0\.1", "10.10.0.1", True),
        (r"10\.10\.0\.1", "10x10.0.1", False),
        ("T.....", "T12345", True),
        ("ab*c", "ac", True),
        ("ab+c", "ac", False),
        (r"\d\s\w\x41", "1 _A", True),
        (r"[^a-z]", "abc", False),
        ("", "anything", True),
        ("^$", "", True),
        ("^$", "x", False),
        ("a|", "x", True),
        ("x$", "xy", False),
        ("x$", "yx", True),
    ],
)
def test_regular_expressions(expression: str, text: str, expected: bool) -> None:
    assert Regex(expression).found(text) is expected


@pytest.mark.parametrize("expression", [".*.*.*.*.*.*.*.*x$", "a*a*a*a*a*a*a*b", "a{0,200}a{0,200}b"])
def test_no_expression_takes_more_than_linear_time(expression: str) -> None:
    began = time.process_time()

    assert Regex(expression).found("a" * 100_000) is False

    assert time.process_time() - began < 5
