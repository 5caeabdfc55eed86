"""Integration guide, Layer 3: Advanced Observability Patterns.

Covers the samples under: Learning and self-correction events · Context compaction tracking · Rich error
context · Runtime lifecycle events · Session and memory operations · Configuration snapshots.
"""

from __future__ import annotations

import hashlib
import sys
from types import SimpleNamespace

from .hive import Hive
from .world import FrameworkAgent, count_tokens
from .your_app.observability import get_current_task


def test_learning_and_self_correction_events(hive: Hive) -> None:
    turn_count = 3
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "learning",
                        "data": {
                            "trigger": "reflection",  # what triggered the learning
                            "category": "tool_selection",  # what was learned about
                            "description": "Selected search_contacts instead of search_deals",
                            "correction_applied": True,
                            "turn_number": turn_count,
                        },
                    },
                )
            except Exception:
                pass

    learning = hive.one("learning")
    assert (learning.type, learning.severity) == ("custom", "info")
    assert learning.payload == {
        "kind": "learning",
        "data": {
            "trigger": "reflection",
            "category": "tool_selection",
            "description": "Selected search_contacts instead of search_deals",
            "correction_applied": True,
            "turn_number": 3,
        },
    }
    assert learning.task == hive.one("task_started").task


def test_context_compaction_tracking(hive: Hive) -> None:
    tokens_before_compaction, tokens_after_compaction = 180_000, 45_000
    turn_count, num_messages_dropped = 14, 22
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "context_compaction",
                        "data": {
                            "tokens_before": tokens_before_compaction,
                            "tokens_after": tokens_after_compaction,
                            "tokens_removed": tokens_before_compaction - tokens_after_compaction,
                            "compression_ratio": round(tokens_after_compaction / tokens_before_compaction, 2),
                            "method": "summary",  # "summary", "truncation", "sliding_window"
                            "turn_number": turn_count,
                            "messages_removed": num_messages_dropped,
                        },
                    },
                )
            except Exception:
                pass

    assert hive.one("context_compaction").data == {
        "tokens_before": 180_000,
        "tokens_after": 45_000,
        "tokens_removed": 135_000,
        "compression_ratio": 0.25,
        "method": "summary",
        "turn_number": 14,
        "messages_removed": 22,
    }


def test_rich_error_context(hive: Hive) -> None:
    response = SimpleNamespace(status_code=422, text='{"error": "email is not one"}')
    exc, turn_count, current_tool_name = ValueError("email is not one"), 4, "create_contact"

    def is_retryable(error: Exception) -> bool:
        return not isinstance(error, ValueError)

    with hive.running_task():
        # When an external API returns an error with useful diagnostic data
        _task = get_current_task()
        if _task:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "error_context",
                        "data": {
                            "error_type": type(exc).__name__,  # "ValidationError", "HTTPError"
                            "error_message": str(exc)[:500],
                            "api_name": "crm",
                            "status_code": response.status_code,
                            "response_body": response.text[:200],
                            "retry_eligible": is_retryable(exc),
                            "turn_number": turn_count,
                            "action_name": current_tool_name,
                        },
                    },
                )
            except Exception:
                pass

    assert hive.one("error_context").data == {
        "error_type": "ValueError",
        "error_message": "email is not one",
        "api_name": "crm",
        "status_code": 422,
        "response_body": '{"error": "email is not one"}',
        "retry_eligible": False,
        "turn_number": 4,
        "action_name": "create_contact",
    }


def test_runtime_lifecycle_events_at_agent_startup(hive: Hive) -> None:
    framework = SimpleNamespace(__version__="0.9.1")
    agent_obj = FrameworkAgent()
    agent_obj._hiveloop = hive.agent()

    # At agent startup
    _agent = getattr(agent_obj, "_hiveloop", None)
    if _agent:
        try:
            _agent.event(
                "custom",
                payload={
                    "kind": "runtime",
                    "data": {
                        "event": "agent_started",
                        "config": {
                            "model": agent_obj.config.model,
                            "max_turns": agent_obj.config.max_turns,
                            "temperature": agent_obj.config.temperature,
                            "tools_enabled": [t.name for t in agent_obj.tools],
                        },
                        "environment": {
                            "python_version": sys.version.split()[0],
                            "framework_version": framework.__version__,
                        },
                    },
                },
            )
        except Exception:
            pass

    runtime = hive.one("runtime")
    assert runtime.task is None
    assert runtime.data["event"] == "agent_started"
    assert runtime.data["config"] == {
        "model": "claude-sonnet-4-5-20250929",
        "max_turns": 12,
        "temperature": 0.2,
        "tools_enabled": ["search_contacts", "send_mail"],
    }
    assert runtime.data["environment"]["framework_version"] == "0.9.1"


def test_runtime_lifecycle_events_when_the_model_changes(hive: Hive) -> None:
    previous_model, new_model = "claude-opus-4-6", "claude-haiku-4-5-20251001"
    with hive.running_agent() as _agent:
        # When the model changes mid-session (e.g., fallback to cheaper model)
        if _agent:
            try:
                _agent.event(
                    "custom",
                    payload={
                        "kind": "runtime",
                        "data": {
                            "event": "model_switched",
                            "from_model": previous_model,
                            "to_model": new_model,
                            "reason": "cost_optimization",  # or "rate_limit", "fallback", "user_request"
                        },
                    },
                )
            except Exception:
                pass

    assert hive.one("runtime").data == {
        "event": "model_switched",
        "from_model": "claude-opus-4-6",
        "to_model": "claude-haiku-4-5-20251001",
        "reason": "cost_optimization",
    }


def test_session_and_memory_operations(hive: Hive) -> None:
    memory_key, num_results, elapsed_ms = "deals/technova/" + "x" * 200, 1, 12.6
    with hive.running_task():
        # After writing to persistent memory
        _task = get_current_task()
        if _task:
            try:
                _task.event(
                    "custom",
                    payload={
                        "kind": "memory_op",
                        "data": {
                            "operation": "write",  # "read", "write", "delete", "search"
                            "store": "vector_db",  # "vector_db", "session_history", "knowledge_base"
                            "key_or_query": memory_key[:100],
                            "result_count": num_results,  # for reads/searches
                            "latency_ms": round(elapsed_ms),
                        },
                    },
                )
            except Exception:
                pass

    assert hive.one("memory_op").data == {
        "operation": "write",
        "store": "vector_db",
        "key_or_query": memory_key[:100],
        "result_count": 1,
        "latency_ms": 13,
    }


def test_configuration_snapshots(hive: Hive) -> None:
    system_prompt = "You sell, and you never lie."
    agent_obj = FrameworkAgent()
    agent_obj._hiveloop = hive.agent()

    # At agent boot or after config reload
    _agent = getattr(agent_obj, "_hiveloop", None)
    if _agent:
        try:
            _agent.event(
                "custom",
                payload={
                    "kind": "config_snapshot",
                    "data": {
                        "model": agent_obj.config.model,
                        "temperature": agent_obj.config.temperature,
                        "max_turns": agent_obj.config.max_turns,
                        "max_tokens": agent_obj.config.max_tokens,
                        "tools": [t.name for t in agent_obj.tools],
                        "system_prompt_hash": hashlib.md5(system_prompt.encode()).hexdigest()[:8],
                        "system_prompt_tokens": count_tokens(system_prompt),
                        "guardrails_enabled": agent_obj.config.guardrails_enabled,
                        "version": agent_obj.config.version,
                    },
                },
            )
        except Exception:
            pass

    data = hive.one("config_snapshot").data
    assert data == {
        "model": "claude-sonnet-4-5-20250929",
        "temperature": 0.2,
        "max_turns": 12,
        "max_tokens": 2048,
        "tools": ["search_contacts", "send_mail"],
        "system_prompt_hash": hashlib.md5(system_prompt.encode()).hexdigest()[:8],
        "system_prompt_tokens": 6,
        "guardrails_enabled": True,
        "version": "1.4.0",
    }
