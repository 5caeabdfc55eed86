"""One call of a model: the span it becomes, which is also the event on the span around it.

Runs once per call on a delivery thread, so what can be looked up is looked up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from hiveloop._shape import is_dict, is_list
from hiveloop.events import Event

from . import semconv as names
from ._content import MappingOptions, data_of
from ._values import (
    Attributes,
    Rules,
    as_json,
    clean_name,
    flattened,
    mapped,
    to_content,
    to_real,
    to_text,
    to_texts,
    to_whole,
    without_content,
)

__all__ = ["LlmCall", "provider_of", "read_llm_call"]

_NS_PER_MS = 1_000_000
_LONGEST_NS = 366 * 86_400 * 1_000_000_000
"""Beyond a year it is no duration: the span would start before the epoch."""


class LlmCall(NamedTuple):
    """A call of a model.

    Attributes:
        span_name: operation and model, such as "chat gpt-4o".
        operation: a value of ``gen_ai.operation.name``.
        provider: a value of ``gen_ai.provider.name``; "unknown" when nothing tells.
        model: empty when it is not known.
        attributes: of the span and of the event; without those of `identity`.
        tokens_in: input tokens, those from and for the provider's cache included.
        tokens_out: output tokens, those of reasoning included.
        cost: US dollars.
        duration_ns: nanoseconds the call took.
        error_type: None when it did not fail.
        error_message: description of the failure, if there is one.
        cache_read: input tokens read from the provider's cache.
        cache_creation: input tokens written to it.
        reasoning: output tokens spent on reasoning.
        streaming_first_token_ns: nanoseconds until the first token; None when the answer was not streamed.
    """

    span_name: str
    operation: str
    provider: str
    model: str
    attributes: Attributes
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    duration_ns: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    cache_read: int | None = None
    cache_creation: int | None = None
    reasoning: int | None = None
    streaming_first_token_ns: int | None = None


# -- providers --------------------------------------------------------------------------------

_UNKNOWN = "unknown"
_PROVIDERS = {
    name: name
    for name in (
        "openai",
        "anthropic",
        "aws.bedrock",
        "azure.ai.inference",
        "azure.ai.openai",
        "cohere",
        "deepseek",
        "gcp.gemini",
        "gcp.gen_ai",
        "gcp.vertex_ai",
        "groq",
        "ibm.watsonx.ai",
        "mistral_ai",
        "moonshot_ai",
        "perplexity",
        "x_ai",
    )
} | {
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "moonshotai": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "x-ai": "x_ai",
    "xai": "x_ai",
}
"""Well-known providers, and what else they are called where models are named."""

_MODEL_PREFIXES = (
    # Bedrock first: its ids hold the names of other providers.
    (("us.", "eu.", "apac.", "us-gov.", "global.", "anthropic.", "amazon.", "arn:aws"), "aws.bedrock"),
    (("meta.", "mistral.", "cohere.", "ai21."), "aws.bedrock"),
    (("claude",), "anthropic"),
    (("gemini", "text-embedding-00"), "gcp.gen_ai"),
    (("gpt-", "chatgpt", "o1", "o3", "o4", "text-embedding", "ft:gpt-"), "openai"),
    (("mistral", "codestral", "ministral", "magistral", "devstral", "pixtral"), "mistral_ai"),
    (("command",), "cohere"),
    (("deepseek",), "deepseek"),
    (("grok",), "x_ai"),
    (("sonar",), "perplexity"),
    (("kimi", "moonshot"), "moonshot_ai"),
)


def provider_of(model: str, told: object = None) -> str:
    """Return the well-known name of a model's provider, or "unknown".

    Args:
        model: name of the model, as given to the provider.
        told: what the caller calls the provider, if anything; kept when it is no name we know.
    """
    if type(told) is str and told:
        told = told[:255]
        return _PROVIDERS.get(told.lower()) or to_text(told) or _UNKNOWN
    return _inferred(model[:255])


@lru_cache(maxsize=512)
def _inferred(model: str) -> str:
    model = model.lower()
    vendor, slash, _ = model.partition("/")
    if slash:
        return _PROVIDERS.get(vendor, _UNKNOWN)
    for prefixes, provider in _MODEL_PREFIXES:
        if model.startswith(prefixes):
            return provider
    return _UNKNOWN


# -- members ----------------------------------------------------------------------------------


def _operation(value: object) -> str | None:
    return value if type(value) is str and value in names.MODEL_OPERATIONS else None


def _count(value: object) -> int | None:
    number = to_whole(value)
    return None if number is None or number < 0 else number


def _amount(value: object) -> float | None:
    number = to_real(value)
    return None if number is None or number < 0 else number


def _seconds(value: object) -> float | None:
    milliseconds = _amount(value)
    return None if milliseconds is None else milliseconds / 1_000


def _fraction(value: object) -> float | None:
    percent = to_real(value)
    return None if percent is None else percent / 100


_METADATA: Rules = {
    "provider": None,
    "tokens_in_includes_cache": None,
    "error": None,
    "error_type": None,
    "turn_number": (names.HIVELOOP_LLM_TURN_NUMBER, to_whole),
    "context_window_size": (names.HIVELOOP_LLM_CONTEXT_WINDOW, to_whole),
    "context_used_tokens": (names.HIVELOOP_LLM_CONTEXT_USED, to_whole),
    "context_utilization_pct": (names.HIVELOOP_LLM_CONTEXT_UTILIZATION, _fraction),
    "system_prompt_tokens": (names.HIVELOOP_LLM_PROMPT_SYSTEM, to_whole),
    "history_tokens": (names.HIVELOOP_LLM_PROMPT_HISTORY, to_whole),
    "tool_results_tokens": (names.HIVELOOP_LLM_PROMPT_TOOL_RESULTS, to_whole),
    "stop_reason": (names.HIVELOOP_LLM_STOP_REASON, to_text),
    "temperature": (names.REQUEST_TEMPERATURE, to_real),
    "top_p": (names.REQUEST_TOP_P, to_real),
    "top_k": (names.REQUEST_TOP_K, to_real),
    "max_tokens": (names.REQUEST_MAX_TOKENS, to_whole),
    "seed": (names.REQUEST_SEED, to_whole),
    "response_id": (names.RESPONSE_ID, to_text),
    "response_model": (names.RESPONSE_MODEL, to_text),
    "time_to_first_token_ms": (names.RESPONSE_TIME_TO_FIRST_CHUNK, _seconds),
    "cache_read_input_tokens": (names.USAGE_CACHE_READ, _count),
    "cache_creation_input_tokens": (names.USAGE_CACHE_CREATION, _count),
    "reasoning_tokens": (names.USAGE_REASONING, _count),
    "operation": (names.OPERATION_NAME, _operation),
}
_LATEST_METADATA: Rules = {
    **_METADATA,
    "top_k": (names.REQUEST_TOP_K, to_whole),
    "cache_creation_input_tokens": (names.USAGE_CACHE_WRITE, _count),
}
_DATA = frozenset(
    (
        *("name", "model", "tokens_in", "tokens_out", "cost", "duration_ms", "metadata"),
        *("prompt_preview", "response_preview", "kind", "summary", "tags"),
    )
)
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_call",
    "tool_calls": "tool_call",
    "refusal": "content_filter",
}


# -- reading ----------------------------------------------------------------------------------


def read_llm_call(event: Event, options: MappingOptions) -> LlmCall:
    """Read a call of a model from an event of kind "llm_call"."""
    data = data_of(event)
    found = data.get("metadata")
    metadata: dict[str, Any] = found if is_dict(found) else {}
    attributes: Attributes = {}
    if not _DATA.issuperset(data):
        attributes |= _others(data, options)
    if metadata:
        rules = _LATEST_METADATA if options.dialect == names.LATEST.name else _METADATA
        attributes |= mapped(
            rules, names.HIVELOOP_LLM_METADATA, metadata, capture_content=options.capture_content
        )
    call = _facts(data, metadata, attributes)
    if options.capture_content:
        _add_messages(attributes, data, _finish_reasons(metadata))
    if metadata:
        _add_response(attributes, metadata, call)
    _add_usage(attributes, call)
    if options.compat:
        _add_compat(attributes, call, options.compat)
    _add_names(attributes, data, call)
    return call


def _facts(data: dict[str, Any], metadata: dict[str, Any], attributes: Attributes) -> LlmCall:
    model = to_text(data.get("model")) or ""
    operation = _operation(metadata.get("operation")) or names.CHAT
    call = LlmCall(
        clean_name(f"{operation} {model}"),
        operation,
        provider_of(model, metadata.get("provider")),
        model,
        attributes,
        _count(data.get("tokens_in")),
        _count(data.get("tokens_out")),
        _amount(data.get("cost")),
        _nanoseconds(data.get("duration_ms")),
    )
    return _detailed(call, metadata) if metadata else call


def _detailed(call: LlmCall, metadata: dict[str, Any]) -> LlmCall:
    tokens_in = call.tokens_in
    cache_read = _count(metadata.get("cache_read_input_tokens"))
    cache_creation = _count(metadata.get("cache_creation_input_tokens"))
    if (
        call.provider == "anthropic"
        and tokens_in is not None
        and not metadata.get("tokens_in_includes_cache")
    ):
        # Its API counts cached tokens apart; the conventions, and every backend, expect them included.
        tokens_in = _count(tokens_in + (cache_read or 0) + (cache_creation or 0))
    error_type, error_message = _failure(metadata)
    return LlmCall(
        call.span_name,
        call.operation,
        call.provider,
        call.model,
        call.attributes,
        tokens_in,
        call.tokens_out,
        call.cost,
        call.duration_ns,
        error_type,
        error_message,
        cache_read,
        cache_creation,
        _count(metadata.get("reasoning_tokens")),
        _nanoseconds(metadata.get("time_to_first_token_ms")),
    )


def _nanoseconds(value: object) -> int | None:
    milliseconds = _amount(value)
    if milliseconds is None or milliseconds * _NS_PER_MS > _LONGEST_NS:
        return None
    return round(milliseconds * _NS_PER_MS)


def _failure(metadata: dict[str, Any]) -> tuple[str | None, str | None]:
    error, kind = metadata.get("error"), to_text(metadata.get("error_type"))
    if not error and kind is None:
        return None, None
    message = None if not error or error is True else to_text(error)
    return kind or names.OTHER_ERROR, message


def _finish_reasons(metadata: dict[str, Any]) -> tuple[str, ...]:
    told = metadata.get("stop_reason")
    if type(told) is str and told in _FINISH_REASONS:
        return (_FINISH_REASONS[told],)
    reasons = to_texts(told if is_list(told) else [told])
    return tuple(_FINISH_REASONS.get(reason, reason) for reason in reasons or ())


# -- attributes -------------------------------------------------------------------------------


def _others(data: dict[str, Any], options: MappingOptions) -> Attributes:
    """Members of the call that no sensor of ours writes."""
    rest = {key: value for key, value in data.items() if key not in _DATA}
    return flattened("hiveloop.llm", rest if options.capture_content else without_content(rest))


def _add_response(attributes: Attributes, metadata: dict[str, Any], call: LlmCall) -> None:
    if reasons := _finish_reasons(metadata):
        attributes[names.RESPONSE_FINISH_REASONS] = reasons
    if call.streaming_first_token_ns is not None:
        attributes[names.REQUEST_STREAM] = True
    if call.error_type is not None:
        attributes[names.ERROR_TYPE] = call.error_type
    if call.error_message is not None:
        attributes[names.HIVELOOP_LLM_ERROR] = call.error_message


def _add_usage(attributes: Attributes, call: LlmCall) -> None:
    if call.cost is not None:
        attributes[names.LLM_COST_TOTAL] = call.cost
        attributes[names.OPERATION_COST] = call.cost
        attributes[names.USAGE_COST] = call.cost
        attributes[names.HIVELOOP_LLM_COST] = call.cost
    if call.tokens_out is not None:
        attributes[names.USAGE_OUTPUT_TOKENS] = call.tokens_out
    if call.tokens_in is not None:
        attributes[names.USAGE_INPUT_TOKENS] = call.tokens_in


def _add_compat(attributes: Attributes, call: LlmCall, compat: frozenset[str]) -> None:
    if names.LOGFIRE in compat:
        attributes[names.SYSTEM] = call.provider
    if names.OPENINFERENCE in compat:
        attributes[names.OPENINFERENCE_KIND] = "LLM"
    if names.MLFLOW in compat and call.cost is not None:
        attributes[names.MLFLOW_COST] = as_json({"total_cost": call.cost})
    if names.AGENTOPS not in compat:
        return
    attributes[names.AGENTOPS_KIND] = "llm"
    if call.cost is not None:
        attributes[names.AGENTOPS_TOTAL_COST] = call.cost
    if call.tokens_in is not None:
        attributes[names.USAGE_PROMPT_TOKENS] = call.tokens_in
    if call.tokens_out is not None:
        attributes[names.USAGE_COMPLETION_TOKENS] = call.tokens_out


def _add_names(attributes: Attributes, data: dict[str, Any], call: LlmCall) -> None:
    if name := to_text(data.get("name")):
        attributes[names.HIVELOOP_LLM_CALL_NAME] = name
    if call.model:
        attributes[names.REQUEST_MODEL] = call.model
    attributes[names.PROVIDER_NAME] = call.provider
    attributes[names.OPERATION_NAME] = call.operation


def _add_messages(attributes: Attributes, data: dict[str, Any], reasons: tuple[str, ...]) -> None:
    """Add the previews as messages of the conventions' schema."""
    if prompt := to_content(data.get("prompt_preview")):
        attributes[names.INPUT_MESSAGES] = _message("user", prompt)
    if response := to_content(data.get("response_preview")):
        attributes[names.OUTPUT_MESSAGES] = _message(
            "assistant", response, finish_reason=reasons[0] if reasons else _UNKNOWN
        )
    if prompt or response:
        attributes[names.HIVELOOP_LLM_CONTENT_PREVIEW] = True


def _message(role: str, content: str, **more: str) -> str:
    # The content comes last: it is what is cut when the JSON grows too long.
    return as_json([{"role": role, **more, "parts": [{"type": "text", "content": content}]}])
