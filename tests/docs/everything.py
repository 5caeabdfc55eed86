"""An agent that reports everything there is, exported through OpenTelemetry, as the documentation has it."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import Any

from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop_otel import OTelTransport
from tests.support.wait import eventually

__all__ = ["Exported", "export_everything"]

METADATA = {
    "provider": "anthropic",
    "cache_read_input_tokens": 10,
    "cache_creation_input_tokens": 5,
    "reasoning_tokens": 7,
    "stop_reason": "end_turn",
    "temperature": 0.2,
    "top_p": 0.9,
    "top_k": 40,
    "max_tokens": 1000,
    "seed": 42,
    "response_id": "msg_1",
    "response_model": "claude-sonnet-4-5-20260101",
    "time_to_first_token_ms": 120,
    "turn_number": 3,
    "context_window_size": 200_000,
    "context_used_tokens": 100_000,
    "context_utilization_pct": 50,
    "system_prompt_tokens": 100,
    "history_tokens": 500,
    "tool_results_tokens": 600,
    "anything_else": "yes",
}
KINDS: dict[str, dict[str, Any]] = {
    "learning": {
        "trigger": "test",
        "category": "style",
        "description": "d",
        "correction_applied": True,
        "turn_number": 1,
    },
    "context_compaction": {
        "tokens_before": 9,
        "tokens_after": 3,
        "tokens_removed": 6,
        "messages_removed": 2,
        "compression_ratio": 0.3,
        "method": "summary",
    },
    "error_context": {
        "error_type": "Overloaded",
        "error_message": "m",
        "status_code": 529,
        "api_name": "model",
        "retry_eligible": True,
        "response_body": "{}",
    },
    "runtime": {
        "event": "model_switch",
        "from_model": "a",
        "to_model": "b",
        "reason": "cost",
        "config": {"x": 1},
    },
    "memory_op": {
        "operation": "read",
        "store": "s",
        "key_or_query": "q",
        "result_count": 2,
        "latency_ms": 12,
    },
    "config_snapshot": {"model": "a", "tools": ["t"]},
    "anomaly": {"detector": "cycle", "tool_name": "t", "cycle_length": 2, "message": "again"},
    "prompt_composition": {
        "system_prompt_tokens": 9,
        "largest_component": "history",
        "bloat_warning": "history",
    },
    "state_mutation": {"mutation_number": 1, "keys_changed": ["k"], "changes": {"k": "added"}},
    "house_rule": {"rule": "no_pii"},
}


class Exported:
    """What arrived.

    Attributes:
        spans: by name, all attribute keys of the spans of that name.
        events: by name, all attribute keys of span events and log records of that name.
        logs: names of log records.
        metrics: by name, instrument and unit.
        metric_attributes: by name, all attribute keys of the metric's points.
        resource: attribute keys of the spans' resource.
    """

    def __init__(self) -> None:
        self.spans: dict[str, set[str]] = defaultdict(set)
        self.events: dict[str, set[str]] = defaultdict(set)
        self.logs: set[str] = set()
        self.metrics: dict[str, tuple[str, str]] = {}
        self.metric_attributes: dict[str, set[str]] = defaultdict(set)
        self.resource: set[str] = set()

    def add_span(self, span: ReadableSpan) -> None:
        self.spans[span.name] |= set(span.attributes or {})
        self.resource |= set(span.resource.attributes)
        for event in span.events:
            self.events[event.name] |= set(event.attributes or {})

    def add_log(self, record: Any) -> None:
        self.logs.add(record.event_name)
        self.events[record.event_name] |= set(record.attributes or {})

    def add_metric(self, metric: Any) -> None:
        self.metrics[metric.name] = (_instrument(metric.data), metric.unit)
        for point in metric.data.data_points:
            self.metric_attributes[metric.name] |= set(point.attributes)


def export_everything() -> Exported:
    """Run the agent and return all that it exported."""
    spans, logs, metrics = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
    transport = OTelTransport(
        span_exporter=spans,
        log_exporter=logs,
        metric_reader=metrics,
        service_version="1",
        capture_content=True,
        heartbeat_logs=True,
        queue_logs=True,
        pending="log",
    )
    hb = hiveloop.init(transport=transport, flush_interval=0.01, group="team", environment="test")
    _work(hb)
    # The first beats may come before the callbacks have answered.
    eventually(lambda: hb.flush() and "hiveloop.queue.snapshot" in _names(logs))
    exported = Exported()
    data = metrics.get_metrics_data()
    for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
        exported.add_metric(metric)
    hiveloop.reset()
    for span in spans.get_finished_spans():
        exported.add_span(span)
    for each in logs.get_finished_logs():
        exported.add_log(each.log_record)
    return exported


def _names(logs: InMemoryLogRecordExporter) -> set[str | None]:
    return {each.log_record.event_name for each in logs.get_finished_logs()}


def _instrument(data: Any) -> str:
    if isinstance(data, Gauge):
        return "gauge"
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "up-down counter"
    return "histogram"


# -- the agent ----------------------------------------------------------------------------------------


def _work(hb: hiveloop.HiveBoard) -> None:
    agent = hb.agent(
        "sales",
        type="sales",
        version="1.4",
        framework="own",
        heartbeat_interval=0.02,
        heartbeat_payload=lambda: {"mood": 3},
        queue_provider=lambda: {"depth": 1, "oldest_age_seconds": 2, "processing": {"id": "x"}},
    )
    agent.scheduled([{"name": "nightly", "next_run": "2027-01-01T00:00:00Z"}])
    agent.report_issue("disk is full", "high", category="ops", issue_id="i-1", context={"free": 0})
    agent.resolve_issue("disk is full", issue_id="i-1")
    agent.todo("t-1", "created", "call back", priority="high", source="mail", context="c", due_by="2027")
    with agent.task("lead-42", project="crm", type="inbound", correlation_id="chat-7") as task:
        task.set_payload({"won": True})
        _tell(agent, task)
        _use_tools(agent)
    with contextlib.suppress(ValueError), agent.task("lead-43", project="crm", type="inbound"):
        raise ValueError("boom")


def _tell(agent: hiveloop.Agent, task: hiveloop.Task) -> None:
    task.plan("sell", ["call", "write"], revision=1)
    task.plan_step(0, "completed", "called", turns=1, tokens=50)
    task.retry("again", attempt=2, backoff_seconds=0.5, reason="busy")
    task.request_approval("may I?", approver="maria")
    task.approval_received("you may", approved_by="maria", decision="approved")
    task.escalate("too hard", assigned_to="maria", reason="confidence_low")
    task.llm_call(
        "reasoning",
        "claude-sonnet-4-5",
        tokens_in=100,
        tokens_out=50,
        cost=0.01,
        duration_ms=800,
        prompt_preview="Hello",
        response_preview="Hi",
        metadata=METADATA,
    )
    task.llm_call("broken", "claude-sonnet-4-5", metadata={"error": "too long", "error_type": "Overflow"})
    for kind, data in KINDS.items():
        task.event("custom", {"kind": kind, "summary": kind, "data": data})
    agent.report_issue("slow", "low", category="crm", occurrence_count=2)


def _use_tools(agent: hiveloop.Agent) -> None:
    @agent.track("decorated")
    def decorated() -> None:
        """Do nothing."""

    decorated()
    with agent.track_context("search") as tool:
        payload = hiveloop.tool_payload(
            args={"q": "x"}, result="3", result_size_bytes=9, tool_category="crm", http_status=200
        )
        tool.set_payload({**payload, "tool_call_id": "call_1"})
    with agent.track_context("think") as action:
        action.set_payload({"depth": 2})
