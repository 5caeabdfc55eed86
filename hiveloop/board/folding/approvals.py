"""Which approval requests are open: decided again for a whole run whenever something of it comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from .facts import Facts

__all__ = ["Approval", "approval_of", "paired"]


class Approval(msgspec.Struct):
    """A row of `approvals`: a request or a decision. Fields as in the schema, in its order."""

    world: str
    event_id: str
    role: str
    agent_id: str
    task_id: str
    run_id: str
    project: str
    environment: str
    at_us: int
    summary: str | None
    approver: str | None
    reason: str | None
    parent_event_id: str | None
    decision: str | None
    decided_by: str | None
    decided_us: int | None = None
    decided_event_id: str | None = None
    is_open: int = 0


def approval_of(world: str, facts: Facts) -> Approval | None:
    """Return the row of an event, None unless it requests or decides."""
    event = facts.event
    if event.event_type not in ("approval_requested", "approval_received"):
        return None
    decides = event.event_type == "approval_received"
    return Approval(
        world,
        event.event_id,
        "decision" if decides else "request",
        event.agent_id,
        event.task_id,
        event.run_id,
        event.project,
        event.environment,
        event.ts_us,
        facts.words("summary"),
        facts.words("approver", 256),
        facts.words("reason"),
        event.parent_event_id,
        (facts.words("decision") or "approved").lower() if decides else None,
        facts.words("approved_by", 256) if decides else None,
    )


def paired(rows: Sequence[Approval], end_us: int | None) -> list[Approval]:
    """Pair the decisions of one run (or of one agent outside any task) with its requests.

    A decision closes the request that is its parent; else the oldest that is open when it comes. One that
    came too early by the clock closes the oldest left: clocks of two processes differ, decisions do not
    come from nowhere. A run that has ended needs no decision any more.

    Args:
        rows: all requests and decisions, in any order.
        end_us: when the run ended, None while it goes on.
    """
    ordered = sorted(rows, key=lambda row: (row.at_us, row.event_id))
    requests = {row.event_id: row for row in ordered if row.role == "request"}
    decisions = [row for row in ordered if row.role == "decision"]
    for row in ordered:
        row.decided_us = row.decided_event_id = None
        row.is_open = 0
    loose = [row for row in decisions if not _decide(requests.get(row.parent_event_id or ""), row)]
    for early in (False, True):
        loose = _matched(requests.values(), loose, early)
    for request in requests.values():
        if request.decided_us is None:
            request.decision = request.decided_by = None
            request.is_open = int(end_us is None or request.at_us > end_us)
    return ordered


def _matched(requests: Iterable[Approval], decisions: list[Approval], early: bool) -> list[Approval]:
    """Give each decision the oldest open request; return those that found none."""
    waiting = deque(request for request in requests if request.decided_us is None)
    left: list[Approval] = []
    for decision in decisions:
        if waiting and (early or waiting[0].at_us <= decision.at_us):
            _decide(waiting.popleft(), decision)
        else:
            left.append(decision)
    return left


def _decide(request: Approval | None, decision: Approval) -> bool:
    if request is None or request.decided_us is not None:
        return False
    request.decided_us, request.decided_event_id = decision.at_us, decision.event_id
    request.decision, request.decided_by = decision.decision, decision.decided_by
    decision.decided_event_id = request.event_id
    return True
