"""What the answers of HTTP servers have in common."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from hiveloop._shape import is_dict

__all__ = ["json_object", "seconds_asked", "wait_of"]

LONGEST_WAIT = 86_400.0
"""Seconds after which a receiver is asked again, whatever it said."""


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object in an answer's body, empty when there is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if is_dict(found) else {}


def wait_of(header: str) -> float | None:
    """Return the seconds of a Retry-After header, given as such or as a date. Source: RFC 9110, 10.2.3."""
    seconds = seconds_asked(header)
    return _until(header) if seconds is None else seconds


def seconds_asked(value: Any) -> float | None:
    """Return seconds to wait, 0 to a day; None for what is no number of them."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None


def _until(header: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return seconds_asked(parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
