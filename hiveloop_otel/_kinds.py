"""What a span is about, by its name, its attributes and the instrumentation that made it."""

from __future__ import annotations

from . import _dialects as table
from ._dialects import Kind
from ._lookup import text_of
from ._messages import Attributes

__all__ = ["OWN_SCOPE", "is_about_ai", "kind_of_span"]

OWN_SCOPE = "hiveloop"
"""Name of the instrumentation scope of hiveloop's own spans."""


def kind_of_span(name: str, attributes: Attributes, scope_name: str = "", *, span_kind: str = "") -> Kind:
    """Tell what a span is about, by what is known of it so far; attributes may still come.

    Args:
        name: of the span.
        attributes: of the span.
        scope_name: of the instrumentation that made it; `is_about_ai` tells more.
        span_kind: OpenTelemetry's kind in any case, such as "CLIENT".
    """
    if scope_name == OWN_SCOPE:
        return _own_kind(attributes)
    if table.SIGNS.isdisjoint(attributes):  # the usual case: spans about anything else
        return _kind_by_name(name, scope_name) or "other"
    for key in table.KIND_NAMES:
        value = attributes.get(key)
        if value is not None:
            found = _declared_kind(key, value)
            if found is not None:
                return found
    return _guessed_kind(name, attributes, scope_name, span_kind)


def is_about_ai(scope_name: str) -> bool:
    """Tell whether all spans of an instrumentation are about AI, though it says what only at their end."""
    return scope_name.startswith(table.AI_SCOPES)


def _own_kind(attributes: Attributes) -> Kind:
    if attributes.get(table.PENDING[0]) == table.PENDING[1]:
        return "other"
    if "hiveloop.llm.call.name" in attributes:
        return "llm"
    if "hiveloop.action.id" in attributes and "hiveloop.event.id" not in attributes:
        return "tool" if attributes.get("gen_ai.operation.name") == "execute_tool" else "step"
    return "agent" if attributes.get("gen_ai.operation.name") == "invoke_agent" else "other"


def _declared_kind(key: str, value: object) -> Kind | None:
    word = str(value).strip('"').lower()
    kind = table.KINDS.get(word)
    if kind is not None or word in table.SAYS_NOTHING:
        return kind
    if key == "ai.operationId":
        return "embedding" if ".doembed" in word else "llm" if ".do" in word else "step"
    if key == "gen_ai.operation.name":
        return "llm" if word.startswith(("chat", "text_", "generate_")) else "step"
    return None


def _guessed_kind(name: str, attributes: Attributes, scope_name: str, span_kind: str) -> Kind:
    by_name = _kind_by_name(name, scope_name)
    if by_name is not None:
        return by_name
    if any(key in attributes for key in table.TOOL_NAME):
        return "tool"
    if attributes.get("mcp.method.name") == "tools/call":
        return "tool"
    if text_of(attributes, table.MODEL) is not None and _speaks_of_a_model(attributes, span_kind):
        return "embedding" if "embed" in name.lower() else "llm"
    store = attributes.get("db.system", attributes.get("db.system.name"))
    return "retrieval" if isinstance(store, str) and store.lower() in table.VECTOR_STORES else "other"


def _kind_by_name(name: str, scope_name: str) -> Kind | None:
    if scope_name == table.ADK_SCOPE and name.startswith(table.ADK_MODEL_CALLS):
        return "llm"
    match = table.SPAN_NAMES.match(name)
    if match is None:
        return None
    if match["agent"]:
        return "agent"
    return "step" if match["step"] else table.KINDS.get(match["kind"] or "tool")


def _speaks_of_a_model(attributes: Attributes, span_kind: str) -> bool:
    if span_kind.lower() in ("server", "consumer", "producer"):
        return False
    return any(key in attributes for key in table.SIGNS_OF_A_CALL)
