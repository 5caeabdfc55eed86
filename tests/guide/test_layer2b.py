"""Integration guide, Layer 2b: Tool Execution Tracking.

Covers the samples under: Step 9: Wrap tool dispatch with agent.track_context() · Separated lifecycle
pattern · Standardized tool payloads with tool_payload().
"""

from __future__ import annotations

import pytest

from hiveloop import Agent, tool_payload

from .hive import Hive, action_name
from .world import ToolRegistry, ToolResult
from .your_app.observability import get_hiveloop_agent

tool_registry = ToolRegistry()


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    """Count executions anew."""
    tool_registry.executed.clear()


def execute_tool(tool_name, parameters):
    _agent = get_hiveloop_agent()
    if _agent is not None:
        with _agent.track_context(tool_name) as ctx:
            result = tool_registry.execute(tool_name, parameters)
            ctx.set_payload(
                {
                    "args": {k: str(v)[:100] for k, v in parameters.items()},
                    "result_preview": str(result)[:200],
                    "success": result.success,
                    "error": result.error,
                }
            )
            return result
    else:
        return tool_registry.execute(tool_name, parameters)


def test_step_9_wrap_tool_dispatch(hive: Hive) -> None:
    with hive.running_task():
        result = execute_tool("search_contacts", {"query": "a" * 150 + " Ada"})
        execute_tool("search_contacts", {"query": "ada"})

    assert result.success
    assert hive.names() == ["task_started", *["action_started", "action_completed"] * 2, "task_completed"]
    assert hive.events("action_completed")[0].payload["args"] == {"query": "a" * 100}
    completed = hive.events("action_completed")[1]
    assert action_name(completed) == "search_contacts"
    assert completed.payload["args"] == {"query": "ada"}
    assert completed.payload["result_preview"] == '["Ada Lovelace"]'
    assert completed.payload["success"] is True
    assert completed.payload["error"] is None
    assert completed.status == "success"
    assert isinstance(completed.duration_ms, int)
    assert completed.task == hive.one("task_started").task


def test_step_9_an_exception_fails_the_action(hive: Hive) -> None:
    with hive.running_task(), pytest.raises(AttributeError, match="no_such_tool"):
        execute_tool("no_such_tool", {})

    failed = hive.one("action_failed")
    assert action_name(failed) == "no_such_tool"
    assert failed.payload["exception_type"] == "AttributeError"
    assert "no_such_tool" in failed.payload["exception_message"]
    assert (failed.status, failed.severity) == ("failure", "error")
    assert hive.one("task_completed").status == "success", "the caller handled it inside the task"


def test_step_9_a_tool_that_calls_a_tool_is_its_parent(hive: Hive) -> None:
    with hive.running_task(), get_hiveloop_agent().track_context("research"):
        execute_tool("search_contacts", {"query": "grace"})

    outer, inner = hive.events("action_started")
    assert (action_name(outer), action_name(inner)) == ("research", "search_contacts")
    assert outer.action is not None
    assert inner.action is not None
    assert outer.action.parent_action_id is None
    assert inner.action.parent_action_id == outer.action.action_id
    assert [action_name(e) for e in hive.events("action_completed")] == ["search_contacts", "research"]


def test_step_9_without_an_agent_the_tool_just_runs(hive: Hive) -> None:
    assert execute_tool("search_contacts", {"query": "ada"}).data == ["Ada Lovelace"]
    assert hive.names() == []


def separated(_agent: Agent | None, tool_name: str, parameters: dict[str, object]) -> ToolResult:
    _ctx = None
    if _agent is not None:
        try:
            _ctx = _agent.track_context(tool_name)
            _ctx.__enter__()
        except Exception:
            _ctx = None

    # Tool always executes exactly once, regardless of tracking
    result = tool_registry.execute(tool_name, parameters)

    if _ctx is not None:
        try:
            _ctx.set_payload(
                {
                    "args": {k: str(v)[:100] for k, v in parameters.items()},
                    "result_preview": (result.output or "")[:200],
                    "success": result.success,
                    "error": result.error,
                }
            )
            _ctx.__exit__(None, None, None)
        except Exception:
            pass
    return result


def test_separated_lifecycle_pattern(hive: Hive) -> None:
    with hive.running_task():
        result = separated(get_hiveloop_agent(), "send_mail", {"to": "ada@example.com"})

    assert not result.success
    assert tool_registry.executed == ["send_mail"], "exactly once"
    assert hive.names() == ["task_started", "action_started", "action_completed", "task_completed"]
    completed = hive.one("action_completed")
    assert completed.payload["args"] == {"to": "ada@example.com"}
    assert completed.payload["result_preview"] == "null"
    assert completed.payload["success"] is False
    assert completed.payload["error"] == "no route to ada@example.com"


def test_separated_lifecycle_leaves_the_context_clean(hive: Hive) -> None:
    with hive.running_task():
        separated(get_hiveloop_agent(), "search_contacts", {"query": "ada"})
        separated(get_hiveloop_agent(), "search_contacts", {"query": "alan"})

    first, second = hive.events("action_started")
    assert first.action is not None
    assert second.action is not None
    assert first.action.parent_action_id is None
    assert second.action.parent_action_id is None


def execute_crm_tool(tool_name, parameters):
    _agent = get_hiveloop_agent()
    if _agent is not None:
        with _agent.track_context(tool_name) as ctx:
            result = tool_registry.execute(tool_name, parameters)
            ctx.set_payload(
                tool_payload(
                    args=parameters,
                    result=result.data,
                    success=result.ok,
                    error=result.error,
                    tool_category="crm",
                    http_status=result.status_code,
                    result_size_bytes=len(result.raw),
                )
            )
            return result
    else:
        return tool_registry.execute(tool_name, parameters)


def test_standardized_tool_payloads(hive: Hive) -> None:
    with hive.running_task():
        execute_crm_tool("search_contacts", {"query": "ada", "limit": 5})

    payload = hive.one("action_completed").payload
    assert payload == {
        "action_name": "search_contacts",
        "args": {"query": "ada", "limit": 5},
        "result": "['Ada Lovelace']",
        "success": True,
        "tool_category": "crm",
        "http_status": 200,
        "result_size_bytes": 16,
    }


def test_standardized_tool_payload_of_a_tool_that_reports_failure(hive: Hive) -> None:
    with hive.running_task():
        execute_crm_tool("send_mail", {"to": "ada"})

    payload = hive.one("action_completed").payload
    assert payload["success"] is False
    assert payload["error"] == "no route to ada"
    assert payload["http_status"] == 502
    assert "result" not in payload, "None-valued fields are stripped"
