"""What both documents promise about limits, safety and context, sentence by sentence.

Integration guide: Safety contract · Step 4 (what is current) · Log forwarding with HiveBoardLogHandler ·
Common Mistakes. Sensor reference: 3.16 HiveBoardLogHandler, and the limits of its parameter tables.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

import hiveloop
from hiveloop import Task, tool_payload
from hiveloop.contrib.log_handler import HiveBoardLogHandler
from tests.support.server import ScriptedServer

from .hive import Hive

WIDE_OPEN = 10.0
"""Seconds after which something that should happen at once has not happened."""


# -- limits ------------------------------------------------------------------------------------------


def test_ids_and_names_are_cut_to_their_limits() -> None:
    hive = Hive(environment="e" * 100, group="g" * 200)
    with hive.agent("a" * 300).task("t" * 300):
        pass
    started = hive.one("task_started")
    assert started.agent.agent_id == "a" * 256
    assert started.agent.environment == "e" * 64
    assert started.agent.group == "g" * 128
    assert started.task is not None
    assert started.task.task_id == "t" * 256


def test_summaries_are_cut_to_512_characters_and_say_so(hive: Hive) -> None:
    hive.agent().report_issue("s" * 600, "high")
    issue = hive.one("issue")
    assert issue.summary is not None
    assert len(issue.summary) == 512
    assert issue.payload["_truncated"]


@pytest.mark.parametrize(
    "data",
    [{"text": "x" * 100_000}, {"text": "x" * 9_000, "more": ["y" * 9_000] * 4}],
    ids=["one text", "many"],
)
def test_payloads_are_cut_to_32_kb_and_say_so(data: dict[str, Any]) -> None:
    with ScriptedServer() as server:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url)
        hb.agent("sales", heartbeat_interval=0).event("custom", {"kind": "big", "data": data})
        assert hiveloop.flush(timeout=WIDE_OPEN)
        hiveloop.reset()
    assert server.violations == []
    (big,) = [e["payload"] for e in server.events() if e["payload"].get("kind") == "big"]
    assert big["_truncated"]
    assert len(str(big)) <= 32_768
    assert big["data"]["text"].startswith("xxx")


# -- log forwarding ----------------------------------------------------------------------------------


@pytest.fixture
def app_logger() -> logging.Logger:
    """A logger outside the tree, so that nothing is left behind."""
    return logging.Logger("my_app", logging.DEBUG)  # noqa: LOG001


@pytest.mark.parametrize(
    ("level", "severity"), [("warning", "medium"), ("error", "high"), ("critical", "critical")]
)
def test_log_levels_become_severities(
    hive: Hive, app_logger: logging.Logger, level: str, severity: str
) -> None:
    app_logger.addHandler(HiveBoardLogHandler(hive.agent()))
    getattr(app_logger, level)("CRM answered %d", 403)
    getattr(app_logger, level)("CRM answered %d", 502)

    first, second = hive.events("issue")
    assert first.summary == "CRM answered 403"
    assert first.data["severity"] == severity
    assert first.data["issue_id"] == second.data["issue_id"] == f"log-my_app-{level.upper()}"
    assert first.data["category"] == "log"
    assert first.payload["tags"] == ["issue", "log"]
    context = first.data["context"]
    assert context["logger"] == "my_app"
    assert context["filename"] == Path(__file__).name
    assert context["funcName"] == "test_log_levels_become_severities"
    assert isinstance(context["lineno"], int)


def test_info_and_below_are_ignored_unless_the_level_says_otherwise(
    hive: Hive, app_logger: logging.Logger
) -> None:
    agent = hive.agent()
    app_logger.addHandler(HiveBoardLogHandler(agent))
    app_logger.info("fine")
    app_logger.debug("very fine")
    assert hive.events("issue") == []
    app_logger.addHandler(HiveBoardLogHandler(agent, level=logging.INFO, category="chatter"))
    app_logger.info("fine")
    assert hive.one("issue").data["category"] == "chatter"


def test_the_log_handler_never_raises(hive: Hive, app_logger: logging.Logger) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    app_logger.addHandler(HiveBoardLogHandler(hive.agent()))
    app_logger.error("%d items", "not a number")
    app_logger.error("%s", Hostile())
    app_logger.error("after")
    assert hive.events("issue")[-1].summary == "after"


def test_the_log_handler_ignores_the_sdks_own_records(hive: Hive) -> None:
    handler = HiveBoardLogHandler(hive.agent())
    logging.getLogger("hiveloop").addHandler(handler)
    try:
        logging.getLogger("hiveloop").warning("server unreachable")
        logging.getLogger("hiveloop.http").warning("server unreachable")
    finally:
        logging.getLogger("hiveloop").removeHandler(handler)
    assert hive.events("issue") == []


# -- safety ------------------------------------------------------------------------------------------


class Unfriendly:
    """An object that resists being looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


@pytest.mark.parametrize(
    "value", [None, 7, object(), Unfriendly(), ["x"], {"k": Unfriendly()}, "x" * 100_000]
)
def test_sensors_never_raise_whatever_they_are_given(
    hive: Hive, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.delenv("HIVELOOP_STRICT")
    agent = hive.agent()
    with agent.task(value, project=value, type=value) as task, agent.track_context(value) as ctx:
        ctx.set_payload(value)
        task.set_payload(value)
        task.llm_call(value, value, tokens_in=value, cost=value, metadata=value)
        task.plan(value, value, revision=value)
        task.plan_step(value, value, value)
        task.escalate(value, assigned_to=value)
        task.request_approval(value, approver=value)
        task.approval_received(value, decision=value)
        task.retry(value, attempt=value)
        task.event(value, value)
        agent.todo(value, value, value)
        agent.queue_snapshot(value)
        agent.scheduled(value)
        agent.report_issue(value, value, context=value)
        agent.resolve_issue(value, issue_id=value)
        agent.event(value, value)
        agent.llm_call(value, value)
        assert isinstance(tool_payload(args=value, result=value), dict)
    agent.todo("td_001", "created", "Still here")
    assert hive.events("todo")[-1].summary == "Still here"


def test_what_is_changed_after_the_call_does_not_show(hive: Hive) -> None:
    data = {"items": [1, 2]}
    with hive.agent().task("t") as task:
        task.event("custom", {"kind": "learning", "data": data})
        data["items"].append(3)
    assert hive.one("learning").data == {"items": [1, 2]}


def test_what_is_told_after_the_end_does_not_show(hive: Hive) -> None:
    with hive.agent().task("t") as task:
        with hive.agent().track_context("search") as action:
            action.set_payload({"found": 3})
        action.set_payload({"found": 4})
        action.end(ValueError("too late"))
        task.complete(payload={"won": True})
        task.set_payload({"won": False})
        task.fail(ValueError("too late"), payload={"won": None})
    assert hive.one("action_completed").payload == {"action_name": "search", "found": 3}
    ended = hive.one("task_completed")
    assert (ended.payload["won"], ended.status) == (True, "success")


def test_a_server_that_goes_down_changes_nothing_for_the_agent() -> None:
    with ScriptedServer(listening=False) as server:
        hb = hiveloop.init(api_key="hb_test_key", endpoint=server.url)
        agent = hb.agent("sales", heartbeat_interval=0)

        @agent.track("add")
        def add(a: int, b: int) -> int:
            return a + b

        with agent.task("t"):
            assert add(1, 2) == 3
        hiveloop.shutdown(timeout=0.2)
    assert hb.stats().delivered == 0


# -- the current task and agent ----------------------------------------------------------------------


def test_get_current_task_and_agent_return_none_between_tasks(hive: Hive) -> None:
    agent = hive.agent()
    assert hiveloop.get_current_task() is None
    assert hiveloop.get_current_agent() is None
    with agent.task("t") as task:
        assert hiveloop.get_current_task() is task
        assert hiveloop.get_current_agent() is agent
    assert hiveloop.get_current_task() is None


def test_a_task_that_has_ended_is_not_current_even_with_an_action_left_open(hive: Hive) -> None:
    agent = hive.agent()
    task = agent.start_task("t")
    forgotten = agent.track_context("never-closed")
    forgotten.__enter__()
    task.complete()
    try:
        assert hiveloop.get_current_task() is None
    finally:
        forgotten.__exit__(None, None, None)
        hiveloop.clear_current_task()


def test_the_guides_plumbing_with_the_sdks_own_functions_nests(hive: Hive) -> None:
    """Step 3 clears the task in its finally block, also when another agent's task is around it."""
    outer, inner = hive.agent("outer"), hive.agent("inner")
    with outer.task("outer-task") as around:
        with inner.task("inner-task") as task:
            hiveloop.set_current_task(task)
            try:
                hiveloop.llm_call("inside", "gpt-4o")
            finally:
                hiveloop.clear_current_task()
        assert hiveloop.get_current_task() is around
        hiveloop.llm_call("outside", "gpt-4o")
    assert [e.task.task_id for e in hive.events("llm_call") if e.task] == ["inner-task", "outer-task"]


def test_set_and_clear_counterparts_for_callback_frameworks(hive: Hive) -> None:
    agent = hive.agent()
    task = agent.start_task("callbacks")
    hiveloop.clear_current_task()
    assert hiveloop.get_current_task() is None
    hiveloop.set_current_task(task)
    hiveloop.llm_call("reason", "gpt-4o")
    hiveloop.clear_current_task()
    task.complete()
    hiveloop.set_current_agent(agent)
    assert hiveloop.get_current_agent() is agent
    hiveloop.clear_current_agent()
    assert hiveloop.get_current_agent() is None
    assert hive.one("llm_call").task == hive.one("task_started").task


def test_module_level_sensors_act_on_the_current_task(hive: Hive) -> None:
    with hive.agent().task("t"):
        hiveloop.llm_call("reason", "gpt-4o")
        hiveloop.plan("goal", ["a"])
        hiveloop.plan_step(0, "started", "a")
        hiveloop.retry("again")
        hiveloop.escalate("help")
        hiveloop.request_approval("may I")
        hiveloop.approval_received("yes")
        hiveloop.event("custom", {"kind": "learning"})
        hiveloop.todo("td_001", "created", "Call back")
        hiveloop.report_issue("CRM down", "low")
        hiveloop.resolve_issue("CRM is back")
        hiveloop.queue_snapshot(1)
        hiveloop.scheduled([])
        hiveloop.set_payload({"pages": 3})
        with hiveloop.track_context("step"):
            pass
    assert hive.names() == [
        "task_started",
        "llm_call",
        "plan_created",
        "plan_step",
        "retry_started",
        "escalated",
        "approval_requested",
        "approval_received",
        "learning",
        "todo",
        "issue",
        "issue",
        "queue_snapshot",
        "scheduled",
        "action_started",
        "action_completed",
        "task_completed",
    ]
    assert hive.one("task_completed").payload["pages"] == 3


def test_module_level_sensors_are_harmless_without_a_task(hive: Hive) -> None:
    hiveloop.llm_call("reason", "gpt-4o")
    hiveloop.plan("goal", ["a"])
    hiveloop.set_payload({"pages": 3})
    with hiveloop.track_context("step") as ctx:
        ctx.set_payload({"args": {}})
    assert hive.events() == []


def test_propagate_carries_the_task_into_a_thread(hive: Hive) -> None:
    seen: list[Task | None] = []

    def work() -> None:
        seen.append(hiveloop.get_current_task())

    with hive.agent().task("t") as task:
        for target in (work, hiveloop.propagate(work)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [None, task]
