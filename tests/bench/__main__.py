"""``python -m tests.bench``: measure, print the table, and optionally write every sample as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .harness import PLANS, BenchError, Samples, Session
from .make_peers import DEFAULT_FOLDER, python_of
from .report import render, summarise

_DISTRIBUTIONS = {"ours": "hiveloop", "hiveloop_020": "hiveloop", "otel_http": "opentelemetry-sdk"}
_OWN_TARGETS: tuple[str, ...] = ("ours", "ours_bare", "ours_masked", "floor")
_VERSION_CODE = """
import importlib.metadata, importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1].split("-")[0])
print(importlib.metadata.version(sys.argv[1]), "from", list(spec.submodule_search_locations)[0])
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; the exit status is 0 when everything was measured, whatever the verdicts."""
    options = _parse(arguments)
    interpreters = _interpreters(options)
    machine = _describe(interpreters)
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    started = time.monotonic()
    try:
        names = [name for name, plan in PLANS.items() if not options.only or plan.group in options.only]
        results = Session(interpreters, rounds=options.rounds, quick=options.quick).measure(names)
    except BenchError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    lines = summarise(results)
    print(f"\n{render(lines)}\n\n{time.monotonic() - started:.0f} s; medians over rounds of fresh processes,")
    print("ratio = median of ours / the peer of the same round")
    if options.json:
        _write(options.json, machine, lines, results)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter with this checkout installed")
    parser.add_argument(
        "--peer-python", help="interpreter with hiveloop 0.2.0 (default: made by make_peers.py)"
    )
    parser.add_argument("--otel-python", help="interpreter with the OpenTelemetry SDK (default: the same)")
    groups = sorted({plan.group for plan in PLANS.values()})
    parser.add_argument("--only", action="append", choices=groups, help="measure only this; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each measure (default: 2 to 9, by its noise)")
    parser.add_argument(
        "--quick", action="store_true", help="one small round, with the peers only if they are named"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and samples here")
    return parser.parse_args(arguments)


def _interpreters(options: argparse.Namespace) -> dict[str, str]:
    """Return the interpreter of each target; of the peers those that were named or made."""
    interpreters: dict[str, str] = dict.fromkeys(_OWN_TARGETS, options.python)
    named = {"hiveloop_020": options.peer_python, "otel_http": options.otel_python}
    for target, python in named.items():
        if python is not None:
            interpreters[target] = python
        elif not options.quick and (made := python_of(DEFAULT_FOLDER, target)).exists():
            interpreters[target] = str(made)
    return interpreters


def _describe(interpreters: dict[str, str]) -> dict[str, str]:
    """Say what is measured and where: a table without that is worth nothing."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    machine = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": load,
    }
    for target, distribution in _DISTRIBUTIONS.items():
        machine[target] = _version(interpreters.get(target), distribution)
    return machine


def _version(python: str | None, distribution: str) -> str:
    if python is None:
        return "left out: no interpreter"
    command = [python, "-P", "-c", _VERSION_CODE, distribution]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or f"{distribution} is not installed for {python}"


def _write(
    path: Path, machine: dict[str, str], rows: list[dict[str, Any]], samples: dict[str, Samples]
) -> None:
    document = {"machine": machine, "rows": rows, "samples": samples}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
