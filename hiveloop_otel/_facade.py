"""The span that is current inside our tasks and actions.

It records nothing by itself: the exported span is assembled from events later, on a delivery
thread. What user code or an instrumentation writes onto the current span in the meantime is kept
here and laid onto the exported one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags

from hiveloop._guard import guarded
from hiveloop._shape import is_a, kind_of

from ._ids import span_id, trace_id
from ._values import clean_attributes, clean_value

if TYPE_CHECKING:
    from hiveloop.events import Event

__all__ = ["MOST_ADDED", "Note", "ScopeSpan"]

MOST_ADDED = 128
"""Attributes, and events, that others may add to one span; the SDK's own default."""


_PLAIN = frozenset((str, bool, int, float, NoneType))
_TOLD = (StatusCode.OK, StatusCode.ERROR)
_LATEST_NS = 2**63


class Note(NamedTuple):
    """An event that others added to the span."""

    name: str
    attributes: Mapping[str, object]
    time_ns: int


class ScopeSpan(Span):
    """What ``opentelemetry.trace.get_current_span()`` returns inside a task or an action.

    Any thread may write to it until the scope's end was assembled; afterwards, and when the trace is not
    sampled, writing does nothing. It is ended by its task or action only.

    Args:
        kind: "task" or "action".
        key: the task's run id, or the action's id.
        agent_id: whose it is.
        above: the span of ours it is in, or None.
        outside: its parent, when that is a span of somebody else.
        started: the scope's start event; None when the start was not seen.
        sampled: the trace is to be exported.

    Attributes:
        links: links the exported span starts with.
        attributes: what was set by others, and entries copied from baggage.
        notes: events added by others, oldest first.
        status: what others set, or None.
        name: another name for the exported span, or None.
        dropped_attributes: attributes left out, for there were too many.
        dropped_notes: events left out.
        inherited: it belongs to the parent of a fork, which exports it.
        over: nothing that is written now would be exported.
        stray: its block was left where it was not current, so it may have stayed current elsewhere, though
            nothing that starts there belongs to it.
    """

    # Class-level defaults keep the constructor short: it runs on the agent's thread.
    links: tuple[Link, ...] = ()
    notes: Sequence[Note] = ()
    status: Status | None = None
    name: str | None = None
    dropped_attributes: int = 0
    dropped_notes: int = 0
    inherited: bool = False
    stray: bool = False
    _context: SpanContext | None = None

    def __init__(
        self,
        kind: str,
        key: str,
        agent_id: str,
        above: ScopeSpan | None,
        outside: SpanContext | None,
        started: Event | None,
        sampled: bool = True,
    ) -> None:
        self.kind = kind
        self.key = key
        self.agent_id = agent_id
        self.started = started
        self.sampled = sampled
        self.over = not sampled
        self.attributes: dict[str, object] = {}
        self._above = above
        self._parent = outside

    @property
    def context(self) -> SpanContext:
        """Ids and flags of the exported span, worked out when first asked for: mostly not by the agent."""
        return self._context or self._settled()

    @property
    def parent(self) -> SpanContext | None:
        """Ids and flags of the span above it, or None for a root."""
        if self._context is None:
            self._settled()
        return self._parent

    def _settled(self) -> SpanContext:
        if self.unsettled_above() is None:
            return self.settle()
        # A loop, for actions can be nested deeper than Python may recurse.
        unsettled: list[ScopeSpan] = [self]
        while (above := unsettled[-1].unsettled_above()) is not None:
            unsettled.append(above)
        for span in reversed(unsettled[1:]):
            span.settle()
        return self.settle()

    def unsettled_above(self) -> ScopeSpan | None:
        """Return the span above whose context must be known before this one's, if there is such."""
        above = self._above
        return None if above is None or above.is_settled else above

    @property
    def is_settled(self) -> bool:
        """Whether `context` is known."""
        return self._context is not None

    def settle(self) -> SpanContext:
        """Work out `context`, that of the span above being known."""
        if self._context is not None:
            return self._context
        above, own = self._above, span_id(self.kind, self.key)
        if self._parent is None and above is not None:
            self._parent = above.context
        parent = self._parent
        if parent is None:
            flags = TraceFlags(TraceFlags.SAMPLED if self.sampled else TraceFlags.DEFAULT)
            context = SpanContext(trace_id(self.agent_id, self.key), own, False, flags)
        else:
            context = SpanContext(parent.trace_id, own, False, parent.trace_flags, parent.trace_state)
        self._context = context
        self._above = None  # a chain of tasks, each started in the one before, must not keep them all
        return context

    def get_span_context(self) -> SpanContext:
        """Return ids and flags, as the exported span will have them."""
        return self._context or self._settled()

    def is_recording(self) -> bool:
        """Tell whether what is written now will be exported."""
        return not self.over

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: the task or the action ends it."""

    @guarded
    def set_attribute(self, key: str, value: object) -> None:
        """Set an attribute of the exported span."""
        if self.over:
            return
        if len(self.attributes) >= MOST_ADDED and key not in self.attributes:
            self.dropped_attributes += 1
            return
        self.attributes[str(key)] = _as_now(value)

    @guarded
    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Set several attributes of the exported span."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    @guarded
    def add_event(
        self, name: str, attributes: Mapping[str, object] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event to the exported span; `timestamp` is in nanoseconds since the epoch."""
        if self.over:
            return
        notes = self._own_notes()
        if len(notes) >= MOST_ADDED:
            del notes[0]
            self.dropped_notes += 1
        told = {key: _as_now(value) for key, value in (attributes or {}).items()}
        notes.append(Note(str(name), told, timestamp if _is_time(timestamp) else time.time_ns()))

    def _own_notes(self) -> list[Note]:
        """Most spans never get a note; another thread may be about to add the first one as well."""
        own: dict[str, list[Note]] = vars(self)
        return own.setdefault("notes", [])

    @guarded
    def add_link(self, context: SpanContext, attributes: Mapping[str, object] | None = None) -> None:
        """Add a link to the exported span."""
        if self.over or not is_a(kind_of(context), SpanContext) or not context.is_valid:
            return
        if len(self.links) < MOST_ADDED:
            self.links = (*self.links, Link(context, clean_attributes(attributes or {})))

    @guarded
    def update_name(self, name: str) -> None:
        """Give the exported span another name."""
        if not self.over:
            self.name = str(name)

    @guarded
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status of the exported span; a failure of the scope itself counts more.

        As with the SDK's spans, "ok" is the last word, and "unset" changes nothing.
        """
        given = Status(status, description) if isinstance(status, StatusCode) else status
        if self.over or not is_a(kind_of(given), Status) or given.status_code not in _TOLD:
            return
        if self.status is None or self.status.status_code is not StatusCode.OK:
            self.status = given

    @guarded
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, object] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an ``exception`` event to the exported span."""
        if self.over:
            return
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        told = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)


def _as_now(value: object) -> object:
    """Take a value as it is: a list or a dict may change before it is exported."""
    return value if type(value) in _PLAIN else clean_value(value)


def _is_time(timestamp: object) -> TypeGuard[int]:
    return type(timestamp) is int and 0 < timestamp < _LATEST_NS
