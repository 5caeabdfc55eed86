"""Traces from process to process: every kind of carrier, none that raises, and one trace in the end."""

from __future__ import annotations

import contextvars
import email.message
import itertools
import logging
import os
import subprocess
import sys
import threading
import types
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests.structures
import starlette.datastructures
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import hiveloop
from hiveloop_otel import OTelTransport, extract, inject, remote_context, traceparent, use_task
from hiveloop_otel.propagation import child_environment, environment_context

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "vendor=t61rcWkgMzE"


@pytest.fixture(autouse=True)
def no_client_and_no_span() -> None:
    """All of this works where hiveloop was never started."""
    assert hiveloop.get_client() is None
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.fixture
def tracer() -> trace.Tracer:
    """A tracer of the application's own, not the global one."""
    return TracerProvider().get_tracer("application")


def current() -> trace.SpanContext:
    return trace.get_current_span().get_span_context()


def span_of(context: otel_context.Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()


# -- reading -------------------------------------------------------------------------------------


def message() -> email.message.Message:
    """Headers as the standard library's HTTP server has them."""
    headers = email.message.Message()
    headers["TraceParent"] = HEADER
    headers["TraceState"] = STATE
    return headers


CARRIERS: dict[str, Any] = {
    "dict": {"traceparent": HEADER, "tracestate": STATE},
    "upper case": {"TRACEPARENT": HEADER, "TRACESTATE": STATE},
    "title case": {"Traceparent": HEADER, "Tracestate": STATE, "Accept": "*/*"},
    "lists": {"traceparent": [HEADER], "tracestate": (STATE,)},
    "bytes": {b"Traceparent": HEADER.encode(), b"Tracestate": STATE.encode()},
    "blanks": {"traceparent": f"  {HEADER} ", "tracestate": STATE},
    "ASGI": [(b"host", b"x"), (b"traceparent", HEADER.encode()), (b"tracestate", STATE.encode())],
    "ASGI scope": {
        "type": "http",
        "headers": [[b"traceparent", HEADER.encode()], [b"tracestate", STATE.encode()]],
    },
    "Lambda event": {"httpMethod": "GET", "headers": {"Traceparent": HEADER, "tracestate": STATE}},
    "WSGI": {"REQUEST_METHOD": "GET", "HTTP_TRACEPARENT": HEADER, "HTTP_TRACESTATE": STATE},
    "Kafka": [("traceparent", HEADER.encode()), ("tracestate", STATE.encode())],
    "standard library": message(),
    "requests": requests.structures.CaseInsensitiveDict({"TraceParent": HEADER, "TraceState": STATE}),
    "httpx": httpx.Headers({"Traceparent": HEADER, "Tracestate": STATE}),
    "starlette": starlette.datastructures.Headers({"Traceparent": HEADER, "Tracestate": STATE}),
    "generator": (pair for pair in [("traceparent", HEADER), ("tracestate", STATE)]),
}


@pytest.mark.parametrize("kind", CARRIERS)
def test_every_kind_of_headers_is_read(kind: str) -> None:
    with remote_context(CARRIERS[kind]) as context:
        found = current()
    assert found == span_of(context)
    assert (found.trace_id, found.span_id, found.is_remote) == (TRACE_ID, SPAN_ID, True)
    assert found.trace_flags == 1
    assert found.trace_state.to_header() == STATE
    assert not current().is_valid


class Hostile(dict[str, str]):
    def items(self) -> Any:
        raise RuntimeError("no headers for you")

    def get(self, key: object, default: object = None) -> Any:
        raise RuntimeError("nor this")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("not a text")


BAD: dict[str, Any] = {
    "None": None,
    "number": 3,
    "text": HEADER,
    "bytes": HEADER.encode(),
    "empty": {},
    "class": dict,
    "hostile": Hostile(traceparent=HEADER),
    "no pairs": [None, 7, (), ("traceparent",), ("traceparent", HEADER, "more"), {"traceparent"}],
    "no texts": {"traceparent": None, 3: 4, None: HEADER, "tracestate": Unprintable()},
    "nested": {"traceparent": [[HEADER]], "headers": {"headers": []}},
    "endless": itertools.repeat(("accept", "*/*")),
    "surrogates": {"traceparent": "\ud800", "\ud800": HEADER},
    "long": {"traceparent": HEADER + "-" + "a" * 100_000},
    "zero trace": {"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"},
    "zero span": {"traceparent": f"00-{'1' * 32}-{'0' * 16}-01"},
    "version ff": {"traceparent": f"ff{HEADER[2:]}"},
    "not hexadecimal": {"traceparent": HEADER.replace("a", "g")},
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_headers_change_nothing_and_raise_nothing(kind: str, tracer: trace.Tracer) -> None:
    with remote_context(BAD[kind]):
        assert not current().is_valid
    with tracer.start_as_current_span("mine") as mine:
        assert span_of(extract(BAD[kind])) == mine.get_span_context()
        with remote_context(BAD[kind]):
            assert trace.get_current_span() is mine


def test_a_bad_tracestate_costs_only_itself() -> None:
    with remote_context({"traceparent": HEADER, "tracestate": "=,=\udcff,,"}):
        assert current().span_id == SPAN_ID
        assert not current().trace_state


def test_headers_of_a_later_version_of_the_standard_are_read() -> None:
    with remote_context({"traceparent": f"cc{HEADER[2:]}-what-the-future-will-be-like"}):
        assert current().span_id == SPAN_ID


def test_the_exception_of_the_block_passes_through_and_the_context_is_left() -> None:
    with pytest.raises(KeyError, match="mine"), remote_context({"traceparent": HEADER}):
        raise KeyError("mine")
    assert not current().is_valid


def test_blocks_nest() -> None:
    other = HEADER.replace("b7", "c8")
    with remote_context({"traceparent": HEADER}):
        with remote_context({"traceparent": other}):
            assert current().span_id != SPAN_ID
        assert current().span_id == SPAN_ID


def test_a_block_may_end_in_another_thread(caplog: pytest.LogCaptureFixture) -> None:
    def stream() -> Generator[int]:
        with remote_context({"traceparent": HEADER}):
            yield 1

    running = stream()
    contextvars.copy_context().run(next, running)
    thread = threading.Thread(target=running.close)
    thread.start()
    thread.join()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_extract_builds_on_the_context_it_is_given() -> None:
    base = otel_context.set_value("mine", 1, otel_context.Context())
    found = extract({"traceparent": HEADER}, base)
    assert (span_of(found).span_id, found["mine"]) == (SPAN_ID, 1)


def test_baggage_arrives() -> None:
    with remote_context({"traceparent": HEADER, "baggage": "user.id=7"}):
        assert baggage.get_baggage("user.id") == "7"


# -- servers that are instrumented already ---------------------------------------------------------


def test_the_span_of_an_instrumented_server_stays_between(tracer: trace.Tracer) -> None:
    headers = {"traceparent": HEADER, "baggage": "user.id=7"}
    server = tracer.start_span("POST /answer", extract(headers), SpanKind.SERVER)
    with trace.use_span(server), remote_context(headers):
        assert trace.get_current_span() is server
        assert baggage.get_baggage("user.id") == "7"


def test_any_other_current_span_gives_way_to_the_sender(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("worker loop"), remote_context({"traceparent": HEADER}):
        assert current().span_id == SPAN_ID
    ended = tracer.start_span("over", extract({"traceparent": HEADER}))
    ended.end()
    with trace.use_span(ended), remote_context({"traceparent": HEADER}):
        assert (current().span_id, current().is_remote) == (SPAN_ID, True)


# -- writing --------------------------------------------------------------------------------------


def header_of(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_nothing_current_means_nothing_sent() -> None:
    assert inject({}) == {}
    assert inject([]) == []
    assert traceparent() is None


def test_the_current_span_is_sent(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("mine") as mine:
        headers = {"accept": "*/*"}
        assert inject(headers) is headers
        assert headers == {"accept": "*/*", "traceparent": header_of(mine)}
        assert traceparent() == header_of(mine)
        assert inject({}, otel_context.Context()) == {}
    with remote_context({"traceparent": HEADER, "tracestate": STATE}):
        assert inject({}) == {"traceparent": HEADER, "tracestate": STATE}


def test_headers_of_the_same_name_are_replaced_whatever_their_case(tracer: trace.Tracer) -> None:
    old = "00-11111111111111111111111111111111-2222222222222222-01"
    with tracer.start_as_current_span("mine") as mine:
        sent = header_of(mine)
        assert inject({"TraceParent": old, "Accept": "*/*"}) == {"Accept": "*/*", "traceparent": sent}
        assert inject([("Traceparent", old), ("a", "b")]) == [("a", "b"), ("traceparent", sent)]
        assert inject([(b"Traceparent", old.encode())]) == [(b"traceparent", sent.encode())]
        assert inject(httpx.Headers({"Traceparent": old})).get_list("traceparent") == [sent]
        folded = requests.structures.CaseInsensitiveDict({"TRACEPARENT": old})
        assert dict(inject(folded).lower_items()) == {"traceparent": sent}


@pytest.mark.parametrize(
    "carrier", [None, 3, "text", (), types.MappingProxyType({"a": "b"}), [None], [3], {None: 1}, object()]
)
def test_a_carrier_that_cannot_be_written_raises_nothing(carrier: Any, tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("mine"):
        assert inject(carrier) is carrier


def test_what_one_side_writes_the_other_reads(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("mine") as mine:
        carriers: list[Any] = [inject({}), inject([]), inject([(b"host", b"x")]), inject(httpx.Headers())]
        sent = mine.get_span_context()
    for carrier in carriers:
        with remote_context(carrier):
            assert (current().trace_id, current().span_id) == (sent.trace_id, sent.span_id)


# -- the global propagator decides ----------------------------------------------------------------

PROGRAM = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from hiveloop_otel import inject, remote_context, traceparent

with TracerProvider().get_tracer("t").start_as_current_span("mine"):
    print(sorted(inject({})), traceparent() is not None)
with remote_context({"traceparent": "%s"}):
    print(trace.get_current_span().get_span_context().is_valid)
"""


@pytest.mark.parametrize(
    ("variable", "out", "log"),
    [
        ("tracecontext", "['traceparent'] True\nTrue\n", ""),
        ("none", "[] True\nFalse\n", ""),
        ("nonsense", "[] True\nFalse\n", "Propagator nonsense not found"),
    ],
)
def test_the_variable_for_propagators_is_honoured_and_a_wrong_one_breaks_nothing(
    variable: str, out: str, log: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % HEADER],
        env={**os.environ, "OTEL_PROPAGATORS": variable},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == out
    assert log in done.stderr if log else not done.stderr


# -- subprocesses ---------------------------------------------------------------------------------


def test_a_subprocess_joins_the_trace_when_it_asks_to() -> None:
    program = (
        "from hiveloop_otel import traceparent\n"
        "from hiveloop_otel.propagation import environment_context\n"
        "print(traceparent())\n"
        "with environment_context(): print(traceparent())\n"
    )
    with remote_context({"traceparent": HEADER}):
        environ = child_environment()
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["None", HEADER]


def test_an_inherited_trace_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", HEADER)
    monkeypatch.setenv("TRACESTATE", STATE)
    monkeypatch.setenv("BAGGAGE", "user.id=7")
    handed_on = child_environment()
    assert not {"TRACEPARENT", "TRACESTATE", "BAGGAGE"} & set(handed_on)
    assert handed_on["PATH"] == os.environ["PATH"]
    with environment_context():
        assert (current().span_id, baggage.get_baggage("user.id")) == (SPAN_ID, "7")
        assert child_environment({"A": "b"}) == {
            "A": "b",
            "TRACEPARENT": HEADER,
            "TRACESTATE": STATE,
            "BAGGAGE": "user.id=7",
        }


@pytest.mark.parametrize("environ", [{}, {"TRACEPARENT": ""}, {"TRACEPARENT": "what?"}])
def test_an_environment_without_a_trace_changes_nothing(environ: dict[str, str]) -> None:
    with environment_context(environ):
        assert not current().is_valid


# -- tasks ----------------------------------------------------------------------------------------


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def board(exporter: InMemorySpanExporter, no_client_and_no_span: None) -> hiveloop.HiveBoard:
    return hiveloop.init(transport=OTelTransport(span_exporter=exporter))


def exported(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    assert hiveloop.flush(5)
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(span: ReadableSpan) -> trace.SpanContext:
    assert span.parent is not None
    return span.parent


def context_of(span: ReadableSpan) -> trace.SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def test_a_task_under_an_extracted_context_is_the_senders_child(
    board: hiveloop.HiveBoard, exporter: InMemorySpanExporter
) -> None:
    headers = {"traceparent": HEADER, "tracestate": STATE}
    with remote_context(headers), board.agent("sales").task("lead-42"):
        sent = traceparent()
    span = exported(exporter)["invoke_agent sales"]
    parent = parent_of(span)
    assert (parent.trace_id, parent.span_id, parent.is_remote) == (TRACE_ID, SPAN_ID, True)
    mine = context_of(span)
    assert mine.trace_id == TRACE_ID
    assert sent == f"00-{TRACE_ID:032x}-{mine.span_id:016x}-01"
    assert mine.trace_state.to_header() == STATE


def test_inside_an_action_the_action_is_sent(
    board: hiveloop.HiveBoard, exporter: InMemorySpanExporter
) -> None:
    agent = board.agent("sales")
    with agent.task("lead-42"):
        before = inject({})
        with agent.track_context("search"):
            inside = inject({})
        assert inject({}) == before
    spans = exported(exporter)
    for headers, name in ((before, "invoke_agent sales"), (inside, "search")):
        assert span_of(extract(headers)).span_id == context_of(spans[name]).span_id
    assert inject({}) == {}


def test_use_task_makes_a_manual_task_current_for_opentelemetry(
    board: hiveloop.HiveBoard, exporter: InMemorySpanExporter, tracer: trace.Tracer
) -> None:
    task = board.agent("sales").start_task("lead-42")
    assert traceparent() is None

    def work() -> None:
        with use_task(task) as current_task:
            assert current_task is task is hiveloop.get_current_task()
            headers.update(inject({}))
            with tracer.start_as_current_span("mine") as mine:
                spans.append(mine)
        assert (traceparent(), hiveloop.get_current_task()) == (None, None)

    headers: dict[str, str] = {}
    spans: list[Any] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    task.complete()
    mine = context_of(exported(exporter)["invoke_agent sales"])
    assert span_of(extract(headers)).span_id == spans[0].parent.span_id == mine.span_id
    assert spans[0].context.trace_id == mine.trace_id


def test_use_task_lets_exceptions_pass_and_leaves(board: hiveloop.HiveBoard) -> None:
    task = board.agent("sales").start_task("lead-42")
    with pytest.raises(KeyError), use_task(task):
        assert traceparent() is not None
        raise KeyError
    assert traceparent() is None
    task.complete()


@pytest.mark.parametrize("task", [None, 3, "lead-42", object()])
def test_use_task_without_a_task_changes_nothing(task: Any) -> None:
    with use_task(task) as nothing:
        assert nothing is None
        assert traceparent() is None


def test_use_task_works_without_opentelemetry_transport() -> None:
    task = hiveloop.init(transport=hiveloop.MemoryTransport()).agent("sales").start_task("lead-42")
    hiveloop.clear_current_task()
    with use_task(task):
        assert hiveloop.get_current_task() is task
        assert traceparent() is None
    task.complete()


# -- agent to agent -------------------------------------------------------------------------------


class Writer(BaseHTTPRequestHandler):
    """The service of a second agent, on the standard library's server, without instrumentation."""

    def do_POST(self) -> None:
        writer = hiveloop.init().agent("writer")
        with remote_context(self.headers), writer.task("write") as task:
            task.llm_call("draft", "gpt-4o", tokens_in=5, tokens_out=7)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def writer() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Writer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_two_agents_over_http_make_one_trace(
    writer: str, board: hiveloop.HiveBoard, exporter: InMemorySpanExporter
) -> None:
    planner = board.agent("planner")
    with planner.task("plan"), planner.track_context("ask the writer"):
        httpx.post(writer, headers=inject({})).raise_for_status()
    spans = exported(exporter)
    assert set(spans) == {"invoke_agent planner", "ask the writer", "invoke_agent writer", "chat gpt-4o"}
    assert len({context_of(span).trace_id for span in spans.values()}) == 1
    written = parent_of(spans["invoke_agent writer"])
    assert written.span_id == context_of(spans["ask the writer"]).span_id
    assert written.is_remote
    assert parent_of(spans["chat gpt-4o"]).span_id == context_of(spans["invoke_agent writer"]).span_id


def test_an_instrumented_client_needs_no_inject(
    writer: str, board: hiveloop.HiveBoard, exporter: InMemorySpanExporter
) -> None:
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    planner = board.agent("planner")
    with httpx.Client() as client:
        HTTPXClientInstrumentor().instrument_client(client, tracer_provider=provider)
        with planner.task("plan"), planner.track_context("ask the writer"):
            client.post(writer).raise_for_status()
    spans = exported(exporter)
    assert len({context_of(span).trace_id for span in spans.values()}) == 1
    assert parent_of(spans["POST"]).span_id == context_of(spans["ask the writer"]).span_id
    assert parent_of(spans["invoke_agent writer"]).span_id == context_of(spans["POST"]).span_id
