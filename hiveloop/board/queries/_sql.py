"""Puts conditions of a statement together with their arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hiveloop.board.store.protocol import Reader, Value

from .params import Cursor

__all__ = ["NANO", "Where", "containing", "dollars", "like", "page", "sums"]

NANO = 1_000_000_000
"""Billionths in a dollar: the unit of the store."""


class Where:
    """Conditions that all hold, and the arguments of their placeholders.

    Args:
        world: the first condition; None for those that are added to others.
    """

    def __init__(self, world: str | None = None) -> None:
        self._parts: list[str] = []
        self.args: list[Value] = []
        self.equal(world=world)

    def also(self, sql: str, *args: Value) -> Where:
        """Add a condition."""
        self._parts.append(sql)
        self.args.extend(args)
        return self

    def equal(self, **values: Value) -> Where:
        """Add that columns have values; None asks for any."""
        for column, value in values.items():
            if value is not None:
                self.also(f"{column} = ?", value)
        return self

    def named(self, **values: Value) -> Where:
        """Do the same where indexes leave out rows without a value: SQLite must see that it may use them."""
        for column, value in values.items():
            if value is not None:
                self.also(f"{column} = ? AND {column} <> ''", value)
        return self

    def among(self, column: str, values: Sequence[Value]) -> Where:
        """Add that a column has one of some values; none at all ask for any."""
        if len(values) == 1:
            return self.also(f"{column} = ?", values[0])
        return self.also(f"{column} IN ({', '.join('?' * len(values))})", *values) if values else self

    def between(self, column: str, since: int | None, until: int | None) -> Where:
        """Add that a time lies in a stretch, its end not included."""
        if since is not None:
            self.also(f"{column} >= ?", since)
        if until is not None:
            self.also(f"{column} < ?", until)
        return self

    def copy(self) -> Where:
        """Return the same conditions, to add others to."""
        return self.plus(Where())

    def plus(self, others: Where) -> Where:
        """Return these conditions and others."""
        both = Where()
        both._parts, both.args = [*self._parts, *others._parts], [*self.args, *others.args]
        return both

    def __str__(self) -> str:
        return " AND ".join(self._parts)


def like(words: str) -> str:
    """Return a pattern for ``LIKE ? ESCAPE '!'`` that finds the words anywhere, in any case."""
    escaped = words.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def containing(where: Where, words: Iterable[str], columns: Iterable[str]) -> Where:
    """Add that each of some words occurs in one of some columns, in any case."""
    names = tuple(columns)
    either = " OR ".join(f"{name} LIKE ? ESCAPE '!'" for name in names)
    for word in words:
        where.also(f"({either})", *[like(word)] * len(names))
    return where


def sums(columns: Iterable[str]) -> str:
    """Return select items that sum columns under their own names; 0 for no rows."""
    return ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in columns)


def dollars(nano: Any) -> float:
    """Return billionths of a dollar as dollars; 0 for nothing."""
    return round((nano or 0) / NANO, 9)


def page(rows: list[dict[str, Any]], limit: int, cursors: Sequence[Cursor]) -> dict[str, Any]:
    """Return rows as a page: at most `limit`, and where the next page starts when there were more.

    Args:
        rows: one more than fits, when there are more.
        limit: how many fit.
        cursors: the place of each row.
    """
    more = len(rows) > limit
    following = cursors[limit - 1].encode() if more else None
    return {"data": rows[:limit], "pagination": {"cursor": following, "has_more": more}}


def one(db: Reader, sql: str, args: Sequence[Value]) -> dict[str, Any]:
    """Return the only row of an aggregate."""
    rows = db.rows(sql, args)
    return rows[0] if rows else {}
