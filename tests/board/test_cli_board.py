"""``hiveloop board`` and ``tail`` as a user starts them: in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hiveloop.board.keyring import Keyring
from hiveloop.board.store.sqlite import SqliteStore
from hiveloop.cli import main
from tests.support.wait import eventually
from tests.unit.command_line import clean_environment

from .boards import event

_WAIT_SECONDS = 40.0
REPORT = """
import hiveloop
hb = hiveloop.init(flush_interval=0.05)
with hb.agent("worker").task("job-1", project="demo") as task:
    task.llm_call("reason", "gpt-4o", tokens_in=10, tokens_out=5, cost=0.01)
assert hiveloop.flush(10)
print(hb.config.endpoint, flush=True)
"""


class Running:
    """``hiveloop board`` in a process."""

    def __init__(self, home: Path, *arguments: object) -> None:
        self.home = home
        self.started = time.monotonic()
        environment = clean_environment(
            home,
            HIVELOOP_BOARD_DATA=str(home / "data"),
            HIVELOOP_RUNTIME_DIR=str(home / "run"),
            PYTHONUNBUFFERED="1",
        )
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hiveloop", "board", "--no-browser", *map(str, arguments)],
            env=environment,
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""

    def until(self, words: str) -> str:
        """Read what it says up to a line with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return self.said
        raise AssertionError(f"{words!r} was not said: {self.said}")

    @property
    def endpoint(self) -> str:
        found = re.search(r"HiveBoard at (?:\S+, on this machine )?(http://\S+),", self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def key(self) -> str:
        return (self.home / "data" / "key").read_text().strip()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.endpoint + path, headers={"Authorization": f"Bearer {self.key}"})

    def end(self, number: int = signal.SIGINT) -> int:
        """Stop it by a signal and return its exit code; it must end within two seconds."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.wait()
        assert time.monotonic() - started < 2
        return code

    def wait(self) -> int:
        """Return the exit code of a board that ends by itself."""
        assert self.process.stdout is not None
        with self.process.stdout as out:
            self.said += out.read()
        return self.process.wait(20)


@contextmanager
def board(home: Path, *arguments: object, ready: str = "Ctrl-C stops") -> Iterator[Running]:
    running = Running(home, *arguments)
    try:
        running.until(ready)
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        if running.process.stdout is not None:
            running.process.stdout.close()


def hiveloop_command(
    *arguments: str, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "hiveloop", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def command(running: Running, *arguments: str, code: int = 0) -> str:
    """Run another command of the same user; return what it said."""
    done = hiveloop_command(*arguments, environment=running.environment, folder=running.home)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_says_what_to_paste_and_ends_cleanly(tmp_path: Path, number: int) -> None:
    with board(tmp_path, "--port", 0) as running:
        assert time.monotonic() - running.started < 10
        assert f'hb = hiveloop.init("{running.key}", endpoint="{running.endpoint}")' in running.said
        link = re.search(r"once: (\S+)", running.said)
        assert link is not None
        assert httpx.get(link[1]).status_code == 200
        assert running.get("/v1/agents").status_code == 200
        data = tmp_path / "data"
        assert data.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o077 for path in data.iterdir()} == {0}
        assert running.end(number) == 0
        assert "The board has stopped." in running.said
        assert "Traceback" not in running.said
        assert (tmp_path / "run" / "board.json").read_text() == ""


def test_it_ends_in_time_with_open_streams_and_connections(tmp_path: Path) -> None:
    from websockets.sync.client import connect

    with board(tmp_path, "--port", 0) as running:
        address = f"{running.endpoint.replace('http', 'ws', 1)}/v1/stream?token={running.key}"
        host, port = running.endpoint.removeprefix("http://").split(":")
        with connect(address) as stream, socket.create_connection((host, int(port))) as idle:
            stream.send('{"action": "subscribe"}')
            stream.recv(5)
            idle.sendall(b"GET /v1/agents HTTP/1.1\r\nHost: ")
            assert running.end() == 0


def test_the_key_and_the_events_are_there_at_the_next_start(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        key = running.key
        batch = {"envelope": {"agent_id": "ada"}, "events": [event()]}
        sent = httpx.post(
            f"{running.endpoint}/v1/ingest", json=batch, headers={"Authorization": f"Bearer {key}"}
        )
        assert sent.status_code == 200
        assert running.end() == 0
    with board(tmp_path, "--port", 0) as running:
        assert running.key == key
        assert [agent["agent_id"] for agent in running.get("/v1/agents").json()["data"]] == ["ada"]
        said = command(running, "board", "rebuild", code=1)
        assert "a board runs already" in said
        running.end()
        assert "1 events folded again" in command(running, "board", "rebuild")
        assert "add --yes" in command(running, "board", "wipe", code=1)
        assert "Wiped." in command(running, "board", "wipe", "--yes")
    with board(tmp_path, "--port", 0) as running:
        assert running.get("/v1/agents").json()["data"] == []


def test_when_its_key_was_revoked_meanwhile_the_next_start_makes_another(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        key = running.key
        assert running.end() == 0
    store = SqliteStore(tmp_path / "data" / "board.db")
    try:
        (known,) = Keyring(store).shown()
        assert Keyring(store).revoke(known["key_id"]).result(10) == 1
    finally:
        store.close()
    with board(tmp_path, "--port", 0) as running:
        assert running.key != key
        assert running.get("/v1/agents").status_code == 200


def test_a_second_board_says_where_the_first_is(tmp_path: Path) -> None:
    with board(tmp_path, "--port", 0) as running:
        said = command(running, "board", "--no-browser", code=1)
        assert running.endpoint in said
        link = command(running, "board", "link").strip()
        assert httpx.get(link).status_code == 200
        running.end()
        assert "no board runs" in command(running, "board", "link", code=1)


def test_a_taken_port_is_named_and_without_one_the_next_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = Running(tmp_path, "--port", port)
        said = running.until("cannot listen")
        assert str(port) in said
        assert running.wait() == 1


def test_a_program_runs_beside_it_and_reports_to_it(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text(REPORT)
    with board(tmp_path, "--port", 0, "--", sys.executable, script, ready="has ended") as running:
        assert f"\n{running.endpoint}\n" in running.said
        assert running.get("/v1/tasks").json()["data"][0]["task_id"] == "job-1"
        assert running.end() == 0


def test_with_once_the_exit_code_is_the_programs(tmp_path: Path) -> None:
    running = Running(tmp_path, "--port", 0, "--once", "--", sys.executable, "-c", "raise SystemExit(7)")
    running.until("The board has stopped.")
    assert running.wait() == 7
    missing = Running(tmp_path, "--port", 0, "--once", "--", "no-such-program")
    missing.until("cannot be started")
    assert missing.wait() == 127


def test_a_program_is_stopped_with_the_board(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text("import threading; print('waits', flush=True); threading.Event().wait()")
    with board(tmp_path, "--port", 0, "--", sys.executable, script, ready="waits") as running:
        [program] = [
            child
            for child in psutil.Process(running.process.pid).children()
            if str(script) in child.cmdline()
        ]
        assert running.end(signal.SIGTERM) == 0
        eventually(lambda: not program.is_running())


@contextmanager
def following(running: Running, *arguments: str) -> Iterator[Any]:
    """Run ``hiveloop tail`` in a process; ended at the end, whatever happens."""
    tail = subprocess.Popen(
        [sys.executable, "-m", "hiveloop", "tail", *arguments],
        env={**running.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    late = threading.Timer(_WAIT_SECONDS, tail.kill)  # who reads a line that never comes sees the end
    late.start()
    with tail:
        try:
            eventually(lambda: running.get("/v1/board").json()["listeners"] == 1)
            yield tail
        finally:
            late.cancel()
            tail.kill()


def send(running: Running, *events: dict[str, Any], agent: str = "worker") -> None:
    """Report events as an SDK does."""
    body = {"envelope": {"agent_id": agent}, "events": events}
    headers = {"Authorization": f"Bearer {running.key}"}
    assert httpx.post(f"{running.endpoint}/v1/ingest", json=body, headers=headers).status_code == 200


def test_a_program_without_a_key_finds_the_board_and_tail_shows_it(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text(REPORT)
    with (
        board(tmp_path, "--port", 0) as running,
        following(running, "--json", "--agent", "worker") as tail,
    ):
        send(running, event("task_started", task_id="of another"), agent="other")
        done = subprocess.run(
            [sys.executable, script], env=running.environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == running.endpoint
        assert "HiveBoard on this machine" in done.stderr
        kinds = list[str]()
        while "task_completed" not in kinds:
            told = json.loads(tail.stdout.readline())
            assert told["agent_id"] == "worker"
            kinds.append(told["event_type"])
        assert kinds[:2] == ["agent_registered", "task_started"]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(10) == 130


def test_tail_shows_errors_alone_and_nothing_that_acts_on_the_terminal(tmp_path: Path) -> None:
    body = {"exception_type": "OSError", "exception_message": "\x1b[2Jno"}
    with board(tmp_path, "--port", 0) as running, following(running, "--errors") as tail:
        send(
            running,
            event("task_started", task_id="bad"),
            event("task_failed", 0, task_id="bad", payload=body),
        )
        line = tail.stdout.readline()
        assert "bad" in line
        assert "OSError" in line
        assert "\x1b[2J" not in line


def test_tail_goes_on_where_it_was_when_the_board_is_there_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with board(tmp_path, "--port", 0) as running:
            port = running.endpoint.rpartition(":")[2]
            tail = stack.enter_context(following(running, "--json"))
            send(running, event(task_id="before"))
            assert json.loads(tail.stdout.readline())["task_id"] == "before"
            running.end()
        with board(tmp_path, "--port", port) as running:
            send(running, event(task_id="after"))
            assert json.loads(tail.stdout.readline())["task_id"] == "after"
            assert "The connection broke off" in tail.stderr.readline() + tail.stderr.readline()


def test_tail_says_when_there_is_nothing_to_follow(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, HIVELOOP_RUNTIME_DIR=str(tmp_path))
    for more, words in (
        ([], "no board runs on this machine"),
        (["--endpoint", "http://127.0.0.1:9", "--api-key", "hb_live_x"], "no board answers"),
    ):
        done = hiveloop_command("tail", *more, environment=environment, folder=tmp_path)
        assert done.returncode == 1
        assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--host", "192.168.1.1"], "--allow-remote"),
        (["--once"], "needs a program"),
        (["wipe", "--", "python"], "takes no program"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_only_board_takes_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["doctor", "--", "python"], ["board", "--"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
    assert "program" in capsys.readouterr().err


def test_remote_boards_answer_under_addresses_and_names_they_were_given(tmp_path: Path) -> None:
    arguments = ("--port", 0, "--host", "0.0.0.0", "--allow-remote", "--allow-host", "board.example.com")
    with board(tmp_path, *arguments) as running:
        assert "keys and events travel in the clear" in running.said.replace("\n", " ")
        for host, status in (("10.1.2.3", 200), ("board.example.com", 200), ("evil.example.com", 403)):
            assert httpx.get(f"{running.endpoint}/health", headers={"Host": host}).status_code == status
        assert running.end() == 0


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    for name in ("starlette", "uvicorn", "msgspec", "websockets"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('none', name={name!r})")
    environment = clean_environment(tmp_path, PYTHONPATH=str(tmp_path) + os.pathsep + os.getcwd())
    for arguments in (
        ["board", "--no-browser"],
        ["tail", "--endpoint", "http://127.0.0.1:9", "--api-key", "hb_x"],
    ):
        done = hiveloop_command(*arguments, environment=environment, folder=tmp_path)
        assert done.returncode == 1
        assert 'pip install "hiveloop[board]"' in done.stderr
