"""Times of the API: ISO 8601 text outside, whole microseconds since the epoch inside."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "iso", "now_us", "parsed_us", "seconds_between"]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_799 * SECOND
"""The end of the year 9999, beyond which no date can be written."""


def now_us() -> int:
    """Return the time now."""
    return time.time_ns() // 1_000


def iso(us: float | None) -> str | None:
    """Return a time as text in UTC with milliseconds; None stays None."""
    if us is None:
        return None
    whole = min(max(int(us), 0), _LATEST)
    moment = _EPOCH + timedelta(microseconds=whole)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{whole % SECOND // 1_000:03d}Z"


def parsed_us(value: str) -> int | None:
    """Return the time a text names: ISO 8601 (UTC when it names no zone) or seconds since the epoch."""
    try:
        seconds = float(value)
    except ValueError:
        return _of_iso(value)
    return round(seconds * SECOND) if 0 <= seconds < _LATEST / SECOND else None


def _of_iso(value: str) -> int | None:
    try:
        moment = datetime.fromisoformat(value.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    return since // timedelta(microseconds=1)


def seconds_between(earlier_us: float | None, later_us: float) -> float | None:
    """Return the seconds from one time to a later one, at least 0."""
    return None if earlier_us is None else round(max(0.0, (later_us - earlier_us) / SECOND), 1)
