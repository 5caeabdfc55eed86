"""From the small record a sensor leaves behind to the `Event` that transports see.

A record is a tuple, since nothing in Python is cheaper to make or smaller to keep:

    (build, number, time_ns, source, *arguments)

`build` is a function of `payloads`, `number` becomes the event id, `source` is the agent, task or
action the sensor was called on, and the arguments are frozen. Everything else about an event is
worked out here, on a delivery thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ._ids import id_text
from ._redact import SURELY_SMALL
from .events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo

if TYPE_CHECKING:
    from ._redact import Privacy

__all__ = ["EventBuilder", "Record", "Source"]

Record = tuple[Any, ...]

_INFO, _TASK_STARTED, _ACTION_STARTED = Severity.INFO, EventType.TASK_STARTED, EventType.ACTION_STARTED

_FRAME_BYTES = 330
"""Typical JSON around a payload: ids, time, type, task."""


class Source(Protocol):
    """What a record was made on: an agent, a task or an action."""

    @property
    def agent(self) -> object:
        """The agent's handle, by identity."""
        ...

    def describe(self, privacy: Privacy) -> tuple[AgentInfo, TaskInfo | None, ActionInfo | None]:
        """Return who, in which task and action; cached by the source."""
        ...


class EventBuilder:
    """Builds events under one privacy configuration; used by all delivery threads."""

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy

    def build(self, record: Record) -> Event:
        """Build the event of a record.

        Raises:
            Exception: the record is beyond repair; the engine drops it as ``encode_error``.
        """
        make, number, time_ns, source, *arguments = record
        privacy = self._privacy
        type_, payload, severity, status, duration_ns, parent = make(privacy, *arguments)
        if privacy.masks or len(payload) > SURELY_SMALL:
            payload = privacy.finished(payload)
        agent, task, action = source.describe(privacy)
        return Event._make(
            (
                id_text(number),
                time_ns,
                type_,
                severity,
                agent,
                task,
                action,
                status,
                None if duration_ns is None else max(0, duration_ns // 1_000_000),
                parent,
                payload,
                len(payload) + _FRAME_BYTES,
            )
        )

    def started(self, record: Record) -> Event:
        """Build the start event of a scope for hooks, on the agent's thread: ids and time, no payload.

        Payloads pass the user's mask, which runs on delivery threads only.
        """
        agent, task, action = record[3].describe(self._privacy)
        if action is None:
            return Event(id_text(record[1]), record[2], _TASK_STARTED, _INFO, agent, task)
        # An action and the event that starts it share their number.
        return Event(action.action_id, record[2], _ACTION_STARTED, _INFO, agent, task, action)

    def trimmed(self, event: Event) -> Event:
        """Return the event with its payload cut to a quarter, for a receiver that finds it too large."""
        from ._redact import PAYLOAD_LIMIT, trimmed

        payload = trimmed(event.payload_json, min(event.size, PAYLOAD_LIMIT) // 4)
        return event._replace(payload_json=payload, size=len(payload) + _FRAME_BYTES)
