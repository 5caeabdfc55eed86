"""What is public of the classes that agents report with, and yet no sensor."""

from __future__ import annotations

from typing import Any

import hiveloop
from hiveloop import Action, Agent, HiveBoard, Task

__all__ = ["ENGINE"]

ENGINE: dict[Any, set[str]] = {
    Agent: {
        "activated",
        "beat",
        "deactivated",
        "describe",
        "emit",
        "forget_oldest",
        "log_debug",
        "register",
        "route",
        "scope_entered",
        "scope_json",
        "scope_started",
        "stopped",
    },
    Task: {"describe", "info", "scope_json", "start"},
    Action: {"begin_apart", "describe", "end", "scope_json"},
    HiveBoard: {"divert", "renew", "retire"},
    hiveloop: {"init"},
}
"""Public to the engine, not to users: they take what the engine made."""
