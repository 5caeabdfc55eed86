"""`hiveloop.init()` without a key finds the board that runs on this machine, and no other."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hiveloop
from hiveloop import _handover
from hiveloop._config import resolve
from hiveloop.board.handover import Offer
from tests.support.wait import eventually

KEY = "hb_live_" + "0" * 32
HERE = "http://127.0.0.1:8787"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime folder of a user; this test asks to look into it."""
    monkeypatch.setenv("HIVELOOP_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HIVELOOP_PYTEST_NETWORK", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_takes_the_running_board_and_says_so_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Offer(HERE, KEY) as offer:
        assert offer.standing
        hb = hiveloop.init()
    assert hb.enabled
    assert (hb.config.endpoint, hb.config.api_key) == (HERE, KEY)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [f"hiveloop: reporting to the HiveBoard on this machine, {HERE}"]
    assert KEY not in caplog.text


def test_its_address_in_browsers_is_told_and_is_no_setting(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Offer(HERE, KEY, "https://board.example.com"):
        config = hiveloop.init().config
    assert f"{HERE} (in browsers https://board.example.com)" in caplog.text
    assert config.public_url == "https://board.example.com"
    assert "public_url" not in config.settings()
    assert "public_url" not in repr(config)


def test_the_file_is_for_this_user_only(folder: Path) -> None:
    with Offer(HERE, KEY):
        path = folder / _handover.FILE_NAME
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text()) == {"endpoint": HERE, "api_key": KEY, "pid": os.getpid()}
    assert path.read_text() == ""


def test_after_the_board_has_ended_nothing_is_found(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Offer(HERE, KEY):
        pass
    assert not hiveloop.init().enabled
    assert "no API key" in caplog.text


def test_what_a_killed_board_left_is_not_taken(folder: Path) -> None:
    program = (
        "import sys, threading\nfrom hiveloop.board.handover import Offer\n"
        f"with Offer({HERE!r}, {KEY!r}):\n    print('up', flush=True)\n    threading.Event().wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "up\n"
        found = _handover.find()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert found is not None
    assert found.endpoint == HERE
    assert (folder / _handover.FILE_NAME).read_text() != ""
    assert _handover.find() is None


@pytest.mark.parametrize(
    "given", [{"api_key": "hb_live_mine"}, {"endpoint": "https://board.example.com"}, {"enabled": False}]
)
def test_who_says_anything_about_it_decides(folder: Path, given: dict[str, object]) -> None:
    with Offer(HERE, KEY):
        config = resolve(given, look_for_board=True)
    assert config.endpoint != HERE
    assert config.api_key != KEY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HIVELOOP_API_KEY", "hb_live_mine"),
        ("HIVELOOP_ENDPOINT", "https://board.example.com"),
        ("HIVELOOP_DISABLED", "1"),
    ],
)
def test_the_environment_decides_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with Offer(HERE, KEY):
        assert resolve({}, look_for_board=True).api_key != KEY


def test_a_config_file_decides_too(folder: Path) -> None:
    (folder / "loophive.cfg").write_text("[loophive]\nendpoint = https://board.example.com\n")
    with Offer(HERE, KEY):
        assert resolve({}, look_for_board=True).endpoint == "https://board.example.com"


def test_a_transport_decides_too(folder: Path) -> None:
    with Offer(HERE, KEY):
        hb = hiveloop.init(transport=hiveloop.testing.MemoryTransport())
    assert hb.config.api_key is None


def test_under_pytest_no_board_is_found_unless_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HIVELOOP_PYTEST_NETWORK")
    with Offer(HERE, KEY):
        assert not hiveloop.init().enabled


def test_a_file_that_others_can_read_is_not_trusted(folder: Path) -> None:
    with Offer(HERE, KEY):
        (folder / _handover.FILE_NAME).chmod(0o644)
        assert _handover.find() is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps({"endpoint": "https://board.example.com", "api_key": KEY}),
        json.dumps({"endpoint": HERE, "api_key": "secret"}),
        json.dumps({"endpoint": HERE}),
        json.dumps({"endpoint": 4, "api_key": []}),
        "x" * 100_000,
    ],
)
def test_what_no_board_wrote_is_not_taken(folder: Path, content: str) -> None:
    with Offer(HERE, KEY):
        (folder / _handover.FILE_NAME).write_text(content)
        assert _handover.find() is None


def test_the_first_board_is_the_one_that_is_found(folder: Path) -> None:
    with Offer(HERE, KEY), Offer("http://127.0.0.1:8788", KEY) as second:
        assert not second.standing
        found = _handover.find()
        assert found is not None
        assert found.endpoint == HERE
    with Offer("http://127.0.0.1:8788", KEY) as third:
        assert third.standing


def test_a_program_in_a_process_of_its_own_finds_it(folder: Path) -> None:
    program = "import hiveloop; hb = hiveloop.init(); print(hb.config.endpoint, hb.enabled)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    with Offer(HERE, KEY):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
    assert done.stdout == f"{HERE} True\n"
    assert done.stderr.count("\n") == 1
    assert "HiveBoard on this machine" in done.stderr
    eventually(lambda: _handover.find() is None)
