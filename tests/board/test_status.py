"""The truth table of statuses: what happened, how long ago, and what the board says then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hiveloop.board.model import NewEvent
from hiveloop.board.status import Status, agent_status, attention, task_state
from hiveloop.board.store.inputs import agent_inputs
from hiveloop.board.store.sqlite import SqliteStore

from .made_events import NOON, SECOND, custom, event, rows_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "board.db")
    yield store
    store.close()


def registered(at: float = 0, threshold: Any = None) -> NewEvent:
    data = {} if threshold is None else {"stuck_threshold": threshold}
    return event("agent_registered", at, {"summary": "Agent ada registered", "data": data})


def beat(at: float, **told: Any) -> NewEvent:
    return event("heartbeat", at, {"hiveloop": told} if told else {}, severity="debug")


def iso(at: float) -> str:
    return datetime.fromtimestamp((NOON + at * SECOND) / SECOND, UTC).isoformat()


def started(at: float, task: str = "t", **fields: Any) -> NewEvent:
    return event("task_started", at, task=task, **fields)


def completed(at: float, task: str = "t", **fields: Any) -> NewEvent:
    return event("task_completed", at, task=task, status="success", **fields)


def failed(at: float, task: str = "t", **fields: Any) -> NewEvent:
    return event("task_failed", at, {"exception_type": "ValueError"}, task=task, severity="error", **fields)


def begins(at: float, name: str = "search", task: str = "t", **fields: Any) -> NewEvent:
    return event("action_started", at, {"action_name": name}, task=task, action_id=f"{task}-{name}", **fields)


def ends(at: float, name: str = "search", how: str = "completed", task: str = "t") -> NewEvent:
    return event(f"action_{how}", at, {"action_name": name}, task=task, action_id=f"{task}-{name}")


def asks(at: float, task: str = "t", **fields: Any) -> NewEvent:
    body = {"summary": "Refund 90 $?", "data": {"approver": "finance"}}
    return event("approval_requested", at, body, task=task, **fields)


def answers(at: float, task: str = "t", **fields: Any) -> NewEvent:
    return event("approval_received", at, {"data": {"decision": "approved"}}, task=task, **fields)


def llm_call(at: float) -> NewEvent:
    return custom("llm_call", at, {"name": "plan", "model": "gpt-4o"}, task="t")


def stopped(at: float) -> NewEvent:
    return custom("runtime", at, {"event": "agent_stopped"})


HIGH = {"severity": "high"}
ANEW = {"run": ""}


def queue(at: float) -> NewEvent:
    return custom("queue_snapshot", at, {"depth": 3})


TABLE: list[tuple[str, list[NewEvent], float, str]] = [
    # -- idle
    ("registered only", [registered()], 1, "idle"),
    ("only heartbeats", [beat(0), beat(30)], 40, "idle"),
    ("task done", [started(0), completed(5)], 6, "idle"),
    ("two tasks done", [started(0), completed(1), started(2, "u"), completed(3, "u")], 4, "idle"),
    ("a call of a task whose beginning is unknown", [registered(), llm_call(1)], 2, "processing"),
    ("a queue alone is no work", [registered(), queue(1)], 2, "idle"),
    ("an issue outside any task", [registered(), custom("issue", 1, HIGH)], 2, "idle"),
    ("failed, then one that worked", [started(0), failed(1), started(2, "u"), completed(3, "u")], 4, "idle"),
    ("action without task, ended", [begins(0, task=""), ends(1, task="")], 2, "idle"),
    # -- processing
    ("task begun", [started(0)], 1, "processing"),
    ("a heartbeat inside a task changes nothing", [started(0), beat(5)], 6, "processing"),
    ("an llm call inside a task changes nothing", [started(0), llm_call(5)], 6, "processing"),
    ("an action ended inside a task", [started(0), begins(1), ends(2)], 3, "processing"),
    ("an action failed, its task goes on", [started(0), begins(1), ends(2, how="failed")], 3, "processing"),
    ("one of two tasks done", [started(0), started(1, "u"), completed(2)], 3, "processing"),
    ("one task failed, another goes on", [started(0), started(1, "u"), failed(2, "u")], 3, "processing"),
    ("action outside any task", [begins(0, task="")], 1, "processing"),
    ("a retry inside a task", [started(0), event("retry_started", 1, {}, task="t")], 2, "processing"),
    ("an escalation inside a task", [started(0), event("escalated", 1, {}, task="t")], 2, "processing"),
    ("the same id again", [started(0, **ANEW), completed(1, **ANEW), started(2, **ANEW)], 3, "processing"),
    ("approved, goes on", [started(0), asks(1), answers(2)], 3, "processing"),
    ("the end came before the beginning", [completed(5), started(0)], 6, "idle"),
    # -- error
    ("task failed", [started(0), failed(1)], 2, "error"),
    ("task failed, heartbeat after", [started(0), failed(1), beat(5)], 6, "error"),
    ("task failed, llm_call of it comes late", [started(0), failed(2), llm_call(1)], 3, "error"),
    ("action failed outside any task", [begins(0, task=""), ends(1, how="failed", task="")], 2, "error"),
    ("failed, then stopped", [started(0), failed(1), stopped(2)], 3, "error"),
    ("begun and failed in one instant", [failed(1), started(1)], 2, "error"),
    # -- waiting
    ("asked", [started(0), asks(1)], 2, "waiting"),
    ("asked, heartbeats go on", [started(0), asks(1), beat(10), beat(40)], 41, "waiting"),
    ("asked twice, answered once", [started(0), asks(1), asks(2), answers(3)], 4, "waiting"),
    ("asked twice, answered twice", [started(0), asks(1), asks(2), answers(3), answers(4)], 5, "processing"),
    ("asked outside any task", [registered(), asks(1, task="")], 2, "waiting"),
    ("asked, then the task ended unanswered", [started(0), asks(1), completed(2)], 3, "idle"),
    ("the answer overtook the question", [started(0), answers(2), asks(3)], 4, "processing"),
    ("waiting is no lack of progress", [started(0), asks(1), beat(900)], 910, "waiting"),
    # -- stuck by silence
    ("silent for longer than 300 s", [started(0), beat(10)], 311, "stuck"),
    ("silent for 300 s exactly", [started(10)], 310, "processing"),
    ("idle and silent", [started(0), completed(1)], 400, "stuck"),
    ("failed and silent", [started(0), failed(1)], 400, "stuck"),
    ("waiting and silent", [started(0), asks(1)], 400, "stuck"),
    ("own threshold, passed", [registered(0, 60), started(0)], 61, "stuck"),
    ("own threshold, not passed", [registered(0, 600), started(0)], 500, "processing"),
    ("threshold as text", [registered(0, "60"), started(0)], 61, "stuck"),
    ("threshold of half a second", [registered(0, 0.5), started(0)], 0.6, "stuck"),
    ("threshold that is none", [registered(0, "soon"), started(0)], 61, "processing"),
    ("threshold changed later", [registered(0, 600), registered(5, 60), started(6)], 70, "stuck"),
    ("the older registration came last", [registered(5, 60), registered(0, 600), started(6)], 70, "stuck"),
    ("a clock that runs ahead hides no silence", [started(5000, received_us=NOON + SECOND)], 400, "stuck"),
    # -- stuck by lack of progress
    ("alive without progress", [started(0), beat(390)], 400, "stuck"),
    ("it says that it made progress", [started(0), beat(390, last_progress_at=iso(380))], 400, "processing"),
    ("the program says it did not", [started(0), beat(390, last_progress_at=iso(0))], 400, "stuck"),
    ("queue snapshots are no progress", [started(0), beat(390), queue(390)], 400, "stuck"),
    ("llm calls are progress", [started(0), llm_call(200), beat(390)], 400, "processing"),
    ("silence was announced", [started(0), beat(390, expecting_until=iso(900))], 400, "processing"),
    ("the announced silence is over", [started(0), beat(390, expecting_until=iso(395))], 400, "stuck"),
    ("no open task, no progress needed", [started(0), completed(1), beat(390)], 400, "idle"),
    # -- offline
    ("stopped", [started(0), completed(1), stopped(2)], 3, "offline"),
    ("stopped long ago", [started(0), completed(1), stopped(2)], 9000, "offline"),
    ("stopped with an open task", [started(0), stopped(2)], 3, "offline"),
    ("stopped, an older heartbeat comes late", [registered(), stopped(20), beat(10)], 21, "offline"),
    ("stopped in the instant of its last heartbeat", [beat(5), stopped(5)], 6, "offline"),
    ("stopped and started again", [registered(), stopped(20), registered(30)], 31, "idle"),
    ("stopped, started again, silent", [registered(), stopped(20), registered(30)], 400, "stuck"),
]  # fmt: skip


def status_of(store: SqliteStore, events: list[NewEvent], now: float) -> Status:
    for one in events:  # each alone, in this order of arrival
        store.append("live", [one]).result()
    with store.reader() as reader:
        return agent_status(agent_inputs(reader, "live")["ada"], NOON + round(now * SECOND))


@pytest.mark.parametrize(
    ("events", "now", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_an_agents_state(store: SqliteStore, events: list[NewEvent], now: float, expected: str) -> None:
    assert status_of(store, events, now).state == expected


def test_the_card_says_in_which_action_it_is_stuck_and_since_when(store: SqliteStore) -> None:
    told = {"open_task": "t", "open_action": "fetch", "open_action_seconds": 380, "last_progress_at": iso(10)}
    status = status_of(store, [started(0), begins(10, "fetch"), beat(390, **told)], 400)
    assert status.stuck_by == "no_progress"
    assert status.reason == "Alive, but no progress in fetch"
    assert (status.action, status.action_us) == ("fetch", NOON + 10 * SECOND)
    assert status.since_us == NOON + 10 * SECOND
    assert (status.task_id, status.run_id) == ("t", "r1")


def test_without_progress_in_heartbeats_the_open_action_is_known_from_events(store: SqliteStore) -> None:
    status = status_of(store, [started(0), begins(1, "outer"), begins(2, "inner"), beat(390)], 400)
    assert status.reason == "Alive, but no progress in inner"
    assert status.action_us == NOON + 2 * SECOND


def test_a_silent_agent_is_stuck_since_its_last_sign_of_life(store: SqliteStore) -> None:
    status = status_of(store, [started(0), begins(1, "fetch"), beat(30)], 400)
    assert (status.stuck_by, status.since_us) == ("silence", NOON + 30 * SECOND)
    assert status.action == "fetch"


def test_waiting_says_for_whom_and_for_what(store: SqliteStore) -> None:
    status = status_of(store, [started(0), asks(7)], 8)
    assert status.reason == "Waiting for finance: Refund 90 $?"
    assert status.since_us == NOON + 7 * SECOND
    assert status.wire == "waiting_approval"


def test_the_oldest_open_task_is_the_current_one(store: SqliteStore) -> None:
    status = status_of(store, [started(5, "younger"), started(1, "older", project="sales")], 8)
    assert (status.task_id, status.project) == ("older", "sales")


def test_error_names_the_failed_task(store: SqliteStore) -> None:
    status = status_of(store, [started(0), failed(3)], 4)
    assert (status.task_id, status.reason) == ("t", "Task failed: ValueError")
    assert status.since_us == NOON + 3 * SECOND


def test_offline_is_idle_on_the_wire(store: SqliteStore) -> None:
    status = status_of(store, [registered(), stopped(2)], 3)
    assert (status.wire, status.is_offline) == ("idle", True)


TASK_TABLE: list[tuple[list[NewEvent], str]] = [
    ([started(0)], "processing"),
    ([started(0), completed(1)], "completed"),
    ([started(0), failed(1)], "failed"),
    ([started(0), failed(1), completed(2)], "completed"),
    ([started(0), completed(1), failed(2)], "completed"),
    ([started(0, run=""), completed(1, run=""), failed(2, run="")], "failed"),
    ([started(0, run=""), failed(1, run=""), started(2, run="")], "processing"),
    ([started(0), event("escalated", 1, {}, task="t")], "escalated"),
    ([started(0), event("escalated", 1, {}, task="t"), completed(2)], "completed"),
    ([started(0), asks(1)], "waiting"),
    ([started(0), asks(1), answers(2)], "processing"),
    ([started(0), asks(1), asks(2), answers(3)], "waiting"),
    ([started(0), asks(1), completed(2)], "completed"),
    ([completed(2), started(0)], "completed"),
    ([llm_call(1)], "processing"),
    ([stopped(1), started(0)], "stuck"),
]


@pytest.mark.parametrize(("events", "expected"), TASK_TABLE)
def test_a_tasks_state(store: SqliteStore, events: list[NewEvent], expected: str) -> None:
    status = status_of(store, events, 5)
    [row] = rows_of(store, "SELECT state, is_open FROM tasks")
    assert task_state(row["state"], status) == expected
    assert bool(row["is_open"]) == (expected not in ("completed", "failed"))


def test_an_open_task_of_a_silent_agent_is_stuck(store: SqliteStore) -> None:
    status = status_of(store, [started(0)], 400)
    assert task_state("processing", status) == "stuck"
    assert task_state("completed", status) == "completed"
    assert task_state("waiting", None) == "waiting"


def test_attention_sorts_what_needs_a_human_first() -> None:
    states = ["idle", "offline", "processing", "waiting", "error", "stuck"]
    assert sorted(states, key=attention) == ["stuck", "error", "waiting", "processing", "idle", "offline"]
