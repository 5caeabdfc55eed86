"""OTLP over gRPC: one attempt in bounded time, and its outcome known.

The SDK's exporter retries inside for as long as its own timeout lasts, and reports no reason. The protocol is
one call, so it is made here, with the SDK's encoder and the published messages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hiveloop._guard import contain
from hiveloop.transport import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge

from ._answers import REPLIES, without_secrets
from ._environment import OtlpSettings
from ._exporters import grpc_compression, grpc_credentials, load
from ._quiet import quietly

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler

    from ._session import OnRejected

__all__ = ["GrpcTarget"]

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_ENCODERS = {
    "traces": ("opentelemetry.exporter.otlp.proto.common.trace_encoder", "encode_spans"),
    "logs": ("opentelemetry.exporter.otlp.proto.common._log_encoder", "encode_logs"),
}
_STATUS = "grpc-status-details-bin"
_TOO_LARGE = ("larger than max", "message length too large", "message too large")

_WORTH_A_RETRY = frozenset(
    (
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNAVAILABLE",
        "DATA_LOSS",
    )
)
_SUSPECT = frozenset(("INTERNAL", "UNKNOWN"))


class GrpcTarget:
    """OTLP over gRPC for spans or log records.

    The child of a fork makes a channel of its own. gRPC wants ``GRPC_ENABLE_FORK_SUPPORT=1`` in programs that
    fork; http/protobuf needs nothing.

    Args:
        settings: where and how.
        on_rejected: told how many items a receiver rejected, and why.

    Raises:
        HiveLoopConfigError: grpcio is not installed.
    """

    resource: Resource | None = None
    sampler: Sampler | None = None

    def __init__(self, settings: OtlpSettings, on_rejected: OnRejected | None = None) -> None:
        self._settings = settings
        self._on_rejected = on_rejected
        self._grpc = load(settings, "grpc")
        module, name = _ENCODERS[settings.signal]
        self._encode: Callable[[Sequence[Any]], Any] = getattr(load(settings, module), name)
        self._channel: Any = None
        self._call: Any = None
        self._abandoned: list[Any] = []

    def __repr__(self) -> str:
        return f"GrpcTarget({self._settings.address!r})"

    def export(self, items: Sequence[Any], timeout: float) -> Outcome:
        """Make one call."""
        if not items:
            return Delivered()
        with quietly():
            request = contain("otlp.encode", self._encode, items, default=None)
            if request is None:
                return Refused("cannot be encoded")
            try:
                reply = self._connected()(
                    request,
                    timeout=min(timeout, self._settings.timeout),
                    metadata=tuple(self._settings.headers.items()),
                    compression=grpc_compression(self._settings),
                )
            except self._grpc.RpcError as error:
                return self._failed(error)
        return self._delivered(reply)

    def _connected(self) -> Any:
        if self._channel is None:
            grpc, settings = self._grpc, self._settings
            address = settings.endpoint
            host = urlsplit(address).netloc if "://" in address else address
            self._channel = (
                grpc.insecure_channel(host)
                if settings.insecure
                else grpc.secure_channel(host, grpc_credentials(settings))
            )
            self._call = self._channel.unary_unary(
                _METHODS[settings.signal],
                request_serializer=_serialized,
                response_deserializer=REPLIES[settings.signal].load().FromString,
            )
        return self._call

    def _delivered(self, reply: Any) -> Outcome:
        kind = REPLIES[self._settings.signal]
        count = int(getattr(reply.partial_success, kind.field))
        reason = without_secrets(reply.partial_success.error_message, self._settings)
        if not count:
            return Delivered(warnings=(reason,) if reason else ())
        if self._on_rejected is not None:
            contain("otel.on_rejected", self._on_rejected, count, reason, default=None)
        return Delivered(warnings=(f"{count} {kind.items} rejected: {reason or 'no reason given'}",))

    def _failed(self, error: Any) -> Outcome:
        """Translate a status. Source: OTLP specification, "OTLP/gRPC Response"."""
        code: str = error.code().name
        reason = f"gRPC {code}: {without_secrets(error.details(), self._settings)}"
        if code in ("UNAVAILABLE", "UNKNOWN", "CANCELLED"):
            self._disconnect()  # a channel that lost its peer would try again only after minutes
        if code == "RESOURCE_EXHAUSTED" and any(words in reason for words in _TOO_LARGE):
            return TooLarge(reason)
        if code in _WORTH_A_RETRY:
            return Retry(reason, after=_retry_after(error))
        if code in _SUSPECT:
            return Retry(reason, suspect=True)
        if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return Misconfigured(
                f"gRPC {code}: {self._settings.address} does not accept the key; check headers= or"
                " OTEL_EXPORTER_OTLP_HEADERS"
            )
        if code in ("UNIMPLEMENTED", "NOT_FOUND"):
            return Misconfigured(
                f"gRPC {code}: no OTLP receiver answers at {self._settings.address}; check endpoint= or"
                " OTEL_EXPORTER_OTLP_ENDPOINT, and that its port is the one for gRPC (usually 4317)"
            )
        return Refused(reason)

    def _disconnect(self) -> None:
        channel, self._channel, self._call = self._channel, None, None
        if channel is not None:
            contain("grpc.close", channel.close, default=None)

    def flush(self, timeout: float) -> bool:
        """Nothing is kept here."""
        return True

    def close(self, timeout: float) -> None:
        """Close the channel, which ends a call that still waits."""
        self._disconnect()

    def renew(self) -> None:
        """Leave the parent's channel alone, even unfreed: its threads do not exist here."""
        self._abandoned.append(self._channel)
        self._channel = self._call = None


def _serialized(request: Any) -> bytes:
    content: bytes = request.SerializeToString()
    return content


def _retry_after(error: Any) -> float | None:
    """Return the seconds that a RetryInfo in the status details asks for."""
    pairs: Iterable[tuple[str, object]] = error.trailing_metadata() or ()
    content = dict(pairs).get(_STATUS)
    if not isinstance(content, bytes):
        return None
    status = import_module("google.rpc.status_pb2").Status()
    info = import_module("google.rpc.error_details_pb2").RetryInfo()
    with contextlib.suppress(ValueError, import_module("google.protobuf.message").DecodeError):
        status.ParseFromString(content)
        for detail in status.details:
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
                return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None
