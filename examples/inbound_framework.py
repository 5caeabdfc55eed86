"""Inbound: a framework that already emits OpenTelemetry shows on HiveBoard without one line of ours in it.

The part "a framework" stands for CrewAI, LangGraph, Pydantic AI, Google's ADK or any other: it knows
nothing of HiveLoop and makes spans as the GenAI conventions say, here around real searches in this folder.
The application adds one span processor to its TracerProvider, and agents, tools and model calls are there:
an agent that delegates to another, a tool that fails, tokens and latency.

    python examples/inbound_framework.py

Needs the extra: pip install "hiveloop[otel]". Prints to the terminal; with HIVELOOP_API_KEY set it reports
to HiveBoard instead. The framework's spans go on to wherever else the application sends them; this one has
no exporter, so OTEL_EXPORTER_OTLP_ENDPOINT plays no part.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import hiveloop
from hiveloop_otel import HiveLoopSpanProcessor

FOLDER = Path(__file__).parent

# -- a framework ------------------------------------------------------------------------------

tracer = trace.get_tracer("some.agent.framework")


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def ask_model(question: str, text: str) -> str:
    """Stand in for a model: the sentence of the text that shares most words with the question."""
    with tracer.start_as_current_span(
        "chat local-small",
        kind=trace.SpanKind.CLIENT,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "local",
            "gen_ai.request.model": "local-small",
            "gen_ai.input.messages": json.dumps([{"role": "user", "content": question}]),
        },
    ) as span:
        asked = set(words(question))
        best = max(re.split(r"(?<=[.!?:])\s+", text), key=lambda s: len(asked.intersection(words(s))))
        answer = " ".join(best.split())
        span.set_attributes(
            {
                "gen_ai.usage.input_tokens": len(words(question)) + len(words(text)),
                "gen_ai.usage.output_tokens": len(words(answer)),
                "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": answer}]),
            }
        )
        return answer


def read_purpose(name: str) -> str:
    """A tool: the first paragraph of an example."""
    with tracer.start_as_current_span(
        "execute_tool read_purpose",
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "read_purpose",
            "gen_ai.tool.call.arguments": json.dumps({"name": name}),
        },
    ) as span:
        purpose = (FOLDER / name).read_text(encoding="utf-8").split('"""')[1].split("\n\n")[0]
        span.set_attribute("gen_ai.tool.call.result", purpose)
        return purpose


def run_reader(names: list[str], question: str) -> str:
    """An agent that reads what it is given; a file that is missing does not stop it."""
    with tracer.start_as_current_span(
        "invoke_agent reader",
        attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "reader"},
    ):
        purposes: list[str] = []
        for name in names:
            try:
                purposes.append(read_purpose(name))
            except FileNotFoundError:
                continue
        return ask_model(question, " ".join(purposes))


def run_librarian(question: str, conversation: str) -> str:
    """An agent that finds the right shelf and delegates the reading."""
    with tracer.start_as_current_span(
        "invoke_agent librarian",
        attributes={
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "librarian",
            "gen_ai.conversation.id": conversation,
        },
    ) as span:
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        ask_model(f"Which example shows {question}?", readme)
        answer = run_reader(["layer2b_tools.py", "layer9_missing.py", "layer4_detectors.py"], question)
        span.set_attribute("output.value", answer)
        return answer


# -- the application --------------------------------------------------------------------------


def main() -> None:
    transport = None if os.environ.get("HIVELOOP_API_KEY") else hiveloop.ConsoleTransport()
    hiveloop.init(transport=transport)

    provider = TracerProvider(resource=Resource.create({"service.name": "library"}))
    provider.add_span_processor(HiveLoopSpanProcessor(project="examples"))
    trace.set_tracer_provider(provider)

    print(run_librarian("tools and what they return", conversation="visit-17"))

    provider.shutdown()
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
