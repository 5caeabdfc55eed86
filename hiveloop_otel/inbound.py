"""Spans of agent frameworks, reported to HiveLoop as tasks, actions and model calls.

    from hiveloop_otel import HiveLoopSpanProcessor

    provider.add_span_processor(HiveLoopSpanProcessor())

An application whose framework is instrumented with OpenTelemetry needs no other line of ours but
`hiveloop.init`. What a span is about is decided by `reader`; what becomes of it here:

- An agent's span starts a task of that agent, so that the work is seen while it goes on. Inside a task of
  the same agent it is an action, inside one of another agent a task of its own.
- A workflow's span, or any other span about AI that no task surrounds, starts a task of the service: of the
  agent that is current, else one named by ``service.name``. The task lasts as long as the outermost open
  span of the trace here.
- Spans of tools, retrievals and steps are actions, from their start to their end.
- Spans of models are model calls, reported when they end, in the innermost scope around them.
- Inside a task that the application itself reports to HiveLoop, all of this becomes part of that task,
  agents too.
- A call of a model that several instrumentations report, each with a span around the other's, counts once.
  The span nearest to the provider counts: it has the provider's own figures, and there is one for each
  attempt. Where only a span around it tells tokens or cost, that counts instead. What only the outer one
  knows, such as what was said, is taken from it. Agents and tools in between end the search: a model that a
  tool calls is another call.
- Frameworks that make their spans in callbacks, as LangChain's instrumentations do, do not make them current.
  There the span that started last in the same context and is still open is taken for the one around a model's
  or a tool's; and where even that cannot be known, two calls of the same model with the same tokens at the
  same time, told by different instrumentations, are one.
- Spans of OpenInference, which say only at their end what they are about, count as steps once something
  starts inside them.
- hiveloop's own spans are skipped.

Nothing of this becomes current in the application: every open scope has a context of its own.
"""

from __future__ import annotations

import contextvars
import os
import re
import threading
import uuid
import weakref
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

import hiveloop
from hiveloop._guard import attempt, notice

from ._counting import Counter, entered
from ._open_spans import (
    Call,
    OpenSpan,
    Scope,
    ambient_scope,
    kind_so_far,
    nearest,
    scope_name,
)
from ._reports import abandon, close, report
from .outcome import AGENTS, MODELS, TOOLS
from .reader import OWN_SCOPE, SpanFacts, read_span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext

__all__ = ["HiveLoopSpanProcessor"]

MOST_OPEN = 10_000
"""Spans remembered while they are open; beyond it the oldest are taken for abandoned."""
MOST_AGENTS = 200
"""Agents that are made of span names; further names are work of the service."""
_MOST_TRACES = 10_000
_PLACE = "inbound span"
_UNFIT = re.compile(r"[^\w.-]+")


class HiveLoopSpanProcessor(SpanProcessor):
    """Reports the spans of a TracerProvider that are about AI agents to HiveLoop.

    It takes microseconds on the application's thread, never raises into it and exports nothing: what it
    reports goes where `hiveloop.init` said. Spans that start before `hiveloop.init` are not reported. What
    was said (prompts, responses, arguments, results) is left out where hiveloop captures no content.

    Args:
        agent: name of the agent that does the work of no particular agent; by default the agent that is
            current, else ``service.name`` of the spans' resource.
        project: project of all tasks.

    Raises:
        hiveloop.HiveLoopConfigError: an argument is no text.
    """

    def __init__(self, *, agent: str | None = None, project: str | None = None) -> None:
        self._agent = _checked("agent", agent)
        self._project = _checked("project", project)
        self._closed = False
        self._names: set[str] = set()
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_renewer(self))

    def __repr__(self) -> str:
        return f"<hiveloop_otel.HiveLoopSpanProcessor, {len(self._open)} open spans>"

    def renew(self) -> None:
        """Forget the open spans, which belong to the parent; called in the child of a fork."""
        self._lock = threading.RLock()
        self._open: dict[int, OpenSpan] = {}
        self._counter = Counter()
        self._latest = contextvars.ContextVar[OpenSpan | None]("hiveloop_inbound", default=None)
        self._traces: dict[int, None] = {}

    # -- what the SDK calls --------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Open the task or action of a span; on the thread that starts it."""
        if not self._closed:
            attempt(_PLACE, self._started, span, default=None)

    def on_end(self, span: ReadableSpan) -> None:
        """Report what a span told and close its scope; on the thread that ends it."""
        if not self._closed:
            attempt(_PLACE, self._ended, span, default=None)

    def shutdown(self) -> None:
        """End what is open, as interrupted; spans that come later are ignored."""
        if not self._closed:
            self._closed = True
            attempt(_PLACE, self._abandon_all, default=None)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what was reported so far, as `hiveloop.flush` does.

        Returns:
            False when `timeout_millis` passed first.
        """
        return attempt(_PLACE, hiveloop.flush, timeout_millis / 1_000, default=False)

    # -- start ---------------------------------------------------------------------------------

    def _started(self, span: Span) -> None:
        client, identity = hiveloop.get_client(), span.context
        if client is None or client.closed or not client.enabled or identity is None:
            return
        if scope_name(span) == OWN_SCOPE:
            return
        kind, ambient = kind_so_far(span), ambient_scope()
        with self._lock:
            record = OpenSpan(span, identity, self._parent_of(span, identity), kind, ambient)
            if kind in MODELS or kind in TOOLS:
                record.parent = nearest(record, self._latest.get())
            self._open[identity.span_id] = record
            if len(self._open) > MOST_OPEN:
                self._forget_oldest()
            if kind != "other" or record.may_be_about_ai:
                self._settle(record)
            if kind != "other":
                self._enter(record)
        self._latest.set(record)

    def _parent_of(self, span: Span, identity: SpanContext) -> OpenSpan | None:
        parent = span.parent
        found = None if parent is None else self._open.get(parent.span_id)
        return None if found is None or found.identity.trace_id != identity.trace_id else found

    def _forget_oldest(self) -> None:
        oldest = self._open.pop(next(iter(self._open)))
        notice("inbound spans", "hiveloop: %d spans are open; the oldest is taken for abandoned", MOST_OPEN)
        abandon(oldest)

    def _settle(self, record: OpenSpan) -> None:
        """Open scopes for the spans around this one that said only after their start what they are about.

        One that will say it at its end counts as a step, except around a model's, where it may be one too.
        """
        for node in reversed(list(record.ancestors())):
            if node.kind == "other" and node.span is not None:
                node.kind = kind_so_far(node.span)
                if node.may_be_about_ai and not (node is record.parent and record.kind in MODELS):
                    node.kind = "step"
                if node.kind != "other":
                    self._enter(node)

    def _enter(self, record: OpenSpan) -> None:
        """Open the scope of a span about AI."""
        around = record.around()
        if record.kind in MODELS:
            entered(record)
        if record.span is None or (record.kind in MODELS and around is not None):
            return
        facts = _read(record.span, content=False)
        if record.kind in AGENTS:
            self._enter_agent(record, facts, around)
            return
        if around is None:
            outermost = record.outermost()
            self._begin_task(outermost, facts)
            around = outermost.task
        wants_action = record.kind in TOOLS or (record.kind == "step" and record.task is None)
        if wants_action and around is not None:
            _begin_action(record, facts, around)

    def _enter_agent(self, record: OpenSpan, facts: SpanFacts, around: Scope | None) -> None:
        name = facts.agent_name
        if around is None:
            self._begin_task(record, facts)
        elif around.agent is not None and name not in (None, around.agent) and self._may_be_agent(name):
            self._begin_task(record, facts, around)
        else:
            _begin_action(record, facts, around)

    def _begin_task(self, record: OpenSpan, facts: SpanFacts, around: Scope | None = None) -> None:
        """Start a task that lasts as long as a span.

        Args:
            record: the span.
            facts: what is known of the span about AI that wants the task, this one or one inside it.
            around: the scope of another agent's work that this is a part of.
        """
        client, span = hiveloop.get_client(), record.span
        if client is None or span is None:
            return
        agent = self._agent_of(client, span, facts)
        context = contextvars.copy_context() if around is None else around.context.copy()
        run_id = self._run_id(record.identity, span.parent)
        label = facts.name if record.kind in AGENTS else span.name
        inherited = None if around is None else around.correlation_id
        correlation_id = facts.session_id or inherited or f"{record.identity.trace_id:032x}"
        task = context.run(
            agent.start_task,
            facts.session_id if facts.session_id and around is None else _task_id(label, run_id),
            project=self._project,
            type=record.kind if record.kind in AGENTS else label,
            task_run_id=run_id,
            correlation_id=correlation_id,
        )
        record.task = Scope(context, task, None, facts.agent_name or agent.agent_id, correlation_id)

    def _run_id(self, identity: SpanContext, parent: SpanContext | None) -> str:
        """Return the trace id as a UUID for the first task of a trace, so that either finds the other."""
        trace_id = identity.trace_id
        if trace_id not in self._traces and not (parent is not None and parent.is_remote):
            self._traces[trace_id] = None
            if len(self._traces) > _MOST_TRACES:
                del self._traces[next(iter(self._traces))]
            return str(uuid.UUID(int=trace_id))
        seed = trace_id.to_bytes(16, "big") + identity.span_id.to_bytes(8, "big")
        return str(uuid.UUID(bytes=blake2b(seed, digest_size=16, person=b"hiveloop-inbound").digest()))

    # -- agents --------------------------------------------------------------------------------

    def _may_be_agent(self, name: str | None) -> bool:
        return name is not None and (name in self._names or len(self._names) < MOST_AGENTS)

    def _agent_of(self, client: hiveloop.HiveBoard, span: ReadableSpan, facts: SpanFacts) -> hiveloop.Agent:
        """Return the agent a span names, as the application registered it if it did, else the service's."""
        name, version = facts.agent_name, facts.agent_version
        if name is None or not self._may_be_agent(name):
            current = hiveloop.get_current_agent()
            if self._agent is None and current is not None:
                return current
            name, version = self._agent or _service_of(span), None
        self._names.add(name)
        known = client.get_agent(name)
        if known is not None:
            return known
        return client.agent(name, version=version, framework=facts.framework or "opentelemetry")

    # -- end -----------------------------------------------------------------------------------

    def _ended(self, span: ReadableSpan) -> None:
        with self._lock:
            record = None if span.context is None else self._open.pop(span.context.span_id, None)
        if record is None:
            return
        if record.kind == "other" and record.scope is None and kind_so_far(span) == "other":
            record.span = None
            return
        client = hiveloop.get_client()
        facts = _read(span, content=client is not None and client.config.capture_content)
        with self._lock:
            calls = self._calls(record, facts, span)
            record.span = None
        for call in calls:
            report(call)
        close(record, facts, _duration_ms(span))

    def _calls(self, record: OpenSpan, facts: SpanFacts, span: ReadableSpan) -> list[Call]:
        """Open the scope of a span that said late what it is about; return the model calls to report now."""
        kind = record.kind if facts.kind == "other" else facts.kind
        is_late, record.kind = record.kind == "other", kind
        if is_late and record.scope is None:
            self._settle(record)
            self._enter(record)
        scope = record.scope or record.around(ended=True)
        if kind not in MODELS or scope is None:
            return record.waiting
        return self._counter.calls(record, Call(scope, facts, span, record.identity))

    def _abandon_all(self) -> None:
        with self._lock:
            records = list(self._open.values())
            self._open.clear()
        for record in reversed(records):
            abandon(record)


# -- scopes -----------------------------------------------------------------------------------


def _begin_action(record: OpenSpan, facts: SpanFacts, around: Scope) -> None:
    context = around.context.copy()
    action = around.task.agent.track_context(facts.name)
    context.run(action.__enter__)
    record.action = around._replace(context=context, action=action)


# -- spans ------------------------------------------------------------------------------------


def _read(span: ReadableSpan, *, content: bool) -> SpanFacts:
    return read_span(
        span.name,
        span.kind.name,
        dict(span.attributes or {}),
        [(event.name, dict(event.attributes or {})) for event in span.events],
        failed=not span.status.is_ok,
        status_message=span.status.description,
        scope_name=scope_name(span),
        content=content,
    )


def _duration_ms(span: ReadableSpan) -> int:
    start, end = span.start_time, span.end_time
    return 0 if start is None or end is None else max(0, end - start) // 1_000_000


def _service_of(span: ReadableSpan) -> str:
    """``service.name`` of the process, unless nobody gave it one."""
    name = str(span.resource.attributes.get("service.name") or "")
    return "opentelemetry" if not name or name.startswith("unknown_service") else name


def _task_id(label: str, run_id: str) -> str:
    """A name for people and the end of the run id: its beginning is a time in some traces."""
    return f"{_UNFIT.sub('-', label).strip('-')[:80] or 'task'}-{run_id[-12:]}"


# -- set-up -----------------------------------------------------------------------------------


def _checked(name: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise hiveloop.HiveLoopConfigError(
        f"{name}={value!r} is not valid: give a text that is not empty, or None"
    )


def _renewer(processor: HiveLoopSpanProcessor) -> Callable[[], None]:
    """Call `renew` unless the processor is gone: the hooks of a fork are never removed."""
    reference = weakref.ref(processor)

    def renew() -> None:
        found = reference()
        if found is not None:
            found.renew()

    return renew


_: type[SpanProcessor] = HiveLoopSpanProcessor
