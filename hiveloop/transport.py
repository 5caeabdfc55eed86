"""The page for authors of transports.

A transport carries batches of events somewhere and says how it went. It keeps no queue, starts
no thread and never waits to try again: the engine owns all of that, one lane per transport, and
gives each the same back-off, splitting, drop accounting, flush and shutdown.

    class PrintTransport(Transport):
        def send(self, prepared: object, timeout: float) -> Outcome:
            for event in cast(Batch, prepared).events:
                print(event.type, event.summary)
            return Delivered()

    hiveloop.init(transport=PrintTransport())
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from ._ids import id_text

if TYPE_CHECKING:
    from .events import AgentInfo, Event

__all__ = [
    "Batch",
    "BatchLimits",
    "Delivered",
    "EventHooks",
    "JsonBatch",
    "Misconfigured",
    "Outcome",
    "Refused",
    "Retry",
    "ScopeHooks",
    "TakesJson",
    "TooLarge",
    "Transport",
    "event_id",
    "offer_work",
    "work_ahead",
]


class BatchLimits(NamedTuple):
    """What one batch of a transport may hold.

    Attributes:
        max_events: most events in a batch, at least 1.
        max_bytes: most bytes in a batch, by the events' estimated `Event.size`. The transport's own
            exact check may still answer `TooLarge`.
        one_agent: every batch holds events of a single agent.
        max_delay: most seconds an event may wait for company here; the client's ``flush_interval`` when
            that is shorter, or when None. For transports that somebody watches.
    """

    max_events: int = 500
    max_bytes: int = 1_000_000
    one_agent: bool = False
    max_delay: float | None = None


class Batch(NamedTuple):
    """Events to be sent together, oldest first.

    Attributes:
        events: at least one event; per agent in the order of the sensor calls.
        backlog: events that wait behind this batch; a transport may take its time while it is small.
    """

    events: tuple[Event, ...]
    backlog: int = 0

    @property
    def agent(self) -> AgentInfo:
        """The agent of the first event; of all of them when the limits say ``one_agent``."""
        return self.events[0].agent


class JsonBatch(NamedTuple):
    """Events of one agent to be sent together, oldest first, in JSON as the native wire format has it.

    Attributes:
        agent: the agent of all of them.
        events: at least one event, in UTF-8; per agent in the order of the sensor calls.
        backlog: events that wait behind this batch.
    """

    agent: AgentInfo
    events: tuple[bytes, ...]
    backlog: int = 0


class Delivered(NamedTuple):
    """The batch arrived, but for the events whose ids the receiver rejected.

    Attributes:
        rejected: event ids refused one by one; counted and logged, never sent again.
        warnings: texts worth a debug line.
        reason: why the first of the rejected ones was, for the log.
    """

    rejected: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""


class Retry(NamedTuple):
    """Nothing arrived, and trying again later may help.

    Attributes:
        reason: short text for the log, without secrets.
        after: seconds the receiver asked to wait; the engine never tries sooner.
        suspect: the receiver answered, and the batch itself may be to blame (HTTP 500, say). Only such
            answers can ever give up an event, and only while other batches get through.
    """

    reason: str
    after: float | None = None
    suspect: bool = False


class TooLarge(NamedTuple):
    """The batch is too big: the engine halves it; a single event is trimmed once, then dropped."""

    reason: str = "too large"


class Refused(NamedTuple):
    """The receiver will never take this batch: the engine halves it to find the culprit."""

    reason: str


class Misconfigured(NamedTuple):
    """Nothing will arrive until a person acts: wrong key, wrong address.

    The engine keeps the queue, says so once and probes slowly.
    """

    reason: str


Outcome = Delivered | Retry | TooLarge | Refused | Misconfigured


@runtime_checkable
class Transport(Protocol):
    """Where events go. Subclass it to inherit the defaults, or match it structurally.

    Only `send` must be written. All methods are called on one delivery thread, never at the same
    time, except `close`, which may be called on the thread of `hiveloop.shutdown`. After a fork the
    child uses the same object from a thread of its own: open connections lazily, and again when
    ``os.getpid()`` has changed.

    Attributes:
        name: short word for logs, thread names and statistics.
        limits: what one batch may hold.
    """

    name: str = "transport"
    limits: BatchLimits = BatchLimits()

    def prepare(self, batch: Batch) -> object:
        """Turn a batch into what `send` takes: encode, map; no I/O. Called once per batch.

        Raises:
            Exception: the batch is halved to find the event that cannot be encoded, which is
                dropped as ``encode_error``.
        """
        return batch

    @abstractmethod
    def send(self, prepared: object, timeout: float) -> Outcome:
        """Send what `prepare` returned and say how it went; may be called again with the same value.

        Args:
            prepared: the return value of `prepare`; the `Batch` itself unless overridden.
            timeout: seconds this call may take.

        Raises:
            OSError: the same as returning `Retry`.
            Exception: a bug in the transport: the batch is halved, and the event that causes it is
                dropped as ``transport_error``.
        """
        ...

    def flush(self, timeout: float) -> bool:
        """Pass on what the transport itself buffers, within `timeout` seconds. True when all is out."""
        return True

    def close(self, timeout: float) -> None:
        """Release connections and files, within `timeout` seconds. No call follows."""
        return None


@runtime_checkable
class TakesJson(Protocol):
    """Optional second door of a transport that passes events on as they are in the native wire format.

    For such a one the engine makes no `Event` objects, which saves a tenth of its work. It needs
    batches of a single agent (``limits.one_agent``), whose envelope is no part of the events. A subclass
    that overrides `Transport.prepare` alone gets its `Event` objects.
    """

    def prepare_json(self, batch: JsonBatch) -> object:
        """Turn a batch into what `Transport.send` takes, as `Transport.prepare` does."""
        ...


@runtime_checkable
class ScopeHooks(Protocol):
    """Optional second half of a transport that must act at call time, as tracing context does.

    Both methods run on the agent's thread and must take microseconds. A hook that raises is logged
    once and switched off.
    """

    def scope_started(self, started: Event) -> None:
        """A task or action began; `started` is its ``task_started`` or ``action_started`` event."""
        ...

    def activate(self, started: Event) -> AbstractContextManager[object]:
        """Make the scope current for other libraries; entered and left with the ``with`` block."""
        ...


@runtime_checkable
class EventHooks(Protocol):
    """Optional: a transport that must note something of the moment a sensor is called.

    It runs on the agent's thread for every event but the starts and ends of tasks and actions, of which
    `ScopeHooks` hears, so it must take well under a microsecond. A hook that raises is logged once and
    switched off.
    """

    def event_recorded(self, number: int) -> None:
        """A sensor was called; `event_id` of `number` is the id its event will have."""
        ...


def event_id(number: int) -> str:
    """Return the id of the event that `EventHooks.event_recorded` announced, in the same process."""
    return id_text(number)


class _Offer(threading.local):
    work: Callable[[], None] | None = None


_offer = _Offer()


def offer_work(work: Callable[[], None] | None) -> None:
    """Say what `work_ahead` does on this thread; the engine's part of it."""
    _offer.work = work


def work_ahead() -> None:
    """Let the engine build the next batch while the answer to this one is on its way.

    A transport may call it in `Transport.send`, between request and answer. It takes milliseconds, or
    nothing when there is nothing to build; elsewhere it does nothing.
    """
    if _offer.work is not None:
        _offer.work()
