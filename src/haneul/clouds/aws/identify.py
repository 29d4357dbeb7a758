"""Which service and operation a request means: by target header, protocol header, signing scope, host and path."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from haneul.base import limits
from haneul.base.config import Config
from haneul.clouds.aws.auth import Auth
from haneul.clouds.aws.model import Library, Metadata
from haneul.clouds.aws.routes import Match, Router
from haneul.gateway.http import Request

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d\Z")
_RPC = re.compile(rb"/service/([^/]+)/operation/([^/]+)/?\Z")
# Unsigned requests to these paths belong to no service but theirs; nobody calls a bucket like this.
_QUEUE = re.compile(rb"/\d{12}/[^/]+/?\Z")
_VERSIONED = re.compile(rb"/(?:\d{4}-\d\d-\d\d|v2|restapis|apis|account|usageplans|domainnames)(?:/|\Z)", re.I)
# Where several services sign alike, these are asked last.
_LATER = ("apigatewaymanagementapi", "dynamodbstreams")


class Host(NamedTuple):
    """What a host name says: the service's endpoint prefix, the region and the bucket, "" where it says nothing."""

    prefix: str = ""
    region: str = ""
    bucket: str = ""


class Target(NamedTuple):
    """What a request means. operation is "" for query requests until the form has been read.

    service   "" when nobody knows it; `asked` is then what the request calls it
    protocol  json-1.0 | json-1.1 | query | rest-json | rest-xml | rpc-cbor
    path      the path that was routed, the bucket of a virtual host in front
    """

    service: str
    protocol: str
    operation: str
    labels: dict[str, str]
    region: str
    asked: str = ""
    path: str = ""


class Directory:
    """Knows services by every name that a request may use for them. The services that haneul offers come first; the
    rest of AWS is read on the first request for one of them, so that it can be refused by name."""

    def __init__(self, library: Library, offered: Iterable[str], config: Config) -> None:
        self._library = library
        self._config = config
        self._hosts: dict[bytes, Host] = {}
        self._routers: dict[str, Router] = {}
        self._heads: dict[str, Metadata] = {}
        self._targets: dict[str, str] = {}
        self._signed: dict[str, list[str]] = {}
        self._prefixes: dict[str, str] = {}
        self._forms: set[str] = set()  # services that take forms
        self._rest: dict[str, str] = {}  # the protocol of those that are told by paths
        self._is_whole = False
        self._learn(offered)

    def identify(self, request: Request, auth: Auth) -> Target:
        host = self._host(request.index.get(b"host") or b"")
        region = auth.region or host.region or self._config.region
        target = request.index.get(b"x-amz-target")
        if target is not None:
            return self._by_target(target.decode("latin-1"), request.index.get(b"content-type") or b"", region)
        if request.index.get(b"smithy-protocol") == b"rpc-v2-cbor" and (found := _RPC.match(request.path)):
            prefix, operation = found[1].decode("latin-1"), found[2].decode("latin-1")
            service = self._find(self._targets, prefix)
            return Target(service or "", "rpc-cbor", operation, {}, region, asked=prefix)
        if auth.service:
            return self._among(self._signed_as(auth.service), auth.service, request, host, region)
        if host.prefix:
            service = self._find(self._prefixes, host.prefix)
            return self._among([service] if service else [], host.prefix, request, host, region)
        return self._by_path(request, host, region)

    def host_region(self, request: Request) -> str:
        """The region that a request's host names, "" when it names none."""
        return self._host(request.index.get(b"host") or b"").region

    def router(self, service: str) -> Router:
        router = self._routers.get(service)
        if router is None:
            router = self._routers[service] = Router(self._library.load(service))
        return router

    def query_service(self, version: str, signing_name: str) -> str:
        """The query service of an API version, among those that sign by this name; "" when there is none."""
        for name in self._signed_as(signing_name) if signing_name else self._heads:
            head = self._heads[name]
            if head.api_version == version and (_speaks(head, "query") or name == "sqs"):
                return name
        return ""

    def _by_target(self, target: str, content_type: bytes, region: str) -> Target:
        prefix, _, operation = target.rpartition(".")
        service = self._find(self._targets, prefix)
        protocol = "json-1.1" if b"json-1.1" in content_type else "json-1.0"
        if service is not None and b"x-amz-json" not in content_type:
            protocol = f"json-{self._heads[service].json_version or '1.0'}"
        return Target(service or "", protocol, operation, {}, region, asked=prefix or target)

    def _among(self, names: list[str], asked: str, request: Request, host: Host, region: str) -> Target:
        """The operation of a request that is for one of these services."""
        if not names:
            return Target("", "rest-json", "", {}, region, asked=asked)
        if not self._forms.isdisjoint(names) and _is_form(request):
            name = names[0] if len(names) == 1 else ""
            return Target(name, "query", "", {}, region, asked=asked)
        path = request.path.decode("latin-1")
        for name in names:
            protocol = self._rest.get(name)
            if protocol is None:
                continue
            routed = f"/{host.bucket}{path}" if name == "s3" and host.bucket else path
            match = self.router(name).match(request, routed)
            if match is not None:
                return Target(name, protocol, match.operation, match.labels, region, asked, routed)
        name = names[0]
        return Target(name, _default_protocol(self._heads[name]), "", {}, region, asked, path)

    def _by_path(self, request: Request, host: Host, region: str) -> Target:
        """Nothing but the path is left: a form, a versioned REST path, or else a bucket."""
        if not host.bucket:
            if _is_form(request) and (request.path == b"/" or _QUEUE.match(request.path)):
                return Target("", "query", "", {}, region)
            if _VERSIONED.match(request.path):
                path = request.path.decode("latin-1")
                for name, head in self._heads.items():
                    if head.protocol == "rest-json" and (match := self._static_match(name, request, path)):
                        return Target(name, "rest-json", match.operation, match.labels, region, path=path)
        return self._among(self._signed_as("s3"), "s3", request, host, region)

    def _static_match(self, name: str, request: Request, path: str) -> Match | None:
        return self.router(name).match(request, path)

    def _signed_as(self, signing_name: str) -> list[str]:
        if signing_name not in self._signed:
            self._widen()
        return self._signed.get(signing_name, [])

    def _find(self, index: dict[str, str], name: str) -> str | None:
        if name not in index:
            self._widen()
        return index.get(name)

    def _widen(self) -> None:
        """Learn of every service that AWS has."""
        if not self._is_whole:
            self._is_whole = True
            self._learn(name for name in self._library.names() if name not in self._heads)

    def _learn(self, names: Iterable[str]) -> None:
        for name, head in self._library.heads(names):
            self._heads[name] = head
            if _speaks(head, "query") or name == "sqs":
                self._forms.add(name)
            if head.protocol.startswith("rest-"):
                self._rest[name] = head.protocol
            if head.target_prefix:
                self._targets.setdefault(head.target_prefix, name)
            self._prefixes.setdefault(head.endpoint_prefix, name)
            alike = self._signed.setdefault(head.signed_as(), [])
            alike.insert(len(alike) if name in _LATER or not alike or alike[0] not in _LATER else 0, name)

    def _host(self, raw: bytes) -> Host:
        host = self._hosts.get(raw)
        if host is None:
            host = read_host(raw.decode("latin-1"), self._config.domain, self._prefixes.keys())
            if len(self._hosts) >= limits.HOSTS_CACHE_MAX:
                self._hosts.clear()
            self._hosts[raw] = host
        return host


def read_host(text: str, domain: str, prefixes: Iterable[str]) -> Host:
    """What a Host header says. Names outside the known domains say nothing: any name may lead to this server."""
    name = text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() else text
    name = name.lower().rstrip(".")
    for suffix in (domain, "localhost.localstack.cloud", "localhost", "amazonaws.com.cn", "amazonaws.com", "api.aws"):
        if name == suffix:
            return Host()
        if name.endswith("." + suffix):
            return _read_labels(name[: -len(suffix) - 1], set(prefixes), is_aws=suffix.startswith(("amazonaws", "api")))
    return Host()


def _read_labels(name: str, prefixes: set[str], *, is_aws: bool) -> Host:
    """The labels in front of a known domain: [bucket.]s3[.region], service[.region], or a bucket alone."""
    labels = name.split(".")
    region = ""
    kept: list[str] = []
    for label in labels:
        if _REGION.match(label) and not region and kept:
            region = label
        elif label.startswith("s3-") and _REGION.match(label[3:]):
            kept.append("s3")
            region = label[3:]
        elif label not in ("dualstack", "website") or not kept:
            kept.append(label)
    if "s3" in kept:
        # The last "s3" is the service: bucket names may hold dots, and even this label.
        at = len(kept) - 1 - kept[::-1].index("s3")
        return Host("s3", region, ".".join(labels[: labels.index(kept[at])] if at == 0 else kept[:at]))
    joined = ".".join(kept)
    for candidate in (joined, kept[-1] if kept else "", kept[0] if kept else ""):
        if candidate in prefixes:
            return Host(candidate, region)
    return Host(kept[0] if is_aws and kept else "", region, "" if is_aws else name)


def _is_form(request: Request) -> bool:
    content_type = request.index.get(b"content-type") or b""
    if request.method == "POST":
        return content_type.startswith(b"application/x-www-form-urlencoded")
    return request.method == "GET" and (request.query.startswith(b"Action=") or b"&Action=" in request.query)


def _speaks(head: Metadata, protocol: str) -> bool:
    return protocol in head.spoken() or head.protocol == protocol


def _default_protocol(head: Metadata) -> str:
    """How to answer a request of a service whose own protocol it does not follow."""
    if head.protocol == "json":
        return f"json-{head.json_version or '1.0'}"
    if head.protocol in ("query", "ec2"):
        return "query"
    return "rpc-cbor" if head.protocol == "smithy-rpc-v2-cbor" else head.protocol
