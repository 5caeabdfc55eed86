"""The half that runs at call time: which span is current, and what is above it.

Ids and parents are settled here, on the agent's thread, since only there is the ambient context of
OpenTelemetry known. Everything else about a span is worked out later, from the events. No lock is
taken: every step is one operation on a dict or a deque, which no other thread can come between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.baggage import get_baggage
from opentelemetry.context import Context, attach, get_current
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    SpanKind,
    get_current_span,
    set_span_in_context,
)

from hiveloop._scope import is_over, raw_current
from hiveloop.events import Event

from ._facade import ScopeSpan
from ._ids import sampling_id, trace_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ["MOST_OPEN", "Activation", "Scopes", "key_of", "outside_of"]

MOST_OPEN = 20_000
"""Open tasks and actions remembered; beyond it the oldest are exported as they are."""
MOST_MOMENTS = 20_000
"""Events that wait for delivery, and were reported inside a span."""

_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""Where a context keeps its span. To read it directly saves the agent's thread half a microsecond a time."""
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
        self._newest: tuple[Event, ScopeSpan] | None = None
        self._moments: dict[int, object] = {}
        self.abandoned: deque[ScopeSpan] = deque(maxlen=MOST_OPEN)

    # -- the agent's thread --------------------------------------------------------------------

    def started(self, event: Event) -> None:
        """Settle what is above a scope that begins."""
        key = key_of(event)
        span = self._task(event, key) if event.action is None else self._action(event, key)
        for name in self._baggage:
            if (value := get_baggage(name)) is not None:
                span.attributes[name] = value
        self._open[key] = span
        self._newest = (event, span)
        if len(self._open) > MOST_OPEN:
            self._abandon_oldest()

    def activation(self, event: Event) -> Activation:
        """Return the context manager that makes a scope's span the current one."""
        newest = self._newest
        if newest is not None and newest[0] is event:  # it mostly started a moment ago
            return Activation(newest[1])
        return Activation(self._open.get(key_of(event)))

    def event_recorded(self, number: int) -> None:
        """Note the span that a sensor was called in."""
        ambient = get_current().get(_KEY)
        if ambient is not None:
            self._moments[number] = ambient
            if len(self._moments) > MOST_MOMENTS:
                for oldest in list(self._moments)[: MOST_MOMENTS // 20]:
                    self._moments.pop(oldest, None)

    def _task(self, event: Event, key: str) -> ScopeSpan:
        agent_id = event.agent.agent_id
        ambient = _unless_stray(get_current_span())
        if type(ambient) is ScopeSpan:
            return ScopeSpan("task", key, agent_id, ambient, None, event, ambient.sampled)
        context = ambient.get_span_context()
        if context.is_valid:
            return ScopeSpan("task", key, agent_id, None, context, event, context.trace_flags.sampled)
        outer = self._outer()
        sampled = self._samples(event, key) if outer is None else outer.sampled
        return ScopeSpan("task", key, agent_id, outer, None, event, sampled)

    def _outer(self) -> ScopeSpan | None:
        """The span of the task round this one that was started by hand: OpenTelemetry does not know it."""
        scope = raw_current()
        outer = None if scope is None else scope.entered_from
        while outer is not None and is_over(outer):
            outer = outer.entered_from
        if outer is None or outer.started_event is None:
            return None
        return self._open.get(key_of(outer.started_event))

    def _action(self, event: Event, key: str) -> ScopeSpan:
        agent_id = event.agent.agent_id
        ambient = get_current().get(_KEY)
        above = self._above(event)
        if type(ambient) is ScopeSpan:
            above = above or (None if ambient.stray else ambient)
        elif isinstance(ambient, Span):
            return self._in_foreign(event, key, above, ambient)
        sampled = self._samples(event, key) if above is None else above.sampled
        return ScopeSpan("action", key, agent_id, above, None, event, sampled)

    def _in_foreign(self, event: Event, key: str, above: ScopeSpan | None, ambient: Span) -> ScopeSpan:
        outside, links = (_valid(ambient), ()) if above is None else outside_of(above, ambient)
        if above is not None:
            sampled = above.sampled
        else:
            sampled = self._samples(event, key) if outside is None else outside.trace_flags.sampled
        span = ScopeSpan("action", key, event.agent.agent_id, above, outside, event, sampled)
        span.links = links
        return span

    def _above(self, event: Event) -> ScopeSpan | None:
        """The span that a starting action is in by HiveLoop's own account."""
        action, task = event.action, event.task
        if action is not None and action.parent_action_id is not None:
            found = self._open.get(action.parent_action_id)
            if found is not None:
                return found
        return None if task is None else self._open.get(task.run_id)

    def _samples(self, event: Event, key: str) -> bool:
        if self._sampler is None:
            return True
        agent_id = event.agent.agent_id
        told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent_id}
        trace = sampling_id(trace_id(agent_id, key))
        name, kind = f"invoke_agent {agent_id}", SpanKind.INTERNAL
        result = self._sampler.should_sample(None, trace, name, kind, told)
        return result.decision is Decision.RECORD_AND_SAMPLE

    def _abandon_oldest(self) -> None:
        # Some at once: the list is the only way to find the oldest that other threads cannot upset.
        for key in list(self._open)[: max(1, MOST_OPEN // 100)]:
            oldest = self._open.pop(key, None)
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
        ambient = self._moments.pop(int(event.event_id[24:], 16), None)
        return _unless_stray(ambient) if isinstance(ambient, Span) else INVALID_SPAN

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


def outside_of(above: ScopeSpan, ambient: Span) -> tuple[SpanContext | None, tuple[Link, ...]]:
    """Return the parent of something inside `above` when that is a span of somebody else, and links.

    That span is the parent when it lies inside `above`: same trace, and not what `above` itself is in. A
    span of another trace is linked. Of spans of ours, HiveLoop's own account tells what is inside what.
    """
    context = None if type(ambient) is ScopeSpan else _valid(ambient)
    if context is None:
        return None, ()
    if context.trace_id != above.context.trace_id:
        return None, (Link(context, _AMBIENT),)
    around = above.parent
    return (None if around is not None and around.span_id == context.span_id else context), ()


def _valid(span: Span) -> SpanContext | None:
    context = span.get_span_context()
    return context if context.is_valid else None


def _unless_stray(span: Span) -> Span:
    return INVALID_SPAN if type(span) is ScopeSpan and span.stray else span


class Activation:
    """Makes a span current for a ``with`` block; leaves alone what others have made current since.

    A block may be left in another thread or context than it was entered in, as those of generators are, and
    of tasks that another thread completes. There is nothing to undo there then, and the span stays current
    where it was, unless the block is left there, too.
    """

    __slots__ = ("_attached", "_span", "_token")

    def __init__(self, span: ScopeSpan | None) -> None:
        self._span = span
        self._attached: Context | None = None
        self._token: Any = None

    def __enter__(self) -> ScopeSpan | None:
        if self._span is not None:
            self._attached = Context({**get_current(), _KEY: self._span})
            self._token = attach(self._attached)
        return self._span

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._attached is None:
            return
        if get_current() is not self._attached:
            self._goes_astray()
            return
        token = self._token
        try:
            token.var.reset(token)  # as `detach` does, which would log what is no error here
        except ValueError:  # in a copy of the context
            self._goes_astray()
            attach(Context() if token.old_value is Token.MISSING else token.old_value)
        self._attached = self._token = None  # the action may wait in the queue for long

    def _goes_astray(self) -> None:
        if self._span is not None:
            self._span.stray = True
