"""Lists of many runs: by what no index knows, in every order, page by page."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hiveloop.board.model import NewEvent
from hiveloop.board.queries import Params, tasks
from hiveloop.board.store.postgres import PostgresStore
from hiveloop.board.store.protocol import Store
from hiveloop.board.store.schema import DAY_US
from hiveloop.board.store.sqlite import SqliteStore

from .made_events import NOON, event, llm, rows_of
from .stores import KINDS, new_database, postgres_server

__all__ = ["postgres_server"]

RUNS = 2_600
DAYS = 5
NOW = NOON + (DAYS + 1) * DAY_US
SORTS = {
    "newest": (["first_us", "task_id", "run_id"], True),
    "oldest": (["first_us", "task_id", "run_id"], False),
    "duration": (["took_ms", "first_us", "task_id", "run_id"], True),
    "cost": (["total_nano", "first_us", "task_id", "run_id"], True),
}
Row = dict[str, Any]
WANTED: list[tuple[dict[str, str], Callable[[Row], bool]]] = [
    ({}, lambda row: True),
    ({"environment": "nowhere"}, lambda row: False),
    ({"environment": "production"}, lambda row: row["environment"] == "production"),
    ({"environment": "lab"}, lambda row: row["environment"] == "lab"),
    (
        {"environment": "lab", "task_type": "odd"},
        lambda row: (row["environment"], row["task_type"]) == ("lab", "odd"),
    ),
    ({"environment": "production", "task_type": "none"}, lambda row: False),
    ({"group": "night"}, lambda row: row["grp"] == "night"),
    ({"task_type": "even"}, lambda row: row["task_type"] == "even"),
    ({"q": "nothing has this"}, lambda row: False),
    ({"q": "RUN-77"}, lambda row: "run-77" in row["task_id"]),
    ({"q": "Too 100% LATE_"}, lambda row: "too 100% late_" in (row["error_message"] or "").lower()),
    ({"q": "Shipped"}, lambda row: "shipped" in (row["end_summary"] or "")),
    ({"q": "eve", "agent_id": "a1"}, lambda row: (row["task_type"], row["agent_id"]) == ("even", "a1")),
    ({"q": "run-9", "status": "failed"}, lambda row: row["state"] == "failed" and "run-9" in row["task_id"]),
]


def _run(number: int, rng: random.Random) -> Iterator[NewEvent]:
    """One run; those of the first day are of the lab, and a few moved into it after they had begun."""
    at = number * DAYS * 86_400 / RUNS
    place: dict[str, Any] = {
        "agent": f"a{number % 3}",
        "task": f"run-{number}",
        "environment": "lab" if number < 400 and number % 5 == 0 else "production",
        "group": "night" if number % 900 == 0 else "",
        "task_type": ("even", "odd")[number % 2],
    }
    if number % 50 == 0:
        yield event("action_started", at - 86_400, **{**place, "environment": "production", "task_type": ""})
    yield event("task_started", at, **place)
    if number % 4 == 0:
        yield llm(at + 1, task=place["task"], agent=place["agent"], cost=rng.randrange(3))
    ended: dict[str, Any] = {"duration_ms": rng.randrange(4) * 1_000, **place}
    if number % 97 == 0:
        told = {"exception_type": "Timeout", "exception_message": f"Too 100% late_ {number}"}
        yield event("task_failed", at + 2, told, **ended)
    elif number % 301:
        yield event("task_completed", at + 2, {"summary": "shipped" if number % 40 == 3 else "done"}, **ended)


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Five days of runs, more than are read one by one."""
    opened: Store
    if request.param == "sqlite":
        opened = SqliteStore(Path(tmp_path_factory.mktemp("tasks")) / "board.db")
    else:
        opened = PostgresStore(new_database(request.getfixturevalue("postgres_server")))
    rng = random.Random(5)
    made = [one for number in range(RUNS) for one in _run(number, rng)]
    for begin in range(0, len(made), 500):
        opened.append("live", made[begin : begin + 500]).result(30)
    yield opened
    opened.close()


def _pages(store: Store, given: dict[str, str]) -> list[Row]:
    found: list[Row] = []
    cursor: dict[str, str] = {}
    while True:
        with store.reader() as reader:
            page = tasks.tasks(reader, "live", Params({"limit": "190", **given, **cursor}, NOW))
        found += page["data"]
        if not page["pagination"]["has_more"]:
            return found
        cursor = {"cursor": page["pagination"]["cursor"]}


@pytest.mark.parametrize("sort", SORTS)
def test_runs_are_found_by_anything_in_every_order_page_by_page(store: Store, sort: str) -> None:
    rows = rows_of(store, f"SELECT *, {tasks.TOOK_MS} AS took_ms FROM tasks")
    assert len(rows) == RUNS
    columns, falling = SORTS[sort]
    rows.sort(key=lambda row: [row[column] for column in columns], reverse=falling)
    for given, is_wanted in WANTED:
        expected = [row["task_id"] for row in rows if is_wanted(row)]
        found = _pages(store, {"sort": sort, **given})
        assert [row["task_id"] for row in found] == expected, given
        assert found or "nothing has this" in given.values() or {"nowhere", "none"} & set(given.values())


def test_a_stretch_of_time_is_searched_as_well(store: Store) -> None:
    rows = rows_of(store, "SELECT * FROM tasks ORDER BY first_us DESC, task_id DESC")
    since, until = NOON + DAY_US, NOON + 3 * DAY_US
    inside = [row["task_id"] for row in rows if since <= row["first_us"] < until]
    assert len(inside) > 900
    given = {"since": str(since / 1e6), "until": str(until / 1e6), "q": "RUN-"}
    assert [row["task_id"] for row in _pages(store, given)] == inside
