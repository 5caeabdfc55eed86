"""OTLP requests with spans, read without a library: protobuf and JSON.

Only what the board uses of a span is read. The protobuf reader knows the few messages of the trace service;
what it does not know it skips, as the format asks. Source: OpenTelemetry protocol 1.x, the trace service.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from hiveloop._shape import is_dict, is_list

from .intake import Refused

__all__ = ["MOST_TRACE_BYTES", "Export", "SpanData", "SpanEvent", "read_export"]

MOST_TRACE_BYTES = 8 * 1_048_576
_DEEPEST = 16
_MOST_SPANS = 20_000
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_ERROR = 2
_REMOTE = 0x200
"""Of a span's flags. Source: ``SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK``."""
Attributes = dict[str, Any]


class SpanEvent(NamedTuple):
    """Something that happened in a span."""

    time_ns: int
    name: str
    attributes: Attributes


class SpanData(NamedTuple):
    """A span that has ended; ids in lower-case hexadecimal, "" for no parent."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    failed: bool
    status_message: str | None
    scope_name: str
    resource: Attributes
    is_remote: bool = False
    """Whether the span says that its parent is in another process."""


class Export(NamedTuple):
    """One request.

    Attributes:
        spans: those that could be read.
        rejected: how many could not.
        is_json: how to answer.
    """

    spans: list[SpanData]
    rejected: int
    is_json: bool

    def answer(self) -> tuple[bytes, str]:
        """Return the body of the answer and its type."""
        told = f"{self.rejected} spans have no ids or no times, or too large a trace" if self.rejected else ""
        if self.is_json:
            partial = {"rejectedSpans": str(self.rejected), "errorMessage": told}
            content: dict[str, Any] = {"partialSuccess": partial} if told else {}
            return msgspec.json.encode(content), "application/json"
        if not told:
            return b"", "application/x-protobuf"
        message = told.encode()
        partial_success = b"\x08" + _varint(self.rejected) + b"\x12" + _varint(len(message)) + message
        return b"\x0a" + _varint(len(partial_success)) + partial_success, "application/x-protobuf"


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def read_export(body: bytes, is_json: bool) -> Export | Refused:
    """Read the uncompressed body of a request."""
    try:
        raw = list(_json_spans(body) if is_json else _proto_spans(memoryview(body)))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        return Refused(400, "invalid_batch", f"the body is no OTLP trace request: {error}"[:300])
    if len(raw) > _MOST_SPANS:
        return Refused(413, "payload_too_large", f"a request may have at most {_MOST_SPANS} spans")
    spans = [span for span in raw if _is_whole(span)]
    return Export(spans, len(raw) - len(spans), is_json)


def _is_whole(span: SpanData) -> bool:
    ids = len(span.trace_id) == 32 and len(span.span_id) == 16
    return ids and 0 < span.start_ns <= span.end_ns < 2**62


# -- protobuf ---------------------------------------------------------------------------------

_Field = tuple[int, Any]


def _fields(view: memoryview) -> Iterator[_Field]:
    """Yield number and value of each field: an int, or a view of the bytes.

    Raises:
        ValueError: the bytes are no message.
    """
    at, end = 0, len(view)
    while at < end:
        tag, at = _read_varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _read_varint(view, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _read_varint(view, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("unknown wire type")
        if number == 0 or at + size > end:
            raise ValueError("it ends too early")
        yield number, view[at : at + size]
        at += size


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(view) and shift < 70:
        byte = view[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
    raise ValueError("a number does not end")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value


def _str(value: Any) -> str:
    return bytes(_bytes(value)).decode("utf-8", "replace")


def _fixed(value: Any) -> int:
    view = _bytes(value)
    return int.from_bytes(view, "little") if len(view) == 8 else 0


def _proto_spans(view: memoryview) -> Iterator[SpanData]:
    for number, value in _fields(view):
        if number == 1:
            yield from _proto_resource(_bytes(value))


def _proto_resource(view: memoryview) -> Iterator[SpanData]:
    fields = list(_fields(view))
    resource: Attributes = {}
    for number, value in fields:
        if number == 1:
            resource.update(_proto_attributes(_bytes(value), 1))
    for number, value in fields:
        if number == 2:
            yield from _proto_scope(_bytes(value), resource)


def _proto_scope(view: memoryview, resource: Attributes) -> Iterator[SpanData]:
    fields = list(_fields(view))
    name = ""
    for number, value in fields:
        if number == 1:
            name = next((_str(inner) for field, inner in _fields(_bytes(value)) if field == 1), "")
    for number, value in fields:
        if number == 2:
            yield _proto_span(_bytes(value), name, resource)


def _proto_attributes(view: memoryview, field: int) -> Attributes:
    return dict(_proto_pair(_bytes(value), 0) for number, value in _fields(view) if number == field)


def _proto_pair(view: memoryview, depth: int) -> tuple[str, Any]:
    key, found = "", None
    for number, value in _fields(view):
        if number == 1:
            key = _str(value)
        elif number == 2:
            found = _proto_value(_bytes(value), depth)
    return key, found


def _proto_value(view: memoryview, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    found: Any = None
    for number, value in _fields(view):
        match number:
            case 1:
                found = _str(value)
            case 2:
                found = bool(value)
            case 3:
                found = _signed(value)
            case 4:
                found = _double(value)
            case 5:
                found = [
                    _proto_value(_bytes(item), depth + 1) for n, item in _fields(_bytes(value)) if n == 1
                ]
            case 6:
                inner = _fields(_bytes(value))
                found = dict(_proto_pair(_bytes(item), depth + 1) for n, item in inner if n == 1)
            case 7:
                found = base64.b64encode(_bytes(value)).decode()
            case _:
                pass
    return found


def _signed(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number should be")
    unsigned = value & (2**64 - 1)
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def _double(value: Any) -> float:
    view = _bytes(value)
    if len(view) != 8:
        raise ValueError("a number of the wrong size")
    found: float = struct.unpack("<d", view)[0]
    return found


def _proto_span(view: memoryview, scope_name: str, resource: Attributes) -> SpanData:
    found: dict[int, Any] = {}
    attributes: Attributes = {}
    events = list[SpanEvent]()
    for number, value in _fields(view):
        if number == 9:
            key, told = _proto_pair(_bytes(value), 0)
            attributes[key] = told
        elif number == 11:
            events.append(_proto_event(_bytes(value)))
        else:
            found[number] = value
    kind, status = found.get(6), dict(_fields(_bytes(found[15]))) if 15 in found else {}
    return SpanData(
        _hex(found.get(1)),
        _hex(found.get(2)),
        _hex(found.get(4)),
        _str(found[5]) if 5 in found else "",
        _KINDS[kind] if isinstance(kind, int) and kind < len(_KINDS) else "internal",
        _fixed(found.get(7, memoryview(b""))),
        _fixed(found.get(8, memoryview(b""))),
        attributes,
        tuple(events),
        status.get(3) == _ERROR,
        _str(status[2]) if 2 in status else None,
        scope_name,
        resource,
        bool(int.from_bytes(_bytes(found[16]), "little") & _REMOTE) if 16 in found else False,
    )


def _hex(value: Any) -> str:
    found = "" if value is None else bytes(_bytes(value)).hex()
    return found if found.strip("0") else ""


def _proto_event(view: memoryview) -> SpanEvent:
    fields = dict(_fields(view))
    name = _str(fields[2]) if 2 in fields else ""
    return SpanEvent(_fixed(fields.get(1, memoryview(b""))), name, _proto_attributes(view, 3))


# -- JSON -------------------------------------------------------------------------------------


def _json_spans(body: bytes) -> Iterator[SpanData]:
    request = msgspec.json.decode(body)
    if not is_dict(request):
        raise ValueError("it is no object")
    for group in _dicts(request, "resourceSpans"):
        resource = _json_attributes(_dict(group, "resource"))
        for scope in (*_dicts(group, "scopeSpans"), *_dicts(group, "instrumentationLibrarySpans")):
            name = _text(_dict(scope, "scope"), "name")
            for span in _dicts(scope, "spans"):
                yield _json_span(span, name, resource)


def _json_span(span: dict[str, Any], scope_name: str, resource: Attributes) -> SpanData:
    status = _dict(span, "status")
    return SpanData(
        _json_id(span, "traceId", 16),
        _json_id(span, "spanId", 8),
        _json_id(span, "parentSpanId", 8),
        _text(span, "name"),
        _json_kind(span.get("kind")),
        _json_int(span.get("startTimeUnixNano")) or 0,
        _json_int(span.get("endTimeUnixNano")) or 0,
        _json_attributes(span),
        tuple(
            SpanEvent(
                _json_int(event.get("timeUnixNano")) or 0, _text(event, "name"), _json_attributes(event)
            )
            for event in _dicts(span, "events")
        ),
        status.get("code") in (_ERROR, "STATUS_CODE_ERROR"),
        _text(status, "message") or None,
        scope_name,
        resource,
        bool((_json_int(span.get("flags")) or 0) & _REMOTE),
    )


def _dict(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return found if is_dict(found) else {}


def _dicts(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    return [item for item in found if is_dict(item)] if is_list(found) else []


def _text(holder: Mapping[str, Any], name: str) -> str:
    found = holder.get(name)
    return found if isinstance(found, str) else ""


def _json_id(span: Mapping[str, Any], name: str, size: int) -> str:
    """An id in hexadecimal, as OTLP wants it, or in base64, as general protobuf encoders write it."""
    given = _text(span, name)
    try:
        found = bytes.fromhex(given) if len(given) == size * 2 else base64.b64decode(given)
    except (ValueError, binascii.Error):
        return ""
    return found.hex() if len(found) == size and any(found) else ""


def _json_kind(kind: object) -> str:
    if isinstance(kind, int) and 0 <= kind < len(_KINDS):
        return _KINDS[kind]
    word = str(kind).lower().removeprefix("span_kind_")
    return word if word in _KINDS else "internal"


def _json_int(value: object) -> int | None:
    """64-bit numbers are texts in this JSON, and numbers in that of some exporters."""
    if isinstance(value, bool):
        return None
    try:
        found = int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None
    return found if found is not None and abs(found) < 2**63 else None


def _json_attributes(holder: Mapping[str, Any]) -> Attributes:
    return {_text(pair, "key"): _json_value(pair.get("value"), 0) for pair in _dicts(holder, "attributes")}


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "stringValue": lambda value: value if isinstance(value, str) else str(value),
    "boolValue": bool,
    "intValue": _json_int,
    "doubleValue": lambda value: value if isinstance(value, int | float) else None,
    "bytesValue": str,
}


def _json_value(value: object, depth: int) -> Any:
    if not is_dict(value) or depth > _DEEPEST:
        return None
    for name, convert in _PLAIN.items():
        if name in value:
            return convert(value[name])
    if "arrayValue" in value:
        return [_json_value(item, depth + 1) for item in _dicts(_dict(value, "arrayValue"), "values")]
    pairs = _dicts(_dict(value, "kvlistValue"), "values")
    return {_text(pair, "key"): _json_value(pair.get("value"), depth + 1) for pair in pairs}
