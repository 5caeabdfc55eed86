"""Spans that were taken and wait for the spans around them outlive the board."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import hiveloop
from hiveloop.board import traces
from hiveloop.board.otlp import Export, read_export
from hiveloop.board.store.protocol import Store, StoreError
from hiveloop.payloads import tool_payload
from hiveloop_otel import OTelTransport
from tests.support.wait import eventually

from .boards import Board, running_board
from .made_events import event, rows_of
from .stores import OpenStore, new_database, open_store, postgres_server
from .test_cli_board import Running, board
from .test_otlp import AGENT, CHAT, TOOL, request
from .test_otlp import span as old_span

__all__ = ["open_store", "postgres_server"]

SAID = "secret words"


def span(number: int, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    """A span of a second ago, which retention leaves alone."""
    start = time.time_ns() - 1_000_000_000
    times = {"startTimeUnixNano": str(start + number), "endTimeUnixNano": str(start + 1_000_000)}
    return old_span(number, parent, **times, **fields)


def post(endpoint: str, key: str, *spans: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return httpx.post(f"{endpoint}/v1/traces", content=request(*spans), headers=headers, timeout=20)


def send(running: Running, *spans: Any) -> None:
    answer = post(running.endpoint, running.key, *spans)
    assert (answer.status_code, answer.json()) == (200, {})


def the_only_task(running: Running) -> dict[str, Any]:
    (task,) = running.get("/v1/tasks").json()["data"]
    return task


def test_a_span_that_waits_outlives_a_kill(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        send(running, span(3, 2, told=CHAT), span(2, 1, told=TOOL))
        assert running.get("/v1/events").json()["data"] == []  # they wait for their agent
        running.process.kill()
    with board(tmp_path, "--port", 0) as running:
        send(running, span(1, told=AGENT))
        task = the_only_task(running)
        assert (task["agent_id"], task["llm_call_count"], task["action_count"]) == ("ada", 1, 1)
        assert running.end() == 0
    with board(tmp_path, "--port", 0) as running:  # nothing of it is left to be told again
        assert the_only_task(running)["llm_call_count"] == 1


def test_without_its_agent_it_becomes_work_of_the_service_after_a_kill(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        send(running, span(2, 1, told=CHAT))
        running.process.kill()
    with board(tmp_path, "--port", 0) as running:
        assert running.end() == 0  # at a clean end, all that waits is stored
    with board(tmp_path, "--port", 0) as running:
        task = the_only_task(running)
        assert (task["agent_id"], task["llm_call_count"]) == ("shop", 1)


def test_another_board_of_the_database_takes_over_from_one_that_was_killed(
    postgres_server: str, tmp_path: Path
) -> None:
    url = new_database(postgres_server)
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with board(tmp_path / "one", "--port", 0, "--database", url) as running:
        send(running, span(2, 1, told=CHAT))
        running.process.kill()
    with psycopg.connect(url) as connection:
        changed = connection.execute(
            "UPDATE waiting_spans SET since_us = 0"
        )  # so that no living one is at it
        assert changed.rowcount == 1
    with board(tmp_path / "other", "--port", 0, "--database", url) as running:
        send(running, span(1, told=AGENT))
        eventually(lambda: the_only_task(running)["llm_call_count"] == 1)
        assert the_only_task(running)["agent_id"] == "ada"
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT COUNT(*) FROM waiting_spans").fetchone() == (0,)


def left(board: Board) -> int:
    return len(rows_of(board.store, "SELECT 1 FROM waiting_spans"))


def test_a_span_is_written_down_as_long_as_it_waits(tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        key = board.keys["live"]
        assert post(board.endpoint, key, span(3, 2, told=CHAT)).status_code == 200
        assert post(board.endpoint, key, span(3, 2, told=CHAT)).status_code == 200  # sent again
        assert left(board) == 1
        assert post(board.endpoint, key, span(2, 1, told=TOOL)).status_code == 200
        assert left(board) == 2
        assert post(board.endpoint, key, span(1, told=AGENT)).status_code == 200
        assert left(board) == 0


def test_what_could_not_be_stored_waits_again(tmp_path: Path) -> None:
    call = {**CHAT, "gen_ai.input.messages": "y" * 30_000}
    children = [span(number, 1, told=call) for number in range(2, 40)]
    with running_board(tmp_path) as board:
        key = board.keys["live"]
        assert post(board.endpoint, key, *children[:20]).status_code == 200
        board.limit_pages(1)  # SQLite takes the present size for that
        agent = span(1, told=AGENT)
        refused = post(board.endpoint, key, agent, *children[20:])
        assert (refused.status_code, refused.json()["error"]) == (503, "storage_full")
        assert board.get("/v1/tasks")["data"] == []
        assert left(board) == 20
        board.limit_pages(1_000_000)
        assert post(board.endpoint, key, agent, *children[20:]).status_code == 200
        (task,) = board.get("/v1/tasks")["data"]
        assert (task["agent_id"], task["llm_call_count"]) == ("ada", 38)
        assert left(board) == 0


def test_what_was_said_is_not_written_down_when_the_operator_says_so(tmp_path: Path) -> None:
    said = SAID
    told = {
        **CHAT,
        "gen_ai.usage.input_tokens": "7",
        "gen_ai.input.messages": said,
        "gen_ai.completion.0.content": said,
        "somebody.elses": said,
    }
    content = [{"key": "content", "value": {"stringValue": said}}]
    note = {"name": "gen_ai.user.message", "timeUnixNano": "5", "attributes": content}
    with running_board(tmp_path, previews=False) as board:
        key = board.keys["live"]
        assert post(board.endpoint, key, span(2, 1, told=told, events=[note])).status_code == 200
        (row,) = rows_of(board.store, "SELECT span FROM waiting_spans")
        assert said not in row["span"]
        assert "gpt-4o" in row["span"]
        assert post(board.endpoint, key, span(1, told=AGENT)).status_code == 200
        (call,) = board.get("/v1/llm-calls")["data"]
        assert (call["model"], call["tokens_in"]) == ("gpt-4o", 7)
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("board.db*"))
        assert said.encode() not in kept


def report_content(endpoint: str, key: str) -> hiveloop.Task:
    """Say things in every place that hiveloop's own spans have; the task goes on."""
    said = {"q": SAID}
    transport = OTelTransport(
        endpoint=endpoint, headers={"Authorization": f"Bearer {key}"}, capture_content=True
    )
    agent = hiveloop.init(transport=transport, flush_interval=0.05).agent("own")
    task = agent.start_task("story-1")
    with task.activate():
        with agent.track_context("think") as action:
            task.llm_call("draft", "gpt-4o", tokens_in=7, prompt_preview=SAID, response_preview=SAID)
            task.event("custom", {"kind": "mine", "summary": "noted", "data": {"result": SAID, "kept": 1}})
            action.set_payload({"output_preview": SAID, "args": said, "data": {"result": SAID, "kept": 2}})
        with agent.track_context("search") as action:
            action.set_payload(tool_payload(args=said, result=SAID, success=True))
    assert hiveloop.flush(10)
    return task


def test_nothing_that_was_said_in_spans_of_hiveloops_own_is_written_down_either(tmp_path: Path) -> None:
    with running_board(tmp_path, previews=False) as board:
        task = report_content(board.endpoint, board.keys["live"])
        rows = rows_of(board.store, "SELECT span FROM waiting_spans")
        assert len(rows) == 3
        assert [row["span"] for row in rows if SAID in row["span"]] == []
        task.complete()
        hiveloop.shutdown(10)
        told = {event["event_id"]: event["payload"] for event in board.get("/v1/events")["data"]}
        payloads = list(told.values())
        assert {"summary": "noted", "data": {"kept": 1}, "kind": "mine"} in payloads
        assert {"action_name": "think", "data": {"kept": 2}} in payloads
        assert {"action_name": "search", "success": True} in payloads
        assert sum(payload.get("kind") == "llm_call" for payload in payloads) == 1
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("board.db*"))
        assert SAID.encode() not in kept


def test_a_span_that_was_written_down_bare_tells_the_same(tmp_path: Path) -> None:
    call = {**CHAT, "gen_ai.usage.output_tokens": "3", "hiveloop.agent.id": "eve", "noise": "x"}
    failed = span(2, 1, told=call, status={"code": 2, "message": "too slow"})
    told = list[Any]()
    for name, content in (("whole", True), ("bare", False)):
        known = traces.Traces(previews=False)
        export = read_export(request(failed), True)
        assert isinstance(export, Export)
        if not content:
            (bare,) = known.events_of("live", export, 0).waiting
            assert "noise" not in bare.attributes
            known, export = traces.Traces(previews=False), export._replace(spans=[bare])
        known.events_of("live", export, 0)
        (step,) = known.expired(0, everything=True)
        told.append([(one.event_type, one.payload) for batch in step.batches for one in batch])
        assert told[-1], name
    assert told[0] == told[1]


def test_a_trace_that_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_MOST_NODES", 3)
    with running_board(tmp_path) as board:
        answer = post(board.endpoint, board.keys["live"], *(span(n, told=TOOL) for n in range(1, 6)))
        assert answer.json()["partialSuccess"]["rejectedSpans"] == "2"


# -- the store -----------------------------------------------------------------------------------


def count(store: Store, table: str) -> Any:
    return rows_of(store, f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]


def test_events_and_what_else_is_written_are_stored_together_or_not_at_all(open_store: OpenStore) -> None:
    store = open_store()
    store.manage("CREATE TABLE mine (name TEXT PRIMARY KEY)").result()
    insert = "INSERT INTO mine VALUES (?)"
    store.append("live", [event("heartbeat")], [(insert, ("a",)), (insert, ("b",))]).result()
    assert (count(store, "mine"), count(store, "events")) == (2, 1)
    others = [store.append("live", [event("heartbeat")]) for _ in range(3)]
    with pytest.raises(StoreError):
        store.append("live", [event("heartbeat")], [(insert, ("c",)), (insert, ("a",))]).result()
    assert [len(other.result().new) for other in others] == [1, 1, 1]
    assert (count(store, "mine"), count(store, "events")) == (2, 4)
    store.append("live", [], [("DELETE FROM mine WHERE name = ?", ("a",))]).result()
    assert count(store, "mine") == 1
