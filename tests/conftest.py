"""Every test starts without a client and configuration, and leaves no thread of ours behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import hypothesis
import pytest

import hiveloop
from tests.support.environments import Ahead
from tests.support.wait import eventually

# The gate must say the same twice, so its examples are fixed; look for new ones with
# --hypothesis-profile=search. No deadlines: how fast a shared machine is, is no property of the code.
hypothesis.settings.register_profile("gate", deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3_000)
hypothesis.settings.load_profile("gate")

PATIENCE_SECONDS = 3.0
"""A thread that waits for something ends within milliseconds once told to."""

_ahead = Ahead()


def pytest_configure() -> None:
    """Let programs under test be interrupted, also when the suite runs in the background.

    A shell has what it puts there ignore SIGINT, and children inherit that; a handler they do not inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin with the environments that the selected tests will ask for."""
    if not session.config.option.collectonly:
        marks = (mark for item in session.items for mark in item.iter_markers("environment"))
        _ahead.begin(list(dict.fromkeys(mark.args for mark in marks)))


def pytest_sessionfinish() -> None:
    """Leave no such work behind."""
    _ahead.end()


@pytest.fixture(autouse=True)
def fresh_hiveloop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Isolate each test, whatever the environment and the test before it."""
    for name in [name for name in os.environ if _matters(name)]:
        monkeypatch.delenv(name)
    before = set(threading.enumerate())
    _forget()
    yield
    _forget()
    _wait_for_threads(before)


def _matters(name: str) -> bool:
    return name.startswith(("HIVELOOP_", "OTEL_")) and not name.startswith("HIVELOOP_TEST_")


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failures inside hiveloop be raised, so that its safety net cannot hide them from a test."""
    monkeypatch.setenv("HIVELOOP_STRICT", "1")


def _forget() -> None:
    hiveloop.reset()
    hiveloop.clear_current_task()
    hiveloop.clear_current_agent()


def _wait_for_threads(before: set[threading.Thread]) -> None:
    __tracebackhide__ = True
    try:
        eventually(lambda: not _left_behind(before), PATIENCE_SECONDS)
    except AssertionError:
        names = sorted(thread.name for thread in _left_behind(before))
        pytest.fail(f"threads left behind: {', '.join(names)}")


def _left_behind(before: set[threading.Thread]) -> set[threading.Thread]:
    now = {thread for thread in threading.enumerate() if thread.name.startswith("hiveloop-")}
    return now - before
