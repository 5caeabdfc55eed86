"""Spans by OTLP: from the OpenTelemetry SDK's exporter, and by hand, as agents, tasks, actions and calls."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

import hiveloop
from hiveloop.board.intake import Refused
from hiveloop.board.otlp import Export, SpanData, read_export
from hiveloop.board.traces import HOLD_SECONDS, Traces
from hiveloop_otel import OTelTransport

from .boards import Board, running_board

NOW_US = 1_790_000_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board for all tests here; each has an agent of its own."""
    with running_board(tmp_path_factory.mktemp("board")) as running:
        yield running


def exporter(board: Board, **more: Any) -> OTLPSpanExporter:
    headers = {"Authorization": f"Bearer {board.keys['live']}"}
    return OTLPSpanExporter(f"{board.endpoint}/v1/traces", headers=headers, **more)


def work(provider: TracerProvider, agent: str) -> None:
    """What an instrumented framework exports of one run."""
    tracer = provider.get_tracer("openinference.instrumentation.langchain")
    with tracer.start_as_current_span(
        f"invoke_agent {agent}",
        attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent},
    ):
        with tracer.start_as_current_span(
            "chat gpt-4o",
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 120,
                "gen_ai.usage.output_tokens": 30,
            },
        ):
            pass
        with tracer.start_as_current_span(
            "execute_tool search",
            attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
        ):
            pass


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_an_instrumented_agent_shows_up(board: Board, compression: str) -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression

    agent = f"researcher-{compression}"
    provider = TracerProvider(
        resource=Resource({"service.name": "shop", "deployment.environment": "staging"})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter(board, compression=Compression(compression))))
    work(provider, agent)
    provider.shutdown()
    (task,) = board.get("/v1/tasks", agent_id=agent)["data"]
    assert (task["derived_status"], task["environment"]) == ("completed", "staging")
    assert (task["llm_call_count"], task["total_tokens_in"], task["action_count"]) == (1, 120, 1)
    timeline = board.get(f"/v1/tasks/{task['task_id']}/timeline")
    assert [action["name"] for action in timeline["action_tree"]] == ["search"]
    shown = board.get(f"/v1/agents/{agent}")
    assert (shown["derived_status"], shown["is_stuck"], shown["framework"]) == ("idle", False, "langchain")


def test_children_that_come_before_their_agent_belong_to_it(board: Board) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter(board)))  # one request for each, children first
    work(provider, "late")
    provider.shutdown()
    (task,) = board.get("/v1/tasks", agent_id="late")["data"]
    assert (task["llm_call_count"], task["action_count"]) == (1, 1)
    assert "shop" not in {agent["agent_id"] for agent in board.get("/v1/agents")["data"]}


def test_our_own_spans_come_back_as_what_they_were(board: Board) -> None:
    transport = OTelTransport(
        endpoint=board.endpoint,
        headers={"Authorization": f"Bearer {board.keys['live']}"},
        service_name="mine",
    )
    hb = hiveloop.init(transport=transport, environment="lab", flush_interval=0.05)
    agent = hb.agent("own", type="writer")
    with agent.task("story-1", project="books", type="write") as task:
        task.plan("write it", ["think", "type"])
        with agent.track_context("think"):
            task.llm_call("draft", "gpt-4o", tokens_in=10, tokens_out=20, cost=0.5)
        task.request_approval("May I?", approver="ed")
        task.approval_received("Yes", approved_by="ed", decision="approved")
    hiveloop.shutdown(10)
    (found,) = board.get("/v1/tasks", agent_id="own")["data"]
    assert (found["task_id"], found["project_id"], found["task_type"]) == ("story-1", "books", "write")
    assert (found["derived_status"], found["total_cost"], found["llm_call_count"]) == ("completed", 0.5, 1)
    timeline = board.get("/v1/tasks/story-1/timeline")
    assert [action["name"] for action in timeline["action_tree"]] == ["think"]
    assert [step["description"] for step in timeline["plan"]["steps"]] == ["think", "type"]
    kinds = {event["event_type"] for event in timeline["events"]}
    assert {"approval_requested", "approval_received"} <= kinds


# -- by hand --------------------------------------------------------------------------------------


def span(number: int, parent: int | None = None, /, name: str = "step", **fields: Any) -> dict[str, Any]:
    attributes = [
        {"key": key, "value": {"stringValue": value}} for key, value in fields.pop("told", {}).items()
    ]
    made = {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "parentSpanId": "" if parent is None else f"{parent:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(1_789_999_000_000_000_000 + number * 1_000_000),
        "endTimeUnixNano": str(1_789_999_001_000_000_000),
        "attributes": attributes,
    }
    return {**made, **fields}


AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "ada"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


def request(*spans: Any) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}
    ).encode()


def export(*spans: Any) -> Export:
    found = read_export(request(*spans), True)
    assert isinstance(found, Export), found
    return found


def events_of(traces: Traces, *spans: Any) -> list[Any]:
    return [event for batch in traces.events_of("live", export(*spans), NOW_US).batches for event in batch]


def test_json_is_taken_too_and_sent_twice_it_is_stored_once(board: Board) -> None:
    body = gzip.compress(
        request(span(1, name="invoke_agent json", told={**AGENT, "gen_ai.agent.name": "json"}))
    )
    headers = {
        "Authorization": f"Bearer {board.keys['live']}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    for _ in range(2):
        response = httpx.post(f"{board.endpoint}/v1/traces", content=body, headers=headers)
        assert (response.status_code, response.json()) == (200, {})
    assert len(board.get("/v1/events", agent_id="json", event_type="task_started")["data"]) == 1


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"no json", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\x0a\xff\xff", "application/x-protobuf", 400),
        (b"{}", "application/json; charset=utf-8", 200),
        (b"", "application/x-protobuf", 200),
        (b"{}", "text/plain", 415),
    ],
)
def test_what_is_no_request(board: Board, body: bytes, kind: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {board.keys['live']}", "Content-Type": kind}
    assert httpx.post(f"{board.endpoint}/v1/traces", content=body, headers=headers).status_code == status


def test_spans_without_ids_or_times_are_counted_as_rejected() -> None:
    bad = [
        span(2, spanId="xx"),
        span(3, traceId="0" * 32),
        span(4, endTimeUnixNano="1"),
        span(5, endTimeUnixNano={}),
    ]
    found = export(span(1), *bad)
    assert (len(found.spans), found.rejected) == (1, 4)
    assert json.loads(found.answer()[0])["partialSuccess"]["rejectedSpans"] == "4"
    assert found._replace(is_json=False).answer()[0][2:4] == b"\x08\x04"


def test_a_call_reported_by_two_instrumentations_counts_once() -> None:
    usage = {**CHAT, "gen_ai.usage.input_tokens": "7"}
    events = events_of(
        Traces(),
        span(1, told=AGENT),
        span(2, 1, name="chat", told=CHAT),
        span(3, 2, name="chat gpt-4o", told=usage),
    )
    calls = [json.loads(event.payload)["data"] for event in events if event.kind == "llm_call"]
    assert [(call["model"], call["tokens_in"]) for call in calls] == [("gpt-4o", 7)]


def test_an_agent_inside_an_agent_has_a_task_of_its_own() -> None:
    other = {**AGENT, "gen_ai.agent.name": "bob"}
    events = events_of(
        Traces(), span(1, told=AGENT), span(2, 1, told=other), span(3, 2, told=TOOL), span(4, 1, told=TOOL)
    )
    started = {event.agent_id: event for event in events if event.event_type == "task_started"}
    tools = {event.agent_id: event for event in events if event.event_type == "action_started"}
    assert set(started) == {"ada", "bob"}
    assert started["ada"].correlation_id == started["bob"].correlation_id
    assert tools["bob"].run_id == started["bob"].run_id != tools["ada"].run_id


def test_a_failed_tool_tells_why() -> None:
    failed = span(2, 1, told=TOOL, status={"code": 2, "message": "too slow"})
    events = events_of(Traces(), span(1, told=AGENT), failed)
    (found,) = [event for event in events if event.event_type == "action_failed"]
    assert found.status == "failure"
    assert json.loads(found.payload)["exception_message"] == "too slow"


def test_spans_whose_agent_never_comes_become_work_of_the_service() -> None:
    now = [0.0]
    traces = Traces(clock=lambda: now[0])
    assert events_of(traces, span(2, 1, told=CHAT)) == []
    assert traces.expired(NOW_US) == []
    now[0] = HOLD_SECONDS
    (step,) = traces.expired(NOW_US)
    (batch,) = step.batches
    assert step.world == "live"
    assert {event.agent_id for event in batch} == {"shop"}
    assert "llm_call" in {event.kind for event in batch}


def test_a_span_whose_parent_is_elsewhere_does_not_wait() -> None:
    assert events_of(Traces(), span(2, 1, told=AGENT, flags=0x301)) != []


def test_at_the_end_nothing_waits() -> None:
    traces = Traces()
    events_of(traces, span(2, 1, told=CHAT))
    assert len(traces.expired(NOW_US, everything=True)) == 1
    assert traces.expired(NOW_US, everything=True) == []


def test_spans_that_go_round_in_circles_end() -> None:
    events_of(Traces(), span(1, 2, told=AGENT), span(2, 1, told=TOOL), span(3, 3, told=CHAT))


def test_what_waits_when_the_board_stops_is_stored(tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        headers = {"Authorization": f"Bearer {board.keys['live']}", "Content-Type": "application/json"}
        body = request(span(2, 1, told=CHAT))
        assert httpx.post(f"{board.endpoint}/v1/traces", content=body, headers=headers).status_code == 200
        assert board.get("/v1/events")["data"] == []
    with running_board(tmp_path) as board:
        assert "llm_call" in {event["payload_kind"] for event in board.get("/v1/events")["data"]}


# -- anything -------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
told = st.dictionaries(
    st.sampled_from((*AGENT, *CHAT, *TOOL, "hiveloop.task.id", "hiveloop.agent.id", "session.id")), values
)
spans = st.builds(
    lambda number, parent, attributes, scope: SpanData(
        TRACE, f"{number:016x}", "" if parent is None else f"{parent:016x}", "chat", "client",
        1_789_999_000_000_000_000, 1_789_999_001_000_000_000, attributes, (), False, None, scope, {},
    ),
    st.integers(1, 6),
    st.none() | st.integers(1, 6),
    told,
    st.sampled_from(["", "hiveloop"]),
)  # fmt: skip


@given(st.lists(spans, max_size=8))
def test_whatever_spans_tell_they_are_placed(several: list[SpanData]) -> None:
    traces = Traces()
    traces.events_of("live", Export(several, 0, False), NOW_US)
    traces.expired(NOW_US, everything=True)
    assert traces.expired(NOW_US, everything=True) == []


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_nothing_raises(body: bytes) -> None:
    for is_json in (True, False):
        found = read_export(body, is_json)
        assert isinstance(found, Export | Refused)
