"""What events carry: the payload of each kind, its summary, tags and severity.

Every builder here runs on a delivery thread and turns the frozen arguments of a sensor call into
a `Draft`. Wrong types are coerced or left out with a notice; a builder never refuses an event.
Sources: integration guide and sensor reference for names, kinds, tags and summaries; ingest API
for limits and severity defaults.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import Any, NamedTuple

from ._freeze import TRUNCATED, describe, freeze, thaw
from ._guard import attempt, notice
from ._shape import is_a, is_dict, is_list, kind_of
from .events import EventType, Severity

__all__ = ["CONTENT_KEYS", "Draft", "iso_time", "tool_payload"]

SUMMARY_LIMIT = 512
PREVIEW_KEYS = ("prompt_preview", "response_preview")
CONTENT_KEYS = ("args", "result", "result_preview", "response_body")
"""Keys of an action's payload that hold what tools were given and returned."""

_INFO, _WARN, _ERROR, _DEBUG = Severity.INFO, Severity.WARN, Severity.ERROR, Severity.DEBUG

_BY_TYPE = {
    EventType.HEARTBEAT: _DEBUG,
    EventType.TASK_FAILED: _ERROR,
    EventType.ACTION_FAILED: _ERROR,
    EventType.RETRY_STARTED: _WARN,
    EventType.ESCALATED: _WARN,
}
_BY_ISSUE = {"critical": _ERROR, "high": _ERROR, "medium": _WARN, "low": _INFO}
_ALIASES = {
    "warning": _WARN,
    "critical": _ERROR,
    "fatal": _ERROR,
    "err": _ERROR,
    "information": _INFO,
    "notice": _INFO,
}
_TYPES: dict[str, EventType] = {t.value: t for t in EventType}
_SEVERITIES: dict[str, Severity] = {s.value: s for s in Severity}


class Draft(NamedTuple):
    """An event's content before redaction: everything but its ids, time and scope."""

    type: EventType
    payload: dict[str, Any]
    severity: Severity = _INFO
    status: str | None = None
    duration_ns: int | None = None
    parent_event_id: str | None = None


# -- coercion ---------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Return text for an argument that should be one."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    value = thaw(value)
    return value if isinstance(value, str) else str(value)


def optional_text(value: Any) -> str | None:
    return None if value is None else text(value)


def number(value: Any, name: str) -> Any:
    """Return a finite number, or None with a notice when there is none to be had."""
    if value is None or type(value) is int:
        return value  # the usual case first
    if type(value) is str:
        value = _parsed(value)
    if type(value) in (int, float, bool) and math.isfinite(value):
        return value
    notice(f"argument {name}", "hiveloop: left out %s: not a finite number", name)
    return None


def whole(value: Any, name: str) -> int | None:
    """Return a whole number (of tokens, attempts, steps), rounding what is not one."""
    if type(value) is int or value is None:
        return value
    found = number(value, name)
    return None if found is None else round(found)


def items(value: Any, name: str) -> list[Any]:
    """Return a list for an argument that should be one."""
    value = thaw(value)
    if value is None:
        return []
    if is_list(value):
        return list(value)
    notice(f"argument {name}", "hiveloop: %s should be a list; a single value was wrapped", name)
    return [value]


def mapping(value: Any) -> dict[str, Any]:
    """Return the dict of a payload that `freeze_mapping` froze, empty for None."""
    value = thaw(value)
    return value if is_dict(value) else {} if value is None else {"value": value}


def _parsed(value: str) -> int | float | None:
    try:
        return float(value) if any(c in value for c in ".eE") else int(value)
    except ValueError:
        return None


def _data(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def severity_of(value: Any, default: Severity) -> Severity:
    """Return the severity a caller named, or the default when it is none of ours."""
    if value is None:
        return default
    word = text(value).lower()
    return _SEVERITIES.get(word) or _ALIASES.get(word) or default


def iso_time(time_ns: int) -> str:
    """Return wall clock nanoseconds as ISO 8601 in UTC with milliseconds."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    return f"{_seconds_text(seconds)}.{fraction // 1_000_000:03d}Z"


@lru_cache(maxsize=8)
def _seconds_text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


# -- lifecycle ----------------------------------------------------------------------------------


def agent_registered(agent_id: Any, kind: Any, version: Any, framework: Any, stuck_threshold: Any) -> Draft:
    data = _data(type=kind, version=version, framework=framework, stuck_threshold=stuck_threshold)
    return Draft(EventType.AGENT_REGISTERED, {"summary": f"Agent {agent_id} registered", "data": data})


def agent_stopped(agent_id: Any) -> Draft:
    data = {"event": "agent_stopped"}
    return Draft(EventType.CUSTOM, {"kind": "runtime", "summary": f"Agent {agent_id} stopped", "data": data})


def heartbeat(payload: Any, own: Any) -> Draft:
    return Draft(EventType.HEARTBEAT, {**mapping(payload), "hiveloop": mapping(own)}, _DEBUG)


def task_started(task_id: Any, cut: bool) -> Draft:
    payload: dict[str, Any] = {"summary": f"Task {text(task_id)} started"}
    if cut:
        payload[TRUNCATED] = ["task_id"]
    return Draft(EventType.TASK_STARTED, payload)


def task_completed(task_id: Any, status: Any, duration_ns: int, *payloads: Any) -> Draft:
    payload = _merged({"summary": f"Task {text(task_id)} completed"}, payloads)
    return Draft(EventType.TASK_COMPLETED, payload, _INFO, text(status) or "success", duration_ns)


def task_failed(task_id: Any, error: Any, message: Any, duration_ns: int, *payloads: Any) -> Draft:
    payload = {"summary": f"Task {text(task_id)} failed", **_failure(error, message)}
    return Draft(EventType.TASK_FAILED, _merged(payload, payloads), _ERROR, "failure", duration_ns)


def action_started(name: Any, function: Any) -> Draft:
    return Draft(EventType.ACTION_STARTED, _action(name, function))


def action_completed(name: Any, function: Any, duration_ns: int, *payloads: Any) -> Draft:
    payload = _merged(_action(name, function), payloads)
    return Draft(EventType.ACTION_COMPLETED, payload, _INFO, "success", duration_ns)


def action_failed(
    name: Any, function: Any, error: Any, message: Any, duration_ns: int, *payloads: Any
) -> Draft:
    payload = _merged({**_action(name, function), **_failure(error, message)}, payloads)
    return Draft(EventType.ACTION_FAILED, payload, _ERROR, "failure", duration_ns)


def _action(name: Any, function: Any) -> dict[str, Any]:
    payload = {"action_name": text(name)}
    if function is not None:
        payload["function"] = text(function)
    return payload


def _failure(error: Any, message: Any) -> dict[str, Any]:
    return {} if error is None else {"exception_type": text(error), "exception_message": text(message)}


def _merged(payload: dict[str, Any], more: tuple[Any, ...]) -> dict[str, Any]:
    for extra in more:
        payload.update(mapping(extra))
    return payload


# -- well-known kinds ---------------------------------------------------------------------------


def _custom(
    kind: str, summary: str, data: dict[str, Any], tags: list[str], severity: Severity = _INFO
) -> Draft:
    return Draft(EventType.CUSTOM, {"kind": kind, "summary": summary, "data": data, "tags": tags}, severity)


def llm_call(
    name: Any,
    model: Any,
    tokens_in: Any,
    tokens_out: Any,
    cost: Any,
    duration_ms: Any,
    prompt_preview: Any,
    response_preview: Any,
    metadata: Any,
) -> Draft:
    name, model = text(name), text(model)
    data: dict[str, Any] = {"name": name, "model": model}
    tokens_in, tokens_out = whole(tokens_in, "tokens_in"), whole(tokens_out, "tokens_out")
    cost, duration_ms = number(cost, "cost"), whole(duration_ms, "duration_ms")
    if tokens_in is not None:
        data["tokens_in"] = tokens_in
    if tokens_out is not None:
        data["tokens_out"] = tokens_out
    if cost is not None:
        data["cost"] = cost
    if duration_ms is not None:
        data["duration_ms"] = duration_ms
    if prompt_preview is not None:
        data["prompt_preview"] = text(prompt_preview)
    if response_preview is not None:
        data["response_preview"] = text(response_preview)
    if metadata is not None:
        data["metadata"] = mapping(metadata)
    return _custom("llm_call", f"{name} → {model}{_usage(tokens_in, tokens_out, cost)}", data, ["llm"])


def _usage(tokens_in: int | None, tokens_out: int | None, cost: float | None) -> str:
    parts = [
        f"{count} {word}" for count, word in ((tokens_in, "in"), (tokens_out, "out")) if count is not None
    ]
    shown = [" / ".join(parts)] if parts else []
    if cost is not None:
        shown.append("$" + (f"{cost:.6f}".rstrip("0").rstrip(".") or "0"))
    return f" ({', '.join(shown)})" if shown else ""


def queue_snapshot(depth: Any, oldest_age_seconds: Any, queued: Any, processing: Any) -> Draft:
    depth = whole(depth, "depth") or 0
    oldest = number(oldest_age_seconds, "oldest_age_seconds")
    data: dict[str, Any] = {"depth": depth}
    if oldest is not None:
        data["oldest_age_seconds"] = oldest
    if queued is not None:
        data["items"] = items(queued, "items")
    if processing is not None:
        data["processing"] = mapping(processing)
    age = "" if oldest is None else f", oldest {round(oldest)}s"
    return _custom("queue_snapshot", f"Queue: {depth} items{age}", data, ["queue"], _DEBUG)


def queue_provided(provided: Any) -> Draft:
    """A queue snapshot from a `queue_provider` callback: the same, with the caller's extra keys."""
    state = mapping(provided)
    draft = queue_snapshot(
        state.pop("depth", 0),
        state.pop("oldest_age_seconds", None),
        freeze(state.pop("items", None)),
        freeze(state.pop("processing", None)),
    )
    draft.payload["data"].update(state)
    return draft


def todo(
    todo_id: Any, action: Any, summary: Any, priority: Any, source: Any, context: Any, due_by: Any
) -> Draft:
    action = text(action)
    data = _data(
        todo_id=text(todo_id),
        action=action,
        priority=optional_text(priority),
        source=optional_text(source),
        context=optional_text(context),
        due_by=optional_text(due_by),
    )
    return _custom("todo", text(summary), data, ["todo", action], _todo_severity(data))


def scheduled(planned: Any) -> Draft:
    entries = items(planned, "items")
    runs = [e["next_run"] for e in entries if is_dict(e) and isinstance(e.get("next_run"), str)]
    following = f", next at {min(runs)}" if runs else ""
    return _custom(
        "scheduled", f"{len(entries)} scheduled items{following}", {"items": entries}, ["scheduled"]
    )


def issue(
    summary: Any, severity: Any, issue_id: Any, category: Any, context: Any, occurrence_count: Any
) -> Draft:
    severity, category = text(severity).lower(), optional_text(category)
    data = _data(
        severity=severity,
        action="reported",
        issue_id=optional_text(issue_id),
        category=category,
        context=None if context is None else mapping(context),
        occurrence_count=whole(occurrence_count, "occurrence_count"),
    )
    tags = ["issue"] if category is None else ["issue", category]
    return _custom("issue", text(summary), data, tags, _issue_severity(data))


def issue_resolved(summary: Any, issue_id: Any) -> Draft:
    data = _data(severity="low", action="resolved", issue_id=optional_text(issue_id))
    return _custom("issue", text(summary), data, ["issue", "resolved"])


def plan(goal: Any, steps: Any, revision: Any) -> Draft:
    goal = text(goal)
    listed = [{"index": i, "description": text(freeze(s))} for i, s in enumerate(items(steps, "steps"))]
    data = {"goal": goal, "steps": listed, "revision": whole(revision, "revision") or 0}
    return _custom("plan_created", goal, data, ["plan", "created"])


def plan_step(
    step_index: Any, action: Any, summary: Any, total_steps: Any, turns: Any, tokens: Any, plan_revision: Any
) -> Draft:
    index, action = whole(step_index, "step_index") or 0, text(action)
    data = _data(
        step_index=index,
        total_steps=whole(total_steps, "total_steps"),
        action=action,
        turns=whole(turns, "turns"),
        tokens=whole(tokens, "tokens"),
        plan_revision=whole(plan_revision, "plan_revision"),
    )
    severity = _ERROR if action == "failed" else _INFO
    return _custom(
        "plan_step", f"Step {index} {action}: {text(summary)}", data, ["plan", f"step_{action}"], severity
    )


# -- narrative ----------------------------------------------------------------------------------


def escalated(summary: Any, assigned_to: Any, reason: Any, parent: Any) -> Draft:
    data = _data(assigned_to=optional_text(assigned_to), reason=optional_text(reason))
    return _narrative(EventType.ESCALATED, summary, data, parent, _WARN)


def approval_requested(summary: Any, approver: Any, reason: Any, parent: Any) -> Draft:
    data = _data(approver=optional_text(approver), reason=optional_text(reason))
    return _narrative(EventType.APPROVAL_REQUESTED, summary, data, parent)


def approval_received(summary: Any, approved_by: Any, decision: Any, reason: Any, parent: Any) -> Draft:
    data = _data(
        decision=text(decision) or "approved",
        approved_by=optional_text(approved_by),
        reason=optional_text(reason),
    )
    return _narrative(EventType.APPROVAL_RECEIVED, summary, data, parent)


def retry_started(summary: Any, attempt: Any, backoff_seconds: Any, reason: Any, parent: Any) -> Draft:
    data = _data(
        attempt=whole(attempt, "attempt"),
        backoff_seconds=number(backoff_seconds, "backoff_seconds"),
        reason=optional_text(reason),
    )
    return _narrative(EventType.RETRY_STARTED, summary, data, parent, _WARN)


def _narrative(
    type_: EventType, summary: Any, data: dict[str, Any], parent: Any, severity: Severity = _INFO
) -> Draft:
    payload: dict[str, Any] = {"summary": text(summary)}
    if data:
        payload["data"] = data
    return Draft(type_, payload, severity, parent_event_id=optional_text(parent))


# -- anything else ------------------------------------------------------------------------------


def event(event_type: Any, payload: Any, severity: Any, parent: Any) -> Draft:
    """Build an event of the caller's choice; a type that is not ours becomes a custom kind."""
    name, content = text(event_type), mapping(payload)
    type_ = _TYPES.get(name)
    if type_ is None:
        type_ = EventType.CUSTOM
        content = {"kind": name, **content, "original_type": name}
    default = _default_severity(type_, content)
    return Draft(type_, content, severity_of(severity, default), parent_event_id=optional_text(parent))


def _default_severity(type_: EventType, payload: dict[str, Any]) -> Severity:
    if type_ is not EventType.CUSTOM:
        return _BY_TYPE.get(type_, _INFO)
    found = payload.get("data")
    data = found if is_dict(found) else {}
    match payload.get("kind"):
        case "queue_snapshot":
            return _DEBUG
        case "todo":
            return _todo_severity(data)
        case "plan_step" if data.get("action") == "failed":
            return _ERROR
        case "issue":
            return _issue_severity(data)
        case _:
            return _INFO


def _todo_severity(data: dict[str, Any]) -> Severity:
    return _WARN if data.get("action") == "failed" else _INFO


def _issue_severity(data: dict[str, Any]) -> Severity:
    if data.get("action", "reported") != "reported":
        return _INFO
    return _BY_ISSUE.get(str(data.get("severity")), _INFO)


# -- tools --------------------------------------------------------------------------------------


def tool_payload(
    *,
    args: dict[str, Any] | None = None,
    result: Any = None,
    success: bool = True,
    error: str | None = None,
    duration_ms: int | None = None,
    tool_category: str | None = None,
    http_status: int | None = None,
    result_size_bytes: int | None = None,
    args_max_len: int = 500,
    result_max_len: int = 1000,
) -> dict[str, Any]:
    """Build the standard payload of a tool call, for `Action.set_payload`.

    Fields that are None are left out. Never raises.

    Args:
        args: what the tool was given; long values are cut, and values that are not JSON become text.
        result: what it returned, as text of at most `result_max_len` characters.
        success: whether the call succeeded.
        error: error message of a failed call.
        duration_ms: elapsed milliseconds.
        tool_category: grouping label, such as "crm".
        http_status: status code of an API-backed tool.
        result_size_bytes: size of the raw result.
        args_max_len: most characters of one argument value.
        result_max_len: most characters of the result.
    """
    fields = {
        "result": result,
        "error": error,
        "duration_ms": duration_ms,
        "tool_category": tool_category,
        "http_status": http_status,
        "result_size_bytes": result_size_bytes,
    }
    return attempt(
        "tool_payload",
        _tool_payload,
        success,
        args,
        fields,
        args_max_len,
        result_max_len,
        default={"success": True},
    )


def _tool_payload(
    success: bool, args: Any, fields: dict[str, Any], args_max_len: int, result_max_len: int
) -> dict[str, Any]:
    payload: dict[str, Any] = {"success": success}
    if args is not None:
        payload["args"] = {key: _cut(value, args_max_len) for key, value in mapping(freeze(args)).items()}
    for key, value in fields.items():
        if value is not None:
            payload[key] = _shown(value, result_max_len) if key in ("result", "error") else value
    return payload


def _cut(value: Any, limit: int) -> Any:
    """Return a plain value as it is when its text is short, else the cut text."""
    shown = value if isinstance(value, str) else str(value)
    return value if len(shown) <= limit else shown[:limit]


def _shown(value: Any, limit: int) -> str:
    """Return the text of any value; plain data is bounded first, other objects speak for themselves."""
    if isinstance(value, str):
        return value[:limit]
    if is_a(kind_of(value), dict, list, tuple, set, frozenset):
        shown = str(thaw(freeze(value)))
    else:
        shown = attempt("tool_payload", str, value, default=describe(value))
    return shown[:limit]
