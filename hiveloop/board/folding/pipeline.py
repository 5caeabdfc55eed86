"""Folds of what an agent tells about its work: issues, todos, snapshots, plans."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from hiveloop._shape import is_dict, is_list

from .facts import Facts, compact, number, words
from .rows import Contributions, latest, least, most, numbers, stamp

__all__ = ["PIPELINE_FOLDS", "PipelineTables", "fold_heartbeat"]

PipelineTables = dict[str, Contributions]

_ISSUE, _TODO, _SNAP = numbers("issues"), numbers("todos"), numbers("snapshots")
_PLAN, _STEP = numbers("plans"), numbers("plan_steps")
_CLOSING = ("resolved", "dismissed")
_ENDED = ("completed", "failed", "skipped")
_MOST_STEPS = 500
_LONGEST = 4000


def _at(facts: Facts, rank: int) -> str:
    return stamp(facts.event.ts_us, rank, facts.event.event_id)


def _named(facts: Facts, name: str) -> str:
    """The id as sent, or a digest of the summary, so that repeated reports meet without an id."""
    told = facts.words(name, 256)
    if told:
        return told
    summary = " ".join((facts.words("summary") or "").lower().split())
    return "#" + hashlib.sha256(summary.encode("utf-8", "replace")).hexdigest()[:24]


def _text_or_json(value: Any) -> str | None:
    return words(value, _LONGEST) if value is None or type(value) is str else compact(value)


# -- issues and todos -----------------------------------------------------------------------------


def _fold_issue(tables: PipelineTables, world: str, facts: Facts) -> None:
    event = facts.event
    row = tables["issues"].at((world, event.agent_id, _named(facts, "issue_id")))
    action = (facts.words("action") or "reported").lower()
    closes = action in _CLOSING
    most(row, _ISSUE["last_us"], event.ts_us)
    latest(row, _ISSUE["action_stamp"], _at(facts, 4 if closes else 3), (action,))
    if closes:
        row[_ISSUE["closings"]] += 1
        most(row, _ISSUE["closed_us"], event.ts_us)
        # So that a row without its report has words; any report beats it.
        latest(row, _ISSUE["report_stamp"], "0" + _at(facts, 4), _report(facts))
        return
    row[_ISSUE["reports"]] += 1
    least(row, _ISSUE["first_us"], event.ts_us)
    most(row, _ISSUE["reported_us"], event.ts_us)
    most(row, _ISSUE["told_count"], number(facts.get("occurrence_count")))
    latest(row, _ISSUE["report_stamp"], "1" + _at(facts, 3), _report(facts))


def _report(facts: Facts) -> tuple[Any, ...]:
    event = facts.event
    context = facts.get("context")
    return (
        facts.words("summary"),
        (facts.words("severity") or "medium").lower(),
        facts.words("category"),
        None if context is None else compact(context),
        facts.words("issue_id", 256),
        event.task_id,
        event.run_id,
        event.event_id,
        event.project,
        event.environment,
    )


def _fold_todo(tables: PipelineTables, world: str, facts: Facts) -> None:
    event = facts.event
    row = tables["todos"].at((world, event.agent_id, _named(facts, "todo_id")))
    action = (facts.words("action") or "created").lower()
    least(row, _TODO["first_us"], event.ts_us)
    most(row, _TODO["last_us"], event.ts_us)
    values = (
        action,
        facts.words("summary"),
        facts.words("priority"),
        facts.words("source"),
        _text_or_json(facts.get("context")),
        facts.words("due_by"),
        event.task_id,
        event.run_id,
        event.event_id,
    )
    latest(row, _TODO["stamp"], _at(facts, 3 if action == "created" else 4), values)


# -- snapshots ----------------------------------------------------------------------------------------


def _snapshot(tables: PipelineTables, world: str, facts: Facts, kind: str, data: Any, rank: int = 3) -> None:
    event = facts.event
    row = tables["snapshots"].at((world, event.agent_id, kind))
    latest(row, _SNAP["stamp"], _at(facts, rank), (event.ts_us, compact(data), event.event_id))


def _content(facts: Facts) -> dict[str, Any]:
    """The data, or the payload of a sender that leaves out ``data``."""
    return facts.data or {key: value for key, value in facts.body.items() if key not in ("kind", "tags")}


def _fold_queue(tables: PipelineTables, world: str, facts: Facts) -> None:
    _snapshot(tables, world, facts, "queue", _content(facts))


def _fold_scheduled(tables: PipelineTables, world: str, facts: Facts) -> None:
    _snapshot(tables, world, facts, "scheduled", _content(facts))


def _fold_config(tables: PipelineTables, world: str, facts: Facts) -> None:
    _snapshot(tables, world, facts, "config", _content(facts))


def fold_heartbeat(tables: PipelineTables, world: str, facts: Facts) -> None:
    """Fold what the agent's own payload of a heartbeat says, and a queue depth in it."""
    own = {key: value for key, value in facts.body.items() if key != "hiveloop"}
    if not own:
        return
    _snapshot(tables, world, facts, "heartbeat", own)
    depth = number(facts.get("queue_depth"))
    if depth is not None:  # a real snapshot of the same instant knows more
        _snapshot(tables, world, facts, "queue", {"depth": depth}, rank=1)


# -- plans ----------------------------------------------------------------------------------------------


def _fold_plan(tables: PipelineTables, world: str, facts: Facts) -> None:
    event = facts.event
    revision = number(facts.get("revision")) or 0
    found = facts.get("steps")
    steps: list[Any] = list(found)[:_MOST_STEPS] if is_list(found) else []
    scope = (world, event.agent_id, event.task_id, event.run_id, revision)
    goal = facts.words("goal", _LONGEST) or facts.words("summary")
    row = tables["plans"].at(scope)
    latest(row, _PLAN["stamp"], _at(facts, 1), (goal, event.ts_us, len(steps), event.event_id))
    for position, step in enumerate(steps):
        index, description = _described(position, step)
        latest(tables["plan_steps"].at((*scope, index)), _STEP["plan_stamp"], _at(facts, 1), (description,))


def _described(position: int, step: Any) -> tuple[int, str | None]:
    if not is_dict(step):
        return position, words(step, _LONGEST)
    index = number(step.get("index"))
    return position if index is None else index, words(step.get("description"), _LONGEST)


def _fold_step(tables: PipelineTables, world: str, facts: Facts) -> None:
    event = facts.event
    revision = number(facts.get("plan_revision"))
    scope = (world, event.agent_id, event.task_id, event.run_id, -1 if revision is None else revision)
    row = tables["plan_steps"].at((*scope, number(facts.get("step_index")) or 0))
    action = (facts.words("action") or "started").lower()
    ends = action in _ENDED
    if ends:
        most(row, _STEP["ended_us"], event.ts_us)
    elif action == "started":
        least(row, _STEP["started_us"], event.ts_us)
    values = (
        action,
        event.ts_us,
        facts.words("summary"),
        number(facts.get("turns")),
        number(facts.get("tokens")),
        number(facts.get("total_steps")),
    )
    latest(row, _STEP["step_stamp"], _at(facts, 4 if ends else 3), values)


PIPELINE_FOLDS: dict[str, Callable[[PipelineTables, str, Facts], None]] = {
    "issue": _fold_issue,
    "todo": _fold_todo,
    "queue_snapshot": _fold_queue,
    "scheduled": _fold_scheduled,
    "config_snapshot": _fold_config,
    "plan_created": _fold_plan,
    "plan_step": _fold_step,
}
"""The fold of each kind."""
