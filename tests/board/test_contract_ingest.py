"""``POST /v1/ingest`` over HTTP: what it takes, what it answers, and that a bad event harms no other."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hiveloop.board.queries.insights import PARTS
from hiveloop.board.security import Limits

from .boards import Board, event, running_board

ALL_GETS = (
    "/v1/agents",
    "/v1/agents/ada",
    "/v1/agents/ada/configs",
    "/v1/agents/ada/lifecycle",
    "/v1/projects",
    "/v1/environments",
    "/v1/ribbon",
    "/v1/insights?range=30d",
    *(f"/v1/insights/{name}" for name in PARTS),
    "/v1/admin/pricing",
    "/v1/tasks",
    "/v1/events",
    "/v1/events?exclude_heartbeats=false",
    "/v1/pipeline",
    "/v1/metrics?range=30d",
    "/v1/metrics?group_by=agent",
    "/v1/cost?range=30d",
    "/v1/cost/calls",
    "/v1/cost/timeseries",
    "/v1/llm-calls",
    "/v1/agents/ada/pipeline",
    "/v1/search?q=t",
    "/v1/board",
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board for all tests here, whose events have ids of their own."""
    with running_board(tmp_path_factory.mktemp("board")) as running:
        yield running


def post(board: Board, body: Any, kind: str | None = "live", **headers: str) -> httpx.Response:
    with board.client(kind) as client:
        if isinstance(body, bytes):
            return client.post("/v1/ingest", content=body, headers=headers)
        return client.post("/v1/ingest", json=body, headers=headers)


def batch(*events: Any, agent: str = "ada") -> dict[str, Any]:
    return {"envelope": {"agent_id": agent}, "events": list(events)}


def test_a_batch_is_accepted_and_stored(board: Board) -> None:
    one, two = event("task_started", task_id="t-1"), event("task_completed", task_id="t-1")
    response = post(board, batch(one, two))
    assert (response.status_code, response.json()) == (
        200,
        {"accepted": 2, "rejected": 0, "errors": [], "warnings": []},
    )
    stored = board.get("/v1/events", task_id="t-1")["data"]
    assert {found["event_id"] for found in stored} == {one["event_id"], two["event_id"]}


def test_a_repeated_event_is_accepted_and_stored_once(board: Board) -> None:
    one = event(task_id="t-again")
    assert post(board, batch(one, one)).json()["accepted"] == 2
    assert post(board, batch(one)).json()["accepted"] == 1
    assert len(board.get("/v1/events", task_id="t-again")["data"]) == 1


def test_a_bad_event_is_named_with_the_reason_and_the_others_are_stored(board: Board) -> None:
    good = event(task_id="t-good")
    bad = [event(timestamp="yesterday"), event("exploded"), {"event_type": "custom"}, "text"]
    response = post(board, batch(bad[0], good, *bad[1:]))
    answer = response.json()
    assert response.status_code == 207
    assert (answer["accepted"], answer["rejected"]) == (1, 4)
    assert [error["error"] for error in answer["errors"]] == [
        "invalid_timestamp",
        "invalid_event_type",
        "missing_field",
        "validation_error",
    ]
    assert [error["event_id"] for error in answer["errors"][:2]] == [b["event_id"] for b in bad[:2]]
    assert all(error["message"] for error in answer["errors"])
    assert len(board.get("/v1/events", task_id="t-good")["data"]) == 1


def test_a_new_project_is_made_with_a_warning_once(board: Board) -> None:
    first = post(board, batch(event("task_started", task_id="t-p", project_id="new-project")))
    warning = first.json()["warnings"][0]
    assert (first.status_code, warning["project_slug"]) == (200, "new-project")
    again = post(board, batch(event("task_started", task_id="t-p2", project_id="new-project")))
    assert again.json()["warnings"] == []
    assert board.get("/v1/tasks", project_id="new-project")["data"][0]["project_id"] == "new-project"


def test_a_batch_without_events_is_fine(board: Board) -> None:
    assert post(board, batch()).json()["accepted"] == 0


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"no json", 400, "invalid_batch"),
        (b"[]", 400, "invalid_batch"),
        (b"{}", 400, "invalid_batch"),
        (b"\xff\xfe", 400, "invalid_batch"),
        (json.dumps(batch(*[event()] * 501)).encode(), 400, "validation_error"),
        (b" " * 1_100_000, 413, "payload_too_large"),
        (b"[" * 1_500_000, 413, "payload_too_large"),
    ],
)
def test_what_is_no_batch_is_refused_in_the_shape_of_errors(
    board: Board, body: bytes, status: int, error: str
) -> None:
    response = post(board, body)
    told = response.json()
    assert (response.status_code, told["error"], told["status"]) == (status, error, status)
    assert told["message"]


def test_compressed_bodies(board: Board) -> None:
    one = event(task_id="t-gzip")
    body = gzip.compress(json.dumps(batch(one)).encode())
    assert post(board, body, **{"Content-Encoding": "gzip"}).json()["accepted"] == 1
    assert post(board, body, **{"Content-Encoding": "br"}).status_code == 415
    assert post(board, b"plain", **{"Content-Encoding": "gzip"}).status_code == 400
    bomb = gzip.compress(b" " * 100_000_000)
    assert post(board, bomb, **{"Content-Encoding": "gzip"}).status_code == 413


def test_a_body_that_says_it_is_huge_is_refused_before_it_comes(board: Board) -> None:
    host, port = board.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as raw:
        raw.sendall(
            f"POST /v1/ingest HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 99999999999\r\n"
            f"Authorization: Bearer {board.keys['live']}\r\n\r\n".encode()
        )
        assert raw.recv(1_000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Bearer", 401),
        ("Bearer hb_live_" + "0" * 32, 401),
        ("Bearer nonsense", 401),
        ("Basic aGI6aGI=", 401),
        ("Bearer é", 401),
    ],
)
def test_without_a_valid_key_nothing_is_taken(board: Board, header: str, status: int) -> None:
    with board.client(None) as client:
        response = client.post("/v1/ingest", json=batch(event()), headers={"Authorization": header.encode()})
    assert (response.status_code, response.json()["error"]) == (status, "authentication_failed")


def test_a_read_key_may_look_but_not_send(board: Board) -> None:
    response = post(board, batch(event()), "read")
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_permissions")
    assert "data" in board.get("/v1/tasks", "read")


def test_what_a_test_key_sends_is_a_world_of_its_own(board: Board) -> None:
    one = event("task_started", task_id="t-world")
    board.send(one, kind="test")
    assert len(board.get("/v1/tasks", "test", task_type="all")["data"]) == 1
    assert board.get("/v1/events", task_id="t-world")["data"] == []
    board.send(one)  # the same id in the other world is another event
    assert len(board.get("/v1/events", task_id="t-world")["data"]) == 1


def test_previews_are_not_kept_when_the_operator_says_so(tmp_path: Path) -> None:
    data = {
        "model": "m",
        "prompt_preview": "secret words",
        "response_preview": "secret words",
        "tokens_in": 5,
    }
    sent = event(payload={"kind": "llm_call", "data": data})
    tool = event(
        "action_completed", action_id="a", payload={"args": {"q": "secret words"}, "result": "secret words"}
    )
    with running_board(tmp_path, previews=False) as board:
        board.send(sent, tool)
        kept = json.dumps(board.get("/v1/events"))
    assert "secret words" not in kept
    assert '"tokens_in": 5' in kept


POISON: tuple[Any, ...] = (
    {"kind": "todo", "data": "text"},
    {"kind": "todo", "data": {"todo_id": {"a": 1}, "action": ["x"], "priority": {}}},
    {"kind": "issue", "data": ["list"]},
    {"kind": "issue", "data": {"issue_id": [1], "severity": {"a": []}, "context": {"deep": [{}]}}},
    {"kind": "scheduled", "data": {"items": {"not": "a list"}}},
    {"kind": "scheduled", "data": {"items": ["text", 3, None, {"next_run": {}}]}},
    {"kind": "queue_snapshot", "data": {"depth": "many", "items": "x", "processing": [1]}},
    {"kind": "queue_snapshot", "data": {"depth": 1e308, "oldest_age_seconds": -5}},
    {"kind": "plan_created", "data": {"steps": ["a", "b"], "goal": {"x": 1}, "revision": "one"}},
    {"kind": "plan_step", "data": {"step_index": "zero", "total_steps": 1e300, "action": 7}},
    {"kind": "plan_step", "data": {"step_index": -1, "total_steps": 10**12}},
    {"kind": "llm_call", "data": {"cost": "free", "tokens_in": {}, "model": 5, "metadata": [1]}},
    {"kind": "llm_call", "data": {"cost": 1e300, "tokens_out": 10**30, "name": None, "model": "x" * 5_000}},
    {"kind": "llm_call", "data": {"metadata": {"stop_reason": {}, "cache_read_input_tokens": "x"}}},
    {"kind": {"a": 1}, "data": 5},
    {"kind": "anomaly", "data": {"detector": {}}},
    {"kind": "learning", "data": []},
    {"kind": "config_snapshot", "data": {"config": "text"}},
    {"kind": "runtime", "data": {"event": []}},
    {"data": {"data": {"data": []}}},
    {"summary": {"a": "b"}, "tags": "text", "hiveloop": [1]},
    "text",
    [1, 2],
)


def test_no_payload_makes_a_page_fail(board: Board) -> None:
    for number, payload in enumerate(POISON):
        for kind in ("custom", "heartbeat", "task_failed", "approval_requested", "action_completed"):
            fields = {"task_id": f"p-{number}", "action_id": f"a-{number}"}
            answer = board.send(event(kind, payload=payload, **fields))
            assert answer["accepted"] == 1, payload
    with board.client() as client:
        for path in (*ALL_GETS, *(f"/v1/tasks/p-{number}/timeline" for number in range(len(POISON)))):
            assert client.get(path).status_code == 200, path


def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    with running_board(tmp_path, limits=Limits(ingest=2, query=2)) as board, board.client() as client:
        answers = [client.post("/v1/ingest", json=batch(event())) for _ in range(6)]
        refused = answers[-1]
        assert refused.status_code == 429
        assert refused.json()["error"] == "rate_limit_exceeded"
        assert 0 < refused.json()["details"]["retry_after_seconds"] <= 0.5
        assert int(refused.headers["Retry-After"]) == 1
        assert refused.headers["X-RateLimit-Limit"] == "2"
        assert answers[0].headers["X-RateLimit-Remaining"] == "1"
        assert client.get("/v1/tasks").status_code == 200  # who looks has a bucket of his own
