"""Queues, pace and the question whether there is anything left to do."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

__all__ = ["Outstanding", "Pace", "WorkQueue", "iso"]

T = TypeVar("T")


class Pace:
    """How fast the fleet lives, and whether it was told to stop.

    Args:
        factor: multiplies every wait; 0 for no waits at all.

    Attributes:
        factor: as given; 0 after `hurry`.
        stopped: set by `stop`.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.stopped = threading.Event()
        self._hurried = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait `seconds` times the factor, less when told to hurry; True when the fleet was told to stop."""
        if self.factor > 0:
            self._hurried.wait(seconds * self.factor)
        return self.stopped.is_set()

    def hurry(self) -> None:
        """Wait no more: what is to be done is done as fast as it can be."""
        self.factor = 0.0
        self._hurried.set()

    def stop(self) -> None:
        """Begin nothing new, and hurry with the rest."""
        self.stopped.set()
        self.hurry()


class Outstanding:
    """Counts the items that were put into any queue and are not done yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def add(self, number: int) -> None:
        """Count `number` more items, or fewer when it is negative."""
        with self._changed:
            self._count += number
            self._changed.notify_all()

    def wait_until_none(self, timeout: float) -> bool:
        """Wait until everything is done, at most `timeout` seconds; True when it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= 0, timeout)


@dataclass(slots=True)
class _Entry(Generic[T]):
    item: T
    summary: str
    source: str
    since: float = field(default_factory=time.time)


class WorkQueue(Generic[T]):
    """The inbox of one agent, able to describe itself to HiveBoard.

    Args:
        outstanding: shared by all queues of the fleet.
        pace: tells when to stop handing out work.
    """

    def __init__(self, outstanding: Outstanding, pace: Pace) -> None:
        self._outstanding = outstanding
        self._pace = pace
        self._queue: queue.Queue[_Entry[T] | None] = queue.Queue()
        self._current: _Entry[T] | None = None
        self._said_empty = True

    def put(self, item: T, summary: str, source: str) -> None:
        """Add an item; `summary` and `source` say to people what it is and who asks for it."""
        self._outstanding.add(1)
        self._queue.put(_Entry(item, summary, source))

    def __iter__(self) -> Iterator[T]:
        """Yield items until the queue is closed or the fleet stops.

        An item is done when the next one is asked for.
        """
        while (entry := self._queue.get()) is not None:
            if self._pace.stopped.is_set():
                self._queue.put(entry)  # to be counted as left undone
                return
            self._current = entry
            yield entry.item
            self._current = None
            self._outstanding.add(-1)

    def close(self) -> None:
        """End the iteration, after what is already waiting."""
        self._queue.put(None)

    def clear(self) -> int:
        """Throw away what is waiting and return how many items that were."""
        dropped = 0
        while True:
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                self._outstanding.add(-dropped)
                return dropped
            dropped += entry is not None

    def snapshot(self) -> dict[str, Any] | None:
        """Describe the queue: the `queue_provider` of its agent.

        Returns:
            None while there is nothing to do, after that has been said once.
        """
        with self._queue.mutex:
            waiting = [entry for entry in self._queue.queue if entry is not None]
        current, now = self._current, time.time()
        was_empty, self._said_empty = self._said_empty, not waiting and current is None
        if was_empty and self._said_empty:
            return None
        state: dict[str, Any] = {
            "depth": len(waiting),
            "items": [
                {
                    "id": str(number),
                    "source": entry.source,
                    "summary": entry.summary,
                    "queued_at": iso(entry.since),
                }
                for number, entry in enumerate(waiting[:5], start=1)
            ],
        }
        if waiting:
            state["oldest_age_seconds"] = int(now - waiting[0].since)
        if current:
            state["processing"] = {"id": "0", "summary": current.summary, "started_at": iso(current.since)}
        return state


def iso(seconds: float) -> str:
    """Return a time in seconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
