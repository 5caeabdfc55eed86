"""The contract of the ingest API line by line, over HTTP: limits, defaults, codes, rights, filters."""

from __future__ import annotations

import gzip
import json
import random
import re
import socket
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from hiveloop.board import routes_query
from hiveloop.board.model import EVENT_TYPES
from hiveloop.board.security import Limits
from tests.support.wait import eventually

from .boards import Board, event, running_board
from .test_contract_api import has
from .test_contract_ingest import ALL_GETS
from .test_intake import SEVERITIES, anything
from .test_intake import events as odd_events
from .test_otlp import AGENT, CHAT, request, span

MEGABYTE = 1_048_576


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board for all tests here; each has an agent of its own."""
    with running_board(tmp_path_factory.mktemp("board")) as running:
        yield running


def post(board: Board, body: bytes, kind: str | None = "live", **headers: str) -> httpx.Response:
    with board.client(kind) as client:
        return client.post("/v1/ingest", content=body, headers=headers)


def batch(*events: Any, **envelope: Any) -> bytes:
    return json.dumps({"envelope": {"agent_id": "ada", **envelope}, "events": list(events)}).encode()


def stored(board: Board, sent: dict[str, Any], kind: str = "live") -> dict[str, Any]:
    return board.get("/v1/events/" + quote(sent["event_id"], safe=""), kind)


# -- one event ------------------------------------------------------------------------------------


def test_what_an_event_says_comes_back_under_the_same_names(board: Board) -> None:
    sent = event(
        "action_completed",
        project_id="crm",
        task_id="t/1 #?",
        task_type="enrich",
        task_run_id="r1",
        correlation_id="c1",
        action_id="a1",
        parent_action_id="a0",
        parent_event_id="e0",
        status="timeout",
        severity="warn",
        duration_ms=12.7,
        payload={"kind": "tool", "summary": "Ünï", "data": {"a": [1, None]}, "tags": ["x"]},
    )
    answer = board.send(sent, agent="echo", agent_type="sales", environment="lab", group="g")
    assert (answer["accepted"], answer["errors"]) == (1, [])
    found = stored(board, sent)
    for name in sent.keys() - {"timestamp", "duration_ms"}:
        assert found[name] == sent[name], name
    assert found["duration_ms"] == 13
    told, sent_at = (datetime.fromisoformat(one["timestamp"]) for one in (found, sent))
    assert timedelta() <= sent_at - told < timedelta(milliseconds=1)
    place = (found["agent_id"], found["agent_type"], found["environment"], found["group"])
    assert place == ("echo", "sales", "lab", "g")
    received = datetime.fromisoformat(found["received_at"])
    assert abs((datetime.now(UTC) - received).total_seconds()) < 20
    assert found["payload_kind"] == "tool"


def test_each_of_the_thirteen_types_is_taken(board: Board) -> None:
    sent = [event(kind, task_id="all") for kind in sorted(EVENT_TYPES)]
    assert len(sent) == 13
    assert board.send(*sent, agent="types")["accepted"] == 13
    told = board.get("/v1/events", agent_id="types", exclude_heartbeats="false")["data"]
    assert {found["event_type"] for found in told} == set(EVENT_TYPES)


@pytest.mark.parametrize(
    ("fields", "severity"),
    [*SEVERITIES, ({"severity": "warn"}, "warn"), ({"severity": "LOUD"}, "info")],
)
def test_severities_that_nobody_said(board: Board, fields: dict[str, Any], severity: str) -> None:
    sent = (
        event(**{"event_type": "custom", **fields})
        if "event_type" not in fields
        else event(fields["event_type"])
    )
    answer = board.send(sent, agent="severities")
    assert stored(board, sent)["severity"] == severity
    assert bool(answer["warnings"]) is (fields.get("severity") == "LOUD")


LONG = "x" * 257


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"timestamp": None}, "missing_field"),
        ({"timestamp": ""}, "missing_field"),
        ({"timestamp": "12 o'clock"}, "invalid_timestamp"),
        ({"event_id": ""}, "missing_field"),
        ({"event_id": None}, "missing_field"),
        ({"event_id": LONG}, "field_too_long"),
        ({"event_type": ""}, "missing_field"),
        ({"event_type": "task_begun"}, "invalid_event_type"),
        *(
            ({name: LONG}, "field_too_long")
            for name in ("task_id", "task_run_id", "correlation_id", "agent_id")
        ),
        *(({name: LONG}, "field_too_long") for name in ("action_id", "parent_action_id", "parent_event_id")),
        ({"payload": {"text": "é" * 16_500}}, "payload_too_large"),
    ],
)
def test_a_bad_event_is_named_and_costs_no_other(board: Board, fields: dict[str, Any], code: str) -> None:
    good = event(task_id="good")
    response = post(board, batch(event(**fields), good))
    answer = response.json()
    assert (response.status_code, answer["accepted"], answer["rejected"]) == (207, 1, 1)
    (error,) = answer["errors"]
    assert (error["error"], error["index"]) == (code, 0)
    assert error["message"]
    assert stored(board, good)["task_id"] == "good"


def test_a_payload_of_just_32_kilobytes_is_taken(board: Board) -> None:
    fits = event(payload={"t": "é" * 16_379})  # with its quotes and the name 32 766 bytes
    over = event(payload={"t": "é" * 16_381})
    answer = post(board, batch(fits, over)).json()
    assert [error["event_id"] for error in answer["errors"]] == [over["event_id"]]


@pytest.mark.parametrize(
    ("fields", "envelope", "words"),
    [
        ({}, {"environment": "e" * 65}, "environment was cut to 64"),
        ({}, {"group": "g" * 129}, "group was cut to 128"),
        ({"payload": {"summary": "s" * 513}}, {}, "summary was cut to 512"),
        ({"duration_ms": "soon"}, {}, "duration_ms"),
        ({"payload": {"kind": "llm_call", "data": {"cost": -1}}}, {}, "cost of the llm_call"),
        ({"payload": "text"}, {}, "payload is not an object"),
        ({"timestamp": "2999-01-01T00:00:00Z"}, {}, "more than a day ahead"),
    ],
)
def test_what_was_changed_is_told_as_a_warning(
    board: Board, fields: dict[str, Any], envelope: dict[str, Any], words: str
) -> None:
    response = post(board, batch(event(**fields), **envelope))
    (warning,) = response.json()["warnings"]
    assert response.status_code == 200
    assert words in warning["warning"]
    assert "event_id" in warning


def test_places_are_cut_to_what_was_said(board: Board) -> None:
    board.send(event("task_started"), agent="cut", environment="e" * 65, group="g" * 129)
    shown = board.get("/v1/agents/cut")
    assert (shown["environment"], shown["group"]) == ("e" * 64, "g" * 128)


# -- the envelope ---------------------------------------------------------------------------------


def test_an_envelope_has_defaults_and_later_ones_complete_it(board: Board) -> None:
    board.send(event(ago=5), agent="profile")
    shown = board.get("/v1/agents/profile")
    assert (shown["agent_type"], shown["environment"], shown["group"]) == ("general", "production", "default")
    assert shown["framework"] is None
    told = {"agent_version": "2", "framework": "f", "runtime": "py", "sdk_version": "s"}
    board.send(event(ago=4), agent="profile", agent_type="sales", **told)
    board.send(event(ago=3), agent="profile", agent_type="sales", agent_version="3")
    shown = board.get("/v1/agents/profile")
    assert shown["agent_type"] == "sales"
    assert {name: shown[name] for name in told} == {**told, "agent_version": "3"}


def test_an_agent_of_an_event_of_its_own_has_a_card(board: Board) -> None:
    board.send(event("task_started", agent_id="inner", agent_type="tool"), agent="outer")
    assert board.get("/v1/agents/inner")["agent_type"] == "tool"
    with board.client() as client:
        assert client.get("/v1/agents/outer").status_code == 404


@pytest.mark.parametrize("envelope", [{"agent_id": None}, {"agent_id": LONG}])
def test_without_a_usable_agent_each_event_says_so(board: Board, envelope: dict[str, Any]) -> None:
    response = post(board, batch(event(), event(), **envelope))
    codes = {error["error"] for error in response.json()["errors"]}
    assert response.status_code == 207
    assert codes <= {"missing_field", "field_too_long"}
    assert response.json()["rejected"] == 2


# -- how much -------------------------------------------------------------------------------------


def test_500_events_are_a_batch_and_501_none(board: Board) -> None:
    sent = [event(agent_id="many") for _ in range(501)]
    assert post(board, batch(*sent)).status_code == 400
    assert board.get("/v1/events", agent_id="many")["data"] == []
    assert post(board, batch(*sent[:500])).json()["accepted"] == 500


def padded(size: int) -> bytes:
    body = batch(event())
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_a_request_has_a_megabyte_plain_and_unpacked(board: Board, more: int, status: int) -> None:
    body = padded(MEGABYTE + more)
    assert post(board, body).status_code == status
    assert post(board, gzip.compress(body), **{"Content-Encoding": "gzip"}).status_code == status
    halves = gzip.compress(body[:500_000]) + gzip.compress(body[500_000:])
    assert post(board, halves, **{"Content-Encoding": "gzip"}).status_code == status


@pytest.mark.parametrize(("path", "most"), [("/v1/ingest", 10_000_000), ("/v1/traces", 40_000_000)])
def test_a_bomb_is_not_unpacked(board: Board, path: str, most: int) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    with board.client() as client:
        tracemalloc.start()  # the board is in this process
        try:
            response = client.post(path, content=bomb, headers=headers)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")
    assert peak < most


def test_a_body_that_does_not_say_how_long_it_is_has_the_same_limit(board: Board) -> None:
    def parts(size: int) -> Iterator[bytes]:
        body = padded(size)
        yield from (body[at : at + 65_536] for at in range(0, size, 65_536))

    with board.client() as client:
        assert client.post("/v1/ingest", content=parts(MEGABYTE)).status_code == 200
        assert client.post("/v1/ingest", content=parts(MEGABYTE + 1)).status_code == 413


def test_a_body_without_an_end_is_cut_off(board: Board) -> None:
    host, port = board.endpoint.removeprefix("http://").split(":")
    head = (
        f"POST /v1/ingest HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: Bearer {board.keys['live']}\r\n\r\n"
    )
    chunk = b"100000\r\n" + b" " * MEGABYTE + b"\r\n"
    with socket.create_connection((host, int(port)), 20) as raw:
        raw.sendall(head.encode())
        with pytest.raises(OSError):
            for _ in range(200):
                raw.sendall(chunk)
    assert board.get("/v1/tasks")


# -- errors ---------------------------------------------------------------------------------------

Ask = Callable[[httpx.Client], httpx.Response]
ERRORS: dict[str, tuple[str | None, int, str, Ask]] = {
    "no key": (None, 401, "authentication_failed", lambda c: c.get("/v1/agents")),
    "no key to send": (None, 401, "authentication_failed", lambda c: c.post("/v1/traces")),
    "read key sends": ("read", 403, "insufficient_permissions", lambda c: c.post("/v1/ingest", json={})),
    "read key traces": ("read", 403, "insufficient_permissions", lambda c: c.post("/v1/traces")),
    "live key manages": ("live", 403, "insufficient_permissions", lambda c: c.get("/v1/api-keys")),
    "no path": ("live", 404, "not_found", lambda c: c.get("/v1/banana")),
    "no agent": ("live", 404, "not_found", lambda c: c.get("/v1/agents/nobody/pipeline")),
    "no method": ("live", 405, "method_not_allowed", lambda c: c.put("/v1/ingest")),
    "no batch": ("live", 400, "invalid_batch", lambda c: c.post("/v1/ingest", content=b"{")),
    "too large": ("live", 413, "payload_too_large", lambda c: c.post("/v1/ingest", content=padded(2**21))),
    "no encoding": (
        "live",
        415,
        "unsupported_encoding",
        lambda c: c.post("/v1/ingest", content=b"", headers={"Content-Encoding": "br"}),
    ),
    "no parameter": ("live", 400, "invalid_parameter", lambda c: c.get("/v1/tasks?limit=banana")),
    "foreign": ("live", 403, "host_not_allowed", lambda c: c.get("/v1/tasks", headers={"Host": "x.example"})),
}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_one_shape(board: Board, name: str) -> None:
    kind, status, code, ask = ERRORS[name]
    with board.client(kind) as client:
        response = ask(client)
    told = response.json()
    assert (response.status_code, told["error"], told["status"]) == (status, code, status)
    assert told["message"]
    assert told.keys() <= {"error", "message", "status", "details"}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert ("WWW-Authenticate" in response.headers) is (status == 401)


# -- worlds and rights ----------------------------------------------------------------------------

MARK = "only-in-tests"


def test_no_query_of_live_keys_sees_what_test_keys_sent(tmp_path: Path) -> None:
    place = {"task_id": MARK, "project_id": MARK, "task_type": MARK}
    data = {"model": MARK, "name": MARK, "tokens_in": 1, "tokens_out": 1, "cost": 1}
    told = [
        event("agent_registered", 9),
        event("task_started", 8, **place),
        event("action_started", 7, **place, action_id="a", payload={"action_name": MARK}),
        event("custom", 6, **place, payload={"kind": "llm_call", "data": data}),
        event("approval_requested", 5, **place, payload={"summary": MARK}),
        event("custom", 4, payload={"kind": "issue", "summary": MARK}),
        event("custom", 4, payload={"kind": "config_snapshot", "data": {"config": {"m": MARK}}}),
        event("custom", 3, payload={"kind": "todo", "summary": MARK, "data": {"todo_id": MARK}}),
        event("task_failed", 2, **place, payload={"exception_type": MARK}),
    ]
    with running_board(tmp_path) as board:
        board.send(*told, agent="ada", kind="test", environment=MARK, group=MARK)
        board.send(event("task_started", 1, task_id="t"), agent="ada")
        with board.client("live") as live, board.client("read") as read, board.client("test") as test:
            seen = 0
            for path in (*ALL_GETS, "/v1/tasks?status=failed", f"/v1/tasks?q={MARK[:6]}"):
                for client in (live, read):
                    assert MARK not in client.get(path).text, path
                seen += MARK in test.get(path).text
            assert seen >= 12
            for path in (f"/v1/tasks/{MARK}/timeline", f"/v1/events/{told[1]['event_id']}"):
                assert [client.get(path).status_code for client in (live, read, test)] == [404, 404, 200]
            assert "ada" not in json.dumps(board.get("/v1/tasks", "test", task_id="t"))


def test_every_query_is_among_those_that_are_asked_here() -> None:
    for route in routes_query.routes:
        pattern = re.compile(re.sub(r"\\\{\w+(:path)?\\\}", ".+", re.escape(route.path)))
        asked = any(pattern.fullmatch(path.partition("?")[0]) for path in ALL_GETS)
        assert asked or "{task_id" in route.path or "{event_id" in route.path, route.path


SENDS = (("POST", "/v1/ingest"), ("POST", "/v1/traces"))
MANAGES = (
    ("GET", "/v1/api-keys"),
    ("POST", "/v1/api-keys"),
    ("DELETE", "/v1/api-keys/none"),
    ("POST", "/v1/admin/pricing"),
    ("PUT", "/v1/admin/pricing"),
    ("PUT", "/v1/admin/pricing/none"),
    ("DELETE", "/v1/admin/pricing/none"),
    ("POST", "/v1/agents/none/issues/none/resolve"),
    ("DELETE", "/v1/agents/none"),
    ("POST", "/v1/agents/none/issues/resolve-all"),
)


@pytest.mark.parametrize("kind", [None, "live", "test", "read"])
def test_who_may_do_what(board: Board, kind: str | None) -> None:
    denied = 401 if kind is None else 403
    with board.client(kind) as client:
        for path in ALL_GETS:
            assert (client.get(path).status_code == 401) is (kind is None), path
        for method, path in MANAGES:
            assert client.request(method, path, json={}).status_code == denied, path
        for method, path in SENDS:
            may = client.request(method, path, content=b"[", headers={"Content-Type": "application/json"})
            assert (may.status_code == denied) is (kind in (None, "read")), path


def test_a_browser_may_manage_but_not_send(board: Board) -> None:
    with board.browser() as browser:
        for method, path in MANAGES:
            assert browser.request(method, path, json={}).status_code not in (401, 403), path
        for method, path in SENDS:
            assert browser.request(method, path, json={}).status_code == 403, path


def test_a_key_in_the_address_is_for_sockets_only(board: Board) -> None:
    with board.client(None) as client:
        assert client.get("/v1/agents", params={"token": board.keys["live"]}).status_code == 401


# -- how often ------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["query", "ingest", "traces"])
def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path, purpose: str) -> None:
    limits = Limits(ingest=3, query=3)
    with running_board(tmp_path, limits=limits) as board, board.client() as client:

        def ask() -> httpx.Response:
            if purpose == "query":
                return client.get("/v1/projects")
            headers = {"Content-Type": "application/json"}
            return client.post(f"/v1/{purpose}", content=b"{}", headers=headers)

        answers = [ask() for _ in range(8)]
        assert 429 not in [answer.status_code for answer in answers[:3]]
        refused = answers[-1]
        assert (refused.status_code, refused.json()["error"]) == (429, "rate_limit_exceeded")
        assert refused.headers["Retry-After"] == "1"
        assert 0 < refused.json()["details"]["retry_after_seconds"] < 1
        assert refused.headers["X-RateLimit-Limit"] == "3"
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert int(refused.headers["X-RateLimit-Reset"]) > 1_700_000_000
        with board.client("read" if purpose == "query" else "test") as other:
            assert other.get("/v1/projects").status_code == 200  # each key has its own
        eventually(lambda: ask().status_code != 429)


# -- queries --------------------------------------------------------------------------------------


def run(name: str, ago: float, minutes: float, cost: float, **more: Any) -> list[dict[str, Any]]:
    """A task that has ended, with one call of a model."""
    place = {"task_id": name, "task_run_id": f"r-{name}", **more}
    call = {"model": f"model-{name[0]}", "name": "think", "tokens_in": 10, "tokens_out": 5, "cost": cost}
    took = round(minutes * 60_000)
    return [
        event("task_started", ago, **place),
        event("custom", ago - 1, **place, payload={"kind": "llm_call", "data": call}),
        event("task_completed", ago - 2, **place, duration_ms=took, status="success"),
    ]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Two agents in two places."""
    with running_board(tmp_path_factory.mktemp("fleet")) as running:
        running.send(
            *run("a1", 500, 1, 0.5, project_id="crm", task_type="enrich"),
            *run("a2", 400, 9, 0.1, project_id="erp", task_type="bill"),
            event(
                "task_started", 100, task_id="a3", task_run_id="r-a3", project_id="crm", task_type="enrich"
            ),
            agent="alice",
            environment="staging",
            group="left",
        )
        failed = {"task_id": "b1", "task_run_id": "r-b1", "task_type": "bill"}
        running.send(
            event("task_started", 300, **failed),
            event("task_failed", 299, **failed, duration_ms=500, payload={"exception_type": "OSError"}),
            *run("b2", 200, 3, 0.9, task_type="bill"),
            event("task_started", 190, **failed | {"task_id": "b3", "task_run_id": "r-b3"}),
            event("task_failed", 189, **failed | {"task_id": "b3", "task_run_id": "r-b3"}, duration_ms=700),
            agent="bob",
            environment="production",
            group="right",
        )
        yield running


def names(found: dict[str, Any], name: str) -> list[str]:
    return [row[name] for row in found["data"]]


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["bob", "alice"]),  # by attention
        ({"sort": "name"}, ["alice", "bob"]),
        ({"sort": "last_seen"}, ["alice", "bob"]),
        ({"sort": "attention"}, ["bob", "alice"]),
        ({"environment": "staging"}, ["alice"]),
        ({"group": "right"}, ["bob"]),
        ({"project_id": "crm"}, ["alice"]),
        ({"status": "error"}, ["bob"]),
        ({"status": "processing,error", "sort": "name"}, ["alice", "bob"]),
        ({"status": "stuck"}, []),
        ({"limit": "1"}, ["bob"]),
    ],
)
def test_agents_are_filtered_and_sorted(fleet: Board, asked: dict[str, str], expected: list[str]) -> None:
    assert names(fleet.get("/v1/agents", **asked), "agent_id") == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["a3", "b3", "b2", "b1", "a2", "a1"]),
        ({"sort": "newest"}, ["a3", "b3", "b2", "b1", "a2", "a1"]),
        ({"sort": "oldest"}, ["a1", "a2", "b1", "b2", "b3", "a3"]),
        ({"sort": "duration"}, ["a2", "b2", "a1", "b3", "b1", "a3"]),
        ({"sort": "cost", "limit": "3"}, ["b2", "a1", "a2"]),
        ({"agent_id": "bob"}, ["b3", "b2", "b1"]),
        ({"project_id": "crm"}, ["a3", "a1"]),
        ({"task_type": "bill"}, ["b3", "b2", "b1", "a2"]),
        ({"environment": "staging"}, ["a3", "a2", "a1"]),
        ({"status": "failed"}, ["b3", "b1"]),
        ({"status": "completed"}, ["b2", "a2", "a1"]),
        ({"status": "processing"}, ["a3"]),
        ({"status": "failed,processing"}, ["a3", "b3", "b1"]),
    ],
)
def test_tasks_are_filtered_and_sorted(fleet: Board, asked: dict[str, str], expected: list[str]) -> None:
    assert names(fleet.get("/v1/tasks", **asked), "task_id") == expected


def test_tasks_of_a_time(fleet: Board) -> None:
    assert names(fleet.get("/v1/tasks", since=ago(250)), "task_id") == ["a3", "b3", "b2"]
    assert names(fleet.get("/v1/tasks", until=ago(350)), "task_id") == ["a2", "a1"]


@pytest.mark.parametrize(
    ("path", "key", "asked"),
    [
        ("/v1/agents", "agent_id", {}),
        ("/v1/agents", "agent_id", {"sort": "last_seen"}),
        *(("/v1/tasks", "task_id", {"sort": sort}) for sort in ("newest", "oldest", "duration", "cost")),
        ("/v1/events", "event_id", {}),
        ("/v1/cost/calls", "event_id", {}),
        ("/v1/llm-calls", "event_id", {}),
    ],
)
def test_pages_join_to_the_whole(fleet: Board, path: str, key: str, asked: dict[str, str]) -> None:
    whole = names(fleet.get(path, **asked, limit=200), key)
    joined, cursor = list[str](), None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = fleet.get(path, **asked, **more, limit=1)
        joined += names(page, key)
        assert len(joined) <= len(whole)
        cursor = page["pagination"]["cursor"]
        assert page["pagination"]["has_more"] is (cursor is not None)
        if cursor is None:
            break
    assert joined == whole
    assert len(whole) == len(set(whole)) >= 2


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ({"agent_id": "bob"}, 7),
        ({"task_id": "a1"}, 3),
        ({"event_type": "task_failed"}, 2),
        ({"event_type": "task_failed,task_completed"}, 5),
        ({"severity": "error"}, 2),
        ({"payload_kind": "llm_call"}, 3),
        ({"environment": "staging"}, 7),
        ({"group": "right"}, 7),
        ({"project_id": "erp"}, 3),
    ],
)
def test_events_are_filtered(fleet: Board, asked: dict[str, str], number: int) -> None:
    assert len(fleet.get("/v1/events", **asked)["data"]) == number


def test_the_id_of_the_last_event_is_a_cursor_too(fleet: Board) -> None:
    whole = names(fleet.get("/v1/events"), "event_id")
    assert names(fleet.get("/v1/events", cursor=whole[3]), "event_id") == whole[4:]


@pytest.mark.parametrize(
    ("range_", "interval"), [("1h", "5m"), ("6h", "15m"), ("24h", "1h"), ("7d", "6h"), ("30d", "1d")]
)
def test_each_range_has_its_interval(fleet: Board, range_: str, interval: str) -> None:
    found = fleet.get("/v1/metrics", range=range_)
    assert (found["range"], found["interval"]) == (range_, interval)
    assert found["summary"]["completed"] == 3
    assert sum(point["tasks_failed"] for point in found["timeseries"]) == 2
    assert fleet.get("/v1/cost", range=range_)["total_cost"] == 1.5


def test_metrics_and_costs_of_a_part(fleet: Board) -> None:
    assert fleet.get("/v1/metrics", agent_id="bob")["summary"]["failed"] == 2
    assert fleet.get("/v1/metrics", environment="staging")["summary"]["completed"] == 2
    assert fleet.get("/v1/metrics", project_id="crm")["summary"]["completed"] == 1
    assert fleet.get("/v1/metrics", interval="15m")["interval"] == "15m"
    by_agent = fleet.get("/v1/metrics", group_by="agent")["groups"]
    assert len(by_agent) == 2
    assert {group["model"] for group in fleet.get("/v1/metrics", group_by="model")["groups"]} >= {"model-a"}
    cost = fleet.get("/v1/cost", range="1h")
    assert {row["agent_id"]: row["cost"] for row in cost["by_agent"]} == {"alice": 0.6, "bob": 0.9}
    assert {row["model"]: row["call_count"] for row in cost["by_model"]} == {"model-a": 2, "model-b": 1}
    assert fleet.get("/v1/cost", range="1h", agent_id="bob")["total_cost"] == 0.9
    assert fleet.get("/v1/cost", range="1h", model="model-a")["total_cost"] == 0.6
    assert fleet.get("/v1/cost", range="1h", project_id="erp")["total_cost"] == 0.1
    points = fleet.get("/v1/cost/timeseries", range="1h")["data"]
    assert points
    calls = fleet.get("/v1/llm-calls", limit=1)
    assert len(calls["data"]) == 1
    assert calls["totals"]["call_count"] == 3  # of the whole filter, not of the page


def test_rows_have_the_names_that_dashboards_read(fleet: Board, board: Board) -> None:
    call = fleet.get("/v1/cost/calls", limit=1)["data"][0]
    has(call, "name model tokens_in tokens_out cost duration_ms cost_source prompt_preview response_preview")
    board.send(
        event("custom", 1, payload={"kind": "queue_snapshot", "data": {"depth": 3, "items": [{"id": "q"}]}}),
        event("custom", 1, payload={"kind": "issue", "summary": "slow", "data": {"severity": "low"}}),
        event("custom", 1, payload={"kind": "todo", "summary": "call", "data": {"todo_id": "t"}}),
        event("custom", 1, payload={"kind": "scheduled", "data": {"items": [{"id": "s"}]}}),
        agent="waits",
    )
    (shown,) = (row for row in board.get("/v1/pipeline")["agents"] if row["agent_id"] == "waits")
    expected = {"queue_depth": 3, "active_issues": 1, "todos": 1, "active_todos": 1, "scheduled": 1}
    assert {name: shown[name] for name in expected} == expected
    one = board.get("/v1/agents/waits/pipeline")
    has(one["queue"], "depth oldest_age_seconds items processing snapshot_at")
    has(one["todos"][0], "todo_id summary priority source context due_by")
    has(one["scheduled"][0], "id name next_run interval enabled last_status")
    has(one["issues"][0], "issue_id summary severity category context occurrence_count")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/agents", {"limit": "0"}),
        ("/v1/agents", {"limit": "201"}),
        ("/v1/agents", {"sort": "banana"}),
        ("/v1/agents", {"status": "happy"}),
        ("/v1/agents", {"cursor": "banana"}),
        ("/v1/tasks", {"status": "happy"}),
        ("/v1/tasks", {"limit": "-3"}),
        ("/v1/tasks", {"since": "banana"}),
        ("/v1/tasks", {"until": "banana"}),
        ("/v1/events", {"cursor": "no-such-event"}),
        ("/v1/events", {"event_type": "banana"}),
        ("/v1/events", {"exclude_heartbeats": "banana"}),
        ("/v1/events", {"after_seq": "banana"}),
        ("/v1/metrics", {"interval": "banana"}),
        ("/v1/metrics", {"group_by": "banana"}),
        ("/v1/cost/timeseries", {"group_by": "banana"}),
        ("/v1/cost/calls", {"limit": "banana"}),
        ("/v1/llm-calls", {"cursor": "banana"}),
        ("/v1/insights", {"range": "banana"}),
    ],
)
def test_a_value_that_makes_no_sense_is_named(fleet: Board, path: str, asked: dict[str, str]) -> None:
    with fleet.client("read") as client:
        response = client.get(path, params=asked)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_parameter")
    assert response.json()["details"]["parameter"] in asked


# -- anything -------------------------------------------------------------------------------------


def test_whatever_comes_in_whatever_order_every_page_answers(tmp_path: Path) -> None:
    with running_board(tmp_path) as board, board.client() as client:

        def look(paths: Iterable[str]) -> None:
            for path in paths:
                answer = client.get(path)
                assert answer.status_code == 200 or (answer.status_code == 404 and "/ada" in path), path

        @hypothesis.settings(max_examples=20)
        @hypothesis.given(st.lists(odd_events | anything, max_size=6), anything, st.randoms())
        def check(odd: list[Any], envelope: Any, chance: random.Random) -> None:
            sent = [*odd, event("task_started", task_id="t"), *odd]
            chance.shuffle(sent)
            known = envelope if chance.random() < 0.3 else {"agent_id": "ada"}
            for part in (sent, sent[::-1]):
                body = json.dumps({"envelope": known, "events": part})
                response = client.post("/v1/ingest", content=body.encode("utf-8", "surrogatepass"))
                assert response.status_code in (200, 207), response.text
            look(chance.sample(ALL_GETS, 3))

        check()
        look(ALL_GETS)
        assert board.get("/v1/events", event_type="task_started")["data"]


def test_whatever_spans_tell_every_page_answers(tmp_path: Path) -> None:
    odd = st.dictionaries(
        st.sampled_from((*AGENT, *CHAT, "hiveloop.task.id", "session.id")), anything, max_size=4
    )
    with running_board(tmp_path) as board, board.client() as client:

        @hypothesis.settings(max_examples=20)
        @hypothesis.given(st.lists(odd, max_size=4), anything)
        def check(several: list[dict[str, Any]], whole: Any) -> None:
            spans = [
                span(number, number // 2 or None, told=CHAT)
                | {"attributes": [{"key": key, "value": value} for key, value in told.items()]}
                for number, told in enumerate(several, 1)
            ]
            for sent in (request(*spans, whole), json.dumps(whole).encode("utf-8", "surrogatepass")):
                headers = {"Content-Type": "application/json"}
                response = client.post("/v1/traces", content=sent, headers=headers)
                assert response.status_code in (200, 400), response.text

        check()
        for path in ALL_GETS:
            assert client.get(path).status_code == 200 or "/ada" in path, path


# -- what is kept ---------------------------------------------------------------------------------


def test_what_is_too_old_is_gone_after_the_next_round(tmp_path: Path) -> None:
    month = 31 * 86_400
    with running_board(tmp_path) as board:
        old = event("task_started", month, task_id="old")
        assert board.send(old, event("task_started", task_id="new"))["accepted"] == 2
    with running_board(tmp_path) as board:
        eventually(lambda: names(board.get("/v1/events"), "task_id") == ["new"])
        with board.client() as client:
            assert client.get(f"/v1/events/{old['event_id']}").status_code == 404
