"""What events carry: the payload of each kind, its summary, tags and severity.

Every builder here runs on a delivery thread and turns the frozen arguments of a sensor call into
a `Draft`, whose payload is JSON text from the start: a dict on the way would double the cost of an
event. Text of users gets in through `Privacy.quote`, `Privacy.tree` and `Privacy.members` only, so
it is redacted. Wrong types are coerced or left out with a notice; a builder never refuses an event.
Sources: integration guide and sensor reference for names, kinds, tags and summaries; ingest API for
limits and severity defaults.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import Any, Protocol

from ._freeze import TRUNCATED, describe, freeze, freeze_text, thaw
from ._guard import attempt, guarded_scope, notice
from ._redact import Privacy, redact_text
from ._shape import LARGEST, SMALLEST, is_a, is_dict, is_list, kind_of
from .events import EventType, Severity

__all__ = ["Draft", "iso_time", "tool_payload"]

SUMMARY_LIMIT = 512
_LONGEST_SECRET = 4_096
_SURELY_FITS = 400
"""Characters of a name and a model whose summary cannot exceed the limit."""
CONTENT_KEYS = frozenset(("args", "result", "result_preview", "response_body"))
"""Keys of an action's payload that hold what tools were given and returned."""

# Constants, since a look-up on an enum class runs Python code in some versions.
_INFO, _WARN, _ERROR, _DEBUG = Severity.INFO, Severity.WARN, Severity.ERROR, Severity.DEBUG
_CUSTOM = EventType.CUSTOM
_TASK_STARTED, _TASK_COMPLETED = EventType.TASK_STARTED, EventType.TASK_COMPLETED
_ACTION_STARTED, _ACTION_COMPLETED = EventType.ACTION_STARTED, EventType.ACTION_COMPLETED

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
_LOWEST, _HIGHEST = float(SMALLEST), float(LARGEST)
"""The same for floats, which are slow to compare with a large int."""
_NUMBERS = frozenset((int, float, bool))
_TYPES: dict[str, EventType] = {t.value: t for t in EventType}
_SEVERITIES: dict[str, Severity] = {s.value: s for s in Severity}


Draft = tuple[EventType, str, Severity, str | None, int | None, str | None]
"""An event's content: type, payload as JSON text, severity, status, duration in nanoseconds, parent event
id. A plain tuple: it lives for a microsecond, once per event."""


# -- coercion ---------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Return text for an argument that should be one."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    return freeze_text(thaw(value))


def number(value: Any, name: str) -> Any:
    """Return a finite number of at most 64 bits, or None with a notice when there is none to be had."""
    if value is None:
        return None
    if type(value) is str:
        value = _parsed(value)
    if type(value) in _NUMBERS and _LOWEST < value < _HIGHEST:  # false for NaN
        return value
    notice(f"argument {name}", "hiveloop: left out %s: not a finite number", name)
    return None


def whole(value: Any, name: str) -> int | None:
    """Return a whole number (of tokens, attempts, steps), rounding what is not one."""
    if value is None or (type(value) is int and SMALLEST <= value <= LARGEST):
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


def severity_of(value: Any, default: Severity) -> Severity:
    """Return the severity a caller named, or the default when it is none of ours."""
    if value is None:
        return default
    word = text(value).lower()
    return _SEVERITIES.get(word) or _ALIASES.get(word) or default


# -- JSON text ----------------------------------------------------------------------------------


def iso_time(time_ns: int) -> str:
    """Return wall clock nanoseconds as ISO 8601 in UTC with milliseconds."""
    return _milliseconds_text(time_ns // 1_000_000)


@lru_cache(maxsize=16)  # events come in bursts
def _milliseconds_text(milliseconds: int) -> str:
    seconds, fraction = divmod(milliseconds, 1_000)
    return f"{_seconds_text(seconds)}.{fraction:03d}Z"


@lru_cache(maxsize=8)
def _seconds_text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _summary(p: Privacy, summary: str, cut: tuple[str, ...] = ()) -> str:
    """The summary member, and a note of what was cut: the summary itself, or what `cut` names."""
    if len(summary) > SUMMARY_LIMIT:
        summary = _shortened(p, summary, SUMMARY_LIMIT)
        cut = (*cut, "summary")
    note = f',"{TRUNCATED}":["{_COMMA.join(cut)}"]' if cut else ""
    return f'"summary":{p.quote(summary)}{note}'


_COMMA = '","'


def _shortened(p: Privacy, value: str, limit: int) -> str:
    """Cut a text, but not through a secret, whose beginning would be left."""
    return (p.text(value) or "")[: limit - 1] + "…"


def _texts(p: Privacy, **fields: Any) -> str:
    """Members of those fields that are set, as text."""
    return ",".join(f'"{key}":{p.quote(text(value))}' for key, value in fields.items() if value is not None)


def _plain(**fields: float | None) -> str:
    """Members of those numbers that are set."""
    return ",".join(f'"{key}":{_number_text(v)}' for key, v in fields.items() if v is not None)


def _number_text(value: float) -> str:
    return repr(int(value)) if value is True or value is False else repr(value)


def _joined(*members: str) -> str:
    return ",".join(filter(None, members))


def _merged(p: Privacy, start: str, ours: frozenset[str], frozen: tuple[Any, ...]) -> str:
    """A payload of ours with the caller's members after it; where both have a key, the caller's counts."""
    if not frozen:
        return f"{{{start}}}"
    extra = mapping(frozen[0])
    for more in frozen[1:]:
        extra.update(mapping(more))
    if ours.isdisjoint(extra):
        return f"{{{start},{p.members(extra)}}}"
    return p.tree({**json.loads(f"{{{start}}}"), **extra})


_SUMMARY = frozenset(("summary",))
_ACTION = frozenset(("action_name", "function"))
_FAILURE = frozenset(("exception_type", "exception_message"))


# -- lifecycle ----------------------------------------------------------------------------------


def agent_registered(
    p: Privacy, agent_id: Any, kind: Any, version: Any, framework: Any, stuck_threshold: Any
) -> Draft:
    data = _joined(
        _texts(p, type=kind, version=version, framework=framework), _plain(stuck_threshold=stuck_threshold)
    )
    summary = _summary(p, f"Agent {text(agent_id)} registered")
    payload = f'{{{summary},"data":{{{data}}}}}'
    return EventType.AGENT_REGISTERED, payload, _INFO, None, None, None


def agent_stopped(p: Privacy, agent_id: Any) -> Draft:
    summary = _summary(p, f"Agent {text(agent_id)} stopped")
    payload = f'{{"kind":"runtime",{summary},"data":{{"event":"agent_stopped"}}}}'
    return _CUSTOM, payload, _INFO, None, None, None


def heartbeat(p: Privacy, payload: Any, own: Any) -> Draft:
    told = p.tree({**mapping(payload), "hiveloop": mapping(own)})
    return EventType.HEARTBEAT, told, _DEBUG, None, None, None


# The events of a scope are made of the scope itself: what they tell no longer changes by then.


class ActionScope(Protocol):
    """What an action tells of itself.

    Attributes:
        name: as shown in the timeline.
        function: qualified name of the decorated function.
        duration_ns: nanoseconds from start to end.
        payloads: the caller's data, frozen, in order.
        error: short name of the exception's type, and its message.
    """

    name: str
    function: str | None
    duration_ns: int
    payloads: tuple[bytes, ...]
    error: tuple[str | None, str]


class TaskScope(Protocol):
    """What a task tells of itself.

    Attributes:
        task_id: the caller's id.
        is_cut: whether that was longer than ids may be.
        status: the caller's word for a good end, frozen.
        duration_ns: nanoseconds from start to end.
        payloads: the caller's data, frozen, in order.
        error: short name of the exception's type, and its message.
    """

    task_id: str
    is_cut: bool
    status: Any
    duration_ns: int
    payloads: tuple[bytes, ...]
    error: tuple[str | None, str]


def task_started(p: Privacy, task: TaskScope) -> Draft:
    note = f',"{TRUNCATED}":["task_id"]' if task.is_cut else ""
    return _TASK_STARTED, f"{{{_task(p, task, 'started')}{note}}}", _INFO, None, None, None


def _task(p: Privacy, task: TaskScope, what: str) -> str:
    """The summary of a task's event; an id is short enough never to be cut."""
    return f'"summary":"Task {p.quote(task.task_id)[1:-1]} {what}"'


def task_completed(p: Privacy, task: TaskScope) -> Draft:
    payload = _merged(p, _task(p, task, "completed"), _SUMMARY, task.payloads)
    return _TASK_COMPLETED, payload, _INFO, p.text(text(task.status)) or "success", task.duration_ns, None


def task_failed(p: Privacy, task: TaskScope) -> Draft:
    start = _joined(_task(p, task, "failed"), _failure(p, task.error))
    payload = _merged(p, start, _SUMMARY | _FAILURE, task.payloads)
    return EventType.TASK_FAILED, payload, _ERROR, "failure", task.duration_ns, None


def action_started(p: Privacy, action: ActionScope) -> Draft:
    return _ACTION_STARTED, f"{{{_action(p, action)}}}", _INFO, None, None, None


def action_completed(p: Privacy, action: ActionScope) -> Draft:
    payload = _merged(p, _action(p, action), _ACTION, _content(p, action.payloads))
    return _ACTION_COMPLETED, payload, _INFO, "success", action.duration_ns, None


def action_failed(p: Privacy, action: ActionScope) -> Draft:
    start = _joined(_action(p, action), _failure(p, action.error))
    payload = _merged(p, start, _ACTION | _FAILURE, _content(p, action.payloads))
    return EventType.ACTION_FAILED, payload, _ERROR, "failure", action.duration_ns, None


def _action(p: Privacy, action: ActionScope) -> str:
    if action.function is None:
        return f'"action_name":{p.quote(action.name)}'
    return f'"action_name":{p.quote(action.name)},"function":{p.quote(action.function)}'


def _content(p: Privacy, payloads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The payloads of an action, without what its tool was given and returned unless that may leave."""
    if p.captures:
        return payloads
    kept = ({key: v for key, v in mapping(extra).items() if key not in CONTENT_KEYS} for extra in payloads)
    return tuple(extra for extra in kept if extra)


def _failure(p: Privacy, error: tuple[str | None, str]) -> str:
    kind, message = error
    return "" if kind is None else _texts(p, exception_type=kind, exception_message=message)


# -- well-known kinds ---------------------------------------------------------------------------


def _custom(
    p: Privacy,
    kind: str,
    summary: str,
    data: str,
    tags: str,
    severity: Severity = _INFO,
    cut: tuple[str, ...] = (),
) -> Draft:
    """A custom event; `data` and `tags` are members and items as JSON text."""
    told = _summary(p, summary, cut)
    payload = f'{{"kind":"{kind}",{told},"data":{{{data}}},"tags":[{tags}]}}'
    return _CUSTOM, payload, severity, None, None, None


def llm_call(
    p: Privacy,
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
    tokens_in, tokens_out = whole(tokens_in, "tokens_in"), whole(tokens_out, "tokens_out")
    cost, duration_ms = number(cost, "cost"), whole(duration_ms, "duration_ms")
    shown_name, shown_model = p.quote(name), p.quote(model)
    data = f'"name":{shown_name},"model":{shown_model}'
    if tokens_in is not None:
        data += f',"tokens_in":{tokens_in}'
    if tokens_out is not None:
        data += f',"tokens_out":{tokens_out}'
    if cost is not None:
        data += f',"cost":{cost!r}' if type(cost) is float else f',"cost":{_number_text(cost)}'
    if duration_ms is not None:
        data += f',"duration_ms":{duration_ms}'
    cut: tuple[str, ...] = ()
    if p.captures and (prompt_preview is not None or response_preview is not None):
        previews, cut = _previews(p, prompt_preview=prompt_preview, response_preview=response_preview)
        data += previews
    if metadata is not None:
        data += f',"metadata":{p.tree(mapping(metadata))}'
    usage = _usage(tokens_in, tokens_out, cost)
    if cut or len(name) + len(model) > _SURELY_FITS:
        return _custom(p, "llm_call", f"{name} → {model}{usage}", data, '"llm"', _INFO, cut)
    # Of parts redacted already. The arrow is escaped, since a text of ASCII alone is encoded at once.
    told = f'"summary":"{shown_name[1:-1]} \\u2192 {shown_model[1:-1]}{usage}"'
    return _CUSTOM, f'{{"kind":"llm_call",{told},"data":{{{data}}},"tags":["llm"]}}', _INFO, None, None, None


def _previews(p: Privacy, **previews: Any) -> tuple[str, tuple[str, ...]]:
    """The members of the previews, and the names of those that were cut."""
    limit = p.preview_max_chars
    members, cut = "", list[str]()
    for key, value in previews.items():
        if value is None:
            continue
        shown = text(value)
        if len(shown) > limit:
            shown = (p.text(shown) or "")[
                :limit
            ]  # redacted first: a cut through a secret leaves its beginning
            cut.append(key)
        members += f',"{key}":{p.quote(shown)}'
    return members, tuple(cut)


def _usage(tokens_in: int | None, tokens_out: int | None, cost: float | None) -> str:
    if tokens_in is not None and tokens_out is not None:
        tokens = f"{tokens_in} in / {tokens_out} out"
    elif tokens_in is None and tokens_out is None:
        tokens = ""
    else:
        tokens = f"{tokens_in} in" if tokens_out is None else f"{tokens_out} out"
    if cost is None:
        return f" ({tokens})" if tokens else ""
    price = "$" + (f"{cost:.6f}".rstrip("0").rstrip(".") or "0")
    return f" ({tokens}, {price})" if tokens else f" ({price})"


def queue_snapshot(p: Privacy, depth: Any, oldest_age_seconds: Any, queued: Any, processing: Any) -> Draft:
    state = {
        "depth": depth,
        "oldest_age_seconds": oldest_age_seconds,
        "items": None if queued is None else items(queued, "items"),
        "processing": None if processing is None else mapping(processing),
    }
    return _queue(p, state)


def queue_provided(p: Privacy, provided: Any) -> Draft:
    """A queue snapshot from a `queue_provider` callback: the same, with the caller's extra keys."""
    return _queue(p, mapping(provided))


def _queue(p: Privacy, state: dict[str, Any]) -> Draft:
    depth = whole(state.get("depth"), "depth") or 0
    oldest = number(state.get("oldest_age_seconds"), "oldest_age_seconds")
    fields = {**state, "depth": depth, "oldest_age_seconds": oldest}
    data = p.members({key: value for key, value in fields.items() if value is not None})
    age = "" if oldest is None else f", oldest {round(oldest)}s"
    return _custom(p, "queue_snapshot", f"Queue: {depth} items{age}", data, '"queue"', _DEBUG)


def todo(
    p: Privacy,
    todo_id: Any,
    action: Any,
    summary: Any,
    priority: Any,
    source: Any,
    context: Any,
    due_by: Any,
) -> Draft:
    action = text(action)
    data = _texts(
        p,
        todo_id=text(todo_id),
        action=action,
        priority=priority,
        source=source,
        context=context,
        due_by=due_by,
    )
    severity = _WARN if action == "failed" else _INFO
    return _custom(p, "todo", text(summary), data, f'"todo",{p.quote(action)}', severity)


def scheduled(p: Privacy, planned: Any) -> Draft:
    entries = items(planned, "items")
    runs = [e["next_run"] for e in entries if is_dict(e) and isinstance(e.get("next_run"), str)]
    following = f", next at {min(runs)}" if runs else ""
    summary = f"{len(entries)} scheduled items{following}"
    return _custom(p, "scheduled", summary, f'"items":{p.tree(entries)}', '"scheduled"')


def issue(
    p: Privacy, summary: Any, severity: Any, issue_id: Any, category: Any, context: Any, occurrence_count: Any
) -> Draft:
    severity = text(severity).lower()
    data = _joined(
        _texts(p, severity=severity, action="reported", issue_id=issue_id, category=category),
        "" if context is None else f'"context":{p.tree(mapping(context))}',
        _plain(occurrence_count=whole(occurrence_count, "occurrence_count")),
    )
    tags = '"issue"' if category is None else f'"issue",{p.quote(text(category))}'
    return _custom(p, "issue", text(summary), data, tags, _BY_ISSUE.get(severity, _INFO))


def issue_resolved(p: Privacy, summary: Any, issue_id: Any) -> Draft:
    data = _texts(p, severity="low", action="resolved", issue_id=issue_id)
    return _custom(p, "issue", text(summary), data, '"issue","resolved"')


def plan(p: Privacy, goal: Any, steps: Any, revision: Any) -> Draft:
    goal = text(goal)
    quoted = [p.quote(step if type(step) is str else text(freeze(step))) for step in items(steps, "steps")]
    listed = ",".join([f'{{"index":{i},"description":{step}}}' for i, step in enumerate(quoted)])
    data = f'"goal":{p.quote(goal)},"steps":[{listed}],"revision":{whole(revision, "revision") or 0}'
    return _custom(p, "plan_created", goal, data, '"plan","created"')


def plan_step(
    p: Privacy,
    step_index: Any,
    action: Any,
    summary: Any,
    total_steps: Any,
    turns: Any,
    tokens: Any,
    plan_revision: Any,
) -> Draft:
    index, action = whole(step_index, "step_index") or 0, text(action)
    data = f'"step_index":{index},"action":{p.quote(action)}'
    if (total := whole(total_steps, "total_steps")) is not None:
        data += f',"total_steps":{total}'
    if (spent := whole(turns, "turns")) is not None:
        data += f',"turns":{spent}'
    if (spent := whole(tokens, "tokens")) is not None:
        data += f',"tokens":{spent}'
    if (revision := whole(plan_revision, "plan_revision")) is not None:
        data += f',"plan_revision":{revision}'
    told = f"Step {index} {action}: {text(summary)}"
    severity = _ERROR if action == "failed" else _INFO
    return _custom(p, "plan_step", told, data, f'"plan",{p.quote(f"step_{action}")}', severity)


# -- narrative ----------------------------------------------------------------------------------


def escalated(p: Privacy, summary: Any, assigned_to: Any, reason: Any, parent: Any) -> Draft:
    data = _texts(p, assigned_to=assigned_to, reason=reason)
    return _narrative(p, EventType.ESCALATED, summary, data, parent, _WARN)


def approval_requested(p: Privacy, summary: Any, approver: Any, reason: Any, parent: Any) -> Draft:
    data = _texts(p, approver=approver, reason=reason)
    return _narrative(p, EventType.APPROVAL_REQUESTED, summary, data, parent)


def approval_received(
    p: Privacy, summary: Any, approved_by: Any, decision: Any, reason: Any, parent: Any
) -> Draft:
    data = _texts(p, decision=text(decision) or "approved", approved_by=approved_by, reason=reason)
    return _narrative(p, EventType.APPROVAL_RECEIVED, summary, data, parent)


def retry_started(
    p: Privacy, summary: Any, attempt: Any, backoff_seconds: Any, reason: Any, parent: Any
) -> Draft:
    numbers = _plain(
        attempt=whole(attempt, "attempt"), backoff_seconds=number(backoff_seconds, "backoff_seconds")
    )
    data = _joined(numbers, _texts(p, reason=reason))
    return _narrative(p, EventType.RETRY_STARTED, summary, data, parent, _WARN)


def _narrative(
    p: Privacy, type_: EventType, summary: Any, data: str, parent: Any, severity: Severity = _INFO
) -> Draft:
    details = f',"data":{{{data}}}' if data else ""
    payload = f"{{{_summary(p, text(summary))}{details}}}"
    return type_, payload, severity, None, None, _parent(p, parent)


def _parent(p: Privacy, parent: Any) -> str | None:
    return None if parent is None else p.text(text(parent))


# -- anything else ------------------------------------------------------------------------------


def event(p: Privacy, event_type: Any, payload: Any, severity: Any, parent: Any) -> Draft:
    """Build an event of the caller's choice; a type that is not ours becomes a custom kind."""
    name, content = text(event_type), mapping(payload)
    type_ = _TYPES.get(name)
    if type_ is None:
        type_ = EventType.CUSTOM
        content = {"kind": name, **content, "original_type": name}
    loudness = severity_of(severity, _default_severity(type_, content))
    return type_, p.tree(_limited(p, type_, content)), loudness, None, None, _parent(p, parent)


def _limited(p: Privacy, type_: EventType, content: dict[str, Any]) -> dict[str, Any]:
    """Apply to a payload of the caller's making what the sensors apply to theirs."""
    summary = content.get("summary")
    if isinstance(summary, str) and len(summary) > SUMMARY_LIMIT:
        content["summary"] = _shortened(p, summary, SUMMARY_LIMIT)
        content[TRUNCATED] = ["summary"]
    if not p.captures and type_.startswith("action_"):
        content = {key: value for key, value in content.items() if key not in CONTENT_KEYS}
    data = content.get("data")
    if content.get("kind") == "llm_call" and is_dict(data):
        for key in ("prompt_preview", "response_preview"):
            if key in data:
                _limit_preview(p, data, key)
    return content


def _limit_preview(p: Privacy, data: dict[str, Any], key: str) -> None:
    value = data[key]
    if not p.captures:
        del data[key]
    elif isinstance(value, str):
        data[key] = (p.text(value) or "")[: p.preview_max_chars]


def _default_severity(type_: EventType, payload: dict[str, Any]) -> Severity:
    if type_ is not EventType.CUSTOM:
        return _BY_TYPE.get(type_, _INFO)
    found = payload.get("data")
    data = found if is_dict(found) else {}
    match payload.get("kind"):
        case "queue_snapshot":
            return _DEBUG
        case "todo" if data.get("action") == "failed":
            return _WARN
        case "plan_step" if data.get("action") == "failed":
            return _ERROR
        case "issue" if data.get("action", "reported") == "reported":
            return _BY_ISSUE.get(str(data.get("severity")), _INFO)
        case _:
            return _INFO


# -- tools --------------------------------------------------------------------------------------


@guarded_scope(dict[str, Any])
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
        _length(args_max_len, 500),
        _length(result_max_len, 1000),
        default={"success": success},
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


def _length(value: object, default: int) -> int:
    plain = freeze(value)
    return plain if type(plain) is int and plain >= 0 else default


def _cut(value: Any, limit: int) -> Any:
    """Return a plain value as it is when its text is short, else the cut text."""
    shown = freeze_text(value)
    return value if len(shown) <= limit else _short(shown, limit)


def _shown(value: Any, limit: int) -> str:
    """Return the text of any value; plain data is bounded first, other objects speak for themselves."""
    if isinstance(value, str):
        return _short(value, limit)
    if is_a(kind_of(value), dict, list, tuple, set, frozenset):
        shown = str(thaw(freeze(value)))
    else:
        shown = attempt("tool_payload", str, value, default=describe(value))
    return _short(shown, limit)


def _short(value: str, limit: int) -> str:
    """Cut a text; secrets near the cut first, whose beginnings would no longer look like any."""
    return value if len(value) <= limit else redact_text(value[: limit + _LONGEST_SECRET])[:limit]
