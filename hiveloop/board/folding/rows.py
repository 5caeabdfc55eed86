"""Contributions to one folded table, merged by key before they reach the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from hiveloop.board.store.schema import BY_NAME, Column, Table

__all__ = ["Contributions", "columns_of", "difference", "stamp", "summed"]

Key = tuple[Any, ...]
Values = list[Any]


def columns_of(table: Table) -> list[Column]:
    """Return the columns that folds contribute to, in the order of `Contributions` rows."""
    return _columns_of(table.name)


@cache
def _columns_of(name: str) -> list[Column]:
    table = BY_NAME[name]
    return [column for column in table.columns if column.rule in ("add", "min", "max", "first", "last")]


def stamp(ts_us: int, rank: int, event_id: str) -> str:
    """Return text that sorts by time, then rank, then event id: the same order for everybody.

    The rank, one digit, decides between events of the same microsecond: an end follows its beginning.
    """
    return f"{ts_us:017d}{rank}{event_id}"


class Contributions:
    """New partial rows of a table.

    A row is a list with one value per contributed column. Methods take the column's number from `number`.
    """

    def __init__(self, name: str) -> None:
        self.table = BY_NAME[name]
        self.columns = columns_of(self.table)
        self.rows: dict[Key, Values] = {}
        self._neutral = [0 if column.rule == "add" else None for column in self.columns]

    def at(self, key: Key) -> Values:
        """Return the row of a key, neutral when it is new."""
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = self._neutral.copy()
        return row

    def merged(self) -> list[Key]:
        """Return keys and values as arguments of an upsert, sorted so that writers never deadlock."""
        return [(*key, *row) for key, row in sorted(self.rows.items())]


def summed(name: str, source: Contributions) -> Contributions:
    """Return what a table with a source gets from the contributions to that."""
    target = Contributions(name)
    pick, when, adds = _plan(name)
    step, rows = target.table.step_us, target.rows
    for key, values in source.rows.items():
        at = key[when]
        found = pick((*key[:when], at - at % step, *key[when + 1 :]))
        row = rows.get(found)
        rows[found] = values if row is None else _both(row, values, adds)
    return target


@cache
def _plan(name: str) -> tuple[Callable[[Key], Key], int, list[bool]]:
    """How keys of a table follow from its source's: which parts stay, where the time is; what is added."""
    table = BY_NAME[name]
    source = BY_NAME[table.source]
    key = source.key
    places = [place for place, column in enumerate(key) if column in table.key or column == source.time]
    when = key.index(source.time)
    return itemgetter(*places), when, [column.rule == "add" for column in columns_of(table)]


def _both(one: Values, other: Values, adds: Sequence[bool]) -> Values:
    """Merge two rows of columns that are added, else the largest counts."""
    return [
        a + b if add else b if a is None or (b is not None and b > a) else a
        for a, b, add in zip(one, other, adds, strict=True)
    ]


def difference(before: Contributions, after: Contributions) -> Contributions:
    """Return by how much the sums of rows differ; both have the same rows."""
    found = Contributions(before.table.name)
    adds = [column.rule == "add" for column in found.columns]
    for key, values in after.rows.items():
        known = before.rows[key]
        row = [a - b if add else None for a, b, add in zip(values, known, adds, strict=True)]
        if any(row):
            found.rows[key] = row
    return found


def numbers(name: str) -> dict[str, int]:
    """Return the number of each contributed column of a table by name."""
    return {column.name: i for i, column in enumerate(columns_of(BY_NAME[name]))}


def least(row: Values, i: int, value: int | None) -> None:
    """Merge a value into a ``min`` column."""
    if value is not None and (row[i] is None or value < row[i]):
        row[i] = value


def most(row: Values, i: int, value: Any) -> None:
    """Merge a value into a ``max`` column."""
    if value is not None and (row[i] is None or value > row[i]):
        row[i] = value


def latest(row: Values, i: int, at: str, values: Sequence[Any]) -> None:
    """Set the columns after stamp column `i` unless a later event has done so."""
    known = row[i]
    if known is None or at > known:
        row[i] = at
        row[i + 1 : i + 1 + len(values)] = values


def earliest(row: Values, i: int, at: str, values: Sequence[Any]) -> None:
    """Set the columns after stamp column `i` unless an earlier event has done so."""
    known = row[i]
    if known is None or at < known:
        row[i] = at
        row[i + 1 : i + 1 + len(values)] = values
