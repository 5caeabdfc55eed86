"""What the person in front of the board may change: agents, issues, prices. And what the board is."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hiveloop._version import __version__

from .bodies import label_of, object_of
from .keys import Access
from .model import NewEvent
from .prices import OWN, list_prices
from .queries import NotFoundError, Params, agents
from .queries._clock import iso
from .routes import Board, Failure, api, json_response, now_us, stored
from .routes_ingest import append_events
from .store.inputs import removal
from .store.protocol import Reader, Row

__all__ = ["routes"]

_DONE = {"resolve": "resolved", "reopen": "reported", "dismiss": "dismissed"}
_WORDS = {"resolved": "resolved", "reported": "reopened", "dismissed": "dismissed"}


# -- issues -----------------------------------------------------------------------------------


async def _change_issue(board: Board, request: Request, access: Access) -> Response:
    agent_id, key = request.path_params["agent_id"], request.path_params["issue_key"]
    action = _DONE.get(request.path_params["action"])
    if action is None:
        raise Failure(404, "not_found", f"an issue can be told to {', '.join(_DONE)}")
    found = await board.read(_issue, access.world, agent_id, key)
    if found is None:
        raise Failure(404, "not_found", "there is no such issue")
    await append_events(board, access.world, [_issue_event(found, action)])
    return json_response({"agent_id": agent_id, "issue_key": found["issue_key"], "action": action})


async def _resolve_all(board: Board, request: Request, access: Access) -> Response:
    agent_id = request.path_params["agent_id"]
    issues = await board.read(_open_issues, access.world, agent_id)
    for start in range(0, len(issues), 500):
        events = [_issue_event(issue, "resolved") for issue in issues[start : start + 500]]
        await append_events(board, access.world, events)
    return json_response({"agent_id": agent_id, "resolved": len(issues)})


def _issue(reader: Reader, world: str, agent_id: str, key: str) -> Row | None:
    sql = "SELECT * FROM issues WHERE world = ? AND agent_id = ? AND (issue_key = ? OR issue_id = ?)"
    rows = reader.rows(sql, (world, agent_id, key, key))
    return rows[0] if rows else None


def _open_issues(reader: Reader, world: str, agent_id: str) -> list[Row]:
    sql = "SELECT * FROM issues WHERE world = ? AND agent_id = ? AND is_open = 1"
    return reader.rows(sql, (world, agent_id))


def _issue_event(issue: Mapping[str, Any], action: str) -> NewEvent:
    """The event that changes an issue: it is kept as what agents send is, so a rebuild knows it too."""
    now = now_us()
    summary = str(issue["summary"] or issue["issue_key"])
    data: dict[str, Any] = {"summary": summary, "action": action, "category": issue["category"]}
    data.update(severity=issue["severity"], issue_id=issue["issue_id"], by="board")
    payload = {
        "kind": "issue",
        "summary": summary,
        "data": {key: value for key, value in data.items() if value is not None},
        "tags": ["issue", _WORDS[action], "board"],
    }
    return NewEvent(
        event_id=str(uuid.uuid4()),
        # After every event about it that is known, also where the agent's clock is ahead.
        ts_us=max(now, int(issue["last_us"] or 0) + 1),
        received_us=now,
        agent_id=str(issue["agent_id"]),
        event_type="custom",
        environment=str(issue["environment"] or "production"),
        project=str(issue["project"] or ""),
        kind="issue",
        payload=msgspec.json.encode(payload).decode(),
    )


# -- agents -----------------------------------------------------------------------------------


async def _remove_agent(board: Board, request: Request, access: Access) -> Response:
    """Take an agent off the board: what it did stays, and it is there again when it is heard of."""
    agent_id = request.path_params["agent_id"]
    try:
        await board.read(agents.agent, access.world, agent_id, Params({}, now_us()))
    except NotFoundError as error:
        raise Failure(404, "not_found", str(error)) from error
    await stored(board.store.manage(*removal(access.world, agent_id, now_us())))
    return Response(status_code=204)


# -- prices -----------------------------------------------------------------------------------


async def _set_price(board: Board, request: Request, _: Access) -> Response:
    given = await object_of(request)
    model = _model({"model": given.get("model") or request.path_params.get("model")})
    since = given.get("valid_from_us", 0)
    if not isinstance(since, int) or isinstance(since, bool) or not 0 <= since < 2**62:
        raise Failure(400, "validation_error", "valid_from_us must be a time in microseconds")
    prices = [_price(given, name) for name in ("input_usd", "output_usd")]
    provider = label_of(given, "provider") or None
    await stored(board.store.manage(_SET_PRICE, (model, since, *prices, provider, OWN, now_us())))
    return json_response({"model": model, "input_usd": prices[0], "output_usd": prices[1]})


_SET_PRICE = (
    "INSERT INTO prices (model, valid_from_us, input_usd, output_usd, provider, source, updated_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (model, valid_from_us) DO UPDATE SET"
    " input_usd = excluded.input_usd, output_usd = excluded.output_usd, provider = excluded.provider,"
    " source = excluded.source, updated_us = excluded.updated_us"
)


async def _remove_price(board: Board, request: Request, _: Access) -> Response:
    """Take back what was set for a model, so that its list price is in force again; else remove that."""
    model = _model(request.path_params)
    own = "DELETE FROM prices WHERE model = ? AND source = ?"
    if await stored(board.store.manage(own, (model, OWN))):
        for price in list_prices():
            if price.model == model:
                rates = (price.input_usd, price.output_usd, price.provider, price.source)
                await stored(board.store.manage(_SET_PRICE, (model, price.valid_from_us, *rates, now_us())))
    elif not await stored(board.store.manage("DELETE FROM prices WHERE model = ?", (model,))):
        raise Failure(404, "not_found", "there is no price for that model")
    return Response(status_code=204)


def _model(given: Mapping[str, Any]) -> str:
    name = label_of(given, "model").strip().lower()
    if not name:
        raise Failure(400, "validation_error", "model must be the name of a model, or its beginning")
    return name


def _price(given: Mapping[str, Any], name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Failure(400, "validation_error", f"{name} must be US dollars per million tokens")
    if not math.isfinite(value) or not 0 <= value <= 1e6:
        raise Failure(400, "validation_error", f"{name} must be between 0 and 1000000")
    return float(value)


# -- the board itself -------------------------------------------------------------------------


async def _about(board: Board, request: Request, access: Access) -> Response:
    """Tell the pages where agents report to; the key only to who may manage."""
    told = {
        "version": __version__,
        "endpoint": board.settings.endpoint or str(request.base_url).rstrip("/"),
        "api_key": await board.run(lambda: board.own_key.shown) if access.may_manage else None,
        "world": access.world,
        "can_manage": access.may_manage,
        "previews": board.settings.previews,
        "started_at": iso(board.started_us),
        "server_time": iso(now_us()),
        "size_bytes": await board.run(board.store.size_bytes),
        "listeners": board.hub.listeners,
        "last_seq": board.hub.seq,
    }
    return json_response(told)


_ISSUE = "/v1/agents/{agent_id:path}/issues/"
routes = [
    Route("/v1/board", api(_about), methods=["GET"]),
    Route(_ISSUE + "resolve-all", api(_resolve_all, "manage"), methods=["POST"]),
    Route(_ISSUE + "{issue_key:path}/{action}", api(_change_issue, "manage"), methods=["POST"]),
    Route("/v1/agents/{agent_id:path}", api(_remove_agent, "manage"), methods=["DELETE"]),
    Route("/v1/admin/pricing", api(_set_price, "manage"), methods=["POST", "PUT"]),
    Route("/v1/admin/pricing/{model:path}", api(_set_price, "manage"), methods=["PUT"]),
    Route("/v1/admin/pricing/{model:path}", api(_remove_price, "manage"), methods=["DELETE"]),
]
