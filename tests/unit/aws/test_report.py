"""The lines round an invocation's log are Lambda's own."""

from haneul.base.trace import Trace
from haneul.clouds.aws.report import LambdaReport
from tests.unit.records import invoked

TRACE = Trace("6b49d200" + "1" * 24, "2" * 16)


def test_a_run_is_reported_in_lambdas_form() -> None:
    record = invoked(peak_memory_mb=40, init_us=90_500).what

    assert LambdaReport().start("id", "$LATEST") == ["START RequestId: id Version: $LATEST"]
    assert LambdaReport().end("id") == ["END RequestId: id"]
    assert LambdaReport().report("id", record, None) == [
        "REPORT RequestId: id\tDuration: 12.30 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 40 MB\t"
        "Init Duration: 90.50 ms\t"
    ]


def test_what_the_platform_ended_has_a_status() -> None:
    late = LambdaReport().report("id", invoked(outcome="timeout").what, None)[0]
    killed = LambdaReport().report("id", invoked(outcome="out_of_memory", error_type="Runtime.OutOfMemory").what, None)[
        0
    ]
    raised = LambdaReport().report("id", invoked(outcome="error", error_type="ValueError").what, None)[0]

    assert late.endswith("\tStatus: timeout\t")
    assert killed.endswith("\tStatus: error\tError Type: Runtime.OutOfMemory\t")
    assert "Status" not in raised


def test_a_traced_run_names_its_trace_in_the_same_event() -> None:
    lines = LambdaReport().report("id", invoked().what, TRACE)

    assert len(lines) == 1
    assert lines[0].endswith(f"\nXRAY TraceId: 1-6b49d200-{'1' * 24}\tSegmentId: {'2' * 16}\tSampled: true\t")
