"""How long to wait before trying again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Backoff"]

# 2**16 seconds is far beyond any cap; more would only overflow a float one day.
_MOST_DOUBLINGS = 16


def _share() -> float:
    """Draw a number from 0 to 1.

    Not from the module `random`: importing it costs more than all of hiveloop, and its seed is the user's.
    """
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Backoff(NamedTuple):
    """Exponential delays with full jitter.

    Full jitter spreads a fleet that lost the same server evenly over the interval, so that its
    return is not a stampede.

    Attributes:
        initial: seconds of the first interval.
        maximum: longest interval in seconds.
        probe: shortest wait in seconds while the set-up is wrong (key, address); doubles to `maximum`.
        draw: returns the share of the interval to wait, from 0 to 1.
    """

    initial: float = 1.0
    maximum: float = 60.0
    probe: float = 15.0
    draw: Callable[[], float] = _share

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row (1 for the first)."""
        return self.draw() * self._interval(self.initial, failures)

    def probe_delay(self, failures: int) -> float:
        """Seconds to wait before asking again whether a wrong set-up was mended."""
        return self._interval(self.probe, failures)

    def _interval(self, first: float, failures: int) -> float:
        doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
        return float(min(self.maximum, first * 2**doublings))
