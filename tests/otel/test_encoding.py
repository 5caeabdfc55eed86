"""Our encoding of spans says the same as the SDK's, whatever a span carries."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as sdk_encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from hiveloop_otel._encoding import encode_spans

from .conftest import Maker

RESOURCE = Resource({"service.name": "s", "numbers": (1, 2)}, "https://example.com/resource")
SCOPE = InstrumentationScope("hiveloop", "1", "https://example.com/scope")

text = st.text(st.characters(codec="utf-8"), max_size=300)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.sampled_from([0, 0.0, False]),
    text,
)
values = st.one_of(
    scalars, st.lists(text, max_size=3).map(tuple), st.lists(st.booleans(), max_size=3).map(tuple)
)
attributes = st.dictionaries(st.sampled_from(["a", "b", "gen_ai.c", "ä"]) | text, values, max_size=6)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "2")])]),
)
times = st.integers(0, 2**63)
statuses = st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK), Status(StatusCode.ERROR, "no")])


@st.composite
def spans(draw: Any) -> ReadableSpan:
    return ReadableSpan(
        draw(text),
        draw(contexts),
        draw(st.none() | contexts),
        RESOURCE,
        draw(attributes),
        draw(st.lists(st.builds(Event, text, attributes, times), max_size=3)),
        draw(st.lists(st.builds(Link, contexts, attributes), max_size=2)),
        draw(st.sampled_from(SpanKind)),
        None,
        draw(statuses),
        draw(times),
        draw(times),
        SCOPE,
    )


def parsed(body: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(body)


@given(st.lists(spans(), max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_spans(batch: list[ReadableSpan]) -> None:
    assert parsed(encode_spans(batch)) == sdk_encode_spans(batch)


def test_what_was_dropped_is_told(traced: Maker) -> None:
    seen = traced()
    with seen.agent.task("t") as task:
        for _ in range(1100):
            task.llm_call("a", "gpt-4o", cost=0.5, tokens_in=1)
    batch = seen.spans()
    told = parsed(encode_spans(batch))
    assert told == sdk_encode_spans(batch)
    assert told.resource_spans[0].scope_spans[0].spans[-1].dropped_events_count == 76
