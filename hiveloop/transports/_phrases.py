"""What is said about a single event, whatever happened before it.

Each function takes the event and the marks to draw with, and returns the spans of one line without
its indentation. Payloads come from users too (``task.event``), so no key or type is relied upon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hiveloop.events import Event, EventType

from ._spans import Span, joined
from ._symbols import Symbols
from ._text import clean, count, duration, facts, list_of, mapping_of, money, number, text_of

__all__ = ["llm_call", "outcome", "phrase", "plural", "registered", "steps_listed", "tokens"]

_BUSY_QUEUE = 100
_MAX_STEPS_LISTED = 12
_USUAL = ("", "general", "custom")
_GRANTED = ("approved", "approve", "granted", "accepted", "yes", "ok")
_TOLD_OF_SCOPES = frozenset(("action_name", "function", "summary", "kind", "tags", "duration_ms")) | {
    *("args", "result", "result_preview", "success", "error", "exception_type", "exception_message"),
    *("tool_category", "result_size_bytes"),
}
_TOLD_OF_OTHERS = frozenset(("kind", "summary", "tags", "data", "original_type"))

Phrase = Callable[[Event, Symbols], list[Span]]


def phrase(event: Event, marks: Symbols) -> list[Span]:
    """Say what happened, for an event that neither opens nor closes a task or action."""
    by_type = _BY_TYPE.get(event.type)
    if by_type is not None:
        return by_type(event, marks)
    if event.kind == "runtime" and event.data.get("event") == "agent_stopped":
        return [Span(f"{marks.waiting} agent stopped", "dim")]
    return _BY_KIND.get(event.kind or "", _other)(event, marks)


def registered(event: Event, marks: Symbols) -> list[Span]:
    agent = event.agent
    about = [text_of(word) for word in (agent.type, agent.version, agent.framework) if word not in _USUAL]
    return joined(
        Span(f"{marks.agent} agent registered", "ok"),
        Span(f" {marks.dot} ".join(filter(None, about)), "dim"),
    )


# -- scopes -------------------------------------------------------------------------------------


def outcome(event: Event, name: str, marks: Symbols, totals: list[Span]) -> list[Span]:
    """Say how a task or action ended: mark, name, status, error, duration, totals, what came of it."""
    failed = event.type in (EventType.TASK_FAILED, EventType.ACTION_FAILED)
    doubtful = not failed and event.payload.get("success") is False
    style = "fail" if failed else "warn" if doubtful else "ok"
    mark = marks.failed if failed or doubtful else marks.done
    status = clean(event.status or "")
    return [
        Span(f"{mark} ", style),
        *joined(
            Span(name, "name"),
            Span("" if status in ("success", "failure") else status, style),
            Span(_error(event), style, flex=True),
            Span("" if event.duration_ms is None else duration(event.duration_ms / 1000), "dim"),
            *totals,
            Span(_returned(event, marks), "dim", flex=True),
        ),
    ]


def _error(event: Event) -> str:
    payload = event.payload
    kind, message = text_of(payload.get("exception_type")), text_of(payload.get("exception_message"))
    if kind:
        return f"{kind}: {message}" if message else kind
    return text_of(payload.get("error"))


def _returned(event: Event, marks: Symbols) -> str:
    """Return what a tool was given and gave back, and what else the caller attached."""
    payload, mark = event.payload, marks.ellipsis
    args = mapping_of(payload.get("args"))
    given = f"({facts(args, mark)})" if args else ""
    result = text_of(payload.get("result", payload.get("result_preview")))
    rest = facts({key: value for key, value in payload.items() if key not in _TOLD_OF_SCOPES}, mark)
    return " ".join(filter(None, (given, result and f"{marks.arrow} {result}", rest)))


# -- models and plans ---------------------------------------------------------------------------


def llm_call(event: Event, marks: Symbols) -> list[Span]:
    data = event.data
    cost, elapsed = number(data.get("cost")), number(data.get("duration_ms"))
    return [
        Span(f"{marks.llm} ", "llm"),
        *joined(
            Span(text_of(data.get("name")) or "llm_call", "name"),
            Span(text_of(data.get("model")), "llm", flex=True),
            Span(tokens(number(data.get("tokens_in")), number(data.get("tokens_out")))),
            Span("" if cost is None else money(cost), "cost"),
            Span("" if elapsed is None else duration(elapsed / 1000), "dim"),
        ),
    ]


def tokens(tokens_in: float | None, tokens_out: float | None) -> str:
    """Return ``1200 in / 350 out``, without what is not known."""
    counts = ((tokens_in, "in"), (tokens_out, "out"))
    return " / ".join(f"{count(value)} {word}" for value, word in counts if value is not None)


def plural(value: float, noun: str) -> str:
    """Return ``1 step``, ``2 steps``."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def steps_listed(steps: list[Any], marks: Symbols) -> list[list[Span]]:
    """Return the lines that list the steps of a plan."""
    lines: list[list[Span]] = []
    for index, step in enumerate(steps[:_MAX_STEPS_LISTED], start=1):
        text = mapping_of(step).get("description", "" if isinstance(step, dict) else step)
        lines.append([Span(f"  {index:>2}. ", "plan"), Span(text_of(text), flex=True)])
    if len(steps) > _MAX_STEPS_LISTED:
        lines.append([Span(f"      {marks.ellipsis} {len(steps) - _MAX_STEPS_LISTED} more", "dim")])
    return lines


# -- narrative ----------------------------------------------------------------------------------


def _summary(event: Event) -> Span:
    return Span(clean(event.summary or ""), flex=True)


def _reason(event: Event) -> Span:
    return Span(text_of(event.data.get("reason")), "dim")


def _retry(event: Event, marks: Symbols) -> list[Span]:
    attempt, wait = number(event.data.get("attempt")), number(event.data.get("backoff_seconds"))
    return joined(
        Span(f"{marks.retry} retry{'' if attempt is None else f' {count(attempt)}'}", "warn"),
        Span("" if wait is None else f"in {duration(wait).replace('.0s', 's')}", "warn"),
        _summary(event),
        _reason(event),
    )


def _escalated(event: Event, marks: Symbols) -> list[Span]:
    to = text_of(event.data.get("assigned_to"))
    return joined(
        Span(f"{marks.escalated} escalated{f' to {to}' if to else ''}", "warn"),
        _summary(event),
        _reason(event),
    )


def _approval_requested(event: Event, marks: Symbols) -> list[Span]:
    approver = text_of(event.data.get("approver"))
    wanted = f"{marks.asked} approval needed{f' from {approver}' if approver else ''}"
    return joined(Span(wanted, "warn"), _summary(event), _reason(event))


def _approval_received(event: Event, marks: Symbols) -> list[Span]:
    decision, by = text_of(event.data.get("decision")) or "approved", text_of(event.data.get("approved_by"))
    mark, style = (marks.done, "ok") if decision.lower() in _GRANTED else (marks.failed, "fail")
    said = f"{mark} {decision}{f' by {by}' if by else ''}"
    return joined(Span(said, style), _summary(event), _reason(event))


# -- state --------------------------------------------------------------------------------------


def _issue(event: Event, marks: Symbols) -> list[Span]:
    data = event.data
    if data.get("action") == "resolved":
        return joined(Span(f"{marks.done} issue resolved", "ok"), _summary(event))
    severity, times = text_of(data.get("severity")), number(data.get("occurrence_count"))
    return joined(
        Span(f"{marks.caution} {f'{severity} ' if severity else ''}issue", _loudness(event)),
        _summary(event),
        Span(text_of(data.get("category")), "dim"),
        Span(f"{marks.times}{count(times)}" if times and times > 1 else "", "dim"),
    )


def _todo(event: Event, marks: Symbols) -> list[Span]:
    action, due = text_of(event.data.get("action")), text_of(event.data.get("due_by"))
    mark, style = {
        "created": (marks.waiting, ""),
        "completed": (marks.done, "ok"),
        "failed": (marks.failed, "fail"),
    }.get(action, (marks.other, "dim"))
    return joined(
        Span(f"{mark} todo {action}".rstrip(), style),
        _summary(event),
        Span(text_of(event.data.get("priority")), "dim"),
        Span(f"due {due}" if due else "", "dim"),
    )


def _queue(event: Event, marks: Symbols) -> list[Span]:
    data = event.data
    depth, oldest = number(data.get("depth")) or 0, number(data.get("oldest_age_seconds"))
    processing = mapping_of(data.get("processing"))
    current = text_of(processing.get("summary", processing.get("id")))
    return joined(
        Span(f"{marks.queue} queue {count(depth)}", "warn" if depth >= _BUSY_QUEUE else ""),
        Span("" if oldest is None else f"oldest {duration(oldest)}", "dim"),
        Span(f"working on {current}" if current else "", "dim", flex=True),
    )


def _scheduled(event: Event, marks: Symbols) -> list[Span]:
    entries = [mapping_of(entry) for entry in list_of(event.data.get("items"))[:_MAX_STEPS_LISTED]]
    names = [text_of(entry.get("name", entry.get("id"))) for entry in entries]
    return joined(
        Span(f"{marks.clock} {clean(event.summary or 'scheduled')}"),
        Span(", ".join(filter(None, names)), "dim", flex=True),
    )


def _other(event: Event, marks: Symbols) -> list[Span]:
    """Say something useful about a kind that has no phrase of its own."""
    data = {key: value for key, value in event.data.items() if key not in _TOLD_OF_OTHERS}
    said = event.summary or next((data.pop(key) for key in ("message", "description") if key in data), "")
    usual = str(event.type) if event.type is not EventType.CUSTOM else "event"
    return joined(
        Span(f"{marks.other} {clean(event.kind or usual)}", _loudness(event)),
        Span(text_of(said), flex=True),
        Span(facts(data, marks.ellipsis), "dim", flex=True),
    )


def _loudness(event: Event) -> str:
    return {"error": "fail", "warn": "warn", "debug": "dim"}.get(str(event.severity), "")


_BY_TYPE: dict[EventType, Phrase] = {
    EventType.AGENT_REGISTERED: registered,
    EventType.RETRY_STARTED: _retry,
    EventType.ESCALATED: _escalated,
    EventType.APPROVAL_REQUESTED: _approval_requested,
    EventType.APPROVAL_RECEIVED: _approval_received,
}
_BY_KIND: dict[str, Phrase] = {
    "llm_call": llm_call,
    "issue": _issue,
    "todo": _todo,
    "queue_snapshot": _queue,
    "scheduled": _scheduled,
}
