"""Under every fault: no caller waits, nothing is lost, flush, shutdown and exit keep their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hiveloop
from hiveloop.transports import HttpTransport
from tests.faults.caller import Caller, balanced, of_the_caller
from tests.faults.table import FAULTS, KEY, OUTAGES, Fault, faulty_server, reporting, seconds
from tests.support.program import Program
from tests.support.server import ScriptedServer
from tests.support.wait import eventually, pause

pytestmark = pytest.mark.fault

LEAVE = Path(__file__).parent / "programs" / "leave.py"
END_SECONDS = seconds(0.5, 5.0)
"""What a shutdown and the exit of the interpreter may take."""
SLACK_SECONDS = 0.5

Record = Callable[[str, object], None]
"""Keeps a figure of a test in the report of ``--junitxml`` with ``-o junit_family=xunit1``."""


@pytest.mark.parametrize("fault", OUTAGES, ids=str)
def test_an_outage_loses_nothing_and_holds_up_no_caller(
    fault: Fault, tmp_path: Path, record_property: Record
) -> None:
    with (
        faulty_server(fault, tmp_path) as faulty,
        reporting(faulty.server.url, ca_file=faulty.ca_file, timeout=1.0) as hb,
    ):
        with Caller(hb, hb.agent("worker", heartbeat_interval=0)) as caller:
            pause(fault.seconds)
            during = hb.stats()
            faulty.mend()
            pause(0.2)
        assert hb.flush(timeout=15), hb.stats()
        assert during.delivered == 0, "there was no outage"
        record_property("slowest_call_ms", round(caller.slowest_seconds * 1e3, 2))
        caller.check()
        _assert_all_arrived_once(faulty.server, hb.stats(), caller)


def _assert_all_arrived_once(server: ScriptedServer, stats: hiveloop.Stats, caller: Caller) -> None:
    assert of_the_caller(server.events()) == caller.expected
    assert not server.repeats()
    assert not server.violations
    assert not stats.dropped
    assert balanced(stats)
    assert stats.accepted == stats.delivered == len(server.events())


@pytest.mark.parametrize("fault", OUTAGES, ids=str)
def test_flush_gives_up_when_its_time_is_over(fault: Fault, tmp_path: Path) -> None:
    with faulty_server(fault, tmp_path) as faulty, reporting(faulty.server.url) as hb:
        hb.agent("worker", heartbeat_interval=0).event("custom", {"kind": "probe", "data": {"n": 0}})
        started = time.monotonic()
        assert not hb.flush(timeout=0.4)
        assert time.monotonic() - started < 0.4 + 0.25
        assert hb.stats().waiting + hb.stats().in_flight == 2


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_shutdown_returns_in_time(fault: Fault, tmp_path: Path, record_property: Record) -> None:
    with faulty_server(fault, tmp_path) as faulty, reporting(faulty.server.url) as hb:
        with Caller(hb, hb.agent("worker", heartbeat_interval=1)) as caller:
            pause(0.5)
            started = time.monotonic()
            hiveloop.shutdown(timeout=END_SECONDS)
            elapsed = time.monotonic() - started
            pause(0.1)  # sensor calls after a shutdown are harmless
        record_property("shutdown_seconds", round(elapsed, 2))
        assert elapsed < END_SECONDS + SLACK_SECONDS
        assert caller.slowest_seconds < 0.05
        stats = hb.stats()
        assert balanced(stats)
        assert stats.waiting == stats.in_flight == 0, "after a shutdown nothing may be undecided"
        assert stats.accepted >= caller.expected.total()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_interpreter_exits_in_time(fault: Fault, tmp_path: Path, record_property: Record) -> None:
    with faulty_server(fault, tmp_path) as faulty:
        environment = {
            "HIVELOOP_API_KEY": KEY,
            "HIVELOOP_ENDPOINT": faulty.server.url,
            "HIVELOOP_SHUTDOWN_TIMEOUT": str(END_SECONDS),
        }
        with Program(LEAVE, environment=environment) as program:
            left = program.wait_for_line("leaving")
            finished = program.finish()
            elapsed = time.monotonic() - left
    record_property("exit_seconds", round(elapsed, 2))
    assert elapsed < END_SECONDS + SLACK_SECONDS
    assert finished.clean, finished
    assert KEY not in finished.err


def test_the_interpreter_exits_within_five_seconds_by_default() -> None:
    with ScriptedServer(listening=False) as server:
        environment = {"HIVELOOP_API_KEY": KEY, "HIVELOOP_ENDPOINT": server.url}
        with Program(LEAVE, environment=environment) as program:
            left = program.wait_for_line("leaving")
            finished = program.finish()
            elapsed = time.monotonic() - left
    assert elapsed < 5 + SLACK_SECONDS
    assert finished.clean, finished


@pytest.mark.parametrize("fault", OUTAGES, ids=str)
def test_one_failing_transport_does_not_delay_another(fault: Fault, tmp_path: Path) -> None:
    with faulty_server(fault, tmp_path) as faulty, ScriptedServer(key=KEY) as sound:
        transports = [HttpTransport(api_key=KEY, endpoint=server.url) for server in (faulty.server, sound)]
        with reporting("http://127.0.0.1:9", transport=transports) as hb:
            agent = hb.agent("worker", heartbeat_interval=0)
            for n in range(300):
                agent.event("custom", {"kind": "probe", "data": {"n": n}})
            sound.wait_for(lambda: len(sound.events()) == 301, timeout=3)
            assert faulty.server.events() == []
            eventually(lambda: _delivered_by_lane(hb) == [0, 301], timeout=1)
            assert all(lane.accepted == 301 for lane in hb.stats().transports.values())
            assert balanced(hb.stats())


def _delivered_by_lane(hb: hiveloop.HiveBoard) -> list[int]:
    return sorted(lane.delivered for lane in hb.stats().transports.values())
