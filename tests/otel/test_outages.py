"""A collector that is down, slow or refuses: nothing is lost, nobody waits, nothing traces itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from grpc import StatusCode
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop._backoff import Backoff
from hiveloop._lane import Lane, Send
from hiveloop.events import Event
from hiveloop.stats import DropReason
from hiveloop.transport import Batch, Delivered, Outcome
from hiveloop_otel import OTelTransport
from tests.faults.caller import _runqueue_seconds, balanced
from tests.faults.table import FAULTS, OUTAGES, Fault, seconds
from tests.support.otlp import OtlpSink, poisoned_by
from tests.support.otlp_grpc import GrpcAnswer, GrpcSink
from tests.support.program import Program, run_program
from tests.support.server import Answer, Request, accepting, failing, hanging
from tests.support.wait import eventually, pause
from tests.unit.lanes import SALES, HandMade

pytestmark = pytest.mark.fault

PROGRAMS = Path(__file__).parent / "programs"
EVENTS_PER_SECOND = 200
EVENTS_PER_TASK = 3
QUEUE = 20_000
"""A minute at this rate is more than the usual queue of 10 000 holds."""
SLOWEST_CALL_SECONDS = 0.05
KEY = "a-key-that-nobody-may-see"

NOT_HERE = ("401", "tls", "429-body", "207")
"""Faults in the language of a HiveBoard; what OTLP has instead is below or in the tests of targets."""


def _answers(name: str, script: Answer | Callable[[Request], Answer], lasting: float = 1.5) -> Fault:
    def begin(sink: Any) -> None:
        sink.default = script

    def mend(sink: Any) -> None:
        sink.default = accepting()

    return Fault(name=name, begin=begin, mend=mend, seconds=lasting)


def _wrong_key(sink: Any) -> None:
    sink.key = "the right one"


def _right_key(sink: Any) -> None:
    sink.key = KEY


AT_THE_END = ("refused", "503", "429-seconds", "hang", "drip", "400")
LASTING = {"refused": seconds(0.7, 60), "503": seconds(0.7, 60)}
OURS = tuple(fault for fault in OUTAGES if fault.name not in NOT_HERE)
MORE = (
    _answers("500", failing(500)),
    _answers("404", failing(404)),
    Fault(name="401", begin=_wrong_key, mend=_right_key),
)


class Worker:
    """A thread that runs tasks at a steady pace as long as the ``with`` block lasts.

    Attributes:
        tasks: how many it ran.
        slowest_seconds: the longest one took.
    """

    def __init__(self, agent: hiveloop.Agent) -> None:
        self.tasks = 0
        self.slowest_seconds = 0.0
        self._agent = agent
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive(), "a sensor call hangs"

    def _run(self) -> None:
        while not self._stop.wait(EVENTS_PER_TASK / EVENTS_PER_SECOND):
            started, delayed = time.perf_counter(), _runqueue_seconds()
            with self._agent.task(f"task-{self.tasks}") as task:
                task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008)
            elapsed = time.perf_counter() - started
            # What the kernel gave to other programs is not our doing.
            self.slowest_seconds = max(self.slowest_seconds, elapsed - (_runqueue_seconds() - delayed))
            self.tasks += 1


@contextmanager
def exporting(endpoint: str, **options: Any) -> Iterator[hiveloop.HiveBoard]:
    """Initialise a client that exports by OTLP, with a quick flush interval, and clean up after."""
    transport = OTelTransport(endpoint=endpoint, headers={"Authorization": f"Bearer {KEY}"}, **options)
    hb = hiveloop.init(transport=transport, environment="test", flush_interval=0.05, max_queue_size=QUEUE)
    try:
        yield hb
    finally:
        hiveloop.shutdown(timeout=0.2)
        hiveloop.reset()


@pytest.mark.parametrize("fault", [*OURS, *MORE], ids=str)
def test_an_outage_of_the_collector_loses_nothing_and_holds_up_no_caller(fault: Fault) -> None:
    with OtlpSink(key=KEY) as sink:
        fault.begin(sink)
        with exporting(sink.url, timeout=0.3) as hb:
            with Worker(hb.agent("worker", heartbeat_interval=0)) as worker:
                pause(LASTING.get(fault.name, 0.7))
                arrived = len(sink.spans())
                fault.mend(sink)
                pause(0.1)
            assert hb.flush(timeout=20), hb.stats()
            assert arrived == 0, "there was no outage"
            _check_all_arrived_once(sink, hb.stats(), worker)


def _check_all_arrived_once(sink: OtlpSink, stats: hiveloop.Stats, worker: Worker) -> None:
    assert worker.tasks > 20, "the worker hardly worked; the test says nothing"
    assert worker.slowest_seconds < SLOWEST_CALL_SECONDS
    assert sink.names()["invoke_agent worker"] == sink.names()["chat gpt-4o"] == worker.tasks
    tasks = [span for span in sink.spans() if span.name == "invoke_agent worker"]
    assert {span.attributes["hiveloop.task.id"] for span in tasks} == {
        f"task-{number}" for number in range(worker.tasks)
    }
    assert [span.end_ns for span in tasks] == sorted(span.end_ns for span in tasks), "order is kept"
    assert not sink.repeats()
    assert not sink.violations
    assert not stats.dropped
    assert balanced(stats)
    assert stats.delivered == stats.accepted


# -- the end of a process -----------------------------------------------------------------------


@pytest.mark.parametrize("fault", [each for each in FAULTS if each.name in AT_THE_END], ids=str)
def test_shutdown_returns_in_time(fault: Fault) -> None:
    with OtlpSink() as sink:
        fault.begin(sink)
        with exporting(sink.url, metrics=True, logs=True) as hb:
            _shut_down_in_the_middle(hb)


@pytest.mark.parametrize("answer", [GrpcAnswer(hangs=True), GrpcAnswer(code=StatusCode.UNAVAILABLE), None])
def test_shutdown_returns_in_time_over_grpc(
    answer: GrpcAnswer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with GrpcSink() as sink:
        if answer is None:
            sink.refuse()
        else:
            sink.default = answer
        with exporting(sink.url, timeout=2.0, metrics=True, logs=True) as hb:
            _shut_down_in_the_middle(hb)


def _shut_down_in_the_middle(hb: hiveloop.HiveBoard) -> None:
    agent = hb.agent("worker", heartbeat_interval=1)
    with Worker(agent) as worker, agent.task("open at the end"):
        pause(0.3)
        started = time.monotonic()
        hiveloop.shutdown(timeout=1)
        elapsed = time.monotonic() - started
        pause(0.05)  # sensor calls after a shutdown are harmless
    assert elapsed < 1.5
    assert worker.slowest_seconds < SLOWEST_CALL_SECONDS
    stats = hb.stats()
    assert balanced(stats)
    assert stats.waiting == stats.in_flight == 0, "after a shutdown nothing may be undecided"


@pytest.mark.parametrize("fault", [each for each in OURS if each.name in ("refused", "hang", "503")], ids=str)
def test_the_interpreter_exits_in_time(fault: Fault) -> None:
    with OtlpSink() as sink:
        fault.begin(sink)
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "HIVELOOP_SHUTDOWN_TIMEOUT": "1"}
        with Program(PROGRAMS / "leave.py", environment=environment) as program:
            left = program.wait_for_line("leaving")
            finished = program.finish()
            elapsed = time.monotonic() - left
    assert elapsed < 1.0 + 1.0
    assert finished.clean, finished


# -- exporters that fail, and spans that nobody wants -------------------------------------------


class Flaky(SpanExporter):
    """Fails a number of times, then takes everything but batches with a certain span."""

    def __init__(self, failures: int = 0, poison: str = "") -> None:
        self.names: list[str] = []
        self.attempts = 0
        self._failures = failures
        self._poison = poison

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.attempts += 1
        if self.attempts <= self._failures or any(span.name == self._poison for span in spans):
            return SpanExportResult.FAILURE
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS


def test_after_failures_every_span_is_exported_once_and_every_metric_counted_once() -> None:
    exporter, reader = Flaky(failures=3), InMemoryMetricReader()
    hb = hiveloop.init(
        transport=OTelTransport(span_exporter=exporter, metric_reader=reader), flush_interval=0.01
    )
    agent = hb.agent("worker", heartbeat_interval=0)
    for number in range(10):
        with agent.task(f"task-{number}"), agent.track_context(f"action-{number}"):
            pass
    eventually(lambda: exporter.attempts >= 1)
    assert hb.flush(10)
    expected = [name for number in range(10) for name in (f"action-{number}", "invoke_agent worker")]
    assert exporter.names == expected
    assert exporter.attempts > 3
    assert not hb.stats().dropped
    tasks = [point for point in _points(reader) if point[0] == "hiveloop.task.duration"]
    assert sum(count for _, count in tasks) == 10
    hiveloop.shutdown(timeout=1)


def _points(reader: InMemoryMetricReader) -> list[tuple[str, Any]]:
    data: Any = reader.get_metrics_data()
    return [
        (metric.name, getattr(point, "count", None))
        for group in data.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def test_a_poison_span_that_the_collector_refuses_costs_itself_alone() -> None:
    with OtlpSink(poisoned_by("action-7")) as sink, exporting(sink.url) as hb:
        agent = hb.agent("worker", heartbeat_interval=0)
        for number in range(20):
            with agent.track_context(f"action-{number}"):
                pass
        assert hb.flush(10)
        taken = {name for name in sink.names() if name.startswith("action-")}
        assert taken == {f"action-{number}" for number in range(20)} - {"action-7"}
        assert not sink.repeats()
        assert hb.stats().dropped == {DropReason.REFUSED: 1}
        assert balanced(hb.stats())


def test_a_poison_span_that_an_exporter_fails_on_costs_itself_alone() -> None:
    """In simulated time, since doubts take five attempts each, with a back-off between them."""
    exporter = Flaky(poison="action-7")
    transport = Holding(span_exporter=exporter)
    hb = hiveloop.init(transport=transport)
    agent = hb.agent("worker", heartbeat_interval=0)
    for number in range(60):
        with agent.track_context(f"action-{number}"):
            pass
    assert hb.flush(5)
    lane = _drain(transport, transport.held)
    taken = [name for name in exporter.names if name.startswith("action-")]
    assert sorted(taken) == sorted({f"action-{number}" for number in range(60)} - {"action-7"})
    assert lane.stats().dropped == {DropReason.RETRIES_EXHAUSTED: 1}


class Holding(OTelTransport):
    """Keeps the events of the engine, so that a test can deliver them in its own time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.held: list[Event] = []

    def prepare(self, batch: Batch) -> object:
        self.held += batch.events
        return None

    def send(self, prepared: object, timeout: float) -> Outcome:
        return Delivered()


def _drain(transport: Holding, events: list[Event]) -> Lane[Event]:
    """Run the engine's delivery of these events, without threads and waits."""
    lane: Any = Lane(
        builder=HandMade(lambda record: record[4][0], trim=lambda event: event),
        limits=transport.limits,
        max_queue_size=1000,
        batch_size=1,
        flush_interval=0.0,
        backoff=Backoff(),
        on_ready=lambda: None,
    )
    now = 0.0
    prepared: dict[tuple[str, ...], object] = {}
    arriving = iter(events)
    for _ in range(5_000):
        if (event := next(arriving, None)) is not None:  # while others get through, doubts become proof
            lane.put((Event, 0, 0, SALES, (event,)))
        step = lane.next(now)
        if isinstance(step, Send):
            key = tuple(event.event_id for event in step.batch.events)
            if key not in prepared:
                prepared[key] = OTelTransport.prepare(transport, step.batch)
            lane.settle(OTelTransport.send(transport, prepared[key], 5.0), now)
        elif not lane.unsent():
            return lane
        now += getattr(step, "seconds", 0.0)
    raise AssertionError(lane.stats())


# -- instrumentation and forks ------------------------------------------------------------------


@pytest.fixture
def traced_requests() -> Iterator[InMemorySpanExporter]:
    """What the application's own instrumentation of `requests` traces."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()
    provider.shutdown()


@pytest.mark.parametrize("answer", [accepting(), failing(503), hanging()], ids=["up", "503", "hang"])
def test_exports_are_not_traced(traced_requests: InMemorySpanExporter, answer: Answer) -> None:
    with OtlpSink() as sink, OtlpSink() as elsewhere:
        sink.default = answer
        with exporting(sink.url, timeout=0.3, metrics=True, logs=True) as hb:
            agent = hb.agent("worker", heartbeat_interval=0)
            with agent.task("t-1"), agent.track_context("look"), requests.get(elsewhere.url, timeout=5):
                pass
            agent.report_issue("outside", severity="high")
            hb.flush(0.5)
            sink.wait_for(lambda: bool(sink.requests))
        (call,) = _finished(traced_requests)
        assert call.attributes["http.url"] == f"{elsewhere.url}/"
        assert "traceparent" in elsewhere.requests[0].headers
        assert not any("traceparent" in request.headers for request in sink.requests)


def test_a_request_inside_an_action_nests_in_it(traced_requests: InMemorySpanExporter) -> None:
    with OtlpSink() as sink, OtlpSink() as elsewhere:
        with exporting(sink.url) as hb:
            agent = hb.agent("worker", heartbeat_interval=0)
            with agent.task("t-1"), agent.track_context("look"), requests.get(elsewhere.url, timeout=5):
                pass
            assert hb.flush(5)
        look = next(span for span in sink.spans() if span.name == "look")
        (call,) = _finished(traced_requests)
        assert call.parent is not None
        assert f"{call.context.trace_id:032x}" == look.trace_id
        assert f"{call.parent.span_id:016x}" == look.span_id
        _, trace, span, _ = elsewhere.requests[0].headers["traceparent"].split("-")
        assert (trace, span) == (look.trace_id, f"{call.context.span_id:016x}")


def _finished(exporter: InMemorySpanExporter) -> list[Any]:
    return list(exporter.get_finished_spans())


@pytest.mark.parametrize("signals", ["spans", "all"])
def test_a_fork_in_the_middle_of_a_task(signals: str) -> None:
    with OtlpSink() as sink:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        finished = run_program(PROGRAMS / "fork_open.py", signals, environment=environment, timeout=30)
        assert finished.clean, finished
        parent, child = (json.loads(line) for line in sorted(finished.out, reverse=True))
        names = sink.names()
    assert (parent["who"], child["who"]) == ("parent", "child")
    assert parent["stats"] == child["stats"] == "balanced"
    tasks = [span for span in sink.spans() if span.name.startswith("invoke_agent")]
    assert sorted(span.attributes["hiveloop.task.id"] for span in tasks) == [
        "child-task",
        "parent-task",
        "warm-up-task",
    ]
    assert names["before"] == names["in parent"] == names["in child"] == 1
    assert not sink.repeats()
    assert not sink.violations
