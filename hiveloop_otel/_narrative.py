"""What agents tell beside tasks, actions and calls of models: retries, approvals, plans, issues and more.

One event becomes one `Narrative`, which the assembler makes a span event, a log record or an instant span of.
A kind that the integration guide describes has a table of its members here; members that are in no table are
kept as ``<event name>.<member>``, and kinds that are in none as ``hiveloop.custom.<kind>``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hiveloop._shape import is_dict, is_list
from hiveloop.events import Event, EventType, Severity

from . import semconv as names
from ._content import MappingOptions, data_of, payload_of
from ._llm import read_llm_call
from ._values import (
    Attributes,
    Rules,
    Value,
    clean_key,
    clean_name,
    clean_text,
    mapped,
    to_content,
    to_flag,
    to_json,
    to_real,
    to_text,
    to_texts,
    to_whole,
)

__all__ = ["Narrative", "read_narrative"]

_NUMBERS = {
    Severity.DEBUG: names.DEBUG,
    Severity.INFO: names.INFO,
    Severity.WARN: names.WARN,
    Severity.ERROR: names.ERROR,
}
_OF_ISSUES = {"low": names.INFO, "medium": names.WARN, "high": names.ERROR, "critical": names.FATAL}
_FRAME = frozenset(("kind", "summary", "data", "tags"))
"""Members of a payload around its ``data``."""


class Narrative(NamedTuple):
    """What one event tells.

    Attributes:
        name: name of the span event, the log record or the instant span.
        attributes: without those of `identity` and `event_identity`.
        severity_number: of a log record; 5 debug, 9 info, 13 warn, 17 error, 21 fatal.
        severity_text: the same as a word in capitals.
        body: one line for people; never empty.
        on_task: attributes that the task's span gets; the last event that tells one counts. Sums over a task
            (retries, anomalies) are not among them.
        traced: whether it belongs into a trace at all; False for what is told by metrics and logs only.
    """

    name: str
    attributes: Attributes
    severity_number: int
    severity_text: str
    body: str
    on_task: Attributes
    traced: bool = True


# -- members ----------------------------------------------------------------------------------

Reader = Callable[[object], Value | None]


def _descriptions(value: object) -> tuple[str, ...] | None:
    """Steps of a plan: texts, or mappings with a description."""
    if not is_list(value):
        return None
    return to_texts([step.get("description", step) if is_dict(step) else step for step in value])


def _seconds(value: object) -> float | None:
    milliseconds = to_real(value)
    return None if milliseconds is None else milliseconds / 1_000


def _rules(name: str, *groups: tuple[Reader, str]) -> Rules:
    """Return rules for members, given by their reader; "member:suffix" is an attribute of another name."""
    rules: dict[str, tuple[str, Reader]] = {}
    for read, members in groups:
        for word in members.split():
            member, _, suffix = word.partition(":")
            rules[member] = f"{name}.{suffix or member}", read
    return rules


# -- kinds ------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """How events of one kind are read.

    Attributes:
        name: name of the event, with which its attributes start.
        rules: what becomes of the members of its data.
        severity: the least severity of a log record.
        sensor: written by a sensor of ours, whose tags say nothing that the name does not.
        summarised: the summary says something that the data does not.
        traced: see `Narrative`.
    """

    name: str
    rules: Rules
    severity: int = names.DEBUG
    sensor: bool = False
    summarised: bool = True
    traced: bool = True


def _kind(name: str, *groups: tuple[Reader, str], severity: int = names.DEBUG, sensor: bool = False) -> _Kind:
    return _Kind(name, _rules(name, *groups), severity, sensor)


_PLAN_CREATED = _kind(
    names.PLAN_CREATED, (to_text, "goal"), (_descriptions, "steps"), (to_whole, "revision"), sensor=True
)._replace(summarised=False)
_PLAN_STEP = _kind(
    names.PLAN_STEP,
    (to_whole, "step_index:index total_steps:total turns tokens plan_revision:revision"),
    (to_text, "action"),
    sensor=True,
)
_ISSUE = (
    (to_text, "issue_id:id severity category"),
    (to_whole, "occurrence_count"),
    (to_json, "context"),
)
_ISSUE_REPORTED = _Kind(
    names.ISSUE_REPORTED, {**_rules(names.ISSUE_REPORTED, *_ISSUE), "action": None}, sensor=True
)
_ISSUE_RESOLVED = _Kind(
    names.ISSUE_RESOLVED, {**_rules(names.ISSUE_RESOLVED, *_ISSUE), "action": None}, sensor=True
)
_QUEUE_SNAPSHOT = _kind(
    names.QUEUE_SNAPSHOT,
    (to_whole, "depth"),
    (to_real, "oldest_age_seconds:oldest_age"),
    (to_json, "items processing"),
    sensor=True,
)._replace(summarised=False, traced=False)
_ERROR_CONTEXT = _Kind(
    names.ERROR_CONTEXT,
    {
        **_rules(
            names.ERROR_CONTEXT,
            (to_text, "api_name action_name"),
            (to_content, "response_body"),
            (to_flag, "retry_eligible"),
            (to_whole, "turn_number"),
        ),
        "error_type": (names.ERROR_TYPE, to_text),
        "error_message": (names.EXCEPTION_MESSAGE, to_text),
        "status_code": (names.HTTP_STATUS_CODE, to_whole),
    },
    names.ERROR,
)

_KINDS = {
    "plan_created": _PLAN_CREATED,
    "plan_step": _PLAN_STEP,
    "issue": _ISSUE_REPORTED,
    "todo": _kind(names.TODO, (to_text, "todo_id:id action priority source context due_by"), sensor=True),
    "queue_snapshot": _QUEUE_SNAPSHOT,
    "scheduled": _kind(names.SCHEDULED, (to_json, "items"), sensor=True)._replace(traced=False),
    "learning": _kind(
        names.LEARNING,
        (to_text, "trigger category description"),
        (to_flag, "correction_applied"),
        (to_whole, "turn_number"),
    ),
    "context_compaction": _kind(
        names.CONTEXT_COMPACTION,
        (to_whole, "tokens_before tokens_after tokens_removed messages_removed turn_number"),
        (to_real, "compression_ratio"),
        (to_text, "method"),
    ),
    "error_context": _ERROR_CONTEXT,
    "runtime": _kind(
        names.RUNTIME, (to_text, "event from_model to_model reason"), (to_json, "config environment")
    ),
    "memory_op": _kind(
        names.MEMORY_OP,
        (to_text, "operation store"),
        (to_content, "key_or_query"),
        (to_whole, "result_count"),
        (_seconds, "latency_ms:latency"),
    ),
    "config_snapshot": _kind(
        names.CONFIG_SNAPSHOT,
        (to_texts, "tools"),
        (to_real, "temperature top_p"),
        (to_text, "system_prompt_hash model version"),
    ),
    "anomaly": _kind(
        names.ANOMALY,
        (to_text, "detector tool_name args_hash message"),
        (to_whole, "cycle_length turn_number"),
        severity=names.WARN,
    ),
    "prompt_composition": _kind(
        names.PROMPT_COMPOSITION,
        (to_text, "largest_component bloat_warning"),
        (to_whole, "turn_number"),
    ),
    "state_mutation": _kind(
        names.STATE_MUTATION,
        (to_whole, "mutation_number turn_number state_size"),
        (to_texts, "keys_changed"),
        (to_json, "changes"),
    ),
}
"""Kinds of custom events. Source: integration guide, layers 2 to 4."""

_TYPES = {
    EventType.RETRY_STARTED: _kind(
        names.RETRY,
        (to_whole, "attempt"),
        (to_real, "backoff_seconds:backoff"),
        (to_text, "reason"),
        sensor=True,
    ),
    EventType.ESCALATED: _kind(names.ESCALATION, (to_text, "assigned_to reason"), sensor=True),
    EventType.APPROVAL_REQUESTED: _kind(names.APPROVAL_REQUESTED, (to_text, "approver reason"), sensor=True),
    EventType.APPROVAL_RECEIVED: _kind(
        names.APPROVAL_RECEIVED, (to_text, "approved_by decision reason"), sensor=True
    ),
    EventType.AGENT_REGISTERED: _Kind(
        names.AGENT_REGISTERED,
        {
            **_rules(names.AGENT_REGISTERED, (to_real, "stuck_threshold")),
            "type": (names.HIVELOOP_AGENT_TYPE, to_text),
            "version": (names.HIVELOOP_AGENT_VERSION, to_text),
            "framework": (names.HIVELOOP_AGENT_FRAMEWORK, to_text),
        },
        sensor=True,
        summarised=False,
        traced=False,
    ),
}
_FAILED = frozenset((EventType.TASK_FAILED, EventType.ACTION_FAILED))
_FAILURE: Rules = {
    "exception_type": (names.EXCEPTION_TYPE, to_text),
    "exception_message": (names.EXCEPTION_MESSAGE, to_text),
}


# -- reading ----------------------------------------------------------------------------------


def read_narrative(event: Event, options: MappingOptions) -> Narrative:
    """Read what an event tells; for any event, though those of tasks and actions tell most by their spans."""
    payload = payload_of(event)
    if event.type is EventType.CUSTOM:
        kind = payload.get("kind")
        if kind == "llm_call":
            return _model_call(event, payload, options)
        return _custom(event, payload, kind if type(kind) is str and kind else None, options)
    if (known := _TYPES.get(event.type)) is not None:
        told = _read(event, payload, known, options)
        on_task: Attributes = {names.HIVELOOP_TASK_ESCALATED: True}
        return told._replace(on_task=on_task) if known.name == names.ESCALATION else told
    if event.type is EventType.HEARTBEAT:
        return _heartbeat(event, payload, options)
    return _of_scope(event, payload)


def _read(event: Event, payload: dict[str, Any], kind: _Kind, options: MappingOptions) -> Narrative:
    attributes = mapped(kind.rules, kind.name, _members(payload), capture_content=options.capture_content)
    summary = to_text(payload.get("summary"))
    if summary is not None and kind.summarised:
        attributes.setdefault(f"{kind.name}.summary", summary)
    if not kind.sensor and (tags := to_texts(payload.get("tags"))):
        attributes.setdefault(f"{kind.name}.tags", tags)
    number = max(kind.severity, _NUMBERS.get(event.severity, names.INFO))
    return Narrative(
        kind.name,
        attributes,
        number,
        names.SEVERITY_TEXTS[number],
        summary or _line(payload) or kind.name,
        {},
        kind.traced,
    )


def _members(payload: dict[str, Any]) -> dict[str, Any]:
    """The data of a payload, and what users put beside it."""
    data = payload.get("data")
    if is_dict(data) and _FRAME.issuperset(payload):
        return data
    beside = {key: value for key, value in payload.items() if key not in _FRAME}
    if "original_type" in beside and beside["original_type"] == payload.get("kind"):
        del beside["original_type"]
    if is_dict(data):
        return {**beside, **data}
    return beside if data is None else {**beside, "data": data}


def _line(payload: dict[str, Any]) -> str | None:
    """A line for people out of an event without a summary."""
    data = payload.get("data")
    if is_dict(data):
        for key in ("message", "description", "error_message", "event"):
            if type(line := data.get(key)) is str and line:
                return clean_text(line, 512)
    return None


def _severe(narrative: Narrative, number: int) -> Narrative:
    return narrative._replace(severity_number=number, severity_text=names.SEVERITY_TEXTS[number])


# -- kinds that need more than a table --------------------------------------------------------


def _custom(event: Event, payload: dict[str, Any], kind: str | None, options: MappingOptions) -> Narrative:
    if kind is None:
        return _read(event, payload, _Kind(names.CUSTOM, {}), options)
    finish = _FINISHES.get(kind)
    if (known := _KINDS.get(kind)) is None:
        known = _Kind(clean_name(f"{names.CUSTOM}.{clean_key(kind)}"), {})
    elif kind == "issue" and data_of(event).get("action") == "resolved":
        known = _ISSUE_RESOLVED
    told = _read(event, payload, known, options)
    return told if finish is None else finish(told, data_of(event))


def _runtime(told: Narrative, data: dict[str, Any]) -> Narrative:
    # Every shutdown tells it for every agent: worth a log record, but no trace of its own.
    return told._replace(traced=data.get("event") != "agent_stopped")


def _plan(told: Narrative, data: dict[str, Any]) -> Narrative:
    on_task = told.on_task
    steps = data.get("steps")
    if is_list(steps):
        on_task[names.HIVELOOP_PLAN_STEP_COUNT] = told.attributes[f"{told.name}.step_count"] = len(steps)
    if (revision := to_whole(data.get("revision"))) is not None:
        on_task[names.HIVELOOP_PLAN_REVISION] = revision
    return told


def _step(told: Narrative, data: dict[str, Any]) -> Narrative:
    return _severe(told, names.ERROR) if data.get("action") == "failed" else told


def _issue(told: Narrative, data: dict[str, Any]) -> Narrative:
    if told.name == names.ISSUE_RESOLVED:
        return _severe(told, names.INFO)
    severity = data.get("severity")
    number = _OF_ISSUES.get(severity) if type(severity) is str else None
    return told if number is None else _severe(told, number)


def _todo(told: Narrative, data: dict[str, Any]) -> Narrative:
    return _severe(told, names.WARN) if data.get("action") == "failed" else told


def _scheduled(told: Narrative, data: dict[str, Any]) -> Narrative:
    if is_list(items := data.get("items")):
        told.attributes[f"{told.name}.count"] = len(items)
    return told


def _composition(told: Narrative, _data: dict[str, Any]) -> Narrative:
    """Give members of one meaning one type, whatever number was at hand."""
    attributes = told.attributes
    for key, value in attributes.items():
        read = to_real if key.endswith("_pct") else to_whole if key.endswith("_tokens") else None
        if read is not None and (number := read(value)) is not None:
            attributes[key] = number
    return told


_FINISHES: dict[str, Callable[[Narrative, dict[str, Any]], Narrative]] = {
    "runtime": _runtime,
    "plan_created": _plan,
    "plan_step": _step,
    "issue": _issue,
    "todo": _todo,
    "scheduled": _scheduled,
    "prompt_composition": _composition,
}


# -- other types ------------------------------------------------------------------------------


def _model_call(event: Event, payload: dict[str, Any], options: MappingOptions) -> Narrative:
    call = read_llm_call(event, options)
    number = _NUMBERS.get(event.severity, names.INFO) if call.error_type is None else names.ERROR
    body = to_text(payload.get("summary")) or call.span_name
    text = names.SEVERITY_TEXTS[number]
    return Narrative(names.INFERENCE_DETAILS, call.attributes, number, text, body, {})


def _heartbeat(event: Event, payload: dict[str, Any], options: MappingOptions) -> Narrative:
    attributes = mapped({}, names.AGENT_HEARTBEAT, payload, capture_content=options.capture_content)
    number = _NUMBERS.get(event.severity, names.DEBUG)
    text = names.SEVERITY_TEXTS[number]
    return Narrative(names.AGENT_HEARTBEAT, attributes, number, text, names.AGENT_HEARTBEAT, {}, traced=False)


def _of_scope(event: Event, payload: dict[str, Any]) -> Narrative:
    """The start or the end of a task or an action; a failure as the conventions tell exceptions."""
    number = _NUMBERS.get(event.severity, names.INFO)
    name = f"hiveloop.{event.type.value.replace('_', '.')}"
    attributes: Attributes = {}
    body = to_text(payload.get("summary")) or to_text(payload.get("action_name")) or name
    if event.type in _FAILED:
        name, number = names.EXCEPTION, names.ERROR
        told = {member: payload.get(member) for member in _FAILURE}
        attributes = {
            names.EXCEPTION_TYPE: names.OTHER_ERROR,
            **mapped(_FAILURE, name, told, capture_content=False),
        }
        body = to_text(payload.get("exception_message")) or body
    return Narrative(
        name, attributes, number, names.SEVERITY_TEXTS[number], body, {}, traced=name == names.EXCEPTION
    )
