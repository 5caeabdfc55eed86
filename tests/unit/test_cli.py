"""The command line as a whole: what is there, how it answers, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hiveloop
from tests.unit.command_line import clean_environment, cli


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version_is_the_version_of_the_package(tmp_path: Path, arguments: list[str]) -> None:
    done = cli(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"hiveloop {hiveloop.__version__} (Python 3.")


def test_without_a_command_it_lists_the_commands_and_counts_as_wrong_usage(tmp_path: Path) -> None:
    done = cli(tmp_path)
    assert done.returncode == 2
    for command in ("demo", "doctor", "version"):
        assert f"\n    {command} " in done.stdout


def test_an_unknown_command_names_the_known_ones(tmp_path: Path) -> None:
    done = cli(tmp_path, "docter")
    assert done.returncode == 2
    assert "docter" in done.stderr
    assert "doctor" in done.stderr


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "demo",
            ["--path", "--endpoint", "--api-key", "--otlp", "--seconds", "--rounds", "--fast", "--no-color"],
        ),
        ("doctor", ["--endpoint", "--api-key", "--otlp", "--timeout", "--json"]),
    ],
)
def test_help_explains_options_and_exit_codes(tmp_path: Path, command: str, options: list[str]) -> None:
    done = cli(tmp_path, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Exit codes" in done.stdout
    for option in options:
        assert option in done.stdout


def test_importing_the_package_does_not_load_the_command_line(tmp_path: Path) -> None:
    program = "import sys, hiveloop; hiveloop.init; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hiveloop._client" in done.stdout
    for name in ("argparse", "hiveloop.cli", "hiveloop.demo"):
        assert f"'{name}'" not in done.stdout


def test_a_reader_that_leaves_early_causes_no_traceback(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hiveloop", "demo", "--fast"],
        cwd=tmp_path,
        env=clean_environment(tmp_path, TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
        process.wait(30)
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_a_terminal_without_unicode_can_show_everything(tmp_path: Path) -> None:
    folder = tmp_path / "dokümente"
    folder.mkdir()
    (folder / "naïve.md").write_text(
        "# Ünïcode\n\nEin Satz mit Umläuten: größer als ASCII.\n", encoding="utf-8"
    )
    done = cli(
        tmp_path, "demo", "--fast", "--path", folder, "--output", tmp_path / "out", PYTHONIOENCODING="ascii"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "Summary" in done.stdout
