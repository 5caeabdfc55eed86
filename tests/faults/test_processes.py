"""Forks, children, exits, signals and the garbage collector: every event arrives exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.table import KEY
from tests.support.program import Finished, run_program
from tests.support.server import ScriptedServer

pytestmark = pytest.mark.fault

PROGRAMS = Path(__file__).parent / "programs"
LEFT_BY_FLUSHING = ("leaves", "raises", "flushes", "shuts-down", "grandparent", "grandchild")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that takes every event, and to which nothing may come twice."""
    with ScriptedServer(key=KEY) as server:
        yield server
        assert not server.repeats(), "an event arrived twice"
        assert not server.violations


def _run(server: ScriptedServer, program: str, *arguments: object) -> Finished:
    environment = {"HIVELOOP_API_KEY": KEY, "HIVELOOP_ENDPOINT": server.url}
    return run_program(PROGRAMS / f"{program}.py", *arguments, environment=environment, timeout=60)


def _told(server: ScriptedServer) -> Counter[tuple[str, int]]:
    """What the programs told, however many ids it came under."""
    data: list[dict[str, Any]] = [
        event["payload"]["data"]
        for event in server.events()
        if event.get("payload", {}).get("kind") == "told"
    ]
    return Counter((told["who"], told["n"]) for told in data)


def _expect(**counts: int) -> Counter[tuple[str, int]]:
    return Counter((who.replace("_", "-"), n) for who, count in counts.items() for n in range(count))


# Forks


def test_a_fork_with_events_queued_loses_and_repeats_nothing(server: ScriptedServer) -> None:
    finished = _run(server, "fork_queued")
    assert finished.code == 0, finished
    assert finished.out == ["{'leaves': 0, 'raises': 1, 'flushes': 0, 'shuts-down': 0, 'grandparent': 0}"]
    assert finished.complaints == ["Traceback (most recent call last):"], "only the child's own exception"
    children = {name.replace("-", "_"): 20 for name in LEFT_BY_FLUSHING}
    assert _told(server) == _expect(parent=60, **children)


def test_forks_in_the_middle_of_everything_never_hang(server: ScriptedServer) -> None:
    finished = _run(server, "fork_busy")
    assert finished.clean, finished
    first, second = map(int, finished.out[-1].split())
    children = {f"child_{number}": 1 for number in range(30)}
    assert _told(server) == _expect(thread_0=first, thread_1=second, **children)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_event_of_multiprocessing_children_arrives_once(server: ScriptedServer, method: str) -> None:
    finished = _run(server, "children", method)
    assert finished.clean, finished
    assert _told(server) == _expect(parent=60, child_0=20, child_1=20, child_2=20)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_event_of_a_process_pool_arrives_once(server: ScriptedServer, method: str) -> None:
    finished = _run(server, "executor", method)
    assert finished.clean, finished
    assert _told(server) == _expect(parent=1, job=30)
    ends = Counter(event["event_type"] for event in server.events())
    assert ends["task_started"] == ends["task_completed"] == 30
    assert ends["action_started"] == ends["action_completed"] == 30


def test_a_prefork_server_reports_every_job_of_every_worker(server: ScriptedServer) -> None:
    finished = _run(server, "prefork")
    assert finished.clean, finished
    assert finished.out == ["[0, 0, 0, 0]"]
    workers = {f"worker_{number}": 1 for number in range(4)}
    assert _told(server) == _expect(parent=30, job=60, **workers)
    ends = Counter(event["event_type"] for event in server.events())
    assert ends["task_started"] == ends["task_completed"] == 60
    assert ends["action_started"] == ends["action_completed"] == 60


# Exits


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("end-of-script", 0),
        ("sys-exit", 3),
        ("exception", 1),
        ("exception-in-task", 1),
        ("sigterm", 7),
        ("keyboard-interrupt", -2),
        ("shutdown-twice", 0),
    ],
)
def test_no_way_of_ending_loses_what_is_queued(server: ScriptedServer, ending: str, code: int) -> None:
    finished = _run(server, "endings", ending)
    assert finished.code == code, finished
    assert _told(server) == _expect(main=30)
    if ending == "exception-in-task":
        failed = [event for event in server.events() if event["event_type"] == "task_failed"]
        assert [event["payload"]["exception_type"] for event in failed] == ["RuntimeError"]


def test_threads_that_outlive_the_main_thread_are_heard(server: ScriptedServer) -> None:
    finished = _run(server, "endings", "thread")
    assert finished.clean, finished
    assert _told(server) == _expect(main=30, thread=2)


def test_exit_handlers_may_call_sensors(server: ScriptedServer) -> None:
    finished = _run(server, "exit_handlers")
    assert finished.clean, finished
    assert finished.out == ["too late, and harmless"]
    assert _told(server) == _expect(main=1, in_time=1)


# Calls from within calls


def test_a_signal_handler_may_call_sensors(server: ScriptedServer) -> None:
    finished = _run(server, "signals")
    assert finished.clean, finished
    main, handled = map(int, finished.out[-1].split())
    assert handled > 100, "too few signals to say anything"
    assert _told(server) == _expect(main=main, handler=handled)


def test_a_finalizer_may_call_sensors(server: ScriptedServer) -> None:
    finished = _run(server, "collector")
    assert finished.clean, finished
    assert int(finished.out[-1]) == 3000
    assert _told(server) == _expect(main=3000, knot=3000)
