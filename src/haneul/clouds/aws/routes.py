"""REST routes: from method, path and query string to an operation and its labels, by a trie of path segments."""

from collections.abc import Sequence
from typing import NamedTuple

from haneul.base import limits
from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols.locations import parse_query
from haneul.gateway.http import Request


class Route(NamedTuple):
    """constants: fields that the query string must hold, with this value unless it is None. query, headers: required
    members; between operations of the same path, the one whose required members were sent is meant."""

    operation: str
    labels: tuple[str, ...]
    constants: tuple[tuple[str, str | None], ...]
    query: tuple[str, ...]
    headers: tuple[bytes, ...]
    deprecated: bool


class Match(NamedTuple):
    operation: str
    labels: dict[str, str]


class _Routes:
    """The operations of one path and method. plain: those that may be meant when no query string was sent, the one
    with the most required headers first."""

    __slots__ = ("every", "plain")

    def __init__(self) -> None:
        self.every: list[Route] = []
        self.plain: list[Route] = []

    def add(self, route: Route) -> None:
        self.every.append(route)
        if not route.constants and not route.query:
            self.plain.append(route)
            self.plain.sort(key=lambda it: (-len(it.headers), it.deprecated))

    def choose(self, request: Request) -> Route | None:
        """The operation that is meant, None when no query string of theirs was sent."""
        if len(self.every) == 1 and not self.every[0].constants:
            return self.every[0]
        if not request.query:
            for route in self.plain:
                if not route.headers or all(request.index.get(name) is not None for name in route.headers):
                    return route
        return _choose(self.every, request)


class _Node:
    __slots__ = ("greedy", "label", "methods", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.label: _Node | None = None
        self.greedy: _Node | None = None
        self.methods: dict[str, _Routes] = {}


class Router:
    """The routes of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._root = _Node()
        self._found: dict[tuple[str, str], tuple[_Node, list[str]]] = {}
        for operation in model.operations.values():
            self._add(model, operation)

    def match(self, request: Request, path: str) -> Match | None:
        """The operation that a request means. Labels stay percent-encoded. path: without the query string."""
        values: list[str] = []
        node = self._find_object(path, request.method, values)
        if node is None:
            place = (request.method, path)
            known = self._found.get(place)
            if known is None:
                node = self._find(self._root, path.split("/")[1:], 0, request.method, values)
                if node is None:
                    return None
                if len(self._found) >= limits.ROUTES_CACHE_MAX:
                    self._found.clear()
                self._found[place] = node, values
            else:
                node, values = known
        route = node.methods[request.method].choose(request)
        if route is None:
            return None
        return Match(route.operation, dict(zip(route.labels, values, strict=True)))

    def _find_object(self, path: str, method: str, values: list[str]) -> _Node | None:
        """The short way for paths like S3's /{Bucket}/{Key+}, where nothing else can be meant; None for all others."""
        root = self._root
        first, _, rest = path[1:].partition("/")
        inner = root.label
        if inner is None or not first or not rest or first in root.static or inner.static or inner.label is not None:
            return None
        node = inner.greedy
        if node is None or method not in node.methods:
            return None
        values += (first, rest)
        return node

    def _find(self, node: _Node, segments: Sequence[str], at: int, method: str, values: list[str]) -> _Node | None:
        left = len(segments) - at
        if left == 0 or (left == 1 and not segments[at]):
            return node if method in node.methods else None
        segment = segments[at]
        inner = node.static.get(segment)
        if inner is not None and (found := self._find(inner, segments, at + 1, method, values)) is not None:
            return found
        if node.label is not None and segment:
            values.append(segment)
            found = self._find(node.label, segments, at + 1, method, values)
            if found is not None:
                return found
            values.pop()
        if node.greedy is not None:
            return self._find_greedy(node.greedy, segments, at, method, values)
        return None

    def _find_greedy(
        self, node: _Node, segments: Sequence[str], at: int, method: str, values: list[str]
    ) -> _Node | None:
        """A greedy label takes as much as it can, leaving what the static segments behind it need."""
        if method in node.methods:
            values.append("/".join(segments[at:]))
            return node
        for end in range(len(segments) - 1, at, -1):
            inner = node.static.get(segments[end])
            if inner is not None:
                values.append("/".join(segments[at:end]))
                found = self._find(inner, segments, end + 1, method, values)
                if found is not None:
                    return found
                values.pop()
        return None

    def _add(self, model: ServiceModel, operation: OperationModel) -> None:
        path, _, query = operation.http.request_uri.partition("?")
        node = self._root
        labels: list[str] = []
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                labels.append(segment.strip("{+}"))
                if segment.endswith("+}"):
                    node.greedy = node.greedy or _Node()
                    node = node.greedy
                else:
                    node.label = node.label or _Node()
                    node = node.label
            elif segment:
                node = node.static.setdefault(segment, _Node())
        shape = model.shapes[operation.input.shape] if operation.input else None
        required = [] if shape is None else [(shape.members[name], name) for name in shape.required]
        route = Route(
            operation.name,
            tuple(labels),
            tuple(
                (name, value if "=" in field else None)
                for field in query.split("&")
                if field
                for name, _, value in [field.partition("=")]
            ),
            tuple(ref.location_name or name for ref, name in required if ref.location == "querystring"),
            tuple((ref.location_name or name).lower().encode() for ref, name in required if ref.location == "header"),
            operation.deprecated,
        )
        node.methods.setdefault(operation.http.method, _Routes()).add(route)


def _choose(routes: list[Route], request: Request) -> Route | None:
    """The best of the routes whose constants are there: nothing required missing, then the most specific."""
    sent = dict(parse_query(request.query.decode("latin-1")))
    best: tuple[tuple[int, int, int, int], Route] | None = None
    for route in routes:
        if any(name not in sent or (value is not None and sent[name] != value) for name, value in route.constants):
            continue
        missing = sum(name not in sent for name in route.query)
        missing += sum(request.index.get(name) is None for name in route.headers)
        rank = (-missing, len(route.constants), len(route.query) + len(route.headers), -int(route.deprecated))
        if best is None or rank > best[0]:
            best = (rank, route)
    return None if best is None else best[1]
