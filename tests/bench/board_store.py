"""How fast the board's store takes events: empty, and with many stored.

    python -m tests.bench.board_store [--stored 1000000] [--batch 500] [--database postgresql://...]

Prints events per second from `append` to the durable commit, with four appends on their way, the size on
disk and the memory of the process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil

from hiveloop.board.model import NewEvent, Profile
from hiveloop.board.store.postgres import PostgresStore
from hiveloop.board.store.protocol import Appended, Store
from hiveloop.board.store.sqlite import SqliteStore

__all__ = ["fill", "fleet"]

AGENTS = 20
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro")
TOOLS = ("search", "fetch", "write", "crm.update", "mail.send", "summarise")
IN_FLIGHT = 4
_PROFILE = Profile("1.4.0", "custom", "python-3.12.1", "hiveloop-1.0.0")


def fleet(seed: int = 1, start_us: int | None = None, step_us: int = 500_000) -> Iterator[NewEvent]:
    """Yield the events of agents that work on tasks side by side, for ever."""
    rng = random.Random(seed)
    clock = itertools.count(start_us or time.time_ns() // 1000 - 7 * 86_400_000_000, step_us)
    works = [_work(rng, clock, f"agent-{number:02d}", f"{seed:04x}") for number in range(AGENTS)]
    while True:
        yield next(rng.choice(works))


def _work(rng: random.Random, clock: Iterator[int], agent: str, seed: str) -> Iterator[NewEvent]:
    def event(event_type: str, payload: dict[str, object], **fields: object) -> NewEvent:
        ts = next(clock)
        return NewEvent(
            event_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            ts_us=ts,
            received_us=ts + 900_000,
            agent_id=agent,
            agent_type="worker",
            event_type=event_type,
            payload=json.dumps(payload),
            profile=_PROFILE,
            **fields,  # type: ignore[arg-type]
        )

    for number in itertools.count():
        task = {
            "task_id": f"{agent}-task-{number}",
            "run_id": f"{seed}-{agent}-run-{number}",
            "project": ("sales", "support", "")[number % 3],
            "task_type": ("lead", "ticket")[number % 2],
        }
        beat = {
            "last_progress_at": "2026-01-01T00:00:00.000Z",
            "idle_seconds": 0,
            "open_task": task["task_id"],
        }
        yield event("heartbeat", {"hiveloop": beat}, severity="debug")
        yield event("task_started", {"summary": f"Task {task['task_id']} started"}, **task)
        for step in range(rng.randint(1, 4)):
            action = {**task, "action_id": f"{agent}-{number}-{step}"}
            name = {"action_name": rng.choice(TOOLS), "function": "agent.tools.call"}
            yield event("action_started", name, **action)
            yield event("custom", _call(rng, step), kind="llm_call", **action)
            yield event(
                "action_completed",
                {**name, "args": {"query": "x" * 200}, "result": "y" * 200},
                status="success",
                duration_ms=rng.randint(5, 4000),
                **action,
            )
        yield event(
            "task_completed",
            {"summary": "done"},
            status="success",
            duration_ms=rng.randint(50, 20000),
            **task,
        )


def _call(rng: random.Random, step: int) -> dict[str, object]:
    data = {
        "name": ("plan", "reason", "answer")[step % 3],
        "model": rng.choice(MODELS),
        "tokens_in": rng.randint(100, 8000),
        "tokens_out": rng.randint(10, 900),
        "duration_ms": rng.randint(200, 6000),
        "prompt_preview": "p" * 150,
        "response_preview": "r" * 150,
        "metadata": {"turn_number": step, "stop_reason": "end_turn", "cache_read_input_tokens": 50},
    }
    return {"kind": "llm_call", "summary": "reason → model", "data": data, "tags": ["llm"]}


def fill(store: Store, events: Iterator[NewEvent], number: int, batch: int) -> tuple[float, float]:
    """Store so many events; return the seconds it took and the longest wait for one append."""
    waiting: deque[tuple[float, Future[Appended]]] = deque()
    slowest, begin = 0.0, time.perf_counter()
    for _ in range(number // batch):
        chunk = list(itertools.islice(events, batch))
        waiting.append((time.perf_counter(), store.append("live", chunk)))
        if len(waiting) >= IN_FLIGHT:
            slowest = max(slowest, _done(waiting))
    while waiting:
        slowest = max(slowest, _done(waiting))
    return time.perf_counter() - begin, slowest


def _done(waiting: deque[tuple[float, Future[Appended]]]) -> float:
    sent, future = waiting.popleft()
    future.result()
    return time.perf_counter() - sent


def _report(what: str, number: int, seconds: float, slowest: float) -> None:
    memory = psutil.Process().memory_info().rss / 1e6
    rate = number / seconds
    print(f"{what:28} {rate:9,.0f} events/s   slowest append {slowest * 1000:6.0f} ms   RSS {memory:5.0f} MB")
    sys.stdout.flush()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--folder", default=None, help="where the SQLite file is made")
    parser.add_argument("--database", default=None, help="an empty PostgreSQL database instead")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        store: Store = (
            PostgresStore(asked.database) if asked.database else SqliteStore(Path(folder) / "board.db")
        )
        events, sample = fleet(), 50_000
        made = list(itertools.islice(events, sample))
        _report("empty", sample, *fill(store, iter(made), sample, asked.batch))
        between = max(0, asked.stored - sample)
        if between:
            _report(f"to {asked.stored:,} (with making)", between, *fill(store, events, between, asked.batch))
        made = list(itertools.islice(events, sample))
        _report(f"at {asked.stored:,}", sample, *fill(store, iter(made), sample, asked.batch))
        begin = time.perf_counter()
        number = store.rebuild().result()
        print(
            f"rebuild of {number:,}: {time.perf_counter() - begin:.1f} s; {store.size_bytes() / 1e6:,.0f} MB"
        )
        begin = time.perf_counter()
        pruned = store.prune(time.time_ns() // 1000 + 24 * 86_400_000_000).result()
        print(f"retention removed {pruned.events:,} events in {time.perf_counter() - begin:.1f} s")
        store.close()


if __name__ == "__main__":
    main()
