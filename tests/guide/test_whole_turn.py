"""Integration guide, Putting It All Together: Complete Turn Instrumentation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import hiveloop

from .hive import Hive, action_name
from .world import SONNET, LLMClient, ToolCall, ToolRegistry
from .your_app.observability import estimate_cost, get_current_task, get_hiveloop_agent

if TYPE_CHECKING:
    import pytest

llm_client = LLMClient(
    tool_calls=[ToolCall("search_contacts", {"query": "ada"}), ToolCall("send_mail", {"to": "ada"})]
)
tool_registry = ToolRegistry()


def run_turn(messages, tool_catalog, system_prompt):
    """One turn of the agentic loop with full HiveLoop instrumentation."""
    # --- LLM CALL (Layer 2a) ---
    _start = time.perf_counter()
    response = llm_client.chat(
        messages=messages,
        tools=tool_catalog,
        system=system_prompt,
    )
    _elapsed_ms = (time.perf_counter() - _start) * 1000

    tokens_in = response.usage.input_tokens
    tokens_out = response.usage.output_tokens

    _task = get_current_task()
    if _task:
        try:
            _task.llm_call(
                "agent_turn",
                model=response.model,
                tokens_in=tokens_in,
                tokens_out=tokens_out,
                cost=estimate_cost(response.model, tokens_in, tokens_out),
                duration_ms=round(_elapsed_ms),
            )
        except Exception:
            pass

    # --- TOOL EXECUTION (Layer 2b) ---
    if response.tool_calls:
        _agent = get_hiveloop_agent()
        for tool_call in response.tool_calls:
            if _agent is not None:
                with _agent.track_context(tool_call.name) as ctx:
                    result = tool_registry.execute(tool_call.name, tool_call.arguments)
                    ctx.set_payload(
                        {
                            "args": {k: str(v)[:100] for k, v in tool_call.arguments.items()},
                            "result_preview": str(result)[:200],
                            "success": result.success,
                        }
                    )
            else:
                result = tool_registry.execute(tool_call.name, tool_call.arguments)

            messages.append({"role": "tool", "content": str(result)})

    return response


TURN = [
    "task_started",
    "llm_call",
    "action_started",
    "action_completed",
    "action_started",
    "action_completed",
    "task_completed",
]


def test_complete_turn(hive: Hive) -> None:
    messages = ["Which deal is next?"]
    with hive.running_task():
        run_turn(messages, ["search_contacts", "send_mail"], "You sell.")

    assert hive.names() == TURN
    assert {e.task for e in hive.events() if e.type != "agent_registered"} == {hive.one("task_started").task}
    assert hive.one("llm_call").summary == f"agent_turn → {SONNET} (6 in / 7 out, $0.000123)"
    found, mailed = hive.events("action_completed")
    assert (action_name(found), found.payload["success"]) == ("search_contacts", True)
    assert (action_name(mailed), mailed.payload["success"]) == ("send_mail", False)
    assert found.payload["args"] == {"query": "ada"}
    assert len(messages) == 3


def test_complete_turn_outside_any_task() -> None:
    messages = ["Which deal is next?"]
    assert run_turn(messages, [], "You sell.").content
    assert len(messages) == 3, "the tools run just the same"


def test_complete_turn_with_the_context_of_the_sdk(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plumbing module may be replaced by the SDK's own context, name by name."""
    monkeypatch.setitem(globals(), "get_current_task", hiveloop.get_current_task)
    monkeypatch.setitem(globals(), "get_hiveloop_agent", hiveloop.get_current_agent)
    with hive.agent().task("task-1"):
        run_turn(["Which deal is next?"], [], "You sell.")

    assert hive.names() == TURN
