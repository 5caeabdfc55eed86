"""Stored events as readers see them: parsed once, named, and as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._clock import iso
from ._values import Payload, number, rounded, text

__all__ = ["Happening", "shown_event"]

_FAILED = frozenset(("task_failed", "action_failed"))
_WIRE_FIELDS = (
    "agent_id",
    "agent_type",
    "environment",
    "event_type",
    "severity",
    "task_id",
    "task_type",
    "correlation_id",
    "action_id",
    "parent_action_id",
    "parent_event_id",
    "status",
    "duration_ms",
)


class Happening:
    """One stored event with its payload parsed.

    Attributes:
        row: the event's columns.
        payload: its payload.
        at_us: when it happened.
    """

    __slots__ = ("at_us", "payload", "row")

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.payload = Payload(row["payload"])
        self.at_us = int(row["ts_us"])

    @property
    def event_id(self) -> str:
        """The event's own id."""
        return str(self.row["event_id"])

    @property
    def type(self) -> str:
        """The event type of the wire format."""
        return str(self.row["event_type"])

    @property
    def kind(self) -> str | None:
        """The kind of a custom event."""
        return text(self.row["kind"])

    @property
    def action_id(self) -> str | None:
        """The action it belongs to."""
        return text(self.row["action_id"])

    @property
    def failed(self) -> bool:
        """Whether it tells of a task or an action that failed."""
        return self.type in _FAILED

    @property
    def start_us(self) -> int:
        """When what it reports began: an event that carries a duration is sent at its end."""
        return self.at_us - max(0, round((self.duration_ms or 0) * 1_000))

    @property
    def duration_ms(self) -> float | None:
        """How long it took: the event's own duration, else its payload's."""
        own = number(self.row["duration_ms"])
        return own if own is not None else self.payload.number("duration_ms")

    @property
    def name(self) -> str:
        """A short name for it."""
        told = self.payload.text("action_name", "name")
        return told or self.payload.summary or self.kind or self.type

    @property
    def error(self) -> dict[str, Any] | None:
        """What went wrong, when something did."""
        kind = self.payload.text("exception_type", "error_type")
        message = self.payload.text("exception_message", "error_message", "error")
        if kind is None and message is None and not self.failed:
            return None
        return {"type": kind, "message": message or (self.payload.summary if self.failed else None)}

    def to_json(self) -> dict[str, Any]:
        """Return the event as the API shows it."""
        return shown_event(self.row, self.payload)


def shown_event(row: Mapping[str, Any], payload: Payload | None = None) -> dict[str, Any]:
    """Return a stored event under the names of the ingest API."""
    shown: dict[str, Any] = {"event_id": row["event_id"], "seq": row["seq"]}
    shown["timestamp"], shown["received_at"] = iso(row["ts_us"]), iso(row["received_us"])
    shown.update({name: None if row[name] == "" else row[name] for name in _WIRE_FIELDS})
    shown["group"] = row["grp"]
    shown["project_id"], shown["task_run_id"] = row["project"] or None, row["run_id"] or None
    shown["payload_kind"] = row["kind"]
    shown["duration_ms"] = rounded(row["duration_ms"], 3)
    shown["payload"] = (payload or Payload(row["payload"])).raw
    return shown
