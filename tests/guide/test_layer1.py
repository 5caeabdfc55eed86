"""Integration guide, Layer 1: Task Boundaries and Action Tracking.

Covers the samples under: Step 3: Wrap task execution with agent.task() · Alternative: Manual task lifecycle
with agent.start_task() · Step 4: Plumb the task handle through the call stack (the plumbing module itself is
`your_app/observability.py`) · Step 5: Track key functions with @agent.track().
"""

from __future__ import annotations

import asyncio
import uuid

import pytest

import hiveloop

from .hive import Hive, action_name
from .world import FrameworkAgent
from .your_app.observability import (
    clear_current_task,
    clear_hiveloop_agent,
    get_current_task,
    get_hiveloop_agent,
    set_current_task,
    set_hiveloop_agent,
)


def generate_unique_task_id(agent_id, event_id=None):
    if event_id:
        return f"{agent_id}-{event_id}"
    return f"{agent_id}-{uuid.uuid4().hex[:8]}"


def execute_agent(agent, message, event_context=None):
    hiveloop_agent = agent._hiveloop  # the handle from Layer 0
    if hiveloop_agent is not None:
        task_id = generate_unique_task_id(agent.id)  # must be unique per execution
        with hiveloop_agent.task(
            task_id,
            project="my-project",
            type=event_context.get("source", "api") if event_context else "api",
        ) as task:
            # Make the task handle available deeper in the call stack
            set_current_task(task)
            set_hiveloop_agent(hiveloop_agent)
            try:
                result = agent.run(message)
            finally:
                clear_current_task()
                clear_hiveloop_agent()
            return result
    else:
        return agent.run(message)


def test_step_3_wrap_task_execution(hive: Hive) -> None:
    agent = FrameworkAgent()
    agent._hiveloop = hive.agent()

    assert execute_agent(agent, "hello", {"source": "webhook"}) == "HELLO"

    assert hive.names() == ["task_started", "task_completed"]
    started, completed = hive.one("task_started"), hive.one("task_completed")
    assert started.task is not None
    assert started.task == completed.task
    assert started.task.task_id.startswith("sales-")
    assert (started.task.project, started.task.type) == ("my-project", "webhook")
    assert completed.status == "success"
    assert isinstance(completed.duration_ms, int)
    assert get_current_task() is None
    assert get_hiveloop_agent() is None


def test_step_3_the_task_fails_with_the_agent(hive: Hive) -> None:
    def work(message: str) -> str:
        raise ConnectionError(f"no CRM for {message}")

    agent = FrameworkAgent(work=work)
    agent._hiveloop = hive.agent()

    with pytest.raises(ConnectionError, match="no CRM for hello"):
        execute_agent(agent, "hello")

    assert hive.names() == ["task_started", "task_failed"]
    failed = hive.one("task_failed")
    assert (failed.status, failed.severity) == ("failure", "error")
    assert failed.payload["exception_type"] == "ConnectionError"
    assert failed.payload["exception_message"] == "no CRM for hello"
    assert failed.task is not None
    assert failed.task.type == "api"
    assert get_current_task() is None


def test_step_3_without_a_handle_the_agent_runs_the_same(hive: Hive) -> None:
    assert execute_agent(FrameworkAgent(), "hello") == "HELLO"
    assert hive.names() == []


def test_step_3_task_ids_are_unique_per_execution(hive: Hive) -> None:
    agent = FrameworkAgent()
    agent._hiveloop = hive.agent()
    for _ in range(3):
        execute_agent(agent, "hello")

    assert len({e.task.task_id for e in hive.events("task_started") if e.task}) == 3
    assert generate_unique_task_id("sales", "evt-7") == "sales-evt-7"


@pytest.mark.parametrize("broken", [False, True])
def test_alternative_manual_task_lifecycle(hive: Hive, broken: bool) -> None:
    hiveloop_agent = hive.agent()
    task_id = "webhook-1"

    def do_work():
        if broken:
            raise TimeoutError("no answer")
        return "done"

    task = hiveloop_agent.start_task(
        task_id,
        project="my-project",
        type="webhook",
    )
    set_current_task(task)

    # ... later, when the work finishes:
    try:
        do_work()
        task.complete()  # emits task_completed
    except Exception as exc:
        task.fail(exception=exc)  # emits task_failed
    finally:
        clear_current_task()

    assert hive.names() == ["task_started", "task_failed" if broken else "task_completed"]
    end = hive.events()[-1]
    assert end.task is not None
    assert (end.task.task_id, end.task.project, end.task.type) == ("webhook-1", "my-project", "webhook")
    assert end.status == ("failure" if broken else "success")
    if broken:
        assert end.payload["exception_type"] == "TimeoutError"
        assert end.payload["exception_message"] == "no answer"


def test_alternative_without_an_end_the_task_stays_open(hive: Hive) -> None:
    hive.agent().start_task("forgotten")
    assert hive.names() == ["task_started"]
    hiveloop.clear_current_task()


def test_step_4_functions_deep_in_the_call_stack_find_the_task(hive: Hive) -> None:
    seen: list[tuple[object, object]] = []

    def deep(message: str) -> str:
        seen.append((get_current_task(), get_hiveloop_agent()))
        get_current_task().llm_call("reasoning", model="gpt-4o")
        return message

    agent = FrameworkAgent(work=deep)
    agent._hiveloop = hive.agent()
    execute_agent(agent, "hello")

    assert seen[0][1] is agent._hiveloop
    started, call = hive.one("task_started"), hive.one("llm_call")
    assert call.task == started.task


def test_step_4_the_sdk_keeps_the_same_two_variables_itself(hive: Hive) -> None:
    """The plumbing module may stay, and may go: the SDK's own variables say the same."""
    seen: list[tuple[object, object]] = []

    def deep(message: str) -> str:
        seen.append((hiveloop.get_current_task(), hiveloop.get_current_agent()))
        return message

    agent = FrameworkAgent(work=deep)
    agent._hiveloop = hive.agent()
    execute_agent(agent, "hello")

    task, current_agent = seen[0]
    assert isinstance(task, hiveloop.Task)
    assert task.task_id == hive.one("task_started").task.task_id  # type: ignore[union-attr]
    assert current_agent is agent._hiveloop
    assert hiveloop.get_current_task() is None
    assert hiveloop.get_current_agent() is None


def test_step_4_concurrent_agents_do_not_mix(hive: Hive) -> None:
    async def one(name: str) -> None:
        agent = hive.agent(name)
        with agent.task(f"{name}-task") as task:
            set_current_task(task)
            await asyncio.sleep(0)
            get_current_task().llm_call(name, model="gpt-4o")

    async def fleet() -> None:
        await asyncio.gather(*(one(f"agent-{n}") for n in range(5)))

    asyncio.run(fleet())

    calls = hive.events("llm_call")
    assert len(calls) == 5
    for call in calls:
        assert call.task is not None
        assert call.task.task_id == f"{call.data['name']}-task"
        assert call.agent.agent_id == call.data["name"]


def test_step_5_track_key_functions(hive: Hive) -> None:
    hiveloop_agent = hive.agent()

    class Mind:
        @hiveloop_agent.track("reflect")
        def reflect(self, context):
            return f"about {context}"

    with hiveloop_agent.task("task-1"):
        assert Mind().reflect("the deal") == "about the deal"

    assert hive.names() == ["task_started", "action_started", "action_completed", "task_completed"]
    started, completed = hive.one("action_started"), hive.one("action_completed")
    assert action_name(started) == action_name(completed) == "reflect"
    assert started.payload["function"].endswith("Mind.reflect")
    assert started.action == completed.action
    assert started.task == hive.one("task_started").task
    assert completed.status == "success"
    assert isinstance(completed.duration_ms, int)
