"""Who reports to a board: this SDK and the published 0.2.0, also through outages; every event stored once."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

import hiveloop
from hiveloop.transport import Batch, Transport
from tests.bench.make_peers import DEFAULT_FOLDER, make_peer, python_of

from .boards import Board, event, running_board

PUBLISHED = """
import json, sys
import hiveloop

hb = hiveloop.init(api_key=sys.argv[2], endpoint=sys.argv[1], environment="old", flush_interval=0.2)
agent = hb.agent("veteran", type="worker", version="9", heartbeat_interval=1, stuck_threshold=60)
for number in range(30):
    try:
        with agent.task(f"task-{number}", project="shop", type="order") as task:
            with agent.track_context("search") as action:
                action.set_payload({"args": {"q": "x"}, "result": "y", "success": True})
            task.llm_call("reason", "gpt-4o", tokens_in=100, tokens_out=10, cost=0.01)
            task.plan("sell", ["look", "buy"])
            task.plan_step(step_index=0, action="completed", summary="looked")
            if number % 10 == 9:
                raise ValueError("sold out")
    except ValueError:
        pass
agent.report_issue(summary="slow shop", severity="high")
agent.todo(todo_id="t1", action="created", summary="call back")
agent.queue_snapshot(depth=4)
hiveloop.shutdown()
"""


@pytest.fixture(scope="module")
def published() -> Path:
    """An interpreter that has the published SDK, made when there is none."""
    python = python_of(DEFAULT_FOLDER, "hiveloop_020")
    probe = [python, "-I", "-c", "import importlib.metadata as m; assert m.version('hiveloop') == '0.2.0'"]
    if not python.exists() or subprocess.run(probe, check=False, capture_output=True).returncode:
        return make_peer(DEFAULT_FOLDER, "hiveloop_020")
    return python


def stored_ids(board: Board) -> Counter[str]:
    """How often each event id is stored."""
    with board.store.reader() as reader:
        rows = reader.rows("SELECT event_id FROM events")
    return Counter(str(row["event_id"]) for row in rows)


def test_the_published_sdk_reports_and_every_event_is_stored_once(tmp_path: Path, published: Path) -> None:
    script = tmp_path / "veteran.py"
    script.write_text(PUBLISHED)
    with running_board(tmp_path) as board:
        done = subprocess.run(
            [published, "-I", script, board.endpoint, board.keys["live"]],  # alone: not ours by PYTHONPATH
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        ids = stored_ids(board)
        with board.store.reader() as reader:
            rows = reader.rows("SELECT COALESCE(kind, event_type) AS what FROM events")
        kinds = Counter(str(row["what"]) for row in rows)
        tasks = board.get("/v1/tasks", agent_id="veteran", limit=200)["data"]
        states = Counter(task["derived_status"] for task in tasks)
        cost = board.get("/v1/cost", range="1h")
        shown = board.get("/v1/agents/veteran")
        pipeline = board.get("/v1/agents/veteran/pipeline")
        timeline = board.get("/v1/tasks/task-3/timeline")
    assert max(ids.values()) == 1
    kinds.pop("heartbeat", None)
    assert kinds == {
        "agent_registered": 1,
        "task_started": 30,
        "action_started": 30,
        "action_completed": 30,
        "task_completed": 27,
        "task_failed": 3,
        "llm_call": 30,
        "plan_created": 30,
        "plan_step": 30,
        "issue": 1,
        "todo": 1,
        "queue_snapshot": 1,
    }
    assert states == {"completed": 27, "failed": 3}
    assert (cost["call_count"], round(cost["total_cost"], 6)) == (30, 0.3)
    assert (shown["environment"], shown["stuck_threshold_seconds"], shown["agent_version"]) == (
        "old",
        60,
        "9",
    )
    assert [action["name"] for action in timeline["action_tree"]] == ["search"]
    assert timeline["plan"]["progress"]["completed"] == 1
    assert pipeline["queue"]["depth"] == 4
    assert [todo["summary"] for todo in pipeline["todos"]] == ["call back"]
    assert [issue["summary"] for issue in pipeline["issues"]] == ["slow shop"]


class _Ids(Transport):
    """Notes the ids of all events, beside the transport that sends them."""

    name = "ids"

    def __init__(self) -> None:
        self.ids: list[str] = []

    def send(self, prepared: object, timeout: float) -> hiveloop.Outcome:
        assert isinstance(prepared, Batch)
        self.ids += [one.event_id for one in prepared.events]
        return hiveloop.Delivered()


def _report(endpoint: str, key: str) -> tuple[hiveloop.HiveBoard, _Ids]:
    ids = _Ids()
    native = hiveloop.transports.HttpTransport(key, endpoint)
    return hiveloop.init(transport=[native, ids], flush_interval=0.05), ids


def test_this_sdk_reports_and_every_event_is_stored_once(tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        hb, ids = _report(board.endpoint, board.keys["live"])
        agents = [hb.agent(f"agent-{number}", heartbeat_interval=0.2) for number in range(3)]
        for number in range(200):
            with agents[number % 3].task(f"t-{number}") as task, agents[number % 3].track_context("step"):
                task.llm_call("reason", "gpt-4o", tokens_in=1, tokens_out=1, cost=0.001)
        hiveloop.shutdown(10)
        stats = hb.stats()
        assert stored_ids(board) == Counter(ids.ids)
    lane = stats.transports["http"]
    assert (lane.delivered, lane.dropped) == (lane.accepted, {})
    assert lane.accepted == len(ids.ids) >= 1_000


def test_a_restart_of_the_board_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        port = int(board.endpoint.rpartition(":")[2])
        key = board.keys["live"]
        hb, ids = _report(board.endpoint, key)
        agent = hb.agent("survivor", heartbeat_interval=0)
        for number in range(50):
            agent.event("custom_word", {"number": number})
        assert hb.flush(10)
    for number in range(50):
        agent.event("custom_word", {"number": 50 + number})
    with running_board(tmp_path, port=port) as board:
        assert hb.flush(20)
        hiveloop.shutdown(10)
        assert stored_ids(board) == Counter(ids.ids)
    assert len(ids.ids) >= 100


def test_a_full_disk_is_told_and_all_is_taken_when_there_is_room_again(tmp_path: Path) -> None:
    with running_board(tmp_path) as board, board.client() as client:
        board.send(event(task_id="before"))
        board.limit_pages(1)  # SQLite takes the present size for that
        sent = [event(task_id="full", payload={"text": "y" * 30_000}) for _ in range(30)]
        batch = {"envelope": {"agent_id": "ada"}, "events": sent}
        refused = client.post("/v1/ingest", json=batch)
        assert (refused.status_code, refused.json()["error"]) == (503, "storage_full")
        assert int(refused.headers["Retry-After"]) > 0
        assert len(client.get("/v1/tasks").json()["data"]) == 1
        assert len(board.get("/v1/events")["data"]) == 1
        board.limit_pages(1_000_000)
        assert client.post("/v1/ingest", json=batch).json()["accepted"] == 30
        assert max(stored_ids(board).values()) == 1
        assert len(stored_ids(board)) == 31
