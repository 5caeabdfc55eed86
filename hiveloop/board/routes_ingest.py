"""``POST /v1/ingest``: what agents send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .bodies import body_of
from .intake import MOST_BYTES, Refused, read_batch
from .keys import Access
from .model import NewEvent
from .routes import Board, Failure, api, json_response, now_us, stored
from .store.protocol import Appended

__all__ = ["append_events", "publish_appended", "routes"]

T = TypeVar("T")
_INLINE_BYTES = 16_384
"""Up to this size a batch is read at once; a larger one on a thread, so that others are served meanwhile."""


async def _ingest(board: Board, request: Request, access: Access) -> Response:
    body = await body_of(request, MOST_BYTES)
    batch = await _on_thread(board, body, read_batch, body, now_us(), board.settings.previews)
    if isinstance(batch, Refused):
        raise Failure(batch.status, batch.error, batch.message)
    appended = await append_events(board, access.world, batch.events)
    warnings = batch.warnings + [_new_project(slug) for slug in appended.new_projects]
    answer = {
        "accepted": len(batch.events),
        "rejected": len(batch.errors),
        "errors": batch.errors,
        "warnings": warnings,
    }
    return json_response(answer, 207 if batch.errors else 200)


def _new_project(slug: str) -> dict[str, Any]:
    return {"event_id": "", "warning": f"project {slug!r} is new and was made", "project_slug": slug}


async def append_events(board: Board, world: str, events: Sequence[NewEvent]) -> Appended:
    """Store events and pass those that are new on to who listens.

    Raises:
        Failure: the store could not keep them.
    """
    if not events:
        return Appended(world, events, [], [])
    return await publish_appended(board, board.store.append(world, events))


async def publish_appended(board: Board, future: Future[Appended]) -> Appended:
    """Wait until events are stored and pass those that are new on to who listens.

    Raises:
        Failure: the store could not keep them.
    """
    appended = await stored(future)
    # At once: what waits in between could publish later numbers first.
    board.hub.publish(appended.new)
    return appended


async def _on_thread(board: Board, body: bytes, work: Callable[..., T], *args: Any) -> T:
    return work(*args) if len(body) <= _INLINE_BYTES else await board.run(work, *args)


routes = [
    Route("/v1/ingest", api(_ingest, "ingest"), methods=["POST"]),
]
