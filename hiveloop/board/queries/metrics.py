"""``GET /v1/metrics``: how much work was done, how well, how fast and for how much, over time."""

from __future__ import annotations

from typing import Any

from hiveloop.board.store.protocol import Reader

from ._calls import WORK_USED, Spent, source_of
from ._clock import HOUR, iso
from ._rollups import aligned, measures, place
from ._sql import Where, dollars
from ._status import statuses
from ._values import ratio, rounded
from .params import Params, Window

__all__ = ["metrics", "ribbon"]

_NAMES = (
    "tasks_started",
    "tasks_completed",
    "tasks_failed",
    "task_ms",
    "task_ms_n",
    "errors",
    "actions",
    "actions_failed",
    "retries",
    "escalations",
    "approvals",
    "events",
    *WORK_USED,
)


def metrics(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return the sums of a window, the same in intervals, and by agent or model when asked."""
    group_by = params.choice("group_by", ("none", "agent", "model"), "none")
    window = aligned(params, params.window("1h"))
    buckets = {row["bucket"]: row for row in measures(db, world, params, window, _NAMES, "bucket")}
    total = {name: sum(row[name] for row in buckets.values()) for name in _NAMES}
    blank: dict[str, Any] = dict.fromkeys(_NAMES, 0)
    return {
        **window.to_json(),
        "summary": {**_summary(total), **_open_tasks(db, world, params, total)},
        "timeseries": [_point(start, buckets.get(start, blank), window) for start in window.starts],
        "groups": _groups(db, world, params, window, group_by),
    }


def _rates(row: dict[str, Any]) -> dict[str, Any]:
    """What follows from sums; None where there was nothing to divide by."""
    ended = row["tasks_completed"] + row["tasks_failed"]
    spent = row["cost_nano"] + row["est_nano"]
    return {
        "success_rate": ratio(row["tasks_completed"], ended, 100, 2),
        "avg_duration_ms": ratio(row["task_ms"], row["task_ms_n"], digits=0),
        "total_cost": dollars(spent),
        "avg_cost_per_task": ratio(dollars(spent), ended, digits=9),
    }


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "completed": row["tasks_completed"],
        "failed": row["tasks_failed"],
        **_rates(row),
        "started": row["tasks_started"],
        "reported_cost": dollars(row["cost_nano"]),
        "estimated_cost": dollars(row["est_nano"]),
        "error_count": row["errors"],
        "retry_count": row["retries"],
        "escalation_count": row["escalations"],
        "approval_count": row["approvals"],
        "action_count": row["actions"],
        "action_failure_rate": ratio(row["actions_failed"], row["actions"], 100, 2),
        "llm_call_count": row["llm_calls"],
        "unpriced_calls": row["unpriced"],
        "tokens_in": row["tokens_in"],
        "tokens_out": row["tokens_out"],
    }


def _open_tasks(db: Reader, world: str, params: Params, total: dict[str, Any]) -> dict[str, Any]:
    """Tasks that are under way now, by state; with those that ended they are all tasks of the window."""
    states = statuses(db, world, params.now_us)
    where = place(Where(world), params).also("is_open = 1 AND agent_id > ''")
    sql = f"SELECT state, agent_id, COUNT(*) AS n FROM tasks WHERE {where} GROUP BY state, agent_id"
    counts = {"processing": 0, "waiting": 0, "escalated": 0, "stuck": 0}
    for row in db.rows(sql, where.args):
        counts[states.of_task(row)] += int(row["n"] or 0)
    ended = total["tasks_completed"] + total["tasks_failed"]
    return {"total_tasks": ended + sum(counts.values()), **counts}


def _point(start_us: int, row: dict[str, Any], window: Window) -> dict[str, Any]:
    ended = row["tasks_completed"] + row["tasks_failed"]
    return {
        "timestamp": iso(start_us),
        "tasks_completed": row["tasks_completed"],
        "tasks_failed": row["tasks_failed"],
        "success_rate": ratio(row["tasks_completed"], ended, 100, 2),
        "avg_duration_ms": ratio(row["task_ms"], row["task_ms_n"], digits=0),
        "cost": dollars(row["cost_nano"] + row["est_nano"]),
        "cost_per_task": ratio(dollars(row["cost_nano"] + row["est_nano"]), ended, digits=9),
        "error_count": row["errors"],
        "throughput": rounded(ended * HOUR / window.interval_us, 2),
        "event_count": row["events"],
        "llm_call_count": row["llm_calls"],
    }


def _groups(db: Reader, world: str, params: Params, window: Window, group_by: str) -> list[dict[str, Any]]:
    if group_by == "agent":
        rows = measures(db, world, params, window, _NAMES, "agent_id")
        shown = [{"group": row["agent_id"], "agent_id": row["agent_id"], **_summary(row)} for row in rows]
        return sorted(shown, key=lambda row: (-row["completed"] - row["failed"], row["agent_id"]))
    return _by_model(db, world, params, window) if group_by == "model" else []


def _by_model(db: Reader, world: str, params: Params, window: Window) -> list[dict[str, Any]]:
    """Models have calls and costs; tasks are not theirs."""
    shown: list[dict[str, Any]] = []
    for row in source_of(db, world, params, window).grouped(db, "model"):
        spent = Spent()
        spent.add(row)
        shown.append({"group": row["model"] or None, "model": row["model"] or None, **spent.to_json()})
    return sorted(shown, key=lambda row: (-row["total_cost"], -row["call_count"]))


def ribbon(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return the figures over the page: agents by state, and the last hour's work."""
    from .agents import agents

    found = agents(db, world, params)
    summary = metrics(db, world, params)["summary"]
    return {**found["counts"], **summary, "agents": found["total"]}
