"""Every kind of store answers every question in the same way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hiveloop.board.intake import Intake, read_batch
from hiveloop.board.queries import (
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
from hiveloop.board.store.postgres import PostgresStore
from hiveloop.board.store.protocol import Store
from hiveloop.board.store.sqlite import SqliteStore

from .stores import KINDS, new_database, postgres_server

__all__ = ["postgres_server"]

START = 1_790_000_000
HOURS = 30
QUESTIONS: list[tuple[Callable[..., Any], tuple[str, ...], dict[str, str]]] = [
    (agents.agents, (), {}),
    (agents.agents, (), {"project_id": "p1", "sort": "last_seen"}),
    (agents.agents, (), {"status": "stuck,idle,offline", "environment": "staging"}),
    (agents.agent, ("a1",), {}),
    (pipeline.pipeline, (), {}),
    (pipeline.pipeline, (), {"project_id": "p1", "environment": "staging"}),
    (pipeline.agent_pipeline, ("a1",), {}),
    *((tasks.tasks, (), {"sort": sort, "limit": "200"}) for sort in ("newest", "oldest", "duration", "cost")),
    (tasks.tasks, (), {"status": "stuck,failed"}),
    (tasks.tasks, (), {"status": "processing,completed", "project_id": "p1", "q": "T_1%"}),
    (timeline.timeline, ("t3",), {}),
    (timeline.timeline, ("t4",), {"task_run_id": "r4"}),
    (events.events, (), {"limit": "200"}),
    (events.events, (), {"event_type": "task_failed,task_started", "exclude_heartbeats": "yes"}),
    (events.events, (), {"payload_kind": "llm_call,issue", "severity": "info,error", "agent_id": "a2"}),
    (events.events, (), {"after_seq": "20", "limit": "7"}),
    (metrics.metrics, (), {"range": "1h"}),
    (metrics.metrics, (), {"range": "7d", "group_by": "agent", "agent_id": "a1"}),
    (metrics.metrics, (), {"range": "24h", "group_by": "model"}),
    (metrics.ribbon, (), {}),
    (cost.cost, (), {"range": "24h"}),
    (cost.cost, (), {"range": "7d"}),
    (cost.cost, (), {"range": "30d", "model": "gpt-4o"}),
    (cost.timeseries, (), {"range": "7d", "group_by": "agent"}),
    (cost.timeseries, (), {"range": "24h"}),
    (cost.llm_calls, (), {"range": "7d", "limit": "9"}),
    (cost.llm_calls, (), {"task_id": "t3"}),
    (insights.insights, (), {"range": "7d"}),
    (insights.insights, (), {"range": "24h", "agent_id": "a1"}),
    (fleet.projects, (), {}),
    (fleet.environments, (), {}),
    (fleet.configs, ("a1",), {}),
    (fleet.lifecycle, ("a1",), {}),
    (search.search, (), {"q": "T_1 agent:A status:failed"}),
    (search.search, (), {"q": "kind:llm_call model:gpt cost>0.001"}),
    (search.search, (), {"q": "100% dur>1s"}),
]


def story() -> Iterator[dict[str, Any]]:
    """Yield batches of a fleet's two days, the same each time."""
    rng = random.Random(7)
    for number in range(40):
        agent = f"a{number % 3}"
        at = START + rng.randrange(HOURS * 3600)
        task = {
            "task_id": f"t{number % 25}",
            "task_run_id": f"r{number}",
            "task_type": ("x", "y")[number % 2],
        }
        project = {"project_id": f"p{number % 3}"} if number % 3 else {}
        told = [("task_started", {}, {**task, **project})]
        told.append(("action_started", {"action_name": "find"}, {**task, "action_id": f"x{number}"}))
        data = {
            "name": "think",
            "model": rng.choice(("gpt-4o", "claude-sonnet-4-5", "own")),
            "tokens_in": rng.randrange(5_000),
            "tokens_out": 50,
            "metadata": {"turn_number": number % 5, "stop_reason": "end_turn", "cache_read_input_tokens": 5},
        }
        told.append(("custom", {"kind": "llm_call", "data": data}, {**task, **project}))
        kind = rng.choice(
            ("issue", "todo", "queue_snapshot", "config_snapshot", "learning", "anomaly", "runtime")
        )
        more = {"severity": "high", "depth": number, "todo_id": f"d{number % 4}", "detector": "cycle"}
        told.append(("custom", {"kind": kind, "summary": f"100% {kind} {number % 4}", "data": more}, {}))
        if number % 5 == 0:
            told.append(("approval_requested", {"summary": "ok?"}, task))
        if number % 7:
            failed = number % 4 == 0
            ended = "task_failed" if failed else "task_completed"
            told.append(
                ("action_failed" if failed else "action_completed", {}, {"action_id": f"x{number}", **task})
            )
            told.append(
                (ended, {"exception_type": "E"} if failed else {}, {**task, **project, "duration_ms": 2500})
            )
        yield {
            "envelope": {"agent_id": agent, "environment": "staging" if number % 3 else "production"},
            "events": [
                {
                    "event_id": f"e{number}-{i}",
                    "timestamp": at + i,
                    "event_type": name,
                    "payload": payload,
                    **fields,
                }
                for i, (name, payload, fields) in enumerate(told)
            ],
        }


def filled(store: Store) -> Store:
    """Store the story."""
    for batch in story():
        found = read_batch(json.dumps(batch).encode(), (START + HOURS * 3600) * 1_000_000)
        assert isinstance(found, Intake)
        assert not found.errors
        store.append("live", found.events).result(30)
    return store


def other(kind: str, request: pytest.FixtureRequest, folder: Path) -> Store:
    """Return an empty store of a kind."""
    if kind == "sqlite":
        return SqliteStore(folder / "other.db")
    return PostgresStore(new_database(request.getfixturevalue("postgres_server")))


@pytest.mark.parametrize("kind", KINDS)
def test_another_store_answers_the_same_also_after_a_rebuild(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    both = [filled(SqliteStore(tmp_path / "board.db")), filled(other(kind, request, tmp_path))]
    both[1].rebuild().result(60)
    now = (START + HOURS * 3600) * 1_000_000
    for query, names, given in QUESTIONS:
        answers: list[Any] = []
        for store in both:
            with store.reader() as reader:
                told = query(reader, "live", *names, Params(given, now))
            answers.append(json.loads(msgspec.json.encode(told)))
        assert answers[0] == answers[1], (query.__qualname__, names, given)
        assert answers[0]
    for store in both:
        store.close()
