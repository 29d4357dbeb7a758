"""The Python loop: how handlers are found, called and answered for, and how failures are worded, as in Lambda."""

import base64
import compileall
import importlib.util
import json
import marshal
import sys
from pathlib import Path

import pytest

from haneul.base.env import ManualEnv
from haneul.sandbox.interpreters import Interpreters

from .conftest import StartLoop
from .loop import BOOT, write_app

ECHO = "def handler(event, context): return event"
FOUND = Interpreters(ManualEnv()).found


@pytest.mark.parametrize("name", sorted(FOUND))
def test_every_python_of_the_machine_runs_a_handler(loop: StartLoop, name: str) -> None:
    one = loop(
        """
        import sys
        print("importing")
        def handler(event, context):
            if event is None:
                raise ValueError("no event")
            return ["python%d.%d" % sys.version_info[:2], event]
        """,
        FOUND[name],
    )

    assert one.start() == ""
    assert one.invoke({"a": [1, 2.5, None, True, "ü"]}) == ("ok", [name, {"a": [1, 2.5, None, True, "ü"]}])
    kind, document = one.invoke(None)
    assert (kind, document["errorType"], document["errorMessage"]) == ("error", "ValueError", "no event")
    assert one.finish()[0] == 0


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        ("nope.handler", "Runtime.ImportModuleError", "Unable to import module 'nope': No module named 'nope'"),
        ("app.nope", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'app'"),
        ("app", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack (expected 2, got 1)"),
        ("sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("missing.handler", "Runtime.ImportModuleError", "Unable to import module 'missing': No module named 'absent'"),
        ("", "Runtime.MalformedHandlerName", "Bad handler '': not enough values to unpack (expected 2, got 1)"),
        ("raising.handler", "ZeroDivisionError", "division by zero"),
        (".handler", "ValueError", "Empty module name"),
    ],
)
def test_a_handler_that_cannot_be_had_is_refused_in_lambdas_words(
    loop: StartLoop, tmp_path: Path, handler: str, kind: str, message: str
) -> None:
    write_app(tmp_path, "import absent", "missing.py")
    write_app(tmp_path, "x = 1\ny = x / 0", "raising.py")
    one = loop(ECHO)

    document = json.loads(one.start(handler))

    assert (document["errorType"], document["errorMessage"], document["requestId"]) == (kind, message, "")
    status, written = one.finish()
    assert status == 1
    assert written.startswith(f"[ERROR] {kind}: {message}\x1eTraceback (most recent call last):")


def test_the_trace_of_a_failed_import_shows_the_functions_own_frames_only(loop: StartLoop, tmp_path: Path) -> None:
    write_app(tmp_path, "x = 1\ny = x / 0", "raising.py")
    one = loop(ECHO)

    document = json.loads(one.start("raising.handler"))

    assert document["stackTrace"] == [f'  File "{tmp_path}/raising.py", line 2, in <module>\n    y = x / 0\n']


def test_a_syntax_error_is_reported_with_its_place(loop: StartLoop, tmp_path: Path) -> None:
    one = loop("def handler(:\n    pass")

    document = json.loads(one.start())

    assert document["errorType"] == "Runtime.UserCodeSyntaxError"
    assert document["errorMessage"] == "Syntax error in module 'app': invalid syntax (app.py, line 1)"
    assert document["stackTrace"] == [f'  File "{tmp_path}/app.py" Line 1\n    def handler(:\n']


@pytest.mark.parametrize("handler", ["folder/inner.handler", "folder.inner.handler"])
def test_handlers_may_live_in_packages_and_folders(loop: StartLoop, tmp_path: Path, handler: str) -> None:
    write_app(tmp_path, ECHO, "folder/inner.py")
    one = loop()

    assert one.start(handler) == ""
    assert one.invoke(5) == ("ok", 5)


def test_code_that_leaves_while_it_is_imported_ends_the_process_with_its_status(loop: StartLoop) -> None:
    one = loop("import sys\nsys.exit(7)")
    one.send(b"I", json.dumps({"handler": "app.handler", "code_root": str(one.code), "environment": {}}).encode())

    assert one.receive() == (b"", b"")
    assert one.finish()[0] == 7


def test_an_error_of_the_handler_becomes_lambdas_error_document(loop: StartLoop, tmp_path: Path) -> None:
    one = loop(
        """
        class Bad(Exception):
            pass
        def inner():
            raise Bad("two\\nlines")
        def handler(event, context):
            inner()
        """
    )
    one.start()

    kind, document = one.invoke({}, request_id="r-9")

    assert kind == "error"
    assert document == {
        "errorMessage": "two\nlines",
        "errorType": "Bad",
        "requestId": "r-9",
        "stackTrace": [
            f'  File "{tmp_path}/app.py", line 7, in handler\n    inner()\n',
            f'  File "{tmp_path}/app.py", line 5, in inner\n    raise Bad("two\\nlines")\n',
        ],
    }
    assert one.invoke({})[0] == "error"
    assert (
        one.finish()[1].count("[ERROR] Bad: two\x1elines\x1eTraceback (most recent call last):\x1e\u00a0\u00a0File")
        == 2
    )


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("{1, 2}", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
        (
            "object()",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type object is not JSON serializable",
        ),
        (
            "{(1, 2): 3}",
            "Runtime.MarshalError",
            "Unable to marshal response: keys must be str, int, float, bool or None, not tuple",
        ),
        ("loop()", "Runtime.MarshalError", "Unable to marshal response: Circular reference detected"),
    ],
)
def test_an_answer_that_has_no_json_is_a_marshal_error(loop: StartLoop, source: str, kind: str, message: str) -> None:
    one = loop(
        f"""
        def loop():
            a = []
            a.append(a)
            return a
        def handler(event, context): return {source}
        """
    )
    one.start()

    outcome, document = one.invoke({})

    assert outcome == "error"
    assert (document["errorType"], document["errorMessage"], document["stackTrace"]) == (kind, message, [])


@pytest.mark.parametrize(
    "value", ["float('nan')", "[float('inf')]", "__import__('decimal').Decimal('NaN')", "'\\ud800'"]
)
def test_numbers_and_texts_outside_json_are_marshal_errors(loop: StartLoop, value: str) -> None:
    one = loop(f"def handler(event, context): return {value}")
    one.start(environment={"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"})

    outcome, document = one.invoke({})

    assert (outcome, document["errorType"]) == ("error", "Runtime.MarshalError")


def test_decimals_keep_their_digits_and_bytes_become_text(loop: StartLoop) -> None:
    one = loop(
        """
        from decimal import Decimal
        def handler(event, context):
            return {"d": Decimal("1.10"), "l": [Decimal("1e400"), Decimal(-3)] + [Decimal(n) for n in range(100)], "b": b"x"}
        """
    )
    one.start()

    kind, body = one.invoke_raw(b"{}")

    assert kind == "ok"
    assert body.startswith(b'{"d": 1.10, "l": [1E+400, -3, 0, 1, 2,')
    assert body.endswith(b'98, 99], "b": "x"}')


def test_bytes_are_answered_as_they_are(loop: StartLoop) -> None:
    one = loop("def handler(event, context): return b'\\x00raw'")
    one.start()

    assert one.invoke_raw(b"{}") == ("ok", b"\x00raw")


@pytest.mark.parametrize(("runtime", "body"), [("python3.11", b'"\\u00fc\\ud55c"'), ("python3.12", '"ü한"'.encode())])
def test_runtimes_to_3_11_answer_in_ascii_and_later_ones_in_utf8(loop: StartLoop, runtime: str, body: bytes) -> None:
    one = loop(ECHO)
    one.start(environment={"AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}"})

    assert one.invoke_raw('"ü한"'.encode()) == ("ok", body)


@pytest.mark.parametrize("payload", [b"", b"{", b'{"a":NaN}', b"\xff", b"1 2"])
def test_an_event_that_is_not_json_is_an_unmarshal_error(loop: StartLoop, payload: bytes) -> None:
    one = loop(ECHO)
    one.start()

    outcome, body = one.invoke_raw(payload)

    document = json.loads(body)
    assert (outcome, document["errorType"]) == ("error", "Runtime.UnmarshalError")
    assert document["errorMessage"].startswith("Unable to unmarshal input: ")
    assert one.invoke(1) == ("ok", 1)


def test_large_events_and_answers_pass_whole(loop: StartLoop) -> None:
    one = loop(ECHO)
    one.start()
    text = "ü" * 3_000_000

    assert one.invoke(text) == ("ok", text)
    assert one.invoke("small") == ("ok", "small")


def test_the_context_has_what_lambdas_context_has(loop: StartLoop) -> None:
    one = loop(
        """
        import os
        def handler(event, context):
            custom = context.client_context
            return [context.aws_request_id, context.function_name, context.function_version, context.invoked_function_arn,
                    context.memory_limit_in_mb, context.log_group_name, context.log_stream_name, context.tenant_id,
                    custom.custom, custom.env, custom.client.app_title, custom.client.installation_id,
                    context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id,
                    os.environ.get("_X_AMZN_TRACE_ID"), context.get_remaining_time_in_millis() > 0]
        """
    )
    one.start(
        environment={
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        }
    )
    context = {
        "invoked_function_arn": "arn:f",
        "tenant_id": "t",
        "client_context": json.dumps({"custom": {"k": 1}, "env": {"e": 2}, "client": {"app_title": "title"}}),
        "cognito_identity": json.dumps({"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}),
    }

    _, first = one.invoke({}, request_id="r-7", context=context, trace_header="Root=1-a;Parent=b;Sampled=1")

    assert first == [
        *("r-7", "f", "$LATEST", "arn:f", "256", "/aws/lambda/f", "s", "t"),
        *({"k": 1}, {"e": 2}, "title", None, "id", "pool", "Root=1-a;Parent=b;Sampled=1", True),
    ]


def test_without_a_client_context_or_identity_the_members_are_empty(loop: StartLoop) -> None:
    one = loop(
        """
        import os
        def handler(event, context):
            return [context.client_context, context.identity.cognito_identity_id, context.get_remaining_time_in_millis(),
                    "_X_AMZN_TRACE_ID" in os.environ]
        """
    )
    one.start()

    one.invoke({}, trace_header="Root=1-a")

    assert one.invoke({}, deadline_ms=1) == ("ok", [None, None, 0, False])


def test_a_client_context_that_is_not_json_is_an_error_of_its_own(loop: StartLoop) -> None:
    one = loop(ECHO)
    one.start()

    outcome, document = one.invoke({}, context={"client_context": "{"})

    assert (outcome, document["errorType"]) == ("error", "Runtime.LambdaContextUnmarshalError")


def test_the_environment_is_exactly_what_was_asked_for(loop: StartLoop) -> None:
    one = loop("import os\ndef handler(event, context): return sorted(os.environ)")

    one.start(environment={"B": "2", "A": "ü"})

    assert one.invoke({}) == ("ok", ["A", "B"])


def test_the_module_path_is_code_then_layers_then_the_platforms_packages(loop: StartLoop, tmp_path: Path) -> None:
    one = loop("import sys\ndef handler(event, context): return sys.path[:6]")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"

    one.start(layer_roots=["/opt"], runtime_root="/provided", environment={"PYTHONPATH": "/more"})

    _, path = one.invoke({})
    assert path[:5] == [str(tmp_path), f"/opt/python/lib/{version}/site-packages", "/opt/python", "/more", "/provided"]


def test_code_that_was_compiled_before_needs_no_file(loop: StartLoop, tmp_path: Path) -> None:
    code = compile("def handler(event, context): return [event, __file__]", "/var/task/shipped.py", "exec")
    files = {"shipped": ["/var/task/shipped.py", base64.b64encode(marshal.dumps(code)).decode()]}
    one = loop()

    said = one.start("shipped.handler", files=files, magic=importlib.util.MAGIC_NUMBER.hex())

    assert said == ""
    assert one.invoke(3) == ("ok", [3, "/var/task/shipped.py"])


def test_code_compiled_for_another_python_is_not_used(loop: StartLoop) -> None:
    one = loop(ECHO)

    assert one.start(files={"app": ["/x.py", "AAAA"]}, magic="00000000") == ""
    assert one.invoke(3) == ("ok", 3)


@pytest.mark.parametrize(
    ("leaving", "status"), [("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('why')", 1), ("os._exit(9)", 9)]
)
def test_a_handler_that_leaves_ends_the_process(loop: StartLoop, leaving: str, status: int) -> None:
    one = loop(f"import os, sys\ndef handler(event, context): {leaving}")
    one.start()

    assert one.invoke({}) == ("gone", None)
    assert one.finish()[0] == status


def test_a_forked_child_that_returns_does_not_answer(loop: StartLoop) -> None:
    one = loop(
        """
        import os
        def handler(event, context):
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            return child != 0
        """
    )
    one.start()

    assert [one.invoke({}), one.invoke({})] == [("ok", True), ("ok", True)]


def test_programs_that_the_handler_starts_do_not_get_the_channel(loop: StartLoop) -> None:
    one = loop("import os\ndef handler(event, context): return os.system('test -e /proc/self/fd/%s' % event)")
    one.start()
    fd = int(one.process.args[-1])  # type: ignore[index, call-overload]

    _, status = one.invoke(fd)

    assert status != 0


def test_an_exception_that_cannot_be_printed_is_still_an_answer(loop: StartLoop) -> None:
    one = loop(
        """
        class Odd(Exception):
            def __str__(self): raise TypeError("no text")
        def handler(event, context): raise Odd()
        """
    )
    one.start()

    outcome, document = one.invoke({})

    assert (outcome, document["errorMessage"]) == ("error", "<unprintable Odd object: TypeError>")


def test_a_later_init_frame_renews_the_environment(loop: StartLoop) -> None:
    one = loop("import os\ndef handler(event, context): return os.environ.get('KEY')")
    one.start(environment={"KEY": "old"})

    assert one.start(environment={"KEY": "new"}) == ""
    assert one.invoke({}) == ("ok", "new")


@pytest.mark.parametrize("frame", [b"", b"\0\0\0", b"\0\0\0\x01X"])
def test_a_supervisor_that_goes_away_ends_the_loop(loop: StartLoop, frame: bytes) -> None:
    one = loop(ECHO)
    one.start()
    one.channel.sendall(frame)

    assert one.finish()[0] == 0


def test_the_loop_compiles_without_a_warning_under_this_python(tmp_path: Path) -> None:
    copy = tmp_path / "python.py"
    copy.write_bytes(BOOT.read_bytes())

    assert compileall.compile_file(str(copy), quiet=1)
