"""Reads query strings: what they may ask for, and what is wrong with them.

A bad value is refused with `BadParameterError`, which the server answers as 400 ``invalid_parameter``: a
dashboard that shows the wrong rows in silence is worse than one that says so. Unknown parameters are
ignored, as old clients send some that never did anything.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hiveloop._shape import is_list

from ._clock import DAY, HOUR, MINUTE, iso, parsed_us

__all__ = ["BadParameterError", "Cursor", "NotFoundError", "Params", "Window"]

DEFAULT_LIMIT = 50
MOST_ROWS = 200
_LONGEST = 512
"""Characters of a value; longer than any id can be."""
_MOST_BUCKETS = 2_000
_LONGEST_WINDOW = 400 * DAY
"""What "since the beginning" becomes; nothing is kept that long."""

RANGES = {"1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
INTERVALS = {"5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY}
_AUTO = {"1h": "5m", "6h": "15m", "24h": "1h", "7d": "6h", "30d": "1d"}
_TRUE, _FALSE = frozenset(("true", "1", "yes", "on")), frozenset(("false", "0", "no", "off"))
_ALL = frozenset(("all", "*"))
_PICKED = frozenset(("environment", "group", "project_id", "status", "model", "task_type", "severity"))
"""Parameters of pickers, where "all" is a choice; elsewhere it may be a name or a word."""


class BadParameterError(ValueError):
    """A query parameter has a value that cannot be answered.

    Attributes:
        name: the parameter.
        message: what is wrong with it, for the caller.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class NotFoundError(LookupError):
    """What was asked for is not stored.

    Attributes:
        what: its sort: agent, task, event.
        name: its id.
    """

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"no {what} {name!r}")
        self.what = what
        self.name = name


class Window(NamedTuple):
    """A stretch of time, cut into buckets of equal length that start at multiples of it."""

    name: str
    start_us: int
    end_us: int
    interval: str
    interval_us: int

    @property
    def starts(self) -> range:
        """Where the buckets start."""
        first = self.start_us // self.interval_us * self.interval_us
        return range(first, self.end_us, self.interval_us)

    def to_json(self) -> dict[str, Any]:
        """Return the window as responses show it."""
        return {
            "range": self.name,
            "since": iso(self.start_us),
            "until": iso(self.end_us),
            "interval": self.interval,
        }


class Cursor(NamedTuple):
    """The place after the last row of a page: the values it is sorted by, its unique key last."""

    values: tuple[Any, ...]

    def encode(self) -> str:
        """Return the cursor as the text that clients hand back."""
        told = json.dumps(self.values, separators=(",", ":"))
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, given: str) -> Cursor | None:
        """Return the cursor in a text, or None when it is none of ours."""
        try:
            raw = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
            found = json.loads(raw)
        except (ValueError, binascii.Error, RecursionError):
            return None
        if not is_list(found) or not all(isinstance(value, str) or _is_plain(value) for value in found):
            return None
        return cls(tuple(found))


def _is_plain(value: object) -> bool:
    """Tell whether a value is a number that the database can compare."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -(2**63) <= value < 2**63  # false for NaN


class Params:
    """The parameters of one request.

    Args:
        given: names and values of the query string.
        now_us: the time now; what ranges count back from.
    """

    def __init__(self, given: Mapping[str, str], now_us: int) -> None:
        self._given = given
        self.now_us = now_us

    def text(self, name: str) -> str | None:
        """Return a value, or None when it is absent or asks for all."""
        value = self._given.get(name)
        if value is None or not value.strip() or (name in _PICKED and value.lower() in _ALL):
            return None
        if len(value) > _LONGEST:
            raise BadParameterError(name, f"{name} may have at most {_LONGEST} characters")
        if "\x00" in value:
            raise BadParameterError(name, f"{name} may not hold a NUL character")
        return value

    def csv(self, name: str, allowed: Iterable[str] | None = None) -> list[str]:
        """Return the values of a comma-separated list; empty when absent."""
        given = self.text(name)
        values = [value for part in (given or "").split(",") if (value := part.strip())]
        known = None if allowed is None else frozenset(allowed)
        for value in values:
            if known is not None and value not in known:
                raise BadParameterError(name, f"{name} has {value!r}; known are {', '.join(sorted(known))}")
        return values[:50]

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Return one of some words."""
        words = tuple(allowed)
        value = self.text(name)
        if value is None:
            return default
        if value not in words:
            raise BadParameterError(name, f"{name} must be one of {', '.join(words)}, not {value!r}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a yes or no."""
        value = self.text(name)
        if value is None:
            return default
        word = value.lower()
        if word not in _TRUE | _FALSE:
            raise BadParameterError(name, f"{name} must be true or false, not {value!r}")
        return word in _TRUE

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number between two others."""
        value = self.text(name)
        if value is None:
            return default
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            raise BadParameterError(name, f"{name} must be a whole number, not {value!r}")
        if not least <= int(value) <= most:
            raise BadParameterError(name, f"{name} must be between {least} and {most}, not {value}")
        return int(value)

    def limit(self, default: int = DEFAULT_LIMIT) -> int:
        """Return how many rows a page may have."""
        return self.whole("limit", default, 1, MOST_ROWS)

    def moment(self, name: str) -> int | None:
        """Return a point in time."""
        value = self.text(name)
        if value is None:
            return None
        found = parsed_us(value.replace(" ", "+"))  # an unescaped plus of a zone arrives as a blank
        if found is None:
            found = parsed_us(value)
        if found is None or not 0 <= found < 2**62:
            raise BadParameterError(name, f"{name} must be an ISO 8601 time, not {value!r}")
        return found

    def cursor(self, *kinds: type) -> tuple[Any, ...] | None:
        """Return the values where the page starts, one of each kind."""
        value = self.text("cursor")
        if value is None:
            return None
        found = Cursor.decode(value)
        if found is None or len(found.values) != len(kinds):
            raise BadParameterError("cursor", "cursor is not one that this board gave out")
        for given, kind in zip(found.values, kinds, strict=True):
            if isinstance(given, str) is not (kind is str):
                raise BadParameterError("cursor", "cursor belongs to another list or order")
        return found.values

    def window(self, default: str = "24h") -> Window:
        """Return the time asked for: ``since`` and ``until``, else ``range`` up to now."""
        name = self.choice("range", RANGES, default)
        since, until = self.moment("since"), self.moment("until")
        if since is None and until is None:
            return self._cut(name, self.now_us - RANGES[name], self.now_us, _AUTO[name])
        end = self.now_us if until is None else min(until, self.now_us + DAY)
        start = end - RANGES[name] if since is None else since
        if start >= end:
            raise BadParameterError("since", "since must be before until and not in the future")
        start = max(start, end - _LONGEST_WINDOW)
        return self._cut("custom", start, end, _suited(end - start))

    def _cut(self, name: str, start: int, end: int, auto: str) -> Window:
        interval = self.choice("interval", ("auto", *INTERVALS), "auto")
        interval = auto if interval == "auto" else interval
        if (end - start) // INTERVALS[interval] > _MOST_BUCKETS:
            raise BadParameterError(
                "interval", f"{interval} cuts this range into more than {_MOST_BUCKETS} parts"
            )
        return Window(name, start, end, interval, INTERVALS[interval])


def _suited(length_us: int) -> str:
    """The interval for a range of any length: that of the named range it fits into."""
    fitting = (name for name, most in RANGES.items() if length_us <= most)
    return _AUTO[next(fitting, "30d")]
