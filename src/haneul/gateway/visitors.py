"""Whether a web page of elsewhere is behind a request: what asks nobody for a key must refuse it.

Any page that a developer opens can send requests to their loopback address. A request with a foreign Origin comes from
such a page; one with a foreign Host comes from a page whose name was made to point here (DNS rebinding), for which the
browser then sends no Origin when it reads. Programs send neither.
"""

import ipaddress
from functools import lru_cache

from haneul.gateway.http import Request, Response

# Names that no stranger can register: RFC 2606, RFC 6761, RFC 8375, ICANN's reservation of .internal.
_RESERVED = ("localhost", "test", "example", "invalid", "local", "localdomain", "internal", "home.arpa")
# Where SDKs send requests that a proxy or a hosts file leads here. Only as a Host: anybody may have a page there.
_CLOUDS = ("amazonaws.com", "amazonaws.com.cn", "api.aws", "localhost.localstack.cloud")


def from_elsewhere(request: Request, domain: str) -> bool:
    """Whether a foreign web page sent it. domain: the name under which this server is known, its own pages' too."""
    origin = request.header(b"origin")
    if origin is not None and not _is_own_page(origin, domain):
        return True
    host = request.header(b"host")
    return bool(host) and not _is_own_host(host or b"", domain)


class ClosedDoor:
    """The face that answers such requests."""

    async def handle(self, request: Request) -> Response:
        text = b"refused: this request comes from a web page of elsewhere, or names this server by a foreign name; see domain\n"
        return Response(403, [(b"content-type", b"text/plain")], text)


@lru_cache(maxsize=256)
def _is_own_page(origin: bytes, domain: str) -> bool:
    scheme, found, authority = origin.decode("latin-1").partition("://")
    if not found or scheme not in ("http", "https") or "@" in authority or "/" in authority:
        return False  # "null" among them: files, and frames that anybody may open
    name = _name(authority)
    return _is_loopback(name) or _within(name, ("localhost", domain))


@lru_cache(maxsize=1024)
def _is_own_host(host: bytes, domain: str) -> bool:
    name = _name(host.decode("latin-1"))
    return "." not in name or _is_address(name) or _within(name, (*_RESERVED, *_CLOUDS, domain))


def _name(authority: str) -> str:
    """Without port, brackets and the dot behind."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0].lower().rstrip(".")


def _within(name: str, domains: tuple[str, ...]) -> bool:
    return any(name == domain or name.endswith("." + domain) for domain in domains)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
