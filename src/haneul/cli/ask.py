"""Asking the admin interface of the running cloud."""

import json
import urllib.error
import urllib.request
from typing import Any

from .running import data_dir

TIMEOUT_S = 30.0


class NotRunning(Exception):
    """No cloud answers there; the message says what to do."""


class Refused(Exception):
    """The cloud answered with an error."""


def ask(url: str, path: str, *, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of the admin interface. Raises NotRunning, or Refused with what it said."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data=data, method=method)
    token = data_dir() / "admin-token"
    if token.is_file():
        request.add_header("authorization", f"Bearer {token.read_text(encoding='utf-8').strip()}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            text = text or error.reason
        raise Refused(text) from error
    except (urllib.error.URLError, OSError) as error:
        raise NotRunning(
            f"no cloud answers at {url}. Start one with `haneul up`, or name it with --endpoint."
        ) from error
