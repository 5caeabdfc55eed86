"""``hiveloop demo --board``: the board and the fleet together."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.command_line import cli


def test_the_fleet_reports_to_its_board_and_both_end(tmp_path: Path) -> None:
    real = {
        "HIVELOOP_BOARD_DATABASE": "postgresql://nobody@127.0.0.1:9/real",
        "HIVELOOP_BOARD_PUBLIC_URL": "https://board.example.com",
    }  # what the user has set for another board is not the demo's
    done = cli(tmp_path, "demo", "--board", "--fast", "--rounds", 1, "--output", tmp_path / "out", **real)
    assert done.returncode == 0, done.stderr
    assert "HiveBoard at http://127.0.0.1:" in done.stdout
    told = re.search(r"to the server\s+(\d+) of (\d+) events delivered, 0 dropped", done.stdout)
    assert told is not None
    assert told[1] == told[2]
    assert int(told[1]) > 100
    assert "The board has stopped." in done.stdout


def test_wrong_usage_of_the_fleet_is_the_exit_code(tmp_path: Path) -> None:
    done = cli(tmp_path, "demo", "--board", "--path", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


def test_without_a_terminal_there_is_no_board_unless_asked_for(tmp_path: Path) -> None:
    done = cli(tmp_path, "demo", "--fast", "--rounds", 1, "--output", tmp_path / "out")
    assert done.returncode == 0
    assert "HiveBoard at http" not in done.stdout
