"""Invoke: answers, errors, logs, kinds of invocation, limits."""

import base64
import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions import make_function

ECHO = """
import json, os, sys, threading, time
def handler(event, context):
    if event == "raise":
        raise ValueError("no good")
    if event == "exit":
        sys.exit(3)
    if event == "sleep":
        threading.Event().wait(60)
    if event == "big":
        return "x" * 7_000_000
    if event == "unserialisable":
        return object()
    if event == "environment":
        return dict(os.environ)
    if event == "context":
        client = context.client_context
        return {
            "arn": context.invoked_function_arn,
            "name": context.function_name,
            "version": context.function_version,
            "memory": context.memory_limit_in_mb,
            "request": context.aws_request_id,
            "group": context.log_group_name,
            "stream": context.log_stream_name,
            "left": context.get_remaining_time_in_millis(),
            "custom": client.custom if client else None,
        }
    print("got", json.dumps(event))
    return {"event": event, "pid": os.getpid()}
"""


@pytest.fixture(scope="module")
def echo(cloud: Any) -> str:
    make_function(cloud.client("lambda"), "echo", ECHO, Timeout=2, Environment={"Variables": {"MINE": "yes"}})
    return "echo"


def run(client: Any, name: str, event: Any, **members: Any) -> tuple[Any, Any]:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), **members)
    return json.loads(answer["Payload"].read() or b"null"), answer


def test_an_answer_comes_back_with_its_version(client: Any, echo: str) -> None:
    said, answer = run(client, echo, {"ä": [1, None]})

    assert said["event"] == {"ä": [1, None]}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert not {"FunctionError", "LogResult"} & set(answer)


def test_no_payload_is_an_empty_object(client: Any, echo: str) -> None:
    assert json.loads(client.invoke(FunctionName=echo)["Payload"].read())["event"] == {}


def test_an_environment_is_used_again(client: Any, echo: str) -> None:
    assert run(client, echo, 1)[0]["pid"] == run(client, echo, 2)[0]["pid"]


def test_the_tail_of_the_log_comes_along_when_asked_for(client: Any, echo: str) -> None:
    run(client, echo, 0)
    _, answer = run(client, echo, "hi", LogType="Tail")

    id = answer["ResponseMetadata"]["RequestId"]
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert lines[0] == f"START RequestId: {id} Version: $LATEST"
    assert lines[1] == 'got "hi"'
    assert lines[2] == f"END RequestId: {id}"
    assert lines[3].startswith(f"REPORT RequestId: {id}\tDuration: ")


def test_the_context_says_who_and_where(client: Any, echo: str) -> None:
    custom = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    said, answer = run(client, echo, "context", ClientContext=custom)

    assert said["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:echo"
    assert (said["name"], said["version"], said["group"]) == ("echo", "$LATEST", "/aws/lambda/echo")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", said["stream"])
    assert said["request"] == answer["ResponseMetadata"]["RequestId"]
    assert 0 < said["left"] <= 2_000
    assert str(said["memory"]) == "128"
    assert said["custom"] == {"a": "b"}


def test_the_name_by_which_it_was_called_is_in_the_context(client: Any, echo: str) -> None:
    client.publish_version(FunctionName=echo)
    for qualifier in ("$LATEST", "1"):
        said, answer = run(client, echo, "context", Qualifier=qualifier)

        assert said["arn"].endswith(f":function:echo:{qualifier}")
        assert said["version"] == answer["ExecutedVersion"] == qualifier


def test_the_environment_is_that_of_lambda(client: Any, echo: str) -> None:
    said, _ = run(client, echo, "environment")

    assert said["MINE"] == "yes"
    assert (said["AWS_REGION"], said["AWS_DEFAULT_REGION"]) == ("us-east-1", "us-east-1")
    assert (said["AWS_LAMBDA_FUNCTION_NAME"], said["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("echo", "128")
    assert said["_HANDLER"] == "app.handler"
    assert said["AWS_ENDPOINT_URL"].startswith("http")
    assert said["AWS_ACCESS_KEY_ID"]


def test_a_handler_that_raises(client: Any, echo: str) -> None:
    said, answer = run(client, echo, "raise", LogType="Tail")

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (said["errorType"], said["errorMessage"]) == ("ValueError", "no good")
    assert said["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert '/app.py", line 5, in handler' in said["stackTrace"][0]
    assert "[ERROR] ValueError: no good" in base64.b64decode(answer["LogResult"]).decode()


def test_an_answer_that_is_no_json(client: Any, echo: str) -> None:
    said, answer = run(client, echo, "unserialisable")

    assert answer["FunctionError"] == "Unhandled"
    assert said["errorType"] == "Runtime.MarshalError"


def test_a_handler_that_leaves(client: Any, echo: str) -> None:
    said, answer = run(client, echo, "exit")

    id = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert said == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {id} Error: Runtime exited with error: exit status 3",
    }
    assert run(client, echo, 1)[0]["event"] == 1


def test_a_handler_that_takes_too_long(client: Any, echo: str) -> None:
    said, answer = run(client, echo, "sleep", LogType="Tail")

    id = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert said == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {id} Error: Task timed out after 2.00 seconds",
    }
    log = base64.b64decode(answer["LogResult"]).decode()
    assert re.search(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {id} Task timed out after 2\.00 seconds\n", log)
    assert run(client, echo, 1)[0]["event"] == 1


def test_an_answer_that_is_too_large(client: Any, echo: str) -> None:
    said, answer = run(client, echo, "big")

    assert answer["FunctionError"] == "Unhandled"
    assert said == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


def test_code_that_cannot_be_imported(client: Any, name: str) -> None:
    make_function(client, name, "import nowhere_to_be_found")

    said, answer = run(client, name, {})

    assert answer["FunctionError"] == "Unhandled"
    assert said["errorType"] == "Runtime.ImportModuleError"
    assert said["errorMessage"] == "Unable to import module 'app': No module named 'nowhere_to_be_found'"


def test_a_payload_that_is_too_large_is_refused(client: Any, echo: str, refusal: Any) -> None:
    code, status, message = refusal(client.invoke, FunctionName=echo, Payload=json.dumps("x" * 6_291_456))

    assert (code, status) == ("RequestTooLargeException", 413)
    assert message == "6291458 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"


def test_the_largest_payload_passes(client: Any, echo: str) -> None:
    said, _ = run(client, echo, "x" * 6_200_000)

    assert len(said["event"]) == 6_200_000


@pytest.mark.parametrize("payload", [b"{", b"hello", b"{'a': 1}", b"\xff", b"1 2"])
def test_a_payload_that_is_no_json_is_refused(client: Any, echo: str, refusal: Any, payload: bytes) -> None:
    code, status, message = refusal(client.invoke, FunctionName=echo, Payload=payload)

    assert (code, status) == ("InvalidRequestContentException", 400)
    assert message.startswith("Could not parse request body into json: Could not parse payload into json: ")


@pytest.mark.parametrize("given", ["not base64!", base64.b64encode(b"[]").decode(), base64.b64encode(b"\xff").decode()])
def test_a_client_context_that_is_none_is_refused(client: Any, echo: str, refusal: Any, given: str) -> None:
    assert refusal(client.invoke, FunctionName=echo, ClientContext=given)[:2] == ("InvalidRequestContentException", 400)


def test_a_dry_run_runs_nothing(client: Any, echo: str) -> None:
    answer = client.invoke(FunctionName=echo, InvocationType="DryRun")

    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""


def test_an_event_is_accepted_and_answered_with_nothing(client: Any, echo: str) -> None:
    answer = client.invoke(FunctionName=echo, InvocationType="Event", Payload=b"1")

    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert not {"ExecutedVersion", "FunctionError"} & set(answer)


def test_an_event_that_is_too_large_is_refused(client: Any, echo: str, refusal: Any) -> None:
    found = refusal(client.invoke, FunctionName=echo, InvocationType="Event", Payload=json.dumps("x" * 1_048_576))

    assert found == (
        "RequestTooLargeException",
        413,
        "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )


def test_a_function_without_concurrency_is_throttled(client: Any, name: str) -> None:
    make_function(client, name, ECHO)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)

    with pytest.raises(ClientError) as failure:
        client.invoke(FunctionName=name)

    answer = failure.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["message"] == "Rate Exceeded."
    client.delete_function_concurrency(FunctionName=name)
    assert run(client, name, 1)[0]["event"] == 1
