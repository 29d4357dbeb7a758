"""Signatures: what AWS's own signers make is believed, anything else is refused in AWS's words."""

import datetime
import hashlib
from collections.abc import Callable

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from haneul.base.env import ManualEnv
from haneul.clouds.aws.auth import read_auth
from haneul.clouds.aws.refusals import Refusal, worded
from haneul.clouds.aws.signature import Verifier, signing_key
from haneul.engines.identity.principal import Principal
from haneul.engines.identity.records import Credential
from haneul.gateway.http import Request
from tests.unit.aws.driver import Bytes, Keys

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "localhost:4566"


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> ManualEnv:
    """A clock that stands, for the signer too."""
    env = ManualEnv(now=1_800_000_000.0)
    moment = datetime.datetime.fromtimestamp(env.now(), datetime.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: moment.replace(tzinfo=None))
    monkeypatch.setattr("botocore.auth.time.time", env.now)
    return env


def keys(**changes: object) -> Keys:
    made = Keys(**{KEY: SECRET})
    if changes:
        known = made.known[KEY]
        values = {"session_token": known.session_token, "expires_ms": known.expires_ms, **changes}
        made.known[KEY] = Credential(SECRET, values["session_token"], values["expires_ms"], known.principal)  # type: ignore[arg-type]
    return made


def signed(
    signer: Callable[[Credentials], object],
    *,
    method: str = "POST",
    url: str = f"http://{HOST}/",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> Request:
    made = AWSRequest(method=method, url=url, data=body, headers={"Host": HOST, **(headers or {})})
    signer(Credentials(KEY, SECRET, token)).add_auth(made)  # type: ignore[attr-defined]
    prepared = made.prepare()
    target = "/" + prepared.url.split("/", 3)[3]
    fields = {name.lower(): value for name, value in prepared.headers.items()}
    return Request(
        method=method,
        target=target.encode(),
        headers=[
            (name.encode(), value if isinstance(value, bytes) else str(value).encode())
            for name, value in fields.items()
        ],
        body=Bytes(body),
    )


def v4(service: str = "sqs", region: str = "us-east-1") -> Callable[[Credentials], object]:
    return lambda credentials: SigV4Auth(credentials, service, region)


def changed(request: Request, *, target: bytes | None = None, **headers: str) -> Request:
    """The same request as somebody in between might send it on."""
    fields = dict(request.headers)
    fields.update({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()})
    return Request(
        method=request.method, target=target or request.target, headers=list(fields.items()), body=request.body
    )


def verify(
    env: ManualEnv,
    request: Request,
    *,
    known: Keys | None = None,
    name: str = "sqs",
    region: str = "",
    body: bytes | None = b"",
) -> Principal:
    verifier = Verifier(known or keys(), env)
    return verifier.verify(request, read_auth(request), names=(name,), region=region, body=body)[0]


def refused(env: ManualEnv, request: Request, family: str = "json", **options: object) -> tuple[str, str, int]:
    with pytest.raises(Refusal) as caught:
        verify(env, request, **options)  # type: ignore[arg-type]
    error = worded(caught.value, family)
    return error.code, error.message, error.status


def test_the_signing_key_is_that_of_the_published_example() -> None:
    # AWS General Reference, "Examples of how to derive a signing key for Signature Version 4".
    key = signing_key(SECRET, "20120215", "us-east-1", "iam")

    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_a_signed_request_is_believed(env: ManualEnv) -> None:
    request = signed(v4(), body=b'{"QueueUrl":"q"}', headers={"X-Amz-Target": "AmazonSQS.SendMessage"})

    assert verify(env, request, body=b'{"QueueUrl":"q"}').name == "tester"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a/b",
        "/a%20b/c",
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3A1/invocations",
        "/a/../b",
        "/a//b/./c/",
        "/%E6%BC%A2",
    ],
)
def test_any_path_and_query_is_canonical_on_both_sides(env: ManualEnv, path: str) -> None:
    request = signed(v4("lambda"), method="GET", url=f"http://{HOST}{path}?b=2&a=1&a=0&empty=&sp=x%20y&uni=%C3%A9")

    assert verify(env, request, name="lambda").kind == "user"


@pytest.mark.parametrize("path", ["/b/k", "/b/a//b/../c", "/b/a%20b%2Bc%C3%A9", "/b/~-_."])
def test_s3_encodes_a_path_once(env: ManualEnv, path: str) -> None:
    request = signed(lambda it: S3SigV4Auth(it, "s3", "us-east-1"), method="GET", url=f"http://{HOST}{path}?acl")

    assert verify(env, request, name="s3", body=None).kind == "user"


def test_spaces_inside_a_signed_header_do_not_matter(env: ManualEnv) -> None:
    request = signed(v4(), headers={"X-Amz-Note": "a   b"})

    assert verify(env, changed(request, x_amz_note="a b")).kind == "user"


@pytest.mark.parametrize(
    "forge",
    [
        lambda it: changed(it, target=b"/other"),
        lambda it: changed(it, target=b"/?Action=DeleteQueue"),
        lambda it: changed(it, host="evil:1"),
        lambda it: changed(it, x_amz_target="AmazonSQS.DeleteQueue"),
    ],
)
def test_a_request_changed_on_its_way_is_refused(env: ManualEnv, forge: Callable[[Request], Request]) -> None:
    request = forge(signed(v4(), headers={"X-Amz-Target": "AmazonSQS.SendMessage"}))

    code, message, status = refused(env, request)

    assert (code, status) == ("InvalidSignatureException", 400)
    assert message.startswith(
        "The request signature we calculated does not match the signature you provided. Check your AWS"
    )


def test_a_changed_body_is_refused(env: ManualEnv) -> None:
    assert refused(env, signed(v4(), body=b"{}"), body=b"[]")[0] == "InvalidSignatureException"


def test_a_payload_hash_cannot_stand_for_another_body_outside_s3(env: ManualEnv) -> None:
    request = signed(v4(), body=b"{}", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})

    assert refused(env, request, body=b"[]")[0] == "InvalidSignatureException"


def test_each_family_has_its_own_code(env: ManualEnv) -> None:
    request = changed(signed(v4()), target=b"/x")

    assert refused(env, request, "query")[::2] == ("SignatureDoesNotMatch", 403)
    assert refused(env, request, "rest-json")[::2] == ("InvalidSignatureException", 403)
    assert refused(env, request, "s3")[::2] == ("SignatureDoesNotMatch", 403)


def test_s3_shows_what_it_signed(env: ManualEnv) -> None:
    request = changed(signed(v4("s3"), headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}), target=b"/x")
    with pytest.raises(Refusal) as caught:
        verify(env, request, name="s3", body=None)

    members = worded(caught.value, "s3").members

    assert members["AWSAccessKeyId"] == KEY
    assert members["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert members["CanonicalRequest"].startswith("POST\n/x\n")
    assert SECRET not in str(members)


def test_an_unknown_key_is_refused(env: ManualEnv) -> None:
    request = signed(v4())
    nobody = Keys()

    assert refused(env, request, known=nobody)[0] == "UnrecognizedClientException"
    assert refused(env, request, "query", known=nobody)[0] == "InvalidClientTokenId"
    assert refused(env, request, "s3", known=nobody)[0] == "InvalidAccessKeyId"


@pytest.mark.parametrize("seconds", [-899, 0, 899])
async def test_a_clock_may_be_a_quarter_of_an_hour_off(env: ManualEnv, seconds: int) -> None:
    request = signed(v4())
    env._now += seconds

    assert verify(env, request).kind == "user"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (901, "Signature expired: 20270115T080000Z is now earlier than 20270115T080001Z (20270115T081501Z - 15 min.)"),
        (
            -901,
            "Signature not yet current: 20270115T080000Z is still later than 20270115T075959Z (20270115T074459Z + 15 min.)",
        ),
    ],
)
def test_a_clock_further_off_is_refused(env: ManualEnv, seconds: int, words: str) -> None:
    request = signed(v4())
    env._now += seconds

    assert refused(env, request) == ("InvalidSignatureException", words, 400)
    assert refused(env, request, "s3")[0] == "RequestTimeTooSkewed"


def test_a_scope_of_another_service_is_refused(env: ManualEnv) -> None:
    code, message, _ = refused(env, signed(v4("sns")))

    assert (code, message) == ("InvalidSignatureException", "Credential should be scoped to correct service: 'sqs'.")


def test_a_scope_of_another_region_than_the_host_is_refused(env: ManualEnv) -> None:
    assert verify(env, signed(v4(region="eu-west-1")), region="eu-west-1").kind == "user"
    assert refused(env, signed(v4(region="eu-west-1")), region="us-west-2")[1].startswith("Credential should be scoped")
    assert (
        "'eu-west-1' is wrong; expecting 'us-west-2'"
        in refused(env, signed(v4(region="eu-west-1")), "s3", region="us-west-2")[1]
    )


def test_a_scope_of_another_day_or_terminator_is_refused(env: ManualEnv) -> None:
    request = signed(v4())
    sent = dict(request.headers)[b"authorization"].decode()

    day = refused(env, changed(request, authorization=sent.replace("20270115", "20270114")))
    terminator = refused(env, changed(request, authorization=sent.replace("aws4_request", "aws5_request")))

    assert day[1].startswith("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
    assert terminator[1] == "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."


def test_the_host_and_every_amz_header_must_be_signed(env: ManualEnv) -> None:
    request = signed(v4())

    added = refused(env, changed(request, x_amz_acl="public-read"), "s3")
    sent = dict(request.headers)[b"authorization"].decode()
    hostless = refused(env, changed(request, authorization=sent.replace("host;", "")))

    assert added[:2] == ("AccessDenied", "There were headers present in the request which were not signed")
    assert hostless[1] == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."


def test_a_session_needs_its_token(env: ManualEnv) -> None:
    session = keys(session_token="token")

    assert verify(env, signed(v4(), token="token"), known=session).kind == "user"
    assert refused(env, signed(v4()), known=session)[0] == "UnrecognizedClientException"
    assert refused(env, signed(v4(), token="forged"), known=session)[0] == "UnrecognizedClientException"
    assert refused(env, signed(v4(), token="token"))[0] == "UnrecognizedClientException"
    assert refused(env, signed(v4(), token="forged"), "s3", known=session)[0] == "InvalidToken"


def test_a_session_ends(env: ManualEnv) -> None:
    ended = keys(session_token="token", expires_ms=env.now_ms())

    assert refused(env, signed(v4(), token="token"), known=ended)[0] == "ExpiredTokenException"
    assert refused(env, signed(v4(), token="token"), "query", known=ended)[0] == "ExpiredToken"
    assert refused(env, signed(v4(), token="token"), "s3", known=ended)[0] == "ExpiredToken"


def presigned(expires: int = 60, token: str | None = None) -> Request:
    return signed(
        lambda it: S3SigV4QueryAuth(it, "s3", "us-east-1", expires=expires),
        method="GET",
        url=f"http://{HOST}/bucket/a%20key?versionId=1",
        token=token,
    )


@pytest.mark.parametrize("after", [0, 59, 60])
def test_a_presigned_url_opens_while_it_lasts(env: ManualEnv, after: int) -> None:
    request = presigned()
    env._now += after

    assert verify(env, request, name="s3", body=None).kind == "user"


def test_a_presigned_url_ends(env: ManualEnv) -> None:
    request = presigned()
    env._now += 61

    assert refused(env, request, "s3", name="s3", body=None) == ("AccessDenied", "Request has expired", 403)


def test_a_presigned_url_carries_its_session(env: ManualEnv) -> None:
    session = keys(session_token="token/+=")

    assert verify(env, presigned(token="token/+="), known=session, name="s3", body=None).kind == "user"


@pytest.mark.parametrize("lasts", ["604801", "-1", "soon", ""])
def test_a_presigned_url_cannot_last_longer_than_a_week(env: ManualEnv, lasts: str) -> None:
    request = presigned()
    request = changed(request, target=request.target.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=" + lasts.encode()))

    assert refused(env, request, "s3", name="s3", body=None)[::2] == ("AuthorizationQueryParametersError", 400)


def test_a_presigned_url_holds_for_its_method_and_object_only(env: ManualEnv) -> None:
    request = presigned()
    other = changed(request, target=request.target.replace(b"a%20key", b"b%20key"))
    put = Request(method="PUT", target=request.target, headers=request.headers, body=request.body)

    assert refused(env, other, "s3", name="s3", body=None)[0] == "SignatureDoesNotMatch"
    assert refused(env, put, "s3", name="s3", body=None)[0] == "SignatureDoesNotMatch"


def test_other_services_may_be_presigned_too(env: ManualEnv) -> None:
    request = signed(
        lambda it: SigV4QueryAuth(it, "sts", "us-east-1", expires=60),
        method="GET",
        url=f"http://{HOST}/?Action=GetCallerIdentity&Version=2011-06-15",
    )

    assert verify(env, request, name="sts").kind == "user"


def test_a_presigned_url_of_version_2_opens_while_it_lasts(env: ManualEnv) -> None:
    request = signed(lambda it: HmacV1QueryAuth(it, expires=60), method="GET", url=f"http://{HOST}/bucket/key?acl")

    assert verify(env, request, name="s3", body=None).kind == "user"
    other = changed(request, target=request.target.replace(b"/key", b"/kez"))
    assert refused(env, other, "s3", name="s3", body=None)[0] == "SignatureDoesNotMatch"
    env._now += 61
    assert refused(env, request, "s3", name="s3", body=None)[1] == "Request has expired"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Basic dXNlcjpwYXNz", "Unsupported Authorization Type"),
        ("AWS4-HMAC-SHA256", "not a valid key=value pair"),
        ("AWS4-HMAC-SHA256 Credential", "not a valid key=value pair"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c",
            "requires 'Signature' parameter. Authorization header requires 'SignedHeaders'",
        ),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0", "exactly 5 slash-delimited elements"),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" + "0" * 64, "requires 'Credential' parameter"),
        ("", "Unsupported Authorization Type"),
    ],
)
def test_a_malformed_header_is_told_apart(header: str, words: str) -> None:
    request = Request(method="GET", target=b"/", headers=[(b"authorization", header.encode())], body=Bytes(b""))

    auth = read_auth(request)

    assert auth.kind == "malformed" and words in auth.problem


def test_the_published_s3_example_is_believed() -> None:
    # Amazon S3 API reference, "Signature calculations: GET Object" with its example key, host and date.
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    env = ManualEnv(now=1369353600.0)
    request = Request(
        method="GET",
        target=b"/test.txt",
        headers=[
            (b"host", b"examplebucket.s3.amazonaws.com"),
            (
                b"authorization",
                b"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;"
                b"range;x-amz-content-sha256;x-amz-date,"
                b"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (b"range", b"bytes=0-9"),
            (b"x-amz-content-sha256", hashlib.sha256(b"").hexdigest().encode()),
            (b"x-amz-date", b"20130524T000000Z"),
        ],
        body=Bytes(b""),
    )

    principal = verify(env, request, known=Keys(AKIAIOSFODNN7EXAMPLE=secret), name="s3", body=None)

    assert principal.name == "tester"


def test_comparison_is_over_the_whole_signature(env: ManualEnv) -> None:
    request = signed(v4())
    sent = dict(request.headers)[b"authorization"].decode()

    for forged in (sent[:-1], sent[:-1] + ("0" if sent[-1] != "0" else "1"), sent + "0"):
        assert refused(env, changed(request, authorization=forged))[0] == "InvalidSignatureException"
