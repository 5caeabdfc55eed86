"""Keep events in memory, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hiveloop.events import Event
from hiveloop.transport import Batch, Delivered, Outcome, Transport

__all__ = ["MemoryTransport"]


class MemoryTransport(Transport):
    """Keeps every event it is given, in order, until `clear`. It never refuses one.

    Call `hiveloop.flush` before reading, so that what the agent just did has arrived. There is no
    bound: it is meant for tests, not for production. All methods may be called on any thread.
    """

    name = "memory"

    def __init__(self) -> None:
        # No lock: a list's extend, copy and clear are each atomic, and a lock that a delivery thread
        # held during a fork would stay locked in the child.
        self._events: list[Event] = []

    @property
    def events(self) -> list[Event]:
        """A copy of the events so far; per agent in the order of the sensor calls."""
        return self._events.copy()

    def clear(self) -> None:
        """Forget the events so far."""
        self._events.clear()

    def send(self, prepared: object, timeout: float) -> Outcome:
        """Keep the events of the batch."""
        self._events.extend(cast("Batch", prepared).events)
        return Delivered()


if TYPE_CHECKING:
    _: type[Transport] = MemoryTransport
