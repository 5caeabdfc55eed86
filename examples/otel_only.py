"""An agent seen through OpenTelemetry alone: no HiveBoard, no account.

Needs pip install "hiveloop[otel]".

    python examples/otel_only.py

Prints each span as it ends; with OTEL_EXPORTER_OTLP_ENDPOINT set (such as http://localhost:4318) spans,
metrics and logs go to that collector instead.
"""

from __future__ import annotations

import os
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

import hiveloop
from hiveloop_otel import OTelTransport

FOLDER = Path(__file__).parent


def transport() -> OTelTransport:
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return OTelTransport(service_name="examples", metrics=True, logs=True)
    return OTelTransport(span_exporter=ConsoleSpanExporter(formatter=one_line))


def one_line(span: ReadableSpan) -> str:
    shown = ("gen_ai.tool.name", "gen_ai.usage.input_tokens", "hiveloop.task.status", "error.type")
    attributes = span.attributes or {}
    told = " ".join(f"{name}={attributes[name]}" for name in shown if name in attributes)
    return f"{span.kind.name.lower():<8} {span.name:<24} {told}\n"


@hiveloop.track("read_file")
def read_file(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    hiveloop.set_payload(hiveloop.tool_payload(args={"name": name}, result_size_bytes=len(text)))
    return text


def summarise(text: str) -> str:
    """The model's stand-in: it takes the first line."""
    summary = text.strip('"#').partition("\n")[0]
    hiveloop.llm_call(
        "summarise", "local-small", tokens_in=len(text.split()), tokens_out=len(summary.split()), cost=0.0002
    )
    return summary


def main() -> None:
    hb = hiveloop.init(transport=transport())
    agent = hb.agent("librarian", type="docs", version="1.0")
    for name in ("README.md", "layer0_agent.py", "layer9_missing.py"):
        try:
            with agent.task(f"describe-{name}", project="examples", correlation_id="visit-1") as task:
                task.set_payload({"summary": summarise(read_file(name))})
        except FileNotFoundError:
            agent.report_issue(f"{name} is missing", "low")
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
