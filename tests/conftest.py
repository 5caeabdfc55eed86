"""Every test starts without a client and configuration, and leaves no thread of ours behind.

The suite may run in several processes (``-n 2 --dist loadfile --no-loadscope-reorder``), where tests that say
something about time have turns of their own.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

import hiveloop
from tests.support.environments import Ahead
from tests.support.turns import Kind, Turns
from tests.support.wait import eventually

# The gate must say the same twice, so its examples are fixed; look for new ones with
# --hypothesis-profile=search. No deadlines: how fast a shared machine is, is no property of the code.
hypothesis.settings.register_profile("gate", deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3_000)
hypothesis.settings.load_profile("gate")

PATIENCE_SECONDS = 3.0
"""A thread that waits for something ends within milliseconds once told to."""

KINDS = {"alone": Kind.ALONE, "bench": Kind.ALONE, "quiet": Kind.QUIET}
"""Marks of tests that not every other one may run beside."""

_ahead = Ahead()
_turns = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    """Let programs under test be interrupted, also when the suite runs in the background.

    A shell has what it puts there ignore SIGINT, and children inherit that; a handler they do not inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)
    if run := _run_of_worker(config):
        config.stash[_turns] = Turns(Path(tempfile.gettempdir(), f"hiveloop-turns-{run}"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files that other processes must wait for behind the rest."""
    if _turns in config.stash:
        items.sort(key=lambda item: _kind(item.getparent(pytest.Module) or item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test and its fixtures wait for their turn, where other processes run tests at the same time."""
    if _turns not in item.config.stash:
        return (yield)
    with item.config.stash[_turns].taken(_kind(item)):
        return (yield)


def _run_of_worker(config: pytest.Config) -> str | None:
    """The run that this process of pytest-xdist takes part in; others neither wait for it nor it for them."""
    return getattr(config, "workerinput", {}).get("testrunuid")


def _kind(node: pytest.Item | pytest.Module) -> Kind:
    return max((KINDS.get(mark.name, Kind.ANY) for mark in node.iter_markers()), default=Kind.ANY)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin with the environments that the selected tests will ask for."""
    if not session.config.option.collectonly:
        marks = (mark for item in session.items for mark in item.iter_markers("environment"))
        _ahead.begin(list(dict.fromkeys(mark.args for mark in marks)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no such work behind."""
    _ahead.end()
    if _turns in session.config.stash:
        session.config.stash[_turns].end()


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
