"""The lines round an invocation's log are Lambda's own."""

import json

import msgspec
import pytest

from haneul.base.trace import Trace
from haneul.clouds.aws.report import LambdaReport
from haneul.engines.functions.records import Settings
from tests.unit.records import invoked

TRACE = Trace("6b49d200" + "1" * 24, "2" * 16)
TEXT = Settings(runtime="python3.11", handler="app.handler", role="r")
JSON = Settings(runtime="python3.11", handler="app.handler", role="r", log_format="json")
AT_MS = 1_800_000_000_007


def test_a_run_is_reported_in_lambdas_form() -> None:
    record = invoked(peak_memory_mb=40, init_us=90_500).what

    assert LambdaReport().start(TEXT, 0, "id", "$LATEST") == ["START RequestId: id Version: $LATEST"]
    assert LambdaReport().end(TEXT, "id") == ["END RequestId: id"]
    assert LambdaReport().report(TEXT, 0, "id", record, None) == [
        "REPORT RequestId: id\tDuration: 12.30 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 40 MB\t"
        "Init Duration: 90.50 ms\t"
    ]


def test_what_the_platform_ended_has_a_status() -> None:
    late = LambdaReport().report(TEXT, 0, "id", invoked(outcome="timeout").what, None)[0]
    killed = LambdaReport().report(
        TEXT, 0, "id", invoked(outcome="out_of_memory", error_type="Runtime.OutOfMemory").what, None
    )[0]
    raised = LambdaReport().report(TEXT, 0, "id", invoked(outcome="error", error_type="ValueError").what, None)[0]

    assert late.endswith("\tStatus: timeout\t")
    assert killed.endswith("\tStatus: error\tError Type: Runtime.OutOfMemory\t")
    assert "Status" not in raised


def test_a_traced_run_names_its_trace_in_the_same_event() -> None:
    lines = LambdaReport().report(TEXT, 0, "id", invoked().what, TRACE)

    assert len(lines) == 1
    assert lines[0].endswith(f"\nXRAY TraceId: 1-6b49d200-{'1' * 24}\tSegmentId: {'2' * 16}\tSampled: true\t")


def test_functions_that_log_json_get_the_platforms_events_as_json() -> None:
    record = invoked(peak_memory_mb=40, init_us=90_500).what

    (start,) = LambdaReport().start(JSON, AT_MS, "id", "$LATEST")
    (report,) = LambdaReport().report(JSON, AT_MS, "id", record, TRACE)

    assert LambdaReport().end(JSON, "id") == []
    assert json.loads(start) == {
        "time": "2027-01-15T08:00:00.007Z",
        "type": "platform.start",
        "record": {"requestId": "id", "version": "$LATEST"},
    }
    said = json.loads(report)
    tracing = said["record"].pop("tracing")
    assert tracing["value"] == f"Root=1-6b49d200-{'1' * 24};Parent={'2' * 16};Sampled=1"
    assert said == {
        "time": "2027-01-15T08:00:00.007Z",
        "type": "platform.report",
        "record": {
            "requestId": "id",
            "metrics": {
                "durationMs": 12.3,
                "billedDurationMs": 13,
                "memorySizeMB": 512,
                "maxMemoryUsedMB": 40,
                "initDurationMs": 90.5,
            },
            "status": "success",
        },
    }


@pytest.mark.parametrize(
    ("level", "outcome", "lines"),
    [("DEBUG", "ok", 2), ("INFO", "ok", 2), ("", "ok", 2), ("WARN", "ok", 0), ("WARN", "timeout", 1)],
)
def test_the_system_log_level_is_respected(level: str, outcome: str, lines: int) -> None:
    settings = msgspec.structs.replace(JSON, system_log_level=level)

    report = LambdaReport().report(settings, AT_MS, "id", invoked(outcome=outcome).what, None)

    assert len(LambdaReport().start(settings, AT_MS, "id", "1") + report) == lines
    if outcome == "timeout":
        assert json.loads(report[0])["record"]["status"] == "timeout"
