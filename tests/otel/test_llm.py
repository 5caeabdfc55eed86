"""One call of a model, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

import hiveloop
from hiveloop.events import Event
from hiveloop.testing import capture
from hiveloop_otel._content import MappingOptions
from hiveloop_otel._llm import LlmCall, provider_of, read_llm_call
from tests.otel.wild import as_sent, payload_event

PLAIN = MappingOptions()
LATEST = MappingOptions(dialect="latest")
CAPTURING = MappingOptions(capture_content=True)


def call(options: MappingOptions = PLAIN, /, **data: Any) -> LlmCall:
    """A call of a model, as read."""
    data = {"name": "reason", "model": "gpt-4o", **data}
    return read_llm_call(event(data), options)


def event(data: dict[str, Any]) -> Event:
    """The event of a call."""
    return payload_event("custom", {"kind": "llm_call", "summary": "s", "data": data, "tags": ["llm"]})


def told(options: MappingOptions = PLAIN, /, **metadata: Any) -> dict[str, Any]:
    """The attributes of a call with metadata, as a receiver gets them."""
    return as_sent(call(options, metadata=metadata).attributes)


# -- the call ---------------------------------------------------------------------------------


def test_a_call_as_the_sensor_reports_it() -> None:
    with capture() as seen:
        agent = seen.client.agent("sales")
        with agent.task("lead-42") as task:
            task.llm_call(
                "reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.008, duration_ms=1500,
                prompt_preview="hello", response_preview="bye", metadata={"turn_number": 3, "own": "x"},
            )  # fmt: skip
        [reported] = [e for e in seen.events if e.kind == "llm_call"]
    read = read_llm_call(reported, PLAIN)
    assert as_sent(read.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 350,
        "gen_ai.usage.cost": 0.008,
        "operation.cost": 0.008,
        "llm.cost.total": 0.008,
        "hiveloop.llm.cost_usd": 0.008,
        "hiveloop.llm.call.name": "reason",
        "hiveloop.llm.turn_number": 3,
        "hiveloop.llm.metadata.own": "x",
    }
    assert read == LlmCall(
        "chat gpt-4o", "chat", "openai", "gpt-4o", read.attributes, 1200, 350, 0.008, 1_500_000_000
    )


def test_what_matters_most_is_dropped_last() -> None:
    read = call(tokens_in=1, cost=2, metadata={f"k{i}": i for i in range(100)})
    assert [*read.attributes][-3:] == [
        "gen_ai.request.model",
        "gen_ai.provider.name",
        "gen_ai.operation.name",
    ]
    assert [*read.attributes][:64] == [f"hiveloop.llm.metadata.k{i}" for i in range(64)]


def test_a_call_that_says_nothing() -> None:
    read = read_llm_call(payload_event("custom", {"kind": "llm_call"}), PLAIN)
    assert (read.span_name, read.model, read.provider) == ("chat", "", "unknown")
    assert read.attributes == {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "unknown"}


def test_a_call_without_data_of_its_own_is_read_from_the_payload() -> None:
    read = read_llm_call(
        payload_event("custom", {"kind": "llm_call", "model": "gpt-4o", "tokens_in": 3}), PLAIN
    )
    assert (read.model, read.tokens_in) == ("gpt-4o", 3)
    assert not any("kind" in key for key in read.attributes)


def test_members_that_no_sensor_writes_are_kept() -> None:
    assert call(retries=2).attributes["hiveloop.llm.retries"] == 2


def test_times_and_money() -> None:
    read = call(cost=1, duration_ms=12.5)
    assert (read.cost, read.duration_ns) == (1.0, 12_500_000)
    assert type(read.attributes["gen_ai.usage.cost"]) is float


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), "12", True, [1], 10**30])
def test_numbers_that_are_none(number: Any) -> None:
    read = call(tokens_in=number, tokens_out=number, cost=number, duration_ms=number)
    assert (read.tokens_in, read.tokens_out, read.cost, read.duration_ns) == (None,) * 4
    assert not [key for key in read.attributes if "usage" in key or "cost" in key]


def test_counts_are_whole_numbers() -> None:
    assert call(tokens_in=12.0, tokens_out=3.6).attributes["gen_ai.usage.output_tokens"] == 4


def test_a_duration_beyond_a_year_is_none() -> None:
    assert call(duration_ms=400 * 86_400_000).duration_ns is None


def test_the_name_of_the_span_can_be_sent() -> None:
    assert call(model="m\ud800\n" + "x" * 10_000).span_name.startswith("chat m? xx")


# -- providers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-sonnet-4-20250514", "anthropic"),
        ("gpt-4o", "openai"),
        ("GPT-4o", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("o1-mini", "openai"),
        ("o3", "openai"),
        ("o4-mini", "openai"),
        ("text-embedding-3-small", "openai"),
        ("gemini-2.5-pro", "gcp.gen_ai"),
        ("mistral-large", "mistral_ai"),
        ("codestral-latest", "mistral_ai"),
        ("command-r-plus", "cohere"),
        ("deepseek-chat", "deepseek"),
        ("grok-4", "x_ai"),
        ("us.anthropic.claude-sonnet-4", "aws.bedrock"),
        ("eu.meta.llama3", "aws.bedrock"),
        ("anthropic.claude-v2", "aws.bedrock"),
        ("amazon.nova-pro", "aws.bedrock"),
        ("openai/gpt-4o", "openai"),
        ("anthropic/claude-3", "anthropic"),
        ("google/gemini-2.0", "gcp.gen_ai"),
        ("mistralai/mixtral", "mistral_ai"),
        ("bedrock/us.anthropic.claude", "aws.bedrock"),
        ("meta-llama/llama-3", "unknown"),
        ("llama3", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_provider_of_a_model(model: str, provider: str) -> None:
    assert provider_of(model) == provider
    assert call(model=model).attributes["gen_ai.provider.name"] == provider


@pytest.mark.parametrize(
    ("word", "provider"),
    [
        ("anthropic", "anthropic"),
        ("Anthropic", "anthropic"),
        ("azure.ai.openai", "azure.ai.openai"),
        ("bedrock", "aws.bedrock"),
        ("my-gateway", "my-gateway"),
        ("", "openai"),
        (5, "openai"),
        (None, "openai"),
    ],
)
def test_the_provider_that_was_told(word: Any, provider: str) -> None:
    read = call(metadata={"provider": word})
    assert read.provider == read.attributes["gen_ai.provider.name"] == provider
    assert "hiveloop.llm.metadata.provider" not in read.attributes


# -- tokens -----------------------------------------------------------------------------------

CACHED = {"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200}


def test_cached_tokens_are_included_where_the_provider_counts_them_apart() -> None:
    read = call(model="claude-sonnet-4", tokens_in=30, metadata=CACHED)
    assert (read.tokens_in, read.cache_read, read.cache_creation) == (1230, 1000, 200)
    assert read.attributes["gen_ai.usage.input_tokens"] == 1230
    assert read.attributes["gen_ai.usage.cache_read.input_tokens"] == 1000
    assert read.attributes["gen_ai.usage.cache_creation.input_tokens"] == 200


def test_cached_tokens_are_not_counted_twice() -> None:
    told_so = {**CACHED, "tokens_in_includes_cache": True}
    assert call(model="claude-sonnet-4", tokens_in=1230, metadata=told_so).tokens_in == 1230
    assert call(model="gpt-4o", tokens_in=1230, metadata=CACHED).tokens_in == 1230
    assert call(model="claude-sonnet-4", metadata=CACHED).tokens_in is None


def test_the_latest_conventions_write_to_the_cache() -> None:
    sent = told(LATEST, **CACHED)
    assert sent["gen_ai.usage.cache_write.input_tokens"] == 200
    assert "gen_ai.usage.cache_creation.input_tokens" not in sent


def test_tokens_of_reasoning() -> None:
    read = call(tokens_out=50, metadata={"reasoning_tokens": 40})
    assert (read.tokens_out, read.reasoning) == (50, 40)
    assert read.attributes["gen_ai.usage.reasoning.output_tokens"] == 40


# -- metadata ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "attribute", "expected"),
    [
        ("temperature", 0, "gen_ai.request.temperature", 0.0),
        ("top_p", 0.9, "gen_ai.request.top_p", 0.9),
        ("top_k", 40, "gen_ai.request.top_k", 40.0),
        ("max_tokens", 4096, "gen_ai.request.max_tokens", 4096),
        ("seed", 7, "gen_ai.request.seed", 7),
        ("response_id", "msg_1", "gen_ai.response.id", "msg_1"),
        ("response_model", "gpt-4o-2024", "gen_ai.response.model", "gpt-4o-2024"),
        ("turn_number", 3, "hiveloop.llm.turn_number", 3),
        ("context_window_size", 200_000, "hiveloop.llm.context.window_size", 200_000),
        ("context_used_tokens", 1200, "hiveloop.llm.context.used_tokens", 1200),
        ("context_utilization_pct", 12.5, "hiveloop.llm.context.utilization", 0.125),
        ("system_prompt_tokens", 10, "hiveloop.llm.prompt.system_tokens", 10),
        ("history_tokens", 20, "hiveloop.llm.prompt.history_tokens", 20),
        ("tool_results_tokens", 30, "hiveloop.llm.prompt.tool_results_tokens", 30),
        ("time_to_first_token_ms", 250, "gen_ai.response.time_to_first_chunk", 0.25),
        ("operation", "embeddings", "gen_ai.operation.name", "embeddings"),
        ("operation", "sing", "hiveloop.llm.metadata.operation", "sing"),
        ("temperature", "hot", "hiveloop.llm.metadata.temperature", "hot"),
        ("Own-Key", {"a": 1}, "hiveloop.llm.metadata.own_key", '{"a":1}'),
    ],
)
def test_a_member_of_the_metadata(key: str, value: Any, attribute: str, expected: Any) -> None:
    sent = told(**{key: value})
    assert sent[attribute] == expected
    assert type(sent[attribute]) is type(expected)


def test_top_k_is_whole_in_the_latest_conventions() -> None:
    assert type(told(LATEST, top_k=40)["gen_ai.request.top_k"]) is int


def test_another_operation_names_the_span() -> None:
    assert call(metadata={"operation": "embeddings"}).span_name == "embeddings gpt-4o"
    assert call(metadata={"operation": "execute_tool"}).operation == "chat"


def test_an_answer_that_was_streamed() -> None:
    read = call(metadata={"time_to_first_token_ms": 250})
    assert read.streaming_first_token_ns == 250_000_000
    assert read.attributes["gen_ai.request.stream"] is True
    assert "gen_ai.request.stream" not in call().attributes


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("stop", "stop"),
        ("max_tokens", "length"),
        ("length", "length"),
        ("tool_use", "tool_call"),
        ("tool_calls", "tool_call"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_why_it_stopped(reason: str, finish: str) -> None:
    sent = told(stop_reason=reason)
    assert sent["gen_ai.response.finish_reasons"] == [finish]
    assert sent["hiveloop.llm.stop_reason"] == reason


def test_nobody_said_why_it_stopped() -> None:
    assert "gen_ai.response.finish_reasons" not in told(stop_reason=None, turn_number=1)
    assert told(stop_reason=["end_turn", "max_tokens"])["gen_ai.response.finish_reasons"] == [
        "stop",
        "length",
    ]


@pytest.mark.parametrize("metadata", ["text", 5, ["a"], None])
def test_metadata_that_is_none(metadata: Any) -> None:
    assert call(metadata=metadata).attributes == call().attributes


# -- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "error_type", "message"),
    [
        ({"error": "overloaded"}, "_OTHER", "overloaded"),
        ({"error": True}, "_OTHER", None),
        ({"error_type": "RateLimitError"}, "RateLimitError", None),
        ({"error": "slow down", "error_type": "RateLimitError"}, "RateLimitError", "slow down"),
        ({"error": {"code": 429}}, "_OTHER", '{"code":429}'),
        ({"error": None}, None, None),
        ({"error": False}, None, None),
        ({"error": ""}, None, None),
    ],
)
def test_a_call_that_failed(metadata: dict[str, Any], error_type: str | None, message: str | None) -> None:
    read = call(metadata=metadata)
    assert (read.error_type, read.error_message) == (error_type, message)
    assert read.attributes.get("error.type") == error_type
    assert read.attributes.get("hiveloop.llm.error") == message


# -- content ----------------------------------------------------------------------------------

PREVIEWS = {
    "prompt_preview": "what is it?",
    "response_preview": "größe\ud800",
    "metadata": {"stop_reason": "end_turn"},
}


def test_no_previews_by_default() -> None:
    shown = repr(call(**PREVIEWS))
    assert "what is it?" not in shown
    assert "größe" not in shown


def test_previews_as_messages() -> None:
    sent = as_sent(call(CAPTURING, **PREVIEWS).attributes)
    assert json.loads(sent["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "what is it?"}]}
    ]
    assert json.loads(sent["gen_ai.output.messages"]) == [
        {"role": "assistant", "finish_reason": "stop", "parts": [{"type": "text", "content": "größe?"}]}
    ]
    assert sent["hiveloop.llm.content.preview"] is True


def test_a_long_preview_is_still_a_message() -> None:
    text = as_sent(call(CAPTURING, prompt_preview='"' * 100_000).attributes)["gen_ai.input.messages"]
    assert 8000 < len(text) <= 8192
    [message] = json.loads(text)
    assert message["parts"][0]["content"].startswith('"""')


def test_no_messages_without_previews() -> None:
    assert call(CAPTURING).attributes == call().attributes
    assert "gen_ai.input.messages" not in call(CAPTURING, response_preview="x").attributes


# -- names for backends -----------------------------------------------------------------------


def with_compat(*backends: str) -> dict[str, Any]:
    """What is added for backends."""
    options = MappingOptions(compat=frozenset(backends))
    before = call(tokens_in=5, tokens_out=6, cost=0.5).attributes
    after = call(options, tokens_in=5, tokens_out=6, cost=0.5).attributes
    assert before.items() <= after.items()
    return as_sent({key: value for key, value in after.items() if key not in before})


def test_names_for_each_backend() -> None:
    assert with_compat("mlflow") == {"mlflow.llm.cost": '{"total_cost":0.5}'}
    assert with_compat("logfire") == {"gen_ai.system": "openai"}
    assert with_compat("openinference") == {"openinference.span.kind": "LLM"}
    assert with_compat("agentops") == {
        "agentops.span.kind": "llm",
        "gen_ai.usage.total_cost": 0.5,
        "gen_ai.usage.prompt_tokens": 5,
        "gen_ai.usage.completion_tokens": 6,
    }


def test_names_for_backends_need_something_to_tell() -> None:
    options = MappingOptions(compat=frozenset(("mlflow", "agentops")))
    assert set(call(options).attributes) - set(call().attributes) == {"agentops.span.kind"}


def test_a_call_outside_any_task() -> None:
    with capture() as seen:
        hiveloop.get_client().agent("sales").llm_call("reason", "gpt-4o", tokens_in=1)  # type: ignore[union-attr]
        [reported] = [e for e in seen.events if e.kind == "llm_call"]
    assert read_llm_call(reported, PLAIN).tokens_in == 1
