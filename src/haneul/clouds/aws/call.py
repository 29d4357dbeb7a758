"""Call, Operation, Service: how an operation of AWS is offered. A service is a value; an operation is one function."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from haneul.base.errors import Failure
from haneul.base.scope import Scope
from haneul.base.trace import Trace
from haneul.engines.identity.principal import Principal
from haneul.gateway.http import Header, Request

if TYPE_CHECKING:
    from haneul.engines import Engines

Output = dict[str, Any]
"""Members by the model's own names: str, int, float, bool, bytes, datetime or epoch seconds for timestamps, list, dict.
A streaming blob member may be bytes, a FileSlice or an async iterable of bytes; an event stream is an async iterable of
{event name: members}. Members that are None are left out."""


class Call:
    """One request, parsed and validated against the model.

    input      members by the model's names; defaults of the model are not filled in. Timestamps are epoch seconds
               (float), blobs are bytes, a streaming blob is a gateway Body (aws-chunked already decoded and verified)
    principal  who called
    request    the HTTP request, for the few operations that need a header or the host outside the model
    body       the bytes that input was read from, for those that verify a digest of them; b"" when it is a stream
    """

    __slots__ = ("body", "input", "operation", "principal", "request", "request_id", "scope", "trace")

    def __init__(
        self,
        *,
        scope: Scope,
        operation: str,
        input: dict[str, Any],
        principal: Principal,
        request: Request,
        request_id: str,
        trace: Trace,
        body: bytes = b"",
    ) -> None:
        self.scope = scope
        self.operation = operation
        self.input = input
        self.principal = principal
        self.request = request
        self.request_id = request_id
        self.trace = trace
        self.body = body


Handler = Callable[["Engines", Call], Awaitable[Output]]


class Operation(msgspec.Struct, frozen=True):
    """handler: async (engines, call) -> output. action: "s3:PutObject". resource: call -> the ARN it touches, or "*"."""

    handler: Handler
    action: str
    resource: Callable[[Call], str]


class Fault(msgspec.Struct, frozen=True):
    """How an engine's failure is said in a service's words. message may use {noun} {name} {reason} and failure.fields."""

    code: str
    status: int = 400
    message: str = "{reason}"


class Service(msgspec.Struct, frozen=True):
    """A service's face: its name as botocore's data folder spells it, its operations, and its words for failures.

    faults is looked up by (kind of failure, noun), then by (kind, ""). A code that the model declares as an exception
    shape of the operation carries that shape's members out of `failure.fields`.
    """

    name: str
    operations: Mapping[str, Operation]
    faults: Mapping[tuple[type[Failure], str], Fault]


class AwsError(Exception):
    """An error in the service's own words, for what only a face can know.

    headers  further headers of the answer, names in lower case
    members  further members of the error shape
    """

    def __init__(
        self, code: str, message: str, status: int = 400, *, headers: Sequence[Header] = (), **members: Any
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers
        self.members = members
