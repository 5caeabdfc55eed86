"""Events for tests of the store and of statuses."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hiveloop.board.model import NewEvent, Profile

__all__ = ["NOON", "SECOND", "custom", "event", "llm", "rows_of"]

SECOND = 1_000_000
NOON = 1_790_000_000 * SECOND
"""The instant tests begin at."""
_ids = itertools.count(1)


def event(
    event_type: str,
    at: float = 0,
    payload: dict[str, Any] | None = None,
    *,
    agent: str = "ada",
    task: str = "",
    run: str | None = None,
    event_id: str | None = None,
    **fields: Any,
) -> NewEvent:
    """Return an event `at` seconds after noon; a task without `run` has the run "r1"."""
    body = payload or {}
    ts_us = NOON + round(at * SECOND)
    kind = body.get("kind")
    return NewEvent(
        event_id=event_id or f"event-{next(_ids):08d}",
        ts_us=ts_us,
        received_us=fields.pop("received_us", ts_us + SECOND // 10),
        agent_id=agent,
        event_type=event_type,
        task_id=task,
        run_id=("r1" if task else "") if run is None else run,
        kind=kind if isinstance(kind, str) else None,
        payload=json.dumps(body),
        profile=fields.pop("profile", Profile(sdk_version="hiveloop-1.0.0")),
        **fields,
    )


def custom(kind: str, at: float = 0, data: dict[str, Any] | None = None, **fields: Any) -> NewEvent:
    """Return a custom event."""
    summary = fields.pop("summary", kind)
    return event("custom", at, {"kind": kind, "summary": summary, "data": data or {}}, **fields)


def llm(at: float = 0, **data: Any) -> NewEvent:
    """Return an LLM call of task "t", by an agent that may be named."""
    agent, task = data.pop("agent", "ada"), data.pop("task", "t")
    told = {"name": "plan", "model": "gpt-4o", "tokens_in": 1000, "tokens_out": 100, **data}
    return custom("llm_call", at, told, agent=agent, task=task)


def rows_of(store: Any, sql: str, *args: Any) -> list[dict[str, Any]]:
    """Run a SELECT."""
    with store.reader() as reader:
        return reader.rows(sql, args)
