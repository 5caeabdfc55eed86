"""What both documents promise about the sensors in prose, sentence by sentence.

Integration guide: Layer 1 to Layer 3, their parameter tables and prose · Common Mistakes · Quick Reference.
Sensor reference: Group 2 and Group 3 (auto-emitted events, defaults, tags, summaries, severities).
Where the documents are silent or disagree, the decisions of the project's contract are tested.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import hiveloop
from hiveloop import tool_payload
from tests.support.wait import pause

from .hive import Hive, action_name

# -- tasks -------------------------------------------------------------------------------------------


def test_task_run_id_is_a_uuid4_and_new_for_each_execution(hive: Hive) -> None:
    for _ in range(2):
        with hive.agent().task("same-id"):
            pass
    first, second = (e.task.run_id for e in hive.events("task_started") if e.task)
    assert first != second
    assert str(uuid.UUID(first)) == first
    assert str(uuid.UUID(second)) == second


def test_task_run_id_and_correlation_id_may_be_given(hive: Hive) -> None:
    with hive.agent().task("t", task_run_id="run-7", correlation_id="order-9") as task:
        assert task.task_run_id == "run-7"
    for name in ("task_started", "task_completed"):
        info = hive.one(name).task
        assert info is not None
        assert (info.run_id, info.correlation_id) == ("run-7", "order-9")


def test_start_task_accepts_the_same_parameters(hive: Hive) -> None:
    hive.agent().start_task("t", project="p", type="webhook", task_run_id="r", correlation_id="c").complete()
    info = hive.one("task_completed").task
    assert info == hiveloop.TaskInfo("t", "r", "p", "webhook", "c")


def test_project_and_type_are_left_out_by_default(hive: Hive) -> None:
    with hive.agent().task("t"):
        pass
    info = hive.one("task_started").task
    assert info is not None
    assert (info.project, info.type, info.correlation_id) == (None, None, None)


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()]
)
def test_any_exception_ends_the_block_as_failed_and_passes_untouched(
    hive: Hive, error: BaseException
) -> None:
    agent = hive.agent()
    with pytest.raises(type(error)) as caught, agent.task("t"), agent.track_context("step"):
        raise error

    assert caught.value is error
    for name in ("action_failed", "task_failed"):
        failed = hive.one(name)
        assert failed.payload["exception_type"] == type(error).__name__
        assert failed.payload["exception_message"] == str(error)
        assert (failed.status, failed.severity) == ("failure", "error")


def test_duration_ms_is_calculated(hive: Hive) -> None:
    agent = hive.agent()
    with agent.task("t"), agent.track_context("step"):
        pause(0.05)
    for name in ("task_completed", "action_completed"):
        duration = hive.one(name).duration_ms
        assert isinstance(duration, int)
        assert 45 <= duration < 5_000


def test_complete_takes_a_custom_status_and_data(hive: Hive) -> None:
    task = hive.agent().start_task("t")
    task.set_payload({"pages": 3, "score": 1})
    task.complete("partial", {"score": 2})
    completed = hive.one("task_completed")
    assert completed.status == "partial"
    assert completed.payload["pages"] == 3
    assert completed.payload["score"] == 2


def test_fail_takes_no_exception_and_data(hive: Hive) -> None:
    task = hive.agent().start_task("t")
    task.fail(payload={"reason_code": "gave_up"})
    failed = hive.one("task_failed")
    assert failed.status == "failure"
    assert failed.payload["reason_code"] == "gave_up"
    assert "exception_type" not in failed.payload


def test_the_first_ending_wins(hive: Hive) -> None:
    task = hive.agent().start_task("t")
    task.complete()
    task.fail(ValueError("too late"))
    task.complete("again")
    assert hive.names() == ["task_started", "task_completed"]


def test_completing_inside_the_block_is_the_ending(hive: Hive) -> None:
    with hive.agent().task("t") as task:
        task.complete("partial")
    assert hive.names() == ["task_started", "task_completed"]
    assert hive.one("task_completed").status == "partial"


def test_set_payload_also_reaches_a_failed_task(hive: Hive) -> None:
    with pytest.raises(ValueError, match="no"), hive.agent().task("t") as task:
        task.set_payload({"pages": 3})
        raise ValueError("no")
    assert hive.one("task_failed").payload["pages"] == 3


def test_summaries_of_a_task(hive: Hive) -> None:
    with hive.agent().task("lead-42"):
        pass
    hive.agent().start_task("lead-43").fail()
    assert [e.summary for e in hive.events() if e.task] == [
        "Task lead-42 started",
        "Task lead-42 completed",
        "Task lead-43 started",
        "Task lead-43 failed",
    ]


# -- actions -----------------------------------------------------------------------------------------


def functions_of_every_kind(agent: hiveloop.Agent) -> dict[str, Callable[[], object]]:
    """Return calls that each run one tracked function to its end."""

    @agent.track("plain")
    def plain() -> int:
        return 1

    @agent.track("coroutine")
    async def coroutine() -> int:
        await asyncio.sleep(0)
        return 1

    @agent.track("generator")
    def generator() -> Any:
        yield 1

    @agent.track("async_generator")
    async def async_generator() -> Any:
        yield 1

    class Holder:
        @agent.track("method")
        def method(self) -> int:
            return 1

        @classmethod
        @agent.track("classmethod")
        def of_class(cls) -> int:
            return 1

        @agent.track("staticmethod")
        @staticmethod
        def static() -> int:
            return 1

    async def all_of() -> list[int]:
        return [item async for item in async_generator()]

    return {
        "plain": plain,
        "coroutine": lambda: asyncio.run(coroutine()),
        "generator": lambda: list(generator()),
        "async_generator": lambda: asyncio.run(all_of()),
        "method": Holder().method,
        "classmethod": Holder.of_class,
        "staticmethod": Holder.static,
    }


@pytest.mark.parametrize(
    "kind", ["plain", "coroutine", "generator", "async_generator", "method", "classmethod", "staticmethod"]
)
def test_track_wraps_functions_of_every_kind(hive: Hive, kind: str) -> None:
    assert functions_of_every_kind(hive.agent())[kind]() in (1, [1])
    started, completed = hive.one("action_started"), hive.one("action_completed")
    assert action_name(started) == action_name(completed) == kind
    assert completed.status == "success"
    assert re.match(r"tests\.guide\.test_promises\.functions_of_every_kind\.", started.payload["function"])


def test_track_may_be_used_bare(hive: Hive) -> None:
    agent = hive.agent()

    @agent.track
    def fetch_customer(number: int) -> int:
        """Fetch it."""
        return number

    assert fetch_customer(7) == 7
    assert fetch_customer.__doc__ == "Fetch it."
    assert action_name(hive.one("action_started")).endswith("fetch_customer")


def test_a_tracked_function_that_raises_fails_its_action(hive: Hive) -> None:
    agent = hive.agent()
    error = LookupError("no such deal")

    @agent.track("lookup")
    def lookup() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        lookup()
    assert caught.value is error
    failed = hive.one("action_failed")
    assert failed.payload["exception_type"] == "LookupError"
    assert failed.payload["exception_message"] == "no such deal"
    assert isinstance(failed.duration_ms, int)
    assert failed.severity == "error"


def test_a_tracked_function_runs_exactly_once(hive: Hive) -> None:
    runs: list[str] = []
    agent = hive.agent()

    @agent.track("charge")
    def charge() -> None:
        runs.append("charged")
        raise TimeoutError("no receipt")

    with pytest.raises(TimeoutError):
        charge()
    assert runs == ["charged"]


def test_actions_nest_into_a_tree(hive: Hive) -> None:
    agent = hive.agent()

    @agent.track("inner")
    def inner() -> None:
        pass

    with agent.task("t"), agent.track_context("outer"):
        inner()
        inner()
    outer, first, second = (e.action for e in hive.events("action_started"))
    assert outer is not None
    assert first is not None
    assert second is not None
    assert first.parent_action_id == second.parent_action_id == outer.action_id
    assert len({outer.action_id, first.action_id, second.action_id}) == 3


def test_set_payload_of_an_action_is_used_on_failure_too(hive: Hive) -> None:
    with pytest.raises(ValueError, match="no"), hive.agent().track_context("step") as ctx:
        ctx.set_payload({"args": {"query": "ada"}})
        raise ValueError("no")
    assert hive.one("action_failed").payload["args"] == {"query": "ada"}


def test_events_inside_an_action_belong_to_it(hive: Hive) -> None:
    agent = hive.agent()
    with agent.task("t") as task, agent.track_context("step"):
        task.llm_call("reason", "gpt-4o")
    assert hive.one("llm_call").action == hive.one("action_started").action


# -- tool payloads -----------------------------------------------------------------------------------


def test_tool_payload_strips_none_valued_fields() -> None:
    assert tool_payload() == {"success": True}


def test_tool_payload_keeps_every_given_field() -> None:
    assert tool_payload(
        args={"query": "ada"},
        result="found",
        success=False,
        error="partial",
        duration_ms=12,
        tool_category="crm",
        http_status=206,
        result_size_bytes=5,
    ) == {
        "args": {"query": "ada"},
        "result": "found",
        "success": False,
        "error": "partial",
        "duration_ms": 12,
        "tool_category": "crm",
        "http_status": 206,
        "result_size_bytes": 5,
    }


def test_tool_payload_truncates_each_arg_value() -> None:
    args = tool_payload(args={"long": "x" * 2_000, "short": "y", "number": 7})["args"]
    assert args == {"long": "x" * 500, "short": "y", "number": 7}
    assert tool_payload(args={"long": "x" * 2_000}, args_max_len=50)["args"] == {"long": "x" * 50}


def test_tool_payload_stringifies_and_truncates_the_result() -> None:
    assert tool_payload(result={"id": 7})["result"] == "{'id': 7}"
    assert tool_payload(result=3.5)["result"] == "3.5"
    assert tool_payload(result="r" * 2_000)["result"] == "r" * 1_000
    assert tool_payload(result="r" * 2_000, result_max_len=10)["result"] == "r" * 10


# -- LLM calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "summary"),
    [
        (
            {"tokens_in": 1200, "tokens_out": 350, "cost": 0.008},
            "reason → claude (1200 in / 350 out, $0.008)",
        ),
        ({"tokens_in": 1200, "tokens_out": 350}, "reason → claude (1200 in / 350 out)"),
        ({"cost": 0.5}, "reason → claude ($0.5)"),
        ({}, "reason → claude"),
    ],
)
def test_summary_of_an_llm_call(hive: Hive, given: dict[str, Any], summary: str) -> None:
    with hive.agent().task("t") as task:
        task.llm_call("reason", "claude", **given)
    call = hive.one("llm_call")
    assert call.summary == summary
    assert call.data == {"name": "reason", "model": "claude", **given}
    assert call.payload["tags"] == ["llm"]
    assert call.payload["kind"] == "llm_call"


def test_agent_llm_call_works_without_a_task(hive: Hive) -> None:
    hive.agent().llm_call("classify", "gpt-4o", tokens_in=1, tokens_out=2)
    call = hive.one("llm_call")
    assert call.task is None
    assert call.summary == "classify → gpt-4o (1 in / 2 out)"


def test_previews_are_sent_when_given_unless_content_is_not_captured() -> None:
    for capture in (True, False):
        hive = Hive(capture_content=capture)
        agent = hive.agent()
        with agent.task("t") as task, agent.track_context("tool") as ctx:
            task.llm_call("reason", "gpt-4o", prompt_preview="Hello?", response_preview="Hello!", tokens_in=1)
            ctx.set_payload(tool_payload(args={"to": "ada"}, result="sent", tool_category="mail"))
        data, action = hive.one("llm_call").data, hive.one("action_completed").payload
        assert data["tokens_in"] == 1
        assert action["tool_category"] == "mail"
        assert (data.get("prompt_preview"), data.get("response_preview")) == (
            ("Hello?", "Hello!") if capture else (None, None)
        )
        assert (action.get("args"), action.get("result")) == (
            ({"to": "ada"}, "sent") if capture else (None, None)
        )
        hiveloop.reset()


def test_previews_are_cut_to_300_characters() -> None:
    hive = Hive()
    hive.agent().llm_call("reason", "gpt-4o", prompt_preview="p" * 500, response_preview="r" * 300)
    call = hive.one("llm_call")
    assert call.data["prompt_preview"] == "p" * 300
    assert call.data["response_preview"] == "r" * 300
    assert call.payload["_truncated"] == ["prompt_preview"]


# -- plans -------------------------------------------------------------------------------------------


def test_plan_step_knows_the_plan_unless_told_otherwise(hive: Hive) -> None:
    with hive.agent().task("t") as task:
        task.plan("goal", ["a", "b", "c"], revision=2)
        task.plan_step(0, "started", "a")
        task.plan_step(1, "skipped", "b", total_steps=9, plan_revision=7)
    known, told = hive.events("plan_step")
    assert (known.data["total_steps"], known.data["plan_revision"]) == (3, 2)
    assert (told.data["total_steps"], told.data["plan_revision"]) == (9, 7)
    assert told.payload["tags"] == ["plan", "step_skipped"]
    assert told.summary == "Step 1 skipped: b"


@pytest.mark.parametrize(
    ("action", "severity"),
    [("started", "info"), ("completed", "info"), ("skipped", "info"), ("failed", "error")],
)
def test_severity_of_a_plan_step(hive: Hive, action: str, severity: str) -> None:
    with hive.agent().task("t") as task:
        task.plan_step(0, action, "a")
    assert hive.one("plan_step").severity == severity


# -- narrative events --------------------------------------------------------------------------------

NARRATIVE = {
    "escalate": ("escalated", "warn"),
    "request_approval": ("approval_requested", "info"),
    "approval_received": ("approval_received", "info"),
    "retry": ("retry_started", "warn"),
}


@pytest.mark.parametrize("sensor", NARRATIVE)
def test_the_summary_comes_positionally_by_name_or_as_the_guides_reason(hive: Hive, sensor: str) -> None:
    name, severity = NARRATIVE[sensor]
    with hive.agent().task("t") as task:
        report = getattr(task, sensor)
        report("why")
        report(summary="why")
        report(reason="why")
    events = hive.events(name)
    assert [e.summary for e in events] == ["why"] * 3
    assert {str(e.severity) for e in events} == {severity}
    assert all("reason" not in e.data for e in events)


def test_with_both_reason_is_the_reason_code(hive: Hive) -> None:
    with hive.agent().task("t") as task:
        task.escalate("Out of my depth", assigned_to="legal", reason="out_of_scope")
    escalated = hive.one("escalated")
    assert escalated.summary == "Out of my depth"
    assert escalated.data == {"assigned_to": "legal", "reason": "out_of_scope"}


@pytest.mark.parametrize("sensor", NARRATIVE)
def test_parent_event_id_links_to_the_cause(hive: Hive, sensor: str) -> None:
    with hive.agent().task("t") as task:
        getattr(task, sensor)("why", parent_event_id="evt-1")
    assert hive.one(NARRATIVE[sensor][0]).parent_event_id == "evt-1"


@pytest.mark.parametrize("decision", ["approved", "denied", "rejected", "approved with changes"])
def test_decision_is_free_text(hive: Hive, decision: str) -> None:
    with hive.agent().task("t") as task:
        task.approval_received("Decided", decision=decision)
    assert hive.one("approval_received").data["decision"] == decision


def test_approval_received_means_approved_by_default(hive: Hive) -> None:
    with hive.agent().task("t") as task:
        task.approval_received("Decided", approved_by="ada")
    assert hive.one("approval_received").data == {"decision": "approved", "approved_by": "ada"}


def test_retry_needs_no_attempt(hive: Hive) -> None:
    with hive.agent().task("t") as task:
        task.retry("Once more")
        task.retry("And again", attempt=2, backoff_seconds=2.5)
    first, second = hive.events("retry_started")
    assert "attempt" not in first.data
    assert second.data == {"attempt": 2, "backoff_seconds": 2.5}


# -- issues, todos, queues, schedules ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "loudness"), [("critical", "error"), ("high", "error"), ("medium", "warn"), ("low", "info")]
)
def test_severity_of_an_issue(hive: Hive, severity: str, loudness: str) -> None:
    hive.agent().report_issue("CRM down", severity)
    issue = hive.one("issue")
    assert issue.severity == loudness
    assert issue.data == {"severity": severity, "action": "reported"}, "an issue_id only when given"
    assert issue.payload["tags"] == ["issue"]
    assert issue.summary == "CRM down"


def test_resolve_issue(hive: Hive) -> None:
    hive.agent().resolve_issue("CRM is back", issue_id="crm-api-403")
    resolved = hive.one("issue")
    assert (resolved.data["action"], resolved.data["issue_id"]) == ("resolved", "crm-api-403")
    assert resolved.payload["tags"] == ["issue", "resolved"]


def test_todo_due_by(hive: Hive) -> None:
    hive.agent().todo("td_001", "deferred", "Wait for ada", due_by="2026-02-01T12:00:00Z")
    assert hive.one("todo").data["due_by"] == "2026-02-01T12:00:00Z"


def test_queue_snapshot(hive: Hive) -> None:
    agent = hive.agent()
    agent.queue_snapshot(3, oldest_age_seconds=120)
    agent.queue_snapshot(depth=0)
    busy, empty = hive.events("queue_snapshot")
    assert (busy.summary, empty.summary) == ("Queue: 3 items, oldest 120s", "Queue: 0 items")
    assert busy.data == {"depth": 3, "oldest_age_seconds": 120}
    assert empty.data == {"depth": 0}
    assert busy.payload["tags"] == ["queue"]
    assert {str(e.severity) for e in (busy, empty)} == {"debug"}


def test_scheduled_names_the_next_run(hive: Hive) -> None:
    hive.agent().scheduled([{"id": "x", "name": "n", "next_run": "15:00:00Z"}, {"id": "y"}])
    scheduled = hive.one("scheduled")
    assert scheduled.summary == "2 scheduled items, next at 15:00:00Z"
    assert scheduled.data["items"] == [{"id": "x", "name": "n", "next_run": "15:00:00Z"}, {"id": "y"}]
    assert scheduled.severity == "info"


def test_agent_level_sensors_work_outside_and_inside_a_task(hive: Hive) -> None:
    agent = hive.agent()

    def report() -> None:
        agent.report_issue("CRM down", "high")
        agent.todo("td_001", "created", "Call back")
        agent.queue_snapshot(1)
        agent.scheduled([])

    report()
    with agent.task("t"):
        report()
    kinds = [e.kind for e in hive.events() if e.kind]
    assert kinds == ["issue", "todo", "queue_snapshot", "scheduled"] * 2


# -- events by name ----------------------------------------------------------------------------------

TYPES = {
    "agent_registered": "info",
    "heartbeat": "debug",
    "task_started": "info",
    "task_completed": "info",
    "task_failed": "error",
    "action_started": "info",
    "action_completed": "info",
    "action_failed": "error",
    "retry_started": "warn",
    "escalated": "warn",
    "approval_requested": "info",
    "approval_received": "info",
    "custom": "info",
}


@pytest.mark.parametrize("event_type", TYPES)
def test_event_takes_any_of_the_13_types(hive: Hive, event_type: str) -> None:
    hive.agent().event(event_type, {"note": "by hand"})
    event = hive.events()[-1]
    assert event.type == event_type
    assert event.severity == TYPES[event_type]
    assert event.payload == {"note": "by hand"}


@pytest.mark.parametrize("severity", ["debug", "info", "warn", "error"])
def test_event_severity_may_be_overridden(hive: Hive, severity: str) -> None:
    with hive.agent().task("t") as task:
        task.event("task_failed", {"note": "by hand"}, severity=severity, parent_event_id="evt-1")
    event = hive.one("task_failed")
    assert event.severity == severity
    assert event.parent_event_id == "evt-1"


def test_an_unknown_event_type_becomes_a_custom_event_of_that_kind(hive: Hive) -> None:
    agent = hive.agent()
    agent.event("guardrail", {"rule": "pii"})
    agent.event("guardrail", {"kind": "own", "rule": "pii"})
    plain, own = hive.events("custom")
    assert (plain.kind, plain.payload["original_type"], plain.payload["rule"]) == (
        "guardrail",
        "guardrail",
        "pii",
    )
    assert (own.kind, own.payload["original_type"]) == ("own", "guardrail")


def test_custom_event_payloads_travel_as_they_are(hive: Hive) -> None:
    payload = {"kind": "memory_op", "data": {"operation": "write", "nested": {"list": [1, 2.5, None, True]}}}
    with hive.agent().task("t") as task:
        task.event("custom", payload)
    assert hive.one("memory_op").payload == payload
