"""What is reported to HiveLoop of a span that ends: the ending of its scopes, the call of a model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ._open_spans import Call, OpenSpan
from .outcome import TOOLS, call_metadata, error_words, payload_of_task, payload_of_tool
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
        metadata=call_metadata(facts, f"{call.identity.trace_id:032x}", f"{call.identity.span_id:016x}"),
    )


def close(record: OpenSpan, facts: SpanFacts, duration_ms: int) -> None:
    """End the scopes of a span."""
    error = _error(facts) if facts.failed else None
    if record.action is not None and record.action.action is not None:
        action = record.action.action
        action.set_payload(_action_payload(facts, duration_ms))
        record.action.context.run(action.end, error)
    if record.task is not None:
        task, run, payload = record.task.task, record.task.context.run, payload_of_task(facts)
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
    return payload_of_tool(facts, duration_ms) if facts.kind in TOOLS else {"duration_ms": duration_ms}


def _error(facts: SpanFacts) -> Exception:
    """An exception that says what the span said; only its type and message are reported."""
    name, message = error_words(facts)
    return _error_class(name[:_LONGEST_TYPE])(message)


@lru_cache(maxsize=128)
def _error_class(name: str) -> type[Exception]:
    return type(name, (Exception,), {})
