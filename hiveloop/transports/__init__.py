"""The transports that come with hiveloop, each imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .console import ConsoleTransport
    from .http import HttpTransport
    from .jsonl import JsonlTransport
    from .memory import MemoryTransport

__all__ = ["ConsoleTransport", "HttpTransport", "JsonlTransport", "MemoryTransport"]

_MODULES = {
    "ConsoleTransport": ".console",
    "HttpTransport": ".http",
    "JsonlTransport": ".jsonl",
    "MemoryTransport": ".memory",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
