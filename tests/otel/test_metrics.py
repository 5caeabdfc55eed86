"""Metrics: instruments, attributes and values, from events made by hand; bounds; what SDKs get wrong."""

from __future__ import annotations

import gc
import itertools
import json
import logging
import math
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    InMemoryMetricReader,
    Metric,
    Sum,
)

from hiveloop._guard import failures
from hiveloop.events import AgentInfo, Event, EventType, TaskInfo
from hiveloop_otel import _metric_agents, _metric_state, _metrics, semconv
from hiveloop_otel._content import MappingOptions, action_content, task_content
from hiveloop_otel._llm import read_llm_call
from hiveloop_otel._metrics import Meters
from tests.support.events import Script

SALES = {"gen_ai.agent.name": "sales", "hiveloop.agent.type": "general"}
HOUR_NS = 3600 * 1_000_000_000
D = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
T = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
A = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6]
W = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200]
N = [1, 2, 4, 8, 16, 32, 64, 128]


class Seen:
    """Metrics in memory, and what records them."""

    def __init__(self, dialect: str = "1.41.1", **options: Any) -> None:
        self.reader = InMemoryMetricReader(**options)
        self.provider = MeterProvider([self.reader])
        self.meters = Meters(self.provider, dialect)
        self._data: Any = None

    def record(self, *events: Event) -> None:
        for event in events:
            self.meters.record(event)

    def all(self) -> dict[str, Metric]:
        """Everything a collection finds now, by name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        metric = self.all().get(name)
        return [] if metric is None else [(dict(p.attributes or {}), p) for p in metric.data.data_points]

    def one(self, name: str) -> tuple[dict[str, Any], Any]:
        found = self.points(name)
        assert len(found) == 1, f"{name}: {[attributes for attributes, _ in found]}"
        return found[0]

    def value(self, name: str) -> float:
        return self.one(name)[1].value

    def status(self, agent_id: str = "sales") -> str:
        found = {
            attributes["hiveloop.agent.state"]: point.value
            for attributes, point in self.points("hiveloop.agent.status")
            if attributes["gen_ai.agent.name"] == agent_id
        }
        assert set(found) == {"idle", "processing", "waiting_approval", "error"}
        assert sorted(found.values()) == [0, 0, 0, 1]
        return next(state for state, value in found.items() if value)


@pytest.fixture
def seen() -> Generator[Seen]:
    seen = Seen()
    yield seen
    seen.provider.shutdown()


@pytest.fixture
def latest() -> Generator[Seen]:
    seen = Seen("latest")
    yield seen
    seen.provider.shutdown()


@pytest.fixture(autouse=True)
def nothing_fails() -> Generator[None]:
    """`Meters` swallows what goes wrong; a test must not."""
    before = failures().get("OpenTelemetry metrics", 0)
    yield
    assert failures().get("OpenTelemetry metrics", 0) == before


@pytest.fixture(autouse=True)
def the_sdk_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    with caplog.at_level(logging.WARNING, logger="opentelemetry"):
        yield
    assert [r.getMessage() for r in caplog.records if r.name.startswith("opentelemetry")] == []


def heartbeat(script: Script, payload: dict[str, Any] | None = None, **progress: Any) -> Event:
    return script.event("heartbeat", {**(payload or {}), "hiveloop": progress})


def registered(script: Script, **data: Any) -> Event:
    return script.event("agent_registered", {"summary": "", "data": data})._replace(task=None)


def buckets(point: Any) -> list[float]:
    return list(point.explicit_bounds)


# -- models -----------------------------------------------------------------------------------


def test_a_call_of_a_model_as_the_tagged_conventions_have_it(seen: Seen) -> None:
    script = Script()
    event = script.llm_call(model="gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=1500)
    seen.record(event)
    about = {
        "gen_ai.agent.name": "sales",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
    }
    attributes, point = seen.one("gen_ai.client.operation.duration")
    assert attributes == about
    assert (point.count, point.sum, buckets(point)) == (1, 1.5, D)
    usage = {a.pop("gen_ai.token.type"): (a, p) for a, p in seen.points("gen_ai.client.token.usage")}
    assert {kind: point.sum for kind, (_, point) in usage.items()} == {"input": 1200, "output": 350}
    assert all(attributes == about and buckets(point) == T for attributes, point in usage.values())
    attributes, point = seen.one("hiveloop.llm.cost")
    assert point.value == 0.008
    assert attributes == {
        **SALES,
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
    }
    assert not [name for name in seen.all() if name.startswith("gen_ai.client.inference")]


def test_units_kinds_and_scope(seen: Seen) -> None:
    script = Script()
    seen.record(
        registered(script, stuck_threshold=120),
        heartbeat(script, {"cache_hits": 3}, queue_depth=1),
        script.started(),
        script.llm_call(tokens_in=1, tokens_out=1, cost=0.5, duration_ms=1),
        script.action_completed("search"),
        script.event("approval_requested", {"summary": "Discount?"}),
        script.event("approval_received", {"summary": "Yes", "data": {"decision": "approved"}}),
        script.event("issue", {"summary": "CRM down", "data": {"severity": "high", "action": "reported"}}),
        script.event(
            "queue_snapshot", {"data": {"depth": 3, "oldest_age_seconds": 9, "processing": {"id": 1}}}
        ),
        script.completed(),
    )
    seen.meters.spans_exported(3)
    seen.meters.spans_dropped(1, "refused")
    kinds = {Gauge: "gauge", Histogram: "histogram", Sum: "sum"}
    found = {name: (m.unit, kinds[type(m.data)]) for name, m in seen.all().items()}
    assert found == {
        "gen_ai.client.operation.duration": ("s", "histogram"),
        "gen_ai.client.token.usage": ("{token}", "histogram"),
        "hiveloop.action.duration": ("s", "histogram"),
        "hiveloop.agent.heartbeat.count": ("{heartbeat}", "sum"),
        "hiveloop.agent.heartbeat.timestamp": ("s", "gauge"),
        "hiveloop.agent.info": ("1", "gauge"),
        "hiveloop.agent.state.cache_hits": ("1", "gauge"),
        "hiveloop.agent.status": ("1", "gauge"),
        "hiveloop.agent.stuck_threshold": ("s", "gauge"),
        "hiveloop.approval.pending": ("{approval}", "sum"),
        "hiveloop.approval.wait.duration": ("s", "histogram"),
        "hiveloop.issue.count": ("{issue}", "sum"),
        "hiveloop.issue.open": ("{issue}", "sum"),
        "hiveloop.llm.cost": ("{USD}", "sum"),
        "hiveloop.otel.spans.dropped": ("{span}", "sum"),
        "hiveloop.otel.spans.exported": ("{span}", "sum"),
        "hiveloop.queue.depth": ("{item}", "gauge"),
        "hiveloop.queue.oldest_age": ("s", "gauge"),
        "hiveloop.queue.processing": ("{item}", "gauge"),
        "hiveloop.task.active": ("{task}", "sum"),
        "hiveloop.task.duration": ("s", "histogram"),
    }
    sums = {name: m.data.is_monotonic for name, m in seen.all().items() if isinstance(m.data, Sum)}
    assert {name for name, monotonic in sums.items() if not monotonic} == {
        "hiveloop.task.active",
        "hiveloop.approval.pending",
        "hiveloop.issue.open",
    }
    data = seen.reader.get_metrics_data()
    assert data is not None
    scopes = {s.scope.name: s.scope.schema_url for r in data.resource_metrics for s in r.scope_metrics}
    assert scopes == {"hiveloop": "https://opentelemetry.io/schemas/1.41.1"}


def test_a_failed_call_says_so(seen: Seen) -> None:
    event = Script().llm_call(
        duration_ms=10, metadata={"error": "overloaded", "error_type": "RateLimitError"}
    )
    seen.record(event)
    assert seen.one("gen_ai.client.operation.duration")[0]["error.type"] == "RateLimitError"


def test_the_first_chunk_of_a_streamed_answer(seen: Seen) -> None:
    seen.record(Script().llm_call(metadata={"time_to_first_token_ms": 250}))
    attributes, point = seen.one("gen_ai.client.operation.time_to_first_chunk")
    assert (point.sum, buckets(point)) == (0.25, D)
    assert attributes["gen_ai.operation.name"] == "chat"


def test_what_a_call_does_not_tell_is_not_recorded(seen: Seen) -> None:
    seen.record(Script().llm_call())
    assert [name for name in seen.all() if "gen_ai" in name or "llm" in name] == []


def test_a_call_that_the_mapping_has_read_already_is_the_same(seen: Seen, latest: Seen) -> None:
    event = Script().llm_call(tokens_in=7, duration_ms=2)
    for one, dialect in ((seen, "1.41.1"), (latest, "latest")):
        one.meters.record(event, read_llm_call(event, MappingOptions(dialect=dialect)))
        one.meters.record(event)
    assert seen.one("gen_ai.client.token.usage")[1].count == 2
    assert latest.value("gen_ai.client.inference.usage.input_tokens") == 14


def test_the_latest_dialect(latest: Seen) -> None:
    script = Script()
    metadata = {
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "reasoning_tokens": 5,
        "time_to_first_token_ms": 40,
    }
    latest.record(
        script.started(),
        script.llm_call(
            model="gpt-4o", tokens_in=1200, tokens_out=350, duration_ms=500, cost=0.1, metadata=metadata
        ),
        script.llm_call(model="gpt-4o", duration_ms=500),
        script.action_completed("search", args={"q": "x"}, result="3 hits"),
        script.action_failed("think", "ValueError", "no"),
        script.completed(duration_ms=1600),
    )
    about = {
        "gen_ai.agent.name": "sales",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
    }
    attributes, point = latest.one("gen_ai.client.inference.duration")
    assert (attributes, point.count, buckets(point)) == (about, 2, D)
    for name, total in (
        ("usage.input_tokens", 1200),
        ("usage.output_tokens", 350),
        ("usage.cache_read.input_tokens", 100),
        ("usage.cache_write.input_tokens", 20),
        ("usage.reasoning.output_tokens", 5),
    ):
        metric = latest.all()[f"gen_ai.client.inference.{name}"]
        assert isinstance(metric.data, Sum)
        assert metric.data.is_monotonic
        attributes, point = latest.one(f"gen_ai.client.inference.{name}")
        assert attributes == {**about, "gen_ai.token.modality": "unknown"}
        assert (point.value, type(point.value)) == (total, int)
    for name, total in (("input_tokens", 1200), ("output_tokens", 350)):
        attributes, point = latest.one(f"gen_ai.client.inference.operation.{name}")
        assert (attributes, point.sum, buckets(point)) == (about, total, T)
    assert latest.one("gen_ai.client.inference.time_to_first_chunk")[1].sum == 0.04
    attributes, point = latest.one("gen_ai.invoke_agent.duration")
    assert (attributes, point.sum, buckets(point)) == ({"gen_ai.agent.name": "sales"}, 1.6, pytest.approx(A))
    for name, count in (("inference_calls", 2), ("tool_calls", 1)):
        attributes, point = latest.one(f"gen_ai.invoke_agent.{name}")
        assert (attributes, point.sum, buckets(point)) == ({"gen_ai.agent.name": "sales"}, count, N)
    attributes, point = latest.one("gen_ai.execute_tool.duration")
    assert attributes == {"gen_ai.agent.name": "sales", "gen_ai.tool.name": "search"}
    assert (point.sum, buckets(point)) == (0.34, D)
    assert not {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} & set(latest.all())
    assert latest.value("hiveloop.llm.cost") == 0.1
    data = latest.reader.get_metrics_data()
    assert data is not None
    urls = {s.scope.schema_url for r in data.resource_metrics for s in r.scope_metrics}
    assert urls == {semconv.LATEST.schema_url}


def test_embeddings_are_no_inference_in_the_latest_dialect(latest: Seen) -> None:
    model = "text-embedding-3-small"
    latest.record(Script().llm_call(model=model, duration_ms=10, metadata={"operation": "embeddings"}))
    attributes, _ = latest.one("gen_ai.client.operation.duration")
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert "gen_ai.client.inference.duration" not in latest.all()


def test_failures_in_the_latest_dialect(latest: Seen) -> None:
    script = Script()
    latest.record(
        script.started(),
        script.action_completed("search", success=False, error="no", error_type="TimeoutError"),
        script.failed("ValueError", "bad", duration_ms=100),
    )
    assert latest.one("gen_ai.execute_tool.duration")[0]["error.type"] == "TimeoutError"
    assert latest.one("gen_ai.invoke_agent.duration")[0]["error.type"] == "ValueError"


# -- tasks and actions ------------------------------------------------------------------------


def test_a_task_is_active_until_it_ends(seen: Seen) -> None:
    script = Script(project="inbound")
    seen.record(script.started())
    attributes, point = seen.one("hiveloop.task.active")
    assert attributes == {**SALES, "hiveloop.project": "inbound"}
    assert point.value == 1
    seen.record(script.completed(duration_ms=1600))
    assert seen.value("hiveloop.task.active") == 0
    attributes, point = seen.one("hiveloop.task.duration")
    assert attributes == {**SALES, "hiveloop.project": "inbound", "hiveloop.task.status": "success"}
    assert (point.sum, point.count, buckets(point)) == (1.6, 1, W)


def test_the_type_and_the_status_of_a_task(seen: Seen) -> None:
    script = Script()
    info = TaskInfo("lead-42", "run-1", None, "webhook")
    seen.record(script.completed("partial")._replace(task=info))
    attributes, _ = seen.one("hiveloop.task.duration")
    assert attributes == {**SALES, "hiveloop.task.type": "webhook", "hiveloop.task.status": "partial"}


def test_a_failed_task(seen: Seen) -> None:
    script = Script()
    seen.record(script.started(), script.failed("ValueError", "bad"))
    attributes, _ = seen.one("hiveloop.task.duration")
    assert (attributes["hiveloop.task.status"], attributes["error.type"]) == ("failure", "ValueError")
    assert seen.value("hiveloop.task.active") == 0


def test_an_end_without_a_start_and_a_second_start_count_nothing_as_active(seen: Seen) -> None:
    script = Script()
    seen.record(script.completed())
    assert seen.points("hiveloop.task.active") == []
    seen.record(script.started(), script.started(), script.completed(), script.completed())
    assert seen.value("hiveloop.task.active") == 0
    assert seen.one("hiveloop.task.duration")[1].count == 3


def test_the_same_run_id_of_two_agents_is_two_tasks(seen: Seen) -> None:
    one, other = Script(), Script(agent_id="support")
    seen.record(one.started(), other.started(), one.completed())
    active = {a["gen_ai.agent.name"]: p.value for a, p in seen.points("hiveloop.task.active")}
    assert active == {"sales": 0, "support": 1}


def test_actions(seen: Seen) -> None:
    script = Script()
    tool = script.action_completed("crm", success=False, error="no such lead")
    seen.record(
        script.action_completed("search", duration_ms=340),
        script.action_failed("search", "TimeoutError", "late"),
        tool,
    )
    seen.meters.record(tool, action_content(tool, MappingOptions()))
    found = {
        (a["hiveloop.action.name"], a.get("error.type")): p
        for a, p in seen.points("hiveloop.action.duration")
    }
    assert set(found) == {("search", None), ("search", "TimeoutError"), ("crm", "_OTHER")}
    assert (found["search", None].sum, buckets(found["search", None])) == (0.34, D)
    assert found["crm", "_OTHER"].count == 2


def test_a_task_that_the_mapping_has_read_already_is_the_same(seen: Seen) -> None:
    event = Script().failed("ValueError", "bad")
    seen.meters.record(event, task_content(event, MappingOptions()))
    seen.meters.record(event)
    assert seen.one("hiveloop.task.duration")[1].count == 2


# -- agents -----------------------------------------------------------------------------------


def test_a_heartbeat_tells_life_progress_and_numbers(seen: Seen) -> None:
    script = Script(task_id=None)
    payload = {
        "Cache Hits": 12,
        "uptime_seconds": 3.5,
        "spent_usd": 0.25,
        "tokens_used": 900,
        "healthy": True,
        "mode": "fast",
        "nested": {"a": 1},
        "nan": math.nan,
        "giant": 2**70,
    }
    first = heartbeat(script)
    last = heartbeat(script, payload, idle_seconds=7, open_action_seconds=40, queue_depth=3)
    seen.record(first, last)
    attributes, point = seen.one("hiveloop.agent.heartbeat.count")
    assert (attributes, point.value) == (SALES, 2)
    assert seen.value("hiveloop.agent.heartbeat.timestamp") == last.time_ns / 1e9
    assert seen.value("hiveloop.agent.idle_time") == 7
    assert seen.value("hiveloop.agent.open_action.age") == 40
    assert seen.value("hiveloop.queue.depth") == 3
    found = {name: (m.unit, seen.value(name)) for name, m in seen.all().items() if ".state." in name}
    assert found == {
        "hiveloop.agent.state.cache_hits": ("1", 12),
        "hiveloop.agent.state.uptime_seconds": ("s", 3.5),
        "hiveloop.agent.state.spent_usd": ("{USD}", 0.25),
        "hiveloop.agent.state.tokens_used": ("{token}", 900),
        "hiveloop.agent.state.healthy": ("1", 1),
    }


def test_a_number_that_a_heartbeat_has_no_more_is_gone(seen: Seen) -> None:
    script = Script(task_id=None)
    seen.record(heartbeat(script, {"a": 1, "b": 2}, open_action_seconds=1), heartbeat(script, {"a": 5}))
    assert seen.value("hiveloop.agent.state.a") == 5
    assert seen.points("hiveloop.agent.state.b") == []
    assert seen.points("hiveloop.agent.open_action.age") == []


def test_a_beat_whose_callbacks_are_late_keeps_the_numbers_of_the_last(seen: Seen) -> None:
    script = Script(task_id=None)
    seen.record(heartbeat(script, {"a": 1}), heartbeat(script, callbacks="late"))
    assert seen.value("hiveloop.agent.state.a") == 1


def test_at_most_32_numbers_per_agent(seen: Seen) -> None:
    payload = {f"number_{n}": n for n in range(50)}
    seen.record(heartbeat(Script(task_id=None), payload))
    shown = [name for name in seen.all() if ".state." in name]
    assert len(shown) == _metric_agents.MOST_NUMBERS == 32


def test_keys_of_heartbeats_cannot_make_metrics_without_end(seen: Seen) -> None:
    script = Script(task_id=None)
    for n in range(400):
        seen.record(heartbeat(script, {f"key_{n}": n}))
    seen.record(heartbeat(script, {"key_0": 1, "another": 2}))
    assert [name for name in seen.all() if ".state." in name] == ["hiveloop.agent.state.key_0"]


@pytest.mark.parametrize("key", ["", "ü", "\ud800", "A B/C", "x" * 5000, "1st", "a..b", "\x00"])
def test_any_key_makes_a_name_that_the_sdk_takes(seen: Seen, key: str) -> None:
    seen.record(heartbeat(Script(task_id=None), {key: 1}))
    (name,) = [name for name in seen.all() if ".state." in name]
    assert len(name) <= 255
    assert seen.value(name) == 1


def test_registration(seen: Seen) -> None:
    script = Script(task_id=None)
    info = AgentInfo("sales", "outbound", "2.1", "crewai")
    seen.record(registered(script, stuck_threshold=300)._replace(agent=info))
    attributes, point = seen.one("hiveloop.agent.info")
    assert attributes == {
        "gen_ai.agent.name": "sales",
        "hiveloop.agent.type": "outbound",
        "hiveloop.agent.version": "2.1",
        "hiveloop.agent.framework": "crewai",
    }
    assert point.value == 1
    assert seen.value("hiveloop.agent.stuck_threshold") == 300
    assert seen.status() == "idle"


def test_changed_metadata_replace_the_series_of_before(seen: Seen) -> None:
    script = Script()
    seen.record(registered(script, stuck_threshold=300), heartbeat(script, {"a": 1}), script.started())
    newer = AgentInfo("sales", "closer", "3")
    late = script.event("retry_started")  # its task knows the agent as it was
    seen.record(registered(script, stuck_threshold=60)._replace(agent=newer), late)
    assert seen.one("hiveloop.agent.info")[0]["hiveloop.agent.version"] == "3"
    assert seen.one("hiveloop.retry.count")[0]["hiveloop.agent.type"] == "closer"
    assert seen.value("hiveloop.agent.stuck_threshold") == 60
    assert seen.status() == "processing"
    assert {a["hiveloop.agent.type"] for a, _ in seen.points("hiveloop.agent.status")} == {"closer"}
    seen.record(script.completed())
    assert seen.value("hiveloop.task.active") == 0  # taken off where it was counted


def test_the_status_follows_the_open_tasks(seen: Seen) -> None:
    one, other = Script(), Script(task_id="lead-43")
    seen.record(registered(one))
    assert seen.status() == "idle"
    seen.record(one.started(), other.started())
    assert seen.status() == "processing"
    seen.record(one.event("approval_requested"))
    assert seen.status() == "waiting_approval"
    seen.record(other.completed())
    assert seen.status() == "waiting_approval"
    seen.record(one.event("approval_received"))
    assert seen.status() == "processing"
    seen.record(one.failed("ValueError", "bad"))
    assert seen.status() == "error"
    seen.record(heartbeat(one), one.llm_call())
    assert seen.status() == "error"
    seen.record(other.started(), other.completed())
    assert seen.status() == "idle"


def test_an_ended_task_waits_for_no_approval(seen: Seen) -> None:
    script = Script()
    seen.record(script.started(), script.event("approval_requested"), script.event("approval_requested"))
    assert seen.status() == "waiting_approval"
    seen.record(script.completed())
    assert seen.status() == "idle"
    assert seen.value("hiveloop.approval.pending") == 2
    seen.record(script.started(), script.event("approval_received"), script.event("approval_received"))
    assert seen.value("hiveloop.approval.pending") == 0
    assert seen.status() == "processing"
    seen.record(script.event("approval_requested"))
    assert seen.status() == "waiting_approval"
    seen.record(script.completed())
    assert seen.status() == "idle"


def test_a_task_waits_until_its_last_approval(seen: Seen) -> None:
    script = Script()
    asked, answered = script.event("approval_requested"), script.event("approval_received")
    seen.record(script.started(), asked, asked._replace(event_id="another"), answered)
    assert seen.status() == "waiting_approval"
    seen.record(answered)
    assert seen.status() == "processing"
    seen.record(asked)
    assert seen.status() == "waiting_approval"


def test_a_failure_is_over_with_the_next_task_even_if_that_never_ends(seen: Seen) -> None:
    script = Script()
    seen.record(script.started(), script.failed("ValueError", "bad"), last := script.started())
    assert seen.status() == "processing"
    seen.record(heartbeat(script)._replace(task=None, time_ns=last.time_ns + 25 * HOUR_NS))
    assert seen.status() == "idle"


def test_a_stopped_agent_is_neither_stuck_nor_idle(seen: Seen) -> None:
    script = Script(task_id=None)
    seen.record(registered(script, stuck_threshold=60), heartbeat(script, {"a": 1}, queue_depth=2))
    seen.record(script.event("runtime", {"data": {"event": "agent_stopped"}}))
    assert {n for n in seen.all() if isinstance(seen.all()[n].data, Gauge)} == {
        "hiveloop.agent.info",
        "hiveloop.agent.stuck_threshold",
    }


def test_queues(seen: Seen) -> None:
    script = Script(task_id=None)
    data = {"depth": 5, "oldest_age_seconds": 120, "processing": {"id": "x"}}
    seen.record(script.event("queue_snapshot", {"data": data}))
    attributes, point = seen.one("hiveloop.queue.depth")
    assert (attributes, point.value) == (SALES, 5)
    assert seen.value("hiveloop.queue.oldest_age") == 120
    assert seen.value("hiveloop.queue.processing") == 1
    seen.record(script.event("queue_snapshot", {"data": {"depth": 0, "processing": [1, 2, 3]}}))
    assert seen.value("hiveloop.queue.depth") == 0
    assert seen.points("hiveloop.queue.oldest_age") == []
    assert seen.value("hiveloop.queue.processing") == 3


def test_scheduled_work(seen: Seen) -> None:
    script = Script(task_id=None)
    seen.record(script.event("scheduled", {"data": {"items": [{"id": 1}, {"id": 2}]}}))
    assert seen.value("hiveloop.scheduled.items") == 2


@pytest.mark.parametrize("temporality", [AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
def test_gauges_keep_their_value_from_one_collection_to_the_next(temporality: AggregationTemporality) -> None:
    kinds = (sdk_metrics.Counter, sdk_metrics.Histogram, sdk_metrics.ObservableGauge)
    seen = Seen(preferred_temporality=dict.fromkeys(kinds, temporality))
    seen.record(registered(Script(task_id=None), stuck_threshold=60))
    for _ in range(3):
        assert seen.value("hiveloop.agent.stuck_threshold") == 60
        assert seen.status() == "idle"
    seen.provider.shutdown()


# -- what happens on the way ------------------------------------------------------------------


def test_counters(seen: Seen) -> None:
    script = Script()
    seen.record(
        script.event("retry_started"),
        script.event("escalated"),
        script.event("todo", {"summary": "Call back", "data": {"action": "created"}}),
        script.event("todo", {"summary": "Call back", "data": {"action": "failed"}}),
        script.event("learning", {"data": {"trigger": "correction"}}),
        script.event("anomaly", {"data": {"detector": "cycle", "message": "again and again"}}),
    )
    assert seen.one("hiveloop.retry.count")[0] == SALES
    assert seen.value("hiveloop.escalation.count") == 1
    todos = {a["hiveloop.todo.action"]: p.value for a, p in seen.points("hiveloop.todo.count")}
    assert todos == {"created": 1, "failed": 1}
    assert seen.one("hiveloop.learning.count")[0] == SALES
    assert seen.one("hiveloop.anomaly.count")[0] == {**SALES, "hiveloop.anomaly.detector": "cycle"}


def test_approvals_and_how_long_they_took(seen: Seen) -> None:
    script = Script()
    first = script.event("approval_requested")
    second = script.event("approval_requested")._replace(time_ns=first.time_ns)
    seen.record(script.started(), first, second)
    assert seen.value("hiveloop.approval.pending") == 2
    yes = script.event("approval_received", {"summary": "Yes", "data": {"decision": "approved"}})
    no = script.event("approval_received", {"summary": "No", "data": {"decision": "denied"}})
    # The second one is answered first, by its id; the other answer goes to who is left.
    seen.record(yes._replace(parent_event_id=second.event_id, time_ns=first.time_ns + 90_000_000_000))
    seen.record(no._replace(time_ns=first.time_ns + 400_000_000_000))
    assert seen.value("hiveloop.approval.pending") == 0
    waits = {a["hiveloop.approval.decision"]: p for a, p in seen.points("hiveloop.approval.wait.duration")}
    assert {decision: point.sum for decision, point in waits.items()} == {"approved": 90, "denied": 400}
    assert buckets(waits["approved"]) == W


def test_an_answer_nobody_asked_for_changes_nothing(seen: Seen) -> None:
    mine, other = Script(), Script(task_id="lead-43")
    seen.record(other.started(), other.event("approval_requested"))
    seen.record(mine.started(), mine.event("approval_received"))
    assert seen.value("hiveloop.approval.pending") == 1
    assert seen.points("hiveloop.approval.wait.duration") == []
    assert seen.status() == "waiting_approval"


def test_an_approval_outside_any_task(seen: Seen) -> None:
    script = Script(task_id=None)
    seen.record(script.event("approval_requested"))
    assert seen.status() == "waiting_approval"
    seen.record(script.event("approval_received"))
    assert seen.status() == "idle"


def issue(script: Script, summary: str, **data: Any) -> Event:
    return script.event("issue", {"summary": summary, "data": {"action": "reported", **data}})


def test_issues_are_open_until_resolved(seen: Seen) -> None:
    script = Script(task_id=None)
    down = {"severity": "high", "category": "connectivity", "issue_id": "crm"}
    seen.record(issue(script, "CRM down", **down), issue(script, "CRM still down", **down))
    attributes, point = seen.one("hiveloop.issue.count")
    assert point.value == 2
    assert attributes == {
        **SALES,
        "hiveloop.issue.severity": "high",
        "hiveloop.issue.category": "connectivity",
    }
    assert seen.value("hiveloop.issue.open") == 1
    seen.record(issue(script, "CRM slow", **{**down, "severity": "low"}))
    found = {a["hiveloop.issue.severity"]: p.value for a, p in seen.points("hiveloop.issue.open")}
    assert found == {"high": 0, "low": 1}
    seen.record(issue(script, "Up again", action="resolved", issue_id="crm", severity="low"))
    assert {p.value for _, p in seen.points("hiveloop.issue.open")} == {0}
    seen.record(issue(script, "Up again", action="resolved", issue_id="crm"))
    assert {p.value for _, p in seen.points("hiveloop.issue.open")} == {0}


def test_issues_without_an_id_are_told_apart_by_their_summary(seen: Seen) -> None:
    script = Script(task_id=None)
    for summary in ("one", "two", "one"):
        seen.record(issue(script, summary, severity="low"))
    assert seen.value("hiveloop.issue.open") == 2
    seen.record(issue(script, "one", action="resolved"))
    assert seen.value("hiveloop.issue.open") == 1


def test_spans(seen: Seen) -> None:
    seen.meters.spans_exported(0)
    seen.meters.spans_dropped(0, "refused")
    assert [name for name in seen.all() if ".otel." in name] == []
    seen.meters.spans_exported(500)
    seen.meters.spans_exported(2)
    seen.meters.spans_dropped(3, "refused")
    assert seen.one("hiveloop.otel.spans.exported")[0] == {}
    assert seen.value("hiveloop.otel.spans.exported") == 502
    assert seen.one("hiveloop.otel.spans.dropped")[0] == {"hiveloop.drop.reason": "refused"}


# -- bounds -----------------------------------------------------------------------------------


def test_no_id_and_no_free_text_gets_into_attributes(seen: Seen, latest: Seen) -> None:
    script = Script(project="inbound")
    secret = "free text nobody should find"
    events = [
        registered(script, stuck_threshold=1),
        heartbeat(script, {"note": secret}, open_task="lead-42", open_action=secret),
        script.started(),
        script.llm_call(prompt_preview=secret, response_preview=secret, tokens_in=1, duration_ms=1, cost=1),
        script.action_completed("search", args={"q": secret}, result=secret),
        *(
            script.event(kind, {"summary": secret, "data": {"summary": secret, "message": secret}})
            for kind in ("retry_started", "escalated", "approval_requested", "approval_received", "issue")
        ),
        script.event("todo", {"summary": secret, "data": {"action": "created", "todo_id": secret}}),
        script.event("anomaly", {"summary": secret, "data": {"detector": "cycle", "message": secret}}),
        script.event("queue_snapshot", {"summary": secret, "data": {"depth": 1, "items": [secret]}}),
        script.event("whatever", {"summary": secret, "data": {"x": secret}}),
        script.failed("ValueError", secret),
    ]
    for one in (seen, latest):
        one.record(*events)
        found = [attributes for name in one.all() for attributes, _ in one.points(name)]
        assert len(found) > 15
        told = json.dumps(found)
        assert secret not in told
        for of_one in ("lead-42", "run-", *(event.event_id for event in events)):
            assert of_one not in told


def test_too_many_names_of_actions_become_one(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_metric_state, "MOST_ACTIONS", 20)
    script = Script()
    for n in range(60):
        seen.record(script.action_completed(f"fetch {n}"))
    seen.record(script.action_completed("fetch 3"), script.action_completed("y" * 300))
    counts = {a["hiveloop.action.name"]: p.count for a, p in seen.points("hiveloop.action.duration")}
    assert len(counts) == 21
    assert (counts["fetch 3"], counts["_OTHER"]) == (2, 41)


def test_too_many_agents_become_one_without_gauges(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_metrics, "MOST_AGENTS", 3)
    for n in range(8):
        script = Script(agent_id=f"agent-{n}")
        seen.record(heartbeat(script, {"a": 1}, idle_seconds=1), script.started(), script.completed())
    beats = {a["gen_ai.agent.name"]: p.value for a, p in seen.points("hiveloop.agent.heartbeat.count")}
    assert beats == {"agent-0": 1, "agent-1": 1, "agent-2": 1, "_OTHER": 5}
    for gauge in ("hiveloop.agent.idle_time", "hiveloop.agent.info", "hiveloop.agent.state.a"):
        assert {a["gen_ai.agent.name"] for a, _ in seen.points(gauge)} == {"agent-0", "agent-1", "agent-2"}
    assert {p.value for _, p in seen.points("hiveloop.task.active")} == {0}


def test_tasks_that_never_end_are_forgotten_when_there_are_too_many(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_metric_state, "MOST_OPEN", 100)
    scripts = [Script(task_id=f"lead-{n}") for n in range(250)]
    seen.record(*(script.started() for script in scripts))
    assert seen.value("hiveloop.task.active") == 100
    seen.record(*(script.completed() for script in scripts))
    assert seen.value("hiveloop.task.active") == 0
    assert seen.status() == "idle"


def test_a_task_without_events_for_a_day_is_forgotten_and_a_busy_one_is_not(seen: Seen) -> None:
    dead, alive = Script(task_id="dead"), Script(task_id="alive")
    seen.record(alive.started(), dead.started(), dead.event("approval_requested"))
    for hour in range(1, 31):
        at = alive.llm_call()._replace(time_ns=alive.started().time_ns + hour * HOUR_NS)
        seen.record(at)
    assert seen.status() == "waiting_approval"
    seen.record(heartbeat(Script(task_id=None))._replace(time_ns=alive.started().time_ns + 31 * HOUR_NS))
    assert seen.value("hiveloop.task.active") == 1
    assert seen.value("hiveloop.approval.pending") == 0
    assert seen.status() == "processing"
    seen.record(alive.completed(), dead.completed())
    assert seen.value("hiveloop.task.active") == 0
    assert seen.status() == "idle"


def test_many_series_of_one_agent_need_bounded_memory(seen: Seen) -> None:
    script = Script()
    for task_type, status in itertools.product(range(60), range(60)):
        info = TaskInfo("t", "r", None, f"type-{task_type}")
        seen.record(script.completed(f"status-{status}")._replace(task=info))
    agent = seen.meters._agents["sales"]
    assert len(agent._ours) <= 512


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        None,
        {"data": []},
        {"data": None},
        {"kind": 5},
        {"kind": "issue", "data": {"severity": {"a": 1}, "category": [1], "issue_id": {"x": []}}},
        {"kind": "todo", "data": {"action": 2**80}},
        {"kind": "anomaly", "data": {"detector": "\ud800 \x00"}},
        {
            "kind": "queue_snapshot",
            "data": {"depth": "many", "processing": "x", "oldest_age_seconds": math.inf},
        },
        {"kind": "queue_snapshot", "data": {"depth": 2**64}},
        {"kind": "scheduled", "data": {"items": 5}},
        {"kind": "llm_call", "data": {"tokens_in": -5, "tokens_out": 2**62, "cost": -1, "duration_ms": -3}},
        {"kind": "llm_call", "data": {"model": None, "tokens_in": math.nan, "cost": "free"}},
        {"hiveloop": 5, "a": {}},
        {"hiveloop": {"idle_seconds": "long", "queue_depth": None}, "\ud800": math.nan},
        {"action_name": 5, "exception_type": {}, "success": False},
    ],
    ids=repr,
)
@pytest.mark.parametrize("dialect", ["1.41.1", "latest"])
def test_bad_payloads_harm_neither_the_caller_nor_the_export(dialect: str, payload: Any) -> None:
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    seen = Seen(dialect)
    script = Script()
    text = json.dumps(payload)
    for kind in EventType:
        event = script.event(kind.value)._replace(payload_json=text, duration_ms=-1, status="")
        seen.record(event, event, event._replace(task=None))
    seen.record(script.event("custom")._replace(payload_json="no json"))
    seen.record(script.action_completed("good"))
    data = seen.reader.get_metrics_data()
    assert data is not None
    assert encode_metrics(data).SerializeToString()
    assert "hiveloop.action.duration" in seen.all()
    seen.provider.shutdown()


def test_sums_of_tokens_stay_within_64_bits(latest: Seen) -> None:
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    script = Script()
    for _ in range(20):
        latest.record(script.llm_call(tokens_in=2**62, tokens_out=2**62))
    data = latest.reader.get_metrics_data()
    assert data is not None
    assert encode_metrics(data).SerializeToString()


# -- providers --------------------------------------------------------------------------------


def test_a_later_client_on_the_same_provider_is_seen(seen: Seen) -> None:
    script = Script(task_id=None)
    seen.record(registered(script, stuck_threshold=60), heartbeat(script, {"a": 1}))
    seen.meters.close()
    seen.meters = Meters(seen.provider)
    gc.collect()
    assert seen.points("hiveloop.agent.info") == []
    seen.record(registered(script, stuck_threshold=90), heartbeat(script, {"a": 2}))
    assert seen.value("hiveloop.agent.stuck_threshold") == 90
    assert seen.value("hiveloop.agent.state.a") == 2
    assert seen.value("hiveloop.agent.heartbeat.count") == 2


def test_two_clients_on_one_provider_are_both_seen(seen: Seen) -> None:
    other = Meters(seen.provider)
    seen.record(registered(Script(task_id=None)))
    other.record(registered(Script(agent_id="support", task_id=None)))
    assert {a["gen_ai.agent.name"] for a, _ in seen.points("hiveloop.agent.info")} == {"sales", "support"}


def test_closing_leaves_nothing_open_or_alive(seen: Seen) -> None:
    script = Script()
    seen.record(registered(script, stuck_threshold=60), heartbeat(script, {"a": 1}), script.started())
    seen.record(script.event("approval_requested"), issue(script, "CRM down", severity="high"))
    seen.meters.close()
    for name in ("hiveloop.task.active", "hiveloop.approval.pending", "hiveloop.issue.open"):
        assert seen.value(name) == 0
    assert seen.points("hiveloop.agent.status") == []
    assert seen.points("hiveloop.agent.heartbeat.timestamp") == []
    assert seen.value("hiveloop.agent.info") == 1


def test_a_child_of_a_fork_forgets_the_parents_agents(seen: Seen) -> None:
    script = Script()
    seen.record(registered(script, stuck_threshold=60), script.started(), heartbeat(script, {"a": 1}))
    seen.meters.renew()
    assert {name for name, m in seen.all().items() if isinstance(m.data, Gauge)} == set()
    other = Script(agent_id="support")
    seen.record(other.started(), heartbeat(other, {"a": 2}))
    active = {a["gen_ai.agent.name"]: p.value for a, p in seen.points("hiveloop.task.active")}
    assert active == {"sales": 0, "support": 1}
    assert seen.one("hiveloop.agent.state.a")[0]["gen_ai.agent.name"] == "support"
    assert seen.status("support") == "processing"


def test_gauges_of_the_parent_are_not_those_of_a_child(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.record(registered(Script(task_id=None), stuck_threshold=60))
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert seen.points("hiveloop.agent.stuck_threshold") == []


def test_a_provider_without_an_sdk_will_do() -> None:
    for provider in (otel_metrics.NoOpMeterProvider(), otel_metrics.get_meter_provider()):
        meters = Meters(provider)
        script = Script()
        for event in (
            registered(script),
            heartbeat(script, {"a": 1}),
            script.started(),
            script.llm_call(cost=1),
        ):
            meters.record(event)
        meters.close()


def test_a_view_of_the_application_overrules_the_buckets() -> None:
    from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

    reader = InMemoryMetricReader()
    mine = View(
        instrument_name="hiveloop.task.duration", aggregation=ExplicitBucketHistogramAggregation([1, 2])
    )
    seen = Seen()
    seen.reader, seen.provider = reader, MeterProvider([reader], views=[mine])
    seen.meters = Meters(seen.provider)
    seen.record(Script().completed())
    assert buckets(seen.one("hiveloop.task.duration")[1]) == [1, 2]
    seen.provider.shutdown()
