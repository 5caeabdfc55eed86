"""A transport of our own: it counts what passes. This is all that a transport needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from hiveloop import Batch, Delivered, Event, EventType, Outcome, Transport

__all__ = ["Figures", "TallyTransport"]


@dataclass(slots=True)
class Figures:
    """What the events add up to."""

    events: int = 0
    tasks_completed: int = 0
    tasks_failed: int = 0
    actions: int = 0
    llm_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    retries: int = 0
    escalations: int = 0
    approvals: int = 0
    issues_reported: set[str] = field(default_factory=set[str])
    issues_resolved: set[str] = field(default_factory=set[str])
    issues_open: set[str] = field(default_factory=set[str])


class TallyTransport(Transport):
    """Adds up tasks, model calls, tokens, cost and issues.

    Attributes:
        figures: the sums so far.
    """

    name = "tally"

    def __init__(self) -> None:
        self.figures = Figures()

    def send(self, prepared: object, timeout: float) -> Outcome:
        """Count a batch."""
        for event in cast("Batch", prepared).events:
            self._count(event)
        return Delivered()

    def _count(self, event: Event) -> None:
        figures = self.figures
        figures.events += 1
        match event.type:
            case EventType.TASK_COMPLETED:
                figures.tasks_completed += 1
            case EventType.TASK_FAILED:
                figures.tasks_failed += 1
            case EventType.ACTION_COMPLETED | EventType.ACTION_FAILED:
                figures.actions += 1
            case EventType.RETRY_STARTED:
                figures.retries += 1
            case EventType.ESCALATED:
                figures.escalations += 1
            case EventType.APPROVAL_REQUESTED:
                figures.approvals += 1
            case _:
                self._count_kind(event)

    def _count_kind(self, event: Event) -> None:
        figures, data = self.figures, event.data
        if event.kind == "llm_call":
            figures.llm_calls += 1
            figures.tokens_in += data.get("tokens_in", 0)
            figures.tokens_out += data.get("tokens_out", 0)
            figures.cost += data.get("cost", 0.0)
        elif event.kind == "issue":
            self._count_issue(data.get("issue_id") or event.summary or "", data.get("action") == "resolved")

    def _count_issue(self, issue: str, resolved: bool) -> None:
        figures = self.figures
        if resolved:
            figures.issues_resolved.add(issue)
            figures.issues_open.discard(issue)
        else:
            figures.issues_reported.add(issue)
            figures.issues_open.add(issue)
