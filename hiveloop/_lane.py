"""One transport's delivery state: the queue, what is being sent, and what to do next.

No thread, socket or clock is in here. A caller puts records in; a worker asks `next(now)` what to
do and tells `settle(outcome, now)` how it went. All rules of delivery live in this file.

Putting a record takes no lock: `deque.extend` by a tuple is atomic. It keeps the values of a record and
not the tuple, so that a long queue is nothing for the garbage collector to walk. Records leave the
queue under a lock, cut by the worker or evicted by a caller that finds the queue full, and are counted
as they leave. So

    accepted = removed + waiting          removed = delivered + dropped + in flight

and the number removed is also a position in the stream, which `flush` uses as its watermark.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ._backoff import Backoff
from ._guard import attempt
from ._record import WIDTH, Builder, Handle, Record
from .stats import DropReason, LaneStats
from .transport import (
    Batch,
    BatchLimits,
    Delivered,
    JsonBatch,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    TooLarge,
)

__all__ = ["Lane", "Send", "Wait"]

_NO_VALUE = object()
_SOURCE = 3  # its place in a record
Item = TypeVar("Item")  # what an event is here: an `Event`, or JSON

SUSPECT_ATTEMPTS = 5
"""Answers that blame the batch itself before it is halved or, alone, put to the test; and how often the
test must go against it."""
BREATH = 25
"""Events built at a time, between two breaths."""
LONG_BREATH = 4 * BREATH
"""Events built at a time while many wait, when the interpreter is handed over only as it asks for it."""
FLUSH_DELAY = 1.0
"""Longest back-off in seconds while somebody waits in `flush`."""
GROUP_WINDOW = 4
"""Windows of a one-agent transport are this many batches long, so that interleaved agents fill theirs."""


class Send(NamedTuple):
    """Send this batch now; `attempt` counts from 1."""

    batch: Batch | JsonBatch
    attempt: int


class Wait(NamedTuple):
    """Nothing to do for this many seconds, unless woken."""

    seconds: float


class _Piece(Generic[Item]):
    """Events that travel together, and what has happened to them so far."""

    __slots__ = ("agent", "attempts", "events", "proofs", "suspect_at", "suspicions", "trimmed")

    def __init__(self, events: tuple[Item, ...], agent: Handle, *, trimmed: bool = False) -> None:
        self.events = events
        self.agent = agent  # of the first event; of all of them where the limits say so
        self.attempts = 0
        self.suspicions = 0
        self.suspect_at = 0  # events delivered when the last suspicion fell
        self.proofs = 0  # suspicions that fell although others got through since the one before
        self.trimmed = trimmed


class _Group(list[Any]):
    """Records cut from the queue that may share a batch, not yet built into events: their values in a row."""

    @property
    def agent(self) -> Handle:
        """The agent of the first one."""
        agent: Handle = self[_SOURCE].agent
        return agent

    def head(self, count: int) -> Iterator[Record]:
        """The first few as records, one at a time."""
        return _records(self[: count * WIDTH])


def _records(values: list[Any]) -> Iterator[Record]:
    return cast("Iterator[Record]", zip(*[iter(values)] * WIDTH, strict=True))


class Lane(Generic[Item]):
    """The delivery state of one transport.

    Args:
        builder: turns records into events; what it raises costs that event (``encode_error``).
        limits: of the transport's batches.
        max_queue_size: most records waiting; the oldest go beyond it.
        batch_size: records that make a batch worth sending before the flush interval has passed.
        flush_interval: most seconds a record waits for company.
        backoff: delays after failures.
        on_ready: called on a caller's thread when the worker should wake up; must not raise.
        breathe: called on the worker's thread every few events while little waits, so that building a
            batch does not hold the interpreter for milliseconds.
    """

    def __init__(
        self,
        *,
        builder: Builder[Item, Any],
        limits: BatchLimits,
        max_queue_size: int,
        batch_size: int,
        flush_interval: float,
        backoff: Backoff,
        on_ready: Callable[[], None],
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self._builder = builder
        self._limits = limits
        self._max_queue_size = max_queue_size
        self._batch_size = min(batch_size, max_queue_size)
        self._flush_interval = flush_interval
        self._backoff = backoff
        self._on_ready = on_ready
        self._breathe = breathe
        self._closed = False
        self.renew()

    def renew(self) -> None:
        """Start afresh with an empty queue and new locks, as the child of a fork must.

        What waits at the time of a fork is the parent's to deliver.
        """
        self._lock = threading.RLock()  # re-entrant: a finaliser or signal handler may call a sensor in here
        self._queue: deque[Any] = deque()  # `WIDTH` values for each record
        self._extend = self._queue.extend
        self._values: Iterator[Any] = iter(self._queue.popleft, _NO_VALUE)
        self._work: deque[_Piece[Item] | _Group] = deque()  # cut from the queue, fate open, oldest first
        self._sending: _Piece[Item] | None = None
        self._removed = self._delivered = self._in_flight = 0
        self._window_start = 0
        self._dropped: dict[DropReason, int] = {}
        self._not_before = self._asked_until = float("-inf")
        self._due = float("-inf")
        self._failures = 0
        self._flush_to = 0
        self._hurry_until = float("-inf")
        self._state = "ok"
        self._last_error: str | None = None
        # One comparison on the caller's thread serves three ends: the first record starts the worker,
        # a full batch wakes it, and a full queue evicts. It begins at 1 and the worker moves it.
        self._mark = 0 if self._closed else 1  # in values, not records

    # -- callers' threads ----------------------------------------------------------------------

    def put(self, record: Record) -> None:
        """Take a record in. Any thread, no lock, tens of nanoseconds; never blocks on the worker."""
        self._extend(record)
        if len(self._queue) >= self._mark:
            self._at_mark()

    def _at_mark(self) -> None:
        if self._closed:
            self._drop_waiting(DropReason.CLOSED)
        elif self._waiting() > self._max_queue_size:
            self._evict()
        elif self._mark <= self._max_queue_size * WIDTH:
            self._hush()
            self._on_ready()

    def _hush(self) -> None:
        """Raise the mark, since one wake-up is enough."""
        self._mark = self._max_queue_size * WIDTH + 1
        if self._closed:  # on another thread, just now
            self._mark = 0

    def _evict(self) -> None:
        with self._lock:
            while self._waiting() > self._max_queue_size:
                self._pop(1)
                self._removed += 1
                self._count(DropReason.QUEUE_FULL)

    def _pop(self, count: int) -> _Group:
        """Take records out of the queue, in one step of C.

        A finaliser or signal handler that runs between two values of a record, and finds the queue full,
        would cut the record in two.
        """
        return _Group(islice(self._values, count * WIDTH))

    def _waiting(self) -> int:
        return len(self._queue) // WIDTH

    def pressure(self) -> float:
        """How full the queue is, from 0 to 1."""
        return self._waiting() / self._max_queue_size

    # -- the worker ----------------------------------------------------------------------------

    def next(self, now: float) -> Send | Wait:
        """Say what to do at time `now` (seconds, monotonic)."""
        with self._lock:
            if now < self._not_before:
                return self._rest(self._not_before - now)
            if not self._work and not self._cut(now):
                return self._rest(max(0.0, self._due - now))
            work = self._work.popleft()
        piece = work if isinstance(work, _Piece) else self._build_piece(work)
        return self._send(piece)

    def build_ahead(self) -> None:
        """Build what `next` would build next, while a batch is on its way; on the worker's thread.

        Of the records cut from the queue already: a new window would move the watermark of `flush`.
        """
        with self._lock:
            if not self._work or isinstance(self._work[0], _Piece):
                return
            group = cast("_Group", self._work.popleft())
        piece = self._build_piece(group)
        with self._lock:
            if piece is not None and not self._closed:
                self._work.appendleft(piece)

    def _send(self, piece: _Piece[Item] | None) -> Send | Wait:
        with self._lock:
            if piece is None or self._closed:
                return Wait(0.0)
            self._sending = piece
            piece.attempts += 1
            batch = self._builder.batch(piece.events, piece.agent, self._waiting())
            return Send(batch, piece.attempts)

    def _rest(self, seconds: float) -> Wait:
        """Lower the mark before a wait, so that a full batch ends it; not during a back-off."""
        if self._closed:  # the mark stays where each put is dropped
            return Wait(seconds)
        idle = self._failures == 0
        self._mark = self._batch_size * WIDTH if idle else self._max_queue_size * WIDTH + 1
        if idle and len(self._queue) >= self._mark:
            return Wait(0.0)  # it filled up in between, and nobody else will say so
        return Wait(seconds)

    def _cut(self, now: float) -> bool:
        """Move waiting records to the work list when it is time; True when there are any."""
        waiting = self._waiting()
        flushing = self._flush_to > self._removed
        if not waiting or not (flushing or waiting >= self._batch_size or now >= self._due):
            if now >= self._due:
                self._due = now + self._flush_interval
            return False
        self._due = now + self._flush_interval
        self._window_start = self._removed
        size = min(waiting, self._limits.max_events * (GROUP_WINDOW if self._limits.one_agent else 1))
        if flushing:  # a watermark is met at the end of a window: let later records not hold it up
            size = min(size, self._flush_to - self._removed)
        self._work.extend(self._grouped(self._take(size)))
        return True

    def _take(self, count: int) -> _Group:
        records = self._pop(count)
        self._removed += count
        self._in_flight += count
        return records

    def _grouped(self, window: _Group) -> Iterable[_Group]:
        if not self._limits.one_agent:
            return (window,)
        agents: list[Handle] = [source.agent for source in window[_SOURCE::WIDTH]]
        if agents.count(agents[0]) == len(agents):  # most programs have a single agent
            return (window,)
        by_agent: dict[Handle, _Group] = {}
        for agent, record in zip(agents, _records(window), strict=True):
            by_agent.setdefault(agent, _Group()).extend(record)
        return by_agent.values()

    def _build_piece(self, group: _Group) -> _Piece[Item] | None:
        """Build events from the head of a group until a batch is full; runs without the lock."""
        events: list[Item] = []
        agent = group.agent
        room, failed = self._limits.max_bytes, 0
        paced = self._waiting() < self._limits.max_events
        while group and room > 0 and len(events) < self._limits.max_events:
            most = self._limits.max_events - len(events)
            size = min(BREATH if paced else LONG_BREATH, len(group) // WIDTH, most)
            built = attempt("building events", self._builder.build, group.head(size), default=None)
            if built is None:  # one of them fails: find it, and keep the others
                built = self._build_each(group.head(size))
                failed += size - len(built)
            del group[: size * WIDTH]
            events += built
            room -= sum(self._builder.sizes(built))
            if paced:
                self._breathe()
        return self._built(self._pieces(events, agent, fit=room >= 0), group, failed)

    def _build_each(self, records: Iterable[Record]) -> list[Item]:
        build = self._builder.build
        none: list[Item] = []
        return list(
            chain.from_iterable(attempt("building an event", build, [r], default=none) for r in records)
        )

    def _pieces(self, events: list[Item], agent: Handle, *, fit: bool) -> list[_Piece[Item]]:
        """Split events into batches within the limit of bytes; `fit` when it is known that all are."""
        pieces: list[_Piece[Item]] = []
        while events:
            fitting = len(events) if fit else self._fitting(events)
            pieces.append(_Piece(tuple(events[:fitting]), agent))
            events = events[fitting:]
        return pieces

    def _built(self, pieces: list[_Piece[Item]], rest: _Group, failed: int) -> _Piece[Item] | None:
        """Take in what was built; return what to send first, and queue what did not fit with it."""
        with self._lock:
            if self._closed:
                return None
            if failed:
                self._drop(failed, DropReason.ENCODE_ERROR)
            if rest:
                self._work.appendleft(rest)
            self._work.extendleft(reversed(pieces[1:]))
            return pieces[0] if pieces else None

    def _fitting(self, events: list[Item]) -> int:
        """How many events from the first on are within the bytes of a batch; one at least."""
        size = 0
        for count, bytes_ in enumerate(self._builder.sizes(events)):
            size += bytes_
            if size > self._limits.max_bytes:
                return max(1, count)
        return len(events)

    def settle(self, outcome: Outcome, now: float, *, blame: DropReason = DropReason.REFUSED) -> None:
        """Take in how the sending of the last batch went.

        Args:
            outcome: the transport's answer.
            now: seconds, monotonic.
            blame: the reason under which a refused event is dropped.
        """
        with self._lock:
            piece, self._sending = self._sending, None
            if piece is None:  # the lane was closed or renewed while the batch was on its way
                return
            match outcome:
                case Delivered(rejected):
                    self._settle_delivered(piece, rejected)
                case Retry():
                    self._settle_retry(piece, outcome, now)
                case Misconfigured(reason):
                    self._pause(self._backoff.probe_delay(self._failures + 1), now, "misconfigured", reason)
                    self._work.appendleft(piece)
                case TooLarge(reason):
                    self._last_error = reason
                    self._settle_too_large(piece)
                case Refused(reason):
                    self._last_error = reason
                    self._split_or_drop(piece, blame)

    def _settle_delivered(self, piece: _Piece[Item], rejected: tuple[str, ...]) -> None:
        ids = map(self._builder.event_id, piece.events) if rejected else ()
        lost = len(set(ids).intersection(rejected))
        if lost:
            self._drop(lost, DropReason.REJECTED)
        arrived = len(piece.events) - lost
        self._delivered += arrived
        self._in_flight -= arrived
        self._failures = 0
        self._not_before = float("-inf")
        self._state = "ok"

    def _settle_retry(self, piece: _Piece[Item], outcome: Retry, now: float) -> None:
        self._pause(self._backoff.delay(self._failures + 1), now, "retrying", outcome.reason)
        if outcome.after is not None:
            self._asked_until = now + outcome.after
            self._not_before = max(self._not_before, self._asked_until)
        if not outcome.suspect:
            self._work.appendleft(piece)
        elif not self._is_poison(piece):
            self._put_back_suspect(piece)
        else:
            self._drop(1, DropReason.RETRIES_EXHAUSTED)

    def _is_poison(self, piece: _Piece[Item]) -> bool:
        """An event is given up only alone, and when others got through between its failures.

        Failures in an outage say nothing against it, however many there were.
        """
        piece.proofs += piece.suspicions > 0 and self._delivered > piece.suspect_at
        piece.suspicions += 1
        piece.suspect_at = self._delivered
        return len(piece.events) == 1 and piece.proofs >= SUSPECT_ATTEMPTS

    def _put_back_suspect(self, piece: _Piece[Item]) -> None:
        if piece.suspicions < SUSPECT_ATTEMPTS:
            self._work.appendleft(piece)
        elif len(piece.events) > 1:
            self._split(piece)
        else:  # let what follows go first: its fate tells an outage from a poison event
            if not self._work and self._queue:
                self._work.append(self._take(1))
            self._work.insert(1, piece)

    def _settle_too_large(self, piece: _Piece[Item]) -> None:
        if len(piece.events) > 1 or piece.trimmed:
            self._split_or_drop(piece, DropReason.TOO_LARGE)
            return
        smaller = attempt("trimming an event", self._builder.trimmed, next(iter(piece.events)), default=None)
        if smaller is None:
            self._drop(1, DropReason.TOO_LARGE)
        else:
            self._work.appendleft(_Piece((smaller,), piece.agent, trimmed=True))

    def _split_or_drop(self, piece: _Piece[Item], reason: DropReason) -> None:
        if len(piece.events) == 1:
            self._drop(1, reason)
        else:
            self._split(piece)

    def _split(self, piece: _Piece[Item]) -> None:
        half = len(piece.events) // 2
        self._work.appendleft(_Piece(piece.events[half:], piece.agent))
        self._work.appendleft(_Piece(piece.events[:half], piece.agent))

    def _pause(self, delay: float, now: float, state: str, reason: str) -> None:
        if now < self._hurry_until and self._flush_to > self._fate():
            delay = min(delay, FLUSH_DELAY)  # somebody waits: stay polite, but do not doze off
        self._failures += 1
        self._not_before = now + delay
        self._state = state
        self._last_error = reason

    def _drop(self, count: int, reason: DropReason) -> None:
        """Count events in flight as lost."""
        self._in_flight -= count
        self._count(reason, count)

    def _count(self, reason: DropReason, count: int = 1) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    # -- flush, close, figures -----------------------------------------------------------------

    def request_flush(self, now: float, until: float = float("inf")) -> int:
        """Send what was accepted before this call without delay; return its watermark.

        Cuts our own back-off short, until the time at which the caller gives up; never a wait that the
        receiver asked for.
        """
        with self._lock:
            target = self._removed + self._waiting()
            self._flush_to = max(self._flush_to, target)
            self._hurry_until = max(self._hurry_until, until)
            self._not_before = max(self._asked_until, min(self._not_before, now))
            return target

    def has_met_fate(self, watermark: int) -> bool:
        """Tell whether each event before the watermark was delivered or dropped."""
        with self._lock:
            return self._fate() >= watermark

    def _fate(self) -> int:
        # Records leave in order, but evictions go on while a window is in flight: a plain count of
        # what was settled would be fooled by them.
        return self._window_start if self._in_flight else self._removed

    def close(self) -> int:
        """Drop all that is left as ``shutdown`` and everything later as ``closed``; return how many."""
        with self._lock:
            left = self._in_flight + self._waiting()
            self._drop_waiting(DropReason.SHUTDOWN)
            if self._in_flight:
                self._drop(self._in_flight, DropReason.SHUTDOWN)
            self._work.clear()
            self._sending = None
            self._closed = True
            self._state = "closed"
            self._mark = 0
            return left

    def _drop_waiting(self, reason: DropReason) -> None:
        with self._lock:
            while self._queue:
                self._pop(1)
                self._removed += 1
                self._count(reason)

    def unsent(self) -> int:
        """Events whose fate is open; without the lock, so a figure of about now."""
        return self._waiting() + self._in_flight

    def lost(self) -> int:
        """Events dropped so far."""
        with self._lock:
            return sum(self._dropped.values())

    def stats(self) -> LaneStats:
        """Return the figures of this moment."""
        with self._lock:
            waiting = self._waiting()
            return LaneStats(
                self._removed + waiting,
                self._delivered,
                waiting,
                self._in_flight,
                dict(self._dropped),
                self._state,
                self._last_error,
            )
