"""A board that is killed under load keeps every event that it has acknowledged, once."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from hiveloop.board.store.sqlite import SqliteStore
from tests.support.wait import eventually

from .boards import event
from .made_events import rows_of
from .test_cli_board import Running, board
from .test_otlp import AGENT, CHAT
from .test_store_apart import workers
from .test_waiting import post, span

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
                if response.status_code == 503:  # nothing is written at the moment
                    continue
                assert response.status_code == 200
                self.acknowledged += [one["event_id"] for one in events]
                self._enough.release()


def _let_work(enough: threading.Semaphore) -> None:
    """Wait until some more batches were acknowledged."""
    for _ in range(_BATCHES):
        assert enough.acquire(timeout=20)


def _kill_under_load(
    running: Running, enough: threading.Semaphore, senders: Sequence[threading.Thread]
) -> None:
    """Kill the board when enough batches were acknowledged, and wait for those who sent them."""
    for sender in senders:
        sender.start()
    _let_work(enough)
    writing = workers(running.process.pid)
    running.process.kill()
    for sender in senders:
        sender.join(20)
    assert psutil.wait_procs(writing, 20)[1] == []  # it may have been at its last transaction


def test_no_acknowledged_event_is_lost_when_the_board_is_killed(tmp_path: Path) -> None:
    acknowledged = list[str]()
    for _ in range(KILLS):
        with board(tmp_path, "--port", 0) as running:
            enough = threading.Semaphore(0)
            senders = [_Sender(running, enough) for _ in range(3)]
            _kill_under_load(running, enough, senders)
            for sender in senders:
                acknowledged += sender.acknowledged
    assert_kept(tmp_path, acknowledged)


def test_no_acknowledged_event_is_lost_when_the_process_that_writes_is_killed(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        enough = threading.Semaphore(0)
        senders = [_Sender(running, enough) for _ in range(3)]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            _let_work(enough)
            [writing] = workers(running.process.pid)
            writing.kill()
            writing.wait(20)
            eventually(lambda: workers(running.process.pid), timeout=20, what="another one")
        _let_work(enough)
        assert running.end() == 0
        for sender in senders:
            sender.join(20)
    assert_kept(tmp_path, [name for sender in senders for name in sender.acknowledged])


def assert_kept(home: Path, acknowledged: list[str]) -> None:
    """All of it is stored, once, and folded as a rebuild does."""
    store = SqliteStore(home / "data" / "board.db")
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


class _Spans(threading.Thread):
    """Reports traces, the call of a model before its agent, and keeps the calls that were acknowledged."""

    def __init__(self, running: Running, enough: threading.Semaphore, first: int) -> None:
        super().__init__(name="spans", daemon=True)
        self.calls = list[str]()
        self.whole = list[str]()
        self._running = running
        self._enough = enough
        self._numbers = itertools.count(first)

    def run(self) -> None:
        for number in self._numbers:
            trace, model = {"traceId": f"{number:032x}"}, f"model-{number}"
            try:
                self._send(span(2, 1, told={**CHAT, "gen_ai.request.model": model}, **trace))
                self.calls.append(model)
                self._send(span(1, told=AGENT, **trace))
                self.whole.append(model)
            except httpx.TransportError:
                return
            self._enough.release()

    def _send(self, one: Any) -> None:
        assert post(self._running.endpoint, self._running.key, one).status_code == 200


def test_no_acknowledged_span_is_lost_or_told_twice_when_the_board_is_killed(tmp_path: Path) -> None:
    calls, whole = list[str](), list[str]()
    for kill in range(KILLS):
        with board(tmp_path, "--port", 0) as running:
            enough = threading.Semaphore(0)
            senders = [_Spans(running, enough, 1 + (kill * 3 + number) * 100_000) for number in range(3)]
            _kill_under_load(running, enough, senders)
            for sender in senders:
                calls += sender.calls
                whole += sender.whole
    with board(tmp_path, "--port", 0) as running:
        assert running.end() == 0  # at a clean end, nothing waits any more
    store = SqliteStore(tmp_path / "data" / "board.db")
    try:
        rows = rows_of(store, "SELECT model, agent_id FROM events WHERE kind = 'llm_call'")
        assert rows_of(store, "SELECT 1 FROM waiting_spans") == []
    finally:
        store.close()
    told = {str(row["model"]): row["agent_id"] for row in rows}
    assert len(told) == len(rows)
    assert set(calls) <= set(told)
    assert {told[model] for model in whole} == {"ada"}
