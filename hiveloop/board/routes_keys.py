"""``/v1/api-keys``: who may report to the board and look at it, as the person in front of it decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .bodies import label_of, object_of
from .keys import Access, KeyKind
from .queries._clock import iso
from .routes import Board, Failure, api, json_response, stored

__all__ = ["routes"]


async def _keys(board: Board, _request: Request, _: Access) -> Response:
    rows = await board.run(board.keyring.shown)
    return json_response({"data": [_shown(board, row) for row in rows]})


def _shown(board: Board, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key_id": row["key_id"],
        "key_prefix": row["prefix"],
        "key_type": row["kind"],
        "label": row["name"],
        "created_at": iso(row["created_us"]),
        "last_used_at": iso(row["last_used_us"]),
        "revoked_at": iso(row["revoked_us"]),
        "is_active": row["revoked_us"] is None,
        "is_own": board.own_key.has_hash(row["hash"]),
    }


async def _add(board: Board, request: Request, _: Access) -> Response:
    given = await object_of(request)
    kind = given.get("key_type", "live")
    if kind not in tuple(KeyKind):
        raise Failure(400, "validation_error", "key_type must be live, test or read")
    key_id, key, done = board.keyring.add(KeyKind(kind), label_of(given, "label"))
    await stored(done)
    board.keyring.forget()
    rows = await board.run(board.keyring.shown)
    made = next(row for row in rows if row["key_id"] == key_id)
    return json_response({**_shown(board, made), "raw_key": key}, 201)


async def _revoke(board: Board, request: Request, _: Access) -> Response:
    revoked = await stored(board.keyring.revoke(request.path_params["key_id"]))
    board.keyring.forget()
    if not revoked:
        raise Failure(404, "not_found", "there is no such key, or it was revoked before")
    await board.renew_own_key()
    return Response(status_code=204)


routes = [
    Route("/v1/api-keys", api(_keys, "manage"), methods=["GET"]),
    Route("/v1/api-keys", api(_add, "manage"), methods=["POST"]),
    Route("/v1/api-keys/{key_id}", api(_revoke, "manage"), methods=["DELETE"]),
]
