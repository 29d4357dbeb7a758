"""The wire protocols of AWS: each turns requests into inputs and outputs into responses, compiled per operation."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.gateway.http import Body, Header, Request, Response


class Wire(NamedTuple):
    """What a decoder is given: the request, the labels of its path (still percent-encoded), and its body, read to the
    end as bytes unless the operation's input is a stream."""

    request: Request
    labels: dict[str, str]
    body: "bytes | Body"
    form: list[tuple[str, str]] | None = None


Decode = Callable[[Wire], dict[str, Any]]
"""Raises AwsError for what cannot be parsed or breaks a constraint of the model."""

Encode = Callable[[dict[str, Any], str], Response]
"""(output, request id) -> response."""


class Problem(msgspec.Struct, frozen=True):
    """An error on its way to the client.

    shape     name of the exception shape ("" when the model knows none), which may differ from the wire code
    members   further members of that shape
    headers   further HTTP headers
    """

    code: str
    message: str
    status: int
    request_id: str
    shape: str = ""
    members: dict[str, Any] = {}
    headers: tuple[Header, ...] = ()

    @property
    def is_sender(self) -> bool:
        return self.status < 500


class Codec(Protocol):
    """One wire protocol."""

    name: str

    def decoder(self, model: ServiceModel, operation: OperationModel) -> Decode: ...

    def encoder(self, model: ServiceModel, operation: OperationModel) -> Encode: ...

    def problem(self, model: ServiceModel | None, problem: Problem) -> Response:
        """The response for an error. model is None when the service is not known."""
        ...
