"""Real receivers take what we send: a collector in front of a sink, and Arize Phoenix asked back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import hiveloop
from hiveloop_otel import OTelTransport
from tests.otel.phoenix import ENVIRONMENT, Phoenix
from tests.otel.rotel import Rotel
from tests.support.otlp import OtlpSink
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def rotel(sink: OtlpSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotel]:
    with Rotel(sink.url, tmp_path_factory.mktemp("rotel")) as rotel:
        yield rotel


def one_task(hb: hiveloop.HiveBoard, run: str) -> None:
    """A task as users write them: a tool, two calls of a model, an issue outside."""
    agent = hb.agent("sales", type="support", version="2", heartbeat_interval=0)
    with agent.task(run, project="crm", type="enrich", correlation_id=f"conversation-{run}") as task:
        with agent.track_context("search") as action:
            action.set_payload(hiveloop.tool_payload(args={"q": "Åse"}, result="found", success=True))
            task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=900)
        task.llm_call("answer", "claude-sonnet-4", tokens_in=500, tokens_out=100, cost=0.003)
    agent.report_issue(f"issue of {run}", severity="high", category="data")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_takes_spans_metrics_and_logs(
    rotel: Rotel, sink: OtlpSink, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", rotel.grpc if protocol == "grpc" else rotel.http)
    service = f"service-{protocol}"
    transport = OTelTransport(service_name=service, metrics=True, logs=True)
    hb = hiveloop.init(transport=transport, environment="test")
    one_task(hb, "run-1")
    assert hb.flush(10), rotel.said()
    sink.wait_for(lambda: len(_of(service, sink.spans())) == 4, 10)
    sink.wait_for(lambda: bool(_of(service, sink.metrics())), 10)
    sink.wait_for(lambda: "hiveloop.issue.reported" in _event_names(service, sink), 10)
    hiveloop.shutdown(timeout=5)
    assert not sink.violations
    _check_spans({span.name: span for span in _of(service, sink.spans())})
    _check_metrics({metric.name: metric for metric in _of(service, sink.metrics())})


def _of(service: str, items: list[Any]) -> list[Any]:
    return [item for item in items if item.resource.get("service.name") == service]


def _event_names(service: str, sink: OtlpSink) -> list[str]:
    return [record.event_name for record in _of(service, sink.logs())]


def _check_metrics(metrics: dict[str, Any]) -> None:
    usage = metrics["gen_ai.client.token.usage"]
    assert usage.unit == "{token}"
    assert sum(total for _, total in usage.values().values()) == 1200 + 350 + 500 + 100
    assert sum(metrics["hiveloop.llm.cost"].values().values()) == pytest.approx(0.011)


def _check_spans(spans: dict[str, Any]) -> None:
    task, tool = spans["invoke_agent sales"], spans["execute_tool search"]
    chat, answer = spans["chat gpt-4o"], spans["chat claude-sonnet-4"]
    assert {span.trace_id for span in spans.values()} == {task.trace_id}
    assert (task.parent_id, tool.parent_id) == ("", task.span_id)
    assert (chat.parent_id, answer.parent_id) == (tool.span_id, task.span_id)
    assert [spans[name].kind for name in spans].count("CLIENT") == 2
    assert chat.attributes["gen_ai.usage.input_tokens"] == 1200
    assert chat.attributes["hiveloop.llm.cost_usd"] == 0.008
    assert task.resource["deployment.environment.name"] == "test"
    assert task.scope == "hiveloop"


# -- Arize Phoenix ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phoenix() -> Iterator[Phoenix]:
    with Phoenix() as phoenix:
        yield phoenix


@pytest.mark.slow
@pytest.mark.environment(*ENVIRONMENT)
def test_phoenix_shows_agents_tools_models_tokens_and_sessions(phoenix: Phoenix) -> None:
    hb = hiveloop.init(transport=OTelTransport(endpoint=phoenix.url), environment="test")
    one_task(hb, "run-1")
    assert hb.flush(10), hb.stats()
    eventually(lambda: len(phoenix.spans()) >= 5, 20, 0.1, what="five spans in Phoenix")
    spans = phoenix.spans()
    kinds = {name: span["span_kind"] for name, span in spans.items()}
    assert kinds["invoke_agent sales"] == "AGENT"
    assert kinds["execute_tool search"] == "TOOL"
    assert kinds["chat gpt-4o"] == kinds["chat claude-sonnet-4"] == "LLM"
    chat = spans["chat gpt-4o"]["attributes"]
    assert (chat["llm.token_count.prompt"], chat["llm.token_count.completion"]) == (1200, 350)
    assert (chat["llm.model_name"], chat["llm.provider"]) == ("gpt-4o", "openai")
    assert spans["chat gpt-4o"]["parent_id"] == spans["execute_tool search"]["context"]["span_id"]
    assert "llm.token_count.prompt" not in spans["invoke_agent sales"]["attributes"], "counted twice"
    session = phoenix.sessions()["conversation-run-1"]
    assert (session["token_count_prompt"], session["token_count_completion"]) == (1700, 450)
