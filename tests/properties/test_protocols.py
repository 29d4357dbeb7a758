"""Every operation of every service in scope: botocore's requests read by us, our answers read by botocore."""

import asyncio
import datetime
import random
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import pytest
from botocore.awsrequest import HeadersDict

from haneul.base.config import Config
from haneul.clouds.aws.auth import Auth
from haneul.clouds.aws.front import _CODECS as CODECS
from haneul.clouds.aws.identify import Directory
from haneul.clouds.aws.model import Library, OperationModel, ServiceModel
from haneul.clouds.aws.protocols import Problem, Wire
from haneul.clouds.aws.protocols.locations import parse_query
from haneul.clouds.aws.shapes import Shape
from haneul.gateway.http import Request
from tests.properties.shapes import Sampler
from tests.unit.aws.driver import Bytes, content

SERVICES = [
    "lambda",
    "s3",
    "sqs",
    "sns",
    "dynamodb",
    "dynamodbstreams",
    "events",
    "scheduler",
    "pipes",
    "schemas",
    "stepfunctions",
    "apigateway",
    "apigatewayv2",
    "apigatewaymanagementapi",
    "elbv2",
    "cognito-idp",
    "cognito-identity",
    "iam",
    "sts",
    "secretsmanager",
    "ssm",
    "kms",
    "logs",
    "cloudwatch",
    "xray",
    "cloudformation",
    "kinesis",
    "firehose",
    "ecr",
    "resourcegroupstaggingapi",
]
OURS = {"smithy-rpc-v2-cbor": "rpc-cbor", "rest-json": "rest-json", "rest-xml": "rest-xml", "query": "query"}
FULLNESS = (0.0, 0.5, 1.0)
LIBRARY = Library()
DIRECTORY = Directory(LIBRARY, SERVICES, Config())
LOADER = botocore.loaders.Loader()


def spoken() -> Iterator[tuple[str, str]]:
    """Each service with each of its protocols."""
    for service in SERVICES:
        head = LIBRARY.head(service)
        assert head is not None
        for protocol in head.spoken():
            yield service, protocol


SPOKEN = list(spoken())


def theirs(service: str) -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(LOADER.load_service_model(service, "service-2"), service)


def ours(protocol: str, model: ServiceModel) -> str:
    return OURS.get(protocol) or f"json-{model.metadata.json_version}"


def sampler(model: ServiceModel, protocol: str, operation: str, fullness: float, side: str) -> Sampler:
    seed = zlib.crc32(f"{model.name} {protocol} {operation} {fullness} {side}".encode())
    return Sampler(
        model, random.Random(seed), fullness=fullness, xml=protocol in ("query", "rest-xml"), form=protocol == "query"
    )


def with_dates(model: ServiceModel, shape: Shape, value: Any) -> Any:
    """The same value with a datetime wherever the model has a timestamp."""
    if shape.type == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    if shape.type == "structure" and not shape.document:
        return {name: with_dates(model, model.shape(shape.members[name]), item) for name, item in value.items()}
    if shape.type == "list":
        assert shape.member is not None
        return [with_dates(model, model.shape(shape.member), item) for item in value]
    if shape.type == "map":
        assert shape.value is not None
        return {key: with_dates(model, model.shape(shape.value), item) for key, item in value.items()}
    return value


def as_request(sent: dict[str, Any], service: str) -> Request:
    """The HTTP request of what botocore's serialiser made."""
    query = sent["query_string"]
    if isinstance(query, dict):
        pairs = [
            (name, item) for name, items in query.items() for item in (items if isinstance(items, list) else [items])
        ]
        query = "&".join(f"{quote(name, safe='-_.~')}={quote(str(item), safe='-_.~')}" for name, item in pairs)
    body = sent["body"]
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    if isinstance(body, dict):
        body = "&".join(f"{quote(name, safe='-_.~')}={quote(str(item), safe='-_.~')}" for name, item in body.items())
    body = body.encode() if isinstance(body, str) else bytes(body)
    path = sent["url_path"]
    if query:
        path += ("&" if "?" in path else "?") + query
    fields = [(b"host", b"localhost:4566")]
    fields += [
        (name.encode(), value if isinstance(value, bytes) else str(value).encode()) for name, value in headers.items()
    ]
    return Request(method=sent["method"], target=path.encode(), headers=fields, body=Bytes(body))


def read_input(service: str, request: Request, model: ServiceModel, operation: OperationModel) -> tuple[str, Any]:
    """The operation and input that our side makes of a request."""
    auth = Auth("header", "AKID", "20260101", "us-east-1", model.metadata.signed_as(), "aws4_request")
    target = DIRECTORY.identify(request, auth)
    body: Any = request.body
    form = None
    if not model.streams_in(operation):
        body = request.body.data  # type: ignore[attr-defined]
    if target.protocol == "query":
        form = parse_query(body.decode())
        fields = dict(form)
        target = target._replace(
            operation=fields["Action"],
            service=target.service or DIRECTORY.query_service(fields["Version"], target.asked),
        )
    assert target.service == service
    found = model.operations[target.operation]
    value = CODECS[target.protocol].decoder(model, found)(Wire(request, target.labels, body, form))
    return target.operation, {
        name: asyncio.run(item.read(99)) if isinstance(item, Bytes) else item for name, item in value.items()
    }


# Operations that another one hides on the wire: older spellings of the same request, and what only a special host tells apart.
SAME_REQUEST = {
    ("s3", "GetBucketLifecycle"): "GetBucketLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "PutBucketLifecycleConfiguration",
    ("s3", "GetBucketNotification"): "GetBucketNotificationConfiguration",
    ("s3", "PutBucketNotification"): "PutBucketNotificationConfiguration",
    ("s3", "ListDirectoryBuckets"): "ListBuckets",
}


@pytest.mark.parametrize(("service", "protocol"), SPOKEN, ids=["-".join(pair) for pair in SPOKEN])
def test_requests_of_botocore_are_read_as_they_were_meant(service: str, protocol: str) -> None:
    model, other = LIBRARY.load(service), theirs(service)
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    for operation in model.operations.values():
        if (service, operation.name) in SAME_REQUEST:
            continue
        for fullness in FULLNESS:
            value: dict[str, Any] | None = {}
            shape = model.shape(operation.input) if operation.input else None
            if operation.input is not None and shape is not None:
                value = sampler(model, protocol, operation.name, fullness, "input").structure(operation.input.shape)
                if value is None:
                    continue
                if "RequestRoute" in value:
                    value["RequestRoute"] = "route-1"  # part of a host name
            given = with_dates(model, shape, value) if shape is not None else {}
            sent = serializer.serialize_to_request(given, other.operation_model(operation.name))

            found, read = read_input(service, as_request(sent, service), model, operation)

            payload = model.payload_member(operation.input)
            if payload is not None and payload[0] not in value and read.get(payload[0]) in ({}, b""):
                del read[payload[0]]  # botocore sends an empty document for a payload that was left out
            assert found == operation.name
            assert read == value, f"{service} {operation.name} {fullness}"


# GetBucketLocation answers with a bare text element, which botocore reads in a handler of its client;
# GetBucketNotification has two members of the same element name.
UNREADABLE = ("GetBucketLocation", "GetBucketNotification")


def parsed(protocol: str, response: Any, body: Any, shape: Any) -> dict[str, Any]:
    parser = botocore.parsers.create_parser(protocol)
    headers = HeadersDict({name.decode(): value.decode() for name, value in response.headers})
    found = parser.parse(
        {"status_code": response.status, "headers": headers, "body": body, "context": {"operation_name": "x"}}, shape
    )
    found.pop("ResponseMetadata", None)
    return dict(found)


def plain(value: Any) -> Any:
    """What botocore read, with datetimes as epoch seconds."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize(("service", "protocol"), SPOKEN, ids=["-".join(pair) for pair in SPOKEN])
def test_answers_are_read_by_botocore_as_they_were_meant(service: str, protocol: str) -> None:
    model, other = LIBRARY.load(service), theirs(service)
    codec = CODECS[ours(protocol, model)]
    for operation in model.operations.values():
        if operation.output is None or model.event_stream(operation.output) or operation.name in UNREADABLE:
            continue
        for fullness in FULLNESS:
            value = sampler(model, protocol, operation.name, fullness, "output").structure(operation.output.shape)
            if value is None:
                continue
            if protocol == "rest-xml" and operation.http.method == "HEAD":
                value.pop("ContentLength", None)

            response = codec.encoder(model, operation)(dict(value), "request-1")
            body: Any = asyncio.run(content(response))
            payload = model.payload_member(operation.output)
            if payload is not None and model.shape(payload[1]).type == "blob":
                body = bytearray(body)  # botocore would decode bytes as text
            found = plain(parsed(protocol, response, body, other.operation_model(operation.name).output_shape))

            if payload is not None and payload[0] not in value and found.get(payload[0]) in ({}, "", b""):
                del found[payload[0]]  # botocore makes something of an empty body
            expected = without_status(model, model.shape(operation.output), value)
            assert without_status(model, model.shape(operation.output), found) == expected, (
                f"{operation.name} {fullness}"
            )


def without_status(model: ServiceModel, shape: Shape, value: dict[str, Any]) -> dict[str, Any]:
    """Without the status code member (which an answer always has) and what the framework decides."""
    framework = ("Content-Length", "Content-Type")
    hidden = {
        name for name, ref in shape.members.items() if ref.location == "statusCode" or ref.location_name in framework
    }
    return {name: item for name, item in value.items() if name not in hidden and not (name == "Metadata" and not item)}


@pytest.mark.parametrize(("service", "protocol"), SPOKEN, ids=["-".join(pair) for pair in SPOKEN])
def test_errors_are_read_by_botocore_as_they_were_meant(service: str, protocol: str) -> None:
    model, other = LIBRARY.load(service), theirs(service)
    codec = CODECS[ours(protocol, model)]
    for name in sorted({ref.shape for operation in model.operations.values() for ref in operation.errors}):
        shape = model.shapes[name]
        members = sampler(model, protocol, name, 1.0, "error").structure(name) or {}
        members = {
            member: item for member, item in members.items() if member.lower() not in ("message", "type", "code")
        }
        compatible = model.metadata.aws_query_compatible is not None
        coded = shape.error is not None and shape.error.code is not None and (protocol == "query" or compatible)
        code = shape.error.code if coded and shape.error is not None and shape.error.code else name
        if protocol == "rest-xml":
            members = {}

        response = codec.problem(model, Problem(code, "What <went> wrong", 400, "request-1", name, members))
        assert isinstance(response.body, bytes)
        found = plain(parsed(protocol, response, response.body, None))
        found.update(plain(parsed(protocol, response, response.body, other.shape_for(name))))

        assert found["Error"]["Message"] == "What <went> wrong", name
        assert found["Error"]["Code"] == code, name
        if protocol != "query" and protocol != "rest-xml":
            assert {member: found.get(member) for member in members} == members, name
