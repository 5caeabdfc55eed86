"""JsonlTransport: every event is one whole line, once, whatever happens to the file."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hiveloop
from hiveloop.errors import HiveLoopConfigError
from hiveloop.events import Event
from hiveloop.transport import Delivered, Retry, Transport
from hiveloop.transports import JsonlTransport
from tests.support.events import Script, batch

ROOT = Path(__file__).parents[2]


def send(transport: JsonlTransport, *events: Event) -> Any:
    return transport.send(transport.prepare(batch(*events)), 5.0)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def ids(*paths: Path) -> list[str]:
    return [line["event_id"] for path in paths for line in lines(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def transports(path: Path) -> Iterator[list[JsonlTransport]]:
    """Transports to be closed after the test."""
    opened: list[JsonlTransport] = []
    yield opened
    for transport in opened:
        transport.close(1.0)


@pytest.fixture
def jsonl(path: Path, transports: list[JsonlTransport]) -> JsonlTransport:
    transports.append(JsonlTransport(path))
    return transports[0]


def program(
    code: str, *arguments: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run code that can import the tests' support, and return how it went."""
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{textwrap.dedent(code)}"
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, env=env)


# -- what is written ----------------------------------------------------------------------------


def test_a_line_is_an_event_with_its_agent(jsonl: JsonlTransport, path: Path) -> None:
    s = Script(project="crm")
    assert send(jsonl, s.started(), s.action_completed("search", parent="p", hits=3)) == Delivered()
    first, second = lines(path)
    assert first == {
        "event_id": "sales-lead-42-1",
        "timestamp": "2026-05-28T20:26:40.500Z",
        "event_type": "task_started",
        "severity": "info",
        "project_id": "crm",
        "task_id": "lead-42",
        "task_run_id": "run-lead-42",
        "payload": {"summary": "Task lead-42 started"},
        "agent_id": "sales",
        "agent_type": "general",
        "framework": "custom",
        "runtime": "python-3.11.9",
        "sdk_version": "hiveloop-1.0.0",
        "environment": "production",
        "group": "default",
    }
    assert second["action_id"] == "search"
    assert second["parent_action_id"] == "p"
    assert second["duration_ms"] == 340
    assert second["payload"] == {"action_name": "search", "hits": 3}


def test_text_is_utf_8_and_stays_on_its_line(jsonl: JsonlTransport, path: Path) -> None:
    text = "naïve 日本 \n\r\u2028\x1b\x00 \ud800"
    send(jsonl, Script().event("note", {"summary": text}), Script().completed())
    raw = path.read_bytes()
    assert raw.count(b"\n") == 2
    assert "naïve 日本".encode() in raw
    assert lines_of(raw)[0]["payload"]["summary"] == text.replace("\ud800", "?")


def lines_of(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.decode("utf-8").split("\n")[:-1]]


def test_it_appends_and_can_go_on_after_close(jsonl: JsonlTransport, path: Path) -> None:
    s = Script()
    path.write_text('{"event_id": "before"}\n')
    send(jsonl, s.started())
    jsonl.close(1.0)
    send(jsonl, s.completed())
    assert ids(path) == ["before", "sales-lead-42-1", "sales-lead-42-2"]


def test_nothing_is_created_before_the_first_batch(jsonl: JsonlTransport, path: Path) -> None:
    assert not path.exists()


def test_events_of_a_running_agent_arrive(path: Path) -> None:
    hb = hiveloop.init(transport=JsonlTransport(path))
    try:
        with hb.agent("sales", heartbeat_interval=0).task("lead-42") as task:
            task.llm_call("reason", "m", tokens_in=1, cost=0.5)
        assert hb.flush(5.0)
        assert [line["event_type"] for line in lines(path)] == [
            "agent_registered",
            "task_started",
            "custom",
            "task_completed",
        ]
    finally:
        hiveloop.reset()


# -- rotation -----------------------------------------------------------------------------------


def test_full_files_are_renamed_and_only_so_many_kept(path: Path, transports: list[JsonlTransport]) -> None:
    s = Script()
    transports.append(JsonlTransport(path, max_bytes=1_200, backups=2))
    for _ in range(9):
        send(transports[0], s.llm_call())
    one, two = path.with_name("events.jsonl.1"), path.with_name("events.jsonl.2")
    assert sorted(path.parent.iterdir()) == [path, one, two]
    assert all(file.stat().st_size <= 1_200 for file in (path, one, two))
    kept = ids(two, one, path)
    assert kept == [f"sales-lead-42-{i}" for i in range(10 - len(kept), 10)]
    assert len(kept) < 9


def test_without_backups_a_full_file_starts_over(path: Path, transports: list[JsonlTransport]) -> None:
    s = Script()
    transports.append(JsonlTransport(path, max_bytes=1, backups=0))
    for _ in range(3):
        send(transports[0], s.llm_call())
    assert ids(path) == ["sales-lead-42-3"]
    assert list(path.parent.iterdir()) == [path]


def test_an_old_file_is_rotated_before_it_grows(path: Path, transports: list[JsonlTransport]) -> None:
    path.write_text('{"event_id": "old"}\n')
    transports.append(JsonlTransport(path, max_bytes=100))
    send(transports[0], Script().started())
    assert ids(path) == ["sales-lead-42-1"]
    assert ids(path.with_name("events.jsonl.1")) == ["old"]


def test_a_file_that_cannot_be_renamed_grows_on_with_one_warning(
    path: Path, transports: list[JsonlTransport], caplog: pytest.LogCaptureFixture
) -> None:
    path.with_name("events.jsonl.1").mkdir()
    (path.with_name("events.jsonl.1") / "not-empty").touch()
    transports.append(JsonlTransport(path, max_bytes=300, backups=1))
    s = Script()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert send(transports[0], s.llm_call()) == Delivered()
    assert len(ids(path)) == 5
    assert len(caplog.records) == 1


# -- what others do to the file -----------------------------------------------------------------


def test_a_moved_or_removed_file_is_replaced(jsonl: JsonlTransport, path: Path) -> None:
    s, moved = Script(), path.with_name("moved")
    send(jsonl, s.started())
    path.rename(moved)
    send(jsonl, s.llm_call())
    path.unlink()
    send(jsonl, s.completed())
    assert ids(moved) == ["sales-lead-42-1"]
    assert ids(path) == ["sales-lead-42-3"]


def test_a_line_torn_by_a_crash_costs_only_itself(jsonl: JsonlTransport, path: Path) -> None:
    path.write_text('{"event_id": "whole"}\n{"event_id": "to')
    send(jsonl, Script().started())
    whole, torn, ours = path.read_text().splitlines()
    assert json.loads(whole)["event_id"] == "whole"
    assert torn == '{"event_id": "to'
    assert json.loads(ours)["event_id"] == "sales-lead-42-1"


def test_a_file_locked_by_another_process_is_tried_later(jsonl: JsonlTransport, path: Path) -> None:
    event = Script().started()
    prepared = jsonl.prepare(batch(event))
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        outcome = jsonl.send(prepared, 0.02)
    assert isinstance(outcome, Retry)
    assert "locked" in outcome.reason
    assert jsonl.send(prepared, 0.02) == Delivered()
    assert ids(path) == [event.event_id]


WRITER = """
import os
from hiveloop.transports import JsonlTransport
from tests.support.events import Script, batch
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
transport, s = JsonlTransport(path, max_bytes=20_000, backups=400), Script(name)
for _ in range(count):
    prepared = transport.prepare(batch(s.llm_call("x" * 100), s.llm_call("y" * 100)))
    while transport.send(prepared, 5.0).__class__.__name__ != "Delivered":
        pass
transport.close(1.0)
"""


def test_processes_that_share_a_rotating_file_lose_nothing(path: Path) -> None:
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{WRITER}"
    writers = [
        subprocess.Popen([sys.executable, "-c", text, str(path), f"w{i}", "150"], stderr=subprocess.PIPE)
        for i in range(3)
    ]
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == b""
        assert writer.returncode == 0
    files = list(path.parent.iterdir())
    assert len(files) > 5
    assert sorted(ids(*files)) == sorted(f"w{i}-lead-42-{n}" for i in range(3) for n in range(1, 301))


def test_a_forked_child_writes_its_own_lines(jsonl: JsonlTransport, path: Path) -> None:
    result = program(
        """
        import os
        from hiveloop.transports import JsonlTransport
        from tests.support.events import Script, batch
        transport = JsonlTransport(sys.argv[1])
        def send(name):
            for _ in range(50):
                s = Script(f"{name}")
                transport.send(transport.prepare(batch(*(s.llm_call() for _ in range(20)))), 5.0)
        send("before")
        child = os.fork()
        send("child" if child == 0 else "parent")
        transport.close(1.0)
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
        path,
    )
    assert result.stderr == b""
    assert result.returncode == 0
    agents = [line["agent_id"] for line in lines(path)]
    assert {name: agents.count(name) for name in set(agents)} == {
        "before": 1000,
        "child": 1000,
        "parent": 1000,
    }


def test_a_fork_in_the_middle_of_a_write_does_not_stop_the_child(path: Path) -> None:
    result = program(
        """
        import fcntl, os, signal, threading
        from hiveloop.transports import JsonlTransport
        from tests.support.events import Script, batch
        transport, s = JsonlTransport(sys.argv[1]), Script()
        prepared = transport.prepare(batch(s.started()))
        with open(sys.argv[1], "ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            writer = threading.Thread(target=transport.send, args=(prepared, 5.0))
            writer.start()
            writer.join(0.1)  # it waits for the lock by now
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                fcntl.flock(other, fcntl.LOCK_UN)
                print(transport.send(transport.prepare(batch(s.completed())), 5.0), flush=True)
                os._exit(0)
            print(os.waitpid(child, 0)[1])
        writer.join()
        transport.close(1.0)
        """,
        path,
    )
    # From Python 3.12 on, a fork beside threads, which is the point here, is warned of.
    ours = [line for line in result.stderr.splitlines() if b"fork()" not in line]
    assert ours == []
    assert result.stdout.decode().splitlines() == [repr(Delivered()), "0"]
    assert sorted(ids(path)) == ["sales-lead-42-1", "sales-lead-42-2"]


# -- a full disk --------------------------------------------------------------------------------


def test_a_full_disk_leaves_whole_lines_and_a_retry_repeats_none(path: Path) -> None:
    result = program(
        """
        import resource, signal
        from hiveloop.transports import JsonlTransport
        from tests.support.events import Script, batch
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        transport, s = JsonlTransport(sys.argv[1]), Script()
        transport.send(transport.prepare(batch(s.started())), 5.0)
        before = open(sys.argv[1], "rb").read()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 700, hard))
        prepared = transport.prepare(batch(*(s.llm_call() for _ in range(10))))
        for _ in range(3):
            try:
                transport.send(prepared, 5.0)
            except OSError as error:
                print(type(error).__name__, open(sys.argv[1], "rb").read() == before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        print(transport.send(prepared, 5.0))
        transport.close(1.0)
        """,
        path,
    )
    assert result.stderr == b""
    delivered = repr(Delivered())
    assert result.stdout.decode().split("\n")[:4] == ["OSError True"] * 3 + [delivered]
    assert ids(path) == [f"sales-lead-42-{i}" for i in range(1, 12)]


def test_a_device_that_is_always_full_raises_for_the_engine_to_retry(
    transports: list[JsonlTransport],
) -> None:
    transports.append(JsonlTransport("/dev/full"))
    with pytest.raises(OSError, match="No space"):
        send(transports[0], Script().started())


def test_what_is_no_regular_file_is_written_to_and_not_rotated(transports: list[JsonlTransport]) -> None:
    transports.append(JsonlTransport("/dev/null", max_bytes=1))
    for _ in range(3):
        assert send(transports[0], Script().started()) == Delivered()
    assert not Path("/dev/null.1").exists()


# -- standard output ----------------------------------------------------------------------------

TO_STDOUT = """
from hiveloop.transports import JsonlTransport
from tests.support.events import Script, batch
transport, s = JsonlTransport("-"), Script()
print("before")
for _ in range(int(sys.argv[1])):
    transport.send(transport.prepare(batch(s.llm_call("日本"))), 5.0)
print("after")
"""


def test_a_dash_is_standard_output_in_utf_8() -> None:
    result = program(TO_STDOUT, 2, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    before, one, two, after = result.stdout.decode("utf-8").splitlines()
    assert (before, after) == ("before", "after")
    assert [json.loads(line)["payload"]["data"]["name"] for line in (one, two)] == ["日本"] * 2


def test_a_reader_of_standard_output_that_leaves_early_is_no_error() -> None:
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{TO_STDOUT}".replace('print("after")', "")
    with subprocess.Popen(
        [sys.executable, "-c", text, "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        noise = process.stderr.read().decode()
    assert process.returncode == 0
    assert noise.count("\n") <= 1, noise
    assert "Exception" not in noise


def test_a_dash_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    transport = JsonlTransport("-")
    assert send(transport, Script().started()) == Delivered()
    transport.close(1.0)
    assert json.loads(capsys.readouterr().out)["agent_id"] == "sales"
    assert list(tmp_path.iterdir()) == []


# -- configuration ------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_with_the_fix(tmp_path: Path) -> None:
    good = tmp_path / "events.jsonl"
    with pytest.raises(HiveLoopConfigError, match=r"max_bytes=0 .*at least 1"):
        JsonlTransport(good, max_bytes=0)
    with pytest.raises(HiveLoopConfigError, match=r"backups=-1 .*0 or more"):
        JsonlTransport(good, backups=-1)
    with pytest.raises(HiveLoopConfigError, match=r"path='.*missing/events.jsonl'.*no directory.*create it"):
        JsonlTransport(tmp_path / "missing" / "events.jsonl")
    with pytest.raises(HiveLoopConfigError, match=r"path='.*' is not a file"):
        JsonlTransport(tmp_path)
    with pytest.raises(HiveLoopConfigError, match=r"path='' is not a file"):
        JsonlTransport("")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_to_are_refused() -> None:
    result = program(
        """
        import os, tempfile
        from hiveloop.transports import JsonlTransport
        from hiveloop.errors import HiveLoopConfigError
        with tempfile.TemporaryDirectory() as directory:
            file = os.path.join(directory, "old.jsonl")
            open(file, "w").close()
            os.chmod(file, 0o444)
            os.chmod(directory, 0o555)
            child = os.fork()
            if child == 0:
                if os.getuid() == 0:
                    os.setuid(65534)  # permissions do not hold back root
                for path in (os.path.join(directory, "new.jsonl"), file):
                    try:
                        JsonlTransport(path)
                    except HiveLoopConfigError as error:
                        print(str(error).replace(directory, "DIR"), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            os.chmod(directory, 0o700)
        """
    )
    assert result.stderr == b""
    directory, file = result.stdout.decode().splitlines()
    assert (
        directory
        == "path='DIR/new.jsonl' needs a directory that can be written to, not 'DIR': change its permissions"
    )
    assert file == "path='DIR/old.jsonl' cannot be written to: change its permissions or give another path"


def test_it_is_a_transport(path: Path) -> None:
    assert isinstance(JsonlTransport(path), Transport)
    assert JsonlTransport.name == "jsonl"
    assert JsonlTransport(path, max_bytes=5_000).limits.max_bytes == 5_000
