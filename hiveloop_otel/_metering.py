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
from ._quiet import quietly, within

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource

    from ._session import OtlpSession

__all__ = ["MeterSource", "meter_source"]


class MeterSource:
    """A meter provider and who looks after it.

    Args:
        provider: of the application, or ours round a reader of the application's.
        owned: it is shut down by `close`; otherwise only flushed.
    """

    def __init__(self, provider: Any, *, owned: bool) -> None:
        self._provider = provider
        self._owned = owned

    @property
    def provider(self) -> MeterProvider:
        """Where instruments come from; another one in the child of a fork, if it is ours."""
        provider: MeterProvider = self._provider
        return provider

    def flush(self, timeout: float) -> bool:
        """Have what was counted so far exported; True when that was in time, whether or not it arrived."""
        flush: object = getattr(self._provider, "force_flush", None)
        if not callable(flush):
            return True
        return within(timeout, lambda: flush(timeout * 1000), "meter_provider.force_flush")

    def close(self, timeout: float) -> None:
        """Export a last time and end the reader's thread, if the provider is ours, within `timeout`."""
        if self._owned:
            within(timeout, lambda: self._provider.shutdown(timeout * 1000), "meter_provider.shutdown")
        else:
            self.flush(timeout)

    def renew(self) -> None:
        """Forget what belongs to the parent; for the child of a fork."""


class OtlpMeterSource(MeterSource):
    """A provider of ours that exports by OTLP every ``OTEL_METRIC_EXPORT_INTERVAL`` milliseconds (60 000).

    A failed export is not repeated: the next one carries the sums anyway. It is logged at most once a minute.

    Args:
        settings: where and how.
        resource: what the metrics come from.
    """

    def __init__(self, settings: OtlpSettings, resource: Resource) -> None:
        self._settings = settings
        self._resource = resource
        self._exporter = _QuietExporter(settings)
        super().__init__(self._build(), owned=True)

    def _build(self) -> Any:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        reader = PeriodicExportingMetricReader(self._exporter.exporter)
        return MeterProvider([reader], self._resource, shutdown_on_exit=False)

    @property
    def provider(self) -> MeterProvider:
        """Where instruments come from; another one in the child of a fork."""
        if self._provider is None:
            self._exporter = _QuietExporter(self._settings)
            self._provider = self._build()
        return super().provider

    def flush(self, timeout: float) -> bool:
        """Have what was counted so far exported."""
        self._exporter.limit = timeout
        try:
            return self._provider is None or super().flush(timeout)
        finally:
            self._exporter.limit = None

    def close(self, timeout: float) -> None:
        """Export a last time and end the reader's thread, within `timeout`."""
        self._exporter.limit = timeout
        if self._provider is not None:
            super().close(timeout)

    def renew(self) -> None:
        """Silence the parent's reader, whose thread the SDK starts again here, and count from zero."""
        self._exporter.muted = True
        self._provider = None


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
    metrics: bool,
    resource: Resource,
    meter_provider: object = None,
    metric_reader: object = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> MeterSource | None:
    """Return where metrics go; None when nobody wants any.

    Args:
        metrics: by OTLP, as the OTEL_* variables say, unless one of the next two is given.
        resource: what the metrics come from; a provider of the application's has its own.
        meter_provider: of the application, which shuts it down itself.
        metric_reader: any reader of the SDK's kind; shut down with the transport.
        endpoint: base address of an OTLP receiver, or the full URL of any signal.
        headers: for each request to it.
        timeout: seconds one request to it may take.

    Raises:
        HiveLoopConfigError: an argument or a variable cannot be right, or a package is missing.
    """
    if meter_provider is not None and metric_reader is not None:
        raise HiveLoopConfigError(
            "meter_provider= and metric_reader= exclude each other: give the reader to the provider"
        )
    if sdk_disabled():
        return None
    if meter_provider is not None:
        return MeterSource(_checked("meter_provider", meter_provider, "get_meter"), owned=False)
    if metric_reader is not None:
        return _read_by(_checked("metric_reader", metric_reader, "collect"), resource)
    if not metrics:
        return None
    return OtlpMeterSource(
        otlp_settings("metrics", endpoint=endpoint, headers=headers, timeout=timeout), resource
    )


def _checked(name: str, value: object, method: str) -> Any:
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        shown = value.__name__ if isinstance(value, type) else f"{kind_of(value).__name__}(...)"
        raise HiveLoopConfigError(
            f"{name}={shown} is not valid: give an object of OpenTelemetry's SDK for {name}="
        )
    return value


def _read_by(reader: Any, resource: Resource) -> MeterSource:
    from opentelemetry.sdk.metrics import MeterProvider

    return MeterSource(MeterProvider([reader], resource, shutdown_on_exit=False), owned=True)
