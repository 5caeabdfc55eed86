"""The suite itself works, and the package is in the right order of magnitude. No peer, no ratios."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.bench

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The table of one quick run, by measure."""
    file = tmp_path_factory.mktemp("bench") / "quick.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {row["measure"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}


# Ten times what a quiet machine shows, so that only a change of kind fails and not a busy neighbour.
@pytest.mark.parametrize(
    ("measure", "most"),
    [
        ("caller's thread, CPU us/run", 200),
        ("one llm_call while sending, p50 us", 20),
        ("process CPU us/delivered run", 2000),
        ("memory, B/queued event", 1000),
        ("memory at 5x the events / at 1x", 2),
        ("import, ms", 300),
        ("1000 agents, threads of the library", 3),
        ("1000 agents, MiB", 20),
        ("1000 agents, registration ms", 600),
    ],
)
def test_cost_is_of_the_right_order(rows: dict[str, dict[str, Any]], measure: str, most: float) -> None:
    assert rows[measure]["ours"] <= most


@pytest.mark.parametrize(
    "measure",
    [
        "runs lost",
        "import, of requests asyncio ssl http",
        "burst of max_queue_size: events lost",
        "5x that: events unaccounted for",
    ],
)
def test_exact_figures_are_exact(rows: dict[str, dict[str, Any]], measure: str) -> None:
    assert rows[measure]["ours"] == 0


def test_delivers_thousands_of_events_a_second(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["delivered events/s"]["ours"] > 5000


@pytest.fixture(scope="module")
def otel_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The table of one quick run against the OpenTelemetry SDK, by measure."""
    file = tmp_path_factory.mktemp("bench") / "otel.json"
    command = [sys.executable, "-m", "tests.bench.otel", "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {row["measure"]: row for row in json.loads(file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(
    ("measure", "most"),
    [
        ("caller's thread, scope enter + exit, CPU us", 60),
        ("caller's thread, llm_call or child span, CPU us", 20),
        ("process CPU us/delivered run", 3500),
    ],
)
def test_cost_of_opentelemetry_is_of_the_right_order(
    otel_rows: dict[str, dict[str, Any]], measure: str, most: float
) -> None:
    assert otel_rows[measure]["ours"] <= most


@pytest.mark.parametrize("measure", ["spans lost, ample queue", "spans lost, queue as shipped"])
def test_opentelemetry_loses_nothing(otel_rows: dict[str, dict[str, Any]], measure: str) -> None:
    assert otel_rows[measure]["ours"] == 0


@pytest.fixture(scope="module")
def page_figures() -> dict[str, float]:
    """What one short look at the board's pages in a browser showed."""
    command = [sys.executable, "-m", "tests.bench.board_pages", "--seconds", "2"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    lines = (line.rpartition("   budget")[0] or line for line in done.stdout.splitlines())
    return {name.strip(): float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize(
    ("measure", "most"),
    [
        ("weight, kB", 300),
        ("first data, ms", 3_000),
        ("event to pixel, ms p95", 1_000),
        ("stream, frame ms p95", 170),
        ("waterfall scrolled, frame ms p95", 170),
    ],
)
def test_the_boards_pages_are_of_the_right_order(
    page_figures: dict[str, float], measure: str, most: float
) -> None:
    assert page_figures[measure] <= most
