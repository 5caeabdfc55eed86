"""The agent's own exceptions pass through untouched, and its scopes say how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import hiveloop
from hiveloop import Agent, Event
from hiveloop.transports import MemoryTransport
from tests.unit.hostile import CORPUS

pytestmark = pytest.mark.usefixtures("strict")


class OwnBaseError(BaseException):
    """As some frameworks have, so that no ``except Exception`` swallows it."""


class SilentError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


ERRORS = [
    ValueError("boom"),
    KeyError("k"),
    SilentError("x"),
    AssertionError("expected 1"),
    StopAsyncIteration("odd"),
    OSError(2, "No such file"),
    ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
    KeyboardInterrupt(),
    SystemExit(3),
    asyncio.CancelledError("cancelled"),
    GeneratorExit(),
    OwnBaseError("own"),
]


def name_of(error: BaseException) -> str:
    return type(error).__name__


every_error = pytest.mark.parametrize("error", ERRORS, ids=name_of)


class Seen:
    """A client with one agent, and what arrived."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.hb = hiveloop.init(transport=self.transport)
        self.agent: Agent = self.hb.agent("sales", heartbeat_interval=0)

    def events(self, *types: str) -> list[Event]:
        assert self.hb.flush(10.0)
        return [event for event in self.transport.events if event.type in types]

    def end_of(self, kind: str) -> Event:
        """The only end of a task or an action."""
        [end] = self.events(f"{kind}_completed", f"{kind}_failed")
        return end

    def check(self, kind: str, error: BaseException) -> None:
        """Assert that the only scope of this kind failed with `error`."""
        end = self.end_of(kind)
        assert end.type == f"{kind}_failed"
        assert end.status == "failure"
        assert end.severity == "error"
        assert end.payload["exception_type"] == type(error).__name__
        text = "<message unavailable>" if isinstance(error, SilentError) else str(error)
        assert end.payload["exception_message"] == text


@pytest.fixture
def seen() -> Seen:
    return Seen()


@contextmanager
def passes(error: BaseException) -> Iterator[None]:
    """Assert that the very exception comes out, without additions."""
    context, cause = error.__context__, error.__cause__
    with pytest.raises(type(error)) as caught:
        yield
    assert caught.value is error
    assert caught.value.__context__ is context
    assert caught.value.__cause__ is cause
    assert not getattr(caught.value, "__notes__", [])


# -- with ---------------------------------------------------------------------------------------------


@every_error
def test_a_task_fails_and_the_exception_passes(seen: Seen, error: BaseException) -> None:
    with passes(error), seen.agent.task("lead-42") as task:
        task.set_payload({"done": 1})
        raise error

    seen.check("task", error)
    assert seen.end_of("task").payload["done"] == 1
    assert hiveloop.get_current_task() is None


@every_error
def test_an_action_fails_and_the_exception_passes(seen: Seen, error: BaseException) -> None:
    with seen.agent.task("lead-42"):
        with passes(error), seen.agent.track_context("look") as action:
            action.set_payload({"rows": 2})
            raise error
        assert hiveloop.get_current_task() is not None

    seen.check("action", error)
    assert seen.end_of("action").payload["rows"] == 2
    assert seen.end_of("task").type == "task_completed"


@every_error
def test_all_scopes_that_an_exception_leaves_fail(seen: Seen, error: BaseException) -> None:
    with passes(error), seen.agent.task("outer"), seen.agent.track_context("a"), seen.agent.task("inner"):
        raise error
    ends = seen.events("task_completed", "task_failed", "action_completed", "action_failed")
    assert [end.type for end in ends] == ["task_failed", "action_failed", "task_failed"]
    assert {end.payload["exception_type"] for end in ends} == {type(error).__name__}


def test_an_exception_handled_inside_is_no_failure(seen: Seen) -> None:
    with seen.agent.task("lead-42"), seen.agent.track_context("look"):
        try:
            raise ValueError("handled")
        except ValueError:
            pass
    assert seen.end_of("task").status == "success"
    assert seen.end_of("action").status == "success"


def test_a_task_that_was_ended_by_hand_stays_as_it_was_ended(seen: Seen) -> None:
    error = ValueError("after the end")
    with passes(error), seen.agent.task("lead-42") as task:
        task.complete("partial")
        raise error
    assert seen.end_of("task").status == "partial"


@pytest.mark.parametrize("value", [name for name in CORPUS if not name.startswith("blocking")])
def test_a_task_ends_whatever_it_is_failed_with(seen: Seen, value: str) -> None:
    task = seen.agent.start_task("lead-42")
    task.fail(CORPUS[value]())
    assert seen.end_of("task").type == "task_failed"


# -- tracked functions --------------------------------------------------------------------------------


def sync_call(agent: Agent, body: Callable[[], None]) -> None:
    agent.track("step")(body)()


def async_call(agent: Agent, body: Callable[[], None]) -> None:
    @agent.track("step")
    async def step() -> None:
        await Instant()
        body()

    run(step())


def generator_call(agent: Agent, body: Callable[[], None]) -> None:
    @agent.track("step")
    def step() -> Iterator[int]:
        yield 1
        body()

    for _ in step():
        pass


def async_generator_call(agent: Agent, body: Callable[[], None]) -> None:
    @agent.track("step")
    async def step() -> AsyncIterator[int]:
        yield 1
        body()

    async def consume() -> None:
        async for _ in step():
            pass

    run(consume())


class Instant:
    """An awaitable that yields to its driver once, without an event loop."""

    def __await__(self) -> Iterator[None]:
        yield


def run(coroutine: Any) -> None:
    """Drive a coroutine by hand: an event loop would keep SystemExit and its like for itself."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


every_kind = pytest.mark.parametrize(
    "call", [sync_call, async_call, generator_call, async_generator_call], ids=lambda call: call.__name__
)
PEP_479 = (StopAsyncIteration, GeneratorExit)


@every_kind
@every_error
def test_a_tracked_function_runs_once_and_its_exception_passes(
    seen: Seen, call: Callable[[Agent, Callable[[], None]], None], error: BaseException
) -> None:
    runs = 0

    def body() -> None:
        nonlocal runs
        runs += 1
        raise error

    if "generator" in call.__name__ and isinstance(error, PEP_479):
        with pytest.raises((RuntimeError, type(error))):  # Python gives these a meaning of its own
            call(seen.agent, body)
    else:
        with passes(error):
            call(seen.agent, body)
        seen.check("action", error)
    assert runs == 1
    assert seen.end_of("action").payload["action_name"] == "step"


@every_kind
def test_a_tracked_function_that_works_is_a_success(
    seen: Seen, call: Callable[[Agent, Callable[[], None]], None]
) -> None:
    call(seen.agent, lambda: None)
    assert seen.end_of("action").status == "success"


def test_results_pass_as_they_are(seen: Seen) -> None:
    result = object()

    @seen.agent.track
    def give(value: object) -> object:
        return value

    @seen.agent.track
    async def give_later(value: object) -> object:
        return value

    assert give(result) is result
    assert asyncio.run(give_later(result)) is result


def test_a_generator_is_driven_as_if_it_were_not_tracked(seen: Seen) -> None:
    @seen.agent.track("talk")
    def talk() -> Any:
        told = []
        try:
            told.append((yield "first"))
        except KeyError as error:
            told.append(error.args[0])
        told.append((yield "second"))
        return told

    generator = talk()
    assert next(generator) == "first"
    assert generator.throw(KeyError("thrown")) == "second"
    with pytest.raises(StopIteration) as stop:
        generator.send("sent")
    assert stop.value.value == ["thrown", "sent"]
    assert seen.end_of("action").status == "success"


def test_an_async_generator_is_driven_as_if_it_were_not_tracked(seen: Seen) -> None:
    told: list[object] = []

    @seen.agent.track("talk")
    async def talk() -> Any:
        try:
            told.append((yield "first"))
        except KeyError as error:
            told.append(error.args[0])
        told.append((yield "second"))

    async def drive() -> None:
        generator = talk()
        assert await anext(generator) == "first"
        assert await generator.athrow(KeyError("thrown")) == "second"
        with pytest.raises(StopAsyncIteration):
            await generator.asend("sent")

    asyncio.run(drive())
    assert told == ["thrown", "sent"]
    assert seen.end_of("action").status == "success"


def test_a_generator_left_early_is_closed_and_no_failure(seen: Seen) -> None:
    cleaned: list[str] = []

    @seen.agent.track("numbers")
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append("yes")

    generator = numbers()
    assert next(generator) == 1
    generator.close()  # type: ignore[attr-defined]

    assert cleaned == ["yes"]
    end = seen.end_of("action")
    assert end.status == "success"
    assert end.payload["closed_early"] is True


def test_a_cancelled_coroutine_fails_its_scopes_and_stays_cancelled(seen: Seen) -> None:
    @seen.agent.track("wait")
    async def wait() -> None:
        with seen.agent.task("lead-42"):
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert seen.end_of("task").payload["exception_type"] == "CancelledError"
    assert seen.end_of("action").payload["exception_type"] == "CancelledError"


def test_a_timeout_stays_a_timeout(seen: Seen) -> None:
    async def main() -> None:
        async with asyncio.timeout(0.01):
            with seen.agent.task("lead-42"):
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert seen.end_of("task").type == "task_failed"
