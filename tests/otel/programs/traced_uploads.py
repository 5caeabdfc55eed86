"""Upload events while urllib3 is instrumented; print which requests of this process were traced."""

from __future__ import annotations

import urllib3
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop_otel import OTelTransport
from tests.support.otlp import OtlpSink
from tests.support.server import ScriptedServer


def main() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    URLLib3Instrumentor().instrument(tracer_provider=provider)
    with ScriptedServer() as board, OtlpSink() as sink:
        native = hiveloop.transports.HttpTransport(api_key="hb_test_key", endpoint=board.url)
        hb = hiveloop.init(transport=[native, OTelTransport(endpoint=sink.url)])
        with hb.agent("worker", heartbeat_interval=0).task("t-1"):
            urllib3.PoolManager().request("GET", f"{board.url}/mine").release_conn()
        assert hb.flush(10), hb.stats()
        hiveloop.shutdown(timeout=5)
        uploads = [request for request in board.requests if request.path == "/v1/ingest"]
        assert uploads, "nothing was uploaded"
        assert sink.spans(), "nothing was exported"
        assert not any("traceparent" in request.headers for request in (*uploads, *sink.requests))
        assert "traceparent" in next(r for r in board.requests if r.path == "/mine").headers
    for span in exporter.get_finished_spans():
        print(span.attributes["http.url" if "http.url" in span.attributes else "url.full"].rpartition("/")[2])


if __name__ == "__main__":
    main()
