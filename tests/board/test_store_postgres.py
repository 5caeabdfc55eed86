"""PostgreSQL's own: the same tables as SQLite, several boards on one database, a server that goes away."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hiveloop.board.model import StoredEvent
from hiveloop.board.store.postgres import PostgresStore
from hiveloop.board.store.protocol import StoreError
from hiveloop.board.store.sqlite import SqliteStore
from tests.bench.board_store import fleet
from tests.support.wait import eventually

from .made_events import event, rows_of
from .stores import contents, new_database, postgres_server

__all__ = ["postgres_server"]


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


@pytest.fixture
def boards(url: str) -> Iterator[tuple[PostgresStore, PostgresStore]]:
    """Two boards on one database."""
    first, second = PostgresStore(url), PostgresStore(url)
    yield first, second
    first.close()
    second.close()


def test_both_databases_hold_the_same_tables(url: str, tmp_path: Path) -> None:
    events = list(itertools.islice(fleet(seed=7), 1500))
    lite, postgres = SqliteStore(tmp_path / "board.db"), PostgresStore(url)
    for store in (lite, postgres):
        for start in range(0, len(events), 300):
            store.append("live", events[start : start + 300]).result()
    expected = contents(lite)
    assert contents(postgres) == expected
    assert postgres.rebuild().result() == 1500
    assert contents(postgres) == expected
    lite.close()
    postgres.close()


def test_boards_share_a_database_and_fold_as_one(boards: tuple[PostgresStore, PostgresStore]) -> None:
    events = list(itertools.islice(fleet(seed=8), 1200))
    pieces = [events[start : start + 60] for start in range(0, 1200, 60)]
    futures = [boards[number % 2].append("live", piece) for number, piece in enumerate(pieces + pieces)]
    new = [stored.seq for future in futures for stored in future.result().new]
    assert len(new) == len(set(new)) == 1200
    before = contents(boards[0])
    boards[1].rebuild().result()
    assert contents(boards[0]) == before


def test_a_board_hears_what_the_other_stores_and_not_its_own(
    boards: tuple[PostgresStore, PostgresStore],
) -> None:
    heard: list[StoredEvent] = []
    boards[0].append("live", [event("heartbeat", 0, event_id="before")]).result()
    boards[1].follow(heard.extend, 0)
    eventually(lambda: [stored.event_id for stored in heard] == ["before"])
    for number in range(5):
        boards[0].append("test", [event("heartbeat", number, event_id=f"theirs-{number}")]).result()
        boards[1].append("live", [event("heartbeat", number, event_id=f"mine-{number}")]).result()
    expected = ["before", *(f"theirs-{number}" for number in range(5))]
    eventually(lambda: len(heard) >= len(expected))
    assert [stored.event_id for stored in heard] == expected
    assert [stored.world for stored in heard[1:]] == ["test"] * 5
    assert heard[0].profile.sdk_version == "hiveloop-1.0.0"


def test_a_board_goes_on_after_the_server_dropped_its_connections(
    boards: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    heard: list[StoredEvent] = []
    boards[1].follow(heard.extend, 0)
    boards[0].append("live", [event("heartbeat", 0)]).result()
    eventually(lambda: len(heard) == 1)
    _drop_all(url)
    # What was on its way is refused, what comes afterwards is stored.
    with pytest.raises(StoreError):
        boards[0].append("live", [event("heartbeat", 1)]).result()
    assert len(boards[0].append("live", [event("heartbeat", 2)]).result().new) == 1
    eventually(lambda: len(heard) == 2)
    eventually(lambda: _reads(boards[0]))


def _drop_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _reads(store: PostgresStore) -> bool:
    try:
        return rows_of(store, "SELECT COUNT(*) AS n FROM events") == [{"n": 2}]
    except StoreError:
        return False


def test_boards_that_open_an_empty_database_together_make_it_once(url: str) -> None:
    stores: list[PostgresStore] = []
    threads = [threading.Thread(target=lambda: stores.append(PostgresStore(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 4
    for store in stores:
        store.close()


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="cannot use"):
        PostgresStore("postgresql://127.0.0.1:1/nothing?connect_timeout=2")


def test_integers_stay_integers(boards: tuple[PostgresStore, PostgresStore]) -> None:
    [row] = rows_of(boards[0], "SELECT SUM(n) AS n, AVG(n) AS mean FROM (VALUES (1::bigint), (2)) AS t (n)")
    assert (row["n"], row["mean"]) == (3, 1.5)
    assert isinstance(row["n"], int)
