"""One agent's story as OTLP, compared with what it has always been, and read as backends read it.

The expectation is in ``tests/otel/golden/``. After a change that is meant to show, the command
``python -m tests.otel.test_golden`` writes it anew; its difference is the description of the change.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hiveloop.events import ActionInfo, AgentInfo, Event, EventType, Severity, TaskInfo
from hiveloop.transport import Batch, Delivered
from hiveloop_otel import OTelTransport

GOLDEN = Path(__file__).parent / "golden"
RUN = "5b7f2c0e-9a43-4d1e-8c52-3f6d1a2b4c5d"
BEGIN_NS = 1_780_000_000_000_000_000
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "latest": {"dialect": "latest"},
    "content": {"capture_content": True, "llm_calls": "span"},
    "compat": {"compat": ("mlflow", "agentops", "openinference", "logfire"), "llm_calls": "span"},
}


# -- the story --------------------------------------------------------------------------------

SALES = AgentInfo("sales", "support", "2.1.0", "crew", "staging", "revenue")
LEAD = TaskInfo("lead-42", RUN, "crm", "enrich", "thread-7")
SEARCH, DRAFT, SEND = (
    ActionInfo("a-search"),
    ActionInfo("a-draft"),
    ActionInfo("a-send", parent_action_id="a-draft"),
)


def _model_call(model: str, metadata: dict[str, Any], **data: Any) -> dict[str, Any]:
    previews = {"prompt_preview": "who is lead 42?", "response_preview": "Größe: 12"}
    data = {"name": "reason", "model": model, **data, **previews, "metadata": metadata}
    return {"kind": "llm_call", "summary": f"reason → {model}", "data": data, "tags": ["llm"]}


_CLAUDE = _model_call(
    "claude-sonnet-4",
    {
        "turn_number": 1,
        "stop_reason": "tool_use",
        "cache_read_input_tokens": 900,
        "cache_creation_input_tokens": 100,
        "temperature": 0,
        "context_utilization_pct": 12.5,
        "gateway": "eu-1",
    },
    tokens_in=200,
    tokens_out=350,
    cost=0.008,
    duration_ms=300,
)
_GPT = _model_call(
    "gpt-4o",
    {"stop_reason": "stop", "time_to_first_token_ms": 80, "response_id": "chatcmpl-1"},
    tokens_in=1000,
    tokens_out=40,
    cost=0.002,
    duration_ms=250,
)
_SEARCHED = {
    "action_name": "search",
    "success": True,
    "args": {"query": "lead 42"},
    "result": "1 hit",
    "tool_category": "crm",
    "http_status": 200,
    "result_size_bytes": 512,
    "tool_call_id": "call_1",
}
_FAILED_TO_SEND = {
    "action_name": "send",
    "success": False,
    "error": "mailbox full",
    "error_type": "MailboxFull",
    "args": {"to": "lead 42"},
}
_STORY: tuple[tuple[str, dict[str, Any], ActionInfo | None, TaskInfo | None], ...] = (
    ("task_started", {"summary": "Task lead-42 started"}, None, LEAD),
    ("custom", _CLAUDE, None, LEAD),
    ("action_started", {"action_name": "search"}, SEARCH, LEAD),
    ("action_completed", _SEARCHED, SEARCH, LEAD),
    ("action_started", {"action_name": "draft", "function": "app.draft"}, DRAFT, LEAD),
    ("custom", _GPT, DRAFT, LEAD),
    ("action_started", {"action_name": "send"}, SEND, LEAD),
    ("action_completed", _FAILED_TO_SEND, SEND, LEAD),
    ("retry_started", {"summary": "again", "data": {"attempt": 1, "backoff_seconds": 2}}, DRAFT, LEAD),
    ("action_completed", {"action_name": "draft", "function": "app.draft", "words": 120}, DRAFT, LEAD),
    (
        "custom",
        {"kind": "plan_created", "summary": "win", "data": {"goal": "win", "steps": ["look"], "revision": 0}},
        None,
        LEAD,
    ),
    ("escalated", {"summary": "unsure", "data": {"assigned_to": "bob"}}, None, LEAD),
    ("task_completed", {"summary": "Task lead-42 completed", "leads": 1}, None, LEAD),
    (
        "custom",
        {
            "kind": "issue",
            "summary": "CRM is slow",
            "data": {"severity": "high", "action": "reported", "issue_id": "i-1"},
        },
        None,
        None,
    ),
)
_LOUD = {"retry_started": Severity.WARN, "escalated": Severity.WARN}


def story() -> list[Event]:
    """What an agent reports of one task, an event every 400 milliseconds."""
    events = list[Event]()
    begun: dict[object, int] = {}
    for count, (type_, payload, action, task) in enumerate(_STORY):
        now = BEGIN_NS + count * 400_000_000
        if type_.endswith("_started") and type_ != "retry_started":
            begun[action] = now
        ended = type_.endswith("_completed")
        events.append(
            Event(
                event_id=f"event-{count}",
                time_ns=now,
                type=EventType(type_),
                severity=_LOUD.get(type_, Severity.INFO),
                agent=SALES,
                task=task,
                action=action,
                status="success" if ended else None,
                duration_ms=(now - begun[action]) // 1_000_000 if ended else None,
                payload_json=json.dumps(payload),
            )
        )
    return events


# -- as OTLP ----------------------------------------------------------------------------------


def exported(**options: Any) -> ExportTraceServiceRequest:
    """What a receiver gets of the story, through the transport and the encoder of OpenTelemetry."""
    exporter = InMemorySpanExporter()
    transport = OTelTransport(span_exporter=exporter, resource=Resource({"service.name": "shop"}), **options)
    prepared = transport.prepare(Batch(tuple(story())))
    assert isinstance(transport.send(prepared, 5.0), Delivered)
    transport.close(1.0)
    sent = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return ExportTraceServiceRequest.FromString(sent)


def shown(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """A request as plain data that people can read and compare."""
    [resource] = request.resource_spans
    [scope] = resource.scope_spans
    return {
        "resource": _pairs(resource.resource.attributes),
        "scope": {"name": scope.scope.name, "schema_url": scope.schema_url},
        "spans": [_span(span) for span in scope.spans],
    }


def _span(span: trace_pb2.Span) -> dict[str, Any]:
    told = {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "kind": trace_pb2.Span.SpanKind.Name(span.kind),
        "flags": span.flags,
        "start_ms": (span.start_time_unix_nano - BEGIN_NS) / 1e6,
        "end_ms": (span.end_time_unix_nano - BEGIN_NS) / 1e6,
        "status": [trace_pb2.Status.StatusCode.Name(span.status.code), span.status.message],
        "attributes": _pairs(span.attributes),
        "events": [{"name": event.name, "attributes": _pairs(event.attributes)} for event in span.events],
        "links": [_pairs(link.attributes) for link in span.links],
    }
    assert (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count) == (0, 0, 0)
    return told


def _pairs(pairs: Any) -> dict[str, list[Any]]:
    """Attributes with the names of their types."""
    told = {pair.key: _typed(pair.value) for pair in pairs}
    assert len(told) == len(pairs), "a name twice"
    return dict(sorted(told.items()))


def _typed(value: AnyValue) -> list[Any]:
    kind = value.WhichOneof("value")
    assert kind is not None, "an empty value"
    if kind == "array_value":
        return ["array", [_typed(item)[1] for item in value.array_value.values]]
    return [kind.removesuffix("_value"), getattr(value, kind)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_story_is_told_as_ever(variant: str) -> None:
    expected = json.loads((GOLDEN / f"{variant}.json").read_text(encoding="utf-8"))
    assert shown(exported(**VARIANTS[variant])) == expected


def test_the_same_story_has_the_same_ids() -> None:
    assert exported() == exported()


# -- by hand: what the mapping promises, whatever the files say -------------------------------


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The story with default options."""
    return shown(exported())


def named(told: dict[str, Any], name: str) -> dict[str, Any]:
    """The one span of a name."""
    [span] = [span for span in told["spans"] if span["name"] == name]
    found: dict[str, Any] = span
    return found


def test_names_kinds_and_parents(told: dict[str, Any]) -> None:
    task = named(told, "invoke_agent sales")
    draft = named(told, "draft")
    by_name = {
        span["name"]: (span["kind"].removeprefix("SPAN_KIND_"), span["parent"]) for span in told["spans"]
    }
    assert by_name == {
        "chat claude-sonnet-4": ("CLIENT", task["span"]),
        "execute_tool search": ("INTERNAL", task["span"]),
        "chat gpt-4o": ("CLIENT", draft["span"]),
        "execute_tool send": ("INTERNAL", draft["span"]),
        "draft": ("INTERNAL", task["span"]),
        "invoke_agent sales": ("INTERNAL", ""),
        "hiveloop.issue.reported": ("INTERNAL", ""),
    }


def test_ids(told: dict[str, Any]) -> None:
    of_task = {span["trace"] for span in told["spans"] if "hiveloop.task.id" in span["attributes"]}
    assert of_task == {RUN.replace("-", "")}
    assert len({span["span"] for span in told["spans"]}) == len(told["spans"])
    assert all(int(span["span"], 16) and int(span["trace"], 16) for span in told["spans"])


def test_times_lie_inside_the_parents(told: dict[str, Any]) -> None:
    by_id = {span["span"]: span for span in told["spans"]}
    for span in told["spans"]:
        assert span["start_ms"] <= span["end_ms"]
        if parent := by_id.get(span["parent"]):
            assert parent["start_ms"] <= span["start_ms"]
            assert span["end_ms"] <= parent["end_ms"]


def test_types_of_attributes(told: dict[str, Any]) -> None:
    call = named(told, "chat claude-sonnet-4")["attributes"]
    assert call["gen_ai.usage.input_tokens"] == ["int", 1200]
    assert call["gen_ai.usage.output_tokens"] == ["int", 350]
    assert call["gen_ai.usage.cost"] == ["double", 0.008]
    assert call["gen_ai.response.finish_reasons"] == ["array", ["tool_call"]]
    assert call["gen_ai.request.temperature"] == ["double", 0.0]
    assert named(told, "execute_tool search")["attributes"]["http.response.status_code"] == ["int", 200]


def test_scope_and_resource(told: dict[str, Any]) -> None:
    assert told["scope"] == {"name": "hiveloop", "schema_url": "https://opentelemetry.io/schemas/1.41.1"}
    latest = shown(exported(dialect="latest"))["scope"]["schema_url"]
    assert latest == "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
    assert told["resource"] == {
        "deployment.environment.name": ["string", "staging"],
        "service.name": ["string", "shop"],
        "service.namespace": ["string", "revenue"],
    }


def test_keys_of_the_resource_without_one_of_the_users_own() -> None:
    exporter = InMemorySpanExporter()
    transport = OTelTransport(span_exporter=exporter)
    transport.send(transport.prepare(Batch(tuple(story()))), 5.0)
    transport.close(1.0)
    keys = set(exporter.get_finished_spans()[0].resource.attributes)
    assert {"service.name", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"} <= keys


# -- as backends read it ----------------------------------------------------------------------


class Reading(NamedTuple):
    """What a backend makes of one span.

    Attributes:
        kind: its word for the kind of the span.
        tokens: tokens by the backend's own names.
        cost: US dollars it was told, when it believes what it is told.
        model: the model it computes prices for.
        session: what it groups conversations by.
    """

    kind: str
    tokens: dict[str, int] = {}
    cost: float | None = None
    model: str | None = None
    session: str | None = None


Plain = dict[str, Any]


def plain(span: dict[str, Any]) -> Plain:
    """The attributes of a span without their types."""
    return {key: value for key, (_, value) in span["attributes"].items()}


_PHOENIX_KINDS = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "embeddings": "EMBEDDING",
    "retrieval": "RETRIEVER",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
}
_PHOENIX_TOKENS = {
    "gen_ai.usage.input_tokens": "prompt",
    "gen_ai.usage.output_tokens": "completion",
    "gen_ai.usage.cache_read.input_tokens": "prompt_details.cache_read",
    "gen_ai.usage.cache_creation.input_tokens": "prompt_details.cache_write",
}


def phoenix(span: Plain) -> Reading:
    """Phoenix: OpenInference's kind, else one inferred; prices are its own."""
    kind = span.get("openinference.span.kind") or _PHOENIX_KINDS.get(span.get("gen_ai.operation.name", ""))
    tokens = {name: span[key] for key, name in _PHOENIX_TOKENS.items() if key in span}
    session = span.get("gen_ai.conversation.id")
    return Reading(kind or "UNKNOWN", tokens, None, span.get("gen_ai.request.model"), session)


_LANGFUSE_KINDS = {
    "chat": "GENERATION",
    "text_completion": "GENERATION",
    "generate_content": "GENERATION",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
}


def _langfuse_kind(span: Plain) -> str:
    if told := span.get("langfuse.observation.type") or span.get("openinference.span.kind"):
        return {"LLM": "GENERATION"}.get(told, str(told).upper())
    if known := _LANGFUSE_KINDS.get(span.get("gen_ai.operation.name", "")):
        return known
    if any(key.startswith("gen_ai.tool.") for key in span):
        return "TOOL"
    return "GENERATION" if {"gen_ai.request.model", "gen_ai.response.model"} & set(span) else "SPAN"


def langfuse(span: Plain) -> Reading:
    """Langfuse: every usage but the cost is a type of tokens, and cached ones are taken off the input."""
    session = span.get("gen_ai.conversation.id")
    kind = _langfuse_kind(span)
    if span.get("gen_ai.operation.name") == "invoke_agent":
        return Reading(kind, session=session)
    prefix = "gen_ai.usage."
    tokens = {key.removeprefix(prefix): span[key] for key in span if key.startswith(prefix)}
    cost = tokens.pop("cost", None)
    for long, short in (("input_tokens", "input"), ("output_tokens", "output")):
        if long in tokens:
            tokens[short] = tokens.pop(long)
    cached = sum(count for key, count in tokens.items() if key.startswith("cache_"))
    if "input" in tokens:
        tokens["input"] = max(0, tokens["input"] - cached)
    return Reading(
        kind, tokens, cost or span.get("llm.cost.total"), span.get("gen_ai.request.model"), session
    )


def jaeger(span: Plain) -> str:
    """Jaeger's GenAI view."""
    operation = span.get("gen_ai.operation.name", "")
    for kind, operations in {
        "LLM_CALL": {"chat", "text_completion", "generate_content"},
        "TOOL_CALL": {"execute_tool"},
        "AGENT": {"invoke_agent", "create_agent", "invoke_workflow"},
        "RETRIEVAL": {"retrieval", "embeddings"},
    }.items():
        if operation in operations:
            return kind
    return "UNKNOWN_GENAI" if any(key.startswith("gen_ai.") for key in span) else ""


KINDS = {
    "invoke_agent sales": ("AGENT", "AGENT", "AGENT"),
    "execute_tool search": ("TOOL", "TOOL", "TOOL_CALL"),
    "execute_tool send": ("TOOL", "TOOL", "TOOL_CALL"),
    "chat claude-sonnet-4": ("LLM", "GENERATION", "LLM_CALL"),
    "chat gpt-4o": ("LLM", "GENERATION", "LLM_CALL"),
    # Jaeger takes the agent's name, which Honeycomb needs on every span, for GenAI of no kind it knows.
    "draft": ("UNKNOWN", "SPAN", "UNKNOWN_GENAI"),
    "hiveloop.issue.reported": ("UNKNOWN", "SPAN", "UNKNOWN_GENAI"),
}


@pytest.mark.parametrize("variant", ["default", "latest", "content"])
def test_backends_know_agents_tools_and_calls(variant: str) -> None:
    spans = {span["name"]: plain(span) for span in shown(exported(**VARIANTS[variant]))["spans"]}
    read = {name: (phoenix(span).kind, langfuse(span).kind, jaeger(span)) for name, span in spans.items()}
    assert read == KINDS


def test_backends_that_read_openinference_know_plain_actions_too() -> None:
    spans = {span["name"]: plain(span) for span in shown(exported(compat=["openinference"]))["spans"]}
    assert {name: phoenix(spans[name]).kind for name in KINDS if name in spans} == {
        **{name: kinds[0] for name, kinds in KINDS.items()},
        "draft": "CHAIN",
    }
    assert langfuse(spans["draft"]).kind == "CHAIN"
    assert langfuse(spans["chat gpt-4o"]).kind == "GENERATION"


def test_phoenix_reads_tokens_and_sessions(told: dict[str, Any]) -> None:
    call = phoenix(plain(named(told, "chat claude-sonnet-4")))
    assert call.tokens == {
        "prompt": 1200,
        "completion": 350,
        "prompt_details.cache_read": 900,
        "prompt_details.cache_write": 100,
    }
    assert call.model == "claude-sonnet-4"
    of_task = [plain(s) for s in told["spans"] if "hiveloop.task.id" in s["attributes"]]
    assert {phoenix(span).session for span in of_task} == {"thread-7"}


def test_langfuse_reads_tokens_cost_and_sessions(told: dict[str, Any]) -> None:
    call = langfuse(plain(named(told, "chat claude-sonnet-4")))
    assert call == Reading(
        "GENERATION",
        {"input": 200, "output": 350, "cache_read.input_tokens": 900, "cache_creation.input_tokens": 100},
        0.008,
        "claude-sonnet-4",
        "thread-7",
    )


def test_no_backend_counts_anything_twice(told: dict[str, Any]) -> None:
    for span in map(plain, told["spans"]):
        is_call = span.get("gen_ai.operation.name") == "chat"
        spends = any(key.startswith("gen_ai.usage.") or "cost.total" in key for key in span)
        assert ("gen_ai.request.model" in span) == spends == is_call
    calls = [phoenix(plain(span)) for span in told["spans"] if span["name"].startswith("chat")]
    task = plain(named(told, "invoke_agent sales"))
    assert task["hiveloop.task.llm.calls"] == len(calls) == 2
    assert task["hiveloop.task.llm.input_tokens"] == sum(call.tokens["prompt"] for call in calls) == 2200
    assert task["hiveloop.task.llm.output_tokens"] == sum(call.tokens["completion"] for call in calls) == 390
    assert math.isclose(task["hiveloop.task.cost_usd"], 0.01)
    assert (task["hiveloop.task.tool.calls"], task["hiveloop.task.retries"]) == (2, 1)


def test_names_that_only_one_backend_wants_are_for_it_alone(told: dict[str, Any]) -> None:
    call = plain(named(told, "chat gpt-4o"))
    wanted = {"openinference.span.kind", "agentops.span.kind", "mlflow.llm.cost", "gen_ai.system"}
    wanted |= {"gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "gen_ai.usage.total_cost"}
    assert wanted.isdisjoint(call)
    asked = plain(named(shown(exported(**VARIANTS["compat"])), "chat gpt-4o"))
    assert wanted <= set(asked)
    assert json.loads(asked["mlflow.llm.cost"]) == {"total_cost": 0.002}
    assert asked["gen_ai.system"] == "openai"


def test_logfire_honeycomb_and_datadog_find_what_they_look_for(told: dict[str, Any]) -> None:
    call = plain(named(told, "chat gpt-4o"))
    assert call["operation.cost"] == 0.002  # Logfire
    for key in (
        "gen_ai.provider.name",
        "gen_ai.operation.name",
        "gen_ai.request.model",
    ):  # Datadog, New Relic
        assert call[key]
    for span in map(plain, told["spans"]):  # Honeycomb: on every span of the conversation
        if "hiveloop.task.id" in span:
            assert (span["gen_ai.agent.name"], span["gen_ai.conversation.id"]) == ("sales", "thread-7")


# -- content ----------------------------------------------------------------------------------

CONTENT = ("who is lead 42?", "Größe: 12", "1 hit", '{"query"', '{"to"')


def test_content_is_in_no_span_unless_it_is_captured() -> None:
    silent = json.dumps(shown(exported()), ensure_ascii=False)
    assert not [text for text in CONTENT if text.replace('"', '\\"') in silent]
    open_ = json.dumps(shown(exported(capture_content=True)), ensure_ascii=False)
    assert all(text.replace('"', '\\"') in open_ for text in CONTENT)


def test_the_standard_variable_captures_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    call = plain(named(shown(exported()), "chat claude-sonnet-4"))
    [asked], [answered] = (json.loads(call[f"gen_ai.{side}.messages"]) for side in ("input", "output"))
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "who is lead 42?"}]}
    assert answered == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "Größe: 12"}],
        "finish_reason": "tool_call",
    }


def test_content_of_tools() -> None:
    tool = plain(named(shown(exported(capture_content=True)), "execute_tool search"))
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"query": "lead 42"}
    assert tool["gen_ai.tool.call.result"] == "1 hit"


def _write() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for variant, options in VARIANTS.items():
        text = json.dumps(shown(exported(**options)), indent=1, ensure_ascii=False)
        (GOLDEN / f"{variant}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
