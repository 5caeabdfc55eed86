"""``python -m tests.bench.otel``: `OTelTransport` against the OpenTelemetry SDK, in one run.

Both sides run in fresh processes of this interpreter, in turns, and send OTLP over HTTP to the same sink
on loopback. One run is the agent run of `targets`: 6 spans for both. The ratio of a measure is the median
of ours to the SDK's of the same round; below 1 we are cheaper.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .harness import SinkProcess
from .targets import ACTIONS, MODEL, HiveLoop, OpenTelemetry, Ours, Target

Sample = dict[str, float]
SIDES = ("ours", "sdk")
AMPLE_QUEUE = 400_000
STOCK_QUEUE = 2048
"""The SDK's own default."""
BURST = 5_000
_AMONG = 40
"""Calls between two looks at the clock; the workers are idle while they are made."""


class OursOtel(Ours):
    """hiveloop with `OTelTransport`."""

    def start(self, endpoint: str, *, queue_size: int | None, flush_interval: float) -> None:
        import hiveloop
        from hiveloop_otel import OTelTransport

        self._lib: Any = hiveloop
        self._hb = hiveloop.init(
            transport=OTelTransport(endpoint=endpoint),
            flush_interval=flush_interval,
            max_queue_size=queue_size,
        )
        self.agent = self._hb.agent("bench-agent", heartbeat_interval=0)

    def scopes(self, count: int) -> None:
        track = self.agent.track_context
        for _ in range(count):
            with track("step"):
                pass

    def calls(self, count: int) -> None:
        for _ in range(count):
            self._lib.llm_call("reason", MODEL, tokens_in=1200, tokens_out=350, cost=0.008)

    def in_task(self) -> Any:
        return self.agent.task("bench-task")


class SdkOtel(OpenTelemetry):
    """The SDK with its batch processor, as its documents show it."""

    def scopes(self, count: int) -> None:
        start = self._tracer.start_as_current_span
        for _ in range(count):
            with start("step"):
                pass

    def calls(self, count: int) -> None:
        for _ in range(count):
            self._chat("reason", 1200, 350, 0.008)

    def in_task(self) -> Any:
        return self._tracer.start_as_current_span("invoke_agent bench-agent")


def _target(side: str) -> Any:
    return OursOtel() if side == "ours" else SdkOtel()


# -- in the worker's process ------------------------------------------------------------------


def measure_caller(target: Any, endpoint: str, quick: bool) -> Sample:
    """CPU of the caller's thread for entering and leaving a scope, and for a call of a model, in us."""
    target.start(endpoint, queue_size=AMPLE_QUEUE, flush_interval=3600.0)
    with target.in_task():
        return {
            "scope_us": _cpu_us(target, target.scopes, quick),
            "llm_us": _cpu_us(target, target.calls, quick),
        }


def _cpu_us(target: Any, call: Callable[[int], None], quick: bool) -> float:
    samples: list[float] = []
    for _ in range(20 if quick else 200):
        target.settle()
        before = time.thread_time_ns()
        call(_AMONG)
        samples.append((time.thread_time_ns() - before) / _AMONG / 1000)
    return statistics.median(samples[1:])


def measure_delivery(target: Target, endpoint: str, quick: bool) -> Sample:
    """Emit as fast as the target allows, and wait until it has handed all over."""
    target.start(endpoint, queue_size=AMPLE_QUEUE, flush_interval=1.0)
    for number in range(100):
        target.run(number)
    target.settle()
    runs = 300 if quick else 3_000
    cpu, start_ns = time.process_time_ns(), time.monotonic_ns()
    for number in range(runs):
        target.run(number)
    target.drain()
    return {
        "spans": (runs + 100) * SPANS_PER_RUN,
        "start_ns": start_ns,
        "cpu_us": (time.process_time_ns() - cpu) / runs / 1000,
    }


def measure_burst(target: Any, endpoint: str, quick: bool) -> Sample:
    """5 000 calls of a model at once in one task, through queues as they are shipped: who loses what?"""
    target.start(endpoint, queue_size=_shipped(target), flush_interval=1.0)
    start_ns = time.monotonic_ns()
    with target.in_task():
        target.calls(BURST)
    target.drain()
    return {"spans": BURST + 1, "start_ns": start_ns}


def _shipped(target: Target) -> int:
    return 10_000 if isinstance(target, HiveLoop) else STOCK_QUEUE


MEASURES = {"caller": measure_caller, "delivery": measure_delivery, "burst": measure_burst}


def _work(side: str, measure: str, endpoint: str, quick: bool) -> None:
    sample = MEASURES[measure](_target(side), endpoint, quick)
    print(json.dumps(sample), flush=True)
    os._exit(0)  # neither side's way of ending is measured here


# -- in the parent ----------------------------------------------------------------------------


def _sample(side: str, measure: str, sink: SinkProcess, quick: bool) -> Sample:
    sink.ask("reset")
    command = [sys.executable, "-m", "tests.bench.otel", "--work", side, measure, sink.endpoint]
    environment = {"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}  # the same work: only we compress by default
    done = subprocess.run(
        [*command, "--quick"] if quick else command,
        env={**environment, **os.environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{side} {measure}: {done.stderr[-2000:]}")
    sample: Sample = json.loads(done.stdout.splitlines()[-1])
    if "start_ns" in sample:
        report = sink.ask("report")
        sample["lost"] = max(0.0, sample["spans"] - report["spans"])
        seconds = (report["last_ns"] - sample["start_ns"]) / 1e9
        sample["spans_per_s"] = (report["spans"] - 100 * SPANS_PER_RUN) / seconds
    return sample


SPANS_PER_RUN = 1 + len(ACTIONS) + 2
ROWS = (
    ("caller", "scope_us", "caller's thread, scope enter + exit, CPU us"),
    ("caller", "llm_us", "caller's thread, llm_call or child span, CPU us"),
    ("delivery", "spans_per_s", "delivered spans/s"),
    ("delivery", "cpu_us", "process CPU us/delivered run"),
    ("delivery", "lost", "spans lost, ample queue"),
    ("burst", "lost", "spans lost, queue as shipped"),
)


def measure_all(rounds: int, quick: bool) -> dict[str, dict[str, list[Sample]]]:
    """Measure everything, the sides in turns."""
    samples: dict[str, dict[str, list[Sample]]] = {m: {s: [] for s in SIDES} for m in MEASURES}
    sink = SinkProcess()
    try:
        for _ in range(rounds):
            for measure, sides in samples.items():
                for side in SIDES:
                    sides[side].append(_sample(side, measure, sink, quick))
                print(".", end="", flush=True, file=sys.stderr)
    finally:
        sink.close()
    return samples


def table(samples: dict[str, dict[str, list[Sample]]]) -> list[dict[str, Any]]:
    """One row per figure: medians, and the median of the ratios of each round."""
    rows: list[dict[str, Any]] = []
    for measure, figure, title in ROWS:
        ours, sdk = ([sample[figure] for sample in samples[measure][side]] for side in SIDES)
        ratios = [a / b for a, b in zip(ours, sdk, strict=True) if b]
        rows.append(
            {
                "measure": title,
                "ours": statistics.median(ours),
                "sdk": statistics.median(sdk),
                "ratio": statistics.median(ratios) if ratios else None,
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the suite."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.otel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes per side and measure")
    parser.add_argument("--quick", action="store_true", help="one small round")
    parser.add_argument("--json", help="file to write the table to")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        _work(*options.work, options.quick)
    rows = table(measure_all(1 if options.quick else options.rounds, options.quick))
    print(f"\n{'measure':50} {'ours':>12} {'SDK':>12} {'ratio':>8}")
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(f"{row['measure']:50} {row['ours']:12.1f} {row['sdk']:12.1f} {ratio:>8}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
