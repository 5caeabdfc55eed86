"""Where metrics and log records go: OTLP as the variables say, or what the application hands over."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from hiveloop import HiveLoopConfigError
from hiveloop.transport import Delivered, Misconfigured, Retry
from hiveloop_otel._metering import MeterSource, meter_source
from hiveloop_otel._metrics import Meters
from hiveloop_otel._targets import log_target
from tests.support.otlp import OtlpSink
from tests.support.server import TlsAuthority, failing, hanging

RESOURCE = Resource({"service.name": "tested"})
EXPORTED = "hiveloop.otel.spans.exported"


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
        yield sink


def counting(source: MeterSource) -> Meters:
    """Instruments with something to export."""
    meters = source.meters(RESOURCE, "1.41.1")
    assert meters is not None
    meters.spans_exported(3)
    return meters


def names_read_by(reader: InMemoryMetricReader) -> set[str]:
    data: Any = reader.get_metrics_data()
    return {
        metric.name
        for group in data.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    }


def test_nobody_wants_metrics_by_default() -> None:
    source = meter_source()
    assert source.meters(RESOURCE, "1.41.1") is None
    assert source.flush(1.0)
    source.close(1.0)


def test_metrics_go_out_by_otlp(sink: OtlpSink) -> None:
    source = meter_source(enabled=True, headers={"x-key": "1"})
    counting(source)
    assert source.flush(5.0)
    metric = sink.metrics()[0]
    assert metric.resource["service.name"] == "tested"
    assert sink.requests[0].path == "/v1/metrics"
    assert sink.requests[0].headers["x-key"] == "1"
    assert sink.requests[0].headers["content-encoding"] == "gzip"
    source.close(2.0)
    assert len(sink.requests) == 2, "a last export at the end"


@pytest.mark.parametrize("down", [hanging(), failing(503), None], ids=["hang", "503", "refused"])
def test_a_dead_receiver_holds_up_neither_flush_nor_close(
    sink: OtlpSink, down: Any, caplog: pytest.LogCaptureFixture
) -> None:
    source = meter_source(enabled=True)
    counting(source)
    if down is None:
        sink.refuse()
    else:
        sink.default = down
    started = time.monotonic()
    with caplog.at_level(logging.INFO):
        source.flush(0.3)
        source.close(0.3)
    assert time.monotonic() - started < 1.0
    assert {record.name for record in caplog.records} <= {"hiveloop"}, caplog.text
    if down is None:
        sink.listen()


def test_a_child_of_a_fork_counts_from_zero_and_silences_the_parents_reader(sink: OtlpSink) -> None:
    source = meter_source(enabled=True)
    parent = source._provider
    counting(source)
    parents: Any = source._provider
    source.renew()
    assert parents.force_flush(5000)
    assert not sink.requests, "what the parent counted is the parent's to export"
    assert source.meters(RESOURCE, "1.41.1") is not None
    assert source._provider not in (None, parent, parents)
    counting(source)
    assert source.flush(5.0)
    assert sink.metrics()
    source.close(1.0)
    parents.shutdown()


def test_a_reader_of_the_application_reads(sink: OtlpSink) -> None:
    reader = InMemoryMetricReader()
    source = meter_source(enabled=True, reader=reader)
    counting(source)
    assert names_read_by(reader)
    source.close(1.0)
    assert not sink.requests


def test_a_provider_of_the_application_is_flushed_and_left_open() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    source = meter_source(provider=provider)
    counting(source)
    source.close(1.0)
    assert names_read_by(reader)
    provider.shutdown()


def test_log_records_go_out_by_otlp(sink: OtlpSink) -> None:
    target = log_target(enabled=True)
    sink_of_logs = target.sink(RESOURCE, InstrumentationScope("tests"))
    assert sink_of_logs is not None
    assert target.export([_record("one"), _record("two")], 5.0) == Delivered()
    assert [record.event_name for record in sink.logs()] == ["one", "two"]
    assert sink.logs()[0].resource == {"service.name": "tested"}
    sink.default = failing(401)
    assert isinstance(target.export([_record("three")], 5.0), Misconfigured)
    target.renew()
    target.close(1.0)


def test_log_records_trust_a_private_authority_by_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = TlsAuthority()
    with OtlpSink(tls=authority.server_context()) as sink:
        distrusting = log_target(enabled=True, endpoint=sink.url)
        assert isinstance(distrusting.export([_record("one")], 5.0), Retry)
        distrusting.close(1.0)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs")  # must not win
        certificate = authority.write_certificate(tmp_path / "ca.pem")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", str(certificate))
        trusting = log_target(enabled=True, endpoint=sink.url)
        assert trusting.export([_record("one")], 5.0) == Delivered()
        trusting.close(1.0)


def test_an_exporter_of_the_application_gets_log_records() -> None:
    exporter = InMemoryLogRecordExporter()
    target = log_target(exporter=exporter)
    assert target.export([_record("one")], 5.0) == Delivered()
    assert [log.log_record.event_name for log in exporter.get_finished_logs()] == ["one"]
    assert target.flush(1.0)
    target.close(1.0)


def test_nobody_wants_log_records_by_default() -> None:
    target = log_target()
    assert target.sink(RESOURCE, InstrumentationScope("tests")) is None
    assert target.export([_record("one")], 1.0) == Delivered()
    assert target.flush(1.0)
    target.renew()
    target.close(1.0)


def test_a_disabled_sdk_wants_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert meter_source(enabled=True).meters(RESOURCE, "1.41.1") is None
    assert log_target(enabled=True).sink(RESOURCE, InstrumentationScope("tests")) is None


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (meter_source, {"provider": "otlp"}, "meter_provider=str(...) is not valid"),
        (meter_source, {"provider": MeterProvider}, "meter_provider=MeterProvider is not valid"),
        (meter_source, {"reader": object()}, "metric_reader=object(...) is not valid"),
        (meter_source, {"reader": 1, "provider": 2}, "exclude each other"),
        (meter_source, {"enabled": True, "endpoint": "nowhere"}, "endpoint='nowhere'"),
        (
            log_target,
            {"exporter": InMemoryLogRecordExporter},
            "log_exporter=InMemoryLogRecordExporter is a class",
        ),
        (log_target, {"exporter": 7}, "log_exporter=int(...) is not valid"),
        (log_target, {"enabled": True, "timeout": -1}, "timeout=-1"),
    ],
)
def test_wrong_arguments_are_refused_with_the_fix(make: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(HiveLoopConfigError) as raised:
        make(**arguments)
    assert words in str(raised.value)


def _record(name: str) -> Any:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord

    return ReadableLogRecord(
        LogRecord(timestamp=time.time_ns(), event_name=name, body="said"),
        RESOURCE,
        InstrumentationScope("tests"),
    )
