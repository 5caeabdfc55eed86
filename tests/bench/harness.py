"""Runs every measure in fresh processes, the targets in turn, against one sink."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .targets import EVENTS_PER_RUN, SPANS_PER_RUN

Sample = dict[str, Any]
Samples = dict[str, list[Sample]]

_HERE = Path(__file__).resolve().parent
# `bench` and not `tests.bench`: the checkout must not be on the path of a peer, or the peer would
# import the checkout's hiveloop instead of its own.
_START = f"import sys; sys.path.append({str(_HERE.parent)!r}); from bench.worker import main; main()"
_WORKER_TIMEOUT = 180.0


class BenchError(Exception):
    """A measure could not be made."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One measure: what runs, how often and with which options.

    Attributes:
        group: the name that ``--only`` takes.
        measure: the function of the worker, or "import".
        targets: who takes part, in turn.
        rounds: at least so many rounds in a full run; tails are noisy and want more.
        options: of a full run; `quick` replaces some of them.
        refused: send to a port where nothing listens.
    """

    group: str
    measure: str
    targets: tuple[str, ...]
    rounds: int = 3
    options: dict[str, int] = field(default_factory=dict[str, int])
    quick: dict[str, int] = field(default_factory=dict[str, int])
    refused: bool = False


_ALL = ("hiveloop_020", "otel_http", "ours")
_OWN = ("ours_bare", "ours_masked")
_CALLER = {"warm": 200, "runs": 1500}
_DELIVERY = {"warm": 20, "runs": 2000}
_MEMORY = {"runs": 770, "settle_ms": 1500}

PLANS = {
    "import": Plan(group="import", measure="import", targets=_ALL, rounds=7),
    "caller": Plan(
        group="caller",
        measure="caller",
        targets=("floor", *_ALL),
        rounds=5,
        options=_CALLER,
        quick={"runs": 600},
    ),
    "llm_call": Plan(
        group="llm_call",
        measure="llm_call",
        targets=("floor", *_ALL),
        rounds=9,
        options={"warm": 300, "calls": 5000},
        quick={"calls": 2000},
    ),
    "delivery": Plan(
        group="delivery", measure="delivery", targets=_ALL, rounds=5, options=_DELIVERY, quick={"runs": 600}
    ),
    "memory": Plan(
        group="memory",
        measure="memory",
        targets=_ALL,
        rounds=2,
        options={**_MEMORY, "times": 1, "ample": 1},
        refused=True,
    ),
    "memory_flat": Plan(
        group="memory",
        measure="memory",
        targets=("hiveloop_020", "ours"),
        rounds=2,
        options={**_MEMORY, "times": 5, "ample": 0},
        refused=True,
    ),
    "agents": Plan(
        group="agents",
        measure="agents",
        targets=("hiveloop_020", "ours"),
        options={"agents": 1000, "settle_ms": 2000},
    ),
    "mask_caller": Plan(
        group="mask", measure="caller", targets=_OWN, rounds=5, options=_CALLER, quick={"runs": 600}
    ),
    "mask_delivery": Plan(
        group="mask", measure="delivery", targets=_OWN, rounds=5, options=_DELIVERY, quick={"runs": 600}
    ),
    "burst_within": Plan(
        group="accounting",
        measure="accounting",
        targets=("ours",),
        options={"queue_size": 10_000, "events": 10_000},
    ),
    "burst_beyond": Plan(
        group="accounting",
        measure="accounting",
        targets=("ours",),
        options={"queue_size": 10_000, "events": 50_000},
    ),
}


class SinkProcess:
    """The sink in a process of its own, ordered about by lines on its standard input."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_HERE / "sink.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.endpoint = f"http://127.0.0.1:{self._line()}"

    def ask(self, command: str) -> Sample:
        """Send "reset" or "report" and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: Sample = json.loads(self._line())
        return answer

    def close(self) -> None:
        """End the process by ending its standard input."""
        self._process.communicate(timeout=10)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise BenchError(f"the sink ended with status {self._process.wait(10)}")
        return line


class Session:
    """One run of the suite: the interpreters, the sink, and what they gave.

    Args:
        interpreters: Python executable by target name; a target without one is left out.
        rounds: rounds of each measure, or None for the plan's own number.
        quick: one round of the smaller options.
    """

    def __init__(
        self, interpreters: dict[str, str], *, rounds: int | None = None, quick: bool = False
    ) -> None:
        self._interpreters = interpreters
        self._rounds = rounds
        self._quick = quick

    def measure(self, names: list[str]) -> dict[str, Samples]:
        """Run the named plans one after the other.

        Raises:
            BenchError: a worker failed; the message has the end of what it printed.
        """
        with _sink() as sink, _refusing_endpoint() as refused:
            return {name: self._rounds_of(name, sink, refused) for name in names}

    def _rounds_of(self, name: str, sink: SinkProcess, refused: str) -> Samples:
        plan = PLANS[name]
        targets = [target for target in plan.targets if target in self._interpreters]
        samples: Samples = {target: [] for target in targets}
        rounds = 1 if self._quick else (self._rounds or plan.rounds)
        for number in range(rounds):
            print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            # Every other round the other way round, so that no target always follows the same one.
            for target in targets[:: -1 if number % 2 else 1]:
                samples[target].append(self._sample(plan, target, sink, refused))
        return samples

    def _sample(self, plan: Plan, target: str, sink: SinkProcess, refused: str) -> Sample:
        python = self._interpreters[target]
        if plan.measure == "import":
            return _run_worker([python, "-P", str(_HERE / "import_probe.py"), target])
        options = plan.options | (plan.quick if self._quick else {})
        sink.ask("reset")
        endpoint = refused if plan.refused else sink.endpoint
        sample = _run_worker(
            [python, "-P", "-c", _START, plan.measure, target, endpoint, json.dumps(options)]
        )
        return sample if plan.refused else _with_arrivals(sample, target, sink.ask("report"))


def _with_arrivals(sample: Sample, target: str, report: Sample) -> Sample:
    """Add what the sink saw: the rate up to the last arrival, what is missing, bytes and requests."""
    labels: dict[str, int] = report["by_label"]
    sample |= {"arrived": labels.get("bench", 0), "repeated": report["repeated"]}
    if "runs" in sample:
        arrived_runs = (
            report["spans"] / SPANS_PER_RUN
            if target == "otel_http"
            else labels.get("run", 0) / EVENTS_PER_RUN
        )
        sample["lost_runs"] = sample["runs"] - arrived_runs
        sample["bytes_per_run"] = report["bytes"] / sample["runs"]
        sample["requests_per_1000_runs"] = report["requests"] * 1000 / sample["runs"]
    if "start_ns" in sample:
        seconds = (report["last_ns"] - sample["start_ns"]) / 1e9
        sample["events_per_second"] = sample["timed_runs"] * EVENTS_PER_RUN / seconds
    return sample


def _run_worker(command: list[str]) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=_WORKER_TIMEOUT,
            check=False,
        )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    sample: Sample = json.loads(done.stdout.splitlines()[-1])
    return sample


def _environment(home: str) -> dict[str, str]:
    """Almost nothing: proxies, HIVELOOP_*, OTEL_* and PYTHON* variables would change what is measured."""
    return {"HOME": home, "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}


@contextmanager
def _sink() -> Generator[SinkProcess, None, None]:
    sink = SinkProcess()
    try:
        yield sink
    finally:
        sink.close()


@contextmanager
def _refusing_endpoint() -> Generator[str, None, None]:
    """A port that is taken, so that nobody else gets it, but where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
