"""OTLP targets: HTTP by the SDK's exporter on a session of ours, gRPC by a call of ours."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hiveloop._guard import contain
from hiveloop._version import __version__
from hiveloop.transport import Delivered, Outcome, Refused

from ._encoding import encode_spans
from ._environment import OtlpSettings
from ._exporters import otlp_exporter
from ._given import FAILED, Exporter, ExporterTarget, TargetBase
from ._grpc import GrpcTarget
from ._quiet import quietly

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ._session import OnRejected, OtlpSession

_AGENT = f"hiveloop/{__version__}"
_LEVEL = 3
"""Of compression: higher ones cost several times as much and save a few percent."""

__all__ = ["OtlpHttpTarget", "OtlpTarget", "otlp_target"]


class OtlpHttpTarget(TargetBase):
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
            export = self._post if self._settings.signal == "traces" else exporter.export
            result = contain("otlp.export", _export, export, items, default=FAILED)
        if session.outcome is not None:
            return session.outcome
        if result is FAILED or getattr(result, "name", "") == "FAILURE":  # no request was made
            return Refused(f"cannot be encoded{f': {said[-1]}' if said else ''}")
        return Delivered()

    def _post(self, spans: Sequence[ReadableSpan]) -> None:
        """Send spans as the exporter would, but for the encoder: see `encode_spans`."""
        assert self._connected is not None  # noqa: S101 - narrows the type
        settings, (_, session) = self._settings, self._connected
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": _AGENT, **settings.headers}
        content = compressed(encode_spans(spans), settings.compression)
        if settings.compression != "none":
            headers["Content-Encoding"] = settings.compression
        session.request(
            "POST",
            settings.endpoint,
            data=content,
            headers=headers,
            verify=settings.certificate or True,
            cert=settings.client_pair,
        )

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


def compressed(content: bytes, compression: str) -> bytes:
    """Return a body as the settings want it."""
    match compression:
        case "gzip":
            return gzip.compress(content, _LEVEL, mtime=0)
        case "deflate":
            return zlib.compress(content, _LEVEL)
        case _:
            return content


def _export(export: Callable[[Sequence[Any]], object], items: Sequence[Any]) -> object:
    from ._session import UndeliveredError

    try:
        return export(items)
    except UndeliveredError:  # older releases let what a session raises through
        return None


OtlpTarget = OtlpHttpTarget | GrpcTarget | ExporterTarget


def otlp_target(settings: OtlpSettings, on_rejected: OnRejected | None = None) -> OtlpTarget:
    """Return a target for OTLP over the protocol of the settings."""
    match settings.protocol:
        case "grpc":
            return GrpcTarget(settings, on_rejected)
        case "http/json":  # its exporter takes no session, so it is like any other to us
            return ExporterTarget(otlp_exporter(settings))
        case _:
            return OtlpHttpTarget(settings, on_rejected)
