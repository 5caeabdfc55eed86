"""The OTLP exporters of the SDK, by protocol and signal, and what to install for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hiveloop.errors import HiveLoopConfigError

from ._environment import OtlpSettings

__all__ = ["grpc_compression", "grpc_credentials", "load", "otlp_exporter"]

# Those of logs are in modules with an underscore, since the signal is not stable: they are imported by
# whoever switches logs on, and only then.
_CLASSES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
}
_PACKAGES = {
    "http/protobuf": ("opentelemetry.exporter.otlp.proto.http", 'pip install "hiveloop[otel]"'),
    "grpc": ("opentelemetry.exporter.otlp.proto.grpc", 'pip install "hiveloop[otel-grpc]"'),
    "http/json": (
        "opentelemetry.exporter.otlp.json.http",
        "pip install opentelemetry-exporter-otlp-json-http",
    ),
}


def load(settings: OtlpSettings, module: str) -> Any:
    """Import a module that the settings ask for.

    Raises:
        HiveLoopConfigError: its package is not installed; says which.
    """
    try:
        return import_module(module)
    except ImportError as error:
        _, command = _PACKAGES[settings.protocol]
        raise HiveLoopConfigError(
            f"OTLP {settings.signal} over {settings.protocol} need a package that is missing"
            f" ({error.name or module}): {command}, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        ) from error


def otlp_exporter(settings: OtlpSettings, **options: Any) -> Any:
    """Return an exporter of the SDK with these settings.

    Args:
        settings: where and how; they stand above the variables that the exporter reads itself.
        options: more arguments for the exporter.

    Raises:
        HiveLoopConfigError: the package of the exporter is not installed.
    """
    package, _ = _PACKAGES[settings.protocol]
    module, name = _CLASSES[settings.signal]
    exporter = getattr(load(settings, f"{package}.{module}"), name)
    arguments = _for_grpc(settings) if settings.protocol == "grpc" else _for_http(settings)
    return exporter(**arguments, **options)


def _for_http(settings: OtlpSettings) -> dict[str, Any]:
    json = settings.protocol == "http/json"
    module = "opentelemetry.exporter.otlp.common.http" if json else "opentelemetry.exporter.otlp.proto.http"
    return {
        "endpoint": settings.endpoint,
        "headers": dict(settings.headers),
        "timeout": settings.timeout,
        "compression": load(settings, module).Compression(settings.compression),
        "certificate_file": settings.certificate,
        "client_key_file": settings.client_key,
        "client_certificate_file": settings.client_certificate,
    }


def _for_grpc(settings: OtlpSettings) -> dict[str, Any]:
    return {
        "endpoint": settings.endpoint,
        "insecure": settings.insecure,
        "credentials": None if settings.insecure else grpc_credentials(settings),
        "headers": tuple(settings.headers.items()),
        "timeout": settings.timeout,
        "compression": grpc_compression(settings),
    }


def grpc_credentials(settings: OtlpSettings) -> Any:
    """Return the TLS credentials of a gRPC channel."""
    return load(settings, "grpc").ssl_channel_credentials(
        _content(settings.certificate), _content(settings.client_key), _content(settings.client_certificate)
    )


def grpc_compression(settings: OtlpSettings) -> Any:
    """Return gRPC's name of the compression."""
    names = {"gzip": "Gzip", "deflate": "Deflate", "none": "NoCompression"}
    return getattr(load(settings, "grpc").Compression, names[settings.compression])


def _content(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
