"""Checksums on the wire: which one a request carries (header, trailer or none), and how one is sent back."""

import binascii
from collections.abc import Callable, Mapping
from typing import Any

from haneul.base.errors import Invalid, NotBuilt
from haneul.clouds.aws.call import AwsError, Call, Handler, Output
from haneul.engines import Engines
from haneul.storage.checksums import digest_of

from .errors import invalid_request

DEFAULT = "crc64nvme"
MEMBERS = {
    "ChecksumCRC32": "crc32",
    "ChecksumCRC32C": "crc32c",
    "ChecksumCRC64NVME": "crc64nvme",
    "ChecksumSHA1": "sha1",
    "ChecksumSHA256": "sha256",
}
NOT_BUILT = frozenset(("ChecksumSHA512", "ChecksumMD5", "ChecksumXXHASH64", "ChecksumXXHASH3", "ChecksumXXHASH128"))
MEMBER_OF = {algorithm: member for member, algorithm in MEMBERS.items()}
SIZES = {"md5": 16, "crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
CAN_COVER_WHOLE = ("crc32", "crc32c", "crc64nvme")

_HEADERS = (("md5", b"content-md5"), *((each, f"x-amz-checksum-{each}".encode()) for each in MEMBER_OF))

Claims = Callable[[], Mapping[str, str]]


def algorithm_named(name: str) -> str:
    """The engine's name of an algorithm as the API spells it ("CRC32C"). Raises NotBuilt."""
    lowered = name.lower()
    if lowered not in MEMBER_OF:
        raise NotBuilt("checksum algorithm", name)
    return lowered


def claimed(call: Call) -> tuple[str | None, Claims]:
    """(the algorithm that the request names or None, what to ask for the digests it claims once its body was read).

    Raises InvalidRequest or InvalidDigest for headers that contradict each other or cannot be digests.
    """
    values = call.input
    known: dict[str, str] = {}
    given: str | None = None
    for member in values:
        if member == "ContentMD5":
            known["md5"] = _hexadecimal(values[member], "md5", _invalid_md5)
        elif member in MEMBERS:
            if given is not None:
                raise invalid_request(
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
                )
            given = MEMBERS[member]
            known[given] = header_digest(given, values[member])
        elif member in NOT_BUILT:
            raise NotBuilt("checksum algorithm", member.removeprefix("Checksum"))
    if given is not None:
        return given, lambda: known
    trailer = _announced(call)
    if trailer is not None:
        return trailer, lambda: {**known, trailer: _in_trailer(call, trailer)}
    if "ChecksumAlgorithm" in values:
        raise invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers"
            " were found."
        )
    return None, lambda: known


def header_digest(algorithm: str, text: str) -> str:
    """Hexadecimal, out of a checksum as the API spells it."""
    return _hexadecimal(text, algorithm, lambda: _invalid_header(algorithm))


def encoded(digest: str) -> str:
    """As the API spells it: base64, and the number of parts behind it for one of parts."""
    raw, dash, count = digest.partition("-")
    return binascii.b2a_base64(bytes.fromhex(raw), newline=False).decode() + dash + count


def members_of(digests: Mapping[str, str]) -> dict[str, str]:
    """Output members for stored digests."""
    return {MEMBER_OF[algorithm]: encoded(digest) for algorithm, digest in digests.items()}


def in_words(error: Invalid) -> Exception:
    """BadDigest in the words for the digest in question; any other error as it is."""
    if error.noun != "digest":
        return error
    claimed_value, found = encoded(error.fields["claimed"]), encoded(error.fields["found"])
    if error.name == "md5":
        return AwsError(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            400,
            ExpectedDigest=claimed_value,
            CalculatedDigest=found,
        )
    return AwsError("BadDigest", f"The {error.name.upper()} you specified did not match the calculated checksum.", 400)


def verified(handler: Handler) -> Handler:
    """The handler of an operation whose input is a document: the document must be the one whose digests were sent."""

    async def run(engines: Engines, call: Call) -> Output:
        if call.body:
            _check_document(call)
        return await handler(engines, call)

    return run


def _check_document(call: Call) -> None:
    for algorithm, header in _HEADERS:
        text = call.request.header(header)
        if text is None:
            continue
        given = text.decode("latin-1").strip()
        wanted = _hexadecimal(given, "md5", _invalid_md5) if algorithm == "md5" else header_digest(algorithm, given)
        found = digest_of(algorithm, call.body)
        if found != wanted:
            raise in_words(Invalid("digest", algorithm, "is another one", claimed=wanted, found=found))


def _announced(call: Call) -> str | None:
    header = call.request.header(b"x-amz-trailer")
    if header is None:
        return None
    for name in header.decode("latin-1").lower().split(","):
        bare = name.strip().removeprefix("x-amz-checksum-")
        if bare in MEMBER_OF:
            return bare
    raise invalid_request("The value specified in the x-amz-trailer header is not supported")


def _in_trailer(call: Call, algorithm: str) -> str:
    body: Any = call.input.get("Body")
    wanted = f"x-amz-checksum-{algorithm}".encode()
    for name, value in body.trailers:
        if name == wanted:
            return header_digest(algorithm, value.decode("latin-1").strip())
    raise AwsError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
        400,
    )


def _hexadecimal(text: str, algorithm: str, refusal: Callable[[], AwsError]) -> str:
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise refusal() from error
    if len(raw) != SIZES[algorithm]:
        raise refusal()
    return raw.hex()


def _invalid_md5() -> AwsError:
    return AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.", 400)


def _invalid_header(algorithm: str) -> AwsError:
    return invalid_request(f"Value for x-amz-checksum-{algorithm} header is invalid.")
