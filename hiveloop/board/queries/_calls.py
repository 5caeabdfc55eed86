"""Where sums over LLM calls come from: single calls while those are few, else sums of whole hours."""

from __future__ import annotations

from typing import Any, NamedTuple

from hiveloop.board.prices import ESTIMATED, REPORTED
from hiveloop.board.store.protocol import Reader

from ._clock import HOUR, MINUTE
from ._sql import Where, dollars
from ._values import ratio
from .params import Params, Window

__all__ = ["HOURLY_SUMS", "SINGLE_SUMS", "Source", "Spent", "call_filter", "cost_source", "source_of"]

_MOST_SINGLE = 8_000
"""Calls that are summed one by one; more are summed by the hour."""
_SINGLE_RANGE = 48 * HOUR
"""How far back five-minute rows tell how many calls there were."""

SINGLE_SUMS = (
    "COUNT(*) AS calls, SUM(tokens_in) AS tokens_in, SUM(tokens_out) AS tokens_out,"
    " SUM(cost_nano) AS cost_nano, SUM(est_nano) AS est_nano,"
    " SUM(CASE WHEN cost_nano IS NULL AND est_nano IS NULL THEN 1 ELSE 0 END) AS unpriced"
)
_UNPRICED = "SUM(calls - reported_calls - estimated_calls) AS unpriced"
_ADDED = ("calls", "tokens_in", "tokens_out", "cost_nano", "est_nano")
HOURLY_SUMS = ", ".join([*(f"SUM({name}) AS {name}" for name in _ADDED), _UNPRICED])


class Source(NamedTuple):
    """A table with LLM calls, and what of it was asked for.

    Attributes:
        table: ``events`` or ``calls_1h``.
        time: its column of time.
        where: conditions.
        sums: select items of the measures.
        since_us: where the sums begin: a whole hour earlier than asked for, at most.
        step_us: its shortest interval.
    """

    table: str
    time: str
    where: Where
    sums: str
    since_us: int
    step_us: int

    def grouped(self, db: Reader, columns: str) -> list[dict[str, Any]]:
        """Return the measures for each combination of columns."""
        sql = f"SELECT {columns}, {self.sums} FROM {self.table} WHERE {self.where} GROUP BY {columns}"
        return db.rows(sql, self.where.args)

    def over_time(self, db: Reader, column: str, interval_us: int) -> list[dict[str, Any]]:
        """Return the measures for each interval and value of a column."""
        bucket = f"({self.time} / {interval_us})"
        sql = (
            f"SELECT {bucket} AS bucket, {column}, {self.sums} FROM {self.table}"
            f" WHERE {self.where} GROUP BY 1, 2"
        )
        return db.rows(sql, self.where.args)


def source_of(db: Reader, world: str, params: Params, window: Window) -> Source:
    """Return the table that answers for a window: exact while that is cheap."""
    if _are_few(db, world, window):
        where = call_filter(Where(world).also("kind = 'llm_call'"), params, name="label")
        where.between("ts_us", window.start_us, window.end_us)
        return Source("events", "ts_us", where, SINGLE_SUMS, window.start_us, MINUTE)
    since = window.start_us // HOUR * HOUR
    where = call_filter(Where(world), params, name="name").between("hour_us", since, window.end_us)
    return Source("calls_1h", "hour_us", where, HOURLY_SUMS, since, HOUR)


def _are_few(db: Reader, world: str, window: Window) -> bool:
    if window.end_us - window.start_us >= _SINGLE_RANGE:
        return False
    fine = window.end_us - window.start_us <= 2 * HOUR
    table, column, step = ("roll_5m", "bucket_us", 5 * MINUTE) if fine else ("roll_1h", "hour_us", HOUR)
    where = Where(world).between(column, window.start_us // step * step, window.end_us)
    found = db.rows(f"SELECT SUM(llm_calls) AS n FROM {table} WHERE {where}", where.args)[0]["n"]
    return int(found or 0) <= _MOST_SINGLE


def call_filter(where: Where, params: Params, name: str) -> Where:
    """Add the conditions on LLM calls that a request names."""
    where.equal(
        agent_id=params.text("agent_id"),
        project=params.text("project_id"),
        environment=params.text("environment"),
        task_type=params.text("task_type"),
        model=params.text("model"),
    )
    called = params.text("name")
    return where if called is None else where.also(f"{name} = ?", called)


class Spent:
    """Sums over some LLM calls."""

    def __init__(self) -> None:
        self.calls = self.tokens_in = self.tokens_out = 0
        self.cost_nano = self.est_nano = self.unpriced = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add the measures of a row."""
        self.calls += row["calls"] or 0
        self.tokens_in += row["tokens_in"] or 0
        self.tokens_out += row["tokens_out"] or 0
        self.cost_nano += row["cost_nano"] or 0
        self.est_nano += row["est_nano"] or 0
        self.unpriced += row["unpriced"] or 0

    @property
    def nano(self) -> int:
        """What was spent, reported or estimated, in billionths of a dollar."""
        return self.cost_nano + self.est_nano

    def to_json(self) -> dict[str, Any]:
        """Return the sums under the names of the API, old and new."""
        return {
            "cost": dollars(self.nano),
            "total_cost": dollars(self.nano),
            "call_count": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "total_tokens_in": self.tokens_in,
            "total_tokens_out": self.tokens_out,
            "reported_cost": dollars(self.cost_nano),
            "estimated_cost": dollars(self.est_nano),
            "unpriced_calls": self.unpriced,
            "estimated_share": ratio(self.est_nano, self.nano),
            "cost_source": cost_source(self.cost_nano, self.est_nano),
        }


def cost_source(reported: int | None, estimated: int | None) -> str | None:
    """Tell where a cost is from: reported, estimated, mixed, or None when there is none."""
    if reported and estimated:
        return "mixed"
    return ESTIMATED if estimated else REPORTED if reported else None
