"""The board as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol, runtime_checkable

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import (
    routes_ingest,
    routes_keys,
    routes_live,
    routes_manage,
    routes_pages,
    routes_query,
    routes_traces,
)
from .model import StoredEvent
from .routes import Board, Failure, Settings, failure_response, stored
from .routes_traces import adopt_traces
from .security import HEADERS, Hosts
from .store.protocol import Reader, Store
from .waiting import CREATE
from .watch import watching

__all__ = ["Settings", "create_app"]


def create_app(store: Store, settings: Settings) -> ASGIApp:
    """Return the application of a board; it runs while its lifespan does.

    Args:
        store: where events are kept; the caller closes it after the application has ended.
        settings: how it is run.
    """
    board = Board(store, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(board.close)
            await board.start()
            seq = await board.read(_newest_seq)
            board.hub.start_at(seq)
            await stored(store.manage(CREATE))
            if isinstance(store, _Shared):
                _follow(store, board, seq)
            else:
                await adopt_traces(board, 0)  # left by a board that was killed: no other uses the file
            await stack.enter_async_context(watching(board))
            yield

    app = Starlette(
        routes=[
            *routes_ingest.routes,
            *routes_traces.routes,
            *routes_keys.routes,
            *routes_manage.routes,
            *routes_query.routes,
            *routes_live.routes,
            *routes_pages.routes,
        ],
        exception_handlers={HTTPException: _http_error, Exception: _server_error},
        lifespan=lifespan,
    )
    app.state.board = board
    return Guard(app, settings.hosts)  # around everything, answers to errors included


@runtime_checkable
class _Shared(Protocol):
    """A store into which other boards write, too."""

    def follow(self, heard: Callable[[list[StoredEvent]], None], after_seq: int) -> None:
        """Call back with what other boards store."""
        ...


def _follow(store: _Shared, board: Board, after_seq: int) -> None:
    loop = asyncio.get_running_loop()

    def heard(events: list[StoredEvent]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody listens any more
            loop.call_soon_threadsafe(board.hub.publish, events)

    store.follow(heard, after_seq)


def _newest_seq(reader: Reader) -> int:
    newest = reader.rows("SELECT max(seq) AS seq FROM events")[0]["seq"]
    return int(newest or 0)


class Guard:
    """Refuses what comes from elsewhere, before anything else looks at it, and secures every answer.

    Args:
        app: the application behind it.
        hosts: names under which the board answers.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if refusal is None:
            await self._app(scope, receive, secured)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.error})
        else:
            await failure_response(refusal)(scope, receive, secured)

    def _refusal(self, headers: Headers) -> Failure | None:
        host = headers.get("host", "")
        if not self._hosts.knows(host):
            message = "this board does not answer under that name; if it should: --allow-host NAME"
            return Failure(403, "host_not_allowed", message)
        if self._hosts.is_foreign(headers.get("origin"), host):
            return Failure(403, "origin_not_allowed", "pages of other sites may not ask this board")
        return None


async def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "not_found", 405: "method_not_allowed"}
    message = str(error.detail) if isinstance(error, HTTPException) else "an error of the board"
    return failure_response(Failure(status, words.get(status, "http_error"), message))


async def _server_error(_request: Request, _: Exception) -> Response:
    # A bug of ours, which the server logs with its traceback; the answer tells nothing of the inside.
    return failure_response(Failure(500, "internal_error", "the board failed at this; its log says how"))
