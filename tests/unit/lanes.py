"""A lane without a thread: records and events made by hand, and a worker that obeys it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hiveloop._backoff import Backoff
from hiveloop._lane import Lane, Send, Wait
from hiveloop._record import EventBuilder, Record
from hiveloop._redact import Privacy
from hiveloop.events import AgentInfo, Event, EventType, Severity
from hiveloop.stats import DropReason
from hiveloop.transport import Batch, BatchLimits, Delivered, Outcome

__all__ = ["Bench", "HandMade", "Source", "event_of", "is_broken", "record"]


class Source:
    """Stands for the agent, task or action of a record."""

    def __init__(self, agent_id: str = "sales") -> None:
        self.agent_id = agent_id
        self.info = AgentInfo(agent_id)
        self.agent = self

    def describe(self, privacy: object) -> Any:
        """Never asked: these tests build events themselves."""
        raise NotImplementedError


SALES = Source()


def _fine() -> Any:
    raise NotImplementedError


def _broken() -> Any:
    raise NotImplementedError


def record(number: int, size: int = 100, source: Source = SALES, *, broken: bool = False) -> Record:
    """Return a record whose event is `event_of` it; a broken one cannot be built."""
    return (_broken if broken else _fine, number, size, source, ())


def event_of(record: Record) -> Event:
    """Build the event of a record; its id is the record's number.

    Raises:
        ValueError: the record is a broken one.
    """
    _, number, size, source, _ = record
    if is_broken(record):
        raise ValueError("a broken record")
    agent = AgentInfo(source.agent_id)
    return Event(str(number), 0, EventType.CUSTOM, Severity.INFO, agent, size=size)


def is_broken(record: Record) -> bool:
    """Tell whether a record cannot be built."""
    return record[0] is _broken


class HandMade(EventBuilder):
    """Builds the events of these records.

    Args:
        build: makes an event.
        trim: makes it smaller.
    """

    def __init__(
        self,
        build: Callable[[Record], Event] = event_of,
        *,
        trim: Callable[[Event], Event],
    ) -> None:
        super().__init__(Privacy())
        self._build = build
        self._trim = trim

    def build(self, records: Iterable[Record]) -> list[Event]:
        """Build the events."""
        return [self._build(record) for record in records]

    def trimmed(self, item: Event) -> Event:
        """Make an event smaller."""
        return self._trim(item)


class Bench:
    """A lane and its worker, in a time that passes only when there is nothing else to do.

    Attributes:
        now: seconds.
        requests: the event numbers of each batch that was sent, in order.
        times: when each was sent.
        delivered: the event numbers that arrived, in order of arrival.
        woken: how often the lane has asked for its worker.
    """

    def __init__(
        self,
        answer: Callable[[tuple[int, ...]], Outcome] = lambda numbers: Delivered(),
        *,
        limits: BatchLimits | None = None,
        max_queue_size: int = 10_000,
        batch_size: int = 100,
        flush_interval: float = 5.0,
        backoff: Backoff | None = None,
        trim: Callable[[Event], Event] | None = None,
    ) -> None:
        self.now = 0.0
        self.requests: list[tuple[int, ...]] = []
        self.times: list[float] = []
        self.delivered: list[int] = []
        self.woken = 0
        self.answer = answer
        self.lane = Lane(
            builder=HandMade(trim=trim or (lambda event: event._replace(size=event.size // 4))),
            limits=limits or BatchLimits(),
            max_queue_size=max_queue_size,
            batch_size=batch_size,
            flush_interval=flush_interval,
            backoff=backoff or Backoff(),
            on_ready=self._wake,
        )
        self._puts = 0

    def _wake(self) -> None:
        self.woken += 1

    def put(self, count: int = 1, *, size: int = 100, source: Source = SALES) -> None:
        """Put that many records with consecutive numbers, starting at 0."""
        for _ in range(count):
            self.lane.put(record(self._puts, size, source))
            self._puts += 1

    def step(self) -> float | None:
        """Do what the lane says: send, or return the seconds it wants to wait."""
        match self.lane.next(self.now):
            case Wait(seconds):
                return seconds
            case Send(batch, _):
                assert isinstance(batch, Batch)
                self._send(tuple(int(event.event_id) for event in batch.events))
                return None

    def _send(self, numbers: tuple[int, ...]) -> None:
        self.requests.append(numbers)
        self.times.append(self.now)
        outcome = self.answer(numbers)
        if isinstance(outcome, Delivered):
            self.delivered += [n for n in numbers if str(n) not in outcome.rejected]
        self.lane.settle(outcome, self.now)

    def run(self, *, until: float = float("inf"), requests: int = 10_000) -> None:
        """Work until all records have met their fate, the time is `until`, or so many requests were made."""
        most = len(self.requests) + requests
        while self.open and self.now < until and len(self.requests) < most:
            seconds = self.step()
            if seconds is not None:
                self.now += max(seconds, 0.001)

    @property
    def open(self) -> int:
        """Records whose fate is open."""
        stats = self.lane.stats()
        return stats.waiting + stats.in_flight

    @property
    def dropped(self) -> dict[DropReason, int]:
        """Dropped records by reason."""
        return self.lane.stats().dropped
