"""Scopes that are entered and left where nobody expects it: other threads, other contexts, out of order."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

import hiveloop
from hiveloop._client import HiveBoard
from hiveloop_otel import OTelTransport, _scopes
from tests.support.wait import pause

from .conftest import Maker, Traced
from .test_spans import attributes, ids, parent_id

OUTSIDE = NonRecordingSpan(SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1)))


def in_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def roots(seen: Traced) -> list[str]:
    return [str((span.attributes or {})["hiveloop.task.id"]) for span in seen.spans() if span.parent is None]


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry logs an error for a context that is left in the wrong place."""
    yield
    assert not [
        record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.WARNING
    ]


@pytest.mark.usefixtures("no_errors")
def test_a_task_that_another_thread_completes_is_left_with_its_block(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("first") as task:
        in_thread(task.complete)
    assert trace.get_current_span() is INVALID_SPAN
    with seen.agent.task("second"), seen.agent.track_context("work") as action:
        in_thread(action.end)
    assert trace.get_current_span() is INVALID_SPAN
    assert roots(seen) == ["first", "second"]


@pytest.mark.usefixtures("no_errors")
def test_an_asynchronous_generator_that_the_loop_closes_is_no_error(traced: Maker) -> None:
    seen = traced()

    async def numbers() -> AsyncGenerator[int]:
        with seen.agent.track_context("inside"):
            yield 1
            yield 2

    async def main() -> None:
        with seen.agent.task("t"):
            async for _ in numbers():
                break
            await asyncio.sleep(0.01)  # the loop closes the generator, in a copy of this context
            with seen.agent.track_context("after"):
                pass

    asyncio.run(main())
    for name in ("inside", "after"):
        assert parent_id(seen.only(name)) == ids(seen.only("invoke_agent sales"))[1]


@pytest.mark.usefixtures("no_errors")
def test_blocks_that_are_left_out_of_order_are_no_parents_of_what_follows(traced: Maker) -> None:
    seen = traced()

    def work(name: str) -> Generator[None]:
        with seen.agent.task(name):
            yield

    def run() -> None:
        first, second = work("first"), work("second")
        next(first)
        next(second)
        first.close()
        second.close()
        with seen.agent.task("third"):
            pass
        with seen.agent.track_context("alone"):
            pass
        seen.agent.report_issue("outside", severity="low")

    contextvars.copy_context().run(run)
    names = {span.name for span in seen.spans() if span.parent is None}
    assert names == {"invoke_agent sales", "alone", "hiveloop.issue.reported"}
    assert roots_of_tasks(seen) == ["first", "third"]


def roots_of_tasks(seen: Traced) -> list[str]:
    told = (dict(span.attributes or {}) for span in seen.spans() if span.parent is None)
    return [str(each["hiveloop.task.id"]) for each in told if "hiveloop.task.id" in each]


def test_a_task_below_one_that_was_left_out_of_order_keeps_its_own_parent(traced: Maker) -> None:
    seen = traced()

    def run() -> None:
        outer = seen.agent.task("outer")
        outer.__enter__()
        inner = seen.agent.track_context("inner")
        inner.__enter__()
        in_thread(inner.end)
        with seen.agent.task("nested"):
            pass
        outer.complete()

    contextvars.copy_context().run(run)
    assert roots(seen) == ["outer"]


def test_what_was_open_at_a_shutdown_is_no_parent_of_what_a_later_client_does(traced: Maker) -> None:
    def run() -> None:
        traced().agent.task("left open").__enter__()
        hiveloop.reset()
        later = traced()
        with later.agent.task("later"):
            pass
        assert roots(later) == ["later"]

    contextvars.copy_context().run(run)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_many_threads_beyond_the_limits_upset_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that raises is switched off, and with it all tracing of the process."""
    monkeypatch.setattr(_scopes, "MOST_MOMENTS", 50)
    scopes, failures = _scopes.Scopes(), list[Exception]()

    def record(first: int) -> None:
        token = attach(set_span_in_context(OUTSIDE))
        try:
            for number in range(first, first + 20_000):
                scopes.event_recorded(number)
        except RuntimeError as error:
            failures.append(error)
        detach(token)

    threads = [threading.Thread(target=record, args=(n * 1_000_000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_of_too_many_open_tasks_the_oldest_go_and_the_rest_stays_right(
    traced: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scopes, "MOST_OPEN", 50)
    seen = traced()
    open_tasks = [seen.agent.start_task(f"t-{n}") for n in range(80)]
    hiveloop.clear_current_task()
    for task in open_tasks:
        task.complete()
    found = [ids(span) for span in seen.spans()]
    assert len(found) == len(set(found)) == 80


def test_a_task_whose_start_was_not_seen_has_its_true_duration() -> None:
    hb = hiveloop.init(transport=hiveloop.MemoryTransport())
    started = time.time_ns()
    task = hb.agent("early", heartbeat_interval=0).start_task("t")
    assert isinstance(hb, HiveBoard)
    exporter = InMemorySpanExporter()
    hiveloop.reset()
    other = hiveloop.init(transport=OTelTransport(span_exporter=exporter))
    hb.divert(other)
    pause(0.05)
    task.complete()
    ended = time.time_ns()
    assert other.flush(10)
    (top,) = exporter.get_finished_spans()
    assert attributes(top)["hiveloop.span.start_missing"] is True
    assert top.start_time is not None
    assert top.end_time is not None
    assert started <= top.start_time < top.end_time <= ended
    assert top.end_time - top.start_time >= 50_000_000 - 1_000_000  # durations are whole milliseconds
