"""Signature Version 4, and version 2 of presigned S3 URLs: who signed a request, and whether that is true."""

import base64
import calendar
import hashlib
import hmac
import re
from functools import lru_cache
from typing import NamedTuple, NoReturn, Protocol
from urllib.parse import quote, unquote_to_bytes

from haneul.base import limits
from haneul.base.env import Env
from haneul.clouds.aws.auth import ALGORITHM, Auth
from haneul.clouds.aws.refusals import Refusal
from haneul.engines.identity.principal import Principal
from haneul.gateway.http import Request

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest().encode()
UNSIGNED = b"UNSIGNED-PAYLOAD"
_DATE = re.compile(r"\d{8}T\d{6}Z\Z", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,32}\Z", re.ASCII)
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/._~-]*\Z")
# Query fields that version 2 signs as part of the resource: S3 developer guide, "Signing and authenticating REST requests".
_V2_SUBRESOURCES = frozenset(
    {
        "acl",
        "cors",
        "delete",
        "lifecycle",
        "location",
        "logging",
        "notification",
        "partNumber",
        "policy",
        "requestPayment",
        "restore",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    }
)


class Credential(Protocol):
    """What is known of an access key. session_token: "" for a long-lived key. expires_ms: None when it never does."""

    @property
    def secret(self) -> str: ...

    @property
    def session_token(self) -> str: ...

    @property
    def expires_ms(self) -> int | None: ...

    @property
    def principal(self) -> Principal: ...


class Credentials(Protocol):
    """Where access keys are looked up, from memory."""

    def credential(self, access_key_id: str) -> Credential | None: ...


class Proof(NamedTuple):
    """A verified signature, and what the chunks of a signed stream are verified with."""

    key: bytes
    moment: bytes
    scope: bytes
    signature: bytes


class Verifier:
    """Checks signatures against known credentials; signing keys are cached, at most SIGNING_KEYS_MAX of them."""

    def __init__(self, credentials: Credentials, env: Env) -> None:
        self._credentials = credentials
        self._env = env
        self._keys: dict[tuple[str, str, str, str], tuple[bytes, bytes]] = {}

    def verify(
        self, request: Request, auth: Auth, *, names: tuple[str, ...], region: str, body: bytes | None
    ) -> tuple[Principal, Proof | None]:
        """Who signed the request. Raises Refusal.

        names   the service names that the scope may carry
        region  the region that the host names, or "" when it names none
        body    the request body, or None when the payload hash must be taken from the header and is checked later
        """
        if auth.kind == "v2":
            return self._verify_v2(request, auth), None
        if auth.problem == "v4a":
            raise Refusal("incomplete", "Signature version 4A is not supported here; sign with AWS4-HMAC-SHA256.")
        credential = self._known(auth, request)
        moment = self._moment(request, auth)
        _check_scope(auth, moment, names, region)
        signed = auth.signed_headers.split(b";")
        if auth.kind == "header":
            _check_signed_headers(request, signed)
        elif b"host" not in signed:
            raise Refusal("unsigned_headers", "host")
        payload = _payload_hash(request, auth, names, body)
        canonical = canonical_request(request, auth, signed, payload, is_s3="s3" in names)
        key, scope = self._signing_key(credential.secret, auth)
        text = b"%b\n%b\n%b\n%b" % (ALGORITHM, moment.encode(), scope, hashlib.sha256(canonical).hexdigest().encode())
        expected = hmac.digest(key, text, "sha256").hex().encode()
        if not hmac.compare_digest(expected, auth.signature):
            raise Refusal(
                "mismatch",
                access_key=auth.access_key,
                string_to_sign=text,
                canonical=canonical,
                signature=auth.signature.decode("latin-1"),
            )
        return credential.principal, Proof(key, moment.encode(), scope, expected)

    def check_expiry(self, auth: Auth) -> None:
        """Refuse a presigned URL whose time is over; needs no credentials."""
        if auth.kind == "query" and auth.query is not None:
            self._check_presigned(auth.query["X-Amz-Date"], auth.query.get("X-Amz-Expires"), self._env.now())
        elif auth.kind == "v2" and auth.query is not None:
            self._check_expires_v2(auth.query.get("Expires", ""))

    def _known(self, auth: Auth, request: Request) -> Credential:
        credential = self._credentials.credential(auth.access_key)
        if credential is None:
            raise Refusal("unknown_key", access_key=auth.access_key)
        header = request.header(b"x-amz-security-token")
        sent = header.decode("latin-1") if header is not None else (auth.query or {}).get("X-Amz-Security-Token", "")
        if (sent or credential.session_token) and not hmac.compare_digest(
            sent.encode(), credential.session_token.encode()
        ):
            raise Refusal("bad_token", access_key=auth.access_key, token=sent)
        if credential.expires_ms is not None and credential.expires_ms <= self._env.now_ms():
            raise Refusal("expired_token", token=sent)
        return credential

    def _moment(self, request: Request, auth: Auth) -> str:
        """The time of signing (basic ISO 8601), checked against the clock."""
        now = self._env.now()
        if auth.kind == "query":
            assert auth.query is not None
            text = auth.query["X-Amz-Date"]
            self._check_presigned(text, auth.query.get("X-Amz-Expires"), now)
            return text
        text = (request.header(b"x-amz-date") or b"").decode("latin-1")
        if not _DATE.match(text):
            problem = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
            raise Refusal("incomplete", problem)
        signed = _seconds(text)
        if abs(now - signed) > limits.AWS_TOKEN_WINDOW_S:
            raise Refusal("skewed", moment=text, signed_s=signed, now_s=now)
        return text

    def _check_presigned(self, text: str, expires: str | None, now: float) -> None:
        if not _DATE.match(text):
            raise Refusal("bad_query", "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        if expires is None or not expires.lstrip("-").isdigit() or len(expires) > 18:
            raise Refusal("bad_query", "X-Amz-Expires should be a number")
        lasts = int(expires)
        if lasts < 0:
            raise Refusal("bad_query", "X-Amz-Expires must be non-negative")
        if lasts > limits.PRESIGNED_MAX_S:
            raise Refusal(
                "bad_query",
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
                "604800 seconds",
            )
        signed = _seconds(text)
        if signed > now + limits.AWS_TOKEN_WINDOW_S:
            raise Refusal("not_yet", moment=text, signed_s=signed, now_s=now)
        if now > signed + lasts:
            raise Refusal("url_expired", lasts_s=lasts, signed_s=signed, now_s=now)

    def _signing_key(self, secret: str, auth: Auth) -> tuple[bytes, bytes]:
        """The key for a day, region and service, and the scope that names them."""
        index = (secret, auth.date, auth.region, auth.service)
        known = self._keys.get(index)
        if known is None:
            scope = f"{auth.date}/{auth.region}/{auth.service}/aws4_request".encode()
            known = signing_key(secret, auth.date, auth.region, auth.service), scope
            if len(self._keys) >= limits.SIGNING_KEYS_MAX:
                self._keys.clear()
            self._keys[index] = known
        return known

    def _verify_v2(self, request: Request, auth: Auth) -> Principal:
        """A presigned URL of version 2: HMAC-SHA1 over method, expiry and resource."""
        fields = auth.query
        if fields is None:
            raise Refusal(
                "unsupported",
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            )
        credential = self._credentials.credential(auth.access_key)
        if credential is None:
            raise Refusal("unknown_key", access_key=auth.access_key)
        token = fields.get("x-amz-security-token", "")
        if not hmac.compare_digest(token.encode(), credential.session_token.encode()):
            raise Refusal("bad_token", access_key=auth.access_key, token=token)
        expires = fields.get("Expires", "")
        self._check_expires_v2(expires)
        if credential.expires_ms is not None and credential.expires_ms <= self._env.now_ms():
            raise Refusal("expired_token", token=token)
        text = _string_to_sign_v2(request, fields, expires)
        expected = hmac.digest(credential.secret.encode(), text, "sha1")
        if not hmac.compare_digest(_base64(expected), fields.get("Signature", "").replace(" ", "+").encode()):
            raise Refusal(
                "mismatch", access_key=auth.access_key, string_to_sign=text, signature=fields.get("Signature", "")
            )
        return credential.principal

    def _check_expires_v2(self, expires: str) -> None:
        now = self._env.now()
        if not expires.isdigit() or len(expires) > 12:
            raise Refusal("denied", "Invalid date (should be seconds since epoch): " + expires[:32])
        if now > int(expires):
            raise Refusal("url_expired", lasts_s=0, signed_s=float(expires), now_s=now)


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs requests of one day, region and service."""
    key = b"AWS4" + secret.encode()
    for step in (date, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def canonical_request(request: Request, auth: Auth, signed: list[bytes], payload: bytes, *, is_s3: bool) -> bytes:
    """The text whose hash is signed: method, path, query string, signed headers and payload hash."""
    header = request.header
    path, query = request.path, request.query
    lines = [
        request.method.encode(),
        b"/" if path == b"/" else _canonical_path(path, is_s3),
        _canonical_query(query) if query else b"",
    ]
    for name in signed:
        value = (header(name) or b"").strip()
        lines.append(name + b":" + (b" ".join(value.split()) if b"  " in value else value))
    lines += (b"", auth.signed_headers, payload)
    return b"\n".join(lines)


def _canonical_path(path: bytes, is_s3: bool) -> bytes:
    if is_s3:
        # S3 encodes a path once, every other service twice, the second time what was sent.
        return path if _PLAIN_PATH.match(path) else quote(unquote_to_bytes(path), safe="/-_.~").encode()
    steps: list[bytes] = []
    for step in path.split(b"/"):
        if step == b"..":
            if steps:
                steps.pop()
        elif step and step != b".":
            steps.append(step)
    ending = b"/" if path.endswith(b"/") and steps else b""
    normal = b"/" + b"/".join(steps) + ending
    return normal if _PLAIN_PATH.match(normal) else quote(normal, safe="/-_.~").encode()


def _canonical_query(query: bytes) -> bytes:
    fields = []
    for part in query.split(b"&"):
        if not part:
            continue
        name, _, value = part.partition(b"=")
        if name == b"X-Amz-Signature":
            continue
        fields.append((_encoded(name), _encoded(value)))
    fields.sort()
    return b"&".join(b"%b=%b" % field for field in fields)


def _encoded(text: bytes) -> bytes:
    if text.isalnum():
        return text
    return quote(unquote_to_bytes(text.replace(b"+", b" ")), safe="-_.~").encode()


def _check_scope(auth: Auth, moment: str, names: tuple[str, ...], region: str) -> None:
    if auth.terminator != "aws4_request":
        raise Refusal(
            "scope", f"Credential should be scoped with a valid terminator: 'aws4_request', not '{auth.terminator}'."
        )
    if auth.date != moment[:8]:
        raise Refusal(
            "scope",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{auth.date}' != '{moment[:8]}', from '{moment}'.",
        )
    if auth.service not in names:
        raise Refusal("scope", f"Credential should be scoped to correct service: '{names[0]}'.")
    if not _REGION.match(auth.region) or (region and auth.region != region):
        expected = region or "us-east-1"
        raise Refusal(
            "wrong_region", "Credential should be scoped to a valid region.", region=auth.region, expected=expected
        )


def _check_signed_headers(request: Request, signed: list[bytes]) -> None:
    """The host and every x-amz-… header that was sent must be signed, or a proxy could change them."""
    if b"host" not in signed and b":authority" not in signed:
        raise Refusal("unsigned_headers", "host")
    unsigned = [name for name, _ in request.headers if name[:6] == b"x-amz-" and name not in signed]
    if unsigned:
        raise Refusal("unsigned_headers", ", ".join(name.decode("latin-1") for name in unsigned))


def _payload_hash(request: Request, auth: Auth, names: tuple[str, ...], body: bytes | None) -> bytes:
    """The payload's place in the canonical request. A hash that was sent is checked against the body where the body is
    here; where it is a stream, whoever reads it checks."""
    sent = request.header(b"x-amz-content-sha256")
    if auth.kind == "query" and "s3" in names:
        return sent or (auth.query or {}).get("X-Amz-Content-Sha256", "").encode() or UNSIGNED
    if sent is None:
        if body is None:
            raise Refusal("no_hash", "Missing required header for this request: x-amz-content-sha256")
        return hashlib.sha256(body).hexdigest().encode() if body else EMPTY_SHA256
    if body is not None and hashlib.sha256(body).hexdigest().encode() != sent:
        # Only S3 takes unsigned payloads; it hands no body here, and checks a hash when the body is read.
        raise Refusal(
            "mismatch",
            access_key=auth.access_key,
            string_to_sign=b"",
            canonical=b"",
            signature=auth.signature.decode("latin-1"),
        )
    return sent


@lru_cache(maxsize=256)
def _seconds(text: str) -> float:
    try:
        return calendar.timegm(
            (int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[9:11]), int(text[11:13]), int(text[13:15]))
        )
    except (ValueError, OverflowError):
        _bad_date(text)


def _bad_date(text: str) -> NoReturn:
    raise Refusal("incomplete", f"Date must be in ISO-8601 'basic format'. Got '{text}'.")


def _string_to_sign_v2(request: Request, fields: dict[str, str], expires: str) -> bytes:
    def header(name: bytes) -> bytes:
        return request.header(name) or b""

    amz = sorted(
        (name, value) for name, value in {k: header(k) for k, _ in request.headers if k.startswith(b"x-amz-")}.items()
    )
    signed_fields = [
        name if not value else f"{name}={value}" for name, value in sorted(fields.items()) if name in _V2_SUBRESOURCES
    ]
    token = fields.get("x-amz-security-token")
    lines = b"".join(b"%b:%b\n" % pair for pair in amz)
    if token:
        lines += b"x-amz-security-token:" + token.encode() + b"\n"
    resource = v2_resource(request) + (b"?" + "&".join(signed_fields).encode() if signed_fields else b"")
    return b"%b\n%b\n%b\n%b\n%b%b" % (
        request.method.encode(),
        header(b"content-md5"),
        header(b"content-type"),
        expires.encode(),
        lines,
        resource,
    )


def v2_resource(request: Request) -> bytes:
    """The path that version 2 signs: as sent, the bucket in front where the host carries it."""
    host = (request.header(b"host") or b"").split(b":")[0].decode("latin-1")
    bucket, found, _ = host.partition(".s3.")
    return (b"/" + bucket.encode() if found else b"") + request.path


def _base64(raw: bytes) -> bytes:
    return base64.b64encode(raw)
