"""``GET /v1/agents``: agents as workers: what each does, how well, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hiveloop.board.status import DEFAULT_THRESHOLD_MS, Status, attention
from hiveloop.board.store.protocol import Reader

from ._clock import SECOND, iso, seconds_between
from ._rollups import FIVE
from ._sql import Where, dollars
from ._status import statuses
from ._values import object_of, ratio, text, whole
from .params import Cursor, NotFoundError, Params
from .pipeline import severity_rank

__all__ = ["STATES", "agent", "agents"]

STATES = ("stuck", "error", "waiting_approval", "processing", "idle", "offline")
_BARS = 12
_OUTCOMES = 20
_MOST_AGENTS = 200
_SORTS: dict[str, Callable[[dict[str, Any]], tuple[int, str]]] = {
    "attention": lambda shown: (attention(shown["state"]), shown["agent_id"]),
    "last_seen": lambda shown: (-shown["last_us"], shown["agent_id"]),
    "name": lambda shown: (0, shown["agent_id"]),
}
_HOUR_SUMS = (
    "tasks_completed",
    "tasks_failed",
    "task_ms",
    "task_ms_n",
    "errors",
    "events",
    "heartbeats",
    "llm_calls",
    "tokens_in",
    "tokens_out",
    "cost_nano",
    "est_nano",
)


def agents(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return agents with their state and their last hour; and how many are in each state.

    Counts are of all agents of the environment, group and project; ``status`` only narrows the list.
    """
    sort = params.choice("sort", _SORTS, "attention")
    wanted = params.csv("status", (*STATES, "waiting"))
    place = params.cursor(int, str)
    limit = params.limit(_MOST_AGENTS)
    found = statuses(db, world, params.now_us).by_agent
    known = [
        _ranked(row, found[str(row["agent_id"])])
        for row in _rows(db, world, params)
        if row["agent_id"] in found
    ]
    rows = [row for row in known if not wanted or _is_in(row, wanted)]
    rows.sort(key=_SORTS[sort])
    if place is not None:
        rows = [row for row in rows if _SORTS[sort](row) > place]
    page = _shown(db, world, params, rows[:limit], found)
    more = len(rows) > limit
    cursor = Cursor(_SORTS[sort](rows[limit - 1])).encode() if more else None
    pagination = {"cursor": cursor, "has_more": more}
    return {"data": page, "pagination": pagination, "total": len(known), "counts": _counts(known)}


def agent(db: Reader, world: str, agent_id: str, params: Params) -> dict[str, Any]:
    """Return one agent."""
    where = Where(world).equal(agent_id=agent_id)
    rows = db.rows(f"SELECT * FROM agents WHERE {where}", where.args)
    if not rows:
        raise NotFoundError("agent", agent_id)
    found = statuses(db, world, params.now_us, agent_id).by_agent
    if agent_id not in found:
        raise NotFoundError("agent", agent_id)
    return _shown(db, world, params, [_ranked(rows[0], found[agent_id])], found, agent_id)[0]


def _rows(db: Reader, world: str, params: Params) -> list[dict[str, Any]]:
    where = Where(world).equal(
        agent_id=params.text("agent_id"),
        environment=params.text("environment"),
        grp=params.text("group"),
        agent_type=params.text("agent_type"),
    )
    project = params.text("project_id")
    if project is not None:
        inner = Where(world).equal(project=project)
        where.also(f"agent_id IN (SELECT agent_id FROM roll_1d WHERE {inner})", *inner.args)
    return db.rows(f"SELECT * FROM agents WHERE {where}", where.args)


def _ranked(row: dict[str, Any], status: Status) -> dict[str, Any]:
    return {**row, "state": status.state, "wire": status.wire, "last_us": row["last_us"] or 0}


def _is_in(row: dict[str, Any], wanted: list[str]) -> bool:
    """Tell whether an agent is in one of some states; offline ones are not idle for whoever asks for idle."""
    state = "waiting_approval" if row["state"] == "waiting" else row["state"]
    return state in wanted or row["state"] in wanted


def _counts(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(STATES, 0)
    for row in rows:
        counts["waiting_approval" if row["state"] == "waiting" else row["state"]] += 1
    return counts


# -- one agent as JSON ------------------------------------------------------------------------


def _shown(
    db: Reader,
    world: str,
    params: Params,
    rows: list[dict[str, Any]],
    found: dict[str, Status] | Any,
    agent_id: str | None = None,
) -> list[dict[str, Any]]:
    """Return agents in full; what is the same query for all is asked once."""
    hour = _hour(db, world, params.now_us, agent_id)
    issues = _issue_counts(db, world, agent_id)
    approvals = _approval_counts(db, world, agent_id)
    snapshots = _snapshots(db, world, agent_id)
    shown: list[dict[str, Any]] = []
    for row in rows:
        name = str(row["agent_id"])
        queue = snapshots.get((name, "queue"), {})
        depth = _depth(queue, row)
        runs = _recent_runs(db, world, name)
        shown.append(
            {
                **_profile(row),
                **_state(row, found[name], params.now_us),
                **_work(row, found[name], queue, params.now_us),
                **_signs(row, params.now_us),
                "stats_1h": _stats(hour.get(name, []), depth, issues.get(name, [])),
                "sparkline_1h": _bars(hour.get(name, []), "events", params.now_us),
                "heartbeats_1h": _bars(hour.get(name, []), "heartbeats", params.now_us),
                "last_outcomes": _outcomes(runs),
                "has_escalation": any(run["escalations"] for run in runs if run["is_open"] or run is runs[0]),
                "queue_depth": depth,
                "active_issues": len(issues.get(name, [])),
                "worst_issue": min(issues.get(name, []), key=severity_rank, default=None),
                "pending_approvals": approvals.get(name, 0),
                "heartbeat_payload": {**snapshots.get((name, "heartbeat"), {}), "hiveloop": _progress(row)},
            }
        )
    return shown


def _profile(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "agent_id": row["agent_id"],
        "agent_type": row["agent_type"],
        "agent_version": row["agent_version"] or None,
        "framework": row["framework"] or None,
        "runtime": row["runtime"] or None,
        "sdk_version": row["sdk_version"] or None,
        "environment": row["environment"],
        "group": row["grp"],
        "first_seen": iso(row["first_us"]),
        "last_seen": iso(row["last_us"]),
        "event_count": row["events"] or 0,
    }


def _state(row: dict[str, Any], status: Status, now_us: int) -> dict[str, Any]:
    return {
        "derived_status": status.wire,
        "is_offline": status.is_offline,
        "is_stuck": status.state == "stuck",
        "stuck_by": status.stuck_by,
        "reason": status.reason,
        "since": iso(status.since_us),
        "status_reason": status.reason,
        "status_since": iso(status.since_us),
        "status_age_seconds": seconds_between(status.since_us, now_us),
        "attention": attention(status.state),
        "stuck_threshold_seconds": (row["stuck_threshold_ms"] or DEFAULT_THRESHOLD_MS) / 1_000,
    }


def _work(row: dict[str, Any], status: Status, queue: dict[str, Any], now_us: int) -> dict[str, Any]:
    """What the agent is at: its oldest open task, and the action in it."""
    works = bool(status.task_id) and status.state != "error"
    processing = object_of(queue.get("processing"))
    action = {
        "name": status.action,
        "since": iso(status.action_us),
        "age_seconds": seconds_between(status.action_us, now_us),
    }
    told = text(processing.get("summary")) or text(processing.get("id"))
    return {
        "current_task_id": status.task_id if works else None,
        "current_task_run_id": (status.run_id or None) if works else None,
        "current_project_id": (status.project or None) if works else None,
        "current_task_since": iso(status.task_us) if works else None,
        "failed_task_id": (status.task_id or None) if status.state == "error" else None,
        "last_task_id": row["last_task_id"],
        "last_task_run_id": row["last_run_id"] or None,
        "current_action": action if status.action else None,
        "processing_summary": told or (status.reason if status.state == "processing" else None),
    }


def _signs(row: dict[str, Any], now_us: int) -> dict[str, Any]:
    return {
        "last_heartbeat": iso(row["last_heartbeat_us"]),
        "heartbeat_age_seconds": seconds_between(row["last_heartbeat_us"], now_us),
        "last_activity": iso(row["last_activity_us"]),
    }


def _progress(row: dict[str, Any]) -> dict[str, Any]:
    """What the latest heartbeat told of the program's progress, under the names it was sent with."""
    if row["progress_beat_us"] is None:
        return {}
    since = row["progress_us"]
    told = {
        "last_progress_at": iso(since),
        "idle_seconds": None if since is None else max(0, (row["progress_beat_us"] - since) // SECOND),
        "open_task": row["open_task"] or None,
        "open_action": row["open_action"] or None,
        "open_action_since": iso(row["open_action_us"]),
        "expecting_until": iso(row["expecting_us"]),
        "queue_depth": row["queue_depth"],
        "unsent": row["unsent"],
        "dropped": row["dropped"],
    }
    return {name: value for name, value in told.items() if value is not None}


# -- the last hour ----------------------------------------------------------------------------


def _hour(db: Reader, world: str, now_us: int, agent_id: str | None) -> dict[str, list[dict[str, Any]]]:
    """The five-minute rows of the last hour, by agent."""
    first = now_us // FIVE * FIVE - (_BARS - 1) * FIVE
    where = Where(world).between("bucket_us", first, None).equal(agent_id=agent_id)
    sums = ", ".join(f"SUM({name}) AS {name}" for name in _HOUR_SUMS)
    sql = f"SELECT agent_id, bucket_us, {sums} FROM roll_5m WHERE {where} GROUP BY agent_id, bucket_us"
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in db.rows(sql, where.args):
        rows.setdefault(str(row["agent_id"]), []).append(row)
    return rows


def _bars(rows: list[dict[str, Any]], name: str, now_us: int) -> list[int]:
    """A measure in each of the last twelve five minutes; what happens in the future is now."""
    last = now_us // FIVE
    bars = [0] * _BARS
    for row in rows:
        at = _BARS - 1 - max(0, last - row["bucket_us"] // FIVE)
        bars[at] += row[name] or 0
    return bars


def _stats(rows: list[dict[str, Any]], depth: int | None, issues: list[str]) -> dict[str, Any]:
    total = {name: sum(row[name] or 0 for row in rows) for name in _HOUR_SUMS}
    ended = total["tasks_completed"] + total["tasks_failed"]
    return {
        "tasks_completed": total["tasks_completed"],
        "tasks_failed": total["tasks_failed"],
        "success_rate": ratio(total["tasks_completed"], ended, 100, 2),
        "avg_duration_ms": ratio(total["task_ms"], total["task_ms_n"], digits=0),
        "total_cost": dollars(total["cost_nano"] + total["est_nano"]),
        "estimated_cost": dollars(total["est_nano"]),
        "throughput": ended,
        "queue_depth": depth or 0,
        "active_issues": len(issues),
        "error_count": total["errors"],
        "llm_call_count": total["llm_calls"],
        "tokens_in": total["tokens_in"],
        "tokens_out": total["tokens_out"],
    }


# -- around an agent --------------------------------------------------------------------------


def _issue_counts(db: Reader, world: str, agent_id: str | None) -> dict[str, list[str]]:
    """Severities of open issues, by agent."""
    where = Where(world).equal(agent_id=agent_id).also("is_open = 1")
    found: dict[str, list[str]] = {}
    for row in db.rows(f"SELECT agent_id, severity FROM issues WHERE {where}", where.args):
        found.setdefault(str(row["agent_id"]), []).append(str(row["severity"] or "medium"))
    return found


def _approval_counts(db: Reader, world: str, agent_id: str | None) -> dict[str, int]:
    where = Where(world).equal(agent_id=agent_id).also("is_open = 1")
    sql = f"SELECT agent_id, COUNT(*) AS n FROM approvals WHERE {where} GROUP BY agent_id"
    return {str(row["agent_id"]): int(row["n"] or 0) for row in db.rows(sql, where.args)}


def _snapshots(db: Reader, world: str, agent_id: str | None) -> dict[tuple[str, str], dict[str, Any]]:
    where = Where(world).equal(agent_id=agent_id).also("kind IN ('queue', 'heartbeat')")
    rows = db.rows(f"SELECT agent_id, kind, data FROM snapshots WHERE {where}", where.args)
    return {(str(row["agent_id"]), str(row["kind"])): object_of(row["data"]) for row in rows}


def _depth(queue: dict[str, Any], row: dict[str, Any]) -> int | None:
    """The depth of the agent's queue: its snapshot's, else what its heartbeat says."""
    depth = whole(queue.get("depth"))
    depth = row["queue_depth"] if depth is None else depth
    return None if depth is None else max(0, depth)


def _recent_runs(db: Reader, world: str, agent_id: str) -> list[dict[str, Any]]:
    sql = (
        "SELECT state, is_open, end_us, escalations FROM tasks WHERE world = ? AND agent_id = ?"
        " ORDER BY first_us DESC LIMIT ?"
    )
    return db.rows(sql, (world, agent_id, 2 * _OUTCOMES))


def _outcomes(runs: list[dict[str, Any]]) -> list[str]:
    """How the last tasks ended, the latest last."""
    ended = [run for run in runs if not run["is_open"]][:_OUTCOMES]
    return ["success" if run["state"] == "completed" else "failure" for run in reversed(ended)]
