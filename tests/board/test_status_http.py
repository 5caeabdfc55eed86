"""The truth table of statuses over HTTP: the same sequences, told to a running board, as a page sees them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hiveloop.board.model import NewEvent

from .boards import Board, event, running_board
from .made_events import NOON, SECOND
from .test_status import TABLE, TASK_TABLE, beat, begins, completed, failed, iso, registered, started, stopped

WIRE = {"waiting": "waiting_approval", "offline": "idle"}
_UNSEEN = "a clock that runs ahead hides no silence"  # over HTTP nothing can have arrived in the past
_EXACT = "silent for 300 s exactly"
ROWS = [row for row in TABLE if row[0] != _UNSEEN]
EARLIER_SECONDS = {_EXACT: 30.0}
"""How much sooner one looks where a table's row is about a limit, since time goes on here."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board for all rows; each has an agent of its own."""
    with running_board(tmp_path_factory.mktemp("board")) as running:
        yield running


def tell(board: Board, agent: str, events: list[NewEvent], now: float) -> None:
    """Report events, each alone, as if it were `now` seconds after noon."""
    shift = timedelta(microseconds=time.time_ns() // 1_000 - NOON - round(now * SECOND))
    for one in events:
        body = {"envelope": {"agent_id": agent}, "events": [_wire(one, agent, shift)]}
        with board.client() as client:
            answer = client.post("/v1/ingest", json=body).json()
        assert (answer["accepted"], answer["errors"]) == (1, [])


def _wire(one: NewEvent, agent: str, shift: timedelta) -> dict[str, Any]:
    payload = json.loads(one.payload)
    told = payload.get("hiveloop", {})
    for name in told.keys() & {"last_progress_at", "expecting_until"}:
        told[name] = (datetime.fromisoformat(told[name]) + shift).isoformat()
    stamp = datetime.fromtimestamp(one.ts_us / SECOND, UTC) + shift
    fields = {
        # Runs are of one agent here: their ids are their own, and where there is none, the task's is.
        "task_id": one.task_id if one.run_id or not one.task_id else f"{one.task_id} of {agent}",
        "task_run_id": one.run_id and f"{one.run_id} of {agent}",
        "project_id": one.project,
        "action_id": one.action_id,
        "severity": one.severity,
        "status": one.status,
    }
    kept = {name: value for name, value in fields.items() if value}
    return event(one.event_type, **kept) | {"timestamp": stamp.isoformat(), "payload": payload}


@pytest.mark.parametrize(("name", "events", "now", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_an_agents_state_as_a_page_sees_it(
    board: Board, name: str, events: list[NewEvent], now: float, expected: str
) -> None:
    tell(board, name, events, now - EARLIER_SECONDS.get(name, 0.0))
    shown = board.get(f"/v1/agents/{name}")
    assert shown["derived_status"] == WIRE.get(expected, expected)
    assert shown["is_offline"] is (expected == "offline" or name == "failed, then stopped")
    assert shown["is_stuck"] is (expected == "stuck") is (shown["stuck_by"] is not None)
    assert shown["reason"]
    since = datetime.fromisoformat(shown["since"])
    assert since <= datetime.now(UTC) + timedelta(seconds=1)
    assert name in {one["agent_id"] for one in listed(board, expected)}


def listed(board: Board, state: str) -> list[dict[str, Any]]:
    wanted = WIRE.get(state, state) if state != "offline" else "offline"
    return board.get("/v1/agents", status=wanted, limit=200)["data"]


def test_there_are_more_than_thirty_sequences() -> None:
    assert len(ROWS) >= 55


@pytest.mark.parametrize(("number", "events", "expected"), [(n, *row) for n, row in enumerate(TASK_TABLE)])
def test_a_tasks_state_as_a_page_sees_it(
    board: Board, number: int, events: list[NewEvent], expected: str
) -> None:
    agent = f"tasks-{number}"
    tell(board, agent, events, 5)
    (task,) = board.get("/v1/tasks", agent_id=agent)["data"]
    assert task["derived_status"] == expected
    (same,) = board.get("/v1/tasks", agent_id=agent, status=expected)["data"]
    assert same["task_id"] == task["task_id"]


# -- what the answers say -------------------------------------------------------------------------


def seconds_since(shown: dict[str, Any], name: str = "since") -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(shown[name])).total_seconds()


def test_silence_is_told_with_its_beginning_and_the_open_action(board: Board) -> None:
    tell(board, "mute", [started(0), begins(10, "fetch"), beat(30)], 400)
    shown = board.get("/v1/agents/mute")
    assert (shown["derived_status"], shown["stuck_by"]) == ("stuck", "silence")
    assert shown["reason"] == "Nothing heard of it"
    assert 369 < seconds_since(shown) < 400
    assert (shown["current_action"]["name"], shown["current_task_id"]) == ("fetch", "t")
    assert 389 < seconds_since(shown["current_action"]) < 420
    (task,) = board.get("/v1/tasks", agent_id="mute")["data"]
    assert task["derived_status"] == "stuck"


def test_lack_of_progress_is_told_with_the_action_it_is_in(board: Board) -> None:
    told = {"open_task": "t", "open_action": "fetch", "open_action_seconds": 380, "last_progress_at": iso(10)}
    tell(board, "idler", [registered(0, 60), started(0), begins(10, "fetch"), beat(395, **told)], 400)
    shown = board.get("/v1/agents/idler")
    assert (shown["derived_status"], shown["stuck_by"]) == ("stuck", "no_progress")
    assert shown["reason"] == "Alive, but no progress in fetch"
    assert shown["stuck_threshold_seconds"] == 60
    assert 389 < seconds_since(shown) < 420


def test_expected_silence_is_none_until_it_is_over(board: Board) -> None:
    for agent, until, state in (("patient", 900, "processing"), ("late", 395, "stuck")):
        tell(board, agent, [started(0), beat(390, expecting_until=iso(until))], 400)
        assert board.get(f"/v1/agents/{agent}")["derived_status"] == state


def test_error_and_offline_say_what_happened(board: Board) -> None:
    tell(board, "broken", [started(0), failed(3)], 4)
    shown = board.get("/v1/agents/broken")
    assert (shown["reason"], shown["failed_task_id"]) == ("Task failed: ValueError", "t")
    tell(board, "gone", [started(0), completed(1), stopped(2)], 3)
    assert board.get("/v1/agents/gone")["reason"] == "Stopped"


# -- pushed -----------------------------------------------------------------------------------------


@contextmanager
def beating(board: Board, agent: str) -> Iterator[None]:
    """Send heartbeats all the time."""
    stop = threading.Event()

    def beats() -> None:
        while not stop.wait(0.2):
            board.send(event("heartbeat", 0), agent=agent)

    thread = threading.Thread(target=beats, name="heartbeats")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_lack_of_progress_is_pushed_once_for_each_time(board: Board) -> None:
    fields = {"task_id": "hang", "task_run_id": "r"}
    call = event(payload={"kind": "llm_call", "data": {"model": "m"}}, **fields)
    with board.stream(channels=["agents"]) as stream:

        def until(name: str, value: str) -> list[dict[str, Any]]:
            found = stream.until(lambda m: m["agent_id"] == "hanger" and m.get(name) == value, 20)
            return [message for message in found if message["agent_id"] == "hanger"]

        with beating(board, "hanger"):
            threshold = event("agent_registered", 0, payload={"data": {"stuck_threshold": 2}})
            board.send(threshold, event("task_started", 0, **fields), agent="hanger")
            first = until("type", "agent.stuck")
            told = first[-1]
            assert (told["stuck_by"], told["current_task_id"]) == ("no_progress", "hang")
            assert told["reason"] == "Alive, but no progress in task hang"
            assert told["stuck_threshold_seconds"] == 2
            assert told.keys() >= {"last_heartbeat", "current_project_id", "since"}
            assert 2 <= seconds_since(told) < 10
            board.send(call | {"timestamp": datetime.now(UTC).isoformat()}, agent="hanger")
            between = until("new_status", "processing")
            second = until("type", "agent.stuck")
        silent = until("reason", "Nothing heard of it")  # stuck for another reason, still the same time
        board.send(event("task_completed", 0, **fields), agent="hanger")
        after = until("new_status", "idle")
    parts = (first, between, second, silent, after)
    assert [[m["type"] for m in part].count("agent.stuck") for part in parts] == [1, 0, 1, 0, 0]
    changes = [m for part in parts for m in part if m["type"] == "agent.status_changed"]
    names = "agent_id previous_status new_status timestamp current_task_id current_project_id"
    assert all(m.keys() >= {*names.split(), "heartbeat_age_seconds", "reason", "since"} for m in changes)
    states = [m["new_status"] for m in changes if m["new_status"] != m["previous_status"]]
    assert states[-4:] == ["stuck", "processing", "stuck", "idle"]
