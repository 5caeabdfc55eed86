"""What a user is told when the board cannot run as asked: what is wrong, and what helps."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.command_line import clean_environment, cli

from .test_cli_board import board, command


def said(home: Path, *arguments: object, code: int = 1, **environment: str) -> str:
    """Start a board that cannot run; return its one complaint."""
    done = cli(
        home, "board", "--no-browser", *arguments, HIVELOOP_RUNTIME_DIR=str(home / "run"), **environment
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = said(tmp_path, "--port", port)
    assert f"port {port}: Address already in use; leave --port out, or give another one" in told


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    told = said(tmp_path, "--host", "192.0.2.1", "--allow-remote")
    assert "cannot listen on 192.0.2.1" in told
    assert "give another --host" in told


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    for path in (place, place / "below"):
        told = said(tmp_path, HIVELOOP_BOARD_DATA=str(path))
        assert f"{path} cannot be used (" in told
        assert "choose another folder with --data or HIVELOOP_BOARD_DATA" in told


@pytest.mark.parametrize("name", ["board.db", "lock"])
def test_a_folder_whose_files_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "data" / name).mkdir(parents=True)  # root may read everything but this
    told = said(tmp_path, "--data", tmp_path / "data")
    assert f"{name} cannot be used (Is a directory): choose another folder" in told


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "board.db").write_text("something else entirely, and long enough " * 50)
    told = said(tmp_path, "--data", tmp_path / "data")
    assert "board.db: file is not a database" in told
    assert "move it away, or choose another folder with --data" in told


@pytest.mark.parametrize("name", ["key", "secret"])
@pytest.mark.parametrize("content", ["", "nonsense", "00" * 31])
def test_a_key_or_secret_that_is_none(tmp_path: Path, name: str, content: str) -> None:
    """As a crash or an editor may leave it; an empty secret would let anybody sign links."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(content)
    told = said(tmp_path, "--data", tmp_path / "data", "--port", 0)
    assert f"{name} holds no {name}: remove it, and the next start makes another" in told


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "words", "code"),
    [
        (f"mysql://me:{SECRET}@127.0.0.1/x", "give postgresql://USER:PASSWORD@HOST/DATABASE", 2),
        (f"postgresql://me:{SECRET} x@127.0.0.1/x", "cannot be read: give postgresql://", 1),
        (f"postgresql://me:{SECRET}@127.0.0.1/x?banana=1", "cannot be read: give postgresql://", 1),
        (f"postgresql://me:{SECRET}@127.0.0.1:9/x", "check that it runs, and its address in --database", 1),
    ],
)
def test_a_database_that_cannot_be_used(tmp_path: Path, url: str, words: str, code: int) -> None:
    for given in ({"HIVELOOP_BOARD_DATABASE": url}, {}):
        told = said(tmp_path, *(() if given else ("--database", url)), code=code, **given)
        assert words in told
        assert SECRET not in told


def test_postgresql_without_its_extra(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError('no psycopg', name='psycopg')")
    path = str(tmp_path) + os.pathsep + os.getcwd()
    told = said(tmp_path, "--database", "postgresql://127.0.0.1/x", PYTHONPATH=path)
    assert 'pip install "hiveloop[board-postgres]"' in told


def test_a_runtime_folder_that_cannot_be_used_costs_the_hand_over_only(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with board(tmp_path, "--port", 0) as running:
        assert "hiveloop.init() without a key does not find this board (" in running.said
        assert running.get("/v1/agents").status_code == 200
        assert running.end() == 0


def test_missing_pages_are_told_at_the_start(tmp_path: Path) -> None:
    """An installation without the bundle: its sources alone, found before the real one."""
    import hiveloop

    package = Path(hiveloop.__file__).parent
    left_out = shutil.ignore_patterns("static", "web", "__pycache__")
    shutil.copytree(package, tmp_path / "site" / "hiveloop", ignore=left_out)
    environment = clean_environment(tmp_path, PYTHONPATH=str(tmp_path / "site"), PYTHONUNBUFFERED="1")
    process = subprocess.Popen(
        [sys.executable, "-m", "hiveloop", "board", "--no-browser", "--port", "0"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = ""
        while "Ctrl-C stops" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        process.terminate()
        process.communicate(timeout=20)
    assert "Its pages were not built into this installation" in told
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--api-key", "hb_live_" + "0" * 32], "the board does not know this key"),
        (["--endpoint", "http://127.0.0.1:9"], "wants a key of that board: give it in HIVELOOP_API_KEY"),
    ],
)
def test_tail_says_why_it_cannot_follow(tmp_path: Path, arguments: list[str], words: str) -> None:
    with board(tmp_path, "--port", 0) as running:
        if arguments[0] == "--api-key":
            arguments = [*arguments, "--endpoint", running.endpoint]
        assert words in command(running, "tail", *arguments, code=1)


def test_tail_tells_what_is_no_board(tmp_path: Path) -> None:
    from tests.support.server import ScriptedServer

    with ScriptedServer() as other:
        done = cli(tmp_path, "tail", "--endpoint", other.url, "--api-key", "hb_live_" + "0" * 32)
    assert done.returncode == 1
    assert "is it a HiveBoard?" in done.stderr
