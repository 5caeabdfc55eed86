"""Where metrics go: a provider of the application's, a reader of the application's, or OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hiveloop._guard import contain, notice
from hiveloop._shape import kind_of
from hiveloop.errors import HiveLoopConfigError
from hiveloop.transport import Delivered

from ._environment import OtlpSettings, otlp_settings, sdk_disabled
from ._exporters import otlp_exporter
from ._metrics import Meters
from ._quiet import quietly, within

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from ._session import OtlpSession

__all__ = ["MeterSource", "meter_source"]

SHORTEST_SHUTDOWN_SECONDS = 1.0


class MeterSource:
    """Looks after a meter provider, which is made when the first event says what the resource is.

    This one has none: nobody wants metrics.
    """

    def __init__(self) -> None:
        self._provider: Any = None

    def meters(self, resource: Resource, dialect: str) -> Meters | None:
        """Return the instruments; None when nobody wants metrics.

        Args:
            resource: what the metrics come from.
            dialect: of the names.
        """
        if self._provider is None:
            self._provider = self._build(resource)
        return None if self._provider is None else Meters(self._provider, dialect)

    def _build(self, resource: Resource) -> Any:
        return None

    def flush(self, timeout: float) -> bool:
        """Have what was counted so far exported; True when that was in time, whether or not it arrived."""
        flush: object = getattr(self._provider, "force_flush", None)
        if not callable(flush):
            return True
        return within(timeout, lambda: flush(timeout * 1000), "meter_provider.force_flush")

    def close(self, timeout: float) -> None:
        """Export a last time, within `timeout` seconds, and end the threads that are ours."""
        provider = self._provider
        if provider is not None:
            # The SDK raises when it finds its own time over; ours is kept by not waiting any longer.
            given = max(timeout, SHORTEST_SHUTDOWN_SECONDS) * 1000
            within(timeout, lambda: provider.shutdown(given), "meter_provider.shutdown")

    def renew(self) -> None:
        """Forget what belongs to the parent; for the child of a fork."""


class _GivenProvider(MeterSource):
    """A provider of the application's, which has its own resource and is shut down by the application."""

    def __init__(self, provider: Any) -> None:
        super().__init__()
        self._provider = provider

    def close(self, timeout: float) -> None:
        self.flush(timeout)


class _GivenReader(MeterSource):
    """A reader of the application's; it can be part of one provider only, so a child of a fork keeps that."""

    def __init__(self, reader: Any) -> None:
        super().__init__()
        self._reader = reader

    def _build(self, resource: Resource) -> Any:
        return _provider_of(self._reader, resource)


class _Otlp(MeterSource):
    """A provider of ours that exports by OTLP every ``OTEL_METRIC_EXPORT_INTERVAL`` milliseconds (60 000).

    A failed export is not repeated: the next one carries the sums anyway. It is logged at most once a minute.
    """

    def __init__(self, settings: OtlpSettings) -> None:
        super().__init__()
        self._settings = settings
        self._exporter = _QuietExporter(settings)

    def _build(self, resource: Resource) -> Any:
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        if self._exporter.muted:
            self._exporter = _QuietExporter(self._settings)
        return _provider_of(PeriodicExportingMetricReader(self._exporter.exporter), resource)

    def flush(self, timeout: float) -> bool:
        self._exporter.limit = timeout
        try:
            return super().flush(timeout)
        finally:
            self._exporter.limit = None

    def close(self, timeout: float) -> None:
        self._exporter.limit = timeout
        super().close(timeout)

    def renew(self) -> None:
        self._exporter.muted = True  # the SDK starts the thread of the parent's reader again, here
        self._provider = None


def _provider_of(reader: Any, resource: Resource) -> Any:
    from opentelemetry.sdk.metrics import MeterProvider

    return MeterProvider([reader], resource, shutdown_on_exit=False)


class _QuietExporter:
    """The SDK's metric exporter, neither traced nor heard in the log, on a session of ours.

    Attributes:
        exporter: for a reader.
        limit: seconds one export may take, when somebody waits for it.
        muted: exports nothing.
    """

    def __init__(self, settings: OtlpSettings) -> None:
        self.limit: float | None = None
        self.muted = False
        self._settings = settings
        self._session: OtlpSession | None = None
        with quietly():
            self.exporter = self._build()
        self._export = self.exporter.export
        self.exporter.export = self.export

    def _build(self) -> Any:
        if self._settings.protocol != "http/protobuf":
            return otlp_exporter(self._settings)
        from ._session import OtlpSession

        self._session = OtlpSession(self._settings)
        return otlp_exporter(self._settings, session=self._session)

    def export(self, metrics_data: Any, timeout_millis: float = 10_000, **options: Any) -> object:
        """Stand in for the exporter's method."""
        from opentelemetry.sdk.metrics.export import MetricExportResult

        if self.muted:
            return MetricExportResult.SUCCESS
        if self._session is not None:
            self._session.expect(self._settings.timeout if self.limit is None else self.limit)
        with quietly() as said:
            result = contain(
                "otel.metrics", self._attempt, metrics_data, timeout_millis, options, default=None
            )
        if result is not MetricExportResult.SUCCESS:
            notice("otel.metrics", "hiveloop: otel: metrics not exported: %s", self._reason(said))
        return result or MetricExportResult.FAILURE

    def _attempt(self, data: Any, timeout_millis: float, options: Mapping[str, Any]) -> object:
        from ._session import UndeliveredError

        try:
            return self._export(data, timeout_millis=timeout_millis, **options)
        except UndeliveredError:  # older releases let what a session raises through
            return None

    def _reason(self, said: list[str]) -> str:
        outcome = None if self._session is None else self._session.outcome
        if outcome is None or isinstance(outcome, Delivered):
            return said[-1] if said else "the exporter failed"
        return outcome.reason


def meter_source(
    *,
    enabled: bool = False,
    provider: object = None,
    reader: object = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> MeterSource:
    """Return where metrics go.

    Args:
        enabled: by OTLP, as the OTEL_* variables say, unless one of the next two is given.
        provider: of the application, which shuts it down itself.
        reader: any reader of the SDK's kind; shut down with the transport.
        endpoint: base address of an OTLP receiver, or the full URL of any signal.
        headers: for each request to it.
        timeout: seconds one request to it may take.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right, or a package is missing.
    """
    if provider is not None and reader is not None:
        raise HiveLoopConfigError(
            "meter_provider= and metric_reader= exclude each other: give the reader to the provider"
        )
    if provider is not None:
        _check("meter_provider", provider, "get_meter")
    if reader is not None:
        _check("metric_reader", reader, "collect")
    if sdk_disabled():
        return MeterSource()
    if provider is not None:
        return _GivenProvider(provider)
    if reader is not None:
        return _GivenReader(reader)
    if not enabled:
        return MeterSource()
    return _Otlp(otlp_settings("metrics", endpoint=endpoint, headers=headers, timeout=timeout))


def _check(name: str, value: object, method: str) -> None:
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        shown = value.__name__ if isinstance(value, type) else f"{kind_of(value).__name__}(...)"
        raise HiveLoopConfigError(
            f"{name}={shown} is not valid: give an object of OpenTelemetry's SDK for {name}="
        )
