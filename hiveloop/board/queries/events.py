"""``GET /v1/events``: what happened, newest first, or what came in after a place in the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hiveloop.board.model import EVENT_TYPES, SEVERITIES
from hiveloop.board.store.protocol import Reader

from ._happenings import shown_event
from ._sql import Where, page
from .params import BadParameterError, Cursor, NotFoundError, Params

__all__ = ["EVENT_TYPES", "event", "events"]

_STRETCH = 5_000
"""Events that one poll looks through."""
_FREQUENT = frozenset(("custom", "heartbeat"))
_RARE = "event_type <> 'custom' AND event_type <> 'heartbeat'"
"""What the index by event type covers; a statement must say it to use that index."""
_GRAVE = "severity <> 'info' AND severity <> 'debug'"
"""What the index by severity covers."""
_INDEXED = ("agent_id", "task_id", "correlation_id", "project_id")
"""Parameters whose column has an index of its own."""
_MOST_BRANCHES = 20
_FREQUENT_SEVERITIES = frozenset(("debug", "info"))


def events(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return stored events.

    ``after_seq`` asks for what came in after a place of the stream, oldest first, with ``last_seq`` to ask
    on from; everything else is newest first by the events' own time, paged by ``cursor``.
    """
    limit = params.limit()
    if params.text("after_seq") is not None:
        return _arrived(db, world, params, limit)
    where = _filtered(world, params)
    _start_after(db, world, params, where)
    rows = _newest(db, where, _branches(db, world, params), limit + 1, params.text("task_id") is not None)
    cursors = [Cursor((row["ts_us"], row["seq"])) for row in rows]
    return page([shown_event(row) for row in rows], limit, cursors)


def event(db: Reader, world: str, event_id: str) -> dict[str, Any]:
    """Return one stored event."""
    rows = db.rows("SELECT * FROM events WHERE world = ? AND event_id = ?", (world, event_id))
    if not rows:
        raise NotFoundError("event", event_id)
    return shown_event(rows[0])


def _filtered(world: str, params: Params) -> Where:
    where = Where(world).equal(
        agent_id=params.text("agent_id"),
        run_id=params.text("task_run_id"),
        action_id=params.text("action_id"),
        environment=params.text("environment"),
        grp=params.text("group"),
        correlation_id=params.text("correlation_id"),
    )
    where.named(task_id=params.text("task_id"), project=params.text("project_id"))
    where.among("severity", params.csv("severity", SEVERITIES))
    if _leaves_heartbeats_out(params):
        where.also("event_type <> 'heartbeat'")
    return where.between("ts_us", params.moment("since"), params.moment("until"))


def _leaves_heartbeats_out(params: Params) -> bool:
    """As the ingest API has it: unless they are asked for, or everything that the live stream would bring."""
    asked_for = "heartbeat" in params.csv("event_type") or params.text("after_seq") is not None
    return params.flag("exclude_heartbeats", default=not asked_for)


def _branches(db: Reader, world: str, params: Params) -> list[tuple[str, tuple[str, ...]]]:
    """Conditions of which each has an index, one for each severity, kind, type or agent that was asked for.

    One statement with ``IN`` would read and sort all events of these kinds.
    """
    types, kinds = params.csv("event_type", EVENT_TYPES), params.csv("payload_kind")
    severities = params.csv("severity", SEVERITIES)
    among = [("event_type", types), ("kind", kinds)]
    if severities and not _FREQUENT_SEVERITIES & set(severities):
        return [_branch("severity", one, _GRAVE, among) for one in dict.fromkeys(severities)]
    if kinds:
        return [_branch("kind", one, "", among[:1]) for one in dict.fromkeys(kinds)]
    if types:
        return [_branch("event_type", one, "" if one in _FREQUENT else _RARE) for one in dict.fromkeys(types)]
    if any(params.text(name) is not None for name in _INDEXED):
        return [("", ())]
    return [_branch("agent_id", agent, "") for agent in _agents_in(db, world, params)] or [("", ())]


def _agents_in(db: Reader, world: str, params: Params) -> list[str]:
    """The agents of an environment, where they are few: its events may be few, too, and long ago."""
    environment = params.text("environment")
    if environment is None:
        return []
    sql = "SELECT DISTINCT agent_id FROM roll_1d WHERE world = ? AND environment = ? LIMIT ?"
    rows = db.rows(sql, (world, environment, _MOST_BRANCHES + 1))
    if len(rows) > _MOST_BRANCHES:
        return []
    return [str(row["agent_id"]) for row in rows] or [""]  # nobody has that id


def _branch(
    column: str, value: str, covered: str, among: Sequence[tuple[str, Sequence[str]]] = ()
) -> tuple[str, tuple[str, ...]]:
    """A condition that an index covers, and others beside it."""
    parts, args = [f"{column} = ?", *filter(None, [covered])], [value]
    for name, values in among:
        if values:
            parts.append(f"{name} IN ({', '.join('?' * len(values))})")
            args += values
    return " AND ".join(parts), tuple(args)


def _newest(
    db: Reader, where: Where, branches: list[tuple[str, tuple[str, ...]]], count: int, few: bool
) -> list[dict[str, Any]]:
    """The newest events of all branches; `few` when they are found by something else than their time."""
    found: list[dict[str, Any]] = []
    order = "ts_us + 0 DESC, seq DESC" if few else "ts_us DESC, seq DESC"
    for sql, args in branches:
        each = where.copy().also(sql, *args) if sql else where
        found += db.rows(f"SELECT * FROM events WHERE {each} ORDER BY {order} LIMIT ?", [*each.args, count])
    if len(branches) > 1:
        found.sort(key=lambda row: (row["ts_us"], row["seq"]), reverse=True)
    return found[:count]


def _start_after(db: Reader, world: str, params: Params, where: Where) -> None:
    """Continue after the cursor: ours, or the id of the last event, which the ingest API names as cursor."""
    given = params.text("cursor")
    if given is None:
        return
    decoded = Cursor.decode(given)
    place = (params.cursor(int, int) or ()) if decoded else _place_of(db, world, given)
    where.also("(ts_us, seq) < (?, ?)", *place)


def _place_of(db: Reader, world: str, event_id: str) -> tuple[Any, ...]:
    rows = db.rows("SELECT ts_us, seq FROM events WHERE world = ? AND event_id = ?", (world, event_id))
    if not rows:
        raise BadParameterError("cursor", "cursor is not one that this board gave out")
    return rows[0]["ts_us"], rows[0]["seq"]


def _arrived(db: Reader, world: str, params: Params, limit: int) -> dict[str, Any]:
    """Events in the order they came in, after a place in the stream.

    A stretch of the stream is looked through at a time, however few of its events match.
    """
    after = params.whole("after_seq", 0, 0, 2**62)
    stretch = "SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
    seen = db.rows(f"SELECT COUNT(*) AS n, MAX(seq) AS seq FROM ({stretch}) AS stretch", (after, _STRETCH))[0]
    where = _filtered(world, params)
    where.among("event_type", params.csv("event_type", EVENT_TYPES))
    where.among("kind", params.csv("payload_kind"))
    sql = f"SELECT * FROM ({stretch}) AS stretch WHERE {where} ORDER BY seq LIMIT ?"
    rows = db.rows(sql, [after, _STRETCH, *where.args, limit + 1])
    shown, left = [shown_event(row) for row in rows[:limit]], len(rows) > limit
    last = shown[-1]["seq"] if left else max(after, seen["seq"] or 0)
    more = left or seen["n"] == _STRETCH
    return {"data": shown, "pagination": {"cursor": None, "has_more": more}, "last_seq": last}
