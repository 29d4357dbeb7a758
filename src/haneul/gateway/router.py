"""Chooses, for each request, the face that answers it."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from .http import Accepted, Face, Request, Response

Choice = tuple[Callable[[Request], bool], Face]


def under(prefix: bytes) -> Callable[[Request], bool]:
    """Requests for this path and everything below it: under(b"/_haneul")."""
    below = prefix + b"/"
    return lambda request: request.path == prefix or request.path.startswith(below)


class Router:
    """The first face whose condition holds, else the default. Conditions see the head only and must not wait."""

    def __init__(self, faces: Sequence[Choice], default: Face) -> None:
        self._faces = tuple(faces)
        self._default = default

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        return self._choose(request).handle(request)  # the face's own coroutine: one step less in every request

    async def upgrade(self, request: Request) -> Accepted | Response:
        """A face that takes no WebSockets answers the handshake as the plain request that it also is."""
        face = self._choose(request)
        upgrade: Callable[[Request], Awaitable[Accepted | Response]] | None = getattr(face, "upgrade", None)
        return await face.handle(request) if upgrade is None else await upgrade(request)

    def _choose(self, request: Request) -> Face:
        for matches, face in self._faces:
            if matches(request):
                return face
        return self._default
