"""Events made by hand, for tests of what transports do with them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hiveloop.events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
from hiveloop.transport import Batch

__all__ = ["Script", "batch"]

NOON_NS = 1_780_000_000_000_000_000


def batch(*events: Event) -> Batch:
    """Return a batch of `events`."""
    return Batch(tuple(events))


@dataclass
class Script:
    """What one agent does in one task, as events half a second apart.

    Attributes:
        agent_id: the agent.
        task_id: the task of every event; None for events outside a task.
    """

    agent_id: str = "sales"
    task_id: str | None = "lead-42"
    project: str | None = None
    _count: int = field(default=0, init=False)

    @property
    def agent(self) -> AgentInfo:
        """The agent as its events carry it."""
        return AgentInfo(agent_id=self.agent_id, runtime="python-3.11.9", sdk_version="hiveloop-1.0.0")

    @property
    def task(self) -> TaskInfo | None:
        """The task as its events carry it."""
        return None if self.task_id is None else TaskInfo(self.task_id, f"run-{self.task_id}", self.project)

    def event(
        self,
        kind: EventType | str,
        payload: dict[str, Any] | None = None,
        *,
        action: ActionInfo | None = None,
        severity: Severity = Severity.INFO,
        status: str | None = None,
        duration_ms: int | None = None,
    ) -> Event:
        """Return the next event; a `kind` that is no event type makes a custom one."""
        self._count += 1
        if kind in set(EventType):
            type_, content = EventType(kind), payload or {}
        else:
            type_, content = EventType.CUSTOM, {"kind": str(kind), **(payload or {})}
        return Event(
            event_id=f"{self.agent_id}-{self.task_id}-{self._count}",
            time_ns=NOON_NS + self._count * 500_000_000,
            type=type_,
            severity=severity,
            agent=self.agent,
            task=self.task,
            action=action,
            status=status,
            duration_ms=duration_ms,
            payload_json=json.dumps(content, ensure_ascii=False),
            size=200,
        )

    def started(self) -> Event:
        """The task starts."""
        return self.event("task_started", {"summary": f"Task {self.task_id} started"})

    def completed(self, status: str = "success", duration_ms: int = 1600, **payload: Any) -> Event:
        """The task ends well."""
        return self.event("task_completed", payload, status=status, duration_ms=duration_ms)

    def failed(self, error: str, message: str, duration_ms: int = 1600) -> Event:
        """The task fails."""
        payload = {"exception_type": error, "exception_message": message}
        return self.event("task_failed", payload, status="failure", duration_ms=duration_ms)

    def action_started(self, name: str, parent: str | None = None) -> Event:
        """An action starts; its name is its id."""
        return self.event("action_started", {"action_name": name}, action=ActionInfo(name, parent))

    def action_completed(
        self, name: str, parent: str | None = None, duration_ms: int = 340, **payload: Any
    ) -> Event:
        """An action ends well."""
        return self.event(
            "action_completed",
            {"action_name": name, **payload},
            action=ActionInfo(name, parent),
            status="success",
            duration_ms=duration_ms,
        )

    def action_failed(self, name: str, error: str, message: str, parent: str | None = None) -> Event:
        """An action fails."""
        payload = {"action_name": name, "exception_type": error, "exception_message": message}
        action = ActionInfo(name, parent)
        return self.event("action_failed", payload, action=action, status="failure", duration_ms=88)

    def llm_call(self, name: str = "reason", model: str = "claude-sonnet-4", **data: Any) -> Event:
        """A model is called; `action` says in which action."""
        action = data.pop("action", None)
        inside = None if action is None else ActionInfo(action)
        summary = f"{name} → {model}"
        return self.event(
            "llm_call", {"summary": summary, "data": {"name": name, "model": model, **data}}, action=inside
        )
