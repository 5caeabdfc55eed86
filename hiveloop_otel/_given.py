"""What an application hands over to take its spans and log records: exporters, processors, providers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hiveloop._guard import contain
from hiveloop._shape import kind_of
from hiveloop.errors import HiveLoopConfigError
from hiveloop.transport import Delivered, Outcome, Retry

from ._quiet import quietly, within

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = [
    "FAILED",
    "Exporter",
    "ExporterTarget",
    "Nowhere",
    "ProcessorTarget",
    "TargetBase",
    "exporter_target",
    "processor_target",
    "provider_target",
]

FAILED = object()
"""Stands for the result of an exporter that raised."""


class Exporter(Protocol):
    """What exporters of spans and of log records have in common."""

    def export(self, batch: Any, /) -> object:
        """Send a batch; a result named FAILURE says that it did not arrive."""
        ...

    def shutdown(self) -> object:
        """End all activity."""
        ...


class TargetBase:
    """What most targets have in common: nothing of their own to flush, close or renew."""

    resource: Resource | None = None
    sampler: Sampler | None = None

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> None:
        return None

    def renew(self) -> None:
        return None


class Nowhere(TargetBase):
    """Takes everything and forgets it, as ``OTEL_SDK_DISABLED`` asks for."""

    def export(self, items: Sequence[object], timeout: float) -> Outcome:
        """Say that all arrived."""
        return Delivered()


class ExporterTarget(TargetBase):
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
            result = contain(f"{name}.export", self._exporter.export, items, default=FAILED)
        if result is not FAILED and getattr(result, "name", "") != "FAILURE":
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


class ProcessorTarget(TargetBase):
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


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


# -- checked arguments --------------------------------------------------------------------------


def exporter_target(name: str, value: object) -> ExporterTarget:
    """Return a target for the exporter given as argument `name`.

    Raises:
        HiveLoopConfigError: it is none.
    """
    return ExporterTarget(_having(name, value, "export", "shutdown"))


def processor_target(name: str, value: object) -> ProcessorTarget:
    """Return a target for the span processor given as argument `name`.

    Raises:
        HiveLoopConfigError: it is none.
    """
    return ProcessorTarget(_having(name, value, "on_end", "force_flush", "shutdown"))


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


def provider_target(provider: object) -> ProcessorTarget:
    """Return a target for the processors of an SDK's provider, whichever it has at the time of a span.

    Raises:
        HiveLoopConfigError: it is no such provider, or it does not let its processors be found.
    """
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
