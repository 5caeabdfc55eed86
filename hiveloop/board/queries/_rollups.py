"""Sums of what happened, from rows as long as possible: five minutes, hours, six hours or days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from hiveloop.board.model import WORLDS
from hiveloop.board.store.protocol import Reader, Value
from hiveloop.board.store.schema import BY_NAME

from ._clock import DAY, HOUR, MINUTE
from ._sql import Where, sums
from .params import Params, Window

__all__ = ["FIVE", "Rows", "aligned", "hourly_rows", "measures", "place"]

FIVE = 5 * MINUTE
_FINE_RANGE = 6 * HOUR
_FINE_AGE = 47 * HOUR
"""How long five-minute rows are surely kept."""
_LENGTHS = ("1d", "6h", "1h")
"""Ends of the names of tables, by the length of their rows, the longest first."""


class Rows(NamedTuple):
    """Rows to be summed up, of several tables with the same columns.

    Attributes:
        time: the column with the start of a row.
        where: conditions on all of them.
        stretches: tables, each with its stretch of time; None for no bound.
    """

    time: str
    where: Where
    stretches: Sequence[tuple[str, int | None, int | None]]

    def of(self, columns: Iterable[str]) -> str:
        """Return the rows as what follows ``FROM``; `args` has its arguments."""
        names = ", ".join(dict.fromkeys(columns))
        parts = (f"SELECT {names} FROM {table} WHERE {where}" for table, where in self._parts())
        return f"({' UNION ALL '.join(parts)}) AS found"

    @property
    def args(self) -> list[Value]:
        """The arguments of the statement's placeholders."""
        return [value for _, where in self._parts() for value in where.args]

    def _parts(self) -> Iterable[tuple[str, Where]]:
        for table, since, until in self.stretches:
            yield table, self.where.copy().between(self.time, since, until)


def hourly_rows(
    db: Reader, stem: str, where: Where, params: Params, window: Window, longest_us: int = DAY
) -> Rows:
    """Return the rows of a window from a table of hours and its twins.

    Args:
        db: the store.
        stem: the tables' name without the length of its rows.
        where: conditions.
        params: of the request.
        window: from and to when; whole hours are taken.
        longest_us: no row is longer; the interval, where one is asked for.
    """
    tables = [table for table in _tables(stem) if table[1] <= max(longest_us, HOUR)]
    start, end = window.start_us // HOUR * HOUR, window.end_us + -window.end_us % HOUR
    if window.end_us >= params.now_us and not _has_later(db, end):
        end += -end % tables[0][1]  # so that the row of today is read, and not its hours
    return Rows("hour_us", where, _cut(start, end, tables))


def _has_later(db: Reader, us: int) -> bool:
    """Tell whether events are known from hours that are still to come, by clocks that run ahead."""
    sql = "SELECT 1 FROM roll_1h WHERE world = ? AND hour_us >= ? LIMIT 1"
    return any(db.rows(sql, (world, us)) for world in WORLDS)


@cache
def _tables(stem: str) -> list[tuple[str, int]]:
    """Tables and the length of their rows; those that have no hours of their own have their source's."""
    known = [table for end in _LENGTHS if (table := BY_NAME.get(f"{stem}_{end}")) is not None]
    shortest = known[-1]
    hours = shortest if shortest.step_us == HOUR else BY_NAME[shortest.source]
    return [(table.name, table.step_us) for table in dict.fromkeys([*known, hours])]


def _cut(start: int, end: int, tables: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Cut a stretch into rows that are as long as possible, and whole."""
    (name, length), *shorter = tables
    first, last = start + -start % length, end - end % length
    if not shorter:
        return [(name, start, end)] if start < end else []
    if first >= last:
        return _cut(start, end, shorter)
    return [*_cut(start, first, shorter), (name, first, last), *_cut(last, end, shorter)]


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
    grouped, step = columns.split(", "), window.interval_us
    where = place(Where(world), params)
    if _is_fine(params, window):
        part = ("roll_5m", window.start_us // FIVE * FIVE, window.end_us)
        rows = Rows("bucket_us", where, [part])
    else:
        rows = hourly_rows(db, "roll", where, params, window, step if "bucket" in grouped else DAY)
    bucket = f"({rows.time} / {step}) * {step} AS bucket"
    selected = ", ".join(bucket if column == "bucket" else column for column in grouped)
    used = [rows.time if column == "bucket" else column for column in grouped]
    groups = ", ".join(str(at + 1) for at in range(len(grouped)))
    sql = f"SELECT {selected}, {sums(names)} FROM {rows.of([*used, *names])} GROUP BY {groups}"
    return db.rows(sql, rows.args)
