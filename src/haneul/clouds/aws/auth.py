"""What a request says about its signature: taken apart here, believed nowhere before `signature` has checked it."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from haneul.gateway.http import Request

ALGORITHM = b"AWS4-HMAC-SHA256"
ALGORITHM_4A = b"AWS4-ECDSA-P256-SHA256"
_PRESIGNED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")


class Auth(NamedTuple):
    """The parts of a signature.

    kind       header | query (presigned, version 4) | v2 | none | malformed (problem says why)
    problem    "v4a" for a signature of version 4A, which has no region
    query      the query string's fields, where they carry the signature
    """

    kind: str
    access_key: str = ""
    date: str = ""
    region: str = ""
    service: str = ""
    terminator: str = ""
    signed_headers: bytes = b""
    problem: str = ""
    query: dict[str, str] | None = None
    signature: bytes = b""


def read_auth(request: Request) -> Auth:
    """Take a request's signature apart."""
    header = request.index.get(b"authorization")
    if header is not None:
        head, found, signature = header.rpartition(b", Signature=")
        if found and len(signature) == 64:
            return Auth(*_read_head(head), signature)
        return _read_header(header)
    query = request.query
    if b"X-Amz-" in query and any(
        name in query for name in (b"X-Amz-Signature=", b"X-Amz-Credential=", b"X-Amz-Algorithm=")
    ):
        return _read_presigned(_fields(query))
    if b"AWSAccessKeyId=" in query and b"Signature=" in query:
        fields = _fields(query)
        return Auth("v2", access_key=fields.get("AWSAccessKeyId", ""), service="s3", query=fields)
    return Auth("none")


@lru_cache(maxsize=4096)
def _read_head(head: bytes) -> tuple[str, str, str, str, str, str, bytes, str, dict[str, str] | None]:
    """All of a header but its signature: a client repeats it all day."""
    return _read_header(head + b", Signature=0")[:-1]


def _read_header(header: bytes) -> Auth:
    method, _, rest = header.partition(b" ")
    if method == b"AWS" and b":" in rest:
        return Auth("v2", access_key=rest.partition(b":")[0].decode("latin-1").strip(), service="s3")
    if method not in (ALGORITHM, ALGORITHM_4A):
        return Auth("malformed", problem="Unsupported Authorization Type")
    parts: dict[bytes, bytes] = {}
    for part in rest.split(b","):
        name, equals, value = part.strip().partition(b"=")
        if not equals:
            return _not_a_pair(part, header)
        parts[name] = value
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if name.encode() not in parts]
    if missing:
        text = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        return Auth("malformed", problem=f"{text} Authorization={method.decode()}")
    credential = parts[b"Credential"].decode("latin-1")
    pieces = credential.split("/")
    problem = ""
    if method == ALGORITHM_4A and len(pieces) == 4:
        pieces.insert(2, "")
        problem = "v4a"
    if len(pieces) != 5:
        text = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        return Auth("malformed", problem=f"{text}, got '{credential}'")
    key, date, region, service, terminator = pieces
    return Auth(
        "header", key, date, region, service, terminator, parts[b"SignedHeaders"], problem, None, parts[b"Signature"]
    )


def _not_a_pair(part: bytes, header: bytes) -> Auth:
    text = part.decode("latin-1").strip()
    whole = header.decode("latin-1")
    problem = f"'{text}' not a valid key=value pair (missing equal-sign) in Authorization header: '{whole}'."
    return Auth("malformed", problem=problem)


def _read_presigned(fields: dict[str, str]) -> Auth:
    if any(name not in fields for name in _PRESIGNED):
        problem = (
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
        return Auth("malformed", problem=problem, query=fields)
    pieces = fields["X-Amz-Credential"].split("/")
    if len(pieces) != 5:
        problem = (
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
        return Auth("malformed", problem=problem, query=fields)
    if fields["X-Amz-Algorithm"] != ALGORITHM.decode():
        problem = 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"'
        return Auth("malformed", problem=problem, query=fields)
    key, date, region, service, terminator = pieces
    signed, signature = fields["X-Amz-SignedHeaders"].encode(), fields["X-Amz-Signature"].encode()
    return Auth("query", key, date, region, service, terminator, signed, "", fields, signature)


def _fields(query: bytes) -> dict[str, str]:
    found = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        found[unquote_to_bytes(name).decode("latin-1")] = unquote_to_bytes(value.replace(b"+", b" ")).decode("latin-1")
    return found
