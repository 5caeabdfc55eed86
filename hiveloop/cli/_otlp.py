"""The way of a span to an OTLP receiver, step by step; for ``python -m hiveloop doctor``."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hiveloop import Delivered, HiveLoopConfigError, Misconfigured, Outcome, Refused, Retry, TooLarge

from ._checks import Check, Status
from ._steps import StepError, Way, dns, ms, proxy, tcp, tls, way_to

if TYPE_CHECKING:
    from hiveloop_otel._environment import OtlpSettings

__all__ = ["check_otlp", "is_otlp", "otlp_address"]

_TRUST = "OTEL_EXPORTER_OTLP_CERTIFICATE"
_GRPC_PORT, _HTTP_PORT = 4317, 4318


def is_otlp(check: Check) -> bool:
    """Tell whether a check is one of these."""
    return check.name.startswith("otlp")


def otlp_address(url: str) -> str | None:
    """Return where spans would go, without secrets; None when the settings are not valid."""
    try:
        return _settings(url).address
    except HiveLoopConfigError:
        return None


def check_otlp(url: str, timeout: float) -> Iterator[Check]:
    """Follow a span to the receiver; ends with the first step that fails.

    Args:
        url: of the receiver; empty for what the ``OTEL_*`` variables say.
        timeout: seconds each step may take.
    """
    try:
        yield from _packages()
        settings = _valid(url)
        yield _shown(settings)
        yield from _switch()
        way = _way(settings)
        for check in _connection(way, settings, timeout):
            yield replace(check, name=f"otlp {check.name}")
        yield _export(settings, timeout)
    except StepError as failure:
        name = failure.check.name
        yield failure.check if is_otlp(failure.check) else replace(failure.check, name=f"otlp {name}")


def _packages() -> Iterator[Check]:
    """Look whether spans can be exported at all; what the receiver says is worth knowing anyway."""
    try:
        import hiveloop_otel

        _ = hiveloop_otel.OTelTransport
    except ImportError as error:
        fix = 'pip install "hiveloop[otel]"'
        yield Check("otlp packages", Status.FAIL, str(error).partition(": pip")[0], fix)
    else:
        version = importlib.metadata.version("opentelemetry-sdk")
        yield Check("otlp packages", Status.OK, f"opentelemetry-sdk {version}")


def _settings(url: str) -> OtlpSettings:
    from hiveloop_otel._environment import otlp_settings

    return otlp_settings("traces", endpoint=url or None)


def _valid(url: str) -> OtlpSettings:
    try:
        return _settings(url)
    except HiveLoopConfigError as error:
        fix = "OTelTransport raises this error: correct the value"
        raise StepError("otlp settings", str(error), fix) from error


def _shown(settings: OtlpSettings) -> Check:
    names = ", ".join(sorted(settings.headers))
    told = [f"{settings.protocol} to {settings.address}", f"compression {settings.compression}"]
    told += [f"headers {names}"] if names else []
    return Check("otlp settings", Status.OK, "; ".join(told))


def _switch() -> Iterator[Check]:
    from hiveloop_otel._environment import sdk_disabled

    if sdk_disabled():
        fix = "unset OTEL_SDK_DISABLED"
        yield Check("otlp switch", Status.FAIL, "OpenTelemetry is switched off by OTEL_SDK_DISABLED", fix)


def _way(settings: OtlpSettings) -> Way:
    if settings.protocol != "grpc":
        return way_to(settings.endpoint, settings.certificate, _TRUST)
    url = settings.endpoint
    if "://" not in url:
        url = f"{'http' if settings.insecure else 'https'}://{url}"
    parts = urlsplit(url)
    port = parts.port or (80 if settings.insecure else 443)
    return Way(url, parts.hostname or "", port, "", {"verify": settings.certificate or True}, _TRUST)


def _connection(way: Way, settings: OtlpSettings, timeout: float) -> Iterator[Check]:
    yield from proxy(way)
    yield from _encryption(way, settings)
    yield from dns(way, timeout)
    yield tcp(way, timeout)
    if way.is_direct_tls and settings.client_certificate is None:  # which a bare handshake would not show
        yield tls(way, timeout)


def _encryption(way: Way, settings: OtlpSettings) -> Iterator[Check]:
    """Say when a key would travel in the clear; without one, plain HTTP within a cluster is usual."""
    if way.url.startswith("http:") and not way.is_local and settings.headers:
        fix = "use an https:// endpoint"
        yield Check("encryption", Status.WARN, "http:// sends the headers for everyone to read", fix)


# -- the request ----------------------------------------------------------------------------------


def _export(settings: OtlpSettings, timeout: float) -> Check:
    """Export nothing, and say what the receiver makes of it."""
    from hiveloop_otel._probe import probe

    started = time.monotonic()
    try:
        outcome = probe(settings, timeout)
    except HiveLoopConfigError as error:
        message, _, fix = str(error).partition(": ")
        return Check("otlp export", Status.FAIL, message, fix)
    return _verdict(outcome, settings, lambda: ms(started))


def _verdict(outcome: Outcome, settings: OtlpSettings, elapsed: Callable[[], str]) -> Check:
    match outcome:
        case Delivered(warnings=warnings):
            said = f", and it says: {warnings[0]}" if warnings else ""
            return Check("otlp export", Status.OK, f"an empty request was accepted in {elapsed()}{said}")
        case Misconfigured(reason):
            message, _, fix = reason.partition("; ")
            return Check("otlp export", Status.FAIL, message, _port_fix(settings) or fix)
        case Retry(reason):
            fix = _port_fix(settings) or "look at the receiver; programs keep what they have and try again"
            return Check("otlp export", Status.FAIL, f"the receiver takes nothing now: {reason}", fix)
        case Refused(reason) | TooLarge(reason):
            fix = _port_fix(settings) or "check that the endpoint is an OTLP receiver"
            return Check("otlp export", Status.FAIL, f"the receiver refused an empty request: {reason}", fix)


def _port_fix(settings: OtlpSettings) -> str:
    """Name the usual mistake: the port of the other protocol."""
    address = settings.endpoint
    port = urlsplit(address if "://" in address else f"//{address}").port
    if settings.protocol == "grpc" and port == _HTTP_PORT:
        return f"use port {_GRPC_PORT} for gRPC, or unset OTEL_EXPORTER_OTLP_PROTOCOL"
    if settings.protocol != "grpc" and port == _GRPC_PORT:
        return f"use port {_HTTP_PORT} for HTTP, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
    return ""
