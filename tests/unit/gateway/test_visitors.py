"""Web pages of elsewhere are told from programs and from pages of this machine."""

import pytest

from haneul.gateway.http import Request
from haneul.gateway.visitors import from_elsewhere


def sent(**headers: str) -> Request:
    named = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request(method="POST", target=b"/", headers=named, body=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://127.0.0.1:4566", "http://[::1]:4566", "https://localhost", "http://app.localhost", "https://my.dev"],
)  # fmt: skip
def test_pages_of_this_machine_and_of_its_domain_may_call(origin: str) -> None:
    assert not from_elsewhere(sent(host="localhost:4566", origin=origin), "my.dev")


@pytest.mark.parametrize(
    "origin",
    ["https://example.com", "http://localhost.example.com", "http://localhost:80@example.com", "http://127.0.0.1.example.com:80",
     "null",
     "", "chrome-extension://abc", "http://10.0.0.1", "http://localhost/x", "https://a.s3-website.us-east-1.amazonaws.com", "http://\xff"],
)  # fmt: skip
def test_pages_of_elsewhere_may_not(origin: str) -> None:
    assert from_elsewhere(sent(host="localhost:4566", origin=origin), "my.dev")


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LOCALHOST.:4566", "127.0.0.1:4566", "[::1]:4566", "192.168.1.2", "haneul:4566", "host.docker.internal:4566",
     "bucket.s3.localhost",
     "bucket.s3.eu-west-1.amazonaws.com", "s3.localhost.localstack.cloud:4566", "sky.test", "a.my.dev", "[::1", "a:b:c"],
)  # fmt: skip
def test_programs_reach_this_server_by_many_names(host: str) -> None:
    assert not from_elsewhere(sent(host=host), "my.dev")
    assert not from_elsewhere(sent(), "my.dev")


@pytest.mark.parametrize(
    "host",
    ["evil.example.com.evil.org", "evil.org:4566", "localhost.evil.org", "127.0.0.1.evil.org", "xmy.dev", "..s3..evil"],
)
def test_a_public_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    assert from_elsewhere(sent(host=host), "my.dev")
