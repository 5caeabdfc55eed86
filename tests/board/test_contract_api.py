"""Queries, management and the safety of a board over HTTP: names and shapes that dashboards rely on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.wait import eventually

from .boards import Board, event, running_board

TASK = {"task_id": "lead-1", "task_run_id": "run-1", "project_id": "crm", "task_type": "enrich"}
LLM = {
    "model": "gpt-4o",
    "tokens_in": 1_000,
    "tokens_out": 200,
    "cost": 0.02,
    "name": "reason",
    "duration_ms": 50,
}


def _story() -> list[dict[str, Any]]:
    plan = {
        "goal": "win",
        "steps": [{"index": 0, "description": "look"}, {"index": 1, "description": "write"}],
    }
    step = {"step_index": 0, "total_steps": 2, "action": "completed"}
    failure = {"action_name": "search", "exception_type": "TimeoutError", "exception_message": "too slow"}
    return [
        event("agent_registered", 60, payload={"data": {"stuck_threshold": 120, "type": "sales"}}),
        event("task_started", 50, **TASK),
        event("custom", 49, **TASK, payload={"kind": "plan_created", "data": plan}),
        event("action_started", 48, **TASK, action_id="a1", payload={"action_name": "search"}),
        event("custom", 47, **TASK, action_id="a1", payload={"kind": "llm_call", "data": LLM}),
        event("action_failed", 46, **TASK, action_id="a1", status="failure", duration_ms=90, payload=failure),
        event("custom", 45, **TASK, payload={"kind": "plan_step", "data": step}),
        event("approval_requested", 44, **TASK, payload={"summary": "May I?", "data": {"approver": "bo"}}),
        event("approval_received", 43, **TASK, payload={"data": {"decision": "approved"}}),
        event("task_completed", 40, **TASK, status="success", duration_ms=10_000),
        event("task_started", 30, task_id="lead-2", task_run_id="run-2"),
        event(
            "custom", 29, payload={"kind": "issue", "summary": "CRM is slow", "data": {"severity": "high"}}
        ),
        event(
            "custom",
            28,
            payload={"kind": "todo", "summary": "Call", "data": {"todo_id": "t1", "action": "created"}},
        ),
        event(
            "custom", 27, payload={"kind": "queue_snapshot", "data": {"depth": 8, "items": [{"id": "q1"}]}}
        ),
        event(
            "custom", 26, payload={"kind": "scheduled", "data": {"items": [{"id": "s1", "name": "nightly"}]}}
        ),
        event("heartbeat", 1, payload={"hiveloop": {"open_task": "lead-2"}}),
    ]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board to which one agent told a story that has everything."""
    with running_board(tmp_path_factory.mktemp("board")) as running:
        running.send(*_story(), agent="sales/eu", environment="staging", group="g", agent_version="3")
        yield running


def has(found: dict[str, Any], names: str) -> None:
    missing = [name for name in names.split() if name not in found]
    assert not missing, f"{missing} not in {sorted(found)}"


# -- queries --------------------------------------------------------------------------------------


def test_agents(board: Board) -> None:
    (agent,) = board.get("/v1/agents")["data"]
    has(
        agent,
        "agent_id agent_type agent_version framework runtime sdk_version environment group derived_status"
        " current_task_id current_project_id last_heartbeat heartbeat_age_seconds is_stuck"
        " stuck_threshold_seconds first_seen last_seen stats_1h sparkline_1h processing_summary",
    )
    has(
        agent["stats_1h"],
        "tasks_completed tasks_failed success_rate avg_duration_ms total_cost throughput queue_depth"
        " active_issues",
    )
    assert (agent["agent_id"], agent["derived_status"], agent["environment"]) == (
        "sales/eu",
        "processing",
        "staging",
    )
    assert (agent["current_task_id"], agent["stuck_threshold_seconds"]) == ("lead-2", 120)
    assert (agent["stats_1h"]["tasks_completed"], agent["stats_1h"]["total_cost"]) == (1, 0.02)
    assert len(agent["sparkline_1h"]) == 12
    assert board.get("/v1/agents/" + quote("sales/eu", safe=""))["agent_id"] == "sales/eu"
    assert board.get("/v1/agents", environment="production")["data"] == []


def test_tasks_and_their_pages(board: Board) -> None:
    page = board.get("/v1/tasks", limit=1)
    assert page["pagination"]["has_more"] is True
    (second,) = page["data"]
    (first,) = board.get("/v1/tasks", limit=1, cursor=page["pagination"]["cursor"])["data"]
    assert (second["task_id"], first["task_id"]) == ("lead-2", "lead-1")
    has(
        first,
        "task_id task_type task_run_id agent_id project_id derived_status started_at completed_at duration_ms"
        " total_cost action_count error_count has_escalation has_human_intervention llm_call_count"
        " total_tokens_in total_tokens_out",
    )
    assert (first["derived_status"], first["duration_ms"], first["project_id"]) == (
        "completed",
        10_000,
        "crm",
    )
    assert (first["llm_call_count"], first["total_tokens_in"], first["has_human_intervention"]) == (
        1,
        1_000,
        True,
    )
    assert [t["task_id"] for t in board.get("/v1/tasks", status="processing")["data"]] == ["lead-2"]


def test_a_timeline(board: Board) -> None:
    found = board.get("/v1/tasks/lead-1/timeline", task_run_id="run-1")
    has(found, "task_id task_run_id events action_tree error_chains plan")
    (action,) = found["action_tree"]
    has(action, "action_id parent_action_id name status duration_ms events children")
    assert (action["name"], action["duration_ms"]) == ("search", 90)
    assert [step["description"] for step in found["plan"]["steps"]] == ["look", "write"]
    has(found["plan"]["progress"], "completed total")
    assert (found["plan"]["progress"]["completed"], found["plan"]["progress"]["total"]) == (1, 2)
    assert len(found["events"]) == 9


def test_events(board: Board) -> None:
    newest = board.get("/v1/events", limit=1)["data"][0]
    has(
        newest,
        "event_id timestamp received_at event_type severity agent_id environment group project_id task_id"
        " task_run_id task_type correlation_id action_id parent_action_id parent_event_id status duration_ms"
        " payload",
    )
    assert newest["event_type"] != "heartbeat"
    everything = board.get("/v1/events", limit=1, exclude_heartbeats="false")["data"]
    assert everything[0]["event_type"] == "heartbeat"
    assert len(board.get("/v1/events", event_type="heartbeat")["data"]) == 1
    kinds = board.get("/v1/events", payload_kind="llm_call")["data"]
    assert [found["payload"]["data"]["name"] for found in kinds] == ["reason"]
    failed = board.get("/v1/events", event_type="action_failed,task_failed")["data"]
    assert [found["payload"]["exception_type"] for found in failed] == ["TimeoutError"]
    after = board.get("/v1/events", after_seq=0, limit=200)["data"]
    assert len(after) >= 15
    assert "heartbeat" in {found["event_type"] for found in after}


def test_pipelines(board: Board) -> None:
    one = board.get("/v1/agents/" + quote("sales/eu", safe="") + "/pipeline")
    has(one, "agent_id queue todos scheduled issues")
    assert (one["queue"]["depth"], one["todos"][0]["summary"]) == (8, "Call")
    assert one["issues"][0]["severity"] == "high"
    fleet = board.get("/v1/pipeline")
    has(fleet, "totals agents total_queue_depth total_active_issues total_todos total_scheduled")
    assert fleet["totals"]["queue_depth"] == fleet["total_queue_depth"] == 8


def test_metrics_and_cost(board: Board) -> None:
    metrics = board.get("/v1/metrics", range="1h", group_by="agent")
    has(metrics, "summary timeseries groups")
    has(
        metrics["summary"],
        "total_tasks completed failed escalated stuck success_rate avg_duration_ms total_cost"
        " avg_cost_per_task",
    )
    has(
        metrics["timeseries"][0],
        "timestamp tasks_completed tasks_failed avg_duration_ms cost error_count throughput",
    )
    cost = board.get("/v1/cost", range="1h")
    has(cost, "total_cost call_count total_tokens_in total_tokens_out by_agent by_model")
    assert (cost["total_cost"], cost["call_count"], cost["reported_cost"]) == (0.02, 1, 0.02)
    (call,) = board.get("/v1/cost/calls")["data"]
    assert (call["name"], call["model"], call["cost"], call["cost_source"]) == (
        "reason",
        "gpt-4o",
        0.02,
        "reported",
    )
    assert board.get("/v1/llm-calls")["data"]
    assert board.get("/v1/cost/timeseries", range="1h")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v1/agents", {"limit": "-3"}),
        ("/v1/tasks", {"limit": "0"}),
        ("/v1/tasks", {"sort": "banana"}),
        ("/v1/tasks", {"cursor": "banana"}),
        ("/v1/events", {"severity": "loud"}),
        ("/v1/events", {"since": "yesterday"}),
        ("/v1/metrics", {"range": "banana"}),
        ("/v1/cost", {"range": "banana"}),
    ],
)
def test_wrong_parameters_are_named(board: Board, path: str, parameters: dict[str, str]) -> None:
    with board.client() as client:
        response = client.get(path, params=parameters)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_parameter")
    assert response.json()["details"]["parameter"] in parameters


@pytest.mark.parametrize(
    "path",
    [
        "/v1/agents/nobody",
        "/v1/tasks/none/timeline",
        "/v1/events/none",
        "/v1/insights/banana",
        "/v1/nothing",
    ],
)
def test_what_is_not_there_is_404(board: Board, path: str) -> None:
    with board.client() as client:
        response = client.get(path)
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


def test_health_needs_no_key(board: Board) -> None:
    with board.client(None) as client:
        answer = client.get("/health").json()
    assert answer["status"] == "ok"
    assert answer["version"]


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/events", "/v1/board", "/v1/api-keys"])
def test_queries_need_a_key_or_a_session(board: Board, path: str) -> None:
    with board.client(None) as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Cookie": "hiveboard_session=forged"}).status_code == 401


# -- the browser's way ----------------------------------------------------------------------------


def test_a_one_time_link_becomes_a_strict_cookie(board: Board) -> None:
    link = board.link()
    with board.client(None) as browser:
        opened = browser.get(link)
        cookie = opened.headers["Set-Cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "url=/" in opened.text
        assert browser.get("/v1/agents").status_code == 200
        assert browser.get(link).status_code == 303  # it is open already
    with board.client(None) as other:
        assert other.get(link).status_code == 403
        assert other.get("/v1/agents").status_code == 401


def test_a_browser_sees_the_test_world_when_it_asks(board: Board) -> None:
    board.send(event("task_started", task_id="try"), kind="test")
    with board.browser() as browser:
        seen = browser.get("/v1/tasks", params={"world": "test"}).json()["data"]
    assert [task["task_id"] for task in seen] == ["try"]


def test_without_a_session_the_page_says_how_to_get_one(board: Board) -> None:
    with board.client(None) as client:
        response = client.get("/tasks/lead-1")
    assert response.status_code == 401
    assert "hiveloop board link" in response.text


def test_without_built_pages_the_page_says_what_is_missing(board: Board) -> None:
    with board.browser() as browser:
        response = browser.get("/")
    assert response.status_code == 503
    assert "npm run build" in response.text


def test_pages_and_assets(tmp_path: Path) -> None:
    static = tmp_path / "pages"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>board</title>")
    (static / "assets" / "app-0123456789.js").write_text("let x = 1;\n" * 500)
    with running_board(tmp_path, static=static) as board, board.browser() as browser:
        for path in ("/", "/costs", "/tasks/a%2Fb"):
            assert browser.get(path).text == "<!doctype html><title>board</title>"
        script = browser.get("/assets/app-0123456789.js")
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert script.headers["Content-Encoding"] == "gzip"
        assert "immutable" in script.headers["Cache-Control"]
        assert script.text.startswith("let x")
        for path in ("/assets/none.js", "/assets/.hidden"):
            assert browser.get(path).status_code == 404, path
        assert "root:" not in browser.get("/assets/..%2F..%2F..%2F..%2F..%2Fetc%2Fpasswd").text


# -- management -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["live", "test", "read"])
def test_keys_of_agents_cannot_manage(board: Board, kind: str) -> None:
    with board.client(kind) as client:
        answers = [
            client.get("/v1/api-keys"),
            client.post("/v1/api-keys", json={"key_type": "live"}),
            client.delete("/v1/api-keys/x"),
            client.put("/v1/admin/pricing", json={"model": "m", "input_usd": 1, "output_usd": 1}),
            client.post("/v1/agents/ada/issues/x/resolve"),
        ]
        assert [answer.status_code for answer in answers] == [403] * 5
        assert client.get("/v1/board").json()["api_key"] is None


def test_keys_are_made_shown_once_and_revoked(board: Board) -> None:
    with board.browser() as browser:
        made = browser.post("/v1/api-keys", json={"key_type": "live", "label": "laptop"})
        told = made.json()
        assert made.status_code == 201
        raw = told.pop("raw_key")
        has(told, "key_id key_prefix key_type label created_at last_used_at revoked_at is_active is_own")
        assert told in browser.get("/v1/api-keys").json()["data"]
        assert (told["label"], told["is_active"], told["is_own"]) == ("laptop", True, False)
        assert raw not in browser.get("/v1/api-keys").text
        assert raw.startswith(told["key_prefix"])
        assert len(told["key_prefix"]) < 16
        assert _status_with(board, raw) == 200
        eventually(
            lambda: _listed(browser, told["key_id"])["last_used_at"] is not None
        )  # noted beside the answer
        assert browser.delete(f"/v1/api-keys/{told['key_id']}").status_code == 204
        assert _status_with(board, raw) == 401
        gone = _listed(browser, told["key_id"])
        assert (gone["is_active"], gone["revoked_at"] is None) == (False, False)
        assert browser.delete(f"/v1/api-keys/{told['key_id']}").status_code == 404
        assert browser.delete("/v1/api-keys/none").status_code == 404


def _listed(browser: httpx.Client, key_id: str) -> dict[str, Any]:
    return next(key for key in browser.get("/v1/api-keys").json()["data"] if key["key_id"] == key_id)


@pytest.mark.parametrize("kind", ["live", "test", "read"])
def test_a_made_key_is_what_its_type_says(board: Board, kind: str) -> None:
    with board.browser() as browser:
        key = browser.post("/v1/api-keys", json={"key_type": kind}).json()["raw_key"]
    assert key.startswith(f"hb_{kind}_")
    with board.client(None, Authorization=f"Bearer {key}") as client:
        batch = {"envelope": {"agent_id": "made"}, "events": [event(task_id=f"made-{kind}")]}
        assert client.post("/v1/ingest", json=batch).status_code == (403 if kind == "read" else 200)
        assert client.get("/v1/agents").status_code == 200
        assert client.get("/v1/api-keys").status_code == 403
        seen = {
            found["task_id"] for found in client.get("/v1/events", params={"agent_id": "made"}).json()["data"]
        }
    assert ("made-test" in seen) is (kind == "test")


@pytest.mark.parametrize(
    "wrong", [{"key_type": "banana"}, {"key_type": ["live"]}, {"label": 7}, {"label": "x" * 257}, "[", "[]"]
)
def test_a_key_that_cannot_be_made_is_told(board: Board, wrong: Any) -> None:
    with board.browser() as browser:
        before = browser.get("/v1/api-keys").json()
        body = wrong.encode() if isinstance(wrong, str) else json.dumps(wrong).encode()
        answer = browser.post("/v1/api-keys", content=body)
        assert (answer.status_code, answer.json()["error"]) == (400, "validation_error")
        assert browser.get("/v1/api-keys").json() == before


def test_the_boards_own_key_is_marked_and_shown_until_it_is_revoked(tmp_path: Path) -> None:
    with running_board(tmp_path) as board, board.browser() as browser:
        (own,) = [key for key in browser.get("/v1/api-keys").json()["data"] if key["is_own"]]
        assert board.keys["live"].startswith(own["key_prefix"])
        assert browser.get("/v1/board").json()["api_key"] == board.keys["live"]
        assert browser.delete(f"/v1/api-keys/{own['key_id']}").status_code == 204
        assert browser.get("/v1/board").json()["api_key"] is None


def _status_with(board: Board, key: str) -> int:
    with board.client(None, Authorization=f"Bearer {key}") as client:
        return client.get("/v1/agents").status_code


def test_keys_are_stored_hashed(tmp_path: Path) -> None:
    with running_board(tmp_path) as board:
        board.send(event())
        keys = [key.encode() for key in board.keys.values()]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("board.db*"))
    assert not any(key in stored for key in keys)


def test_issues_are_resolved_and_reopened_from_the_page(board: Board) -> None:
    issue = event(payload={"kind": "issue", "summary": "Odd # things/here", "data": {"severity": "low"}})
    board.send(issue, agent="checker", agent_type="qa", group="g")
    path = "/v1/agents/checker/issues/"
    before = board.get("/v1/agents/checker")
    (found,) = board.get("/v1/agents/checker/pipeline")["issues"]
    key = quote(found["issue_key"], safe="")
    with board.browser() as browser:
        assert browser.post(f"{path}{key}/resolve").status_code == 200
        assert board.get("/v1/agents/checker/pipeline")["issues"] == []
        assert browser.post(f"{path}{key}/reopen").status_code == 200
        (again,) = board.get("/v1/agents/checker/pipeline")["issues"]
        assert (again["summary"], again["severity"]) == ("Odd # things/here", "low")
        assert browser.post(f"{path}resolve-all").json()["resolved"] == 1
        assert board.get("/v1/agents/checker/pipeline")["issues"] == []
        assert browser.post(f"{path}none/resolve").status_code == 404
        assert browser.post(f"{path}{key}/explode").status_code == 404
    after = board.get("/v1/agents/checker")
    # What the operator does is no sign of life of the agent, and says nothing about it.
    for name in ("agent_type", "group", "environment", "last_seen"):
        assert before[name] == after[name]


def test_an_agent_is_taken_off_the_board_until_it_is_heard_of_again(board: Board) -> None:
    def waiting() -> list[str]:
        return [todo["summary"] for todo in board.get("/v1/pipeline", environment="attic")["todos"]]

    def shown() -> list[str]:
        found = board.get("/v1/agents", environment="attic", sort="name")["data"]
        return [agent["agent_id"] for agent in found]

    def send(*events: dict[str, Any], agent: str = "old/one") -> None:
        board.send(*events, agent=agent, environment="attic")

    path = "/v1/agents/" + quote("old/one", safe="")
    with board.browser() as browser, board.stream(channels=["agents"]) as stream:

        def until(kind: str) -> None:
            stream.until(lambda m: m["type"] == kind and m["agent_id"] == "old/one")

        todo = event(payload={"kind": "todo", "summary": "Call", "data": {"todo_id": "t1"}})
        send(event("task_started", 400, task_id="kept"), todo)
        send(event("task_started"), agent="other")
        until("agent.status_changed")
        assert (shown(), waiting()) == (["old/one", "other"], ["Call"])
        assert browser.delete(path, params={"world": "test"}).status_code == 404
        assert browser.delete(path).status_code == 204
        until("agent.removed")
        assert (shown(), waiting()) == (["other"], [])
        assert board.get("/v1/search", q="old/one")["agents"] == []
        for gone in (path, f"{path}/pipeline"):
            assert browser.get(gone).status_code == 404
        assert browser.delete(path).status_code == 404
        assert [task["task_id"] for task in board.get("/v1/tasks", agent_id="old/one")["data"]] == ["kept"]
        send(event(ago=1_000))  # comes late: of the time before
        board.store.rebuild().result(20)
        assert shown() == ["other"]
        send(event("heartbeat", 0))
        assert (shown(), waiting()) == (["old/one", "other"], ["Call"])
        until("agent.status_changed")


def test_prices_are_edited(board: Board) -> None:
    with board.browser() as browser:
        price = {"model": "My-Model", "input_usd": 1.5, "output_usd": 3}
        assert browser.put("/v1/admin/pricing", json=price).status_code == 200
        call = {"model": "my-model", "tokens_in": 1_000_000, "tokens_out": 0, "name": "priced"}
        board.send(event(payload={"kind": "llm_call", "data": call}), agent="priced")
        (shown,) = board.get("/v1/cost/calls", agent_id="priced")["data"]
        assert (shown["cost"], shown["cost_source"]) == (1.5, "estimated")
        rows = browser.get("/v1/admin/pricing").json()["data"]
        assert [row["input_usd"] for row in rows if row["model"] == "my-model"] == [1.5]
        assert browser.delete("/v1/admin/pricing/my-model").status_code == 204
        listed = [row for row in rows if row["model"] == "amazon.nova-lite"]
        assert (
            browser.put("/v1/admin/pricing/amazon.nova-lite", json={**price, "model": None}).status_code
            == 200
        )
        assert browser.delete("/v1/admin/pricing/amazon.nova-lite").status_code == 204
        rows = browser.get("/v1/admin/pricing").json()["data"]
        again = [{**row, "updated_at": None} for row in rows if row["model"] == "amazon.nova-lite"]
        assert again == [{**row, "updated_at": None} for row in listed]
        assert browser.delete("/v1/admin/pricing/amazon.nova-lite").status_code == 204
        assert browser.delete("/v1/admin/pricing/amazon.nova-lite").status_code == 404
        for wrong in ({"model": ""}, {**price, "input_usd": -1}, {**price, "output_usd": "3"}):
            assert browser.put("/v1/admin/pricing", json=wrong).status_code == 400


def test_the_page_learns_where_agents_report_to(board: Board) -> None:
    with board.browser() as browser:
        told = browser.get("/v1/board").json()
    assert (told["endpoint"], told["api_key"], told["can_manage"]) == (
        board.endpoint,
        board.keys["live"],
        True,
    )


# -- safety ---------------------------------------------------------------------------------------


def test_every_answer_carries_the_headers_of_safety(board: Board) -> None:
    with board.client() as client:
        for path in ("/health", "/", "/v1/agents", "/v1/nothing", "/assets/x"):
            headers = client.get(path).headers
            policy = headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "Access-Control-Allow-Origin" not in headers
            assert "server" not in headers


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8787", "10.0.0.1", ""])
def test_unknown_names_are_refused(board: Board, host: str) -> None:
    with board.client() as client:
        response = client.get("/v1/agents", headers={"Host": host})
    assert response.status_code in (400, 403)  # an empty one is no HTTP at all


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1:1"])
def test_pages_of_other_sites_are_refused(board: Board, origin: str) -> None:
    with board.browser() as browser:
        for method, path in (("GET", "/v1/agents"), ("POST", "/v1/ingest"), ("POST", "/v1/api-keys")):
            response = browser.request(method, path, headers={"Origin": origin})
            assert (response.status_code, response.json()["error"]) == (403, "origin_not_allowed")
        own = browser.post("/v1/api-keys", json={}, headers={"Origin": board.endpoint})
        assert own.status_code == 201


def test_garbage_instead_of_http_does_not_stop_the_board(board: Board) -> None:
    host, port = board.endpoint.removeprefix("http://").split(":")
    for garbage in (b"\x16\x03\x01\x00\xff" * 50, b"GET\r\n\r\n", b"\0" * 100):
        with socket.create_connection((host, int(port)), 5) as raw:
            raw.sendall(garbage)
            raw.recv(1_000)
    assert httpx.get(f"{board.endpoint}/health").status_code == 200
