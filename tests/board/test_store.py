"""The store: durable, one at a time, honest about what it could not do."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import pytest

from hiveloop.board.model import Profile, StoredEvent
from hiveloop.board.store.protocol import Appended, Store, StoreClosedError, StoreError, StoreFullError
from hiveloop.board.store.retention import Retention
from hiveloop.board.store.schema import BY_NAME
from hiveloop.board.store.sqlite import SqliteStore
from tests.bench.board_store import fleet

from .made_events import NOON, SECOND, custom, event, llm, rows_of
from .stores import OpenStore, contents, open_any_store, postgres_server

__all__ = ["open_any_store", "postgres_server"]

ROOT = Path(__file__).parents[2]
DAY = 86_400


def test_what_was_appended_is_there_after_opening_again(open_store: OpenStore) -> None:
    store = open_store()
    sent = event("task_started", 0, {"summary": "Ünï"}, task="t", profile=Profile("1.2", "f", "p", "s"))
    answer = store.append("live", [sent]).result()
    store.close()
    again = open_store()
    [row] = rows_of(
        again, "SELECT e.*, p.agent_version FROM events e JOIN profiles p ON p.profile_id = e.profile_id"
    )
    assert (row["event_id"], row["payload"], row["agent_version"]) == (sent.event_id, sent.payload, "1.2")
    assert answer.new == [
        StoredEvent(
            seq=row["seq"], world="live", **{name: getattr(sent, name) for name in sent.__struct_fields__}
        )
    ]
    assert again.append("live", [sent]).result().new == []
    assert again.append("live", [event("heartbeat", 1)]).result().new[0].seq > row["seq"]


def test_sequence_numbers_grow_in_the_order_given(open_store: OpenStore) -> None:
    store = open_store()
    sent = [event("heartbeat", -n) for n in range(5)]
    first = store.append("live", sent).result().new
    second = store.append("test", sent).result().new
    numbers = [stored.seq for stored in (*first, *second)]
    assert numbers == sorted(set(numbers))
    assert [stored.event_id for stored in first] == [given.event_id for given in sent]


def test_many_threads_append_at_once(open_store: OpenStore) -> None:
    store = open_store()
    futures: list[Future[Appended]] = []
    shared = [event("heartbeat", n) for n in range(20)]

    def send(number: int) -> None:
        for _ in range(10):
            futures.append(store.append("live", [event("heartbeat", number), *shared]))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(future.result().new) for future in futures) == 80 + 20
    assert rows_of(store, "SELECT COUNT(*) AS n FROM events") == [{"n": 100}]


def test_a_project_is_new_once(open_store: OpenStore) -> None:
    store = open_store()
    told = store.append("live", [event("task_started", 0, task="t", project="sales")]).result()
    assert told.new_projects == ["sales"]
    assert (
        store.append("live", [event("task_started", 1, task="u", project="sales")]).result().new_projects
        == []
    )


def test_a_value_no_column_holds_fails_its_own_append_only(open_store: OpenStore) -> None:
    store = open_store()
    good = [store.append("live", [event("heartbeat", n)]) for n in range(3)]
    bad = store.append("live", [event("heartbeat", 3), event("heartbeat", 4, duration_ms=2**70)])
    good += [store.append("live", [event("heartbeat", n)]) for n in range(5, 8)]
    with pytest.raises(StoreError, match=r"cannot be stored|out of range"):
        bad.result()
    assert [len(future.result().new) for future in good] == [1] * 6
    assert rows_of(store, "SELECT COUNT(*) AS n FROM events") == [{"n": 6}]


def test_a_caller_that_gives_up_does_not_undo_its_append(open_store: OpenStore) -> None:
    store = open_store()
    future = store.append("live", [event("heartbeat", 0)])
    assert not future.cancel()
    assert len(future.result().new) == 1


def test_a_reader_sees_one_state(open_store: OpenStore) -> None:
    store = open_store()
    store.append("live", [event("heartbeat", 0)]).result()
    with store.reader() as reader:
        before = reader.rows("SELECT COUNT(*) AS n FROM events")
        store.append("live", [event("heartbeat", 1)]).result()
        assert reader.rows("SELECT COUNT(*) AS n FROM events") == before
    assert rows_of(store, "SELECT COUNT(*) AS n FROM events") == [{"n": 2}]


def test_a_reader_cannot_write(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(StoreError), store.reader() as reader:
        reader.rows("DELETE FROM meta RETURNING name")
    assert rows_of(store, "SELECT COUNT(*) AS n FROM meta")[0]["n"] > 0


def test_managed_tables_are_written_by_statements(open_store: OpenStore) -> None:
    store = open_store()
    sql = "INSERT INTO keys (key_id, hash, kind) VALUES (?, ?, ?)"
    assert store.manage(sql, ("k1", "abc", "live")).result() == 1
    with pytest.raises(StoreError):
        store.manage(sql, ("k2", "abc", "live")).result()
    assert rows_of(store, "SELECT key_id FROM keys WHERE hash = ?", "abc") == [{"key_id": "k1"}]


def test_prices_ship_with_a_new_store(open_store: OpenStore) -> None:
    assert rows_of(open_store(), "SELECT COUNT(*) AS n FROM prices")[0]["n"] > 20


def test_prices_of_an_older_list_are_replaced_and_ones_own_stay(open_store: OpenStore) -> None:
    store = open_store()
    store.manage("UPDATE prices SET source = 'user', input_usd = 77 WHERE model = 'gpt-4o'")
    store.manage("UPDATE prices SET input_usd = 99 WHERE model = 'o1'").result()
    store.close()
    store = open_store()
    assert _input_prices(store, "gpt-4o", "o1") == [77, 99]  # the same list: nobody looks at it again
    store.manage("UPDATE meta SET value = '2020-02-02' WHERE name = 'price_list'").result()
    store.close()
    assert _input_prices(open_store(), "gpt-4o", "o1") == [77, 15]


def _input_prices(store: Store, *models: str) -> list[object]:
    sql = f"SELECT input_usd FROM prices WHERE model IN ({', '.join('?' * len(models))}) ORDER BY model"
    return [row["input_usd"] for row in rows_of(store, sql, *models)]


def test_a_closed_store_says_so(open_store: OpenStore) -> None:
    store = open_store()
    waiting = [store.append("live", [event("heartbeat", n)]) for n in range(20)]
    store.close()
    store.close()
    assert all(len(future.result().new) == 1 for future in waiting)
    with pytest.raises(StoreClosedError):
        store.append("live", [event("heartbeat", 30)]).result()
    with pytest.raises(StoreClosedError), store.reader():
        pass


# -- retention ------------------------------------------------------------------------------------


def test_events_past_their_age_go_with_their_rows(open_store: OpenStore) -> None:
    store = open_store()
    old = [event("task_started", 0, {}, task="old"), llm(1, task="old")]
    young = [event("task_started", 31 * DAY, {}, task="young"), llm(31 * DAY, task="young")]
    store.append("live", old + young).result()
    pruned = store.prune(NOON + 32 * DAY * SECOND).result()
    assert pruned.events == 2
    assert rows_of(store, "SELECT DISTINCT task_id FROM events") == [{"task_id": "young"}]
    assert rows_of(store, "SELECT task_id FROM tasks") == [{"task_id": "young"}]
    assert rows_of(store, "SELECT SUM(calls) AS n FROM calls_1h") == [{"n": 1}]
    before = contents(store)
    assert store.rebuild().result() == 2
    after = contents(store)
    assert after["tasks"] == before["tasks"]
    assert after["calls_1h"] == before["calls_1h"]


def test_old_heartbeats_are_thinned_out_but_not_those_that_tell_something(open_store: OpenStore) -> None:
    store = open_store()
    plain = [event("heartbeat", at, {"hiveloop": {"idle_seconds": at}}) for at in range(0, 3600, 30)]
    telling = [event("heartbeat", at, {"model": "gpt-4o"}) for at in range(10, 3600, 600)]
    recent = [event("heartbeat", at, {}) for at in range(7200, 7500, 30)]
    store.append("live", plain + telling + recent).result()
    pruned = store.prune(NOON + 7600 * SECOND).result()
    assert pruned.heartbeats == len(plain) - 3600 // 300 - 1  # NOON is not on a boundary of five minutes
    left = rows_of(store, "SELECT ts_us FROM events WHERE payload LIKE '%idle_seconds%' ORDER BY ts_us")
    assert left[-1]["ts_us"] == NOON + 3570 * SECOND
    assert rows_of(store, "SELECT COUNT(*) AS n FROM events") == [
        {"n": len(left) + len(telling) + len(recent)}
    ]
    assert store.prune(NOON + 7600 * SECOND).result().heartbeats == 0


def test_numbering_goes_on_after_everything_was_removed(open_store: OpenStore) -> None:
    store = open_store()
    last = store.append("live", [event("heartbeat", n) for n in range(3)]).result().new[-1].seq
    store.prune(NOON + 99 * DAY * SECOND).result()
    assert store.append("live", [event("heartbeat", 99 * DAY)]).result().new[0].seq > last


def test_beyond_its_size_the_oldest_go_but_totals_stay(open_store: OpenStore) -> None:
    store = open_store(retention=Retention(max_bytes=1_500_000))
    for hour in range(10):
        calls = [llm(hour * 3600 + n, cost=0.001, prompt_preview="x" * 900) for n in range(200)]
        store.append("live", calls).result()
    pruned = store.prune(NOON + 12 * 3600 * SECOND).result()
    assert 0 < pruned.events < 2000
    [left] = rows_of(store, "SELECT COUNT(*) AS n, MIN(ts_us) AS oldest, MAX(ts_us) AS newest FROM events")
    assert (left["n"], left["newest"]) == (2000 - pruned.events, NOON + (9 * 3600 + 199) * SECOND)
    assert left["oldest"] > NOON
    total = [{"calls": 2000, "cost": 2_000_000_000}]
    assert rows_of(store, "SELECT SUM(calls) AS calls, SUM(cost_nano) AS cost FROM calls_1h") == total
    before = {name: rows for name, rows in contents(store).items() if BY_NAME[name].step_us}
    store.rebuild().result()
    assert {name: rows for name, rows in contents(store).items() if name in before} == before
    assert rows_of(store, "SELECT SUM(calls) AS calls, SUM(cost_nano) AS cost FROM calls_1h") == total
    assert store.prune(NOON + 12 * 3600 * SECOND).result().events == 0


# -- SQLite's own ---------------------------------------------------------------------------------


def test_a_full_disk_fails_appends_until_there_is_room(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "board.db")
    store.append("live", [llm(0)]).result()
    pages = rows_of(store, "SELECT page_count FROM pragma_page_count()")[0]["page_count"]
    store.manage(f"PRAGMA max_page_count = {pages + 2}").result()
    large = [custom("note", n, {"text": "x" * 9000}) for n in range(40)]
    with pytest.raises(StoreFullError, match="no space left"):
        store.append("live", large).result()
    assert rows_of(store, "SELECT COUNT(*) AS n FROM events") == [{"n": 1}]
    store.manage("PRAGMA max_page_count = 1000000").result()
    assert len(store.append("live", large).result().new) == 40
    store.close()


def test_the_log_starts_over_while_appends_go_on(tmp_path: Path) -> None:
    store, log = SqliteStore(tmp_path / "board.db"), tmp_path / "board.db-wal"
    events, waiting, most = fleet(), deque[Future[Appended]](), 0
    for _ in range(100):
        waiting.append(store.append("live", list(itertools.islice(events, 200))))
        if len(waiting) == 4:  # so that the writer never rests
            waiting.popleft().result()
        most = max(most, log.stat().st_size)
    store.close()
    assert 0 < most < 96 * 1024**2  # of 130 MiB that were written; about 15 on a machine at rest


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new" / "board.db")
    store.append("live", [event("heartbeat", 0)]).result()
    files = list((tmp_path / "new").iterdir())
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    store.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "board.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(tmp_path / "board.db")


def test_a_database_of_a_newer_board_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "board.db")
    store.manage("UPDATE meta SET value = '99' WHERE name = 'schema_version'").result()
    store.close()
    with pytest.raises(StoreError, match="version 99"):
        SqliteStore(tmp_path / "board.db")


_LOAD = """
import itertools, sys
from collections import deque
from pathlib import Path
from hiveloop.board.store.sqlite import SqliteStore
from tests.bench.board_store import fleet

store = SqliteStore(Path(sys.argv[1]))
events = fleet(seed=int(sys.argv[2]))
waiting = deque()
while True:
    chunk = list(itertools.islice(events, 50))
    waiting.append((chunk, store.append("live", chunk)))
    if len(waiting) > 4:
        done, future = waiting.popleft()
        future.result()
        print(done[-1].event_id, len(done), flush=True)
"""


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_under_load_nothing_acknowledged_is_lost(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "board.db"
    acknowledged: list[str] = []
    for seed in range(1, rounds + 1):
        acknowledged += _killed_after(20 + seed * 7, path, seed)
    store = SqliteStore(path)
    try:
        stored = {row["event_id"] for row in rows_of(store, "SELECT event_id FROM events")}
        assert len(acknowledged) > rounds * 20
        assert not set(acknowledged) - stored
        assert len(stored) >= len(acknowledged) * 50
        assert rows_of(store, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        before = contents(store)
        assert store.rebuild().result() == len(stored)
        assert contents(store) == before
    finally:
        store.close()


def _killed_after(lines: int, path: Path, seed: int) -> list[str]:
    """Load a store in a process of its own and kill that after so many acknowledgements; return them."""
    command = [sys.executable, "-c", _LOAD, str(path), str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(lines)]
    os.kill(process.pid, signal.SIGKILL)
    seen += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [line.split()[0] for line in seen if line.endswith("\n")]
