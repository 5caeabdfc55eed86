"""What every test of hiveloop_otel needs."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop_otel import OTelTransport


class Traced:
    """A client that exports spans into memory."""

    def __init__(self, *beside: hiveloop.Transport, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.transport = OTelTransport(span_exporter=self.exporter, **options)
        self.hb = hiveloop.init(transport=[self.transport, *beside], environment="test")
        self.agent = self.hb.agent("sales", type="support", version="2", heartbeat_interval=0)

    def spans(self) -> list[ReadableSpan]:
        """The spans finished so far, in the order of export."""
        assert self.hb.flush(10)
        return list(self.exporter.get_finished_spans())

    def only(self, name: str) -> ReadableSpan:
        """The one span of a name."""
        found = [span for span in self.spans() if span.name == name]
        assert len(found) == 1, f"{name}: {[span.name for span in self.spans()]}"
        return found[0]


class Maker:
    """Makes clients with the options of a test."""

    def __call__(self, *beside: hiveloop.Transport, **options: Any) -> Traced:
        return Traced(*beside, **options)


@pytest.fixture
def traced() -> Maker:
    return Maker()


@pytest.fixture(autouse=True)
def context_is_left_clean() -> Generator[None]:
    """No test, and nothing it tests, may leave a span behind as the current one."""
    before = otel_context.get_current()
    yield
    assert otel_context.get_current() == before
