"""The measurements, each run alone in a fresh process: MEASURE TARGET ENDPOINT OPTIONS-AS-JSON.

The last line of standard output is the sample, a JSON object. Runs in the interpreters of the peers.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .targets import EVENTS_PER_RUN, Ours, Target, create

Sample = dict[str, float]
Options = dict[str, int]

# Deep enough that no target loses anything while a measure expects none to be lost.
AMPLE_QUEUE = 200_000
_SMAPS = Path("/proc/self/smaps_rollup")


def measure_caller(target: Target, endpoint: str, options: Options) -> Sample:
    """CPU and wall time that agent runs cost the thread that makes them."""
    target.start(endpoint, queue_size=AMPLE_QUEUE, flush_interval=5.0)
    _run(target, options["warm"])
    target.settle()
    runs = options["runs"]
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    _run(target, runs)
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    target.drain()
    return {"cpu_us": cpu / runs / 1000, "wall_us": wall / runs / 1000, "runs": options["warm"] + runs}


def measure_llm_call(target: Target, endpoint: str, options: Options) -> Sample:
    """One llm_call between pieces of CPU-bound work, while the target sends in the background."""
    target.start(endpoint, queue_size=AMPLE_QUEUE, flush_interval=0.5)
    target.open_task()
    turns = _calibrate(0.2)
    _timed_calls(target, turns, options["warm"])
    target.settle()  # the first request imports and connects; that is not what is measured here
    calls, steps = _timed_calls(target, turns, options["calls"])
    sample = {f"call_{name}": value for name, value in _percentiles(calls).items()}
    return sample | {f"step_{name}": value for name, value in _percentiles(steps).items()}


def measure_delivery(target: Target, endpoint: str, options: Options) -> Sample:
    """Emit as fast as the target allows, and wait until it has handed all over."""
    target.start(endpoint, queue_size=AMPLE_QUEUE, flush_interval=1.0)
    _run(target, options["warm"])
    target.settle()
    runs = options["runs"]
    cpu, start_ns = time.process_time_ns(), time.monotonic_ns()
    _run(target, runs)
    emit_ns = time.monotonic_ns() - start_ns
    target.drain()
    cpu = time.process_time_ns() - cpu
    return {
        "start_ns": start_ns,
        "emit_us": emit_ns / runs / 1000,
        "cpu_us": cpu / runs / 1000,
        "timed_runs": runs,
        "runs": options["warm"] + runs,
    }


def measure_memory(target: Target, endpoint: str, options: Options) -> Sample:
    """Growth of resident memory while nothing can be delivered; `times` bursts, the first one alone."""
    queue_size = AMPLE_QUEUE if options["ample"] else None
    target.start(endpoint, queue_size=queue_size, flush_interval=0.2)
    _run(target, 20)
    # Long enough for a first attempt to fail, so that what sending needs is loaded and not counted.
    threading.Event().wait(options["settle_ms"] / 1000)
    gc.collect()
    base, runs = _rss(), options["runs"]
    first = _burst_growth(target, runs, options) - base
    for _ in range(options["times"] - 1):
        _run(target, runs)
    last = _burst_growth(target, 0, options) - base
    return {"base": base, "first": first, "last": last, "per_event": first / (runs * EVENTS_PER_RUN)}


def measure_agents(target: Target, endpoint: str, options: Options) -> Sample:
    """What a thousand agents with heartbeats cost; a first agent has already sent something."""
    target.start(endpoint, queue_size=AMPLE_QUEUE, flush_interval=0.5)
    _run(target, 5)
    target.settle()
    gc.collect()
    base, start = _rss(), time.perf_counter_ns()
    for number in range(options["agents"]):
        target.add_agent(number)
    wall = time.perf_counter_ns() - start
    grown = _rss()
    threading.Event().wait(options["settle_ms"] / 1000)
    return {
        "register_ms": wall / 1e6,
        # The main thread is not the library's.
        "threads": threading.active_count() - 1,
        "rss": max(grown, _rss()) - base,
    }


def measure_accounting(target: Target, endpoint: str, options: Options) -> Sample:
    """Emit `events` in one burst into a queue of `queue_size`, and return the library's own books."""
    if not isinstance(target, Ours):
        raise SystemExit("only ours counts its drops")
    target.start(endpoint, queue_size=options["queue_size"], flush_interval=0.5)
    target.settle()
    event = target.agent.event
    for number in range(options["events"]):
        event("custom", {"kind": "bench", "data": {"number": number}})
    target.drain()
    stats = target.stats()
    return {
        "emitted": options["events"],
        "accepted": stats.accepted,
        "delivered": stats.delivered,
        "dropped": sum(stats.dropped.values()),
        "unsettled": stats.waiting + stats.in_flight,
    }


def _run(target: Target, runs: int) -> None:
    run = target.run
    for number in range(runs):
        run(number)


def _work(turns: int) -> int:
    total = 0
    for number in range(turns):
        total += number & 7
    return total


def _calibrate(milliseconds: float) -> int:
    """Turns of `_work` that take `milliseconds` when nothing disturbs them."""
    probe = 2000
    best = min(_timed(lambda: _work(probe)) for _ in range(50))
    return int(probe * milliseconds * 1e6 / best)


def _timed(function: Callable[[], object]) -> int:
    start = time.perf_counter_ns()
    function()
    return time.perf_counter_ns() - start


def _timed_calls(target: Target, turns: int, calls: int) -> tuple[list[int], list[int]]:
    call, clock = target.llm_call, time.perf_counter_ns
    call_ns: list[int] = []
    step_ns: list[int] = []
    for _ in range(calls):
        begin = clock()
        _work(turns)
        before = clock()
        call()
        after = clock()
        call_ns.append(after - before)
        step_ns.append(after - begin)
    return call_ns, step_ns


def _percentiles(values_ns: list[int]) -> Sample:
    ordered = sorted(values_ns)
    ranks = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    return {name: ordered[int(len(ordered) * rank)] / 1000 for name, rank in ranks.items()}


def _burst_growth(target: Target, runs: int, options: Options) -> int:
    """Highest resident size after a burst: at once, and when the background thread had its say."""
    _run(target, runs)
    at_once = _rss()
    threading.Event().wait(options["settle_ms"] / 1000)
    return max(at_once, _rss())


def _rss() -> int:
    """Resident bytes; exact where the kernel says so, else the peak."""
    if _SMAPS.exists():
        for line in _SMAPS.read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


_MEASURES: dict[str, Callable[[Target, str, Options], Sample]] = {
    "caller": measure_caller,
    "llm_call": measure_llm_call,
    "delivery": measure_delivery,
    "memory": measure_memory,
    "agents": measure_agents,
    "accounting": measure_accounting,
}


def main() -> None:
    """Run one measure and leave at once: a peer's exit handler may take minutes when nothing listens."""
    measure, target, endpoint, options = sys.argv[1:5]
    sample = _MEASURES[measure](create(target), endpoint, json.loads(options))
    print(json.dumps(sample), flush=True)
    os._exit(0)
