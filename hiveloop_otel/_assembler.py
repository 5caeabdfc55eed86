"""From the stream of events to finished spans, log records and metrics; on a delivery thread.

A span is made once, when its task or action has ended, and never changed. The events that end a scope tell
everything about it, so that a lost start costs the exact start time and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from hiveloop.events import Event, EventType

from . import semconv as names
from ._content import (
    MappingOptions,
    ScopeContent,
    action_content,
    event_identity,
    payload_of,
    shared_identity,
    task_content,
)
from ._facade import ScopeSpan
from ._ids import span_id, trace_id
from ._llm import LlmCall, read_llm_call
from ._narrative import Narrative, read_narrative
from ._scopes import MOST_OPEN, Scopes, key_of, outside_of
from ._values import Attributes, Limits, clean_name
from ._work import (
    FinishedSpan,
    Work,
    bounded_attributes,
    bounded_events,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from ._logs import LogSink
    from ._metrics import Meters

__all__ = ["Assembler", "Choices", "Parts", "shrunk"]

_STARTS = frozenset((EventType.TASK_STARTED, EventType.ACTION_STARTED))
_ENDS = frozenset(
    (EventType.TASK_COMPLETED, EventType.TASK_FAILED, EventType.ACTION_COMPLETED, EventType.ACTION_FAILED)
)
_FAILURES = frozenset((EventType.TASK_FAILED, EventType.ACTION_FAILED))
_OF_TASKS = frozenset((EventType.TASK_COMPLETED, EventType.TASK_FAILED))
_MOST_CLOSED = 4096
"""Ended scopes remembered, for what is reported about them afterwards."""
_CLOCK_TOLERANCE_NS = 50_000_000
"""More than this between two clocks means that the wall clock was set."""
_UNSET = Status(StatusCode.UNSET)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Choices(NamedTuple):
    """What a user chose about the shape of the output.

    Attributes:
        mapping: choices about attributes.
        limits: how much a span may carry.
        llm_calls: "both", "event" or "span".
        narrative: whether what happens in a task is told as "events" of spans, as "logs", or "both".
        plan_steps: "events", or "span" for a span per step of a plan as well.
        pending: "log" or "logfire" for a sign of a task when it starts; None for none.
        agent_event_spans: instant spans for events outside any task when there are no logs.
        heartbeat_logs: log records of heartbeats.
        queue_logs: log records of queue snapshots.
    """

    mapping: MappingOptions = MappingOptions()
    limits: Limits = Limits()
    llm_calls: str = "both"
    narrative: str = "both"
    plan_steps: str = "events"
    pending: str | None = None
    agent_event_spans: bool = True
    heartbeat_logs: bool = False
    queue_logs: bool = False


class Parts(NamedTuple):
    """What one event became."""

    spans: list[ReadableSpan]
    logs: list[Any]


_NOTHING = Parts([], [])
"""Shared by most events: what is kept until it was delivered keeps the garbage collector busy, too."""


class Assembler:
    """Assembles spans, log records and metrics from events; one thread at a time.

    Args:
        scopes: the open scopes, as known at call time.
        choices: the shape of the output.
        resource: who sends.
        meters: records metrics, or None.
        logs: makes log records, or None.
    """

    def __init__(
        self,
        scopes: Scopes,
        choices: Choices,
        resource: Resource,
        scope: InstrumentationScope,
        meters: Meters | None = None,
        logs: LogSink | None = None,
    ) -> None:
        self._scopes = scopes
        self._choices = choices
        self._mapping = choices.mapping
        self._resource = resource
        self._scope = scope
        self._meters = meters
        self._logs = logs
        self._works: dict[str, Work] = {}
        self._closed: OrderedDict[str, SpanContext] = OrderedDict()
        self._interrupted: OrderedDict[str, None] = OrderedDict()
        self._spans_events = choices.narrative != "logs" or logs is None
        self._logs_events = logs is not None and choices.narrative != "events"

    def take(self, event: Event) -> Parts:
        """Return what an event becomes. Called once per event, in order."""
        parts = Parts([], [])
        while self._scopes.abandoned:
            self._interrupt(self._scopes.abandoned.popleft(), event.time_ns, parts.spans)
        moment = self._scopes.moment(event)
        told: LlmCall | ScopeContent | None = None
        if event.type in _STARTS:
            self._start(event, parts)
        elif event.type in _ENDS:
            told = self._end(event, parts)
        elif event.type is EventType.CUSTOM and payload_of(event).get("kind") == "llm_call":
            told = read_llm_call(event, self._mapping)
            self._llm_call(event, told, moment, parts)
        else:
            self._narrate(event, moment, parts)
        if self._meters is not None:
            self._meters.record(event, told)
        return parts if parts.spans or parts.logs else _NOTHING

    def interrupt_all(self, now_ns: int) -> list[ReadableSpan]:
        """Return the spans of all open scopes as they are; children before their parents."""
        spans: list[ReadableSpan] = []
        for span in reversed(self._scopes.take_all()):
            span.stray = True  # whatever starts below it from now on belongs to another client
            self._interrupt(span, now_ns, spans)
        return spans

    # -- starts and ends -----------------------------------------------------------------------

    def _start(self, event: Event, parts: Parts) -> None:
        if self._was_interrupted(key_of(event)):
            return
        work = self._work_of(event, starting=True)
        _ = work.span.context  # settled in order, from the outside in
        around = self._around(event)
        if around is not None and work.start_ns < around.start_ns:  # the wall clock was set back meanwhile
            work.started = event._replace(time_ns=around.start_ns)
        if event.action is not None or not work.span.sampled or work.span.inherited:
            return
        if self._choices.pending == "logfire":
            parts.spans.append(self._pending_span(work))
        elif self._choices.pending == "log" and self._logs is not None:
            narrative = read_narrative(event, self._mapping)
            parts.logs.append(self._logs.make(event, narrative, work.span.context))

    def _end(self, event: Event, parts: Parts) -> ScopeContent:
        read = task_content if event.type in _OF_TASKS else action_content
        content = read(event, self._mapping)
        key = key_of(event)
        if self._was_interrupted(key):  # a span is exported once
            return content
        work = self._work_of(event)
        self._scopes.ended(key)
        self._works.pop(key, None)
        self._close(key, work.span.context)
        if content.is_tool and (task := self._task_work(event)) is not None:
            task.count(names.HIVELOOP_TASK_TOOL_CALLS)
        if not work.span.sampled or work.span.inherited:
            work.span.over = True
            return content
        end_ns = _end_of(event, work)
        if event.type in _FAILURES:
            failure = _exception(content, end_ns)
            work.add(failure, self._choices.limits.events)
            if self._logs is not None:
                parts.logs.append(self._logs.make(event, _failure_told(failure), work.span.context))
        parts.spans.append(self._scope_span(work, content, end_ns))
        return content

    def _interrupt(self, span: ScopeSpan, now_ns: int, spans: list[ReadableSpan]) -> None:
        started = span.started
        if started is None:
            return
        key = key_of(started)
        work = self._works.pop(key, None) or self._new_work(started, span)
        self._close(key, span.context)
        self._interrupted[key] = None
        if len(self._interrupted) > MOST_OPEN:
            self._interrupted.popitem(last=False)
        if not span.sampled or span.inherited:
            return
        started = work.started if work.started.type in _STARTS else started
        read = task_content if started.action is None else action_content
        content = read(started, self._mapping)
        work.totals[names.HIVELOOP_SPAN_INCOMPLETE] = True
        spans.append(self._scope_span(work, content, max(now_ns, work.start_ns)))

    def _was_interrupted(self, key: str) -> bool:
        """Whether a scope's span went out before its end, for there were too many open ones."""
        return key in self._interrupted and self._scopes.of(key) is None

    def _close(self, key: str, context: SpanContext) -> None:
        self._closed[key] = context
        if len(self._closed) > _MOST_CLOSED:
            self._closed.popitem(last=False)

    # -- work on open scopes -------------------------------------------------------------------

    def _work_of(self, event: Event, *, starting: bool = False) -> Work:
        """Return the work on the scope of an event, begun now if need be."""
        key = key_of(event)
        work = self._works.get(key)
        if work is None:
            span = self._scopes.of(key)
            if span is None:
                span = self._derived(event)
                self._scopes.restore(key, span)
            work = self._works[key] = self._new_work(event, span)
            work.start_missing = not starting and span.started is None
        elif starting:
            work.started, work.start_missing = event, False
        return work

    def _new_work(self, event: Event, span: ScopeSpan) -> Work:
        # The start event that the hooks saw has no payload, but the right time.
        started = event if event.type in _STARTS else span.started or event
        return Work(span, started, shared_identity(event, self._mapping), start_missing=False)

    def _derived(self, event: Event) -> ScopeSpan:
        """A scope that began before we listened: its ids follow from its own, its parents are ours."""
        task, action, agent_id = event.task, event.action, event.agent.agent_id
        if action is None:
            return ScopeSpan("task", key_of(event), agent_id, None, None, None)
        parent = None
        if action.parent_action_id is not None:
            parent = self._context_of(action.parent_action_id)
        if parent is None and task is not None:
            above = ScopeSpan("task", task.run_id, agent_id, None, None, None)
            parent = self._context_of(task.run_id) or above.context
        sampled = parent is None or parent.trace_flags.sampled
        return ScopeSpan("action", key_of(event), agent_id, None, parent, None, sampled)

    def _context_of(self, key: str) -> SpanContext | None:
        span = self._scopes.of(key)
        return self._closed.get(key) if span is None else span.context

    def _around(self, event: Event) -> Work | None:
        """The work on the scope that a starting action is in."""
        if event.action is None:
            return None
        parent = event.action.parent_action_id
        return (self._works.get(parent) if parent else None) or self._task_work(event)

    def _task_work(self, event: Event) -> Work | None:
        """The work on the task of an event, also from inside its actions."""
        return None if event.task is None else self._works.get(event.task.run_id)

    def _enclosing(self, event: Event) -> Work | None:
        """The work on the innermost open scope of an event; None outside any, and for what comes late."""
        key = key_of(event)
        if not key:
            return None
        if key not in self._closed or key in self._works:
            return self._work_of(event)
        return None

    # -- what happens inside scopes ------------------------------------------------------------

    def _llm_call(self, event: Event, call: LlmCall, moment: Span, parts: Parts) -> None:
        work = self._enclosing(event)
        task = self._task_work(event)
        if task is not None:
            task.count_call(call)
        told = {**call.attributes, **event_identity(event)}
        if work is not None:
            if not work.span.sampled:
                return
            if self._choices.llm_calls != "span":
                self._add_event(work, names.INFERENCE_DETAILS, told, event)
            if self._choices.llm_calls != "event":
                outside, links = outside_of(work.span, moment)
                parent = outside or work.span.context
                parts.spans.append(self._llm_span(event, call, told, parent, links, work))
            return
        outside, links = self._outside(event, moment)
        if _is_kept(outside):
            parts.spans.append(self._llm_span(event, call, told, outside, links, None))

    def _outside(self, event: Event, moment: Span) -> tuple[SpanContext | None, tuple[Link, ...]]:
        """Parent and links of what belongs to no open scope: the ended one, else the ambient span."""
        ended = self._closed.get(key_of(event))
        if ended is not None:
            return ended, (Link(ended, {names.HIVELOOP_LINK_TYPE: "task"}),)
        return _valid(moment), ()

    def _llm_span(
        self,
        event: Event,
        call: LlmCall,
        told: Attributes,
        parent: SpanContext | None,
        links: tuple[Link, ...],
        work: Work | None,
    ) -> ReadableSpan:
        whose = shared_identity(event, self._mapping) if work is None else work.identity
        earliest_ns = 0 if work is None else work.start_ns
        end = max(event.time_ns, earliest_ns)
        start = max(end - (call.duration_ns or 0), earliest_ns)
        status = _UNSET if call.error_type is None else Status(StatusCode.ERROR, call.error_message)
        context = self._context(event, "llm", parent)
        return self._span(
            call.span_name,
            context,
            parent,
            {},
            (told, whose),
            start,
            end,
            kind=SpanKind.CLIENT,
            status=status,
            links=links,
        )

    def _context(self, event: Event, kind: str, parent: SpanContext | None) -> SpanContext:
        own = span_id(kind, event.event_id)
        if parent is None:
            return SpanContext(trace_id(event.agent.agent_id, event.event_id), own, False, _SAMPLED)
        return SpanContext(parent.trace_id, own, False, parent.trace_flags, parent.trace_state)

    def _narrate(self, event: Event, moment: Span, parts: Parts) -> None:
        narrative = read_narrative(event, self._mapping)
        work = self._enclosing(event)
        if work is not None:
            narrative = self._told(event, narrative, work)
            if narrative.traced and self._spans_events and work.span.sampled:
                told = {**narrative.attributes, **event_identity(event)}
                self._add_event(work, narrative.name, told, event)
            if narrative.name == names.PLAN_STEP and self._choices.plan_steps == "span":
                self._plan_step(event, narrative, work, parts)
        if self._logs is not None and self._is_logged(event, narrative, outside=work is None):
            context = work.span.context if work is not None else _valid(moment)
            parts.logs.append(self._logs.make(event, narrative, context))
        elif work is None and narrative.traced and self._choices.agent_event_spans:
            parent, links = self._outside(event, moment)
            if _is_kept(parent):
                parts.spans.append(self._instant(event, narrative, parent, links))

    def _is_logged(self, event: Event, narrative: Narrative, *, outside: bool) -> bool:
        if event.type is EventType.HEARTBEAT:
            return self._choices.heartbeat_logs
        if narrative.name == names.QUEUE_SNAPSHOT:
            return self._choices.queue_logs
        return outside or self._logs_events

    def _told(self, event: Event, narrative: Narrative, work: Work) -> Narrative:
        """Bring the sums of the task up to date, and what only a look back tells."""
        task = self._task_work(event) or work
        task.totals.update(narrative.on_task)
        match narrative.name:
            case names.RETRY:
                task.count(names.HIVELOOP_TASK_RETRIES)
            case names.ANOMALY:
                task.count(names.HIVELOOP_TASK_ANOMALIES)
            case names.APPROVAL_REQUESTED:
                task.approval_requested(event)
            case names.APPROVAL_RECEIVED if (waited := task.approval_wait(event)) is not None:
                attributes: Attributes = {**narrative.attributes, names.APPROVAL_WAIT_DURATION: waited}
                return narrative._replace(attributes=attributes)
            case _:
                pass
        return narrative

    def _plan_step(self, event: Event, narrative: Narrative, work: Work, parts: Parts) -> None:
        """A span from the start of a plan's step to its end."""
        index, done = (narrative.attributes.get(f"{names.PLAN_STEP}.{key}") for key in ("index", "action"))
        if not isinstance(index, int) or not work.span.sampled:
            return
        if done == "started":
            work.step_started(index, event)
            return
        started = work.steps.pop(index, event)
        parent = (self._task_work(event) or work).span.context
        context = self._context(started, "plan", parent)
        status = Status(StatusCode.ERROR) if done == "failed" else _UNSET
        told, whose = narrative.attributes, (work.identity,)
        name, start, end = f"plan_step {index}", started.time_ns, max(event.time_ns, started.time_ns)
        parts.spans.append(self._span(name, context, parent, told, whose, start, end, status=status))

    def _add_event(self, work: Work, name: str, told: Attributes, event: Event) -> None:
        limits = self._choices.limits
        bounded = bounded_attributes(told, limits.event_attributes, limits)
        work.add(SpanEvent(name, bounded, event.time_ns), limits.events)

    # -- spans ---------------------------------------------------------------------------------

    def _scope_span(self, work: Work, content: ScopeContent, end_ns: int) -> ReadableSpan:
        span, limits = work.span, self._choices.limits
        span.over = True  # what is written from now on would be lost
        if work.start_missing:
            work.totals[names.HIVELOOP_SPAN_START_MISSING] = True
        # What others set comes first: when there is too much, the first go.
        own = content.attributes
        if span.attributes or work.totals:
            own = {**work.attributes_of_others(), **own, **work.totals}
        name = content.name if span.name is None else clean_name(span.name)
        status = work.status_of_others()
        if content.error_type is not None:
            status = Status(StatusCode.ERROR, content.error_message)
        return self._span(
            name,
            span.context,
            span.parent,
            own,
            (work.identity,),
            work.start_ns,
            end_ns,
            status=status,
            events=work.events(limits),
            links=span.links,
            dropped=span.dropped_attributes,
        )

    def _instant(
        self, event: Event, narrative: Narrative, parent: SpanContext | None, links: tuple[Link, ...]
    ) -> ReadableSpan:
        told = {**narrative.attributes, **event_identity(event)}
        whose = (shared_identity(event, self._mapping),)
        context, at = self._context(event, "event", parent), event.time_ns
        return self._span(narrative.name, context, parent, told, whose, at, at, links=links)

    def _pending_span(self, work: Work) -> ReadableSpan:
        """A sign of a task that has only started, in the way Logfire shows such."""
        span, content = work.span, task_content(work.started, self._mapping)
        above = 0 if span.parent is None else span.parent.span_id
        told: Attributes = {
            **content.attributes,
            "logfire.span_type": "pending_span",
            "logfire.pending_parent_id": f"{above:016x}",
        }
        context = self._context(work.started, "pending", span.context)
        at = work.start_ns
        return self._span(content.name, context, span.context, told, (work.identity,), at, at)

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        own: Attributes,
        shared: tuple[Attributes, ...],
        start_ns: int,
        end_ns: int,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status = _UNSET,
        events: Sequence[SpanEvent] = (),
        links: tuple[Link, ...] = (),
        dropped: int = 0,
    ) -> ReadableSpan:
        limits = self._choices.limits
        attributes, told = own.copy(), len(own)
        for more in shared:
            attributes.update(more)
            told += len(more)
        bounded = bounded_attributes(attributes, limits.span_attributes, limits, dropped)
        span = FinishedSpan(
            name,
            context,
            parent,
            self._resource,
            bounded,
            events,
            links[-limits.links :] if limits.links else (),
            kind,
            None,
            status,
            start_ns,
            end_ns,
            self._scope,
        )
        complete = bounded is attributes and type(events) is not BoundedList
        if complete and told == len(attributes):  # none is told twice
            span.own, span.shared = own, shared
        return span


def _valid(span: Span) -> SpanContext | None:
    context = span.get_span_context()
    return context if context.is_valid else None


def _is_kept(parent: SpanContext | None) -> bool:
    """Whether something below this parent is to be exported."""
    return parent is None or parent.trace_flags.sampled


def _end_of(event: Event, work: Work) -> int:
    """The end by the wall clock, unless that was set in between: then by the measured duration."""
    if event.duration_ms is None:
        return max(event.time_ns, work.start_ns)
    duration = event.duration_ms * 1_000_000
    if work.start_missing:
        work.started = event._replace(time_ns=event.time_ns - duration)
        return event.time_ns
    measured = work.start_ns + duration + 999_999  # what it was rounded down by; children must fit in
    return event.time_ns if abs(event.time_ns - measured) < _CLOCK_TOLERANCE_NS else measured


def _exception(content: ScopeContent, time_ns: int) -> SpanEvent:
    told: Attributes = {names.EXCEPTION_TYPE: content.error_type or names.OTHER_ERROR}
    if content.error_message:
        told[names.EXCEPTION_MESSAGE] = content.error_message
    return SpanEvent(names.EXCEPTION, told, time_ns)


def _failure_told(failure: SpanEvent) -> Narrative:
    attributes: Mapping[str, Any] = failure.attributes or {}
    body = str(attributes.get(names.EXCEPTION_MESSAGE) or attributes.get(names.EXCEPTION_TYPE))
    return Narrative(
        names.EXCEPTION, dict(attributes), names.ERROR, names.SEVERITY_TEXTS[names.ERROR], body, {}
    )


def shrunk(span: ReadableSpan, longest: int = 256) -> ReadableSpan:
    """Return a span without its events and with short texts, for a receiver that finds it too large."""
    attributes = {
        key: value[:longest] if isinstance(value, str) else value
        for key, value in (span.attributes or {}).items()
    }
    events = bounded_events([], Limits(), len(span.events) + span.dropped_events)
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        attributes,
        events,
        span.links,
        span.kind,
        None,
        span.status,
        span.start_time,
        span.end_time,
        span.instrumentation_scope,
    )
