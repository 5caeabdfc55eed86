"""Spans as the body of an OTLP request.

Every piece is encoded by protobuf itself. What is ours is to put the pieces together, since the encodings of
a message's fields may simply be joined, and to remember those of attributes: most of them come again on
every span of a task. The SDK's encoder makes several objects for each attribute each time, and costs several
times as much. Source: protobuf encoding, "Message Structure"; OTLP, "ExportTraceServiceRequest".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

__all__ = ["encode_spans"]

_MOST_KNOWN = 8192
_LONGEST_KNOWN = 128
"""Longest text, in characters, whose encoding is remembered."""
_SCALARS: dict[type, str] = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
_STATUS = {
    StatusCode.UNSET: Status.STATUS_CODE_UNSET,
    StatusCode.OK: Status.STATUS_CODE_OK,
    StatusCode.ERROR: Status.STATUS_CODE_ERROR,
}
_UNSET = Status()
_KINDS = {
    SpanKind.INTERNAL: Span.SPAN_KIND_INTERNAL,
    SpanKind.SERVER: Span.SPAN_KIND_SERVER,
    SpanKind.CLIENT: Span.SPAN_KIND_CLIENT,
    SpanKind.PRODUCER: Span.SPAN_KIND_PRODUCER,
    SpanKind.CONSUMER: Span.SPAN_KIND_CONSUMER,
}
_LOCAL = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_EVENTS = Span.DESCRIPTOR.fields_by_name["events"].number
_SPANS = ScopeSpans.DESCRIPTOR.fields_by_name["spans"].number
_SCOPES = ResourceSpans.DESCRIPTOR.fields_by_name["scope_spans"].number
_RESOURCES = ExportTraceServiceRequest.DESCRIPTOR.fields_by_name["resource_spans"].number


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return an ``ExportTraceServiceRequest`` as bytes.

    Args:
        spans: of one resource and one instrumentation scope, as all spans of a transport are.
    """
    return _field(_RESOURCES, _resource_spans(spans)) if spans else b""


def _resource_spans(spans: Sequence[ReadableSpan]) -> bytes:
    resource, scope = spans[0].resource, spans[0].instrumentation_scope
    head = ResourceSpans(
        resource=Resource(attributes=_key_values(resource.attributes)), schema_url=resource.schema_url
    )
    inner = ScopeSpans()
    if scope is not None:
        inner.scope.CopyFrom(InstrumentationScope(name=scope.name, version=scope.version or ""))
        inner.schema_url = scope.schema_url or ""
    pieces = [inner.SerializeToString(), *[_field(_SPANS, _span(span)) for span in spans]]
    return b"".join((head.SerializeToString(), _field(_SCOPES, b"".join(pieces))))


def _span(span: ReadableSpan) -> bytes:
    context, parent, status = span.context, span.parent, span.status
    assert context is not None  # noqa: S101 - ours always have one
    head = Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=b"" if parent is None else parent.span_id.to_bytes(8, "big"),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        status=_UNSET if status.status_code is StatusCode.UNSET else _status(status),
        flags=_flags(parent),
    )
    if context.trace_state:
        head.trace_state = context.trace_state.to_header()
    if span.links:
        head.links.extend([_link(link) for link in span.links])
    if span.dropped_attributes or span.dropped_events or span.dropped_links:
        head.dropped_attributes_count = span.dropped_attributes
        head.dropped_events_count = span.dropped_events
        head.dropped_links_count = span.dropped_links
    pieces = [head.SerializeToString(), *_of_spans.encoded(span.attributes)]
    pieces += [_field(_EVENTS, _event(event)) for event in span.events]
    return b"".join(pieces)


def _status(status: SpanStatus) -> Status:
    return Status(code=_STATUS[status.status_code], message=status.description or "")


def _event(event: SpanEvent) -> bytes:
    head = Span.Event(
        name=event.name,
        time_unix_nano=event.timestamp or 0,
        dropped_attributes_count=event.dropped_attributes,
    )
    return b"".join((head.SerializeToString(), *_of_events.encoded(event.attributes)))


def _link(link: Link) -> Span.Link:
    return Span.Link(
        trace_id=link.context.trace_id.to_bytes(16, "big"),
        span_id=link.context.span_id.to_bytes(8, "big"),
        attributes=_key_values(link.attributes),
        flags=_flags(link.context),
    )


def _flags(context: SpanContext | None) -> int:
    return _REMOTE if context is not None and context.is_remote else _LOCAL


def _field(number: int, content: bytes) -> bytes:
    """A message inside another: tag, length, content."""
    return b"%c%b%b" % (number << 3 | 2, _varint(len(content)), content)


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


# -- attributes -------------------------------------------------------------------------------


class _Attributes:
    """Encodes attributes as a field of one message, and remembers those that are short."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self._known: dict[tuple[str, object, type], bytes] = {}

    def encoded(self, attributes: Mapping[str, Any] | None) -> list[bytes]:
        """Return the encodings of all attributes."""
        known, pieces = self._known, list[bytes]()
        for key, value in (attributes or {}).items():
            kind = value.__class__  # since 1, 1.0 and True are equal
            if kind in _SCALARS:
                pieces.append(known.get((key, value, kind)) or self._remember(key, value, kind))
            else:
                pieces.append(self._encoded(key, value))
        return pieces

    def _remember(self, key: str, value: Any, kind: type) -> bytes:
        encoded = self._encoded(key, value)
        if len(encoded) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key, value, kind] = encoded
        return encoded

    def _encoded(self, key: str, value: Any) -> bytes:
        message = self._message(attributes=[KeyValue(key=key, value=_any_value(value))])
        encoded: bytes = message.SerializeToString()
        return encoded


_of_spans = _Attributes(Span)
_of_events = _Attributes(Span.Event)


def _key_values(attributes: Mapping[str, Any] | None) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in (attributes or {}).items()]


def _any_value(value: Any) -> AnyValue:
    field = _SCALARS.get(value.__class__)
    if field is not None:
        return AnyValue(**{field: value})
    if is_list(value):
        return AnyValue(array_value=ArrayValue(values=[_any_value(item) for item in value]))
    return AnyValue(string_value=str(value))
