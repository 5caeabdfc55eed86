"""A board that is killed under load keeps every event that it has acknowledged, once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import httpx

from hiveloop.board.store.sqlite import SqliteStore

from .boards import event
from .made_events import rows_of
from .test_cli_board import Running, board

KILLS = 10 if os.environ.get("HIVELOOP_TEST_LONG") == "1" else 3
_BATCHES = 25
"""Acknowledged before the kill; more are on their way then."""


class _Sender(threading.Thread):
    """Reports batch after batch, and keeps the ids of those that were acknowledged."""

    def __init__(self, running: Running, enough: threading.Semaphore) -> None:
        super().__init__(name="sender", daemon=True)
        self.acknowledged: list[str] = []
        self._running = running
        self._enough = enough

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._running.key}"}
        with httpx.Client(base_url=self._running.endpoint, headers=headers, timeout=20) as client:
            while True:
                events = [event("task_started", task_id=f"t-{number}") for number in range(20)]
                body = {"envelope": {"agent_id": self.name}, "events": events}
                try:
                    response = client.post("/v1/ingest", json=body)
                except httpx.TransportError:
                    return
                assert response.status_code == 200
                self.acknowledged += [one["event_id"] for one in events]
                self._enough.release()


def test_no_acknowledged_event_is_lost_when_the_board_is_killed(tmp_path: Path) -> None:
    acknowledged = list[str]()
    for _ in range(KILLS):
        with board(tmp_path, "--port", 0) as running:
            enough = threading.Semaphore(0)
            senders = [_Sender(running, enough) for _ in range(3)]
            for sender in senders:
                sender.start()
            for _ in range(_BATCHES):
                assert enough.acquire(timeout=20)
            running.process.kill()
            for sender in senders:
                sender.join(20)
                acknowledged += sender.acknowledged
    store = SqliteStore(tmp_path / "data" / "board.db")
    try:
        found = [str(row["event_id"]) for row in rows_of(store, "SELECT event_id FROM events")]
        assert len(found) == len(set(found))
        assert set(acknowledged) <= set(found)
        sql = "SELECT SUM(events) AS n FROM agents"
        counted = rows_of(store, sql)
        assert counted == [{"n": len(found)}]
        store.rebuild().result(60)
        assert rows_of(store, sql) == counted
    finally:
        store.close()
