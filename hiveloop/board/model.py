"""What the board stores: one event, as it came in and as it was written."""

from __future__ import annotations

import msgspec

__all__ = ["EVENT_TYPES", "SEVERITIES", "WORLDS", "NewEvent", "Profile", "StoredEvent"]

WORLDS = ("live", "test")
"""The two name spaces of a board; what test keys send never mixes with the rest."""
EVENT_TYPES = frozenset(
    (
        "agent_registered",
        "heartbeat",
        "task_started",
        "task_completed",
        "task_failed",
        "action_started",
        "action_completed",
        "action_failed",
        "retry_started",
        "escalated",
        "approval_requested",
        "approval_received",
        "custom",
    )
)
"""The types of the wire format. Source: ingest API."""
SEVERITIES = frozenset(("debug", "info", "warn", "error"))


class Profile(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an envelope tells about the program behind an agent; None where it says nothing."""

    agent_version: str | None = None
    framework: str | None = None
    runtime: str | None = None
    sdk_version: str | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One accepted event, every field of the right type and within its limits.

    Text that was not sent is "" where a fold groups by it (task, run, project, task type) and None
    elsewhere.
    """

    event_id: str
    """The sender's id; the store keeps the first event of each id and world."""
    ts_us: int
    """When it happened: microseconds since the Unix epoch, UTC, at least 0."""
    received_us: int
    """When the board got it: microseconds since the Unix epoch, UTC."""
    agent_id: str
    event_type: str
    """One of the 13 types of the ingest API."""
    agent_type: str = "general"
    severity: str = "info"
    """debug, info, warn or error."""
    environment: str = "production"
    group: str = "default"
    project: str = ""
    """Slug of the project."""
    task_id: str = ""
    run_id: str = ""
    """Tells runs of one task id apart; "" from clients that send none."""
    task_type: str = ""
    correlation_id: str | None = None
    action_id: str | None = None
    parent_action_id: str | None = None
    parent_event_id: str | None = None
    status: str | None = None
    duration_ms: int | None = None
    kind: str | None = None
    """``payload.kind`` where that is text."""
    payload: str = "{}"
    """The payload as JSON text of an object. Readers look in it and in its ``data``."""
    profile: Profile = Profile()


class StoredEvent(NewEvent, frozen=True, kw_only=True, gc=False):
    """An event in the store."""

    seq: int
    """Grows with every stored event of this store, over both worlds; without gaps only by accident."""
    world: str
    """``live`` or ``test``."""
