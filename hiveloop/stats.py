"""What became of every event: the figures of `HiveBoard.stats`."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["DropReason", "LaneStats", "Stats"]


class DropReason(StrEnum):
    """Why an accepted event was not delivered."""

    QUEUE_FULL = "queue_full"
    """The oldest waiting event made room for a newer one."""
    REJECTED = "rejected"
    """The receiver named this event when it took the rest of the batch."""
    REFUSED = "refused"
    """The receiver will never take this event."""
    TOO_LARGE = "too_large"
    """Still too large when alone and trimmed."""
    RETRIES_EXHAUSTED = "retries_exhausted"
    """The receiver kept failing on this event while others got through."""
    ENCODE_ERROR = "encode_error"
    """The event could not be built or encoded."""
    TRANSPORT_ERROR = "transport_error"
    """The transport has a bug that this event triggers."""
    SHUTDOWN = "shutdown"
    """Not delivered by the deadline of `shutdown`."""
    CLOSED = "closed"
    """The sensor was called after `shutdown`."""


class LaneStats(NamedTuple):
    """One transport's figures: accepted = delivered + dropped + waiting + in_flight, always.

    Attributes:
        accepted: events taken in since the process started (or forked).
        delivered: events the receiver took.
        waiting: events in the queue.
        in_flight: events cut from the queue whose fate is open: being sent, or to be sent again.
        dropped: lost events by reason; reasons without any are left out.
        state: "ok", "retrying", "misconfigured" or "closed".
        last_error: what went wrong last, or None.
    """

    accepted: int
    delivered: int
    waiting: int
    in_flight: int
    dropped: dict[DropReason, int]
    state: str
    last_error: str | None


class Stats(NamedTuple):
    """The figures of all transports together; each event counts once per transport.

    Attributes:
        transports: the figures of each, by its name.
        sensor_errors: sensor calls that failed inside, and arguments that were left out.
        problems: the same by place, such as ``{"argument cost": 3}``.
        beats_skipped: heartbeats not sent because a queue was nearly full.
    """

    accepted: int
    delivered: int
    waiting: int
    in_flight: int
    dropped: dict[DropReason, int]
    transports: dict[str, LaneStats]
    sensor_errors: int
    problems: dict[str, int]
    beats_skipped: int = 0
