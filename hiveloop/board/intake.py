"""What ``POST /v1/ingest`` brought: events that may be stored, and what was wrong with the others.

Every event is judged by itself. What can be understood is taken, with a warning where it was changed: a
number written as text, a time written as a number, a summary that is too long. The rest is rejected one by
one with the reason. A whole batch is refused only when it is no batch: no JSON, no list of events, too many
of them. Nothing here raises, whatever the bytes are.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from hiveloop._shape import is_dict, is_list

from .model import EVENT_TYPES, SEVERITIES, NewEvent, Profile

__all__ = [
    "MOST_BYTES",
    "MOST_EVENTS",
    "Intake",
    "Refused",
    "inflate",
    "read_batch",
    "read_events",
]

MOST_EVENTS = 500
MOST_BYTES = 1_048_576
"""Of a request, compressed and not. Source: ingest API; "1 MB" there, the larger of its two readings here."""

_MOST_PAYLOAD = 32_768
_MOST_DEPTH = 64
"""Databases stop at some depth of their own when they look into JSON, and would fail every later reader."""
_MOST_SUMMARY = 512
_LONGEST_ID = 256
_LONGEST_WORD = 128
_SECOND = 1_000_000
_FUTURE_US = 86_400 * _SECOND
_LARGEST = 2**53
_SEVERITY_WORDS = {"warning": "warn", "critical": "error", "fatal": "error", "err": "error"}
_BY_TYPE = {
    "heartbeat": "debug",
    "task_failed": "error",
    "action_failed": "error",
    "retry_started": "warn",
    "escalated": "warn",
}
_BY_ISSUE = {"critical": "error", "high": "error", "medium": "warn"}
_PREVIEWS = (
    "prompt_preview",
    "response_preview",
    "input_preview",
    "output_preview",
    "args",
    "arguments",
    "result",
    "result_preview",
)
_FIGURES: dict[str, Callable[[float], float]] = {
    "tokens_in": round,
    "tokens_out": round,
    "duration_ms": round,
    "cost": float,
}


class Refused(NamedTuple):
    """Why a whole request is refused.

    Attributes:
        status: HTTP status.
        error: code of the error.
        message: the same for people.
    """

    status: int
    error: str
    message: str


class Intake(NamedTuple):
    """What a batch holds.

    Attributes:
        events: what may be stored.
        errors: one entry per rejected event: its id (or ""), the error's code and a message.
        warnings: one entry per change that was made to an event: its id and a message.
    """

    events: list[NewEvent]
    errors: list[dict[str, Any]]
    warnings: list[dict[str, Any]]


class _RejectedError(Exception):
    """An event cannot be taken."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


# -- bytes ------------------------------------------------------------------------------------


def inflate(body: bytes, encoding: str | None, most: int = MOST_BYTES) -> bytes | Refused:
    """Return a request's body uncompressed; never makes more than `most` bytes of it.

    Args:
        body: as it came.
        encoding: the ``Content-Encoding`` header.
        most: bytes it may have, before and after.
    """
    word = (encoding or "identity").strip().lower()
    if word == "identity":
        return body if len(body) <= most else _too_large(most)
    if word not in ("gzip", "x-gzip", "deflate"):
        return Refused(415, "unsupported_encoding", f"Content-Encoding {word[:40]!r} is not known: use gzip")
    found = _inflated(body, most)
    if found is None:
        return Refused(400, "invalid_batch", f"the body is not {word}")
    return found if len(found) <= most else _too_large(most)


def _inflated(body: bytes, most: int) -> bytes | None:
    """At most one byte more than `most`; None when it is damaged."""
    parts, size, rest = list[bytes](), 0, body
    try:
        while rest and size <= most:  # gzip files may be several, one after the other
            unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
            part = unpack.decompress(rest, most + 1 - size)
            if not unpack.eof and size + len(part) <= most:
                return None
            parts.append(part)
            size, rest = size + len(part), unpack.unused_data
    except zlib.error:
        return None
    return b"".join(parts)


def _too_large(most: int) -> Refused:
    return Refused(413, "payload_too_large", f"a request may have at most {most} bytes")


# -- JSON -------------------------------------------------------------------------------------


def _parse(body: bytes) -> object:
    """Read JSON, also what other libraries write that is not quite JSON: NaN, huge numbers, torn text.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = body.decode("utf-8-sig", "replace")
    flat = _flattened(text, _MOST_DEPTH + 8)
    return json.loads(flat, strict=False, parse_constant=_no_number, parse_int=_whole)


def _no_number(_: str) -> None:
    return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 300 else math.inf


_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""Texts and brackets. A text without an end goes to the end of the input: looking for one at every later
quote would take quadratic time.
"""


def _flattened(text: str, most: int) -> str:
    """Replace what is nested deeper than `most` by null."""
    parts, depth, kept, cut = list[str](), 0, 0, -1
    for mark in _MARKS.finditer(text):
        sign = mark[0]
        if sign in "[{":
            depth += 1
            if depth == most + 1:
                cut = mark.start()
        elif sign in "]}":
            depth -= 1
            if depth == most and cut >= 0:
                parts += [text[kept:cut], "null"]
                kept, cut = mark.end(), -1
    return "".join([*parts, text[kept:]]) if parts else text


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _is_deep(text: str) -> bool:
    if text.count("{") + text.count("[") <= _MOST_DEPTH:
        return False
    return _flattened(text, _MOST_DEPTH) != text


def _tidy(value: Any) -> Any:
    """Replace what neither JSON nor databases can hold: lone surrogates, NUL, numbers without end."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dict(value):
        return {_tidy(key): _tidy(item) for key, item in value.items()}
    if is_list(value):
        return [_tidy(item) for item in value]
    return value


# -- the batch --------------------------------------------------------------------------------


def read_batch(body: bytes, received_us: int, previews: bool = True) -> Intake | Refused:
    """Read the uncompressed body of a request.

    Args:
        body: JSON of ``{"envelope": {...}, "events": [...]}``.
        received_us: the time now, in microseconds since the epoch.
        previews: whether to keep what was said to and by models and tools.
    """
    try:
        batch = _parse(body)
    except (ValueError, RecursionError):
        return Refused(400, "invalid_batch", "the body is not JSON")
    events = batch.get("events") if is_dict(batch) else None
    if not is_dict(batch) or not is_list(events):
        return Refused(400, "invalid_batch", 'the body must be {"envelope": {...}, "events": [...]}')
    if len(events) > MOST_EVENTS:
        message = f"a batch may have at most {MOST_EVENTS} events, this one has {len(events)}"
        return Refused(400, "validation_error", message)
    given = batch.get("envelope")
    fields: dict[str, Any] = _tidy(given) if is_dict(given) else {}
    return _Batch(fields, received_us, _is_dirty(body), previews).read(events)


_DIRT = re.compile(
    rb"""
    \\u0000
    | \\\\u[dD]                                     # an escaped backslash: what follows may be no escape
    | \\u[dD][89abAB]..(?!\\u[dD][c-fC-F])         # a first half without its second
    | (?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]        # a second half without its first
    """,
    re.VERBOSE | re.DOTALL,
)


def _is_dirty(body: bytes) -> bool:
    """Tell whether texts may hold NUL or half a character, which only escapes bring; now and then too often.

    Many senders escape all that is not ASCII, and looking through every value for that takes longer than
    all the rest of reading.
    """
    return b"\x00" in body or (b"\\u" in body and _DIRT.search(body) is not None)


def read_events(
    envelope: Mapping[str, Any], events: Iterable[Any], received_us: int, previews: bool = True
) -> Intake:
    """Check events that did not come as JSON text; the rest is as in `read_batch`."""
    return _Batch(_tidy(dict(envelope)), received_us, True, previews).read(events)


class _Batch:
    """Reads the events of one batch, which share an envelope."""

    def __init__(self, envelope: Mapping[str, Any], received_us: int, dirty: bool, previews: bool) -> None:
        self._received_us = received_us
        self._previews = previews
        self._dirty = dirty
        self._intake = Intake([], [], [])
        self._envelope = envelope
        self._profile = Profile(
            agent_version=_word(envelope.get("agent_version")),
            framework=_word(envelope.get("framework")),
            runtime=_word(envelope.get("runtime")),
            sdk_version=_word(envelope.get("sdk_version")),
        )
        self._environment = self._place("environment", "production", 64)
        self._group = self._place("group", "default", _LONGEST_WORD)

    def _place(self, name: str, default: str, limit: int) -> str:
        text = _text(self._envelope.get(name)) or default
        if len(text) > limit:
            self._warn("", f"{name} was cut to {limit} characters")
        return text[:limit]

    def read(self, events: Iterable[Any]) -> Intake:
        for index, given in enumerate(events):
            fields: dict[str, Any] = given if is_dict(given) else {}
            if self._dirty:
                fields = _tidy(fields)
            try:
                if not is_dict(given):
                    raise _RejectedError("validation_error", "an event must be an object")
                self._intake.events.append(self._event(fields))
            except _RejectedError as problem:
                self._intake.errors.append(
                    {
                        "event_id": (_text(fields.get("event_id")) or "")[:_LONGEST_ID],
                        "error": problem.error,
                        "message": problem.message,
                        "index": index,
                    }
                )
        return self._intake

    def _warn(self, event_id: str, message: str) -> None:
        self._intake.warnings.append({"event_id": event_id, "warning": message})

    # -- one event ----------------------------------------------------------------------------

    def _event(self, given: dict[str, Any]) -> NewEvent:
        event_id = _required(given, "event_id")
        event_type = _required(given, "event_type")
        if event_type not in EVENT_TYPES:
            raise _RejectedError(
                "invalid_event_type", f"event_type {event_type[:80]!r} is none of the 13 types"
            )
        notes = list[str]()
        payload, kind, text = _payload(given.get("payload"), notes, self._previews)
        event = NewEvent(
            event_id=event_id,
            ts_us=self._time(given, notes),
            received_us=self._received_us,
            agent_id=self._agent(given),
            event_type=event_type,
            agent_type=_word(given.get("agent_type")) or _word(self._envelope.get("agent_type")) or "general",
            severity=_severity(given.get("severity"), event_type, kind, payload, notes),
            environment=self._environment,
            group=self._group,
            project=(_id(given, "project_id") or "")[:_LONGEST_WORD],
            task_id=_id(given, "task_id") or "",
            run_id=_id(given, "task_run_id") or "",
            task_type=_word(given.get("task_type")) or "",
            correlation_id=_id(given, "correlation_id"),
            action_id=_id(given, "action_id"),
            parent_action_id=_id(given, "parent_action_id"),
            parent_event_id=_id(given, "parent_event_id"),
            status=_word(given.get("status")),
            duration_ms=_duration(given.get("duration_ms"), notes),
            kind=kind,
            payload=text,
            profile=self._profile,
        )
        for note in notes:
            self._warn(event_id, note)
        return event

    def _agent(self, given: dict[str, Any]) -> str:
        name = _id(given, "agent_id") or _id(self._envelope, "agent_id")
        if name is None:
            raise _RejectedError("missing_field", "agent_id is missing in the envelope")
        return name

    def _time(self, given: dict[str, Any], notes: list[str]) -> int:
        stamp = given.get("timestamp")
        if stamp is None or stamp == "":
            raise _RejectedError("missing_field", "timestamp is missing")
        found = _moment(stamp)
        if found is None:
            raise _RejectedError("invalid_timestamp", f"timestamp {str(stamp)[:60]!r} is not ISO 8601")
        if found > self._received_us + _FUTURE_US:
            # It would be the newest event for ever.
            notes.append("timestamp is more than a day ahead; the time of arrival was taken")
            return self._received_us
        return found


# -- fields -----------------------------------------------------------------------------------


def _text(value: object) -> str | None:
    """A text, or a number as text; None for anything else and for an empty one."""
    if value is None:  # the most frequent
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value) if isinstance(value, float) or abs(value) < _LARGEST**2 else None
    return None


def _word(value: object) -> str | None:
    found = _text(value)
    return None if found is None else found[:_LONGEST_WORD]


def _required(given: Mapping[str, Any], name: str) -> str:
    found = _id(given, name)
    if found is None:
        raise _RejectedError("missing_field", f"{name} is missing")
    return found


def _id(given: Mapping[str, Any], name: str) -> str | None:
    """An id, never cut: two long ones could become the same."""
    found = _text(given.get(name))
    if found is not None and len(found) > _LONGEST_ID:
        raise _RejectedError("field_too_long", f"{name} may have at most {_LONGEST_ID} characters")
    return found


def _moment(stamp: object) -> int | None:
    """Microseconds since the epoch of an ISO 8601 text; numbers are seconds, or milliseconds when large."""
    if isinstance(stamp, str):
        try:
            moment = datetime.fromisoformat(stamp)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            found = round(moment.timestamp() * _SECOND)
        except (ValueError, OverflowError):
            return None
        return found if found >= 0 else None
    number = _number(stamp)
    if number is None:
        return None
    found = round((number / 1_000 if number >= 1e11 else number) * _SECOND)
    return found if 0 <= found < 253_402_300_800 * _SECOND else None


def _number(value: object) -> float | None:
    """A finite number, at least 0 and not beyond what a double counts exactly; digits as text count."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= _LARGEST else None


def _duration(value: object, notes: list[str]) -> int | None:
    if value is None:
        return None
    number = _number(value)
    if number is None:
        notes.append("duration_ms is not a number of milliseconds and was left out")
        return None
    return round(number)


def _severity(
    value: object, event_type: str, kind: str | None, payload: dict[str, Any], notes: list[str]
) -> str:
    if value is not None:
        word = str(value).strip().lower()[:_LONGEST_WORD]
        word = _SEVERITY_WORDS.get(word, word)
        if word in SEVERITIES:
            return word
        notes.append("severity is none of debug, info, warn, error; the usual one was taken")
    return _BY_TYPE.get(event_type) or _severity_of_kind(kind, payload)


def _severity_of_kind(kind: str | None, payload: dict[str, Any]) -> str:
    """Source: sensor reference, severity by kind."""
    held = payload.get("data")
    data: dict[str, Any] = held if is_dict(held) else {}
    if kind == "queue_snapshot":
        return "debug"
    if kind == "issue":
        return _BY_ISSUE.get(str(data.get("severity")), "info")
    if kind in ("todo", "plan_step") and data.get("action") == "failed":
        return "warn" if kind == "todo" else "error"
    return "info"


# -- payload ----------------------------------------------------------------------------------


def _payload(given: object, notes: list[str], previews: bool) -> tuple[dict[str, Any], str | None, str]:
    """Return the payload, its kind, and it as JSON text."""
    if given is None:
        return {}, None, "{}"
    payload: dict[str, Any] = given if is_dict(given) else {"value": given}
    if payload is not given:
        notes.append("payload is not an object; it was put into one, as value")
    kind = _kind(payload, notes)
    _cut_summary(payload, notes)
    if kind == "llm_call":
        data = payload.get("data")
        _count(data if is_dict(data) else payload, notes)
    if not previews:
        _drop_previews(payload)
    text = _encoded(payload)
    if len(text) > _MOST_PAYLOAD // 4 and len(text.encode()) > _MOST_PAYLOAD:
        raise _RejectedError("payload_too_large", f"payload may have at most {_MOST_PAYLOAD} bytes")
    if _is_deep(text):
        text = _flattened(text, _MOST_DEPTH)
        notes.append(f"payload is nested deeper than {_MOST_DEPTH} levels; what is below was left out")
    return payload, kind, text


def _encoded(payload: dict[str, Any]) -> str:
    try:
        return _as_json(payload)
    except (ValueError, OverflowError, TypeError):
        return _as_json(_tidy(payload))


def _drop_previews(payload: dict[str, Any]) -> None:
    data = payload.get("data")
    for held in (payload, data if is_dict(data) else {}):
        for name in _PREVIEWS:
            held.pop(name, None)


def _kind(payload: dict[str, Any], notes: list[str]) -> str | None:
    given = payload.get("kind")
    kind = _word(given)
    if given is not None and kind != given:
        notes.append("payload.kind is not a text of at most 128 characters")
        payload["kind"] = kind
    return kind


def _cut_summary(payload: dict[str, Any], notes: list[str]) -> None:
    summary = payload.get("summary")
    if isinstance(summary, str) and len(summary) > _MOST_SUMMARY:
        payload["summary"] = summary[: _MOST_SUMMARY - 1] + "…"
        notes.append(f"summary was cut to {_MOST_SUMMARY} characters")


def _count(data: dict[str, Any], notes: list[str]) -> None:
    """Make the figures of a model's call numbers, and leave out what is none."""
    for name, convert in _FIGURES.items():
        value = data.get(name)
        if value is None:
            continue
        number = _number(value)
        if number is None:
            notes.append(f"{name} of the llm_call is not a number, 0 or more, and was left out")
            data[name] = None
        elif not isinstance(value, int):
            data[name] = convert(number)
