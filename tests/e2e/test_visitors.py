"""In developer mode any request is believed: so the web pages that a developer visits must not get one through."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cloud import TestCloud, test_config


@pytest.fixture(scope="module")
def cloud() -> Iterator[TestCloud]:
    running = TestCloud(test_config())
    yield running
    running.close()


def ask(cloud: TestCloud, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/_haneul/reset", "/bucket"])
def test_a_page_of_elsewhere_can_neither_make_a_function_nor_ask_whether_it_might(cloud: TestCloud, path: str) -> None:
    body = json.dumps({"FunctionName": "evil"}).encode()  # text/plain: a browser sends this without asking first

    posted = ask(cloud, "POST", path, body, origin="https://evil.example.org", **{"content-type": "text/plain"})
    asked = ask(cloud, "OPTIONS", path, origin="https://evil.example.org", **{"access-control-request-method": "PUT"})

    assert (posted[0], asked[0]) == (403, 403)
    assert "access-control-allow-origin" not in {*posted[1], *asked[1]}


@pytest.mark.parametrize("path", ["/", "/_haneul/logs", "/_haneul/status", "/bucket/key"])
def test_a_page_whose_name_was_made_to_point_here_reads_nothing(cloud: TestCloud, path: str) -> None:
    assert ask(cloud, "GET", path, host="evil.example.org:4566")[0] == 403


def test_a_page_of_this_machine_may_call(cloud: TestCloud) -> None:
    cloud.client("s3").create_bucket(Bucket="open")

    status, headers = ask(cloud, "GET", "/open", origin="http://localhost:3000")

    assert (status, headers["access-control-allow-origin"]) == (200, "*")
