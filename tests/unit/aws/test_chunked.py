"""Streamed bodies: aws-chunked in every spelling, with its chain of signatures, and hashes checked at the end."""

import hashlib
import hmac
from collections.abc import Sequence

import pytest

from haneul.base.errors import TooLarge
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.chunked import opened
from haneul.clouds.aws.signature import Proof, signing_key
from haneul.gateway.http import Body
from tests.unit.aws.driver import request

EMPTY = hashlib.sha256(b"").hexdigest()
SCOPE = b"20130524/us-east-1/s3/aws4_request"
PROOF = Proof(
    signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3"),
    b"20130524T000000Z",
    SCOPE,
    b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def sign(text: str) -> str:
    return hmac.digest(PROOF.key, text.encode(), "sha256").hex()


def chunks(parts: Sequence[bytes], trailers: dict[str, str] | None = None) -> bytes:
    """A signed aws-chunked body, as the S3 API reference describes it."""
    previous, out = PROOF.signature.decode(), b""
    for part in (*parts, b""):
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n{SCOPE.decode()}\n{previous}\n{EMPTY}\n"
        previous = sign(text + hashlib.sha256(part).hexdigest())
        out += f"{len(part):x};chunk-signature={previous}\r\n".encode() + part + (b"\r\n" if part else b"")
    if trailers is not None:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        text = f"AWS4-HMAC-SHA256-TRAILER\n20130524T000000Z\n{SCOPE.decode()}\n{previous}\n"
        signature = sign(text + hashlib.sha256(lines.encode()).hexdigest())
        out += "".join(f"{name}:{value}\r\n" for name, value in trailers.items()).encode()
        out += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return out + b"\r\n"


def body_of(
    data: bytes,
    kind: str,
    length: int | None,
    *,
    proof: Proof | None = PROOF,
    piece_bytes: int = 65536,
    trailer: str = "",
) -> Body:
    headers = {"x-amz-content-sha256": kind}
    if length is not None:
        headers["x-amz-decoded-content-length"] = str(length)
    if trailer:
        headers["x-amz-trailer"] = trailer
    return opened(request("PUT", "/b/k", headers, data, piece_bytes), proof)


async def refusal(body: Body) -> str:
    with pytest.raises(AwsError) as caught:
        async for _ in body:
            pass
    return caught.value.code


@pytest.mark.parametrize("piece_bytes", [7, 100, 65536])
async def test_the_published_example_is_read(piece_bytes: int) -> None:
    # Amazon S3 API reference, "Signature calculations: transferring payload in multiple chunks": 65 KiB of "a".
    wire = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65536
        + b"\r\n"
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a"
        * 1024
        + b"\r\n"
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    body = body_of(wire, SIGNED, 66560, piece_bytes=piece_bytes)

    assert await body.read(100_000) == b"a" * 66560


@pytest.mark.parametrize("piece_bytes", [1, 5, 64])
@pytest.mark.parametrize("parts", [[], [b"x"], [b"hello ", b"world"], [b"\r\n", b"0\r\n\r\n"]])
async def test_chunks_are_joined_however_they_arrive(parts: list[bytes], piece_bytes: int) -> None:
    whole = b"".join(parts)
    body = body_of(chunks(parts), SIGNED, len(whole), piece_bytes=piece_bytes)

    assert body.length == len(whole)
    assert await body.read(1000) == whole


async def test_signed_trailers_are_handed_on() -> None:
    body = body_of(chunks([b"abc"], {"x-amz-checksum-crc32": "NSRBwg=="}), TRAILER, 3, trailer="x-amz-checksum-crc32")

    assert await body.read(10) == b"abc"
    assert body.trailers == [(b"x-amz-checksum-crc32", b"NSRBwg==")]


async def test_unsigned_trailers_are_handed_on() -> None:
    wire = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"
    body = body_of(wire, UNSIGNED, 3, proof=None, trailer="x-amz-checksum-crc32")

    assert await body.read(10) == b"abc"
    assert body.trailers == [(b"x-amz-checksum-crc32", b"NSRBwg==")]


async def test_a_missing_trailer_is_noticed() -> None:
    assert (
        await refusal(body_of(b"3\r\nabc\r\n0\r\n\r\n", UNSIGNED, 3, trailer="x-amz-checksum-crc32"))
        == "MalformedTrailerError"
    )


@pytest.mark.parametrize("place", ["data", "signature", "trailer", "trailer signature", "order"])
async def test_a_forged_stream_fails_before_its_end(place: str) -> None:
    wire = chunks([b"aaaa", b"bbbb"], {"x-amz-checksum-crc32": "NSRBwg=="})
    forged = {
        "data": wire.replace(b"bbbb", b"bbbc"),
        "signature": wire.replace(b"chunk-signature=", b"chunk-signature=0", 1),
        "trailer": wire.replace(b"NSRBwg", b"NSRBwh"),
        "trailer signature": wire.replace(b"trailer-signature:", b"trailer-signature:0"),
        "order": wire.replace(b"aaaa", b"cccc").replace(b"bbbb", b"aaaa").replace(b"cccc", b"bbbb"),
    }[place]

    assert await refusal(body_of(forged, TRAILER, 8, trailer="x-amz-checksum-crc32")) == "SignatureDoesNotMatch"


async def test_chunk_signatures_are_read_over_when_nothing_is_enforced() -> None:
    forged = chunks([b"aaaa"]).replace(b"aaaa", b"bbbb")

    assert await body_of(forged, SIGNED, 4, proof=None).read(10) == b"bbbb"


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", "IncompleteBody"),
        (b"3\r\nab", "IncompleteBody"),
        (b"3\r\nabc\r\n", "IncompleteBody"),
        (b"2\r\nab\r\n0\r\n\r\n", "IncompleteBody"),
        (b"4\r\nabcd\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3\r\nabcd\r\n0\r\n\r\n", "InvalidRequest"),
        (b"zz\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"-3\r\nabc\r\n0\r\n\r\n", "InvalidRequest"),
        (b"FFFFFFFFFF\r\nabc", "InvalidRequest"),
        (b"3" * 5000, "InvalidRequest"),
        (b"3\r\nabc\r\n0\r\nno colon\r\n\r\n", "InvalidRequest"),
    ],
)
async def test_a_malformed_stream_is_refused(wire: bytes, code: str) -> None:
    assert await refusal(body_of(wire, UNSIGNED, 3, proof=None, piece_bytes=3)) == code


async def test_a_signed_stream_without_signatures_is_refused() -> None:
    assert await refusal(body_of(b"3\r\nabc\r\n0\r\n\r\n", SIGNED, 3)) == "InvalidRequest"


async def test_a_body_that_is_too_large_to_buffer_is_refused() -> None:
    with pytest.raises(TooLarge):
        await body_of(chunks([b"a" * 100]), SIGNED, 100).read(50)


def test_a_decoded_length_must_be_a_number() -> None:
    for text, code in ((None, "MissingContentLength"), ("x", "InvalidArgument"), ("-1", "InvalidArgument")):
        headers = {"x-amz-content-sha256": SIGNED, **({"x-amz-decoded-content-length": text} if text else {})}
        with pytest.raises(AwsError) as caught:
            opened(request("PUT", "/b/k", headers, b"x"), None)
        assert caught.value.code == code


@pytest.mark.parametrize("piece_bytes", [3, 1024 * 1024])
async def test_a_hash_is_checked_at_the_end(piece_bytes: int) -> None:
    data = b"x" * 1_500_000
    good = request(
        "PUT", "/b/k", {"x-amz-content-sha256": hashlib.sha256(data).hexdigest()}, data, max(piece_bytes, 4096)
    )
    bad = request(
        "PUT", "/b/k", {"x-amz-content-sha256": hashlib.sha256(b"y").hexdigest()}, data, max(piece_bytes, 4096)
    )

    assert b"".join([piece async for piece in opened(good, None)]) == data
    assert await refusal(opened(bad, None)) == "XAmzContentSHA256Mismatch"


async def test_a_buffered_body_is_checked_too() -> None:
    with pytest.raises(AwsError):
        await opened(request("PUT", "/b?tagging", {"x-amz-content-sha256": EMPTY}, b"<Tagging/>"), None).read(100)


@pytest.mark.parametrize("declared", ["nonsense", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"])
def test_an_unknown_declaration_is_refused(declared: str) -> None:
    with pytest.raises(AwsError):
        opened(request("PUT", "/b/k", {"x-amz-content-sha256": declared}, b""), None)
