"""Heartbeats of all agents from one thread, and the user's callbacks on another.

The beat thread runs no user code. An agent with callbacks is sampled on a helper thread shortly
before its beat is due; when the callback has not returned by then, the beat goes out without it
and says so. A second helper steps in while the first is stuck; never more, so a thousand hanging
callbacks cost two threads.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ._clock import Clock, Deadline
from ._freeze import freeze_mapping, thaw
from ._guard import attempt, contain, notice
from ._shape import is_dict

__all__ = ["Beating", "Callback", "Heartbeats", "Sample"]

Callback = Callable[[], dict[str, Any] | None]

LEAD_SECONDS = 1.0
"""How long before a beat its callbacks are asked, at most; a quarter of the interval otherwise."""
STUCK_SECONDS = 2.0
MAX_HELPERS = 2
FULL = 0.5
"""Queue fill above which beats are skipped: old beats must not push out the agent's own events."""
_GOLDEN = 0.6180339887498949


class Sample(NamedTuple):
    """What an agent's callbacks returned, frozen; `late` when they have not returned in time."""

    payload: bytes | None = None
    queue: bytes | None = None
    depth: int | None = None
    late: bool = False


class Beating(Protocol):
    """An agent, as the scheduler sees it."""

    heartbeat_interval: float
    heartbeat_payload: Callback | None
    queue_provider: Callback | None

    def beat(self, sample: Sample) -> None:
        """Emit the heartbeat; called on the beat thread."""
        ...


class _Entry:
    __slots__ = ("agent", "asked", "due", "pending", "sample")

    def __init__(self, agent: Beating, due: float) -> None:
        self.agent = agent
        self.due = due
        self.asked = False  # sampled for the coming beat
        self.pending = False  # a helper has it
        self.sample = Sample()

    @property
    def has_callbacks(self) -> bool:
        return self.agent.heartbeat_payload is not None or self.agent.queue_provider is not None

    @property
    def wake_at(self) -> float:
        lead = min(LEAD_SECONDS, self.agent.heartbeat_interval / 4)
        return self.due - lead if self.has_callbacks and not self.asked else self.due


class Heartbeats:
    """Schedules the heartbeats of all agents of a client.

    Args:
        clock: time source.
        pressure: how full the queues are, from 0 to 1.
    """

    def __init__(self, clock: Clock, pressure: Callable[[], float]) -> None:
        self._clock = clock
        self._pressure = pressure
        self._entries: dict[int, _Entry] = {}
        self._order = itertools.count()
        self._stopping = False
        self.skipped = 0
        self._renew_locks()

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._heap: list[tuple[float, int, _Entry]] = []
        self._helpers = _Helpers(self._clock)

    def renew(self) -> None:
        """Forget the parent's threads; in the child of a fork. Beats resume at its first event."""
        self._renew_locks()
        now = self._clock.monotonic()
        for entry in self._entries.values():
            entry.asked = entry.pending = False
            entry.due = now + entry.agent.heartbeat_interval
            self._push(entry)

    def set(self, agent: Beating) -> None:
        """Start, change or (with an interval of 0) stop the heartbeat of an agent."""
        with self._lock:
            known = self._entries.pop(id(agent), None)
            if known is not None:
                self._heap = [item for item in self._heap if item[2] is not known]
                heapq.heapify(self._heap)
            if agent.heartbeat_interval <= 0 or self._stopping:
                return
            entry = _Entry(agent, self._clock.monotonic() + self._first_delay(agent.heartbeat_interval))
            self._entries[id(agent)] = entry
            self._push(entry)
            soonest = self._heap[0][2] is entry
        self.start()
        if soonest:
            self._wake.set()

    def _first_delay(self, interval: float) -> float:
        """Spread first beats over the interval, so that a fleet started together does not beat together."""
        return interval * (1 - next(self._order) * _GOLDEN % 1)

    def _push(self, entry: _Entry) -> None:
        heapq.heappush(self._heap, (entry.wake_at, next(self._order), entry))

    def start(self) -> None:
        """Start the thread unless it runs or nobody needs it."""
        with self._lock:
            if self._thread is not None or self._stopping or not self._entries:
                return
            thread = threading.Thread(target=self._run, name="hiveloop-heartbeat", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is going down
                return
            self._thread = thread

    def stop(self, deadline: Deadline) -> None:
        """End the beat thread by the deadline; a hanging callback is left behind on its helper."""
        with self._lock:
            self._stopping = True
            thread = self._thread
        self._wake.set()
        self._helpers.stop()
        if thread is not None and thread is not threading.current_thread():
            thread.join(deadline.remaining())

    def _run(self) -> None:
        while not self._stopping:
            seconds = attempt("heartbeat", self._step, default=1.0)
            if seconds > 0:
                self._clock.wait(self._wake, seconds)
                self._wake.clear()

    def _step(self) -> float:
        """Serve every entry that is due; return the seconds until the next is."""
        now = self._clock.monotonic()
        while not self._stopping:
            with self._lock:
                if not self._heap:
                    return 60.0
                if self._heap[0][0] > now:
                    return self._heap[0][0] - now
                entry = heapq.heappop(self._heap)[2]
            self._serve(entry, now)
            with self._lock:
                if self._entries.get(id(entry.agent)) is entry:
                    self._push(entry)
        return 0.0

    def _serve(self, entry: _Entry, now: float) -> None:
        if entry.has_callbacks and not entry.asked:
            entry.asked = True
            self._helpers.ask(entry)
            if entry.due > now:
                return
        sample, entry.sample, entry.asked = entry.sample, Sample(), False
        interval = entry.agent.heartbeat_interval
        entry.due = max(entry.due + interval, now + interval / 2)  # after a suspended laptop: no volley
        if self._pressure() > FULL:
            self.skipped += 1
            return
        attempt("heartbeat", entry.agent.beat, sample._replace(late=entry.pending), default=None)


class _Helpers:
    """Runs callbacks off the beat thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._jobs: deque[_Entry] = deque()
        self._wake = threading.Semaphore(0)
        self._running = 0
        self._busy_since: dict[int, float] = {}
        self._stopping = False

    def ask(self, entry: _Entry) -> None:
        """Queue an agent's callbacks, unless their last call has not returned yet."""
        with self._lock:
            if not entry.pending and not self._stopping:
                entry.pending = True
                self._jobs.append(entry)
                self._wake.release()
            if self._running == 0 or (self._all_stuck() and self._running < MAX_HELPERS):
                self._start()

    def _all_stuck(self) -> bool:
        now = self._clock.monotonic()
        stuck = sum(now - since > STUCK_SECONDS for since in self._busy_since.values())
        return bool(self._jobs) and stuck >= self._running

    def _start(self) -> None:
        name = f"hiveloop-callbacks-{self._running + 1}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            return
        self._running += 1

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            self._jobs.clear()
            for _ in range(self._running):
                self._wake.release()

    def _run(self) -> None:
        me = threading.get_ident()
        while True:
            self._wake.acquire()
            with self._lock:
                if self._stopping:
                    return
                entry = self._jobs.popleft()
                self._busy_since[me] = self._clock.monotonic()
            sample = attempt("heartbeat callbacks", _sample, entry.agent, default=Sample())
            with self._lock:
                del self._busy_since[me]
                entry.sample = sample
                entry.pending = False


def _sample(agent: Beating) -> Sample:
    payload = _asked("heartbeat_payload", agent.heartbeat_payload)
    queue = _asked("queue_provider", agent.queue_provider)
    depth: Any = None if queue is None else thaw(queue).get("depth", 0)
    return Sample(payload, queue, depth if isinstance(depth, int) else None)


def _asked(name: str, callback: Callback | None) -> bytes | None:
    """Call a user's callback; None when it has nothing to say or says something that is no dict."""
    if callback is None:
        return None
    answer: Any = contain(name, callback, default=None)
    if answer is None:
        return None
    if not is_dict(answer):
        notice(f"{name} result", "hiveloop: %s must return a dict or None", name)
        return None
    return freeze_mapping(answer)
