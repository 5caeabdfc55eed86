"""What the assembler remembers about one open task or action until its span is exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Status, StatusCode

from hiveloop._redact import redact_text
from hiveloop.events import Event

from . import semconv as names
from ._facade import Note, ScopeSpan
from ._llm import LlmCall
from ._values import Attributes, Limits, Value, clean_attributes, clean_name, clean_text

__all__ = ["FinishedSpan", "Work", "bounded_attributes", "bounded_events"]

_MOST_PENDING = 100
"""Requests for approval of one task that wait for an answer, and started steps of its plan."""
_NUMBERS = (int, float)
_LOUD = frozenset(("error",))
_UNSET = Status(StatusCode.UNSET)


class FinishedSpan(ReadableSpan):
    """A span that also tells which of its attributes it shares with others, to be encoded once.

    Attributes:
        own: attributes of its own.
        shared: more attributes, the same objects wherever they are shared. With those of `own` they are all
            of its attributes; empty when there is nothing to share, or when anything was left out.
    """

    own: Mapping[str, Value] = MappingProxyType({})
    shared: tuple[Attributes, ...] = ()


class Work:
    """The open span of a task or an action, as far as events have told.

    Attributes:
        span: its ids, and what others wrote onto it.
        started: the event that started it; when that was never seen, the first event that belongs to it.
        start_missing: the start was never seen.
        identity: attributes that tell whose it is.
        totals: what the span says in sum, such as tokens and cost.
        dropped_events: events left out, for there were too many.
        steps: started steps of the plan, with their times in nanoseconds.
    """

    def __init__(self, span: ScopeSpan, started: Event, identity: Attributes, *, start_missing: bool) -> None:
        self.span = span
        self.started = started
        self.start_missing = start_missing
        self.identity = identity
        self.totals: Attributes = {}
        self.dropped_events = 0
        self.steps: dict[int, Event] = {}
        self._events: list[SpanEvent] = []
        self._approvals: dict[str, int] = {}

    @property
    def start_ns(self) -> int:
        """Wall clock of the start, nanoseconds since the epoch."""
        return self.started.time_ns

    def add(self, event: SpanEvent, most: int) -> None:
        """Add an event to the span; beyond `most` the oldest goes, errors last."""
        events = self._events
        if len(events) >= most:
            self.dropped_events += 1
            if most <= 0:
                return
            del events[next((i for i, e in enumerate(events) if not _is_loud(e)), 0)]
        events.append(event)

    def count(self, name: str, amount: float = 1) -> None:
        """Add to one of the totals."""
        before = self.totals.get(name, 0)
        self.totals[name] = amount + (before if isinstance(before, _NUMBERS) else 0)

    def count_call(self, call: LlmCall) -> None:
        """Add a call of a model to the totals."""
        self.count(names.HIVELOOP_TASK_LLM_CALLS)
        if call.tokens_in is not None:
            self.count(names.HIVELOOP_TASK_LLM_INPUT_TOKENS, call.tokens_in)
        if call.tokens_out is not None:
            self.count(names.HIVELOOP_TASK_LLM_OUTPUT_TOKENS, call.tokens_out)
        if call.cost is not None:
            self.count(names.HIVELOOP_TASK_COST, float(call.cost))

    def approval_requested(self, event: Event) -> None:
        """Remember a request for approval."""
        if len(self._approvals) < _MOST_PENDING:
            self._approvals[event.event_id] = event.time_ns

    def approval_wait(self, event: Event) -> float | None:
        """Return the seconds an approval took: since the request it names, else since the oldest one."""
        named = event.parent_event_id
        key = named if named in self._approvals else next(iter(self._approvals), None)
        if key is None:
            return None
        return max(0, event.time_ns - self._approvals.pop(key)) / 1e9

    def step_started(self, index: int, event: Event) -> None:
        """Remember the start of a step of the plan."""
        if len(self.steps) < _MOST_PENDING:
            self.steps[index] = event

    def events(self, limits: Limits) -> Sequence[SpanEvent]:
        """Return the span's events, oldest first; ours, and those others added."""
        events = self._events
        if self.span.notes:
            events = [*events, *map(_noted, self.span.notes)]
            events.sort(key=lambda event: event.timestamp or 0)
        return bounded_events(events, limits, self.dropped_events + self.span.dropped_notes)

    def attributes_of_others(self) -> Attributes:
        """Return what others set on the span, cleaned and redacted."""
        told = self.span.attributes
        return _redacted(clean_attributes(told)) if told else {}

    def status_of_others(self) -> Status:
        """Return the status that others set on the span, if any."""
        status = self.span.status or _UNSET
        if not status.description:
            return status
        return Status(status.status_code, redact_text(clean_text(status.description)))


def _redacted_value(value: Value) -> Value:
    if isinstance(value, str):
        return redact_text(value)
    texts = [redact_text(item) for item in value if isinstance(item, str)] if isinstance(value, tuple) else []
    return tuple(texts) if texts else value  # a list of texts is all texts


def _is_loud(event: SpanEvent) -> bool:
    attributes = event.attributes
    return event.name == names.EXCEPTION or (
        attributes is not None and attributes.get(names.HIVELOOP_SEVERITY) in _LOUD
    )


def _noted(note: Note) -> SpanEvent:
    return SpanEvent(clean_name(note.name), _redacted(clean_attributes(note.attributes)), note.time_ns)


def _redacted(attributes: Attributes) -> Attributes:
    return {key: _redacted_value(value) for key, value in attributes.items()}


def bounded_events(events: list[SpanEvent], limits: Limits, dropped: int) -> Sequence[SpanEvent]:
    """Return events within the limit, in the SDK's list type when it has to tell how many were dropped."""
    if not dropped and len(events) <= limits.events:
        return events
    listed = BoundedList[SpanEvent](limits.events)
    listed.extend(events)
    listed.dropped += dropped
    return listed


def bounded_attributes(
    attributes: Attributes, most: int, limits: Limits, dropped: int = 0
) -> Attributes | BoundedAttributes:
    """Return attributes within the limits; beyond them the first go, as in the SDK."""
    if len(attributes) <= most and limits.value_length is None and not dropped:
        return attributes
    excess = max(0, len(attributes) - most)
    kept = dict(islice(attributes.items(), excess, None))  # the SDK would log a line for each that goes
    bounded = BoundedAttributes(most, kept, immutable=False, max_value_len=limits.value_length)
    bounded.dropped += excess + dropped
    return bounded
