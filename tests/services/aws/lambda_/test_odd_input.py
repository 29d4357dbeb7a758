"""Whatever is sent, the answer is an answer: a 500 is always a fault of ours."""

import http.client
import json
import random
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.functions import make_function

FUNCTION = "/2015-03-31/functions/{name}"
REQUESTS = [
    ("POST", "/2015-03-31/functions"),
    ("GET", "/2015-03-31/functions"),
    ("GET", FUNCTION),
    ("GET", FUNCTION + "/configuration"),
    ("PUT", FUNCTION + "/configuration"),
    ("PUT", FUNCTION + "/code"),
    ("POST", FUNCTION + "/versions"),
    ("GET", FUNCTION + "/versions"),
    ("POST", FUNCTION + "/invocations"),
    ("POST", FUNCTION + "/policy"),
    ("GET", FUNCTION + "/policy"),
    ("DELETE", FUNCTION + "/policy/s"),
    ("POST", "/2017-03-31/tags/{name}"),
    ("DELETE", "/2017-03-31/tags/{name}"),
    ("PUT", "/2017-10-31/functions/{name}/concurrency"),
    ("PUT", "/2019-09-25/functions/{name}/event-invoke-config"),
    ("GET", "/2019-09-25/functions/{name}/event-invoke-config"),
]
NAMES = ["f", "f:1", "f:$LATEST", "f:live", "arn:aws:lambda:us-east-1:000000000000:function:f", "f:0", "f:", "ä", "%00"]
NAMES += ["f" * 141, "f" * 65, "f:99999999999999999999", "arn:aws:lambda:eu-west-1:000000000000:function:f", ".."]
QUERIES = ["", "?Qualifier=1", "?Qualifier=", "?Qualifier=x y", "?MaxItems=0", "?MaxItems=x", "?Marker=zz"]
QUERIES += ["?FunctionVersion=ALL&Marker=Zjp4", "?Marker=ä", "?tagKeys=", "?RevisionId=x"]
VALUES: list[Any] = [None, 0, -1, 10**20, 1.5, "", "x", "ä" * 3, [], [None], {}, {"a": None}, True, {"ZipFile": "UEsF"}]
MEMBERS = [
    "FunctionName",
    "Runtime",
    "Role",
    "Handler",
    "Code",
    "Timeout",
    "MemorySize",
    "Environment",
    "Tags",
    "ZipFile",
]
MEMBERS += ["LoggingConfig", "Architectures", "EphemeralStorage", "S3Bucket", "StatementId", "Action", "Principal"]
MEMBERS += ["ReservedConcurrentExecutions", "MaximumRetryAttempts", "DestinationConfig", "CodeSha256", "VpcConfig"]
GOOD = {"FunctionName": "g", "Runtime": "python3.11", "Role": "arn:aws:iam::000000000000:role/r", "Handler": "a.b"}
GOOD |= {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*", "ReservedConcurrentExecutions": 1}
BODIES = [b"", b"[]", b"null", b"{", b"\xff", b'{"a":1,"a":2}', b'"x"']
HEADERS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/lambda/aws4_request, "
    f"SignedHeaders=host, Signature={'0' * 64}",
    "X-Amz-Date": "20260101T000000Z",
    "Content-Type": "application/json",
}


@pytest.mark.parametrize("seed", range(5))
def test_odd_requests_are_answered_and_not_broken_by(cloud: Any, client: Any, seed: int) -> None:
    if seed == 0:
        make_function(client, "f", "def handler(event, context): return event")
        client.publish_version(FunctionName="f")
    chance = random.Random(seed)
    address = urlsplit(cloud.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)

    for _ in range(200):
        method, path = chance.choice(REQUESTS)
        path = path.replace("{name}", quote(chance.choice(NAMES), safe=chance.choice(("", ":$"))))
        path += quote(chance.choice(QUERIES), safe="?=&")
        members = dict(GOOD) if chance.random() < 0.6 else {}
        members |= {chance.choice(MEMBERS): chance.choice(VALUES) for _ in range(chance.randrange(4))}
        body = chance.choice(BODIES) if chance.random() < 0.1 else json.dumps(members).encode()
        connection.request(method, path, body if method in ("POST", "PUT") else None, HEADERS)
        answer = connection.getresponse()
        said = answer.read()

        assert answer.status < 500 or answer.status == 501, (method, path, body, said)
