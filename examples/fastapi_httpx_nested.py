"""Two agents behind a web framework, called through an instrumented HTTP client: one trace, all nested.

The planner's task runs inside FastAPI's span of the request, the client's span inside the planner's action,
and the writer's task inside FastAPI's span on the other side. Nothing here passes a trace on by hand.

Needs pip install "hiveloop[otel]" fastapi httpx opentelemetry-instrumentation-fastapi
opentelemetry-instrumentation-httpx.

    python examples/fastapi_httpx_nested.py

Prints the trace as a tree; with OTEL_EXPORTER_OTLP_ENDPOINT set (such as http://localhost:4318) it goes to
that collector as well.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hiveloop
from hiveloop_otel import OTelTransport

# -- what an application has anyway: a provider, a framework and a client, both instrumented ----------

provider = TracerProvider(resource=Resource.create({"service.name": "examples"}))
memory = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(memory))
if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

app = FastAPI()
FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, exclude_spans=["receive", "send"])


async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
    """Stands for a server in another process: all that reaches it are the headers."""
    await asyncio.create_task(app(scope, receive, send), context=contextvars.Context())


def client() -> httpx.AsyncClient:
    made = httpx.AsyncClient(transport=httpx.ASGITransport(elsewhere), base_url="http://examples")
    HTTPXClientInstrumentor.instrument_client(made, tracer_provider=provider)
    return made


# -- the agents -------------------------------------------------------------------------------------

# Our spans take the way of all others. OTelTransport() would send them itself, and survive longer outages.
hb = hiveloop.init(transport=OTelTransport(tracer_provider=provider))
planner, writer = hb.agent("planner"), hb.agent("writer")


@app.post("/plan")
async def plan(topic: str) -> str:
    with planner.task(f"plan-{topic}") as task:
        task.llm_call("outline", "local-large", tokens_in=40, tokens_out=12)
        with planner.track_context("ask_writer"):
            async with client() as http:
                answer = await http.post("/write", params={"topic": topic})
        return str(answer.json())


@app.post("/write")
async def write(topic: str) -> str:
    with writer.task(f"write-{topic}") as task:
        text = f"A few words about {topic}."
        task.llm_call("draft", "local-small", tokens_in=12, tokens_out=len(text.split()))
        return text


# -- a request, and what can be seen of it ------------------------------------------------------------


async def ask(topic: str) -> str:
    async with client() as http:
        answer = await http.post("/plan", params={"topic": topic})
        return str(answer.json())


def tree(spans: Sequence[ReadableSpan], parent: int | None = None, indent: str = "") -> Iterator[str]:
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        if (span.parent.span_id if span.parent else None) == parent:
            yield f"{indent}{span.name} ({span.kind.name.lower()})"
            context = span.get_span_context()
            yield from tree(spans, context.span_id if context else 0, f"{indent}  ")


def main() -> None:
    print(asyncio.run(ask("tea")))
    hiveloop.flush()
    print("\n".join(tree(memory.get_finished_spans())))
    hiveloop.shutdown()
    provider.shutdown()


if __name__ == "__main__":
    main()
