"""Events with any payload whatever, and a look at what the OTLP encoder makes of attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from hiveloop.events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
from hiveloop_otel import _content, _llm, _narrative

__all__ = [
    "DOTTED",
    "any_events",
    "any_json",
    "any_text",
    "as_sent",
    "known_keys",
    "payload_event",
]

DOTTED = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
"""What names of attributes look like."""

any_text = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["", "\ud800", "a\x00b", "é" * 9_000, "x" * 9_000, "tool", "failed", "resolved", "\U0001f600"]
)
_numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, -1, 0])
any_scalars = st.none() | st.booleans() | _numbers | any_text

_RULES = (
    [kind.rules for kind in (*_narrative._KINDS.values(), *_narrative._TYPES.values())]
    + [_narrative._FAILURE, _llm._METADATA]
    + [_content._OF_TASKS, _content._OF_TOOLS]
)
known_keys = sorted({key for rules in _RULES for key in rules} | _llm._DATA)
"""Members of payloads that mean something to us."""

any_json = st.recursive(
    any_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(any_text, max_size=3)
        | st.lists(st.integers(), max_size=3)
        | st.dictionaries(st.sampled_from(known_keys) | any_text, inner, max_size=6)
    ),
    max_leaves=15,
)
_members = st.dictionaries(st.sampled_from(known_keys) | any_text, any_json, max_size=8)
_kinds = st.sampled_from(["llm_call", *_narrative._KINDS]) | any_scalars
_payloads = st.fixed_dictionaries(
    {}, optional={"kind": _kinds, "data": _members | any_json, "summary": any_scalars, "tags": any_json}
)

_agents = st.builds(
    AgentInfo, agent_id=any_text, type=any_text, version=st.none() | any_text, framework=any_text
)
_optional = st.none() | any_text
_tasks = st.builds(
    TaskInfo, task_id=any_text, run_id=any_text, project=_optional, type=_optional, correlation_id=_optional
)


@st.composite
def any_events(draw: st.DrawFn) -> Event:
    """Events of all types, with payloads that no sensor would write."""
    payload = {**draw(_members), **draw(_payloads)}
    return Event(
        event_id=draw(any_text),
        time_ns=draw(st.integers(0, 2**63)),
        type=draw(st.sampled_from(EventType)),
        severity=draw(st.sampled_from(Severity)),
        agent=draw(_agents),
        task=draw(st.none() | _tasks),
        action=draw(st.none() | st.builds(ActionInfo, any_text)),
        status=draw(_optional),
        parent_event_id=draw(_optional),
        payload_json=json.dumps(payload),
    )


def payload_event(type_: EventType | str, payload: Any, **more: Any) -> Event:
    """An event with a payload, of one agent's one task unless told otherwise."""
    agent = AgentInfo("sales", "sales", "1.2.0", "crew")
    task = TaskInfo("lead-42", "0a3e0f5c-6f0b-4c55-9d7c-0f2f7b6f6c11", "crm", "enrich", "thread-7")
    fields = {"agent": agent, "task": task, "severity": Severity.INFO, **more}
    return Event(
        "event-1", 1_780_000_000_000_000_000, EventType(type_), payload_json=json.dumps(payload), **fields
    )


def as_sent(attributes: Mapping[str, Any], name: str = "span") -> dict[str, Any]:
    """Return attributes as a receiver decodes them: equal ones, of a span and of its event."""
    kept = BoundedAttributes(None, attributes)
    assert set(kept) == set(attributes), "the SDK drops some"
    span = ReadableSpan(
        name,
        SpanContext(1, 1, False, TraceFlags(1)),
        resource=Resource({}),
        attributes=kept,
        events=[SpanEvent(name, kept, 1)],
        start_time=1,
        end_time=2,
    )
    request = ExportTraceServiceRequest.FromString(encode_spans([span]).SerializeToString())
    [sent] = request.resource_spans[0].scope_spans[0].spans
    assert sent.name == name
    told = {pair.key: _decoded(pair.value) for pair in sent.attributes}
    assert told == {pair.key: _decoded(pair.value) for pair in sent.events[0].attributes}
    assert set(told) == set(attributes), "the encoder drops some"
    return told


def _decoded(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind in {"string_value", "bool_value", "int_value", "double_value", "array_value"}, kind
    if kind == "array_value":
        return [_decoded(item) for item in value.array_value.values]
    return getattr(value, kind)
