"""hiveloop.testing and the pytest plugin, as somebody who tests an agent uses them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hiveloop
from hiveloop import Outcome, Refused, Transport
from hiveloop.testing import Capture, ManualClock, capture
from hiveloop.transports import MemoryTransport
from tests.support.server import ScriptedServer
from tests.support.wait import eventually

pytest_plugins = ["pytester"]


def run_agent() -> None:
    """An application that knows nothing of tests."""
    hb = hiveloop.init("hb_live_application", endpoint="https://api.hiveboard.io")
    agent = hb.agent("sales", type="sales")

    @agent.track("fetch")
    def fetch() -> None:
        hiveloop.llm_call("rank", "haiku", tokens_in=3, cost=0.001)
        raise ValueError("boom")

    with agent.task("lead-42", project="crm") as task:
        task.plan("Answer", ["look", "write"])
        task.plan_step(0, "completed", "found it")
        task.llm_call("reason", "claude", tokens_in=1200, tokens_out=350, cost=0.008, metadata={"turn": 1})
        with agent.track_context("search") as action:
            action.set_payload({"hits": 3})
            try:
                fetch()
            except ValueError:
                task.retry("again", attempt=2)
        agent.report_issue("CRM is slow", "high")
    hiveloop.shutdown()


TREE = """\
agent sales
  task lead-42 [success]
    plan Answer
      1. look [completed]
      2. write [pending]
    llm reason -> claude 1200 in / 350 out $0.008
    action search [success]
      action fetch [failure] ValueError: boom
        llm rank -> haiku 3 in $0.001
      retry_started: again
  issue reported: CRM is slow"""


# -- what is captured ---------------------------------------------------------------------------


def test_the_tree_is_the_same_text_every_time() -> None:
    for _ in range(2):
        with capture() as seen:
            run_agent()
            assert seen.tree() == TREE
        assert seen.tree() == str(seen) == TREE


def test_tasks_actions_calls_and_plans_can_be_looked_at() -> None:
    with capture() as seen:
        run_agent()
    task = seen.task("lead-42")
    assert seen.tasks[0].task_id == task.task_id
    assert (task.status, task.agent_id, task.project, task.cost) == ("success", "sales", "crm", 0.009)
    assert [call.model for call in task.llm_calls] == ["claude", "haiku"]
    assert task.llm_calls[0].metadata == {"turn": 1}
    assert task.plan is not None
    assert [(s.description, s.status) for s in task.plan.steps] == [
        ("look", "completed"),
        ("write", "pending"),
    ]
    (search,) = task.actions
    (fetch,) = search.children
    assert (search.status, search.payload, search.llm_calls) == ("success", {"hits": 3}, [])
    assert (fetch.status, fetch.error) == ("failure", "ValueError: boom")
    assert fetch.llm_calls[0].name == "rank"
    assert [action.name for action in task.walk()] == ["search", "fetch"]
    assert [event.type for event in task.events][:2] == ["task_started", "custom"]
    assert seen.total_cost == 0.009


def test_work_outside_tasks_is_captured() -> None:
    with capture() as seen:
        agent = hiveloop.init().agent("ops")
        with agent.track_context("poll"):
            agent.llm_call("triage", "haiku", tokens_out=7)
    assert seen.tasks == []
    assert seen.tree() == "agent ops\n  action poll [success]\n  llm triage -> haiku 7 out"


def test_a_repeated_task_is_two_tasks() -> None:
    with capture() as seen:
        agent = hiveloop.init().agent("a")
        for status in ("first", "second"):
            agent.start_task("again").complete(status)
    assert [task.status for task in seen.tasks] == ["first", "second"]
    assert seen.task("again").status == "second"


def test_reading_needs_no_flush_and_clear_starts_over() -> None:
    with capture() as seen:
        agent = hiveloop.init().agent("a")
        with agent.task("one"):
            assert [task.task_id for task in seen.open_tasks] == ["one"]
        assert seen.open_tasks == []
        seen.clear()
        with agent.task("two"):
            pass
        assert [task.task_id for task in seen.tasks] == ["two"]


def test_events_may_go_to_transports_as_well() -> None:
    one, two = MemoryTransport(), MemoryTransport()
    with capture(transport=one) as outer, capture(transport=[one, two]) as seen:
        run_agent()
        assert seen.events == one.events == two.events
        assert (len(seen.tasks), outer.events) == (1, [])


def test_what_such_a_transport_drops_fails_the_test() -> None:
    class Refusing(Transport):
        def send(self, prepared: object, timeout: float) -> Outcome:
            return Refused("no")

    with capture(transport=Refusing()) as seen:
        hiveloop.init().agent("a")
    with pytest.raises(AssertionError, match="1 refused"):
        seen.events  # noqa: B018


def test_threads_and_coroutines_are_captured() -> None:
    with capture() as seen:
        agent = hiveloop.init().agent("a")

        @agent.track("step")
        async def step() -> None:
            await asyncio.sleep(0)

        async def work() -> None:
            with agent.task("async"):
                await asyncio.gather(step(), step())

        asyncio.run(work())
        thread = threading.Thread(target=lambda: agent.start_task("thread").complete())
        thread.start()
        thread.join()
    seen.assert_called("step", times=2)
    assert {task.task_id for task in seen.tasks} == {"async", "thread"}


@pytest.mark.parametrize("odd", [None, True, 3, "x", [], ["a"], {}, {"a": 1}], ids=repr)
def test_events_made_by_hand_in_odd_shapes_can_be_read(odd: object) -> None:
    keys = (
        "name",
        "model",
        "tokens_in",
        "cost",
        "metadata",
        "steps",
        "goal",
        "revision",
        "step_index",
        "action",
    )
    with capture() as seen, hiveloop.init().agent("a").task("t") as task:
        for kind in ("llm_call", "plan_created", "plan_step", "issue", "x"):
            task.event("custom", {"kind": kind, "summary": odd, "data": dict.fromkeys(keys, odd)})
            task.event("custom", {"kind": kind, "data": odd})
        for kind in ("action_completed", "action_failed", "task_started", "agent_registered", "escalated"):
            task.event(kind, {"summary": odd, "data": odd})
    assert len(seen.events) == 18
    assert seen.tree().startswith("agent a\n  task t [success]")
    assert seen.total_cost >= 0


def test_no_event_is_lost_however_many_there_are() -> None:
    with capture() as seen:
        agent = hiveloop.init().agent("a")
        for _ in range(25_000):
            agent.llm_call("n", "m")
        assert len(seen.llm_calls) == 25_000


def test_secrets_are_redacted_and_masked_as_in_production() -> None:
    with capture(mask=lambda payload: {**payload, "seen": "by mask"}, capture_content=False) as seen:
        agent = hiveloop.init().agent("a")
        agent.llm_call("n", "m", prompt_preview="secret prompt")
        agent.event("custom", {"kind": "x", "data": {"password": "hunter2"}})
    call, event = seen.events[-2:]
    assert "secret prompt" not in str(call.payload)
    assert call.payload["seen"] == "by mask"
    assert "hunter2" not in str(event.payload)


# -- around the block ---------------------------------------------------------------------------


def test_what_init_made_before_is_back_afterwards_and_sees_nothing() -> None:
    memory = MemoryTransport()
    earlier = hiveloop.init(transport=memory)
    agent = earlier.agent("outer", heartbeat_interval=0)
    with agent.task("outer-task"):
        with capture() as seen:
            assert hiveloop.get_client() is seen.client is hiveloop.init("hb_live_x")
            assert hiveloop.get_current_task() is None
            assert hiveloop.get_current_agent() is None
            hiveloop.init().agent("inner").start_task("left open")
        assert hiveloop.get_client() is earlier
        current = hiveloop.get_current_task()
        assert current is not None
        assert current.task_id == "outer-task"
    assert hiveloop.get_current_agent() is None
    assert hiveloop.flush()
    assert [task.task_id for task in seen.open_tasks] == ["left open"]
    assert {event.agent.agent_id for event in memory.events} == {"outer"}


def test_agents_that_an_application_keeps_in_module_variables_are_captured() -> None:
    memory = MemoryTransport()
    hb = hiveloop.init(transport=memory)  # at import of the application, long before the test
    agent = hb.agent("kept", heartbeat_interval=0)
    with capture() as seen:
        with agent.task("during"):
            pass
        hb.agent("new", heartbeat_interval=0).start_task("also during").complete()
    with agent.task("after"):
        pass
    assert hiveloop.flush()
    assert [task.task_id for task in seen.tasks] == ["during", "also during"]
    assert {event.task.task_id for event in memory.events if event.task} == {"after"}


def test_shutdown_and_reset_of_the_application_do_not_end_the_capture() -> None:
    with capture() as seen:
        for end in (hiveloop.shutdown, hiveloop.reset, lambda: None):
            with hiveloop.init("hb_live_x").agent("a").task(f"task {len(seen.tasks)}"):
                pass
            end()
    assert [task.task_id for task in seen.tasks] == ["task 0", "task 1", "task 2"]
    assert hiveloop.get_client() is None


def test_a_chosen_agent_is_chosen_again_afterwards() -> None:
    agent = hiveloop.init(transport=MemoryTransport()).agent("chosen")
    hiveloop.set_current_agent(agent)
    with capture():
        assert hiveloop.get_current_agent() is None
    assert hiveloop.get_current_agent() is agent
    hiveloop.clear_current_agent()


def test_blocks_nest() -> None:
    with capture() as outer:
        with capture() as inner:
            hiveloop.init().agent("a").start_task("inner").complete()
        hiveloop.init().agent("a").start_task("outer").complete()
    assert [task.task_id for task in inner.tasks] == ["inner"]
    assert [task.task_id for task in outer.tasks] == ["outer"]


def test_an_exception_of_the_test_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), capture() as seen, hiveloop.init().agent("a").task("t"):
        raise ZeroDivisionError
    assert seen.task("t").error == "ZeroDivisionError"
    assert hiveloop.get_client() is None


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    with capture(heartbeats=True) as seen:
        hiveloop.init().agent("a").start_task("t").complete()
        assert seen.tasks
    assert set(threading.enumerate()) == before


def test_the_environment_does_not_reach_into_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_DISABLED", "1")
    monkeypatch.setenv("HIVELOOP_BATCH_SIZE", "nonsense")
    with capture() as seen:
        hiveloop.init().agent("a").start_task("t").complete()
    assert seen.task("t").status == "success"


# -- time ---------------------------------------------------------------------------------------


def test_agents_do_not_beat_unless_asked_to() -> None:
    clock = ManualClock()
    for beats in (False, True):
        with capture(heartbeats=beats, clock=clock) as seen:
            hb = hiveloop.init()
            hb.agent("a", "general", None, "custom", 30.0, heartbeat_payload=lambda: {"n": 1})
            hb.agent("b", heartbeat_interval=30.0)
            clock.advance(31)
            if beats:
                eventually(
                    lambda: {e.agent.agent_id for e in seen.events if e.type == "heartbeat"} == {"a", "b"}
                )
        assert bool([e for e in seen.events if e.type == "heartbeat"]) is beats
        assert "heartbeat" not in seen.tree()


def test_a_manual_clock_moves_only_when_told() -> None:
    clock, event, woken = ManualClock(), threading.Event(), threading.Event()
    start, start_ns = clock.monotonic(), clock.time_ns()

    def wait() -> None:
        assert clock.wait(event, 60.0) is False
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    clock.advance(59)
    assert not woken.wait(0.05)
    clock.advance(1)
    assert woken.wait(5)
    thread.join()
    assert (clock.monotonic() - start, clock.time_ns() - start_ns) == (60, 60 * 10**9)
    event.set()
    assert clock.wait(event, 60.0) is True


# -- assertions ---------------------------------------------------------------------------------


@pytest.fixture
def seen() -> Capture:
    with capture() as captured:
        run_agent()
    return captured


def test_assertions_that_hold(seen: Capture) -> None:
    assert [action.name for action in seen.assert_called("search", times=1, status="success")] == ["search"]
    assert [call.model for call in seen.assert_llm_called(model="haiku")] == ["haiku"]
    assert len(seen.assert_llm_called(times=2)) == 2
    assert seen.assert_llm_called(name="reason")[0].tokens_in == 1200
    seen.assert_called("missing", times=0)
    seen.assert_not_called("missing")
    seen.assert_cost_below(0.0091)
    seen.assert_no_open_tasks()


def failure(assertion: object, *args: object, **kwargs: object) -> str:
    assert callable(assertion)
    with pytest.raises(AssertionError) as caught:
        assertion(*args, **kwargs)
    return str(caught.value)


def test_failing_assertions_say_what_was_there_and_show_the_tree(seen: Capture) -> None:
    messages = {
        failure(seen.assert_called, "lookup"): "expected action 'lookup', but there was: fetch, search",
        failure(seen.assert_called, "fetch", times=2): "expected action 'fetch' 2 times, found it once",
        failure(
            seen.assert_called, "fetch", status="success"
        ): "expected action 'fetch' with status 'success'",
        failure(seen.assert_not_called, "fetch"): "action 'fetch' ran once, but should not have",
        failure(
            seen.assert_llm_called, model="gpt"
        ): "expected an LLM call of model 'gpt', but there was: rank -> haiku",
        failure(
            seen.assert_cost_below, 0.009
        ): "$0.009 is not below $0.009; the dearest calls: reason -> claude $0.008",
        failure(seen.assert_no_errors): "action 'fetch' failed: ValueError: boom; issue: CRM is slow",
        failure(seen.task, "lead-43"): "there was no task 'lead-43'",
    }
    for message, beginning in messages.items():
        assert message.startswith(beginning)
        assert message.endswith(TREE)


def test_open_and_failed_tasks_are_found() -> None:
    with capture() as seen:
        agent = hiveloop.init().agent("a")
        agent.start_task("open")
        agent.start_task("failed").fail(KeyError("k"))
    assert failure(seen.assert_no_open_tasks).startswith("not ended: 'open'")
    assert failure(seen.assert_no_errors).startswith("task 'failed' failed: KeyError: 'k'")


def test_an_empty_capture_says_so() -> None:
    with capture() as seen:
        pass
    seen.assert_no_errors()
    assert (
        failure(seen.assert_called, "x")
        == "expected action 'x', but there was: none at all\n\n(nothing was reported)"
    )


# -- pytest -------------------------------------------------------------------------------------


def test_the_fixture_captures(hiveloop_capture: Capture) -> None:
    run_agent()
    assert hiveloop_capture.tree() == TREE


def test_a_client_left_behind_is_stopped_and_one_of_a_wider_scope_stays(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_one="""
        import threading
        import hiveloop, pytest
        from hiveloop.transports import MemoryTransport

        def test_leaves_a_client_behind():
            hb = hiveloop.init(transport=MemoryTransport())
            hb.agent("a").start_task("t")

        def test_finds_nothing_of_it():
            assert hiveloop.get_client() is None
            assert hiveloop.get_current_task() is None
            assert [t.name for t in threading.enumerate() if t.name.startswith("hiveloop")] == []

        @pytest.fixture
        def made():
            return hiveloop.init(transport=MemoryTransport())

        def test_a_fixture_without_an_end(made):
            assert hiveloop.get_client() is made

        def test_finds_nothing_of_that_either():
            assert hiveloop.get_client() is None

        def test_a_failing_one():
            hiveloop.init(transport=MemoryTransport())
            assert False

        def test_finds_nothing_after_a_failure():
            assert hiveloop.get_client() is None
        """,
        test_two="""
        import hiveloop, pytest
        from hiveloop.transports import MemoryTransport

        @pytest.fixture(scope="module")
        def shared():
            yield hiveloop.init(transport=MemoryTransport())
            hiveloop.reset()

        @pytest.mark.parametrize("time", [1, 2])
        def test_it_stays(shared, time):
            assert hiveloop.get_client() is shared
            assert not shared.closed

        def test_a_capture_on_top(shared, hiveloop_capture):
            assert hiveloop.get_client() is hiveloop_capture.client

        def test_is_gone_again(shared):
            assert hiveloop.get_client() is shared
            shared.agent("a").start_task("t").complete()
            assert shared.flush()
            assert shared.stats().delivered == 3
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=9, failed=1)


def test_without_hiveloop_in_use_the_plugin_imports_little() -> None:
    program = (
        "import sys; old = set(sys.modules); import hiveloop._pytest_plugin; print(*set(sys.modules) - old)"
    )
    listed = subprocess.run(
        [sys.executable, "-c", f"import pytest; {program}"], capture_output=True, text=True, check=True
    )
    loaded = set(listed.stdout.split())
    assert "hiveloop._pytest_plugin" in loaded
    heavy = {
        "requests",
        "urllib3",
        "ssl",
        "asyncio",
        "rich",
        "http.client",
        "hiveloop.testing",
        "hiveloop.transports.http",
    }
    assert not loaded & heavy


def test_under_pytest_nothing_connects_to_the_internet() -> None:
    hb = hiveloop.init("hb_live_application", endpoint="https://api.hiveboard.io")
    assert not hb.enabled
    with hb.agent("a").task("t"):
        pass
    assert hiveloop.flush()
    assert hb.stats().accepted == 0
    assert [t.name for t in threading.enumerate() if t.name.startswith("hiveloop")] == []


def test_under_pytest_a_loopback_server_is_asked_for_by_its_address() -> None:
    with ScriptedServer() as server:
        hb = hiveloop.init("hb_live_application", endpoint=server.url)
        assert hb.enabled
        with hb.agent("a", heartbeat_interval=0).task("t"):
            pass
        assert hiveloop.flush()
        assert [event["event_type"] for event in server.events()] == [
            "agent_registered",
            "task_started",
            "task_completed",
        ]
        hiveloop.reset()


def test_under_pytest_the_network_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_PYTEST_NETWORK", "1")
    assert hiveloop.init("hb_live_application", endpoint="https://nowhere.invalid").enabled


def test_outside_pytest_the_rule_does_not_apply() -> None:
    program = "import hiveloop; print(hiveloop.init('hb_live_x', endpoint='https://nowhere.invalid').enabled)"
    environment = {"PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "True"
