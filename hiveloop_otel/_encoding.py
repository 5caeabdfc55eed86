"""Spans as the body of an OTLP request.

Spans are written by hand, since that costs a quarter of making protobuf's objects for them; what spans seldom
have is left to protobuf, which works since the encodings of a message's fields may simply be joined. The
encodings of attributes are remembered: most come again on every span of a task. The tests compare every
piece with what the SDK makes of it.
Source: protobuf encoding, "Message Structure"; OTLP, "ExportTraceServiceRequest".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, SpanFlags, Status
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus

from hiveloop._shape import is_list

from ._work import FinishedSpan

__all__ = ["encode_spans"]

_MOST_KNOWN = 8192
_LONGEST_KNOWN = 128
"""Longest attribute, in bytes, whose encoding is remembered."""

_LENGTH_OF_IDS = 36
"""Those of runs, actions and events are UUIDs; they would only push out what does come again."""

# -- the wire format --------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_WIRE_TYPES = {"bool": 0, "int64": 0, "enum": 0, "double": 1, "fixed64": 1, "fixed32": 5}


def _tag(message: Any, name: str) -> bytes:
    """What a field starts with: its number, and how its length is told."""
    field = message.DESCRIPTOR.fields_by_name[name]
    kinds = {getattr(field, f"TYPE_{kind.upper()}"): wire for kind, wire in _WIRE_TYPES.items()}
    return _varint(field.number << 3 | kinds.get(field.type, 2))


_LENGTHS = tuple(map(_varint, range(1024)))


def _sized(content: bytes) -> bytes:
    """Content after its length."""
    size = len(content)
    return (_LENGTHS[size] if size < 1024 else _varint(size)) + content


_RESOURCE_SPANS = _tag(ExportTraceServiceRequest, "resource_spans")
_RESOURCE, _RESOURCE_ATTRIBUTES = _tag(ResourceSpans, "resource"), _tag(Resource, "attributes")
_SCOPE_SPANS = _tag(ResourceSpans, "scope_spans")
_SPANS = _tag(ScopeSpans, "spans")

_TRACE_ID = _tag(Span, "trace_id") + b"\x10"
_SPAN_ID = _tag(Span, "span_id") + b"\x08"
_PARENT_ID = _tag(Span, "parent_span_id") + b"\x08"
_NAME = _tag(Span, "name")
_STATUS = _tag(Span, "status")
_ATTRIBUTES = _tag(Span, "attributes")
_EVENTS = _tag(Span, "events")
_START, _END = _tag(Span, "start_time_unix_nano"), _tag(Span, "end_time_unix_nano")
_times = Struct(f"<{len(_START)}sQ{len(_END)}sQ").pack

_EVENT_TIME = _tag(Span.Event, "time_unix_nano")
_EVENT_NAME = _tag(Span.Event, "name")
_EVENT_ATTRIBUTES = _tag(Span.Event, "attributes")
_time = Struct(f"<{len(_EVENT_TIME)}sQ").pack

_LINKS, _LINK_ATTRIBUTES = _tag(Span, "links"), _tag(Span.Link, "attributes")

_KEY, _VALUE = _tag(KeyValue, "key"), _tag(KeyValue, "value")
_TEXT, _INT, _DOUBLE = (_tag(AnyValue, f"{kind}_value") for kind in ("string", "int", "double"))
_ARRAY, _ITEM = _tag(AnyValue, "array_value"), _tag(ArrayValue, "values")
_FALSE, _TRUE = (_tag(AnyValue, "bool_value") + digit for digit in (b"\x00", b"\x01"))
_double = Struct(f"<{len(_DOUBLE)}sd").pack

_KINDS = {
    kind: Span(kind=Span.SpanKind.Value(f"SPAN_KIND_{kind.name}")).SerializeToString() for kind in SpanKind
}
_CODES = {code: Status.StatusCode.Value(f"STATUS_CODE_{code.name}") for code in StatusCode}
_UNSET = _STATUS + _sized(b"")
_LOCAL = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_NONE: Mapping[str, Any] = {}
_FLAGS = {flags: Span(flags=flags).SerializeToString() for flags in (_LOCAL, _REMOTE)}

# -- spans ------------------------------------------------------------------------------------

_Seen = dict[int, list[bytes]]
"""Encodings of shared attributes by identity: within one request, which keeps them alive."""


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return an ``ExportTraceServiceRequest`` as bytes.

    Args:
        spans: of one resource and one instrumentation scope, as all spans of a transport are.
    """
    return _RESOURCE_SPANS + _sized(_resource_spans(spans)) if spans else b""


def _resource_spans(spans: Sequence[ReadableSpan]) -> bytes:
    resource, scope = spans[0].resource, spans[0].instrumentation_scope
    sender = _RESOURCE_ATTRIBUTES.join((b"", *_encoded(resource.attributes)))
    inner = ScopeSpans()
    if scope is not None:
        inner.scope.CopyFrom(InstrumentationScope(name=scope.name, version=scope.version or ""))
        inner.schema_url = scope.schema_url or ""
    seen: _Seen = {}
    scope_spans = _SPANS.join([inner.SerializeToString(), *[_sized(_span(span, seen)) for span in spans]])
    head = ResourceSpans(schema_url=resource.schema_url).SerializeToString()
    return b"".join((_RESOURCE, _sized(sender), head, _SCOPE_SPANS, _sized(scope_spans)))


def _span(span: ReadableSpan, seen: _Seen) -> bytes:
    context, parent, status = span.context, span.parent, span.status
    assert context is not None  # noqa: S101 - ours always have one
    head = [
        _TRACE_ID,
        context.trace_id.to_bytes(16, "big"),
        _SPAN_ID,
        context.span_id.to_bytes(8, "big"),
        _NAME,
        _sized(span.name.encode()),
        _KINDS[span.kind],
        _times(_START, span.start_time or 0, _END, span.end_time or 0),
        _UNSET if status.status_code is StatusCode.UNSET else _STATUS + _sized(_status(status)),
        _FLAGS[_flags(parent)],
    ]
    if parent is not None:
        head += (_PARENT_ID, parent.span_id.to_bytes(8, "big"))
    complete = isinstance(span, FinishedSpan) and span.shared
    if not complete or context.trace_state or span.links:
        head.append(_seldom(span, context))
    body = _ATTRIBUTES.join((b"".join(head), *_of_span(span, seen)))
    events = span.events
    return _EVENTS.join((body, *[_sized(_event(event, seen)) for event in events])) if events else body


def _status(status: SpanStatus) -> bytes:
    told = Status(code=_CODES[status.status_code], message=status.description or "")
    encoded: bytes = told.SerializeToString()
    return encoded


def _seldom(span: ReadableSpan, context: SpanContext) -> bytes:
    rest = Span(
        trace_state=context.trace_state.to_header(),
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        dropped_links_count=span.dropped_links,
    )
    return _LINKS.join((rest.SerializeToString(), *[_sized(_link(link)) for link in span.links]))


def _link(link: Link) -> bytes:
    head = Span.Link(
        trace_id=link.context.trace_id.to_bytes(16, "big"),
        span_id=link.context.span_id.to_bytes(8, "big"),
        flags=_flags(link.context),
    )
    return _LINK_ATTRIBUTES.join((head.SerializeToString(), *_encoded(link.attributes or _NONE)))


def _flags(context: SpanContext | None) -> int:
    return _REMOTE if context is not None and context.is_remote else _LOCAL


def _event(event: SpanEvent, seen: _Seen) -> bytes:
    head = b"".join((_EVENT_NAME, _sized(event.name.encode()), _time(_EVENT_TIME, event.timestamp or 0)))
    attributes: Mapping[str, Any] = event.attributes or _NONE
    if attributes.__class__ is not dict and (dropped := event.dropped_attributes):
        head += Span.Event(dropped_attributes_count=dropped).SerializeToString()
    return _EVENT_ATTRIBUTES.join((head, *(seen.get(id(attributes)) or _encoded(attributes))))


# -- attributes -------------------------------------------------------------------------------

_Known = dict[tuple[str, Any], bytes]
_known: dict[type, _Known] = {str: {}, int: {}, float: {}, bool: {}}
"""Encodings by class, since 1, 1.0 and True are equal. Not of tuples, which may hold any of them."""
_NEVER: _Known = {}


def _of_span(span: ReadableSpan, seen: _Seen) -> list[bytes]:
    if not isinstance(span, FinishedSpan) or not span.shared:
        return _encoded(span.attributes or _NONE)
    pieces = _encoded(span.own)
    for part in span.shared:
        encoded = seen.get(id(part))
        if encoded is None:
            encoded = seen[id(part)] = _encoded(part)
        pieces += encoded
    return pieces


def _encoded(attributes: Mapping[str, Any]) -> list[bytes]:
    """Return the encodings of attributes, without tags: some are both on a span and on an event."""
    known = _known
    return [
        known.get(value.__class__, _NEVER).get((key, value)) or _remember(key, value)
        for key, value in attributes.items()
    ]


def _remember(key: str, value: Any) -> bytes:
    encoded = _sized(b"".join((_KEY, _sized(key.encode()), _VALUE, _sized(_any(value)))))
    known = _known.get(value.__class__)
    if known is not None and len(encoded) <= _LONGEST_KNOWN and _comes_again(value):
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[key, value] = encoded
    return encoded


def _comes_again(value: Any) -> bool:
    """Tell whether the encoding of a value is one to be remembered."""
    if value.__class__ is float:
        return bool(value)  # there are two zeros, equal but not the same
    return value.__class__ is not str or len(value) != _LENGTH_OF_IDS


def _any(value: Any) -> bytes:
    """The content of an ``AnyValue``."""
    kind = value.__class__
    if kind is str:
        return _TEXT + _sized(value.encode())
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is int:
        return _INT + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if kind is float:
        return _double(_DOUBLE, value)
    if is_list(value):
        return _ARRAY + _sized(b"".join([_ITEM + _sized(_any(item)) for item in value]))
    return _TEXT + _sized(str(value).encode())
