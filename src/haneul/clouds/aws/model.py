"""Service models as AWS publishes them: read from the installed botocore's data files, one service on first use.

botocore itself is never imported (0.2 s and 53 MiB); its folder is found through the import system, and its
`service-2.json.gz` files are decoded straight into the records below, which leave the prose out.
"""

import importlib.util
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from haneul.clouds.aws.mends import mend
from haneul.clouds.aws.shapes import Ref, Shape

_HEAD_BYTES = 4096  # the metadata object opens every model file and fits into this many bytes


class Http(msgspec.Struct, rename="camel", gc=False):
    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class OperationModel(msgspec.Struct, rename="camel", gc=False):
    """One operation: how it is sent, and its shapes."""

    name: str
    http: Http = msgspec.field(default_factory=Http)
    input: Ref | None = None
    output: Ref | None = None
    errors: tuple[Ref, ...] = ()
    authtype: str | None = None
    deprecated: bool = False


class Metadata(msgspec.Struct, rename="camel", gc=False):
    """The head of a model: enough to know a service by."""

    protocol: str
    endpoint_prefix: str
    api_version: str = ""
    protocols: tuple[str, ...] = ()
    signing_name: str | None = None
    target_prefix: str | None = None
    json_version: str | None = None
    service_id: str = ""
    xml_namespace: str | None = None
    aws_query_compatible: Any = None

    def signed_as(self) -> str:
        """The service name in a credential scope."""
        return self.signing_name or self.endpoint_prefix

    def spoken(self) -> tuple[str, ...]:
        """Every wire protocol of the service, the model's own favourite first."""
        return self.protocols or (self.protocol,)


class ServiceModel(msgspec.Struct, gc=False):
    """A service, whole. Shapes refer to each other by name: `model.shapes[ref.shape]`."""

    metadata: Metadata
    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]
    name: str = ""

    def shape(self, ref: Ref) -> Shape:
        return self.shapes[ref.shape]

    def input_members(self, operation: OperationModel) -> dict[str, Ref]:
        return self.shapes[operation.input.shape].members if operation.input else {}

    def payload_member(self, ref: Ref | None) -> tuple[str, Ref] | None:
        """The member that is the whole HTTP body, if the shape names one."""
        if ref is None or (name := self.shapes[ref.shape].payload) is None:
            return None
        return name, self.shapes[ref.shape].members[name]

    def is_streaming(self, ref: Ref) -> bool:
        return ref.streaming or self.shapes[ref.shape].streaming

    def streams_in(self, operation: OperationModel) -> bool:
        """True when the request body is a stream that must not be buffered."""
        payload = self.payload_member(operation.input)
        return payload is not None and self.is_streaming(payload[1])

    def event_stream(self, ref: Ref | None) -> tuple[str, Ref] | None:
        """The member of a structure that is an event stream, if there is one."""
        if ref is not None:
            for name, member in self.shapes[ref.shape].members.items():
                if self.shapes[member.shape].eventstream:
                    return name, member
        return None

    def exception(self, code: str) -> tuple[str, Shape] | None:
        """The exception shape of that name, or whose error code it is (query services spell codes differently)."""
        shape = self.shapes.get(code)
        if shape is not None and shape.exception:
            return code, shape
        for name, candidate in self.shapes.items():
            if candidate.exception and candidate.error is not None and candidate.error.code == code:
                return name, candidate
        return None


_SERVICE_DECODER = msgspec.json.Decoder(ServiceModel)
_METADATA_DECODER = msgspec.json.Decoder(Metadata)


class Library:
    """All published service models, by the names of botocore's data folders ("lambda", "stepfunctions", "cognito-idp").

    At most one model per service is kept. Finding a service that is not asked for often reads every file's first
    bytes once (about 40 ms for 400 services).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else data_folder()
        self._files: dict[str, Path] = {}
        self._heads: dict[str, Metadata] = {}
        self._loaded: dict[str, ServiceModel] = {}

    def names(self) -> list[str]:
        """Every service that has a model."""
        return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir())

    def __contains__(self, name: str) -> bool:
        return name in self._loaded or self._file(name) is not None

    def load(self, name: str) -> ServiceModel:
        """A service's model. Raises KeyError for a name without one."""
        model = self._loaded.get(name)
        if model is None:
            file = self._file(name)
            if file is None:
                raise KeyError(name)
            model = _SERVICE_DECODER.decode(_read(file))
            model.name = name
            mend(model.name, model.shapes)
            self._loaded[name] = model
        return model

    def head(self, name: str) -> Metadata | None:
        """A service's metadata, without reading the rest of its model."""
        if name in self._loaded:
            return self._loaded[name].metadata
        head = self._heads.get(name)
        if head is None and (file := self._file(name)) is not None:
            head = self._heads[name] = _METADATA_DECODER.decode(_metadata_text(_read(file, _HEAD_BYTES)))
        return head

    def heads(self, names: Iterable[str]) -> Iterator[tuple[str, Metadata]]:
        for name in names:
            if (head := self.head(name)) is not None:
                yield name, head

    def _file(self, name: str) -> Path | None:
        if name in self._files:
            return self._files[name]
        if not name or "/" in name or name.startswith("."):
            return None
        folder = self._folder / name
        if not folder.is_dir():
            return None
        for version in sorted((entry.name for entry in folder.iterdir()), reverse=True):
            for spelling in ("service-2.json.gz", "service-2.json"):
                file = folder / version / spelling
                if file.is_file():
                    self._files[name] = file
                    return file
        return None


def data_folder() -> Path:
    """Where botocore keeps its models, found without importing it."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise RuntimeError("botocore is not installed: its data files hold the service models")
    return Path(spec.origin).parent / "data"


def _read(file: Path, head_bytes: int = 0) -> bytes:
    """A model file's text, or at least its first head_bytes."""
    if file.suffix != ".gz":
        return file.read_bytes()
    unpack = zlib.decompressobj(wbits=31)
    if not head_bytes:
        return unpack.decompress(file.read_bytes())
    with file.open("rb") as stream:
        return unpack.decompress(stream.read(head_bytes), head_bytes)


def _metadata_text(head: bytes) -> bytes:
    """The metadata object out of a model's first bytes. It nests, but its strings hold no braces."""
    start = head.index(b"{", head.index(b'"metadata"'))
    depth = 0
    for position in range(start, len(head)):
        if head[position] == 0x7B:
            depth += 1
        elif head[position] == 0x7D:
            depth -= 1
            if depth == 0:
                return head[start : position + 1]
    raise ValueError("a service model does not open with its metadata")
