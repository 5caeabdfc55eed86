"""OTLP targets: HTTP by the SDK's exporter on a session of ours, gRPC by a call of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hiveloop._guard import contain
from hiveloop.transport import Delivered, Outcome, Refused

from ._environment import OtlpSettings
from ._exporters import otlp_exporter
from ._given import FAILED, Exporter, ExporterTarget, TargetBase
from ._grpc import GrpcTarget
from ._quiet import quietly

if TYPE_CHECKING:
    from ._session import OnRejected, OtlpSession

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
            result = contain("otlp.export", _export, exporter, items, default=FAILED)
        if session.outcome is not None:
            return session.outcome
        if result is FAILED or getattr(result, "name", "") == "FAILURE":  # no request was made
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
