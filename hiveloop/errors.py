"""Exceptions that hiveloop raises.

    Exception
    └── HiveLoopError
        └── HiveLoopConfigError (also a ValueError)

Only configuration raises. A sensor (``task.llm_call`` and its like) never does:
observability must not break the agent it observes.
"""

from __future__ import annotations

__all__ = ["HiveLoopConfigError", "HiveLoopError"]


class HiveLoopError(Exception):
    """Base class of every exception raised by hiveloop."""


class HiveLoopConfigError(HiveLoopError, ValueError):
    """A wrong argument to `hiveloop.init` or to a transport's constructor.

    The message names the argument, the value (never an API key) and the fix.
    """
