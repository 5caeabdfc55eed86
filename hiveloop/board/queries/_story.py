"""What a run of a task spent its time on, and how it came to fail."""

from __future__ import annotations

from typing import Any

from ._happenings import Happening
from ._intervals import Interval, clip, length, minus, union
from ._tree import Waterfall

__all__ = ["breakdown", "error_chains", "failure"]

_BEFORE = 10
"""Events shown before a failure."""
_MOST_CHAINS = 100
_FAILED_KINDS = frozenset(("error_context",))


def breakdown(fall: Waterfall, start_us: int, end_us: int) -> dict[str, Any]:
    """Return where the wall time went; the parts add up to it, however calls nest and overlap.

    Each moment counts once: as LLM call, else as tool (an action without actions in it), else as waiting
    for an approval, else as other.
    """
    end_us = max(start_us, end_us)
    left: list[Interval] = [(start_us, end_us)]
    parts: dict[str, int] = {}
    covers = {"llm": _llm(fall), "tools": _tools(fall, end_us), "waiting": _waiting(fall, end_us)}
    for name, intervals in covers.items():
        covered = clip(intervals, start_us, end_us)
        before = length(left)
        left = minus(left, covered)
        parts[name] = before - length(left)
    return _in_milliseconds(parts, end_us - start_us)


def _in_milliseconds(parts: dict[str, int], wall_us: int) -> dict[str, Any]:
    """The parts as whole milliseconds; what rounding leaves goes to ``other``, so that the sum holds."""
    wall = wall_us // 1_000
    shown = {f"{name}_ms": us // 1_000 for name, us in parts.items()}
    return {"wall_ms": wall, **shown, "other_ms": wall - sum(shown.values())}


def _llm(fall: Waterfall) -> list[Interval]:
    return [(seen.start_us, seen.at_us) for seen in fall.seen if seen.kind == "llm_call"]


def _tools(fall: Waterfall, end_us: int) -> list[Interval]:
    return [action.interval(end_us) for action in fall.actions.values() if not action.children]


def _waiting(fall: Waterfall, end_us: int) -> list[Interval]:
    """When at least one approval was open."""
    waits: list[Interval] = []
    since: list[int] = []
    for seen in fall.seen:
        if seen.type == "approval_requested":
            since.append(seen.at_us)
        elif seen.type == "approval_received" and since:
            waits.append((since.pop(0), seen.at_us))
    return union([*waits, *((start, end_us) for start in since)])


def error_chains(fall: Waterfall) -> list[dict[str, Any]]:
    """Return each failure with the actions it happened in, its retries and whether it was overcome."""
    failures = [seen for seen in fall.seen if seen.failed or seen.kind in _FAILED_KINDS]
    return [_chain(fall, seen) for seen in failures[:_MOST_CHAINS]]


def _chain(fall: Waterfall, seen: Happening) -> dict[str, Any]:
    retries = [other for other in fall.seen if other.type == "retry_started" and _concerns(other, seen)]
    return {
        "event_id": seen.event_id,
        "event_type": seen.type,
        "kind": seen.kind,
        "action_id": seen.action_id,
        "name": seen.name,
        "error": seen.error,
        "path": _path(fall, seen.action_id),
        "retries": [other.event_id for other in retries],
        "recovered": _recovered(fall, seen),
    }


def _concerns(retry: Happening, failed: Happening) -> bool:
    """Tell whether a retry names a failure as its cause, or follows it in the same action."""
    parent = retry.row["parent_event_id"]
    if parent:
        return str(parent) == failed.event_id
    return retry.action_id is not None and retry.action_id == failed.action_id


def _path(fall: Waterfall, action_id: str | None) -> list[str]:
    """The actions from the outermost down to this one."""
    path: list[str] = []
    action = fall.actions.get(action_id or "")
    while action is not None and action.action_id not in path:
        path.append(action.action_id)
        action = fall.actions.get(action.parent_id or "")
    return path[::-1]


def _recovered(fall: Waterfall, failed: Happening) -> bool:
    """Tell whether the same work succeeded later: an action of the same name, or the task."""
    if failed.type == "task_failed":
        return False
    if failed.type != "action_failed":
        return any(seen.type == "task_completed" for seen in fall.seen)
    return any(
        action.name == failed.name and action.status == "success" and action.start_us >= failed.at_us
        for action in fall.actions.values()
    )


def failure(fall: Waterfall) -> dict[str, Any] | None:
    """Return the failure to look at first with the events before it; None when nothing failed.

    Of a failed task that is the action that failed last, since it failed for it, unless the task failed
    on its own.
    """
    ends = [at for at, seen in enumerate(fall.seen) if seen.failed]
    if not ends:
        return None
    at = _cause(fall.seen, ends)
    seen = fall.seen[at]
    before = [other for other in fall.seen[:at] if other.type != "heartbeat"][-_BEFORE:]
    in_action = seen.type == "action_failed" and seen.action_id
    return {
        "event_id": seen.event_id,
        "node_id": f"action:{seen.action_id}" if in_action else f"event:{seen.event_id}",
        "name": seen.name,
        "error": seen.error,
        "path": _path(fall, seen.action_id),
        "events_before": [other.to_json() for other in before],
    }


def _cause(seen: list[Happening], ends: list[int]) -> int:
    """The innermost action that failed with what the task failed with, else the last failure."""
    last = ends[-1]
    reason = _reason(seen[last])
    for at in ends:
        if seen[at].type == "action_failed" and _reason(seen[at]) == reason:
            return at
    return last


def _reason(seen: Happening) -> tuple[str | None, str | None]:
    error = seen.error or {}
    return error.get("type"), error.get("message")
