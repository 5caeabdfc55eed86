"""The events that placed spans stand for: of tasks, actions and calls of models.

A span is placed when it is known what is around it, which says whose work it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from hiveloop.payloads import iso_time
from hiveloop_otel.outcome import (
    AGENTS,
    BOUNDARIES,
    MODELS,
    TOOLS,
    call_metadata,
    error_words,
    outer_counts,
    payload_of_task,
    payload_of_tool,
)
from hiveloop_otel.reader import Note, SpanFacts, read_span

from .otlp import Attributes, SpanData

__all__ = [
    "AGENT_ID",
    "DEEPEST",
    "Node",
    "Said",
    "Scope",
    "envelope_of",
    "events_of",
    "facts_of",
    "registration",
]

DEEPEST = 200
"""How many spans one in the other are followed."""
AGENT_ID = "hiveloop.agent.id"
"""An attribute that is read by itself, not with a span's facts."""
_NEVER_STUCK = 30 * 86_400
"""Seconds. What reports spans sends no heartbeats, so its silence says nothing."""
Event = dict[str, Any]


class Scope(NamedTuple):
    """The task, and the innermost action, that what happens in a span belongs to."""

    agent: str
    task: Event
    action_id: str | None = None

    def fields(self) -> Event:
        """Return what each of its events has."""
        return {**self.task, **({"action_id": self.action_id} if self.action_id else {})}


@dataclass(slots=True, eq=False)
class Node:
    """A span whose place is known.

    Attributes:
        span: as it came.
        facts: read from it.
        parent: the span around it, if it is known.
        scope: the task or action that the span stands for.
        inner: spans of other instrumentations about the same call of a model.
        wrapper: the span that this one is such an inner one of.
        counted: whether it was looked at for calls.
    """

    span: SpanData
    facts: SpanFacts
    parent: Node | None
    scope: Scope | None = None
    inner: list[Node] = field(default_factory=list["Node"])
    wrapper: Node | None = None
    counted: bool = False

    def ancestors(self) -> Iterator[Node]:
        """Yield the nodes around it, from the inside out."""
        node = self.parent
        for _ in range(DEEPEST):
            if node is None:
                return
            yield node
            node = node.parent

    def around(self) -> Scope | None:
        """Return the innermost scope around it."""
        return next((node.scope for node in self.ancestors() if node.scope is not None), None)

    def outermost(self) -> Node:
        """Return the first node of the trace that is known, which may be this one."""
        return [self, *self.ancestors()][-1]


class Said(NamedTuple):
    """An event, and whose envelope it goes in."""

    node: Node
    agent: str
    event: Event


def facts_of(span: SpanData, content: bool) -> SpanFacts:
    """Read a span; `content` tells whether to keep what was said to and by models and tools."""
    return read_span(
        span.name,
        span.kind,
        span.attributes,
        [(event.name, event.attributes) for event in span.events],
        failed=span.failed,
        status_message=span.status_message,
        scope_name=span.scope_name,
        content=content,
    )


def events_of(placed: Sequence[Node]) -> list[Said]:
    """Return the events of nodes that were placed together, parents first; scopes are set on the way."""
    said = [one for node in placed for one in _enter(node)]
    return said + [one for node in placed for one in _calls_of(node)]


# -- tasks and actions ------------------------------------------------------------------------


def _enter(node: Node) -> list[Said]:
    """Return the events of a span's own task or action, and of its outermost span's task."""
    facts = node.facts
    if facts.own is not None:
        return _enter_own(node)
    if facts.kind == "other":
        return []
    around = node.around()
    if facts.kind in AGENTS:
        if around is None or facts.agent_name not in (None, around.agent):
            return _begin_task(node, facts, around)
        return _begin_action(node, around)
    said = list[Said]()
    if around is None:
        outermost = node.outermost()
        said += _begin_task(outermost, facts, None)
        around = outermost.scope
        if around is None or (outermost is node and facts.kind == "step"):
            return said
    if facts.kind in MODELS:
        _find_wrapper(node)
        return said
    return said + _begin_action(node, around)


def _begin_task(node: Node, facts: SpanFacts, around: Scope | None) -> list[Said]:
    """A task that lasts as long as a span; `facts` are of the span about AI that wants it."""
    span = node.span
    agent = facts.agent_name or (None if around is None else around.agent) or _service(span.resource)
    run_id = _run_id(span, is_first=around is None and node.parent is None)
    label = facts.name if facts.kind in AGENTS else span.name
    session = facts.session_id
    correlation = session or (None if around is None else around.task["correlation_id"]) or span.trace_id
    task_id = session if session and around is None else f"{label[:80] or 'task'}-{run_id[-12:]}"
    task: Event = {
        "task_id": task_id[:256],
        "task_run_id": run_id,
        "task_type": facts.kind if facts.kind in AGENTS else label,
        "correlation_id": correlation[:256],
    }
    node.scope = Scope(agent[:256], task)
    return _task_events(node, node.scope, facts, {})


def _task_events(node: Node, scope: Scope, facts: SpanFacts, ended: Event) -> list[Said]:
    span = node.span
    failed = span.failed
    start = {"payload": {"summary": f"Task {scope.task['task_id']} started"}}
    end = {
        "status": "failure" if failed else "success",
        "duration_ms": _milliseconds(span),
        "payload": {**payload_of_task(facts), **(_error_of(node.facts) if failed else {})},
        **ended,
    }
    return [
        _said(node, scope, "task_started", span.start_ns, start, "started"),
        _said(node, scope, "task_failed" if failed else "task_completed", span.end_ns, end, "ended"),
    ]


def _begin_action(node: Node, around: Scope, action_id: str | None = None) -> list[Said]:
    span, facts = node.span, node.facts
    scope = node.scope = around._replace(action_id=action_id or span.span_id)
    parent = {"parent_action_id": around.action_id} if around.action_id else {}
    name = {"action_name": facts.name}
    start = {**parent, "payload": name}
    end = {
        **parent,
        "status": "failure" if span.failed else "success",
        "duration_ms": _milliseconds(span),
        "payload": {**name, **_action_payload(node), **(_error_of(facts) if span.failed else {})},
    }
    return [
        _said(node, scope, "action_started", span.start_ns, start, "started"),
        _said(node, scope, "action_failed" if span.failed else "action_completed", span.end_ns, end, "ended"),
    ]


def _action_payload(node: Node) -> Event:
    facts = node.facts
    if facts.own is not None:
        return facts.own.payload
    return payload_of_tool(facts, _milliseconds(node.span)) if facts.kind in TOOLS else {}


def _error_of(facts: SpanFacts) -> Event:
    kind, message = error_words(facts)
    return {"exception_type": kind, "exception_message": message}


# -- calls of models --------------------------------------------------------------------------


def _find_wrapper(node: Node) -> None:
    """Find the span of another instrumentation about the same call."""
    for outer in node.ancestors():
        if outer.facts.kind in BOUNDARIES:
            return
        if outer.facts.kind == node.facts.kind:
            node.wrapper = outer
            outer.inner.append(node)
            return


def _calls_of(node: Node) -> list[Said]:
    """Return the calls of models that a span and the spans inside it stand for; each call once."""
    if node.facts.kind not in MODELS or node.facts.own is not None or node.wrapper is not None:
        return []
    return [_call(counted, facts) for counted, facts in _chosen(node, 0)]


def _chosen(node: Node, depth: int) -> list[tuple[Node, SpanFacts]]:
    if node.counted or depth > DEEPEST:
        return []
    node.counted = True
    inner = [found for child in node.inner for found in _chosen(child, depth + 1)]
    if not inner:
        return [(node, node.facts)]
    if outer_counts(node.facts, (facts for _, facts in inner)):
        return [(node, node.facts)]
    if len(inner) == 1:
        return [(inner[0][0], inner[0][1].completed_by(node.facts))]
    return inner


def _call(node: Node, facts: SpanFacts) -> Said:
    span = node.span
    scope = node.scope or node.around() or node.outermost().scope
    scope = scope or Scope(_service(span.resource), {})
    model = facts.model or "unknown"
    data = {
        "name": facts.name,
        "model": model,
        "tokens_in": facts.tokens_in,
        "tokens_out": facts.tokens_out,
        "cost": facts.cost,
        "duration_ms": _milliseconds(span),
        "prompt_preview": facts.prompt,
        "response_preview": facts.response,
        "metadata": call_metadata(facts, span.trace_id, span.span_id) or None,
    }
    payload = {
        "kind": "llm_call",
        "summary": f"{facts.name} → {model}",
        "data": _without_none(data),
        "tags": ["llm"],
    }
    own_id = None if facts.own is None else facts.own.event_id
    return _said(node, scope, "custom", span.end_ns, {"payload": payload}, "call", own_id)


# -- spans of hiveloop's own ------------------------------------------------------------------


def _enter_own(node: Node) -> list[Said]:
    """Return the events that a span of hiveloop's own was made of."""
    facts, own = node.facts, node.facts.own
    if own is None:
        return []
    agent = str(node.span.attributes.get(AGENT_ID) or facts.agent_name or _service(node.span.resource))
    named = {
        "project_id": own.project,
        "task_id": own.task_id,
        "task_run_id": own.run_id,
        "task_type": own.task_type,
        "correlation_id": own.correlation_id,
    }
    around = node.around()
    known = around.action_id if around is not None and around.task.get("task_run_id") == own.run_id else None
    scope = Scope(agent[:256], {"correlation_id": None, **_without_none(named)}, known)
    said = list[Said]()
    if facts.kind == "agent" and own.task_id is not None:
        node.scope = scope
        ended: Event = {"payload": {**own.payload, **(_error_of(facts) if node.span.failed else {})}}
        if own.status is not None:
            ended["status"] = own.status
        said += _task_events(node, scope, facts, ended)
    elif facts.kind in ("tool", "step"):
        said += _begin_action(node, scope, own.action_id)
    elif facts.kind == "llm":
        node.scope = scope
        said.append(_call(node, facts))
    return said + [_noted(node, node.scope or scope, note) for note in facts.notes]


def _noted(node: Node, scope: Scope, note: Note) -> Said:
    events = node.span.events
    time_ns = events[note.position].time_ns if 0 <= note.position < len(events) else node.span.start_ns
    payload: Event = {"summary": note.summary, "data": note.data, "kind": note.kind, "tags": list(note.tags)}
    fields = {"severity": note.severity, "payload": {key: value for key, value in payload.items() if value}}
    return _said(node, scope, note.type, time_ns, fields, f"note{note.position}", note.event_id)


# -- fields -----------------------------------------------------------------------------------


def _said(
    node: Node,
    scope: Scope,
    event_type: str,
    time_ns: int,
    fields: Event,
    role: str,
    event_id: str | None = None,
) -> Said:
    event: Event = {
        "event_id": event_id or _event_id(node.span, role),
        "timestamp": iso_time(time_ns),
        "event_type": event_type,
        **scope.fields(),
        **fields,
    }
    return Said(node, scope.agent, event)


def _event_id(span: SpanData, role: str) -> str:
    seed = f"{span.trace_id}:{span.span_id}:{role}".encode()
    return str(uuid.UUID(bytes=blake2b(seed, digest_size=16, person=b"hiveloop-otlp").digest()))


def _run_id(span: SpanData, *, is_first: bool) -> str:
    """The trace id as a UUID for the outermost task of a trace, so that either finds the other."""
    if is_first and not span.parent_id:
        return str(uuid.UUID(hex=span.trace_id))
    seed = bytes.fromhex(span.trace_id + span.span_id)
    return str(uuid.UUID(bytes=blake2b(seed, digest_size=16, person=b"hiveloop-inbound").digest()))


def _milliseconds(span: SpanData) -> int:
    return (span.end_ns - span.start_ns) // 1_000_000


def _without_none(told: Event) -> Event:
    return {key: value for key, value in told.items() if value is not None}


def _service(resource: Attributes) -> str:
    name = str(resource.get("service.name") or "")
    return "opentelemetry" if not name or name.startswith("unknown_service") else name


def envelope_of(one: Said) -> Event:
    """Return the envelope of an event, as a client of the ingest API would send it."""
    facts, resource = one.node.facts, one.node.span.resource
    language = resource.get("telemetry.sdk.language")
    environment = resource.get("deployment.environment.name", resource.get("deployment.environment"))
    runtime = resource.get("process.runtime.version")
    told = {
        "agent_id": one.agent,
        "agent_type": None if facts.own is None else facts.own.agent_type,
        "agent_version": facts.agent_version if facts.agent_name == one.agent else None,
        "framework": facts.framework,
        "runtime": f"{language}-{runtime}" if language and runtime else language,
        "sdk_version": f"opentelemetry-{resource.get('telemetry.sdk.version', '')}".rstrip("-"),
        "environment": environment,
        "group": resource.get("service.namespace"),
    }
    return _without_none(told)


def registration(one: Said, envelope: Event) -> Event:
    """The event that keeps an agent without heartbeats from being called stuck."""
    seed = f"{one.agent}:{envelope.get('framework')}".encode("utf-8", "replace")
    digest = blake2b(seed, digest_size=16, person=b"hiveloop-agent").digest()
    data = {"type": "agent", "framework": envelope.get("framework"), "stuck_threshold": _NEVER_STUCK}
    return {
        "event_id": str(uuid.UUID(bytes=digest)),
        "timestamp": one.event["timestamp"],
        "event_type": "agent_registered",
        "payload": {"summary": f"Agent {one.agent} reports by OpenTelemetry", "data": _without_none(data)},
    }
