"""The ends and beginnings of processes: orderly exit, and the children of a fork.

The exit hook has the last events delivered. It is registered at the first event, not at `init`: exit
handlers run last in, first out, and an application that sets up its own telemetry after `init` would
otherwise tear it down before we are done. The children of `multiprocessing` and of Celery end without running
`atexit` handlers, so they get a finaliser of that package. ``os._exit`` and a fatal signal run nothing:
call `hiveloop.flush` first.
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["ExitHook", "renew_in_children"]


class Renewable(Protocol):
    """Something whose threads and locks are void in the child of a fork."""

    def renew(self) -> None:
        """Start afresh."""
        ...


def renew_in_children(thing: Renewable) -> None:
    """Renew an object in each forked child, without keeping it alive."""
    reference = weakref.ref(thing)

    def renew() -> None:
        inherited = reference()
        if inherited is not None:
            inherited.renew()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


class ExitHook:
    """Calls a bound method once at the end of the process, without keeping its object alive."""

    def __init__(self, method: Callable[[], None]) -> None:
        self._method = weakref.WeakMethod(method)
        self._pid: int | None = None

    def register(self) -> None:
        """Register for this process; further calls in the same process do nothing."""
        if self._pid == os.getpid():
            return
        inherited = self._pid is not None
        self._pid = os.getpid()
        if not inherited:  # a fork's child inherits the handler
            atexit.register(self._call)
        for package in ("multiprocessing", "billiard"):  # the latter is Celery's
            util: Any = sys.modules.get(f"{package}.util")
            if util is not None:
                util.Finalize(None, self._call, exitpriority=100)

    def cancel(self) -> None:
        """Forget the registration, after an explicit shutdown."""
        atexit.unregister(self._call)

    def _call(self) -> None:
        method = self._method()
        if method is not None:
            method()
