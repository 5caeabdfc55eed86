"""``/v1/stream``: the live stream as a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hiveloop._shape import is_dict, is_list

from .live import CHANNELS, Filters, Listener
from .queries._clock import iso
from .routes import Board, now_us
from .store.protocol import StoreError

__all__ = ["routes"]

BAD_KEY, TOO_MANY, NO_ANSWER = 4001, 4002, 4003
"""Close codes. Source: ingest API, stream."""
_COALESCE_SECONDS = 0.1
_LOOK_SECONDS = 1.0
_encode = msgspec.json.Encoder().encode


async def _stream(socket: WebSocket) -> None:
    board: Board = socket.app.state.board
    access = await board.access_of(socket)
    await socket.accept()
    if access is None:
        await _close(socket, BAD_KEY, "give a key of this board")
        return
    if board.sockets.get(access.name, 0) >= board.settings.limits.sockets:
        await _close(socket, TOO_MANY, "too many sockets with this key")
        return
    board.sockets[access.name] = board.sockets.get(access.name, 0) + 1
    listener = Listener(access.world)
    board.hub.add(listener)
    watching = asyncio.create_task(_close_once_unknown(board, socket))
    try:
        await _converse(board, socket, listener)
    finally:
        watching.cancel()
        board.hub.remove(listener)
        board.sockets[access.name] -= 1


async def _close_once_unknown(board: Board, socket: WebSocket) -> None:
    """End the stream when its key was revoked, or its session is over."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        with suppress(StoreError):  # then it is not known yet
            if await board.access_of(socket) is None:
                await _close(socket, BAD_KEY, "this key was revoked")
                return


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):  # it has gone meanwhile
        await socket.close(code, reason)


async def _converse(board: Board, socket: WebSocket, listener: Listener) -> None:
    sending = asyncio.create_task(_send(socket, listener))
    try:
        while True:
            _answer(board, listener, await socket.receive_text())
    except (WebSocketDisconnect, RuntimeError, KeyError):
        pass  # gone; a binary message or one after the end is no better
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await sending


async def _send(socket: WebSocket, listener: Listener) -> None:
    while True:
        await listener.news()
        if listener.version == 2 and not listener.has_notices:
            await asyncio.sleep(_COALESCE_SECONDS)  # so that a burst is few messages
        for message in listener.take():
            await socket.send_text(_encode(message).decode())


def _answer(board: Board, listener: Listener, text: str) -> None:
    try:
        message = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        listener.tell(_error("invalid_message", "a message must be JSON"))
        return
    told: dict[str, Any] = message if is_dict(message) else {}
    match told.get("action"):
        case "subscribe":
            _subscribe(board, listener, told)
        case "unsubscribe":
            listener.channels -= _channels(told)
            listener.tell({"type": "unsubscribed", "channels": sorted(listener.channels)})
        case "ping":
            listener.tell({"type": "pong", "server_time": iso(now_us())})
        case _:
            listener.tell(_error("invalid_message", "action must be subscribe, unsubscribe or ping"))


def _subscribe(board: Board, listener: Listener, told: Mapping[str, Any]) -> None:
    listener.version = 2 if told.get("v") == 2 else 1
    listener.channels = _channels(told)
    listener.filters = Filters.of(told.get("filters"))
    answer: dict[str, Any] = {
        "type": "subscribed",
        "channels": sorted(listener.channels),
        "filters": listener.filters.shown(),
    }
    if listener.version == 2:
        answer.update(v=2, seq=board.hub.seq)
    listener.tell(answer)
    since = told.get("since_seq")
    if isinstance(since, int) and not isinstance(since, bool) and since >= 0:
        board.hub.resume(listener, since)


def _channels(told: Mapping[str, Any]) -> frozenset[str]:
    """The channels a message names; all when it names none."""
    named = told.get("channels")
    return frozenset(CHANNELS).intersection(map(str, named)) if is_list(named) else frozenset(CHANNELS)


def _error(error: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": error, "message": message}


routes = [WebSocketRoute("/v1/stream", _stream)]
