"""Current values, for gauges that are asked for them at every collection.

A synchronous gauge would not do: SDKs before 1.40, and all of them with delta temporality, forget its value
once it was collected. An agent's status, which changes once an hour, would be exported once an hour.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from functools import partial

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

__all__ = ["Gauges", "gauges_of"]

_Series = dict[str, tuple[Observation, ...]]
"""Observations by owner."""


class Gauges:
    """The values one transport shows, by gauge and owner.

    Written by one thread, read by those of metric readers. There is no lock: a reader copies a dict in one
    step, and a lock held at the time of a fork would block the child's exports for ever. They are shown until
    the object is garbage, and never in the child of a fork, whose agents are not these.
    """

    def __init__(self, board: _Board) -> None:
        self._board = board
        self._pid = os.getpid()
        self._values: dict[str, _Series] = {}

    def define(self, name: str, unit: str, description: str) -> None:
        """Create a gauge, unless it exists."""
        self._board.define(name, unit, description)
        self._values.setdefault(name, {})

    def show(self, name: str, owner: str, *observations: Observation) -> None:
        """Show these as the values of an owner on a defined gauge, instead of those before."""
        self._values[name][owner] = observations

    def hide(self, name: str, owner: str) -> None:
        """Stop showing an owner's values on a gauge; nothing happens when there are none."""
        series = self._values.get(name)
        if series is not None:
            series.pop(owner, None)

    def current(self, name: str) -> list[Observation]:
        """Return what is shown on a gauge now."""
        series = self._values.get(name)
        if series is None or self._pid != os.getpid():
            return []
        return [observation for shown in series.copy().values() for observation in shown]

    def renew(self) -> None:
        """Show nothing any more, and from now on what this process sets; in the child of a fork."""
        self._values = {name: {} for name in self._values}
        self._pid = os.getpid()


class _Board:
    """The gauges of one meter provider, whoever sets them."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._known: set[str] = set()
        self._members: tuple[weakref.ref[Gauges], ...] = ()

    def join(self) -> Gauges:
        gauges = Gauges(self)
        # Replaced, not changed: a reader may be looking at it.
        alive = (member for member in self._members if member() is not None)
        self._members = (*alive, weakref.ref(gauges))
        return gauges

    def define(self, name: str, unit: str, description: str) -> None:
        if name not in self._known:
            self._known.add(name)
            self._meter.create_observable_gauge(name, [partial(self._observe, name)], unit, description)

    def _observe(self, name: str, _options: CallbackOptions) -> Iterable[Observation]:
        found: list[Observation] = []
        for member in self._members:
            gauges = member()
            if gauges is not None:
                found += gauges.current(name)
        return found


_BOARDS: weakref.WeakKeyDictionary[MeterProvider, _Board] = weakref.WeakKeyDictionary()
"""State of the process and not of a transport, because an SDK keeps an observable gauge for as long as its
provider lives, and ignores the callback of a second one of that name: after `hiveloop.reset` the next
transport would show nothing."""


def gauges_of(provider: MeterProvider, meter: Meter) -> Gauges:
    """Return an empty set of values to show on the gauges of a provider.

    Args:
        provider: whose readers will collect them.
        meter: of that provider; makes the gauges.
    """
    board = _BOARDS.get(provider)
    if board is None:
        board = _BOARDS[provider] = _Board(meter)
    return board.join()
