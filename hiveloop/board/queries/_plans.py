"""A task's plan, revision by revision, from the events that told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hiveloop._shape import is_dict, is_list

from ._clock import iso
from ._happenings import Happening
from ._values import text, whole

__all__ = ["plans_of"]

_MOST_STEPS = 500
"""Steps shown of a plan; a sender's total is not believed beyond it."""
_FINAL = frozenset(("completed", "failed", "skipped"))


class _Plan:
    """One revision of a plan while its events are read."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.goal: str | None = None
        self.created_us: int | None = None
        self.total = 0
        self.steps: dict[int, dict[str, Any]] = {}

    def create(self, seen: Happening) -> None:
        """Take goal and steps from a ``plan_created`` event; steps told of before keep their state."""
        self.goal = seen.payload.text("goal") or seen.payload.summary
        self.created_us = seen.at_us
        given = seen.payload.get("steps")
        for position, step in enumerate(given if is_list(given) else []):
            index, description = _step_of(step, position)
            if 0 <= index < _MOST_STEPS:
                self._step(index)["description"] = description

    def advance(self, seen: Happening, index: int) -> None:
        """Take the state of one step from a ``plan_step`` event."""
        step, action = self._step(index), seen.payload.text("action") or "started"
        self.total = max(self.total, min(seen.payload.whole("total_steps") or 0, _MOST_STEPS))
        if action == "started":
            step["started_at"] = iso(seen.at_us)
            step["completed_at"] = None  # a step that is started again is not finished
        elif action in _FINAL:
            step["completed_at"] = iso(seen.at_us)
        step["action"] = action
        step["summary"] = seen.payload.summary or step["summary"]
        for name in ("turns", "tokens"):
            step[name] = seen.payload.whole(name) if seen.payload.get(name) is not None else step[name]

    def _step(self, index: int) -> dict[str, Any]:
        return self.steps.setdefault(index, _blank(index))

    def to_json(self) -> dict[str, Any]:
        """Return the revision as the API shows it."""
        count = max([self.total, *(index + 1 for index in self.steps)], default=0)
        steps = [self.steps.get(index) or _blank(index) for index in range(count)]
        done = sum(step["action"] == "completed" for step in steps)
        current = next((step["index"] for step in steps if step["action"] == "started"), None)
        return {
            "revision": self.revision,
            "goal": self.goal,
            "created_at": iso(self.created_us),
            "steps": steps,
            "current_step": current,
            "progress": {
                "completed": done,
                "failed": sum(step["action"] == "failed" for step in steps),
                "skipped": sum(step["action"] == "skipped" for step in steps),
                "total": count,
            },
        }


def _blank(index: int) -> dict[str, Any]:
    return {
        "index": index,
        "description": None,
        "action": None,
        "started_at": None,
        "completed_at": None,
        "summary": None,
        "turns": None,
        "tokens": None,
    }


def _step_of(step: object, position: int) -> tuple[int, str | None]:
    """The index and the description of a planned step, which may be plain text."""
    if is_dict(step):
        index = whole(step.get("index"))
        return (position if index is None else index), text(step.get("description"))
    return position, text(step)


def plans_of(seen: Iterable[Happening]) -> list[dict[str, Any]]:
    """Return every revision of the plan, the latest last; events must come in time order.

    A step without a revision belongs to the revision that is current when it happens. A plan that was
    never announced is inferred from its steps.
    """
    plans: dict[int, _Plan] = {}
    current = 0
    for happening in seen:
        if happening.kind == "plan_created":
            current = _revision(happening, "revision", "plan_revision", default=0)
            plans.setdefault(current, _Plan(current)).create(happening)
        elif happening.kind == "plan_step":
            index = happening.payload.whole("step_index")
            if index is not None and 0 <= index < _MOST_STEPS:
                revision = _revision(happening, "plan_revision", "revision", default=current)
                plans.setdefault(revision, _Plan(revision)).advance(happening, index)
    return [plans[revision].to_json() for revision in sorted(plans)]


def _revision(seen: Happening, *names: str, default: int) -> int:
    found = (seen.payload.whole(name) for name in names)
    return next((revision for revision in found if revision is not None), default)
