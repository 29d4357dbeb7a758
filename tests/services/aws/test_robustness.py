"""Every offered operation under hostile input, over a plain socket: whatever is sent is answered, and never by a 500."""

import base64
import contextlib
import json
import random
import re
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.exceptions import ClientError

from haneul.base.limits import SCAN_MAX_ROWS
from haneul.clouds.aws.model import Library, OperationModel, ServiceModel
from haneul.clouds.aws.services import Services
from haneul.clouds.aws.shapes import Ref
from haneul.engines.functions.records import SCHEMA as FUNCTIONS
from haneul.engines.identity.records import SCHEMA as IDENTITY
from haneul.engines.logs.records import SCHEMA as LOGS
from haneul.engines.objects.records import SCHEMA as OBJECTS
from haneul.storage.store import Range
from tests.cloud import TestCloud
from tests.functions import TRUST, make_function, package

SCHEMAS = {schema.kind: schema for schema in (FUNCTIONS, IDENTITY, LOGS, OBJECTS)}
LIBRARY = Library()
SEED = 20_260_101
ROUNDS = 14
ANSWER_TIMEOUT_S = 20
DEPTH_MAX = 5
NESTED = "[" * 100_000
BUCKET, FUNCTION, ROLE, GROUP = "robust", "robust", "robust", "/robust"
TEXTS = [
    "", " ", "\0", "a\0b", "😀", "\ud800", "ä", "..", "../../etc/passwd", "%", "%00", "%2F", "%zz", "{}", "*", "a\r\nb: c",
    "a" * 5_000, "-1", "0", "1e400", "NaN", "null", "$LATEST", "arn:aws:", ":" * 12, "arn:aws:iam::000000000000:role/" + ROLE,
    "arn:aws:lambda:us-east-1:000000000000:function:" + FUNCTION, f"arn:aws:s3:::{BUCKET}",
    f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*", BUCKET, GROUP, f"{BUCKET}/key", "key", "s", "1",
    "2026-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "9e99", "-9e14", "[", "{ $.a = 1 }", "%a(%", TRUST, "true",
    "1-99999999999999999999", "bytes=0-", "us-east-1", "https://x", "AKIA0000000000000000",
]  # fmt: skip
ARN = "arn:aws:iam::000000000000:"
# What stands behind a member, by a word of its shape's name: the first that fits.
THERE = [
    ("bucket", BUCKET), ("objectkey", "key"), ("document", TRUST), ("rolearn", f"{ARN}role/{ROLE}"), ("rolename", ROLE),
    ("username", "u"), ("groupname", "g"), ("policyarn", f"{ARN}policy/p"), ("policyname", "p"), ("profilename", "i"),
    ("functionarn", f"arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}"), ("functionname", FUNCTION),
    ("handler", "app.handler"), ("runtime", "python3.11"), ("loggroup", GROUP), ("logstream", "s"),
    ("copysource", f"{BUCKET}/key"), ("statementid", "s"), ("sequencetoken", "1"), ("filterpattern", "{ $.a = 1 }"),
    ("accountid", "000000000000"),
]  # fmt: skip
PLAIN = [
    "a", "key", "s", "1", "$LATEST", "/", "/a/", TRUST, "lambda:InvokeFunction", "s3.amazonaws.com", f"{ARN}role/{ROLE}",
    f"{ARN}user/u", BUCKET, GROUP, "aaaaaaaaaaaaaaaa", "0" * 12, f"arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}",
    f"arn:aws:s3:::{BUCKET}", f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}", "s3:ObjectCreated:*", "x" * 600,
]  # fmt: skip
NUMBERS: list[Any] = [0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, 1e308, float("nan"), float("inf")]
BYTES = [b"", b"\0", b"\xff\xfe", b"PK\x05\x06" + b"\0" * 18, b"PK\x03\x04", b"x" * 1_000]
RAW_BODIES = [
    b"", b"{", b"[]", b"null", b"0", b'"x"', b"\xff\xfe", b"\0", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":1e999}',
    b'{"a":' + b"9" * 5_000 + b"}", b'{"a":' + NESTED.encode(), b'{"a":"\\ud800"}', b'{"\\u0000":1}', b"\xef\xbb\xbf{}",
    NESTED.encode(), b"<a>" * 50_000, b"<", b"<a/>", b"<a", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', b'<?xml version="1.0" encoding="utf-16"?><a/>',
    b'<?xml version="1.0" encoding="none"?><a/>', b"<a xmlns:b='c'><b:d/></a>", b"<a b='c' b='d'/>", b"<a>\0</a>",
    b"<a>\xff</a>", b"<a>&#0;</a>", b"\xbf\xff", b"\xbf" * 5_000 + b"\xff", b"\x9f" * 100_000, b"\xa1\x61a", b"\x5f\x41a",
    b"\xdb" + b"\xff" * 8, b"\x7b" + b"\xff" * 8, b"\xf9\x7e\x00", b"\xc1\xfb\x7f\xf0\0\0\0\0\0\0", b"\xa1\x01\x02",
    b"5;chunk-signature=x\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\n\r\n", b"a.member.1=b&a.member.3=c",
    b"a.member.0=b", b"a.entry.1.key=b", b"=&=&=", b"%", b"%ff=%00", b"&".join(b"a%d=b" % n for n in range(30_000)),
    b"a" + b".1" * 5_000 + b"=b",
]  # fmt: skip
HEADERS = [
    ("content-type", "application/json"), ("content-type", "application/x-amz-json-1.1"), ("content-type", "application/xml"),
    ("content-type", "application/x-www-form-urlencoded"), ("content-type", "application/cbor"), ("content-type", "é"),
    ("content-type", ""), ("smithy-protocol", "rpc-v2-cbor"), ("x-amz-target", "Logs_20140328.PutLogEvents"),
    ("x-amz-target", "."), ("x-amz-target", ""), ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("x-amz-content-sha256", "x"),
    ("content-encoding", "aws-chunked"), ("content-encoding", "gzip"), ("x-amz-decoded-content-length", "-1"),
    ("x-amz-decoded-content-length", "9" * 30), ("x-amz-trailer", "x-amz-checksum-crc32"), ("content-md5", "x"),
    ("content-md5", "AAAA"), ("x-amz-checksum-crc32", "x"), ("x-amz-checksum-sha256", "é"),
    ("x-amz-sdk-checksum-algorithm", "x"), ("x-amz-checksum-algorithm", "MD5"), ("range", "bytes=" + "9" * 40 + "-"),
    ("range", "bytes=5-2"), ("range", "bytes=--1"), ("range", "bytes=0-0,2-2"), ("range", "é"), ("if-match", "*"),
    ("if-none-match", "*"), ("if-modified-since", "x"), ("if-modified-since", "Sun, 99 Jan 99999 00:00:00 GMT"),
    ("x-amz-copy-source", "x"), ("x-amz-copy-source", f"/{BUCKET}/key?versionId=x"), ("x-amz-copy-source", "%"),
    ("x-amz-copy-source", f"{BUCKET}/%00"), ("x-amz-copy-source-range", "bytes=9-1"), ("x-amz-meta-", "x"),
    ("x-amz-meta-a", "=?UTF-8?B?!!!?="), ("x-amz-meta-a", "x" * 3_000), ("x-amz-meta-ä", "é"), ("x-amz-tagging", "a=b&a=c"),
    ("x-amz-tagging", "%"), ("x-amz-tagging", "&".join(f"{n}=x" for n in range(20))), ("x-amz-acl", "x"),
    ("x-amz-invocation-type", "x"), ("x-amz-invocation-type", "Event"), ("x-amz-log-type", "Tail"),
    ("x-amz-client-context", "x"), ("x-amz-client-context", "e30="),
    ("x-amz-client-context", base64.b64encode(NESTED.encode()[:3_000]).decode()), ("x-amz-date", "x"),
    ("x-amz-security-token", "x"), ("x-amzn-trace-id", ";=;Root=1--;Parent="), ("authorization", "x"),
    ("authorization", "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=, Signature="), ("authorization", "Bearer x"),
    ("authorization", ""), ("authorization", "AWS4-ECDSA-P256-SHA256 x"), ("authorization", "AWS é:é"), ("host", "é"),
    ("host", ""), ("host", f"{BUCKET}.s3.localhost"), ("host", "..s3..localhost"), ("host", "[::1"), ("host", "a:b:c"),
    ("origin", "null"), ("x-amz-expected-bucket-owner", "x"), ("x-amz-copy-source-if-match", "é"),
    ("x-amz-object-attributes", ",,x"), ("x-amz-mfa", "x"), ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-website-redirect-location", "é"), ("expires", "x"), ("expires", "9e99"), ("x-amz-storage-class", "x"),
    ("x-amz-object-lock-retain-until-date", "x"), ("cache-control", "\x7f"), ("x-amz-request-payer", "x"),
    ("accept-encoding", "\xff"), ("accept", "x"), ("user-agent", "\xff"), ("referer", "\xff"), ("expect", "x"),
]  # fmt: skip
QUERIES = [
    "", "Action=", "Action=x&Version=2010-05-08", "Action=GetUser&Version=x", "%", "%ff=%ff", "&&&", "=", "uploads",
    "uploadId=", "partNumber=x&uploadId=x", "acl", "policy", "tagging&versionId=x", "versions", "list-type=2&max-keys=-1",
    "list-type=2&continuation-token=x", "list-type=x", "max-keys=" + "9" * 30, "encoding-type=x",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/b/c/d/e&X-Amz-Date=x&X-Amz-Expires=x&X-Amz-SignedHeaders=x&X-Amz-Signature=x",
    "X-Amz-Credential=", "X-Amz-Expires=-1", "AWSAccessKeyId=x&Expires=x&Signature=x",
    "AWSAccessKeyId=x&Expires=" + "9" * 30 + "&Signature=%", "X-Amz-Security-Token=%ff", "response-expires=x",
    "response-expires=9e99", "response-content-type=%0d%0ax:y", "response-content-disposition=%00",
    "response-cache-control=%C3%A9", "Marker=x", "Marker=Zjp4", "MaxItems=x", "MaxItems=" + "9" * 30, "Qualifier=x",
    "Qualifier=$LATEST", "tagKeys=", "a=b;c=d", "delimiter=%00&prefix=%ff", "partNumber=" + "9" * 30, "notification", "cors",
    "lifecycle", "delete", "location", "select&select-type=2",
]  # fmt: skip


class Fuzz:
    """One stream of hostile input for one service, the same for the same seed."""

    def __init__(self, model: ServiceModel, seed: int) -> None:
        self.model = model
        self.random = random.Random(seed)
        self.wild = 0.0

    def begin(self) -> None:
        """Before each request: how much of it is hostile, for what is refused at the door never reaches the rooms."""
        self.wild = self.random.choice((0.0, 0.0, 0.05, 0.5, 1.0))

    def is_wild(self) -> bool:
        return self.random.random() < self.wild

    def value(self, ref: Ref, depth: int = 0) -> Any:
        """Something for a member: mostly of its kind, sometimes of another."""
        shape, chance = self.model.shape(ref), self.random
        kind = (
            chance.choice(("string", "structure", "list", "integer"))
            if self.is_wild() and chance.random() < 0.1
            else shape.type
        )
        if depth >= DEPTH_MAX or (self.is_wild() and chance.random() < 0.05):
            return None
        if kind == "structure":
            names = [name for name in shape.members if name in shape.required or chance.random() < 0.4]
            return {name: self.value(shape.members[name], depth + 1) for name in names}
        if kind == "list":
            return [
                self.value(shape.member, depth + 1) if shape.member else None
                for _ in range(chance.choice((0, 1, 1, 3)))
            ]
        if kind == "map":
            inner = shape.value
            return {
                chance.choice(TEXTS): self.value(inner, depth + 1) if inner else None
                for _ in range(chance.choice((0, 1, 2)))
            }
        if kind == "boolean":
            return chance.choice((True, False, "true", 1)) if self.is_wild() else chance.choice((True, False))
        if kind == "timestamp" and not self.is_wild():
            return "2026-01-01T00:00:00Z" if self.model.metadata.protocol in ("query", "rest-xml") else 1_767_225_600
        if kind in ("integer", "long", "float", "double", "timestamp"):
            return (
                chance.choice([*NUMBERS, "x"])
                if self.is_wild()
                else chance.randint(int(shape.min or 0), min(int(shape.max or 9), 10_000))
            )
        if kind == "blob":
            return base64.b64encode(chance.choice(BYTES) if self.is_wild() else package("handler = print")).decode()
        if shape.enum and not self.is_wild():
            return chance.choice(shape.enum)
        return self.name(ref)

    def name(self, ref: Ref) -> str:
        """A name of something that is there, text that the model allows, or hostile text."""
        if self.is_wild():
            return self.random.choice(TEXTS)
        there = [text for word, text in THERE if word in ref.shape.lower()]
        if there and self.random.random() < 0.8:
            return there[0]
        shape = self.model.shape(ref)
        allowed = [
            text for text in PLAIN if len(text) >= (shape.min or 0) and re.fullmatch(_python(shape.pattern), text)
        ]
        return self.random.choice(allowed or TEXTS)

    def headers(self) -> list[tuple[str, str]]:
        return [self.random.choice(HEADERS) for _ in range(self.random.choice((1, 1, 3)))] if self.is_wild() else []


def _python(pattern: str | None) -> str:
    """A model's pattern in Python's words; anything at all where there is none."""
    text = re.sub(r"\\p\{(L|Z|N|M|P|S)\}", r"\\w", pattern or "(?s:.*)")
    try:
        re.compile(text)
    except re.error:
        return "(?s:.*)"
    return text


def rest(fuzz: Fuzz, operation: OperationModel) -> bytes:
    shape = fuzz.model.shape(operation.input) if operation.input else None
    path, _, query = operation.http.request_uri.partition("?")
    headers, inner, fields = fuzz.headers(), {}, [query] if query else []
    for name, ref in (shape.members if shape else {}).items():
        where, wire = ref.location, ref.location_name or name
        value = fuzz.value(ref)
        if where == "uri":
            for label in (f"{{{wire}+}}", f"{{{wire}}}"):
                text = fuzz.name(ref) if not fuzz.is_wild() else str(value)
                path = path.replace(
                    label,
                    quote(
                        text.encode("utf-8", "surrogatepass"),
                        safe="/:" if ref.shape == "ObjectKey" else fuzz.random.choice(("", "/:")),
                    ),
                )
        elif fuzz.random.random() < 0.5 and name not in shape.required:
            continue
        elif where == "querystring":
            fields.append(f"{wire}={quote(str(value).encode('utf-8', 'surrogatepass'))}")
        elif where in ("header", "headers"):
            headers.append((wire, str(value).encode("utf-8", "replace").decode("latin-1")))
        else:
            inner[wire] = value
    if fuzz.is_wild():
        fields.append(fuzz.random.choice(QUERIES))
    body = fuzz.random.choice(RAW_BODIES)
    if not fuzz.is_wild() or fuzz.random.random() < 0.5:
        body = xml(fuzz, operation, inner) if fuzz.model.metadata.protocol == "rest-xml" else as_json(inner)
    return message(operation.http.method, path, "&".join(fields), headers, body, fuzz)


def rpc(fuzz: Fuzz, operation: OperationModel) -> bytes:
    head, value = fuzz.model.metadata, fuzz.value(operation.input) if operation.input else {}
    if head.protocol == "query":
        fields = [("Action", operation.name), ("Version", head.api_version), *form(value, "", fuzz)]
        body = "&".join(
            f"{quote(name)}={quote(text.encode('utf-8', 'surrogatepass'))}" for name, text in fields
        ).encode()
        if fuzz.is_wild():
            body += b"&" + fuzz.random.choice(RAW_BODIES)
        headers = [("content-type", "application/x-www-form-urlencoded"), *fuzz.headers()]
        return message("POST", "/", "", headers, body, fuzz)
    body = as_json(value) if not fuzz.is_wild() else fuzz.random.choice(RAW_BODIES)
    if fuzz.random.random() < 0.3:
        body = cbor(value) if not fuzz.is_wild() else body
        headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor"), *fuzz.headers()]
        return message("POST", f"/service/{head.target_prefix}/operation/{operation.name}", "", headers, body, fuzz)
    headers = [
        ("x-amz-target", f"{head.target_prefix}.{operation.name}"),
        ("content-type", "application/x-amz-json-1.1"),
        *fuzz.headers(),
    ]
    return message("POST", "/", "", headers, body, fuzz)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def xml(fuzz: Fuzz, operation: OperationModel, inner: dict[str, Any]) -> bytes:
    def element(name: str, value: Any) -> str:
        if isinstance(value, dict):
            return f"<{name}>{''.join(element(key, one) for key, one in value.items() if key.isidentifier())}</{name}>"
        if isinstance(value, list):
            return (
                "".join(element(name, one) for one in value)
                if fuzz.random.random() < 0.5
                else f"<{name}>{''.join(element('member', one) for one in value)}</{name}>"
            )
        text = str(value).replace("&", "&amp;").replace("<", "&lt;")
        return f"<{name}>{text}</{name}>"

    return "".join(element(name, value) for name, value in inner.items()).encode("utf-8", "surrogatepass")


def form(value: Any, prefix: str, fuzz: Fuzz) -> Iterator[tuple[str, str]]:
    dot = f"{prefix}." if prefix else ""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from form(one, dot + name, fuzz)
    elif isinstance(value, list):
        for at, one in enumerate(value, 1):
            yield from form(
                one,
                f"{dot}member.{at if not fuzz.is_wild() else fuzz.random.choice((0, 7, 'x', '1_0', 10**9, '²'))}",
                fuzz,
            )
    else:
        yield prefix or "x", str(value)


def cbor(value: Any) -> bytes:
    def head(major: int, size: int) -> bytes:
        return bytes([major << 5 | 27]) + struct.pack(">Q", size)

    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, bool) or value is None:
        return b"\xf6" if value is None else b"\xf5"
    if isinstance(value, int) and 0 <= value < 2**64:
        return head(0, value)
    if isinstance(value, int | float):
        return b"\xfb" + struct.pack(">d", float(value) if abs(value) < 1e300 else float("inf"))
    raw = str(value).encode("utf-8", "surrogatepass")
    return head(3, len(raw)) + raw


def message(method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, fuzz: Fuzz) -> bytes:
    """A whole HTTP request. Its framing is right: that of the gateway is tested where the gateway is."""
    names = {name for name, _ in headers}
    lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1"]
    if "host" not in names:
        lines.append("host: localhost")
    if "authorization" not in names and not (fuzz.is_wild() and fuzz.random.random() < 0.2):
        scope = f"20260101/us-east-1/{fuzz.model.metadata.signed_as()}/aws4_request"
        lines.append(
            f"authorization: AWS4-HMAC-SHA256 Credential=000000000000/{scope}, SignedHeaders=host, Signature={'0' * 64}"
        )
    clean = [(name, value.replace("\r", " ").replace("\n", " ").replace("\0", " ")) for name, value in headers]
    lines += [f"{name}: {value}" for name, value in clean if name.lower() not in ("content-length", "expect")]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def ask(address: tuple[str, int], sent: bytes) -> int:
    """Send it and read the answer's status; 0 when the connection ends without one."""
    with socket.create_connection(address, timeout=ANSWER_TIMEOUT_S) as wire:
        with contextlib.suppress(OSError):  # refused before all of it was read: the answer is there
            wire.sendall(sent)
        got = b""
        while b"\r\n" not in got and (more := wire.recv(65_536)):
            got += more
    return int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.1 ") else 0


def furnish(cloud: TestCloud) -> None:
    """What hostile requests may hit; made again when they have removed it."""
    iam, logs, s3 = cloud.client("iam"), cloud.client("logs"), cloud.client("s3")
    makers: list[Callable[[], object]] = [
        lambda: s3.create_bucket(Bucket=BUCKET),
        lambda: s3.put_object(Bucket=BUCKET, Key="key", Body=b"0123456789"),
        lambda: iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST),
        lambda: iam.create_user(UserName="u"),
        lambda: iam.create_group(GroupName="g"),
        lambda: iam.create_instance_profile(InstanceProfileName="i"),
        lambda: logs.create_log_group(logGroupName=GROUP),
        lambda: logs.create_log_stream(logGroupName=GROUP, logStreamName="s"),
        lambda: make_function(cloud.client("lambda"), FUNCTION, "def handler(event, context):\n    return 1\n"),
    ]
    for make in makers:
        with contextlib.suppress(ClientError):  # it is there still
            make()


@pytest.fixture(scope="module")
def address(cloud: TestCloud) -> tuple[str, int]:
    at = urlsplit(cloud.url)
    return at.hostname or "", at.port or 0


@pytest.mark.parametrize("service", Services().names())
def test_no_operation_answers_hostile_input_with_a_500(
    service: str, cloud: TestCloud, address: tuple[str, int]
) -> None:
    offered, model = Services().get(service), LIBRARY.load(service)
    make: Callable[[Fuzz, OperationModel], bytes] = rest if model.metadata.protocol.startswith("rest") else rpc
    assert offered is not None

    for number in range(ROUNDS):
        fuzz = Fuzz(model, SEED + number)
        furnish(cloud)
        for name in fuzz.random.sample(sorted(offered.operations), len(offered.operations)):
            fuzz.begin()
            sent = make(fuzz, model.operations[name])
            status = ask(address, sent)

            assert status not in (0, 500), (name, status, sent[:2_000], cloud.log.events[-3:])
    assert [event for event in cloud.log.events if event[1] == "request failed"] == []


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_whatever_was_accepted_can_be_read_again(kind: str, cloud: TestCloud) -> None:
    store = cloud.cloud.rooms.store_of(kind)

    async def read() -> None:
        for space in SCHEMAS[kind].spaces:
            start = b""
            while rows := await store.scan(space, Range(start), SCAN_MAX_ROWS):
                start = rows[-1][0] + b"\0"

    cloud.run(read())
