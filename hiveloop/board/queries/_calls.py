"""Where sums over LLM calls come from: single calls while those are few, else sums of whole hours."""

from __future__ import annotations

from typing import Any, NamedTuple

from hiveloop.board.prices import ESTIMATED, REPORTED
from hiveloop.board.store.protocol import Reader, Value

from ._clock import DAY, HOUR, MINUTE
from ._rollups import Span, is_fleet, place, rows_of, span_of, together
from ._sql import Where, dollars
from ._values import ratio
from .params import Params, Window

__all__ = [
    "CALL_SUMS",
    "CALL_USED",
    "WORK_USED",
    "Source",
    "Spent",
    "call_filter",
    "cost_source",
    "source_of",
]

_MOST_SINGLE = 8_000
"""Calls that are summed one by one; more are summed by the hour."""
_SINGLE_RANGE = 48 * HOUR
"""How far back five-minute rows tell how many calls there were."""

_SINGLE_SUMS = (
    "COUNT(*) AS calls, SUM(tokens_in) AS tokens_in, SUM(tokens_out) AS tokens_out,"
    " SUM(cost_nano) AS cost_nano, SUM(est_nano) AS est_nano,"
    " SUM(CASE WHEN cost_nano IS NULL AND est_nano IS NULL THEN 1 ELSE 0 END) AS unpriced"
)
_SPENT = ("tokens_in", "tokens_out", "cost_nano", "est_nano")
_ADDED = ("calls", *_SPENT)
CALL_USED = (*_ADDED, "reported_calls", "estimated_calls")
"""Columns behind `CALL_SUMS`."""
CALL_SUMS = ", ".join(
    [
        *(f"SUM({name}) AS {name}" for name in _ADDED),
        "SUM(calls - reported_calls - estimated_calls) AS unpriced",
    ]
)
"""Measures from rows of calls."""
WORK_USED = ("llm_calls", *_SPENT, "unpriced")
"""What rows of all work tell of calls."""
_WORK_SUMS = ", ".join(["SUM(llm_calls) AS calls", *(f"SUM({name}) AS {name}" for name in WORK_USED[1:])])
"""The same from rows of all work, which are far fewer, but tell no models and no names."""


class Source(NamedTuple):
    """Where LLM calls are summed from, and what of them was asked for.

    Attributes:
        where: conditions.
        window: from and to when, as far as its rows can tell it.
        stem: beginning of the names of tables by time; "" for single calls, whose time is in `where`.
        span: the window for these tables.
        is_fleet: whether calls of all agents are meant.
    """

    where: Where
    window: Window
    stem: str = ""
    span: Span | None = None
    is_fleet: bool = False

    @property
    def step_us(self) -> int:
        """Its shortest interval."""
        return HOUR if self.stem else MINUTE

    def grouped(self, db: Reader, columns: str) -> list[dict[str, Any]]:
        """Return the measures for each combination of columns."""
        sums, found, args = self._found(columns.split(", "), DAY)
        return db.rows(f"SELECT {columns}, {sums} FROM {found} GROUP BY {columns}", args)

    def over_time(self, db: Reader, column: str, interval_us: int) -> list[dict[str, Any]]:
        """Return the measures for each interval and value of a column."""
        time = "ts_us" if self.span is None else "hour_us"
        sums, found, args = self._found([time, column], interval_us)
        sql = f"SELECT ({time} / {interval_us}) AS bucket, {column}, {sums} FROM {found} GROUP BY 1, 2"
        return db.rows(sql, args)

    def _found(self, columns: list[str], longest_us: int) -> tuple[str, str, list[Value]]:
        """What to select of calls, where they are found, and the arguments of that."""
        if self.span is None:
            return _SINGLE_SUMS, f"events WHERE {self.where}", self.where.args
        stem = (
            together(self.stem) if self.is_fleet and {"hour_us", "model"}.issuperset(columns) else self.stem
        )
        rows = rows_of(stem, self.where, self.span, longest_us)
        sums, used = (_WORK_SUMS, WORK_USED) if self.stem == "roll" else (CALL_SUMS, CALL_USED)
        return sums, rows.of(columns, used), rows.args


def source_of(db: Reader, world: str, params: Params, window: Window, *, tells_models: bool = True) -> Source:
    """Return where the calls of a window are summed from: exact while that is cheap.

    Args:
        db: the store.
        world: live or test.
        params: conditions.
        window: from and to when.
        tells_models: whether models will be asked for.
    """
    if _are_few(db, world, window):
        where = call_filter(Where(world).also("kind = 'llm_call'"), params, name="label")
        return Source(where.between("ts_us", window.start_us, window.end_us), window)
    stem = "calls" if params.text("name") is not None else "models"
    if stem == "models" and not tells_models and params.text("model") is None:
        stem = "roll"
    hours = window._replace(start_us=window.start_us // HOUR * HOUR)
    span = span_of(db, world, params, hours)
    return Source(call_filter(Where(world), params, name="name"), hours, stem, span, is_fleet(params))


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
    place(where, params).equal(model=params.text("model"))
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
