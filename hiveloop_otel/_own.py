"""Spans that hiveloop itself exported, read back: whose work they are and what happened in it.

The names are those `semconv` gives; see the mapping tables in the documentation. Imports no OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hiveloop._shape import is_list

from . import semconv as names
from ._messages import Attributes, SpanEvents, parsed

__all__ = ["Note", "Own", "metadata_of", "notes_of", "own_of"]


class Own(NamedTuple):
    """What hiveloop said of one of its spans; None for what it did not say.

    Attributes:
        agent_type: role of the agent.
        framework: its framework.
        project: of the task.
        task_id: of the task.
        run_id: of this execution of the task.
        task_type: classification of the task.
        correlation_id: ties tasks together.
        status: how the task ended: "success", "failure", the caller's word, "interrupted".
        action_id: of the action.
        event_id: of the event that an instant span or a model call was made of.
        payload: what the caller attached to the end of the task or the action.
        incomplete: whether the span was exported before its work ended.
    """

    agent_type: str | None = None
    framework: str | None = None
    project: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    task_type: str | None = None
    correlation_id: str | None = None
    status: str | None = None
    action_id: str | None = None
    event_id: str | None = None
    payload: dict[str, Any] = {}  # noqa: RUF012 - never changed
    incomplete: bool = False


class Note(NamedTuple):
    """One thing that happened, as an event of hiveloop: a plan, an issue, an approval, a retry.

    Attributes:
        position: place in the span's events, whose time is the note's; -1 when the span itself is the note.
        type: one of the 13 event types, such as "custom" or "approval_requested".
        kind: kind of a custom event, such as "plan_created"; None for other types.
        summary: the one-line human text, or "".
        data: the details under the names hiveloop's payloads have.
        tags: of a custom event.
        severity: "debug", "info", "warn" or "error".
        event_id: of the event, or None.
    """

    position: int
    type: str
    kind: str | None = None
    summary: str = ""
    data: dict[str, Any] = {}  # noqa: RUF012
    tags: tuple[str, ...] = ()
    severity: str = "info"
    event_id: str | None = None


_IDENTITY = {
    "agent_type": names.HIVELOOP_AGENT_TYPE,
    "framework": names.HIVELOOP_AGENT_FRAMEWORK,
    "project": names.HIVELOOP_PROJECT,
    "task_id": names.HIVELOOP_TASK_ID,
    "run_id": names.HIVELOOP_TASK_RUN_ID,
    "task_type": names.HIVELOOP_TASK_TYPE,
    "correlation_id": names.HIVELOOP_CORRELATION_ID,
    "status": names.HIVELOOP_TASK_STATUS,
    "action_id": names.HIVELOOP_ACTION_ID,
    "event_id": names.HIVELOOP_EVENT_ID,
}
_TYPES = {
    names.RETRY: "retry_started",
    names.ESCALATION: "escalated",
    names.APPROVAL_REQUESTED: "approval_requested",
    names.APPROVAL_RECEIVED: "approval_received",
}
_KINDS = {
    names.PLAN_CREATED: "plan_created",
    names.PLAN_STEP: "plan_step",
    names.ISSUE_REPORTED: "issue",
    names.ISSUE_RESOLVED: "issue",
    names.TODO: "todo",
    names.SCHEDULED: "scheduled",
    names.QUEUE_SNAPSHOT: "queue_snapshot",
    names.LEARNING: "learning",
    names.CONTEXT_COMPACTION: "context_compaction",
    names.ERROR_CONTEXT: "error_context",
    names.RUNTIME: "runtime",
    names.MEMORY_OP: "memory_op",
    names.CONFIG_SNAPSHOT: "config_snapshot",
    names.ANOMALY: "anomaly",
    names.PROMPT_COMPOSITION: "prompt_composition",
    names.STATE_MUTATION: "state_mutation",
}
_RENAMED = {
    "plan_step": {"index": "step_index", "total": "total_steps", "revision": "plan_revision"},
    "issue": {"id": "issue_id"},
    "todo": {"id": "todo_id"},
    "retry_started": {"backoff": "backoff_seconds"},
}
_FIXED = {names.ISSUE_REPORTED: {"action": "reported"}, names.ISSUE_RESOLVED: {"action": "resolved"}}
_ERROR = {
    "error_type": names.ERROR_TYPE,
    "error_message": names.EXCEPTION_MESSAGE,
    "status_code": names.HTTP_STATUS_CODE,
}
"""Details of an ``error_context`` that have names of the conventions."""
_PAYLOADS = (f"{names.HIVELOOP_TASK_PAYLOAD}.", f"{names.HIVELOOP_ACTION_PAYLOAD}.")


def own_of(attributes: Attributes) -> Own | None:
    """Return what hiveloop said of its span, or None for a span of others."""
    if names.HIVELOOP_AGENT_ID not in attributes and names.HIVELOOP_TASK_ID not in attributes:
        return None
    found = {field: attributes.get(name) for field, name in _IDENTITY.items()}
    texts: dict[str, Any] = {field: value for field, value in found.items() if isinstance(value, str)}
    incomplete = attributes.get(names.HIVELOOP_SPAN_INCOMPLETE) is True
    return Own(**texts, payload=_payload(attributes), incomplete=incomplete)


def _payload(attributes: Attributes) -> dict[str, Any]:
    return {
        key[len(start) :]: parsed(value)
        for key, value in attributes.items()
        for start in _PAYLOADS
        if key.startswith(start)
    }


def notes_of(name: str, attributes: Attributes, events: SpanEvents) -> tuple[Note, ...]:
    """Return what happened in a span of hiveloop, in order; the span may be such a thing itself."""
    itself = [] if not name.startswith("hiveloop.") else [_note(-1, name, attributes)]
    return tuple(note for note in (*itself, *(_note(i, *event) for i, event in enumerate(events))) if note)


def _note(position: int, name: str, attributes: Attributes) -> Note | None:
    type_, kind = _TYPES.get(name, "custom"), _kind(name)
    if type_ == "custom" and kind is None:
        return None
    word = kind or type_
    data = _data(name, attributes, _RENAMED.get(word, {}))
    summary, tags = data.pop("summary", ""), data.pop("tags", ())
    severity, event_id = attributes.get(names.HIVELOOP_SEVERITY), attributes.get(names.HIVELOOP_EVENT_ID)
    return Note(
        position,
        type_,
        kind,
        summary if isinstance(summary, str) else "",
        data,
        tuple(map(str, tags)) if is_list(tags) else (),
        severity if isinstance(severity, str) else "info",
        event_id if isinstance(event_id, str) else None,
    )


def _kind(name: str) -> str | None:
    if name == names.INFERENCE_DETAILS:
        return "llm_call"
    if name == names.CUSTOM or name.startswith(f"{names.CUSTOM}."):
        return name[len(names.CUSTOM) + 1 :] or "custom"
    return _KINDS.get(name)


def _data(name: str, attributes: Attributes, renamed: Mapping[str, str]) -> dict[str, Any]:
    start = f"{name}."
    data: dict[str, Any] = dict(_FIXED.get(name, {}))
    for key, value in attributes.items():
        if key.startswith(start):
            short = key[len(start) :]
            data[renamed.get(short, short)] = _plain(value)
    if name == names.PLAN_CREATED:
        _number_steps(data)
    elif name == names.MEMORY_OP and isinstance(data.get("latency"), int | float):
        data["latency_ms"] = round(data.pop("latency") * 1_000)
    elif name == names.ERROR_CONTEXT:
        data.update({key: attributes[found] for key, found in _ERROR.items() if found in attributes})
    return data


def _number_steps(data: dict[str, Any]) -> None:
    """Give the steps of a plan the shape they have in a payload."""
    data.pop("step_count", None)
    steps = data.get("steps")
    if is_list(steps):
        data["steps"] = [{"index": n, "description": step} for n, step in enumerate(steps)]


def _plain(value: object) -> Any:
    """A detail with the structure it had; a text of the caller's that is JSON becomes that too."""
    if isinstance(value, str):
        tree = parsed(value)
        return value if isinstance(tree, str) else tree
    return list(value) if is_list(value) else value


_OF_CALLS = {
    names.HIVELOOP_LLM_CONTEXT_WINDOW: "context_window_size",
    names.HIVELOOP_LLM_CONTEXT_USED: "context_used_tokens",
    names.HIVELOOP_LLM_PROMPT_SYSTEM: "system_prompt_tokens",
    names.HIVELOOP_LLM_PROMPT_HISTORY: "history_tokens",
    names.HIVELOOP_LLM_PROMPT_TOOL_RESULTS: "tool_results_tokens",
}


def metadata_of(attributes: Attributes) -> dict[str, Any]:
    """Return the metadata of a model's call that hiveloop gives names of its own."""
    start = f"{names.HIVELOOP_LLM_METADATA}."
    found = {short: attributes[name] for name, short in _OF_CALLS.items() if name in attributes}
    utilization = attributes.get(names.HIVELOOP_LLM_CONTEXT_UTILIZATION)
    if isinstance(utilization, int | float):
        found["context_utilization_pct"] = utilization * 100
    rest = {key[len(start) :]: _plain(value) for key, value in attributes.items() if key.startswith(start)}
    return {**found, **rest}
