"""The native wire format: events as JSON. Source: ingest API.

The fields of an event are written in one fixed order. What repeats is encoded once: the envelope
per agent, the task's fields per task, the time's seconds per second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from json.encoder import encode_basestring as _quote
from typing import Any

from .events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
from .payloads import iso_time

__all__ = [
    "action_text",
    "encode",
    "encode_batch",
    "encode_event",
    "envelope",
    "event_fields",
    "event_id",
    "scope_text",
    "task_text",
    "with_payload",
]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
"""Compact JSON."""
_PAYLOAD = b',"payload":'


def envelope(agent: AgentInfo) -> dict[str, Any]:
    """Return the envelope of an agent's batches; unset fields are left out."""
    fields = {
        "agent_id": agent.agent_id,
        "agent_type": agent.type,
        "agent_version": agent.version,
        "framework": agent.framework,
        "runtime": agent.runtime,
        "sdk_version": agent.sdk_version,
        "environment": agent.environment,
        "group": agent.group,
    }
    return {key: value for key, value in fields.items() if value is not None}


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event as the dict the server gets; unset fields are left out."""
    fields: dict[str, Any] = {
        "event_id": event.event_id,
        "timestamp": iso_time(event.time_ns),
        "event_type": event.type.value,
        "severity": event.severity.value,
    }
    if event.task is not None:
        fields.update(_task_fields(event.task))
    if event.action is not None:
        fields["action_id"] = event.action.action_id
        fields["parent_action_id"] = event.action.parent_action_id
    fields["parent_event_id"] = event.parent_event_id
    fields["status"] = event.status
    fields["duration_ms"] = event.duration_ms
    fields["payload"] = event.payload
    return {key: value for key, value in fields.items() if value is not None}


def _task_fields(task: TaskInfo) -> dict[str, Any]:
    return {
        "project_id": task.project,
        "task_id": task.task_id,
        "task_type": task.type,
        "task_run_id": task.run_id,
        "correlation_id": task.correlation_id,
    }


def task_text(task: TaskInfo) -> str:
    """Return the members of an event that tell its task, as `encode` takes them."""
    project, type_, correlation = task.project, task.type, task.correlation_id
    text = "" if project is None else f',"project_id":{_quote(project)}'
    text += f',"task_id":{_quote(task.task_id)}'
    if type_ is not None:
        text += f',"task_type":{_quote(type_)}'
    text += f',"task_run_id":{_quote(task.run_id)}'
    return text if correlation is None else f'{text},"correlation_id":{_quote(correlation)}'


class _TaskTexts:
    """The encoded fields of recent tasks. Looked up by run id, whose hash is cheap, and checked."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._texts: dict[str, tuple[TaskInfo, str]] = {}

    def of(self, task: TaskInfo) -> str:
        known = self._texts.get(task.run_id)
        if known is not None and known[0] is task:
            return known[1]
        text = task_text(task)
        if len(self._texts) >= self._most:
            self._texts.clear()
        self._texts[task.run_id] = (task, text)
        return text


_task_texts = _TaskTexts(most=512)


@lru_cache(maxsize=256)
def _envelope_text(agent: AgentInfo) -> bytes:
    return _encode(envelope(agent)).encode("utf-8", "replace")


def encode_event(event: Event) -> bytes:
    """Return the JSON of `event_fields`, several times faster."""
    event_id, time_ns, type_, severity, _, task, action, status, duration_ms, parent, payload, _ = event
    scope = scope_text(task, action)
    return encode(event_id, time_ns, type_, severity, scope, status, duration_ms, parent, payload)


def scope_text(task: TaskInfo | None, action: ActionInfo | None) -> str:
    """Return the members of an event that tell its task and action, as `encode` takes them."""
    scope = "" if task is None else _task_texts.of(task)
    return scope if action is None else scope + action_text(action.action_id, action.parent_action_id)


def action_text(action_id: str, parent_id: str | None) -> str:
    """Return the members of an event that tell its action and the one around it."""
    if parent_id is None:
        return f',"action_id":"{action_id}"'
    return f',"action_id":"{action_id}","parent_action_id":"{parent_id}"'


def encode(
    event_id: str,
    time_ns: int,
    type_: EventType,
    severity: Severity,
    scope: str,
    status: str | None,
    duration_ms: int | None,
    parent: str | None,
    payload: str,
) -> bytes:
    """Return the JSON of an event whose parts are known; they mean what they do in `Event`."""
    if parent is not None:
        scope += f',"parent_event_id":{_quote(parent)}'
    if status is not None:
        scope += f',"status":{_quote(status)}'
    if duration_ms is not None:
        scope += f',"duration_ms":{duration_ms}'
    # Formatting an enum member itself runs Python code, and so does its `value`.
    text = (
        f'{{"event_id":"{event_id}","timestamp":"{iso_time(time_ns)}","event_type":"{type_._value_}"'
        f',"severity":"{severity._value_}"{scope},"payload":{payload}}}'
    )
    return text.encode("utf-8", "replace")  # a lone surrogate is no text anywhere else either


def event_id(encoded: bytes) -> str:
    """Return the id of an event that `encode` has encoded: the first value in it."""
    return encoded.split(b'"', 4)[3].decode()


def with_payload(encoded: bytes, change: Callable[[str], str]) -> bytes:
    """Return an event that `encode` has encoded with another payload, made from the one it has."""
    # The quotes tell: in a text that came before they would be escaped.
    head, key, rest = encoded.partition(_PAYLOAD)
    return head + key + change(rest[:-1].decode()).encode("utf-8", "replace") + b"}"


def encode_batch(agent: AgentInfo, events: Iterable[bytes]) -> bytes:
    """Return the body of one request: the agent's envelope and its encoded events."""
    # The brackets go to the first and the last event, so that the body is put together, and copied, once.
    first, *rest = events
    parts = [b'{"envelope":%b,"events":[%b' % (_envelope_text(agent), first), *rest]
    parts[-1] += b"]}"
    return b",".join(parts)
