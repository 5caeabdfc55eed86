"""What state an agent or a task is in, derived from what its events say and from the time.

An agent is, in this order:

- stuck: not stopped, and silent past its threshold; or its open work made no progress past the threshold,
  nobody is asked for an approval, and no announced silence (``expecting``) covers it;
- error: the last thing it did failed, and nothing is open;
- offline: it said that it stops, and nothing came after;
- waiting: somebody is asked for an approval;
- processing: a task is open, or an action outside any task;
- idle: none of these.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "DEFAULT_THRESHOLD_MS",
    "AgentInputs",
    "AgentState",
    "Status",
    "TaskState",
    "agent_status",
    "attention",
    "task_state",
]

AgentState = Literal["stuck", "error", "waiting", "processing", "idle", "offline"]
TaskState = Literal["completed", "failed", "escalated", "waiting", "processing", "stuck"]
StuckBy = Literal["silence", "no_progress"]

DEFAULT_THRESHOLD_MS = 300_000
"""Silence that makes an agent stuck unless it registered another threshold."""

_FAILURES = ("task_failed", "action_failed")
_BEGINNINGS = ("task_started", "action_started")
_ORDER = ("stuck", "error", "waiting", "processing", "idle", "offline")


class AgentInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a status derives from. Times are microseconds since the Unix epoch; None is unknown."""

    last_us: int = 0
    """Latest event of any kind."""
    first_us: int = 0
    last_heartbeat_us: int | None = None
    last_activity_us: int | None = None
    """Latest event that is work."""
    stuck_threshold_ms: int | None = None
    lifecycle_type: str | None = None
    """Type of the latest event that is no heartbeat, custom or registration."""
    lifecycle_us: int | None = None
    lifecycle_task: str | None = None
    lifecycle_label: str | None = None
    is_removed: bool = False
    """Whether somebody took it off the board, and it has not been heard of since."""
    is_stopped: bool = False
    stopped_us: int | None = None
    progress_beat_us: int | None = None
    """Time of the latest heartbeat that told of progress; the next six are its."""
    progress_us: int | None = None
    open_task: str = ""
    open_action: str = ""
    open_action_us: int | None = None
    expecting_us: int | None = None
    open_runs: int = 0
    oldest_task: str = ""
    """Task of the oldest open run, and the run and its beginning."""
    oldest_run: str = ""
    oldest_project: str = ""
    oldest_us: int | None = None
    stored_action: str = ""
    """The latest action of the open runs that has begun and not ended, and when it began."""
    stored_action_us: int | None = None
    open_approvals: int = 0
    approval_us: int | None = None
    """When the oldest open approval was requested, its summary, and who is asked."""
    approval_summary: str = ""
    approver: str = ""


class Status(msgspec.Struct, frozen=True):
    """The state of an agent, and why."""

    state: AgentState
    reason: str
    """A sentence without a name and without a full stop."""
    since_us: int
    """Since when; for stuck: the last sign of life, or of progress."""
    stuck_by: StuckBy | None = None
    task_id: str = ""
    """The oldest open task; of an error the one that failed."""
    run_id: str = ""
    project: str = ""
    action: str = ""
    """The action that is open now, and since when."""
    action_us: int | None = None
    task_us: int | None = None
    """When the oldest open task began."""
    is_offline: bool = False
    """Whether the agent said that it stops; true for some in error, too."""

    @property
    def wire(self) -> str:
        """The state in the words of the ingest API's dashboards, which know no offline."""
        return {"waiting": "waiting_approval", "offline": "idle"}.get(self.state, self.state)


def agent_status(told: AgentInputs, now_us: int) -> Status:
    """Return the state of an agent at a time."""
    found = (
        _stuck(told, now_us)
        or _error(told)
        or _offline(told)
        or _waiting(told)
        or _processing(told)
        or _idle(told)
    )
    if found.state == "error" or told.open_runs == 0:
        return found
    action, action_us = _action(told)
    return msgspec.structs.replace(
        found,
        task_id=told.oldest_task,
        run_id=told.oldest_run,
        project=told.oldest_project,
        action=action,
        action_us=action_us,
        task_us=told.oldest_us,
    )


def attention(state: str) -> int:
    """Return the place of an agent's state in a list sorted by attention, 0 first."""
    return _ORDER.index(state) if state in _ORDER else len(_ORDER)


def task_state(state: str, agent: Status | None) -> TaskState:
    """Return the state of a run.

    Args:
        state: column ``state`` of its row.
        agent: the state of its agent, None when unknown. An open run of an agent that is stuck, or that
            stopped without ending it, is stuck.
    """
    match state:
        case "completed" | "failed":
            return state
        case _ if agent is not None and (agent.state == "stuck" or agent.is_offline):
            return "stuck"
        case "escalated" | "waiting":
            return state
        case _:
            return "processing"


# -- the states, each None when it is another ---------------------------------------------------------


def _threshold_us(told: AgentInputs) -> int:
    return (told.stuck_threshold_ms or DEFAULT_THRESHOLD_MS) * 1000


def _stuck(told: AgentInputs, now_us: int) -> Status | None:
    if told.is_stopped:
        return None
    heard = max(told.last_heartbeat_us or 0, told.last_us)
    if now_us - heard > _threshold_us(told):
        return Status("stuck", "Nothing heard of it", heard, "silence")
    progress = max(told.last_activity_us or 0, told.progress_us or 0)
    if not _works(told) or told.open_approvals or not progress:
        return None
    if now_us - progress <= _threshold_us(told) or (told.expecting_us or 0) >= now_us:
        return None
    action, _ = _action(told)
    where = f" in {action}" if action else f" in task {told.oldest_task}" if told.oldest_task else ""
    return Status("stuck", f"Alive, but no progress{where}", progress, "no_progress")


def _error(told: AgentInputs) -> Status | None:
    if told.lifecycle_type not in _FAILURES or told.open_runs:
        return None
    what = "Task" if told.lifecycle_type == "task_failed" else "Action"
    detail = f": {told.lifecycle_label}" if told.lifecycle_label else ""
    return Status(
        "error",
        f"{what} failed{detail}",
        told.lifecycle_us or told.last_us,
        task_id=told.lifecycle_task or "",
        is_offline=told.is_stopped,
    )


def _offline(told: AgentInputs) -> Status | None:
    if not told.is_stopped:
        return None
    left = " with open tasks" if told.open_runs else ""
    return Status("offline", f"Stopped{left}", told.stopped_us or told.last_us, is_offline=True)


def _waiting(told: AgentInputs) -> Status | None:
    if not told.open_approvals:
        return None
    whom = f"Waiting for {told.approver}" if told.approver else "Waiting for approval"
    what = f": {told.approval_summary}" if told.approval_summary else ""
    return Status("waiting", whom + what, told.approval_us or told.last_us)


def _works(told: AgentInputs) -> bool:
    return told.open_runs > 0 or told.lifecycle_type in _BEGINNINGS


def _processing(told: AgentInputs) -> Status | None:
    if not _works(told):
        return None
    action, action_us = _action(told)
    what = f"In {action}" if action else "Working"
    return Status(
        "processing",
        what,
        told.oldest_us or told.lifecycle_us or told.last_us,
        task_id=told.lifecycle_task or "",
        action=action,
        action_us=action_us,
    )


def _idle(told: AgentInputs) -> Status:
    since = told.lifecycle_us or told.first_us or told.last_us
    return Status("idle", "No open task" if told.lifecycle_type else "No task yet", since)


def _action(told: AgentInputs) -> tuple[str, int | None]:
    """The open action: what the program itself said last, unless events have come since."""
    beat, activity = told.progress_beat_us, told.last_activity_us or 0
    if beat is not None and beat >= activity:
        return told.open_action, told.open_action_us
    if told.stored_action:
        return told.stored_action, told.stored_action_us
    if told.lifecycle_type == "action_started":
        return told.lifecycle_label or "", told.lifecycle_us
    return "", None
