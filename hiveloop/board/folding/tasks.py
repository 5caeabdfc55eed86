"""Folds into `tasks` and `actions`: one row per run, one per action."""

from __future__ import annotations

from .agents import LIFECYCLE_RANKS
from .facts import Facts
from .rows import Contributions, earliest, latest, least, most, numbers, stamp

__all__ = ["fold_action", "fold_task"]

_I = numbers("tasks")
_FIRST_STAMP, _END = _I["first_stamp"], _I["end_stamp"]
_FIRST, _LAST = _I["first_us"], _I["last_us"]
_STARTED, _START = _I["started_us"], _I["start_us"]
_EVENTS, _ERRORS = _I["events"], _I["errors"]
_CALLS, _CALL_MS = _I["llm_calls"], _I["llm_ms"]
_IN, _OUT, _COST, _ESTIMATE, _UNPRICED = (
    _I[name] for name in ("tokens_in", "tokens_out", "cost_nano", "est_nano", "unpriced")
)
_COUNTED = {
    "action_started": (_I["actions"],),
    "action_completed": (_I["actions_ended"],),
    "action_failed": (_I["actions_ended"], _I["actions_failed"]),
    "retry_started": (_I["retries"],),
    "escalated": (_I["escalations"],),
    "approval_requested": (_I["approvals"],),
    "approval_received": (_I["decisions"],),
}
_ENDS = ("task_completed", "task_failed")

_A = numbers("actions")
_A_FIRST, _A_STARTED, _A_END = _A["first_stamp"], _A["started_us"], _A["end_stamp"]


def fold_task(tasks: Contributions, world: str, facts: Facts) -> None:
    """Fold an event into the run it belongs to; a heartbeat belongs to none."""
    event = facts.event
    if not event.task_id or event.event_type == "heartbeat":
        return
    row = tasks.at((world, event.task_id, event.run_id))
    at = stamp(event.ts_us, LIFECYCLE_RANKS.get(event.event_type, 3), event.event_id)
    started = event.event_type == "task_started"
    row[_EVENTS] += 1
    least(row, _FIRST, event.ts_us)
    most(row, _LAST, event.ts_us)
    earliest(row, _FIRST_STAMP, ("0" if started else "1") + at, _origin(facts))
    if event.severity == "error":
        row[_ERRORS] += 1
    for counter in _COUNTED.get(event.event_type, ()):
        row[counter] += 1
    if started:
        least(row, _STARTED, event.ts_us)
        most(row, _START, event.ts_us)
    elif event.event_type in _ENDS:
        latest(row, _END, _end_stamp(facts, at), _end(facts))
    if facts.llm is not None:
        _fold_call(row, facts)


def _origin(facts: Facts) -> tuple[str | None, ...]:
    event = facts.event
    version = event.profile.agent_version or ""
    place = (event.agent_id, event.project, event.environment, event.group)
    return (*place, event.task_type, event.correlation_id, version)


def _end_stamp(facts: Facts, at: str) -> str:
    """Of one run the first end counts in the SDK, and success beats failure when others send both."""
    event = facts.event
    if not event.run_id:
        return "0" + at  # an id without runs is used again: the latest end counts
    return ("2" if event.event_type == "task_completed" else "1") + at


def _end(facts: Facts) -> tuple[str | int | None, ...]:
    event = facts.event
    error, message = facts.words("exception_type"), facts.words("exception_message", 2000)
    end = (event.event_type, event.ts_us, event.status, event.duration_ms)
    return (*end, error, message, facts.words("summary"))


def _fold_call(row: list[int], facts: Facts) -> None:
    call = facts.llm
    if call is None:
        return
    row[_CALLS] += 1
    row[_CALL_MS] += call.duration_ms or 0
    row[_IN] += call.tokens_in
    row[_OUT] += call.tokens_out
    row[_COST] += call.cost_nano or 0
    row[_ESTIMATE] += call.est_nano or 0
    row[_UNPRICED] += call.cost_nano is None and call.est_nano is None


def fold_action(actions: Contributions, world: str, facts: Facts) -> None:
    """Fold the beginning or end of an action into its row."""
    event = facts.event
    if not event.action_id or not event.event_type.startswith("action_"):
        return
    row = actions.at((world, event.agent_id, event.task_id, event.run_id, event.action_id))
    at = stamp(event.ts_us, LIFECYCLE_RANKS[event.event_type], event.event_id)
    begins = event.event_type == "action_started"
    if facts.label is not None:
        origin = (facts.label, event.parent_action_id, facts.words("function"))
        earliest(row, _A_FIRST, ("0" if begins else "1") + at, origin)
    if begins:
        least(row, _A_STARTED, event.ts_us)
        return
    message = facts.words("exception_message", 2000) or facts.words("error", 2000)
    end = (event.event_type, event.ts_us, event.duration_ms, facts.words("exception_type"), message)
    latest(row, _A_END, at, end)
