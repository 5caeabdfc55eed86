"""Integration guide, Layer 2c: Rich Events.

Covers the samples under: Plans and plan steps · Escalations · Approvals · Issues · Log forwarding with
HiveBoardLogHandler · Retries · Retry patterns for common failure modes · TODOs · Queue snapshots ·
Scheduled work.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from hiveloop.contrib.log_handler import HiveBoardLogHandler
from tests.support.wait import eventually

from .hive import Hive
from .world import (
    BusyApi,
    FrameworkAgent,
    LLMClient,
    NotingClock,
    QueueItem,
    RateLimitError,
    Step,
    WorkQueue,
    a_plan,
)
from .your_app.observability import get_current_task, get_hiveloop_agent

# -- Plans and plan steps ----------------------------------------------------------------------------


def test_when_a_plan_is_created(hive: Hive) -> None:
    plan = a_plan("Find the contact", "Write the mail")
    task_description = "Answer TechNova"
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                step_descriptions = [step.description for step in plan.steps]
                _task.plan(goal=task_description, steps=step_descriptions)

                # Report first step started
                _task.plan_step(step_index=0, action="started", summary=plan.steps[0].description)
            except Exception:
                pass

    created, step = hive.one("plan_created"), hive.one("plan_step")
    assert created.type == step.type == "custom"
    assert created.summary == "Answer TechNova"
    assert created.payload["tags"] == ["plan", "created"]
    assert created.data == {
        "goal": "Answer TechNova",
        "steps": [
            {"index": 0, "description": "Find the contact"},
            {"index": 1, "description": "Write the mail"},
        ],
        "revision": 0,
    }
    assert step.summary == "Step 0 started: Find the contact"
    assert step.payload["tags"] == ["plan", "step_started"]
    assert step.data == {"step_index": 0, "total_steps": 2, "action": "started", "plan_revision": 0}
    assert created.task == step.task == hive.one("task_started").task


def test_when_a_step_completes_and_the_next_one_starts(hive: Hive) -> None:
    current_step, next_step = Step(0, "Find the contact", turns_taken=3), Step(1, "Write the mail")
    result_summary = "Found Ada"
    with hive.running_task() as _task:
        _task.plan("Answer TechNova", [current_step.description, next_step.description])
        if _task:
            try:
                _task.plan_step(
                    step_index=current_step.index,
                    action="completed",
                    summary=result_summary,
                    turns=current_step.turns_taken,
                )
                _task.plan_step(step_index=next_step.index, action="started", summary=next_step.description)
            except Exception:
                pass

    completed, started = hive.events("plan_step")
    assert completed.summary == "Step 0 completed: Found Ada"
    assert completed.payload["tags"] == ["plan", "step_completed"]
    assert completed.data["turns"] == 3
    assert started.summary == "Step 1 started: Write the mail"
    assert "turns" not in started.data


def test_when_a_step_fails_or_is_blocked(hive: Hive) -> None:
    step, reason = Step(1, "Write the mail"), "no credentials"
    with hive.running_task() as _task:
        if _task:
            try:
                _task.plan_step(step_index=step.index, action="failed", summary=f"Blocked: {reason}")
            except Exception:
                pass

    failed = hive.one("plan_step")
    assert failed.summary == "Step 1 failed: Blocked: no credentials"
    assert failed.payload["tags"] == ["plan", "step_failed"]
    assert failed.severity == "error"


def test_when_the_plan_is_revised(hive: Hive) -> None:
    revised_goal, revision_count = "Answer TechNova by phone", 1
    new_steps = [Step(0, "Find the number"), Step(1, "Call"), Step(2, "Take notes")]
    new_step_descriptions = [step.description for step in new_steps]
    with hive.running_task() as _task:
        _task.plan("Answer TechNova", ["Find the contact", "Write the mail"])
        if _task:
            try:
                _task.plan(goal=revised_goal, steps=new_step_descriptions, revision=revision_count)
                _task.plan_step(step_index=0, action="started", summary=new_steps[0].description)
            except Exception:
                pass

    revised = hive.events("plan_created")[1]
    assert revised.data["revision"] == 1
    assert [s["description"] for s in revised.data["steps"]] == new_step_descriptions
    assert hive.one("plan_step").data == {
        "step_index": 0,
        "total_steps": 3,
        "action": "started",
        "plan_revision": 1,
    }


# -- Escalations -------------------------------------------------------------------------------------


def test_escalations(hive: Hive) -> None:
    reflection = SimpleNamespace(decision="escalate", reasoning="The contract needs a lawyer. " * 20)
    with hive.running_task():
        if reflection.decision == "escalate":
            _task = get_current_task()
            if _task:
                try:
                    _task.escalate(
                        f"Agent escalated: {reflection.reasoning[:200]}",
                        assigned_to="human",
                    )
                except Exception:
                    pass

    escalated = hive.one("escalated")
    assert escalated.summary == f"Agent escalated: {reflection.reasoning[:200]}"
    assert escalated.data == {"assigned_to": "human"}
    assert escalated.severity == "warn"


# -- Approvals ---------------------------------------------------------------------------------------


def test_approvals_inside_a_task_context(hive: Hive) -> None:
    event_title = "Send 40 000 euros"
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.request_approval(
                    f"Approval needed: {event_title}",
                    approver="human",
                )
            except Exception:
                pass

    requested = hive.one("approval_requested")
    assert requested.summary == "Approval needed: Send 40 000 euros"
    assert requested.data == {"approver": "human"}
    assert requested.severity == "info"
    assert requested.task == hive.one("task_started").task


def test_when_a_human_approves(hive: Hive) -> None:
    event_id = "evt-7"
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.approval_received(
                    f"Event '{event_id}' approved by operator",
                    approved_by="human",
                    decision="approved",
                )
            except Exception:
                pass

    received = hive.one("approval_received")
    assert received.summary == "Event 'evt-7' approved by operator"
    assert received.data == {"approved_by": "human", "decision": "approved"}


def test_when_a_human_rejects(hive: Hive) -> None:
    event_id = "evt-7"
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.approval_received(
                    f"Event '{event_id}' dropped by operator",
                    approved_by="human",
                    decision="rejected",
                )
            except Exception:
                pass

    assert hive.one("approval_received").data == {"approved_by": "human", "decision": "rejected"}


def test_approvals_outside_a_task_context(hive: Hive) -> None:
    sales = FrameworkAgent("sales")
    sales._hiveloop = hive.agent("sales")
    get_agent = {"sales": sales}.get
    agent_id, event_id, event_title = "sales", "evt-7", "Send 40 000 euros"

    _hl_agent = getattr(get_agent(agent_id), "_hiveloop", None)
    if _hl_agent:
        try:
            _hl_agent.event(
                "approval_requested",
                payload={"summary": f"Approval needed: {event_title}", "approver": "human"},
            )
        except Exception:
            pass

    # Later, when the human responds:
    if _hl_agent:
        try:
            _hl_agent.event(
                "approval_received",
                payload={
                    "summary": f"Event '{event_id}' approved",
                    "approved_by": "human",
                    "decision": "approved",
                },
            )
        except Exception:
            pass

    requested, received = hive.one("approval_requested"), hive.one("approval_received")
    assert requested.payload == {"summary": "Approval needed: Send 40 000 euros", "approver": "human"}
    assert received.payload == {
        "summary": "Event 'evt-7' approved",
        "approved_by": "human",
        "decision": "approved",
    }
    assert requested.task is received.task is None


# -- Issues ------------------------------------------------------------------------------------------


def test_issues_are_reported_and_resolved(hive: Hive) -> None:
    error_count = 3
    with hive.running_agent():
        _agent = get_hiveloop_agent()
        if _agent:
            try:
                _agent.report_issue(
                    summary="CRM API returning 403",
                    severity="high",  # critical, high, medium, low
                    category="permissions",  # permissions, connectivity, configuration, etc.
                    issue_id="crm-api-403",  # stable ID for deduplication
                    context={"api": "crm", "status_code": 403},
                    occurrence_count=error_count,
                )
            except Exception:
                pass

        if _agent:
            try:
                _agent.resolve_issue(
                    summary="CRM API recovered",
                    issue_id="crm-api-403",
                )
            except Exception:
                pass

    reported, resolved = hive.events("issue")
    assert reported.type == resolved.type == "custom"
    assert reported.summary == "CRM API returning 403"
    assert reported.severity == "error"
    assert reported.payload["tags"] == ["issue", "permissions"]
    assert reported.data == {
        "severity": "high",
        "action": "reported",
        "issue_id": "crm-api-403",
        "category": "permissions",
        "context": {"api": "crm", "status_code": 403},
        "occurrence_count": 3,
    }
    assert resolved.summary == "CRM API recovered"
    assert resolved.payload["tags"] == ["issue", "resolved"]
    assert resolved.data["action"] == "resolved"
    assert resolved.data["issue_id"] == "crm-api-403"
    assert resolved.severity == "info"


def test_log_forwarding(hive: Hive) -> None:
    hb = hive.hb
    agent = hb.agent("my-agent", heartbeat_interval=0)
    logger = logging.getLogger("my_app")
    handler = HiveBoardLogHandler(agent)
    logger.addHandler(handler)
    try:
        logger.info("all is well")
        logger.error("CRM answered %d", 403)
    finally:
        logger.removeHandler(handler)

    issue = hive.one("issue")
    assert issue.summary == "CRM answered 403"
    assert issue.data["severity"] == "high"
    assert issue.data["issue_id"] == "log-my_app-ERROR"
    assert issue.payload["tags"] == ["issue", "log"]
    assert issue.data["context"]["funcName"] == "test_log_forwarding"


# -- Retries -----------------------------------------------------------------------------------------


def test_retries(hive: Hive) -> None:
    status, message = "timeout", "no answer from the CRM " * 20
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.retry(
                    f"Failed ({status}): {message[:100]}",
                    attempt=1,
                )
            except Exception:
                pass

    retry = hive.one("retry_started")
    assert retry.summary == f"Failed (timeout): {message[:100]}"
    assert retry.data == {"attempt": 1}
    assert retry.severity == "warn"


class ValidationError(ValueError):
    """The document is JSON, but not the one that was asked for."""


def validate_schema(document: dict[str, Any]) -> None:
    if "deal" not in document:
        raise ValidationError("field 'deal' is missing")


def ask_for_json(llm_client: LLMClient, prompt: str, system: str = "Answer in JSON.") -> Any:
    MAX_PARSE_RETRIES = 3  # noqa: N806 - the guide has it at module level

    for attempt in range(1, MAX_PARSE_RETRIES + 1):
        response = llm_client.complete(prompt=prompt, system=system)
        try:
            result = json.loads(response.content)
            validate_schema(result)
            break  # success
        except (json.JSONDecodeError, ValidationError) as e:
            _task = get_current_task()
            if _task:
                try:
                    _task.retry(
                        f"Parse failure (attempt {attempt}): {type(e).__name__}: {str(e)[:100]}",
                        attempt=attempt,
                    )
                except Exception:
                    pass
            if attempt == MAX_PARSE_RETRIES:
                raise  # all retries exhausted
            # Feed the error back into the prompt for the next attempt
            prompt += f"\n\nYour previous response was invalid: {e}. Please fix and try again."
    return result


def test_retry_pattern_structured_output_parse_failure(hive: Hive) -> None:
    llm_client = LLMClient("The deal is 40", "{}", '{"deal": 40}')
    with hive.running_task():
        assert ask_for_json(llm_client, "What is the deal?") == {"deal": 40}

    first, second = hive.events("retry_started")
    assert (
        first.summary
        == "Parse failure (attempt 1): JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
    )
    assert second.summary == "Parse failure (attempt 2): ValidationError: field 'deal' is missing"
    assert [first.data["attempt"], second.data["attempt"]] == [1, 2]
    assert "field 'deal' is missing" in str(llm_client.prompts[2])


def test_retry_pattern_all_retries_exhausted(hive: Hive) -> None:
    with pytest.raises(ValidationError), hive.running_task():
        ask_for_json(LLMClient("{}"), "What is the deal?")

    assert [e.data["attempt"] for e in hive.events("retry_started")] == [1, 2, 3]
    assert hive.one("task_failed").payload["exception_type"] == "ValidationError"


def test_retry_pattern_rate_limit(hive: Hive) -> None:
    external_api, api_name, params = BusyApi(refusals=2), "crm", "q=ada"
    clock = NotingClock()
    with hive.running_task():
        for attempt in range(1, 4):
            try:
                result = external_api.call(params)
                break
            except RateLimitError as e:
                backoff = 2**attempt  # 2s, 4s, 8s
                _task = get_current_task()
                if _task:
                    try:
                        _task.retry(
                            f"Rate limited by {api_name}: {e}",
                            attempt=attempt,
                            backoff_seconds=backoff,
                        )
                    except Exception:
                        pass
                clock.sleep(backoff)  # the guide's time.sleep

    assert result == "done with q=ada"
    assert clock.slept == [2, 4]
    first, second = hive.events("retry_started")
    assert first.summary == "Rate limited by crm: 429 too many requests"
    assert first.data == {"attempt": 1, "backoff_seconds": 2}
    assert second.data == {"attempt": 2, "backoff_seconds": 4}


# -- TODOs -------------------------------------------------------------------------------------------


def test_todos(hive: Hive) -> None:
    with hive.running_agent():
        _agent = get_hiveloop_agent()
        if _agent:
            try:
                _agent.todo(
                    todo_id="td_001",
                    action="created",  # created, completed, failed, dismissed, deferred
                    summary="Retry: Process lead TechNova",
                    priority="high",  # optional
                    source="failed_run",  # optional: who/what created it
                    context="error=timeout",  # optional: extra detail
                )
            except Exception:
                pass

    todo = hive.one("todo")
    assert todo.type == "custom"
    assert todo.summary == "Retry: Process lead TechNova"
    assert todo.payload["tags"] == ["todo", "created"]
    assert todo.data == {
        "todo_id": "td_001",
        "action": "created",
        "priority": "high",
        "source": "failed_run",
        "context": "error=timeout",
    }
    assert todo.severity == "info"


def test_todos_at_every_lifecycle_point(hive: Hive) -> None:
    agent = hive.agent()
    for action in ("created", "completed", "failed", "dismissed", "deferred"):
        agent.todo("td_001", action, f"Now {action}")

    assert [e.payload["tags"][1] for e in hive.events("todo")] == [
        "created",
        "completed",
        "failed",
        "dismissed",
        "deferred",
    ]
    assert [str(e.severity) for e in hive.events("todo")] == ["info", "info", "warn", "info", "info"]


# -- Queue snapshots ---------------------------------------------------------------------------------

queues = {
    "sales": WorkQueue(
        [QueueItem("msg-1", "Invoice of TechNova"), QueueItem("msg-2", "", "Please call back " * 10)]
    )
}
processing_now = {"sales": QueueItem("msg-0", "Contract of TechNova")}


def get_queue_for_agent(agent_id: str) -> WorkQueue | None:
    return queues.get(agent_id)


def get_currently_processing(agent_id: str) -> QueueItem | None:
    return processing_now.get(agent_id)


def make_queue_provider(agent_id):
    def provider():
        queue = get_queue_for_agent(agent_id)
        if not queue:
            return {"depth": 0}
        return {
            "depth": len(queue),
            "oldest_age_seconds": queue.oldest_age_seconds(),
            "items": [
                {
                    "id": item.id,
                    "priority": item.priority,
                    "source": item.source,
                    "summary": item.title or item.message[:80],
                    "queued_at": item.timestamp.isoformat(),
                }
                for item in queue[:10]  # cap at 10 items
            ],
            "processing": {
                "id": current.id,
                "summary": current.title or current.message[:80],
                "started_at": current.timestamp.isoformat(),
            }
            if (current := get_currently_processing(agent_id))
            else None,
        }

    return provider


def test_queue_snapshots_best_approach(hive: Hive) -> None:
    hb = hive.hb
    # At agent registration
    hb.agent(
        agent_id="sales",
        heartbeat_interval=0.05,
        queue_provider=make_queue_provider("sales"),
    )

    eventually(lambda: hive.events("queue_snapshot"))
    snapshot = hive.events("queue_snapshot")[0]
    assert snapshot.summary == "Queue: 2 items, oldest 120s"
    assert snapshot.payload["tags"] == ["queue"]
    assert snapshot.data == {
        "depth": 2,
        "oldest_age_seconds": 120,
        "items": [
            {
                "id": "msg-1",
                "priority": "high",
                "source": "webhook",
                "summary": "Invoice of TechNova",
                "queued_at": "2026-01-02T15:00:00+00:00",
            },
            {
                "id": "msg-2",
                "priority": "high",
                "source": "webhook",
                "summary": ("Please call back " * 10)[:80],
                "queued_at": "2026-01-02T15:00:00+00:00",
            },
        ],
        "processing": {
            "id": "msg-0",
            "summary": "Contract of TechNova",
            "started_at": "2026-01-02T15:00:00+00:00",
        },
    }
    assert snapshot.task is None
    beats = (e.payload["hiveloop"] for e in hive.events("heartbeat"))
    assert next(b["queue_depth"] for b in beats if "queue_depth" in b) == 2


def test_queue_snapshots_before_the_state_is_available(hive: Hive) -> None:
    hive.hb.agent("newcomer", heartbeat_interval=0.05, queue_provider=make_queue_provider("newcomer"))

    eventually(lambda: hive.events("queue_snapshot"))
    snapshot = hive.events("queue_snapshot")[0]
    assert snapshot.summary == "Queue: 0 items"
    assert snapshot.data == {"depth": 0}


@pytest.mark.parametrize("current", [None, QueueItem("msg-0", "Contract of TechNova")])
def test_queue_snapshots_alternative(hive: Hive, current: QueueItem | None) -> None:
    queue = queues["sales"]
    with hive.running_agent():
        _agent = get_hiveloop_agent()
        if _agent:
            try:
                _agent.queue_snapshot(
                    depth=len(queue),
                    oldest_age_seconds=queue.oldest_age_seconds(),
                    items=[{"id": i.id, "summary": i.title[:80]} for i in queue[:10]],
                    processing={"id": current.id, "summary": current.title[:80]} if current else None,
                )
            except Exception:
                pass

    snapshot = hive.one("queue_snapshot")
    assert snapshot.type == "custom"
    assert snapshot.data["items"] == [
        {"id": "msg-1", "summary": "Invoice of TechNova"},
        {"id": "msg-2", "summary": ""},
    ]
    if current:
        assert snapshot.data["processing"] == {"id": "msg-0", "summary": "Contract of TechNova"}
    else:
        assert "processing" not in snapshot.data


# -- Scheduled work ----------------------------------------------------------------------------------


def test_scheduled_work(hive: Hive) -> None:
    agent_obj = FrameworkAgent()
    agent_obj._hiveloop = hive.agent()

    _agent = getattr(agent_obj, "_hiveloop", None)
    if _agent:
        try:
            _agent.scheduled(
                items=[
                    {
                        "id": "hb_crm_sync",
                        "name": "CRM Sync",
                        "interval": "10m",
                        "enabled": True,
                        "last_status": None,
                    },
                    {
                        "id": "hb_email_check",
                        "name": "Email Check",
                        "interval": "15m",
                        "enabled": True,
                        "last_status": None,
                    },
                ]
            )
        except Exception:
            pass

    scheduled = hive.one("scheduled")
    assert scheduled.type == "custom"
    assert scheduled.summary == "2 scheduled items"
    assert scheduled.payload["tags"] == ["scheduled"]
    assert [item["id"] for item in scheduled.data["items"]] == ["hb_crm_sync", "hb_email_check"]
    assert scheduled.data["items"][0]["enabled"] is True
    assert scheduled.data["items"][0]["interval"] == "10m"


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_scheduled_work_update_on_completion(hive: Hive) -> None:
    with hive.running_agent() as _agent:
        # After a scheduled job completes
        if _agent:
            try:
                _agent.scheduled(
                    items=[
                        {
                            "id": "hb_crm_sync",
                            "name": "CRM Sync",
                            "interval": "10m",
                            "enabled": True,
                            "last_status": "success",
                            "last_run": datetime.utcnow().isoformat() + "Z",
                        },
                        # ... other scheduled items unchanged ...
                    ]
                )
            except Exception:
                pass

    scheduled = hive.one("scheduled")
    assert scheduled.summary == "1 scheduled items"
    assert scheduled.data["items"][0]["last_status"] == "success"
    assert scheduled.data["items"][0]["last_run"].endswith("Z")
