"""REST-XML, the protocol of S3: path, query string and headers carry members; the rest is an XML document."""

from collections.abc import Callable
from typing import Any

from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Decode, Encode, Problem, Wire, eventstream
from haneul.clouds.aws.protocols.locations import RequestParts, ResponseParts
from haneul.clouds.aws.protocols.xml_in import MalformedXml, XmlReader, read
from haneul.clouds.aws.protocols.xml_out import DECLARATION, XmlWriter, escape, namespace_text
from haneul.clouds.aws.shapes import Ref
from haneul.clouds.aws.validate import MALFORMED_XML, Checker
from haneul.gateway.http import FileSlice, Header, Response

XML: Header = (b"content-type", b"application/xml")
BINARY: Header = (b"content-type", b"binary/octet-stream")
_S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# The model does not say how S3 calls the root of these answers: S3 API reference, "Response Syntax" of each.
ROOTS = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetObjectTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAttributes": "GetObjectAttributesResponse",
}
PAYLOAD_ROOTS = {"ObjectLockLegalHold": "LegalHold", "ObjectLockRetention": "Retention"}


class RestXmlCodec:
    name = "rest-xml"

    def decoder(self, model: ServiceModel, operation: OperationModel) -> Decode:
        ref = operation.input
        if ref is None:
            return lambda wire: {}
        parts = RequestParts(model, operation)
        read_body = _body_reader(model, operation, ref, parts.names)
        check = Checker(model, operation).check

        def decode(wire: Wire) -> dict[str, Any]:
            try:
                value = parts.read(wire)
            except AwsError as error:
                raise _worded(error, "InvalidArgument", error.message) from error
            if "ContentEncoding" in value:
                _drop_chunking(value)
            if read_body is not None:
                try:
                    read_body(wire.body, value)
                except MalformedXml as error:
                    raise AwsError("MalformedXML", MALFORMED_XML) from error
                except AwsError as error:
                    raise _worded(error, "MalformedXML", MALFORMED_XML) from error
            return check(value)

        return decode

    def encoder(self, model: ServiceModel, operation: OperationModel) -> Encode:
        status = operation.http.response_code
        if operation.output is None:
            return lambda output, request_id: Response(status, identity(request_id))
        parts = ResponseParts(model, model.shapes[operation.output.shape])
        stream = model.event_stream(operation.output)
        if stream is not None:
            return eventstream.responder(model, stream, headers=parts.headers, content_type=b"text/xml")
        write_body = _body_writer(model, operation, operation.output, parts.names)
        is_head = operation.http.method == "HEAD"
        length, kind = parts.member_of(b"content-length"), parts.member_of(b"content-type")

        def encode(output: dict[str, Any], request_id: str) -> Response:
            body, content_type = write_body(output)
            if length in output and not is_head and isinstance(body, bytes | FileSlice):
                del output[length]  # the server knows it; of a stream, the operation must say it
            headers = identity(request_id)
            headers += parts.headers(output)
            if content_type is not None and output.get(kind) is None:
                headers.append(content_type)
            partial = status == 200 and output.get("ContentRange") is not None
            return Response(206 if partial else parts.status(output, status), headers, body)

        return encode

    def problem(self, model: ServiceModel | None, problem: Problem) -> Response:
        headers = [*identity(problem.request_id), *problem.headers]
        if problem.status in (304, 204):
            return Response(problem.status, headers)
        members = "".join(
            f"<{name}>{escape(str(item))}</{name}>" for name, item in problem.members.items() if item is not None
        )
        inside = f"<Code>{escape(problem.code)}</Code><Message>{escape(problem.message)}</Message>{members}"
        if model is not None and model.name != "s3":
            fault = "Sender" if problem.is_sender else "Receiver"
            text = (
                f"<ErrorResponse><Error><Type>{fault}</Type>{inside}</Error>"
                f"<RequestId>{problem.request_id}</RequestId></ErrorResponse>"
            )
        else:
            text = (
                f"<Error>{inside}<RequestId>{problem.request_id}</RequestId>"
                f"<HostId>{host_id(problem.request_id)}</HostId></Error>"
            )
        return Response(problem.status, [*headers, XML], (DECLARATION + text).encode())


def identity(request_id: str) -> list[Header]:
    """The headers by which S3 names a request."""
    named = request_id.encode()
    return [(b"x-amz-request-id", named), (b"x-amz-id-2", b"haneul/%b%b%b=" % (named, named, named))]


def host_id(request_id: str) -> str:
    """S3's second, longer request id: opaque to clients, so it repeats the first."""
    return f"haneul/{request_id * 3}="


def _drop_chunking(value: dict[str, Any]) -> None:
    """aws-chunked belongs to the transfer, not to the object that is stored."""
    kept = [part.strip() for part in value["ContentEncoding"].split(",") if part.strip() not in ("aws-chunked", "")]
    if kept:
        value["ContentEncoding"] = ",".join(kept)
    else:
        del value["ContentEncoding"]


def _worded(error: AwsError, code: str, message: str) -> AwsError:
    return AwsError(code, message) if error.code == "SerializationException" else error


def _body_reader(
    model: ServiceModel, operation: OperationModel, ref: Ref, outside: set[str]
) -> Callable[[Any, dict[str, Any]], None] | None:
    payload = model.payload_member(ref)
    reader = XmlReader(model)
    if payload is None:
        if set(model.shapes[ref.shape].members) <= outside:
            return None
        root = reader.structure(ref.shape)
        roots = frozenset((ref.location_name or ref.shape, ref.shape, operation.name + "Request"))
        return lambda body, value: value.update(read(body, root, roots)) if body else None
    name, member = payload
    if model.shapes[member.shape].type == "structure":
        root = reader.structure(member.shape)
        roots = frozenset((member.location_name or member.shape, member.shape))
        return lambda body, value: value.update({name: read(body, root, roots)}) if body else None
    if model.is_streaming(member):
        return lambda body, value: value.update({name: body})
    is_text = model.shapes[member.shape].type != "blob"

    def take(body: bytes, value: dict[str, Any]) -> None:
        if body:
            try:
                value[name] = body.decode() if is_text else body
            except UnicodeDecodeError as error:
                raise MalformedXml("not UTF-8") from error

    return take


def _body_writer(
    model: ServiceModel, operation: OperationModel, ref: Ref, outside: set[str]
) -> Callable[[dict[str, Any]], tuple[Any, Header | None]]:
    payload = model.payload_member(ref)
    writer = XmlWriter(model, as_query=False)
    if payload is not None:
        name, member = payload
        if model.shapes[member.shape].type == "structure":
            return _document_writer(
                writer.inside(member.shape),
                member.location_name or PAYLOAD_ROOTS.get(member.shape, member.shape),
                namespace_text(member.xml_namespace) or namespace_text(_S3_NAMESPACE),
                lambda output: output.get(name),
            )
        return _raw_writer(name)
    if set(model.shapes[ref.shape].members) <= outside:
        return lambda output: (b"", None)
    root = ROOTS.get(operation.name, ref.location_name or ref.shape)
    if model.name == "s3" and operation.name == "GetBucketLocation":
        return _location_writer
    inside = writer.inside(ref.shape, frozenset(outside))
    return _document_writer(inside, root, namespace_text(_S3_NAMESPACE), lambda output: output)


def _document_writer(
    inside: Callable[[Any, Callable[[str], None]], None],
    root: str,
    namespace: str,
    pick: Callable[[dict[str, Any]], dict[str, Any] | None],
) -> Callable[[dict[str, Any]], tuple[Any, Header | None]]:
    start, end = f"{DECLARATION}<{root}{namespace}>", f"</{root}>"

    def write(output: dict[str, Any]) -> tuple[Any, Header | None]:
        value = pick(output)
        if value is None:
            return b"", None
        parts = [start]
        inside(value, parts.append)
        parts.append(end)
        return "".join(parts).encode(), XML

    return write


def _raw_writer(name: str) -> Callable[[dict[str, Any]], tuple[Any, Header | None]]:
    def write(output: dict[str, Any]) -> tuple[Any, Header | None]:
        value = output.get(name)
        if value is None:
            return b"", None
        return (value.encode() if isinstance(value, str) else value), BINARY

    return write


def _location_writer(output: dict[str, Any]) -> tuple[Any, Header | None]:
    # The only S3 answer that is a bare text element: S3 API reference, GetBucketLocation.
    where = escape(output.get("LocationConstraint") or "")
    text = f'{DECLARATION}<LocationConstraint xmlns="{_S3_NAMESPACE}">{where}</LocationConstraint>'
    return text.encode(), XML
