"""``POST /v1/traces``: spans by OTLP, from whatever OpenTelemetry instruments."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .bodies import body_of
from .intake import Refused
from .keys import Access
from .otlp import MOST_TRACE_BYTES, read_export
from .routes import Board, Failure, api, now_us
from .routes_ingest import publish_appended
from .store.protocol import Appended
from .traces import Step
from .waiting import strike_out, waiting, write_down

__all__ = ["adopt_traces", "flush_traces", "routes"]


async def _traces(board: Board, request: Request, access: Access) -> Response:
    body = await body_of(request, MOST_TRACE_BYTES)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-protobuf", "application/json"):
        message = "send OTLP as application/x-protobuf or application/json"
        raise Failure(415, "unsupported_media_type", message)
    export = await board.run(read_export, body, kind == "application/json")
    if isinstance(export, Refused):
        raise Failure(export.status, export.error, export.message)
    now = now_us()
    left_out = await _keep(board, lambda: [board.traces.events_of(access.world, export, now)])
    content, media_type = export._replace(rejected=export.rejected + left_out).answer()
    return Response(content, 200, {"Cache-Control": "no-store"}, media_type)


class _Queued(NamedTuple):
    """A step, and what the store will say to its parts."""

    step: Step
    parts: list[Future[Appended]]


async def _keep(board: Board, place: Callable[[], list[Step]]) -> int:
    """Place spans and store what came of it; return how many there was no room for.

    Raises:
        Failure: the store could not keep it; all is as if they had not come.
    """
    failure: Failure | None = None
    queued = await board.run(_queue, board, place)
    for step, parts in queued:
        try:
            for part in parts:
                await publish_appended(board, part)
        except Failure as problem:
            await board.run(board.traces.undo, step)
            failure = problem
    if failure is not None:
        raise failure
    return sum(step.left_out for step, _ in queued)


def _queue(board: Board, place: Callable[[], list[Step]]) -> list[_Queued]:
    with board.traces.lock:
        return [_Queued(step, _appended(board, step)) for step in place()]


def _appended(board: Board, step: Step) -> list[Future[Appended]]:
    """Queue a step's events, and with the last of them what waits now, and what does no more."""
    also = [*write_down(step.world, step.waiting, now_us()), *strike_out(step.world, step.placed)]
    if not also and not step.batches:
        return []
    *before, last = step.batches or [[]]
    append = board.store.append
    return [*(append(step.world, part) for part in before), append(step.world, last, also)]


async def flush_traces(board: Board, everything: bool = False) -> None:
    """Store the events of spans that waited long enough for the spans around them.

    Args:
        board: the board.
        everything: also those that wait not long enough.

    Raises:
        Failure: the store could not keep them; they wait again.
    """
    now = now_us()
    await _keep(board, lambda: board.traces.expired(now, everything))


async def adopt_traces(board: Board, seconds: float) -> None:
    """Take spans over that have waited for so long that no living board can be at them.

    Raises:
        Failure: the store could not forget those that were placed meanwhile.
    """
    until = now_us() - round(seconds * 1_000_000)
    for world, spans in (await board.read(waiting, until)).items():
        placed = await board.run(board.traces.adopt, world, spans) if spans else []
        if placed:
            await publish_appended(board, board.store.append(world, [], strike_out(world, placed)))


routes = [Route("/v1/traces", api(_traces, "ingest"), methods=["POST"])]
