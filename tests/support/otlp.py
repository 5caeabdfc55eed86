"""A real OTLP receiver on the loopback interface that behaves, or misbehaves, as a test tells it to.

    with OtlpSink() as sink:
        sink.enqueue(failing(503), throttled(2))       # answers of tests.support.server all work
        sink.default = poisoned_by("bad span")         # 400 to each request that holds it
        sink.default = keeping(lambda name: name != "bad span", "too bad")   # partial success
        ...
        sink.spans()[0].attributes["gen_ai.agent.name"]

Traces, metrics and log records come in over HTTP as protobuf, compressed or not.
"""

from __future__ import annotations

import gzip
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from tests.support.server import Answer, Behaviour, Exchange, Request, Script, ScriptedServer

__all__ = [
    "OtlpSink",
    "Partial",
    "ReceivedLog",
    "ReceivedMetric",
    "ReceivedSpan",
    "finished_span",
    "keeping",
    "partly",
    "poisoned_by",
    "saying",
    "span_names",
]

Attributes = dict[str, Any]

_REQUESTS: dict[str, Any] = {
    "/v1/traces": trace_service_pb2.ExportTraceServiceRequest,
    "/v1/logs": logs_service_pb2.ExportLogsServiceRequest,
    "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest,
}
_REPLIES: dict[str, tuple[Any, str]] = {
    "/v1/traces": (trace_service_pb2.ExportTraceServiceResponse, "rejected_spans"),
    "/v1/logs": (logs_service_pb2.ExportLogsServiceResponse, "rejected_log_records"),
    "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceResponse, "rejected_data_points"),
}


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it arrived: ids in hex ("" for none), attributes as plain values, times in nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: list[tuple[str, Attributes, int]]
    links: list[tuple[str, str, Attributes]]
    status: str
    message: str
    flags: int
    trace_state: str
    dropped_events: int
    resource: Attributes
    scope: str
    schema_url: str


@dataclass(frozen=True, slots=True)
class ReceivedLog:
    """A log record as it arrived."""

    event_name: str
    body: Any
    severity: int
    severity_text: str
    time_ns: int
    attributes: Attributes
    trace_id: str
    span_id: str
    resource: Attributes


@dataclass(frozen=True, slots=True)
class ReceivedMetric:
    """A metric as it arrived; `points` are protobuf data points."""

    name: str
    unit: str
    kind: str
    points: list[Any]
    resource: Attributes
    scope: str

    def values(self) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Return each point's value, or a histogram's (count, sum), by its sorted attributes."""
        return {
            tuple(sorted(_attributes(point.attributes).items())): _value_of(point) for point in self.points
        }


@dataclass(frozen=True, slots=True)
class Partial:
    """A body of an answer 200 that rejects some items, or none and only warns."""

    rejected: int
    message: str


def partly(rejected: int, message: str = "") -> Answer:
    """200 with partial success; the whole request still counts as taken."""
    return Answer(body=Partial(rejected, message))


def saying(status: int, message: str) -> Answer:
    """An error with a google.rpc.Status in protobuf, as the specification wants it."""
    return Answer(status=status, body=Status(code=3, message=message))


def span_names(request: Request) -> list[str]:
    """Names of the spans in a request; empty for any other signal."""
    return [span.name for span in _spans(request)]


def poisoned_by(name: str, status: int = 400) -> Script:
    """Take everything but requests that hold a span with that name."""
    return lambda request: saying(status, "bad span") if name in span_names(request) else Answer()


def keeping(takes: Callable[[str], bool], message: str = "not this one") -> Script:
    """Take the spans with names for which `takes` is true, and name the number of the others."""

    def answer(request: Request) -> Answer:
        rejected = sum(not takes(name) for name in span_names(request))
        return partly(rejected, message) if rejected else Answer()

    return answer


def finished_span(name: str, **attributes: Any) -> ReadableSpan:
    """Return a finished root span of a trace of its own."""
    context = SpanContext(
        random.getrandbits(128) or 1, random.getrandbits(64) or 1, is_remote=False, trace_flags=TraceFlags(1)
    )
    now = time.time_ns()
    return ReadableSpan(
        name,
        context,
        resource=Resource({"service.name": "tested"}),
        attributes=attributes,
        start_time=now - 1_000_000,
        end_time=now,
        instrumentation_scope=InstrumentationScope("tests"),
    )


class OtlpSink(ScriptedServer):
    """A loopback OTLP/HTTP receiver for one test; use it as a context manager."""

    def spans(self) -> list[ReceivedSpan]:
        """Every span in a request that was answered with 200, in order of arrival; repeated ones too."""
        return [span for request in self._taken("/v1/traces") for span in _spans(request)]

    def logs(self) -> list[ReceivedLog]:
        """Every log record that was taken."""
        return [record for request in self._taken("/v1/logs") for record in _logs(request)]

    def metrics(self) -> list[ReceivedMetric]:
        """Every metric of every export that was taken, oldest first."""
        return [metric for request in self._taken("/v1/metrics") for metric in _metrics(request)]

    def metric(self, name: str) -> ReceivedMetric:
        """The newest state of a metric.

        Raises:
            AssertionError: it never came.
        """
        found = [metric for metric in self.metrics() if metric.name == name]
        assert found, f"no metric {name!r}, only {sorted({metric.name for metric in self.metrics()})}"
        return found[-1]

    def names(self) -> Counter[str]:
        """How often each span name arrived."""
        return Counter(span.name for span in self.spans())

    def repeats(self) -> dict[str, int]:
        """Ids of spans that were taken more than once, and how often."""
        counts = Counter(span.span_id for span in self.spans())
        return {span_id: times for span_id, times in counts.items() if times > 1}

    def exchanges_of(self, path: str) -> list[Exchange]:
        """Every request to a path, with its answer."""
        return [exchange for exchange in self.exchanges if exchange.request.path == path]

    def _taken(self, path: str) -> Iterator[Request]:
        for request, answer in ((each.request, each.answer) for each in self.exchanges_of(path)):
            if answer.behaviour is Behaviour.NORMAL and answer.status == 200:
                yield request

    def _summary(self) -> str:
        statuses = Counter(
            f"{exchange.request.path} {exchange.answer.status} {exchange.answer.behaviour.name}"
            for exchange in self._exchanges
        )
        return f"answers {dict(statuses)}, spans {dict(self.names())}, invalid: {self._violations}"

    # -- what a HiveBoard does otherwise

    def _decide(self, request: Request) -> tuple[Answer, bytes]:
        with self._changed:
            answer = self._check(request, self._next_answer(request))
            self._exchanges.append(Exchange(request, answer))
            self._changed.notify_all()
        return answer, _encoded(answer, request.path)

    def _check(self, request: Request, answer: Answer) -> Answer:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return saying(401, "no such key")
        if answer.behaviour is not Behaviour.NORMAL or answer.status != 200:
            return answer
        wrong = list(_violations(request))
        self._violations.extend(wrong)
        return saying(400, wrong[0]) if wrong else answer

    def _take(self, request: Request, answer: Answer) -> None:
        """Nothing to note: the exchanges say it all."""


def _violations(request: Request) -> Iterable[str]:
    """What an OTLP receiver checks of a request."""
    if request.method != "POST" or request.path not in _REQUESTS:
        yield f"{request.method} {request.path}"
        return
    if request.headers.get("content-type") != "application/x-protobuf":
        yield f"content type {request.headers.get('content-type')}"
    for span in _spans(request):
        if len(span.trace_id) != 32 or len(span.span_id) != 16:
            yield f"span {span.name!r} with ids {span.trace_id!r}, {span.span_id!r}"
        if not span.start_ns or span.end_ns < span.start_ns:
            yield f"span {span.name!r} from {span.start_ns} to {span.end_ns}"


def _encoded(answer: Answer, path: str) -> bytes:
    body = answer.body
    if isinstance(body, bytes):
        content, kind = body, "text/plain"
    elif isinstance(body, str):
        content, kind = body.encode(), "text/html"
    elif isinstance(body, Status):
        content, kind = body.SerializeToString(), "application/x-protobuf"
    else:
        content, kind = _reply(path, body), "application/x-protobuf"
    if answer.behaviour is Behaviour.RESET:
        content = content or bytes(64)  # so that half of it is missing
    headers = {"Content-Type": kind, "Content-Length": str(len(content)), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def _reply(path: str, body: object) -> bytes:
    if path not in _REPLIES:
        return b""
    message, field = _REPLIES[path]
    reply = message()
    if isinstance(body, Partial):
        setattr(reply.partial_success, field, body.rejected)
        reply.partial_success.error_message = body.message
    content: bytes = reply.SerializeToString()
    return content


# -- decoding -----------------------------------------------------------------------------------


def _decoded(request: Request) -> Any:
    body = request.body
    match request.headers.get("content-encoding"):
        case "gzip":
            body = gzip.decompress(body)
        case "deflate":
            body = zlib.decompress(body)
    return _REQUESTS[request.path].FromString(body)


def _spans(request: Request) -> Iterator[ReceivedSpan]:
    if request.path != "/v1/traces":
        return
    for group in _decoded(request).resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield _span(span, resource, scope)


def _span(span: Any, resource: Attributes, scope: Any) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=[(each.name, _attributes(each.attributes), each.time_unix_nano) for each in span.events],
        links=[
            (each.trace_id.hex(), each.span_id.hex(), _attributes(each.attributes)) for each in span.links
        ],
        status=span.status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        message=span.status.message,
        flags=span.flags,
        trace_state=span.trace_state,
        dropped_events=span.dropped_events_count,
        resource=resource,
        scope=scope.scope.name,
        schema_url=scope.schema_url,
    )


def _logs(request: Request) -> Iterator[ReceivedLog]:
    for group in _decoded(request).resource_logs:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_logs:
            for record in scope.log_records:
                yield ReceivedLog(
                    event_name=record.event_name,
                    body=_plain(record.body),
                    severity=record.severity_number,
                    severity_text=record.severity_text,
                    time_ns=record.time_unix_nano,
                    attributes=_attributes(record.attributes),
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    resource=resource,
                )


def _metrics(request: Request) -> Iterator[ReceivedMetric]:
    for group in _decoded(request).resource_metrics:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points = list(getattr(metric, kind).data_points)
                yield ReceivedMetric(metric.name, metric.unit, kind, points, resource, scope.scope.name)


def _value_of(point: Any) -> Any:
    names = [field.name for field in point.DESCRIPTOR.fields]
    if "as_int" in names:
        return getattr(point, point.WhichOneof("value"))
    return point.count, point.sum


def _attributes(pairs: Iterable[Any]) -> Attributes:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return None
        case "array_value":
            return tuple(_plain(each) for each in value.array_value.values)
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case _:
            return getattr(value, kind)
