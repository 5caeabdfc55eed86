"""Sums of what happened, from rows as long as possible: five minutes, hours, six hours or days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from hiveloop.board.store.protocol import Reader, Value
from hiveloop.board.store.schema import BY_NAME, Table

from ._clock import DAY, HOUR, MINUTE
from ._sql import Where, sums
from .params import Params, Window

__all__ = [
    "FIVE",
    "PLACE",
    "Rows",
    "Span",
    "aligned",
    "is_fleet",
    "measures",
    "place",
    "rows_of",
    "span_of",
    "together",
]

FIVE = 5 * MINUTE
_FINE_RANGE = 6 * HOUR
_FINE_AGE = 47 * HOUR
"""How long five-minute rows are surely kept."""
_LENGTHS = ("1d", "6h", "1h", "5m")
"""Ends of the names of tables, by the length of their rows, the longest first."""
_TOGETHER = {
    "roll": "roll_all",
    "calls": "calls_all",
    "models": "calls_all",
    "actions": "actions_all",
    "llm_meta": "llm_meta_all",
}
PLACE = {
    "agent_id": "agent_id",
    "project": "project_id",
    "environment": "environment",
    "task_type": "task_type",
}
"""Columns that tell where something happened, and the words of requests for them."""
_TIME = "hour_us"
"""Name of the column with the start of a row, whatever its table calls it."""


class Span(NamedTuple):
    """A window as rows can tell it.

    Attributes:
        start_us: start of its first row.
        end_us: end of its last row.
        step_us: how long the shortest rows are that may be read.
        is_last: whether nothing is known from later, so that rows may reach beyond the end.
    """

    start_us: int
    end_us: int
    step_us: int
    is_last: bool


class Rows(NamedTuple):
    """Rows to be summed up, of several tables with the same columns.

    Attributes:
        where: conditions on all of them.
        stretches: tables, each with its stretch of time.
    """

    where: Where
    stretches: Sequence[tuple[Table, int, int]]

    def of(self, keys: Sequence[str], sums: Iterable[str], most: Iterable[str] = ()) -> str:
        """Return what follows ``FROM``: sums of each table's rows, to be summed up again; see `args`.

        That is a lot less work for the database than to put the rows of all tables together first.

        Args:
            keys: columns to group by; ``hour_us`` is the start of a row.
            sums: columns to sum up.
            most: columns whose maximum is wanted.
        """
        figures = [
            f"{how}({name}) AS {name}" for how, names in (("SUM", sums), ("MAX", most)) for name in names
        ]
        parts = (
            f"SELECT {', '.join([*_named(table, keys), *figures])} FROM {table.name} WHERE {where}"
            f" GROUP BY {', '.join(_grouping(table, keys))}"
            for table, where in self._parts()
        )
        return f"({' UNION ALL '.join(parts)}) AS found"

    @property
    def args(self) -> list[Value]:
        """The arguments of the statement's placeholders."""
        return [value for _, where in self._parts() for value in where.args]

    def _parts(self) -> Iterable[tuple[Table, Where]]:
        for table, since, until in self.stretches:
            yield table, self.where.copy().between(table.time, since, until)


def _named(table: Table, keys: Iterable[str]) -> list[str]:
    return [f"{table.time} AS {_TIME}" if key == _TIME else key for key in keys]


def _grouping(table: Table, keys: Sequence[str]) -> list[str]:
    """What to group by: by the order of the table's rows where that fits, since then nothing is sorted."""
    others = [key for key in keys if key != _TIME]
    ordered = table.key[table.key.index(table.time) :]
    in_order = [table.time, *others]
    if len(in_order) < len(ordered) and tuple(in_order) == ordered[: len(in_order)]:
        return in_order
    return in_order if _TIME in keys else others


def span_of(db: Reader, world: str, params: Params, window: Window, step_us: int = HOUR) -> Span:
    """Return a window as rows of a length can tell it: from the start of one to the end of another."""
    start, end = window.start_us // step_us * step_us, window.end_us + -window.end_us % step_us
    is_last = window.end_us >= params.now_us and not _has_later(db, world, end, step_us)
    return Span(start, end, step_us, is_last)


def _has_later(db: Reader, world: str, us: int, step_us: int) -> bool:
    """Tell whether events are known from a time that is still to come, by clocks that run ahead."""
    table = BY_NAME["roll_1h" if step_us >= HOUR else "roll_5m"]
    sql = f"SELECT 1 FROM {table.name} WHERE world = ? AND {table.time} >= ? LIMIT 1"
    return bool(db.rows(sql, (world, us)))


def rows_of(stem: str, where: Where, span: Span, longest_us: int = DAY) -> Rows:
    """Return the rows of a span from a table and its twins of other lengths.

    Args:
        stem: the tables' name without the length of their rows.
        where: conditions.
        span: from when to when, and how short rows may be.
        longest_us: no row is longer; the interval, where one is asked for.
    """
    longest = max(longest_us, span.step_us)
    tables = [table for table in _tables(stem) if span.step_us <= table.step_us <= longest]
    end = span.end_us
    if span.is_last:
        end += -end % tables[0].step_us  # so that the row of today is read, and not its hours
    return Rows(where, _cut(span.start_us, end, tables))


@cache
def _tables(stem: str) -> list[Table]:
    """Tables by the length of their rows; those that have no hours of their own have their source's."""
    known = [table for end in _LENGTHS if (table := BY_NAME.get(f"{stem}_{end}")) is not None]
    shortest = known[-1]
    hours = shortest if shortest.step_us <= HOUR else BY_NAME[shortest.source]
    return list(dict.fromkeys([*known, hours]))


def _cut(start: int, end: int, tables: Sequence[Table]) -> list[tuple[Table, int, int]]:
    """Cut a stretch into rows that are as long as possible, and whole."""
    table, *shorter = tables
    first, last = start + -start % table.step_us, end - end % table.step_us
    if not shorter:
        return [(table, start, end)] if start < end else []
    if first >= last:
        return _cut(start, end, shorter)
    return [*_cut(start, first, shorter), (table, first, last), *_cut(last, end, shorter)]


def _is_fine(params: Params, window: Window) -> bool:
    start = window.start_us // FIVE * FIVE  # also of a window that was aligned, so that both say the same
    return window.end_us - start <= _FINE_RANGE + HOUR and start >= params.now_us - _FINE_AGE


def aligned(params: Params, window: Window) -> Window:
    """Return the window as its rows can tell it: from the start of a row, in intervals of at least a row."""
    if _is_fine(params, window):
        return window._replace(start_us=window.start_us // FIVE * FIVE)
    start = window.start_us // HOUR * HOUR
    if window.interval_us >= HOUR:
        return window._replace(start_us=start)
    return window._replace(start_us=start, interval="1h", interval_us=HOUR)


def is_fleet(params: Params) -> bool:
    """Tell whether a request means all agents, projects, environments and task types."""
    return not any(map(params.text, PLACE.values()))


def together(stem: str) -> str:
    """Return the tables with sums of all agents together, which are far fewer rows."""
    return _TOGETHER.get(stem, stem)


def place(where: Where, params: Params) -> Where:
    """Add the conditions on agent, project, environment and task type that a request names."""
    return where.equal(**{column: params.text(word) for column, word in PLACE.items()})


def measures(
    db: Reader, world: str, params: Params, window: Window, names: Sequence[str], columns: str
) -> list[dict[str, Any]]:
    """Return the sums of measures for each combination of columns.

    ``bucket`` among the columns stands for the start of the window's intervals.
    """
    grouped, step = columns.split(", "), window.interval_us
    span = span_of(db, world, params, window, FIVE if _is_fine(params, window) else HOUR)
    stem = together("roll") if grouped == ["bucket"] and span.step_us == HOUR and is_fleet(params) else "roll"
    rows = rows_of(stem, place(Where(world), params), span, step if "bucket" in grouped else DAY)
    bucket = f"({_TIME} / {step}) * {step} AS bucket"
    selected = ", ".join(bucket if column == "bucket" else column for column in grouped)
    found = rows.of([_TIME if column == "bucket" else column for column in grouped], names)
    groups = ", ".join(str(at + 1) for at in range(len(grouped)))
    sql = f"SELECT {selected}, {sums(names)} FROM {found} GROUP BY {groups}"
    return db.rows(sql, rows.args)
