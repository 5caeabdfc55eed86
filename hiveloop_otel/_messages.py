"""What was said to a model or a tool and what came back, out of the many shapes spans carry it in.

Every result is a text for a person to glance at, or the arguments of a tool; nothing here is exact. What
cannot be read is left out or shown as it is. Texts are bounded before they are parsed, since this runs on the
application's thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hiveloop._shape import is_dict, is_list

__all__ = [
    "LONGEST_TEXT",
    "SpanEvents",
    "parsed",
    "prompt_text",
    "response_text",
    "shown",
    "tool_arguments",
    "tool_result",
]

Attributes = Mapping[str, object]
SpanEvents = Sequence[tuple[str, Attributes]]
"""The events of a span in order: name and attributes."""

LONGEST_TEXT = 4_000
"""Characters kept of a prompt, a response or a tool's result."""
LONGEST_JSON = 65_536
"""Characters of JSON that are parsed: conversations grow to megabytes, and a megabyte takes milliseconds."""
_MOST_MESSAGES = 200
_MOST_PARTS = 50
_DEPTH = 6
_SPOKEN = frozenset(("user", "human"))
_ANSWERED = frozenset(("assistant", "ai", "model", "AIMessageChunk"))

_INPUT = (
    "gen_ai.input.messages",
    "ai.prompt.messages",
    "gcp.vertex.agent.llm_request",
    "all_messages_events",
)
_OUTPUT = ("gen_ai.output.messages", "gcp.vertex.agent.llm_response")
_FLAT_INPUT = (("llm.input_messages", "message."), ("gen_ai.prompt", ""))
_FLAT_OUTPUT = (("llm.output_messages", "message."), ("gen_ai.completion", ""))
_PLAIN_INPUT = (
    "ai.prompt",
    "ai.value",
    "input.value",
    "traceloop.entity.input",
    "gen_ai.task.input",
    "gen_ai.prompt",
    "llm.prompts",
    "mlflow.spanInputs",
    "langfuse.observation.input",
)
_PLAIN_OUTPUT = (
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "final_result",
    "output.value",
    "traceloop.entity.output",
    "gen_ai.task.output",
    "gen_ai.completion",
    "mlflow.spanOutputs",
    "langfuse.observation.output",
)
_ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "ai.toolCall.args",
    "ai.toolCall.input",
    "gcp.vertex.agent.tool_call_args",
    "gen_ai.tool.input",
    "mcp.request.argument",
    "input.value",
    "traceloop.entity.input",
    "tool.parameters",
    "mlflow.spanInputs",
    "langfuse.observation.input",
)
_RESULT = (
    "gen_ai.tool.call.result",
    "tool_response",
    "ai.toolCall.result",
    "ai.toolCall.output",
    "gcp.vertex.agent.tool_response",
    "gen_ai.tool.output",
    "mcp.response.value",
    "tool.result",
    "output.value",
    "traceloop.entity.output",
    "mlflow.spanOutputs",
    "langfuse.observation.output",
)
_INPUT_EVENTS = frozenset(
    ("gen_ai.user.message", "gen_ai.system.message", "gen_ai.assistant.message", "gen_ai.tool.message")
)
_OUTPUT_EVENTS = frozenset(("gen_ai.choice", "gen_ai.assistant.message"))
_OLD_EVENTS = {"gen_ai.content.prompt": "gen_ai.prompt", "gen_ai.content.completion": "gen_ai.completion"}
_NOTHING = frozenset(("", "{}", "[]", "null", "N/A"))


class _Message(NamedTuple):
    role: str
    text: str


# -- what callers ask for ---------------------------------------------------------------------


def prompt_text(attributes: Attributes, events: SpanEvents = ()) -> str | None:
    """Return what the user asked last: a long system prompt would hide what is going on.

    Returns:
        At most `LONGEST_TEXT` characters; None when the span has no content.
    """
    found = (
        _structured(attributes, _INPUT)
        or _flat(attributes, _FLAT_INPUT)
        or _told(events, _INPUT_EVENTS, "gen_ai.content.prompt", "gen_ai.input.messages")
        or _structured(attributes, ("events",))
    )
    return _last(found, _SPOKEN) or _plain(attributes, _PLAIN_INPUT, _SPOKEN)


def response_text(attributes: Attributes, events: SpanEvents = ()) -> str | None:
    """Return what was answered, or the tools that are to be called.

    Returns:
        At most `LONGEST_TEXT` characters; None when the span has no content.
    """
    found = (
        _structured(attributes, _OUTPUT)
        or _flat(attributes, _FLAT_OUTPUT)
        or _told(events, _OUTPUT_EVENTS, "gen_ai.content.completion", "gen_ai.output.messages")
        or [m for m in _structured(attributes, ("events",)) if m.role in _ANSWERED]
    )
    return _last(found, _ANSWERED) or _plain(attributes, _PLAIN_OUTPUT, _ANSWERED)


def tool_arguments(attributes: Attributes, events: SpanEvents = ()) -> dict[str, Any] | None:
    """Return what a tool was given, by name; what has no names comes under "input"."""
    value = _first(attributes, _ARGUMENTS)
    if value is None:
        value = _event_content(events, "gen_ai.tool.message")
    if value is None:
        return None
    tree = parsed(value)
    if not is_dict(tree):
        return {"input": shown(tree)}
    inner = tree.get("inputs")
    named = inner if is_dict(inner) and "input_str" in tree else tree  # as OpenLLMetry dumps a LangChain call
    return {str(key): item for key, item in named.items()}


def tool_result(attributes: Attributes, events: SpanEvents = ()) -> str | None:
    """Return what a tool gave back, as text of at most `LONGEST_TEXT` characters."""
    value = _first(attributes, _RESULT)
    if value is None:
        value = _event_content(events, "gen_ai.choice")
    if value is None:
        return None
    tree = parsed(value)
    if is_dict(tree):
        told = tree["output"] if is_dict(tree.get("output")) else tree
        message = _bare(told)
        if message is not told:
            return _content(message.get("content"), _DEPTH)[:LONGEST_TEXT]
    return shown(tree if isinstance(tree, str) else value)


# -- JSON -------------------------------------------------------------------------------------


def parsed(value: object) -> Any:
    """Return the tree of a JSON text, the value itself if it is none or too long to be parsed."""
    if not isinstance(value, str) or len(value) > LONGEST_JSON or value[:1] not in ("{", "[", '"'):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def shown(value: object) -> str:
    """Return any value as bounded text."""
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if value is None or not (is_dict(value) or is_list(value)):
        return "" if value is None else str(value)[:LONGEST_TEXT]
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:LONGEST_TEXT]
    except (TypeError, ValueError, RecursionError):
        return ""


def _first(attributes: Attributes, names: Sequence[str]) -> object:
    for name in names:
        value = attributes.get(name)
        if value is not None and not (isinstance(value, str) and value in _NOTHING):
            return value
    return None


# -- messages ---------------------------------------------------------------------------------


def _last(messages: Sequence[_Message], roles: frozenset[str]) -> str | None:
    """The last message in one of these roles, else the last there is."""
    spoken = [message for message in messages if message.text]
    wanted = [message for message in spoken if message.role in roles] or spoken
    return wanted[-1].text[:LONGEST_TEXT] if wanted else None


def _structured(attributes: Attributes, names: Sequence[str]) -> list[_Message]:
    for name in names:
        value = attributes.get(name)
        if value is not None and (found := _messages_of(value)):
            return found
    return []


def _messages_of(value: object) -> list[_Message]:
    tree = parsed(value)
    if isinstance(tree, str):
        text = _text_near_the_end(tree) if tree[:1] in ("{", "[") else ""
        return [_Message("", text)] if text else []
    return list(_walk(tree, _DEPTH))[-_MOST_MESSAGES:]


def _text_near_the_end(text: str) -> str:
    """Pick the last text out of JSON that is too long to be parsed."""
    decoder = json.JSONDecoder()
    for key in ('"content":', '"text":'):
        start = text.rfind(key)
        if start < 0:
            continue
        start += len(key)
        start += text[start] == " " if start < len(text) else 0
        try:
            value, _ = decoder.raw_decode(text[: start + 6 * LONGEST_TEXT], start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, str):
            return value
    return ""


_INSIDE = (
    "messages",
    "contents",
    "choices",
    "candidates",
    "generations",
    "message",
    "output",
    "prompt",
    "input",
)
"""Keys under which a request or a response keeps its messages."""


def _walk(tree: object, depth: int) -> Iterator[_Message]:
    """Yield the messages of a conversation, a request or a response, in order."""
    if depth == 0:
        return
    if is_list(tree):
        for item in tree[-_MOST_MESSAGES:]:
            yield from _walk(item, depth - 1)
    elif is_dict(tree):
        message = _message(_bare(tree))
        if message is not None:
            yield message
            return
        key = next((key for key in _INSIDE if tree.get(key)), None)
        if key is not None:
            yield from _walk(tree[key], depth - 1)
    elif isinstance(tree, str):
        yield _Message("", tree)


def _bare(tree: dict[str, Any]) -> dict[str, Any]:
    """A message without the wrapping in which LangChain dumps one."""
    for key in ("kwargs", "data"):
        inner = tree.get(key)
        if is_dict(inner) and ("lc" in tree or "type" in tree or "id" in tree):
            return inner
    return tree


def _message(tree: dict[str, Any]) -> _Message | None:
    """One message, or None when the mapping is none."""
    content = next((tree[key] for key in ("parts", "content", "text") if tree.get(key)), None)
    if is_dict(content) and ("parts" in content or "content" in content):
        return _message({**content, "role": content.get("role") or tree.get("role")})
    text = _content(content, _DEPTH) or _calls(tree)
    if not text and "role" not in tree:
        return None
    role = tree.get("role") or _role_of_event(tree) or tree.get("type")
    return _Message(role if isinstance(role, str) else "", text)


def _role_of_event(tree: dict[str, Any]) -> str | None:
    """The role of a message that is kept as the event ``gen_ai.user.message``."""
    parts = str(tree.get("event.name", "")).split(".")
    return parts[1] if len(parts) == 3 and parts[2] == "message" else None


def _content(value: object, depth: int) -> str:
    """The text of a message's content: a text, or parts of several kinds."""
    if isinstance(value, str):
        return value
    if depth > 0 and is_list(value):
        return "\n".join(filter(None, (_content(part, depth - 1) for part in value[:_MOST_PARTS])))
    if depth == 0 or not is_dict(value):
        return ""
    if value.get("type") in ("reasoning", "thinking"):
        return ""
    inner = value.get("text") or value.get("content") or value.get("refusal")
    return _content(inner, depth - 1) or _called(value)


def _calls(tree: dict[str, Any]) -> str:
    calls = tree.get("tool_calls")
    if is_list(calls):
        return "\n".join(filter(None, map(_called, filter(is_dict, calls[:_MOST_PARTS]))))
    return _called(tree)


def _called(part: dict[str, Any]) -> str:
    """A call of a tool that the model asks for, such as ``search({"query": "x"})``."""
    inner = next(
        (part[k] for k in ("function", "functionCall", "function_call") if is_dict(part.get(k))), part
    )
    name = inner.get("name") or inner.get("toolName")
    given = next((inner[k] for k in ("arguments", "args", "input") if inner.get(k) is not None), None)
    if not isinstance(name, str) or given is None:
        return ""
    return f"{name}({shown(given)})"


# -- flat attributes --------------------------------------------------------------------------


def _flat(attributes: Attributes, families: Sequence[tuple[str, str]]) -> list[_Message]:
    """Messages spread over attributes such as ``llm.input_messages.0.message.content``."""
    for prefix, infix in families:
        if f"{prefix}.0.{infix}role" not in attributes and f"{prefix}.0.{infix}content" not in attributes:
            continue
        found = [_flat_message(attributes, f"{prefix}.{n}.{infix}") for n in _indexes(attributes, prefix)]
        return [message for message in found if message.text]
    return []


def _indexes(attributes: Attributes, prefix: str) -> list[int]:
    dotted = prefix + "."
    numbers = {key[len(dotted) :].partition(".")[0] for key in attributes if key.startswith(dotted)}
    return sorted(int(number) for number in numbers if number.isdecimal() and len(number) < 7)[
        -_MOST_MESSAGES:
    ]


def _flat_message(attributes: Attributes, start: str) -> _Message:
    content = attributes.get(f"{start}content")
    text = _content(parsed(content) if isinstance(content, str) and content[:2] == "[{" else content, _DEPTH)
    if not text:
        text = "\n".join(_numbered(attributes, f"{start}contents.{{}}.message_content.text"))
    if not text:
        text = "\n".join(_flat_calls(attributes, start))
    return _Message(str(attributes.get(f"{start}role", "")), text)


def _numbered(attributes: Attributes, pattern: str) -> Iterator[str]:
    for number in range(_MOST_PARTS):
        value = attributes.get(pattern.format(number))
        if isinstance(value, str):
            yield value


def _flat_calls(attributes: Attributes, start: str) -> Iterator[str]:
    for number in range(_MOST_PARTS):
        for call in (f"{start}tool_calls.{number}.tool_call.function.", f"{start}tool_calls.{number}."):
            name = attributes.get(f"{call}name")
            if isinstance(name, str):
                yield f"{name}({shown(attributes.get(f'{call}arguments'))})"


# -- events and plain values ------------------------------------------------------------------


def _told(events: SpanEvents, names: frozenset[str], old: str, attribute: str) -> list[_Message]:
    """Messages that are told as events of the span."""
    found: list[_Message] = []
    for name, attributes in events:
        if name in names:
            found.append(_event_message(name, attributes))
        elif name == old:
            found.append(_Message("", shown(parsed(attributes.get(_OLD_EVENTS[old])))))
        elif attribute in attributes:
            found.extend(_messages_of(attributes[attribute]))
    return found[-_MOST_MESSAGES:]


def _event_message(name: str, attributes: Attributes) -> _Message:
    role = "assistant" if name == "gen_ai.choice" else name.split(".")[1]
    value = next((attributes[key] for key in ("content", "message") if key in attributes), None)
    tree = parsed(value)
    text = "" if tree is None else _content(tree, _DEPTH) or (_calls(tree) if is_dict(tree) else "")
    return _Message(role, text)


def _event_content(events: SpanEvents, wanted: str) -> object:
    for name, attributes in reversed(events):
        if name == wanted:
            return attributes.get("content", attributes.get("message"))
    return None


def _plain(attributes: Attributes, names: Sequence[str], roles: frozenset[str]) -> str | None:
    """A value that may be a text, a request as JSON, or anything else as JSON."""
    value = _first(attributes, names)
    if value is None:
        return None
    tree = parsed(value)
    if isinstance(tree, str) and tree is not value:
        return shown(tree) or None
    return _last(_messages_of(tree), roles) or shown(value) or None
