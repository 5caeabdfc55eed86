"""Databases of other versions: older ones are brought up to date without loss, newer ones are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hiveloop.board.store.postgres import PostgresStore
from hiveloop.board.store.protocol import Store, StoreError
from hiveloop.board.store.schema import DAY_US, SCHEMA_VERSION
from hiveloop.board.store.sqlite import SqliteStore

from .made_events import NOON, SECOND, event, llm, rows_of
from .stores import KINDS, contents, new_database, postgres_server

__all__ = ["postgres_server"]

HOUR = 3600 * SECOND
TODAY = NOON - NOON % DAY_US
YESTERDAY = TODAY - DAY_US
_EVENT = """
    seq INTEGER NOT NULL, world TEXT, event_id TEXT, ts_us BIGINT, received_us BIGINT, agent_id TEXT,
    agent_type TEXT, event_type TEXT, severity TEXT, environment TEXT, grp TEXT, project TEXT, task_id TEXT,
    run_id TEXT, task_type TEXT, correlation_id TEXT, action_id TEXT, parent_action_id TEXT,
    parent_event_id TEXT, status TEXT, duration_ms BIGINT, kind TEXT, payload TEXT, profile_id BIGINT,
    label TEXT, model TEXT, tokens_in BIGINT, tokens_out BIGINT, cost_nano BIGINT, est_nano BIGINT,
    price_match TEXT, PRIMARY KEY (seq), UNIQUE (world, event_id)
"""
_CALLS = """
    world TEXT NOT NULL, hour_us BIGINT NOT NULL, agent_id TEXT NOT NULL, project TEXT NOT NULL,
    environment TEXT NOT NULL, task_type TEXT NOT NULL, model TEXT NOT NULL, name TEXT NOT NULL,
    calls BIGINT NOT NULL DEFAULT 0, tokens_in BIGINT NOT NULL DEFAULT 0,
    tokens_out BIGINT NOT NULL DEFAULT 0, cost_nano BIGINT NOT NULL DEFAULT 0,
    est_nano BIGINT NOT NULL DEFAULT 0, reported_calls BIGINT NOT NULL DEFAULT 0,
    estimated_calls BIGINT NOT NULL DEFAULT 0, duration_ms BIGINT NOT NULL DEFAULT 0,
    timed BIGINT NOT NULL DEFAULT 0, slowest_ms BIGINT,
    PRIMARY KEY (world, hour_us, agent_id, project, environment, task_type, model, name)
"""
OLD = [
    f"CREATE TABLE events ({_EVENT})",
    "CREATE INDEX events_1 ON events (world, ts_us, event_id)",
    (
        "CREATE TABLE profiles (profile_id INTEGER NOT NULL, agent_version TEXT, framework TEXT, "
        "runtime TEXT, sdk_version TEXT, PRIMARY KEY (profile_id))"
    ),
    # As if a later version had another key: only that there is a table of that name counts.
    "CREATE TABLE tasks (world TEXT NOT NULL, task_id TEXT NOT NULL, PRIMARY KEY (world, task_id))",
    "CREATE INDEX tasks_1 ON tasks (task_id)",
    f"CREATE TABLE calls_1h ({_CALLS})",
    (
        "CREATE TABLE projects (world TEXT NOT NULL, slug TEXT NOT NULL, first_us BIGINT, last_us BIGINT, "
        "name TEXT, archived BIGINT, PRIMARY KEY (world, slug))"
    ),
    (
        "CREATE TABLE keys (key_id TEXT NOT NULL, hash TEXT, prefix TEXT, kind TEXT, name TEXT, "
        "created_us BIGINT, last_used_us BIGINT, revoked_us BIGINT, PRIMARY KEY (key_id), UNIQUE (hash))"
    ),
    (
        "CREATE TABLE prices (model TEXT NOT NULL, valid_from_us BIGINT NOT NULL, "
        "input_usd DOUBLE PRECISION, output_usd DOUBLE PRECISION, provider TEXT, source TEXT, "
        "updated_us BIGINT, PRIMARY KEY (model, valid_from_us))"
    ),
    "CREATE TABLE meta (name TEXT NOT NULL, value TEXT, PRIMARY KEY (name))",
    "INSERT INTO meta VALUES ('schema_version', '1'), ('created_us', '5')",
    "INSERT INTO profiles VALUES (1, '', '', '', 'hiveloop-1.0.0')",
    "INSERT INTO keys (key_id, hash, kind) VALUES ('k1', 'abc', 'live')",
    "INSERT INTO prices VALUES ('gpt-4o', 0, 2.0, 10.0, '', 'user', 0)",
    "INSERT INTO projects VALUES ('live', 'sales', 1, 2, 'Sales!', 1)",
    "INSERT INTO tasks VALUES ('live', 'of the old tables')",
]
EVENTS = [
    event("task_started", 0, {}, task="t", project="sales", event_id="a"),
    llm(1, name="plan", duration_ms=70),
    llm(2, name="plan", cost=0.25),
    event("task_completed", 9, {}, task="t", project="sales", event_id="d", duration_ms=9000),
]


def _rows() -> list[tuple[Any, ...]]:
    """The events as the first version stored them, the derived columns empty."""
    return [
        (number, "live", e.event_id, e.ts_us, e.received_us, e.agent_id, e.agent_type, e.event_type,
         e.severity, e.environment, e.group, e.project, e.task_id, e.run_id, e.task_type, None, None, None,
         None, e.status, e.duration_ms, e.kind, e.payload, 1, *(None,) * 7)
        for number, e in enumerate(EVENTS, 3)
    ]  # fmt: skip


class Old:
    """A database of the first version."""

    def __init__(self, url: str, path: Path) -> None:
        self.url, self._path = url, path
        self.opened: list[Store] = []
        insert = f"INSERT INTO events VALUES ({', '.join('?' * len(_rows()[0]))})"
        self.run(*((sql, ()) for sql in OLD), *((insert, row) for row in _rows()))

    def run(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """Run statements, as that version did."""
        if self.url:
            with psycopg.connect(self.url) as there:
                for sql, args in statements:
                    there.execute(sql.replace("?", "%s").encode(), args)
            return
        with closing(sqlite3.connect(self._path)) as here, here:
            for sql, args in statements:
                here.execute(sql, args)

    def open(self, tell: Any = print) -> Store:
        """Open it with the board of today."""
        store: Store = PostgresStore(self.url, tell=tell) if self.url else SqliteStore(self._path, tell=tell)
        self.opened.append(store)
        return store


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    url = new_database(request.getfixturevalue("postgres_server")) if request.param == "postgres" else ""
    database = Old(url, tmp_path / "old.db")
    yield database
    for store in database.opened:
        store.close()


def test_an_older_database_is_folded_again_and_nothing_is_lost(old: Old, tmp_path: Path) -> None:
    told: list[str] = []
    store = old.open(told.append)
    assert "version 1" in told[0]
    assert "4 of 4 events" in told
    assert rows_of(store, "SELECT event_id, seq FROM events ORDER BY seq") == [
        {"event_id": one.event_id, "seq": number} for number, one in enumerate(EVENTS, 3)
    ]
    assert rows_of(store, "SELECT key_id FROM keys WHERE hash = 'abc'") == [{"key_id": "k1"}]
    assert rows_of(store, "SELECT input_usd FROM prices WHERE model = 'gpt-4o'") == [{"input_usd": 2.0}]
    assert rows_of(store, "SELECT slug, name, archived, first_us FROM projects") == [
        {"slug": "sales", "name": "Sales!", "archived": 1, "first_us": EVENTS[0].ts_us}
    ]
    assert rows_of(store, "SELECT est_nano FROM tasks") == [{"est_nano": 3_000_000}]
    assert rows_of(store, "SELECT value FROM meta WHERE name = 'schema_version'") == [
        {"value": str(SCHEMA_VERSION)}
    ]
    fresh = SqliteStore(tmp_path / "fresh.db")
    old.opened.append(fresh)
    fresh.append("live", EVENTS).result()
    fresh.manage("UPDATE prices SET input_usd = 2.0, output_usd = 10.0 WHERE model = 'gpt-4o'").result()
    fresh.manage("UPDATE projects SET name = 'Sales!', archived = 1").result()
    fresh.rebuild().result()
    assert contents(store) == contents(fresh)


def test_an_upgraded_database_takes_events_and_opens_without_a_word(old: Old) -> None:
    old.open().close()
    told: list[str] = []
    store = old.open(told.append)
    assert told == []
    again = store.append("live", [*EVENTS, llm(3)]).result()
    assert (len(again.new), again.duplicates) == (1, 4)
    assert rows_of(store, "SELECT SUM(calls) AS n FROM models_1d") == [{"n": 3}]


def test_indexes_of_an_older_board_are_made_anew(old: Old) -> None:
    store = old.open()
    known = "SELECT indexdef AS sql FROM pg_indexes WHERE indexname = 'events_1'"
    if not old.url:
        known = "SELECT sql FROM sqlite_master WHERE name = 'events_1'"
    (found,) = rows_of(store, known)
    assert str(found["sql"]).endswith("(world, ts_us, seq)")


def test_sums_of_events_that_were_removed_are_taken_over(old: Old) -> None:
    columns = "world, hour_us, agent_id, project, environment, task_type, model, name, calls, cost_nano"
    insert = (
        f"INSERT INTO calls_1h ({columns}, slowest_ms) VALUES (?, ?, 'ada', '', 'x', '', 'm', ?, 2, ?, ?)"
    )
    old.run(
        ("INSERT INTO meta VALUES ('pruned_us', ?)", (str(TODAY - 5 * HOUR),)),
        (insert, ("live", YESTERDAY, "plan", 7, 100)),
        (insert, ("live", YESTERDAY + HOUR, "plan", 1, 900)),
        (insert, ("live", YESTERDAY + HOUR, "look", 3, None)),
        (insert, ("live", TODAY, "plan", 999, 999)),  # this day's are folded again
    )
    store = old.open()
    found = rows_of(store, f"SELECT calls, cost_nano, slowest_ms FROM models_1d WHERE hour_us = {YESTERDAY}")
    assert found == [{"calls": 6, "cost_nano": 11, "slowest_ms": 900}]
    found = rows_of(store, f"SELECT name, calls FROM calls_1d WHERE hour_us = {YESTERDAY} ORDER BY name")
    assert [tuple(row.values()) for row in found] == [("look", 2), ("plan", 4)]
    assert rows_of(store, f"SELECT SUM(calls) AS n FROM calls_1d WHERE hour_us >= {TODAY}") == [{"n": 2}]
    before = contents(store)
    store.rebuild().result()
    assert contents(store) == before


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(old: Old) -> None:
    def fail(line: str) -> None:
        if "of 4" in line:
            raise StoreError("unplugged")

    with pytest.raises(StoreError, match="unplugged"):
        old.open(fail)
    store = old.open()
    assert rows_of(store, "SELECT COUNT(*) AS n FROM events") == [{"n": 4}]
    assert rows_of(store, "SELECT llm_calls FROM tasks") == [{"llm_calls": 2}]


@pytest.mark.parametrize(("version", "message"), [("99", "version 99.*newer hiveloop"), ("x", "no version")])
def test_what_is_of_a_newer_board_or_of_none_is_refused(old: Old, version: str, message: str) -> None:
    old.run(("UPDATE meta SET value = ? WHERE name = 'schema_version'", (version,)))
    with pytest.raises(StoreError, match=message):
        old.open()
    old.run(("UPDATE meta SET value = '1' WHERE name = 'schema_version'", ()))
    old.open().close()
