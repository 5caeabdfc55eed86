"""What hiveloop exports, read back: an agent that reports by OTLP must look as one that reports natively."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop_otel import OTelTransport
from hiveloop_otel.reader import Note, Own, SpanFacts, read_span


def exported(work: Callable[[hiveloop.Agent], None], **options: Any) -> list[SpanFacts]:
    """Run the work and read every span it became, in the order of their export."""
    exporter = InMemorySpanExporter()
    client = hiveloop.init(transport=OTelTransport(span_exporter=exporter, capture_content=True, **options))
    work(client.agent("sales", type="sdr", framework="custom"))
    assert hiveloop.flush()
    hiveloop.shutdown()
    return [
        read_span(
            span.name,
            span.kind.name,
            dict(span.attributes or {}),
            [(event.name, dict(event.attributes or {})) for event in span.events],
            failed=not span.status.is_ok,
            status_message=span.status.description,
            scope_name=span.instrumentation_scope.name if span.instrumentation_scope else "",
        )
        for span in exporter.get_finished_spans()
        if span.name != "hiveloop.runtime"  # the agent's farewell
    ]


def own(facts: SpanFacts) -> Own:
    assert facts.own is not None
    return facts.own


def notes(work: Callable[[hiveloop.Task], None]) -> list[Note]:
    def in_a_task(agent: hiveloop.Agent) -> None:
        with agent.task("t") as task:
            work(task)

    return [note for facts in exported(in_a_task) for note in facts.notes]


def test_a_task_with_a_tool_and_a_call_is_read_back() -> None:
    def work(agent: hiveloop.Agent) -> None:
        with agent.task("lead-1", project="crm", type="web", task_run_id="r-1", correlation_id="c-1") as task:
            with agent.track_context("search") as action:
                action.set_payload(
                    hiveloop.tool_payload(args={"q": "x"}, result="3 hits", tool_category="web")
                )
            with agent.track_context("think") as action:
                action.set_payload({"rows": 3})
            task.set_payload({"answer": 42})
            task.llm_call(
                "decide",
                "gpt-4o",
                tokens_in=10,
                tokens_out=5,
                cost=0.01,
                prompt_preview="p",
                response_preview="r",
                metadata={"stop_reason": "end_turn", "cache_read_input_tokens": 4, "mood": "fine"},
            )

    tool, step, call, task = exported(work)

    assert [tool.kind, step.kind, call.kind, task.kind] == ["tool", "step", "llm", "agent"]
    assert {facts.agent_name for facts in (tool, step, call, task)} == {"sales"}
    assert {own(facts).run_id for facts in (tool, step, call, task)} == {"r-1"}
    assert own(task)[:8] == ("sdr", "custom", "crm", "lead-1", "r-1", "web", "c-1", "success")
    assert own(task).payload == {"answer": 42}
    assert (tool.name, tool.tool_args, tool.tool_result) == ("search", {"q": "x"}, "3 hits")
    assert (step.name, own(step).payload) == ("think", {"rows": 3})
    assert own(tool).action_id != own(step).action_id
    assert (call.name, call.model, call.tokens_in, call.tokens_out, call.cost) == (
        "decide",
        "gpt-4o",
        10,
        5,
        0.01,
    )
    assert (call.prompt, call.response, call.finish_reason, call.cache_read) == ("p", "r", "end_turn", 4)
    assert call.metadata == {"mood": "fine"}


def test_a_task_that_failed_is_read_back() -> None:
    def work(agent: hiveloop.Agent) -> None:
        agent.start_task("t").fail(ValueError("no such lead"))

    (task,) = exported(work)
    assert (task.failed, task.error_type, task.error_message) == (True, "ValueError", "no such lead")
    assert own(task).status == "failure"


def test_a_task_that_never_ended_says_so() -> None:
    (task,) = exported(lambda agent: agent.start_task("t") and None)
    assert task.kind == "agent"
    assert own(task).incomplete
    assert own(task).status == "interrupted"


def test_calls_that_are_events_only_are_read_with_their_data() -> None:
    def work(agent: hiveloop.Agent) -> None:
        with agent.task("t") as task:
            task.llm_call("decide", "gpt-4o", tokens_in=10, cost=0.5, metadata={"turn_number": 2})

    (task,) = exported(work, llm_calls="event")
    (note,) = task.notes
    assert (note.position, note.kind, note.data) == (
        0,
        "llm_call",
        {"name": "decide", "model": "gpt-4o", "tokens_in": 10, "cost": 0.5, "metadata": {"turn_number": 2}},
    )


NARRATIVE: list[tuple[Callable[[hiveloop.Task], None], str, str | None, dict[str, object]]] = [
    (
        lambda task: task.plan("win", ["ask", "offer"], revision=1),
        "custom",
        "plan_created",
        {
            "goal": "win",
            "steps": [{"index": 0, "description": "ask"}, {"index": 1, "description": "offer"}],
            "revision": 1,
        },
    ),
    (
        lambda task: task.plan_step(1, "failed", "no answer", total_steps=2, turns=3, tokens=40),
        "custom",
        "plan_step",
        {"step_index": 1, "action": "failed", "total_steps": 2, "turns": 3, "tokens": 40},
    ),
    (
        lambda task: task.escalate("help", assigned_to="bob", reason="low"),
        "escalated",
        None,
        {"assigned_to": "bob", "reason": "low"},
    ),
    (
        lambda task: task.request_approval("send?", approver="ann"),
        "approval_requested",
        None,
        {"approver": "ann"},
    ),
    (
        lambda task: task.approval_received("no", approved_by="ann", decision="denied"),
        "approval_received",
        None,
        {"approved_by": "ann", "decision": "denied"},
    ),
    (
        lambda task: task.retry("again", attempt=2, backoff_seconds=1.5),
        "retry_started",
        None,
        {"attempt": 2, "backoff_seconds": 1.5},
    ),
    (
        lambda task: task.agent.report_issue(
            "down", "high", issue_id="i", category="net", context={"a": [1]}
        ),
        "custom",
        "issue",
        {"action": "reported", "severity": "high", "issue_id": "i", "category": "net", "context": {"a": [1]}},
    ),
    (
        lambda task: task.agent.resolve_issue("up", issue_id="i"),
        "custom",
        "issue",
        {"action": "resolved", "issue_id": "i"},
    ),
    (
        lambda task: task.agent.todo("td", "created", "call back", priority="high"),
        "custom",
        "todo",
        {"todo_id": "td", "action": "created", "priority": "high"},
    ),
    (
        lambda task: task.event(
            "custom", {"kind": "memory_op", "data": {"operation": "read", "latency_ms": 250}}
        ),
        "custom",
        "memory_op",
        {"operation": "read", "latency_ms": 250},
    ),
    (
        lambda task: task.event(
            "custom", {"kind": "error_context", "data": {"error_type": "X", "status_code": 500}}
        ),
        "custom",
        "error_context",
        {"error_type": "X", "status_code": 500},
    ),
    (
        lambda task: task.event("custom", {"kind": "mine", "data": {"a": 1, "b": {"c": 2}}}),
        "custom",
        "mine",
        {"a": 1, "b": {"c": 2}},
    ),
]


@pytest.mark.parametrize(("work", "type_", "kind", "data"), NARRATIVE)
def test_what_happened_is_read_back(
    work: Callable[[hiveloop.Task], None], type_: str, kind: str | None, data: dict[str, object]
) -> None:
    (note,) = notes(work)
    assert (note.type, note.kind) == (type_, kind)
    assert {key: note.data.get(key) for key in data} == data


def test_a_note_has_the_summary_the_severity_the_tags_and_the_id_of_its_event() -> None:
    (note,) = notes(
        lambda task: task.event(
            "custom", {"kind": "mine", "summary": "look", "tags": ["x", "y"], "data": {}}, severity="warn"
        )
    )
    assert (note.summary, note.severity, note.tags, note.position) == ("look", "warn", ("x", "y"), 0)
    assert note.event_id


def test_spans_of_others_have_nothing_of_hiveloops() -> None:
    facts = read_span("x", "internal", {"hiveloop.agent.id": "a"}, scope_name="other")
    assert (facts.own, facts.notes) == (None, ())
