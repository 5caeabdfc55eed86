# ruff: noqa: UP045 - the guide's own spelling
"""The plumbing module of the integration guide.

Headings: Step 4: Plumb the task handle through the call stack · Cost estimation helper.
"""

from __future__ import annotations

import contextvars
from typing import Any, Optional

_current_task: contextvars.ContextVar[Any] = contextvars.ContextVar("hiveloop_task", default=None)
_current_agent: contextvars.ContextVar[Any] = contextvars.ContextVar("hiveloop_agent", default=None)


def set_current_task(task: Any) -> None:
    _current_task.set(task)


def get_current_task() -> Optional[Any]:
    return _current_task.get()


def clear_current_task() -> None:
    _current_task.set(None)


def set_hiveloop_agent(agent: Any) -> None:
    _current_agent.set(agent)


def get_hiveloop_agent() -> Optional[Any]:
    return _current_agent.get()


def clear_hiveloop_agent() -> None:
    _current_agent.set(None)


# Prices as of early 2026 -- update when pricing changes
COST_PER_MILLION = {
    # Anthropic
    "claude-opus-4-6": {"input": 15.00, "output": 75.00},
    "claude-sonnet-4-5-20250929": {"input": 3.00, "output": 15.00},
    "claude-haiku-4-5-20251001": {"input": 0.80, "output": 4.00},
    "claude-3-haiku-20240307": {"input": 0.25, "output": 1.25},
    # OpenAI
    "gpt-4o": {"input": 2.50, "output": 10.00},
    "gpt-4o-mini": {"input": 0.15, "output": 0.60},
    # Add your models here
}


def estimate_cost(model: str, tokens_in: int, tokens_out: int) -> float | None:
    rates = COST_PER_MILLION.get(model)
    if not rates:
        return None
    return (tokens_in * rates["input"] / 1_000_000) + (tokens_out * rates["output"] / 1_000_000)
