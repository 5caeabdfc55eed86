"""Long lists of what waits: the most urgent are shown, all are counted, and what is left out is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from hiveloop.board.model import NewEvent
from hiveloop.board.queries import Params
from hiveloop.board.queries import pipeline as asked
from hiveloop.board.queries.pipeline import MOST
from hiveloop.board.store.protocol import Store

from .made_events import NOON, SECOND, custom, event
from .stores import OpenStore, open_store, postgres_server

__all__ = ["open_store", "postgres_server"]

OVER = 30
"""So many more than a list shows."""


def filled(open_store: OpenStore, events: Iterable[NewEvent]) -> Store:
    store, several = open_store(), list(events)
    for start in range(0, len(several), 500):
        store.append("live", several[start : start + 500]).result(60)
    return store


def fleet(store: Store, **given: str) -> dict[str, Any]:
    with store.reader() as reader:
        return asked.pipeline(reader, "live", Params(given, NOON + 3_600 * SECOND))


def agent(store: Store, name: str) -> dict[str, Any]:
    with store.reader() as reader:
        return asked.agent_pipeline(reader, "live", name, Params({}, NOON + 3_600 * SECOND))


def todo(number: int, priority: str | None, agent: str) -> NewEvent:
    data = {"todo_id": f"{number}", "action": "created", "priority": priority}
    return custom("todo", number / 100, data, agent=agent)


def issue(number: int, severity: str, agent: str) -> NewEvent:
    return custom("issue", number / 100, {"issue_id": f"{number}", "severity": severity}, agent=agent)


@pytest.mark.parametrize("name", ["issues", "todos", "approvals"])
def test_a_list_that_is_too_long_says_how_much_more_there_is(open_store: OpenStore, name: str) -> None:
    def one(number: int, agent: str) -> NewEvent:
        match name:
            case "issues":
                return issue(number, "low", agent)
            case "todos":
                return todo(number, "low", agent)
            case _:
                return event("approval_requested", number / 100, {"summary": "?"}, agent=agent)

    store = filled(open_store, [*(one(n, "ada") for n in range(MOST)), *(one(n, "bob") for n in range(OVER))])
    told = fleet(store)
    total = {"issues": "active_issues", "todos": "active_todos", "approvals": "pending_approvals"}[name]
    assert len(told[name]) == MOST
    assert told["more"] == {
        "approvals": 0,
        "issues": 0,
        "todos": 0,
        "queues": 0,
        "scheduled": 0,
        name: OVER,
    }
    assert told["totals"][total] == MOST + OVER
    assert {row["agent_id"]: row[total] for row in told["agents"]} == {"ada": MOST, "bob": OVER}
    assert len(agent(store, "bob")[name]) == OVER
    assert agent(store, "bob")["more"][name] == agent(store, "ada")["more"][name] == 0


def test_what_is_worst_is_shown_however_old_it_is(open_store: OpenStore) -> None:
    events = [issue(0, "CRITICAL", "ada"), todo(0, "low", "ada")]
    events += [issue(n, "low", "ada") for n in range(1, MOST + OVER)]
    events += [todo(n, None if n % 2 else "normal", "ada") for n in range(1, MOST + OVER)]
    events.append(todo(MOST + OVER, "Urgent", "ada"))
    told = agent(filled(open_store, events), "ada")
    assert (told["issues"][0]["severity"], told["issues"][1]["issue_id"]) == (
        "critical",
        str(MOST + OVER - 1),
    )
    assert [one["todo_id"] for one in told["todos"][:3]] == [str(MOST + OVER), "1", "2"]
    assert "low" not in {one["priority"] for one in told["todos"]}
    assert told["more"] == {"approvals": 0, "issues": OVER, "todos": OVER + 1, "scheduled": 0}


def test_jobs_and_queues_of_very_many_agents_are_all_counted(open_store: OpenStore) -> None:
    agents = [f"agent-{n:04d}" for n in range(MOST + OVER)]
    jobs = [{"id": "a", "next_run": "2020-01-01T00:00:00Z"}]
    events = [custom("scheduled", 0, {"items": jobs}, agent=name) for name in agents]
    events += [custom("queue_snapshot", 0, {"depth": n % 7}, agent=name) for n, name in enumerate(agents)]
    told = fleet(filled(open_store, events))
    assert told["more"] == {"approvals": 0, "issues": 0, "todos": 0, "queues": OVER, "scheduled": OVER}
    assert told["totals"]["scheduled_count"] == told["totals"]["overdue_count"] == len(agents)
    assert told["totals"]["queue_depth"] == sum(n % 7 for n in range(len(agents)))
    assert (told["queues"][0]["depth"], told["queues"][0]["agent_id"]) == (6, "agent-0006")
    assert len(told["agents"]) == len(agents)
    assert told["agents"][-1]["queue_depth"] == (len(agents) - 1) % 7


def test_a_queue_is_as_deep_as_all_it_lists(open_store: OpenStore) -> None:
    items = [{"id": n} for n in range(MOST + OVER)]
    store = filled(open_store, [custom("queue_snapshot", 0, {"items": items})])
    queue = agent(store, "ada")["queue"]
    assert (queue["depth"], len(queue["items"])) == (MOST + OVER, MOST + OVER)
