"""The event model: what every transport receives.

An `Event` is one immutable fact about an agent. It is built on a delivery thread from the
small record that a sensor left behind, after redaction and masking, so a transport can never
see what the user asked to hide.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from ._shape import is_dict

__all__ = ["ActionInfo", "AgentInfo", "Event", "EventType", "Severity", "TaskInfo"]


class EventType(StrEnum):
    """The 13 event types of the wire format. Source: ingest API."""

    AGENT_REGISTERED = "agent_registered"
    HEARTBEAT = "heartbeat"
    TASK_STARTED = "task_started"
    TASK_COMPLETED = "task_completed"
    TASK_FAILED = "task_failed"
    ACTION_STARTED = "action_started"
    ACTION_COMPLETED = "action_completed"
    ACTION_FAILED = "action_failed"
    RETRY_STARTED = "retry_started"
    ESCALATED = "escalated"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_RECEIVED = "approval_received"
    CUSTOM = "custom"


class Severity(StrEnum):
    """How loud an event is, from quiet to loud."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class AgentInfo(NamedTuple):
    """Who reports: one object per agent and version; the envelope of a native batch.

    Attributes:
        agent_id: unique name, at most 256 characters.
        type: role or classification, such as "sales".
        version: version of the agent or model, or None.
        framework: name of the agent framework.
        environment: deployment stage, at most 64 characters.
        group: team or service, at most 128 characters.
        runtime: language and version, such as "python-3.12.1".
        sdk_version: "hiveloop-" and the version of this package.
    """

    agent_id: str
    type: str = "general"
    version: str | None = None
    framework: str = "custom"
    environment: str = "production"
    group: str = "default"
    runtime: str = ""
    sdk_version: str = ""


class TaskInfo(NamedTuple):
    """The task an event belongs to.

    `run_id` is unique per execution, so that one `task_id` may run again.
    """

    task_id: str
    run_id: str
    project: str | None = None
    type: str | None = None
    correlation_id: str | None = None


class ActionInfo(NamedTuple):
    """The action an event belongs to; `parent_action_id` makes the tree."""

    action_id: str
    parent_action_id: str | None = None


@lru_cache(maxsize=256)
def _parsed(payload_json: str) -> dict[str, Any]:
    import json

    payload: dict[str, Any] = json.loads(payload_json)
    return payload


class Event(NamedTuple):
    """One fact about an agent, as transports receive it.

    Attributes:
        event_id: UUID text, unique across processes, forks and restarts. The server drops a
            repeated one, so re-sending is always safe.
        time_ns: wall clock of the sensor call, nanoseconds since the Unix epoch, UTC.
        type: one of the 13 event types.
        severity: the loudness.
        agent: the reporting agent.
        task: the task it happened in, or None.
        action: the action it happened in, or None.
        status: "success", "failure" or the caller's own word; terminal events only.
        duration_ms: milliseconds from start to end; terminal events only.
        parent_event_id: the event that caused this one, or None.
        payload_json: the payload as JSON text, already redacted, masked and cut to size. Well-known
            kinds of `custom` events have ``kind``, ``summary``, ``data`` and ``tags``. A transport that
            sends JSON uses it as it is.
        size: estimated bytes of the event once encoded as JSON; for batching, not exact.
    """

    event_id: str
    time_ns: int
    type: EventType
    severity: Severity
    agent: AgentInfo
    task: TaskInfo | None = None
    action: ActionInfo | None = None
    status: str | None = None
    duration_ms: int | None = None
    parent_event_id: str | None = None
    payload_json: str = "{}"
    size: int = 0

    @property
    def payload(self) -> dict[str, Any]:
        """The payload as a dict, parsed when first asked for. Shared: read it, do not change it."""
        return _parsed(self.payload_json)

    @property
    def kind(self) -> str | None:
        """The payload's kind, such as "llm_call", or None for events without one."""
        kind = self.payload.get("kind")
        return kind if isinstance(kind, str) else None

    @property
    def summary(self) -> str | None:
        """The one-line human text of the event, if it has one."""
        summary = self.payload.get("summary")
        return summary if isinstance(summary, str) else None

    @property
    def data(self) -> dict[str, Any]:
        """The payload's ``data`` mapping; the payload itself when it has none."""
        data = self.payload.get("data")
        return data if is_dict(data) else self.payload
