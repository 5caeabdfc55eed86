"""Targets: one attempt each, in bounded time, and the engine learns what became of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import ProxyTracerProvider

from hiveloop import HiveLoopConfigError
from hiveloop.transport import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from hiveloop_otel._targets import SpanTarget, span_target
from tests.support.otlp import OtlpSink, finished_span, keeping, partly, saying
from tests.support.server import (
    Answer,
    TlsAuthority,
    closing,
    dripping,
    failing,
    hanging,
    redirecting,
    resetting,
    throttled,
    throttled_until,
)

SECRET = "a-key-that-nobody-may-see"
EXPORTER_LOG = "opentelemetry.exporter.otlp.proto.http.trace_exporter"

Target = Callable[..., SpanTarget]


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


@pytest.fixture
def target() -> Iterator[Target]:
    """Makes targets, and closes them."""
    made: list[SpanTarget] = []

    def make(**arguments: Any) -> SpanTarget:
        made.append(span_target(**arguments))
        return made[-1]

    yield make
    for each in made:
        each.close(1.0)


def send(target: SpanTarget, *names: str, timeout: float = 5.0) -> Outcome:
    return target.export([finished_span(name) for name in names or ("one",)], timeout)


# -- OTLP over HTTP: what goes out --------------------------------------------------------------


def test_spans_arrive_as_compressed_protobuf(sink: OtlpSink, target: Target) -> None:
    otlp = target(endpoint=sink.url, headers={"X-Api-Key": SECRET})
    assert send(otlp, "one", "two") == Delivered()
    assert [span.name for span in sink.spans()] == ["one", "two"]
    assert sink.spans()[0].resource == {"service.name": "tested"}
    (request,) = sink.requests
    assert request.path == "/v1/traces"
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["x-api-key"] == SECRET
    assert "hiveloop" not in request.headers.get("cookie", "")


def test_nothing_is_sent_for_no_spans(sink: OtlpSink, target: Target) -> None:
    assert target(endpoint=sink.url).export([], 5.0) == Delivered()
    assert not sink.requests


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/v1/traces"),
        ("/", "/v1/traces"),
        ("/v1/traces", "/v1/traces"),
        ("/v1/logs/", "/v1/traces"),
        ("/api/public/otel", "/api/public/otel/v1/traces"),
        ("/otlp?tenant=a", "/otlp/v1/traces?tenant=a"),
    ],
)
def test_an_endpoint_is_a_base_or_the_url_of_a_signal(
    sink: OtlpSink, target: Target, given: str, path: str
) -> None:
    send(target(endpoint=sink.url + given))
    assert sink.requests[0].path == path


@pytest.mark.parametrize(
    ("variables", "path", "headers"),
    [
        ({"ENDPOINT": "{url}"}, "/v1/traces", {"content-encoding": "gzip"}),
        ({"ENDPOINT": "{url}/base/"}, "/base/v1/traces", {}),
        ({"ENDPOINT": "http://127.0.0.1:9", "TRACES_ENDPOINT": "{url}/as/is"}, "/as/is", {}),
        (
            {"ENDPOINT": "{url}", "HEADERS": "a=1,B=x%20y , c=d=e"},
            "/v1/traces",
            {"a": "1", "b": "x y", "c": "d=e"},
        ),
        ({"ENDPOINT": "{url}", "HEADERS": "a=1", "TRACES_HEADERS": "a=2"}, "/v1/traces", {"a": "2"}),
        (
            {"ENDPOINT": "{url}", "TRACES_COMPRESSION": "deflate"},
            "/v1/traces",
            {"content-encoding": "deflate"},
        ),
    ],
)
def test_the_standard_variables_apply(
    sink: OtlpSink,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    path: str,
    headers: dict[str, str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value.format(url=sink.url))
    send(target())
    (request,) = sink.requests
    assert request.path == path
    assert {name: request.headers.get(name) for name in headers} == headers


def test_no_compression_when_the_variable_says_so(
    sink: OtlpSink, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    assert send(target(endpoint=sink.url)) == Delivered()
    assert "content-encoding" not in sink.requests[0].headers
    assert sink.names() == {"one": 1}


def test_arguments_stand_above_variables(
    sink: OtlpSink, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=variable,b=variable")
    send(target(endpoint=sink.url, headers={"A": "argument"}))
    assert sink.requests[0].headers["a"] == "argument"
    assert sink.requests[0].headers["b"] == "variable"


def test_netrc_does_not_replace_the_key(
    sink: OtlpSink, target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sink.key = SECRET
    assert send(target(endpoint=sink.url, headers={"Authorization": f"Bearer {SECRET}"})) == Delivered()


def test_user_and_password_of_the_endpoint_are_used_and_not_shown(sink: OtlpSink, target: Target) -> None:
    sink.default = failing(404)
    otlp = target(endpoint=sink.url.replace("//", f"//me:{SECRET}@"))
    outcome = send(otlp)
    assert sink.requests[0].headers["authorization"].startswith("Basic ")
    assert SECRET not in f"{outcome}{otlp!r}"
    assert str(sink.port) in f"{outcome}"


def test_a_private_authority_is_trusted_by_variable(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = TlsAuthority()
    with OtlpSink(tls=authority.server_context()) as sink:
        outcome = send(target(endpoint=sink.url))
        assert isinstance(outcome, Retry)
        assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in outcome.reason
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs")  # must not win
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_CERTIFICATE", str(authority.write_certificate(tmp_path / "ca.pem"))
        )
        assert send(target(endpoint=sink.url)) == Delivered()


# -- OTLP over HTTP: what comes back ------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (failing(503), Retry, "503"),
        (failing(502), Retry, "502"),
        (failing(504), Retry, "504"),
        (failing(408), Retry, "408"),
        (failing(429), Retry, "429"),
        (failing(500), Retry, "500"),
        (saying(400, "attribute too long"), Refused, "attribute too long"),
        (failing(422), Refused, "422"),
        (failing(413), TooLarge, "413"),
        (failing(401), Misconfigured, "OTEL_EXPORTER_OTLP_HEADERS"),
        (failing(403), Misconfigured, "headers="),
        (failing(404), Misconfigured, "endpoint="),
        (failing(405), Misconfigured, "endpoint="),
        (failing(415), Misconfigured, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (Answer(body="<html>Log in</html>"), Misconfigured, "web page"),
        (redirecting("https://elsewhere.example/?key=secret-in-query"), Misconfigured, "elsewhere.example"),
        (resetting(), Retry, ""),
        (closing(), Retry, ""),
    ],
    ids=lambda value: getattr(value, "status", None) and f"{value.status}-{value.behaviour.name}",
)
def test_each_answer_has_its_outcome(
    sink: OtlpSink, target: Target, answer: Answer, kind: type[Any], words: str
) -> None:
    sink.default = answer
    outcome = send(target(endpoint=sink.url, headers={"x-key": SECRET}))
    assert type(outcome) is kind
    assert words in getattr(outcome, "reason", "")
    assert "secret-in-query" not in str(outcome)
    assert len(sink.requests) == 1, "retrying is the engine's business"


@pytest.mark.parametrize("status", [500, 501, 503, 400, 401])
def test_only_500_casts_suspicion_on_the_batch(sink: OtlpSink, target: Target, status: int) -> None:
    sink.default = failing(status)
    assert getattr(send(target(endpoint=sink.url)), "suspect", False) is (status == 500)


def test_retry_after_is_in_seconds_or_a_date(sink: OtlpSink, target: Target) -> None:
    otlp = target(endpoint=sink.url)
    sink.enqueue(
        throttled(7), throttled_until(time.time() + 30), Answer(status=503, headers={"Retry-After": "soon"})
    )
    assert send(otlp) == Retry("HTTP 429", after=7.0)
    by_date = send(otlp)
    assert isinstance(by_date, Retry)
    assert by_date.after == pytest.approx(30, abs=2.5)
    assert send(otlp) == Retry("HTTP 503", after=None)


def test_what_a_receiver_repeats_of_a_header_is_not_shown(sink: OtlpSink, target: Target) -> None:
    sink.default = saying(400, f"strange header Bearer {SECRET} or {SECRET}")
    outcome = send(target(endpoint=sink.url, headers={"Authorization": f"Bearer {SECRET}"}))
    assert isinstance(outcome, Refused)
    assert "strange header" in outcome.reason
    assert SECRET not in outcome.reason


def test_partial_success_is_counted_and_told(sink: OtlpSink, target: Target) -> None:
    told: list[tuple[int, str]] = []
    sink.default = keeping(lambda name: name != "bad", "no such tenant")
    otlp = target(endpoint=sink.url, on_rejected=lambda count, reason: told.append((count, reason)))
    assert send(otlp, "good", "bad") == Delivered(warnings=("1 spans rejected: no such tenant",))
    assert told == [(1, "no such tenant")]
    sink.default = partly(0, "deprecated")
    assert send(otlp) == Delivered(warnings=("deprecated",))
    assert len(told) == 1


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"ok", "text/plain", Delivered()),
        (b"\xff\xff\xff", "application/x-protobuf", Delivered()),
        (b"{", "application/json", Delivered()),
        (b"[]", "application/json", Delivered()),
        (
            b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "late"}}',
            "application/json",
            Delivered(warnings=("2 spans rejected: late",)),
        ),
        (b'{"partialSuccess": {"rejectedSpans": [], "errorMessage": 7}}', "application/json", Delivered()),
    ],
)
def test_good_answers_of_any_form_are_understood(
    sink: OtlpSink, target: Target, body: bytes, kind: str, expected: Outcome
) -> None:
    sink.default = Answer(body=body, headers={"Content-Type": kind})
    assert send(target(endpoint=sink.url)) == expected


@pytest.mark.parametrize(
    "answer", [hanging(), dripping(0.05), dripping(5.0)], ids=["hang", "drip", "slow drip"]
)
def test_one_attempt_keeps_its_time(sink: OtlpSink, target: Target, answer: Answer) -> None:
    sink.default = answer
    otlp = target(endpoint=sink.url)
    started = time.monotonic()
    outcome = send(otlp, timeout=0.4)
    assert time.monotonic() - started < 0.4 + 0.3
    assert outcome == Retry("no complete answer within 0.4 s")
    assert len(sink.requests) == 1


def test_the_own_timeout_applies_when_shorter(sink: OtlpSink, target: Target) -> None:
    sink.default = hanging()
    started = time.monotonic()
    assert isinstance(send(target(endpoint=sink.url, timeout=0.2), timeout=10.0), Retry)
    assert time.monotonic() - started < 0.6


def test_a_receiver_that_is_down_is_told_at_once(sink: OtlpSink, target: Target) -> None:
    sink.refuse()
    started = time.monotonic()
    outcome = send(target(endpoint=sink.url))
    assert time.monotonic() - started < 0.5
    assert isinstance(outcome, Retry)
    assert "refused" in outcome.reason.lower()
    assert not outcome.suspect
    sink.listen()


def test_an_idle_connection_that_was_closed_is_replaced_at_once(sink: OtlpSink, target: Target) -> None:
    otlp = target(endpoint=sink.url)
    assert send(otlp, "one") == Delivered()
    sink.refuse()
    sink.listen()
    assert send(otlp, "two") == Delivered()
    assert sink.names() == {"one": 1, "two": 1}


def test_a_connection_that_closes_under_a_request_is_replaced_at_once(sink: OtlpSink, target: Target) -> None:
    otlp = target(endpoint=sink.url)
    assert send(otlp, "one") == Delivered()
    sink.enqueue(closing())
    assert send(otlp, "two") == Delivered()
    sink.enqueue(closing(), closing())
    assert isinstance(send(otlp, "three"), Retry), "once is enough"
    assert sink.names() == {"one": 1, "two": 1}


def test_a_span_that_cannot_be_encoded_is_refused_without_a_request(sink: OtlpSink, target: Target) -> None:
    outcome = send(target(endpoint=sink.url), "good", "\ud800")
    assert isinstance(outcome, Refused)
    assert not sink.requests


def test_our_failures_are_not_logged_by_the_exporter_and_those_of_others_are(
    sink: OtlpSink, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    sink.default = failing(400)
    with caplog.at_level(logging.DEBUG):
        send(target(endpoint=sink.url))
        assert [record for record in caplog.records if record.name == EXPORTER_LOG] == []
        theirs = OTLPSpanExporter(f"{sink.url}/v1/traces")
        theirs.export([finished_span("theirs")])
        theirs.shutdown()
        assert [record.levelname for record in caplog.records if record.name == EXPORTER_LOG] == ["ERROR"]


def test_a_child_of_a_fork_connects_anew(sink: OtlpSink, target: Target) -> None:
    otlp = target(endpoint=sink.url)
    assert send(otlp, "one") == Delivered()
    parents = vars(otlp)["_connected"]
    otlp.renew()
    assert send(otlp, "two") == Delivered()
    assert len(sink._connections) == 2, f"the parent's is not used: {parents}"
    otlp.renew()
    otlp.close(1.0)
    assert sink.names() == {"one": 1, "two": 1}


# -- exporters of the application ---------------------------------------------------------------


class Recorder(SpanExporter):
    """Exports nowhere, and says what it is told to say."""

    def __init__(self, answer: object = SpanExportResult.SUCCESS) -> None:
        self.answer = answer
        self.batches: list[Sequence[ReadableSpan]] = []
        self.suppressed: list[object] = []
        self.release = threading.Event()
        self.hangs = False
        self.closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> Any:
        self.batches.append(spans)
        self.suppressed.append(otel_context.get_value("suppress_instrumentation"))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return not self.hangs or self.release.wait(5)

    def shutdown(self) -> None:
        if self.hangs:
            self.release.wait(5)
        self.closed = True


def test_an_exporter_gets_the_spans_with_instrumentation_suppressed(target: Target) -> None:
    exporter = Recorder()
    spans = [finished_span("one"), finished_span("two")]
    assert target(span_exporter=exporter).export(spans, 1.0) == Delivered()
    assert exporter.batches == [spans]
    assert exporter.suppressed == [True]
    assert otel_context.get_value("suppress_instrumentation") is None


@pytest.mark.parametrize("answer", [SpanExportResult.FAILURE, OSError("no"), KeyError("no"), SystemExit(3)])
def test_a_failing_exporter_is_tried_again(target: Target, answer: object) -> None:
    in_thread: list[Outcome] = []
    exporter = Recorder(answer)
    worker = threading.Thread(target=lambda: in_thread.append(send(target(span_exporter=exporter))))
    worker.start()
    worker.join(5)
    assert in_thread == [Retry("Recorder failed", suspect=True)]
    assert otel_context.get_value("suppress_instrumentation") is None


def test_an_exporter_that_returns_nothing_is_taken_to_succeed(target: Target) -> None:
    assert send(target(span_exporter=Recorder(None))) == Delivered()


def test_the_reason_is_what_an_exporter_would_have_logged(sink: OtlpSink, target: Target) -> None:
    sink.default = failing(400)
    outcome = send(target(span_exporter=OTLPSpanExporter(f"{sink.url}/v1/traces")))
    assert isinstance(outcome, Retry)
    assert "400" in outcome.reason


def test_a_hanging_exporter_holds_up_neither_flush_nor_close(target: Target) -> None:
    exporter = Recorder()
    exporter.hangs = True
    given = target(span_exporter=exporter)
    started = time.monotonic()
    assert not given.flush(0.1)
    given.close(0.1)
    assert time.monotonic() - started < 0.6
    exporter.hangs = False
    exporter.release.set()


def test_an_exporter_is_flushed_and_shut_down(target: Target) -> None:
    exporter = Recorder()
    given = target(span_exporter=exporter)
    assert given.flush(1.0)
    given.close(1.0)
    assert exporter.closed


# -- processors and providers of the application ------------------------------------------------


class Collecting(SpanProcessor):
    """Keeps names; fails on one of them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.release = threading.Event()
        self.closed = False

    def on_end(self, span: ReadableSpan) -> None:
        if span.name == "bad":
            raise ValueError("bad span")
        self.names.append(span.name)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.release.wait(5)

    def shutdown(self) -> None:
        self.closed = True


def test_a_processor_gets_each_span_and_may_fail_on_one(target: Target) -> None:
    processor = Collecting()
    given = target(span_processor=processor)
    assert send(given, "one", "bad", "two") == Delivered()
    assert processor.names == ["one", "two"]
    started = time.monotonic()
    assert not given.flush(0.1)
    assert time.monotonic() - started < 0.4
    processor.release.set()
    given.close(1.0)
    assert processor.closed


def test_a_batch_processor_is_flushed_and_shut_down(target: Target) -> None:
    exporter = InMemorySpanExporter()
    given = target(span_processor=BatchSpanProcessor(exporter))
    send(given, "one")
    assert given.flush(5.0)
    assert [span.name for span in exporter.get_finished_spans()] == ["one"]


def test_a_provider_lends_its_processors_resource_and_sampler(target: Target) -> None:
    provider = TracerProvider(
        sampler=ALWAYS_OFF, resource=Resource({"service.name": "app"}), shutdown_on_exit=False
    )
    given = target(tracer_provider=provider)
    assert given.resource is provider.resource
    assert given.sampler is ALWAYS_OFF
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))  # later than we knew of it
    send(given, "one")
    assert given.flush(5.0)
    given.close(1.0)
    send(given, "two")
    assert [span.name for span in exporter.get_finished_spans()] == ["one", "two"], "it is not ours to end"
    provider.shutdown()


def test_a_provider_that_hides_its_processors_is_refused(target: Target) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    del provider._active_span_processor
    with pytest.raises(HiveLoopConfigError, match="use span_processor= or span_exporter="):
        target(tracer_provider=provider)


# -- switched off, and wrong arguments ----------------------------------------------------------


def test_a_disabled_sdk_takes_and_forgets(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", " True ")
    exporter = Recorder()
    nowhere = target(span_exporter=exporter)
    assert send(nowhere) == Delivered()
    assert nowhere.flush(1.0)
    assert not exporter.batches


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"endpoint": "collector"}, "endpoint='collector' is not valid: give an address such as"),
        ({"endpoint": "ftp://collector"}, "endpoint="),
        ({"endpoint": "http://:4318"}, "endpoint="),
        ({"endpoint": "http://host:notaport"}, "endpoint="),
        ({"endpoint": ""}, "endpoint="),
        ({"endpoint": 4318}, "endpoint="),
        ({"endpoint": "http://a b"}, "endpoint="),
        ({"headers": "x-key=1"}, "headers=<str> is not valid: give a mapping"),
        ({"headers": {"bad name": "1"}}, "headers: a header's name is not valid"),
        ({"headers": {"x-key": SECRET + "\n"}}, "headers: the value of 'x-key' is not valid"),
        ({"headers": {"x-key": None}}, "headers: the value of 'x-key'"),
        ({"headers": {"x-key": "€"}}, "headers: the value of 'x-key'"),
        ({"timeout": 0}, "timeout=0 is not valid: give seconds, more than 0"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"timeout": True}, "timeout=True"),
        ({"timeout": 10**400}, "timeout=1000"),
        (
            {"span_exporter": InMemorySpanExporter},
            "span_exporter=InMemorySpanExporter is a class: pass an object",
        ),
        ({"span_exporter": "otlp"}, "span_exporter=str(...) is not valid: it has no method 'export'"),
        ({"span_processor": InMemorySpanExporter()}, "it has no method 'on_end'"),
        ({"tracer_provider": ProxyTracerProvider()}, "give an opentelemetry.sdk.trace.TracerProvider"),
        (
            {"span_exporter": InMemorySpanExporter(), "span_processor": Collecting()},
            "span_exporter= and span_processor= exclude each other",
        ),
        ({"span_exporter": InMemorySpanExporter(), "endpoint": "http://a"}, "span_exporter= and endpoint="),
    ],
)
def test_wrong_arguments_are_refused_with_the_fix(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(HiveLoopConfigError) as raised:
        span_target(**arguments)
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TRACES_PROTOCOL", "carrier pigeon", "set one of http/protobuf, grpc, http/json"),
        ("COMPRESSION", "zip", "set one of gzip, deflate, none"),
        ("TIMEOUT", "10s", "give seconds"),
        ("ENDPOINT", "collector:4318", "give an address such as"),
        ("TRACES_ENDPOINT", "collector", "give an address such as"),
        ("CERTIFICATE", "/no/such/file.pem", "there is no such file"),
        ("TRACES_CLIENT_KEY", "/no/such/file.pem", "there is no such file"),
        ("HEADERS", f"a=1,{SECRET}", "entry 2 has no '='"),
        ("HEADERS", f"bad name={SECRET}", "a header's name is not valid"),
    ],
)
def test_wrong_variables_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    with pytest.raises(HiveLoopConfigError) as raised:
        span_target()
    assert f"OTEL_EXPORTER_OTLP_{name}" in str(raised.value)
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


def test_json_wants_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(HiveLoopConfigError, match="pip install opentelemetry-exporter-otlp-json-http"):
        span_target()
