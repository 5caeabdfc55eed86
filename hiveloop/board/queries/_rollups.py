"""Sums of what happened, from the five-minute rows while those are fine enough, else from the hourly ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hiveloop.board.store.protocol import Reader

from ._clock import HOUR, MINUTE
from ._sql import Where, sums
from .params import Params, Window

__all__ = ["FIVE", "aligned", "measures", "place"]

FIVE = 5 * MINUTE
_FINE_RANGE = 6 * HOUR
_FINE_AGE = 47 * HOUR
"""How long five-minute rows are surely kept."""


def _is_fine(params: Params, window: Window) -> bool:
    short = window.end_us - window.start_us <= _FINE_RANGE + HOUR
    return short and window.start_us >= params.now_us - _FINE_AGE


def aligned(params: Params, window: Window) -> Window:
    """Return the window as its rows can tell it: from the start of a row, in intervals of at least a row."""
    if _is_fine(params, window):
        return window._replace(start_us=window.start_us // FIVE * FIVE)
    start = window.start_us // HOUR * HOUR
    if window.interval_us >= HOUR:
        return window._replace(start_us=start)
    return window._replace(start_us=start, interval="1h", interval_us=HOUR)


def place(where: Where, params: Params) -> Where:
    """Add the conditions on agent, project, environment and task type that a request names."""
    return where.equal(
        agent_id=params.text("agent_id"),
        project=params.text("project_id"),
        environment=params.text("environment"),
        task_type=params.text("task_type"),
    )


def measures(
    db: Reader, world: str, params: Params, window: Window, names: Sequence[str], columns: str
) -> list[dict[str, Any]]:
    """Return the sums of measures for each combination of columns.

    ``bucket`` among the columns stands for the start of the window's intervals.
    """
    fine = _is_fine(params, window)
    table, time = ("roll_5m", "bucket_us") if fine else ("roll_1h", "hour_us")
    step = FIVE if fine else HOUR
    where = place(Where(world), params).between(time, window.start_us // step * step, window.end_us)
    selected = columns.replace("bucket", f"({time} / {window.interval_us}) * {window.interval_us} AS bucket")
    groups = ", ".join(str(at + 1) for at in range(columns.count(",") + 1))
    return db.rows(
        f"SELECT {selected}, {sums(names)} FROM {table} WHERE {where} GROUP BY {groups}", where.args
    )
