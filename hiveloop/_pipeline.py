"""From sensors to lanes: one lane per transport, all fed the same record by reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple

from . import payloads
from ._backoff import Backoff
from ._clock import Clock, Deadline, SystemClock
from ._delivery import Delivery
from ._guard import attempt, failures
from ._lane import Lane
from ._record import EventBuilder, JsonBuilder, Record
from .events import Event
from .stats import DropReason, LaneStats, Stats
from .transport import BatchLimits, EventHooks, ScopeHooks, Transport

__all__ = ["Backlog", "EngineOptions", "Pipeline", "silent_pipeline"]

_OF_SCOPES = frozenset(
    (
        payloads.task_started,
        payloads.task_completed,
        payloads.task_failed,
        payloads.action_started,
        payloads.action_completed,
        payloads.action_failed,
    )
)
_FAILED: Any = object()


class EngineOptions(NamedTuple):
    """How all lanes of a pipeline behave.

    Attributes:
        max_queue_size: most events waiting per transport.
        batch_size: events that make a batch worth sending early; also the most in a batch when the
            caller chose it. None: 100, and full batches under backlog.
        flush_interval: most seconds an event waits for company.
        timeout: seconds one `Transport.send` may take.
        backoff: delays after failures.
        clock: time source.
    """

    max_queue_size: int = 10_000
    batch_size: int | None = None
    flush_interval: float = 5.0
    timeout: float = 30.0
    backoff: Backoff = Backoff()
    clock: Clock = SystemClock()


class Backlog(NamedTuple):
    """Events not delivered yet, and events lost so far."""

    unsent: int
    dropped: int


class Pipeline:
    """Fans records out to the lanes and asks all of them the questions a client has.

    Args:
        transports: where events go; none at all makes every sensor a no-op.
        builder: turns records into events, on the delivery threads.
        options: behaviour of the lanes.
        on_first_event: called on a caller's thread when a worker is about to start.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        builder: EventBuilder,
        options: EngineOptions,
        on_first_event: Callable[[], None],
    ) -> None:
        self._builder = builder
        self._options = options
        self._clock = options.clock
        self._deliveries = [
            self._delivery(name, t) for name, t in zip(_names(transports), transports, strict=True)
        ]
        self._lanes = [delivery.lane for delivery in self._deliveries]
        for delivery in self._deliveries:
            delivery.on_first_event(on_first_event)
        self.hooks: tuple[ScopeHooks, ...] = tuple(t for t in transports if isinstance(t, ScopeHooks))
        self._put: Callable[[Record], None] = self._lanes[0].put if len(self._lanes) == 1 else self._fan_out
        self._noters: tuple[EventHooks, ...] = tuple(t for t in transports if isinstance(t, EventHooks))
        self.emit: Callable[[Record], None] = self._put_noted if self._noters else self._put

    def _delivery(self, name: str, transport: Transport) -> Delivery:
        options = self._options
        limits: BatchLimits = transport.limits
        largest = min(limits.max_events, options.batch_size or limits.max_events)

        def make_lane(ready: Callable[[], None], breathe: Callable[[], None]) -> Lane[Any]:
            return Lane(
                builder=JsonBuilder(self._builder.privacy) if _takes_json(transport) else self._builder,
                limits=limits._replace(max_events=max(1, largest)),
                max_queue_size=options.max_queue_size,
                batch_size=min(options.batch_size or 100, largest),
                flush_interval=min(options.flush_interval, limits.max_delay or options.flush_interval),
                backoff=options.backoff,
                on_ready=ready,
                breathe=breathe,
            )

        return Delivery(
            name=name, transport=transport, make_lane=make_lane, clock=options.clock, timeout=options.timeout
        )

    def _fan_out(self, record: Record) -> None:
        for lane in self._lanes:
            lane.put(record)

    def _put_noted(self, record: Record) -> None:
        if record[0] not in _OF_SCOPES:
            for noter in self._noters:
                if attempt("event hook", noter.event_recorded, record[1], default=_FAILED) is _FAILED:
                    self._noters = tuple(kept for kept in self._noters if kept is not noter)
        self._put(record)

    @property
    def enabled(self) -> bool:
        """Whether events go anywhere."""
        return bool(self._lanes)

    def pressure(self) -> float:
        """How full the fullest queue is, from 0 to 1."""
        return max((lane.pressure() for lane in self._lanes), default=0.0)

    def backlog(self) -> Backlog:
        """How much has not reached its receiver; cheap enough for every heartbeat."""
        return Backlog(sum(lane.unsent() for lane in self._lanes), sum(lane.lost() for lane in self._lanes))

    def scope_started(self, record: Record) -> Event | None:
        """Let the transports that act at call time know of a new scope; on the agent's thread."""
        event = attempt("scope hook", self._builder.started, record, default=None)
        if event is not None:
            for hook in self.hooks:
                if attempt("scope hook", hook.scope_started, event, default=_FAILED) is _FAILED:
                    self._switch_off(hook)
        return event

    def scope_entered(self, record: Record) -> tuple[Event | None, AbstractContextManager[object] | None]:
        """Do both for a ``with`` block: `scope_started` and `activate`; on the agent's thread."""
        if len(self.hooks) == 1:  # the usual case, in one guarded call instead of three
            entered = attempt("scope hook", self._entered, self.hooks[0], record, default=None)
            if entered is None:
                self._switch_off(self.hooks[0])
                return None, None
            return entered
        event = self.scope_started(record)
        return event, None if event is None else self.activate(event)

    def _entered(self, hook: ScopeHooks, record: Record) -> tuple[Event, AbstractContextManager[object]]:
        event = self._builder.started(record)
        hook.scope_started(event)
        return event, _activate(hook, event)

    def activate(self, started: Event) -> AbstractContextManager[object]:
        """Make a scope current for other libraries, until the returned context is left."""
        if len(self.hooks) == 1:  # the usual case, and an ExitStack costs more than the hook itself
            return self._activated(self.hooks[0], started) or nullcontext()
        stack = ExitStack()
        for hook in self.hooks:
            if (context := self._activated(hook, started)) is not None:
                stack.push(context)
        return stack

    def _activated(self, hook: ScopeHooks, started: Event) -> AbstractContextManager[object] | None:
        context = attempt("scope hook", _activate, hook, started, default=None)
        if context is None:
            self._switch_off(hook)
        return context

    def _switch_off(self, hook: ScopeHooks) -> None:
        self.hooks = tuple(kept for kept in self.hooks if kept is not hook)

    def flush(self, deadline: Deadline) -> bool:
        """Deliver what was accepted so far; False when the deadline passes, or on a delivery thread."""
        if any(delivery.is_worker for delivery in self._deliveries):
            return False
        watermarks = [delivery.request_flush(deadline) for delivery in self._deliveries]
        done = [d.wait_for(w, deadline) for d, w in zip(self._deliveries, watermarks, strict=True)]
        return all(done)

    def close(self, deadline: Deadline) -> None:
        """Drop what is left and end all threads, by the deadline."""
        for delivery in self._deliveries:
            delivery.close(deadline)

    def renew(self) -> None:
        """Start afresh in the child of a fork."""
        for delivery in self._deliveries:
            delivery.renew()

    def stats(self, beats_skipped: int) -> Stats:
        """Return the figures of this moment."""
        lanes = {delivery.name: delivery.lane.stats() for delivery in self._deliveries}
        problems = failures()
        return Stats(
            accepted=sum(s.accepted for s in lanes.values()),
            delivered=sum(s.delivered for s in lanes.values()),
            waiting=sum(s.waiting for s in lanes.values()),
            in_flight=sum(s.in_flight for s in lanes.values()),
            dropped=_totals(lanes),
            transports=lanes,
            sensor_errors=sum(problems.values()),
            problems=problems,
            beats_skipped=beats_skipped,
        )


def silent_pipeline() -> Pipeline:
    """A pipeline to nowhere: everything works, nothing is kept or sent."""
    from ._redact import Privacy

    return Pipeline((), EventBuilder(Privacy()), EngineOptions(), lambda: None)


def _takes_json(transport: Transport) -> bool:
    """Tell whether the door of `TakesJson` is to be used.

    Classes are looked at one by one: what derives from such a transport, or stands in for one, and has
    its own `prepare` but no `prepare_json` wants that one to be called.
    """
    for namespace in (getattr(transport, "__dict__", {}), *map(vars, type(transport).__mro__)):
        if "prepare_json" in namespace or "prepare" in namespace:
            return "prepare_json" in namespace and transport.limits.one_agent
    return False


def _activate(hook: ScopeHooks, event: Event) -> AbstractContextManager[object]:
    context = hook.activate(event)
    context.__enter__()
    return context


def _names(transports: Sequence[Transport]) -> list[str]:
    names: list[str] = []
    for transport in transports:
        name, count = str(transport.name), 2
        while name in names:
            name, count = f"{transport.name}-{count}", count + 1
        names.append(name)
    return names


def _totals(lanes: dict[str, LaneStats]) -> dict[DropReason, int]:
    totals: dict[DropReason, int] = {}
    for stats in lanes.values():
        for reason, count in stats.dropped.items():
            totals[reason] = totals.get(reason, 0) + count
    return totals
