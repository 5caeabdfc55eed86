"""The benchmark of the board works, on few events. What a loaded machine reaches is no matter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

_ROOT = Path(__file__).resolve().parents[2]


def test_the_board_is_measured(tmp_path: Path) -> None:
    options = [
        "--stored",
        "4000",
        "--seconds",
        "2",
        "--rate",
        "400",
        "--rounds",
        "1",
        "--folder",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "tests.bench.board", *options]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert "4,000 events stored" in done.stderr
    for measured in (
        "start, with",
        "POST of 100",
        "memory of the board after",
        "/v1/cost?range=30d",
        "/v1/search",
    ):
        assert measured in done.stdout, done.stdout + done.stderr
    assert "limits" in done.stdout or "missed: " in done.stdout
