"""Events as agents send them, with times that are told by how long ago they were."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]


def event(event_type: str, seconds: float = 1.0, **fields: Any) -> Event:
    """Return an event of so many seconds ago."""
    stamp = datetime.now(UTC) - timedelta(seconds=seconds)
    made = {"event_id": str(uuid.uuid4()), "timestamp": stamp.isoformat(), "event_type": event_type}
    return {**made, **fields}


def custom(kind: str, summary: str, data: Event, seconds: float = 1.0, **fields: Any) -> Event:
    """Return an event of a kind."""
    payload = {"kind": kind, "summary": summary, "data": data}
    return event("custom", seconds, payload=payload, **fields)


def llm_call(name: str, model: str, seconds: float = 1.0, *, task: str = "", **data: Any) -> Event:
    """Return a call of a model, in a task or outside of any."""
    told = {"name": name, "model": model, "tokens_in": 1_000_000, "tokens_out": 0, **data}
    place = {"task_id": task, "task_run_id": f"{task}-run"} if task else {}
    return custom("llm_call", name, told, seconds, **place)


def run(
    task: str, seconds: float = 1.0, lasted: float = 0.5, status: str = "completed", **of: Any
) -> list[Event]:
    """Return the two ends of a run of a task, which ended so many seconds ago."""
    ids = {"task_id": task, "task_run_id": f"{task}-run", **of}
    return [
        event("task_started", seconds + lasted, **ids),
        event(f"task_{status}", seconds, duration_ms=round(lasted * 1000), **ids),
    ]
