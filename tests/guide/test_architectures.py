"""Integration guide, Architecture Patterns.

Covers the samples under: Single-agent system · Multi-agent system · API-driven agents (FastAPI, Flask) ·
Framework callbacks (LangChain, CrewAI, AutoGen).
"""

from __future__ import annotations

import asyncio
import queue as queues
import time
import uuid
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

import hiveloop
from tests.support.server import ScriptedServer

from .hive import Hive, action_name
from .world import App, FrameworkAgent, LLMClient, ToolRegistry
from .your_app.observability import (
    clear_current_task,
    clear_hiveloop_agent,
    get_current_task,
    get_hiveloop_agent,
    set_current_task,
    set_hiveloop_agent,
)


def test_single_agent_system() -> None:
    queue: queues.SimpleQueue[str] = queues.SimpleQueue()
    for message in ("first", "second"):
        queue.put(message)
    work_of: dict[str, str] = {}

    def process(message):
        work_of[get_current_task().task_id] = message

    def forever() -> None:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url)
        agent = hb.agent(agent_id="main")

        while True:
            message = queue.get(block=False)  # an empty queue ends the loop of this test
            with agent.task(f"task-{uuid.uuid4().hex[:8]}", project="my-app") as task:
                set_current_task(task)
                set_hiveloop_agent(agent)
                try:
                    process(message)
                finally:
                    clear_current_task()
                    clear_hiveloop_agent()

    with ScriptedServer(key="hb_test_key") as server:
        with pytest.raises(queues.Empty):
            forever()
        assert hiveloop.flush(timeout=10.0)
        events = server.events()
        hiveloop.reset()

    assert list(work_of.values()) == ["first", "second"]
    completed = [e for e in events if e["event_type"] == "task_completed"]
    assert [e["task_id"] for e in completed] == list(work_of)
    assert {e["project_id"] for e in completed} == {"my-app"}
    assert server.violations == []


def test_multi_agent_system() -> None:
    config = SimpleNamespace(
        agents=[
            SimpleNamespace(id="scout", role="research", model="gpt-4o-mini"),
            SimpleNamespace(id="closer", role="sales", model="gpt-4o"),
        ]
    )
    agents: list[FrameworkAgent] = []

    def create_agent(agent_config):
        agents.append(FrameworkAgent(agent_config.id))
        return agents[-1]

    with ScriptedServer(key="hb_test_key") as server:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url)

        for agent_config in config.agents:
            agent = create_agent(agent_config)
            agent._hiveloop = hb.agent(
                agent_id=agent_config.id,
                type=agent_config.role,
                version=agent_config.model,
                framework="my-framework",
            )

        assert hiveloop.flush(timeout=10.0)
        envelopes = {r.envelope["agent_id"]: r.envelope for r in server.requests}
        hiveloop.reset()

    assert [a._hiveloop.agent_id for a in agents] == ["scout", "closer"]
    assert envelopes["scout"]["agent_type"] == "research"
    assert envelopes["scout"]["agent_version"] == "gpt-4o-mini"
    assert envelopes["closer"]["agent_type"] == "sales"
    assert envelopes["closer"]["framework"] == "my-framework"


def test_api_driven_agents(hive: Hive) -> None:
    @dataclass
    class RunRequest:
        message: str

    app = App()
    instrumented, plain = FrameworkAgent("sales"), FrameworkAgent("plain")
    instrumented._hiveloop = hive.agent("sales")
    get_agent = {"sales": instrumented, "plain": plain}.__getitem__

    @app.post("/agents/{agent_id}/run")
    async def run_agent(agent_id: str, body: RunRequest):
        agent = get_agent(agent_id)
        _hl = getattr(agent, "_hiveloop", None)

        if _hl:
            with _hl.task(f"{agent_id}-{uuid.uuid4().hex[:8]}", project="my-app") as task:
                set_current_task(task)
                set_hiveloop_agent(_hl)
                try:
                    result = agent.run(body.message)
                finally:
                    clear_current_task()
                    clear_hiveloop_agent()
        else:
            result = agent.run(body.message)

        return {"response": result}

    handler = app.routes["/agents/{agent_id}/run"]

    async def requests():
        return await asyncio.gather(
            *(handler(who, RunRequest("hello")) for who in ("sales", "plain", "sales"))
        )

    assert asyncio.run(requests()) == [{"response": "HELLO"}] * 3
    assert len(hive.events("task_completed")) == 2
    assert len({e.task.task_id for e in hive.events("task_started") if e.task}) == 2


class BaseCallbackHandler:
    """The base class of the callback framework."""


# LangChain example
class HiveLoopCallbackHandler(BaseCallbackHandler):
    def on_llm_start(self, serialized, prompts, **kwargs):
        self._llm_start = time.perf_counter()

    def on_llm_end(self, response, **kwargs):
        elapsed = (time.perf_counter() - self._llm_start) * 1000
        _task = get_current_task()
        if _task:
            _task.llm_call(
                "llm_call",
                model=response.model,
                tokens_in=response.usage.input_tokens,
                tokens_out=response.usage.output_tokens,
                duration_ms=round(elapsed),
            )

    def on_tool_start(self, serialized, input_str, **kwargs):
        self._tool_ctx = get_hiveloop_agent().track_context(serialized["name"])
        self._tool_ctx.__enter__()

    def on_tool_end(self, output, **kwargs):
        if self._tool_ctx:
            self._tool_ctx.set_payload({"result_preview": str(output)[:200]})
            self._tool_ctx.__exit__(None, None, None)


def test_framework_callbacks(hive: Hive) -> None:
    handler = HiveLoopCallbackHandler()
    with hive.running_task():
        handler.on_llm_start({}, ["Which deal is next?"])
        handler.on_llm_end(LLMClient().complete("Which deal is next?"))
        handler.on_tool_start({"name": "search_contacts"}, "ada")
        handler.on_tool_end(ToolRegistry().execute("search_contacts", {"query": "ada"}))

    assert hive.names() == [
        "task_started",
        "llm_call",
        "action_started",
        "action_completed",
        "task_completed",
    ]
    assert hive.one("llm_call").data["tokens_in"] == 4
    completed = hive.one("action_completed")
    assert action_name(completed) == "search_contacts"
    assert completed.payload["result_preview"] == '["Ada Lovelace"]'
    assert completed.task == hive.one("task_started").task


def test_framework_callbacks_in_contexts_of_their_own(hive: Hive) -> None:
    """A framework that runs each callback as a task of its own leaves and enters from different contexts."""
    handler = HiveLoopCallbackHandler()

    async def callback(call, *args):
        call(*args)

    async def run():
        await asyncio.create_task(callback(handler.on_tool_start, {"name": "search_contacts"}, "ada"))
        await asyncio.create_task(callback(handler.on_tool_end, "Ada Lovelace"))

    with hive.running_task():
        asyncio.run(run())
        get_current_task().llm_call("after", model="gpt-4o")

    assert hive.one("action_completed").payload["result_preview"] == "Ada Lovelace"
    assert hive.one("llm_call").action is None, "the action is over"
