"""``GET /v1/pipeline`` and ``/v1/agents/{id}/pipeline``: what waits, for people, for a fix, for its turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hiveloop.board.store.inputs import SHOWN
from hiveloop.board.store.protocol import Reader

from ._clock import SECOND, iso, parsed_us, seconds_between
from ._sql import Where
from ._values import dicts, number, object_of, text, whole
from .params import NotFoundError, Params

__all__ = ["agent_pipeline", "pipeline", "severity_rank"]

_MOST = 1_000
"""Rows of one list."""
_CLOSED_SHOWN = 20
_SEVERITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_PRIORITIES = {"critical": 0, "urgent": 0, "high": 1, "medium": 2, "normal": 2, "low": 3}
_OLDEST_AGE = 10_000 * 86_400
"""Seconds; what a sender calls older is not believed."""


def severity_rank(severity: object) -> int:
    """Return the place of a severity, the worst first; unknown ones come last."""
    return _SEVERITIES.get(str(severity).lower(), 4)


def agent_pipeline(db: Reader, world: str, agent_id: str, params: Params) -> dict[str, Any]:
    """Return what waits at one agent."""
    sql = f"SELECT 1 AS one FROM agents WHERE world = ? AND agent_id = ? AND {SHOWN}"
    if not db.rows(sql, (world, agent_id)):
        raise NotFoundError("agent", agent_id)
    where = Where(world).equal(agent_id=agent_id)
    queues = _queues(db, where, params.now_us)
    issues = _issues(db, where)
    return {
        "agent_id": agent_id,
        "queue": queues[0] if queues else _no_queue(),
        "todos": _todos(db, where, params.now_us),
        "scheduled": _scheduled(db, where, params.now_us),
        "issues": issues,
        "closed_issues": _issues(db, where, closed=True),
        "approvals": _approvals(db, where, params.now_us),
    }


def pipeline(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return what waits across the fleet: lists, totals, and counts for each agent."""
    where = Where(world).equal(agent_id=params.text("agent_id"))
    _of_place(where, world, params)
    lists = {
        "approvals": _approvals(db, where, params.now_us),
        "issues": _issues(db, where),
        "todos": _todos(db, where, params.now_us),
        "queues": _queues(db, where, params.now_us),
        "scheduled": _scheduled(db, where, params.now_us),
    }
    rows = db.rows(f"SELECT agent_id, agent_type FROM agents WHERE {where} ORDER BY agent_id", where.args)
    agents = _by_agent(rows, lists)
    return {
        **_totals(lists),
        "agents": agents,
        **lists,
        "closed_issues": _issues(db, where, closed=True),
    }


def _of_place(where: Where, world: str, params: Params) -> None:
    """Keep to the agents that are shown, of an environment, a group or a project."""
    inner = Where(world).equal(environment=params.text("environment"), grp=params.text("group")).also(SHOWN)
    where.also(f"agent_id IN (SELECT agent_id FROM agents WHERE {inner})", *inner.args)
    project = params.text("project_id")
    if project is not None:
        inner = Where(world).equal(project=project)
        where.also(f"agent_id IN (SELECT agent_id FROM roll_1d WHERE {inner})", *inner.args)


def _totals(lists: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Counts under the names of the API, and under those that an older page reads."""
    depth = sum(queue["depth"] for queue in lists["queues"])
    issues, todos = len(lists["issues"]), len(lists["todos"])
    scheduled, approvals = len(lists["scheduled"]), len(lists["approvals"])
    totals = {
        "queue_depth": depth,
        "active_issues": issues,
        "active_todos": todos,
        "scheduled_count": scheduled,
        "pending_approvals": approvals,
        "overdue_count": sum(job["overdue"] for job in lists["scheduled"]),
    }
    return {
        "totals": totals,
        "total_queue_depth": depth,
        "total_active_issues": issues,
        "total_todos": todos,
        "total_scheduled": scheduled,
        "total_pending_approvals": approvals,
    }


def _by_agent(rows: list[dict[str, Any]], lists: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    counts = {name: _counted(items) for name, items in lists.items()}
    queues = {queue["agent_id"]: queue for queue in lists["queues"]}
    agents: list[dict[str, Any]] = []
    for row in rows:
        agent_id = row["agent_id"]
        found = {name: count.get(agent_id, 0) for name, count in counts.items()}
        if not any(found.values()):
            continue
        queue = queues.get(agent_id, _no_queue())
        agents.append(
            {
                "agent_id": agent_id,
                "agent_type": row["agent_type"],
                "queue_depth": queue["depth"],
                "oldest_age_seconds": queue["oldest_age_seconds"],
                "active_issues": found["issues"],
                "issues": found["issues"],
                "active_todos": found["todos"],
                "todos": found["todos"],
                "scheduled_count": found["scheduled"],
                "scheduled": found["scheduled"],
                "pending_approvals": found["approvals"],
            }
        )
    return agents


def _counted(items: Iterable[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item["agent_id"]] = counts.get(item["agent_id"], 0) + 1
    return counts


# -- lists ------------------------------------------------------------------------------------


def _approvals(db: Reader, where: Where, now_us: int) -> list[dict[str, Any]]:
    """Requests that nobody has decided, the oldest first."""
    sql = f"SELECT * FROM approvals WHERE {where} AND is_open = 1 ORDER BY at_us, event_id LIMIT ?"
    return [_approval(row, now_us) for row in db.rows(sql, [*where.args, _MOST])]


def _approval(row: dict[str, Any], now_us: int) -> dict[str, Any]:
    return {
        "approval_id": row["event_id"],
        "event_id": row["event_id"],
        "agent_id": row["agent_id"],
        "task_id": row["task_id"] or None,
        "task_run_id": row["run_id"] or None,
        "project_id": row["project"] or None,
        "environment": row["environment"],
        "summary": row["summary"],
        "approver": row["approver"],
        "reason": row["reason"],
        "requested_at": iso(row["at_us"]),
        "age_seconds": seconds_between(row["at_us"], now_us),
    }


def _issues(db: Reader, where: Where, *, closed: bool = False) -> list[dict[str, Any]]:
    """Issues, the worst first and of equal ones the latest; or those that were closed last."""
    state = "is_open = 0" if closed else "is_open = 1"
    sql = f"SELECT * FROM issues WHERE {where} AND {state} ORDER BY last_us DESC, issue_key LIMIT ?"
    rows = db.rows(sql, [*where.args, _CLOSED_SHOWN if closed else _MOST])
    shown = [_issue(row) for row in rows]
    return shown if closed else sorted(shown, key=lambda issue: severity_rank(issue["severity"]))


def _issue(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "issue_id": row["issue_id"] or row["issue_key"],
        "issue_key": row["issue_key"],
        "agent_id": row["agent_id"],
        "summary": row["summary"],
        "severity": row["severity"],
        "category": row["category"],
        "context": object_of(row["context"]) or None,
        "action": row["action"],
        "state": "open" if row["is_open"] else "closed",
        "reopened": bool(row["is_reopened"]),
        "occurrence_count": max(row["reports"] or 0, row["told_count"] or 0, 1),
        "first_seen": iso(row["first_us"] if row["first_us"] is not None else row["last_us"]),
        "last_seen": iso(row["reported_us"] if row["reported_us"] is not None else row["last_us"]),
        "closed_at": iso(row["closed_us"]) if not row["is_open"] else None,
        "task_id": row["task_id"] or None,
        "task_run_id": row["run_id"] or None,
        "event_id": row["event_id"],
        "project_id": row["project"] or None,
    }


def _todos(db: Reader, where: Where, now_us: int) -> list[dict[str, Any]]:
    """Active todos, the most urgent first and of equal ones the oldest."""
    sql = f"SELECT * FROM todos WHERE {where} AND is_open = 1 ORDER BY first_us, todo_key LIMIT ?"
    shown = [_todo(row, now_us) for row in db.rows(sql, [*where.args, _MOST])]
    return sorted(shown, key=lambda todo: _PRIORITIES.get(str(todo["priority"]).lower(), 2))


def _todo(row: dict[str, Any], now_us: int) -> dict[str, Any]:
    due = parsed_us(row["due_by"]) if row["due_by"] else None
    return {
        "todo_id": row["todo_key"],
        "agent_id": row["agent_id"],
        "action": row["action"],
        "summary": row["summary"],
        "priority": row["priority"],
        "source": row["source"],
        "context": row["context"],
        "due_by": row["due_by"],
        "overdue": due is not None and due < now_us,
        "created_at": iso(row["first_us"]),
        "updated_at": iso(row["last_us"]),
        "age_seconds": seconds_between(row["first_us"], now_us),
        "task_id": row["task_id"] or None,
        "task_run_id": row["run_id"] or None,
    }


def _snapshots(db: Reader, where: Where, kind: str) -> list[dict[str, Any]]:
    sql = f"SELECT * FROM snapshots WHERE {where} AND kind = ? ORDER BY agent_id LIMIT ?"
    return db.rows(sql, [*where.args, kind, _MOST])


def _queues(db: Reader, where: Where, now_us: int) -> list[dict[str, Any]]:
    return [_queue(row, now_us) for row in _snapshots(db, where, "queue")]


def _queue(row: dict[str, Any], now_us: int) -> dict[str, Any]:
    data = object_of(row["data"])
    items = dicts(data.get("items"))[:_MOST]
    depth = whole(data.get("depth"))
    age = number(data.get("oldest_age_seconds"))
    return {
        "agent_id": row["agent_id"],
        "depth": len(items) if depth is None else max(0, depth),
        "oldest_age_seconds": age if age is not None and 0 <= age < _OLDEST_AGE else _oldest(items, now_us),
        "items": items,
        "processing": object_of(data.get("processing")) or None,
        "snapshot_at": iso(row["at_us"]),
        "snapshot_age_seconds": seconds_between(row["at_us"], now_us),
    }


def _oldest(items: list[dict[str, Any]], now_us: int) -> float | None:
    """The age of the oldest item, where items tell since when they wait."""
    queued = [parsed_us(at) for item in items if isinstance(at := item.get("queued_at"), str)]
    known = [at for at in queued if at is not None]
    return seconds_between(min(known), now_us) if known else None


def _no_queue() -> dict[str, Any]:
    return {
        "depth": 0,
        "oldest_age_seconds": None,
        "items": [],
        "processing": None,
        "snapshot_at": None,
        "snapshot_age_seconds": None,
    }


def _scheduled(db: Reader, where: Where, now_us: int) -> list[dict[str, Any]]:
    """Planned jobs, the next first; those without a time last."""
    jobs = [
        _job(item, row, now_us)
        for row in _snapshots(db, where, "scheduled")
        for item in dicts(object_of(row["data"]).get("items"))[:_MOST]
    ]
    return sorted(jobs, key=lambda job: (job["next_run"] is None, job["next_run"] or ""))[:_MOST]


def _job(item: dict[str, Any], row: dict[str, Any], now_us: int) -> dict[str, Any]:
    next_run, enabled = text(item.get("next_run")), item.get("enabled") is not False
    due = parsed_us(next_run) if next_run else None
    last = text(item.get("last_status"))
    return {
        "agent_id": row["agent_id"],
        "id": text(item.get("id")),
        "name": text(item.get("name")),
        "next_run": next_run,
        "interval": text(item.get("interval")),
        "enabled": enabled,
        "last_run": text(item.get("last_run")),
        "last_status": last,
        "last_failed": last is not None and last.lower() in {"failed", "failure", "error"},
        "overdue": enabled and due is not None and due < now_us,
        "overdue_seconds": (now_us - due) // SECOND if enabled and due is not None and due < now_us else None,
        "snapshot_at": iso(row["at_us"]),
    }
