"""Crowds of agents and long outages: threads, memory and the books stay bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.table import KEY
from tests.support.program import run_program
from tests.support.server import ScriptedServer

pytestmark = pytest.mark.fault

PROGRAMS = Path(__file__).parent / "programs"
MIB = 1024 * 1024


def _figures(server: ScriptedServer, program: str, *arguments: object) -> dict[str, Any]:
    environment = {"HIVELOOP_API_KEY": KEY, "HIVELOOP_ENDPOINT": server.url}
    finished = run_program(PROGRAMS / f"{program}.py", *arguments, environment=environment, timeout=120)
    assert finished.clean, finished
    figures: dict[str, Any] = json.loads(finished.out[-1])
    print(figures)
    return figures


def test_ten_thousand_agents_share_four_threads() -> None:
    with ScriptedServer() as server:
        figures = _figures(server, "crowd", 10_000, 2, "memory")
    assert 1 <= len(figures["threads"]) <= 4, figures
    assert figures["new_threads"] <= 4, "a thread of ours hides behind another name"
    assert figures["fewest_beats"] >= 1, "an agent never beat"
    assert figures["dropped"] == {}
    assert figures["left"] == [], "a thread outlived the shutdown"


def test_a_thousand_agents_report_to_a_server_from_three_threads() -> None:
    with ScriptedServer(key=KEY) as server:
        figures = _figures(server, "crowd", 1_000, 2, "http")
        beating = {
            request.envelope["agent_id"]
            for request in server.requests
            if any(event["event_type"] == "heartbeat" for event in request.events)
        }
        registered = [event for event in server.events() if event["event_type"] == "agent_registered"]
        assert not server.violations
        assert not server.repeats()
    assert 1 <= len(figures["threads"]) <= 3, figures
    assert beating == {f"agent-{n}" for n in range(1_000)}
    assert len(registered) >= 1_000
    assert figures["rss_bytes"] < 4 * MIB
    assert figures["dropped"] == {}
    assert figures["left"] == []


def test_memory_is_flat_through_ten_minutes_of_outage() -> None:
    events = 600_000
    with ScriptedServer(listening=False) as server:
        figures = _figures(server, "outage", events)
    assert figures["accepted"] == events + 1, "the registration and every call"
    assert figures["delivered"] == 0
    assert figures["unbalanced"] == 0
    assert figures["held"] <= 10_000 + 4 * 500, "the queue and what was cut from it to be sent"
    assert figures["dropped"] == {"queue_full": events + 1 - figures["held"]}
    assert figures["rss_most"] - figures["rss_first"] < MIB, figures
    assert figures["slowest_seconds"] < 0.05
    assert figures["held_after"] == 0
    assert sum(figures["dropped_after"].values()) == figures["accepted_after"]
