"""``GET /v1/tasks``: runs of tasks, one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hiveloop.board.store.names import OTHER
from hiveloop.board.store.protocol import Reader
from hiveloop.board.store.schema import TOOK_MS

from ._calls import cost_source
from ._clock import DAY, iso, seconds_between
from ._sql import Where, containing, dollars, page
from ._status import Statuses, statuses
from ._values import ratio, text
from .params import Cursor, Params

__all__ = ["SEARCHED", "STATES", "TOOK_MS", "in_states", "runs_of", "shown_run", "tasks"]

STATES = ("processing", "waiting", "escalated", "stuck", "completed", "failed")
_NEWEST = ("first_us", "task_id", "run_id")
_ORDERS: dict[str, tuple[tuple[str, ...], str]] = {
    "newest": (_NEWEST, "DESC"),
    "oldest": (_NEWEST, "ASC"),
    "duration": ((TOOK_MS, *_NEWEST), "DESC"),
    "cost": (("total_nano", *_NEWEST), "DESC"),
}
_ENDED = "is_open = 0"
_OPEN = "is_open = 1 AND agent_id > ''"
"""With all columns of the index named, without which SQLite reads all runs."""
_FEW = 2_000
"""Runs that are read one by one, along an index."""
_ASIDE = " + 0"
"""After a column, keeps the planner from its index."""
_RUNS = f"SELECT *, {TOOK_MS} AS took_ms FROM tasks"
SEARCHED = ("task_id", "task_type", "agent_id", "project", "error_type", "error_message", "end_summary")


_Read = Callable[[Reader, "_Listed", int], list[dict[str, Any]]]


def tasks(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return runs of tasks, filtered, sorted and paged."""
    states = statuses(db, world, params.now_us)
    columns, direction = _ORDERS[params.choice("sort", _ORDERS, "newest")]
    limit = params.limit()
    listed = _Listed(
        reach=Where(world).between("first_us", params.moment("since"), params.moment("until")),
        wanted=_wanted(db, world, params, states),
        after=_after(params, columns, direction),
        columns=columns,
        direction=direction,
    )
    read = _piecemeal if _is_scattered(params) else _in_order
    rows = read(db, listed, limit + 1) if columns is _NEWEST else _ended_and_open(db, listed, limit + 1, read)
    cursors = [_cursor(row, columns) for row in rows]
    return page([shown_run(row, states, params.now_us) for row in rows], limit, cursors)


class _Listed(NamedTuple):
    """Which runs are listed, and in which order.

    Attributes:
        reach: conditions that indexes know.
        wanted: what else is asked for.
        after: that the page starts after the one before.
    """

    reach: Where
    wanted: Where
    after: Where
    columns: tuple[str, ...]
    direction: str

    def within(self, sql: str, *args: int) -> _Listed:
        """Return the same for some of the runs."""
        return self._replace(reach=self.reach.copy().also(sql, *args))

    def order(self, aside: str = "") -> str:
        """Return what follows ``ORDER BY``; `aside` is put after the first column."""
        first, *others = self.columns
        return ", ".join(f"{column} {self.direction}" for column in (f"{first}{aside}", *others))


def _in_order(db: Reader, listed: _Listed, limit: int) -> list[dict[str, Any]]:
    """Read runs along an index."""
    where = listed.reach.plus(listed.wanted).plus(listed.after)
    return db.rows(f"{_RUNS} WHERE {where} ORDER BY {listed.order()} LIMIT ?", [*where.args, limit])


def _piecemeal(db: Reader, listed: _Listed, limit: int) -> list[dict[str, Any]]:
    """Read runs that only a look at each of them can find.

    Along an index, that takes five times as long as to read the whole table. So a few are read like that, and
    all others, unless the page is full by then, at once.
    """
    place = _place(db, listed)
    if place is None:
        return _in_order(db, listed, limit)
    first, (near, far) = listed.columns[0], ((">=", "<") if listed.direction == "DESC" else ("<=", ">"))
    rows = _in_order(db, listed.within(f"{first} {near} ?", place), limit)
    if len(rows) == limit:
        return rows
    where = listed.reach.plus(listed.wanted).also(f"{first}{_ASIDE} {far} ?", place)
    sql = f"{_RUNS} WHERE {where} ORDER BY {listed.order(_ASIDE)} LIMIT ?"
    return [*rows, *db.rows(sql, [*where.args, limit - len(rows)])]


def _place(db: Reader, listed: _Listed) -> int | None:
    """Return the first column of the last run that is read along the index; None when all are."""
    where = listed.reach.plus(listed.after)
    sql = f"SELECT {listed.columns[0]} AS place FROM tasks WHERE {where} ORDER BY {listed.order()}"
    found = db.rows(f"{sql} LIMIT 1 OFFSET ?", [*where.args, _FEW])
    return int(found[0]["place"] or 0) if found else None


def _ended_and_open(db: Reader, listed: _Listed, limit: int, read: _Read) -> list[dict[str, Any]]:
    """Read runs in an order that has an index of the ended ones only; the others are few."""
    rows = [*read(db, listed.within(_ENDED), limit), *_in_order(db, listed.within(_OPEN), limit)]
    names = ["took_ms" if column == TOOK_MS else column for column in listed.columns]
    rows.sort(key=lambda row: [row[name] for name in names], reverse=listed.direction == "DESC")
    return rows[:limit]


def _is_scattered(params: Params) -> bool:
    """Tell whether runs are asked for by what no index knows."""
    known = ("agent_id", "project_id", "task_id", "status")
    unknown = ("environment", "group", "task_type", "q")
    return not any(map(params.text, known)) and any(map(params.text, unknown))


def _wanted(db: Reader, world: str, params: Params, states: Statuses) -> Where:
    where = Where().equal(
        agent_id=params.text("agent_id"),
        task_id=params.text("task_id"),
        task_type=params.text("task_type"),
        environment=params.text("environment"),
        grp=params.text("group"),
    )
    where.named(project=params.text("project_id"))
    where.between("first_us", None, _last_of(db, world, params))
    words = params.text("q")
    if words is not None:
        containing(where, [words], SEARCHED)
    return in_states(where, params.csv("status", STATES), sorted(states.stalled))


def _last_of(db: Reader, world: str, params: Params) -> int | None:
    """Return when the last run of an environment and type had surely begun, as sums of days tell it.

    A run has both from one of its events. Where sums know none, that event was before the oldest of them.
    """
    environment, task_type = params.text("environment"), params.text("task_type")
    if environment is None and task_type is None:
        return None
    known = Where(world).equal(environment=environment)
    known.among("task_type", [] if task_type is None else [task_type, OTHER])
    for where, direction, length in ((known, "DESC", DAY), (Where(world), "ASC", 0)):
        sql = f"SELECT hour_us FROM roll_1d WHERE {where} ORDER BY hour_us {direction} LIMIT 1"
        if found := db.rows(sql, where.args):
            return int(found[0]["hour_us"] or 0) + length
    return None


def in_states(where: Where, states: list[str], stalled: list[str]) -> Where:
    """Ask for states. Stuck is no column: it is an open task of an agent that is stuck or has stopped."""
    plain = [state for state in states if state != "stuck"]
    stuck = f"(is_open = 1 AND agent_id IN ({', '.join('?' * len(stalled)) or 'NULL'}))"
    if not states:
        return where
    if not plain:
        return where.also(stuck, *stalled)
    if "stuck" in states:
        return where.also(f"(state IN ({', '.join('?' * len(plain))}) OR {stuck})", *plain, *stalled)
    where.among("state", plain)
    return where.also(f"NOT {stuck}", *stalled) if stalled else where


def _after(params: Params, columns: tuple[str, ...], direction: str) -> Where:
    where = Where()
    kinds = [str if column in {"task_id", "run_id"} else int for column in columns]
    place = params.cursor(*kinds)
    if place is not None:
        sign, marks = "<" if direction == "DESC" else ">", ", ".join("?" * len(columns))
        where.also(f"({', '.join(columns)}) {sign} ({marks})", *place)
    return where


def _cursor(row: dict[str, Any], columns: tuple[str, ...]) -> Cursor:
    return Cursor(tuple(row["took_ms" if column == TOOK_MS else column] for column in columns))


def runs_of(db: Reader, world: str, task_id: str, limit: int = 50) -> list[dict[str, Any]]:
    """Return the rows of a task id's runs, the latest first."""
    where = Where(world).also("task_id = ?", task_id)
    order = "first_us + 0 DESC, run_id DESC"  # computed, so that the planner finds them by their id
    return db.rows(f"{_RUNS} WHERE {where} ORDER BY {order} LIMIT ?", [*where.args, limit])


def shown_run(row: dict[str, Any], states: Statuses, now_us: int) -> dict[str, Any]:
    """Return one run as the API shows it."""
    started = row["started_us"] if row["started_us"] is not None else row["first_us"]
    ended = row["end_us"] if not row["is_open"] else None
    took = row["took_ms"] if not row["is_open"] and row["took_ms"] >= 0 else None
    return {
        **_identity(row),
        "derived_status": states.of_task(row),
        "status": row["end_status"] if not row["is_open"] else None,
        "started_at": iso(started),
        "completed_at": iso(ended),
        "last_event_at": iso(row["last_us"]),
        "duration_ms": took,
        "running_seconds": seconds_between(started, now_us) if row["is_open"] else None,
        **_counts(row),
        **_costs(row),
        "error": _error(row),
        "summary": text(row["end_summary"]),
    }


def _identity(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_id": row["task_id"],
        "task_type": row["task_type"] or None,
        "task_run_id": row["run_id"] or None,
        "correlation_id": row["correlation_id"],
        "agent_id": row["agent_id"],
        "agent_version": row["agent_version"] or None,
        "project_id": row["project"] or None,
        "environment": row["environment"],
        "group": row["grp"],
    }


def _counts(row: dict[str, Any]) -> dict[str, Any]:
    actions = max(row["actions"] or 0, row["actions_ended"] or 0)
    approvals = max(row["approvals"] or 0, row["decisions"] or 0)
    return {
        "action_count": actions,
        "error_count": row["errors"] or 0,
        "failed_action_count": row["actions_failed"] or 0,
        "retry_count": row["retries"] or 0,
        "event_count": row["events"] or 0,
        "has_escalation": bool(row["escalations"]),
        "escalation_count": row["escalations"] or 0,
        "has_human_intervention": bool(approvals or row["escalations"]),
        "approval_count": approvals,
        "open_approvals": row["open_approvals"] or 0,
        "llm_call_count": row["llm_calls"] or 0,
        "total_tokens_in": row["tokens_in"] or 0,
        "total_tokens_out": row["tokens_out"] or 0,
    }


def _costs(row: dict[str, Any]) -> dict[str, Any]:
    total = row["total_nano"] or 0
    return {
        "total_cost": dollars(total),
        "reported_cost": dollars(row["cost_nano"]),
        "estimated_cost": dollars(row["est_nano"]),
        "cost_source": cost_source(row["cost_nano"], row["est_nano"]),
        "estimated_share": ratio(row["est_nano"] or 0, total),
        "unpriced_calls": row["unpriced"] or 0,
    }


def _error(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["state"] != "failed" or row["error_type"] is row["error_message"] is None:
        return None
    return {"type": row["error_type"], "message": row["error_message"]}
