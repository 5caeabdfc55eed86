"""`OTelTransport`: HiveLoop's events as spans, span events, metrics and logs of OpenTelemetry."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from hiveloop._exit import renew_in_children
from hiveloop._guard import logger, notice
from hiveloop._version import __version__
from hiveloop.events import AgentInfo, Event
from hiveloop.transport import (
    Batch,
    BatchLimits,
    Delivered,
    Misconfigured,
    Outcome,
    Refused,
    TooLarge,
    Transport,
)

from . import semconv as names
from ._assembler import Assembler, Choices, Parts, shrunk
from ._content import MappingOptions
from ._environment import sdk_disabled
from ._options import (
    DIALECTS,
    captures_content,
    check_choice,
    check_flag,
    check_names,
    resource_of,
    sampler_of,
    shape_of_calls,
    with_stage,
)
from ._scopes import Scopes
from ._targets import log_target, meter_source, span_target
from ._values import Limits

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler

    from ._logs import LogSink
    from ._metrics import Meters

__all__ = ["OTelTransport"]

_CHUNK = 1_000
"""Events in one request, most of which become no span; and spans, when open ones are exported at the end."""
_MOST_TAKEN = 4_000
"""Events whose spans are kept, for a batch may be halved and prepared again."""


class _Load(NamedTuple):
    """A prepared batch; what has arrived is taken out of it, so that a retry repeats nothing.

    One that is `trimmed` is a single event, and as small as can be.
    """

    event_ids: tuple[str, ...]
    spans: list[ReadableSpan]
    logs: list[Any]
    trimmed: bool


class OTelTransport(Transport):
    """Sends what agents do to OpenTelemetry: tasks and actions as spans, calls of models as GenAI spans
    and events, heartbeats and queues as metrics.

    Without arguments it exports by OTLP as the standard ``OTEL_*`` variables say: HTTP with protobuf and gzip
    to ``http://localhost:4318`` unless they say otherwise. The global providers are never touched. Inside a
    task or an action its span is the current one, so that spans of other instrumentations nest in it and
    its trace goes out with their requests.

    Args:
        endpoint: base URL of an OTLP receiver, such as "http://collector:4318", or the full URL for traces.
        headers: headers of each OTLP request, such as the key of a service.
        timeout: most seconds one export may take; the exporter's own unless given.
        service_name: ``service.name``; else from ``OTEL_SERVICE_NAME``, else "hiveloop".
        service_version: ``service.version``.
        resource: attributes of the resource, or a whole one.
        span_exporter: takes the finished spans, instead of OTLP.
        span_processor: takes each finished span through ``on_end``; it does its own delivery, so failures
            are not retried.
        tracer_provider: an SDK's provider, whose resource, sampler and span processors are used.
        metrics: export metrics by OTLP, once a minute or as ``OTEL_METRIC_EXPORT_INTERVAL`` says.
        meter_provider: takes the metrics, instead of OTLP.
        metric_reader: reads the metrics, instead of OTLP; ``InMemoryMetricReader`` in tests.
        logs: export log records by OTLP.
        log_exporter: takes the log records, instead of OTLP.
        llm_calls: "both" for a child span and an event on the span around, "span" or "event" for one of them;
            from ``HIVELOOP_OTEL_LLM_CALLS`` unless given. With an instrumentation of the model's client in
            the same process choose "event", or calls and costs count twice.
        capture_content: export prompts, responses, arguments and results; from
            ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` unless given, else they stay here.
        dialect: GenAI conventions "1.41.1", which backends read, or "latest".
        compat: backends to please with names of their own: "mlflow", "agentops", "openinference", "logfire".
        conversation_id: a task's correlation id is the ``gen_ai.conversation.id``.
        sampler: decides about traces that begin with a task; from ``OTEL_TRACES_SAMPLER`` unless given.
        heartbeat_logs: log records of heartbeats.
        queue_logs: log records of queue snapshots.
        agent_event_spans: spans without duration for what happens outside any task, when there are no logs.
        narrative: when there are logs: tell what happens in a task as "events" of spans, "logs", or "both".
        plan_steps: "events", or "span" for a span per step of a plan as well.
        pending: "log" for a log record of each started task, "logfire" for a pending span; None for neither.
        copy_baggage: names of baggage entries to copy onto the spans of tasks and actions.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right.
    """

    name = "otel"
    limits = BatchLimits(max_events=_CHUNK, max_bytes=2_000_000)

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        service_name: str | None = None,
        service_version: str | None = None,
        resource: Resource | Mapping[str, object] | None = None,
        span_exporter: SpanExporter | None = None,
        span_processor: SpanProcessor | None = None,
        tracer_provider: TracerProvider | None = None,
        metrics: bool = False,
        meter_provider: MeterProvider | None = None,
        metric_reader: MetricReader | None = None,
        logs: bool = False,
        log_exporter: LogRecordExporter | None = None,
        llm_calls: str | None = None,
        capture_content: bool | None = None,
        dialect: str = "1.41.1",
        compat: Sequence[str] | set[str] | frozenset[str] = (),
        conversation_id: bool = True,
        sampler: Sampler | None = None,
        heartbeat_logs: bool = False,
        queue_logs: bool = False,
        agent_event_spans: bool = True,
        narrative: str = "both",
        plan_steps: str = "events",
        pending: str | None = None,
        copy_baggage: Sequence[str] = (),
    ) -> None:
        mapping = MappingOptions(
            check_choice("dialect", dialect, DIALECTS),
            captures_content(capture_content),
            frozenset(check_names("compat", compat, sorted(names.COMPAT))),
            check_flag("conversation_id", conversation_id),
        )
        self._choices = Choices(
            mapping=mapping,
            limits=Limits.from_env(os.environ),
            llm_calls=shape_of_calls(llm_calls),
            narrative=check_choice("narrative", narrative, ("both", "events", "logs")),
            plan_steps=check_choice("plan_steps", plan_steps, ("events", "span")),
            pending=None if pending is None else check_choice("pending", pending, ("log", "logfire")),
            agent_event_spans=check_flag("agent_event_spans", agent_event_spans),
            heartbeat_logs=check_flag("heartbeat_logs", heartbeat_logs),
            queue_logs=check_flag("queue_logs", queue_logs),
        )
        self._target = span_target(
            span_exporter=span_exporter,
            span_processor=span_processor,
            tracer_provider=tracer_provider,
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
            address_shared=check_flag("metrics", metrics) | check_flag("logs", logs),
            on_rejected=self._rejected,
        )
        self._log_target = log_target(
            enabled=logs, exporter=log_exporter, endpoint=endpoint, headers=headers, timeout=timeout
        )
        self._meter_source = meter_source(
            enabled=metrics,
            provider=meter_provider,
            reader=metric_reader,
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
        )
        self._outlets = (self._target, self._log_target, self._meter_source)
        self._resource = resource_of(service_name, service_version, resource or self._target.resource)
        sampler = sampler or self._target.sampler
        baggage = check_names("copy_baggage", copy_baggage)
        self._scopes = Scopes(sampler_of(sampler), baggage)
        self._off = sdk_disabled()
        if not self._off:
            # The hooks, `ScopeHooks` and `EventHooks`; not methods, for a call less on the agent's thread.
            self.scope_started = self._scopes.started
            self.activate = self._scopes.activation
            self.event_recorded = self._scopes.event_recorded
        self._assembler: Assembler | None = None
        self._meters: Meters | None = None
        self._logs: LogSink | None = None
        self._taken: OrderedDict[str, tuple[Event, Parts]] = OrderedDict()
        renew_in_children(self)

    # -- the delivery thread -------------------------------------------------------------------

    def prepare(self, batch: Batch) -> object:
        """Assemble the spans and log records of a batch, and record its metrics."""
        ids = tuple(event.event_id for event in batch.events)
        load = _Load(ids, [], [], len(ids) == 1 and self._is_trimmed(batch.events[0]))
        if self._off:
            return load
        assembler = self._assembler or self._built(batch.agent)
        for event in batch.events:
            parts = self._parts(assembler, event)
            load.spans.extend(parts.spans)
            load.logs.extend(parts.logs)
        return load

    def _parts(self, assembler: Assembler, event: Event) -> Parts:
        """What an event becomes; once, though the batch it is in may be halved and prepared again."""
        known = self._taken.get(event.event_id)
        if known is None:
            parts = assembler.take(event)
            self._taken[event.event_id] = (event, parts)
            if len(self._taken) > _MOST_TAKEN:
                self._taken.popitem(last=False)
            return parts
        before, parts = known
        if before is event:
            return parts
        return Parts([shrunk(span) for span in parts.spans], parts.logs)  # found too large, and trimmed

    def _is_trimmed(self, event: Event) -> bool:
        known = self._taken.get(event.event_id)
        return known is not None and known[0] is not event

    def _built(self, agent: AgentInfo) -> Assembler:
        """Build what needs the process's first event, and threads or connections."""
        resource = with_stage(self._resource, agent)
        url = names.DIALECTS[self._choices.mapping.dialect].schema_url
        scope = InstrumentationScope(names.SCOPE_NAME, __version__, url)
        meters = self._meter_source.meters(resource, self._choices.mapping.dialect)
        logs = self._log_target.sink(resource, scope)
        self._meters, self._logs = meters, logs
        assembler = Assembler(self._scopes, self._choices, resource, scope, meters, logs)
        self._assembler = assembler
        return assembler

    def send(self, prepared: object, timeout: float) -> Outcome:
        """Export a prepared batch: spans first, then log records."""
        assert isinstance(prepared, _Load)  # noqa: S101 - narrows the type; only `prepare` makes it
        ends = time.monotonic() + timeout
        warnings: tuple[str, ...] = ()
        for waiting, export in ((prepared.spans, self._export), (prepared.logs, self._export_logs)):
            if not waiting:
                continue
            outcome = export(waiting, max(0.0, ends - time.monotonic()))
            if not isinstance(outcome, Delivered):
                self._settle(prepared, outcome)
                return outcome
            warnings += outcome.warnings
            waiting.clear()
            if waiting is prepared.spans:
                self._spans_arrived(prepared)
        self._forget(prepared)
        return Delivered(warnings=warnings)

    def _spans_arrived(self, load: _Load) -> None:
        """Keep the spans from going out again, should the batch be halved for its log records."""
        for event_id in load.event_ids:
            if (known := self._taken.get(event_id)) is not None:
                known[1].spans.clear()

    def _export(self, spans: Sequence[ReadableSpan], timeout: float) -> Outcome:
        outcome = self._target.export(spans, timeout)
        if isinstance(outcome, Delivered) and self._meters is not None:
            self._meters.spans_exported(len(spans))
        return outcome

    def _export_logs(self, records: Sequence[Any], timeout: float) -> Outcome:
        outcome = self._log_target.export(records, timeout)
        if isinstance(outcome, Misconfigured):  # a receiver of traces only, say: spans go on
            lost = len(records)
            notice("otel logs", "hiveloop: otel: %d log records dropped: %s", lost, outcome.reason)
            return Delivered()
        return outcome

    def _rejected(self, count: int, reason: str) -> None:
        """The receiver took a request, but not all that was in it; which ones it does not say."""
        logger.warning("hiveloop: otel: the receiver rejected %d spans: %s", count, reason)
        if self._meters is not None:
            self._meters.spans_dropped(count, "rejected")

    def _settle(self, load: _Load, outcome: Outcome) -> None:
        """Forget an event that the engine gives up now."""
        too_large = isinstance(outcome, TooLarge) and load.trimmed
        if too_large or (isinstance(outcome, Refused) and len(load.event_ids) == 1):
            if self._meters is not None:
                self._meters.spans_dropped(len(load.spans), "too_large" if too_large else "refused")
            self._forget(load)

    def _forget(self, load: _Load) -> None:
        for event_id in load.event_ids:
            self._taken.pop(event_id, None)

    def flush(self, timeout: float) -> bool:
        """Pass on what processors and metric readers hold."""
        ends = time.monotonic() + timeout
        done = [outlet.flush(max(0.0, ends - time.monotonic())) for outlet in self._outlets]
        return all(done)

    def close(self, timeout: float) -> None:
        """Export the spans of open tasks and actions as incomplete, and close the exporters."""
        ends = time.monotonic() + timeout
        self._export_open(ends)
        if self._meters is not None:
            self._meters.close()
        for outlet in self._outlets:
            outlet.close(max(0.0, ends - time.monotonic()))

    def _export_open(self, ends: float) -> None:
        spans = [] if self._assembler is None else self._assembler.interrupt_all(time.time_ns())
        for first in range(0, len(spans), _CHUNK):
            chunk = spans[first : first + _CHUNK]
            outcome = self._export(chunk, max(0.0, ends - time.monotonic()))
            if not isinstance(outcome, Delivered):
                left = len(spans) - first
                logger.warning("hiveloop: otel: %d spans of open tasks not delivered", left)
                if self._meters is not None:
                    self._meters.spans_dropped(left, "shutdown")
                return

    def renew(self) -> None:
        """Start afresh in the child of a fork; the spans of open scopes stay with the parent."""
        self._scopes.renew()
        self._taken.clear()
        if self._meters is not None:
            self._meters.renew()
        self._assembler = self._meters = self._logs = None  # built anew when the child has something to tell
        for outlet in self._outlets:
            outlet.renew()


_: type[Transport] = OTelTransport
