"""Where finished spans and log records go, and how it went.

A target makes one attempt and tells the engine the outcome; the queue, the back-off, the halving that finds
a poison span and the counting of drops are the engine's, for each target alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from hiveloop._guard import contain
from hiveloop._shape import kind_of
from hiveloop.errors import HiveLoopConfigError
from hiveloop.transport import Delivered, Outcome, Refused, Retry

from ._environment import OtlpSettings, otlp_settings, sdk_disabled
from ._exporters import otlp_exporter
from ._metering import MeterSource, meter_source
from ._quiet import quietly, within

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler

    from ._session import OnRejected, OtlpSession

__all__ = ["LogTarget", "MeterSource", "SpanTarget", "log_target", "meter_source", "span_target"]

T_contra = TypeVar("T_contra", contravariant=True)


class Target(Protocol[T_contra]):
    """Takes items of one kind out of the process, one request at a time, on the delivery thread."""

    @property
    def resource(self) -> Resource | None:
        """What the items must say they come from; None where the transport's own applies."""
        ...

    @property
    def sampler(self) -> Sampler | None:
        """Decides which roots are recorded; None where the transport's own applies."""
        ...

    def export(self, items: Sequence[T_contra], timeout: float) -> Outcome:
        """Make one attempt, within `timeout` seconds where the target can keep a time."""
        ...

    def flush(self, timeout: float) -> bool:
        """Pass on what a processor or exporter of the user's buffers; True when that was in time."""
        ...

    def close(self, timeout: float) -> None:
        """Release what is ours, and what was handed to us, within `timeout` seconds."""
        ...

    def renew(self) -> None:
        """Forget connections and threads of the parent; for the child of a fork."""
        ...


SpanTarget = Target["ReadableSpan"]
LogTarget = Target[Any]
"""Takes what the SDK's log exporters take, whose class differs between releases."""


@runtime_checkable
class Exporter(Protocol):
    """What exporters of spans and of log records have in common."""

    def export(self, batch: Any, /) -> object:
        """Send a batch; a result named FAILURE says that it did not arrive."""
        ...

    def shutdown(self) -> object:
        """End all activity."""
        ...


class _Base:
    resource: Resource | None = None
    sampler: Sampler | None = None

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> None:
        return None

    def renew(self) -> None:
        return None


class Nowhere(_Base):
    """Takes everything and forgets it, as ``OTEL_SDK_DISABLED`` asks for."""

    def export(self, items: Sequence[object], timeout: float) -> Outcome:
        """Say that all arrived."""
        return Delivered()


class ExporterTarget(_Base):
    """An exporter that is not ours: it keeps no deadline, and gives no reason for a failure.

    A FAILURE or an exception is retried, and casts suspicion on the batch. Whatever else `export` returns,
    even nothing, counts as success, as it does with the SDK's own processors.

    Args:
        exporter: of spans or of log records; shut down by `close`.
    """

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def export(self, items: Sequence[Any], timeout: float) -> Outcome:
        """Hand a batch to the exporter."""
        name = kind_of(self._exporter).__name__
        if not items:
            return Delivered()
        with quietly() as said:
            result = contain(f"{name}.export", self._exporter.export, items, default=_FAILED)
        if result is not _FAILED and getattr(result, "name", "") != "FAILURE":
            return Delivered()
        return Retry(f"{name} failed{f': {said[-1]}' if said else ''}", suspect=True)

    def flush(self, timeout: float) -> bool:
        """Flush an exporter that buffers."""
        force_flush: object = getattr(self._exporter, "force_flush", None)
        if not callable(force_flush):
            return True
        return within(timeout, lambda: force_flush(_milliseconds(timeout)), "exporter.force_flush")

    def close(self, timeout: float) -> None:
        """Shut the exporter down."""
        within(timeout, self._exporter.shutdown, "exporter.shutdown")


class OtlpHttpTarget(_Base):
    """The OTLP exporter of the SDK on a session of ours: one attempt each, the outcome known.

    Args:
        settings: where and how.
        on_rejected: told how many items a receiver rejected, and why.
    """

    def __init__(self, settings: OtlpSettings, on_rejected: OnRejected | None = None) -> None:
        self._settings = settings
        self._on_rejected = on_rejected
        self._connected: tuple[Exporter, OtlpSession] | None = self._connect()

    def __repr__(self) -> str:
        return f"OtlpHttpTarget({self._settings.address!r})"

    def export(self, items: Sequence[Any], timeout: float) -> Outcome:
        """Make one request."""
        if not items:
            return Delivered()
        if self._connected is None:
            self._connected = self._connect()
        exporter, session = self._connected
        session.expect(timeout)
        with quietly() as said:
            result = contain("otlp.export", _export, exporter, items, default=_FAILED)
        if session.outcome is not None:
            return session.outcome
        if result is _FAILED or getattr(result, "name", "") == "FAILURE":  # no request was made
            return Refused(f"cannot be encoded{f': {said[-1]}' if said else ''}")
        return Delivered()

    def close(self, timeout: float) -> None:
        """Close the connection."""
        if self._connected is not None:
            with quietly():
                contain("otlp.shutdown", self._connected[0].shutdown, default=None)

    def renew(self) -> None:
        """Connect anew at the next export; the parent's connection is left alone."""
        self._connected = None

    def _connect(self) -> tuple[Exporter, OtlpSession]:
        from ._session import OtlpSession

        settings = self._settings
        session = OtlpSession(settings, on_rejected=self._on_rejected)
        with quietly():
            return otlp_exporter(settings, session=session), session


def _export(exporter: Exporter, items: Sequence[Any]) -> object:
    from ._session import UndeliveredError

    try:
        return exporter.export(items)
    except UndeliveredError:  # older releases let what a session raises through
        return None


class ProcessorTarget(_Base):
    """Processors of the application: each finished span is handed to ``on_end``, without retries.

    Args:
        processor: gets the spans.
        provider: of which the processors are; None for a processor that was handed to us, which `close`
            shuts down.
    """

    def __init__(self, processor: Any, provider: TracerProvider | None = None) -> None:
        self._processor = processor
        self._owned = provider is None
        if provider is not None:
            self.resource, self.sampler = provider.resource, provider.sampler

    def export(self, items: Sequence[ReadableSpan], timeout: float) -> Outcome:
        """Hand each span over; one on which a processor fails is lost to it."""
        with quietly():
            for span in items:
                contain("span_processor.on_end", self._processor.on_end, span, default=None)
        return Delivered()

    def flush(self, timeout: float) -> bool:
        """Flush the processors; those of the SDK ignore a timeout, so nobody waits for them beyond it."""
        flush: Callable[[int], object] = self._processor.force_flush
        return within(timeout, lambda: flush(_milliseconds(timeout)), "span_processor.force_flush")

    def close(self, timeout: float) -> None:
        """Shut down a processor that was handed to us; those of a provider stay the application's."""
        if self._owned:
            within(timeout, self._processor.shutdown, "span_processor.shutdown")


_FAILED = object()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


# -- from arguments to targets ------------------------------------------------------------------


def span_target(
    *,
    span_exporter: object = None,
    span_processor: object = None,
    tracer_provider: object = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_rejected: OnRejected | None = None,
) -> SpanTarget:
    """Return where spans go: to one of the objects given, else by OTLP as the OTEL_* variables say.

    Args:
        span_exporter: any exporter of the SDK's kind; shut down with the transport.
        span_processor: gets each finished span in ``on_end``; shut down with the transport.
        tracer_provider: its processors get the spans; its resource and its sampler apply.
        endpoint: base address of an OTLP receiver, or its full ``.../v1/traces``.
        headers: for each request to it.
        timeout: seconds one request to it may take.
        on_rejected: told how many spans the OTLP receiver rejected, and why.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right, or a package is missing.
    """
    targets = {
        "span_exporter": span_exporter,
        "span_processor": span_processor,
        "tracer_provider": tracer_provider,
    }
    address = {"endpoint": endpoint, "headers": headers, "timeout": timeout}
    chosen = _the_only_one(targets, address)
    if sdk_disabled():
        return Nowhere()
    if chosen == "span_exporter":
        return ExporterTarget(_exporter_given("span_exporter", span_exporter))
    if chosen == "span_processor":
        return ProcessorTarget(_having("span_processor", span_processor, "on_end", "force_flush", "shutdown"))
    if chosen == "tracer_provider":
        return _provider_target(tracer_provider)
    return otlp_target(
        otlp_settings("traces", endpoint=endpoint, headers=headers, timeout=timeout), on_rejected
    )


def log_target(
    *,
    log_exporter: object = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_rejected: OnRejected | None = None,
) -> LogTarget:
    """Return where log records go; see `span_target`."""
    if sdk_disabled():
        return Nowhere()
    if log_exporter is not None:
        return ExporterTarget(_exporter_given("log_exporter", log_exporter))
    return otlp_target(
        otlp_settings("logs", endpoint=endpoint, headers=headers, timeout=timeout), on_rejected
    )


def otlp_target(settings: OtlpSettings, on_rejected: OnRejected | None = None) -> Target[Any]:
    """Return a target for OTLP over the protocol of the settings."""
    match settings.protocol:
        case "grpc":
            from ._grpc import GrpcTarget

            return GrpcTarget(settings, on_rejected)
        case "http/json":  # its exporter takes no session, so it is like any other to us
            return ExporterTarget(otlp_exporter(settings))
        case _:
            return OtlpHttpTarget(settings, on_rejected)


def _the_only_one(targets: Mapping[str, object], address: Mapping[str, object]) -> str | None:
    """Return the name of the target that was given, if any; two make no sense together."""
    given = [name for name, value in targets.items() if value is not None]
    extra = [name for name, value in address.items() if value is not None]
    if len(given) > 1 or (given and extra):
        names = " and ".join(f"{name}=" for name in (*given, *extra))
        raise HiveLoopConfigError(f"{names} exclude each other: give one place for the spans to go to")
    return given[0] if given else None


def _exporter_given(name: str, value: object) -> Exporter:
    _having(name, value, "export", "shutdown")
    assert isinstance(value, Exporter)  # noqa: S101 - narrows what was just checked
    return value


def _having(name: str, value: object, *methods: str) -> Any:
    """Return an object that has the methods, or say what is wrong with it."""
    if isinstance(value, type):
        raise HiveLoopConfigError(
            f"{name}={value.__name__} is a class: pass an object, {value.__name__}(...)"
        )
    missing = [method for method in methods if not callable(getattr(value, method, None))]
    if missing:
        raise HiveLoopConfigError(
            f"{name}={kind_of(value).__name__}(...) is not valid: it has no method {missing[0]!r};"
            f" give an object of OpenTelemetry's SDK for {name}="
        )
    return value


def _provider_target(provider: object) -> ProcessorTarget:
    from opentelemetry.sdk.trace import TracerProvider

    if not isinstance(provider, TracerProvider):
        raise HiveLoopConfigError(
            f"tracer_provider={kind_of(provider).__name__} is not valid: give an"
            " opentelemetry.sdk.trace.TracerProvider"
        )
    processor: object = getattr(provider, "_active_span_processor", None)
    if not callable(getattr(processor, "on_end", None)):
        raise HiveLoopConfigError(
            "tracer_provider= does not work with this release of opentelemetry-sdk, which hides the"
            " processors of a provider: use span_processor= or span_exporter="
        )
    return ProcessorTarget(processor, provider)
