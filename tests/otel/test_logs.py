"""Log records: what they say, which span they belong to, and what becomes of them."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from hiveloop._guard import failures
from hiveloop.events import AgentInfo, Event, TaskInfo
from hiveloop.transport import Delivered, Outcome, Retry
from hiveloop_otel._content import MappingOptions
from hiveloop_otel._logs import LogSink, logs_available
from hiveloop_otel._narrative import Narrative, read_narrative
from tests.support.events import Script

RESOURCE = Resource({"service.name": "crm"})
SCOPE = InstrumentationScope("hiveloop", "1.0", "https://opentelemetry.io/schemas/1.41.1")
SPAN = SpanContext(0x5F, 0x7A, False, TraceFlags(0x01))


class Kept:
    """Records go into memory, through an exporter of the SDK."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()

    def export(self, items: Sequence[Any], timeout: float) -> Outcome:
        result = self.exporter.export(items)
        return Delivered() if result.name == "SUCCESS" else Retry("failed")

    @property
    def records(self) -> list[Any]:
        return list(self.exporter.get_finished_logs())


@pytest.fixture
def kept() -> Generator[Kept]:
    kept = Kept()
    yield kept
    kept.exporter.shutdown()


def sink(kept: Kept, options: MappingOptions | None = None) -> LogSink:
    return LogSink(kept, RESOURCE, SCOPE, options)


def made(kept: Kept, event: Event, context: SpanContext | None = None, **options: Any) -> Any:
    chosen = MappingOptions(**options)
    one = sink(kept, chosen)
    one.export([one.make(event, read_narrative(event, chosen), context)], 1.0)
    return kept.records[-1]


def issue(severity: str = "high", script: Script | None = None) -> Event:
    script = script or Script(task_id=None)
    data = {"severity": severity, "action": "reported", "category": "connectivity"}
    return script.event("issue", {"summary": "CRM down", "data": data})


def test_this_sdk_has_logs() -> None:
    assert logs_available()


def test_an_sdk_without_our_classes_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import opentelemetry.sdk._logs as package

    monkeypatch.delattr(package, "ReadableLogRecord")
    assert not logs_available()
    monkeypatch.setitem(sys.modules, "opentelemetry._logs", None)
    assert not logs_available()


def test_what_a_record_says(kept: Kept) -> None:
    event = issue()
    found = made(kept, event, SPAN)
    record = found.log_record
    assert record.event_name == "hiveloop.issue.reported"
    assert (record.severity_number.value, record.severity_text) == (17, "ERROR")
    assert record.body == "CRM down"
    assert record.timestamp == record.observed_timestamp == event.time_ns
    assert (record.trace_id, record.span_id, record.trace_flags) == (0x5F, 0x7A, 1)
    assert found.resource is RESOURCE
    assert found.instrumentation_scope is SCOPE
    told = dict(record.attributes)
    assert told["hiveloop.issue.reported.category"] == "connectivity"
    assert told["gen_ai.agent.name"] == told["hiveloop.agent.id"] == "sales"
    assert told["hiveloop.event.id"] == event.event_id
    assert told["hiveloop.severity"] == "info"
    assert "hiveloop.task.id" not in told


@pytest.mark.parametrize(
    ("severity", "number", "text"),
    [("low", 9, "INFO"), ("medium", 13, "WARN"), ("high", 17, "ERROR"), ("critical", 21, "FATAL")],
)
def test_severities_of_issues(kept: Kept, severity: str, number: int, text: str) -> None:
    record = made(kept, issue(severity)).log_record
    assert (record.severity_number.value, record.severity_text) == (number, text)


def test_the_task_of_a_record(kept: Kept) -> None:
    task = TaskInfo("lead-42", "run-1", "inbound", "webhook", "conversation-7")
    event = issue(script=Script())._replace(task=task, parent_event_id="before")
    told = dict(made(kept, event).log_record.attributes)
    assert told["hiveloop.task.id"] == "lead-42"
    assert told["hiveloop.task.run_id"] == "run-1"
    assert told["hiveloop.parent_event_id"] == "before"
    assert told["gen_ai.conversation.id"] == "conversation-7"
    told = dict(made(kept, event, conversation_id=False).log_record.attributes)
    assert "gen_ai.conversation.id" not in told


def test_a_record_without_a_span_has_no_trace_whatever_is_current(kept: Kept) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("test").start_as_current_span("somebody else's"):
        assert trace.get_current_span().get_span_context().is_valid
        record = made(kept, issue()).log_record
    assert (record.trace_id, record.span_id, record.trace_flags) == (0, 0, 0)
    provider.shutdown()


def test_the_limits_of_the_sdk_hold(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "5")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4")
    found = made(kept, issue())
    told = dict(found.log_record.attributes)
    assert len(told) == 5
    assert told["gen_ai.agent.name"] == "sale"  # whose it is goes last
    assert found.dropped_attributes > 0


def test_a_limit_that_is_no_number_counts_as_not_set(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "many")
    before = failures().get("log record limits", 0)
    assert made(kept, issue()).log_record.attributes["gen_ai.agent.name"] == "sales"
    assert failures().get("log record limits", 0) == before + 1


def test_every_kind_of_record_can_be_encoded(kept: Kept) -> None:
    script = Script()
    agent = AgentInfo("sal\ud800es", "\x00", "1")
    nasty = {"a": None, "b": 2**70, "c": float("nan"), "d": [1, "x"], "\ud800": "\ud800", "e": {"f": []}}
    events = [
        script.event(kind, {"summary": "\ud800", "data": nasty})._replace(agent=agent)
        for kind in ("retry_started", "escalated", "issue", "todo", "heartbeat", "queue_snapshot", "whatever")
    ]
    for event in events:
        made(kept, event, SPAN)
    request = encode_logs(kept.records)
    assert request.SerializeToString()
    (scope,) = request.resource_logs[0].scope_logs
    assert [record.event_name for record in scope.log_records][:2] == [
        "hiveloop.retry",
        "hiveloop.escalation",
    ]
    assert scope.schema_url == SCOPE.schema_url
    assert {record.span_id for record in scope.log_records} == {(0x7A).to_bytes(8, "big")}


def test_the_outcome_is_the_targets(kept: Kept) -> None:
    one = sink(kept)
    event = issue()
    narrative = Narrative("hiveloop.custom", {}, 9, "INFO", "text", {})
    record = one.make(event, narrative, None)
    assert one.export([record, record], 1.0) == Delivered()
    assert len(kept.records) == 2
    kept.exporter.shutdown()
    assert one.export([record], 1.0) == Retry("failed")


def test_a_receiver_without_logs_costs_no_spans() -> None:
    import hiveloop
    from hiveloop_otel import OTelTransport
    from tests.support.otlp import OtlpSink
    from tests.support.server import accepting, failing

    with OtlpSink() as sink:
        sink.default = lambda request: failing(404) if request.path == "/v1/logs" else accepting()
        hb = hiveloop.init(transport=OTelTransport(endpoint=sink.url, logs=True))
        with hb.agent("a", heartbeat_interval=0).task("t") as task:
            task.plan("goal", ["a"])
        assert hb.flush(10)
        assert sink.names() == {"invoke_agent a": 1}
        assert hb.stats().transports["otel"].state == "ok"
        hiveloop.reset()
