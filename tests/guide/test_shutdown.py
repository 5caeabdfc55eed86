"""Integration guide, Shutdown: the sample that registers an exit handler runs in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import hiveloop
from tests.support.program import run_program
from tests.support.server import ScriptedServer

from .hive import Hive

AT_EXIT = """
import hiveloop

hb = hiveloop.init(flush_interval=3600)
agent = hb.agent("leaving", heartbeat_interval=0)
with agent.task("last-task"):
    pass
"""

REGISTERED = """
import atexit

atexit.register(hiveloop.shutdown)
"""


@pytest.mark.parametrize("registered", [REGISTERED, ""], ids=["by the sample", "by the SDK itself"])
def test_remaining_events_are_flushed_at_exit(tmp_path: Path, registered: str) -> None:
    program = tmp_path / "leaving.py"
    program.write_text(AT_EXIT + registered)
    with ScriptedServer(key="hb_test_key") as server:
        done = run_program(
            program, environment={"HIVELOOP_API_KEY": "hb_test_key", "HIVELOOP_ENDPOINT": server.url}
        )

    assert (done.code, done.err) == (0, "")
    types = [e["event_type"] for e in server.events()]
    assert types[:3] == ["agent_registered", "task_started", "task_completed"]
    assert server.repeats() == {}


def test_in_your_frameworks_shutdown_handler(hive: Hive) -> None:
    def on_shutdown():
        hiveloop.shutdown(timeout=10)  # waits up to 10s for flush

    with hive.agent().task("last-task"):
        pass
    on_shutdown()

    assert "task_completed" in [e.type for e in hive.transport.events]
