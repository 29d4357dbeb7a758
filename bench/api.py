"""Requests as SDKs send them, signed beforehand; and a blocking way to send the few that set things up."""

import base64
import http.client
import io
import json
import time
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from bench.signing import Signer

HELLO = """\
import time


def handler(event, context):
    time.sleep(event.get("hold_s", 0))
    return {"message": "hello"}
"""
WITH_BOTO3 = "import boto3\n\nclient = boto3.client('s3')\n" + HELLO
ACCOUNT = "000000000000"
SETTLE_S = 60.0


class Refused(Exception):
    """The server answered, but not with what was asked for: the measurement cannot be run."""


class Api:
    """Builds requests for one server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._signer = Signer("test", "test", "us-east-1")

    def request(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> bytes:
        """One signed request, ready to be written to a socket."""
        named = {"host": f"{self.host}:{self.port}", **(headers or {})}
        signed = self._signer.sign(service, method, path, query, named, body)
        lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in signed.items()]
        if body or method in ("PUT", "POST"):
            lines.append(f"content-length: {len(body)}")
        return "\r\n".join((*lines, "", "")).encode() + body

    def plain(self, path: str = "/") -> bytes:
        return f"GET {path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n\r\n".encode()

    def query(self, service: str, action: str, version: str, **arguments: str) -> bytes:
        body = urlencode({"Action": action, "Version": version, **arguments}).encode()
        kind = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return self.request(service, "POST", "/", headers=kind, body=body)

    def who_am_i(self) -> bytes:
        return self.query("sts", "GetCallerIdentity", "2011-06-15")

    def invoke(self, function: str, event: Mapping[str, Any], *, qualifier: str = "") -> bytes:
        return self.request(
            "lambda",
            "POST",
            f"/2015-03-31/functions/{function}/invocations",
            query=f"Qualifier={qualifier}" if qualifier else "",
            headers={"content-type": "application/json"},
            body=json.dumps(event).encode(),
        )

    # what sets things up

    def send(self, request: bytes, *, timeout_s: float = 60.0) -> tuple[int, bytes]:
        """(status, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.connect()
            connection.sock.sendall(request)
            answer = http.client.HTTPResponse(connection.sock, method=request.split(b" ", 1)[0].decode())
            answer.begin()
            return answer.status, answer.read()
        finally:
            connection.close()

    def demand(self, request: bytes) -> bytes:
        """The body of a successful answer. Raises Refused."""
        status, body = self.send(request)
        if status >= 300:
            raise Refused(f"{status} {body[:300].decode(errors='replace')}")
        return body

    def make_bucket(self, name: str) -> None:
        self.demand(self.request("s3", "PUT", f"/{name}"))

    def put(self, bucket: str, key: str, body: bytes) -> bytes:
        kind = {"content-type": "application/octet-stream"}
        return self.request("s3", "PUT", f"/{bucket}/{key}", headers=kind, body=body)

    def get(self, bucket: str, key: str) -> bytes:
        return self.request("s3", "GET", f"/{bucket}/{key}")

    def make_function(self, name: str, source: str, *, snapshot: bool = False, memory_mb: int = 1769) -> None:
        """A Python function that is ready to be invoked; with snapshot, its version 1 starts from a template. By default it
        has a whole core (1,769 MB), so that what is measured is the way to it and not its own limit."""
        settings: dict[str, Any] = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/bench",
            "MemorySize": memory_mb,
            "Timeout": 120,
            "Code": {"ZipFile": base64.b64encode(_zipped(source)).decode()},
        }
        if snapshot:
            settings["SnapStart"] = {"ApplyOn": "PublishedVersions"}
        self._json("POST", "/2015-03-31/functions", settings)
        self._wait_until_active(name, "")
        if snapshot:
            self._json("POST", f"/2015-03-31/functions/{name}/versions", {})
            self._wait_until_active(name, "1")

    def delete_function(self, name: str) -> None:
        self.demand(self.request("lambda", "DELETE", f"/2015-03-31/functions/{name}"))

    def paths_of_starts(self, function: str) -> dict[str, int]:
        """How many of the last runs came from where: {"warm": 3, "pool": 2}. Empty where the server does not tell."""
        status, body = self.send(self.plain(f"/_haneul/runs?function={function}&limit=1000"))
        counts: dict[str, int] = {}
        if status == 200:
            for run in json.loads(body):
                start = str(run.get("start", "?"))
                counts[start] = counts.get(start, 0) + 1
        return counts

    def _json(self, method: str, path: str, value: Any) -> Any:
        body = json.dumps(value).encode()
        headers = {"content-type": "application/json"}
        return json.loads(self.demand(self.request("lambda", method, path, headers=headers, body=body)))

    def _wait_until_active(self, name: str, qualifier: str) -> None:
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            query = f"Qualifier={qualifier}" if qualifier else ""
            path = f"/2015-03-31/functions/{name}/configuration"
            state = json.loads(self.demand(self.request("lambda", "GET", path, query=query)))
            if state.get("State", "Active") == "Active":
                if qualifier and state.get("SnapStart", {}).get("OptimizationStatus", "On") != "On":
                    raise Refused(f"{name}:{qualifier} has no snapshot")
                return
            if state["State"] == "Failed":
                raise Refused(f"{name} failed: {state.get('StateReason')}")
            time.sleep(0.05)
        raise Refused(f"{name} did not become active within {SETTLE_S} s")


def _zipped(source: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", source)
    return data.getvalue()
