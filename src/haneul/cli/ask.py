"""Asking the admin interface of the running cloud."""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from .running import find_ca, find_token

TIMEOUT_S = 30.0


class NotRunning(Exception):
    """No cloud answers there; the message says what to do."""

    def __init__(self, url: str, why: str = "") -> None:
        advice = "Start one with `haneul up`, or name it with --endpoint."
        super().__init__(f"no cloud answers at {url}{why and f' ({why})'}. {advice}")


class Refused(Exception):
    """The cloud answered with an error. status: of HTTP, or 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def ask(url: str, path: str, *, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of the admin interface. Raises NotRunning, or Refused with what it said."""
    if not url.startswith(("http://", "https://")):
        raise Refused(f"{url} is no address of a cloud: it begins with http:// or https://")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data=data, method=method)
    if token := find_token(url):
        request.add_header("authorization", f"Bearer {token}")
    try:
        context = ssl.create_default_context(cafile=find_ca(url)) if url.startswith("https:") else None
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            text = text or error.reason
        raise Refused(text, error.code) from error
    except ValueError as error:
        raise Refused(f"{url} does not answer as haneul does: {error}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        why = f"{reason}" if isinstance(reason, ssl.SSLError) else ""
        raise NotRunning(url, why) from error
