"""What is reported to HiveLoop of a span that ends: the ending of its scopes, the call of a model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import hiveloop

from ._open_spans import TOOLS, Call, OpenSpan
from .reader import SpanFacts

__all__ = ["abandon", "close", "report"]

_ABANDONED = "interrupted"
"""Status of a task whose span never ended, as the OpenTelemetry transport calls it."""
_LONGEST_TYPE = 100


def report(call: Call) -> None:
    """Report a call of a model."""
    facts, (start, end) = call.facts, call.times_ns
    # In a copy of the context, since a context runs one thing at a time and calls may end together.
    call.scope.context.copy().run(
        call.scope.task.llm_call,
        facts.name,
        facts.model or "unknown",
        tokens_in=facts.tokens_in,
        tokens_out=facts.tokens_out,
        cost=facts.cost,
        duration_ms=(end - start) // 1_000_000,
        prompt_preview=facts.prompt,
        response_preview=facts.response,
        metadata=_metadata(call),
    )


def _metadata(call: Call) -> dict[str, Any]:
    """Everything else, under the names that the metadata of a call have everywhere in HiveLoop."""
    facts = call.facts
    told = {
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
        "trace_id": f"{call.identity.trace_id:032x}",
        "span_id": f"{call.identity.span_id:016x}",
        **facts.metadata,
    }
    return {key: value for key, value in told.items() if value is not None}


def close(record: OpenSpan, facts: SpanFacts, duration_ms: int) -> None:
    """End the scopes of a span."""
    error = _error(facts) if facts.failed else None
    if record.action is not None and record.action.action is not None:
        action = record.action.action
        action.set_payload(_action_payload(facts, duration_ms))
        record.action.context.run(action.end, error)
    if record.task is not None:
        task, run, payload = record.task.task, record.task.context.run, _task_payload(facts)
        if error is None:
            run(task.complete, payload=payload)
        else:
            run(task.fail, error, payload)


def abandon(record: OpenSpan) -> None:
    """End the scopes of a span that will not end, or not in time."""
    record.span = None
    for call in record.waiting:
        report(call)
    if record.action is not None and record.action.action is not None:
        action = record.action.action
        action.set_payload({"status": _ABANDONED})
        record.action.context.run(action.end)
    if record.task is not None:
        record.task.context.run(record.task.task.complete, _ABANDONED)


def _action_payload(facts: SpanFacts, duration_ms: int) -> dict[str, Any]:
    if facts.kind not in TOOLS:
        return {"duration_ms": duration_ms}
    category = "retrieval" if facts.kind == "retrieval" else "function"
    payload = hiveloop.tool_payload(
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


def _task_payload(facts: SpanFacts) -> dict[str, Any]:
    told = {
        "input_preview": facts.prompt,
        "output_preview": facts.response,
        "workflow": facts.workflow,
        "session_id": facts.session_id,
        "framework": facts.framework,
    }
    return {key: value for key, value in told.items() if value is not None}


def _error(facts: SpanFacts) -> Exception:
    """An exception that says what the span said; only its type and message are reported."""
    name = (facts.error_type or "").rpartition(".")[2] or "Error"
    return _error_class(name[:_LONGEST_TYPE])(facts.error_message or "")


@lru_cache(maxsize=128)
def _error_class(name: str) -> type[Exception]:
    return type(name, (Exception,), {})
