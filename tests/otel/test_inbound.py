"""Spans of other people's instrumentation, seen on a HiveBoard: tasks, actions and model calls."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openinference.instrumentation import OITracer, TraceConfig, using_session
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

import hiveloop
import hiveloop_otel.inbound
from hiveloop._guard import failures
from hiveloop.testing import Capture, capture
from hiveloop_otel import HiveLoopSpanProcessor, OTelTransport
from tests.support.program import run_program

AGENT = {"gen_ai.operation.name": "invoke_agent"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
STEP = {"openinference.span.kind": "CHAIN"}
HTTP = {"http.request.method": "POST", "url.path": "/chat"}


class App:
    """An application with a TracerProvider of its own, to which our processor was added."""

    def __init__(self, **options: Any) -> None:
        self.provider = TracerProvider(resource=Resource({"service.name": "shop"}))
        self.provider.add_span_processor(HiveLoopSpanProcessor(**options))
        self.tracer = self.provider.get_tracer("some.framework")

    def span(self, name: str, *attributes: dict[str, Any], **more: Any) -> Any:
        merged = {key: value for part in attributes for key, value in part.items()}
        return self.tracer.start_as_current_span(name, attributes=merged, **more)

    def agent(self, name: str, **attributes: Any) -> Any:
        return self.span(f"invoke_agent {name}", AGENT, {"gen_ai.agent.name": name}, attributes)

    def call(self, name: str = "chat gpt-4o", **attributes: Any) -> None:
        """A call of a model that tells usage when it ends, as instrumentations do."""
        with self.span(name, CHAT) as span:
            span.set_attributes({**USAGE, **attributes})


@pytest.fixture
def app() -> Iterator[App]:
    app = App()
    yield app
    app.provider.shutdown()


@pytest.fixture
def seen() -> Iterator[Capture]:
    with capture() as seen:
        yield seen


@pytest.fixture(autouse=True)
def nothing_fails_inside() -> Generator[None]:
    """The processor never raises, so a fault of ours would be silent."""
    before = failures()
    yield
    assert {k: v for k, v in failures().items() if v != before.get(k) and k != "inbound spans"} == {}


def tree(seen: Capture) -> str:
    """What was reported, without the part of a task's name that is new in every run."""
    lines = []
    for line in seen.tree().splitlines():
        head, _, rest = line.partition("task ")
        name, _, status = rest.rpartition(" [")
        if rest and status:
            kept = name.rpartition("-")[0] if len(name.rpartition("-")[2]) == 12 else name
            line = f"{head}task {kept} [{status}"
        lines.append(line)
    return "\n".join(lines)


def text(block: str) -> str:
    """A tree as it is written in a test: without the first line and the indentation."""
    lines = [line for line in block.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[margin:].rstrip() for line in lines)


# -- agents -----------------------------------------------------------------------------------


def test_an_agent_with_a_tool_and_a_model_shows_as_a_task(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        app.call()
        with app.span("execute_tool search", TOOL):
            app.call("chat gpt-4o-mini", **{"gen_ai.request.model": "gpt-4o-mini"})

    assert tree(seen) == text("""
        agent sales
          task sales [success]
            llm chat -> gpt-4o 10 in / 5 out
            action search [success]
              llm chat -> gpt-4o-mini 10 in / 5 out
    """)


def test_work_is_seen_while_it_goes_on(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        with app.span("execute_tool search", TOOL):
            assert tree(seen) == text("""
                agent sales
                  task sales [open]
                    action search [open]
            """)
        assert [action.status for action in seen.actions] == ["success"]
        assert len(seen.open_tasks) == 1
    seen.assert_no_open_tasks()


def test_a_task_is_found_by_the_trace_and_named_by_the_conversation(app: App, seen: Capture) -> None:
    with app.agent("sales", **{"gen_ai.conversation.id": "conv-7"}) as span:
        trace_id = span.get_span_context().trace_id

    (task,) = seen.tasks
    assert task.task_id == "conv-7"
    assert task.run_id.replace("-", "") == f"{trace_id:032x}"
    assert task.events[0].task is not None
    assert task.events[0].task.correlation_id == "conv-7"
    assert task.type == "agent"


def test_runs_of_one_agent_in_one_trace_are_different_runs(app: App, seen: Capture) -> None:
    with app.span("POST /chat", HTTP):
        for _ in range(2):
            with app.agent("sales"):
                pass

    assert len({task.run_id for task in seen.tasks}) == 2
    assert len({task.task_id for task in seen.tasks}) == 2
    assert len({task.events[0].task.correlation_id for task in seen.tasks if task.events[0].task}) == 1


def test_an_agent_of_another_agent_has_a_task_of_its_own(app: App, seen: Capture) -> None:
    with app.agent("planner"):
        with app.agent("writer"):
            app.call()
        with app.agent("planner"):
            app.call()
        with app.span("agent run"):
            app.call()

    assert tree(seen) == text("""
        agent planner
          task planner [success]
            action planner [success]
              llm chat -> gpt-4o 10 in / 5 out
            action agent run [success]
              llm chat -> gpt-4o 10 in / 5 out
        agent writer
          task writer [success]
            llm chat -> gpt-4o 10 in / 5 out
    """)


def test_a_failure_is_told_with_type_and_message(app: App, seen: Capture) -> None:
    with pytest.raises(LookupError), app.agent("sales"), app.span("execute_tool search", TOOL):
        raise LookupError("no such lead")

    assert tree(seen) == text("""
        agent sales
          task sales [failure] LookupError: no such lead
            action search [failure] LookupError: no such lead
    """)
    assert seen.actions[0].payload["success"] is False


def test_a_status_alone_is_a_failure_too(app: App, seen: Capture) -> None:
    with app.agent("sales") as span:
        span.set_attribute("error.type", "openai.RateLimitError")
        span.set_status(Status(StatusCode.ERROR, "slow down"))

    assert seen.tasks[0].error == "RateLimitError: slow down"


def test_an_agent_that_the_application_registered_keeps_its_metadata(app: App, seen: Capture) -> None:
    client = hiveloop.get_client()
    assert client is not None
    client.agent("sales", type="sdr", version="9", framework="mine")
    with app.agent("sales", **{"gen_ai.agent.version": "1"}):
        pass

    assert seen.tasks[0].events[0].agent[1:4] == ("sdr", "9", "mine")


def test_a_new_agent_is_registered_with_version_and_framework(seen: Capture) -> None:
    app = App()
    tracer = app.provider.get_tracer("openinference.instrumentation.crewai")
    with tracer.start_as_current_span(
        "Writer.kickoff", attributes={"openinference.span.kind": "AGENT", "gen_ai.agent.version": "3"}
    ):
        pass

    agent = seen.tasks[0].events[0].agent
    assert (agent.agent_id, agent.version, agent.framework) == ("Writer", "3", "crewai")


def test_names_beyond_the_limit_are_work_of_the_service(
    app: App, seen: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiveloop_otel.inbound, "MOST_AGENTS", 2)
    for name in ("a", "b", "c", "d", "a"):
        with app.agent(name):
            pass

    assert [task.agent_id for task in seen.tasks] == ["a", "b", "shop", "shop", "a"]


# -- work without an agent --------------------------------------------------------------------


def test_calls_under_a_span_of_anything_are_one_task_of_the_service(app: App, seen: Capture) -> None:
    with app.span("POST /chat", HTTP):
        app.call()
        with app.span("SELECT", {"db.system": "postgresql"}):
            pass
        with app.span("retrieve", STEP), app.span("find", {"openinference.span.kind": "RETRIEVER"}) as span:
            span.set_attributes({"input.value": "bees", "output.value": "3 hits"})

    assert tree(seen) == text("""
        agent shop
          task POST-chat [success]
            llm chat -> gpt-4o 10 in / 5 out
            action retrieve [success]
              action find [success]
    """)
    assert seen.actions[1].payload["args"] == {"input": "bees"}
    assert seen.actions[1].payload["result"] == "3 hits"
    assert seen.actions[1].payload["tool_category"] == "retrieval"
    assert seen.tasks[0].type == "POST /chat"


def test_spans_of_anything_else_are_nothing(app: App, seen: Capture) -> None:
    with app.span("POST /orders", HTTP), app.span("SELECT", {"db.system": "postgresql"}):
        pass
    assert seen.events == []


def test_a_lone_tool_is_an_action_of_a_task(app: App, seen: Capture) -> None:
    with app.span("execute_tool search", TOOL):
        pass
    assert tree(seen) == text("""
        agent shop
          task execute_tool-search [success]
            action search [success]
    """)


def test_a_workflow_is_a_task_of_the_service_and_its_agents_have_theirs(app: App, seen: Capture) -> None:
    workflow = {"traceloop.span.kind": "workflow", "traceloop.entity.name": "newsletter"}
    with app.span("newsletter.workflow", workflow):
        app.call()
        with app.agent("writer"):
            app.call()

    assert tree(seen) == text("""
        agent shop
          task newsletter [success]
            llm chat -> gpt-4o 10 in / 5 out
        agent writer
          task writer [success]
            llm chat -> gpt-4o 10 in / 5 out
    """)
    assert [task.type for task in seen.tasks] == ["workflow", "agent"]


def test_the_service_may_be_given_a_name_and_a_project(seen: Capture) -> None:
    app = App(agent="backend", project="crm")
    app.call()
    assert (seen.tasks[0].agent_id, seen.tasks[0].project) == ("backend", "crm")


def test_the_current_agent_does_the_work_of_no_particular_agent(app: App, seen: Capture) -> None:
    client = hiveloop.get_client()
    assert client is not None
    hiveloop.set_current_agent(client.agent("mine"))
    app.call()
    assert seen.tasks[0].agent_id == "mine"


# -- inside tasks of the application ----------------------------------------------------------


def test_inside_a_task_everything_becomes_part_of_it(app: App, seen: Capture) -> None:
    client = hiveloop.get_client()
    assert client is not None
    with client.agent("mine").task("job-1"), app.span("POST /chat", HTTP), app.agent("sales"):
        app.call()
        with app.agent("writer"), app.span("execute_tool search", TOOL):
            pass

    assert tree(seen) == text("""
        agent mine
          task job-1 [success]
            action sales [success]
              llm chat -> gpt-4o 10 in / 5 out
              action writer [success]
                action search [success]
    """)


def test_inside_an_action_it_is_below_the_action(app: App, seen: Capture) -> None:
    client = hiveloop.get_client()
    assert client is not None
    agent = client.agent("mine")
    with agent.task("job-1"), agent.track_context("think"):
        app.call()
        with app.span("execute_tool search", TOOL):
            pass

    assert tree(seen) == text("""
        agent mine
          task job-1 [success]
            action think [success]
              llm chat -> gpt-4o 10 in / 5 out
              action search [success]
    """)


def test_a_task_entered_inside_a_span_is_nearer_than_the_span(app: App, seen: Capture) -> None:
    client = hiveloop.get_client()
    assert client is not None
    with app.agent("sales"), client.agent("mine").task("job-1"):
        app.call()

    assert tree(seen) == text("""
        agent sales
          task sales [success]
        agent mine
          task job-1 [success]
            llm chat -> gpt-4o 10 in / 5 out
    """)


def test_nothing_becomes_current_in_the_application(app: App, seen: Capture) -> None:
    with app.agent("sales"), app.span("execute_tool search", TOOL):
        assert hiveloop.get_current_task() is None
        assert hiveloop.get_current_agent() is None
    assert hiveloop.get_current_task() is None


def test_calls_the_application_reports_itself_do_not_land_in_tasks_of_spans(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        hiveloop.llm_call("mine", "gpt-4o")
    assert seen.llm_calls == []


# -- model calls ------------------------------------------------------------------------------


def test_a_call_tells_everything_the_span_told(app: App, seen: Capture) -> None:
    start = 1_700_000_000_000_000_000
    attributes = {
        **CHAT,
        **USAGE,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.cost": 0.25,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"content": "Ho"}]}]),
    }
    span = app.tracer.start_span("chat gpt-4o", attributes=attributes, start_time=start)
    span.end(start + 1_234_000_000)

    (call,) = seen.llm_calls
    assert (call.name, call.model, call.tokens_in, call.tokens_out) == ("chat", "gpt-4o", 10, 5)
    assert (call.cost, call.duration_ms) == (0.25, 1_234)
    assert (call.prompt_preview, call.response_preview) == ("Hi", "Ho")
    identity = span.get_span_context()
    assert call.metadata == {
        "operation": "chat",
        "provider": "openai",
        "response_model": "gpt-4o-2024-08-06",
        "stop_reason": "stop",
        "cache_read_input_tokens": 4,
        "tokens_in_includes_cache": True,
        "trace_id": f"{identity.trace_id:032x}",
        "span_id": f"{identity.span_id:016x}",
    }


def test_a_call_that_failed_says_why(app: App, seen: Capture) -> None:
    with pytest.raises(TimeoutError), app.agent("sales"), app.span("chat gpt-4o", CHAT):
        raise TimeoutError("no answer")

    (call,) = seen.llm_calls
    assert (call.metadata["error_type"], call.metadata["error"]) == ("TimeoutError", "no answer")


def test_a_model_that_is_still_answering_when_its_agent_has_ended_belongs_to_it(
    app: App, seen: Capture
) -> None:
    with app.agent("sales"):
        stream = app.tracer.start_span("chat gpt-4o", attributes=CHAT)
    stream.set_attributes(USAGE)
    stream.end()

    assert [len(task.llm_calls) for task in seen.tasks] == [1]


FRAMEWORK = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
FRAMEWORK_USAGE = {"llm.token_count.prompt": 12, "llm.token_count.completion": 6}


@pytest.mark.parametrize(
    ("outer", "inner", "tokens"),
    [
        (FRAMEWORK_USAGE, [USAGE], [10]),  # both tell: the provider's
        ({}, [USAGE], [10]),
        (FRAMEWORK_USAGE, [{}], [12]),  # only the framework tells, as of streams
        ({}, [{}], [None]),  # nobody tells: still one call
        (FRAMEWORK_USAGE, [{}, USAGE], [None, 10]),  # a retry: each attempt is a call
        (FRAMEWORK_USAGE, [{}, {}], [12]),
        (FRAMEWORK_USAGE, [], [12]),
        ({}, [], [None]),
    ],
)
def test_a_call_that_two_instrumentations_report_counts_once(
    app: App, seen: Capture, outer: dict[str, int], inner: list[dict[str, int]], tokens: list[int | None]
) -> None:
    with app.agent("sales"), app.span("ChatOpenAI", FRAMEWORK) as span:
        for usage in inner:
            with app.span("POST", HTTP), app.span("chat gpt-4o", CHAT) as call:
                call.set_attributes(usage)
        span.set_attributes(outer)

    assert [call.tokens_in for call in seen.llm_calls] == tokens


def test_three_instrumentations_around_one_call_count_once(app: App, seen: Capture) -> None:
    wrapper = (FRAMEWORK, FRAMEWORK_USAGE)
    with app.agent("sales"), app.span("LLM", *wrapper), app.span("x", STEP), app.span("Chat", *wrapper):
        app.call()

    assert [call.tokens_in for call in seen.llm_calls] == [10]


def test_what_was_said_is_taken_from_the_span_that_knows(app: App, seen: Capture) -> None:
    said = {"input.value": "Hi", "output.value": "Ho", "llm.cost.total": 0.5}
    with app.agent("sales"), app.span("ChatOpenAI", FRAMEWORK, FRAMEWORK_USAGE, said):
        app.call()

    (call,) = seen.llm_calls
    assert (call.tokens_in, call.prompt_preview, call.response_preview, call.cost) == (10, "Hi", "Ho", 0.5)


def test_a_stream_that_goes_on_after_the_framework_s_span_counts_once(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        with app.span("ChatOpenAI", FRAMEWORK):
            stream = app.tracer.start_span("chat gpt-4o", attributes=CHAT)
        assert seen.llm_calls == []
        stream.set_attributes(USAGE)
        stream.end()

    assert [call.tokens_in for call in seen.llm_calls] == [10]


def test_a_stream_whose_framework_told_its_usage_first_counts_once(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        with app.span("ChatOpenAI", FRAMEWORK, FRAMEWORK_USAGE):
            stream = app.tracer.start_span("chat gpt-4o", attributes=CHAT)
        stream.set_attributes(USAGE)
        stream.end()

    assert [call.tokens_in for call in seen.llm_calls] == [12]


def test_a_wrapper_that_said_late_that_it_is_one_is_not_counted(app: App, seen: Capture) -> None:
    with app.agent("sales"), app.span("wrapper") as span:
        app.call()
        span.set_attributes({**FRAMEWORK, **FRAMEWORK_USAGE})

    assert [call.tokens_in for call in seen.llm_calls] == [10]


def test_a_model_called_by_a_tool_is_another_call(app: App, seen: Capture) -> None:
    wrapper = (FRAMEWORK, FRAMEWORK_USAGE)
    with app.agent("sales"), app.span("ask", *wrapper), app.span("execute_tool search", TOOL):
        app.call()

    assert sorted(call.tokens_in or 0 for call in seen.llm_calls) == [10, 12]


def test_an_embedding_inside_a_model_s_span_is_another_call(app: App, seen: Capture) -> None:
    embed = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "ada",
        "gen_ai.usage.input_tokens": 3,
    }
    with app.agent("sales"), app.span("ask", FRAMEWORK, FRAMEWORK_USAGE), app.span("embeddings ada", embed):
        pass

    assert sorted((call.model, call.tokens_in) for call in seen.llm_calls) == [("ada", 3), ("gpt-4o", 12)]


def test_an_embedding_that_outlasts_the_model_s_span_is_another_call(app: App, seen: Capture) -> None:
    embed = {
        "openinference.span.kind": "EMBEDDING",
        "embedding.model_name": "ada",
        "llm.token_count.prompt": 3,
    }
    with app.agent("sales"):
        with app.span("ask", FRAMEWORK, FRAMEWORK_USAGE):
            late = app.tracer.start_span("embed", attributes=embed)
        late.end()

    assert [(call.model, call.tokens_in) for call in seen.llm_calls] == [("gpt-4o", 12), ("ada", 3)]


# -- frameworks whose spans are not current ---------------------------------------------------


class Callbacks:
    """A framework that makes its spans in callbacks: none is current, and none says early what it is."""

    def __init__(self, app: App) -> None:
        self.tracer = app.provider.get_tracer("openinference.instrumentation.langchain")

    def start(self, name: str, inside: Span | None = None) -> Span:
        context = otel_context.Context() if inside is None else trace.set_span_in_context(inside)
        return self.tracer.start_span(name, context=context)

    def end(self, span: Span, **attributes: Any) -> None:
        span.set_attributes({key.replace("__", "."): value for key, value in attributes.items()})
        span.end()

    def end_model(self, span: Span, tokens: int = 10) -> None:
        self.end(
            span,
            openinference__span__kind="LLM",
            llm__model_name="gpt-4o",
            llm__token_count__prompt=tokens,
            llm__token_count__completion=5,
            input__value="Hi",
        )


def test_a_framework_that_works_in_callbacks_is_seen_while_it_works(app: App, seen: Capture) -> None:
    framework = Callbacks(app)
    graph = framework.start("graph")
    node = framework.start("node", graph)
    model = framework.start("ChatOpenAI", node)
    assert tree(seen) == text("""
        agent shop
          task graph [open]
            action node [open]
    """)
    framework.end_model(model)
    tool = framework.start("search", node)
    framework.end(tool, openinference__span__kind="TOOL", input__value="bees")
    framework.end(node, openinference__span__kind="CHAIN")
    framework.end(graph, openinference__span__kind="CHAIN")

    assert tree(seen) == text("""
        agent shop
          task graph [success]
            action node [success]
              llm ChatOpenAI -> gpt-4o 10 in / 5 out
              action search [success]
    """)


def test_the_client_beneath_such_a_framework_is_inside_it_and_counts_once(app: App, seen: Capture) -> None:
    framework = Callbacks(app)
    graph = framework.start("graph")
    model = framework.start("ChatOpenAI", framework.start("node", graph))
    app.call()  # a trace of its own, as far as OpenTelemetry knows
    framework.end_model(model, tokens=12)
    framework.end(graph, openinference__span__kind="CHAIN")

    (call,) = seen.llm_calls
    assert (call.tokens_in, call.prompt_preview, call.metadata["provider"]) == (10, "Hi", "openai")
    assert [task.task_id.rpartition("-")[0] for task in seen.tasks] == ["graph"]


def test_the_client_beside_a_framework_s_span_is_inside_it_as_well(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        model = app.provider.get_tracer("other.framework").start_span("ChatOpenAI")
        model.set_attributes(FRAMEWORK)  # not current: the next one has the same parent
        app.call()
        model.set_attributes(FRAMEWORK_USAGE)
        model.end()

    assert [call.tokens_in for call in seen.llm_calls] == [10]


def test_a_call_with_a_parent_elsewhere_stays_there(app: App, seen: Capture) -> None:
    writer = app.tracer.start_span("invoke_agent writer", attributes=AGENT, context=otel_context.Context())
    with app.agent("sales"):
        framework = Callbacks(app)
        started = framework.start("ChatOpenAI")
        inside = trace.set_span_in_context(writer)
        app.tracer.start_span("chat", context=inside, attributes={**CHAT, **USAGE}).end()
        framework.end(started, openinference__span__kind="CHAIN")
    writer.end()

    assert {task.agent_id: len(task.llm_calls) for task in seen.tasks} == {"writer": 1, "sales": 0, "shop": 0}


def test_a_call_told_by_callbacks_in_another_thread_counts_once(app: App, seen: Capture) -> None:
    framework, started = Callbacks(app), list[Span]()
    run_in_thread(lambda: started.append(framework.start("ChatOpenAI")))
    app.call()
    run_in_thread(lambda: framework.end_model(started[0]))

    assert [call.tokens_in for call in seen.llm_calls] == [10]


def test_equal_calls_at_different_times_are_different_calls(app: App, seen: Capture) -> None:
    framework = Callbacks(app)
    app.call()
    framework.end_model(framework.start("ChatOpenAI"))

    assert [call.tokens_in for call in seen.llm_calls] == [10, 10]


def test_equal_calls_of_one_instrumentation_at_the_same_time_are_different_calls(
    app: App, seen: Capture
) -> None:
    models = [app.tracer.start_span("chat gpt-4o", attributes=CHAT) for _ in range(3)]
    for model in models:
        model.set_attributes(USAGE)
        model.end()

    assert [call.tokens_in for call in seen.llm_calls] == [10, 10, 10]


def test_of_equal_calls_at_the_same_time_each_is_told_by_one_other(app: App, seen: Capture) -> None:
    framework, started = Callbacks(app), list[Span]()
    run_in_thread(lambda: started.extend(framework.start("ChatOpenAI") for _ in range(3)))
    models = [app.tracer.start_span("chat gpt-4o", attributes=CHAT) for _ in range(2)]
    for model in models:
        model.set_attributes(USAGE)
        model.end()
    for span in started:
        run_in_thread(lambda span=span: framework.end_model(span))

    assert [call.tokens_in for call in seen.llm_calls] == [10, 10, 10]


def test_another_model_at_the_same_time_is_another_call(app: App, seen: Capture) -> None:
    framework, started = Callbacks(app), list[Span]()
    run_in_thread(lambda: started.append(framework.start("ChatOpenAI")))
    app.call(**{"gen_ai.request.model": "gpt-5"})
    run_in_thread(lambda: framework.end_model(started[0]))

    assert [call.model for call in seen.llm_calls] == ["gpt-5", "gpt-4o"]


def test_making_an_agent_is_no_work(app: App, seen: Capture) -> None:
    with app.span("create_agent sales", {"gen_ai.operation.name": "create_agent"}):
        pass
    assert seen.events == []


# -- spans that say late what they are about --------------------------------------------------


def test_an_agent_that_says_so_after_its_start_is_seen_with_the_first_thing_it_does(
    app: App, seen: Capture
) -> None:
    with app.span("invocation"), app.span("run") as span:
        span.set_attributes({**AGENT, "gen_ai.agent.name": "sales"})
        app.call()
        assert [task.agent_id for task in seen.open_tasks] == ["sales"]

    assert tree(seen) == text("""
        agent sales
          task sales [success]
            llm chat -> gpt-4o 10 in / 5 out
    """)


def test_a_tool_that_says_so_at_its_end_is_reported_with_its_duration(app: App, seen: Capture) -> None:
    start = 1_700_000_000_000_000_000
    with app.agent("sales"):
        span = app.tracer.start_span("work", start_time=start)
        span.set_attributes({**TOOL, "gen_ai.tool.call.arguments": '{"q": 1}'})
        span.end(start + 2_000_000_000)

    (action,) = seen.actions
    assert (action.name, action.status) == ("search", "success")
    assert (action.payload["duration_ms"], action.payload["args"]) == (2_000, {"q": 1})


def test_a_tool_and_its_agent_that_both_say_so_late_are_one_in_the_other(app: App, seen: Capture) -> None:
    with app.span("run") as agent, app.span("work") as tool:
        agent.set_attributes({**AGENT, "gen_ai.agent.name": "sales"})
        tool.set_attributes(TOOL)

    assert tree(seen) == text("""
        agent sales
          task sales [success]
            action search [success]
    """)


def test_an_agent_and_a_model_that_say_so_at_their_end_are_reported(app: App, seen: Capture) -> None:
    with app.span("run") as span:
        span.set_attributes({**AGENT, "gen_ai.agent.name": "sales"})
    with app.span("ask") as span:
        span.set_attributes({**CHAT, **USAGE})

    assert tree(seen) == text("""
        agent sales
          task sales [success]
        agent shop
          task ask [success]
            llm ask -> gpt-4o 10 in / 5 out
    """)


# -- threads, tasks and processes -------------------------------------------------------------


def test_scopes_are_closed_from_other_threads_than_they_were_opened_on(app: App, seen: Capture) -> None:
    agent = app.tracer.start_span("invoke_agent sales", attributes=AGENT)
    inside = trace.set_span_in_context(agent)
    tool = app.tracer.start_span("execute_tool search", context=inside, attributes=TOOL)

    def elsewhere() -> None:
        call = app.tracer.start_span(
            "chat", context=trace.set_span_in_context(tool), attributes={**CHAT, **USAGE}
        )
        call.end()
        tool.end()
        agent.end()

    run_in_thread(elsewhere)
    assert tree(seen) == text("""
        agent sales
          task sales [success]
            action search [success]
              llm chat -> gpt-4o 10 in / 5 out
    """)
    assert hiveloop.get_current_task() is None


def run_in_thread(*work: Any) -> None:
    threads = [threading.Thread(target=function) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def test_agents_at_the_same_time_do_not_mix(app: App, seen: Capture) -> None:
    def work(name: str) -> None:
        for _ in range(20):
            with app.agent(name), app.span("execute_tool search", TOOL):
                app.call(**{"gen_ai.request.model": name})

    run_in_thread(*(lambda name=f"agent-{n}": work(name) for n in range(8)))

    assert len(seen.tasks) == 160
    assert all([call.model for call in task.llm_calls] == [task.agent_id] for task in seen.tasks)
    assert all([action.name for action in task.actions] == ["search"] for task in seen.tasks)
    seen.assert_no_open_tasks()


def test_calls_of_one_agent_may_end_at_the_same_time(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        context = otel_context.get_current()

        def work() -> None:
            token = otel_context.attach(context)
            for _ in range(100):
                app.call()
            otel_context.detach(token)

        run_in_thread(*[work] * 8)

    assert [len(task.llm_calls) for task in seen.tasks] == [800]


def test_what_starts_after_its_agent_has_ended_is_work_of_its_own(app: App, seen: Capture) -> None:
    agent = app.tracer.start_span("invoke_agent sales", attributes=AGENT)
    with app.span("background", context=trace.set_span_in_context(agent)):
        agent.end()
        with app.span("execute_tool search", TOOL):
            pass

    assert tree(seen) == text("""
        agent sales
          task sales [success]
        agent shop
          task background [success]
            action search [success]
    """)
    assert len({task.run_id for task in seen.tasks}) == 2


def test_asyncio_tasks_do_not_mix(app: App, seen: Capture) -> None:
    async def call() -> None:
        await asyncio.sleep(0)
        app.call()

    async def work(name: str) -> None:
        with app.agent(name):
            await asyncio.gather(call(), call())

    async def main() -> None:
        await asyncio.gather(*(work(f"agent-{n}") for n in range(10)))

    asyncio.run(main())
    assert [len(task.llm_calls) for task in seen.tasks] == [2] * 10


def test_a_remote_caller_s_trace_gives_each_service_a_task_of_its_own(app: App, seen: Capture) -> None:
    remote = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    around = trace.set_span_in_context(NonRecordingSpan(remote))
    with app.span("invoke_agent sales", AGENT, context=around):
        app.call()

    (task,) = seen.tasks
    assert len(task.llm_calls) == 1
    assert task.run_id.replace("-", "") != f"{0xABC:032x}"


FORKING = """
import os
import hiveloop
from hiveloop_otel import HiveLoopSpanProcessor
from opentelemetry.sdk.trace import TracerProvider

memory = hiveloop.MemoryTransport()
hiveloop.init(transport=memory)
provider = TracerProvider()
provider.add_span_processor(HiveLoopSpanProcessor(agent="service"))
tracer = provider.get_tracer("x")
span = tracer.start_span("invoke_agent parent")
child = os.fork()
if child == 0:
    with provider.get_tracer("y").start_as_current_span("execute_tool search"):
        pass
    with tracer.start_as_current_span("invoke_agent child"):
        pass
    hiveloop.flush()
    span.end()
    hiveloop.flush()
    print("child", sorted({e.agent.agent_id for e in memory.events if e.task}), flush=True)
    os._exit(0)
os.waitpid(child, 0)
span.end()
hiveloop.flush()
print("parent", sorted({e.agent.agent_id for e in memory.events if e.task}), flush=True)
"""


def test_the_child_of_a_fork_reports_its_own_spans_only(tmp_path: Path) -> None:
    program = tmp_path / "forking.py"
    program.write_text(FORKING, encoding="utf-8")
    done = run_program(program)
    assert (done.code, done.err) == (0, "")
    assert done.out == [
        "child ['child', 'service']",
        "parent ['parent']",
    ]


# -- the client -------------------------------------------------------------------------------


def test_without_a_client_nothing_happens(app: App) -> None:
    with app.agent("sales"):
        app.call()
    assert hiveloop.get_client() is None


def test_a_client_that_comes_later_gets_what_starts_then(app: App) -> None:
    memory = hiveloop.MemoryTransport()
    with app.span("POST /chat", HTTP), app.agent("too early"):
        hiveloop.init(transport=memory)
        with app.agent("sales"):
            app.call()
        hiveloop.flush()
    hiveloop.shutdown()

    assert {e.agent.agent_id for e in memory.events} == {"sales"}


def test_a_client_that_is_gone_is_no_trouble(app: App) -> None:
    hiveloop.init(transport=hiveloop.MemoryTransport())
    with app.agent("sales"):
        hiveloop.reset()
        app.call()


def test_content_is_left_out_where_none_is_captured(app: App) -> None:
    said = {
        "input.value": "my secret question",
        "output.value": "my secret answer",
        "gen_ai.tool.call.arguments": '{"q": "my secret argument"}',
        "gen_ai.tool.call.result": "my secret result",
    }
    with capture(capture_content=False) as seen:
        with app.agent("sales", **said), app.span("execute_tool search", TOOL, said):
            app.call(**said)
        told = "".join(event.payload_json for event in seen.events)
    assert "secret" not in told
    assert '"tool_category":"function"' in told


def test_secrets_are_redacted(app: App, seen: Capture) -> None:
    with app.agent("sales", **{"output.value": "the key is sk-abcdefghijklmnopqrstuvwxyz"}):
        pass
    assert seen.tasks[0].payload["output_preview"] == "the key is [redacted]"


# -- limits and ends --------------------------------------------------------------------------


def test_of_too_many_open_spans_the_oldest_are_taken_for_abandoned(
    app: App, seen: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiveloop_otel.inbound, "MOST_OPEN", 3)
    spans = [app.tracer.start_span(f"invoke_agent a{n}", attributes=AGENT) for n in range(5)]
    assert [task.status for task in seen.tasks] == ["interrupted", "interrupted", "open", "open", "open"]
    for span in spans:
        span.end()
    assert [task.status for task in seen.tasks] == ["interrupted"] * 2 + ["success"] * 3


def test_thousands_of_calls_in_one_agent_leave_nothing_behind() -> None:
    memory = hiveloop.MemoryTransport()
    hiveloop.init(transport=memory, max_queue_size=20_000)
    processor = HiveLoopSpanProcessor()
    app = App()
    app.provider.add_span_processor(processor)
    with app.agent("sales"):
        for _ in range(2_000):
            with app.span("execute_tool search", TOOL):
                app.call()
    assert repr(processor) == "<hiveloop_otel.HiveLoopSpanProcessor, 0 open spans>"


def test_shutdown_of_the_provider_ends_what_is_open(app: App, seen: Capture) -> None:
    agent = app.tracer.start_span("invoke_agent sales", attributes=AGENT)
    inside = trace.set_span_in_context(agent)
    app.tracer.start_span("execute_tool search", context=inside, attributes=TOOL)
    app.provider.shutdown()
    agent.end()

    assert [task.status for task in seen.tasks] == ["interrupted"]
    assert seen.actions[0].payload == {"status": "interrupted"}
    with app.agent("late"):
        pass
    assert len(seen.tasks) == 1


def test_a_call_that_waits_for_a_span_around_it_is_not_lost_with_it(app: App, seen: Capture) -> None:
    with app.agent("sales"):
        wrapper = app.tracer.start_span("ChatOpenAI", attributes=FRAMEWORK)
        with trace.use_span(wrapper, end_on_exit=False):
            app.call()
        assert seen.llm_calls == []
        app.provider.shutdown()

    assert [call.tokens_in for call in seen.llm_calls] == [10]


def test_force_flush_delivers(app: App) -> None:
    memory = hiveloop.MemoryTransport()
    hiveloop.init(transport=memory, flush_interval=60)
    with app.agent("sales"):
        pass
    assert app.provider.force_flush(10_000)
    assert [e.type.value for e in memory.events if e.task] == ["task_started", "task_completed"]


@pytest.mark.parametrize("options", [{"agent": ""}, {"agent": 5}, {"project": ["x"]}])
def test_wrong_arguments_are_refused_with_the_fix(options: dict[str, Any]) -> None:
    with pytest.raises(hiveloop.HiveLoopConfigError, match=r"is not valid: give a text"):
        HiveLoopSpanProcessor(**options)


def test_strange_spans_do_no_harm(app: App, seen: Capture) -> None:
    strange: dict[str, Any] = {
        **AGENT,
        "gen_ai.agent.name": "\ud800",
        "gen_ai.conversation.id": "x" * 100_000,
        "input.value": "[" * 100_000,
        "gen_ai.usage.input_tokens": 2**80,
    }
    with app.span("\ud800", strange):
        app.call(**{"gen_ai.request.model": "", "gen_ai.usage.input_tokens": -5})
        with app.span("x" * 10_000, TOOL, {"gen_ai.tool.name": "y" * 10_000}):
            pass

    assert len(seen.tasks) == len(seen.llm_calls) == len(seen.actions) == 1


# -- beside our own spans ---------------------------------------------------------------------


def test_our_own_spans_are_skipped(app: App, seen: Capture) -> None:
    with app.provider.get_tracer("hiveloop").start_as_current_span("invoke_agent sales", attributes=AGENT):
        pass
    assert seen.events == []


def test_both_directions_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Spans come in, and what is made of them goes out again as spans: nothing loops, no context is lost."""
    exporter, app, memory = InMemorySpanExporter(), App(), hiveloop.MemoryTransport()
    with caplog.at_level(logging.WARNING):
        hiveloop.init(transport=[OTelTransport(span_exporter=exporter), memory])
        with app.agent("sales"), app.span("execute_tool search", TOOL), app.agent("writer"):
            app.call()
        before = otel_context.get_current()
        hiveloop.flush()
        hiveloop.shutdown()
    spans = [span for span in exporter.get_finished_spans() if span.name != "hiveloop.runtime"]
    assert sorted(span.name for span in spans) == [
        "chat gpt-4o",
        "execute_tool search",
        "invoke_agent sales",
        "invoke_agent writer",
    ]
    call, writer, tool, sales = spans
    for inner, outer in ((call, writer), (writer, tool), (tool, sales)):
        assert inner.parent is not None
        assert inner.parent.span_id == outer.get_span_context().span_id
    assert len([e for e in memory.events if e.type == "task_started"]) == 2
    assert otel_context.get_current() == before
    assert caplog.records == []


# -- real instrumentations --------------------------------------------------------------------


def test_openinference_s_own_api(app: App, seen: Capture) -> None:
    tracer = OITracer(app.provider.get_tracer("openinference.instrumentation"), config=TraceConfig())

    @tracer.tool(name="search")
    def search(query: str) -> str:
        """Search."""
        return f"about {query}"

    @tracer.agent(name="researcher")
    def research(topic: str) -> str:
        with tracer.start_as_current_span("ask", openinference_span_kind="llm") as span:
            span.set_attributes({"llm.model_name": "gpt-4o", **FRAMEWORK_USAGE})
        return search(topic)

    with using_session("s-1"):
        research("bees")

    assert tree(seen) == text("""
        agent researcher
          task s-1 [success]
            llm ask -> gpt-4o 12 in / 6 out
            action search [success]
    """)
    assert seen.actions[0].payload["args"] == {"query": "bees"}
    assert seen.actions[0].payload["result"] == "about bees"
    assert "bees" in seen.tasks[0].payload["input_preview"]
    assert seen.tasks[0].payload["output_preview"] == "about bees"
