"""OTLP over gRPC: one call each, in bounded time, and the engine learns what became of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc import StatusCode

from hiveloop import HiveLoopConfigError
from hiveloop.transport import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from hiveloop_otel._targets import SpanTarget, span_target
from tests.support.otlp import finished_span
from tests.support.otlp_grpc import GrpcAnswer, GrpcSink
from tests.support.wait import eventually

SECRET = "a-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def over_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")


@pytest.fixture
def sink() -> Iterator[GrpcSink]:
    with GrpcSink() as sink:
        yield sink


@pytest.fixture
def target(sink: GrpcSink) -> Iterator[SpanTarget]:
    target = span_target(endpoint=sink.url, headers={"X-Api-Key": SECRET})
    yield target
    target.close(1.0)


def send(target: SpanTarget, *names: str, timeout: float = 5.0) -> Outcome:
    return target.export([finished_span(name) for name in names or ("one",)], timeout)


def test_spans_arrive_with_headers(sink: GrpcSink, target: SpanTarget) -> None:
    assert send(target, "one", "two") == Delivered()
    assert sink.names() == {"one": 1, "two": 1}
    assert sink.metadata["x-api-key"] == SECRET
    assert SECRET not in repr(target)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GrpcAnswer(code=StatusCode.UNAVAILABLE, message="later"), Retry("gRPC UNAVAILABLE: later")),
        (
            GrpcAnswer(code=StatusCode.UNAVAILABLE, message="later", retry_after=2.5),
            Retry("gRPC UNAVAILABLE: later", after=2.5),
        ),
        (
            GrpcAnswer(code=StatusCode.RESOURCE_EXHAUSTED, message="quota", retry_after=1),
            Retry("gRPC RESOURCE_EXHAUSTED: quota", after=1.0),
        ),
        (GrpcAnswer(code=StatusCode.ABORTED, message=f"key {SECRET}"), Retry("gRPC ABORTED: key …")),
        (GrpcAnswer(code=StatusCode.INTERNAL, message="oops"), Retry("gRPC INTERNAL: oops", suspect=True)),
        (GrpcAnswer(code=StatusCode.INVALID_ARGUMENT, message="bad"), Refused("gRPC INVALID_ARGUMENT: bad")),
        (
            GrpcAnswer(rejected=3, message="too old"),
            Delivered(warnings=("3 spans rejected: too old",)),
        ),
        (GrpcAnswer(message="deprecated"), Delivered(warnings=("deprecated",))),
    ],
)
def test_each_status_has_its_outcome(
    sink: GrpcSink, target: SpanTarget, answer: GrpcAnswer, expected: Outcome
) -> None:
    sink.default = answer
    assert send(target) == expected
    assert sink.calls == 1, "retrying is the engine's business"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (StatusCode.UNAUTHENTICATED, "OTEL_EXPORTER_OTLP_HEADERS"),
        (StatusCode.PERMISSION_DENIED, "headers="),
        (StatusCode.UNIMPLEMENTED, "4317"),
    ],
)
def test_what_only_a_person_can_mend_is_said(
    sink: GrpcSink, target: SpanTarget, code: StatusCode, words: str
) -> None:
    sink.default = GrpcAnswer(code=code, message=f"key {SECRET}")
    outcome = send(target)
    assert isinstance(outcome, Misconfigured)
    assert words in outcome.reason
    assert SECRET not in outcome.reason


def test_a_request_beyond_the_receivers_limit_is_too_large(sink: GrpcSink, target: SpanTarget) -> None:
    big = finished_span("big", text="x" * 5_000_000)
    assert isinstance(target.export([big], 10.0), TooLarge)


def test_partial_success_is_counted(sink: GrpcSink) -> None:
    told: list[tuple[int, str]] = []
    target = span_target(endpoint=sink.url, on_rejected=lambda count, reason: told.append((count, reason)))
    sink.default = GrpcAnswer(rejected=2, message="late")
    send(target)
    target.close(1.0)
    assert told == [(2, "late")]


def test_one_call_keeps_its_time(sink: GrpcSink, target: SpanTarget) -> None:
    sink.default = GrpcAnswer(hangs=True)
    started = time.monotonic()
    outcome = send(target, timeout=0.3)
    assert time.monotonic() - started < 0.9
    assert isinstance(outcome, Retry)
    assert "DEADLINE_EXCEEDED" in outcome.reason


def test_a_receiver_that_comes_back_is_found_at_once(sink: GrpcSink, target: SpanTarget) -> None:
    assert send(target, "before") == Delivered()
    sink.refuse()
    for _ in range(3):
        started = time.monotonic()
        assert isinstance(send(target, timeout=2.0), Retry)
        assert time.monotonic() - started < 1.0
    sink.listen()
    eventually(lambda: send(target, "after", timeout=2.0) == Delivered(), 0.5)
    assert sink.names() == {"before": 1, "after": 1}


def test_a_span_that_cannot_be_encoded_is_refused_without_a_call(sink: GrpcSink, target: SpanTarget) -> None:
    assert isinstance(send(target, "good", "\ud800"), Refused)
    assert sink.calls == 0


def test_a_child_of_a_fork_makes_a_channel_of_its_own(sink: GrpcSink, target: SpanTarget) -> None:
    assert send(target, "one") == Delivered()
    target.renew()
    assert send(target, "two") == Delivered()
    assert sink.names() == {"one": 1, "two": 1}


def test_a_private_authority_is_trusted_by_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    credentials = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), b"".join(blob.bytes() for blob in issued.cert_chain_pems))]
    )
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with GrpcSink(credentials) as sink:
        distrusting = span_target(endpoint=sink.url)
        assert isinstance(send(distrusting), Retry)
        distrusting.close(1.0)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", str(tmp_path / "ca.pem"))
        trusting = span_target(endpoint=sink.url)
        assert send(trusting) == Delivered()
        trusting.close(1.0)


@pytest.mark.parametrize(
    ("endpoint", "variables"),
    [
        ("localhost:{port}", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:{port}"}),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:{port}/ignored"}),
    ],
)
def test_addresses_with_and_without_scheme(
    sink: GrpcSink, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(port=sink.port))
    target = span_target(endpoint=endpoint and endpoint.format(port=sink.port))
    assert send(target) == Delivered()
    target.close(1.0)


def test_nothing_is_logged_by_the_exporter(
    sink: GrpcSink, target: SpanTarget, caplog: pytest.LogCaptureFixture
) -> None:
    sink.default = GrpcAnswer(code=StatusCode.INVALID_ARGUMENT)
    with caplog.at_level(logging.DEBUG):
        send(target)
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_wrong_endpoint_is_refused_with_the_fix() -> None:
    wrong: Any = "http://"
    with pytest.raises(HiveLoopConfigError, match="http://localhost:4317"):
        span_target(endpoint=wrong)
