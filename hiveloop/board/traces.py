"""Spans about AI agents as events: what any OpenTelemetry instrumentation exports shows up on the board.

The same reading of spans as in `hiveloop_otel.HiveLoopSpanProcessor`, and the same outcome, from the other
end: spans come when they have ended, children as a rule before their parents. So a span waits a moment for
the spans around it, which say whose work it is; when they do not come, it becomes work of the service. Event
ids are made of the span's ids, so a request that is sent twice is stored once.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
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

from .intake import read_events
from .model import NewEvent
from .otlp import Attributes, Export, SpanData

__all__ = ["HOLD_SECONDS", "Step", "Traces"]

HOLD_SECONDS = 10.0
"""How long a span waits for the spans around it."""
_MOST_TRACES = 2_000
_MOST_NODES = 5_000
_MOST_HELD = 50_000
_DEEPEST = 200
_IN_BATCH = 500
_AGENT_ID = "hiveloop.agent.id"
_NEEDED = frozenset((_AGENT_ID,))
"""Attributes that are read by themselves, not with a span's facts."""
_NEVER_STUCK = 30 * 86_400
"""Seconds. What reports spans sends no heartbeats, so its silence says nothing."""
Event = dict[str, Any]


class _Scope(NamedTuple):
    """The task, and the innermost action, that what happens in a span belongs to."""

    agent: str
    task: Event
    action_id: str | None = None

    def fields(self) -> Event:
        return {**self.task, **({"action_id": self.action_id} if self.action_id else {})}


@dataclass(slots=True, eq=False)
class _Node:
    """A span whose place is known."""

    span: SpanData
    facts: SpanFacts
    parent: _Node | None
    scope: _Scope | None = None
    inner: list[_Node] = field(default_factory=list["_Node"])
    wrapper: _Node | None = None
    counted: bool = False

    def ancestors(self) -> Iterator[_Node]:
        node = self.parent
        for _ in range(_DEEPEST):
            if node is None:
                return
            yield node
            node = node.parent

    def around(self) -> _Scope | None:
        return next((node.scope for node in self.ancestors() if node.scope is not None), None)

    def outermost(self) -> _Node:
        return [self, *self.ancestors()][-1]


@dataclass(slots=True)
class _Trace:
    """What is known of a trace."""

    nodes: dict[str, _Node] = field(default_factory=dict[str, _Node])
    held: dict[str, SpanData] = field(default_factory=dict[str, SpanData])
    since: float = 0.0

    def knows(self, span: SpanData) -> bool:
        return span.span_id in self.nodes or span.span_id in self.held


def _key(span: SpanData) -> tuple[str, str]:
    return span.trace_id, span.span_id


class _Said(NamedTuple):
    """An event, and whose envelope it goes in."""

    node: _Node
    agent: str
    event: Event


class Step(NamedTuple):
    """What came of some spans: what to store of it, in one transaction.

    Attributes:
        world: whose spans.
        batches: events.
        waiting: spans that have begun to wait.
        placed: spans that waited before, and wait no more.
        left_out: how many spans there is no room for.
    """

    world: str
    batches: list[list[NewEvent]]
    waiting: list[SpanData]
    placed: list[SpanData]
    left_out: int
    made: list[_Node]
    begun: list[_Node]
    """Nodes made before on which a task has begun now."""


class Traces:
    """Makes events of spans; any thread.

    What it knows is in memory only. `Step` says what to keep of it, and `adopt` takes that back.

    Args:
        previews: whether to keep what was said to and by models and tools.
        clock: seconds of a clock that never goes back.

    Attributes:
        lock: hold it from placing spans until what came of it stands in line to be stored, so that steps are
            stored in their order.
    """

    def __init__(self, previews: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.RLock()
        self._previews = previews
        self._clock = clock
        self._traces: dict[tuple[str, str], _Trace] = {}
        self._held = 0

    def events_of(self, world: str, export: Export, now_us: int) -> Step:
        """Place an export's spans, and those that waited for them."""
        with self.lock:
            touched = dict[str, _Trace]()
            fresh = set[tuple[str, str]]()
            for span in export.spans:
                touched[span.trace_id] = trace = self._trace((world, span.trace_id))
                if self._hold(trace, span):
                    fresh.add(_key(span))
            left_out = sum(not touched[span.trace_id].knows(span) for span in export.spans)
            everything = self._held > _MOST_HELD
            return self._step(world, list(touched.values()), fresh, everything, now_us, left_out)

    def expired(self, now_us: int, everything: bool = False) -> list[Step]:
        """Place spans that waited in vain; a step for each world.

        Args:
            now_us: the time now.
            everything: also those that wait not long enough; for the end of the board.
        """
        with self.lock:
            due = dict[str, list[_Trace]]()
            limit = self._clock() - HOLD_SECONDS
            for (world, _), trace in self._traces.items():
                if trace.held and (everything or trace.since <= limit):
                    due.setdefault(world, []).append(trace)
            return [self._step(world, traces, set(), True, now_us) for world, traces in due.items()]

    def adopt(self, world: str, spans: Iterable[SpanData]) -> list[SpanData]:
        """Have spans wait that another process left waiting; return those that are placed already."""
        with self.lock:
            placed = list[SpanData]()
            for span in spans:
                trace = self._trace((world, span.trace_id))
                if not self._hold(trace, span) and span.span_id in trace.nodes:
                    placed.append(span)
            return placed

    def undo(self, step: Step) -> None:
        """Take back a step that was not stored: what waited before waits again, the rest is forgotten."""
        with self.lock:
            again = set(map(_key, step.placed))
            for node in step.made:
                trace = self._trace((step.world, node.span.trace_id))
                trace.nodes.pop(node.span.span_id, None)
                if node.wrapper is not None:
                    node.wrapper.inner.remove(node)
                if _key(node.span) in again:
                    self._hold(trace, node.span)
            for node in step.begun:
                node.scope = None
            for span in step.waiting:
                held = self._trace((step.world, span.trace_id)).held
                self._held -= held.pop(span.span_id, None) is not None

    def _hold(self, trace: _Trace, span: SpanData) -> bool:
        """Have a span wait; tell whether it is one that was not known."""
        if trace.knows(span) or len(trace.nodes) + len(trace.held) >= _MOST_NODES:
            return False
        trace.held[span.span_id] = span
        self._held += 1
        return True

    def _trace(self, key: tuple[str, str]) -> _Trace:
        trace = self._traces.pop(key, None) or _Trace(since=self._clock())
        if not trace.held:
            trace.since = self._clock()
        self._traces[key] = trace  # the newest is the last one
        if len(self._traces) > _MOST_TRACES:
            idle = next((old for old, known in self._traces.items() if not known.held), None)
            if idle is not None and idle != key:
                del self._traces[idle]
        return trace

    def _step(
        self,
        world: str,
        traces: list[_Trace],
        fresh: set[tuple[str, str]],
        everything: bool,
        now_us: int,
        left_out: int = 0,
    ) -> Step:
        said, made = list[_Said](), list[_Node]()
        for trace in traces:
            said += self._place(trace, made, everything=everything)
        held = (span for trace in traces for span in trace.held.values())
        waiting = [span if self._previews else _bare(span) for span in held if _key(span) in fresh]
        placed = [node.span for node in made if _key(node.span) not in fresh]
        begun = list({one.node for one in said}.difference(made))
        return Step(world, self._batches(said, now_us), waiting, placed, left_out, made, begun)

    # -- places -------------------------------------------------------------------------------

    def _place(self, trace: _Trace, made: list[_Node], *, everything: bool) -> list[_Said]:
        """Place the spans whose surroundings are known; parents first."""
        ready = [span for span in trace.held.values() if everything or _is_known(trace, span)]
        said, new = list[_Said](), list[_Node]()
        for span in sorted(ready, key=lambda span: span.start_ns):
            self._place_one(trace, span, new)
        made += new
        for node in new:
            said += _enter(node)
        for node in new:
            said += _calls_of(node)
        return said

    def _place_one(self, trace: _Trace, span: SpanData, new: list[_Node]) -> None:
        chain = list[SpanData]()
        here: SpanData | None = span
        while here is not None and here.span_id in trace.held and len(chain) < _DEEPEST:
            chain.append(here)
            del trace.held[here.span_id]
            self._held -= 1
            here = trace.held.get(here.parent_id)
        for one in reversed(chain):
            node = _Node(one, _facts(one, self._previews), trace.nodes.get(one.parent_id))
            trace.nodes[one.span_id] = node
            new.append(node)

    # -- events -------------------------------------------------------------------------------

    def _batches(self, said: Sequence[_Said], now_us: int) -> list[list[NewEvent]]:
        """Check the events as if they had come over the wire: one set of limits for all."""
        found = list[NewEvent]()
        registered = set[str]()
        for one in sorted(said, key=lambda one: one.event["timestamp"]):
            envelope = _envelope(one)
            events = [one.event]
            if one.agent not in registered and one.node.facts.own is None:
                registered.add(one.agent)
                events.insert(0, _registration(one, envelope))
            found += read_events(envelope, events, now_us, self._previews).events
        return [found[at : at + _IN_BATCH] for at in range(0, len(found), _IN_BATCH)]


def _is_known(trace: _Trace, span: SpanData) -> bool:
    """Tell whether all spans around one have come."""
    for _ in range(_DEEPEST):
        if not span.parent_id or span.parent_id in trace.nodes:
            return True
        parent = trace.held.get(span.parent_id)
        if parent is None:
            return span.is_remote
        span = parent
    return True


def _facts(span: SpanData, content: bool) -> SpanFacts:
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


def _bare(span: SpanData) -> SpanData:
    """Leave out what changes nothing of a span's facts, so that nothing of what was said is written down."""
    facts = _facts(span, content=False)
    for name in span.attributes:
        others = {key: value for key, value in span.attributes.items() if key != name}
        less = span._replace(attributes=others)
        if name not in _NEEDED and _facts(less, content=False) == facts:
            span = less
    for number, event in enumerate(span.events):
        events = (*span.events[:number], event._replace(attributes={}), *span.events[number + 1 :])
        if _facts(span._replace(events=events), content=False) == facts:
            span = span._replace(events=events)
    return span


# -- tasks and actions ------------------------------------------------------------------------


def _enter(node: _Node) -> list[_Said]:
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
    said = list[_Said]()
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


def _begin_task(node: _Node, facts: SpanFacts, around: _Scope | None) -> list[_Said]:
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
    node.scope = _Scope(agent[:256], task)
    return _task_events(node, node.scope, facts, {})


def _task_events(node: _Node, scope: _Scope, facts: SpanFacts, ended: Event) -> list[_Said]:
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


def _begin_action(node: _Node, around: _Scope, action_id: str | None = None) -> list[_Said]:
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


def _action_payload(node: _Node) -> Event:
    facts = node.facts
    if facts.own is not None:
        return facts.own.payload
    return payload_of_tool(facts, _milliseconds(node.span)) if facts.kind in TOOLS else {}


def _error_of(facts: SpanFacts) -> Event:
    kind, message = error_words(facts)
    return {"exception_type": kind, "exception_message": message}


# -- calls of models --------------------------------------------------------------------------


def _find_wrapper(node: _Node) -> None:
    """Find the span of another instrumentation about the same call."""
    for outer in node.ancestors():
        if outer.facts.kind in BOUNDARIES:
            return
        if outer.facts.kind == node.facts.kind:
            node.wrapper = outer
            outer.inner.append(node)
            return


def _calls_of(node: _Node) -> list[_Said]:
    """Return the calls of models that a span and the spans inside it stand for; each call once."""
    if node.facts.kind not in MODELS or node.facts.own is not None or node.wrapper is not None:
        return []
    return [_call(counted, facts) for counted, facts in _chosen(node, 0)]


def _chosen(node: _Node, depth: int) -> list[tuple[_Node, SpanFacts]]:
    if node.counted or depth > _DEEPEST:
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


def _call(node: _Node, facts: SpanFacts) -> _Said:
    span = node.span
    scope = node.scope or node.around() or node.outermost().scope
    scope = scope or _Scope(_service(span.resource), {})
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


def _enter_own(node: _Node) -> list[_Said]:
    """Return the events that a span of hiveloop's own was made of."""
    facts, own = node.facts, node.facts.own
    if own is None:
        return []
    agent = str(node.span.attributes.get(_AGENT_ID) or facts.agent_name or _service(node.span.resource))
    named = {
        "project_id": own.project,
        "task_id": own.task_id,
        "task_run_id": own.run_id,
        "task_type": own.task_type,
        "correlation_id": own.correlation_id,
    }
    around = node.around()
    known = around.action_id if around is not None and around.task.get("task_run_id") == own.run_id else None
    scope = _Scope(agent[:256], {"correlation_id": None, **_without_none(named)}, known)
    said = list[_Said]()
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


def _noted(node: _Node, scope: _Scope, note: Note) -> _Said:
    events = node.span.events
    time_ns = events[note.position].time_ns if 0 <= note.position < len(events) else node.span.start_ns
    payload: Event = {"summary": note.summary, "data": note.data, "kind": note.kind, "tags": list(note.tags)}
    fields = {"severity": note.severity, "payload": {key: value for key, value in payload.items() if value}}
    return _said(node, scope, note.type, time_ns, fields, f"note{note.position}", note.event_id)


# -- fields -----------------------------------------------------------------------------------


def _said(
    node: _Node,
    scope: _Scope,
    event_type: str,
    time_ns: int,
    fields: Event,
    role: str,
    event_id: str | None = None,
) -> _Said:
    event: Event = {
        "event_id": event_id or _event_id(node.span, role),
        "timestamp": iso_time(time_ns),
        "event_type": event_type,
        **scope.fields(),
        **fields,
    }
    return _Said(node, scope.agent, event)


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


def _envelope(one: _Said) -> Event:
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


def _registration(one: _Said, envelope: Event) -> Event:
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
