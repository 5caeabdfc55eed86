"""Where finished spans and log records go, and how it went.

A target makes one attempt and tells the engine the outcome; the queue, the back-off, the halving that finds
a poison span and the counting of drops are the engine's, for each target alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from opentelemetry.sdk.trace import ReadableSpan

from hiveloop.errors import HiveLoopConfigError
from hiveloop.transport import Delivered, Outcome

from ._environment import otlp_settings, sdk_disabled
from ._given import Nowhere, exporter_target, processor_target, provider_target
from ._logs import LogSink, logs_available
from ._metering import MeterSource, meter_source
from ._otlp import otlp_target

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from ._content import MappingOptions
    from ._session import OnRejected

__all__ = [
    "LogTarget",
    "MeterSource",
    "SpanTarget",
    "Target",
    "log_target",
    "meter_source",
    "sdk_disabled",
    "span_target",
]

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


SpanTarget = Target[ReadableSpan]


class LogTarget:
    """Where log records go; nowhere, when nobody wants any.

    Args:
        target: takes what the SDK's exporters of log records take, whose class differs between releases.
    """

    def __init__(self, target: Target[ReadableLogRecord] | None) -> None:
        self._target = target

    def sink(
        self, resource: Resource, scope: InstrumentationScope, options: MappingOptions | None = None
    ) -> LogSink | None:
        """Return what makes records and sends them here; None when nobody wants any."""
        return None if self._target is None else LogSink(self, resource, scope, options)

    def export(self, items: Sequence[ReadableLogRecord], timeout: float) -> Outcome:
        """Make one attempt, within `timeout` seconds where the exporter can keep a time."""
        return Delivered() if self._target is None else self._target.export(items, timeout)

    def flush(self, timeout: float) -> bool:
        """Flush an exporter that buffers."""
        return self._target is None or self._target.flush(timeout)

    def close(self, timeout: float) -> None:
        """Shut the exporter down."""
        if self._target is not None:
            self._target.close(timeout)

    def renew(self) -> None:
        """Connect anew at the next export; for the child of a fork."""
        if self._target is not None:
            self._target.renew()


# -- from arguments to targets ------------------------------------------------------------------


def span_target(
    *,
    span_exporter: object = None,
    span_processor: object = None,
    tracer_provider: object = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    address_shared: bool = False,
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
        address_shared: metrics or log records go to that receiver too, so it may stand beside a target.
        on_rejected: told how many spans the OTLP receiver rejected, and why.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right, or a package is missing.
    """
    targets = {
        "span_exporter": span_exporter,
        "span_processor": span_processor,
        "tracer_provider": tracer_provider,
    }
    address = {} if address_shared else {"endpoint": endpoint, "headers": headers, "timeout": timeout}
    chosen = _the_only_one(targets, address)
    if sdk_disabled():
        return Nowhere()
    if chosen == "span_exporter":
        return exporter_target("span_exporter", span_exporter)
    if chosen == "span_processor":
        return processor_target("span_processor", span_processor)
    if chosen == "tracer_provider":
        return provider_target(tracer_provider)
    return otlp_target(
        otlp_settings("traces", endpoint=endpoint, headers=headers, timeout=timeout), on_rejected
    )


def log_target(
    *,
    enabled: bool = False,
    exporter: object = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_rejected: OnRejected | None = None,
) -> LogTarget:
    """Return where log records go.

    Args:
        enabled: by OTLP, as the OTEL_* variables say, unless an exporter is given.
        exporter: any exporter of log records of the SDK's kind; shut down with the transport.
        endpoint: base address of an OTLP receiver, or the full URL of any signal.
        headers: for each request to it.
        timeout: seconds one request to it may take.
        on_rejected: told how many records the OTLP receiver rejected, and why.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right, or a package is missing.
    """
    given = None if exporter is None else exporter_target("log_exporter", exporter)
    if sdk_disabled() or not (enabled or given):
        return LogTarget(None)
    if not logs_available():
        raise HiveLoopConfigError(
            "logs=True does not work with this release of opentelemetry-sdk, which has other classes for log"
            " records: leave it out, or install 1.39 to 1.45"
        )
    if given is not None:
        return LogTarget(given)
    settings = otlp_settings("logs", endpoint=endpoint, headers=headers, timeout=timeout)
    return LogTarget(otlp_target(settings, on_rejected))


def _the_only_one(targets: Mapping[str, object], address: Mapping[str, object]) -> str | None:
    """Return the name of the target that was given, if any; two make no sense together."""
    given = [name for name, value in targets.items() if value is not None]
    extra = [name for name, value in address.items() if value is not None]
    if len(given) > 1 or (given and extra):
        names = " and ".join(f"{name}=" for name in (*given, *extra))
        raise HiveLoopConfigError(f"{names} exclude each other: give one place for the spans to go to")
    return given[0] if given else None
