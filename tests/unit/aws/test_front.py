"""The whole way of a request through the face, with real clients and with raw requests."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import botocore.exceptions
import msgspec
import pytest

from haneul.base.config import Config
from haneul.base.env import ManualEnv, RealEnv
from haneul.base.errors import AlreadyExists, Failure, Invalid, NotBuilt, NotFound, Throttled, TooLarge
from haneul.base.finished import Requested
from haneul.base.log import SilentLog
from haneul.clouds.aws.call import AwsError, Call, Fault, Operation, Output, Service
from haneul.clouds.aws.front import AwsFace
from haneul.clouds.aws.protocols.cbor import dumps, loads
from haneul.gateway.http import Response
from tests.unit.aws.driver import Bytes, Engines, Keys, Seen, client, request

FAULTS: Mapping[tuple[type[Failure], str], Fault] = {
    (NotFound, "function"): Fault("ResourceNotFoundException", 404, "Function not found: {name}"),
    (NotFound, "queue"): Fault("QueueDoesNotExist", 400, "The specified queue does not exist."),
    (NotFound, "user"): Fault("NoSuchEntity", 404, "The user with name {name} cannot be found."),
    (NotFound, "bucket"): Fault("NoSuchBucket", 404, "The specified bucket does not exist"),
    (Throttled, ""): Fault("TooManyRequestsException", 429, "Rate Exceeded."),
}


class Table:
    """Services that answer every operation with `answer`, and remember the calls."""

    def __init__(self, answer: Callable[[Call], Any], names: tuple[str, ...]) -> None:
        self._answer = answer
        self._names = names
        self.calls: list[Call] = []

    def names(self) -> list[str]:
        return list(self._names)

    def get(self, name: str) -> Service | None:
        return Service(name, _Every(self._handle), FAULTS) if name in self._names else None

    async def _handle(self, engines: Any, call: Call) -> Output:
        self.calls.append(call)
        value = self._answer(call)
        if isinstance(value, Exception):
            raise value
        return {} if value is None else value


class _Every(dict[str, Operation]):
    def __init__(self, handler: Any) -> None:
        super().__init__()
        self._handler = handler

    def get(self, name: str, default: Any = None) -> Any:
        return Operation(self._handler, f"x:{name}", lambda call: "arn:x")


class Decisions:
    """An authoriser that refuses what it is told to."""

    def __init__(self, refuse: str = "") -> None:
        self.asked: list[tuple[str, str]] = []
        self._refuse = refuse

    async def decide(self, call: Call, action: str, resource: str) -> object:
        self.asked.append((action, resource))
        if action == self._refuse:
            raise AwsError("AccessDeniedException", f"not authorized to perform: {action}", 403)
        return True


NAMES = (
    "lambda",
    "s3",
    "sqs",
    "sts",
    "iam",
    "dynamodb",
    "logs",
    "cloudwatch",
    "kinesis",
    "cognito-idp",
    "apigatewayv2",
)


class House:
    """A face with its table, observer and log."""

    def __init__(
        self, answer: Callable[[Call], Any] = lambda call: None, *, secure: bool = False, refuse: str = ""
    ) -> None:
        self.table = Table(answer, NAMES)
        self.seen = Seen()
        self.log = SilentLog()
        self.decisions = Decisions(refuse)
        self.face = AwsFace(
            Engines(Keys(AKIDEXAMPLE="secret")),  # type: ignore[arg-type]
            Config(secure=secure, account="000000000042"),
            RealEnv(),
            self.log,
            self.seen,
            authoriser=self.decisions,
            services=self.table,
        )

    async def send(self, *args: Any, **options: Any) -> Response:
        return await self.face.handle(request(*args, **options))

    def last(self) -> Requested:
        what = self.seen.records[-1].what
        assert isinstance(what, Requested)
        return what


def raised(house: House, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """What an unmodified client reads out of the error."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(client(house.face, service), operation)(**parameters)
    return dict(caught.value.response)


@pytest.mark.parametrize("secure", [False, True])
def test_a_call_goes_all_the_way(secure: bool) -> None:
    house = House(lambda call: {"MessageId": "1", "MD5OfMessageBody": "x"}, secure=secure)

    answer = client(house.face, "sqs").send_message(QueueUrl="http://q", MessageBody="hello")

    call = house.table.calls[0]
    assert answer["MessageId"] == "1"
    assert call.input == {"QueueUrl": "http://q", "MessageBody": "hello"}
    assert (call.operation, call.scope.account, call.scope.region) == ("SendMessage", "111122223333", "us-east-1")
    assert answer["ResponseMetadata"]["RequestId"] == call.request_id
    assert house.decisions.asked == [("x:SendMessage", "arn:x")]
    assert house.last() == Requested(
        "sqs",
        "SendMessage",
        200,
        "",
        "arn:aws:iam::111122223333:user/tester",
        "arn:x",
        house.last().bytes_in,
        house.last().bytes_out,
    )


def test_every_protocol_of_one_service_is_answered_in_kind() -> None:
    house = House(lambda call: {"QueueUrl": "http://q"})
    form = {"content-type": "application/x-www-form-urlencoded"}

    async def ask() -> tuple[bytes, bytes]:
        old = await house.send("POST", "/", form, b"Action=GetQueueUrl&Version=2012-11-05&QueueName=q")
        new = await house.send(
            "POST",
            "/",
            {"x-amz-target": "AmazonSQS.GetQueueUrl", "content-type": "application/x-amz-json-1.0"},
            b'{"QueueName":"q"}',
        )
        assert isinstance(old.body, bytes) and isinstance(new.body, bytes)
        return old.body, new.body

    import asyncio

    old, new = asyncio.run(ask())
    assert b"<GetQueueUrlResult><QueueUrl>http://q</QueueUrl></GetQueueUrlResult>" in old
    assert new == b'{"QueueUrl":"http://q"}'
    assert [call.input for call in house.table.calls] == [{"QueueName": "q"}] * 2


async def test_older_sqs_clients_name_the_queue_in_the_path() -> None:
    house = House()
    attribute = (
        b"MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v"
    )
    form = b"Action=SendMessage&Version=2012-11-05&MessageBody=a+b&" + attribute

    await house.send("POST", "/000000000042/q", {"content-type": "application/x-www-form-urlencoded"}, form)

    assert house.table.calls[0].input == {
        "QueueUrl": "http://localhost:4566/000000000042/q",
        "MessageBody": "a b",
        "MessageAttributes": {"n": {"DataType": "String", "StringValue": "v"}},
    }


async def test_cbor_is_answered_in_cbor() -> None:
    house = House(lambda call: {"Metrics": [{"Namespace": "n"}]})
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"

    response = await house.send("POST", path, {"smithy-protocol": "rpc-v2-cbor"}, dumps({"Namespace": "n"}))

    assert isinstance(response.body, bytes)
    assert loads(response.body) == {"Metrics": [{"Namespace": "n"}]}
    assert (b"smithy-protocol", b"rpc-v2-cbor") in response.headers


@pytest.mark.parametrize(
    ("key", "account"),
    [
        ("AKIDEXAMPLE", "111122223333"),
        ("123456789012", "123456789012"),
        ("test", "000000000042"),
        ("12345678901²", "000000000042"),
    ],
)
def test_the_account_is_that_of_the_key(key: str, account: str) -> None:
    house = House()

    client(house.face, "sqs", key=key, secret="anything").list_queues()

    assert house.table.calls[0].scope.account == account


async def test_developer_mode_takes_requests_without_credentials() -> None:
    house = House()

    response = await house.send("GET", "/2015-03-31/functions")

    assert response.status == 200
    assert (house.table.calls[0].principal.kind, house.table.calls[0].scope.account) == ("anonymous", "000000000042")


@pytest.mark.parametrize("secure", [False, True])
async def test_malformed_credentials_are_refused_in_every_mode(secure: bool) -> None:
    house = House(secure=secure)

    rest = await house.send("GET", "/2015-03-31/functions", {"authorization": "Basic x"})
    stored = await house.send("GET", "/bucket", {"authorization": "AWS4-HMAC-SHA256 Credential=a/b"})

    assert rest.status == 403 and (b"x-amzn-errortype", b"IncompleteSignatureException") in rest.headers
    assert stored.status == 400 and b"<Code>AuthorizationHeaderMalformed</Code>" in stored.body  # type: ignore[operator]
    assert house.table.calls == []


async def test_secure_mode_wants_credentials() -> None:
    house = House(secure=True)
    json = {"x-amz-target": "AmazonSQS.ListQueues", "content-type": "application/x-amz-json-1.0"}

    refused = await house.send("POST", "/", json, b"{}")
    public = await house.send("GET", "/bucket/key")
    sign_up = await house.send(
        "POST",
        "/",
        {"x-amz-target": "AWSCognitoIdentityProviderService.SignUp"},
        b'{"ClientId":"c","Username":"u","Password":"p"}',
    )

    assert msgspec.json.decode(refused.body) == {  # type: ignore[arg-type]
        "__type": "com.amazon.coral.service#MissingAuthenticationTokenException",
        "message": "Missing Authentication Token",
    }
    assert public.status == 200 and house.table.calls[0].principal.kind == "anonymous"
    assert sign_up.status == 200


@pytest.mark.parametrize("service", ["sqs", "sts", "lambda", "s3", "dynamodb", "logs", "iam", "cloudwatch"])
def test_a_forged_signature_is_refused_everywhere(service: str) -> None:
    house = House(secure=True)
    call = {
        "sqs": ("list_queues", {}),
        "sts": ("get_caller_identity", {}),
        "lambda": ("list_functions", {}),
        "s3": ("put_object", {"Bucket": "b", "Key": "k", "Body": b"x"}),
        "dynamodb": ("list_tables", {}),
        "logs": ("describe_log_groups", {}),
        "iam": ("list_users", {}),
        "cloudwatch": ("list_metrics", {}),
    }[service]

    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(client(house.face, service, secret="forged"), call[0])(**call[1])

    assert caught.value.response["Error"]["Code"] in ("SignatureDoesNotMatch", "InvalidSignatureException")
    assert house.table.calls == []


def test_a_denial_stops_the_call() -> None:
    house = House(refuse="x:ListFunctions")

    answer = raised(house, "lambda", "list_functions")

    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDeniedException", 403)
    assert house.table.calls == []


def test_a_failure_is_said_in_the_words_of_its_service() -> None:
    function = raised(House(lambda _: NotFound("function", "f")), "lambda", "get_function", FunctionName="f")
    queue = raised(House(lambda _: NotFound("queue", "q")), "sqs", "get_queue_url", QueueName="q")
    user = raised(House(lambda _: NotFound("user", "u")), "iam", "get_user", UserName="u")
    bucket = raised(House(lambda _: NotFound("bucket", "b")), "s3", "list_objects_v2", Bucket="bbb")

    assert function["Error"] == {"Code": "ResourceNotFoundException", "Message": "Function not found: f"}
    assert function["Type"] == "User" and function["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert queue["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert (
        queue["Error"]["QueryErrorCode"] == "QueueDoesNotExist" and queue["ResponseMetadata"]["HTTPStatusCode"] == 400
    )
    assert user["Error"] == {
        "Type": "Sender",
        "Code": "NoSuchEntity",
        "Message": "The user with name u cannot be found.",
    }
    assert bucket["Error"]["BucketName"] == "bbb" and bucket["Error"]["Code"] == "NoSuchBucket"
    assert bucket["ResponseMetadata"]["HostId"] and len(bucket["ResponseMetadata"]["RequestId"]) == 16


def test_members_of_an_error_shape_come_out_of_the_failure() -> None:
    busy = House(
        lambda _: Throttled(
            "function",
            "f",
            Reason="ReservedFunctionConcurrentInvocationLimitExceeded",
            retryAfterSeconds="3",
            internal=1,
        )
    )

    answer = raised(busy, "lambda", "invoke", FunctionName="f")

    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (NotFound("thing", "t"), "ResourceNotFoundException", 404),
        (AlreadyExists("thing", "t"), "ResourceAlreadyExistsException", 409),
        (Invalid("thing", "t", "is odd"), "InvalidParameterException", 400),
        (TooLarge("thing", "t", "8 MB"), "RequestEntityTooLargeException", 413),
        (NotBuilt("filter", "f"), "NotImplemented", 501),
        (AwsError("LimitExceededException", "no"), "LimitExceededException", 400),
    ],
)
def test_a_failure_without_words_of_its_own_has_a_code(failure: Exception, code: str, status: int) -> None:
    answer = raised(House(lambda _: failure), "logs", "describe_log_groups")

    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def test_what_nobody_expected_is_ours_and_logged() -> None:
    house = House(lambda _: ValueError("secret detail"))

    answer = raised(house, "dynamodb", "list_tables")

    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("InternalFailure", 500)
    assert "secret detail" not in str(answer)
    assert house.log.events[-1][1] == "request failed" and house.log.events[-1][2]["service"] == "dynamodb"
    assert house.last().error_code == "InternalFailure"


def test_an_output_that_the_model_does_not_know_is_our_fault() -> None:
    assert raised(House(lambda _: {"Nonsense": 1}), "dynamodb", "list_tables")["Error"]["Code"] == "InternalFailure"
    assert raised(House(lambda _: {"Nonsense": 1}), "iam", "list_users")["Error"]["Code"] == "InternalFailure"


def test_an_operation_that_is_not_offered_is_named() -> None:
    answer = raised(House(), "athena", "list_work_groups")

    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("NotImplemented", 501)
    assert "athena ListWorkGroups" in answer["Error"]["Message"]


async def test_an_operation_that_does_not_exist_is_refused() -> None:
    house = House()

    json = await house.send("POST", "/", {"x-amz-target": "DynamoDB_20120810.Nope"}, b"{}")
    form = await house.send(
        "POST", "/", {"content-type": "application/x-www-form-urlencoded"}, b"Action=Nope&Version=2010-05-08"
    )
    none = await house.send("POST", "/", {"content-type": "application/x-www-form-urlencoded"}, b"Version=2010-05-08")
    path = await house.send("GET", "/2015-03-31/nope", {"host": "lambda.us-east-1.amazonaws.com"})
    verb = await house.send("PATCH", "/bucket/key")

    assert json.status == 400 and b"com.amazon.coral.service#UnknownOperationException" in json.body  # type: ignore[operator]
    assert form.status == 400 and b"<Code>InvalidAction</Code>" in form.body  # type: ignore[operator]
    assert none.status == 400 and b"<Code>MissingAction</Code>" in none.body  # type: ignore[operator]
    assert path.status == 404 and (b"x-amzn-errortype", b"UnknownOperationException") in path.headers
    assert verb.status == 405 and b"<Code>MethodNotAllowed</Code>" in verb.body  # type: ignore[operator]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", "/", {}, b""),
        ("POST", "/", {"x-amz-target": ""}, b""),
        ("POST", "/", {"x-amz-target": "..."}, b"\x00"),
        ("POST", "/", {"x-amz-target": "DynamoDB_20120810.PutItem"}, b"\xff\xfe"),
        ("POST", "/", {"content-type": "application/x-www-form-urlencoded"}, b"%ff=%&&&=\xff"),
        (
            "POST",
            "/",
            {"content-type": "application/x-www-form-urlencoded"},
            b"Action=ListUsers&Version=2010-05-08&" + b"a=1&" * 30000,
        ),
        ("POST", "/service/x/operation/y", {"smithy-protocol": "rpc-v2-cbor"}, b"\xff"),
        (
            "POST",
            "/service/GraniteServiceVersion20100801/operation/ListMetrics",
            {"smithy-protocol": "rpc-v2-cbor"},
            b"\x9f" * 9999,
        ),
        ("PUT", "/bucket/%ff", {}, b"x"),
        ("GET", "/bucket/key", {"x-amz-content-sha256": "?"}, b""),
        ("PUT", "/bucket/key", {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, b"zz"),
        ("GET", "/bucket?X-Amz-Signature=1", {}, b""),
        ("GET", "/bucket?AWSAccessKeyId=&Signature=&Expires=%ff", {}, b""),
        ("POST", "/2015-03-31/functions", {"content-type": "application/json"}, b"[" * 10000),
        ("GET", "/", {"x-amzn-trace-id": "Root=;;;=="}, b""),
        ("GET", "/", {"host": "\u00e9.s3.localhost"}, b""),
    ],
)
@pytest.mark.parametrize("secure", [False, True])
async def test_odd_requests_are_never_our_fault(
    method: str, target: str, headers: dict[str, str], body: bytes, secure: bool
) -> None:
    house = House(secure=secure)

    response = await house.send(method, target, headers, body)

    assert response.status != 500, house.log.events
    assert len(house.seen.records) == 1


def test_idempotency_tokens_are_filled_in() -> None:
    house = House()

    client(house.face, "dynamodb").transact_write_items(
        TransactItems=[{"Delete": {"TableName": "tbl", "Key": {"k": {"S": "v"}}}}]
    )

    assert len(house.table.calls[0].input["ClientRequestToken"]) == 36


def test_bodies_stream_both_ways() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    house = House(
        lambda call: (
            {"Body": pieces(), "ContentLength": 4, "Metadata": {"k": "v"}} if call.operation == "GetObject" else {}
        )
    )

    answer = client(house.face, "s3").get_object(Bucket="bbb", Key="k")

    assert answer["Body"].read() == b"abcd" and answer["ContentLength"] == 4 and answer["Metadata"] == {"k": "v"}
    client(house.face, "s3").put_object(Bucket="bbb", Key="k", Body=b"data", ContentEncoding="aws-chunked")
    assert "ContentEncoding" not in house.table.calls[1].input


def test_a_range_is_partial_content() -> None:
    house = House(lambda call: {"Body": b"bc", "ContentRange": "bytes 1-2/4"})

    assert (
        client(house.face, "s3").get_object(Bucket="bbb", Key="k", Range="bytes=1-2")["ResponseMetadata"][
            "HTTPStatusCode"
        ]
        == 206
    )


def test_an_unchanged_object_has_no_document() -> None:
    house = House(lambda call: AwsError("NotModified", "Not Modified", 304, headers=[(b"etag", b'"x"')]))

    answer = raised(house, "s3", "get_object", Bucket="bbb", Key="k", IfNoneMatch='"x"')

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 304
    assert answer["ResponseMetadata"]["HTTPHeaders"]["etag"] == '"x"'


def test_the_location_of_a_bucket_is_read_by_its_client() -> None:
    house = House(lambda call: {"LocationConstraint": "eu-west-1"})

    assert client(house.face, "s3").get_bucket_location(Bucket="bbb")["LocationConstraint"] == "eu-west-1"


async def test_a_trace_goes_on_where_it_came_from() -> None:
    house = House()
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"

    await house.send("GET", "/2015-03-31/functions", {"x-amzn-trace-id": header})
    await house.send("GET", "/2015-03-31/functions", {"x-amzn-trace-id": "Root=nonsense"})

    trace = house.table.calls[0].trace
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (
        "5759e988bd862e3fe1be46a994272793",
        "53995c3f42cd8ad8",
        False,
    )
    assert house.seen.records[0].trace == trace
    assert len(house.table.calls[1].trace.trace_id) == 32


async def test_pages_in_a_browser_may_call_in_developer_mode_only() -> None:
    asked = {
        "origin": "http://a",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "x-amz-date",
    }
    open_house, secure_house = House(), House(secure=True)

    preflight = await open_house.send("OPTIONS", "/bucket/key", asked)
    answer = await open_house.send("GET", "/bucket/key", {"origin": "http://a"})
    refused = await secure_house.send("OPTIONS", "/bucket/key", asked)

    assert preflight.status == 200 and (b"access-control-allow-headers", b"x-amz-date") in preflight.headers
    assert (b"access-control-allow-origin", b"*") in answer.headers
    assert refused.status == 405 and (b"access-control-allow-origin", b"*") not in refused.headers


async def test_a_presigned_url_ends_in_developer_mode_too() -> None:
    env = ManualEnv(now=1_800_000_000.0)
    house = House()
    face = AwsFace(
        Engines(Keys()),
        Config(),
        env,
        house.log,
        house.seen,
        authoriser=house.decisions,
        services=house.table,  # type: ignore[arg-type]
    )
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20270115%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20270115T080000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
    )

    opened = await face.handle(request("GET", f"/b/k?{query}"))
    await env.advance(61)
    ended = await face.handle(request("GET", f"/b/k?{query}"))

    assert opened.status == 200
    assert ended.status == 403 and b"<Message>Request has expired</Message>" in ended.body  # type: ignore[operator]


async def test_a_body_beyond_the_limit_is_refused() -> None:
    house = House()
    made = request("POST", "/", {"x-amz-target": "DynamoDB_20120810.PutItem"})
    made.body = Bytes(b"x" * (17 * 1024 * 1024))

    response = await house.face.handle(made)

    assert response.status == 413


async def test_nobody_sends_large_bodies_without_credentials_in_secure_mode() -> None:
    house = House(secure=True)
    large = Bytes(b"x" * (2 * 1024 * 1024))
    stranger = "AWS4-HMAC-SHA256 Credential=AKIDOTHER/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
    unsigned = request("POST", "/", {"x-amz-target": "DynamoDB_20120810.PutItem"})
    unknown = request("POST", "/", {"x-amz-target": "DynamoDB_20120810.PutItem", "authorization": stranger})
    unsigned.body = large
    unknown.body = Untouched(large.data)

    assert (await house.face.handle(unsigned)).status == 413
    assert b"UnrecognizedClientException" in (await house.face.handle(unknown)).body  # type: ignore[operator]


class Untouched(Bytes):
    """A body that must not be read."""

    async def read(self, limit: int) -> bytes:
        raise AssertionError("read before the credentials were looked at")


def test_header_values_cannot_start_headers_of_their_own() -> None:
    house = House(lambda call: {"Body": b"", "ContentDisposition": "a\r\nset-cookie: x"})

    headers = client(house.face, "s3").get_object(Bucket="bbb", Key="k")["ResponseMetadata"]["HTTPHeaders"]

    assert headers["content-disposition"] == "a  set-cookie: x" and "set-cookie" not in headers
