"""What the spans of tasks and actions say, and whose they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop.events import ActionInfo, AgentInfo, Event, Severity
from hiveloop_otel import OTelTransport
from hiveloop_otel._content import (
    MappingOptions,
    action_content,
    data_of,
    event_identity,
    identity,
    payload_of,
    task_content,
)
from hiveloop_otel._llm import read_llm_call
from hiveloop_otel._narrative import read_narrative
from hiveloop_otel._values import CONTENT_KEYS
from tests.otel.wild import DOTTED, any_events, any_json, as_sent, known_keys, payload_event

PLAIN = MappingOptions()
CAPTURING = MappingOptions(capture_content=True)
LATEST = MappingOptions(dialect="latest")
ALL_COMPAT = MappingOptions(compat=frozenset(("mlflow", "agentops", "openinference", "logfire")))


def task(type_: str = "task_completed", **payload: Any) -> Event:
    """The end of a task."""
    return payload_event(type_, payload)


def action(type_: str = "action_completed", **payload: Any) -> Event:
    """The end of an action."""
    payload = {"action_name": "search", **payload}
    return payload_event(type_, payload, action=ActionInfo("action-1"))


# -- whose it is ------------------------------------------------------------------------------


def test_identity_of_an_event_in_a_task() -> None:
    assert identity(task(), PLAIN) == {
        "gen_ai.agent.name": "sales",
        "hiveloop.agent.id": "sales",
        "hiveloop.agent.type": "sales",
        "hiveloop.agent.framework": "crew",
        "hiveloop.project": "crm",
        "hiveloop.task.id": "lead-42",
        "hiveloop.task.run_id": "0a3e0f5c-6f0b-4c55-9d7c-0f2f7b6f6c11",
        "hiveloop.task.type": "enrich",
        "hiveloop.correlation_id": "thread-7",
        "gen_ai.conversation.id": "thread-7",
    }


def test_identity_of_an_event_outside_any_task() -> None:
    event = payload_event("heartbeat", {}, task=None, agent=AgentInfo("a", "general", None, "custom"))
    assert identity(event, PLAIN) == {
        "gen_ai.agent.name": "a",
        "hiveloop.agent.id": "a",
        "hiveloop.agent.type": "general",
        "hiveloop.agent.framework": "custom",
    }


def test_a_conversation_is_never_invented() -> None:
    assert "gen_ai.conversation.id" not in identity(task(), MappingOptions(conversation_id=False))
    silent = task()._replace(task=task().task._replace(correlation_id=None))  # type: ignore[union-attr]
    assert {"gen_ai.conversation.id", "hiveloop.correlation_id"}.isdisjoint(identity(silent, PLAIN))


def test_identity_may_be_changed_by_who_asked_for_it() -> None:
    identity(task(), PLAIN)["hiveloop.project"] = "other"
    assert identity(task(), PLAIN)["hiveloop.project"] == "crm"


def test_identity_of_an_event() -> None:
    event = payload_event("escalated", {}, severity=Severity.WARN)
    assert event_identity(event) == {"hiveloop.event.id": "event-1", "hiveloop.severity": "warn"}
    caused = event._replace(parent_event_id="event-0")
    assert event_identity(caused)["hiveloop.parent_event_id"] == "event-0"


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "null", '"x"', "[" * 100_000])
def test_a_payload_that_is_no_object_is_empty(text: str) -> None:
    event = task()._replace(payload_json=text)
    assert payload_of(event) == data_of(event) == {}


def test_data_is_the_payload_itself_when_there_is_none() -> None:
    assert data_of(task(data={"a": 1}, b=2)) == {"a": 1}
    assert data_of(task(data=[1], b=2)) == {"data": [1], "b": 2}


# -- tasks ------------------------------------------------------------------------------------


def test_a_task_that_went_well() -> None:
    told = task_content(task(summary="Task lead-42 completed", pages=3), PLAIN)
    assert told.name == "invoke_agent sales"
    assert (told.is_tool, told.error_type, told.error_message) == (False, None, None)
    assert told.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": "sales",
        "gen_ai.agent.version": "1.2.0",
        "hiveloop.task.status": "success",
        "hiveloop.task.payload.pages": 3,
    }


def test_a_task_that_failed() -> None:
    told = task_content(task("task_failed", exception_type="KeyError", exception_message="'k'"), PLAIN)
    assert (told.error_type, told.error_message) == ("KeyError", "'k'")
    assert told.attributes["error.type"] == "KeyError"
    assert told.attributes["hiveloop.task.status"] == "failure"
    assert not any(key.startswith("hiveloop.task.payload") for key in told.attributes)


def test_a_task_that_failed_without_an_exception() -> None:
    told = task_content(task("task_failed"), PLAIN)
    assert (told.error_type, told.error_message) == ("_OTHER", None)


def test_a_task_with_a_status_of_its_own() -> None:
    told = task_content(task()._replace(status="partial"), PLAIN)
    assert told.attributes["hiveloop.task.status"] == "partial"
    assert told.error_type is None


def test_a_task_that_never_ended() -> None:
    told = task_content(task("task_started", summary="Task lead-42 started"), PLAIN)
    assert told.name == "invoke_agent sales"
    assert told.attributes["hiveloop.task.status"] == "interrupted"
    assert told.error_type is None


def test_a_summary_of_the_users_own_is_kept() -> None:
    told = task_content(task(summary="three leads enriched"), PLAIN)
    assert told.attributes["hiveloop.task.payload.summary"] == "three leads enriched"


def test_no_task_counts_what_its_calls_cost() -> None:
    told = task_content(task(cost=1.0, model="m", tokens_in=5), ALL_COMPAT)
    assert not {"gen_ai.request.model", "gen_ai.usage.cost"} & set(told.attributes)
    assert not any(key.startswith("gen_ai.usage") for key in told.attributes)


def test_the_latest_conventions_know_the_agent_by_name_only() -> None:
    assert {"gen_ai.agent.id", "gen_ai.agent.version", "gen_ai.provider.name"}.isdisjoint(
        task_content(task(), LATEST).attributes
    )


# -- actions ----------------------------------------------------------------------------------


def test_a_tool() -> None:
    told = action_content(
        action(
            success=True,
            args={"q": "x"},
            result="found",
            tool_category="crm",
            http_status=200,
            result_size_bytes=512,
            tool_call_id="call_1",
        ),
        PLAIN,
    )
    assert (told.name, told.is_tool) == ("execute_tool search", True)
    assert told.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1",
        "hiveloop.tool.category": "crm",
        "http.response.status_code": 200,
        "hiveloop.tool.result.size": 512,
        "hiveloop.action.id": "action-1",
        "hiveloop.action.payload.success": True,
    }


def test_what_a_tool_was_given_and_returned() -> None:
    told = action_content(action(args={"q": "größe"}, result={"hits": [1]}), CAPTURING).attributes
    assert told["gen_ai.tool.call.arguments"] == '{"q":"größe"}'
    assert told["gen_ai.tool.call.result"] == '{"hits":[1]}'
    preview = action_content(action(result_preview="found"), CAPTURING).attributes
    assert preview["gen_ai.tool.call.result"] == "found"


@pytest.mark.parametrize("key", ["args", "result", "result_preview", "tool_category", "http_status"])
def test_the_payload_tells_a_tool(key: str) -> None:
    assert action_content(action(**{key: "x"}), PLAIN).is_tool


def test_a_tool_is_told_even_when_the_core_took_its_content_away() -> None:
    assert action_content(action(success=True), PLAIN).name == "execute_tool search"


def test_an_action_can_be_told_to_be_a_tool_or_not() -> None:
    assert action_content(action(action_kind="tool"), PLAIN).is_tool
    assert not action_content(action(action_kind="step", args={}), PLAIN).is_tool


def test_a_plain_action() -> None:
    told = action_content(action(function="app.search", rows=3), PLAIN)
    assert (told.name, told.is_tool) == ("search", False)
    assert told.attributes == {
        "hiveloop.action.id": "action-1",
        "hiveloop.action.name": "search",
        "code.function.name": "app.search",
        "hiveloop.action.payload.rows": 3,
    }


def test_a_tool_that_reports_a_failure_has_failed() -> None:
    told = action_content(action(success=False, error="no such page"), PLAIN)
    assert (told.error_type, told.error_message) == ("_OTHER", "no such page")
    assert told.attributes["error.type"] == "_OTHER"
    typed = action_content(action(success=False, error_type="NotFound"), PLAIN)
    assert (typed.error_type, typed.error_message) == ("NotFound", None)


def test_an_action_that_raised() -> None:
    told = action_content(
        action("action_failed", exception_type="ValueError", exception_message="boom"), PLAIN
    )
    assert (told.error_type, told.error_message) == ("ValueError", "boom")
    assert told.attributes["error.type"] == "ValueError"


def test_a_member_of_the_wrong_type_is_kept_under_its_own_name() -> None:
    told = action_content(action(http_status="200 OK"), PLAIN).attributes
    assert told["hiveloop.action.payload.http_status"] == "200 OK"
    assert "http.response.status_code" not in told


def test_an_action_without_a_name() -> None:
    event = payload_event("action_started", {}, action=ActionInfo("a"))
    assert action_content(event, PLAIN).name == "action"


# -- kinds for backends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "openinference", "agentops"),
    [
        (task_content(task(), ALL_COMPAT), "AGENT", "agent"),
        (action_content(action(args={}), ALL_COMPAT), "TOOL", "tool"),
        (action_content(action(), ALL_COMPAT), "CHAIN", "operation"),
    ],
    ids=["task", "tool", "action"],
)
def test_kinds_for_backends_that_want_them(content: Any, openinference: str, agentops: str) -> None:
    assert content.attributes["openinference.span.kind"] == openinference
    assert content.attributes["agentops.span.kind"] == agentops


def test_no_kinds_for_others() -> None:
    told = {**task_content(task(), PLAIN).attributes, **action_content(action(args={}), PLAIN).attributes}
    assert {"openinference.span.kind", "agentops.span.kind"}.isdisjoint(told)


# -- whatever the payload ---------------------------------------------------------------------

_options = st.builds(
    MappingOptions,
    dialect=st.sampled_from(["1.41.1", "latest"]),
    capture_content=st.booleans(),
    compat=st.frozensets(st.sampled_from(["mlflow", "agentops", "openinference", "logfire"])),
    conversation_id=st.booleans(),
)


def everything(event: Event, options: MappingOptions) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """All that an event can become: name, attributes, and other texts."""
    scopes = [read(event, options) for read in (task_content, action_content)]
    call, told = read_llm_call(event, options), read_narrative(event, options)
    return [
        *((scope.name, scope.attributes, [scope.error_type, scope.error_message]) for scope in scopes),
        (call.span_name, call.attributes, [call.model, call.provider, call.error_type, call.error_message]),
        (told.name, told.attributes, [told.body, told.severity_text]),
        ("task", told.on_task, []),
        ("identity", identity(event, options), []),
        ("event", event_identity(event), []),
    ]


@given(any_events(), _options)
def test_whatever_the_payload_all_can_be_sent_under_dotted_names(
    event: Event, options: MappingOptions
) -> None:
    for name, attributes, texts in everything(event, options):
        as_sent(attributes, name)
        for text in filter(None, texts):
            text.encode()
        assert all(map(DOTTED.fullmatch, attributes)), sorted(attributes)
        assert len(attributes) + 20 < 128, "no room for identity"


SECRET = "the-secret"


@st.composite
def _with_secrets(draw: st.DrawFn) -> Any:
    """A payload with content in some members, at any depth."""
    keys, contents = st.sampled_from(known_keys) | st.text(max_size=5), st.sampled_from(sorted(CONTENT_KEYS))
    secrets = st.sampled_from([SECRET, [SECRET], {"a": SECRET}, {"list": [{"b": SECRET}]}])
    hiding = st.dictionaries(contents, secrets, min_size=1)
    tree = st.recursive(
        hiding,
        lambda inner: (
            st.lists(inner | any_json, max_size=3)
            | st.builds(lambda a, b: {**a, **b}, st.dictionaries(keys, inner, max_size=3), hiding)
        ),
        max_leaves=6,
    )
    open_keys = keys.filter(lambda key: key not in CONTENT_KEYS)
    kinds = st.sampled_from(["llm_call", "memory_op", "error_context", "issue", "scheduled", "mine", None])
    return {**draw(st.dictionaries(open_keys, tree)), **draw(hiding), "data": draw(tree), "kind": draw(kinds)}


@given(any_events(), _with_secrets())
def test_no_content_leaves_unless_it_is_captured(event: Event, payload: Any) -> None:
    event = payload_event(event.type, payload, task=event.task, action=event.action)
    for name, attributes, texts in everything(event, ALL_COMPAT):
        assert SECRET not in repr((name, attributes, texts))


@given(st.sampled_from(sorted(CONTENT_KEYS)))
def test_content_leaves_when_it_is_captured(key: str) -> None:
    """Or else the test before this one could not fail."""
    for kind in ("llm_call", "memory_op", "mine"):
        event = payload_event("custom", {"kind": kind, "data": {"name": "n", "model": "m", key: SECRET}})
        assert SECRET in repr(read_narrative(event, CAPTURING))
        assert SECRET not in repr(read_narrative(event, PLAIN))
    assert SECRET in repr(action_content(action(**{key: SECRET}), CAPTURING))
    assert SECRET in repr(task_content(task(**{key: SECRET}), CAPTURING))


# -- all the way out --------------------------------------------------------------------------


def everything_sent(**options: Any) -> str:
    """All spans, log records and metrics of an agent that reports content wherever it can."""
    logs, metrics = InMemoryLogRecordExporter(), InMemoryMetricReader()
    spans = InMemorySpanExporter()
    transport = OTelTransport(
        span_exporter=spans,
        log_exporter=logs,
        metric_reader=metrics,
        heartbeat_logs=True,
        queue_logs=True,
        pending="log",
        plan_steps="span",
        **options,
    )
    hb = hiveloop.init(transport=transport)
    agent = hb.agent("sales", heartbeat_interval=0)
    agent.event("custom", {"kind": "memory_op", "data": {"key_or_query": SECRET}})
    with agent.task("lead-42") as task:
        task.llm_call(
            "n", "gpt-4o", prompt_preview=SECRET, response_preview=SECRET, metadata={"args": SECRET}
        )
        for kind in ("memory_op", "error_context", "mine"):
            task.event("custom", {"kind": kind, "data": dict.fromkeys(CONTENT_KEYS, SECRET)})
        with agent.track_context("search") as tool:
            tool.set_payload(hiveloop.tool_payload(args={"q": SECRET}, result=SECRET))
        task.set_payload({"result": SECRET})
    assert hb.flush(10)
    read = metrics.get_metrics_data()
    hiveloop.shutdown(5)
    sent = [span.to_json() for span in spans.get_finished_spans()]
    records = logs.get_finished_logs()
    assert len(sent) > 2
    assert len(records) > 2
    assert read is not None
    return "\n".join([*sent, *map(repr, records), *(record.to_json() for record in records), read.to_json()])


def test_content_leaves_by_no_way_out() -> None:
    assert SECRET not in everything_sent()


def test_content_leaves_by_every_way_out_when_it_is_captured() -> None:
    assert everything_sent(capture_content=True).count(SECRET) > 10
