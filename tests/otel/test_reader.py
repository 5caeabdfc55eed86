"""The reader of spans: what each instrumentation says, and what is made of it. No span is made here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiveloop_otel.reader import SpanFacts, framework_of, kind_of_span, named_agent, read_span

Attributes = dict[str, object]
Events = list[tuple[str, Attributes]]


def read(name: str, attributes: Attributes, events: Events | None = None, **more: Any) -> SpanFacts:
    return read_span(name, more.pop("kind", "INTERNAL"), attributes, events or [], **more)


def told(facts: SpanFacts, wanted: dict[str, object]) -> dict[str, object]:
    return {field: getattr(facts, field) for field in wanted}


class Sample(NamedTuple):
    """A span as an instrumentation makes it, and what it tells."""

    what: str
    name: str
    attributes: Attributes
    facts: dict[str, object]
    events: Events = []
    scope: str = ""
    kind: str = "INTERNAL"


def messages(*said: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said])


MODELS = [
    Sample(
        "conventions 1.41",
        "chat gpt-4o",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": "resp_1",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 100,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 64,
            "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.conversation.id": "conv-1",
            "gen_ai.input.messages": messages(
                ("system", "Be brief."), ("user", "Hi"), ("user", "How are you?")
            ),
            "gen_ai.output.messages": messages(("assistant", "Fine.")),
        },
        {
            "kind": "llm",
            "name": "chat",
            "operation": "chat",
            "model": "gpt-4o",
            "response_model": "gpt-4o-2024-08-06",
            "provider": "openai",
            "tokens_in": 100,
            "tokens_out": 20,
            "cache_read": 64,
            "cache_creation": None,
            "reasoning": 5,
            "finish_reason": "stop",
            "session_id": "conv-1",
            "prompt": "How are you?",
            "response": "Fine.",
            "metadata": {
                "response_id": "resp_1",
                "temperature": 0.5,
                "max_tokens": 100,
                "time_to_first_token_ms": 250,
            },
        },
        kind="CLIENT",
    ),
    Sample(
        "conventions before 1.28, messages as events",
        "chat gpt-4",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "az.ai.openai",
            "gen_ai.request.model": "gpt-4",
            "gen_ai.usage.prompt_tokens": 7,
            "gen_ai.usage.completion_tokens": 3,
        },
        {
            "kind": "llm",
            "model": "gpt-4",
            "provider": "azure.ai.openai",
            "tokens_in": 7,
            "tokens_out": 3,
            "prompt": "Ping",
            "response": "Pong",
        },
        [
            ("gen_ai.system.message", {"content": "You play table tennis."}),
            ("gen_ai.user.message", {"content": "Ping"}),
            ("gen_ai.choice", {"index": 0, "message": '{"role": "assistant", "content": "Pong"}'}),
        ],
    ),
    Sample(
        "development version: cache_write, details in an event",
        "chat claude-sonnet-4-5",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.usage.cache_write.input_tokens": 50,
            "gen_ai.usage.input_tokens": 60,
        },
        {"cache_creation": 50, "tokens_in": 60, "tokens_out": 9, "prompt": "Q", "response": "A"},
        [
            (
                "gen_ai.client.inference.operation.details",
                {
                    "gen_ai.usage.output_tokens": 9,
                    "gen_ai.input.messages": messages(("user", "Q")),
                    "gen_ai.output.messages": messages(("assistant", "A")),
                },
            )
        ],
    ),
    Sample(
        "OpenInference",
        "ChatOpenAI",
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o-mini",
            "llm.provider": "openai",
            "llm.token_count.prompt": 11,
            "llm.token_count.completion": 4,
            "llm.token_count.total": 15,
            "llm.token_count.prompt_details.cache_read": 2,
            "llm.token_count.completion_details.reasoning": 1,
            "llm.cost.total": 0.002,
            "llm.finish_reason": "stop",
            "llm.invocation_parameters": '{"temperature": 0.1, "max_tokens": 50}',
            "session.id": "s1",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be kind.",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "What is on",
            "llm.input_messages.1.message.contents.1.message_content.text": "the picture?",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "look",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"at": 1}',
            "metadata": '{"thread_id": "not this one"}',
        },
        {
            "kind": "llm",
            "name": "ChatOpenAI",
            "model": "gpt-4o-mini",
            "provider": "openai",
            "tokens_in": 11,
            "tokens_out": 4,
            "cache_read": 2,
            "reasoning": 1,
            "cost": 0.002,
            "finish_reason": "stop",
            "session_id": "s1",
            "prompt": "What is on\nthe picture?",
            "response": 'look({"at": 1})',
            "metadata": {"temperature": 0.1, "max_tokens": 50},
            "framework": "langchain",
        },
        scope="openinference.instrumentation.langchain",
    ),
    Sample(
        "OpenLLMetry before 0.5",
        "openai.chat",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-3.5-turbo",
            "gen_ai.usage.prompt_tokens": 20,
            "llm.usage.total_tokens": 25,
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Tell me a joke",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "No.",
            "gen_ai.completion.0.finish_reason": "stop",
            "traceloop.association.properties.session_id": "s2",
            "traceloop.workflow.name": "jokes",
        },
        {
            "kind": "llm",
            "name": "openai.chat",
            "model": "gpt-3.5-turbo",
            "provider": "openai",
            "tokens_in": 20,
            "tokens_out": 5,
            "prompt": "Tell me a joke",
            "response": "No.",
            "finish_reason": "stop",
            "session_id": "s2",
            "workflow": "jokes",
            "framework": "openai",
        },
        scope="opentelemetry.instrumentation.openai.v1",
        kind="CLIENT",
    ),
    Sample(
        "OpenLLMetry in a framework: the framework is no provider",
        "ChatOpenAI.chat",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "langchain",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.cache_read_input_tokens": 3,
            "gen_ai.usage.input_tokens": 5,
        },
        {"kind": "llm", "provider": "openai", "cache_read": 3, "tokens_in": 5, "name": "ChatOpenAI.chat"},
    ),
    Sample(
        "Vercel AI SDK 5, one step",
        "ai.generateText.doGenerate",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.id": "gpt-4o",
            "ai.model.provider": "openai.responses",
            "ai.usage.inputTokens": 8,
            "ai.usage.outputTokens": 2,
            "ai.usage.cachedInputTokens": 1,
            "ai.response.text": "Yes",
            "ai.response.finishReason": "stop",
            "ai.response.msToFirstChunk": 120,
            "ai.prompt.messages": json.dumps(
                [{"role": "user", "content": [{"type": "text", "text": "Ok?"}]}]
            ),
            "ai.telemetry.functionId": "greeter",
            "ai.telemetry.metadata.sessionId": "s3",
        },
        {
            "kind": "llm",
            "name": "greeter",
            "model": "gpt-4o",
            "provider": "openai",
            "tokens_in": 8,
            "tokens_out": 2,
            "cache_read": 1,
            "prompt": "Ok?",
            "response": "Yes",
            "finish_reason": "stop",
            "session_id": "s3",
            "metadata": {"time_to_first_token_ms": 120},
        },
    ),
    Sample(
        "Google ADK",
        "call_llm",
        {
            "gen_ai.system": "gcp.vertex.agent",
            "gen_ai.request.model": "gemini-2.5-flash",
            "gcp.vertex.agent.session_id": "s4",
            "gcp.vertex.agent.llm_request": json.dumps(
                {"model": "gemini", "contents": [{"role": "user", "parts": [{"text": "Weather?"}]}]}
            ),
            "gcp.vertex.agent.llm_response": json.dumps(
                {
                    "content": {
                        "role": "model",
                        "parts": [{"functionCall": {"name": "sky", "args": {"at": "x"}}}],
                    }
                }
            ),
            "gen_ai.usage.input_tokens": 30,
            "gen_ai.usage.output_tokens": 4,
        },
        {
            "kind": "llm",
            "model": "gemini-2.5-flash",
            "provider": "gcp.vertex_ai",
            "session_id": "s4",
            "prompt": "Weather?",
            "response": 'sky({"at": "x"})',
            "framework": "google-adk",
        },
        scope="gcp.vertex.agent",
    ),
    Sample(
        "Pydantic AI",
        "chat gpt-4o",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 9,
            "gen_ai.usage.output_tokens": 1,
            "gen_ai.usage.details.reasoning_tokens": 1,
            "operation.cost": 0.00004,
            "events": json.dumps(
                [
                    {"event.name": "gen_ai.user.message", "content": "Where?", "role": "user"},
                    {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "Here"}},
                ]
            ),
        },
        {"cost": 0.00004, "reasoning": 1, "prompt": "Where?", "response": "Here", "framework": "pydantic-ai"},
        scope="pydantic-ai",
    ),
    Sample(
        "MLflow",
        "ChatModel",
        {
            "mlflow.spanType": '"CHAT_MODEL"',
            "mlflow.llm.model": "claude-3-5-haiku",
            "mlflow.llm.provider": "anthropic",
            "mlflow.chat.tokenUsage": '{"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}',
            "mlflow.llm.cost": '{"total_cost": 0.5}',
        },
        {"kind": "llm", "model": "claude-3-5-haiku", "tokens_in": 5, "tokens_out": 6, "cost": 0.5},
    ),
    Sample(
        "an embedding tells only a total",
        "embeddings text-embedding-3-small",
        {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": "text-embedding-3-small",
            "llm.usage.total_tokens": 12,
        },
        {"kind": "embedding", "tokens_in": 12, "tokens_out": None, "response": None, "name": "embeddings"},
    ),
    Sample(
        "nothing says what it is, but a model and tokens",
        "litellm_request",
        {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 1, "gen_ai.cost.total_cost": 0.1},
        {"kind": "llm", "cost": 0.1},
    ),
    Sample(
        "cost in parts",
        "x",
        {"openinference.span.kind": "LLM", "llm.cost.prompt": 0.25, "llm.cost.completion": 0.5},
        {"cost": 0.75},
    ),
    Sample(
        "cached tokens beside the input, as Anthropic counts",
        "x",
        {
            "openinference.span.kind": "LLM",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.cache_read_input_tokens": 1000,
            "gen_ai.usage.cache_creation_input_tokens": 200,
        },
        {"tokens_in": 1210, "cache_read": 1000, "cache_creation": 200},
    ),
    Sample(
        "only the total of both is known",
        "x",
        {"openinference.span.kind": "LLM", "llm.token_count.total": 77},
        {"tokens_in": None, "tokens_out": None, "total_tokens": 77, "has_usage": True},
    ),
]

OTHERS = [
    Sample(
        "agent, conventions",
        "invoke_agent sales",
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "sales",
            "gen_ai.agent.id": "a-1",
            "gen_ai.agent.version": "2",
            "gen_ai.usage.input_tokens": 500,
        },
        {
            "kind": "agent",
            "name": "sales",
            "agent_name": "sales",
            "agent_id": "a-1",
            "agent_version": "2",
            "tokens_in": None,  # the sum of calls that tell theirs
        },
    ),
    Sample(
        "agent, by its span's name", "invoke_agent planner", {}, {"kind": "agent", "agent_name": "planner"}
    ),
    Sample(
        "agent of CrewAI",
        "Researcher._execute_core",
        {"openinference.span.kind": "AGENT"},
        {"kind": "agent", "agent_name": "Researcher"},
    ),
    Sample(
        "agent of CrewAI, later",
        "Task._execute_core",
        {"openinference.span.kind": "AGENT", "graph.node.id": "Writer"},
        {"agent_name": "Writer"},
    ),
    Sample(
        "agent of Pydantic AI, old names",
        "agent run",
        {"agent_name": "weather", "model_name": "gpt-4o"},
        {"kind": "agent", "agent_name": "weather"},
    ),
    Sample(
        "agent without a name", "agent run", {}, {"kind": "agent", "agent_name": None, "name": "agent run"}
    ),
    Sample(
        "agent of the Vercel AI SDK",
        "ai.streamText",
        {"ai.operationId": "ai.streamText", "ai.telemetry.functionId": "support", "ai.usage.inputTokens": 3},
        {"kind": "agent", "agent_name": "support", "tokens_in": None},
    ),
    Sample(
        "agent of the Vercel AI SDK without a name",
        "ai.generateText",
        {"ai.operationId": "ai.generateText"},
        {"kind": "agent", "agent_name": None},
    ),
    Sample(
        "workflow of Traceloop",
        "jokes.workflow",
        {"traceloop.span.kind": "workflow", "traceloop.entity.name": "jokes"},
        {"kind": "workflow", "name": "jokes", "agent_name": None},
    ),
    Sample(
        "task of Traceloop",
        "parse.task",
        {"traceloop.span.kind": "task", "traceloop.entity.name": "parse"},
        {"kind": "step", "name": "parse"},
    ),
    Sample(
        "chain of OpenInference",
        "RunnableSequence",
        {
            "openinference.span.kind": "CHAIN",
            "input.value": '{"question": "Why?"}',
            "output.value": "Because.",
        },
        {
            "kind": "step",
            "name": "RunnableSequence",
            "prompt": '{"question": "Why?"}',
            "response": "Because.",
        },
    ),
    Sample(
        "tool, conventions",
        "execute_tool search",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.type": "extension",
            "gen_ai.tool.call.id": "call_1",
            "gen_ai.tool.call.arguments": '{"query": "bees"}',
            "gen_ai.tool.call.result": '"3 hits"',
            "gen_ai.agent.name": "sales",
        },
        {
            "kind": "tool",
            "name": "search",
            "tool_name": "search",
            "tool_call_id": "call_1",
            "tool_args": {"query": "bees"},
            "tool_result": "3 hits",
            "agent_name": "sales",
            "metadata": {"tool_category": "extension"},
        },
    ),
    Sample(
        "tool of OpenInference",
        "search",
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "search",
            "tool.parameters": '{"type": "object", "properties": {}}',
            "input.value": '{"query": "bees"}',
            "output.value": "3 hits",
        },
        {"kind": "tool", "tool_args": {"query": "bees"}, "tool_result": "3 hits"},
    ),
    Sample(
        "tool of Traceloop",
        "search.tool",
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "search",
            "traceloop.entity.input": "bees",
            "traceloop.entity.output": '{"hits": 3}',
        },
        {"kind": "tool", "name": "search", "tool_args": {"input": "bees"}, "tool_result": '{"hits": 3}'},
    ),
    Sample(
        "tool of the Vercel AI SDK",
        "ai.toolCall",
        {
            "ai.operationId": "ai.toolCall",
            "ai.toolCall.name": "weather",
            "ai.toolCall.id": "t1",
            "ai.toolCall.args": '{"city": "Rome"}',
            "ai.toolCall.result": '{"sun": true}',
        },
        {"kind": "tool", "name": "weather", "tool_args": {"city": "Rome"}, "tool_result": '{"sun": true}'},
    ),
    Sample(
        "tool of Pydantic AI, old names",
        "running tool",
        {"gen_ai.tool.name": "roll", "tool_arguments": '{"sides": 6}', "tool_response": "4"},
        {"kind": "tool", "name": "roll", "tool_args": {"sides": 6}, "tool_result": "4"},
    ),
    Sample("several tools", "running 2 tools", {}, {"kind": "step"}),
    Sample(
        "tool of ADK",
        "execute_tool get_time",
        {
            "gen_ai.operation.name": "execute_tool",
            "gcp.vertex.agent.tool_call_args": '{"tz": "UTC"}',
            "gcp.vertex.agent.tool_response": '{"result": "12:00"}',
        },
        {
            "kind": "tool",
            "name": "get_time",
            "tool_args": {"tz": "UTC"},
            "tool_result": '{"result": "12:00"}',
        },
    ),
    Sample(
        "tool of an MCP client",
        "tools/call add",
        {"mcp.method.name": "tools/call", "gen_ai.tool.name": "add"},
        {"kind": "tool", "name": "add"},
    ),
    Sample(
        "retriever of OpenInference",
        "VectorStoreRetriever",
        {"openinference.span.kind": "RETRIEVER", "input.value": "bees"},
        {"kind": "retrieval", "name": "VectorStoreRetriever", "tool_args": {"input": "bees"}},
    ),
    Sample("vector store", "pinecone.query", {"db.system": "Pinecone"}, {"kind": "retrieval"}),
    Sample("any other database", "SELECT", {"db.system": "postgresql"}, {"kind": "other"}),
    Sample("HTTP", "POST", {"http.request.method": "POST", "url.full": "https://x"}, {"kind": "other"}),
    Sample(
        "a server span that knows the model",
        "POST /chat",
        {"gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "x"},
        {"kind": "other"},
        kind="SERVER",
    ),
    Sample("guardrail", "moderate", {"openinference.span.kind": "GUARDRAIL"}, {"kind": "step"}),
    Sample(
        "an operation of tomorrow",
        "plan",
        {"gen_ai.operation.name": "plan", "gen_ai.agent.name": "a"},
        {"kind": "step", "agent_name": "a"},
    ),
    Sample("a kind that says nothing", "x", {"openinference.span.kind": "UNKNOWN"}, {"kind": "other"}),
]


@pytest.mark.parametrize("sample", [*MODELS, *OTHERS], ids=lambda sample: sample.what)
def test_a_span_is_read_whoever_made_it(sample: Sample) -> None:
    facts = read(sample.name, sample.attributes, sample.events, scope_name=sample.scope, kind=sample.kind)
    assert told(facts, sample.facts) == sample.facts


# -- content ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", [*MODELS, *OTHERS], ids=lambda sample: sample.what)
def test_nothing_of_what_was_said_is_read_without_content(sample: Sample) -> None:
    facts = read(sample.name, sample.attributes, sample.events, scope_name=sample.scope, content=False)
    assert (facts.prompt, facts.response, facts.tool_args, facts.tool_result) == (None, None, None, None)


@pytest.mark.parametrize(
    ("value", "prompt"),
    [
        ("What now?", "What now?"),
        ('"What now?"', "What now?"),
        ('{"messages": [{"role": "user", "content": "What now?"}]}', "What now?"),
        (
            '{"messages": [[{"id": ["HumanMessage"], "kwargs": {"type": "human", "content": "What now?"}}]]}',
            "What now?",
        ),
        ('{"model": "m", "input": [{"role": "user", "content": "What now?"}]}', "What now?"),
        ('{"model": "m", "input": "What now?"}', "What now?"),
        (
            '[{"role": "user", "content": "What now?"}, {"role": "assistant", "content": "This."}]',
            "What now?",
        ),
        (
            '[{"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "What now?"}]}]',
            "What now?",
        ),
        ('[{"role": "system", "content": "Only this."}]', "Only this."),
        ("{broken", "{broken"),
        ("[" * 5_000, "[" * 4_000),
        ("{}", None),
    ],
)
def test_a_prompt_is_found_in_many_shapes(value: str, prompt: str | None) -> None:
    assert read("x", {"openinference.span.kind": "LLM", "input.value": value}).prompt == prompt


@pytest.mark.parametrize(
    ("value", "response"),
    [
        ('{"choices": [{"message": {"role": "assistant", "content": "This."}}]}', "This."),
        (
            '{"output": [{"type": "message", "content": [{"type": "output_text", "text": "This."}]}]}',
            "This.",
        ),
        ('{"generations": [[{"text": "This.", "type": "ChatGeneration"}]]}', "This."),
        ('{"candidates": [{"content": {"role": "model", "parts": [{"text": "This."}]}}]}', "This."),
        (
            '{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}',
            'f({"a": 1})',
        ),
        (
            '{"content": [{"type": "thinking", "content": "Hm"}, {"type": "text", "text": "This."}]}',
            "This.",
        ),
        ('{"score": 3}', '{"score": 3}'),
    ],
)
def test_a_response_is_found_in_many_shapes(value: str, response: str) -> None:
    assert read("x", {"openinference.span.kind": "LLM", "output.value": value}).response == response


def test_of_a_conversation_too_long_to_parse_the_last_text_is_shown() -> None:
    said = [("user", f"line {n} " * 20) for n in range(1_000)]
    facts = read(
        "x", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": messages(*said, ("user", "The end?"))}
    )
    assert facts.prompt == "The end?"


def test_structured_messages_are_read_as_well_as_their_json() -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    assert read("x", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": said}).prompt == "Hi"


def test_what_langchain_wraps_is_unwrapped() -> None:
    message = '{"type": "tool", "data": {"content": "Sunny", "tool_call_id": "c1"}}'
    given = '{"input_str": "x", "tags": [], "inputs": {"city": "Rome"}, "kwargs": {}}'
    facts = read(
        "x", {"traceloop.span.kind": "tool", "traceloop.entity.input": given, "output.value": message}
    )
    assert (facts.tool_args, facts.tool_result) == ({"city": "Rome"}, "Sunny")


def test_what_a_tool_returns_is_not_taken_for_a_message() -> None:
    result = '{"content": "Sunny", "status": 3}'
    assert read("x", {"openinference.span.kind": "TOOL", "output.value": result}).tool_result == result


def test_texts_are_bounded() -> None:
    long = "x" * 100_000
    facts = read("x", {"openinference.span.kind": "TOOL", "input.value": long, "output.value": long})
    assert len(str(facts.tool_args)) < 5_000
    assert len(facts.tool_result or "") == 4_000


# -- failures ---------------------------------------------------------------------------------


def test_a_failure_is_told_by_the_exception_first() -> None:
    raised: Events = [("exception", {"exception.type": "ValueError", "exception.message": "no such lead"})]
    facts = read("x", {"error.type": "other"}, raised, failed=True, status_message="it failed")
    assert (facts.failed, facts.error_type, facts.error_message) == (True, "ValueError", "no such lead")


def test_a_failure_without_an_exception_is_told_by_its_attributes() -> None:
    facts = read("x", {"error.type": "429"}, failed=True, status_message="slow down")
    assert (facts.error_type, facts.error_message) == ("429", "slow down")


def test_an_exception_that_was_handled_is_no_failure() -> None:
    facts = read("x", {"error.type": "429"}, [("exception", {"exception.type": "ValueError"})])
    assert (facts.failed, facts.error_type, facts.error_message) == (False, None, None)


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "agent"),
    [
        ("invoke_agent Trip planner", "Trip planner"),
        ("Crew_9f1c1c1e-8f3e-4a9e-8b57-9a4b8e6c1d22.kickoff", None),
        ("worker-9f1c1c1e-8f3e-4a9e-8b57-9a4b8e6c1d22", "worker"),
        ("planner_17000000123", "planner"),
        ("gpt-4o agent", "gpt-4o agent"),
        ("Agent workflow", None),
        ("LangGraph.agent", "LangGraph"),
    ],
)
def test_an_agent_is_not_named_by_what_is_new_in_every_run(name: str, agent: str | None) -> None:
    assert named_agent("agent", name, {}) == agent


@pytest.mark.parametrize(
    ("scope", "framework"),
    [
        ("openinference.instrumentation.crewai", "crewai"),
        ("opentelemetry.instrumentation.openai_agents", "openai-agents"),
        ("opentelemetry.instrumentation.openai_v2", "openai"),
        ("opentelemetry.instrumentation.genai.openai", "openai"),
        ("gcp.vertex.agent", "google-adk"),
        ("strands.telemetry.tracer", "strands"),
        ("my.own.tracer", None),
        ("", None),
    ],
)
def test_a_framework_is_known_by_the_scope(scope: str, framework: str | None) -> None:
    assert framework_of(scope) == framework


def test_the_kind_is_known_at_the_start_where_the_name_says_it() -> None:
    assert kind_of_span("execute_tool f", {}) == "tool"
    assert kind_of_span("generate_content gemini", {}, "gcp.vertex.agent") == "llm"
    assert kind_of_span("chat room", {}) == "other"


# -- bad input --------------------------------------------------------------------------------

_KEYS = sorted({key for sample in (*MODELS, *OTHERS) for key in sample.attributes})
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.binary(max_size=5),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), st.none()), max_size=3),
    st.recursive(
        st.one_of(st.none(), st.text(max_size=5), st.integers(), st.floats()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "role",
                        "content",
                        "parts",
                        "text",
                        "messages",
                        "kwargs",
                        "type",
                        "tool_calls",
                        "name",
                        "args",
                    ]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=12,
    ),
)


@given(
    st.dictionaries(
        st.sampled_from(_KEYS), st.one_of(_VALUES, _VALUES.map(lambda v: json.dumps(v, default=str)))
    ),
    st.sampled_from([sample.name for sample in (*MODELS, *OTHERS)] + ["", "\ud800"]),
    st.sampled_from(["", "hiveloop", "gcp.vertex.agent", "pydantic-ai"]),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "gen_ai.choice",
                    "gen_ai.user.message",
                    "exception",
                    "hiveloop.plan.created",
                    "hiveloop.custom.x",
                ]
            ),
            st.dictionaries(
                st.sampled_from(["content", "message", "exception.type", "hiveloop.plan.created.steps"]),
                _VALUES,
            ),
        ),
        max_size=3,
    ),
)
def test_no_attributes_make_the_reader_fail(
    attributes: Attributes, name: str, scope: str, events: Events
) -> None:
    facts = read(name, attributes, events, scope_name=scope, failed=True)
    for count in (facts.tokens_in, facts.tokens_out, facts.cache_read, facts.reasoning):
        assert count is None or count >= 0
    assert facts.prompt is None or len(facts.prompt) <= 4_000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, True, "many", None, [5]])
def test_what_is_no_number_is_not_counted(value: object) -> None:
    facts = read(
        "x",
        {"openinference.span.kind": "LLM", "gen_ai.usage.input_tokens": value, "llm.token_count.prompt": 5},
    )
    assert facts.tokens_in == 5


def test_digits_as_text_are_counted() -> None:
    assert read("x", {"openinference.span.kind": "LLM", "gen_ai.usage.input_tokens": "12"}).tokens_in == 12


# -- without OpenTelemetry --------------------------------------------------------------------


def test_the_reader_needs_no_opentelemetry() -> None:
    code = (
        "import sys; from hiveloop_otel.reader import read_span;"
        "read_span('chat x', 'CLIENT', {'gen_ai.operation.name': 'chat'});"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
