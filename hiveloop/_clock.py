"""The time source of the delivery and heartbeat threads.

Tests replace it by a manual clock; it is the only thing that tests fake.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

__all__ = ["Clock", "Deadline", "SystemClock"]


class Clock(Protocol):
    """What the threads of the engine ask about time."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def time_ns(self) -> int:
        """Wall clock in nanoseconds since the Unix epoch."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or `seconds` have passed; True when it is set."""
        ...


class SystemClock:
    """The real clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class Deadline:
    """A point in time that several waits share, so that together they keep one promise."""

    __slots__ = ("_clock", "_end")

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._end = clock.monotonic() + max(0.0, seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining() <= 0.0


_: type[Clock] = SystemClock
