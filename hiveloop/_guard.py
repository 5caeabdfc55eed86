"""The one safety boundary: what hiveloop does wrong never reaches the agent.

Four seams use it: public sensors, scope hooks, user callbacks and transports. Code inside the
seams raises freely and reads plainly. On the agent's threads `BaseException` is never caught: a
KeyboardInterrupt or a cancellation belongs to the application.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

__all__ = [
    "attempt",
    "contain",
    "failures",
    "guarded",
    "guarded_enter",
    "guarded_exit",
    "guarded_scope",
    "logger",
    "notice",
    "strict",
]

P = ParamSpec("P")
R = TypeVar("R")

# No NullHandler: a program that never set up logging still sees our few warnings on stderr, and a missing
# key would otherwise stay a riddle.
logger = logging.getLogger("hiveloop")

_QUIET_SECONDS = 60.0


class _Reports:
    """Counts failures by place and lets one log line a minute through for each."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        self._next_line: dict[str, float] = {}

    def add(self, place: str) -> int | None:
        """Count one more; return the count when it is time for a line, else None."""
        with self._lock:
            count = self._counts[place] = self._counts.get(place, 0) + 1
            now = time.monotonic()
            if now < self._next_line.get(place, 0.0):
                return None
            self._next_line[place] = now + _QUIET_SECONDS
            return count

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    def renew(self) -> None:
        """Replace the lock, which another thread may have held at the time of a fork."""
        self._lock = threading.RLock()


_reports = _Reports()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reports.renew)


def strict() -> bool:
    """Tell whether failures inside the boundary are raised: for hiveloop's own tests only."""
    return os.environ.get("HIVELOOP_STRICT") == "1"


def failures() -> dict[str, int]:
    """Return how often each place failed or had to drop something, since the process started."""
    return _reports.counts()


def notice(place: str, message: str, *args: object) -> None:
    """Count something that went wrong at `place` and log it at most once a minute."""
    count = _reports.add(place)
    if count is not None:
        with suppress(Exception):  # a handler of the application's may raise
            logger.warning("%s (%d so far)", message % args if args else message, count)


def _report(place: str, error: BaseException) -> None:
    count = _reports.add(place)
    if count is None:
        return
    message, trace = "hiveloop: %s failed (%d so far): %s", count == 1
    with suppress(Exception):  # a handler of the application's may raise
        logger.warning(message, place, count, type(error).__name__, exc_info=trace)


def attempt(place: str, call: Callable[..., R], *args: object, default: R) -> R:
    """Call code that is not ours, or that must not fail, and return `default` when it raises."""
    try:
        return call(*args)
    except Exception as error:
        _report(place, error)
        return default


def contain(place: str, call: Callable[..., R], *args: object, default: R) -> R:
    """Call code that is not ours on a thread of ours, and return `default` whatever it raises.

    There, SystemExit and a cancellation mean nobody but this call, and would end the thread for all. Only
    the main thread lets them pass: Ctrl-C arrives there.
    """
    try:
        return call(*args)
    except BaseException as error:
        if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
            raise
        _report(place, error)
        return default


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """Make a public sensor safe: it returns None instead of raising, whatever it was given.

    The signature is kept for type checkers. A call with wrong arguments is reported as well, since a
    typo in a sensor call must not bring an agent down.
    """
    place = function.__qualname__

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if strict():
                raise
            _report(place, error)
            return None

    return call


Scope = TypeVar("Scope")


def guarded_enter(function: Callable[[Scope], Scope]) -> Callable[[Scope], Scope]:
    """Make an ``__enter__`` safe: the ``with`` block gets its scope, whatever happens."""
    place = function.__qualname__

    @wraps(function)
    def call(self: Scope) -> Scope:
        try:
            return function(self)
        except Exception as error:
            if strict():
                raise
            _report(place, error)
            return self

    return call


Exit = Callable[[Scope, "type[BaseException] | None", "BaseException | None", "TracebackType | None"], None]


def guarded_exit(function: Exit[Scope]) -> Exit[Scope]:
    """Make an ``__exit__`` safe; the exception of the block passes through it untouched."""
    place = function.__qualname__

    @wraps(function)
    def call(
        self: Scope,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            function(self, exc_type, exc, traceback)
        except Exception as error:
            if strict():
                raise
            _report(place, error)

    return call


def guarded_scope(fallback: Callable[[], R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a sensor that returns a scope safe: when it fails, callers get a working no-op scope."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        place = function.__qualname__

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if strict():
                    raise
                _report(place, error)
                return fallback()

        return call

    return decorate
