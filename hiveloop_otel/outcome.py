"""What a span of somebody else's becomes in HiveLoop's words.

Shared by those who report such spans: `HiveLoopSpanProcessor`, while they are made, and the board, when they
have come by OTLP. Imports no OpenTelemetry, as `reader` does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hiveloop.payloads import tool_payload

from .reader import Kind, SpanFacts

__all__ = [
    "AGENTS",
    "BOUNDARIES",
    "MODELS",
    "TOOLS",
    "call_metadata",
    "error_words",
    "outer_counts",
    "payload_of_task",
    "payload_of_tool",
]

AGENTS: frozenset[Kind] = frozenset(("agent", "workflow"))
"""Spans that are tasks."""
MODELS: frozenset[Kind] = frozenset(("llm", "embedding"))
"""Spans that are calls of models."""
TOOLS: frozenset[Kind] = frozenset(("tool", "retrieval"))
"""Spans that are calls of tools."""
BOUNDARIES: frozenset[Kind] = frozenset(("agent", "workflow", "tool"))
"""Spans that are not about the same call of a model as one inside them."""


def outer_counts(outer: SpanFacts, inner: Iterable[SpanFacts]) -> bool:
    """Tell whether of spans about the same call the outer one counts.

    The one nearest to the provider does, unless only the span around it tells usage.
    """
    return outer.has_usage and not any(facts.has_usage for facts in inner)


def call_metadata(facts: SpanFacts, trace_id: str, span_id: str) -> dict[str, Any]:
    """Return what a call of a model tells beyond its arguments, under the names that all of HiveLoop uses."""
    return _set(
        {
            "operation": facts.operation,
            "provider": facts.provider,
            "response_model": facts.response_model,
            "stop_reason": facts.finish_reason,
            "cache_read_input_tokens": facts.cache_read,
            "cache_creation_input_tokens": facts.cache_creation,
            "tokens_in_includes_cache": True if facts.cache_read or facts.cache_creation else None,
            "reasoning_tokens": facts.reasoning,
            "total_tokens": facts.total_tokens,
            "framework": facts.framework,
            "error_type": (facts.error_type or "Error") if facts.failed else None,
            "error": facts.error_message,
            "trace_id": trace_id,
            "span_id": span_id,
            **facts.metadata,
        }
    )


def payload_of_task(facts: SpanFacts) -> dict[str, Any]:
    """Return what the end of a task tells."""
    return _set(
        {
            "input_preview": facts.prompt,
            "output_preview": facts.response,
            "workflow": facts.workflow,
            "session_id": facts.session_id,
            "framework": facts.framework,
        }
    )


def payload_of_tool(facts: SpanFacts, duration_ms: int) -> dict[str, Any]:
    """Return what the end of an action tells that was the call of a tool; see `TOOLS`."""
    category = "retrieval" if facts.kind == "retrieval" else "function"
    payload = tool_payload(
        args=facts.tool_args,
        result=facts.tool_result,
        success=not facts.failed,
        error=facts.error_message,
        duration_ms=duration_ms,
        tool_category=facts.metadata.get("tool_category", category),
        http_status=facts.metadata.get("http_status"),
    )
    if facts.tool_call_id is not None:
        payload["tool_call_id"] = facts.tool_call_id
    return payload


def error_words(facts: SpanFacts) -> tuple[str, str]:
    """Return type and message of what made a span fail."""
    return (facts.error_type or "").rpartition(".")[2] or "Error", facts.error_message or ""


def _set(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if value is not None}
