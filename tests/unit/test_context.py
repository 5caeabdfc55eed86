"""What is current: under asyncio, in threads, in generators, nested, cancelled, and entered apart."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import hiveloop
from hiveloop import Agent, Event, Task
from hiveloop.transports import MemoryTransport

pytestmark = pytest.mark.usefixtures("strict")


class Seen:
    """A client, and its events as a tree of names."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.hb = hiveloop.init(transport=self.transport)
        self.agent = self.agent_named("sales")

    def agent_named(self, name: str) -> Agent:
        return self.hb.agent(name, heartbeat_interval=0)

    @property
    def events(self) -> list[Event]:
        assert self.hb.flush(10.0)
        return self.transport.events

    def where(self, name: str) -> tuple[str, ...]:
        """Where the first event of that name or model call happened: agent, task, actions outside in."""
        [event] = [e for e in self.events if name in (e.payload.get("action_name"), e.data.get("name"))][:1]
        return self.place_of(event)

    def places(self, name: str) -> list[tuple[str, ...]]:
        """The same for all events of that name."""
        return [self.place_of(e) for e in self.events if e.data.get("name") == name]

    def place_of(self, event: Event) -> tuple[str, ...]:
        names: list[str] = []
        action = event.action
        while action is not None:
            started = self._started(action.action_id)
            names.append(started.payload["action_name"])
            parent = action.parent_action_id
            action = None if parent is None else self._started(parent).action
        task = () if event.task is None else (event.task.task_id,)
        return (event.agent.agent_id, *task, *reversed(names))

    def _started(self, action_id: str) -> Event:
        [found] = [
            e
            for e in self.transport.events
            if e.type == "action_started" and e.action is not None and e.action.action_id == action_id
        ]
        return found

    def all_ended(self) -> bool:
        """Whether each scope that started has ended, once."""
        started = sorted(self._scopes("started"))
        return started == sorted(self._scopes("completed", "failed"))

    def _scopes(self, *moments: str) -> list[str]:
        return [
            e.action.action_id if e.action else e.task.run_id if e.task else ""
            for e in self.events
            if e.type.endswith(moments) and not e.type.startswith(("retry", "agent"))
        ]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def here() -> None:
    """Report a model call wherever the program is."""
    hiveloop.llm_call("here", "model")


# -- nesting ------------------------------------------------------------------------------------------


def test_outside_there_is_nothing(seen: Seen) -> None:
    assert hiveloop.get_current_task() is None
    assert hiveloop.get_current_agent() is None
    here()
    hiveloop.plan("goal", ["a"])
    hiveloop.set_payload({"a": 1})
    hiveloop.expecting(3)
    with hiveloop.track_context("nowhere"):
        here()
    assert [e.type for e in seen.events] == ["agent_registered"]


def test_scopes_nest_and_each_exit_restores_the_one_before(seen: Seen) -> None:
    with seen.agent.task("outer") as outer:
        with hiveloop.track_context("a"), hiveloop.track_context("b"):
            here()
            with seen.agent.task("inner") as inner:
                assert hiveloop.get_current_task() is inner
                with hiveloop.track_context("c"):
                    hiveloop.llm_call("in c", "model")
            assert hiveloop.get_current_task() is outer
            hiveloop.llm_call("in b again", "model")
        hiveloop.llm_call("in outer again", "model")
    assert hiveloop.get_current_task() is None

    assert seen.where("here") == ("sales", "outer", "a", "b")
    assert seen.where("in c") == ("sales", "inner", "c")
    assert seen.where("in b again") == ("sales", "outer", "a", "b")
    assert seen.where("in outer again") == ("sales", "outer")


def test_a_sensor_of_an_outer_task_stays_with_that_task(seen: Seen) -> None:
    outer = seen.agent.task("outer")
    with outer, seen.agent.track_context("a"), seen.agent.task("inner"), seen.agent.track_context("b"):
        outer.llm_call("of outer", "model")
    assert seen.where("of outer") == ("sales", "outer")


def test_two_agents_nest_each_with_its_own(seen: Seen) -> None:
    other = seen.agent_named("support")
    with seen.agent.task("mine"), seen.agent.track_context("ask"):
        assert hiveloop.get_current_agent() is seen.agent
        with other.task("theirs") as theirs, other.track_context("answer"):
            assert hiveloop.get_current_agent() is other
            assert hiveloop.get_current_task() is theirs
            hiveloop.llm_call("of the other", "model")
            with seen.agent.track_context("aside"):
                seen.agent.llm_call("agent level", "model")
        assert hiveloop.get_current_agent() is seen.agent
        here()
    assert seen.where("of the other") == ("support", "theirs", "answer")
    assert seen.where("here") == ("sales", "mine", "ask")
    assert seen.where("aside") == ("sales", "mine", "ask", "aside"), (
        "an agent's action is in that agent's task"
    )
    assert seen.where("agent level") == ("sales",)


def test_a_manual_task_is_current_until_it_ends(seen: Seen) -> None:
    task = seen.agent.start_task("manual")
    assert hiveloop.get_current_task() is task
    with hiveloop.track_context("a"):
        here()
    task.complete()
    assert hiveloop.get_current_task() is None
    assert seen.where("here") == ("sales", "manual", "a")


def test_manual_tasks_may_end_in_any_order(seen: Seen) -> None:
    first, second, third = (seen.agent.start_task(name) for name in ("first", "second", "third"))
    second.complete()
    assert hiveloop.get_current_task() is third
    third.complete()
    assert hiveloop.get_current_task() is first
    first.complete()
    assert hiveloop.get_current_task() is None


@pytest.mark.parametrize("seed", range(20))
def test_any_interleaving_of_manual_tasks_leaves_the_innermost_open_one_current(
    seen: Seen, seed: int
) -> None:
    chance = random.Random(seed)
    opened: list[Task] = []
    for number in range(40):
        if opened and chance.random() < 0.5:
            opened.pop(chance.randrange(len(opened))).complete()
        else:
            opened.append(seen.agent.start_task(f"task-{number}"))
        assert hiveloop.get_current_task() is (opened[-1] if opened else None)


def test_activate_makes_a_task_current_elsewhere(seen: Seen) -> None:
    task = seen.agent.start_task("manual")
    found: list[object] = []

    def callback() -> None:
        found.append(hiveloop.get_current_task())
        with task.activate() as active:
            assert active is task
            found.append(hiveloop.get_current_task())
            here()
        found.append(hiveloop.get_current_task())

    thread = threading.Thread(target=callback)
    thread.start()
    thread.join(10.0)
    task.complete()
    assert found == [None, task, None]
    assert seen.where("here") == ("sales", "manual")


def test_activate_inside_another_task_restores_that_one(seen: Seen) -> None:
    manual = seen.agent.start_task("manual")
    with seen.agent.task("other") as other:
        with manual.activate():
            assert hiveloop.get_current_task() is manual
        assert hiveloop.get_current_task() is other
        with pytest.raises(KeyError), manual.activate():
            raise KeyError
        assert hiveloop.get_current_task() is other
    assert hiveloop.get_current_task() is manual


def test_tasks_and_agents_can_be_set_and_cleared_by_hand(seen: Seen) -> None:
    other = seen.agent_named("support")
    task = seen.agent.start_task("manual")
    hiveloop.clear_current_task()
    assert hiveloop.get_current_task() is None
    hiveloop.set_current_task(task)
    assert hiveloop.get_current_task() is task
    assert hiveloop.get_current_agent() is seen.agent
    hiveloop.set_current_agent(other)
    assert hiveloop.get_current_agent() is other
    assert hiveloop.get_current_task() is task
    with seen.agent.task("later"):
        assert hiveloop.get_current_agent() is seen.agent, "a task entered later speaks for itself"
    assert hiveloop.get_current_agent() is other
    hiveloop.clear_current_agent()
    assert hiveloop.get_current_agent() is seen.agent
    hiveloop.clear_current_task()
    assert hiveloop.get_current_agent() is None


def test_an_agent_without_a_task_can_be_current(seen: Seen) -> None:
    hiveloop.set_current_agent(seen.agent)
    here()
    hiveloop.todo("t-1", "created", "write tests")

    @hiveloop.track("step")
    def step() -> None:
        hiveloop.llm_call("in step", "model")

    step()
    assert seen.where("here") == ("sales",)
    assert seen.where("step") == ("sales", "step")
    assert [e.kind for e in seen.events if e.kind == "todo"] == ["todo"]


# -- apart, and elsewhere -----------------------------------------------------------------------------


def test_enter_and_exit_in_different_contexts(seen: Seen) -> None:
    action = seen.agent.track_context("apart")
    task = seen.agent.task("lead-42")
    first, second = contextvars.copy_context(), contextvars.copy_context()
    first.run(task.__enter__)
    first.run(action.__enter__)
    second.run(action.__exit__, None, None, None)
    assert first.run(hiveloop.get_current_task) is task
    first.run(here)
    second.run(task.__exit__, None, None, None)
    assert first.run(hiveloop.get_current_task) is None
    assert second.run(hiveloop.get_current_task) is None
    assert seen.where("here") == ("sales", "lead-42"), "an action that ended elsewhere is stepped over"
    assert seen.all_ended()


def test_exits_out_of_order(seen: Seen) -> None:
    outer, inner = seen.agent.track_context("outer"), seen.agent.track_context("inner")
    with seen.agent.task("lead-42"):
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        here()
        inner.__exit__(None, None, None)
        hiveloop.llm_call("after", "model")
    assert seen.where("here") == ("sales", "lead-42", "outer", "inner")
    assert seen.where("after") == ("sales", "lead-42")


def test_a_scope_works_once(seen: Seen) -> None:
    action = seen.agent.track_context("once")
    for _ in range(3):
        action.__enter__()
    for _ in range(3):
        action.__exit__(None, None, None)
    with seen.agent.task("lead-42") as task, task:
        pass
    assert len([e for e in seen.events if e.type.startswith(("action", "task"))]) == 4


def test_a_new_thread_starts_with_nothing_and_propagate_carries_it(seen: Seen) -> None:
    found: list[object] = []
    with seen.agent.task("lead-42") as task, seen.agent.track_context("fan out"):
        threads = [
            threading.Thread(target=lambda: found.append(hiveloop.get_current_task())),
            threading.Thread(
                target=hiveloop.propagate(lambda: (found.append(hiveloop.get_current_task()), here()))
            ),
        ]
        for thread in threads:
            thread.start()
            thread.join(10.0)
    assert found == [None, task]
    assert seen.where("here") == ("sales", "lead-42", "fan out")


def test_propagate_in_an_executor_keeps_the_workers_apart(seen: Seen) -> None:
    together = threading.Barrier(4, timeout=10.0)

    def work(number: int) -> object:
        before = hiveloop.get_current_task()
        together.wait()
        with hiveloop.track_context(f"part-{number}"):
            together.wait()
            hiveloop.llm_call(f"call-{number}", "model")
        return before

    def now(number: int) -> object:
        return hiveloop.get_current_task()

    with ThreadPoolExecutor(4) as pool:
        with seen.agent.task("lead-42") as task, seen.agent.track_context("fan out"):
            assert list(pool.map(hiveloop.propagate(work), range(8))) == [task] * 8
        hiveloop.set_current_agent(seen.agent)
        assert list(pool.map(now, range(8))) == [None] * 8, "nothing stays behind in the pool"
    for number in range(8):
        assert seen.where(f"call-{number}") == ("sales", "lead-42", "fan out", f"part-{number}")


def test_propagate_carries_the_chosen_agent_results_and_errors(seen: Seen) -> None:
    hiveloop.set_current_agent(seen.agent)

    def work(fail: bool, *, word: str = "x") -> str:
        """Do it."""
        assert hiveloop.get_current_agent() is seen.agent
        if fail:
            raise LookupError(word)
        return word

    carried = hiveloop.propagate(work)
    assert (carried.__name__, carried.__doc__) == ("work", "Do it.")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(carried, False, word="y").result(10.0) == "y"
        with pytest.raises(LookupError, match="z"):
            pool.submit(carried, True, word="z").result(10.0)


def test_threads_have_their_own_tasks(seen: Seen) -> None:
    together = threading.Barrier(6, timeout=10.0)
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(20):
            with seen.agent.task(f"task-{number}-{turn}") as task:
                together.wait()
                with hiveloop.track_context("step"):
                    here()
                if hiveloop.get_current_task() is not task:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert not wrong
    assert sorted(seen.places("here")) == sorted(
        ("sales", f"task-{n}-{t}", "step") for n in range(6) for t in range(20)
    )
    assert seen.all_ended()


# -- asyncio ------------------------------------------------------------------------------------------


def test_concurrent_coroutines_on_one_agent_do_not_mix(seen: Seen) -> None:
    @seen.agent.track("step")
    async def step(number: int, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        hiveloop.llm_call(f"call-{number}", "model")
        if number % 3 == 0:
            raise ValueError(number)

    async def job(number: int) -> None:
        with seen.agent.task(f"task-{number}") as task:
            try:
                await step(number, turns=number % 5)
            except ValueError:
                pass
            await asyncio.sleep(0)
            assert hiveloop.get_current_task() is task

    async def main() -> None:
        await asyncio.gather(*(job(n) for n in range(30)))
        assert hiveloop.get_current_task() is None

    asyncio.run(main())
    for number in range(30):
        assert seen.where(f"call-{number}") == ("sales", f"task-{number}", "step")
    assert seen.all_ended()


def test_children_inherit_and_their_scopes_do_not_leak_into_the_parent(seen: Seen) -> None:
    async def child(number: int, gate: asyncio.Event) -> None:
        with hiveloop.track_context(f"child-{number}"):
            await gate.wait()
            hiveloop.llm_call(f"call-{number}", "model")

    async def main() -> None:
        gate = asyncio.Event()
        with seen.agent.task("lead-42") as task, seen.agent.track_context("parent"):
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(child(number, gate))
                await asyncio.sleep(0)
                here()
                gate.set()
            assert hiveloop.get_current_task() is task

    asyncio.run(main())
    assert seen.where("here") == ("sales", "lead-42", "parent")
    for number in range(3):
        assert seen.where(f"call-{number}") == ("sales", "lead-42", "parent", f"child-{number}")


def test_a_child_that_outlives_its_parents_scope_steps_over_it(seen: Seen) -> None:
    async def late(gate: asyncio.Event) -> None:
        await gate.wait()
        hiveloop.llm_call("late", "model")

    async def main() -> None:
        gate = asyncio.Event()
        with seen.agent.task("outer"):
            with seen.agent.task("inner"):
                child = asyncio.create_task(late(gate))
            gate.set()
            await child

    asyncio.run(main())
    assert seen.where("late") == ("sales", "outer")


def test_to_thread_and_callbacks_carry_the_context(seen: Seen) -> None:
    async def main() -> None:
        with seen.agent.task("lead-42"):
            await asyncio.to_thread(hiveloop.llm_call, "in a thread", "model")
            asyncio.get_running_loop().call_soon(hiveloop.llm_call, "in a callback", "model")
            await asyncio.sleep(0)

    asyncio.run(main())
    assert seen.where("in a thread") == ("sales", "lead-42")
    assert seen.where("in a callback") == ("sales", "lead-42")


def test_cancellation_restores_what_was_current(seen: Seen) -> None:
    async def main() -> None:
        with seen.agent.task("outer") as outer:
            try:
                async with asyncio.timeout(0.01):
                    with seen.agent.task("inner"), seen.agent.track_context("wait"):
                        await asyncio.Event().wait()
            except TimeoutError:
                pass
            assert hiveloop.get_current_task() is outer
            here()

    asyncio.run(main())
    assert seen.where("here") == ("sales", "outer")
    assert seen.all_ended()


# -- generators ---------------------------------------------------------------------------------------


def test_the_consumers_code_between_items_is_not_inside_the_generator(seen: Seen) -> None:
    @seen.agent.track("numbers")
    def numbers() -> Iterator[int]:
        for number in range(3):
            hiveloop.llm_call(f"produce-{number}", "model")
            yield number

    with seen.agent.task("lead-42"):
        for number in numbers():
            hiveloop.llm_call(f"consume-{number}", "model")
            with hiveloop.track_context(f"work-{number}"):
                pass
        here()
    for number in range(3):
        assert seen.where(f"produce-{number}") == ("sales", "lead-42", "numbers")
        assert seen.where(f"consume-{number}") == ("sales", "lead-42")
        assert seen.where(f"work-{number}") == ("sales", "lead-42", f"work-{number}")
    assert seen.where("here") == ("sales", "lead-42")


def test_the_same_for_async_generators(seen: Seen) -> None:
    @seen.agent.track("numbers")
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            hiveloop.llm_call(f"produce-{number}", "model")
            yield number

    async def main() -> None:
        with seen.agent.task("lead-42"):
            async for number in numbers():
                await asyncio.sleep(0)
                hiveloop.llm_call(f"consume-{number}", "model")
            here()

    asyncio.run(main())
    for number in range(3):
        assert seen.where(f"produce-{number}") == ("sales", "lead-42", "numbers")
        assert seen.where(f"consume-{number}") == ("sales", "lead-42")
    assert seen.where("here") == ("sales", "lead-42")


def test_a_scope_held_open_across_a_yield_is_the_generators_own(seen: Seen) -> None:
    @seen.agent.track("pages")
    def pages() -> Iterator[int]:
        with hiveloop.track_context("connection"):
            for page in range(2):
                hiveloop.llm_call(f"read-{page}", "model")
                yield page
        hiveloop.llm_call("closed", "model")

    with seen.agent.task("lead-42"):
        for page in pages():
            hiveloop.llm_call(f"use-{page}", "model")
    for page in range(2):
        assert seen.where(f"read-{page}") == ("sales", "lead-42", "pages", "connection")
        assert seen.where(f"use-{page}") == ("sales", "lead-42")
    assert seen.where("closed") == ("sales", "lead-42", "pages")


def test_a_scope_held_open_across_a_yield_of_an_async_generator(seen: Seen) -> None:
    @seen.agent.track("pages")
    async def pages() -> AsyncIterator[int]:
        with hiveloop.track_context("connection"):
            for page in range(2):
                await asyncio.sleep(0)
                hiveloop.llm_call(f"read-{page}", "model")
                yield page

    async def main() -> None:
        with seen.agent.task("lead-42"):
            async for page in pages():
                hiveloop.llm_call(f"use-{page}", "model")

    asyncio.run(main())
    for page in range(2):
        assert seen.where(f"read-{page}") == ("sales", "lead-42", "pages", "connection")
        assert seen.where(f"use-{page}") == ("sales", "lead-42")


def test_generators_that_take_turns_do_not_mix(seen: Seen) -> None:
    @seen.agent.track
    def letters(name: str) -> Iterator[str]:
        for turn in range(3):
            with hiveloop.track_context(f"{name}-{turn}"):
                yield name

    with seen.agent.task("lead-42"):
        for _ in zip(letters("a"), letters("b"), strict=True):
            here()
    assert seen.places("here") == [("sales", "lead-42")] * 3
    for name in "ab":
        for turn in range(3):
            place = seen.where(f"{name}-{turn}")
            assert place[:2] == ("sales", "lead-42")
            assert place[2].endswith("letters")
            assert place[3:] == (f"{name}-{turn}",)


@pytest.mark.parametrize("leave", ["break", "throw", "collect"])
def test_a_generator_left_in_the_middle_restores_the_context(seen: Seen, leave: str) -> None:
    inside: list[object] = []

    @seen.agent.track("numbers")
    def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            hiveloop.llm_call("clean up", "model")
            inside.append(hiveloop.get_current_task())

    with seen.agent.task("lead-42") as task:
        generator = numbers()
        next(generator)
        if leave == "throw":
            with pytest.raises(KeyError):
                generator.throw(KeyError("x"))
        elif leave == "break":
            generator.close()
        else:
            del generator
        assert hiveloop.get_current_task() is task
        here()
    assert inside == [task]
    assert seen.where("clean up") == ("sales", "lead-42", "numbers")
    assert seen.where("here") == ("sales", "lead-42")
    assert seen.all_ended()


def test_an_async_generator_left_in_the_middle_restores_the_context(seen: Seen) -> None:
    @seen.agent.track("numbers")
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            hiveloop.llm_call("clean up", "model")

    async def main() -> None:
        with seen.agent.task("lead-42"):
            generator = numbers()
            async for _ in generator:
                break
            await generator.aclose()  # type: ignore[attr-defined]
            here()

    asyncio.run(main())
    assert seen.where("clean up") == ("sales", "lead-42", "numbers")
    assert seen.where("here") == ("sales", "lead-42")
    assert seen.all_ended()


def test_an_async_generator_that_is_just_dropped_ends_its_action(seen: Seen) -> None:
    @seen.agent.track("numbers")
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        with seen.agent.task("lead-42"):
            async for _ in numbers():
                break

    asyncio.run(main())
    assert seen.all_ended()


def test_a_generator_moved_to_another_thread_stays_in_its_task(seen: Seen) -> None:
    @seen.agent.track("numbers")
    def numbers() -> Iterator[int]:
        for number in range(4):
            hiveloop.llm_call(f"produce-{number}", "model")
            yield number

    with seen.agent.task("lead-42"):
        generator = numbers()
        next(generator)
        after: list[object] = []
        for _ in range(2):
            thread = threading.Thread(
                target=lambda: (next(generator), after.append(hiveloop.get_current_task()))
            )
            thread.start()
            thread.join(10.0)
        list(generator)
    assert after == [None, None]
    for number in range(4):
        assert seen.where(f"produce-{number}") == ("sales", "lead-42", "numbers")


def test_recursion_nests(seen: Seen) -> None:
    @seen.agent.track("walk")
    def walk(depth: int) -> Iterator[int]:
        if depth:
            yield from walk(depth - 1)
        else:
            here()
        yield depth

    with seen.agent.task("lead-42"):
        assert list(walk(3)) == [0, 1, 2, 3]
    assert seen.where("here") == ("sales", "lead-42", "walk", "walk", "walk", "walk")


# -- what kind of function it is ----------------------------------------------------------------------


def test_methods_of_all_kinds_are_tracked(seen: Seen) -> None:
    agent = seen.agent

    class Worker:
        @agent.track("method")
        def method(self, x: int) -> int:
            return x

        @agent.track("class method")
        @classmethod
        def of_class(cls, x: int) -> tuple[type, int]:
            return cls, x

        @staticmethod
        @agent.track("static")
        def static(x: int) -> int:
            return x

    with agent.task("lead-42"):
        assert Worker().method(1) == 1
        assert Worker.of_class(2) == (Worker, 2)
        assert Worker.static(3) == 3
    for name in ("method", "class method", "static"):
        assert seen.where(name) == ("sales", "lead-42", name)


def test_a_tracked_function_looks_as_before(seen: Seen) -> None:
    import inspect

    def plain(a: int, *, b: str = "x") -> str:
        """Say it."""
        return f"{a}{b}"

    async def coroutine() -> None: ...

    tracked: Callable[..., str] = seen.agent.track(plain)
    later: Callable[..., Awaitable[None]] = seen.agent.track(coroutine)
    assert inspect.signature(tracked) == inspect.signature(plain)
    assert (tracked.__name__, tracked.__doc__, tracked.__module__) == ("plain", "Say it.", __name__)
    assert inspect.iscoroutinefunction(later)
    tracked(1)
    started = next(e for e in seen.events if e.type == "action_started")
    assert started.payload["function"] == f"{__name__}.{plain.__qualname__}"
    assert started.payload["action_name"] == plain.__qualname__


def test_tracked_generator_functions_are_still_recognised(seen: Seen) -> None:
    """Frameworks look: fixtures of pytest, dependencies of web frameworks."""
    import inspect

    @seen.agent.track
    def generator() -> Iterator[int]:
        yield 1

    @seen.agent.track
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
