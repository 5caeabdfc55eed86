"""Imports on a delivery thread that a fork cannot cut in half.

What is imported at the first send would be left half-made in the child of a fork that happens
meanwhile, its import locks owned by a thread that does not exist there. So a fork waits for the
import to end, a few tens of milliseconds, once per process.
"""

from __future__ import annotations

import os
import threading
from importlib import import_module
from types import ModuleType

__all__ = ["load_session"]

LONGEST_WAIT_SECONDS = 5.0

_importing = threading.RLock()
_held: list[bool] = []


def load_session() -> ModuleType:
    """Import `_session` and what it imports later on; at once when that was done before."""
    with _importing:
        import_module("email.utils")  # reads the dates of Retry-After
        import_module("encodings.idna")  # what `socket.getaddrinfo` imports for a host name
        return import_module("hiveloop.transports._session")


def _before_fork() -> None:
    _held.append(_importing.acquire(timeout=LONGEST_WAIT_SECONDS))


def _after_fork() -> None:
    if _held.pop():
        _importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
