"""Folds into `agents`: profile, signs of life, and what the last heartbeat told of progress."""

from __future__ import annotations

from typing import Any

from hiveloop._shape import is_dict
from hiveloop.board.model import NewEvent

from .facts import Facts, micros, number, real, words
from .rows import Contributions, latest, least, most, numbers, stamp

__all__ = ["LIFECYCLE_RANKS", "fold_agent", "heard_us"]

_I = numbers("agents")
_EVENTS = _I["events"]
_FIRST, _LAST = _I["first_us"], _I["last_us"]
_SEEN, _REGISTERED = _I["seen_stamp"], _I["registered_stamp"]
_PROFILE = tuple(_I[f"{name}_stamp"] for name in ("version", "framework", "runtime", "sdk"))
_LIFECYCLE, _TASK = _I["lifecycle_stamp"], _I["task_stamp"]
_HEARTBEAT, _PROGRESS, _ACTIVITY = _I["last_heartbeat_us"], _I["progress_stamp"], _I["last_activity_us"]
_STOPPED, _ALIVE, _STOPPED_US = _I["stopped_stamp"], _I["alive_stamp"], _I["stopped_us"]

OPERATOR = "board"
"""Value of ``data.by`` in what the person in front of the board says about an agent."""
LIFECYCLE_RANKS = {
    "task_started": 1,
    "action_started": 2,
    "retry_started": 3,
    "escalated": 3,
    "approval_requested": 3,
    "approval_received": 4,
    "action_completed": 5,
    "action_failed": 5,
    "task_completed": 6,
    "task_failed": 6,
}
"""Lifecycle events, in the order in which events of one instant happened."""
_OTHER_RANK = 3
_STOPPED_RANK = 9
_IDLE_KINDS = frozenset(("queue_snapshot", "scheduled", "runtime", "config_snapshot", "heartbeat_status"))
"""Custom kinds that are no work: some are sent by timers, so they prove no progress."""
_SECOND_US = 1_000_000
_LONGEST_THRESHOLD = 10**9
"""Seconds."""


def heard_us(event: NewEvent) -> int:
    """Return when an event happened, but no later than it came: clocks that run ahead hide silence."""
    return min(event.ts_us, event.received_us)


def fold_agent(agents: Contributions, world: str, facts: Facts) -> None:
    """Fold one event into the row of its agent."""
    event = facts.event
    if event.kind == "issue" and facts.data.get("by") == OPERATOR:
        return  # said about the agent, not by it: no sign of life
    row = agents.at((world, event.agent_id))
    heard = heard_us(event)
    rank = LIFECYCLE_RANKS.get(event.event_type)
    at = stamp(event.ts_us, rank or _OTHER_RANK, event.event_id)
    row[_EVENTS] += 1
    least(row, _FIRST, heard)
    most(row, _LAST, heard)
    latest(row, _SEEN, at, (event.agent_type, event.environment, event.group))
    _fold_profile(row, at, event)
    if event.task_id:
        latest(row, _TASK, at, (event.task_id, event.run_id))
    if rank is not None:
        most(row, _ACTIVITY, heard)
        label = facts.label or words(facts.get("exception_type"))
        latest(row, _LIFECYCLE, at, (event.event_type, event.ts_us, event.task_id, label))
    elif event.event_type == "heartbeat":
        most(row, _HEARTBEAT, heard)
        _fold_progress(row, at, facts)
    elif event.event_type == "agent_registered":
        _fold_registration(row, at, facts)
    elif event.kind not in _IDLE_KINDS:
        most(row, _ACTIVITY, heard)
    _fold_end(row, at, facts)


def _fold_profile(row: list[Any], at: str, event: NewEvent) -> None:
    """Each by itself: an envelope that leaves one out does not take it back."""
    known = event.profile
    values = (known.agent_version, known.framework, known.runtime, known.sdk_version)
    for column, value in zip(_PROFILE, values, strict=True):
        if value is not None:
            latest(row, column, at, (value,))


def _fold_registration(row: list[Any], at: str, facts: Facts) -> None:
    seconds = real(facts.get("stuck_threshold"))
    if seconds:
        latest(row, _REGISTERED, at, (max(1, round(min(seconds, _LONGEST_THRESHOLD) * 1000)),))


def _fold_end(row: list[Any], at: str, facts: Facts) -> None:
    event = facts.event
    if event.kind == "runtime" and facts.get("event") == "agent_stopped":
        most(row, _STOPPED, stamp(event.ts_us, _STOPPED_RANK, event.event_id))
        most(row, _STOPPED_US, heard_us(event))
    else:
        most(row, _ALIVE, at)


def _fold_progress(row: list[Any], at: str, facts: Facts) -> None:
    told = facts.body.get("hiveloop")
    if not is_dict(told):
        return
    beat = facts.event.ts_us
    heard = heard_us(facts.event)
    ahead = beat - heard  # of the sender's clock

    def time_of(name: str) -> int | None:
        found = micros(told.get(name))
        return None if found is None else found - ahead

    open_for = number(told.get("open_action_seconds"))
    values = (
        heard,
        time_of("last_progress_at"),
        words(told.get("open_task"), 256) or "",
        words(told.get("open_action")) or "",
        None if open_for is None else heard - min(open_for * _SECOND_US, heard),
        time_of("expecting_until"),
        number(told.get("queue_depth")),
        number(told.get("unsent")),
        number(told.get("dropped")),
    )
    latest(row, _PROGRESS, at, values)
