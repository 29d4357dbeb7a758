"""An unmodified botocore client whose HTTP goes straight into a face, and the small parts that such tests need."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config as ClientConfig

from haneul.base.errors import TooLarge
from haneul.base.finished import Finished, Logged
from haneul.engines.identity.principal import Principal
from haneul.engines.identity.records import Credential
from haneul.gateway.http import Face, FileSlice, Header, Request, Response


class Bytes:
    """A request body that is already here, handed out in pieces."""

    def __init__(self, data: bytes, piece_bytes: int = 65536, trailers: list[Header] | None = None) -> None:
        self.data = data
        self.length: int | None = len(data)
        self.trailers = trailers or []
        self._piece_bytes = piece_bytes

    async def read(self, limit: int) -> bytes:
        if len(self.data) > limit:
            raise TooLarge("request body", "", f"more than {limit} bytes")
        return self.data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.data), self._piece_bytes):
            yield self.data[start : start + self._piece_bytes]


class Seen:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.records: list[Finished] = []

    def finished(self, record: Finished) -> None:
        self.records.append(record)

    def logged(self, record: Logged) -> None:
        raise AssertionError("a face writes no log lines of functions")


class Keys:
    """Access keys of a test, as the identity engine offers them."""

    def __init__(self, **secrets: str) -> None:
        self.known = {
            key: Credential(secret, "", None, Principal("111122223333", "user", "tester", "AIDATESTER", access_key=key))
            for key, secret in secrets.items()
        }

    def credential(self, access_key_id: str) -> Credential | None:
        return self.known.get(access_key_id)

    def holder(self, principal: Principal) -> None:
        return None


class Engines:
    def __init__(self, keys: Keys) -> None:
        self.identity = keys


def request(
    method: str = "GET",
    target: str = "/",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    piece_bytes: int = 65536,
) -> Request:
    fields = {"host": "localhost:4566", **{name.lower(): value for name, value in (headers or {}).items()}}
    return Request(
        method=method,
        target=target.encode(),
        headers=[(name.encode(), value.encode()) for name, value in fields.items()],
        body=Bytes(body, piece_bytes),
    )


async def content(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    assert not isinstance(response.body, FileSlice)
    return b"".join([piece async for piece in response.body])


class _Raw:
    """What botocore reads a response body from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._data

    def read(self, amount: int | None = None, *_: Any, **__: Any) -> bytes:
        end = len(self._data) if amount is None else amount
        taken, self._data = self._data[:end], self._data[end:]
        return taken

    def close(self) -> None:
        return None


class Session:
    """Stands where botocore keeps its HTTP session. last is the request that went out."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self.last: Request | None = None

    def send(self, prepared: Any) -> AWSResponse:
        body = prepared.body or b""
        if hasattr(body, "read"):
            body = body.read()
        body = body.encode() if isinstance(body, str) else bytes(body)
        parts = urlsplit(prepared.url)
        headers = [(name.lower().encode(), _bytes(value)) for name, value in prepared.headers.items()]
        if not any(name == b"host" for name, _ in headers):
            headers.insert(0, (b"host", parts.netloc.encode()))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.last = Request(method=prepared.method, target=target.encode(), headers=headers, body=Bytes(body))

        async def answer() -> tuple[Response, bytes]:
            assert self.last is not None
            response = await self._face.handle(self.last)
            return response, await content(response)

        response, data = asyncio.run(answer())
        fields = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        fields.setdefault("content-length", str(len(data)))
        return AWSResponse(prepared.url, response.status, fields, _Raw(data))

    def close(self) -> None:
        return None


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def client(face: Face, service: str, *, key: str = "AKIDEXAMPLE", secret: str = "secret", **options: Any) -> Any:
    """A botocore client of that service; client.sent() is the last request."""
    session = botocore.session.Session()
    session.set_credentials(key, secret, options.pop("token", None))
    settings = ClientConfig(retries={"max_attempts": 0}, **options)
    made = session.create_client(
        service, region_name="us-east-1", endpoint_url="http://localhost:4566", config=settings
    )
    made._endpoint.http_session = Session(face)
    made.sent = lambda: made._endpoint.http_session.last
    return made
