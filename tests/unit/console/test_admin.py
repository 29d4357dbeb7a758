"""The admin interface: its table, who may ask, and what a wrong question is answered."""

import json
from typing import Any

import pytest

from haneul.base.errors import Conflict, Denied, Failure, Invalid, NotFound
from haneul.console.admin import AdminFace, is_admin
from haneul.console.answers import since_ms
from haneul.gateway.http import Request, Response

NOW_MS = 1_800_000_000_000


def request(method: str, target: str, **headers: str) -> Request:
    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request(method=method, target=target.encode(), headers=named, body=None)  # type: ignore[arg-type]


async def echo(query: dict[str, str]) -> Any:
    return query


def fails(error: Failure) -> Any:
    async def answer(query: dict[str, str]) -> Any:
        raise error

    return answer


def face(token: str | None = None, **more: Any) -> AdminFace:
    named = {("GET", f"/_haneul/{name}"): answer for name, answer in more.items()}
    table = {("GET", "/_haneul/echo"): echo, ("GET", "/_haneul/health"): echo, ("GET", "/_haneul/traces/"): echo,
             ("POST", "/_haneul/reset"): echo, **named}  # fmt: skip
    return AdminFace(table, token=token)


async def ask(asked: AdminFace, method: str, target: str, **headers: str) -> tuple[int, Any]:
    answer = await asked.handle(request(method, target, **headers))
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)


async def test_parameters_are_handed_over() -> None:
    assert await ask(face(), "GET", "/_haneul/echo?a=1&b=x%20y&empty=") == (200, {"a": "1", "b": "x y", "empty": ""})


async def test_the_rest_of_a_path_is_a_name() -> None:
    assert await ask(face(), "GET", "/_haneul/traces/abc?limit=2") == (200, {"name": "abc", "limit": "2"})


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/_haneul/nothing"), ("POST", "/_haneul/echo"), ("GET", "/_haneul/reset"), ("GET", "/_haneul/traces/a/b")],
)
async def test_what_is_not_there_is_404_with_its_name(method: str, target: str) -> None:
    status, said = await ask(face(), method, target)

    assert status == 404 and f"{method} {target}" in said["message"]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (NotFound("log group", "/aws/lambda/x"), 404, "log group /aws/lambda/x: there is none"),
        (NotFound("trace", "1", "no request has it"), 404, "trace 1: no request has it"),
        (Invalid("limit", "x", "a number is meant"), 400, "limit x: a number is meant"),
        (Denied("reset", "", "only in developer mode"), 409, "reset: only in developer mode"),
        (Conflict("account", "1"), 409, "account 1"),
    ],
)
async def test_failures_are_told_in_words(error: Failure, status: int, message: str) -> None:
    assert await ask(face(broken=fails(error)), "GET", "/_haneul/broken") == (status, {"message": message})


async def test_an_answer_may_be_a_response_of_its_own() -> None:
    async def answer(query: dict[str, str]) -> Any:
        return Response(200, [], b"zip")

    assert (await face(file=answer).handle(request("GET", "/_haneul/file"))).body == b"zip"


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer other", "bearer right", "right", "Bearer right\xff"])
async def test_without_the_token_secure_mode_tells_nothing(sent: str) -> None:
    assert (await ask(face("right"), "GET", "/_haneul/echo", authorization=sent))[0] == 403


async def test_with_the_token_secure_mode_answers_and_health_needs_none() -> None:
    assert (await ask(face("right"), "GET", "/_haneul/echo", authorization="Bearer right"))[0] == 200
    assert (await ask(face("right"), "GET", "/_haneul/health"))[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:4566", 200),
        ("http://[::1]:4566", 200),
        ("https://localhost", 200),
        ("https://example.com", 403),
        ("http://localhost.example.com", 403),
        ("http://localhost:80@example.com", 403),
        ("http://127.0.0.1.example.com:80", 403),
        ("null", 403),
    ],
)
async def test_web_pages_of_elsewhere_cannot_steer_the_cloud(origin: str, status: int) -> None:
    assert (await ask(face(), "POST", "/_haneul/reset", origin=origin))[0] == status


@pytest.mark.parametrize(
    ("target", "ours"),
    [
        ("/_haneul/health", True),
        ("/_localstack/health", True),
        ("/moto-api/reset", True),
        ("/_haneul", False),
        ("/bucket/_haneul/health", False),
        ("/", False),
    ],
)
def test_only_its_own_paths_are_taken_from_the_clouds(target: str, ours: bool) -> None:
    assert is_admin(request("GET", target)) is ours


@pytest.mark.parametrize(
    ("text", "age_s"),
    [("45s", 45), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("0s", 0), ("999999d", 999_999 * 86_400)],
)
def test_ages(text: str, age_s: int) -> None:
    assert since_ms(text, NOW_MS) == NOW_MS - age_s * 1000


@pytest.mark.parametrize("text", ["2026-11-01T12:00:00Z", "2026-11-01T13:00:00+01:00", "2026-11-01T12:00:00.000+00:00"])
def test_moments(text: str) -> None:
    assert since_ms(text, NOW_MS) == 1_793_534_400_000


@pytest.mark.parametrize(
    "text", ["", "m", "-1d", "1w", "1 d", "tomorrow", "1000000d", "٣d", "2026-13-01", "0000-01-01", "1.5h"]
)
def test_what_is_neither_is_said(text: str) -> None:
    with pytest.raises(Invalid, match="is meant"):
        since_ms(text, NOW_MS)
