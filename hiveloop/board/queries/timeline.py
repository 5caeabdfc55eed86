"""``GET /v1/tasks/{id}/timeline``: one run of a task, in full."""

from __future__ import annotations

from typing import Any

from hiveloop.board.store.protocol import Reader

from ._clock import iso
from ._happenings import Happening
from ._plans import plans_of
from ._sql import Where
from ._status import Statuses, statuses
from ._story import breakdown, error_chains, failure
from ._tree import Waterfall
from .params import NotFoundError, Params
from .tasks import runs_of, shown_run

__all__ = ["timeline"]

_MOST_EVENTS = 5_000
"""Events of one run that are read; a run with more shows its first ones and its end."""
_TAIL = 200


def timeline(db: Reader, world: str, task_id: str, params: Params) -> dict[str, Any]:
    """Return a run's header, events, action tree, nodes, errors, plan and where its time went.

    ``task_run_id`` names the run; without it the latest is meant.
    """
    runs = runs_of(db, world, task_id)
    row = _chosen(runs, task_id, params.text("task_run_id"))
    states = statuses(db, world, params.now_us, row["agent_id"])
    seen, left_out = _events(db, world, row)
    start, end = _bounds(row, params.now_us)
    fall = Waterfall(seen, start)
    plans = plans_of(seen)
    return {
        **shown_run(row, states, params.now_us),
        "origin": iso(start),
        "runs": [_brief(run, states, params.now_us) for run in runs],
        "events": [happening.to_json() for happening in seen],
        "events_left_out": left_out,
        "action_tree": fall.tree(),
        "nodes": fall.nodes(),
        "error_chains": error_chains(fall),
        "failure": failure(fall),
        "plan": plans[-1] if plans else None,
        "plans": plans,
        "breakdown": breakdown(fall, start, end),
    }


def _chosen(runs: list[dict[str, Any]], task_id: str, run_id: str | None) -> dict[str, Any]:
    matching = [run for run in runs if run_id is None or run["run_id"] == run_id]
    if not matching:
        raise NotFoundError("task", task_id if run_id is None else f"{task_id} run {run_id}")
    return matching[0]


def _events(db: Reader, world: str, row: dict[str, Any]) -> tuple[list[Happening], int]:
    """The run's events in time order, and how many in the middle were left out."""
    where = Where(world).also("task_id = ? AND task_id <> '' AND run_id = ?", row["task_id"], row["run_id"])
    sql = f"SELECT * FROM events WHERE {where} ORDER BY ts_us {{0}}, seq {{0}} LIMIT ?"
    rows = db.rows(sql.format("ASC"), [*where.args, _MOST_EVENTS + 1])
    if len(rows) <= _MOST_EVENTS:
        return [Happening(found) for found in rows], 0
    last = db.rows(sql.format("DESC"), [*where.args, _TAIL])[::-1]
    known = {found["seq"] for found in rows[:-1]}
    tail = [found for found in last if found["seq"] not in known]
    count = db.rows(f"SELECT COUNT(*) AS n FROM events WHERE {where}", where.args)[0]["n"]
    shown = [*rows[:-1], *tail]
    return [Happening(found) for found in shown], int(count or 0) - len(shown)


def _bounds(row: dict[str, Any], now_us: int) -> tuple[int, int]:
    """When the run began and ended; of a running one the end is now."""
    start = row["started_us"] if row["started_us"] is not None else row["first_us"]
    if row["is_open"]:
        return start, max(start, now_us)
    end = row["end_us"]
    if row["duration_ms"] is not None and row["started_us"] is None:
        start = min(start, end - row["duration_ms"] * 1_000)
    return max(start, 0), max(start, end)


def _brief(row: dict[str, Any], states: Statuses, now_us: int) -> dict[str, Any]:
    """A run among its siblings."""
    shown = shown_run(row, states, now_us)
    names = ("task_run_id", "agent_id", "derived_status", "started_at", "completed_at", "duration_ms")
    return {name: shown[name] for name in (*names, "total_cost")}
