"""What the whole board reaches, over HTTP and with many events stored, against what it must.

    python -m tests.bench.board [--stored 1000000] [--seconds 60] [--rate 6000] [--rounds 40] [--folder HERE]

Fills a fresh data folder through the store (about a minute for a million events), starts ``hiveloop board``
on it, has processes report events at a rate for some time, then asks every address that reads the store, with
every range, while 1,000 events a second arrive. Exits with 1 when a limit is missed. A folder that is given
is kept, and filled only once.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from hiveloop.board.store.sqlite import SqliteStore
from tests.board.test_cli_board import Running, board

from .board_load import Load, Report, report
from .board_store import fill, fleet

__all__ = ["main"]

WEEK_US = 7 * 86_400 * 1_000_000
QUERY_MS = 50.0
POST_MS = 150.0
RSS_MB = 400.0
START_S = 2.0
RATE = 5_000.0
CLIENTS = 4
BATCH = 100
BESIDE = 1_000
"""Events a second that arrive while the board is asked."""
_LOOK_SECONDS = 0.25
_RANGES = ("1h", "6h", "24h", "7d", "30d")


class Line(NamedTuple):
    """A line of the table.

    Attributes:
        what: what was measured.
        figures: in words.
        value: what is compared with the limit.
        limit: None where nothing is required.
        at_least: whether the limit is a lower one.
    """

    what: str
    figures: str
    value: float = 0.0
    limit: float | None = None
    at_least: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the limit is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        required = "" if self.limit is None else f"{sign} {self.limit:,.0f}"
        return f"{self.what:44} {self.figures:44} {required:10} {'' if self.is_kept else 'MISSED'}".rstrip()


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=6_000, help="events a second")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        home = asked.folder or Path(folder)
        _seed(home / "data" / "board.db", asked.stored)
        with _started(home, lines) as running:
            _ingest(running, asked.rate, asked.seconds, lines)
            if asked.rounds:
                _ask(running, asked.rounds, lines)
    missed = [line.what for line in lines if not line.is_kept]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nall limits are kept")
    return 1 if missed else 0


def _told(lines: list[Line], *new: Line) -> None:
    for line in new:
        print(line, flush=True)
    lines += new


def _seed(path: Path, number: int) -> None:
    """Fill a database with a week of a fleet, unless it is there."""
    if path.exists():
        return
    store, step, begin = SqliteStore(path), 20, time.perf_counter()
    events = fleet(start_us=time.time_ns() // 1_000 - WEEK_US, step_us=WEEK_US // number)
    for done in range(step):
        fill(store, events, number // step, 500)
        print(f"\rfilling: {(done + 1) * 100 // step} %", end="", file=sys.stderr, flush=True)
    store.close()
    print(f"\r{number:,} events stored in {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def _started(home: Path, lines: list[Line]) -> Iterator[Running]:
    begin = time.perf_counter()
    with board(home, "--port", 0) as running:
        httpx.get(f"{running.endpoint}/health").raise_for_status()
        seconds = time.perf_counter() - begin
        _told(lines, Line("start, with these events stored", f"{seconds:.2f} s", seconds, START_S))
        yield running


# -- reporting ------------------------------------------------------------------------------------


def _ingest(running: Running, rate: float, seconds: float, lines: list[Line]) -> None:
    if not seconds:
        return
    with _loaded(running, rate, seconds, CLIENTS) as done, _watched(running) as seen:
        reports = done()
    waits = sorted(wait for one in reports for wait in one.waits_ms)
    events = sum(one.events for one in reports)
    reached, p99 = events / max(one.seconds for one in reports), _at(waits, 0.99)
    figures = f"p50 {_at(waits, 0.5):.0f}   p99 {p99:.0f}   max {waits[-1]:.0f} ms"
    what = f"reported for {seconds:.0f} s by {CLIENTS} processes"
    _told(
        lines,
        Line(what, f"{reached:,.0f} events/s, {events:,} in all", reached, RATE, at_least=True),
        Line(f"POST of {BATCH} events", figures, p99, POST_MS),
        Line("memory of the board", f"{seen.megabytes:.0f} MB at most", seen.megabytes, RSS_MB),
        Line("processor time of the board", f"{seen.cpu_seconds / events * 1e6:.0f} us/event"),
    )


@contextmanager
def _loaded(
    running: Running, rate: float, seconds: float, clients: int
) -> Iterator[Callable[[], list[Report]]]:
    """Have processes report; the function waits for their end and returns what they saw."""
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe(duplex=False) for _ in range(clients)]
    loads = [
        Load(running.endpoint, running.key, number, rate / clients, seconds, BATCH)
        for number in range(clients)
    ]
    workers = [
        context.Process(target=report, args=(load, mine), daemon=True)
        for load, (_, mine) in zip(loads, ends, strict=True)
    ]
    for worker in workers:
        worker.start()
    for their, _ in ends:
        assert their.recv() == "ready"
    try:
        yield lambda: [their.recv() for their, _ in ends]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


class _Seen:
    """What the board's processes have used."""

    megabytes = 0.0
    cpu_seconds = 0.0


@contextmanager
def _watched(running: Running) -> Iterator[_Seen]:
    """Look at the board's processes: the most memory so far, and at the end their processor time."""
    processes, seen, over = _processes(running), _Seen(), threading.Event()
    before = _cpu_seconds(processes)

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            seen.megabytes = max(seen.megabytes, _megabytes(processes))
            seen.cpu_seconds = _cpu_seconds(processes) - before

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    yield seen
    over.set()
    watcher.join()


def _processes(running: Running) -> list[psutil.Process]:
    """The board and the one that writes for it."""
    board = psutil.Process(running.process.pid)
    return [board, *board.children(recursive=True)]


def _megabytes(processes: list[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in processes) / 1e6


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


# -- asking ---------------------------------------------------------------------------------------


class Question(NamedTuple):
    """An address to ask; `required` ones have the limit of the main queries."""

    path: str
    given: dict[str, str]
    required: bool = False

    def __str__(self) -> str:
        return self.path + ("?" if self.given else "") + "&".join(f"{k}={v}" for k, v in self.given.items())


def questions(task: str, event: str, seq: int) -> list[Question]:
    """Return everything that pages ask, with every range."""
    agent = "/v1/agents/agent-07"
    return [
        Question("/v1/agents", {}, True),
        Question("/v1/tasks", {}, True),
        Question(f"/v1/tasks/{task}/timeline", {}, True),
        Question("/v1/events", {}, True),
        *(
            Question(path, {"range": name}, True)
            for path in ("/v1/metrics", "/v1/cost", "/v1/cost/timeseries", "/v1/insights")
            for name in _RANGES
        ),
        *(Question("/v1/metrics", {"range": name, "group_by": "agent"}) for name in _RANGES),
        *(Question("/v1/metrics", {"range": name, "group_by": "model"}) for name in _RANGES),
        *(Question("/v1/cost", {"range": name, "agent_id": "agent-07"}) for name in _RANGES),
        *(Question("/v1/cost", {"range": name, "model": "gpt-4o"}) for name in _RANGES),
        *(Question("/v1/cost", {"range": name, "name": "plan"}) for name in _RANGES),
        *(Question("/v1/cost/timeseries", {"range": name, "group_by": "project"}) for name in _RANGES),
        Question("/v1/cost/timeseries", {"range": "30d", "interval": "1h"}),
        *(Question("/v1/cost/calls", {"range": name}) for name in _RANGES),
        *(Question("/v1/llm-calls", {"range": name}) for name in _RANGES),
        *(Question("/v1/llm-calls", {"range": name, "agent_id": "agent-07"}) for name in ("24h", "7d")),
        *(Question("/v1/insights", {"range": "7d", **given}) for given in ({"agent_id": "agent-07"},)),
        *(
            Question(f"/v1/insights/{name}", {"range": "7d"})
            for name in ("agents", "models", "timeseries", "errors", "prompts", "actions")
        ),
        Question("/v1/ribbon", {}),
        Question(agent, {}),
        Question(f"{agent}/pipeline", {}),
        Question(f"{agent}/configs", {}),
        Question(f"{agent}/lifecycle", {}),
        Question("/v1/agents", {"project_id": "sales"}),
        Question("/v1/pipeline", {}),
        Question("/v1/pipeline", {"project_id": "sales"}),
        Question("/v1/projects", {}),
        Question("/v1/environments", {}),
        Question("/v1/admin/pricing", {}),
        Question("/v1/board", {}),
        *(Question("/v1/tasks", {"sort": name}) for name in ("oldest", "duration", "cost")),
        *(Question("/v1/tasks", {"status": name}) for name in ("processing", "failed", "completed")),
        Question("/v1/tasks", {"task_type": "lead", "project_id": "sales"}),
        Question("/v1/tasks", {"environment": "nowhere"}),
        Question("/v1/tasks", {"q": "task-77"}),
        Question("/v1/tasks", {"q": "nothing has this"}),
        Question("/v1/events", {"severity": "error"}),
        Question("/v1/events", {"severity": "error", "payload_kind": "llm_call"}),
        Question("/v1/events", {"agent_id": "agent-07"}),
        Question("/v1/events", {"task_id": task}),
        Question("/v1/events", {"payload_kind": "llm_call,todo"}),
        Question("/v1/events", {"event_type": "task_started,task_failed"}),
        Question("/v1/events", {"project_id": "sales"}),
        Question("/v1/events", {"project_id": "nowhere"}),
        Question("/v1/events", {"environment": "nowhere"}),
        Question("/v1/events", {"correlation_id": "nowhere"}),
        Question("/v1/events", {"after_seq": str(seq), "limit": "200"}),
        Question(f"/v1/events/{event}", {}),
        Question("/v1/search", {"q": "task-77"}),
        Question("/v1/search", {"q": "nothing has this"}),
        Question("/v1/search", {"q": "agent:agent-07 kind:llm_call cost>0.001"}),
    ]


def _ask(running: Running, rounds: int, lines: list[Line]) -> None:
    headers = {"Authorization": f"Bearer {running.key}"}
    with (
        _loaded(running, BESIDE, 3_600, 1),
        httpx.Client(base_url=running.endpoint, headers=headers, timeout=60) as client,
    ):
        seq = client.get("/v1/board").json()["last_seq"]
        newest = client.get("/v1/events", params={"event_type": "task_completed"}).json()["data"][0]
        for question in questions(newest["task_id"], newest["event_id"], seq):
            times = rounds if question.required else max(1, rounds // 3)
            _told(lines, _timed(client, question, times))
    megabytes = _megabytes(_processes(running))
    _told(lines, Line("memory of the board after that", f"{megabytes:.0f} MB", megabytes, RSS_MB))


def _timed(client: httpx.Client, question: Question, rounds: int) -> Line:
    samples: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        response = client.get(question.path, params=question.given)
        samples.append((time.perf_counter() - begin) * 1_000)
        assert response.status_code == 200, (question, response.text)
    samples.sort()
    p95 = _at(samples, 0.95)
    size = len(response.content) / 1_000
    figures = f"p50 {statistics.median(samples):6.1f}   p95 {p95:6.1f} ms   {size:6.1f} kB"
    return Line(str(question), figures, p95, QUERY_MS)


def _at(samples: list[float], share: float) -> float:
    return samples[min(len(samples) - 1, round(len(samples) * share))]


if __name__ == "__main__":
    sys.exit(main())
