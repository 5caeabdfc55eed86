"""HiveLoop: make AI agents observable.

import hiveloop

hb = hiveloop.init(api_key="hb_live_...")
agent = hb.agent("sales")
with agent.task("lead-42") as task:
    task.llm_call("reasoning", "claude-sonnet-4-5", tokens_in=1200, tokens_out=350, cost=0.008)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._action import Action
    from ._agent import Agent
    from ._client import HiveBoard, flush, get_client, init, reset, shutdown
    from ._scope import (
        clear_current_agent,
        clear_current_task,
        get_current_agent,
        get_current_task,
        propagate,
        set_current_agent,
        set_current_task,
    )
    from ._sensors import (
        approval_received,
        escalate,
        event,
        expecting,
        llm_call,
        plan,
        plan_step,
        queue_snapshot,
        report_issue,
        request_approval,
        resolve_issue,
        retry,
        scheduled,
        set_payload,
        todo,
        track,
        track_context,
    )
    from ._task import Task
    from .errors import HiveLoopConfigError, HiveLoopError
    from .events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
    from .payloads import tool_payload
    from .stats import DropReason, LaneStats, Stats
    from .transport import (
        Batch,
        BatchLimits,
        Delivered,
        EventHooks,
        JsonBatch,
        Misconfigured,
        Outcome,
        Refused,
        Retry,
        ScopeHooks,
        TakesJson,
        TooLarge,
        Transport,
    )
    from .transports import ConsoleTransport, HttpTransport, JsonlTransport, MemoryTransport

SDK_VERSION = __version__
"""The version, under the name that hiveloop 0.2.0 had for it."""

__all__ = [
    "SDK_VERSION",
    "Action",
    "ActionInfo",
    "Agent",
    "AgentInfo",
    "Batch",
    "BatchLimits",
    "ConsoleTransport",
    "Delivered",
    "DropReason",
    "Event",
    "EventHooks",
    "EventType",
    "HiveBoard",
    "HiveLoopConfigError",
    "HiveLoopError",
    "HttpTransport",
    "JsonBatch",
    "JsonlTransport",
    "LaneStats",
    "MemoryTransport",
    "Misconfigured",
    "Outcome",
    "Refused",
    "Retry",
    "ScopeHooks",
    "Severity",
    "Stats",
    "TakesJson",
    "Task",
    "TaskInfo",
    "TooLarge",
    "Transport",
    "__version__",
    "approval_received",
    "clear_current_agent",
    "clear_current_task",
    "escalate",
    "event",
    "expecting",
    "flush",
    "get_client",
    "get_current_agent",
    "get_current_task",
    "init",
    "llm_call",
    "plan",
    "plan_step",
    "propagate",
    "queue_snapshot",
    "report_issue",
    "request_approval",
    "reset",
    "resolve_issue",
    "retry",
    "scheduled",
    "set_current_agent",
    "set_current_task",
    "set_payload",
    "shutdown",
    "todo",
    "tool_payload",
    "track",
    "track_context",
]

# Imported when first asked for: a program that only imports hiveloop pays next to nothing.
_HOMES = {
    "._action": ("Action",),
    "._agent": ("Agent",),
    "._client": (
        "HiveBoard",
        "flush",
        "get_client",
        "init",
        "reset",
        "shutdown",
    ),
    "._scope": (
        "clear_current_agent",
        "clear_current_task",
        "get_current_agent",
        "get_current_task",
        "propagate",
        "set_current_agent",
        "set_current_task",
    ),
    "._sensors": (
        "approval_received",
        "escalate",
        "event",
        "expecting",
        "llm_call",
        "plan",
        "plan_step",
        "queue_snapshot",
        "report_issue",
        "request_approval",
        "resolve_issue",
        "retry",
        "scheduled",
        "set_payload",
        "todo",
        "track",
        "track_context",
    ),
    "._task": ("Task",),
    ".errors": (
        "HiveLoopConfigError",
        "HiveLoopError",
    ),
    ".events": (
        "ActionInfo",
        "AgentInfo",
        "Event",
        "EventType",
        "Severity",
        "TaskInfo",
    ),
    ".payloads": ("tool_payload",),
    ".stats": (
        "DropReason",
        "LaneStats",
        "Stats",
    ),
    ".transport": (
        "Batch",
        "BatchLimits",
        "Delivered",
        "EventHooks",
        "JsonBatch",
        "Misconfigured",
        "Outcome",
        "Refused",
        "Retry",
        "ScopeHooks",
        "TakesJson",
        "TooLarge",
        "Transport",
    ),
    ".transports": (
        "ConsoleTransport",
        "HttpTransport",
        "JsonlTransport",
        "MemoryTransport",
    ),
}
_SUBMODULES = frozenset(("contrib", "errors", "events", "stats", "testing", "transport", "transports"))
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'hiveloop' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
