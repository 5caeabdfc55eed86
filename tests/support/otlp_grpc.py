"""A real OTLP receiver over gRPC on the loopback interface that answers as a test tells it to."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

__all__ = ["GrpcAnswer", "GrpcSink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcAnswer:
    """One answer.

    Attributes:
        code: OK, or the status of an error.
        message: of the error, or of a partial success.
        retry_after: seconds in a RetryInfo.
        rejected: number of items that a partial success names.
        hangs: no answer before the receiver closes.
    """

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    retry_after: float | None = None
    rejected: int = 0
    hangs: bool = False


class GrpcSink:
    """A loopback OTLP/gRPC receiver for one test; use it as a context manager.

    Args:
        credentials: of the server, for TLS.

    Attributes:
        default: the answer when none is queued.
        metadata: what came with the last call.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.default = GrpcAnswer()
        self.metadata: dict[str, str | bytes] = {}
        self.calls = 0
        self._queued: deque[GrpcAnswer] = deque()
        self._taken: list[str] = []
        self._stopping = threading.Event()
        self._credentials = credentials
        self._server: Any = None
        self.port = 0
        self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()

    @property
    def url(self) -> str:
        """Address to be used as the endpoint."""
        return f"{'https' if self._credentials else 'http'}://localhost:{self.port}"

    def enqueue(self, *answers: GrpcAnswer) -> None:
        """Give these answers to the next calls, one each."""
        self._queued.extend(answers)

    def names(self) -> Counter[str]:
        """How often each span, or log record's event, was taken."""
        return Counter(self._taken)

    def listen(self) -> None:
        """Serve, on the same port as before."""
        self._stopping.clear()
        server: Any = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(self), server)
        address = f"127.0.0.1:{self.port}"
        if self._credentials is None:
            self.port = server.add_insecure_port(address)
        else:
            self.port = server.add_secure_port(address, self._credentials)
        server.start()
        self._server = server

    def refuse(self) -> None:
        """Go down."""
        self._stopping.set()
        self._server.stop(None).wait(5)

    def answer(self, context: Any, names: list[str], reply: Any, field: str) -> Any:
        """Answer one call as the script says."""
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        answer = self._queued.popleft() if self._queued else self.default
        if answer.hangs:
            self._stopping.wait(10)
        if answer.code is not grpc.StatusCode.OK:
            if answer.retry_after is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", _details(answer)),))
            context.abort(answer.code, answer.message)
        self._taken += names
        setattr(reply.partial_success, field, answer.rejected)
        reply.partial_success.error_message = answer.message
        return reply


def _details(answer: GrpcAnswer) -> bytes:
    seconds = answer.retry_after or 0.0
    delay = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=delay))
    content: bytes = Status(code=14, message=answer.message, details=[detail]).SerializeToString()
    return content


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, sink: GrpcSink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        names = _each(request.resource_spans, lambda group: group.scope_spans, lambda scope: scope.spans)
        reply = trace_service_pb2.ExportTraceServiceResponse()
        return self._sink.answer(context, [span.name for span in names], reply, "rejected_spans")


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, sink: GrpcSink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        records = _each(
            request.resource_logs, lambda group: group.scope_logs, lambda scope: scope.log_records
        )
        reply = logs_service_pb2.ExportLogsServiceResponse()
        return self._sink.answer(
            context, [record.event_name for record in records], reply, "rejected_log_records"
        )


def _each(groups: Any, scopes: Callable[[Any], Any], items: Callable[[Any], Any]) -> list[Any]:
    return [item for group in groups for scope in scopes(group) for item in items(scope)]
