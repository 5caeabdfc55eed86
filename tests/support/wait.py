"""Waiting in tests: poll until something holds, and never sleep for a guess."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["eventually", "pause"]

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T], timeout: float = 10.0, interval: float = 0.01, *, what: str = ""
) -> T:
    """Poll `predicate` until it is true and return what it returned.

    Args:
        predicate: called on this thread; an exception it raises ends the wait.
        timeout: seconds until it must hold.
        interval: seconds between two looks.
        what: words for the failure, such as "the queue is empty".

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {what or predicate}; last value {value!r}")
        pause(interval)


def pause(seconds: float) -> None:
    """Let `seconds` pass where the passing of time itself is the subject, as the length of an outage is."""
    threading.Event().wait(seconds)
