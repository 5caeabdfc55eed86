"""Log records: what agents tell, for receivers of logs.

The logs signal of OpenTelemetry for Python is not stable: its packages start with an underscore and have
renamed their classes before. So it is imported when logs are wanted, and `logs_available` says whether this
release has what we need.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, set_span_in_context

from hiveloop._guard import attempt
from hiveloop.transport import Outcome

from ._content import MappingOptions, event_identity, identity

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from hiveloop.events import Event

    from ._narrative import Narrative
    from ._values import Attributes

__all__ = ["LogSink", "logs_available"]


def logs_available() -> bool:
    """Tell whether the installed SDK has the classes that log records are made of."""
    try:
        from opentelemetry._logs import LogRecord, SeverityNumber
        from opentelemetry.sdk._logs import ReadableLogRecord
    except ImportError:
        return False
    return all(map(callable, (LogRecord, SeverityNumber, ReadableLogRecord)))


class Records(Protocol):
    """Takes log records out of the process; see `Target`."""

    def export(self, items: Sequence[Any], timeout: float) -> Outcome:
        """Make one attempt, within `timeout` seconds."""
        ...


class LogSink:
    """Makes log records of events, and hands them on; on the thread that delivers.

    Args:
        target: where the records go.
        resource: what sends them.
        scope: the instrumentation scope, ours.
        options: choices about attributes.

    Raises:
        ImportError: the installed SDK lacks the classes; see `logs_available`.
    """

    def __init__(
        self,
        target: Records,
        resource: Resource,
        scope: InstrumentationScope,
        options: MappingOptions | None = None,
    ) -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber
        from opentelemetry.sdk._logs import ReadableLogRecord

        self._record, self._severity, self._readable = LogRecord, SeverityNumber, ReadableLogRecord
        self._target = target
        self._resource = resource
        self._scope = scope
        self._options = options or MappingOptions()
        self._limits = attempt("log record limits", _limits, default=_Limits())

    def make(self, event: Event, narrative: Narrative, context: SpanContext | None) -> ReadableLogRecord:
        """Return the log record of an event.

        Args:
            event: says when it happened and whose it is.
            narrative: says what happened.
            context: the span it belongs to; None for no trace.
        """
        attributes = {**narrative.attributes, **event_identity(event), **identity(event, self._options)}
        record = self._record(
            timestamp=event.time_ns,
            observed_timestamp=event.time_ns,
            context=_with_span(context),
            severity_number=self._severity(narrative.severity_number),
            severity_text=narrative.severity_text,
            body=narrative.body,
            attributes=self._bounded(attributes),
            event_name=narrative.name,
        )
        return self._readable(record, self._resource, self._scope)

    def _bounded(self, attributes: Attributes) -> Attributes | BoundedAttributes:
        """Return attributes within the limits, which records not made by a logger of the SDK do not know."""
        most, longest = self._limits
        if len(attributes) <= most and longest is None:
            return attributes
        return BoundedAttributes(most, attributes, max_value_len=longest)

    def export(self, records: Sequence[ReadableLogRecord], timeout: float) -> Outcome:
        """Make one attempt to hand records on, within `timeout` seconds."""
        return self._target.export(records, timeout)


def _with_span(context: SpanContext | None) -> Context:
    """A context of that span alone. One without a span would make the record ask for the current one."""
    return set_span_in_context(NonRecordingSpan(context or INVALID_SPAN_CONTEXT), Context())


class _Limits(NamedTuple):
    attributes: int = 128
    value_length: int | None = None


def _limits() -> _Limits:
    """Read the limits of log records as the SDK does, from its variables.

    Raises:
        ValueError: a variable is no whole number.
    """
    from opentelemetry.sdk._logs import LogRecordLimits

    limits = LogRecordLimits()
    most: object = getattr(limits, "max_log_record_attributes", limits.max_attributes)
    longest: object = getattr(limits, "max_log_record_attribute_length", limits.max_attribute_length)
    return _Limits(
        most if isinstance(most, int) else sys.maxsize, longest if isinstance(longest, int) else None
    )
