"""The lines that Lambda's platform writes round a function's own: START, END and REPORT, or its events as JSON.

JSON and its levels: Lambda developer guide, "Log-level filtering"; its records: "Lambda Telemetry API Event schema".
"""

import datetime
from typing import Any

import msgspec

from haneul.base.finished import Invoked
from haneul.base.trace import Trace
from haneul.engines.functions.records import Settings

STATUS = {"timeout": "timeout", "crash": "error", "out_of_memory": "error", "init_error": "error"}
_LEVELS = ("DEBUG", "INFO", "WARN")


class LambdaReport:
    """The LogRenderer of engines/functions: text, or JSON for functions that ask for it, down to their system log level."""

    def start(self, settings: Settings, at_ms: int, request_id: str, version: str) -> list[str]:
        if settings.log_format != "json":
            return [f"START RequestId: {request_id} Version: {version}"]
        if not _wanted(settings, "INFO"):
            return []
        return [_event(at_ms, "start", {"requestId": request_id, "version": version})]

    def end(self, settings: Settings, request_id: str) -> list[str]:
        return [f"END RequestId: {request_id}"] if settings.log_format != "json" else []

    def report(
        self, settings: Settings, at_ms: int, request_id: str, invoked: Invoked, trace: Trace | None
    ) -> list[str]:
        if settings.log_format != "json":
            return [_text(request_id, invoked, trace)]
        if not _wanted(settings, "INFO" if invoked.outcome == "ok" else "WARN"):
            return []
        return [_event(at_ms, "report", _record(request_id, invoked, trace))]


def _text(request_id: str, invoked: Invoked, trace: Trace | None) -> str:
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
        line += f"\nXRAY TraceId: {_root(trace)}\tSegmentId: {trace.span_id}\tSampled: true\t"
    return line


def _record(request_id: str, invoked: Invoked, trace: Trace | None) -> dict[str, Any]:
    metrics: dict[str, float] = {
        "durationMs": round(invoked.duration_us / 1000, 3),
        "billedDurationMs": invoked.billed_ms,
        "memorySizeMB": invoked.memory_mb,
        "maxMemoryUsedMB": invoked.peak_memory_mb,
    }
    if invoked.init_us is not None:
        metrics["initDurationMs"] = round(invoked.init_us / 1000, 3)
    status = "success" if invoked.outcome == "ok" else STATUS.get(invoked.outcome, "error")
    record: dict[str, Any] = {"requestId": request_id, "metrics": metrics, "status": status}
    if status == "error" and invoked.error_type:
        record["errorType"] = invoked.error_type
    if trace is not None and trace.sampled:
        value = f"Root={_root(trace)};Parent={trace.span_id};Sampled=1"
        record["tracing"] = {"spanId": trace.span_id, "type": "X-Amzn-Trace-Id", "value": value}
    return record


def _event(at_ms: int, kind: str, record: dict[str, Any]) -> str:
    moment = datetime.datetime.fromtimestamp(at_ms // 1000, datetime.UTC)
    time = f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"
    return msgspec.json.encode({"time": time, "type": f"platform.{kind}", "record": record}).decode()


def _wanted(settings: Settings, level: str) -> bool:
    """Whether the function's system log level, INFO unless set, lets a line of this level through."""
    least = settings.system_log_level or "INFO"
    return least not in _LEVELS or _LEVELS.index(level) >= _LEVELS.index(least)


def _root(trace: Trace) -> str:
    return f"1-{trace.trace_id[:8]}-{trace.trace_id[8:]}"
