"""Request bodies as operations see them: aws-chunked decoded, payload hashes and chunk signatures verified at the end.

Reading to the end raises AwsError when the bytes are not those that were signed, so an operation that commits only
after the last byte never commits a forged body.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator

from haneul.base import limits
from haneul.base.errors import TooLarge
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.signature import EMPTY_SHA256, Proof
from haneul.gateway.http import Body, Header, Request

_HEX64 = re.compile(rb"[0-9a-f]{64}\Z")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})((?:\s*;.*)?)\Z", re.DOTALL)
_SIGNED = frozenset({b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"})
_CHUNKED = _SIGNED | {b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
_KNOWN = _CHUNKED | {b"UNSIGNED-PAYLOAD"}


def opened(request: Request, proof: Proof | None) -> Body:
    """The body of a request by its x-amz-content-sha256. proof: None when signatures are not enforced; then chunk
    signatures are read over, and payload hashes are still checked. Raises AwsError for a malformed declaration."""
    declared = request.index.get(b"x-amz-content-sha256")
    if declared is None or declared == b"UNSIGNED-PAYLOAD":
        return request.body
    if declared in _CHUNKED:
        return ChunkedBody(request, proof if declared in _SIGNED else None)
    if _HEX64.match(declared):
        return HashedBody(request.body, declared)
    if declared.startswith(b"STREAMING-"):
        raise AwsError("NotImplemented", f"{declared.decode('latin-1')} is not supported.", 501)
    raise AwsError(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        400,
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=declared.decode("latin-1"),
    )


class HashedBody:
    """A body whose SHA-256 was sent ahead of it. Large pieces are hashed in a thread while the next one arrives."""

    def __init__(self, body: Body, declared: bytes) -> None:
        self._body = body
        self._declared = declared
        self.length = body.length
        self.trailers: list[Header] = body.trailers

    async def read(self, limit: int) -> bytes:
        whole = await self._body.read(limit)
        self.trailers = self._body.trailers
        self._check(hashlib.sha256(whole).hexdigest().encode())
        return whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        pending: asyncio.Future[None] | None = None
        try:
            async for piece in self._body:
                if pending is not None:
                    await pending
                    pending = None
                if len(piece) >= limits.HASH_THREAD_MIN_BYTES:
                    pending = asyncio.get_running_loop().run_in_executor(None, digest.update, piece)
                else:
                    digest.update(piece)
                yield piece
        finally:
            if pending is not None:
                await pending
        self.trailers = self._body.trailers
        self._check(digest.hexdigest().encode())

    def _check(self, actual: bytes) -> None:
        if actual != self._declared:
            raise AwsError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                400,
                ClientComputedContentSHA256=self._declared.decode(),
                S3ComputedContentSHA256=actual.decode(),
            )


class ChunkedBody:
    """An aws-chunked body, decoded: pieces as they arrive, never more than one piece held.

    length is the decoded one; trailers (x-amz-checksum-…) are complete after the end.
    """

    def __init__(self, request: Request, proof: Proof | None) -> None:
        self._body = request.body
        self._chain = _Chain(proof) if proof is not None else None
        self._names = {
            name.strip().lower() for name in (request.index.get(b"x-amz-trailer") or b"").split(b",") if name.strip()
        }
        self.trailers: list[Header] = []
        self.length = _decoded_length(request)

    async def read(self, limit: int) -> bytes:
        pieces = []
        size = 0
        async for piece in self:
            size += len(piece)
            if size > limit:
                raise TooLarge("request body", "", f"more than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        buffer = bytearray()
        left = 0  # bytes of the current chunk that are still to come
        total = 0
        state = "header"
        async for piece in self._body:
            buffer += piece
            while buffer and state != "end":
                if state == "data":
                    part = bytes(buffer[:left])
                    del buffer[: len(part)]
                    left -= len(part)
                    total += len(part)
                    if self.length is not None and total > self.length:
                        raise _incomplete()
                    if self._chain is not None:
                        self._chain.update(part)
                    if left == 0:
                        state = "data_end"
                    yield part
                    continue
                line = _line(buffer)
                if line is None:
                    break
                if state == "data_end":
                    if line:
                        raise _malformed("a chunk is longer than its size says")
                    if self._chain is not None:
                        self._chain.close()
                    state = "header"
                elif state == "header":
                    left = self._open_chunk(line)
                    state = "data" if left else "trailer"
                elif line:
                    self._take_trailer(line)
                else:
                    state = "end"
        self._finish(state, total)

    def _open_chunk(self, line: bytes) -> int:
        found = _SIZE.match(line)
        if found is None:
            raise _malformed("a chunk does not begin with its size")
        size = int(found[1], 16)
        if self._chain is not None:
            marker = b"chunk-signature="
            if marker not in found[2]:
                raise _malformed("a chunk lacks its signature")
            self._chain.open(found[2].partition(marker)[2].strip())
            if size == 0:
                self._chain.close()
        return size

    def _take_trailer(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if not colon or len(self.trailers) >= limits.HEADERS_MAX_COUNT:
            raise _malformed("a trailer is not a header field")
        self.trailers.append((name.strip().lower(), value.strip()))

    def _finish(self, state: str, total: int) -> None:
        # Some clients leave out the empty line behind the last chunk when there are no trailers.
        if state not in ("end", "trailer"):
            raise _incomplete()
        if self.length is not None and total != self.length:
            raise _incomplete()
        signature = next((value for name, value in self.trailers if name == b"x-amz-trailer-signature"), None)
        self.trailers = [field for field in self.trailers if field[0] != b"x-amz-trailer-signature"]
        if self._chain is not None and (self.trailers or self._names):
            self._chain.check_trailers(self.trailers, signature)
        if self._names - {name for name, _ in self.trailers}:
            raise AwsError(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            )


class _Chain:
    """The chain of chunk signatures: each covers the one before it and the chunk's own hash.

    Amazon S3 API reference, "Signature calculations for the authorization header: transferring a payload in chunks".
    """

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._previous = proof.signature
        self._digest = hashlib.sha256()
        self._expected = b""

    def open(self, signature: bytes) -> None:
        self._expected = signature
        self._digest = hashlib.sha256()

    def update(self, part: bytes) -> None:
        self._digest.update(part)

    def close(self) -> None:
        text = self._text(b"AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256 + b"\n" + self._digest.hexdigest().encode())
        self._compare(text, self._expected)

    def check_trailers(self, trailers: list[Header], signature: bytes | None) -> None:
        lines = b"".join(b"%b:%b\n" % field for field in trailers)
        text = self._text(b"AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(lines).hexdigest().encode())
        self._compare(text, signature or b"")

    def _text(self, kind: bytes, rest: bytes) -> bytes:
        proof = self._proof
        return b"\n".join((kind, proof.moment, proof.scope, self._previous, rest))

    def _compare(self, text: bytes, sent: bytes) -> None:
        actual = hmac.digest(self._proof.key, text, "sha256").hex().encode()
        if not hmac.compare_digest(actual, sent):
            raise AwsError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and "
                "signing method.",
                403,
                StringToSign=text.decode("latin-1"),
                SignatureProvided=sent.decode("latin-1"),
            )
        self._previous = actual


def _decoded_length(request: Request) -> int | None:
    text = request.index.get(b"x-amz-decoded-content-length")
    if text is None:
        if request.body.length is None:
            return None
        raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
    if not text.isdigit() or len(text) > 15:
        raise AwsError("InvalidArgument", "x-amz-decoded-content-length must be a number", 400)
    return int(text)


def _line(buffer: bytearray) -> bytes | None:
    """Take a line without its end off the buffer, or None when it has not arrived yet."""
    end = buffer.find(b"\n", 0, limits.CHUNK_HEADER_MAX_BYTES)
    if end < 0:
        if len(buffer) >= limits.CHUNK_HEADER_MAX_BYTES:
            raise _malformed("a chunk header is too long")
        return None
    line = bytes(buffer[:end]).removesuffix(b"\r")
    del buffer[: end + 1]
    return line


def _malformed(reason: str) -> AwsError:
    return AwsError("InvalidRequest", f"The aws-chunked body is malformed: {reason}.")


def _incomplete() -> AwsError:
    return AwsError("IncompleteBody", "The request body terminated unexpectedly")
