"""One empty export request, to see what an OTLP receiver says; for ``python -m hiveloop doctor``."""

from __future__ import annotations

import gzip
import zlib
from importlib import import_module
from typing import Any

from hiveloop.transport import Outcome, Retry

from ._environment import OtlpSettings

__all__ = ["probe"]

_NOTHING = b"\x0a\x00"
"""A request with one resource that has no spans: some receivers take an empty body for none at all."""
_NOTHING_JSON = b'{"resourceSpans":[]}'


def probe(settings: OtlpSettings, timeout: float) -> Outcome:
    """Export nothing, and return what became of it.

    Args:
        settings: where and how.
        timeout: most seconds it may take.

    Raises:
        HiveLoopConfigError: the package for the protocol is not installed.
    """
    return _by_grpc(settings, timeout) if settings.protocol == "grpc" else _by_http(settings, timeout)


def _by_http(settings: OtlpSettings, timeout: float) -> Outcome:
    from ._session import OtlpSession, UndeliveredError

    as_json = settings.protocol == "http/json"
    session = OtlpSession(settings)
    session.expect(timeout)
    headers = {
        **settings.headers,
        "Content-Type": "application/json" if as_json else "application/x-protobuf",
        **({} if settings.compression == "none" else {"Content-Encoding": settings.compression}),
    }
    try:
        session.request(
            "POST",
            settings.endpoint,
            data=_compressed(_NOTHING_JSON if as_json else _NOTHING, settings.compression),
            headers=headers,
            verify=settings.certificate or True,
            cert=_client_certificate(settings),
        )
    except UndeliveredError as error:
        return error.outcome
    finally:
        session.close()
    return session.outcome or Retry("no answer")


def _compressed(body: bytes, compression: str) -> bytes:
    match compression:
        case "gzip":
            return gzip.compress(body)
        case "deflate":
            return zlib.compress(body)
        case _:
            return body


def _client_certificate(settings: OtlpSettings) -> tuple[str, str] | str | None:
    if settings.client_certificate and settings.client_key:
        return settings.client_certificate, settings.client_key
    return settings.client_certificate


def _by_grpc(settings: OtlpSettings, timeout: float) -> Outcome:
    from ._grpc import GrpcTarget

    class Probe(GrpcTarget):
        """Sends an empty request whatever it is to export."""

        def __init__(self) -> None:
            super().__init__(settings)
            self._encode = _nothing

    target = Probe()
    try:
        return target.export((None,), timeout)
    finally:
        target.close(1.0)


def _nothing(_: object) -> Any:
    module = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    return module.ExportTraceServiceRequest()
