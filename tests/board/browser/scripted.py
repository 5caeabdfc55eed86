"""Agents that do everything the integration guide shows, once, and then stay alive until they are killed.

Run as a program, so that what they do is what a user's own program would do. Prints ``ready`` when the board
has everything.
"""

from __future__ import annotations

import contextlib
import threading

import hiveloop
from hiveloop import tool_payload

AMPLE_SECONDS = 30.0


def main() -> None:
    """Do it all."""
    hb = hiveloop.init(flush_interval=0.1)
    worker = hb.agent(
        "lead-qualifier",
        type="sales",
        version="1.4.0",
        framework="langgraph",
        heartbeat_interval=1,
        heartbeat_payload=lambda: {"model": "gpt-4o", "consecutive_failures": 3, "cost_since_boot": 0.42},
        queue_provider=lambda: {
            "depth": 8,
            "oldest_age_seconds": 120,
            "items": [{"id": "lead-9", "priority": "high", "source": "web", "summary": "Lead nine"}],
        },
    )
    succeed(worker)
    fail(worker)
    pipeline(worker)
    insights(worker)
    waiter = hb.agent("refund-desk", type="support", heartbeat_interval=1)
    wait(waiter)
    busy = hb.agent("report-writer", heartbeat_interval=1, stuck_threshold=3_600)  # however long tests take
    busy.start_task("report-1", project="reports", type="report")
    action = busy.track_context("summarise_pages")
    action.__enter__()
    silent = hb.agent("mail-sorter", heartbeat_interval=0, stuck_threshold=1)
    silent.start_task("inbox-1")
    print("ready" if hb.flush(AMPLE_SECONDS) else "lost", flush=True)
    threading.Event().wait()


def take_a_moment() -> None:
    """Let work take the time that it tells of."""
    threading.Event().wait(0.05)


def succeed(agent: hiveloop.Agent) -> None:
    """A task with a plan, nested actions, LLM calls with content, an escalation and a decision."""
    with agent.task("lead-4821", project="sales", type="lead") as task:
        task.plan("Answer the lead", ["Read it", "Look it up", "Draft", "Send"])
        task.plan_step(0, "started", "Read it")
        with agent.track_context("read_lead") as action:
            take_a_moment()
            task.llm_call(
                "understand",
                model="gpt-4o",
                tokens_in=1200,
                tokens_out=350,
                cost=0.0085,
                duration_ms=40,
                prompt_preview="What does this lead want?",
                response_preview='{"intent":"pricing","urgency":"high"}',
                metadata={
                    "cache_read_input_tokens": 900,
                    "stop_reason": "end_turn",
                    "turn_number": 1,
                    "context_utilization_pct": 42,
                    "system_prompt_tokens": 300,
                    "history_tokens": 700,
                    "tool_results_tokens": 200,
                },
            )
            with agent.track_context("crm_search") as tool:
                take_a_moment()
                tool.set_payload(
                    tool_payload(
                        args={"query": "Ana"}, result="plan: pro", tool_category="crm", http_status=200
                    )
                )
            action.set_payload({"fields_read": 4})
        task.plan_step(0, "completed", "Read it", turns=1, tokens=1550)
        task.plan_step(1, "failed", "CRM was down")
        task.plan("Answer without the CRM", ["Read it", "Draft", "Send"], revision=1)
        task.plan_step(0, "completed", "Read it")
        task.plan_step(1, "skipped", "Template used")
        task.llm_call("draft", model="claude-sonnet-4-5", tokens_in=2300, tokens_out=600)
        task.escalate("Discount above the limit", assigned_to="sales-lead")
        task.request_approval("Offer 20 % discount?", approver="sales-lead")
        task.approval_received("Offer 20 % discount?", approved_by="mia", decision="rejected")


def fail(agent: hiveloop.Agent) -> None:
    """A task that fails in a tool, after a retry."""
    with contextlib.suppress(TimeoutError), agent.task("lead-4822", project="sales", type="lead") as task:
        task.llm_call("understand", model="gpt-4o", tokens_in=800, tokens_out=90, cost=0.003)
        with contextlib.suppress(ConnectionError), agent.track_context("crm_update"):
            raise ConnectionError("CRM refused the connection")
        task.retry("CRM refused", attempt=1, backoff_seconds=0.5)
        with agent.track_context("crm_update") as action:
            action.set_payload(tool_payload(args={"lead": 4822}, success=False, error="no answer"))
            take_a_moment()
            raise TimeoutError("crm.example.com did not answer within 30 s")


def pipeline(agent: hiveloop.Agent) -> None:
    """Issues, to-dos and a schedule."""
    for _ in range(3):
        agent.report_issue("CRM rate limit reached", "high", issue_id="crm-429", category="rate_limit")
    agent.report_issue("Totals are wrong", "critical")
    agent.report_issue("Solved already", "low", issue_id="old")
    agent.resolve_issue("Solved already", issue_id="old")
    agent.todo("todo-1", "created", "Retry the failed CRM update", priority="high", source="lead-4822")
    agent.todo("todo-2", "created", "Done with already")
    agent.todo("todo-2", "completed", "Done with already")
    agent.scheduled(
        [
            {
                "id": "daily",
                "name": "Daily report",
                "next_run": "2031-01-01T08:00:00Z",
                "last_run": "2026-01-01T08:00:00Z",
                "last_status": "failed",
                "interval": "1d",
                "enabled": True,
            }
        ]
    )


def insights(agent: hiveloop.Agent) -> None:
    """Kinds beyond the well-known ones."""
    for version in (6, 7):
        agent.event(
            "config_snapshot",
            {"summary": f"Prompt {version}", "data": {"model": "gpt-4o", "prompt_version": version}},
        )
    agent.event(
        "anomaly", {"summary": "The same search again", "data": {"detector": "cycle"}}, severity="warn"
    )
    agent.event("learning", {"summary": "Corrected itself", "data": {"correction": True}})


def wait(agent: hiveloop.Agent) -> None:
    """A task that waits for an approval for as long as the program runs."""
    task = agent.start_task("refund-17", project="support", type="refund")
    task.request_approval("Refund of $120?", approver="support-lead", reason="above the limit")
    hiveloop.clear_current_task()


if __name__ == "__main__":
    main()
