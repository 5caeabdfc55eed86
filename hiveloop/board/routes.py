"""What all routes share: who asks, how errors are told, and where the work is done."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from hiveloop._guard import attempt, notice

from .keyring import Keyring, OwnKey
from .keys import Access
from .live import Hub
from .security import COOKIE, Hosts, Limits, RateLimits, Sessions
from .store.protocol import Store, StoreClosedError, StoreError, StoreFullError
from .traces import Traces

__all__ = [
    "STATIC",
    "Board",
    "Failure",
    "Settings",
    "api",
    "failure_response",
    "json_response",
    "now_us",
    "stored",
]

T = TypeVar("T")
_READERS = 4
"""Threads that answer queries. SQLite reads in parallel; Python does not, so more would only wait."""
_RETRY_SECONDS = 5


STATIC = Path(__file__).parent / "static"
"""Where the built pages are."""


class Settings(NamedTuple):
    """How a board is run.

    Attributes:
        secret: signs one-time links and cookies.
        endpoint: address that agents and browsers elsewhere know, for the pages.
        api_key: key that agents report with, for the pages; None to show none.
        keep_key: told of the one that takes its place once it was revoked; None to show none then.
        hosts: names under which the board answers.
        limits: requests a second for each key.
        static: folder of the built pages.
        previews: whether what was said to and by models is kept.
    """

    secret: bytes
    endpoint: str = ""
    api_key: str | None = None
    keep_key: Callable[[str], None] | None = None
    hosts: Hosts = Hosts()
    limits: Limits = Limits()
    static: Path = STATIC
    previews: bool = True


class Failure(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer that is no success.

    Attributes:
        status: HTTP status.
        error: code.
        message: for people.
        headers: more headers.
        details: more for programs.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = dict(headers or {})
        self.details = details


class Board:
    """What a running board consists of; one for all routes.

    Args:
        store: where events are kept; the caller closes it.
        settings: how it is run.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.keyring = Keyring(store)
        self.own_key = OwnKey(self.keyring, settings.api_key, settings.keep_key)
        self.sessions = Sessions(settings.secret)
        self.rates = RateLimits(settings.limits)
        self.hub = Hub()
        self.traces = Traces(settings.previews)
        self.started_us = now_us()
        self.sockets: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(_READERS, "hiveloop-board-reader")

    async def start(self) -> None:
        """Start the threads, so that the first requests need not."""
        together = threading.Barrier(_READERS)
        await asyncio.gather(*(self.run(together.wait) for _ in range(_READERS)))

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Do something that may wait for the disk on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        """Run a query with a reader as its first argument."""

        def work() -> T:
            with self.store.reader() as reader:
                return query(reader, *args)

        return await self.run(work)

    async def access_of(self, connection: HTTPConnection) -> Access | None:
        """Tell who asks, by key or cookie; None for somebody unknown."""
        key = _bearer(connection)
        if (
            connection.scope["type"] == "websocket"
        ):  # browsers cannot set headers there; elsewhere logs keep it
            key = key or connection.query_params.get("token")
        if key is not None:
            return await self.run(self.keyring.find, key)
        cookie = connection.cookies.get(COOKIE)
        if cookie is None or not self.sessions.knows(cookie):
            return None
        world = "test" if connection.query_params.get("world") == "test" else "live"
        return Access.of_browser(f"session:{cookie}", world)

    async def renew_own_key(self) -> None:
        """Put another key in the place of the board's own, if that was revoked."""
        await self.run(lambda: attempt("board's own key", self.own_key.renew, default=None))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def now_us() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1_000


async def stored(future: Future[T]) -> T:
    """Wait until the store has done something.

    Raises:
        Failure: it could not; senders are asked to come again.
    """
    try:
        return await asyncio.wrap_future(future)
    except StoreError as error:
        raise _refused_by_store(error) from error


def _refused_by_store(error: StoreError) -> Failure:
    headers = {"Retry-After": str(_RETRY_SECONDS)}
    match error:
        case StoreFullError():
            code, message = "storage_full", "the disk of the board is full; nothing was stored"
        case StoreClosedError():
            code, message = "shutting_down", "the board is being stopped; nothing was stored"
        case _:
            notice("board store", "hiveloop board: the database does not do its work: %s", error)
            code, message = "storage_failed", "the board's database does not do its work; its log says why"
    return Failure(503, code, message, headers, retry_after_seconds=_RETRY_SECONDS)


# -- answers ----------------------------------------------------------------------------------


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    body = msgspec.json.encode(content)
    told = {"Cache-Control": "no-store", **(headers or {})}
    return Response(body, status, told, media_type="application/json")


def failure_response(failure: Failure) -> Response:
    """Return an error in the shape of the ingest API."""
    content: dict[str, Any] = {
        "error": failure.error,
        "message": failure.message,
        "status": failure.status,
    }
    if failure.details:
        content["details"] = failure.details
    return json_response(content, failure.status, failure.headers)


Handler = Callable[[Board, Request, Access], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def api(handler: Handler, purpose: str = "query") -> Endpoint:
    """Make an endpoint of a handler: it knows who asks, and asks no more often than it may.

    Args:
        handler: answers, or raises `Failure`.
        purpose: "ingest" for who may send, "query" for who may look, "manage" for who may change things.
    """

    async def endpoint(request: Request) -> Response:
        board: Board = request.app.state.board
        try:
            access = await _admitted(board, request, purpose)
            verdict = board.rates.take("ingest" if purpose == "ingest" else "query", access.name)
            if not verdict.passes:
                raise _too_many(verdict.headers(), verdict.wait)
            response = await handler(board, request, access)
        except Failure as failure:
            return failure_response(failure)
        except StoreError as error:  # while reading: of the key, or what was asked for
            return failure_response(_refused_by_store(error))
        response.headers.update(verdict.headers())
        return response

    return endpoint


def _too_many(headers: Mapping[str, str], wait: float) -> Failure:
    seconds = round(max(wait, 0.001), 3)
    message = f"too many requests with this key; wait {seconds:g} seconds"
    return Failure(429, "rate_limit_exceeded", message, headers, retry_after_seconds=seconds)


async def _admitted(board: Board, request: Request, purpose: str) -> Access:
    access = await board.access_of(request)
    if access is None:
        headers = {"WWW-Authenticate": "Bearer"}
        message = "give a key of this board as Authorization: Bearer hb_..., or open it by its one-time link"
        raise Failure(401, "authentication_failed", message, headers)
    if purpose == "ingest" and not access.may_ingest:
        raise Failure(
            403, "insufficient_permissions", "this key may look, but not send; use a live or test key"
        )
    if purpose == "manage" and not access.may_manage:
        message = "keys of agents cannot manage the board; use the page that its one-time link opens"
        raise Failure(403, "insufficient_permissions", message)
    return access
