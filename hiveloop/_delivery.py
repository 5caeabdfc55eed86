"""The thread round one lane: waits, prepares, sends, and keeps the deadlines of flush and shutdown.

The thread starts at the first event, not before, and is a daemon: a `send` that hangs can hold
neither `shutdown` nor the interpreter. A fork's child gets a thread of its own at its first event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ._clock import Clock, Deadline
from ._guard import attempt, contain, logger
from ._lane import Lane, Send, Wait
from .stats import DropReason
from .transport import (
    Batch,
    Delivered,
    JsonBatch,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    Transport,
    offer_work,
)

if TYPE_CHECKING:
    from .transport import TakesJson

__all__ = ["Delivery"]

BREATH_SECONDS = 50e-6
OUTAGE_LINE_SECONDS = 300.0


class _Settled(NamedTuple):
    outcome: Outcome
    blame: DropReason


class Delivery:
    """Runs one lane's worker.

    Args:
        name: unique word for this transport: thread name, logs, statistics.
        transport: carries the batches.
        make_lane: builds the lane, given its wake-up and breathing callbacks.
        clock: time source.
        timeout: seconds one `send` may take.
    """

    def __init__(
        self,
        *,
        name: str,
        transport: Transport,
        make_lane: Callable[[Callable[[], None], Callable[[], None]], Lane[Any]],
        clock: Clock,
        timeout: float,
    ) -> None:
        self.name = name
        self._transport = transport
        self._clock = clock
        self._timeout = timeout
        self._journal = _Journal(name)
        self._on_first_event: Callable[[], None] = lambda: None
        self._renew_locks()
        self.lane = make_lane(self._ready, self._breathe)

    def on_first_event(self, call: Callable[[], None]) -> None:
        """Have `call` run on the caller's thread whenever a worker is about to start."""
        self._on_first_event = call

    def _renew_locks(self) -> None:
        self._start_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._never = threading.Event()
        self._settled = threading.Condition(threading.RLock())
        self._stopping = False
        self._closed = False
        self._close_timeout = 0.0
        self._prepared: tuple[Batch | JsonBatch, object] | None = None

    def renew(self) -> None:
        """Forget threads, locks and events of the parent; for the child of a fork."""
        stopped = self._closed
        self._renew_locks()
        self._closed = self._stopping = stopped
        self.lane.renew()

    # -- any thread ----------------------------------------------------------------------------

    def _ready(self) -> None:
        """Wake the worker, starting it if need be. Called by the lane on a caller's thread."""
        if self._thread is None:
            self._start()
        self._wake.set()

    def _start(self) -> bool:
        with self._start_lock:
            if self._thread is not None or self._stopping:
                return self._thread is not None
            self._on_first_event()
            thread = threading.Thread(target=self._run, name=f"hiveloop-{self.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is going down: `shutdown` drains on its own thread
                return False
            self._thread = thread
            return True

    @property
    def is_worker(self) -> bool:
        """Whether the calling thread is this delivery's own."""
        return threading.current_thread() is self._thread

    def request_flush(self, deadline: Deadline) -> int:
        """Send at once what was accepted so far; return the watermark for `wait_for`."""
        now = self._clock.monotonic()
        watermark = self.lane.request_flush(now, now + deadline.remaining())
        self._wake.set()
        return watermark

    def wait_for(self, watermark: int, deadline: Deadline) -> bool:
        """Wait until each event before the watermark has met its fate; False when the deadline passes."""
        if self.lane.has_met_fate(watermark):
            return self._flushed(deadline)
        if not self._start():
            self._drain(watermark, deadline)
            return self.lane.has_met_fate(watermark)
        with self._settled:
            while not self.lane.has_met_fate(watermark):
                remaining = deadline.remaining()
                if remaining <= 0:
                    return False
                self._settled.wait(min(remaining, 1.0))
        return self._flushed(deadline)

    def _flushed(self, deadline: Deadline) -> bool:
        return contain(f"{self.name}.flush", self._transport.flush, deadline.remaining(), default=False)

    def close(self, deadline: Deadline) -> None:
        """Drop what is left, close the transport and end the thread, by the deadline."""
        left = self.lane.close()
        if left:
            logger.warning("hiveloop: %s: %d events not delivered by the end of shutdown", self.name, left)
        self._close_timeout = deadline.remaining()
        self._stopping = True
        self._wake.set()
        thread = self._thread
        if thread is None:
            self._close_transport()
        elif not self.is_worker:
            thread.join(deadline.remaining() + 0.05)

    def _close_transport(self) -> None:
        if not self._closed:
            self._closed = True
            contain(f"{self.name}.close", self._transport.close, self._close_timeout, default=None)

    # -- the worker's thread -------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            if (seconds := attempt("delivery", self._step, self._timeout, default=1.0)) > 0:
                self._clock.wait(self._wake, seconds)
                self._wake.clear()
        self._close_transport()

    def _drain(self, watermark: int, deadline: Deadline) -> None:
        """Do the worker's part on the calling thread; for an interpreter that starts no more threads."""
        while not deadline.passed and not self.lane.has_met_fate(watermark):
            seconds = attempt("delivery", self._step, min(self._timeout, deadline.remaining()), default=1.0)
            self._clock.wait(self._never, min(seconds, deadline.remaining()))

    def _step(self, timeout: float) -> float:
        """Send one batch, or return the seconds to wait for the next."""
        match self.lane.next(self._clock.monotonic()):
            case Wait(seconds):
                self._notify()
                return seconds
            case Send(batch):
                settled = self._sent(batch, timeout)
                self.lane.settle(settled.outcome, self._clock.monotonic(), blame=settled.blame)
                self._journal.write(settled.outcome, self._clock.monotonic(), self.lane)
                self._notify()
                return 0.0

    def _notify(self) -> None:
        with self._settled:
            self._settled.notify_all()

    def _sent(self, batch: Batch | JsonBatch, timeout: float) -> _Settled:
        ready = self._prepared
        if ready is None or ready[0].events is not batch.events:
            prepared = contain(f"{self.name}.prepare", self._prepare, batch, default=_FAILED)
            if prepared is _FAILED:
                return _Settled(Refused("an event could not be encoded"), DropReason.ENCODE_ERROR)
            ready = self._prepared = (batch, prepared)
        outcome = contain(f"{self.name}.send", self._send, ready[1], timeout, default=None)
        if not isinstance(outcome, Retry | Misconfigured):
            self._prepared = None
        if not isinstance(outcome, Outcome):
            return _Settled(Refused("the transport failed"), DropReason.TRANSPORT_ERROR)
        return _Settled(outcome, DropReason.REFUSED)

    def _prepare(self, batch: Batch | JsonBatch) -> object:
        if isinstance(batch, JsonBatch):
            return cast("TakesJson", self._transport).prepare_json(batch)
        return self._transport.prepare(batch)

    def _send(self, prepared: object, timeout: float) -> Outcome:
        offer_work(self._build_ahead)
        try:
            return self._transport.send(prepared, timeout)
        except OSError as error:
            return Retry(f"{type(error).__name__}: {error}")
        finally:
            offer_work(None)

    def _build_ahead(self) -> None:
        attempt("delivery", self.lane.build_ahead, default=None)

    def _breathe(self) -> None:
        # A real pause of a few microseconds hands the interpreter over; an event that nobody sets, since
        # the wake-up event may be set already and would not pause at all.
        self._never.wait(BREATH_SECONDS)


_FAILED = object()


class _Journal:
    """Writes the log of one lane: one line when an outage starts, few during it, one when it ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._since: float | None = None
        self._next_line = 0.0
        self._rejections = 0

    def write(self, outcome: Outcome, now: float, lane: Lane[Any]) -> None:
        match outcome:
            case Retry(reason):
                self._outage(f"cannot deliver ({reason}); events are kept and sent later", now, lane)
            case Misconfigured(reason):
                self._outage(f"stopped sending: {reason}; events are kept", now, lane)
            case Delivered(rejected, warnings, reason):
                logger.debug("hiveloop: %s: batch delivered", self._name)
                self._arrived(rejected, warnings, reason, now)
            case Refused(reason):
                self._refused(reason, now)
            case _:
                pass

    def _outage(self, message: str, now: float, lane: Lane[Any]) -> None:
        if self._since is None:
            self._since = now
            self._next_line = now + OUTAGE_LINE_SECONDS
            logger.warning("hiveloop: %s: %s", self._name, message)
        elif now >= self._next_line:
            self._next_line = now + OUTAGE_LINE_SECONDS
            stats = lane.stats()
            waiting = stats.waiting + stats.in_flight
            lost = sum(stats.dropped.values())
            logger.warning(
                "hiveloop: %s: still %s; %d waiting, %d dropped", self._name, message, waiting, lost
            )

    def _arrived(self, rejected: tuple[str, ...], warnings: tuple[str, ...], reason: str, now: float) -> None:
        if self._since is not None:
            logger.warning("hiveloop: %s: delivering again after %.0f s", self._name, now - self._since)
            self._since = None
        if rejected:
            why = f": {reason}" if reason else ""
            self._refused(f"{len(rejected)} events rejected by the receiver, first {rejected[0]}{why}", now)
        for warning in warnings:
            logger.debug("hiveloop: %s: receiver warns: %s", self._name, warning)

    def _refused(self, reason: str, now: float) -> None:
        self._rejections += 1
        if self._rejections == 1 or now >= self._next_line:
            self._next_line = now + OUTAGE_LINE_SECONDS
            logger.warning("hiveloop: %s: refused: %s (%d so far)", self._name, reason, self._rejections)
