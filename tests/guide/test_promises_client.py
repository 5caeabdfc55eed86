"""What both documents promise about the client in prose, sentence by sentence.

Integration guide: Step 1: Initialize the SDK · Step 2: Register agents · Heartbeat payload · Queue
snapshots · Shutdown. Sensor reference: Group 1 (defaults, auto-emitted events) · 2.1 and 2.3 (callbacks)
· 3.17 hiveloop.flush() · 3.18 hiveloop.shutdown(); and the wire format.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

import hiveloop
from hiveloop import Batch, Delivered, Event, Outcome, Transport
from hiveloop.transports import MemoryTransport
from tests.support.program import run_program
from tests.support.server import ScriptedServer
from tests.support.wait import eventually, pause

from .hive import Hive

WIDE_OPEN = 10.0
"""Seconds after which something that should happen at once has not happened."""


# -- initialization ----------------------------------------------------------------------------------


def test_init_is_a_singleton_and_later_calls_warn(hive: Hive, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="hiveloop"):
        again = hiveloop.init(api_key="hb_live_another_key", environment="staging")

    assert again is hive.hb
    assert hiveloop.get_client() is hive.hb
    assert [r.levelname for r in caplog.records if r.name.startswith("hiveloop")] == ["WARNING"]
    hive.agent()
    assert hive.one("agent_registered").agent.environment == "production"


def test_reset_flushes_pending_events_and_clears_the_singleton() -> None:
    first = Hive(flush_interval=3600)
    with first.agent().task("pending"):
        pass
    hiveloop.reset()

    assert "task_completed" in [e.type for e in first.transport.events]
    assert hiveloop.get_client() is None
    second = Hive()
    assert second.hb is not first.hb
    second.agent("fresh")
    assert second.one("agent_registered").agent.agent_id == "fresh"
    assert "fresh" not in [e.agent.agent_id for e in first.transport.events]


def test_reset_leaves_no_task_behind() -> None:
    Hive().agent().start_task("never-ended")
    try:
        hiveloop.reset()
        assert hiveloop.get_current_task() is None
        assert hiveloop.get_current_agent() is None
    finally:
        hiveloop.clear_current_task()


def test_reset_stops_the_background_threads() -> None:
    before = set(threading.enumerate())
    hive = Hive()
    hive.hb.agent("beating", heartbeat_interval=0.05, heartbeat_payload=dict)
    eventually(lambda: hive.events("heartbeat"))
    hiveloop.reset()

    eventually(
        lambda: not [t for t in threading.enumerate() if t not in before and t.name.startswith("hiveloop")]
    )


def test_init_works_again_after_shutdown() -> None:
    Hive()
    hiveloop.shutdown()
    again = Hive()
    again.agent("second-life")
    assert again.one("agent_registered").agent.agent_id == "second-life"


def test_environment_and_group_have_defaults_and_travel_with_every_batch() -> None:
    plain = Hive()
    plain.agent()
    assert (plain.one("agent_registered").agent.environment, plain.one("agent_registered").agent.group) == (
        "production",
        "default",
    )
    hiveloop.reset()
    chosen = Hive(environment="staging", group="sales-emea")
    chosen.agent()
    assert chosen.one("agent_registered").agent.environment == "staging"
    assert chosen.one("agent_registered").agent.group == "sales-emea"


@pytest.mark.parametrize("key", ["sk-live-wrong", "live_hb_key", "hb", " "])
def test_api_key_must_start_with_hb(key: str) -> None:
    with pytest.raises(hiveloop.HiveLoopConfigError, match="api_key") as caught:
        hiveloop.init(api_key=key)

    assert isinstance(caught.value, ValueError)
    assert "hb_" in str(caught.value)
    assert hiveloop.get_client() is None


def test_a_wrong_api_key_never_appears_whole_in_the_message() -> None:
    with pytest.raises(hiveloop.HiveLoopConfigError) as caught:
        hiveloop.init(api_key="sk-0123456789abcdef0123456789")
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["hb_live_", "hb_test_", "hb_anything_"])
def test_keys_with_the_prefix_are_accepted(prefix: str) -> None:
    with ScriptedServer() as server:
        hb = hiveloop.init(prefix + "key", endpoint=server.url)
        hb.agent("sales", heartbeat_interval=0)
        assert hiveloop.flush(timeout=WIDE_OPEN)
        hiveloop.reset()
    assert server.requests[0].headers["authorization"] == f"Bearer {prefix}key"


def test_a_read_key_is_accepted_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer() as server, caplog.at_level(logging.WARNING, logger="hiveloop"):
        hiveloop.init(api_key="hb_read_key", endpoint=server.url)
        hiveloop.reset()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "read" in warnings[0]
    assert "hb_read_key" not in warnings[0]


def test_without_a_key_the_sdk_is_disabled_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    before = threading.active_count()
    with caplog.at_level(logging.WARNING, logger="hiveloop"):
        hb = hiveloop.init()
        with hb.agent("sales").task("t") as task:
            task.llm_call("reason", "gpt-4o")
        assert hiveloop.flush() is True

    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
    assert threading.active_count() == before, "no thread"
    assert hb.stats().delivered == 0


def test_events_are_flushed_every_flush_interval_by_a_background_thread() -> None:
    hive = Hive(flush_interval=0.05)
    hive.agent()
    eventually(lambda: hive.transport.events, timeout=WIDE_OPEN, what="delivered without a flush")


def test_until_the_flush_interval_is_over_events_wait_for_company() -> None:
    hive = Hive(flush_interval=3600)
    agent = hive.agent()
    assert len(hive.events()) == 1, "the first event opens the interval"
    agent.todo("td_001", "created", "Call back")
    pause(0.1)
    assert len(hive.transport.events) == 1
    assert hive.hb.stats().waiting == 1


def test_batch_size_is_the_most_events_in_a_request() -> None:
    with ScriptedServer() as server:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url, batch_size=10)
        agent = hb.agent("sales", heartbeat_interval=0)
        for n in range(34):
            agent.todo(f"td_{n}", "created", "Call back")
        assert hiveloop.flush(timeout=WIDE_OPEN)
        hiveloop.reset()

    sizes = [len(r.events) for r in server.requests]
    assert max(sizes) == 10
    assert [
        e["payload"]["data"]["todo_id"] for e in server.events() if e["payload"].get("kind") == "todo"
    ] == [f"td_{n}" for n in range(34)], "and the order stays"


class Gate(Transport):
    """A receiver that takes nothing before it is opened."""

    name = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.events: list[Event] = []

    def send(self, prepared: object, timeout: float) -> Outcome:
        if not self.open.is_set():
            raise ConnectionRefusedError("closed")
        self.events.extend(cast("Batch", prepared).events)
        return Delivered()


def test_an_unreachable_server_never_blocks_the_application_and_events_wait() -> None:
    with ScriptedServer(listening=False) as server:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url, flush_interval=0.01)
        with hb.agent("sales", heartbeat_interval=0).task("during-the-outage"):
            pass
        eventually(lambda: hb.stats().transports["http"].state == "retrying")
        assert hb.stats().delivered == 0
        server.listen()
        assert hiveloop.flush(timeout=WIDE_OPEN)
        hiveloop.reset()

    assert [e["event_type"] for e in server.events()][:3] == [
        "agent_registered",
        "task_started",
        "task_completed",
    ]


def test_beyond_max_queue_size_the_oldest_events_are_dropped_and_counted() -> None:
    gate = Gate()
    hb = hiveloop.init(transport=gate, max_queue_size=20, flush_interval=3600)
    agent = hb.agent("sales", heartbeat_interval=0)
    for n in range(50):
        agent.todo(f"td_{n}", "created", "Call back")

    stats = hb.stats()
    assert stats.accepted == 51
    assert stats.dropped["queue_full"] == 51 - 20 - stats.in_flight
    gate.open.set()
    assert hiveloop.flush(timeout=WIDE_OPEN)
    kept = [e.data["todo_id"] for e in gate.events if e.kind == "todo"]
    assert kept[-20:] == [f"td_{n}" for n in range(30, 50)], "the newest stay"
    stats = hb.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values())


def test_the_queue_holds_ten_thousand_events_by_default() -> None:
    gate = Gate()
    hb = hiveloop.init(transport=gate, flush_interval=3600)
    agent = hb.agent("sales", heartbeat_interval=0)
    for n in range(9_999):
        agent.todo(f"td_{n}", "created", "Call back")
    assert sum(hb.stats().dropped.values()) == 0
    gate.open.set()
    assert hiveloop.flush(timeout=30.0)
    assert hb.stats().delivered == 10_000


DEBUG_PROGRAM = """
import hiveloop

hb = hiveloop.init(transport=hiveloop.transports.MemoryTransport(), debug={debug})
with hb.agent("sales").task("t"):
    pass
hiveloop.shutdown()
"""


@pytest.mark.parametrize("debug", [True, False])
def test_debug_logs_sdk_operations_to_stderr(tmp_path: Path, debug: bool) -> None:
    program = tmp_path / "debugging.py"
    program.write_text(DEBUG_PROGRAM.format(debug=debug))
    done = run_program(program)

    assert (done.code, done.out) == (0, [])
    assert ("hiveloop" in done.err) is debug


def test_a_full_batch_of_100_is_sent_before_the_interval_is_over() -> None:
    hive = Hive(flush_interval=3600)
    agent = hive.agent()
    assert len(hive.events()) == 1
    for n in range(100):
        agent.todo(f"td_{n}", "created", "Call back")
    eventually(lambda: len(hive.transport.events) == 101)


@pytest.mark.parametrize("name", ["endpoint", "HIVELOOP_ENDPOINT", "loophive.cfg"])
def test_endpoint_is_resolved_from_argument_environment_and_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    dead_end = "http://127.0.0.1:9"
    with ScriptedServer() as server:
        # What ranks lower names an address where nobody answers.
        file_endpoint = server.url if name == "loophive.cfg" else dead_end
        (tmp_path / "loophive.cfg").write_text(f"[loophive]\nendpoint = {file_endpoint}\n")
        if name != "loophive.cfg":
            monkeypatch.setenv("HIVELOOP_ENDPOINT", server.url if name == "HIVELOOP_ENDPOINT" else dead_end)
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url if name == "endpoint" else None)
        hb.agent("sales", heartbeat_interval=0)
        assert hiveloop.flush(timeout=WIDE_OPEN)
        hiveloop.reset()
    assert len(server.requests) >= 1


def test_a_file_in_the_working_directory_cannot_send_events_away_unencrypted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loophive.cfg").write_text("[loophive]\nendpoint = http://collector.example.com\n")
    with pytest.raises(hiveloop.HiveLoopConfigError, match=r"loophive\.cfg"):
        hiveloop.init(api_key="hb_test_key")


def test_every_option_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_ENVIRONMENT", "staging")
    monkeypatch.setenv("HIVELOOP_GROUP", "emea")
    monkeypatch.setenv("HIVELOOP_FLUSH_INTERVAL", "0.05")
    hive = Hive(group="argument")
    hive.agent()
    eventually(lambda: hive.transport.events, timeout=WIDE_OPEN)
    info = hive.one("agent_registered").agent
    assert (info.environment, info.group) == ("staging", "argument")


def test_hiveloop_disabled_switches_everything_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_DISABLED", "1")
    hive = Hive()
    with hive.agent().task("t") as task:
        task.llm_call("reason", "gpt-4o")
    assert hive.events() == []


# -- registration ------------------------------------------------------------------------------------


def test_agent_is_idempotent_and_updates_what_was_passed(hive: Hive) -> None:
    first = hive.agent("sales", type="sales", version="1.0", framework="crewai")
    second = hive.hb.agent("sales", version="2.0")
    second.todo("td_001", "created", "Call back")

    assert second is first
    info = hive.one("todo").agent
    assert (info.type, info.version, info.framework) == ("sales", "2.0", "crewai")


def test_agent_called_again_may_pass_what_happens_to_be_a_default(hive: Hive) -> None:
    agent = hive.agent("sales", type="sales", version="1.0", framework="crewai")
    hive.hb.agent("sales", type="general", framework="custom")
    agent.todo("td_001", "created", "Call back")
    info = hive.one("todo").agent
    assert (info.type, info.framework, info.version) == ("general", "custom", "1.0")


def test_get_agent_returns_the_handle_or_none(hive: Hive) -> None:
    agent = hive.agent("sales")
    assert hive.hb.get_agent("sales") is agent
    assert hive.hb.get_agent("nobody") is None


def test_agent_defaults(hive: Hive) -> None:
    hive.hb.agent("plain")
    registered = hive.one("agent_registered")
    assert registered.data["type"] == "general"
    assert registered.data["framework"] == "custom"
    assert registered.data["stuck_threshold"] == 300
    assert "version" not in registered.data
    assert registered.agent.version is None


def test_agent_registered_is_emitted_immediately_upon_creation() -> None:
    hive = Hive()
    hive.agent()
    assert [str(e.type) for e in hive.events()] == ["agent_registered"]


def test_runtime_and_sdk_version_describe_this_process(hive: Hive) -> None:
    hive.agent()
    info = hive.one("agent_registered").agent
    assert re.fullmatch(r"python-3\.\d+\.\d+", info.runtime)
    assert info.sdk_version == f"hiveloop-{hiveloop.__version__}"


# -- heartbeats --------------------------------------------------------------------------------------


def test_a_heartbeat_comes_every_heartbeat_interval(hive: Hive) -> None:
    hive.hb.agent("sales", heartbeat_interval=0.1)
    eventually(lambda: len(hive.events("heartbeat")) >= 4)
    times = [e.time_ns for e in hive.events("heartbeat")]
    gaps = [(later - earlier) / 1e9 for earlier, later in pairwise(times[1:])]
    assert all(0.04 < gap < 1.0 for gap in gaps)
    assert {str(e.severity) for e in hive.events("heartbeat")} == {"debug"}


def test_heartbeat_interval_zero_disables_heartbeats(hive: Hive) -> None:
    hive.hb.agent("silent", heartbeat_interval=0, heartbeat_payload=dict)
    hive.hb.agent("beating", heartbeat_interval=0.05)
    eventually(lambda: len(hive.events("heartbeat")) >= 3)
    assert {e.agent.agent_id for e in hive.events("heartbeat")} == {"beating"}


def test_heartbeat_payload_none_leaves_only_the_progress(hive: Hive) -> None:
    hive.hb.agent("sales", heartbeat_interval=0.05, heartbeat_payload=lambda: None)
    eventually(lambda: hive.events("heartbeat"))
    assert set(hive.events("heartbeat")[0].payload) == {"hiveloop"}


@pytest.mark.parametrize(
    "nonsense", [lambda: 1 / 0, lambda: "text", lambda: [1]], ids=["raises", "text", "list"]
)
def test_a_heartbeat_payload_that_fails_does_not_stop_the_beats(
    hive: Hive, nonsense: Callable[[], Any]
) -> None:
    hive.hb.agent("sales", heartbeat_interval=0.05, heartbeat_payload=nonsense)
    eventually(lambda: len(hive.events("heartbeat")) >= 3)


def test_heartbeat_payload_is_called_for_every_beat(hive: Hive) -> None:
    calls: list[int] = []

    def payload() -> dict[str, Any]:
        calls.append(1)
        return {"calls": len(calls)}

    hive.hb.agent("sales", heartbeat_interval=0.1, heartbeat_payload=payload)

    def sent() -> list[int]:
        # A beat goes out without its payload when the callback is late, as on a busy machine.
        return [e.payload["calls"] for e in hive.events("heartbeat") if "calls" in e.payload]

    eventually(lambda: len(sent()) >= 3)
    assert sent() == sorted(set(sent())), "each beat asked anew"


def test_heartbeats_tell_the_open_task_and_action(hive: Hive) -> None:
    agent = hive.hb.agent("sales", heartbeat_interval=0.05)
    with agent.task("long-one"), agent.track_context("crawl"):
        eventually(lambda: any("open_action" in e.payload["hiveloop"] for e in hive.events("heartbeat")))
    progress = next(
        e.payload["hiveloop"] for e in hive.events("heartbeat") if "open_action" in e.payload["hiveloop"]
    )
    assert progress["open_task"] == "long-one"
    assert progress["open_action"] == "crawl"
    assert progress["open_action_seconds"] >= 0
    assert set(progress) <= {
        "last_progress_at",
        "idle_seconds",
        "open_task",
        "open_action",
        "open_action_seconds",
        "expecting_until",
        "queue_depth",
        "unsent",
        "dropped",
    }


def test_expecting_is_told_by_the_heartbeat(hive: Hive) -> None:
    agent = hive.hb.agent("sales", heartbeat_interval=0.05)
    with agent.task("long-one") as task:
        task.expecting(600)
        eventually(lambda: any("expecting_until" in e.payload["hiveloop"] for e in hive.events("heartbeat")))


def test_a_callback_that_hangs_delays_no_beat(hive: Hive) -> None:
    release = threading.Event()
    hive.hb.agent("hanging", heartbeat_interval=0.05, heartbeat_payload=lambda: {"waited": release.wait(30)})
    hive.hb.agent("healthy", heartbeat_interval=0.05)
    try:
        eventually(lambda: len([e for e in hive.events("heartbeat") if e.agent.agent_id == "hanging"]) >= 3)
        eventually(lambda: len([e for e in hive.events("heartbeat") if e.agent.agent_id == "healthy"]) >= 3)
    finally:
        release.set()


def test_a_queue_provider_that_returns_none_skips_the_snapshot(hive: Hive) -> None:
    hive.hb.agent("sales", heartbeat_interval=0.05, queue_provider=lambda: None)
    eventually(lambda: len(hive.events("heartbeat")) >= 3)
    assert hive.events("queue_snapshot") == []
    assert "queue_depth" not in hive.events("heartbeat")[0].payload["hiveloop"]


# -- flush and shutdown ------------------------------------------------------------------------------


def test_flush_delivers_at_once() -> None:
    hive = Hive(flush_interval=3600)
    with hive.agent().task("t"):
        pass
    assert hiveloop.flush() is True
    assert [str(e.type) for e in hive.transport.events] == [
        "agent_registered",
        "task_started",
        "task_completed",
    ]


def test_flush_gives_up_at_its_timeout() -> None:
    gate = Gate()
    hb = hiveloop.init(transport=gate)
    hb.agent("sales", heartbeat_interval=0)
    assert hiveloop.flush(timeout=0.1) is False
    gate.open.set()
    assert hiveloop.flush(timeout=WIDE_OPEN) is True


def test_shutdown_drains_remaining_events_and_stops_heartbeats() -> None:
    hive = Hive(flush_interval=3600)
    agent = hive.hb.agent("sales", heartbeat_interval=0.05)
    with agent.task("last"):
        pass
    hiveloop.shutdown()
    events = hive.transport.events
    assert "task_completed" in [e.type for e in events]
    pause(0.15)
    assert len(hive.transport.events) == len(events), "no beat after the end"


class Hanging(Transport):
    """A receiver that takes its time, whatever it is given."""

    name = "hanging"

    def __init__(self) -> None:
        self.release = threading.Event()

    def send(self, prepared: object, timeout: float) -> Outcome:
        self.release.wait(30.0)
        return Delivered()


def test_shutdown_waits_up_to_its_timeout() -> None:
    transport = Hanging()
    hb = hiveloop.init(transport=transport)
    hb.agent("sales", heartbeat_interval=0)
    start = time.monotonic()
    try:
        hiveloop.shutdown(timeout=0.2)
        assert time.monotonic() - start < 0.7
    finally:
        transport.release.set()
    assert hb.stats().dropped["shutdown"] >= 1


def test_a_clean_shutdown_announces_itself_per_agent(hive: Hive) -> None:
    for name in ("scout", "closer"):
        hive.agent(name)
    hiveloop.shutdown()
    stopped = [e for e in hive.transport.events if e.kind == "runtime"]
    assert [e.agent.agent_id for e in stopped] == ["scout", "closer"]
    assert {e.data["event"] for e in stopped} == {"agent_stopped"}


def test_sensors_after_shutdown_are_counted_no_ops(hive: Hive) -> None:
    agent = hive.agent()
    hiveloop.shutdown()
    before = len(hive.transport.events)
    with agent.task("too-late") as task:
        task.llm_call("reason", "gpt-4o")
    assert len(hive.transport.events) == before
    assert hive.hb.stats().dropped["closed"] == 3


def test_shutdown_may_be_called_twice_and_without_a_client(hive: Hive) -> None:
    hiveloop.shutdown()
    hiveloop.shutdown(timeout=1)
    hiveloop.reset()
    hiveloop.shutdown()
    assert hiveloop.flush() is True


# -- the wire ----------------------------------------------------------------------------------------


def test_wire_format_of_a_task() -> None:
    with ScriptedServer(key="hb_test_key") as server:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url, group="emea")
        agent = hb.agent("sales", type="sales", version="v1", heartbeat_interval=0)
        task = agent.task("t1", project="p", type="api", task_run_id="r", correlation_id="c")
        with task, agent.track_context("outer"), agent.track_context("inner"):
            pass
        assert hiveloop.flush(timeout=WIDE_OPEN)
        hiveloop.reset()

    envelope = server.requests[0].envelope
    assert {
        k: envelope[k]
        for k in ("agent_id", "agent_type", "agent_version", "framework", "environment", "group")
    } == {
        "agent_id": "sales",
        "agent_type": "sales",
        "agent_version": "v1",
        "framework": "custom",
        "environment": "production",
        "group": "emea",
    }
    events = {(e["event_type"], e["payload"].get("action_name")): e for e in server.events()}
    started = events["task_started", None]
    assert {k: v for k, v in started.items() if k not in ("event_id", "timestamp")} == {
        "event_type": "task_started",
        "severity": "info",
        "task_id": "t1",
        "project_id": "p",
        "task_type": "api",
        "task_run_id": "r",
        "correlation_id": "c",
        "payload": {"summary": "Task t1 started"},
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", started["timestamp"])
    sent = dt.datetime.fromisoformat(started["timestamp"])
    assert abs((dt.datetime.now(dt.UTC) - sent).total_seconds()) < 60
    inner = events["action_completed", "inner"]
    assert inner["parent_action_id"] == events["action_started", "outer"]["action_id"]
    assert inner["status"] == "success"
    assert isinstance(inner["duration_ms"], int)
    assert len({e["event_id"] for e in server.events()}) == len(server.events())
    assert server.violations == []


def test_several_transports_receive_the_same_events() -> None:
    first, second = MemoryTransport(), MemoryTransport()
    hb = hiveloop.init(transport=[first, second])
    hb.agent("sales", heartbeat_interval=0)
    assert hiveloop.flush(timeout=WIDE_OPEN)
    assert [e.event_id for e in first.events] == [e.event_id for e in second.events] != []
