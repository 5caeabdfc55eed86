"""The metrics of the GenAI conventions, in both of their dialects.

To the attributes of the conventions comes ``gen_ai.agent.name`` everywhere, for the first question about
tokens is whose they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hiveloop.events import Event

from . import semconv as names
from ._content import ScopeContent, payload_of
from ._llm import LlmCall
from ._metric_state import OTHER, AgentState, Begun

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter

__all__ = ["LatestMeters", "TaggedMeters", "action_name_of", "histogram", "seconds_of", "word_of"]

_CALL = (names.OPERATION_NAME, names.PROVIDER_NAME, names.REQUEST_MODEL, names.ERROR_TYPE)
_USAGE = (names.OPERATION_NAME, names.PROVIDER_NAME, names.REQUEST_MODEL, names.TOKEN_TYPE)
_MODALITY = (names.OPERATION_NAME, names.PROVIDER_NAME, names.REQUEST_MODEL, names.TOKEN_MODALITY)
_INVOCATION = (names.ERROR_TYPE,)
_TOOL = (names.TOOL_NAME, names.ERROR_TYPE)

_INFERENCES = frozenset((names.CHAT, "generate_content", "text_completion"))
_MOST_TOKENS = 2**40
"""A sum of tokens must never exceed 64 bits: no batch of metrics could be encoded after that."""


class TaggedMeters:
    """The metrics of conventions 1.41.1: calls of models."""

    def __init__(self, meter: Meter) -> None:
        seconds, tokens = names.DURATION_BUCKETS, names.TOKEN_BUCKETS
        self._duration = histogram(meter, names.METRIC_OPERATION_DURATION, "s", seconds)
        self._usage = histogram(meter, names.METRIC_TOKEN_USAGE, "{token}", tokens)
        self._first_chunk = histogram(meter, names.METRIC_TIME_TO_FIRST_CHUNK, "s", seconds)

    def call(self, agent: AgentState, call: LlmCall) -> None:
        """Record a call of a model."""
        about = call.operation, call.provider, call.model
        first, duration = call.streaming_first_token_ns, call.duration_ns
        if duration is not None:
            _record(self._duration, duration / 1e9, agent.genai(_CALL, *about, call.error_type))
        if call.tokens_in is not None:
            _record(self._usage, call.tokens_in, agent.genai(_USAGE, *about, "input"))
        if call.tokens_out is not None:
            _record(self._usage, call.tokens_out, agent.genai(_USAGE, *about, "output"))
        if first is not None:
            _record(self._first_chunk, first / 1e9, agent.genai(_CALL, *about, call.error_type))

    def task_ended(self, agent: AgentState, run: Begun | None, event: Event, content: ScopeContent) -> None:
        """Record the end of a task: not in 1.41.1."""

    def action_ended(self, agent: AgentState, run: Begun | None, event: Event, content: ScopeContent) -> None:
        """Record the end of an action: not in 1.41.1."""


class LatestMeters(TaggedMeters):
    """The metrics of the development version of the conventions: models, agents and tools."""

    def __init__(self, meter: Meter) -> None:
        seconds, tokens, counts = names.DURATION_BUCKETS, names.TOKEN_BUCKETS, names.COUNT_BUCKETS
        self._other_duration = histogram(meter, names.METRIC_OPERATION_DURATION, "s", seconds)
        self._duration = histogram(meter, names.LATEST_INFERENCE_DURATION, "s", seconds)
        self._first_chunk = histogram(meter, names.LATEST_TIME_TO_FIRST_CHUNK, "s", seconds)
        self._input = histogram(meter, names.LATEST_OPERATION_INPUT, "{token}", tokens)
        self._output = histogram(meter, names.LATEST_OPERATION_OUTPUT, "{token}", tokens)
        self._inputs = meter.create_counter(names.LATEST_USAGE_INPUT, "{token}")
        self._outputs = meter.create_counter(names.LATEST_USAGE_OUTPUT, "{token}")
        self._cache_reads = meter.create_counter(names.LATEST_USAGE_CACHE_READ, "{token}")
        self._cache_writes = meter.create_counter(names.LATEST_USAGE_CACHE_WRITE, "{token}")
        self._reasonings = meter.create_counter(names.LATEST_USAGE_REASONING, "{token}")
        self._agent = histogram(meter, names.LATEST_AGENT_DURATION, "s", names.AGENT_BUCKETS)
        self._calls = histogram(meter, names.LATEST_AGENT_INFERENCE_CALLS, "{inference_call}", counts)
        self._tools = histogram(meter, names.LATEST_AGENT_TOOL_CALLS, "{tool_call}", counts)
        self._tool = histogram(meter, names.LATEST_TOOL_DURATION, "s", seconds)

    def call(self, agent: AgentState, call: LlmCall) -> None:
        """Record a call of a model."""
        about = call.operation, call.provider, call.model
        attributes = agent.genai(_CALL, *about, call.error_type)
        if call.duration_ns is not None:
            is_inference = call.operation in _INFERENCES
            duration = self._duration if is_inference else self._other_duration
            _record(duration, call.duration_ns / 1e9, attributes)
        if call.streaming_first_token_ns is not None:
            _record(self._first_chunk, call.streaming_first_token_ns / 1e9, attributes)
        _record(self._input, call.tokens_in, attributes)
        _record(self._output, call.tokens_out, attributes)
        # Whether tokens stood for text, an image or sound, nobody tells us.
        attributes = agent.genai(_MODALITY, *about, "unknown")
        _add(self._inputs, call.tokens_in, attributes)
        _add(self._outputs, call.tokens_out, attributes)
        _add(self._cache_reads, call.cache_read, attributes)
        _add(self._cache_writes, call.cache_creation, attributes)
        _add(self._reasonings, call.reasoning, attributes)

    def task_ended(self, agent: AgentState, run: Begun | None, event: Event, content: ScopeContent) -> None:
        """Record the end of a task; what it called is known only when its start was seen."""
        attributes = agent.genai(_INVOCATION, content.error_type)
        _record(self._agent, seconds_of(event), attributes)
        if run is not None:
            _record(self._calls, run.llm_calls, attributes)
            _record(self._tools, run.tool_calls, attributes)

    def action_ended(self, agent: AgentState, run: Begun | None, event: Event, content: ScopeContent) -> None:
        """Record the end of an action, if it called a tool."""
        if not content.is_tool:
            return
        if run is not None:
            run.tool_calls += 1
        attributes = agent.genai(_TOOL, action_name_of(event), content.error_type)
        _record(self._tool, seconds_of(event), attributes)


def _record(into: Histogram, value: float | None, attributes: dict[str, str]) -> None:
    if value is not None and value >= 0:
        into.record(value, attributes)


def _add(into: Counter, value: int | None, attributes: dict[str, str]) -> None:
    if value is not None and value >= 0:
        into.add(min(value, _MOST_TOKENS), attributes)


def histogram(meter: Meter, name: str, unit: str, buckets: Sequence[float]) -> Histogram:
    """Create a histogram that advises these buckets; a view of the application's may overrule them."""
    return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=list(buckets))


def seconds_of(event: Event) -> float | None:
    """Return the duration of what the event ended, in seconds."""
    return None if event.duration_ms is None or event.duration_ms < 0 else event.duration_ms / 1e3


def action_name_of(event: Event) -> str:
    """Return the name of the event's action."""
    return word_of(payload_of(event).get("action_name")) or "action"


def word_of(value: object) -> str | None:
    """Return a value of a payload that should be a word."""
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, bool | int | float) else OTHER
