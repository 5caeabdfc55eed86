"""Time by hand: the only thing these tests fake."""

from __future__ import annotations

import threading
import time

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that stands still until a test moves it.

    A thread of the engine that waits on it looks again every two real milliseconds, so a test that
    has moved the time polls for what should follow.
    """

    def __init__(self) -> None:
        self._now = 1_000.0

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return self._now

    def time_ns(self) -> int:
        """The real wall clock."""
        return time.time_ns()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._now += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or a test has let `seconds` pass."""
        end = self._now + seconds
        while not event.is_set() and self._now < end:
            event.wait(0.002)
        return event.is_set()
