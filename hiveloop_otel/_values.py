"""Attribute values and names that every supported SDK and every backend accepts.

Versions of the SDK differ in what they do with None, mappings, numbers beyond 64 bits and lone surrogates;
one bad span name fails a whole batch. So all that comes from users is made plain here. Nothing in this
module raises, whatever it is given, and no code of users runs.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from hiveloop._freeze import freeze, freeze_text, thaw
from hiveloop._guard import notice
from hiveloop._shape import LARGEST, SMALLEST, is_dict, is_list

__all__ = [
    "CONTENT_KEYS",
    "MOST_FLATTENED",
    "VALUE_LENGTH",
    "Attributes",
    "Limits",
    "Rules",
    "Value",
    "as_json",
    "clean_attributes",
    "clean_key",
    "clean_name",
    "clean_text",
    "clean_value",
    "flattened",
    "mapped",
    "to_content",
    "to_flag",
    "to_json",
    "to_real",
    "to_text",
    "to_texts",
    "to_whole",
    "without_content",
]

Value = str | bool | int | float | tuple[str, ...] | tuple[bool, ...] | tuple[int, ...] | tuple[float, ...]
"""Value of an attribute."""
Attributes = dict[str, Value]

VALUE_LENGTH = 8192
"""Longest text of a value, in characters."""
MOST_FLATTENED = 64
"""Attributes that one payload may become."""
_MOST_ITEMS = 1000
_LONGEST_KEY = 160
_SCALARS = frozenset((str, int, float, bool, type(None)))
_MOST_BITS = 512
_CUT = "…"
_NO_NAME = "unnamed"

_UNFIT_FOR_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_UNFIT_FOR_KEYS = re.compile(r"[^a-z0-9_.]")
Default = TypeVar("Default", int, None, int | None)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


# -- values -----------------------------------------------------------------------------------


def clean_value(value: object, limit: int = VALUE_LENGTH) -> Value | None:
    """Return a value that can be exported, or None when nothing is left of it.

    None and numbers that are not finite become None, whole numbers beyond 64 bits text, a list of values of
    one scalar type a tuple, and everything else with a structure compact JSON. Numeric text stays text.

    Args:
        value: any object.
        limit: longest text, in characters.
    """
    if type(value) is str:
        return clean_text(value, limit)
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return value if SMALLEST <= value <= LARGEST else _giant(value)
    if type(value) is float:
        return value if math.isfinite(value) else None
    return _clean_structure(value, limit)


def _clean_structure(value: object, limit: int) -> Value | None:
    if type(value) is bytes:
        return clean_text(value[: limit * 4].decode("utf-8", "replace"), limit)
    tree: Any = thaw(freeze(value))
    if is_list(tree):
        return _clean_items(tree, limit)
    if is_dict(tree):
        return _json(tree, limit)
    return clean_value(tree, limit)


def _clean_items(items: list[Any], limit: int) -> Value:
    kinds = set(map(type, items))
    if kinds <= {str}:
        return tuple(clean_text(item, limit) for item in items[:_MOST_ITEMS])
    if (
        kinds == {bool}
        or (kinds == {int} and all(SMALLEST <= item <= LARGEST for item in items))
        or (kinds == {float} and all(map(math.isfinite, items)))
    ):
        return tuple(items[:_MOST_ITEMS])
    return _json(items, limit)


def _giant(value: int) -> str:
    """Text of a number that needs more than 64 bits; that of a very long one takes quadratic time."""
    return str(value) if value.bit_length() <= _MOST_BITS else f"<int, {value.bit_length()} bits>"


def clean_text(text: str, limit: int = VALUE_LENGTH) -> str:
    """Return a text of at most `limit` characters that can be encoded as UTF-8."""
    if len(text) > limit:
        text = text[:limit]
    return text if text.isascii() else _encodable(text)


def _encodable(text: str) -> str:
    """Replace lone surrogates, with which no batch could be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


# -- JSON -------------------------------------------------------------------------------------


def as_json(value: object, limit: int = VALUE_LENGTH) -> str:
    """Return compact JSON text of any object, always valid; what would exceed `limit` is left out."""
    return _json(thaw(freeze(value)), limit)


def _json(tree: Any, limit: int) -> str:
    try:
        text = _encode(tree)
    except (TypeError, ValueError):  # a key that is no text; a number that JSON has no word for
        tree = _plain(tree)
        text = _encode(tree)
    if len(text) > limit:
        text = _fitted(tree, limit) or "null"
    return text if text.isascii() else _encodable(text)


def _plain(tree: Any) -> Any:
    if is_dict(tree):
        return {freeze_text(key): _plain(item) for key, item in tree.items()}
    if is_list(tree):
        return [_plain(item) for item in tree]
    if type(tree) is float and not math.isfinite(tree):
        return None
    return _giant(tree) if type(tree) is int and tree.bit_length() > _MOST_BITS else tree


def _fitted(tree: Any, room: int) -> str | None:
    """JSON text of at most `room` characters, without what comes last; None when nothing fits."""
    if is_dict(tree):
        return _fitted_members("{}", ((f"{_encode(key)}:", item) for key, item in tree.items()), room)
    if is_list(tree):
        return _fitted_members("[]", (("", item) for item in tree), room)
    text = _encode(tree)
    if len(text) <= room:
        return text
    return _fitted_text(tree, room) if type(tree) is str else None


def _fitted_members(brackets: str, members: Iterable[tuple[str, Any]], room: int) -> str | None:
    room -= len(brackets)
    if room < 0:
        return None
    pieces: list[str] = []
    for head, item in members:
        piece = _fitted(item, room - len(head))
        if piece is None:
            break
        pieces.append(head + piece)
        room -= len(head) + len(piece) + 1  # and a comma
    return brackets[0] + ",".join(pieces) + brackets[1]


def _fitted_text(text: str, room: int) -> str | None:
    keep = room - len(_encode(_CUT))
    while keep >= 0:
        shown = _encode(text[:keep] + _CUT)
        if len(shown) <= room:
            return shown
        keep = min(keep - 1, keep * room // len(shown))  # escapes take more than one character
    return None


# -- names and keys ---------------------------------------------------------------------------


def clean_name(text: str, limit: int = 255) -> str:
    """Return the name of a span or an event: not empty, without control characters and lone surrogates."""
    # Cut first: the memo must not keep megabytes.
    return _clean_name(text[: limit * 2], limit)


@lru_cache(maxsize=1024)
def _clean_name(text: str, limit: int) -> str:
    return _encodable(_UNFIT_FOR_NAMES.sub(" ", text).strip()[:limit]) or _NO_NAME


def clean_key(text: str) -> str:
    """Return text as a part of an attribute's or a metric's name: lower case, digits, ``_`` and ``.``."""
    return _clean_key(text[:_LONGEST_KEY])


@lru_cache(maxsize=4096)
def _clean_key(text: str) -> str:
    # An empty part, as in "a..b", is no name in many stores.
    return ".".join(part or "_" for part in _UNFIT_FOR_KEYS.sub("_", text.lower()).split("."))


# -- members of payloads ----------------------------------------------------------------------

CONTENT_KEYS = frozenset(
    (
        "args",
        "result",
        "result_preview",
        "response_body",
        "prompt_preview",
        "response_preview",
        "key_or_query",
    )
)
"""Members of payloads, at any depth, that hold what models, tools and stores were given and returned."""


def without_content(value: Any) -> Any:
    """Return a value of a payload without the content in it."""
    if is_dict(value):
        return {key: without_content(item) for key, item in value.items() if key not in CONTENT_KEYS}
    return [without_content(item) for item in value] if is_list(value) else value


# Readers return None for a value that an attribute of their type cannot be made of. Numeric text is none.


def to_whole(value: object) -> int | None:
    """Return a whole number of at most 64 bits, rounding what is not one."""
    if type(value) is float and math.isfinite(value):
        value = round(value)
    return value if type(value) is int and SMALLEST <= value <= LARGEST else None


def to_real(value: object) -> float | None:
    """Return a finite number as a float."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    return float(value) if type(value) is int and SMALLEST <= value <= LARGEST else None


def to_flag(value: object) -> bool | None:
    """Return a truth value."""
    return value if type(value) is bool else None


def to_text(value: object) -> str | None:
    """Return text that is not empty; JSON of anything else, without the content in it."""
    if type(value) is str:
        return clean_text(value) or None
    return None if value is None else as_json(without_content(value))


def to_content(value: object) -> str | None:
    """Return text that is not empty; JSON of anything else. For content that may leave."""
    return None if value is None else to_text(value if type(value) is str else as_json(value))


def to_texts(value: object) -> tuple[str, ...] | None:
    """Return a list as texts."""
    if not is_list(value):
        return None
    return tuple(text for item in value[:_MOST_ITEMS] if (text := to_text(item)) is not None)


def to_json(value: object) -> str | None:
    """Return JSON of a mapping or a list."""
    return as_json(value) if is_dict(value) or is_list(value) else None


Rules = Mapping[str, tuple[str, Callable[[object], Value | None]] | None]
"""What becomes of the members of a payload: the attribute and its reader; None for a member to leave out."""


def mapped(rules: Rules, prefix: str, data: Mapping[str, Any], *, capture_content: bool) -> Attributes:
    """Return the members of a payload as attributes; those without a rule, as ``prefix.key``, come first.

    A member that its reader cannot read is treated as one without a rule, so nothing is lost to a wrong type.

    Args:
        rules: what is known about the members.
        prefix: what the names of the other attributes start with, without the dot.
        data: the payload.
        capture_content: export `CONTENT_KEYS`, too.
    """
    known: Attributes = {}
    other: Attributes = {}
    for key, value in data.items():
        if not capture_content and key in CONTENT_KEYS:
            continue
        member = value if capture_content or type(value) in _SCALARS else without_content(value)
        if key in rules:
            if (rule := rules[key]) is None:
                continue
            name, read = rule
            if (clean := read(member)) is not None:
                known[name] = clean
                continue
        if len(other) < MOST_FLATTENED and (clean := clean_value(member)) is not None:
            other[f"{prefix}.{clean_key(key)}"] = clean
    other.update(known)
    return other


# -- attributes -------------------------------------------------------------------------------


def flattened(prefix: str, data: Mapping[str, object], most: int = MOST_FLATTENED) -> Attributes:
    """Return the members of a payload as attributes ``prefix.key``; those with members of their own as JSON.

    Args:
        prefix: what the names of the attributes start with, without the dot.
        data: the payload.
        most: attributes returned at most; later ones are left out.
    """
    attributes: Attributes = {}
    for key, value in data.items():
        clean = clean_value(value)
        if clean is None:
            continue
        if len(attributes) >= most:
            break
        attributes[f"{prefix}.{clean_key(key)}"] = clean
    return attributes


def clean_attributes(attributes: Mapping[str, object], limit: int = VALUE_LENGTH) -> Attributes:
    """Return what others set as attributes with values that can be exported; their names are kept."""
    cleaned: Attributes = {}
    for key, value in attributes.items():
        clean = clean_value(value, limit)
        if clean is not None and (name := clean_text(freeze_text(key))):
            cleaned[name] = clean
    return cleaned


# -- limits -----------------------------------------------------------------------------------


class Limits(NamedTuple):
    """How much one span may carry.

    Attributes:
        span_attributes: attributes of a span.
        events: events of a span. The SDK's default of 128 would lose the calls of a busy agent.
        event_attributes: attributes of an event.
        links: links of a span.
        value_length: longest text of a value in characters; None for `VALUE_LENGTH`.
    """

    span_attributes: int = 128
    events: int = 1024
    event_attributes: int = 128
    links: int = 128
    value_length: int | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Limits:
        """Read the limits that OpenTelemetry's SDK reads as well.

        A value that is no number counts as not set, with a notice; "none" stands for no limit.
        Source: OpenTelemetry specification, environment variables, span limits.
        """
        every = _limit(environ, "OTEL_ATTRIBUTE_COUNT_LIMIT", 128)
        length = _limit(environ, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", None)
        return cls(
            span_attributes=_limit(environ, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", every),
            events=_limit(environ, "OTEL_SPAN_EVENT_COUNT_LIMIT", 1024),
            event_attributes=_limit(environ, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", every),
            links=_limit(environ, "OTEL_SPAN_LINK_COUNT_LIMIT", 128),
            value_length=_limit(environ, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        )


def _limit(environ: Mapping[str, str], name: str, default: Default) -> int | Default:
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text == "none":
        return sys.maxsize
    if text.isascii() and text.isdigit() and len(text) < 19:  # longer ones may not fit into 64 bits
        return int(text)
    notice(name, "hiveloop: %s=%s is not a whole number of 0 or more; ignored", name, text)
    return default
