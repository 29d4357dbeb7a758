"""What a request means: service, operation, region and bucket, from whatever the client gives."""

import pytest

from haneul.base.config import Config
from haneul.clouds.aws.auth import read_auth
from haneul.clouds.aws.identify import Directory, Host, Target, read_host
from haneul.clouds.aws.model import Library
from tests.unit.aws.driver import request

OFFERED = (
    "lambda",
    "s3",
    "sqs",
    "sts",
    "iam",
    "dynamodb",
    "dynamodbstreams",
    "logs",
    "cloudwatch",
    "apigateway",
    "apigatewayv2",
    "execute-api",
)
LIBRARY = Library()
DIRECTORY = Directory(LIBRARY, OFFERED, Config())
PREFIXES = ("s3", "sqs", "lambda", "dynamodb", "streams.dynamodb", "monitoring", "api.ecr", "execute-api", "sts")


def meant(
    method: str = "GET", target: str = "/", headers: dict[str, str] | None = None, *, scope: str = "", body: bytes = b""
) -> Target:
    fields = dict(headers or {})
    if scope:
        region, service = scope.split("/")
        credential = f"AKID/20260101/{region}/{service}/aws4_request"
        fields["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature={'0' * 64}"
    made = request(method, target, fields, body)
    return DIRECTORY.identify(made, read_auth(made))


FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def test_a_target_header_names_service_and_operation() -> None:
    target = meant(
        "POST",
        "/",
        {"x-amz-target": "DynamoDB_20120810.PutItem", "content-type": "application/x-amz-json-1.0"},
        scope="eu-west-1/dynamodb",
    )

    assert (target.service, target.operation, target.protocol, target.region) == (
        "dynamodb",
        "PutItem",
        "json-1.0",
        "eu-west-1",
    )


def test_services_that_sign_alike_are_told_apart_by_their_target() -> None:
    target = meant("POST", "/", {"x-amz-target": "DynamoDBStreams_20120810.ListStreams"}, scope="us-east-1/dynamodb")

    assert (target.service, target.operation) == ("dynamodbstreams", "ListStreams")


def test_a_service_of_aws_that_is_not_offered_is_still_known() -> None:
    assert meant("POST", "/", {"x-amz-target": "AmazonAthena.ListWorkGroups"}).service == "athena"
    assert meant("POST", "/", FORM, scope="us-east-1/rds").protocol == "query"
    assert meant("GET", "/v1/apis", scope="us-east-1/appsync").operation == "ListGraphqlApis"


def test_a_target_that_nobody_knows_names_no_service() -> None:
    target = meant("POST", "/", {"x-amz-target": "Nobody_2020.DoIt"})

    assert (target.service, target.asked) == ("", "Nobody_2020")


def test_rpc_v2_names_both_in_its_path() -> None:
    target = meant(
        "POST",
        "/service/GraniteServiceVersion20100801/operation/PutMetricData",
        {"smithy-protocol": "rpc-v2-cbor"},
        scope="us-east-1/monitoring",
    )

    assert (target.service, target.operation, target.protocol) == ("cloudwatch", "PutMetricData", "rpc-cbor")


@pytest.mark.parametrize("scope", ["us-east-1/monitoring", "us-east-1/sqs", "us-east-1/sts", "us-east-1/iam"])
def test_a_form_is_a_query_request(scope: str) -> None:
    assert meant("POST", "/", FORM, scope=scope).protocol == "query"
    assert meant("GET", "/?Action=X&Version=1", scope=scope).protocol == "query"


@pytest.mark.parametrize(
    ("method", "path", "operation", "labels"),
    [
        ("GET", "/2015-03-31/functions", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/", "ListFunctions", {}),
        ("POST", "/2015-03-31/functions/f/invocations", "Invoke", {"FunctionName": "f"}),
        ("GET", "/2015-03-31/functions/arn%3Aaws%3Alambda/policy", "GetPolicy", {"FunctionName": "arn%3Aaws%3Alambda"}),
        ("DELETE", "/2017-03-31/tags/arn:x?tagKeys=a", "UntagResource", {"Resource": "arn:x"}),
    ],
)
def test_rest_paths_are_routed(method: str, path: str, operation: str, labels: dict[str, str]) -> None:
    target = meant(method, path, scope="us-east-1/lambda")

    assert (target.service, target.operation, target.labels) == ("lambda", operation, labels)


def test_an_unsigned_rest_path_finds_its_service() -> None:
    assert meant("POST", "/2015-03-31/functions/f/invocations").service == "lambda"
    assert meant("GET", "/v2/apis").operation == "GetApis"
    assert meant("GET", "/restapis").service == "apigateway"


def test_two_generations_of_a_gateway_are_told_apart_by_path() -> None:
    assert meant("GET", "/v2/apis", scope="us-east-1/apigateway").service == "apigatewayv2"
    assert meant("GET", "/restapis", scope="us-east-1/apigateway").service == "apigateway"


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("PUT", "/b", "CreateBucket"),
        ("PUT", "/b/", "CreateBucket"),
        ("HEAD", "/b", "HeadBucket"),
        ("GET", "/b", "ListObjects"),
        ("GET", "/b?list-type=2", "ListObjectsV2"),
        ("GET", "/b?list-type=2&prefix=a", "ListObjectsV2"),
        ("GET", "/b?versions", "ListObjectVersions"),
        ("GET", "/b?uploads", "ListMultipartUploads"),
        ("GET", "/b?location=", "GetBucketLocation"),
        ("GET", "/b?notification", "GetBucketNotificationConfiguration"),
        ("GET", "/b?analytics", "ListBucketAnalyticsConfigurations"),
        ("GET", "/b?analytics&id=1", "GetBucketAnalyticsConfiguration"),
        ("POST", "/b?delete", "DeleteObjects"),
        ("PUT", "/b/k", "PutObject"),
        ("PUT", "/b/k/", "PutObject"),
        ("GET", "/b/a/b%2Fc", "GetObject"),
        ("GET", "/b/k?versionId=1", "GetObject"),
        ("GET", "/b/k?uploadId=1", "ListParts"),
        ("GET", "/b/k?tagging", "GetObjectTagging"),
        ("POST", "/b/k?uploads", "CreateMultipartUpload"),
        ("PUT", "/b/k?partNumber=1&uploadId=2", "UploadPart"),
        ("POST", "/b/k?uploadId=2", "CompleteMultipartUpload"),
        ("DELETE", "/b/k?uploadId=2", "AbortMultipartUpload"),
        ("DELETE", "/b/k", "DeleteObject"),
        ("PATCH", "/b/k", ""),
    ],
)
def test_whatever_else_is_unsigned_belongs_to_s3(method: str, target: str, operation: str) -> None:
    assert meant(method, target) == meant(method, target)._replace(service="s3", operation=operation)


def test_a_copy_is_told_by_its_header() -> None:
    source = {"x-amz-copy-source": "b/k"}

    assert meant("PUT", "/b/k", source).operation == "CopyObject"
    assert meant("PUT", "/b/k?partNumber=1&uploadId=2", source).operation == "UploadPartCopy"


def test_keys_keep_their_slashes() -> None:
    assert meant("GET", "/b/a//b/").labels == {"Bucket": "b", "Key": "a//b/"}
    assert meant("GET", "/b//k").labels == {"Bucket": "b", "Key": "/k"}


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost:4566", Host()),
        ("127.0.0.1:4566", Host()),
        ("[::1]:4566", Host()),
        ("my-server.lan:80", Host()),
        ("s3.localhost:4566", Host("s3")),
        ("b.s3.localhost:4566", Host("s3", "", "b")),
        ("my.dotted.bucket.s3.localhost", Host("s3", "", "my.dotted.bucket")),
        ("b.localhost:4566", Host("", "", "b")),
        ("b.s3.eu-west-1.localhost", Host("s3", "eu-west-1", "b")),
        ("b.s3.localhost.localstack.cloud:4566", Host("s3", "", "b")),
        ("B.S3.US-WEST-2.localhost.localstack.cloud:4566", Host("s3", "us-west-2", "b")),
        ("localhost.localstack.cloud:4566", Host()),
        ("sqs.us-east-1.amazonaws.com", Host("sqs", "us-east-1")),
        ("b.s3.amazonaws.com", Host("s3", "", "b")),
        ("b.s3-eu-west-1.amazonaws.com", Host("s3", "eu-west-1", "b")),
        ("b.s3.dualstack.us-west-2.amazonaws.com", Host("s3", "us-west-2", "b")),
        ("s3.us-gov-west-1.amazonaws.com", Host("s3", "us-gov-west-1")),
        ("streams.dynamodb.us-east-1.amazonaws.com", Host("streams.dynamodb", "us-east-1")),
        ("sqs.us-east-1.localhost.localstack.cloud", Host("sqs", "us-east-1")),
        ("s3.s3.localhost", Host("s3", "", "s3")),
        ("", Host()),
        ("...", Host()),
    ],
)
def test_hosts_are_read(text: str, host: Host) -> None:
    assert read_host(text, "localhost", PREFIXES) == host


def test_a_bucket_in_the_host_is_put_in_front_of_the_path() -> None:
    for host in ("b.s3.localhost:4566", "b.localhost:4566"):
        target = meant("GET", "/a/k?acl", {"host": host})

        assert (target.operation, target.labels) == ("GetObjectAcl", {"Bucket": "b", "Key": "a/k"})
    assert meant("GET", "/", {"host": "b.s3.localhost"}).operation == "ListObjects"
    assert meant("GET", "/2015-03-31/functions", {"host": "b.localhost"}).operation == "GetObject"


def test_the_host_gives_service_and_region_when_nothing_is_signed() -> None:
    target = meant("GET", "/2015-03-31/functions", {"host": "lambda.ap-northeast-2.amazonaws.com"})

    assert (target.service, target.region) == ("lambda", "ap-northeast-2")


def test_a_presigned_query_carries_its_scope() -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260101%2Feu-central-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
    )
    target = meant("GET", f"/b/k?{query}")

    assert (target.service, target.operation, target.region) == ("s3", "GetObject", "eu-central-1")


@pytest.mark.parametrize(
    "target", ["/%", "/b/%zz", "/b?%ff=%", "//", "/b/" + "x" * 2000, "/?", "/b?&&=&", "*", "/b/../../etc", "/\x00"]
)
def test_odd_targets_are_somebodys(target: str) -> None:
    assert meant("GET", target).protocol == "rest-xml"
