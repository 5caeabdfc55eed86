"""The store of `hiveloop board`: what comes of writing in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hiveloop.board.locks import lock, open_private
from hiveloop.board.store.apart import ApartStore
from hiveloop.board.store.protocol import Appended, Store, StoreClosedError, StoreError
from hiveloop.board.store.sqlite import SqliteStore
from tests.support.wait import eventually

from .made_events import custom, event, rows_of

WORKER = "hiveloop.board.store.worker"


@contextmanager
def opened(path: Path) -> Generator[ApartStore]:
    store = ApartStore(path)
    try:
        yield store
    finally:
        store.close()


def workers(of: int) -> list[psutil.Process]:
    """The processes that write for a process."""
    return [child for child in psutil.Process(of).children() if WORKER in command_of(child)]


def command_of(process: psutil.Process) -> list[str]:
    """How a process was started; nothing when it has ended, as one of another test may have."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def count(store: Store) -> int:
    [row] = rows_of(store, "SELECT COUNT(*) AS n FROM events")
    assert isinstance(row["n"], int)
    return row["n"]


def test_it_ends_with_the_store(tmp_path: Path) -> None:
    with opened(tmp_path / "board.db") as store:
        [worker] = workers(os.getpid())
        waiting = [store.append("live", [event("heartbeat", n)]) for n in range(50)]
    assert all(len(future.result(0).new) == 1 for future in waiting)
    assert not worker.is_running()
    with pytest.raises(StoreClosedError):
        store.append("live", [event("heartbeat", 0)]).result()


def test_one_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = list[str]()
    with opened(tmp_path / "board.db") as store:
        for _ in range(3):
            [worker] = workers(os.getpid())
            sent = [event("heartbeat", n) for n in range(200)]
            waiting = [(one.event_id, store.append("live", [one])) for one in sent]
            waiting[3][1].result(20)
            worker.kill()
            kept += [name for name, future in waiting if future.exception(20) is None]
            failures = [error for _, future in waiting if (error := future.exception(20)) is not None]
            assert all(isinstance(error, StoreError) for error in failures)
            worker.wait(20)
            eventually(lambda: stores_again(store), what="another process writes")
        found = {row["event_id"] for row in rows_of(store, "SELECT event_id FROM events")}
        assert set(kept) <= found
        before = rows_of(store, "SELECT SUM(events) AS n FROM agents")
        assert store.rebuild().result(20) == len(found)
        assert rows_of(store, "SELECT SUM(events) AS n FROM agents") == before
    assert "the process that writes ended" in caplog.text


def stores_again(store: Store) -> bool:
    return store.append("live", [event("heartbeat", 0)]).exception(20) is None


def test_a_process_that_stands_still_holds_up_nobody_who_asks(tmp_path: Path) -> None:
    """Nor does a pipe that is full."""
    with opened(tmp_path / "board.db") as store:
        [worker] = workers(os.getpid())
        worker.suspend()
        asked, waiting = threading.Event(), list[Future[Appended]]()

        def ask() -> None:
            for number in range(40):
                waiting.append(store.append("live", [custom("note", number, {"text": "x" * 50_000})]))
            asked.set()

        threading.Thread(target=ask, daemon=True).start()
        try:
            assert asked.wait(10)
            assert not any(future.done() for future in waiting)
            assert count(store) == 0  # pages are answered meanwhile
        finally:
            worker.resume()
        assert [len(future.result(20).new) for future in waiting] == [1] * 40


_BOARD = """
import os, sys
from pathlib import Path
from hiveloop.board.store.apart import ApartStore
from tests.board.made_events import event
from tests.board.test_store_apart import workers

store = ApartStore(Path(sys.argv[1]))
store.append("live", [event("heartbeat", 0)]).result()
print(workers(os.getpid())[0].pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_when_its_board_does_however_that_ends(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", _BOARD, str(tmp_path / "board.db")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as board:
        assert board.stdout is not None
        worker = psutil.Process(int(board.stdout.readline()))
        for harmless in (signal.SIGINT, signal.SIGTERM):  # what a terminal or a service sends to all
            worker.send_signal(harmless)
        board.send_signal(number)
        board.wait(10)
        eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    with opened(tmp_path / "board.db") as store:
        assert count(store) == 1


def test_it_waits_for_the_one_of_a_board_that_was_killed(tmp_path: Path) -> None:
    path, told = tmp_path / "board.db", list[str]()
    stores = list[ApartStore]()
    with open_private(tmp_path / "board.db.lock") as held:
        assert lock(held)
        start = threading.Thread(target=lambda: stores.append(ApartStore(path, tell=told.append)))
        start.start()
        eventually(lambda: told)
        assert "still in use" in told[0]
        assert path.stat().st_size == 0
    start.join(20)
    [store] = stores
    assert count(store) == 0
    store.close()


def test_it_says_why_a_database_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="cannot open"):
        ApartStore(tmp_path / "other.db")
    older = SqliteStore(tmp_path / "board.db")
    older.manage("UPDATE meta SET value = '99' WHERE name = 'schema_version'").result()
    older.close()
    with pytest.raises(StoreError, match="version 99"):
        ApartStore(tmp_path / "board.db")
    assert workers(os.getpid()) == []


def test_what_is_done_to_the_database_of_an_older_board_is_told(tmp_path: Path) -> None:
    older = SqliteStore(tmp_path / "board.db")
    older.append("live", [event("heartbeat", 0)]).result()
    older.manage("UPDATE meta SET value = '1' WHERE name = 'schema_version'").result()
    older.close()
    told = list[str]()
    store = ApartStore(tmp_path / "board.db", tell=told.append)
    store.close()
    assert told[-1] == "The database is up to date: 1 events."


def test_it_needs_neither_the_web_server_nor_the_folder_that_it_starts_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('a module of the user')")
    monkeypatch.chdir(tmp_path)
    begin = time.monotonic()
    with opened(tmp_path / "board.db") as store:
        [worker] = workers(os.getpid())
        assert stores_again(store)
        libraries = {Path(one.path).name.partition(".")[0] for one in worker.memory_maps()}
        assert "_sqlite3" in libraries
        assert not {"_ssl", "_asyncio"} & libraries
    assert time.monotonic() - begin < 10
