"""A request for insights: whose, with which filters, and a window in whole hours."""

from __future__ import annotations

from typing import Any, NamedTuple

from hiveloop.board.store.protocol import Reader

from ._clock import DAY, HOUR
from ._happenings import Happening
from ._rollups import PLACE, Rows, Span, measures, rows_of, span_of, together
from ._samples import newest
from ._sql import Where
from .params import Params, Window

__all__ = ["Asked", "asked_for", "blank_work", "ended", "total"]

_WORK = (
    "events",
    "errors",
    "tasks_completed",
    "tasks_failed",
    "task_ms",
    "task_ms_n",
    "actions",
    "actions_failed",
    "retries",
    "escalations",
    "anomalies",
    "llm_calls",
    "tokens_in",
    "tokens_out",
    "cost_nano",
    "est_nano",
)
_LONG = frozenset(("7d", "30d"))
_GIVEN = {**PLACE, "model": "model"}
"""Columns that a request may name, and its words for them."""


class Asked(NamedTuple):
    """What every part of the insights is read with."""

    db: Reader
    world: str
    params: Params
    window: Window
    span: Span

    def newest(self, condition: str, name: str) -> list[Happening]:
        """Return the newest events for which a condition holds."""
        return newest(self.db, self.world, self.params, self.window, condition, name)

    def of_kind(self, kind: str) -> list[Happening]:
        """Return the newest events of a kind."""
        return self.newest("kind = ?", kind)

    def work(self, by: str) -> list[dict[str, Any]]:
        """Return the sums of what was done, by agent or bucket."""
        return measures(self.db, self.world, self.params, self.window, _WORK, by)

    def hourly(self, stem: str, *columns: str, **equal: str) -> Rows:
        """Return rows of tables of hours, by those of its columns that a request may name, and others."""
        named = {column: self.params.text(_GIVEN[column]) for column in columns}
        if not any(value for column, value in named.items() if column != "model"):
            stem = together(stem)
        return rows_of(stem, Where(self.world).equal(**equal, **named), self.span)

    def rows(self, sql: str, where: Where | Rows) -> list[dict[str, Any]]:
        """Run a statement with the arguments of its conditions."""
        return self.db.rows(sql, where.args)


def asked_for(db: Reader, world: str, params: Params) -> Asked:
    """Take the window in whole hours, which all its tables have, for a week or more in whole days."""
    window = params.window()
    step = DAY if window.name in _LONG else HOUR
    window = window._replace(start_us=window.start_us // step * step)
    if window.interval_us < HOUR:
        window = window._replace(interval="1h", interval_us=HOUR)
    return Asked(db, world, params, window, span_of(db, world, params, window))


def total(rows: list[dict[str, Any]], name: str) -> int:
    """Sum a column up."""
    return sum(int(row[name] or 0) for row in rows)


def ended(row: dict[str, Any]) -> int:
    """Return how many tasks ended."""
    return int(row["tasks_completed"] + row["tasks_failed"])


def blank_work() -> dict[str, Any]:
    """Return the row of a bucket in which nothing was done."""
    return dict.fromkeys(_WORK, 0)
