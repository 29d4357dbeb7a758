"""Refusals of credentials and signatures, in the words and codes of each family of services."""

from datetime import UTC, datetime
from typing import Any

from haneul.clouds.aws.call import AwsError


class Refusal(Exception):
    """Why a request's credentials are not accepted. kind is a key of the tables below."""

    def __init__(self, kind: str, message: str = "", **facts: Any) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.facts = facts


_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_HOST_UNSIGNED = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
# kind: (code of JSON and REST-JSON services, code of query services, message; "" for the refusal's own)
_CODES = {
    "missing": ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "Missing Authentication Token"),
    "malformed": ("IncompleteSignatureException", "IncompleteSignature", ""),
    "incomplete": ("IncompleteSignatureException", "IncompleteSignature", ""),
    "bad_query": ("IncompleteSignatureException", "IncompleteSignature", ""),
    "no_hash": ("IncompleteSignatureException", "IncompleteSignature", ""),
    "unsupported": ("IncompleteSignatureException", "IncompleteSignature", ""),
    "unknown_key": (
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ),
    "bad_token": (
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ),
    "expired_token": (
        "ExpiredTokenException",
        "ExpiredToken",
        "The security token included in the request is expired",
    ),
    "mismatch": ("InvalidSignatureException", "SignatureDoesNotMatch", _MISMATCH),
    "skewed": ("InvalidSignatureException", "SignatureDoesNotMatch", ""),
    "not_yet": ("InvalidSignatureException", "SignatureDoesNotMatch", ""),
    "url_expired": ("InvalidSignatureException", "SignatureDoesNotMatch", ""),
    "scope": ("InvalidSignatureException", "SignatureDoesNotMatch", ""),
    "wrong_region": ("InvalidSignatureException", "SignatureDoesNotMatch", ""),
    "unsigned_headers": ("InvalidSignatureException", "SignatureDoesNotMatch", ""),
    "denied": ("AccessDeniedException", "AccessDenied", ""),
}


def worded(refusal: Refusal, family: str) -> AwsError:
    """The refusal as a service says it. family: s3 | query | rest-json | json."""
    if family == "s3":
        return _s3(refusal)
    json_code, query_code, message = _CODES[refusal.kind]
    text = message or _message(refusal)
    if family == "query":
        status = 400 if query_code == "IncompleteSignature" else 403
        return AwsError(query_code, text, status)
    # JSON services answer 400 to everything but denials; REST-JSON services 403.
    return AwsError(json_code, text, 403 if family == "rest-json" else 400)


def _message(refusal: Refusal) -> str:
    facts = refusal.facts
    if refusal.kind == "unsigned_headers":
        if refusal.message == "host":
            return _HOST_UNSIGNED
        return f"The following headers were not signed: {refusal.message}"
    if refusal.kind in ("skewed", "not_yet", "url_expired"):
        signed, now = facts["signed_s"], facts["now_s"]
        moment = _basic(signed)
        if refusal.kind == "url_expired":
            end = signed + facts["lasts_s"]
            return f"Signature expired: {moment} is now earlier than {_basic(now)} ({_basic(end)})"
        if signed < now:
            return f"Signature expired: {moment} is now earlier than {_basic(now - 900)} ({_basic(now)} - 15 min.)"
        return f"Signature not yet current: {moment} is still later than {_basic(now + 900)} ({_basic(now)} + 15 min.)"
    return refusal.message


def _s3(refusal: Refusal) -> AwsError:
    facts, kind = refusal.facts, refusal.kind
    if kind == "mismatch":
        text, canonical = facts.get("string_to_sign", b""), facts.get("canonical", b"")
        return AwsError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and "
            "signing method.",
            403,
            AWSAccessKeyId=facts.get("access_key", ""),
            StringToSign=text.decode("latin-1"),
            SignatureProvided=facts.get("signature", ""),
            StringToSignBytes=text.hex(" "),
            CanonicalRequest=canonical.decode("latin-1") or None,
            CanonicalRequestBytes=canonical.hex(" ") or None,
        )
    if kind == "unknown_key":
        message = "The AWS Access Key Id you provided does not exist in our records."
        return AwsError("InvalidAccessKeyId", message, 403, AWSAccessKeyId=facts["access_key"])
    if kind == "skewed":
        return AwsError(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            403,
            RequestTime=_basic(facts["signed_s"]),
            ServerTime=_extended(facts["now_s"]),
            MaxAllowedSkewMilliseconds=900000,
        )
    if kind == "url_expired":
        return AwsError(
            "AccessDenied",
            "Request has expired",
            403,
            **_expiry(facts),
        )
    if kind == "wrong_region":
        message = (
            f"The authorization header is malformed; the region '{facts['region']}' is wrong; expecting "
            f"'{facts['expected']}'"
        )
        return AwsError("AuthorizationHeaderMalformed", message, 400, Region=facts["expected"])
    if kind == "unsigned_headers":
        message = "There were headers present in the request which were not signed"
        return AwsError("AccessDenied", message, 403, HeadersNotSigned=refusal.message)
    codes = {
        "malformed": ("AuthorizationHeaderMalformed", "The authorization header is malformed; " + refusal.message, 400),
        "incomplete": ("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header", 403),
        "bad_query": ("AuthorizationQueryParametersError", refusal.message, 400),
        "no_hash": ("InvalidRequest", refusal.message, 400),
        "unsupported": ("InvalidRequest", refusal.message, 400),
        "bad_token": ("InvalidToken", "The provided token is malformed or otherwise invalid.", 400),
        "expired_token": ("ExpiredToken", "The provided token has expired.", 400),
        "not_yet": ("AccessDenied", "Request is not yet valid", 403),
        "scope": ("AuthorizationHeaderMalformed", "The authorization header is malformed; " + refusal.message, 400),
        "denied": ("AccessDenied", refusal.message or "Access Denied", 403),
        "missing": ("AccessDenied", "Access Denied", 403),
    }
    if kind == "malformed" and refusal.message == "Unsupported Authorization Type":
        return AwsError("InvalidArgument", refusal.message, 400, ArgumentName="Authorization")
    return AwsError(*codes[kind])


def _expiry(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "X-Amz-Expires": facts["lasts_s"] or None,
        "Expires": _extended(facts["signed_s"] + facts["lasts_s"]),
        "ServerTime": _extended(facts["now_s"]),
    }


def _basic(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%dT%H%M%SZ")


def _extended(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
