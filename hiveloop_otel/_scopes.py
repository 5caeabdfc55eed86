"""The half that runs at call time: which span is current, and what is above it.

Ids and parents are settled here, on the agent's thread, since only there is the ambient context of
OpenTelemetry known. Everything else about a span is worked out later, from the events. No lock is
taken: every step is one operation on a dict or a deque.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.baggage import get_baggage
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from opentelemetry.sdk.trace.sampling import Decision

from hiveloop._scope import raw_current
from hiveloop.events import Event

from ._facade import ScopeSpan
from ._ids import sampling_id, span_id, trace_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ["MOST_OPEN", "Activation", "Scopes", "key_of", "parent_of"]

MOST_OPEN = 20_000
"""Open tasks and actions remembered; beyond it the oldest are exported as they are."""
MOST_MOMENTS = 20_000
"""Events that wait for delivery, and were reported inside a span."""

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSAMPLED = TraceFlags(TraceFlags.DEFAULT)
_AMBIENT = {"hiveloop.link.type": "ambient"}


def key_of(event: Event) -> str:
    """Return the key of the scope an event belongs to: its action's id, else its task's run id, else ""."""
    if event.action is not None:
        return event.action.action_id
    return "" if event.task is None else event.task.run_id


class Scopes:
    """The open tasks and actions of a process, and how they hang together.

    Args:
        sampler: decides about traces that begin with a task of ours; None for all of them.
        baggage: names of baggage entries that every span of a task gets as attributes.
    """

    def __init__(self, sampler: Sampler | None = None, baggage: Sequence[str] = ()) -> None:
        self._sampler = sampler
        self._baggage = tuple(baggage)
        self._open: dict[str, ScopeSpan] = {}
        self._moments: dict[int, Span] = {}
        self.abandoned: deque[ScopeSpan] = deque(maxlen=MOST_OPEN)

    # -- the agent's thread --------------------------------------------------------------------

    def started(self, event: Event) -> None:
        """Settle the ids and the parent of a scope that begins."""
        ambient = get_current_span()
        span = self._task(event, ambient) if event.action is None else self._action(event, ambient)
        for name in self._baggage:
            if (value := get_baggage(name)) is not None:
                span.attributes[name] = value
        self._open[key_of(event)] = span
        if len(self._open) > MOST_OPEN:
            self._abandon_oldest()

    def activation(self, event: Event) -> Activation:
        """Return the context manager that makes a scope's span the current one."""
        return Activation(self._open.get(key_of(event)))

    def event_recorded(self, number: int) -> None:
        """Note the span that a sensor was called in."""
        ambient = get_current_span()
        if ambient is not INVALID_SPAN:
            self._moments[number] = ambient
            if len(self._moments) > MOST_MOMENTS:
                self._moments.pop(next(iter(self._moments)), None)

    def _task(self, event: Event, ambient: Span) -> ScopeSpan:
        assert event.task is not None  # noqa: S101 - narrows the type
        own = span_id("task", event.task.run_id)
        parent = self._above_task(ambient)
        if parent is not None:
            return ScopeSpan(_child(parent, own), parent, (), event)
        trace = trace_id(event.agent.agent_id, event.task.run_id)
        flags = self._root_flags(trace, event)
        return ScopeSpan(SpanContext(trace, own, False, flags), None, (), event)

    def _above_task(self, ambient: Span) -> SpanContext | None:
        context = ambient.get_span_context()
        if context.is_valid:
            return context
        # A task that was started by hand is current for HiveLoop, but not for OpenTelemetry.
        scope = raw_current()
        outer = None if scope is None else scope.entered_from
        if outer is None or outer.started_event is None or outer.ended:
            return None
        span = self._open.get(key_of(outer.started_event))
        return None if span is None else span.context

    def _action(self, event: Event, ambient: Span) -> ScopeSpan:
        assert event.action is not None  # noqa: S101 - narrows the type
        own = span_id("action", event.action.action_id)
        above = self._above_action(event)
        if above is None:
            context = ambient.get_span_context()
            return self._lonely(event, own, context if context.is_valid else None)
        parent, links = parent_of(above, ambient)
        return ScopeSpan(_child(parent, own), parent, links, event)

    def _lonely(self, event: Event, own: int, ambient: SpanContext | None) -> ScopeSpan:
        """An action outside any task: below the ambient span, or a trace of its own."""
        if ambient is not None:
            return ScopeSpan(_child(ambient, own), ambient, (), event)
        trace = trace_id(event.agent.agent_id, key_of(event))
        return ScopeSpan(SpanContext(trace, own, False, self._root_flags(trace, event)), None, (), event)

    def _above_action(self, event: Event) -> ScopeSpan | None:
        """Return the span that a starting action is in by HiveLoop's own account."""
        action, task = event.action, event.task
        if action is not None and action.parent_action_id is not None:
            found = self._open.get(action.parent_action_id)
            if found is not None:
                return found
        return None if task is None else self._open.get(task.run_id)

    def _root_flags(self, trace: int, event: Event) -> TraceFlags:
        if self._sampler is None:
            return _SAMPLED
        name = f"invoke_agent {event.agent.agent_id}"
        told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": event.agent.agent_id}
        result = self._sampler.should_sample(None, sampling_id(trace), name, SpanKind.INTERNAL, told)
        return _SAMPLED if result.decision is Decision.RECORD_AND_SAMPLE else _UNSAMPLED

    def _abandon_oldest(self) -> None:
        oldest = self._open.pop(next(iter(self._open)), None)
        if oldest is not None:
            self.abandoned.append(oldest)

    # -- the delivery thread -------------------------------------------------------------------

    def of(self, key: str) -> ScopeSpan | None:
        """Return the span of an open scope."""
        return self._open.get(key)

    def restore(self, key: str, span: ScopeSpan) -> None:
        """Take in a scope whose start was not seen here."""
        self._open[key] = span

    def ended(self, key: str) -> ScopeSpan | None:
        """Forget a scope and return its span."""
        return self._open.pop(key, None)

    def moment(self, event: Event) -> Span:
        """Return the span that an event was reported in, once; an invalid one when there was none."""
        if not self._moments:
            return INVALID_SPAN
        return self._moments.pop(int(event.event_id[24:], 16), INVALID_SPAN)

    def take_all(self) -> list[ScopeSpan]:
        """Forget all open scopes and return their spans, oldest first."""
        spans = [*self.abandoned, *self._open.values()]
        self.abandoned.clear()
        self._open.clear()
        return spans

    def renew(self) -> None:
        """Leave the open scopes to the parent of a fork; they stay parents of what the child does."""
        for span in self._open.values():
            span.inherited = True
        self.abandoned.clear()
        self._moments.clear()


def parent_of(above: ScopeSpan, ambient: Span) -> tuple[SpanContext, tuple[Link, ...]]:
    """Choose the parent of something that happens inside `above`, and in a span of somebody else.

    That span is the parent when it lies inside `above`: same trace, and not what `above` itself is in. A
    span of another trace is linked. Of spans of ours, HiveLoop's own account tells what is inside what.
    """
    if ambient is INVALID_SPAN or type(ambient) is ScopeSpan:
        return above.context, ()
    context = ambient.get_span_context()
    if not context.is_valid:
        return above.context, ()
    if context.trace_id != above.context.trace_id:
        return above.context, (Link(context, _AMBIENT),)
    outside = above.parent is not None and above.parent.span_id == context.span_id
    return (above.context if outside else context), ()


def _child(parent: SpanContext, own: int) -> SpanContext:
    return SpanContext(parent.trace_id, own, False, parent.trace_flags, parent.trace_state)


class Activation:
    """Makes a span current for a ``with`` block; leaves alone what others have made current since."""

    __slots__ = ("_attached", "_span", "_token")

    def __init__(self, span: ScopeSpan | None) -> None:
        self._span = span
        self._attached: Context | None = None
        self._token: Any = None

    def __enter__(self) -> ScopeSpan | None:
        if self._span is not None:
            self._attached = set_span_in_context(self._span)
            self._token = attach(self._attached)
        return self._span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # In another context than the entry's, or after an unbalanced attach, there is nothing to undo.
        if self._attached is not None and get_current() is self._attached:
            detach(self._token)
