"""What a function prints and logs: the lines, their form, and that they are there when the answer is."""

import json
import os
import re

import pytest

from .conftest import StartLoop

LOGS = """
import logging
log = logging.getLogger("mine")
def handler(event, context):
    log.debug("debug %s", event)
    log.info("info %s", event)
    log.warning("warning %s\\nsecond", event)
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed", extra={"order": 7})
"""


def test_what_was_printed_is_in_the_pipe_when_the_answer_is_there(loop: StartLoop) -> None:
    one = loop(
        """
        import os, sys
        def handler(event, context):
            print("out", event)
            print("err", file=sys.stderr)
            os.write(1, b"raw\\n")
            print("no end", end="")
        """
    )
    one.start()

    one.invoke({"ü": 1})

    assert os.read(one.log_end, 65_536).decode() == "out {'ü': 1}\nerr\nraw\nno end"


def test_log_records_have_lambdas_text_form_with_the_requests_id(loop: StartLoop) -> None:
    one = loop(LOGS)
    one.start()

    one.invoke(1, request_id="r-5")

    lines = one.finish()[1].rstrip("\n").split("\n")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"\[WARNING\]\t{stamp}\tr-5\twarning 1\x1esecond", lines[0])
    assert re.match(rf"\[ERROR\]\t{stamp}\tr-5\tfailed\x1eTraceback \(most recent call last\):\x1e  File ", lines[1])
    assert len(lines) == 2


def test_the_level_comes_from_the_environment(loop: StartLoop) -> None:
    one = loop(LOGS)
    one.start(environment={"AWS_LAMBDA_LOG_LEVEL": "INFO"})

    one.invoke(1)

    assert [line[:6] for line in one.finish()[1].rstrip("\n").split("\n")] == ["[INFO]", "[WARNI", "[ERROR"]


def test_a_level_that_nobody_knows_is_left_alone(loop: StartLoop) -> None:
    one = loop(LOGS)

    assert one.start(environment={"AWS_LAMBDA_LOG_LEVEL": "LOUD"}) == ""


def test_json_logs_are_one_object_a_line_with_extra_members(loop: StartLoop) -> None:
    one = loop(LOGS)
    one.start(environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "TRACE"})

    one.invoke(1, request_id="r-5", context={"tenant_id": "t"})

    records = [json.loads(line) for line in one.finish()[1].rstrip("\n").split("\n")]
    assert [record["level"] for record in records] == ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert {name: records[0][name] for name in ("message", "logger", "requestId", "tenantId")} == {
        "message": "debug 1",
        "logger": "mine",
        "requestId": "r-5",
        "tenantId": "t",
    }
    assert (records[3]["errorType"], records[3]["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert records[3]["order"] == 7
    assert records[3]["location"].endswith("app.py:handler:11")


def test_in_json_format_an_error_is_logged_as_an_object(loop: StartLoop) -> None:
    one = loop("def handler(event, context): raise KeyError('k')")
    one.start(environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"})

    one.invoke(1)

    record = json.loads(one.finish()[1])
    assert (record["level"], record["errorType"], record["errorMessage"]) == ("ERROR", "KeyError", "'k'")
    assert record["requestId"] == "r-1"


def test_a_formatter_of_the_functions_own_needs_no_line_end(loop: StartLoop) -> None:
    one = loop(
        """
        import logging
        logging.getLogger().handlers[0].setFormatter(logging.Formatter("mine %(message)s"))
        def handler(event, context):
            logging.error("a")
            logging.error("b")
            context.log("c")
        """
    )
    one.start()

    one.invoke(1)

    assert one.finish()[1] == "mine a\nmine b\nc\n"


def test_logging_is_not_imported_for_a_function_that_does_not_log(loop: StartLoop) -> None:
    one = loop("import sys\ndef handler(event, context): return 'logging' in sys.modules")
    one.start()

    assert one.invoke(1) == ("ok", False)


@pytest.mark.parametrize(
    "mischief", ["sys.stdout.close()", "sys.stdout = None", "sys.stdout = sys.stderr = 5", "os.close(1)"]
)
def test_a_function_may_ruin_its_own_streams_and_still_answers(loop: StartLoop, mischief: str) -> None:
    one = loop(f"import os, sys\ndef handler(event, context):\n    if event:\n        {mischief}\n    return 1 / event")
    one.start()

    assert one.invoke(1) == ("ok", 1)
    assert one.invoke(0)[1]["errorType"] == "ZeroDivisionError"


def test_text_that_utf8_cannot_hold_is_written_with_escapes(loop: StartLoop) -> None:
    one = loop("def handler(event, context): print('\\ud800')")
    one.start()

    assert one.invoke({}) == ("ok", None)
    assert one.finish()[1] == "\\ud800\n"
