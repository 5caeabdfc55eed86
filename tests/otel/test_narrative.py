"""What agents tell beside their spans: one event name and set of attributes per kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hiveloop.events import Event, EventType, Severity
from hiveloop.testing import capture
from hiveloop_otel import semconv
from hiveloop_otel._content import MappingOptions
from hiveloop_otel._llm import read_llm_call
from hiveloop_otel._narrative import Narrative, read_narrative
from tests.otel.wild import as_sent, payload_event

PLAIN = MappingOptions()
CAPTURING = MappingOptions(capture_content=True)
DEBUG, INFO, WARN, ERROR, FATAL = 5, 9, 13, 17, 21


def custom(
    kind: str | None, data: Any = None, /, severity: Severity = Severity.INFO, **payload: Any
) -> Event:
    """A custom event of a kind."""
    frame = {"kind": kind} if kind else {}
    content = {**frame, **payload} if data is None else {**frame, "data": data, **payload}
    return payload_event("custom", content, severity=severity)


def read(event: Event, options: MappingOptions = PLAIN) -> Narrative:
    """What an event tells, sure that it can be sent."""
    told = read_narrative(event, options)
    as_sent(told.attributes, told.name)
    as_sent(told.on_task)
    assert told.severity_text == semconv.SEVERITY_TEXTS[told.severity_number]
    assert told.body
    return told


def of_kind(kind: str, data: dict[str, Any], options: MappingOptions = PLAIN) -> dict[str, Any]:
    """The attributes of a custom event, as a receiver gets them."""
    return as_sent(read(custom(kind, data), options).attributes)


def reported(*names: str) -> list[Narrative]:
    """What every sensor of a task and an agent makes, those of these event names."""
    with capture() as seen:
        agent = seen.client.agent("sales", version="2", framework="crew", stuck_threshold=60)
        with agent.task("lead-42") as task:
            task.plan("win the lead", ["look", "write"], revision=1)
            task.plan_step(0, "completed", "looked", turns=2, tokens=900)
            task.plan_step(1, "failed", "no address")
            task.escalate("unsure", assigned_to="bob", reason="confidence_low")
            task.request_approval("send?", approver="bob")
            task.approval_received("yes", approved_by="bob", decision="approved")
            task.retry("again", attempt=1, backoff_seconds=2)
        agent.todo("t1", "created", "write", priority="high", source="user", context="c", due_by="2027")
        agent.todo("t1", "failed", "write")
        agent.scheduled([{"id": "s1", "next_run": "15:00"}, {"id": "s2"}])
        agent.report_issue(
            "down", "high", issue_id="i1", category="data", context={"a": 1}, occurrence_count=3
        )
        agent.resolve_issue("up", issue_id="i1")
        agent.queue_snapshot(3, oldest_age_seconds=120, items=[{"id": "q"}], processing={"id": "p"})
        told = [read(event) for event in seen.events]
    return [narrative for narrative in told if narrative.name in names]


# -- sensors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "severity", "body", "attributes"),
    [
        (
            "hiveloop.retry",
            WARN,
            "again",
            {"attempt": 1, "backoff": 2.0, "summary": "again"},
        ),
        (
            "hiveloop.escalation",
            WARN,
            "unsure",
            {"assigned_to": "bob", "reason": "confidence_low", "summary": "unsure"},
        ),
        ("hiveloop.approval.requested", INFO, "send?", {"approver": "bob", "summary": "send?"}),
        (
            "hiveloop.approval.received",
            INFO,
            "yes",
            {"approved_by": "bob", "decision": "approved", "summary": "yes"},
        ),
        (
            "hiveloop.plan.created",
            INFO,
            "win the lead",
            {"goal": "win the lead", "steps": ["look", "write"], "step_count": 2, "revision": 1},
        ),
        (
            "hiveloop.issue.resolved",
            INFO,
            "up",
            {"id": "i1", "severity": "low", "summary": "up"},
        ),
        (
            "hiveloop.issue.reported",
            ERROR,
            "down",
            {
                "id": "i1",
                "severity": "high",
                "category": "data",
                "occurrence_count": 3,
                "context": '{"a":1}',
                "summary": "down",
            },
        ),
    ],
)
def test_what_a_sensor_tells(name: str, severity: int, body: str, attributes: dict[str, Any]) -> None:
    [told] = reported(name)
    assert as_sent(told.attributes) == {f"{name}.{key}": value for key, value in attributes.items()}
    assert (told.severity_number, told.body, told.traced) == (severity, body, True)


def test_steps_of_a_plan() -> None:
    done, failed = reported("hiveloop.plan.step")
    assert as_sent(done.attributes) == {
        "hiveloop.plan.step.index": 0,
        "hiveloop.plan.step.action": "completed",
        "hiveloop.plan.step.summary": "Step 0 completed: looked",
        "hiveloop.plan.step.total": 2,
        "hiveloop.plan.step.turns": 2,
        "hiveloop.plan.step.tokens": 900,
        "hiveloop.plan.step.revision": 1,
    }
    assert (done.severity_number, failed.severity_number) == (INFO, ERROR)


def test_todos() -> None:
    created, failed = reported("hiveloop.todo")
    assert as_sent(created.attributes) == {
        "hiveloop.todo.id": "t1",
        "hiveloop.todo.action": "created",
        "hiveloop.todo.summary": "write",
        "hiveloop.todo.priority": "high",
        "hiveloop.todo.source": "user",
        "hiveloop.todo.context": "c",
        "hiveloop.todo.due_by": "2027",
    }
    assert (created.severity_number, failed.severity_number) == (INFO, WARN)


def test_what_agents_schedule_is_for_logs_and_metrics() -> None:
    [told] = reported("hiveloop.scheduled")
    assert told.attributes["hiveloop.scheduled.count"] == 2
    assert json.loads(str(told.attributes["hiveloop.scheduled.items"]))[1] == {"id": "s2"}
    assert not told.traced


def test_queues_are_for_logs_and_metrics() -> None:
    [told] = reported("hiveloop.queue.snapshot")
    assert told.attributes == {
        "hiveloop.queue.snapshot.depth": 3,
        "hiveloop.queue.snapshot.oldest_age": 120.0,
        "hiveloop.queue.snapshot.items": '[{"id":"q"}]',
        "hiveloop.queue.snapshot.processing": '{"id":"p"}',
    }
    assert (told.severity_number, told.traced) == (DEBUG, False)


def test_registrations_are_for_logs_and_metrics() -> None:
    [told] = reported("hiveloop.agent.registered")
    assert told.attributes == {
        "hiveloop.agent.type": "general",
        "hiveloop.agent.version": "2",
        "hiveloop.agent.framework": "crew",
        "hiveloop.agent.registered.stuck_threshold": 60.0,
    }
    assert (told.severity_number, told.traced, told.body) == (INFO, False, "Agent sales registered")


def test_heartbeats_are_for_logs_and_metrics() -> None:
    payload = {"model": "m", "total_tokens_in": 5, "data": {"a": 1}, "hiveloop": {"idle_seconds": 3}}
    told = read(payload_event("heartbeat", payload, task=None, severity=Severity.DEBUG))
    assert (told.name, told.severity_number, told.traced) == ("hiveloop.agent.heartbeat", DEBUG, False)
    assert told.attributes == {
        "hiveloop.agent.heartbeat.model": "m",
        "hiveloop.agent.heartbeat.total_tokens_in": 5,
        "hiveloop.agent.heartbeat.data": '{"a":1}',
        "hiveloop.agent.heartbeat.hiveloop": '{"idle_seconds":3}',
    }


def test_what_the_task_gets() -> None:
    assert reported("hiveloop.escalation")[0].on_task == {"hiveloop.task.escalated": True}
    assert reported("hiveloop.plan.created")[0].on_task == {
        "hiveloop.plan.step_count": 2,
        "hiveloop.plan.revision": 1,
    }
    assert reported("hiveloop.retry")[0].on_task == {}


@pytest.mark.parametrize(
    ("severity", "number"),
    [("low", INFO), ("medium", WARN), ("high", ERROR), ("critical", FATAL), ("?", DEBUG)],
)
def test_severities_of_issues(severity: str, number: int) -> None:
    event = custom("issue", {"severity": severity, "action": "reported"}, Severity.DEBUG)
    assert read(event).severity_number == number


def test_steps_may_be_texts_or_anything() -> None:
    told = of_kind("plan_created", {"goal": "g", "steps": ["a", {"description": "b"}, {"x": 1}, 5]})
    assert told["hiveloop.plan.created.steps"] == ["a", "b", '{"x":1}', "5"]
    wrong = of_kind("plan_created", {"steps": "a, b"})
    assert wrong == {"hiveloop.plan.created.steps": "a, b"}


def test_events_made_by_hand_without_data() -> None:
    """`task.event("approval_requested", {"approver": ...})` has its members beside the summary."""
    told = read(payload_event("approval_requested", {"summary": "s", "approver": "bob"}))
    assert told.attributes == {
        "hiveloop.approval.requested.approver": "bob",
        "hiveloop.approval.requested.summary": "s",
    }


# -- kinds of the integration guide -----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "differing"),
    [
        (
            "learning",
            {
                "trigger": "r",
                "category": "c",
                "description": "d",
                "correction_applied": True,
                "turn_number": 2,
            },
            {},
        ),
        (
            "context_compaction",
            {
                "tokens_before": 100,
                "tokens_after": 40,
                "tokens_removed": 60,
                "compression_ratio": 0.4,
                "method": "summary",
                "turn_number": 7,
                "messages_removed": 3,
            },
            {},
        ),
        (
            "runtime",
            {
                "event": "model_switched",
                "from_model": "a",
                "to_model": "b",
                "reason": "r",
                "config": {"t": 1},
            },
            {"config": '{"t":1}'},
        ),
        (
            "memory_op",
            {"operation": "search", "store": "vector_db", "result_count": 3, "latency_ms": 250},
            {"latency_ms": None, "latency": 0.25},
        ),
        (
            "config_snapshot",
            {"model": "m", "temperature": 0, "tools": ["a", "b"], "system_prompt_hash": "ff", "max_turns": 9},
            {"temperature": 0.0},
        ),
        (
            "anomaly",
            {
                "detector": "cycle",
                "tool_name": "t",
                "args_hash": "h",
                "cycle_length": 3,
                "turn_number": 4,
                "message": "m",
            },
            {},
        ),
        (
            "prompt_composition",
            {
                "system_prompt_tokens": 100,
                "history_tokens": 50.0,
                "context_utilization_pct": 12,
                "system_pct": 66.7,
                "largest_component": "system",
                "bloat_warning": "system is 67% of prompt",
                "turn_number": 1,
            },
            {"history_tokens": 50, "context_utilization_pct": 12.0},
        ),
        (
            "state_mutation",
            {
                "mutation_number": 1,
                "turn_number": 2,
                "keys_changed": ["a"],
                "state_size": 5,
                "changes": {"a": {"action": "added"}},
            },
            {"changes": '{"a":{"action":"added"}}'},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_kind_of_the_guide(kind: str, data: dict[str, Any], differing: dict[str, Any]) -> None:
    """Members become attributes as they are, but for those that differ; None for one that is not sent."""
    expected = {
        f"hiveloop.{kind}.{key}": value for key, value in {**data, **differing}.items() if value is not None
    }
    sent = of_kind(kind, data)
    assert sent == expected
    assert {key: type(value) for key, value in sent.items()} == {
        key: type(value) for key, value in expected.items()
    }


def test_the_context_of_an_error() -> None:
    data = {
        "error_type": "HTTPError",
        "error_message": "bad gateway",
        "status_code": 502,
        "api_name": "crm",
        "action_name": "search",
        "retry_eligible": True,
        "response_body": "<html>",
        "turn_number": 3,
    }
    told = read(custom("error_context", data), CAPTURING)
    assert told.attributes == {
        "error.type": "HTTPError",
        "exception.message": "bad gateway",
        "http.response.status_code": 502,
        "hiveloop.error_context.api_name": "crm",
        "hiveloop.error_context.action_name": "search",
        "hiveloop.error_context.retry_eligible": True,
        "hiveloop.error_context.response_body": "<html>",
        "hiveloop.error_context.turn_number": 3,
    }
    assert (told.severity_number, told.body) == (ERROR, "bad gateway")
    assert "hiveloop.error_context.response_body" not in read(custom("error_context", data)).attributes


def test_the_query_of_a_memory_is_content() -> None:
    data = {"operation": "search", "key_or_query": "who?"}
    assert of_kind("memory_op", data, CAPTURING)["hiveloop.memory_op.key_or_query"] == "who?"
    assert of_kind("memory_op", data) == {"hiveloop.memory_op.operation": "search"}


def test_an_anomaly_is_a_warning_or_worse() -> None:
    assert read(custom("anomaly", {"message": "loop"})).severity_number == WARN
    assert read(custom("anomaly", {"message": "loop"}, Severity.ERROR)).severity_number == ERROR
    assert read(custom("anomaly", {"message": "loop"})).body == "loop"
    # Sums over a task are the assembler's: an attribute here would replace them.
    assert read(custom("anomaly", {})).on_task == {}


def test_users_may_say_more_than_the_guide() -> None:
    told = read(
        custom("learning", {"trigger": "r", "extra": 1}, summary="learned", tags=["a", "b"], beside=2)
    )
    assert as_sent(told.attributes) == {
        "hiveloop.learning.trigger": "r",
        "hiveloop.learning.extra": 1,
        "hiveloop.learning.beside": 2,
        "hiveloop.learning.summary": "learned",
        "hiveloop.learning.tags": ["a", "b"],
    }
    assert told.body == "learned"


def test_a_member_of_the_wrong_type_is_kept() -> None:
    assert of_kind("learning", {"turn_number": "three"}) == {"hiveloop.learning.turn_number": "three"}


# -- other kinds ------------------------------------------------------------------------------


def test_a_kind_of_the_users_own() -> None:
    event = custom("Guard-Rail", {"rule": "pii", "nested": {"a": 1}}, Severity.WARN, summary="s", tags=["x"])
    told = read(event)
    assert told.name == "hiveloop.custom.guard_rail"
    assert as_sent(told.attributes) == {
        "hiveloop.custom.guard_rail.rule": "pii",
        "hiveloop.custom.guard_rail.nested": '{"a":1}',
        "hiveloop.custom.guard_rail.summary": "s",
        "hiveloop.custom.guard_rail.tags": ["x"],
    }
    assert (told.severity_number, told.body, told.traced) == (WARN, "s", True)


@pytest.mark.parametrize("kind", [None, "", 5, {"a": 1}])
def test_an_event_without_a_kind(kind: Any) -> None:
    payload = {"foo": 1} if kind is None else {"foo": 1, "kind": kind}
    told = read(payload_event("custom", payload))
    assert (told.name, told.attributes) == ("hiveloop.custom", {"hiveloop.custom.foo": 1})


def test_a_type_that_is_none_of_ours() -> None:
    with capture() as seen:
        seen.client.agent("a").event("deploy", {"version": "3"})
        [event] = [e for e in seen.events if e.kind == "deploy"]
    told = read(event)
    assert told.name == "hiveloop.custom.deploy"
    assert told.attributes == {"hiveloop.custom.deploy.version": "3"}


def test_data_that_is_no_mapping_is_kept() -> None:
    assert of_kind("mine", [1, 2]) == {"hiveloop.custom.mine.data": [1, 2]}  # type: ignore[arg-type]


def test_a_very_long_kind() -> None:
    assert len(read(custom("k" * 10_000, {"a": 1})).name) <= 255


# -- calls, tasks and actions -----------------------------------------------------------------


def test_a_call_of_a_model() -> None:
    event = custom("llm_call", {"name": "n", "model": "gpt-4o", "tokens_in": 5}, summary="n → gpt-4o")
    told = read(event)
    assert told.name == "gen_ai.client.inference.operation.details"
    assert told.attributes == read_llm_call(event, PLAIN).attributes
    assert (told.severity_number, told.body) == (INFO, "n → gpt-4o")
    failed = custom("llm_call", {"model": "gpt-4o", "metadata": {"error": "x"}})
    assert read(failed).severity_number == ERROR


@pytest.mark.parametrize("type_", ["task_failed", "action_failed"])
def test_a_failure(type_: str) -> None:
    told = read(payload_event(type_, {"exception_type": "KeyError", "exception_message": "'k'", "args": 1}))
    assert (told.name, told.severity_number, told.body) == ("exception", ERROR, "'k'")
    assert told.attributes == {"exception.type": "KeyError", "exception.message": "'k'"}
    assert read(payload_event(type_, {})).attributes == {"exception.type": "_OTHER"}


def test_the_start_of_a_task_is_for_logs() -> None:
    told = read(payload_event("task_started", {"summary": "Task lead-42 started"}))
    assert (told.name, told.severity_number, told.traced) == ("hiveloop.task.started", INFO, False)
    assert told.body == "Task lead-42 started"


@pytest.mark.parametrize("type_", EventType)
def test_every_type_tells_something(type_: EventType) -> None:
    assert read(payload_event(type_, {})).name
