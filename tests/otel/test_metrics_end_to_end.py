"""Heartbeats, queues and issues through the whole SDK: metrics and log records come out, no spans."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop._guard import failures
from hiveloop_otel import OTelTransport
from tests.support.wait import eventually


def points(reader: InMemoryMetricReader, name: str) -> list[tuple[dict[str, Any], Any]]:
    """The series of a metric, as a collection finds them now."""
    data = reader.get_metrics_data()
    if data is None:
        return []
    return [
        (dict(point.attributes or {}), point)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


class Setup:
    """A client whose three signals end in memory."""

    def __init__(self, **options: Any) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        chosen = {"span_exporter": self.spans, "metric_reader": self.reader, **options}
        self.hb = hiveloop.init(transport=OTelTransport(**chosen), environment="test")

    def flush(self) -> None:
        assert self.hb.flush(10)

    def value(self, name: str) -> float | None:
        """The value of a metric with a single series, or None."""
        self.flush()
        found = points(self.reader, name)
        return found[0][1].value if found else None

    def span_names(self) -> list[str]:
        self.flush()
        return [span.name for span in self.spans.get_finished_spans()]


@pytest.fixture(autouse=True)
def nothing_fails() -> Generator[None]:
    """`Meters` swallows what goes wrong; a test must not."""
    before = failures().get("OpenTelemetry metrics", 0)
    yield
    assert failures().get("OpenTelemetry metrics", 0) == before


def test_heartbeats_are_metrics_and_no_spans() -> None:
    setup = Setup()
    setup.hb.agent(
        "sales",
        type="outbound",
        version="2",
        heartbeat_interval=0.05,
        stuck_threshold=120,
        heartbeat_payload=lambda: {"cache_hits": 12, "uptime_seconds": 1.5, "mode": "fast"},
        queue_provider=lambda: {"depth": 7, "oldest_age_seconds": 90, "processing": {"id": "x"}},
    )
    eventually(lambda: (setup.value("hiveloop.agent.heartbeat.count") or 0) >= 3)
    eventually(lambda: setup.value("hiveloop.queue.depth") == 7)
    eventually(lambda: setup.value("hiveloop.agent.state.cache_hits") == 12)
    assert setup.value("hiveloop.agent.state.uptime_seconds") == 1.5
    assert setup.value("hiveloop.queue.oldest_age") == 90
    assert setup.value("hiveloop.queue.processing") == 1
    assert setup.value("hiveloop.agent.stuck_threshold") == 120
    ((attributes, _),) = points(setup.reader, "hiveloop.agent.info")
    assert attributes == {
        "gen_ai.agent.name": "sales",
        "hiveloop.agent.type": "outbound",
        "hiveloop.agent.version": "2",
        "hiveloop.agent.framework": "custom",
    }
    assert points(setup.reader, "hiveloop.agent.state.mode") == []
    assert setup.span_names() == []


def test_a_queue_snapshot_is_a_gauge_and_no_span() -> None:
    setup = Setup()
    agent = setup.hb.agent("sales", heartbeat_interval=0)
    agent.queue_snapshot(3)
    agent.queue_snapshot(4, oldest_age_seconds=10)
    assert setup.value("hiveloop.queue.depth") == 4
    assert setup.span_names() == []


def test_a_working_agent_in_metrics() -> None:
    setup = Setup()
    agent = setup.hb.agent("sales", heartbeat_interval=0)
    with agent.task("lead-42", project="inbound", type="webhook") as task:
        with agent.track_context("search") as action:
            action.set_payload(hiveloop.tool_payload(args={"q": "cats"}, result="3 hits"))
        task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=1500)
        task.retry("again", attempt=2)
        assert setup.value("hiveloop.task.active") == 1
    assert setup.value("hiveloop.task.active") == 0
    ((attributes, _),) = points(setup.reader, "hiveloop.task.duration")
    assert (attributes["hiveloop.project"], attributes["hiveloop.task.type"]) == ("inbound", "webhook")
    assert attributes["hiveloop.task.status"] == "success"
    ((attributes, _),) = points(setup.reader, "hiveloop.action.duration")
    assert attributes["hiveloop.action.name"] == "search"
    assert setup.value("hiveloop.llm.cost") == 0.008
    assert setup.value("hiveloop.retry.count") == 1
    usage = {a["gen_ai.token.type"]: p.sum for a, p in points(setup.reader, "gen_ai.client.token.usage")}
    assert usage == {"input": 1200, "output": 350}
    assert points(setup.reader, "gen_ai.client.operation.duration")[0][1].sum == 1.5
    assert setup.value("hiveloop.otel.spans.exported") == 3
    with pytest.raises(ValueError, match="bad"), agent.task("lead-43"):
        raise ValueError("bad")
    found = {a["hiveloop.task.status"]: a for a, _ in points_after(setup, "hiveloop.task.duration")}
    assert found["failure"]["error.type"] == "ValueError"


def points_after(setup: Setup, name: str) -> list[tuple[dict[str, Any], Any]]:
    setup.flush()
    return points(setup.reader, name)


def test_what_is_not_sampled_is_counted_all_the_same() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    setup = Setup(sampler=ALWAYS_OFF)
    with setup.hb.agent("sales", heartbeat_interval=0).task("t") as task:
        task.llm_call("reason", "gpt-4o", tokens_in=5)
    assert points_after(setup, "gen_ai.client.token.usage")[0][1].sum == 5
    assert setup.span_names() == []


class Flaky(SpanExporter):
    """Fails some times, then hands on."""

    def __init__(self, times: int) -> None:
        self.failures_left = times
        self.memory = InMemorySpanExporter()

    def export(self, spans: Any) -> SpanExportResult:
        if self.failures_left > 0:
            self.failures_left -= 1
            return SpanExportResult.FAILURE
        return self.memory.export(spans)

    def shutdown(self) -> None:
        self.memory.shutdown()


def test_metrics_are_recorded_once_however_often_the_spans_are_sent() -> None:
    exporter = Flaky(2)
    setup = Setup(span_exporter=exporter)
    agent = setup.hb.agent("sales", heartbeat_interval=0)
    for _ in range(5):
        with agent.task("t") as task:
            task.llm_call("reason", "gpt-4o", cost=0.5)

    def arrived() -> list[ReadableSpan]:
        setup.hb.flush(5)
        return list(exporter.memory.get_finished_spans())

    assert len(eventually(arrived, 30)) == 10
    assert exporter.failures_left == 0
    assert setup.value("hiveloop.llm.cost") == 2.5
    ((_, durations),) = points(setup.reader, "hiveloop.task.duration")
    assert durations.count == 5
    assert setup.value("hiveloop.otel.spans.exported") == 10


def test_the_applications_own_meter_provider_stays_its_own() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    setup = Setup(metric_reader=None, meter_provider=provider)
    setup.hb.agent("sales", heartbeat_interval=0).task("t").start()
    setup.flush()
    assert points(reader, "hiveloop.task.active")[0][1].value == 1
    hiveloop.reset()
    again = Setup(metric_reader=None, meter_provider=provider)
    again.hb.agent("support", heartbeat_interval=0, stuck_threshold=60)
    again.flush()
    thresholds = points(reader, "hiveloop.agent.stuck_threshold")
    assert {a["gen_ai.agent.name"]: p.value for a, p in thresholds}["support"] == 60
    provider.get_meter("the application's").create_counter("mine").add(1)
    assert points(reader, "mine")[0][1].value == 1
    hiveloop.reset()
    provider.shutdown()


def test_an_issue_outside_a_task_is_one_log_record() -> None:
    logs = InMemoryLogRecordExporter()
    setup = Setup(log_exporter=logs)
    agent = setup.hb.agent("sales", heartbeat_interval=0)
    agent.report_issue("CRM down", "high", category="connectivity")
    setup.flush()
    found = [one.log_record for one in logs.get_finished_logs()]
    (record,) = [one for one in found if one.event_name == "hiveloop.issue.reported"]
    assert record.severity_number is not None
    assert (record.severity_number.value, record.severity_text) == (17, "ERROR")
    assert record.body == "CRM down"
    assert record.trace_id == 0
    told = dict(record.attributes or {})
    assert told["gen_ai.agent.name"] == "sales"
    assert told["hiveloop.issue.reported.category"] == "connectivity"
    assert setup.span_names() == []
    assert setup.value("hiveloop.issue.open") == 1


def test_an_issue_outside_a_task_is_one_instant_span_without_logs() -> None:
    setup = Setup()
    setup.hb.agent("sales", heartbeat_interval=0).report_issue("CRM down", "high")
    assert setup.span_names() == ["hiveloop.issue.reported"]
    (span,) = setup.spans.get_finished_spans()
    assert span.start_time == span.end_time


def test_records_of_a_task_have_its_span() -> None:
    logs = InMemoryLogRecordExporter()
    setup = Setup(log_exporter=logs)
    with setup.hb.agent("sales", heartbeat_interval=0).task("t") as task:
        task.escalate("Too hard")
    setup.flush()
    (span,) = setup.spans.get_finished_spans()
    assert span.context is not None
    records = [one.log_record for one in logs.get_finished_logs()]
    (record,) = [one for one in records if one.event_name == "hiveloop.escalation"]
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)


def test_heartbeats_are_logged_only_on_demand() -> None:
    for wanted in (False, True):
        logs = InMemoryLogRecordExporter()
        setup = Setup(log_exporter=logs, heartbeat_logs=wanted)
        setup.hb.agent("sales", heartbeat_interval=0.05)
        eventually(lambda setup=setup: (setup.value("hiveloop.agent.heartbeat.count") or 0) >= 2)
        names = {one.log_record.event_name for one in logs.get_finished_logs()}
        assert ("hiveloop.agent.heartbeat" in names) is wanted
        hiveloop.reset()
