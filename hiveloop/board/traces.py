"""Spans about AI agents as events: what any OpenTelemetry instrumentation exports shows up on the board.

The same reading of spans as in `hiveloop_otel.HiveLoopSpanProcessor`, and the same outcome, from the other
end: spans come when they have ended, children as a rule before their parents. So a span waits a moment for
the spans around it, which say whose work it is; when they do not come, it becomes work of the service. Event
ids are made of the span's ids, so a request that is sent twice is stored once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from hiveloop._shape import is_dict

from .intake import read_events
from .model import WORLDS, NewEvent
from .otlp import Attributes, Export, SpanData
from .span_events import AGENT_ID, DEEPEST, Node, Said, envelope_of, events_of, facts_of, registration

__all__ = ["HOLD_SECONDS", "Step", "Traces"]

HOLD_SECONDS = 10.0
"""How long a span waits for the spans around it."""
_MOST_TRACES = 2_000
_MOST_NODES = 5_000
_MOST_HELD = 50_000
_IN_BATCH = 500


@dataclass(slots=True)
class _Trace:
    """What is known of a trace."""

    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    held: dict[str, SpanData] = field(default_factory=dict[str, SpanData])
    since: float = 0.0

    def knows(self, span: SpanData) -> bool:
        return span.span_id in self.nodes or span.span_id in self.held


def _key(span: SpanData) -> tuple[str, str]:
    return span.trace_id, span.span_id


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
    made: list[Node]
    begun: list[Node]
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
        said, made = list[Said](), list[Node]()
        for trace in traces:
            said += self._place(trace, made, everything=everything)
        held = (span for trace in traces for span in trace.held.values())
        waiting = [span if self._previews else _bare(span) for span in held if _key(span) in fresh]
        placed = [node.span for node in made if _key(node.span) not in fresh]
        begun = list({one.node for one in said}.difference(made))
        return Step(world, self._batches(said, now_us), waiting, placed, left_out, made, begun)

    # -- places -------------------------------------------------------------------------------

    def _place(self, trace: _Trace, made: list[Node], *, everything: bool) -> list[Said]:
        """Place the spans whose surroundings are known; parents first."""
        ready = [span for span in trace.held.values() if everything or _is_known(trace, span)]
        new = list[Node]()
        for span in sorted(ready, key=lambda span: span.start_ns):
            self._place_one(trace, span, new)
        made += new
        return events_of(new)

    def _place_one(self, trace: _Trace, span: SpanData, new: list[Node]) -> None:
        chain = list[SpanData]()
        here: SpanData | None = span
        while here is not None and here.span_id in trace.held and len(chain) < DEEPEST:
            chain.append(here)
            del trace.held[here.span_id]
            self._held -= 1
            here = trace.held.get(here.parent_id)
        for one in reversed(chain):
            node = Node(one, facts_of(one, self._previews), trace.nodes.get(one.parent_id))
            trace.nodes[one.span_id] = node
            new.append(node)

    # -- events -------------------------------------------------------------------------------

    def _batches(self, said: Sequence[Said], now_us: int) -> list[list[NewEvent]]:
        """Check the events as if they had come over the wire: one set of limits for all."""
        found = list[NewEvent]()
        registered = set[str]()
        for one in sorted(said, key=lambda one: one.event["timestamp"]):
            envelope = envelope_of(one)
            events = [one.event]
            if one.agent not in registered and one.node.facts.own is None:
                registered.add(one.agent)
                events.insert(0, registration(one, envelope))
            found += read_events(envelope, events, now_us, self._previews).events
        return [found[at : at + _IN_BATCH] for at in range(0, len(found), _IN_BATCH)]


def _is_known(trace: _Trace, span: SpanData) -> bool:
    """Tell whether all spans around one have come."""
    for _ in range(DEEPEST):
        if not span.parent_id or span.parent_id in trace.nodes:
            return True
        parent = trace.held.get(span.parent_id)
        if parent is None:
            return span.is_remote
        span = parent
    return True


def _bare(span: SpanData) -> SpanData:
    """Leave out what changes nothing of what is stored, so that nothing of what was said is written down."""
    kept = _kept(span)
    for number in (None, *range(len(span.events))):
        told = span.attributes if number is None else span.events[number].attributes
        span = _with(span, number, _less(told, partial(_keeps, kept, span, number)))
    return span


def _kept(span: SpanData) -> object:
    """Return what a span without previews comes to, whatever is around it."""
    facts = facts_of(span, content=False)
    if facts.own is None:
        return facts, span.attributes.get(AGENT_ID)
    # Which of the words of hiveloop's own spans are kept is known only once events are made of them.
    alone = Export([span._replace(parent_id="")], 0, is_json=False)
    step = Traces(previews=False).events_of(WORLDS[0], alone, span.end_ns // 1_000)
    return facts._replace(own=None, notes=()), step.batches


def _keeps(kept: object, span: SpanData, number: int | None, told: Attributes) -> bool:
    return _kept(_with(span, number, told)) == kept


def _with(span: SpanData, number: int | None, told: Attributes) -> SpanData:
    """Return a span with other attributes, or one of its events with others."""
    if number is None:
        return span._replace(attributes=told)
    event = span.events[number]._replace(attributes=told)
    return span._replace(events=(*span.events[:number], event, *span.events[number + 1 :]))


def _less(told: Attributes, keeps: Callable[[Attributes], bool]) -> Attributes:
    """Leave out each attribute, or each part of one that is an object, without which the same is kept."""
    for name, value in told.items():
        fewer = _without(told, name)
        if keeps(fewer):
            told = fewer
            continue
        parts = _parts(value)
        for part in parts:
            less = _without(parts, part)
            fewer = {**told, name: less}
            if keeps(fewer):
                told, parts = fewer, less
    return told


def _without(told: Attributes, name: str) -> Attributes:
    return {key: value for key, value in told.items() if key != name}


def _parts(value: object) -> Attributes:
    """Return the object that a value is, or is the text of; an empty one for other values."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return {}
    return value if is_dict(value) else {}
