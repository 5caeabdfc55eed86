"""What an event says, read once from its payload: names, numbers, and what its row keeps of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from hiveloop._shape import is_dict
from hiveloop.board.model import NewEvent

__all__ = ["Facts", "Llm", "Pricer", "compact", "lasted", "micros", "number", "read", "real", "words"]

Pricer = Callable[[str, int, int, int], tuple[int, str] | None]
"""Estimates a call from model, input tokens, output tokens and time in µs: nano-dollars and the model of the
price behind it; None when no price fits."""

_LONGEST_NAME = 200
_LARGEST = 2**53
_MOST_NANO = 10**12
"""A thousand dollars for one call is a mistake, and sums must fit 64 bits; so for tokens and durations."""
_MOST_TOKENS = 10**10
_MOST_MS = 10**11
_LABELS = {"anomaly": "detector", "error_context": "error_type", "runtime": "event", "memory_op": "operation"}

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Llm(msgspec.Struct, frozen=True, gc=False):
    """An ``llm_call`` in numbers."""

    name: str
    model: str
    tokens_in: int
    tokens_out: int
    cost_nano: int | None
    est_nano: int | None
    price_match: str | None
    duration_ms: int | None
    metadata: dict[str, Any]


class Facts(msgspec.Struct, frozen=True, gc=False):
    """An event with its payload parsed."""

    event: NewEvent
    body: dict[str, Any]
    """The payload."""
    data: dict[str, Any]
    """Its ``data``, empty when it has none."""
    label: str | None
    """What a list shows beside the type."""
    llm: Llm | None = None

    def get(self, name: str) -> Any:
        """Look in ``data``, then in the payload itself: senders use both."""
        value = self.data.get(name)
        return self.body.get(name) if value is None else value

    def words(self, name: str, limit: int = 512) -> str | None:
        """Return a member as text, None when there is none."""
        return words(self.get(name), limit)


def read(event: NewEvent, price: Pricer) -> Facts:
    """Parse an event's payload; nothing in it can make this fail."""
    body = _object(event.payload)
    found = body.get("data")
    data: dict[str, Any] = found if is_dict(found) else {}
    kind = event.kind
    if kind is None or event.event_type != "custom":
        return Facts(event, body, data, words(body.get("action_name") or data.get("action_name")))
    if kind == "llm_call":
        llm = _llm(event, body, data, price)
        return Facts(event, body, data, llm.name, llm)
    label = data.get(_LABELS[kind]) if kind in _LABELS else None
    return Facts(event, body, data, words(label))


def _object(text: str) -> dict[str, Any]:
    if text == "{}":
        return {}
    try:
        value: object = _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
    return value if is_dict(value) else {}


def _llm(event: NewEvent, body: dict[str, Any], data: dict[str, Any], price: Pricer) -> Llm:
    get = (data or body).get
    model = words(get("model")) or ""
    tokens_in = min(number(get("tokens_in")) or 0, _MOST_TOKENS)
    tokens_out = min(number(get("tokens_out")) or 0, _MOST_TOKENS)
    cost = _nano(get("cost"))
    found = None if cost else price(model, tokens_in, tokens_out, event.ts_us)
    duration = number(get("duration_ms"))
    metadata = get("metadata")
    return Llm(
        name=words(get("name")) or "",
        model=model,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost_nano=cost or None,
        est_nano=None if found is None else min(found[0], _MOST_NANO),
        price_match=None if found is None else found[1],
        duration_ms=lasted(event.duration_ms if duration is None else duration),
        metadata=metadata if is_dict(metadata) else {},
    )


def real(value: Any) -> float | None:
    """Return a number of at least 0 from one or from its text, else None."""
    if type(value) is str:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return cast("float", value) if 0 <= value <= _LARGEST else None
    return None


def number(value: Any) -> int | None:
    """Return a whole number of at least 0 from a number or its text, else None."""
    if type(value) is int:
        return value if 0 <= value <= _LARGEST else None
    found = real(value)
    return None if found is None else round(found)


def lasted(duration_ms: int | None) -> int | None:
    """Return a duration that may be summed, None when it is none."""
    return None if duration_ms is None or duration_ms < 0 else min(duration_ms, _MOST_MS)


def _nano(value: Any) -> int:
    found = real(value)
    return 0 if found is None else min(round(found * 1e9), _MOST_NANO)


def words(value: Any, limit: int = _LONGEST_NAME) -> str | None:
    """Return a value as text of at most `limit` characters; None stays None."""
    if value is None:
        return None
    text: str = value if type(value) is str else compact(value)
    if "\0" in text:  # PostgreSQL has no such text
        text = text.replace("\0", "")
    return text[:limit]


def compact(value: Any) -> str:
    """Return a JSON value as JSON text."""
    return _encode(value).decode()


def micros(value: Any) -> int | None:
    """Return an ISO 8601 time as microseconds since the epoch; None for anything else."""
    if type(value) is not str or not 10 <= len(value) <= 40:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    try:
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, OSError, ValueError):
        return None
    return round(seconds * 1_000_000) if 0 <= seconds < _LARGEST / 1_000_000 else None
