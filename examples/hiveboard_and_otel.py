"""A HiveBoard and OpenTelemetry at once: the same calls, the same ids, neither in the way of the other.

A trace id is the task's run id without hyphens, so what one side shows can be found on the other.

Needs pip install "hiveloop[otel]".

    python examples/hiveboard_and_otel.py

Prints to the terminal; with HIVELOOP_API_KEY set it reports to HiveBoard instead, and with
OTEL_EXPORTER_OTLP_ENDPOINT set (such as http://localhost:4318) the spans go to that collector.
"""

from __future__ import annotations

import os

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

import hiveloop
from hiveloop_otel import OTelTransport


def board() -> hiveloop.Transport:
    key = os.environ.get("HIVELOOP_API_KEY")
    endpoint = os.environ.get("HIVELOOP_ENDPOINT", "https://api.hiveboard.io")
    return hiveloop.HttpTransport(key, endpoint) if key else hiveloop.ConsoleTransport()


def spans() -> OTelTransport:
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return OTelTransport()
    return OTelTransport(span_exporter=InMemorySpanExporter())


def main() -> None:
    hb = hiveloop.init(transport=[board(), spans()])
    agent = hb.agent("sales", type="sales")

    with agent.task("lead-42", project="crm") as task:
        task.plan("Qualify the lead", ["Look the company up", "Decide"])
        with agent.track_context("search_crm") as tool:
            tool.set_payload(hiveloop.tool_payload(args={"company": "Acme"}, result="3 contacts"))
            get_current_span().set_attribute("crm.region", "eu")  # on our span, whoever writes it
        task.llm_call("decide", "local-large", tokens_in=1200, tokens_out=350, cost=0.008)
        trace_id = f"{get_current_span().get_span_context().trace_id:032x}"

    hiveloop.shutdown()
    print(f"run {task.task_run_id} is trace {trace_id}")
    for name, lane in hb.stats().transports.items():
        print(f"{name}: {lane.delivered} of {lane.accepted} events delivered")


if __name__ == "__main__":
    main()
