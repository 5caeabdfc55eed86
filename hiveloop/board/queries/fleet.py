"""Smaller questions about the fleet: projects, environments, configurations, lifecycle, prices."""

from __future__ import annotations

from typing import Any

from hiveloop._shape import is_dict, is_list
from hiveloop.board.prices import list_date
from hiveloop.board.store.protocol import Reader

from ._clock import iso
from ._happenings import Happening
from ._sql import Where
from ._values import rounded
from .params import Params

__all__ = ["configs", "environments", "lifecycle", "prices", "projects"]

_MOST = 200
_DEEPEST = 8


def projects(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return the projects that occur in the data, the latest first."""
    where = Where(world).also("slug <> ''")
    if not params.flag("include_archived"):
        where.also("COALESCE(archived, 0) = 0")
    rows = db.rows(
        f"SELECT * FROM projects WHERE {where} ORDER BY last_us DESC, slug LIMIT ?", [*where.args, _MOST]
    )
    return {"data": [_project(row) for row in rows], "pagination": {"cursor": None, "has_more": False}}


def _project(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "project_id": row["slug"],
        "slug": row["slug"],
        "name": row["name"] or row["slug"],
        "is_archived": bool(row["archived"]),
        "first_seen": iso(row["first_us"]),
        "last_seen": iso(row["last_us"]),
    }


def environments(db: Reader, world: str, params: Params) -> dict[str, Any]:
    """Return the environments and groups that agents are in."""
    where = Where(world).equal(agent_type=params.text("agent_type"))
    sql = f"SELECT environment, grp, COUNT(*) AS n FROM agents WHERE {where} GROUP BY environment, grp"
    rows = db.rows(sql, where.args)
    return {"data": _counted(rows, "environment"), "groups": _counted(rows, "grp")}


def _counted(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[column] or ""] = counts.get(row[column] or "", 0) + int(row["n"] or 0)
    return [{"name": name, "agents": count} for name, count in sorted(counts.items())]


# -- one agent's past -------------------------------------------------------------------------


def _told(db: Reader, world: str, agent_id: str, kinds: tuple[str, ...], limit: int) -> list[Happening]:
    """The newest events of some kinds that an agent sent, the latest last."""
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        where = Where(world).also("kind = ?", kind).equal(agent_id=agent_id)
        sql = f"SELECT * FROM events WHERE {where} ORDER BY ts_us DESC, seq DESC LIMIT ?"
        rows += db.rows(sql, [*where.args, limit])
    return [Happening(row) for row in sorted(rows, key=lambda row: (row["ts_us"], row["seq"]))]


def configs(db: Reader, world: str, agent_id: str, params: Params) -> dict[str, Any]:
    """Return an agent's configurations, newest first, each with what changed since the one before."""
    shown: list[dict[str, Any]] = []
    before: dict[str, Any] | None = None
    # One more than is shown: what changed last in the oldest of them is told by the one before.
    for seen in _told(db, world, agent_id, ("config_snapshot",), params.limit() + 1):
        config = _config_of(seen)
        changes = [] if before is None else diff(before, config)
        shown.append(
            {
                "event_id": seen.event_id,
                "timestamp": iso(seen.at_us),
                "config": config,
                "is_first": before is None,
                "changes": changes,
            }
        )
        before = config
    return {"agent_id": agent_id, "data": shown[::-1][: params.limit()]}


def _config_of(seen: Happening) -> dict[str, Any]:
    hidden = {"kind", "summary", "tags", "data"}
    return seen.payload.data or {key: value for key, value in seen.payload.raw.items() if key not in hidden}


def diff(before: object, after: object, path: str = "", depth: int = 0) -> list[dict[str, Any]]:
    """Return what differs between two JSON values: path, what was done to it, old and new value."""
    if is_dict(before) and is_dict(after) and depth < _DEEPEST:
        found: list[dict[str, Any]] = []
        for key in sorted(before.keys() | after.keys()):
            place = f"{path}.{key}" if path else key
            if key not in before:
                found.append({"path": place, "change": "added", "before": None, "after": after[key]})
            elif key not in after:
                found.append({"path": place, "change": "removed", "before": before[key], "after": None})
            else:
                found += diff(before[key], after[key], place, depth + 1)
        return found
    if _same(before, after):
        return []
    changed: dict[str, Any] = {"path": path, "change": "changed", "before": before, "after": after}
    if is_list(before) and is_list(after):
        changed["items_added"] = [item for item in after if item not in before]
        changed["items_removed"] = [item for item in before if item not in after]
    return [changed]


def _same(before: object, after: object) -> bool:
    """Tell whether two values are equal; unlike Python, JSON tells true from 1."""
    return before == after and isinstance(before, bool) is isinstance(after, bool)


def lifecycle(db: Reader, world: str, agent_id: str, params: Params) -> dict[str, Any]:
    """Return the marks on an agent's time line: starts, stops, model switches, configurations."""
    limit = params.limit(_MOST)
    seen = _told(db, world, agent_id, ("runtime", "config_snapshot"), limit)
    where = Where(world).equal(agent_id=agent_id)
    where.also("event_type = 'agent_registered' AND event_type <> 'custom' AND event_type <> 'heartbeat'")
    sql = f"SELECT * FROM events WHERE {where} ORDER BY ts_us DESC, seq DESC LIMIT ?"
    seen += [Happening(row) for row in db.rows(sql, [*where.args, limit])]
    seen.sort(key=lambda one: (one.at_us, one.event_id), reverse=True)
    return {"agent_id": agent_id, "data": [_mark(one) for one in seen[:limit]]}


def _mark(seen: Happening) -> dict[str, Any]:
    name = seen.payload.text("event") if seen.kind == "runtime" else None
    return {
        "event_id": seen.event_id,
        "timestamp": iso(seen.at_us),
        "mark": name or seen.kind or seen.type,
        "summary": seen.payload.summary,
        "details": seen.payload.data or None,
    }


# -- prices -----------------------------------------------------------------------------------


def prices(db: Reader) -> dict[str, Any]:
    """Return the price table that estimates come from."""
    rows = db.rows("SELECT * FROM prices ORDER BY model, valid_from_us")
    return {
        "data": [_price(row) for row in rows],
        "as_of": list_date(),
        "currency": "USD",
        "unit": "per million tokens",
    }


def _price(row: dict[str, Any]) -> dict[str, Any]:
    own = row["source"] == "user"
    return {
        "model": row["model"],
        "model_pattern": row["model"],
        "provider": row["provider"] or None,
        "input_usd": rounded(row["input_usd"]),
        "output_usd": rounded(row["output_usd"]),
        "input_per_million": rounded(row["input_usd"]),
        "output_per_million": rounded(row["output_usd"]),
        "valid_from": iso(row["valid_from_us"]) if row["valid_from_us"] else None,
        "source": "edited here" if own else "list price",
        "edited": own,
        "as_of": (iso(row["updated_us"]) or "")[:10] if own else list_date(),
        "updated_at": iso(row["updated_us"]),
    }
