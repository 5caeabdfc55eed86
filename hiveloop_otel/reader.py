"""Spans about AI agents, whoever made them, read as facts: who worked on what, with which model and tool.

`read_span` knows the names of the GenAI semantic conventions, old and new, of OpenInference, of OpenLLMetry
(Traceloop), of the Vercel AI SDK and of several agent frameworks, and those hiveloop itself exports; all of
them are in the tables of `_dialects`. This module is pure and imports no OpenTelemetry, so that a receiver of
OTLP can use it on what it decoded.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from . import _dialects as table
from ._dialects import Kind
from ._kinds import OWN_SCOPE, is_about_ai, kind_of_span
from ._lookup import count_of, event_named, number_of, text_of
from ._messages import (
    LONGEST_TEXT,
    Attributes,
    SpanEvents,
    prompt_text,
    response_text,
    tool_arguments,
    tool_result,
)
from ._own import Note, Own, metadata_of, notes_of, own_of

__all__ = [
    "OWN_SCOPE",
    "Kind",
    "Note",
    "Own",
    "SpanFacts",
    "framework_of",
    "is_about_ai",
    "kind_of_span",
    "named_agent",
    "read_span",
]

_LONGEST_NAME = 200


class SpanFacts(NamedTuple):
    """What a span tells; None for what it does not tell.

    Attributes:
        kind: what the span is about.
        name: a name for people, such as "search" of ``execute_tool search`` and "chat" of ``chat gpt-4o``.
        agent_name: of an agent span the agent, of others the agent they say they belong to.
        agent_id: id of the agent, where it has one beside its name.
        agent_version: version of the agent.
        framework: who made the span, such as "langchain".
        workflow: name of the workflow it belongs to.
        session_id: conversation, session or thread.
        operation: such as "chat", "execute_tool".
        model: the model that was asked for.
        response_model: the one that answered, where it has another name.
        provider: by its name in the conventions, such as "openai", "aws.bedrock".
        tokens_in: input tokens, cached ones included.
        tokens_out: output tokens, reasoning included.
        cache_read: input tokens read from the provider's cache; part of `tokens_in`.
        cache_creation: input tokens written to it; part of `tokens_in`.
        reasoning: output tokens spent on reasoning; part of `tokens_out`.
        total_tokens: where only the sum was told.
        cost: US dollars.
        finish_reason: why the model stopped.
        prompt: what was asked last, at most 4 000 characters.
        response: what was answered, at most 4 000 characters.
        tool_name: of a tool span.
        tool_args: what the tool was given.
        tool_result: what it gave back, at most 4 000 characters.
        tool_call_id: ties it to the model's request.
        failed: whether the span says that its work failed.
        error_type: name of the exception's class or another word; None unless failed.
        error_message: at most 4 000 characters.
        metadata: request parameters and the like, by the names hiveloop's ``llm_call`` metadata have.
        own: what hiveloop said, when the span is its own.
        notes: what happened in a span of hiveloop's own: plans, issues, approvals.
    """

    kind: Kind
    name: str
    agent_name: str | None = None
    agent_id: str | None = None
    agent_version: str | None = None
    framework: str | None = None
    workflow: str | None = None
    session_id: str | None = None
    operation: str | None = None
    model: str | None = None
    response_model: str | None = None
    provider: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cache_read: int | None = None
    cache_creation: int | None = None
    reasoning: int | None = None
    total_tokens: int | None = None
    cost: float | None = None
    finish_reason: str | None = None
    prompt: str | None = None
    response: str | None = None
    tool_name: str | None = None
    tool_args: dict[str, Any] | None = None
    tool_result: str | None = None
    tool_call_id: str | None = None
    failed: bool = False
    error_type: str | None = None
    error_message: str | None = None
    metadata: dict[str, Any] = {}  # noqa: RUF012 - never changed
    own: Own | None = None
    notes: tuple[Note, ...] = ()

    @property
    def has_usage(self) -> bool:
        """Whether the span tells tokens or cost, so that it can stand for a call of a model."""
        told = (self.tokens_in, self.tokens_out, self.total_tokens, self.cost)
        return any(value is not None for value in told)

    def completed_by(self, outer: SpanFacts) -> SpanFacts:
        """Return these facts of a model's call, with what only a span around it tells; never its figures."""
        missing = {field: getattr(outer, field) for field in _SHARED if getattr(self, field) is None}
        return self._replace(**missing, metadata={**outer.metadata, **self.metadata})


_SHARED = ("model", "provider", "cost", "finish_reason", "prompt", "response", "session_id", "agent_name")
"""Facts that spans of the same call share."""

# -- reading ----------------------------------------------------------------------------------


def read_span(
    name: str,
    kind: str,
    attributes: Attributes,
    events: SpanEvents = (),
    *,
    failed: bool = False,
    status_message: str | None = None,
    scope_name: str = "",
    content: bool = True,
) -> SpanFacts:
    """Read the facts of a span; nothing raises, whatever the attributes hold.

    Args:
        name: of the span.
        kind: OpenTelemetry's kind in any case, such as "CLIENT".
        attributes: of the span.
        events: name and attributes of each event.
        failed: whether the status is ERROR.
        status_message: the status's description.
        scope_name: of the instrumentation that made it.
        content: whether to read what was said: prompts, responses, arguments, results.
    """
    about = kind_of_span(name, attributes, scope_name, span_kind=kind)
    facts = SpanFacts(
        about,
        _shown_name(about, name, attributes),
        agent_name=named_agent(about, name, attributes),
        agent_id=text_of(attributes, table.AGENT_ID),
        agent_version=text_of(attributes, table.AGENT_VERSION),
        framework=text_of(attributes, ("hiveloop.agent.framework",)) or framework_of(scope_name),
        workflow=text_of(attributes, table.WORKFLOW),
        session_id=text_of(attributes, table.SESSION),
        operation=text_of(attributes, table.OPERATION),
        **_failure(attributes, events, failed, status_message),
    )
    if about in ("llm", "embedding"):
        facts = facts._replace(**_model_facts(about, attributes, events))
    if about == "tool":
        facts = facts._replace(
            tool_name=facts.name,
            tool_call_id=text_of(attributes, table.TOOL_CALL_ID),
            metadata=_tool_facts(attributes),
        )
    if content:
        facts = facts._replace(**_content(about, attributes, events))
    return _with_own(facts, name, attributes, events) if scope_name == OWN_SCOPE else facts


def _with_own(facts: SpanFacts, name: str, attributes: Attributes, events: SpanEvents) -> SpanFacts:
    """Add what only spans of hiveloop tell."""
    notes = tuple(_with_call(note, events) for note in notes_of(name, attributes, events))
    metadata = facts.metadata
    if facts.kind == "llm":
        metadata = {**metadata, **metadata_of(attributes)}
    return facts._replace(own=own_of(attributes), notes=notes, metadata=metadata)


def _with_call(note: Note, events: SpanEvents) -> Note:
    """Give a note of a model's call the data that its payload had."""
    if note.kind != "llm_call" or note.position < 0:
        return note
    attributes = events[note.position][1]
    facts = read_span("chat", "client", attributes, scope_name=OWN_SCOPE)
    data: dict[str, Any] = {
        "name": facts.name,
        "model": facts.model,
        "tokens_in": facts.tokens_in,
        "tokens_out": facts.tokens_out,
        "cost": facts.cost,
        "prompt_preview": facts.prompt,
        "response_preview": facts.response,
        "metadata": facts.metadata or None,
    }
    return note._replace(data={key: value for key, value in data.items() if value is not None})


def _content(about: Kind, attributes: Attributes, events: SpanEvents) -> dict[str, Any]:
    if about in ("tool", "retrieval"):
        return {
            "tool_args": tool_arguments(attributes, events),
            "tool_result": tool_result(attributes, events),
        }
    if about == "other":
        return {}
    prompt = prompt_text(attributes, events)
    if about == "embedding":  # what comes back is numbers
        return {"prompt": prompt}
    return {"prompt": prompt, "response": response_text(attributes, events)}


def _model_facts(about: Kind, attributes: Attributes, events: SpanEvents) -> dict[str, Any]:
    # Some instrumentations tell these in an event of the span instead of in its attributes.
    attributes = {**event_named(events, "gen_ai.client.inference.operation.details"), **attributes}
    model, answered = text_of(attributes, table.MODEL), text_of(attributes, table.RESPONSE_MODEL)
    return {
        "model": model,
        "response_model": None if answered == model else answered,
        "provider": _provider(attributes),
        "cost": _cost(attributes),
        "finish_reason": text_of(attributes, table.FINISH),
        "metadata": _metadata(attributes),
        **_usage(about, attributes),
    }


def _usage(about: Kind, attributes: Attributes) -> dict[str, int | None]:
    tokens_in, tokens_out = count_of(attributes, table.TOKENS_IN), count_of(attributes, table.TOKENS_OUT)
    total = count_of(attributes, table.TOKENS)
    read, created = count_of(attributes, table.CACHE_READ), count_of(attributes, table.CACHE_CREATION)
    if total is not None:
        if tokens_in is None and (about == "embedding" or tokens_out is not None):
            tokens_in = max(0, total - (tokens_out or 0))
        elif tokens_in is not None and tokens_out is None and about == "llm":
            tokens_out = max(0, total - tokens_in)
    cached = (read or 0) + (created or 0)
    if tokens_in is not None and cached > tokens_in:  # reported beside the input, as the provider does
        tokens_in += cached
    return {
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "total_tokens": total if tokens_in is None and tokens_out is None else None,
        "cache_read": read,
        "cache_creation": created,
        "reasoning": count_of(attributes, table.REASONING),
    }


def _cost(attributes: Attributes) -> float | None:
    whole = number_of(attributes, table.COST)
    if whole is not None:
        return whole
    for prompt, completion in table.COST_PARTS:
        parts = [number_of(attributes, (prompt,)), number_of(attributes, (completion,))]
        if any(part is not None for part in parts):
            return sum(part or 0.0 for part in parts)
    return None


def _provider(attributes: Attributes) -> str | None:
    for name in table.PROVIDER:
        value = text_of(attributes, (name,))
        if value is None:
            continue
        word = value.lower().replace(" ", "_")
        if name == "ai.model.provider":
            word = word.partition(".")[0]  # "openai.chat"
        if word not in table.NO_PROVIDERS:
            return table.PROVIDERS.get(word, word)
    return None


def _metadata(attributes: Attributes) -> dict[str, Any]:
    found: dict[str, Any] = {key: text_of(attributes, names) for key, names in table.TEXTS.items()}
    found.update({key: number_of(attributes, names) for key, names in table.NUMBERS.items()})
    seconds = number_of(attributes, table.FIRST_CHUNK)
    if seconds is not None:
        found["time_to_first_token_ms"] = seconds * 1_000
    return {key: _whole_if_it_is(value) for key, value in found.items() if value is not None}


def _tool_facts(attributes: Attributes) -> dict[str, Any]:
    category = text_of(attributes, table.TOOL_TYPE)
    status = count_of(attributes, ("http.response.status_code", "http.status_code"))
    found: dict[str, Any] = {"tool_category": category, "http_status": status}
    return {key: value for key, value in found.items() if value is not None}


def _whole_if_it_is(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# -- names ------------------------------------------------------------------------------------


def named_agent(kind: Kind, name: str, attributes: Attributes) -> str | None:
    """Return the agent a span is of, or None when it does not say.

    A name that is new in every run, as one that ends with an id is, loses that end: agents are few.
    """
    found = text_of(attributes, table.AGENT_NAME)
    if found is None and kind == "agent":
        found = text_of(attributes, table.AGENT_NODE) or _stripped(name)
        found = None if found.startswith("ai.") else found
    if found is None:
        return None
    steady = table.UNIQUE.sub("", found).strip()
    return None if steady.lower() in table.GENERIC else steady


def _shown_name(kind: Kind, name: str, attributes: Attributes) -> str:
    if kind in ("llm", "embedding"):
        return _call_name(name, attributes)
    if kind == "tool":
        told = text_of(attributes, table.TOOL_NAME) or text_of(attributes, ("traceloop.entity.name",))
    elif kind in ("workflow", "step"):
        told = text_of(attributes, ("hiveloop.action.name", "gen_ai.workflow.name", "traceloop.entity.name"))
    elif kind == "agent":
        told = named_agent(kind, name, attributes)
    else:
        told = None
    return (told or _stripped(name) or kind)[:_LONGEST_NAME]


def _call_name(name: str, attributes: Attributes) -> str:
    """What a model was called for: "chat" of ``chat gpt-4o``, else the name the framework chose."""
    told = text_of(attributes, ("hiveloop.llm.call.name", "ai.telemetry.functionId"))
    if told is not None:
        return told
    model = text_of(attributes, table.MODEL)
    if model is not None and name.endswith(f" {model}"):
        name = name[: -len(model) - 1]
    return name.strip()[:_LONGEST_NAME] or "chat"


def _stripped(name: str) -> str:
    return table.SUFFIX.sub("", table.PREFIX.sub("", name, count=1)).strip()


@lru_cache(maxsize=256)
def framework_of(scope_name: str) -> str | None:
    """Return the framework an instrumentation is for, such as "langchain", by the name of its scope."""
    known = table.SCOPES.get(scope_name)
    if known is not None or not scope_name:
        return known
    match = table.FRAMEWORKS.match(scope_name)
    if match is None:
        return (
            scope_name.partition(".")[0] if scope_name.startswith(("strands", "crewai", "logfire")) else None
        )
    return match["name"].replace("_", "-")


# -- failures ---------------------------------------------------------------------------------


def _failure(
    attributes: Attributes, events: SpanEvents, failed: bool, status_message: str | None
) -> dict[str, Any]:
    if not failed:
        return {}
    raised = event_named(events, "exception")
    kind = text_of(raised, ("exception.type",)) or text_of(attributes, table.ERROR_TYPE)
    message = (
        text_of(raised, ("exception.message",)) or status_message or text_of(attributes, table.ERROR_MESSAGE)
    )
    return {
        "failed": True,
        "error_type": None if kind in (None, "_OTHER") else kind,
        "error_message": None if message is None else message[:LONGEST_TEXT],
    }
