"""The sensor reference: its usage patterns, examples and signatures.

Covers the samples under: 2.1 heartbeat_payload callback · 2.3 queue_provider callback · 2.4 agent.todo()
(tool use) · 3.1 agent.task() · 3.2 agent.start_task() · 3.4 task.set_payload() · 3.5 @agent.track() ·
3.6 agent.track_context() · 3.7 tool_payload() · 3.10 task.plan_step() · 3.14 task.retry() · 3.15 task.event()
· 3.16 HiveBoardLogHandler; and the parameter tables of all sensors.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import hiveloop
from hiveloop import Agent, HiveBoard, Task, tool_payload
from hiveloop.contrib.log_handler import HiveBoardLogHandler
from tests.support.wait import eventually

from .hive import Hive, action_name
from .world import NotingClock, ToolRegistry


class Crm:
    """Searches the contacts of the registry."""

    def search(self, query: str) -> Any:
        return ToolRegistry().execute("search_contacts", {"query": query})


crm = Crm()

# -- Group 2: state ----------------------------------------------------------------------------------

langchain_agent = SimpleNamespace(
    memory=SimpleNamespace(buffer=["hello", "hi"]), chain=SimpleNamespace(chain_type="react")
)
crew = SimpleNamespace(agents=["scout", "closer"], completed=7)
autogen_agent = SimpleNamespace(chat_messages=["hello"], llm_config={"model": "gpt-4o"})

EXAMPLE_STATE = {
    "memory_items": 42,
    "context_window_usage": 0.73,
    "active_tools": ["search", "calculator"],
    "model": "claude-sonnet-4-20250514",
}


def langchain_state():
    agent = langchain_agent
    return {"memory_size": len(agent.memory.buffer), "chain_type": agent.chain.chain_type}


def autogen_state():
    agent = autogen_agent
    return {"chat_history_len": len(agent.chat_messages), "model": agent.llm_config["model"]}


@pytest.mark.parametrize(
    ("callback", "sent"),
    [
        pytest.param(lambda: EXAMPLE_STATE, EXAMPLE_STATE, id="example"),
        pytest.param(langchain_state, {"memory_size": 2, "chain_type": "react"}, id="LangChain"),
        pytest.param(
            lambda: {"crew_size": len(crew.agents), "completed_tasks": crew.completed},
            {"crew_size": 2, "completed_tasks": 7},
            id="CrewAI",
        ),
        pytest.param(autogen_state, {"chat_history_len": 1, "model": "gpt-4o"}, id="Autogen"),
    ],
)
def test_2_1_heartbeat_payload_callback(
    hive: Hive, callback: Callable[[], dict[str, Any]], sent: dict[str, Any]
) -> None:
    hive.hb.agent("sales", heartbeat_interval=0.05, heartbeat_payload=callback)

    payload = dict(hive.full_beat().payload)
    payload.pop("hiveloop", None)
    assert payload == sent


def test_2_3_queue_provider_callback(hive: Hive) -> None:
    state = {
        "depth": 5,
        "oldest_age_seconds": 120,
        "items": [
            {
                "id": "msg-1",
                "priority": "high",
                "source": "user",
                "summary": "Process invoice",
                "queued_at": "2025-01-01T12:00:00Z",
            }
        ],
        "processing": {"id": "msg-0", "summary": "Analyzing doc", "started_at": "...", "elapsed_ms": 4500},
    }
    hive.hb.agent("sales", heartbeat_interval=0.05, queue_provider=lambda: state)

    eventually(lambda: hive.events("queue_snapshot"))
    snapshot = hive.events("queue_snapshot")[0]
    assert snapshot.type == "custom"
    assert snapshot.summary == "Queue: 5 items, oldest 120s"
    assert snapshot.payload["tags"] == ["queue"]
    assert snapshot.data == state


def test_2_4_todo_around_a_tool(hive: Hive) -> None:
    todo = hive.agent().todo
    todo("tool-search-1", "created", "Search database")
    todo("tool-search-1", "completed", "Found 3 results")

    created, completed = hive.events("todo")
    assert created.data == {"todo_id": "tool-search-1", "action": "created"}
    assert completed.payload["tags"] == ["todo", "completed"]
    assert completed.summary == "Found 3 results"


# -- Group 3: activity -------------------------------------------------------------------------------


def test_3_1_task(hive: Hive) -> None:
    agent = hive.agent()
    with agent.task("process-lead-42", project="sales", type="enrichment") as task:
        # all events within this block inherit task context
        task.llm_call("reason", "gpt-4o")
        task.plan("Enrich the lead", ["Search", "Merge"])

    assert hive.names() == ["task_started", "llm_call", "plan_created", "task_completed"]
    tasks = {e.task for e in hive.events() if e.type != "agent_registered"}
    assert len(tasks) == 1
    (info,) = tasks
    assert info is not None
    assert (info.task_id, info.project, info.type) == ("process-lead-42", "sales", "enrichment")


@pytest.mark.parametrize("broken", [False, True])
def test_3_2_start_task(hive: Hive, broken: bool) -> None:
    agent = hive.agent()

    def do_work():
        if broken:
            raise OSError("disk full")
        return 42

    task = agent.start_task("long-running-job")
    try:
        result = do_work()
        task.complete(payload={"result": result})
    except Exception as e:
        task.fail(exception=e)

    end = hive.events()[-1]
    assert isinstance(end.duration_ms, int)
    if broken:
        assert (end.type, end.status) == ("task_failed", "failure")
        assert end.payload["exception_type"] == "OSError"
        assert end.payload["exception_message"] == "disk full"
    else:
        assert (end.type, end.status) == ("task_completed", "success")
        assert end.payload["result"] == 42


def test_3_4_set_payload(hive: Hive) -> None:
    agent, doc = hive.agent(), "one\ftwo\fthree"

    def analyze(text):
        return SimpleNamespace(pages=text.count("\f") + 1, entities=text.split("\f"))

    with agent.task("analyze-doc") as task:
        result = analyze(doc)
        task.set_payload({"pages_processed": result.pages, "entities_found": len(result.entities)})

    payload = hive.one("task_completed").payload
    assert payload["pages_processed"] == 3
    assert payload["entities_found"] == 3


def test_3_5_track(hive: Hive) -> None:
    agent = hive.agent()

    @agent.track("search_database")
    async def search(query: str) -> list:
        return [query, enrich("lead-1")]

    @agent.track("enrich_lead")
    def enrich(lead_id: str) -> dict:
        return {"lead": lead_id}

    assert asyncio.run(search("ada")) == ["ada", {"lead": "lead-1"}]

    outer, inner = hive.events("action_started")
    assert (action_name(outer), action_name(inner)) == ("search_database", "enrich_lead")
    assert outer.payload["function"].endswith(".search")
    assert outer.action is not None
    assert inner.action is not None
    assert inner.action.parent_action_id == outer.action.action_id
    assert all(isinstance(e.duration_ms, int) for e in hive.events("action_completed"))
    assert inspect.iscoroutinefunction(search), "frameworks look"
    assert search.__name__ == "search"


def test_3_6_track_context(hive: Hive) -> None:
    agent, query = hive.agent(), "ada"
    with agent.track_context("call_crm_api") as ctx:
        result = crm.search(query)
        ctx.set_payload(
            tool_payload(
                args={"query": query},
                result=result.data,
                success=result.ok,
                duration_ms=result.elapsed,
            )
        )

    assert hive.names() == ["action_started", "action_completed"]
    assert hive.one("action_completed").payload == {
        "action_name": "call_crm_api",
        "args": {"query": "ada"},
        "result": "['Ada Lovelace']",
        "success": True,
        "duration_ms": 12,
    }


def test_3_7_tool_payload(hive: Hive) -> None:
    agent, query = hive.agent(), "ada"
    with agent.track_context("search_contacts") as ctx:
        result = crm.search(query)
        ctx.set_payload(
            tool_payload(
                args={"query": query},
                result=result.data,
                success=result.ok,
                tool_category="crm",
                http_status=result.status_code,
            )
        )

    payload = hive.one("action_completed").payload
    assert payload["tool_category"] == "crm"
    assert payload["http_status"] == 200


def test_3_10_plan_step(hive: Hive) -> None:
    goal, steps = "Answer TechNova", ["Find the contact", "Write the mail"]

    def execute(step):
        return step.upper()

    with hive.running_task() as task:
        task.plan(goal, steps)
        for i, step in enumerate(steps):
            task.plan_step(i, "started", step)
            result = execute(step)
            task.plan_step(i, "completed", f"Done: {result}", turns=3, tokens=4500)

    reported = hive.events("plan_step")
    assert [e.summary for e in reported] == [
        "Step 0 started: Find the contact",
        "Step 0 completed: Done: FIND THE CONTACT",
        "Step 1 started: Write the mail",
        "Step 1 completed: Done: WRITE THE MAIL",
    ]
    assert reported[3].data == {
        "step_index": 1,
        "total_steps": 2,
        "action": "completed",
        "turns": 3,
        "tokens": 4500,
        "plan_revision": 0,
    }


def test_3_14_retry(hive: Hive) -> None:
    class TransientError(Exception):
        pass

    max_retries, answers = 3, [TransientError("502"), TransientError("503"), "ok"]
    clock = NotingClock()

    def api_call():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call_with_retries(task):  # noqa: RET503 - as the reference prints it
        for attempt in range(max_retries):
            try:
                return api_call()
            except TransientError as e:
                task.retry(f"API call failed: {e}", attempt=attempt + 1, backoff_seconds=2**attempt)
                clock.sleep(2**attempt)  # the reference's time.sleep

    with hive.running_task() as task:
        assert call_with_retries(task) == "ok"

    assert clock.slept == [1, 2]
    first, second = hive.events("retry_started")
    assert first.summary == "API call failed: 502"
    assert first.data == {"attempt": 1, "backoff_seconds": 1}
    assert second.data == {"attempt": 2, "backoff_seconds": 2}
    assert {str(e.severity) for e in (first, second)} == {"warn"}


def test_3_15_custom_events(hive: Hive) -> None:
    with hive.running_task() as task:
        task.event("custom", {"kind": "guardrail", "data": {"rule": "pii_filter", "action": "blocked"}})
        task.event("custom", {"kind": "memory_update", "data": {"items_added": 3}})
        task.event("custom", {"kind": "agent_message", "data": {"to": "agent-b", "topic": "handoff"}})

    assert hive.one("guardrail").data == {"rule": "pii_filter", "action": "blocked"}
    assert hive.one("memory_update").data == {"items_added": 3}
    assert hive.one("agent_message").data == {"to": "agent-b", "topic": "handoff"}


def test_3_16_log_bridge(hive: Hive) -> None:
    agent = hive.agent()
    names = ("my_app", "httpx", "openai")
    before = {name: list(logging.getLogger(name).handlers) for name in names}
    try:
        logging.getLogger("my_app").addHandler(HiveBoardLogHandler(agent))
        logging.getLogger("httpx").addHandler(HiveBoardLogHandler(agent, category="http"))
        logging.getLogger("openai").addHandler(HiveBoardLogHandler(agent, category="llm"))

        for name in names:
            logging.getLogger(name).warning("%s is slow", name)
    finally:
        for name, handlers in before.items():
            logging.getLogger(name).handlers[:] = handlers

    issues = hive.events("issue")
    assert [e.data["category"] for e in issues] == ["log", "http", "llm"]
    assert [e.data["issue_id"] for e in issues] == [f"log-{name}-WARNING" for name in names]
    assert {e.data["severity"] for e in issues} == {"medium"}


# -- the parameter tables ----------------------------------------------------------------------------

REQUIRED = inspect.Parameter.empty
NAMES_ONLY = object()
"""The default is documented, but None stands for it: the environment may say otherwise."""

SIGNATURES: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "1.1 init": (
        hiveloop.init,
        dict.fromkeys(
            [
                "api_key",
                "environment",
                "group",
                "endpoint",
                "flush_interval",
                "batch_size",
                "max_queue_size",
                "debug",
            ],
            NAMES_ONLY,
        ),
    ),
    "1.2 agent": (
        HiveBoard.agent,
        {
            "agent_id": REQUIRED,
            "type": "general",
            "version": None,
            "framework": "custom",
            "heartbeat_interval": 30.0,
            "stuck_threshold": 300,
            "heartbeat_payload": None,
            "queue_provider": None,
        },
    ),
    "1.3 get_agent": (HiveBoard.get_agent, {"agent_id": REQUIRED}),
    "2.2 queue_snapshot": (
        Agent.queue_snapshot,
        {"depth": REQUIRED, "oldest_age_seconds": None, "items": None, "processing": None},
    ),
    "2.4 todo": (
        Agent.todo,
        {
            "todo_id": REQUIRED,
            "action": REQUIRED,
            "summary": REQUIRED,
            "priority": None,
            "source": None,
            "context": None,
            "due_by": None,
        },
    ),
    "2.5 scheduled": (Agent.scheduled, {"items": REQUIRED}),
    "2.6 report_issue": (
        Agent.report_issue,
        {
            "summary": REQUIRED,
            "severity": REQUIRED,
            "issue_id": None,
            "category": None,
            "context": None,
            "occurrence_count": None,
        },
    ),
    "2.7 resolve_issue": (Agent.resolve_issue, {"summary": REQUIRED, "issue_id": None}),
    "3.1 task": (
        Agent.task,
        {"task_id": REQUIRED, "project": None, "type": None, "task_run_id": None, "correlation_id": None},
    ),
    "3.2 start_task": (
        Agent.start_task,
        {"task_id": REQUIRED, "project": None, "type": None, "task_run_id": None, "correlation_id": None},
    ),
    "3.3 complete": (Task.complete, {"status": "success", "payload": None}),
    "3.3 fail": (Task.fail, {"exception": None, "payload": None}),
    "3.4 set_payload": (Task.set_payload, {"payload": REQUIRED}),
    "3.6 track_context": (Agent.track_context, {"action_name": REQUIRED}),
    "3.7 tool_payload": (
        tool_payload,
        {
            "args": None,
            "result": None,
            "success": True,
            "error": None,
            "duration_ms": None,
            "tool_category": None,
            "http_status": None,
            "result_size_bytes": None,
            "args_max_len": 500,
            "result_max_len": 1000,
        },
    ),
    **{
        f"3.8 {owner.__name__}.llm_call": (
            owner.llm_call,
            {
                "name": REQUIRED,
                "model": REQUIRED,
                "tokens_in": None,
                "tokens_out": None,
                "cost": None,
                "duration_ms": None,
                "prompt_preview": None,
                "response_preview": None,
                "metadata": None,
            },
        )
        for owner in (Task, Agent)
    },
    "3.9 plan": (Task.plan, {"goal": REQUIRED, "steps": REQUIRED, "revision": 0}),
    "3.10 plan_step": (
        Task.plan_step,
        {
            "step_index": REQUIRED,
            "action": REQUIRED,
            "summary": REQUIRED,
            "total_steps": None,
            "turns": None,
            "tokens": None,
            "plan_revision": None,
        },
    ),
    "3.11 escalate": (
        Task.escalate,
        {"summary": NAMES_ONLY, "assigned_to": None, "reason": None, "parent_event_id": None},
    ),
    "3.12 request_approval": (
        Task.request_approval,
        {"summary": NAMES_ONLY, "approver": None, "parent_event_id": None},
    ),
    "3.13 approval_received": (
        Task.approval_received,
        {"summary": NAMES_ONLY, "approved_by": None, "decision": "approved", "parent_event_id": None},
    ),
    "3.14 retry": (
        Task.retry,
        {"summary": NAMES_ONLY, "attempt": None, "backoff_seconds": None, "parent_event_id": None},
    ),
    **{
        f"3.15 {owner.__name__}.event": (
            owner.event,
            {"event_type": REQUIRED, "payload": None, "severity": None, "parent_event_id": None},
        )
        for owner in (Task, Agent)
    },
    "3.16 HiveBoardLogHandler": (
        HiveBoardLogHandler,
        {"agent": REQUIRED, "level": logging.WARNING, "category": "log"},
    ),
    "3.18 shutdown": (hiveloop.shutdown, {"timeout": NAMES_ONLY}),
}


@pytest.mark.parametrize("entry", SIGNATURES)
def test_signatures_are_those_of_the_parameter_tables(entry: str) -> None:
    function, documented = SIGNATURES[entry]
    parameters = {n: p for n, p in inspect.signature(function).parameters.items() if n != "self"}

    assert list(parameters)[: len(documented)] == list(documented), "same names in the same order"
    for name, default in documented.items():
        if default is not NAMES_ONLY:
            assert parameters[name].default == default, name
    extra = [p for n, p in parameters.items() if n not in documented]
    assert all(p.default is not REQUIRED for p in extra), "nothing more is required"


def test_flush_takes_no_required_parameter(hive: Hive) -> None:
    hive.agent()
    assert hiveloop.flush() is True
