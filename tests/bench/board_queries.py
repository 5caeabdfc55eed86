"""How fast the board answers with many events stored: the queries behind its pages, one reader, no HTTP.

    python -m tests.bench.board_queries [--stored 1000000] [--rounds 40] [--database FILE]

A database given is kept, and filled only when it is not there. Exits with 1 when one of the six main queries
takes longer than 50 ms in one of twenty cases.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hiveloop.board.queries import (
    Params,
    agents,
    cost,
    events,
    insights,
    metrics,
    pipeline,
    search,
    tasks,
    timeline,
)
from hiveloop.board.store.protocol import Reader
from hiveloop.board.store.sqlite import SqliteStore

from .board_store import fill, fleet

__all__ = ["main"]

BUDGET_MS = 50.0
WEEK_US = 7 * 86_400 * 1_000_000
_TASK = "agent-07-task-100"
Ask = Callable[[Reader, Params], Any]
MAIN: dict[str, tuple[Ask, dict[str, str]]] = {
    "agents": (lambda db, p: agents.agents(db, "live", p), {}),
    "tasks": (lambda db, p: tasks.tasks(db, "live", p), {}),
    "timeline": (lambda db, p: timeline.timeline(db, "live", _TASK, p), {}),
    "events": (lambda db, p: events.events(db, "live", p), {}),
    "cost 24h": (lambda db, p: cost.cost(db, "live", p), {"range": "24h"}),
    "cost 7d": (lambda db, p: cost.cost(db, "live", p), {"range": "7d"}),
    "metrics 24h": (lambda db, p: metrics.metrics(db, "live", p), {"range": "24h"}),
    "metrics 7d": (lambda db, p: metrics.metrics(db, "live", p), {"range": "7d"}),
}
OTHERS: dict[str, tuple[Ask, dict[str, str]]] = {
    "tasks by duration": (MAIN["tasks"][0], {"sort": "duration"}),
    "tasks by cost": (MAIN["tasks"][0], {"sort": "cost"}),
    "tasks of an agent": (MAIN["tasks"][0], {"agent_id": "agent-07"}),
    "tasks failed": (MAIN["tasks"][0], {"status": "failed"}),
    "tasks of a type": (MAIN["tasks"][0], {"task_type": "lead", "project_id": "sales"}),
    "tasks with words": (MAIN["tasks"][0], {"q": "task-77"}),
    "events of an agent": (MAIN["events"][0], {"agent_id": "agent-07"}),
    "events of a kind": (MAIN["events"][0], {"payload_kind": "llm_call"}),
    "events of two kinds": (MAIN["events"][0], {"payload_kind": "llm_call,todo"}),
    "events, tasks only": (MAIN["events"][0], {"event_type": "task_started,task_completed,task_failed"}),
    "events, errors only": (MAIN["events"][0], {"severity": "error"}),
    "events, polled": (MAIN["events"][0], {"after_seq": "999000", "limit": "200"}),
    "metrics 1h": (MAIN["metrics 7d"][0], {"range": "1h"}),
    "metrics 30d by agent": (MAIN["metrics 7d"][0], {"range": "30d", "group_by": "agent"}),
    "cost 1h": (MAIN["cost 7d"][0], {"range": "1h"}),
    "cost over time": (lambda db, p: cost.timeseries(db, "live", p), {"range": "7d"}),
    "calls": (lambda db, p: cost.llm_calls(db, "live", p), {"range": "7d"}),
    "calls of a model": (lambda db, p: cost.llm_calls(db, "live", p), {"range": "7d", "model": "gpt-4o"}),
    "pipeline": (lambda db, p: pipeline.pipeline(db, "live", p), {}),
    "insights 24h": (lambda db, p: insights.insights(db, "live", p), {"range": "24h"}),
    "insights 7d": (lambda db, p: insights.insights(db, "live", p), {"range": "7d"}),
    "search": (lambda db, p: search.search(db, "live", p), {"q": "task-77 cost>0.001"}),
}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--database", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.database or Path(folder) / "board.db"
        filled = path.exists()
        store = SqliteStore(path)
        if not filled:
            step = WEEK_US // asked.stored
            fill(store, fleet(start_us=time.time_ns() // 1_000 - WEEK_US, step_us=step), asked.stored, 500)
        slow = [name for name, p95 in _measured(store, MAIN, asked.rounds).items() if p95 > BUDGET_MS]
        _measured(store, OTHERS, max(3, asked.rounds // 4))
        store.close()
    if slow:
        print(f"over {BUDGET_MS:g} ms: {', '.join(slow)}")
    return 1 if slow else 0


def _measured(
    store: SqliteStore, queries: dict[str, tuple[Ask, dict[str, str]]], rounds: int
) -> dict[str, float]:
    """Time each query to JSON, print it, and return its 95th percentile in milliseconds."""
    found: dict[str, float] = {}
    with store.reader() as reader:
        newest = reader.rows("SELECT MAX(ts_us) AS ts FROM events WHERE world = 'live'")[0]["ts"]
    assert isinstance(newest, int)
    for name, (ask, given) in queries.items():
        samples: list[float] = []
        for _ in range(rounds):
            begin = time.perf_counter()
            with store.reader() as reader:
                size = len(msgspec.json.encode(ask(reader, Params(given, newest + 1))))
            samples.append((time.perf_counter() - begin) * 1_000)
        samples.sort()
        found[name] = samples[min(len(samples) - 1, round(len(samples) * 0.95))]
        middle = statistics.median(samples)
        print(
            f"{name:22} p50 {middle:7.1f} ms   p95 {found[name]:7.1f} ms   {size / 1_000:7.1f} kB", flush=True
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
