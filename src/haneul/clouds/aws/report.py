"""The lines that Lambda's platform writes round a function's own: START, END and REPORT."""

from haneul.base.finished import Invoked
from haneul.base.trace import Trace

STATUS = {"timeout": "timeout", "crash": "error", "out_of_memory": "error", "init_error": "error"}


class LambdaReport:
    """The LogRenderer of engines/functions, in Lambda's text format."""

    def start(self, request_id: str, version: str) -> list[str]:
        return [f"START RequestId: {request_id} Version: {version}"]

    def end(self, request_id: str) -> list[str]:
        return [f"END RequestId: {request_id}"]

    def report(self, request_id: str, invoked: Invoked, trace: Trace | None) -> list[str]:
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {invoked.duration_us / 1000:.2f} ms",
            f"Billed Duration: {invoked.billed_ms} ms",
            f"Memory Size: {invoked.memory_mb} MB",
            f"Max Memory Used: {invoked.peak_memory_mb} MB",
        ]
        if invoked.init_us is not None:
            parts.append(f"Init Duration: {invoked.init_us / 1000:.2f} ms")
        if invoked.outcome in STATUS:
            parts.append(f"Status: {STATUS[invoked.outcome]}")
        if STATUS.get(invoked.outcome) == "error":
            parts.append(f"Error Type: {invoked.error_type}")
        line = "\t".join(parts) + "\t"
        if trace is not None and trace.sampled:
            root = f"1-{trace.trace_id[:8]}-{trace.trace_id[8:]}"
            line += f"\nXRAY TraceId: {root}\tSegmentId: {trace.span_id}\tSampled: true\t"
        return [line]
