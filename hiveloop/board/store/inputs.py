"""Reads what statuses derive from: one query, whoever asks."""

from __future__ import annotations

import msgspec

from hiveloop.board.status import AgentInputs

from .protocol import Reader, Row, Statement, Value

__all__ = ["SHOWN", "agent_inputs", "removal"]

_AGENT_COLUMNS = (
    "last_us",
    "first_us",
    "last_heartbeat_us",
    "last_activity_us",
    "stuck_threshold_ms",
    "lifecycle_type",
    "lifecycle_us",
    "lifecycle_task",
    "lifecycle_label",
    "is_stopped",
    "stopped_us",
    "progress_beat_us",
    "progress_us",
    "open_task",
    "open_action",
    "open_action_us",
    "expecting_us",
)
_REMOVE = (
    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_REMOVED = (
    "COALESCE((SELECT CAST(value AS BIGINT) FROM meta "
    "WHERE name = 'removed:' || agents.world || ':' || agents.agent_id), -1) >= agents.last_us"
)
SHOWN = f"NOT ({_REMOVED})"
"""Condition on a row of `agents`: nobody took it off, or it was heard of since."""
_AGENTS = (
    f"SELECT agent_id, {', '.join(_AGENT_COLUMNS)}, CASE WHEN {_REMOVED} THEN 1 ELSE 0 END AS is_removed "
    "FROM agents WHERE world = ?"
)
# Without statistics, the planner takes a small index only when it is told that all of its columns count,
# and joins in this order only when it has to.
_RUNS = (
    "SELECT agent_id, task_id, run_id, project, COALESCE(started_us, first_us) AS since_us FROM tasks "
    "WHERE world = ? AND is_open = 1 AND agent_id > ''"
)
_ACTIONS = (
    "SELECT a.agent_id, a.task_id, a.run_id, a.name, a.started_us FROM agents g CROSS JOIN actions a "
    "JOIN tasks t ON t.world = a.world AND t.task_id = a.task_id AND t.run_id = a.run_id "
    "WHERE g.world = ? AND a.world = g.world AND a.agent_id = g.agent_id AND a.end_type IS NULL "
    "AND a.started_us >= 0 AND t.is_open = 1"
)
_APPROVALS = "SELECT agent_id, at_us, summary, approver FROM approvals WHERE world = ? AND is_open = 1"


def removal(world: str, agent_id: str, now_us: int) -> Statement:
    """Return the statement that takes an agent off the board until it is heard of again."""
    return _REMOVE, (f"removed:{world}:{agent_id}", str(now_us))


def agent_inputs(reader: Reader, world: str, agent_id: str | None = None) -> dict[str, AgentInputs]:
    """Return the inputs of every agent's status by agent id, or of one agent's."""
    known = {str(row["agent_id"]): row for row in _select(reader, _AGENTS, world, agent_id, "agent_id")}
    runs = _grouped(_select(reader, _RUNS, world, agent_id, "agent_id"))
    actions = _grouped(_select(reader, _ACTIONS, world, agent_id, "a.agent_id"))
    approvals = _grouped(_select(reader, _APPROVALS, world, agent_id, "agent_id"))
    return {
        agent: _inputs(row, runs.get(agent, []), actions.get(agent, []), approvals.get(agent, []))
        for agent, row in known.items()
    }


def _select(reader: Reader, sql: str, world: str, agent_id: str | None, column: str) -> list[Row]:
    if agent_id is None:
        return reader.rows(sql, (world,))
    return reader.rows(f"{sql} AND {column} = ?", (world, agent_id))


def _grouped(rows: list[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(str(row["agent_id"]), []).append(row)
    return grouped


def _inputs(row: Row, runs: list[Row], actions: list[Row], approvals: list[Row]) -> AgentInputs:
    known = {name: row[name] for name in _AGENT_COLUMNS if row[name] is not None}
    known.update(is_stopped=bool(row["is_stopped"]), is_removed=bool(row["is_removed"]))
    found = {**known, **_run(runs), **_action(actions), **_asked(approvals)}
    return msgspec.convert(found, AgentInputs)


def _run(rows: list[Row]) -> dict[str, Value]:
    if not rows:
        return {}
    oldest = min(rows, key=lambda row: (_number(row["since_us"]), str(row["task_id"])))
    return {
        "open_runs": len(rows),
        "oldest_task": oldest["task_id"],
        "oldest_run": oldest["run_id"],
        "oldest_project": oldest["project"] or "",
        "oldest_us": oldest["since_us"],
    }


def _action(rows: list[Row]) -> dict[str, Value]:
    if not rows:
        return {}
    newest = max(rows, key=lambda row: _number(row["started_us"]))
    return {"stored_action": newest["name"] or "", "stored_action_us": newest["started_us"]}


def _asked(rows: list[Row]) -> dict[str, Value]:
    if not rows:
        return {}
    oldest = min(rows, key=lambda row: _number(row["at_us"]))
    return {
        "open_approvals": len(rows),
        "approval_us": oldest["at_us"],
        "approval_summary": oldest["summary"] or "",
        "approver": oldest["approver"] or "",
    }


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
