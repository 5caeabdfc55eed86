"""The board's queries against a real store, filled by the SDK and by hand."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import hiveloop
from hiveloop._wire import encode_batch, encode_event
from hiveloop.board.intake import Intake, read_batch
from hiveloop.board.queries import (
    BadParameterError,
    NotFoundError,
    Params,
    agents,
    cost,
    events,
    fleet,
    insights,
    metrics,
    pipeline,
    search,
    tasks,
    timeline,
)
from hiveloop.board.store.sqlite import SqliteStore
from hiveloop.testing import capture

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T0 = 1_790_000_000 * SECOND // HOUR * HOUR
"""A whole hour, at which hand-made stories begin."""


class World:
    """A store and the wall clock that questions are asked at."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path / "board.db")
        self.now = T0 + 20 * MINUTE
        self._count = 0

    def ingest(self, body: bytes, world: str = "live") -> Intake:
        """Store what a request would bring."""
        found = read_batch(body, self.now)
        assert isinstance(found, Intake), found
        self.store.append(world, found.events).result(30)
        return found

    def tell(
        self,
        at: float,
        event_type: str,
        payload: Any = None,
        *,
        agent: str = "a1",
        environment: str = "production",
        world: str = "live",
        **fields: Any,
    ) -> str:
        """Store one hand-made event, `at` seconds after T0."""
        self._count += 1
        event_id = fields.pop("event_id", f"e{self._count:05d}")
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime((T0 + at * SECOND) // SECOND))
        stamp = f"{moment}.{int((T0 + at * SECOND) % SECOND) // 1000:03d}Z"
        event = {"event_id": event_id, "timestamp": stamp, "event_type": event_type, **fields}
        if payload is not None:
            event["payload"] = payload
        envelope = {"agent_id": agent, "environment": environment}
        found = self.ingest(json.dumps({"envelope": envelope, "events": [event]}).encode(), world)
        assert not found.errors, found.errors
        return event_id

    def call(self, at: float, model: str = "gpt-4o", **more: Any) -> str:
        """Store one LLM call of task t1."""
        fields = {
            name: more.pop(name) for name in ("agent", "task_id", "action_id", "project_id") if name in more
        }
        data = {"name": "think", "model": model, **more}
        fields.setdefault("task_id", "t1")
        return self.tell(at, "custom", {"kind": "llm_call", "summary": "think", "data": data}, **fields)

    def custom(self, at: float, kind: str, data: Any, summary: str = "", **fields: Any) -> str:
        """Store one custom event."""
        return self.tell(at, "custom", {"kind": kind, "summary": summary, "data": data}, **fields)

    def ask(
        self, query: Callable[..., dict[str, Any]], *names: str, world: str = "live", **params: Any
    ) -> Any:
        """Ask a query, and check that its answer is JSON."""
        given = {name: str(value) for name, value in params.items()}
        with self.store.reader() as reader:
            answer = query(reader, world, *names, Params(given, self.now))
        return json.loads(msgspec.json.encode(answer))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def told_by_sdk(world: World, act: Callable[[], None]) -> None:
    """Let an agent act, and store what the SDK would have posted."""
    with capture(heartbeats=False) as seen:
        act()
        sent = list(seen.events)
    world.now = time.time_ns() // 1_000
    for event in sent:
        world.ingest(encode_batch(event.agent, [encode_event(event)]))


# -- one agent of the SDK, seen everywhere ----------------------------------------------------------


def lead() -> None:
    """What a lead-scoring agent does: a plan, tools, a call, a failure with a retry, people."""
    hb = hiveloop.init(api_key="hb_live_0000")
    agent = hb.agent("lead-agent", type="sales", version="1.2", framework="own", heartbeat_interval=0)
    with agent.task("lead-1", project="sales", type="scoring") as task:
        task.plan("Score the lead", ["fetch", "score", "write"])
        task.plan_step(0, "started", "fetching", total_steps=3)
        with agent.track_context("fetch_crm") as action:
            action.set_payload(hiveloop.tool_payload(args={"id": 7}, result="ACME", tool_category="crm"))
        task.plan_step(0, "completed", "fetched", total_steps=3)
        with agent.track_context("score"):
            task.llm_call(
                "reason",
                "gpt-4o",
                tokens_in=1_200,
                tokens_out=350,
                cost=0.008,
                duration_ms=1,
                prompt_preview="Score ACME",
                response_preview="87",
                metadata={"stop_reason": "end_turn", "turn_number": 1},
            )
        task.llm_call("write", "gpt-4o-mini-2024-07-18", tokens_in=1_000_000, tokens_out=0)
        task.escalate("Needs a person", assigned_to="sales-lead")
        task.request_approval("Send the offer?", approver="boss")
        task.approval_received("Go", approved_by="boss", decision="denied")
        task.retry("CRM busy", attempt=2, backoff_seconds=1.5)
    agent.report_issue("CRM is slow", severity="high", issue_id="crm", category="latency")
    agent.todo("todo-1", "created", "Call ACME", priority="high")
    agent.queue_snapshot(2, oldest_age_seconds=120, items=[{"id": "q1", "summary": "next lead"}])
    agent.scheduled(
        [{"id": "s1", "name": "nightly", "next_run": "2020-01-01T00:00:00Z", "last_status": "failed"}]
    )
    agent.event("config_snapshot", {"data": {"model": "gpt-4o", "tools": ["crm"]}})


def test_an_agent_of_the_sdk_is_a_worker_with_everything_on_its_card(world: World) -> None:
    told_by_sdk(world, lead)
    answer = world.ask(agents.agents)
    (card,) = answer["data"]
    assert card["agent_id"] == "lead-agent"
    assert (card["agent_type"], card["agent_version"], card["framework"]) == ("sales", "1.2", "own")
    assert card["derived_status"] == "idle"
    assert card["reason"]
    assert card["since"]
    stats = card["stats_1h"]
    assert (stats["tasks_completed"], stats["tasks_failed"], stats["success_rate"]) == (1, 0, 100)
    assert stats["total_cost"] == pytest.approx(0.008 + 0.15)
    assert (stats["queue_depth"], stats["active_issues"], card["pending_approvals"]) == (2, 1, 0)
    assert len(card["sparkline_1h"]) == 12
    assert card["sparkline_1h"][-1] + card["sparkline_1h"][-2] > 10
    assert card["last_outcomes"] == ["success"]
    assert card["has_escalation"]
    assert card["worst_issue"] == "high"
    assert answer["counts"]["idle"] == answer["total"] == 1
    assert world.ask(agents.agent, "lead-agent") == card


def test_the_task_of_an_agent_of_the_sdk_is_told_in_full(world: World) -> None:
    told_by_sdk(world, lead)
    (row,) = world.ask(tasks.tasks)["data"]
    assert (row["task_id"], row["task_type"], row["project_id"]) == ("lead-1", "scoring", "sales")
    assert row["derived_status"] == "completed"
    assert row["duration_ms"] is not None
    assert (row["llm_call_count"], row["action_count"], row["total_tokens_in"]) == (2, 2, 1_001_200)
    assert (row["reported_cost"], row["estimated_cost"], row["cost_source"]) == (0.008, 0.15, "mixed")
    assert row["has_escalation"]
    assert row["has_human_intervention"]
    assert row["retry_count"] == 1

    told = world.ask(timeline.timeline, "lead-1")
    assert told["task_run_id"] == row["task_run_id"]
    assert len(told["runs"]) == 1
    tree = {node["name"]: node for node in told["action_tree"]}
    assert set(tree) == {"fetch_crm", "score"}
    assert tree["fetch_crm"]["status"] == "success"
    assert tree["fetch_crm"]["children"] == []
    assert tree["fetch_crm"]["payload"]["args"] == {"id": 7}
    nodes = {node["node"] for node in told["nodes"]}
    assert {"tool", "llm", "retry", "escalation", "approval", "task"} <= nodes
    reason = next(node for node in told["nodes"] if node["name"] == "reason")
    assert reason["parent_action_id"] == tree["score"]["action_id"]
    assert reason["llm"]["prompt_preview"] == "Score ACME"
    assert reason["llm"]["metadata"]["turn_number"] == 1
    plan = told["plan"]
    assert plan["goal"] == "Score the lead"
    assert plan["progress"]["completed"] == 1
    assert [step["action"] for step in plan["steps"]] == ["completed", None, None]
    assert plan["progress"]["total"] == 3
    assert plan["steps"][0]["description"] == "fetch"
    parts = told["breakdown"]
    assert parts["wall_ms"] == sum(value for name, value in parts.items() if name != "wall_ms")
    decision = [node for node in told["nodes"] if node["kind"] == "approval_received"]
    assert decision[0]["status"] == "denied"


def test_the_pipeline_of_an_agent_of_the_sdk(world: World) -> None:
    told_by_sdk(world, lead)
    one = world.ask(pipeline.agent_pipeline, "lead-agent")
    assert one["queue"]["depth"] == 2
    assert one["queue"]["oldest_age_seconds"] == 120
    assert one["queue"]["items"][0]["summary"] == "next lead"
    assert one["queue"]["snapshot_at"]
    (todo,) = one["todos"]
    assert (todo["summary"], todo["priority"], todo["action"]) == ("Call ACME", "high", "created")
    (issue,) = one["issues"]
    assert (issue["issue_id"], issue["severity"], issue["occurrence_count"]) == ("crm", "high", 1)
    (job,) = one["scheduled"]
    assert job["overdue"]
    assert job["last_failed"]
    assert job["name"] == "nightly"
    every = world.ask(pipeline.pipeline)
    totals = {"queue_depth": 2, "active_issues": 1, "active_todos": 1, "scheduled_count": 1}
    assert totals.items() <= every["totals"].items()
    assert (every["total_queue_depth"], every["total_active_issues"]) == (2, 1)
    assert (every["total_todos"], every["total_scheduled"]) == (1, 1)
    assert every["agents"][0]["todos"] == every["agents"][0]["active_todos"] == 1
    assert every["issues"] == one["issues"]


# -- agents -----------------------------------------------------------------------------------------


def test_an_agent_is_processing_while_its_task_is_open_whatever_else_it_says(world: World) -> None:
    world.tell(0, "task_started", task_id="t1", task_run_id="r1", project_id="p")
    world.tell(1, "action_started", {"action_name": "search"}, task_id="t1", task_run_id="r1", action_id="x")
    world.tell(2, "heartbeat", {})
    world.call(3, task_run_id="r1")
    world.now = T0 + 10 * SECOND
    (card,) = world.ask(agents.agents)["data"]
    assert card["derived_status"] == "processing"
    assert (card["current_task_id"], card["current_task_run_id"]) == ("t1", "r1")
    assert card["current_project_id"] == "p"
    assert card["current_task_since"] == card["since"]
    assert card["current_action"]["name"] == "search"
    assert card["current_action"]["age_seconds"] == 9
    assert card["processing_summary"]
    assert card["heartbeat_age_seconds"] == 8


def test_agents_are_sorted_by_attention_filtered_and_paged(world: World) -> None:
    world.tell(0, "task_started", agent="busy", task_id="t1")
    world.tell(0, "task_started", agent="waits", task_id="t2")
    world.tell(1, "approval_requested", {"summary": "ok?"}, agent="waits", task_id="t2")
    world.tell(0, "task_started", agent="broken", task_id="t3")
    world.tell(1, "task_failed", {"exception_type": "E"}, agent="broken", task_id="t3", environment="staging")
    world.tell(0, "agent_registered", {"data": {"stuck_threshold": 5}}, agent="silent")
    world.custom(1, "runtime", {"event": "agent_stopped"}, agent="gone")
    world.tell(1, "agent_registered", agent="idle")
    world.now = T0 + MINUTE
    answer = world.ask(agents.agents)
    assert [card["agent_id"] for card in answer["data"]] == [
        "silent",
        "broken",
        "waits",
        "busy",
        "idle",
        "gone",
    ]
    assert [card["derived_status"] for card in answer["data"]][:3] == ["stuck", "error", "waiting_approval"]
    silent, gone = answer["data"][0], answer["data"][-1]
    assert silent["is_stuck"]
    assert silent["stuck_threshold_seconds"] == 5
    assert silent["since"].endswith("00:00.000Z")
    assert gone["is_offline"]
    assert gone["derived_status"] == "idle"
    assert answer["counts"] == dict.fromkeys(agents.STATES, 1)
    names = lambda **asked: [card["agent_id"] for card in world.ask(agents.agents, **asked)["data"]]  # noqa: E731
    assert names(status="waiting_approval") == ["waits"]
    assert names(status="idle") == ["idle"]
    assert names(status="offline") == ["gone"]
    assert names(environment="staging") == ["broken"]
    assert names(sort="name") == sorted(names())
    pages: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = world.ask(agents.agents, limit=2, **cursor)
        pages += [card["agent_id"] for card in page["data"]]
        cursor = {"cursor": page["pagination"]["cursor"]}
    assert pages == names()
    assert not page["pagination"]["has_more"]


def test_what_a_heartbeat_says_is_on_the_card(world: World) -> None:
    payload = {"model": "gpt-4o", "cost_since_boot": 1.5, "consecutive_failures": 2}
    own = {"unsent": 3, "dropped": 1, "open_action": "search", "last_progress_at": "2026-09-21T00:00:00Z"}
    world.tell(5, "heartbeat", {**payload, "hiveloop": own})
    card = world.ask(agents.agent, "a1")
    assert payload.items() <= card["heartbeat_payload"].items()
    assert card["heartbeat_payload"]["hiveloop"]["unsent"] == 3
    assert sum(card["heartbeats_1h"]) == 1


def test_an_unknown_agent_is_not_found(world: World) -> None:
    for query in (agents.agent, pipeline.agent_pipeline):
        with pytest.raises(NotFoundError):
            world.ask(query, "nobody")
    with pytest.raises(NotFoundError):
        world.ask(timeline.timeline, "nothing")


def test_worlds_do_not_mix(world: World) -> None:
    world.tell(0, "task_started", task_id="t1", world="test")
    assert (
        world.ask(agents.agents)["data"]
        == world.ask(tasks.tasks)["data"]
        == world.ask(events.events)["data"]
        == []
    )
    assert world.ask(tasks.tasks, world="test")["data"][0]["task_id"] == "t1"


# -- tasks ------------------------------------------------------------------------------------------


def several_tasks(world: World) -> None:
    for number in range(7):
        fields = {
            "task_id": f"t{number}",
            "task_run_id": "r",
            "task_type": "even" if number % 2 == 0 else "odd",
        }
        world.tell(number * 10, "task_started", project_id="p" if number < 3 else "", **fields)
        world.call(number * 10 + 1, cost=0.01 * number, task_id=fields["task_id"])
        if number != 6:
            ended = "task_failed" if number == 4 else "task_completed"
            world.tell(number * 10 + 5, ended, duration_ms=1_000 * (7 - number), **fields)


def ids(answer: dict[str, Any]) -> list[str]:
    return [row["task_id"] for row in answer["data"] if row["task_run_id"] == "r"]


def test_tasks_are_filtered_and_sorted(world: World) -> None:
    several_tasks(world)
    world.now = T0 + 2 * MINUTE
    assert ids(world.ask(tasks.tasks))[0] == "t6"
    assert ids(world.ask(tasks.tasks, sort="oldest"))[0] == "t0"
    assert ids(world.ask(tasks.tasks, sort="duration"))[:2] == ["t0", "t1"]
    assert ids(world.ask(tasks.tasks, status="failed")) == ["t4"]
    assert ids(world.ask(tasks.tasks, status="failed,completed", task_type="even")) == ["t4", "t2", "t0"]
    assert ids(world.ask(tasks.tasks, project_id="p")) == ["t2", "t1", "t0"]
    assert ids(world.ask(tasks.tasks, q="T3")) == ["t3"]
    assert ids(world.ask(tasks.tasks, since="2026-09-21T00:00:00Z", until="2020-01-01T00:00:00Z")) == []
    assert ids(world.ask(tasks.tasks, status="processing")) == ["t6"]
    world.now = T0 + HOUR
    assert ids(world.ask(tasks.tasks, status="stuck")) == ["t6"]
    assert ids(world.ask(tasks.tasks, status="processing")) == []
    assert world.ask(tasks.tasks, task_id="t6", status="stuck,failed")["data"][0]["derived_status"] == "stuck"


@pytest.mark.parametrize("sort", ["newest", "oldest", "duration", "cost"])
def test_pages_of_tasks_join_without_gap_or_duplicate_while_new_ones_arrive(world: World, sort: str) -> None:
    several_tasks(world)
    whole = world.ask(tasks.tasks, sort=sort)["data"]
    seen: list[dict[str, Any]] = []
    page = world.ask(tasks.tasks, sort=sort, limit=3)
    seen += page["data"]
    world.tell(-5 if sort == "oldest" else 900, "task_started", task_id="new", task_run_id="r")
    while page["pagination"]["has_more"]:
        page = world.ask(tasks.tasks, sort=sort, limit=3, cursor=page["pagination"]["cursor"])
        seen += page["data"]
    key = lambda row: (row["task_id"], row["task_run_id"])  # noqa: E731
    assert [key(row) for row in seen if row["task_id"] != "new"] == [key(row) for row in whole]


def test_runs_of_one_task_id_are_rows_of_their_own_and_one_timeline_each(world: World) -> None:
    for run in ("r1", "r2", "r3"):
        start = int(run[1]) * 100
        world.tell(start, "task_started", task_id="t", task_run_id=run)
        world.tell(start + 1, "task_completed", {"summary": run}, task_id="t", task_run_id=run)
    assert len(world.ask(tasks.tasks, task_id="t")["data"]) == 3
    latest = world.ask(timeline.timeline, "t")
    assert latest["task_run_id"] == "r3"
    assert [run["task_run_id"] for run in latest["runs"]] == [
        "r3",
        "r2",
        "r1",
    ]
    first = world.ask(timeline.timeline, "t", task_run_id="r1")
    assert {event["task_run_id"] for event in first["events"]} == {"r1"}
    with pytest.raises(NotFoundError):
        world.ask(timeline.timeline, "t", task_run_id="r9")


# -- timeline ---------------------------------------------------------------------------------------


def act(world: World, name: str, start: float, end: float | None, **more: Any) -> None:
    """Store an action of task t1."""
    fields = {"task_id": "t1", "action_id": name, "parent_action_id": more.pop("parent", None)}
    fields = {key: value for key, value in fields.items() if value is not None}
    world.tell(start, "action_started", {"action_name": name}, **fields)
    if end is not None:
        kind = "action_failed" if "exception_type" in more else "action_completed"
        status = "failure" if "exception_type" in more else "success"
        payload = {"action_name": name, **more}
        world.tell(end, kind, payload, status=status, duration_ms=round((end - start) * 1000), **fields)


def test_the_breakdown_counts_each_moment_once_however_calls_nest_and_overlap(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    act(world, "outer", 0, 8)
    act(world, "inner", 1, 5, parent="outer")
    act(world, "beside", 2, 6, parent="outer")
    world.call(4, duration_ms=2_000)  # from 2 to 4, inside both
    world.call(6.5, duration_ms=1_000)  # from 5.5 to 6.5, half inside
    world.tell(7, "approval_requested", {"summary": "ok?"}, task_id="t1")
    world.tell(9, "approval_received", {"summary": "ok"}, task_id="t1")
    world.tell(10, "task_completed", task_id="t1")
    parts = world.ask(timeline.timeline, "t1")["breakdown"]
    assert parts == {
        "wall_ms": 10_000,
        "llm_ms": 3_000,
        "tools_ms": 2_500,
        "waiting_ms": 2_000,
        "other_ms": 2_500,
    }


def test_a_running_task_is_measured_until_now(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    act(world, "search", 2, None)
    world.now = T0 + 10 * SECOND
    told = world.ask(timeline.timeline, "t1")
    assert told["breakdown"]["wall_ms"] == 10_000
    assert told["breakdown"]["tools_ms"] == 8_000
    assert told["action_tree"][0]["status"] == "running"
    assert told["action_tree"][0]["duration_ms"] is None


def test_the_tree_nests_and_survives_loops_orphans_and_depth(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    act(world, "a", 1, 9)
    act(world, "b", 2, 8, parent="a")
    act(world, "c", 3, 7, parent="b")
    act(world, "orphan", 4, 5, parent="never-told")
    act(world, "x", 5, 6, parent="y")
    act(world, "y", 5.5, 6, parent="x")
    for depth in range(150):
        act(world, f"d{depth}", 10 + depth / 100, None, parent=f"d{depth - 1}")
    told = world.ask(timeline.timeline, "t1")["action_tree"]
    roots = {node["name"]: node for node in told}
    assert {"a", "orphan", "x", "d0"} == set(roots)
    assert roots["a"]["children"][0]["children"][0]["name"] == "c"
    assert roots["x"]["children"][0]["name"] == "y"

    def count(node: dict[str, Any]) -> int:
        return 1 + sum(map(count, node["children"]))

    assert sum(map(count, told)) == 156
    assert roots["a"]["offset_ms"] == 1_000


def test_a_failed_task_opens_at_the_action_it_failed_in_with_what_was_before(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    for second in range(1, 13):
        world.custom(second, "note", {}, f"step {second}", task_id="t1")
    act(world, "outer", 13, 16, exception_type="Timeout", exception_message="slow")
    failed = [row["event_id"] for row in world.ask(events.events, event_type="action_failed")["data"]]
    act(world, "inner", 14, 15, parent="outer", exception_type="Timeout", exception_message="slow")
    error = {"exception_type": "Timeout", "exception_message": "slow"}
    world.tell(17, "task_failed", error, task_id="t1", status="failure")
    told = world.ask(timeline.timeline, "t1")
    assert told["derived_status"] == "failed"
    assert told["failure"]["node_id"] == "action:inner"
    assert told["failure"]["error"] == {"type": "Timeout", "message": "slow"}
    assert told["failure"]["path"] == ["outer", "inner"]
    before = told["failure"]["events_before"]
    assert len(before) == 10
    assert before[-1]["action_id"] == "inner"
    node = next(node for node in told["nodes"] if node["node_id"] == "action:inner")
    assert node["status"] == "failure"
    assert node["error"]["message"] == "slow"
    chains = {chain["event_id"]: chain for chain in told["error_chains"]}
    assert len(chains) == 3
    assert failed[0] in chains


def test_retries_hang_on_the_failure_they_name_and_success_recovers_it(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    act(world, "fetch", 1, 2, exception_type="Busy", exception_message="429")
    cause = world.ask(events.events, event_type="action_failed")["data"][0]["event_id"]
    retry = world.tell(3, "retry_started", {"summary": "again"}, task_id="t1", parent_event_id=cause)
    world.tell(4, "action_started", {"action_name": "fetch"}, task_id="t1", action_id="second")
    world.tell(5, "action_completed", {"action_name": "fetch"}, task_id="t1", action_id="second")
    world.tell(6, "task_completed", task_id="t1")
    (chain,) = world.ask(timeline.timeline, "t1")["error_chains"]
    assert chain["retries"] == [retry]
    assert chain["recovered"]


def test_a_tool_that_says_it_failed_is_red(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    act(world, "tool", 1, 2, success=False, error="no such customer")
    node = world.ask(timeline.timeline, "t1")["action_tree"][0]
    assert node["status"] == "failure"
    assert node["error"]["message"] == "no such customer"


def test_a_replan_keeps_each_revision_and_progress_never_passes_its_total(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    steps = [{"index": 0, "description": "a"}, {"index": 1, "description": "b"}]
    world.custom(1, "plan_created", {"goal": "g", "steps": steps, "revision": 0}, task_id="t1")
    for at, index, action in ((2, 0, "started"), (3, 0, "completed"), (4, 0, "completed"), (5, 1, "failed")):
        world.custom(at, "plan_step", {"step_index": index, "action": action}, task_id="t1")
    world.custom(6, "plan_created", {"goal": "g2", "steps": ["c", "d", "e"], "revision": 1}, task_id="t1")
    world.custom(7, "plan_step", {"step_index": 0, "action": "skipped", "plan_revision": 1}, task_id="t1")
    world.custom(8, "plan_step", {"step_index": 1, "action": "started"}, task_id="t1")
    told = world.ask(timeline.timeline, "t1")
    old, new = told["plans"]
    assert old["progress"] == {"completed": 1, "failed": 1, "skipped": 0, "total": 2}
    assert (new["goal"], new["current_step"], new["progress"]["total"]) == ("g2", 1, 3)
    assert [step["action"] for step in new["steps"]] == ["skipped", "started", None]
    assert [step["description"] for step in new["steps"]] == ["c", "d", "e"]
    assert told["plan"] == new


def test_a_plan_that_was_never_announced_is_inferred(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    world.custom(1, "plan_step", {"step_index": 1, "action": "completed", "total_steps": 4}, task_id="t1")
    plan = world.ask(timeline.timeline, "t1")["plan"]
    assert plan["progress"]["total"] == 4
    assert plan["steps"][1]["action"] == "completed"


# -- events -----------------------------------------------------------------------------------------


def test_events_are_filtered_newest_first(world: World) -> None:
    world.tell(0, "agent_registered", agent="a2")
    world.tell(1, "heartbeat", {})
    start = world.tell(2, "task_started", task_id="t1", task_type="x", project_id="p", correlation_id="c1")
    fail = world.tell(3, "task_failed", task_id="t1", environment="staging")
    call = world.call(4)
    note = world.custom(5, "note", {}, "hello")
    found = lambda **asked: [row["event_id"] for row in world.ask(events.events, **asked)["data"]]  # noqa: E731
    assert found()[:4] == [note, call, fail, start]
    everything = found(exclude_heartbeats="false")
    assert len(everything) == 6
    assert found() == found(exclude_heartbeats="true") == [*everything[:4], everything[-1]]
    assert found(event_type="heartbeat") == [everything[4]]
    assert found(event_type="task_failed,task_started") == [fail, start]
    assert found(event_type="custom") == [note, call]
    assert found(payload_kind="llm_call") == [call]
    assert found(payload_kind="note,llm_call") == [note, call]
    assert found(severity="error") == [fail]
    assert len(found(severity="info,debug", exclude_heartbeats="no")) == 5
    assert found(task_id="t1") == [call, fail, start]
    assert found(agent_id="a2") == [found()[-1]]
    assert found(environment="staging") == [fail]
    assert found(project_id="p") == [start]
    assert found(correlation_id="c1") == [start]
    assert found(event_type="custom", task_id="t1") == [call]
    assert found(since=T0 // SECOND + 4) == [note, call]
    assert found(until=T0 // SECOND + 1) == [found()[-1]]
    assert found(payload_kind="llm_call", event_type="task_started") == []
    row = world.ask(events.events, payload_kind="llm_call")["data"][0]
    assert row["payload"]["data"]["model"] == "gpt-4o"
    assert row["timestamp"].endswith("Z")
    assert row["received_at"]


def test_pages_of_events_join_with_our_cursor_and_with_an_event_id(world: World) -> None:
    made = [world.custom(number // 3, "note", {}, str(number)) for number in range(10)]
    whole = [row["event_id"] for row in world.ask(events.events)["data"]]
    assert sorted(whole) == sorted(made)
    page = world.ask(events.events, limit=4)
    second = world.ask(events.events, limit=4, cursor=page["pagination"]["cursor"])
    same = world.ask(events.events, limit=4, cursor=page["data"][-1]["event_id"])
    assert second["data"] == same["data"]
    assert [row["event_id"] for row in page["data"] + second["data"]] == whole[:8]
    with pytest.raises(BadParameterError):
        world.ask(events.events, cursor="no-such-event")


def test_polling_gets_what_came_in_since_in_order_whatever_its_own_time(world: World) -> None:
    world.tell(5, "task_started", task_id="t1")
    first = world.ask(events.events, after_seq=0)
    late = world.tell(1, "task_started", task_id="t0")
    second = world.ask(events.events, after_seq=first["last_seq"])
    assert [row["event_id"] for row in second["data"]] == [late]
    third = world.ask(events.events, after_seq=second["last_seq"])
    assert third["data"] == []
    assert third["last_seq"] == second["last_seq"]
    one = world.ask(events.events, after_seq=0, limit=1)
    assert one["pagination"]["has_more"]
    assert one["last_seq"] == one["data"][0]["seq"]


# -- metrics and costs --------------------------------------------------------------------------------


def test_metrics_sum_what_their_series_tells_and_gaps_are_no_successes(world: World) -> None:
    several_tasks(world)
    world.tell(100, "task_started", task_id="esc")
    world.tell(101, "escalated", {"summary": "help"}, task_id="esc")
    world.now = T0 + 4 * MINUTE
    answer = world.ask(metrics.metrics, range="1h", group_by="agent")
    summary, series = answer["summary"], answer["timeseries"]
    assert (summary["completed"], summary["failed"], summary["escalated"]) == (5, 1, 1)
    assert summary["success_rate"] == pytest.approx(83.33)
    assert summary["total_cost"] == pytest.approx(0.21)
    assert summary["avg_cost_per_task"] == pytest.approx(0.035)
    assert sum(point["tasks_completed"] for point in series) == 5
    assert sum(point["cost"] for point in series) == pytest.approx(0.21)
    assert series[0]["success_rate"] is None
    assert series[0]["avg_duration_ms"] is None
    assert len(series) == 13
    assert answer["interval"] == "5m"
    assert answer["groups"][0]["agent_id"] == "a1"
    assert answer["groups"][0]["completed"] == 5
    by_model = world.ask(metrics.metrics, range="7d", group_by="model")
    assert by_model["groups"][0]["model"] == "gpt-4o"
    assert by_model["summary"]["completed"] == 5
    assert len(by_model["timeseries"]) in (28, 29)


@pytest.mark.parametrize("name", ["1h", "6h", "24h", "7d", "30d"])
def test_every_range_tells_the_same_of_a_quarter_of_an_hour(world: World, name: str) -> None:
    several_tasks(world)
    assert world.ask(metrics.metrics, range=name)["summary"]["completed"] == 5
    answer = world.ask(cost.cost, range=name)
    assert answer["total_cost"] == pytest.approx(0.21)
    assert answer["call_count"] == 7
    parts = world.ask(cost.timeseries, range=name)["data"]
    assert sum(part["cost"] for part in parts) == pytest.approx(0.21)


def test_costs_tell_reported_from_estimated_and_name_the_price(world: World) -> None:
    world.tell(0, "task_started", task_id="t1", project_id="p", task_type="scoring")
    world.call(1, cost=0.5, tokens_in=10, tokens_out=5, project_id="p")
    world.call(2, "gpt-4o-2024-08-06", tokens_in=1_000_000, tokens_out=100_000, agent="a2")
    world.call(3, "claude-sonnet-4-20250514", tokens_in="1000000", tokens_out=0, cost=0)
    world.call(4, "house-model", tokens_in=5)
    world.tell(5, "task_completed", task_id="t1", project_id="p", task_type="scoring")
    answer = world.ask(cost.cost)
    assert (answer["reported_cost"], answer["estimated_cost"]) == (0.5, 6.5)
    assert (answer["total_cost"], answer["call_count"], answer["unpriced_calls"]) == (7.0, 4, 1)
    models = {row["model"]: row for row in answer["by_model"]}
    assert models["gpt-4o"]["cost_source"] == "reported"
    assert models["gpt-4o-2024-08-06"]["cost_source"] == "estimated"
    assert models["house-model"]["cost_source"] is None
    assert next(row["model"] for row in answer["by_model"]) == "gpt-4o-2024-08-06"
    agents_ = {row["agent_id"]: row for row in answer["by_agent"]}
    assert agents_["a2"]["cost"] == 3.5
    assert agents_["a1"]["cost_per_task"] == 3.5
    assert {row["project_id"] for row in answer["by_project"]} == {"p", None}
    calls = world.ask(cost.calls)["data"]
    assert [call["cost_source"] for call in calls] == [None, "estimated", "estimated", "reported"]
    assert calls[1]["cost_model_matched"] == "claude-sonnet-4"
    assert calls[1]["cost"] == 3
    assert world.ask(cost.cost, model="gpt-4o")["total_cost"] == 0.5
    assert world.ask(cost.cost, agent_id="a2")["total_cost"] == 3.5


def test_calls_are_paged_and_totals_are_of_the_whole_filter(world: World) -> None:
    for number in range(5):
        world.call(number, cost=1, duration_ms=10, prompt_preview="p", task_id=f"t{number % 2}")
    page = world.ask(cost.llm_calls, limit=2)
    assert page["totals"]["total_cost"] == 5
    assert page["totals"]["call_count"] == 5
    after = world.ask(cost.llm_calls, limit=3, cursor=page["pagination"]["cursor"])
    assert not after["pagination"]["has_more"]
    assert len({row["event_id"] for row in page["data"] + after["data"]}) == 5
    assert world.ask(cost.llm_calls, task_id="t1")["totals"]["call_count"] == 2
    assert page["data"][0]["prompt_preview"] == "p"
    assert page["data"][0]["duration_ms"] == 10


def test_hourly_sums_answer_when_there_are_too_many_calls(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_tasks(world)
    exact = world.ask(cost.cost, range="24h")
    series = world.ask(cost.timeseries, range="24h", group_by="agent")
    monkeypatch.setattr("hiveloop.board.queries._calls._MOST_SINGLE", 0)
    rolled = world.ask(cost.cost, range="24h")
    assert {**rolled, "since": ""} == {**exact, "since": ""}
    coarse = world.ask(cost.timeseries, range="24h", group_by="agent")
    assert sum(part["cost"] for part in coarse["data"]) == sum(part["cost"] for part in series["data"])
    assert world.ask(cost.timeseries, range="1h")["interval"] == "1h"


def test_the_ribbon_counts_agents_and_the_last_hour(world: World) -> None:
    several_tasks(world)
    world.now = T0 + 2 * MINUTE
    told = world.ask(metrics.ribbon)
    assert (told["agents"], told["completed"], told["failed"]) == (1, 5, 1)


# -- pipeline ---------------------------------------------------------------------------------------


def test_approvals_are_open_until_somebody_decides_whatever_heartbeats_say(world: World) -> None:
    world.tell(0, "task_started", task_id="t1")
    asked = {"summary": "Pay?", "data": {"approver": "boss", "reason": "amount"}}
    world.tell(1, "approval_requested", asked, task_id="t1")
    world.tell(5, "heartbeat", {})
    world.now = T0 + 61 * SECOND
    (waiting,) = world.ask(pipeline.pipeline)["approvals"]
    assert (waiting["summary"], waiting["approver"], waiting["age_seconds"]) == ("Pay?", "boss", 60)
    assert world.ask(pipeline.pipeline)["totals"]["pending_approvals"] == 1
    world.tell(62, "approval_received", {"summary": "no", "data": {"decision": "rejected"}}, task_id="t1")
    assert world.ask(pipeline.pipeline)["approvals"] == []


def test_issues_are_sorted_by_severity_counted_resolved_and_reopened(world: World) -> None:
    for at, severity, key in (
        (1, "low", "l"),
        (2, "critical", "c"),
        (3, "medium", "m"),
        (4, "critical", "c"),
    ):
        world.custom(at, "issue", {"severity": severity, "issue_id": key}, f"issue {key}")
    world.custom(5, "issue", {"severity": "high"}, "Disk  Full")
    world.custom(6, "issue", {"severity": "high", "occurrence_count": 7}, "disk full")
    listed = world.ask(pipeline.agent_pipeline, "a1")["issues"]
    assert [row["severity"] for row in listed] == ["critical", "high", "medium", "low"]
    assert [row["occurrence_count"] for row in listed] == [2, 7, 1, 1]
    world.custom(7, "issue", {"issue_id": "c", "action": "resolved"}, "fixed")
    world.custom(8, "issue", {"issue_id": "m", "action": "dismissed"}, "whatever")
    told = world.ask(pipeline.agent_pipeline, "a1")
    assert [row["severity"] for row in told["issues"]] == ["high", "low"]
    assert {row["issue_id"] for row in told["closed_issues"]} == {"c", "m"}
    world.custom(9, "issue", {"issue_id": "c", "severity": "critical"}, "again")
    assert world.ask(pipeline.agent_pipeline, "a1")["issues"][0]["reopened"]
    assert world.ask(agents.agent, "a1")["active_issues"] == 3


def test_todos_leave_when_done_and_keep_their_text(world: World) -> None:
    world.custom(1, "todo", {"todo_id": "1", "action": "created", "priority": "low"}, "later")
    world.custom(
        2, "todo", {"todo_id": "2", "action": "created", "priority": "high", "due_by": "2020-01-01"}, "now"
    )
    told = world.ask(pipeline.agent_pipeline, "a1")["todos"]
    assert [row["summary"] for row in told] == ["now", "later"]
    assert told[0]["overdue"]
    world.custom(3, "todo", {"todo_id": "2", "action": "completed"}, "done")
    world.custom(4, "todo", {"todo_id": "1", "action": "failed"}, "failed")
    (left,) = world.ask(pipeline.agent_pipeline, "a1")["todos"]
    assert left["action"] == "failed"


def test_the_latest_queue_counts_by_its_own_time_and_a_heartbeat_may_tell_it(world: World) -> None:
    world.custom(5, "queue_snapshot", {"depth": 8, "processing": {"summary": "lead 7"}}, "Queue")
    world.custom(1, "queue_snapshot", {"depth": 1}, "Queue")
    world.tell(2, "heartbeat", {"queue_depth": 3}, agent="a2")
    told = world.ask(pipeline.pipeline)
    assert told["totals"]["queue_depth"] == 11
    assert {queue["agent_id"]: queue["depth"] for queue in told["queues"]} == {"a1": 8, "a2": 3}
    assert world.ask(agents.agent, "a1")["processing_summary"] == "lead 7"


# -- the fleet ----------------------------------------------------------------------------------------


def test_environments_and_projects_come_from_the_data(world: World) -> None:
    world.tell(0, "task_started", task_id="t1", project_id="sales", environment="development")
    world.tell(1, "task_started", task_id="t2", agent="a2")
    assert [row["name"] for row in world.ask(fleet.environments)["data"]] == ["development", "production"]
    (project,) = world.ask(fleet.projects)["data"]
    assert project["slug"] == project["project_id"] == project["name"] == "sales"
    assert [card["agent_id"] for card in world.ask(agents.agents, project_id="sales")["data"]] == ["a1"]


def test_config_snapshots_tell_what_changed(world: World) -> None:
    old = {"model": "a", "tools": ["x", "y"], "limits": {"turns": 5}, "beta": True}
    new = {"model": "b", "tools": ["y", "z"], "limits": {"turns": 6}, "temperature": 0}
    world.custom(1, "config_snapshot", old)
    world.custom(2, "config_snapshot", new)
    latest, first = world.ask(fleet.configs, "a1")["data"]
    assert world.ask(fleet.configs, "a1", limit=1)["data"] == [latest]
    assert first["is_first"]
    assert first["changes"] == []
    assert latest["config"] == new
    changes = {change["path"]: change for change in latest["changes"]}
    assert set(changes) == {"beta", "limits.turns", "model", "temperature", "tools"}
    assert changes["beta"]["change"] == "removed"
    assert changes["temperature"]["change"] == "added"
    assert (changes["limits.turns"]["before"], changes["limits.turns"]["after"]) == (5, 6)
    assert changes["tools"]["items_added"] == ["z"]
    assert changes["tools"]["items_removed"] == ["x"]


def test_lifecycle_marks_are_in_order(world: World) -> None:
    world.tell(0, "agent_registered")
    world.custom(1, "runtime", {"event": "agent_started"})
    world.custom(2, "runtime", {"event": "model_switched", "to_model": "b"})
    world.custom(3, "config_snapshot", {"model": "b"})
    marks = [row["mark"] for row in world.ask(fleet.lifecycle, "a1")["data"]]
    assert marks == ["config_snapshot", "model_switched", "agent_started", "agent_registered"]


def test_the_price_table_is_dated(world: World) -> None:
    with world.store.reader() as reader:
        told = fleet.prices(reader)
    assert told["as_of"]
    assert any(row["model"] == "gpt-4o" and row["input_usd"] == 2.5 for row in told["data"])


# -- insights -----------------------------------------------------------------------------------------


def test_insights_need_a_sample(world: World) -> None:
    world.call(1, metadata={"cache_read_input_tokens": 5}, tokens_in=10)
    told = world.ask(insights.insights)
    for card in ("cache", "turns", "truncation", "context", "composition", "retries", "self_correction"):
        assert told[card]["message"] == "not enough data"
        assert not told[card]["enough"]
    assert told["cache"]["hit_ratio"] is None
    assert {one["detector"]: one["state"] for one in told["detectors"]}["cost_spike"] == "not_enough_data"


def test_insights_tell_what_metadata_says(world: World) -> None:
    for number in range(20):
        metadata = {
            "turn_number": number % 4,
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 100,
            "stop_reason": "max_tokens" if number < 4 else "end_turn",
            "context_window_size": 10_000,
            "context_utilization_pct": 90 if number == 0 else 50,
            "system_prompt_tokens": 100,
            "history_tokens": 800,
            "tool_results_tokens": 100,
        }
        world.call(number, tokens_in=1_000, tokens_out=10, cost=0.1, metadata=metadata)
        world.tell(number, "task_started", task_id=f"t{number}")
        world.tell(number + 0.5, "task_completed", task_id=f"t{number}")
    for number in range(4):
        world.tell(
            30 + number, "retry_started", {"summary": "again", "data": {"reason": "429"}}, task_id="t1"
        )
        world.custom(40, "learning", {"category": "tool", "correction_applied": number < 2}, task_id="t1")
        data = {"system_prompt_tokens": 10, "history_tokens": 10 * number, "turn_number": number}
        world.custom(50, "prompt_composition", data, task_id="t1")
        world.custom(60, "anomaly", {"detector": "cycle"}, "loop", task_id="t1")
        world.custom(
            70, "context_compaction", {"tokens_before": 100, "tokens_after": 25, "method": "summary"}
        )
        world.custom(80, "error_context", {"error_type": "HTTPError", "api_name": "crm", "status_code": 500})
    act(world, "fetch", 90, 91)
    told = world.ask(insights.insights)
    assert told["cache"]["hit_ratio"] == 0.6
    assert told["cache"]["sample"] == 20
    assert [turn["turn"] for turn in told["turns"]["data"]] == [0, 1, 2, 3]
    assert told["turns"]["data"][0]["avg_cost"] == pytest.approx(0.1)
    assert told["truncation"]["rate"] == 20
    assert told["truncation"]["stop_reasons"][0]["reason"] == "end_turn"
    assert told["context"]["avg_utilization_pct"] == 52
    assert told["context"]["max_utilization_pct"] == 90
    assert told["context"]["calls_over_80_pct"] == 1
    assert told["context"]["compactions"]["kept_ratio"] == 0.25
    assert told["composition"]["history_pct"] == 80
    assert [row["history_tokens"] for row in told["composition"]["by_turn"]] == [0, 10, 20, 30]
    assert told["retries"]["per_task"] == 0.2
    assert told["retries"]["by_reason"][0]["reason"] == "429"
    assert told["self_correction"]["rate"] == 10
    assert told["self_correction"]["corrections"] == 2
    assert told["anomalies"]["count"] == 4
    assert told["anomalies"]["data"][0]["detector"] == "cycle"
    assert told["errors"][0] == {
        "error_type": "HTTPError",
        "api_name": "crm",
        "status_code": "500",
        "count": 4,
    }
    found = {one["detector"]: one for one in told["detectors"]}
    assert found["truncation"]["state"] == "alert"
    assert found["prompt_bloat"]["subject"] == "history"
    assert found["truncation"]["message"] == "4 of 20 answers were cut off by the length limit, 20 %."
    assert found["prompt_bloat"]["message"] == "80 % of all prompt tokens are history."
    assert found["cost_spike"]["message"] == "Not enough data: 0 of 5 earlier intervals."
    assert found["token_waste"]["state"] == "alert"
    assert found["reported_anomalies"]["state"] == "warn"
    assert told["health"]["score"] is not None
    assert told["prompts"][0]["name"] == "think"
    assert told["prompts"][0]["call_count"] == 20
    for name in insights.PARTS:
        answer = world.ask(lambda reader, live, params, part=name: insights.part(reader, live, part, params))
        assert answer["data"], name


# -- search -------------------------------------------------------------------------------------------


def test_search_understands_text_and_conditions(world: World) -> None:
    several_tasks(world)
    world.custom(60, "issue", {"severity": "high", "issue_id": "crm-429"}, "CRM is 100% busy")
    world.now = T0 + 2 * MINUTE

    def found(query):
        return [row["task_id"] for row in world.ask(search.search, q=query)["tasks"] if row["task_run_id"]]

    assert found("t3") == ["t3"]
    assert found("agent:a1 status:failed") == ["t4"]
    assert found("dur>5s") == ["t1", "t0"]
    assert found("dur<=2s type:odd") == ["t5"]
    told = world.ask(search.search, q="kind:llm_call cost>0.045")
    assert len(told["events"]) == 2
    assert told["tasks"] == []
    assert world.ask(search.search, q="model:GPT-4o")["events"]
    issues = world.ask(search.search, q="100%")["issues"]
    assert issues[0]["issue_key"] == "crm-429"
    assert issues[0]["is_open"]
    assert world.ask(search.search, q="a1")["agents"][0]["agent_id"] == "a1"
    assert world.ask(search.search, q='"no such thing"')["tasks"] == []
    assert world.ask(search.search)["tasks"] == []
    for query in ("cost>much", "dur>3days", "status:gone"):
        with pytest.raises(BadParameterError):
            world.ask(search.search, q=query)


def test_search_finds_ids_that_texts_of_before_are_too_old_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_tasks(world)
    world.custom(1, "note", {"text": "needle"}, "early", task_id="Old-1")
    for n in range(6):
        world.custom(60 + n, "note", {"text": "straw"}, "late", task_id=f"new-{n}")
    event_id = world.ask(search.search, q="needle")["events"][0]["event_id"]
    monkeypatch.setattr(search, "_MOST_TASKS", 3)
    monkeypatch.setattr(search, "_MOST_EVENTS", 3)
    assert world.ask(search.search, q="needle")["events"] == []
    assert [row["event_id"] for row in world.ask(search.search, q=event_id)["events"]] == [event_id]
    assert [row["task_id"] for row in world.ask(search.search, q="Old-")["tasks"]] == ["Old-1"]
    assert world.ask(search.search, q="straw")["events"]
    assert len(world.ask(search.search, q="new-", limit="4")["tasks"]) == 4


def test_a_url_is_text_not_a_condition(world: World) -> None:
    assert search.parse("https://x.y/z?a=1 agent:bob 'two words'").words == ("https://x.y/z?a=1", "two words")


# -- parameters and poison ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "params"),
    [
        (agents.agents, {"sort": "banana"}),
        (agents.agents, {"status": "happy"}),
        (agents.agents, {"limit": "-3"}),
        (tasks.tasks, {"limit": "201"}),
        (tasks.tasks, {"limit": "ten"}),
        (tasks.tasks, {"cursor": "banana"}),
        (tasks.tasks, {"sort": "cost", "cursor": "WzEsMl0"}),
        (tasks.tasks, {"cursor": "WyJhIiwxLDJd"}),
        (tasks.tasks, {"since": "yesterday"}),
        (events.events, {"event_type": "task_begun"}),
        (events.events, {"severity": "loud"}),
        (events.events, {"exclude_heartbeats": "maybe"}),
        (events.events, {"after_seq": "-1"}),
        (events.events, {"agent_id": "x" * 600}),
        (events.events, {"agent_id": "a\x00b"}),
        (metrics.metrics, {"range": "banana"}),
        (metrics.metrics, {"interval": "7m"}),
        (metrics.metrics, {"range": "30d", "interval": "5m"}),
        (metrics.metrics, {"group_by": "colour"}),
        (cost.cost, {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        (cost.timeseries, {"group_by": "colour"}),
    ],
)
def test_a_parameter_that_cannot_be_answered_is_refused(
    world: World, query: Callable[..., dict[str, Any]], params: dict[str, str]
) -> None:
    with pytest.raises(BadParameterError) as refused:
        world.ask(query, **params)
    assert refused.value.name in params
    assert refused.value.message


def test_what_old_clients_send_without_meaning_is_ignored(world: World) -> None:
    world.tell(0, "task_started", agent="all", task_id="t1")
    assert len(world.ask(agents.agents, banana="yes", environment="all", project_id="")["data"]) == 1
    assert world.ask(agents.agents, agent_id="all")["data"][0]["agent_id"] == "all"


EVERY_QUERY: dict[str, Callable[..., Any]] = {
    "agents": agents.agents,
    "pipeline": pipeline.pipeline,
    "tasks": tasks.tasks,
    "events": events.events,
    "metrics": metrics.metrics,
    "cost": cost.cost,
    "calls": cost.calls,
    "llm_calls": cost.llm_calls,
    "timeseries": cost.timeseries,
    "insights": insights.insights,
    "projects": fleet.projects,
    "environments": fleet.environments,
    "ribbon": metrics.ribbon,
}
ABOUT_AN_AGENT = (agents.agent, pipeline.agent_pipeline, fleet.configs, fleet.lifecycle)
JUNK: list[Any] = [
    None,
    "text",
    7,
    -1,
    2**70,
    1e308,
    True,
    [],
    [1, "a", None, {"a": []}],
    {},
    {"kind": {"kind": []}, "data": "x"},
    "\ud800<script>\u0000",
]
KINDS = [
    "llm_call",
    "queue_snapshot",
    "todo",
    "scheduled",
    "plan_created",
    "plan_step",
    "issue",
    "runtime",
    "learning",
    "config_snapshot",
    "anomaly",
    "prompt_composition",
    "context_compaction",
    "error_context",
    "memory_op",
    "state_mutation",
]
FIELDS = [
    "name",
    "model",
    "tokens_in",
    "tokens_out",
    "cost",
    "duration_ms",
    "metadata",
    "prompt_preview",
    "depth",
    "items",
    "processing",
    "oldest_age_seconds",
    "todo_id",
    "action",
    "priority",
    "context",
    "due_by",
    "steps",
    "goal",
    "revision",
    "step_index",
    "total_steps",
    "plan_revision",
    "turns",
    "severity",
    "issue_id",
    "occurrence_count",
    "event",
    "detector",
    "turn_number",
    "tokens_before",
    "category",
    "reason",
    "decision",
    "approver",
    "exception_type",
    "exception_message",
    "action_name",
    "success",
    "error",
    "summary",
]


@pytest.mark.parametrize("junk", range(len(JUNK)))
def test_no_payload_makes_a_query_fail(world: World, junk: int) -> None:
    value = JUNK[junk]
    batch: list[dict[str, Any]] = []
    for kind in KINDS:
        for shape in ({"kind": kind, "data": value}, {"kind": kind, "data": dict.fromkeys(FIELDS, value)}):
            batch.append({"event_type": "custom", "task_id": "t1", "payload": {**shape, "tags": value}})
        items = {"items": [value, dict.fromkeys(("next_run", "queued_at", "id", "enabled"), value)]}
        batch.append({"event_type": "custom", "payload": {"kind": kind, "data": items}})
    for event_type in events.EVENT_TYPES:
        flat = dict.fromkeys(FIELDS, value)
        fields = {"task_id": "t1", "action_id": "x", "parent_action_id": "x"}
        batch.append({"event_type": event_type, **fields, "payload": {**flat, "data": flat}})
    for number, event in enumerate(batch):
        event.update(event_id=str(uuid.uuid4()), timestamp=f"2026-09-21T14:0{number % 10}:00Z")
    world.ingest(json.dumps({"envelope": {"agent_id": "a1"}, "events": batch}).encode())
    with world.store.reader() as reader:
        shown = reader.rows("SELECT MAX(ts_us) AS ts FROM events")[0]["ts"]
        assert isinstance(shown, int)
        world.now = shown + MINUTE
    assert world.ask(events.events)["data"]
    for query in EVERY_QUERY.values():
        world.ask(query)
    for about in ABOUT_AN_AGENT:
        world.ask(about, "a1")
    assert world.ask(timeline.timeline, "t1")["events"]
    world.ask(search.search, q="a cost>0 dur>0")


def test_every_query_answers_on_an_empty_board(world: World) -> None:
    for query in EVERY_QUERY.values():
        world.ask(query)
