"""Integration guide, Layer 0: Initialization and Agent Registration.

Covers the samples under: Step 1: Initialize the SDK · Step 2: Register agents · Heartbeat payload: Rich
agent telemetry · Safety contract.
"""

from __future__ import annotations

import time

import hiveloop
from tests.support.server import ScriptedServer
from tests.support.wait import eventually

from .hive import Hive
from .test_layer2c import make_queue_provider
from .world import FrameworkAgent


def test_step_1_initialize_the_sdk() -> None:
    with ScriptedServer(key="hb_live_your_key_here") as server:
        hb = hiveloop.init(
            api_key="hb_live_your_key_here",
            endpoint=server.url,
            environment="production",
        )

        hb.agent("sales")
        assert hiveloop.flush(timeout=10.0)
        hiveloop.reset()

    assert server.requests[0].path == "/v1/ingest"
    assert server.requests[0].headers["authorization"] == "Bearer hb_live_your_key_here"
    assert server.requests[0].envelope["environment"] == "production"
    assert server.events()[0]["event_type"] == "agent_registered"
    assert server.violations == []


def test_step_2_register_agents(hive: Hive) -> None:
    hb = hive.hb
    hiveloop_agent = hb.agent(
        agent_id="sales",
        type="sales",  # role or classification
        version="claude-sonnet-4-5",  # model or agent version
        framework="my-framework",  # your framework name
        heartbeat_interval=30,  # seconds between heartbeats (0 to disable)
        stuck_threshold=300,  # seconds without heartbeat before "stuck" badge
    )

    assert hiveloop_agent.agent_id == "sales"
    registered = hive.one("agent_registered")
    assert registered.data == {
        "type": "sales",
        "version": "claude-sonnet-4-5",
        "framework": "my-framework",
        "stuck_threshold": 300,
    }
    assert registered.summary == "Agent sales registered"
    assert registered.severity == "info"
    assert (registered.agent.type, registered.agent.version) == ("sales", "claude-sonnet-4-5")
    assert registered.agent.framework == "my-framework"


def test_step_2_store_the_handle(hive: Hive) -> None:
    hb = hive.hb
    agent = FrameworkAgent("sales")
    _hiveloop_agents = {}
    # Option A: Store on the agent object
    agent._hiveloop = hb.agent(agent_id=agent.id)

    # Option B: Store in a registry dict
    _hiveloop_agents[agent.id] = hb.agent(agent_id=agent.id)

    assert agent._hiveloop is _hiveloop_agents["sales"], "the same id gives the same handle"
    assert len(hive.events("agent_registered")) == 1


def make_heartbeat_payload(agent_obj):
    """Build a heartbeat payload callback for an agent."""
    _boot_time = time.time()

    def payload():
        return {
            # Uptime and lifecycle
            "uptime_seconds": int(time.time() - _boot_time),
            "version": agent_obj.config.version,
            # Cumulative token/cost counters (since boot)
            "total_tokens_in": agent_obj.metrics.total_tokens_in,
            "total_tokens_out": agent_obj.metrics.total_tokens_out,
            "total_cost_usd": round(agent_obj.metrics.total_cost, 4),
            # Error counters
            "total_errors": agent_obj.metrics.error_count,
            "consecutive_failures": agent_obj.metrics.consecutive_failures,
            "last_error": agent_obj.metrics.last_error_message,
            # Current state
            "current_model": agent_obj.current_model,
            "tasks_completed": agent_obj.metrics.tasks_completed,
            "tasks_failed": agent_obj.metrics.tasks_failed,
        }

    return payload


def test_heartbeat_payload_rich_agent_telemetry(hive: Hive) -> None:
    hb = hive.hb
    agent_obj = FrameworkAgent("sales")
    # At agent registration
    hb.agent(
        agent_id="sales",
        type="sales",
        version="claude-sonnet-4-5",
        framework="my-framework",
        heartbeat_payload=make_heartbeat_payload(agent_obj),
        queue_provider=make_queue_provider("sales"),
        heartbeat_interval=0.05,
    )

    beat = hive.full_beat()
    assert beat.severity == "debug"
    sent = {key: value for key, value in beat.payload.items() if key != "hiveloop"}
    assert sent == {
        "uptime_seconds": sent["uptime_seconds"],
        "version": "1.4.0",
        "total_tokens_in": 1200,
        "total_tokens_out": 350,
        "total_cost_usd": 0.0088,
        "total_errors": 2,
        "consecutive_failures": 0,
        "last_error": "timeout",
        "current_model": "claude-sonnet-4-5-20250929",
        "tasks_completed": 4,
        "tasks_failed": 1,
    }
    assert 0 <= sent["uptime_seconds"] < 60
    assert eventually(lambda: hive.events("queue_snapshot"))[0].data["depth"] == 2


def test_safety_contract(hive: Hive) -> None:
    hiveloop_agent = hive.agent()
    # Guard pattern -- use everywhere
    if hiveloop_agent:
        try:
            hiveloop_agent.todo("td_001", "created", "Call TechNova back")
        except Exception:
            pass  # observability must never break the agent

    assert hive.one("todo").summary == "Call TechNova back"
