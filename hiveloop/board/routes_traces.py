"""``POST /v1/traces``: spans by OTLP, from whatever OpenTelemetry instruments."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .bodies import body_of
from .intake import Refused
from .keys import Access
from .otlp import MOST_TRACE_BYTES, Export, read_export
from .routes import Board, Failure, api, now_us
from .routes_ingest import append_events

__all__ = ["flush_traces", "routes"]


async def _traces(board: Board, request: Request, access: Access) -> Response:
    body = await body_of(request, MOST_TRACE_BYTES)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-protobuf", "application/json"):
        message = "send OTLP as application/x-protobuf or application/json"
        raise Failure(415, "unsupported_media_type", message)
    export = await board.run(read_export, body, kind == "application/json")
    if isinstance(export, Refused):
        raise Failure(export.status, export.error, export.message)
    await _keep(board, access, export)
    content, media_type = export.answer()
    return Response(content, 200, {"Cache-Control": "no-store"}, media_type)


async def _keep(board: Board, access: Access, export: Export) -> None:
    parts = await board.run(board.traces.events_of, access.world, export, now_us())
    try:
        for part in parts:
            await append_events(board, access.world, part)
    except Failure:
        board.traces.forget(access.world, export)
        raise


async def flush_traces(board: Board, everything: bool = False) -> None:
    """Store the events of spans that waited long enough for the spans around them.

    Args:
        board: the board.
        everything: also those that wait not long enough.

    Raises:
        Failure: the store could not keep them.
    """
    for world, part in await board.run(board.traces.expired, now_us(), everything):
        await append_events(board, world, part)


routes = [Route("/v1/traces", api(_traces, "ingest"), methods=["POST"])]
