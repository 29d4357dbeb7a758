"""The admin interface: /_haneul/… as JSON, for the command line, the console and health checks."""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from haneul.base.errors import Failure, Invalid, NotFound
from haneul.gateway.http import Request, Response

PATHS = (b"/_haneul/", b"/_localstack/", b"/moto-api/")
BEARER = "/_haneul/code/"
"""What lies below it is for whoever knows its name: a token of its own, signed and with an end."""
LOOPBACK_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")

Answer = Callable[[dict[str, str]], Awaitable[Any]]
"""Takes the query's parameters, gives something that JSON can say, or a Response."""


class AdminFace:
    """A gateway Face. answers: (method, path) -> Answer; a path that ends in "/" takes the rest as parameter "name".

    token: when given (secure mode), everything but health needs `Authorization: Bearer <token>`.
    """

    def __init__(self, answers: Mapping[tuple[str, str], Answer], *, token: str | None) -> None:
        self._answers = answers
        self._token = token

    async def handle(self, request: Request) -> Response:
        path = request.path.decode("latin-1")
        query = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
        answer = self._answers.get((request.method, path))
        if answer is None:
            head, _, name = path.rpartition("/")
            answer = self._answers.get((request.method, head + "/"))
            query["name"] = name
        if answer is None:
            return _json(404, {"message": f"haneul has no {request.method} {path}"})
        if not self._allowed(request, path):
            return _json(
                403, {"message": "not allowed: the admin token of the data folder is needed, and no foreign web page"}
            )
        try:
            result = await answer(query)
        except NotFound as error:
            return _json(404, {"message": str(error) if error.reason else f"{error}: there is none"})
        except Invalid as error:
            return _json(400, {"message": str(error)})
        except Failure as error:
            return _json(409, {"message": str(error)})
        return result if isinstance(result, Response) else _json(200, result)

    def _allowed(self, request: Request, path: str) -> bool:
        if path.endswith("/health") or path.startswith(BEARER):
            return True
        origin = (request.header(b"origin") or b"").decode("latin-1")
        if origin and LOOPBACK_ORIGIN.fullmatch(origin) is None:
            return False  # a web page elsewhere must not steer the cloud of the person who visits it
        if self._token is None:
            return True
        return hmac.compare_digest(request.header(b"authorization") or b"", f"Bearer {self._token}".encode())


def is_admin(request: Request) -> bool:
    """Whether a request is for this interface and not for a cloud."""
    return request.path.startswith(PATHS)


def _json(status: int, value: Any) -> Response:
    return Response(status, [(b"content-type", b"application/json")], msgspec.json.encode(value, enc_hook=str))
