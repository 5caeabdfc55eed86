"""``GET /v1/pipeline`` and ``/v1/agents/{id}/pipeline``: what waits, for people, for a fix, for its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hiveloop.board.store.inputs import SHOWN
from hiveloop.board.store.protocol import Reader

from ._clock import SECOND, iso, parsed_us, seconds_between
from ._sql import Where
from ._values import dicts, number, object_of, text, whole
from .params import NotFoundError, Params

__all__ = ["MOST", "agent_pipeline", "pipeline", "severity_rank"]

MOST = 1_000
"""Rows of one list, the most urgent; how many there are besides is told."""
_CLOSED_SHOWN = 20
_SEVERITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_OTHER_SEVERITY = 4
_PRIORITIES = {"critical": 0, "urgent": 0, "high": 1, "medium": 2, "normal": 2, "low": 3}
_OTHER_PRIORITY = 2
_OLDEST_AGE = 10_000 * 86_400
"""Seconds; what a sender calls older is not believed."""


def severity_rank(severity: object) -> int:
    """Return the place of a severity, the worst first; unknown ones come last."""
    return _SEVERITIES.get(str(severity).lower(), _OTHER_SEVERITY)


class _Listed(NamedTuple):
    """A list.

    Attributes:
        rows: the most urgent.
        counts: how many there are of each agent, shown or not.
    """

    rows: list[dict[str, Any]]
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @classmethod
    def of(cls, rows: list[dict[str, Any]]) -> _Listed:
        """Return the first of all rows."""
        return cls(rows[:MOST], _counted(rows))


def _more(lists: Mapping[str, _Listed]) -> dict[str, int]:
    """How many rows each list leaves out."""
    return {name: listed.total - len(listed.rows) for name, listed in lists.items()}


def agent_pipeline(db: Reader, world: str, agent_id: str, params: Params) -> dict[str, Any]:
    """Return what waits at one agent."""
    sql = f"SELECT 1 AS one FROM agents WHERE world = ? AND agent_id = ? AND {SHOWN}"
    if not db.rows(sql, (world, agent_id)):
        raise NotFoundError("agent", agent_id)
    where = Where(world).equal(agent_id=agent_id)
    queues = _queues(db, where, params.now_us)
    lists = {
        "todos": _todos(db, where, params.now_us),
        "scheduled": _Listed.of(_scheduled(db, where, params.now_us)),
        "issues": _issues(db, where),
        "approvals": _approvals(db, where, params.now_us),
    }
    return {
        "agent_id": agent_id,
        "queue": queues[0] if queues else _no_queue(),
        **{name: listed.rows for name, listed in lists.items()},
        "closed_issues": _closed_issues(db, where),
        "more": _more(lists),
    }


def pipeline(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return what waits across the fleet: lists, totals, and counts for each agent."""
    where = Where(world).equal(agent_id=params.text("agent_id"))
    _of_place(where, world, params)
    queues = _queues(db, where, params.now_us)
    jobs = _scheduled(db, where, params.now_us)
    lists = {
        "approvals": _approvals(db, where, params.now_us),
        "issues": _issues(db, where),
        "todos": _todos(db, where, params.now_us),
        "queues": _Listed.of(queues),
        "scheduled": _Listed.of(jobs),
    }
    rows = db.rows(f"SELECT agent_id, agent_type FROM agents WHERE {where} ORDER BY agent_id", where.args)
    return {
        **_totals(lists, queues, jobs),
        "agents": _by_agent(rows, lists, queues),
        **{name: listed.rows for name, listed in lists.items()},
        "closed_issues": _closed_issues(db, where),
        "more": _more(lists),
    }


def _of_place(where: Where, world: str, params: Params) -> None:
    """Keep to the agents that are shown, of an environment, a group or a project."""
    inner = Where(world).equal(environment=params.text("environment"), grp=params.text("group")).also(SHOWN)
    where.also(f"agent_id IN (SELECT agent_id FROM agents WHERE {inner})", *inner.args)
    project = params.text("project_id")
    if project is not None:
        inner = Where(world).equal(project=project)
        where.also(f"agent_id IN (SELECT agent_id FROM roll_1d WHERE {inner})", *inner.args)


def _totals(
    lists: Mapping[str, _Listed], queues: Iterable[dict[str, Any]], jobs: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """Counts under the names of the API, and under those that an older page reads."""
    depth = sum(queue["depth"] for queue in queues)
    issues, todos = lists["issues"].total, lists["todos"].total
    scheduled, approvals = lists["scheduled"].total, lists["approvals"].total
    totals = {
        "queue_depth": depth,
        "active_issues": issues,
        "active_todos": todos,
        "scheduled_count": scheduled,
        "pending_approvals": approvals,
        "overdue_count": sum(job["overdue"] for job in jobs),
    }
    return {
        "totals": totals,
        "total_queue_depth": depth,
        "total_active_issues": issues,
        "total_todos": todos,
        "total_scheduled": scheduled,
        "total_pending_approvals": approvals,
    }


def _by_agent(
    rows: list[dict[str, Any]], lists: Mapping[str, _Listed], queues: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    queue_of = {queue["agent_id"]: queue for queue in queues}
    agents: list[dict[str, Any]] = []
    for row in rows:
        agent_id = row["agent_id"]
        found = {name: listed.counts.get(agent_id, 0) for name, listed in lists.items()}
        if not any(found.values()):
            continue
        queue = queue_of.get(agent_id, _no_queue())
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


def _open(db: Reader, table: str, where: Where, order: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the first open rows of a table, and how many there are of each agent."""
    where = where.copy().also("is_open = 1")
    rows = db.rows(f"SELECT * FROM {table} WHERE {where} ORDER BY {order} LIMIT ?", [*where.args, MOST])
    if len(rows) < MOST:
        return rows, _counted(rows)
    sql = f"SELECT agent_id, COUNT(*) AS n FROM {table} WHERE {where} GROUP BY agent_id"
    return rows, {str(row["agent_id"]): int(row["n"] or 0) for row in db.rows(sql, where.args)}


def _rank(column: str, ranks: Mapping[str, int], other: int) -> str:
    """Return the place of a word in an order of words, in SQL."""
    cases = " ".join(f"WHEN '{word}' THEN {rank}" for word, rank in ranks.items())
    return f"CASE LOWER({column}) {cases} ELSE {other} END"


def _approvals(db: Reader, where: Where, now_us: int) -> _Listed:
    """Requests that nobody has decided, the oldest first."""
    rows, counts = _open(db, "approvals", where, "at_us, event_id")
    return _Listed([_approval(row, now_us) for row in rows], counts)


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


_WORST = _rank("severity", _SEVERITIES, _OTHER_SEVERITY)
_MOST_URGENT = _rank("priority", _PRIORITIES, _OTHER_PRIORITY)


def _issues(db: Reader, where: Where) -> _Listed:
    """Issues, the worst first and of equal ones the latest."""
    rows, counts = _open(db, "issues", where, f"{_WORST}, last_us DESC, issue_key")
    return _Listed([_issue(row) for row in rows], counts)


def _closed_issues(db: Reader, where: Where) -> list[dict[str, Any]]:
    """Those that were closed last."""
    sql = f"SELECT * FROM issues WHERE {where} AND is_open = 0 ORDER BY last_us DESC, issue_key LIMIT ?"
    return [_issue(row) for row in db.rows(sql, [*where.args, _CLOSED_SHOWN])]


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


def _todos(db: Reader, where: Where, now_us: int) -> _Listed:
    """Active todos, the most urgent first and of equal ones the oldest."""
    rows, counts = _open(db, "todos", where, f"{_MOST_URGENT}, first_us, todo_key")
    return _Listed([_todo(row, now_us) for row in rows], counts)


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
    sql = f"SELECT agent_id, at_us, data FROM snapshots WHERE {where} AND kind = ? ORDER BY agent_id"
    return db.rows(sql, [*where.args, kind])


def _queues(db: Reader, where: Where, now_us: int) -> list[dict[str, Any]]:
    """What each agent told of its queue, the deepest first."""
    queues = [_queue(row, now_us) for row in _snapshots(db, where, "queue")]
    return sorted(queues, key=lambda queue: -queue["depth"])


def _queue(row: dict[str, Any], now_us: int) -> dict[str, Any]:
    data = object_of(row["data"])
    items = dicts(data.get("items"))
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
        for item in dicts(object_of(row["data"]).get("items"))
    ]
    return sorted(jobs, key=lambda job: (job["next_run"] is None, job["next_run"] or ""))


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
